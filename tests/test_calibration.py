"""The temperature fits, the threshold keeps its promise, and the calibration error measures what it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from polarbert.calibration import (
    CalibrationFigures,
    calibration_error,
    calibration_figures,
    fit_temperature,
    fit_threshold,
    negative_log_likelihood,
    probabilities,
    reliability,
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


@given(ANSWERS, st.integers(1, 20))
def test_reliability_bins_have_equal_mass_and_lose_no_answer(answers: list[tuple[float, bool]], bins: int) -> None:
    confidence = np.array([c for c, _ in answers])
    correct = np.array([right for _, right in answers])
    found = reliability(confidence, correct, bins)
    counts = [part.count for part in found]
    assert sum(counts) == len(answers)
    assert max(counts) - min(counts) <= 1
    assert [part.confidence for part in found] == sorted(part.confidence for part in found)
    assert sum(part.accuracy * part.count for part in found) == pytest.approx(correct.sum())
    assert sum(part.confidence * part.count for part in found) == pytest.approx(confidence.sum())


def judged(count: int, gap: float, seed: int, wave: float = 0.0) -> CalibrationFigures:
    """Figures of answers that are right `gap` less often than their confidence says, or now more and now less."""
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.4, 1, count)
    correct = random.random(count) < np.clip(confidence - gap - wave * np.sin(12 * confidence), 0, 1)
    return calibration_figures(confidence, correct, resamples=100, seed=seed)


@pytest.mark.parametrize(("count", "gap"), [(1000, 0.0), (300, 0.1), (1500, 0.1)])
def test_the_interval_of_the_calibration_error_holds_the_true_one(count: int, gap: float) -> None:
    found = [judged(count, gap, seed).corrected for seed in range(40)]
    assert all(estimate.low <= estimate.value <= estimate.high for estimate in found)
    held = [estimate.low - 1e-9 <= gap <= estimate.high for estimate in found]
    assert np.mean(held) >= 0.85
    assert np.median([estimate.low for estimate in found]) <= gap


def test_the_plain_error_of_a_calibrated_model_is_what_chance_gives() -> None:
    found = [judged(1000, 0.0, seed) for seed in range(25)]
    plain, by_chance = np.mean([(f.ece, f.by_chance) for f in found], axis=0)
    assert plain == pytest.approx(by_chance, rel=0.1)
    assert plain > 0.03, "few answers a bin scatter, and the error counts it"
    assert np.mean([f.corrected.value for f in found]) < plain / 2


def test_gaps_of_both_signs_are_no_calibration() -> None:
    found = judged(20_000, 0.0, 1, wave=0.1)
    assert found.corrected.low > 0.04
    assert found.corrected.value == pytest.approx(found.ece, abs=0.01)


def test_calibration_figures_agree_with_the_plain_error_and_count_every_answer() -> None:
    random = np.random.default_rng(9)
    confidence = random.uniform(0.3, 1, 500)
    correct = random.random(500) < confidence
    found = calibration_figures(confidence, correct)
    assert found.ece == pytest.approx(calibration_error(confidence, correct, 15))
    assert found.histogram == np.histogram(confidence, bins=20, range=(0, 1))[0].tolist()
    assert found == calibration_figures(confidence, correct), "the same answers give the same interval"


@pytest.mark.parametrize("correct", [True, False])
def test_certainty_that_is_always_right_or_always_wrong(correct: bool) -> None:
    found = calibration_figures(np.ones(50), np.full(50, correct))
    assert found.ece == (0 if correct else 1)
    assert found.corrected.low == pytest.approx(0, abs=1e-9) if correct else found.corrected.low > 0.9
    assert 0.03 < found.corrected.high < 0.12 if correct else found.corrected.high == 1


def test_one_answer_has_figures_too() -> None:
    found = calibration_figures(np.array([0.8]), np.array([True]))
    assert found.ece == pytest.approx(0.2)
    assert len(found.bins) == 1
    assert 0 <= found.corrected.low <= found.corrected.high <= 1
