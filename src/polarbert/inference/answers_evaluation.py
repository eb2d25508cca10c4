"""How good a model's answers to questions are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polarbert import __version__
from polarbert.calibration import CalibrationFigures, calibration_figures
from polarbert.data.dataset import Dataset, LabelledText
from polarbert.data.questions import Question
from polarbert.errors import DataError, UsageError
from polarbert.inference.answerer import Answer, QuestionAndContext, QuestionAnswerer
from polarbert.inference.evaluate import describe
from polarbert.inference.evaluation import SureAnswers, plain
from polarbert.inference.groups import Grouping, by_length, by_value
from polarbert.inference.lines import figure, head, page, percent, short_name, span, table, tail
from polarbert.inference.spans import cut_questions
from polarbert.metrics import CoverageCurve, Estimate, answer_f1, coverage_curve, exact_match, grouped_mean
from polarbert.text import is_wordless

BLOCK_QUESTIONS = 256
MAX_ERRORS, SHOWN_ERRORS, MAX_GROUPS, ERROR_CHARACTERS = 20, 5, 8, 240
FEW_QUESTIONS = 100
NOTHING = "(no answer)"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AnswerFigures:
    """How good the answers to some of the questions are.

    Attributes:
        name: what these questions have in common.
        n: how many they are.
        exact_match: share of the answers that are one of the annotators'.
        f1: mean F1 of their words.
        declined: share that was answered with "no answer".
        confidence: mean confidence of the answers.
    """

    name: str
    n: int
    exact_match: Estimate
    f1: Estimate
    declined: float
    confidence: float


@dataclass(frozen=True)
class WrongAnswer:
    """An answer given with confidence that is none of the annotators': the model is wrong here, or they are.

    Attributes:
        row: 1 for the first question of the data.
        id: of the question in its source.
        question: what was asked, cut where it is long.
        answer: what was answered; empty for "no answer".
        truths: what the annotators answered; none when there is no answer.
        f1: of the words.
        confidence: of the answer.
    """

    row: int
    id: str
    question: str
    answer: str
    truths: list[str]
    f1: float
    confidence: float


@dataclass(frozen=True)
class AnswersEvaluation:
    """Figures of a model on questions with known answers, as SQuAD's own scripts count.

    Intervals hold with 95% confidence. They are of a bootstrap over passages, since the questions of a passage are
    right or wrong together more often than others.

    Attributes:
        name: of the data.
        n: questions judged.
        passages: different ones.
        exact_match: share of the answers that are one of the annotators', apart from case, marks, articles and blanks.
        f1: mean F1 of the words of answer and truth, for each question with the annotator it is nearest to.
        has_answer: the questions that have an answer; None when there are none.
        no_answer: those that have none; None likewise.
        calibration: whether confidence says how many answers are exact matches.
        coverage: exact match against the share answered, the surest first.
        sure: what the unsure threshold gives; its accuracy is exact match.
        errors: the most confident wrong answers.
        by_length: by length of question and passage in word pieces.
        by_column: by the values of other columns.
        seconds: for all answers; None where it was not measured.
        skipped: questions that could not be judged, by reason.
        notes: what was assumed of the data and what the figures cannot show, for people to read.
        about: where the answers are from.
    """

    name: str
    n: int
    passages: int
    exact_match: Estimate
    f1: Estimate
    has_answer: AnswerFigures | None
    no_answer: AnswerFigures | None
    calibration: CalibrationFigures
    coverage: CoverageCurve
    sure: SureAnswers
    errors: list[WrongAnswer] = field(default_factory=list)
    by_length: list[AnswerFigures] = field(default_factory=list)
    by_column: Mapping[str, list[AnswerFigures]] = field(default_factory=dict)
    seconds: float | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)

    def headline(self) -> dict[str, Estimate]:
        """The main figures by name."""
        return {"F1": self.f1, "exact match": self.exact_match}

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them; numbers are rounded to six decimals and none is NaN."""
        return {name: plain(value) for name, value in asdict(self).items()}

    def text(self, width: int = 100) -> str:
        """The figures as lines for a terminal.

        Args:
            width: most characters in a line.
        """
        what = f"questions about {self.passages:,} {'passage' if self.passages == 1 else 'passages'}"
        parts = [head(self.name, self.n, self.skipped, what), self._figures()]
        parts.append(_group_lines("word pieces", self.by_length))
        parts += [_group_lines(column, groups) for column, groups in self.by_column.items()]
        parts += [self._error_lines(), tail(self.n, self.seconds, self.notes, width, "questions")]
        return page(parts, width)

    def _figures(self) -> list[str]:
        rows = [("", "", "95% interval", "")]
        rows += [figure(name, found) for name, found in self.headline().items()]
        for part in (self.has_answer, self.no_answer):
            if part is not None and part.n < self.n:
                declined = f"{part.n:,} questions, {percent(part.declined)} of them answered with {NOTHING}"
                rows.append(figure(f"  {part.name}, F1", part.f1, declined))
                rows.append(figure("    exact match", part.exact_match))
        measured = f"measured (ECE) {self.calibration.ece:.3f}, where chance alone gives"
        rows.append(
            figure("calibration error", self.calibration.corrected, f"{measured} {self.calibration.by_chance:.3f}")
        )
        threshold = f"confidence {self.sure.threshold:.2f} or more; the rest is unsure"
        rows.append(("sure answers", percent(self.sure.share), "", threshold))
        if self.sure.accuracy is not None:
            rows.append(figure("  exact match of these", self.sure.accuracy))
        return table(rows, "<><<")

    def _error_lines(self) -> list[str]:
        if not self.errors:
            return []
        rows = [("most confident errors", "truth", "answer", "", "question")]
        for error in self.errors[:SHOWN_ERRORS]:
            truth = short_name(error.truths[0]) if error.truths else NOTHING
            answer = short_name(error.answer) if error.answer else NOTHING
            rows.append((f"question {error.row:,}", truth, answer, f"{error.confidence:.0%}", error.question))
        return table(rows, "<<<><")


def evaluate_answers(
    model: QuestionAnswerer,
    dataset: Dataset,
    by: Sequence[str] = (),
    *,
    unsure_below: float | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> AnswersEvaluation:
    """Ask a model questions whose answers are known and judge what it says.

    Args:
        model: as `polarbert.load` gives it.
        dataset: questions the model was not trained on, as `polarbert.data.questions.read_questions` gives them.
        by: names in `values`, such as "title", by which to judge as well.
        unsure_below: the confidence below which an answer is unsure; the model's own threshold unless given.
        progress: called with the questions done and all of them.

    Raises:
        DataError: when there is no question to judge.
        UsageError: when no question has a name of `by`.

    Example:
        >>> evaluate_answers(polarbert.load("my-answerer"), read_questions("questions.json")).exact_match.value
        0.71
    """
    _check(dataset, by)
    asked = [(question_of(row).question, row.text) for row in dataset.rows]
    distinct = list(dict.fromkeys(asked))
    known: dict[QuestionAndContext, Answer] = {}
    started = time.perf_counter()
    for start in range(0, len(distinct), BLOCK_QUESTIONS):
        block = distinct[start : start + BLOCK_QUESTIONS]
        known.update(zip(block, model.answer(block), strict=True))
        progress(len(known), len(distinct))
    seconds = time.perf_counter() - started
    threshold = model.unsure_below if unsure_below is None else unsure_below
    answers = [known[one] for one in asked]
    return judge_answers(dataset, answers, threshold, seconds=seconds, by=by, about=describe(model))


def judge_answers(
    dataset: Dataset,
    answers: Sequence[Answer],
    unsure_below: float,
    *,
    seconds: float | None = None,
    by: Sequence[str] = (),
    about: Mapping[str, str] | None = None,
) -> AnswersEvaluation:
    """Judge answers that are there already.

    Args:
        dataset: the questions.
        answers: one each, in order.
        unsure_below: the confidence below which an answer is unsure.
        seconds: how long they took; None when that is not known.
        by: names in `values` by which to judge as well.
        about: where the answers are from.

    Raises:
        DataError: when there is no question to judge.
        UsageError: when no question has a name of `by`, or there are not as many answers as questions.
    """
    _check(dataset, by)
    if len(answers) != len(dataset.rows):
        raise UsageError(f"there are {len(dataset.rows)} questions and {len(answers)} answers; give one each")
    judged = _Judged.of(dataset, answers)
    everything = judged.figures("all", np.arange(len(answers)))
    lengths = by_length([answer.n_tokens for answer in answers])
    columns = {name: by_value([row.values.get(name, "") for row in dataset.rows]) for name in by}
    return AnswersEvaluation(
        name=dataset.name,
        n=everything.n,
        passages=int(judged.passage_of.max()) + 1,
        exact_match=everything.exact_match,
        f1=everything.f1,
        has_answer=judged.part("with an answer", ~judged.impossible),
        no_answer=judged.part("without one", judged.impossible),
        calibration=calibration_figures(judged.confidence, judged.exact),
        coverage=coverage_curve(judged.confidence, judged.exact),
        sure=_sure(dataset, judged, unsure_below),
        errors=_errors(dataset, answers, judged),
        by_length=judged.groups(lengths),
        by_column={name: judged.groups(grouping) for name, grouping in columns.items()},
        seconds=seconds,
        skipped={reason: count for reason, count in dataset.skipped.items() if count},
        notes=(*dataset.notes, *_notes(judged), *_cut_questions(dataset, answers)),
        about={**(about or {}), "polarbert": __version__},
    )


def question_of(row: LabelledText) -> Question:
    """The row, which must be a question."""
    if not isinstance(row, Question):
        raise TypeError(f"{type(row).__name__} is no question; read the file with read_questions")
    return row


@dataclass(frozen=True)
class _Judged:
    """The answers as arrays, one element a question.

    Attributes:
        exact: whether the answer is one of the annotators'.
        f1: of its words.
        confidence: of the answer.
        declined: whether it is "no answer".
        impossible: whether that is right.
        passage_of: number of the passage.
    """

    exact: NDArray[np.bool_]
    f1: Floats
    confidence: Floats
    declined: NDArray[np.bool_]
    impossible: NDArray[np.bool_]
    passage_of: NDArray[np.int64]

    @classmethod
    def of(cls, dataset: Dataset, answers: Sequence[Answer]) -> _Judged:
        questions = [question_of(row) for row in dataset.rows]
        numbers: dict[str, int] = {}
        pairs = [(answer.text, question.truths) for answer, question in zip(answers, questions, strict=True)]
        return cls(
            np.array([exact_match(*pair) for pair in pairs]),
            np.array([answer_f1(*pair) for pair in pairs]),
            np.array([answer.confidence for answer in answers]),
            np.array([answer.no_answer for answer in answers]),
            np.array([not question.truths for question in questions]),
            np.array([numbers.setdefault(question.text, len(numbers)) for question in questions]),
        )

    def part(self, name: str, chosen: NDArray[np.bool_]) -> AnswerFigures | None:
        return self.figures(name, np.flatnonzero(chosen)) if chosen.any() else None

    def groups(self, grouping: Grouping) -> list[AnswerFigures]:
        return [self.figures(name, rows) for name, rows in grouping]

    def figures(self, name: str, rows: NDArray[np.int64]) -> AnswerFigures:
        passages = np.unique(self.passage_of[rows], return_inverse=True)[1].reshape(-1)
        exact, f1 = grouped_mean(self.exact[rows], passages), grouped_mean(self.f1[rows], passages)
        return AnswerFigures(
            name, len(rows), exact, f1, float(self.declined[rows].mean()), float(self.confidence[rows].mean())
        )


def _check(dataset: Dataset, by: Sequence[str]) -> None:
    if not dataset.rows:
        raise DataError(f"{dataset.name}: there is no question to judge")
    for name in by:
        if all(name not in row.values for row in dataset.rows):
            raise UsageError(f"{dataset.name}: no question has a {name!r}; leave out --by {name}")


def _sure(dataset: Dataset, judged: _Judged, threshold: float) -> SureAnswers:
    wordless = np.array([is_wordless(question_of(row).question) or is_wordless(row.text) for row in dataset.rows])
    sure = (judged.confidence >= threshold) & ~wordless
    count = int(sure.sum())
    accuracy = Estimate.share(int(judged.exact[sure].sum()), count) if count else None
    return SureAnswers(threshold, count / len(sure), accuracy)


def _errors(dataset: Dataset, answers: Sequence[Answer], judged: _Judged) -> list[WrongAnswer]:
    wrong = np.flatnonzero(~judged.exact)
    order = wrong[np.argsort(-judged.confidence[wrong], kind="stable")][:MAX_ERRORS].tolist()
    found = []
    for number in order:
        row, answer = question_of(dataset.rows[number]), answers[number]
        truths = list(dict.fromkeys(_cut(text) for text in row.truths))
        asked, given = _cut(row.question), _cut(answer.text)
        found.append(WrongAnswer(row.row, row.id, asked, given, truths, float(judged.f1[number]), answer.confidence))
    return found


def _notes(judged: _Judged) -> Iterator[str]:
    """What the figures cannot show."""
    n, passages = len(judged.exact), int(judged.passage_of.max()) + 1
    if n < FEW_QUESTIONS:
        shown = f"{n:,} {'question' if n == 1 else 'questions'}"
        yield f"{shown} cannot say much: take the intervals as rough, and ask a hundred or more"
    if passages == 1 and n > 1:
        yield "all questions are about one passage, so the intervals cannot show how others would do"
    if judged.exact.all():
        yield f"no answer is wrong; of as many other questions up to {min(1.0, 3 / n):.1%} could be (rule of three)"
    if judged.impossible.all():
        yield "no question has an answer: nothing shows how the model finds any"


def _cut_questions(dataset: Dataset, answers: Sequence[Answer]) -> Iterator[str]:
    if cut := [row.row for row, answer in zip(dataset.rows, answers, strict=True) if answer.n_cut]:
        yield cut_questions(len(cut), cut[0])


def _group_lines(name: str, groups: Sequence[AnswerFigures]) -> list[str]:
    if not groups:
        return []
    rows = [(name, "questions", "F1", "95% interval", "exact match", "confidence")]
    for group in groups[:MAX_GROUPS]:
        figures = (f"{group.f1.value:.3f}", span(group.f1), f"{group.exact_match.value:.3f}", f"{group.confidence:.3f}")
        rows.append((short_name(group.name), f"{group.n:,}", *figures))
    return table(rows, "<>><>>")


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= ERROR_CHARACTERS else f"{flat[: ERROR_CHARACTERS - 1]}…"
