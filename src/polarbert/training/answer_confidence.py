"""The temperature and the unsure threshold of a model that answers questions, from its answers on a dev part."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from polarbert.calibration import Calibration, fit_threshold
from polarbert.inference.spans import SpanScores
from polarbert.metrics import exact_match
from polarbert.training.confidence import TEMPERATURE_DECIMALS, THRESHOLD_SCALE

FITTED_QUESTIONS = 2000  # by which the temperature is chosen; each of its steps looks at every span of each
FITTED_SPANS = 25_000_000  # of those questions, at most: 200 MB of numbers
TEMPERATURES = 0.1, 10.0


def fit_answers(scores: Iterable[SpanScores], truths: Sequence[Sequence[str]], target: float) -> Calibration:
    """Temperature and unsure threshold of answers to questions that the model was not trained on.

    The temperature makes the confidence of an answer say how likely it is an exact match: it has the least log loss of
    that, with Platt's targets (1999, section 2.2), so that a few right answers do not make the model sure without
    limit.

    Args:
        scores: of each question, as the model gives them.
        truths: the answers of its annotators.
        target: wanted share of exact matches among the answers that are not unsure.

    Returns:
        Both numbers; `unsure_below` is 0 where all answers together reach the target, and 1 where none do.
    """
    coming = iter(scores)
    first = list(_looked_at(coming))

    def loss(logarithm: float) -> float:
        confidence, right = _judged(first, truths, math.exp(logarithm))
        sure, unsure = np.log(np.maximum(confidence, 1e-12)), np.log(np.maximum(1 - confidence, 1e-12))
        hits, misses = int(right.sum()), int((~right).sum())
        aim = np.where(right, (hits + 1) / (hits + 2), 1 / (misses + 2))
        return float(-(aim * sure + (1 - aim) * unsure).mean())

    low, high = (math.log(limit) for limit in TEMPERATURES)
    temperature = round(math.exp(_least(loss, low, high)), TEMPERATURE_DECIMALS)
    confidence, right = _judged(chain(first, coming), truths, temperature)
    if right.mean() >= target:
        return Calibration(temperature, 0.0)
    threshold = fit_threshold(confidence, right, target)
    return Calibration(temperature, math.floor(threshold * THRESHOLD_SCALE) / THRESHOLD_SCALE)


def _looked_at(scores: Iterable[SpanScores]) -> Iterator[SpanScores]:
    """The questions by which the temperature is chosen: as many as can be held."""
    spans = 0
    for one in islice(scores, FITTED_QUESTIONS):
        yield one
        spans += len(one.every)
        if spans > FITTED_SPANS:
            return


def _judged(
    scores: Iterable[SpanScores], truths: Sequence[Sequence[str]], temperature: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The confidence of each answer, and whether it is an exact match."""
    found = [score.findings(1, temperature) for score in scores]
    texts = ["" if one.best is None else one.best.text for one in found]
    right = [exact_match(text, true) for text, true in zip(texts, truths, strict=False)]
    return np.array([one.confidence for one in found]), np.array(right, dtype=np.bool_)


def _least(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function of one valley is lowest, by golden-section search."""
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    values = function(left), function(right)
    while high - low > 1e-3:
        if values[0] < values[1]:
            high, right = right, left
            left = high - ratio * (high - low)
            values = function(left), values[0]
        else:
            low, left = left, right
            right = low + ratio * (high - low)
            values = values[1], function(right)
    return (low + high) / 2
