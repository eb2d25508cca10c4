"""What is known of a model after its answers were compared with the truth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.cells import cell_len

from polarbert.calibration import CalibrationFigures
from polarbert.inference.lines import figure, head, notes, page, percent, share_cell, short_name, span, table
from polarbert.metrics import CoverageCurve, Estimate

DECIMALS = 6
MAX_CLASSES, MAX_GROUPS, MAX_ERRORS = 12, 8, 5  # in the terminal; the page and JSON have all of them


@dataclass(frozen=True)
class ClassFigures:
    """How good the answers are for one class.

    Attributes:
        label: the class.
        precision: share of its answers that are right; None where it is never answered.
        recall: share of its rows that were found; None where it does not occur.
        f1: their harmonic mean, with its interval; None where it does not occur.
        support: rows of the class.
        answered: answers of the class.
    """

    label: str
    precision: float | None
    recall: float | None
    f1: Estimate | None
    support: int
    answered: int


@dataclass(frozen=True)
class Group:
    """The rows that have something in common.

    Attributes:
        name: what it is.
        n: how many they are.
        accuracy: share of their answers that are right.
        macro_f1: mean F1 of the classes that occur among them.
        confidence: mean confidence of their answers.
        answered: share of them that are not unsure.
    """

    name: str
    n: int
    accuracy: Estimate
    macro_f1: float
    confidence: float
    answered: float


@dataclass(frozen=True)
class SureAnswers:
    """What is left when unsure answers are set aside.

    Attributes:
        threshold: the confidence below which an answer is unsure; a text without words always is.
        share: of the texts that are answered.
        accuracy: of these answers; None where there are none.
    """

    threshold: float
    share: float
    accuracy: Estimate | None


@dataclass(frozen=True)
class ConfidentError:
    """A wrong answer given with confidence: the model is wrong here, or the label is.

    Attributes:
        row: 1 for the first row of data.
        text: its text, cut where it is long.
        truth: the label it has.
        answer: the label it was given.
        confidence: probability of that answer.
    """

    row: int
    text: str
    truth: str
    answer: str
    confidence: float


@dataclass(frozen=True)
class Speed:
    """How fast the answers came; a text that comes twice is computed and counted once.

    Attributes:
        seconds: for all.
        texts_per_second: different texts.
        pieces_per_second: their word pieces.
    """

    seconds: float
    texts_per_second: float
    pieces_per_second: float


@dataclass(frozen=True)
class Evaluation:
    """Figures of a model on labelled texts. Intervals hold with 95% confidence.

    Attributes:
        name: of the data.
        n: rows judged.
        labels: of the model, in its order.
        absent: labels of the model that no row has.
        accuracy: share of the answers that are right.
        macro_f1: mean F1 of the classes that occur.
        macro_recall: mean recall of the classes that occur.
        accuracy_within: accuracy when the model may only answer classes that occur; None where all do or only one does.
        most_frequent: the class that most rows have, and its share: the accuracy of always answering it.
        classes: figures of each label.
        confusion: rows of each label (first index) by the answer they got (second index).
        calibration: whether confidence means what it says.
        coverage: accuracy against the share answered.
        sure: what the unsure threshold gives.
        errors: the most confident wrong answers, one a text.
        by_length: by length in word pieces.
        by_column: by the values of other columns.
        speed: None where it was not measured.
        skipped: rows that could not be judged, by reason.
        notes: what was assumed of the data and what the figures cannot show, for people to read.
        about: where the answers are from: model, engine, version.
    """

    name: str
    n: int
    labels: list[str]
    absent: list[str]
    accuracy: Estimate
    macro_f1: Estimate
    macro_recall: Estimate
    accuracy_within: Estimate | None
    most_frequent: tuple[str, float]
    classes: list[ClassFigures]
    confusion: list[list[int]]
    calibration: CalibrationFigures
    coverage: CoverageCurve
    sure: SureAnswers
    errors: list[ConfidentError] = field(default_factory=list)
    by_length: list[Group] = field(default_factory=list)
    by_column: Mapping[str, list[Group]] = field(default_factory=dict)
    speed: Speed | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)

    def headline(self) -> dict[str, Estimate]:
        """The main figures by name."""
        return {"accuracy": self.accuracy, "macro-F1": self.macro_f1, "macro-recall": self.macro_recall}

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them; numbers are rounded to six decimals and none is NaN."""
        return {name: plain(value) for name, value in asdict(self).items()}

    def text(self, width: int = 100) -> str:
        """The figures that matter as lines for a terminal, in about a screen.

        Args:
            width: most characters in a line.
        """
        parts = [head(self.name, self.n, self.skipped), _figures(self), _classes(self, width)]
        parts.append(_groups("word pieces", self.by_length))
        parts += [_groups(column, groups) for column, groups in self.by_column.items()]
        parts += [_errors(self), _tail(self, width)]
        return page(parts, width)


def plain(value: Any) -> Any:
    """A value as JSON has it: rounded, and nothing where there is no number."""
    if isinstance(value, float):
        return round(value, DECIMALS) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


def _figures(evaluation: Evaluation) -> list[str]:
    label, share = evaluation.most_frequent
    calibration, sure = evaluation.calibration, evaluation.sure
    rows = [("", "", "95% interval", "")]
    rows.append(figure("accuracy", evaluation.accuracy, f"always answering {label!r} gives {share:.3f}"))
    if evaluation.accuracy_within is not None:
        rows.append(figure("  among them", evaluation.accuracy_within, "were only classes answered that occur"))
    rows.append(figure("macro-F1", evaluation.macro_f1))
    rows.append(figure("macro-recall", evaluation.macro_recall))
    measured = f"measured (ECE) {calibration.ece:.3f}, where chance alone gives {calibration.by_chance:.3f}"
    rows.append(figure("calibration error", calibration.corrected, measured))
    rows.append(
        ("sure answers", percent(sure.share), "", f"confidence {sure.threshold:.2f} or more; the rest is unsure")
    )
    if sure.accuracy is not None:
        rows.append(figure("  accuracy of these", sure.accuracy))
    return table(rows, "<><<")


def _classes(evaluation: Evaluation, width: int) -> list[str]:
    """Figures of each class, and beside them, where there is room, what its rows were answered."""
    order = sorted(range(len(evaluation.labels)), key=lambda number: -evaluation.classes[number].support)
    shown = sorted(order[:MAX_CLASSES])
    rows = [("class", "rows", "precision", "recall", "F1", "95% interval")]
    for figures in (evaluation.classes[number] for number in shown):
        f1 = f"{figures.f1.value:.3f}" if figures.f1 else "-"
        interval = span(figures.f1) if figures.f1 else ""
        precision, recall = share_cell(figures.precision), share_cell(figures.recall)
        rows.append((short_name(figures.label), f"{figures.support:,}", precision, recall, f1, interval))
    answers = [["answered as:", *map(short_name, evaluation.labels)]]
    answers += [["", *(f"{count:,}" for count in evaluation.confusion[number])] for number in shown]
    wide = table([(*row, *counts) for row, counts in zip(rows, answers, strict=True)], "<>>>><<" + ">" * len(order))
    fits = len(order) <= MAX_CLASSES and max(map(cell_len, wide)) <= width
    lines = wide if fits else table(rows, "<>>>><")
    return [*lines, *_left_out(len(order) - len(shown), "class", "classes")]


def _groups(name: str, groups: Sequence[Group]) -> list[str]:
    if not groups:
        return []
    rows = [(name, "rows", "accuracy", "95% interval", "macro-F1", "confidence", "sure")]
    for group in groups[:MAX_GROUPS]:
        accuracy, confidence = f"{group.accuracy.value:.3f}", f"{group.confidence:.3f}"
        figures = (accuracy, span(group.accuracy), f"{group.macro_f1:.3f}", confidence, percent(group.answered))
        rows.append((short_name(group.name), f"{group.n:,}", *figures))
    return [*table(rows, "<>><>>>"), *_left_out(len(groups) - MAX_GROUPS, "group", "groups")]


def _errors(evaluation: Evaluation) -> list[str]:
    if not evaluation.errors:
        return []
    rows = [("most confident errors", "label", "answer", "", "")]
    for error in evaluation.errors[:MAX_ERRORS]:
        answer = (short_name(error.truth), short_name(error.answer), f"{error.confidence:.0%}")
        rows.append((f"row {error.row:,}", *answer, error.text))
    return table(rows, "<<<><")


def _tail(evaluation: Evaluation, width: int) -> list[str]:
    lines = []
    if speed := evaluation.speed:
        texts, pieces = f"{speed.texts_per_second:,.0f} texts/s", f"{speed.pieces_per_second:,.0f} word pieces/s"
        lines.append(f"{texts}, {pieces}, {speed.seconds:.1f} s")
    return [*lines, *notes(evaluation.notes, width)]


def _left_out(count: int, one: str, many: str) -> Iterator[str]:
    if count > 0:
        yield f"and {count:,} more {one if count == 1 else many} (--json and the page have all)"
