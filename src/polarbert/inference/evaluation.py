"""What is known of a model after its answers were compared with the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from polarbert.calibration import CalibrationFigures
from polarbert.inference.evaluation_text import summary
from polarbert.metrics import CoverageCurve, Estimate

DECIMALS = 6


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
        """The figures as lines for a terminal.

        Args:
            width: most characters in a line.
        """
        return summary(self, width)


def plain(value: Any) -> Any:
    """A value as JSON has it: rounded, and nothing where there is no number."""
    if isinstance(value, float):
        return round(value, DECIMALS) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value
