"""How close a model's numbers are to the truth."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polarbert import __version__
from polarbert.data.dataset import Dataset
from polarbert.data.rated import RatedText
from polarbert.errors import DataError
from polarbert.inference.classifier import Regressor
from polarbert.inference.evaluate import describe
from polarbert.inference.evaluation import plain
from polarbert.inference.lines import figure, head, page, table, tail
from polarbert.inference.prediction import Rating
from polarbert.metrics import LEVEL, RESAMPLES, Estimate, pearson, ranks, spearman

BLOCK_TEXTS = 1024
MAX_ERRORS, SHOWN_ERRORS, ERROR_CHARACTERS = 20, 5, 240
MOST_RESAMPLED = 20_000  # rows; a thousand resamples of more take many seconds
_NORMAL = NormalDist().inv_cdf((1 + LEVEL) / 2)
Values = NDArray[np.float64]


@dataclass(frozen=True)
class RatingError:
    """A number that is far from the truth.

    Attributes:
        row: 1 for the first row of data.
        text: its text, cut where it is long.
        truth: the number it has.
        answer: the number it was given.
    """

    row: int
    text: str
    truth: float
    answer: float


@dataclass(frozen=True)
class RatingEvaluation:
    """Figures of a regression on rated texts. Intervals hold with 95% confidence.

    They are from resampled rows (bootstrap), or above `MOST_RESAMPLED` rows from the normal distribution, for
    correlations on the scale of Fisher's z.

    Attributes:
        name: of the data.
        n: rows judged.
        pearson: linear correlation of answer and truth; None where one of them is always the same.
        spearman: that of their ranks; None likewise.
        mean_error: mean absolute difference, in the units of the labels.
        always_mean: what it would be if the mean of these labels were always answered.
        errors: the answers farthest from the truth.
        seconds: for all answers; None where it was not measured.
        skipped: rows that could not be judged, by reason.
        notes: what was assumed of the data, for people to read.
        about: where the answers are from.
    """

    name: str
    n: int
    pearson: Estimate | None
    spearman: Estimate | None
    mean_error: Estimate
    always_mean: float
    errors: list[RatingError] = field(default_factory=list)
    seconds: float | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)

    def headline(self) -> dict[str, Estimate]:
        """The main figures by name."""
        return {**self.correlations(), "mean error": self.mean_error}

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        return {name: plain(value) for name, value in asdict(self).items()}

    def text(self, width: int = 100) -> str:
        """The figures as lines for a terminal.

        Args:
            width: most characters in a line.
        """
        rows = [("", "", "95% interval", "")]
        rows += [figure(name, found) for name, found in self.correlations().items()]
        rows.append(figure("mean error", self.mean_error, f"always answering the mean gives {self.always_mean:.3f}"))
        errors = [("farthest from the label", "label", "answer", "")]
        errors += [(f"row {e.row:,}", f"{e.truth:g}", f"{e.answer:.2f}", e.text) for e in self.errors[:SHOWN_ERRORS]]
        parts = [head(self.name, self.n, self.skipped), table(rows, "<><<")]
        parts += [table(errors, "<>><") if self.errors else [], tail(self.n, self.seconds, self.notes, width)]
        return page(parts, width)

    def correlations(self) -> dict[str, Estimate]:
        """Those that exist, by name."""
        found = {"Pearson": self.pearson, "Spearman": self.spearman}
        return {name: estimate for name, estimate in found.items() if estimate is not None}


def evaluate_ratings(
    model: Regressor, dataset: Dataset, *, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> RatingEvaluation:
    """Run a regression on rated texts and judge its numbers.

    Args:
        model: as `polarbert.load` gives it.
        dataset: texts the model was not trained on, as `polarbert.data.rated.read_rated` gives them.
        progress: called with the rows done and all of them.

    Raises:
        DataError: when there is no row to judge.
        UsageError: when second texts are missing, or are there for a model of single texts.
    """
    asked = model.check([(row.text, row.pair) for row in dataset.rows])
    answers: list[Rating] = []
    started = time.perf_counter()
    for start in range(0, len(asked), BLOCK_TEXTS):
        answers += model.answer(asked[start : start + BLOCK_TEXTS])
        progress(len(answers), len(asked))
    return judge_ratings(dataset, answers, seconds=time.perf_counter() - started, about=describe(model))


def judge_ratings(
    dataset: Dataset,
    answers: Sequence[Rating],
    *,
    seconds: float | None = None,
    about: Mapping[str, str] | None = None,
) -> RatingEvaluation:
    """Judge numbers that are there already; see `evaluate_ratings`."""
    if not dataset.rows:
        raise DataError(f"{dataset.name}: no row has both a text and a number")
    truth = np.array([value_of(row) for row in dataset.rows])
    given = np.array([answer.value for answer in answers])
    linear, by_rank, mean_error = _estimates(truth, given)
    return RatingEvaluation(
        name=dataset.name,
        n=len(truth),
        pearson=linear,
        spearman=by_rank,
        mean_error=mean_error,
        always_mean=float(np.abs(truth - truth.mean()).mean()),
        errors=_farthest(dataset, truth, given),
        seconds=seconds,
        skipped={reason: count for reason, count in dataset.skipped.items() if count},
        notes=dataset.notes,
        about={**(about or {}), "polarbert": __version__},
    )


def value_of(row: object) -> float:
    """The number of a rated row."""
    if not isinstance(row, RatedText):
        raise TypeError(f"{type(row).__name__} has no number; read the file with read_rated")
    return row.value


def _mean_error(truth: Values, given: Values) -> float:
    return float(np.abs(truth - given).mean())


def _estimates(truth: Values, given: Values) -> tuple[Estimate | None, Estimate | None, Estimate]:
    """Pearson's and Spearman's correlation and the mean error."""
    if len(truth) > MOST_RESAMPLED:
        return _fisher(truth, given), _fisher(ranks(truth), ranks(given)), _normal_mean(np.abs(truth - given))
    linear, by_rank, error = (_resampled(measure, truth, given) for measure in (pearson, spearman, _mean_error))
    return linear, by_rank, error or Estimate(0.0, 0.0, 0.0)


def _fisher(left: Values, right: Values) -> Estimate | None:
    """A correlation and its interval, symmetric in z = artanh r (Fisher 1921); None where it does not exist.

    The textbook's error of z, 1 / sqrt(n - 3), is that of normally distributed values. Labels seldom are, so the error
    is that of the rows themselves: the spread of xy - r (x^2 + y^2) / 2, which is by how much each row moves r (x and y
    with mean 0 and variance 1), over 1 - r^2. For values of long tails it is several times the textbook's.
    """
    value = pearson(left, right)
    if not np.isfinite(value):
        return None
    if 1 - abs(value) < 1e-12:
        return Estimate(value, value, value)
    x, y = ((side - side.mean()) / side.std() for side in (left, right))
    moves = x * y - value * (x**2 + y**2) / 2
    half = _NORMAL * float(moves.std()) / (1 - value**2) / math.sqrt(len(left))
    low, high = (math.tanh(math.atanh(value) + side * half) for side in (-1, 1))
    return Estimate(value, low, high)


def _normal_mean(values: Values) -> Estimate:
    mean, half = float(values.mean()), _NORMAL * float(values.std()) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def _resampled(measure: Callable[[Values, Values], float], truth: Values, given: Values) -> Estimate | None:
    """A figure with its bootstrap interval; None where it does not exist."""
    value = measure(truth, given)
    if not np.isfinite(value):
        return None
    random = np.random.default_rng(0)
    draws = (random.integers(0, len(truth), len(truth)) for _ in range(RESAMPLES))
    return Estimate.bootstrap(value, np.array([measure(truth[drawn], given[drawn]) for drawn in draws]))


def _farthest(dataset: Dataset, truth: Values, given: Values) -> list[RatingError]:
    order = np.argsort(-np.abs(truth - given), kind="stable")[:MAX_ERRORS].tolist()
    rows = [(dataset.rows[n], float(truth[n]), float(given[n])) for n in order if truth[n] != given[n]]
    return [RatingError(row.row, _cut(row.content), value, answer) for row, value, answer in rows]


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= ERROR_CHARACTERS else f"{flat[: ERROR_CHARACTERS - 1]}…"
