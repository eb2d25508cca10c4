"""From logits to probabilities that mean what they say, and the threshold below which an answer is "unsure".

Both numbers are fitted on texts the model was not trained on, stored in the bundle, and applied when scoring.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from polarbert.metrics import LEVEL, RESAMPLES, Estimate

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Calibration:
    """What turns logits into an answer.

    Attributes:
        temperature: logits are divided by it before the softmax (Guo et al. 2017, section 4.2).
        unsure_below: an answer with less confidence is marked unsure.
    """

    temperature: float = 1.0
    unsure_below: float = 0.0


def probabilities(logits: Floats, temperature: float = 1.0) -> NDArray[np.float64]:
    """(n, classes) softmax of logits divided by `temperature`; minus infinity gives 0."""
    scaled = logits.astype(np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def fit_temperature(logits: Floats, truth: NDArray[np.int64] | Floats) -> float:
    """The temperature with the least mean negative log-likelihood, by golden-section search on its logarithm.

    Args:
        logits: (n, classes), of texts the model was not trained on.
        truth: (n,) class numbers, or (n, classes) how much of each text belongs to each class.
    """
    ratio = (np.sqrt(5.0) - 1) / 2
    low, high = np.log(0.05), np.log(20.0)
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    left_loss, right_loss = (negative_log_likelihood(logits, truth, float(np.exp(x))) for x in (left, right))
    while high - low > 1e-4:
        if left_loss < right_loss:
            high, right, right_loss = right, left, left_loss
            left = high - ratio * (high - low)
            left_loss = negative_log_likelihood(logits, truth, float(np.exp(left)))
        else:
            low, left, left_loss = left, right, right_loss
            right = low + ratio * (high - low)
            right_loss = negative_log_likelihood(logits, truth, float(np.exp(right)))
    return float(np.exp((low + high) / 2))


def negative_log_likelihood(logits: Floats, truth: NDArray[np.int64] | Floats, temperature: float) -> float:
    """Mean of -log p(truth); arguments as for `fit_temperature`."""
    surprise = -np.log(np.maximum(probabilities(logits, temperature), 1e-12))
    if truth.ndim == 2:
        return float((truth * surprise).sum(axis=1).mean())
    return float(surprise[np.arange(len(truth)), truth].mean())


def fit_threshold(confidence: Floats, correct: NDArray[np.bool_], target: float) -> float:
    """The lowest confidence from which on the answers given are right at least `target` of the time.

    Args:
        confidence: (n,) probability of the label given.
        correct: (n,) whether it was right.
        target: wanted share of right answers, in (0, 1).

    Returns:
        A threshold in [0, 1]; 1.0 when no set of answers is that good.
    """
    order = np.argsort(-confidence, kind="stable")
    right = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    falls = np.append(np.diff(confidence[order]) != 0, True)  # answers of equal confidence stand or fall together
    good = np.flatnonzero((right >= target) & falls)
    return float(confidence[order[good[-1]]]) if len(good) else 1.0


def calibration_error(confidence: Floats, correct: NDArray[np.bool_], bins: int = 15) -> float:
    """Expected calibration error over bins of equal mass: mean gap between confidence and accuracy."""
    gaps = [abs(part.confidence - part.accuracy) * part.count for part in reliability(confidence, correct, bins)]
    return sum(gaps) / len(confidence)


@dataclass(frozen=True)
class ReliabilityBin:
    """Answers of like confidence.

    Attributes:
        confidence: their mean confidence.
        accuracy: share of them that are right.
        count: how many there are.
    """

    confidence: float
    accuracy: float
    count: int


def reliability(confidence: Floats, correct: NDArray[np.bool_], bins: int = 15) -> list[ReliabilityBin]:
    """Bins of equal mass, by rising confidence; fewer of them where there are fewer answers.

    Args:
        confidence: (n,) probability of the label given.
        correct: (n,) whether it was right.
        bins: how many.
    """
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return [ReliabilityBin(float(confidence[part].mean()), float(correct[part].mean()), len(part)) for part in parts]


@dataclass(frozen=True)
class CalibrationFigures:
    """How far confidence is from accuracy.

    The gaps of a perfectly calibrated model would be above zero as well, since the accuracy of a bin is measured on
    few answers. So the plain calibration error, and still more its bootstrap resamples, lie above what they estimate.

    Attributes:
        ece: the expected calibration error as `calibration_error` measures it.
        by_chance: what it would be on average were the model perfectly calibrated.
        corrected: what is left when chance is taken out, and its interval.
        bins: of equal mass, by rising confidence.
        histogram: answers by confidence, in twenty steps of 0.05 from 0 to 1.
    """

    ece: float
    by_chance: float
    corrected: Estimate
    bins: list[ReliabilityBin]
    histogram: list[int]


def calibration_figures(
    confidence: Floats, correct: NDArray[np.bool_], resamples: int = RESAMPLES, seed: int = 0
) -> CalibrationFigures:
    """The calibration error with an interval by inverting a bootstrap test.

    The gap of every bin is assumed to be some multiple of the gap seen. For each multiple the right answers of the
    bins are drawn anew, which shows how far the measured error then scatters. The interval holds the errors under which
    the one measured is not among the most extreme 5%; `corrected` is the one under which it is the median.

    Args:
        confidence: (n,) probability of the label given.
        correct: (n,) whether it was right.
        resamples: draws for each multiple.
        seed: of the draws.
    """
    bins = reliability(confidence, correct, min(15, max(1, len(confidence) // 20)))
    counts = np.array([part.count for part in bins])
    sure = np.array([part.confidence for part in bins])
    gaps = sure - np.array([part.accuracy for part in bins])
    random = np.random.default_rng(seed)

    def measured(rates: Floats) -> Floats:
        drawn = random.binomial(counts, rates, (resamples, len(bins))) / counts
        return np.asarray(np.abs(sure - drawn) @ counts / counts.sum())

    ece = float(np.abs(gaps) @ counts / counts.sum())
    by_chance = float(measured(sure).mean())
    shape = gaps / ece if ece else np.ones_like(gaps)
    most = 2 * ece + 4 * by_chance + 2 / math.sqrt(len(confidence))
    rates = [np.clip(sure - error * shape, 0, 1) for error in np.linspace(0, most, 61)]
    errors = np.array([np.abs(sure - rate) @ counts / counts.sum() for rate in rates])  # clipping makes some smaller
    spread = np.array([np.quantile(measured(rate), [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2]) for rate in rates])
    low, middle, high = np.maximum.accumulate(spread).T
    ends = _crossing(middle, errors, ece), _crossing(high, errors, ece), _crossing(low, errors, ece, side="right")
    histogram = np.histogram(confidence, np.linspace(0, 1, 21))[0].tolist()
    return CalibrationFigures(ece, by_chance, Estimate(*ends), bins, histogram)


def _crossing(rising: Floats, errors: Floats, ece: float, side: Literal["left", "right"] = "left") -> float:
    """The error at which a rising quantile reaches `ece` (left) or leaves it behind (right)."""
    after = int(np.searchsorted(rising, ece, side))
    if after in (0, len(rising)):
        return float(errors[max(0, after - 1)])
    step = (ece - rising[after - 1]) / (rising[after] - rising[after - 1])
    return float(errors[after - 1] + step * (errors[after] - errors[after - 1]))
