"""The temperature and the unsure threshold of a model, from its answers on dev texts."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from polarbert.calibration import Calibration, fit_temperature, fit_threshold, probabilities
from polarbert.inference.prediction import DECIMALS

TEMPERATURE_DECIMALS, THRESHOLD_SCALE = 4, 10**DECIMALS
FITTED_AT_ONCE = 500  # inputs answered at once where an answer has many numbers
_SMALLEST = 1e-7  # a rounded probability of 0 stands for something below this


def fit_calibration(chances: NDArray[np.float64], truth: NDArray[np.int64], target_accuracy: float) -> Calibration:
    """Fit both numbers on answers to texts the model was not trained on; judge them on others.

    A model without a mistake on a few texts would be made sure without limit by the likelihood alone. So, as in Platt
    (1999), section 2.2, n texts count as showing no more than (n + 1) / (n + classes) for what they are.

    Args:
        chances: (n, classes) probabilities at temperature 1.
        truth: (n,) class numbers.
        target_accuracy: wanted share of right answers among those that are not unsure.

    Returns:
        Both numbers. `unsure_below` is 0 where all answers together reach the target, and 1 where none do.

    Example:
        >>> fit_calibration(np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]), np.array([0, 1, 1]), 0.9).unsure_below
        0.70103
    """
    count, classes = chances.shape
    logits = np.log(np.maximum(chances, _SMALLEST))
    shown = np.full((count, classes), 1 / (count + classes))
    shown[np.arange(count), truth] = (count + 1) / (count + classes)
    temperature = round(fit_temperature(logits, shown), TEMPERATURE_DECIMALS)
    fitted = probabilities(logits, temperature)
    confidence, correct = fitted.max(axis=1), fitted.argmax(axis=1) == truth
    if correct.mean() >= target_accuracy:
        return Calibration(temperature, 0.0)
    threshold = fit_threshold(confidence, correct, target_accuracy)
    # Cut, not rounded: upwards, the least sure of the texts that are right often enough would be unsure itself.
    return Calibration(temperature, math.floor(threshold * THRESHOLD_SCALE) / THRESHOLD_SCALE)
