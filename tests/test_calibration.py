"""The temperature fits, the threshold keeps its promise, and the calibration error measures what it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from polarbert.calibration import (
    calibration_error,
    fit_temperature,
    fit_threshold,
    negative_log_likelihood,
    probabilities,
)

LOGITS = arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(2, 5)), elements=st.floats(-50, 50, width=32))


def sample(temperature: float, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and classes drawn from the probabilities that they give at `temperature`."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (count, 3))
    chances = np.exp(logits / temperature)
    chances /= chances.sum(1, keepdims=True)
    truth = (random.random((count, 1)) > chances.cumsum(1)).sum(1)
    return logits, truth


@given(LOGITS, st.floats(0.05, 20))
def test_probabilities_sum_to_one_and_keep_the_order_of_the_logits(logits: np.ndarray, temperature: float) -> None:
    chances = probabilities(logits, temperature)
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-12)
    assert (chances >= 0).all()
    best = np.take_along_axis(chances, logits.argmax(1)[:, None], 1)
    np.testing.assert_allclose(best[:, 0], chances.max(1), rtol=1e-6)


@given(LOGITS, st.floats(-1000, 1000))
def test_adding_a_constant_to_all_logits_changes_nothing(logits: np.ndarray, shift: float) -> None:
    np.testing.assert_allclose(probabilities(logits.astype(np.float64) + shift), probabilities(logits), atol=1e-9)


def test_probabilities_by_hand() -> None:
    expected = [1 / (1 + math.e), math.e / (1 + math.e)]
    np.testing.assert_allclose(probabilities(np.array([[0.0, 2.0]]), 2.0), [expected], rtol=1e-12)
    np.testing.assert_allclose(probabilities(np.array([[0.0, -np.inf, 0.0]])), [[0.5, 0.0, 0.5]])


def test_a_higher_temperature_is_less_sure() -> None:
    logits = np.array([[0.0, 1.0, 3.0]])
    confidence = [probabilities(logits, t).max() for t in (0.5, 1.0, 2.0, 8.0)]
    assert confidence == sorted(confidence, reverse=True)


@pytest.mark.parametrize("seed", range(5))
def test_no_temperature_of_a_fine_grid_is_better_than_the_fitted_one(seed: int) -> None:
    logits, truth = sample(float(np.exp(np.random.default_rng(seed).uniform(-1, 1.5))), 400, seed)
    fitted = fit_temperature(logits, truth)
    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 2000))
    losses = [negative_log_likelihood(logits, truth, float(t)) for t in grid]
    assert negative_log_likelihood(logits, truth, fitted) <= min(losses) + 1e-9
    assert abs(np.log(fitted) - np.log(grid[int(np.argmin(losses))])) < 0.01


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_data_is_found(temperature: float) -> None:
    assert fit_temperature(*sample(temperature, 20_000, 7)) == pytest.approx(temperature, rel=0.05)


def test_the_likelihood_by_hand() -> None:
    logits = np.log(np.array([[0.9, 0.1], [0.3, 0.7]]))
    expected = -(math.log(0.9) + math.log(0.3)) / 2
    assert negative_log_likelihood(logits, np.array([0, 0]), 1.0) == pytest.approx(expected)


ANSWERS = st.lists(st.tuples(st.integers(0, 20).map(lambda n: n / 20), st.booleans()), min_size=1, max_size=60)


@given(ANSWERS, st.floats(0.05, 0.95))
def test_answers_at_or_above_the_threshold_are_right_as_often_as_asked(
    answers: list[tuple[float, bool]], target: float
) -> None:
    confidence = np.array([c for c, _ in answers])
    correct = np.array([right for _, right in answers])
    threshold = fit_threshold(confidence, correct, target)
    given_answers = confidence >= threshold
    assert 0 <= threshold <= 1
    shares = {float(t): correct[confidence >= t].mean() for t in np.unique(confidence)}
    good = [t for t, share in shares.items() if share >= target]
    if good:
        assert correct[given_answers].mean() >= target
        assert threshold == min(good), "a lower threshold keeps the promise too"
    else:
        assert threshold == 1.0


@given(ANSWERS, st.floats(0.05, 0.9), st.floats(0.0, 0.09))
def test_asking_for_more_never_lowers_the_threshold(
    answers: list[tuple[float, bool]], target: float, more: float
) -> None:
    confidence = np.array([c for c, _ in answers])
    correct = np.array([right for _, right in answers])
    assume(len(confidence) > 0)
    assert fit_threshold(confidence, correct, target) <= fit_threshold(confidence, correct, target + more)


def test_perfectly_calibrated_answers_have_next_to_no_error() -> None:
    random = np.random.default_rng(3)
    confidence = random.uniform(0.34, 1, 60_000)
    correct = random.random(60_000) < confidence
    assert calibration_error(confidence, correct) < 0.01


def test_overconfidence_is_measured() -> None:
    random = np.random.default_rng(4)
    confidence = random.uniform(0.6, 1, 40_000)
    correct = random.random(40_000) < confidence - 0.2
    assert calibration_error(confidence, correct) == pytest.approx(0.2, abs=0.01)


def test_the_calibration_error_by_hand() -> None:
    confidence = np.array([0.5, 0.5, 0.9, 0.9])
    correct = np.array([True, False, True, False])
    assert calibration_error(confidence, correct, bins=2) == pytest.approx((0 + 0.4) / 2)
    assert calibration_error(np.array([0.8]), np.array([True])) == pytest.approx(0.2)
