"""From logits to probabilities that mean what they say, and the threshold below which an answer is "unsure".

Both numbers are fitted on texts the model was not trained on, stored in the bundle, and applied when scoring.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


def fit_temperature(logits: Floats, truth: NDArray[np.int64]) -> float:
    """The temperature with the least mean negative log-likelihood, by golden-section search on its logarithm.

    Args:
        logits: (n, classes), of texts the model was not trained on.
        truth: (n,) class numbers.
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


def negative_log_likelihood(logits: Floats, truth: NDArray[np.int64], temperature: float) -> float:
    """Mean of -log p(truth)."""
    chosen = probabilities(logits, temperature)[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


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
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [abs(float(confidence[part].mean()) - float(correct[part].mean())) * len(part) for part in parts]
    return sum(gaps) / len(order)
