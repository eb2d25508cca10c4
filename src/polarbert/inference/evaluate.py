"""Judging a model on labelled texts: its answers, compared with the truth in every way that helps to improve it."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polarbert import __version__
from polarbert.calibration import calibration_figures
from polarbert.data.dataset import Dataset
from polarbert.data.labels import SENTIMENTS, LabelMap
from polarbert.errors import DataError, UsageError
from polarbert.inference.classifier import Classifier
from polarbert.inference.engine import WEIGHTS
from polarbert.inference.evaluation import ClassFigures, ConfidentError, Evaluation, Group, Speed, SureAnswers
from polarbert.inference.groups import Grouping, by_length, by_value
from polarbert.inference.prediction import Prediction
from polarbert.inference.predictor import Predictor
from polarbert.inference.text_predictor import TextPair
from polarbert.metrics import Estimate, Tally, confusion, coverage_curve
from polarbert.text import is_wordless

MAX_ERRORS, ERROR_CHARACTERS = 20, 240
FEW_ROWS = 100
BLOCK_TEXTS = 1024


def evaluate(
    model: Classifier,
    dataset: Dataset,
    by: Sequence[str] = (),
    *,
    unsure_below: float | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Evaluation:
    """Run a model on labelled texts and judge its answers.

    Args:
        model: as `polarbert.load` gives it.
        dataset: texts the model was not trained on; its labels are matched with the model's by `align`.
        by: columns by whose values to judge as well; they were kept when the dataset was read.
        unsure_below: the confidence below which an answer is unsure; the model's own threshold unless given.
        progress: called with the different texts done and all of them.

    Raises:
        DataError: when there is no row to judge.
        UsageError: when a label is unknown to the model, or a column was not kept.

    Example:
        >>> data = read_labelled("reviews.csv", "review", "stars", task="classification")
        >>> evaluate(polarbert.load(), data).accuracy.value
        0.8416
    """
    dataset = align(dataset, model.labels)
    _check(dataset, by)
    asked = model.check([(row.text, row.pair) for row in dataset.rows])
    distinct = list(dict.fromkeys(asked))
    known: dict[TextPair, Prediction] = {}
    started = time.perf_counter()
    for start in range(0, len(distinct), BLOCK_TEXTS):
        block = distinct[start : start + BLOCK_TEXTS]
        known.update(zip(block, model.answer(block), strict=True))
        progress(len(known), len(distinct))
    seconds = time.perf_counter() - started
    threshold = model.unsure_below if unsure_below is None else unsure_below
    predictions = [known[one] for one in asked]
    about = describe(model)
    return evaluate_predictions(dataset, predictions, model.labels, threshold, seconds=seconds, by=by, about=about)


def evaluate_predictions(
    dataset: Dataset,
    predictions: Sequence[Prediction],
    labels: Sequence[str],
    unsure_below: float,
    *,
    seconds: float | None = None,
    by: Sequence[str] = (),
    about: Mapping[str, str] | None = None,
) -> Evaluation:
    """Judge answers that are there already.

    Args:
        dataset: texts and truth; its labels are matched with the model's by `align`.
        predictions: one a row of the dataset, in its order.
        labels: of the model, in the order of its probabilities.
        unsure_below: the confidence below which an answer is unsure.
        seconds: how long the different texts took; None when that is not known.
        by: columns by whose values to judge as well.
        about: where the answers are from, by name, for the foot of the page: `describe` says it of a model. The version
            of Polarbert is added.

    Raises:
        DataError: when there is no row to judge.
        UsageError: when a label is unknown to the model, or a column was not kept.
    """
    dataset = align(dataset, labels)
    _check(dataset, by)
    answers = _Answers.of(dataset, predictions, labels, unsure_below)
    table = confusion(answers.truth, answers.given, len(labels))
    tally, drawn = Tally.of(table), Tally.resampled(table)
    return Evaluation(
        name=dataset.name,
        n=len(dataset.rows),
        labels=list(labels),
        absent=[label for label, rows in zip(labels, tally.occurs, strict=True) if not rows],
        accuracy=_accuracy(tally, drawn),
        macro_f1=Estimate.bootstrap(tally.macro_f1, drawn.macro_f1),
        macro_recall=Estimate.bootstrap(tally.macro_recall, drawn.macro_recall),
        accuracy_within=_accuracy_within(answers, tally),
        most_frequent=(labels[int(tally.occurs.argmax())], float(tally.occurs.max() / tally.occurs.sum())),
        classes=class_figures(labels, tally, drawn),
        confusion=table.tolist(),
        calibration=calibration_figures(answers.confidence, answers.correct),
        coverage=coverage_curve(answers.confidence, answers.correct),
        sure=_sure_answers(answers, unsure_below),
        errors=_confident_errors(dataset, predictions, labels),
        by_length=_groups(answers, by_length([prediction.n_tokens for prediction in predictions])),
        by_column={name: _groups(answers, by_value([_clean(r.values[name]) for r in dataset.rows])) for name in by},
        speed=_speed(dataset, predictions, seconds),
        skipped=dict(dataset.skipped),
        notes=(*dataset.notes, *_notes(dataset, answers, labels)),
        about={**(about or {}), "polarbert": __version__},
    )


def describe(model: Predictor[Any, Any]) -> dict[str, str]:
    """A model and what computes it, for `Evaluation.about`.

    Example:
        >>> describe(polarbert.load(threads=2))["engine"]
        'onnxruntime on 2 threads'
    """
    engine, threads = model.engine.name, model.engine.threads
    if engine.startswith("torch"):  # its threads are PyTorch's own
        return {"model": str(model.bundle.path), "fingerprint": model.bundle.fingerprint(WEIGHTS), "engine": engine}
    return {
        "model": str(model.bundle.path),
        "fingerprint": model.bundle.fingerprint(),
        "engine": f"{engine} on {_counted(threads, 'thread')}",
    }


def align(dataset: Dataset, labels: Sequence[str], mapping: Mapping[str, str] | None = None) -> Dataset:
    """The dataset with class numbers that follow a model's labels.

    A label stands for the class of its name, whatever its case. To a model of sentiment, "neg", "neu", "pos" and 1 to 5
    stars are known as well.

    Args:
        dataset: with any labels, as `read_labelled` gives it.
        labels: of the model.
        mapping: the class of some labels of the dataset; a blank name leaves the rows of that label out.

    Raises:
        UsageError: naming labels unknown to the model, or labels and classes of the mapping that do not exist.
    """
    if dataset.labels == list(labels) and not mapping:
        return dataset
    classes = _classes_of(dataset, list(labels), mapping or {})
    numbers = [list(labels).index(name) if name else None for name in (classes[name] for name in dataset.labels)]
    rows = [replace(row, label=number) for row in dataset.rows if (number := numbers[row.label]) is not None]
    skipped = dict(dataset.skipped)
    for name, count in Counter(dataset.labels[row.label] for row in dataset.rows).items():
        if not classes[name]:
            skipped[f"label {name!r}"] = count
    notes = (*dataset.notes, *_taken_as(classes))
    return replace(dataset, rows=rows, labels=list(labels), skipped=skipped, notes=notes)


def _classes_of(dataset: Dataset, labels: list[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """The model's class of each label of a dataset; a blank one leaves its rows out."""
    given = {_key(name): wanted for name, wanted in mapping.items()}
    there = {_key(name) for name in dataset.labels}
    if strangers := [name for name in mapping if _key(name) not in there]:
        raise UsageError(f"{dataset.name}: no row has the label {_listed(strangers)}; it has {_listed(dataset.labels)}")
    if wrong := [name for name in mapping.values() if name.strip() and not _class_named(name, labels)]:
        raise UsageError(f"the model has no class {_listed(wrong)}; it has {_listed(labels)}")
    classes = {}
    for name in dataset.labels:
        wanted = given.get(_key(name), name)
        classes[name] = _class_named(wanted, labels) if wanted.strip() else ""
    if unknown := [name for name, found in classes.items() if found is None]:
        raise UsageError(
            f"{dataset.name}: the model does not know the label {_listed(unknown)}; it knows {_listed(labels)}. "
            f"Say what it stands for with --labels {shlex.quote(unknown[0])}=CLASS, or leave its rows out with "
            f"--labels {shlex.quote(unknown[0])}="
        )
    return {name: found or "" for name, found in classes.items()}


def _class_named(name: str, labels: list[str]) -> str | None:
    """The class that a label stands for, or None."""
    if name in labels:
        return name
    if (found := {_key(label): label for label in labels}.get(_key(name))) is not None:
        return found
    if not set(labels) <= set(SENTIMENTS):
        return None
    try:
        sentiment = LabelMap.infer([name], "sentiment").names[name]
    except DataError:
        return None
    return sentiment if sentiment in labels else None


def _taken_as(classes: Mapping[str, str]) -> list[str]:
    """A note where labels were read as others."""
    changed = [(name, found) for name, found in classes.items() if found and _key(name) != _key(found)]
    named = {found: [name for name, other in changed if other == found] for _, found in changed}
    parts = [f"{_listed(names)} as {found!r}" for found, names in named.items()]
    return [f"labels taken: {'; '.join(parts)}"] if parts else []


@dataclass(frozen=True)
class _Answers:
    """The answers as arrays, one element a row."""

    truth: NDArray[np.int64]
    given: NDArray[np.int64]
    chances: NDArray[np.float64]
    confidence: NDArray[np.float64]
    unsure: NDArray[np.bool_]

    @classmethod
    def of(
        cls, dataset: Dataset, predictions: Sequence[Prediction], labels: Sequence[str], unsure_below: float
    ) -> _Answers:
        if len(predictions) != len(dataset.rows):
            raise UsageError(f"there are {len(dataset.rows)} rows and {len(predictions)} predictions; give one a row")
        numbers = {label: number for number, label in enumerate(labels)}
        confidence = np.array([prediction.confidence for prediction in predictions])
        wordless = np.array([is_wordless(text) for text in dataset.texts])
        return cls(
            dataset.truth,
            np.array([numbers[prediction.label] for prediction in predictions]),
            np.array([[prediction.probabilities[label] for label in labels] for prediction in predictions]),
            confidence,
            wordless | (confidence < unsure_below),
        )

    @property
    def correct(self) -> NDArray[np.bool_]:
        return np.asarray(self.truth == self.given)


def _check(dataset: Dataset, by: Sequence[str]) -> None:
    if not dataset.rows:
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in dataset.skipped.items())
        raise DataError(f"{dataset.name}: no row has both a text and a label{f' ({reasons})' if reasons else ''}")
    for column in by:
        if any(column not in row.values for row in dataset.rows):
            raise UsageError(f"{dataset.name}: the column {column!r} was not kept; name it in keep when reading")


def _accuracy_within(answers: _Answers, tally: Tally) -> Estimate | None:
    """Accuracy when the answer is the most probable of the classes that occur."""
    occurs = np.flatnonzero(tally.occurs)
    if len(occurs) == len(tally.occurs) or len(occurs) == 1:
        return None
    given = occurs[answers.chances[:, occurs].argmax(1)]
    table = confusion(answers.truth, given, len(tally.occurs))
    return _accuracy(Tally.of(table), Tally.resampled(table))


def _accuracy(tally: Tally, drawn: Tally) -> Estimate:
    """Where all or no answers are right every resample says the same, so the score interval stands in."""
    right, total = int(tally.right.sum()), int(tally.occurs.sum())
    if right in (0, total):
        return Estimate.share(right, total)
    return Estimate.bootstrap(tally.accuracy, drawn.accuracy)


def class_figures(labels: Sequence[str], tally: Tally, drawn: Tally) -> list[ClassFigures]:
    """Figures of each class.

    Args:
        labels: names of the classes.
        tally: of all rows.
        drawn: of as many resamples of them.
    """
    scores = drawn.f1_scores
    found = []
    for number, label in enumerate(labels):
        support, answered = int(tally.occurs[number]), int(tally.answered[number])
        precision = float(tally.precisions[number]) if answered else None
        recall = float(tally.recalls[number]) if support else None
        f1 = Estimate.bootstrap(tally.f1_scores[number], scores[:, number]) if support else None
        found.append(ClassFigures(label, precision, recall, f1, support, answered))
    return found


def _sure_answers(answers: _Answers, threshold: float) -> SureAnswers:
    sure = ~answers.unsure
    count = int(sure.sum())
    accuracy = Estimate.share(int(answers.correct[sure].sum()), count) if count else None
    return SureAnswers(threshold, count / len(sure), accuracy)


def _confident_errors(
    dataset: Dataset, predictions: Sequence[Prediction], labels: Sequence[str]
) -> list[ConfidentError]:
    wrong = [(p, row) for p, row in zip(predictions, dataset.rows, strict=True) if p.label != labels[row.label]]
    found: dict[str, ConfidentError] = {}
    for answer, row in sorted(wrong, key=lambda pair: -pair[0].confidence):
        text = _cut(row.shown)
        found.setdefault(text, ConfidentError(row.row, text, labels[row.label], answer.label, answer.confidence))
        if len(found) == MAX_ERRORS:
            break
    return list(found.values())


def _groups(answers: _Answers, grouping: Grouping) -> list[Group]:
    return [_group(answers, name, rows) for name, rows in grouping]


def _group(answers: _Answers, name: str, rows: NDArray[np.int64]) -> Group:
    correct = answers.correct[rows]
    table = confusion(answers.truth[rows], answers.given[rows], answers.chances.shape[1])
    return Group(
        name,
        len(rows),
        Estimate.share(int(correct.sum()), len(rows)),
        float(Tally.of(table).macro_f1),
        float(answers.confidence[rows].mean()),
        float(1 - answers.unsure[rows].mean()),
    )


def _speed(dataset: Dataset, predictions: Sequence[Prediction], seconds: float | None) -> Speed | None:
    if seconds is None:
        return None
    pieces = {row.content: answer.n_tokens for row, answer in zip(dataset.rows, predictions, strict=True)}
    seconds = max(seconds, 1e-9)
    return Speed(seconds, len(pieces) / seconds, sum(pieces.values()) / seconds)


def _notes(dataset: Dataset, answers: _Answers, labels: Sequence[str]) -> Iterator[str]:
    """What the figures cannot show."""
    n = len(dataset.rows)
    occurs = np.unique(answers.truth)
    if len(occurs) == 1:
        yield f"every row is {labels[occurs[0]]!r}: nothing shows how the model tells classes apart"
    elif len(occurs) < len(labels):
        absent = [label for number, label in enumerate(labels) if number not in occurs]
        yield f"no row is {_listed(absent)}: macro figures are means over the classes that occur"
    if n < FEW_ROWS:
        yield f"{_counted(n, 'row')} cannot say much: take the intervals as rough, and label a hundred or more"
    if answers.correct.all():
        yield f"no answer is wrong; of as many other rows up to {min(1.0, 3 / n):.1%} could be (rule of three)"
    different = {row.content for row in dataset.rows}
    if repeats := n - len(different):
        yield f"{_counted(repeats, 'row')} repeat the text of another row; each counts"
    if torn := len({(row.content, row.label) for row in dataset.rows}) - len(different):
        yield f"the same text has different labels in {_counted(torn, 'case')}: no model can be right there each time"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _cut(text: str) -> str:
    squeezed = _clean(" ".join(text.split()))
    return squeezed if len(squeezed) <= ERROR_CHARACTERS else f"{squeezed[: ERROR_CHARACTERS - 1]}…"


def _clean(cell: str) -> str:
    """A cell that can be written as UTF-8, whatever bytes it had."""
    return cell if cell.isascii() else cell.encode("utf-8", "replace").decode("utf-8")


def _key(label: str) -> str:
    return label.strip().casefold()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:10]) + (f" and {len(names) - 10:,} more" if len(names) > 10 else "")
