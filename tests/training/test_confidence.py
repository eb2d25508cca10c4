"""Temperature and threshold from dev answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from polarbert.calibration import probabilities
from polarbert.training.confidence import fit_calibration


def answers(count: int, seed: int, sharpness: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities of three classes, `sharpness` times too sure, and labels drawn from the honest ones."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, 3)) * 1.5
    honest = probabilities(logits)
    truth = np.array([random.choice(3, p=row) for row in honest])
    return probabilities(logits * sharpness), truth


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.5])
def test_with_many_answers_the_temperature_undoes_what_is_wrong(sharpness: float) -> None:
    chances, truth = answers(5000, 1, sharpness)
    assert fit_calibration(chances, truth, 0.9).temperature == pytest.approx(sharpness, rel=0.05)


def test_the_temperature_is_the_one_that_scipy_finds_for_platts_targets() -> None:
    chances, truth = answers(60, 2, 1.7)
    logits = np.log(chances)
    targets = np.full((60, 3), 1 / 63)
    targets[np.arange(60), truth] = 61 / 63

    def surprise(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float(-(targets * (scaled - np.log(np.exp(scaled).sum(1, keepdims=True)))).sum(1).mean())

    expected = np.exp(minimize_scalar(surprise, bounds=(-3, 3), method="bounded", options={"xatol": 1e-8}).x)
    assert fit_calibration(chances, truth, 0.9).temperature == pytest.approx(expected, rel=2e-3)


def test_a_few_right_answers_alone_do_not_make_a_model_sure_without_limit() -> None:
    """Of 30 texts without a mistake one may conclude little more than 95%."""
    chances = np.tile([0.9, 0.05, 0.05], (30, 1))
    truth = np.zeros(30, dtype=np.int64)
    temperature = fit_calibration(chances, truth, 0.95).temperature
    assert probabilities(np.log(chances), temperature)[0, 0] == pytest.approx(31 / 33, abs=1e-3)


@given(st.integers(30, 200), st.integers(0, 50), st.sampled_from([0.8, 0.9, 0.97]))
def test_on_the_dev_part_the_target_is_kept_by_what_is_not_unsure(count: int, seed: int, target: float) -> None:
    chances, truth = answers(count, seed)
    found = fit_calibration(chances, truth, target)
    fitted = probabilities(np.log(chances), found.temperature)
    sure = fitted.max(1) >= found.unsure_below
    if found.unsure_below < 1:
        assert np.mean(fitted.argmax(1)[sure] == truth[sure]) >= target - 1 / sure.sum()


def test_a_target_that_all_answers_reach_marks_none() -> None:
    chances, truth = answers(200, 3)
    assert fit_calibration(chances, truth, float(np.mean(chances.argmax(1) == truth))).unsure_below == 0


def test_a_target_out_of_reach_marks_all() -> None:
    chances = np.tile([0.6, 0.4], (50, 1))
    assert fit_calibration(chances, np.ones(50, dtype=np.int64), 0.5).unsure_below == 1
