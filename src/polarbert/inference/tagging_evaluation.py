"""How good a tagger's entities are: precision, recall and F1 as the script conlleval counts them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polarbert import __version__
from polarbert.calibration import CalibrationFigures, calibration_figures
from polarbert.data.dataset import Dataset
from polarbert.data.entities import Span, entity_spans, entity_types
from polarbert.data.tagged import TaggedText
from polarbert.errors import DataError, UsageError
from polarbert.inference.evaluate import class_figures, describe
from polarbert.inference.evaluation import ClassFigures, SureAnswers, plain
from polarbert.inference.lines import figure, head, page, percent, share_cell, short_name, span, table, tail
from polarbert.inference.tagged_rows import align_types, as_tagged, asked_words, tag_names
from polarbert.inference.tagger import Tagger, Tagging
from polarbert.metrics import Estimate, Tally, count_entities, pool_texts, pool_types, resample_texts

BLOCK_TEXTS = 1024
MAX_ERRORS, SHOWN_ERRORS, MAX_TYPES, AROUND = 20, 5, 12, 40
FEW_ENTITIES = 100


@dataclass(frozen=True)
class EntityError:
    """An entity that is not in the truth, or not like that.

    Attributes:
        row: 1 for the first text of the data.
        text: what was found, with some of the text around it.
        entity: what was found.
        answer: the type it was given.
        truth: what is true of these words: "not an entity", or type and text of the entities they belong to.
        confidence: of the answer.
    """

    row: int
    text: str
    entity: str
    answer: str
    truth: str
    confidence: float


@dataclass(frozen=True)
class TaggingEvaluation:
    """Figures of a tagger on tagged texts. Intervals hold with 95% confidence; texts are resampled, not entities.

    An entity is right when its type, its first and its last word are.

    Attributes:
        name: of the data.
        n: texts judged.
        words: in them.
        entities: in them.
        f1: harmonic mean of the next two, over entities of all types together.
        precision: share of the entities found that are right; 0 where none is found.
        recall: share of the entities that are found; 0 where there are none.
        word_accuracy: share of the words with the right tag. Most words are no entity, so it is high for any model.
        types: figures of each type, with its entities as support.
        calibration: whether confidence means what it says; None where no entity is found.
        sure: what the unsure threshold leaves of the entities found; None likewise.
        errors: the most confident wrong entities.
        seconds: for all texts; None where it was not measured.
        skipped: texts that could not be judged, by reason.
        notes: what was assumed of the data and what the figures cannot show, for people to read.
        about: where the answers are from: model, engine, version.
    """

    name: str
    n: int
    words: int
    entities: int
    f1: Estimate
    precision: Estimate
    recall: Estimate
    word_accuracy: Estimate
    types: list[ClassFigures]
    calibration: CalibrationFigures | None
    sure: SureAnswers | None
    errors: list[EntityError] = field(default_factory=list)
    seconds: float | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)

    def headline(self) -> dict[str, Estimate]:
        """The main figures by name, the most important one first."""
        return {"entity F1": self.f1, "precision": self.precision, "recall": self.recall}

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them; numbers are rounded to six decimals and none is NaN."""
        return {name: plain(value) for name, value in asdict(self).items()}

    def text(self, width: int = 100) -> str:
        """The figures as lines for a terminal.

        Args:
            width: most characters in a line.
        """
        parts = [head(self.name, self.n, self.skipped, "texts"), table(list(self._figures()), "<><<")]
        parts += [self._types(), self._errors()]
        parts.append(tail(self.n, self.seconds, self.notes, width, "texts"))
        return page(parts, width)

    def _figures(self) -> Iterator[tuple[str, str, str, str]]:
        yield "", "", "95% interval", ""
        yield figure("entity F1", self.f1, f"{self.entities:,} entities in {self.words:,} words")
        yield figure("  precision", self.precision)
        yield figure("  recall", self.recall)
        yield figure("word accuracy", self.word_accuracy)
        if self.calibration is not None:
            measured = f"measured (ECE) {self.calibration.ece:.3f}, by chance {self.calibration.by_chance:.3f}"
            yield figure("calibration error", self.calibration.corrected, measured)
        if self.sure is not None:
            yield "sure entities", percent(self.sure.share), "", f"confidence {self.sure.threshold:.2f} or more"
            if self.sure.accuracy is not None:
                yield figure("  precision", self.sure.accuracy)

    def _types(self) -> list[str]:
        rows = [("type", "entities", "found", "precision", "recall", "F1", "95% interval")]
        shown = sorted(self.types, key=lambda one: -one.support)[:MAX_TYPES]
        for one in sorted(shown, key=lambda one: one.label):
            f1, interval = (f"{one.f1.value:.3f}", span(one.f1)) if one.f1 else ("-", "")
            shares = share_cell(one.precision), share_cell(one.recall)
            rows.append((short_name(one.label), f"{one.support:,}", f"{one.answered:,}", *shares, f1, interval))
        lines = table(rows, "<>>>>><")
        more = len(self.types) - len(shown)
        return [*lines, f"and {more:,} more types (--json has all)"] if more else lines

    def _errors(self) -> list[str]:
        if not self.errors:
            return []
        rows = [("most confident errors", "found", "", "truth", "")]
        for error in self.errors[:SHOWN_ERRORS]:
            found = short_name(f"{error.answer} {error.entity}")
            rows.append((f"row {error.row:,}", found, f"{error.confidence:.0%}", short_name(error.truth), error.text))
        return table(rows, "<<><<")


def evaluate_tagging(
    model: Tagger,
    dataset: Dataset,
    mapping: Mapping[str, str] | None = None,
    *,
    unsure_below: float | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> TaggingEvaluation:
    """Run a tagger on tagged texts and judge its entities.

    The texts are read in the words of the dataset, so that truth and answer are of the same words.

    Args:
        model: as `polarbert.load` gives it.
        dataset: texts the model was not trained on, as `polarbert.data.tagged.read_tagged` gives them.
        mapping: see `align_types`.
        unsure_below: the confidence below which an entity is unsure; the model's unless given.
        progress: called with the texts done and all of them.

    Raises:
        DataError: when there is no text to judge.
        UsageError: when a type is unknown to the model.

    Example:
        >>> evaluate_tagging(polarbert.load("my-tagger"), read_tagged("mentions.conll")).f1.value
        0.8114
    """
    dataset = align_types(dataset, model.labels, mapping)
    asked = asked_words(dataset.rows)
    answers: list[Tagging] = []
    started = time.perf_counter()
    for start in range(0, len(asked), BLOCK_TEXTS):
        answers += model.answer(asked[start : start + BLOCK_TEXTS])
        progress(len(answers), len(asked))
    seconds = time.perf_counter() - started
    threshold = model.unsure_below if unsure_below is None else unsure_below
    return judge_taggings(dataset, answers, threshold, seconds=seconds, about=describe(model))


def judge_taggings(
    dataset: Dataset,
    answers: Sequence[Tagging],
    unsure_below: float,
    *,
    seconds: float | None = None,
    about: Mapping[str, str] | None = None,
) -> TaggingEvaluation:
    """Judge answers that are there already.

    Args:
        dataset: tagged texts, in types that the model knows: see `align_types`.
        answers: one a row, to what `asked_words` makes of it.
        unsure_below: the confidence below which an entity is unsure.
        seconds: how long they took; None when that is not known.
        about: where the answers are from, by name. The version of Polarbert is added.

    Raises:
        DataError: when there is no text to judge.
        UsageError: when an answer is about other words than its row has.
    """
    if not dataset.rows:
        raise DataError(f"{dataset.name}: there is no tagged text to judge by")
    if [len(as_tagged(row).words) for row in dataset.rows] != [len(answer.tags) for answer in answers]:
        raise UsageError(f"{dataset.name}: the answers are about other words than its rows; ask with asked_words")
    judged = _Judged.of(dataset, answers)
    tally = pool_texts(judged.tally)
    drawn = resample_texts(judged.tally)
    f1, precision, recall = (_micro(tally, drawn, what) for what in ("f1_scores", "precisions", "recalls"))
    return TaggingEvaluation(
        name=dataset.name,
        n=len(dataset.rows),
        words=int(judged.word_counts.sum()),
        entities=int(tally.occurs.sum()),
        f1=f1,
        precision=precision,
        recall=recall,
        word_accuracy=_word_accuracy(judged),
        types=class_figures(judged.types, tally, drawn),
        calibration=calibration_figures(judged.confidence, judged.correct) if len(judged.correct) else None,
        sure=_sure_entities(judged, unsure_below),
        errors=_confident_errors(dataset, answers, judged),
        seconds=seconds,
        skipped={reason: count for reason, count in dataset.skipped.items() if count},
        notes=(*dataset.notes, *_notes(dataset, tally)),
        about={**(about or {}), "polarbert": __version__},
    )


@dataclass(frozen=True)
class _Judged:
    """Truth and answers side by side.

    Attributes:
        types: of either.
        truth: the true entities of each text.
        tally: (texts, types).
        right_words: (texts,) words with the right tag.
        word_counts: (texts,) words.
        confidence: (found,) of each entity that was found, text by text.
        correct: (found,) whether it is right.
    """

    types: list[str]
    truth: list[list[Span]]
    tally: Tally
    right_words: NDArray[np.float64]
    word_counts: NDArray[np.float64]
    confidence: NDArray[np.float64]
    correct: NDArray[np.bool_]

    @classmethod
    def of(cls, dataset: Dataset, answers: Sequence[Tagging]) -> _Judged:
        names = [tag_names(dataset, row) for row in dataset.rows]
        truth, found = [entity_spans(tags) for tags in names], [entity_spans(answer.tags) for answer in answers]
        types = sorted({name for spans in (*truth, *found) for name, _, _ in spans} | {*entity_types(dataset.labels)})
        right = [sum(map(str.__eq__, tags, answer.tags)) for tags, answer in zip(names, answers, strict=True)]
        correct = [one in true for true, given in zip(map(set, truth), found, strict=True) for one in given]
        return cls(
            types,
            truth,
            count_entities(truth, found, types),
            np.array(right, dtype=np.float64),
            np.array([len(tags) for tags in names], dtype=np.float64),
            np.array([entity.confidence for answer in answers for entity in answer.entities]),
            np.array(correct, dtype=np.bool_),
        )


def _micro(tally: Tally, drawn: Tally, what: str) -> Estimate:
    """A figure over all types; 0 where nothing is there to be counted, as conlleval has it."""
    value, resampled = (np.nan_to_num(getattr(pool_types(counts), what))[..., 0] for counts in (tally, drawn))
    return Estimate.bootstrap(value, resampled)


def _word_accuracy(judged: _Judged) -> Estimate:
    """Words of a text depend on each other as entities do, so texts are drawn here too."""
    words = Tally(judged.right_words[:, None], judged.word_counts[:, None], judged.word_counts[:, None])
    return Estimate.bootstrap(pool_texts(words).recalls[0], resample_texts(words).recalls[:, 0])


def _sure_entities(judged: _Judged, threshold: float) -> SureAnswers | None:
    if not len(judged.correct):
        return None
    sure = judged.confidence >= threshold
    count = int(sure.sum())
    accuracy = Estimate.share(int(judged.correct[sure].sum()), count) if count else None
    return SureAnswers(threshold, count / len(sure), accuracy)


def _confident_errors(dataset: Dataset, answers: Sequence[Tagging], judged: _Judged) -> list[EntityError]:
    owners = [(number, place) for number, answer in enumerate(answers) for place in range(len(answer.entities))]
    wrong = np.flatnonzero(~judged.correct)
    order = wrong[np.argsort(-judged.confidence[wrong], kind="stable")].tolist()
    found: dict[tuple[str, str], EntityError] = {}
    for number in order:
        text, place = owners[number]
        error = _error(as_tagged(dataset.rows[text]), answers[text], place, judged.truth[text])
        found.setdefault((error.text, error.answer), error)
        if len(found) == MAX_ERRORS:
            break
    return list(found.values())


def _error(row: TaggedText, answer: Tagging, place: int, truth: Sequence[Span]) -> EntityError:
    entity = answer.entities[place]
    _, first, behind = entity_spans(answer.tags)[place]
    touched = [
        f"{name} {row.text[row.words[start][0] : row.words[end - 1][1]]}"
        for name, start, end in truth
        if start < behind and end > first
    ]
    start, end = max(0, entity.start - AROUND), min(len(row.text), entity.end + AROUND)
    around = f"{'…' if start else ''}{row.text[start:end]}{'…' if end < len(row.text) else ''}"
    shown = [" ".join(part.split()) for part in (around, entity.text, " + ".join(touched) or "not an entity")]
    return EntityError(row.row, shown[0], shown[1], entity.type, shown[2], entity.confidence)


def _notes(dataset: Dataset, tally: Tally) -> Iterator[str]:
    """What the figures cannot show."""
    entities = int(tally.occurs.sum())
    if not entities:
        yield "no text has an entity: recall and F1 are 0 whatever the model finds"
    elif entities < FEW_ENTITIES:
        yield f"{entities:,} entities cannot say much: take the intervals as rough, and tag some hundred"
    if len(dataset.rows) < 2:
        yield "one text alone shows nothing of how figures scatter"
    repeats = Counter(dataset.texts)
    if again := len(dataset.rows) - len(repeats):
        yield f"{again:,} of the texts repeat another; each counts"
