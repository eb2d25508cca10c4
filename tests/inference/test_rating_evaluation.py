"""Intervals of a regression's figures hold for few rows and for many."""

from __future__ import annotations

import time

import numpy as np
import pytest

from polarbert.data.dataset import Dataset
from polarbert.data.rated import RatedText
from polarbert.inference import rating_evaluation
from polarbert.inference.prediction import Rating
from polarbert.inference.rating_evaluation import RatingEvaluation, judge_ratings


def judged(count: int, kind: str, seed: int = 1) -> RatingEvaluation:
    """Answers that are about right: to stars, to prices of which a few are very large, and to what is exactly right."""
    draw = np.random.default_rng(seed)
    common = draw.normal(size=count)
    given = common + 0.6 * draw.normal(size=count)
    truth = np.clip(np.round(1.2 * common + 3.5), 1, 5)
    if kind == "prices":
        truth, given = np.exp(1.2 * common), np.exp(given)
    if kind == "exact":
        given = 2 * truth
    rows = [RatedText("a text", 0, row, value=value) for row, value in enumerate(truth.tolist(), start=1)]
    answers = [Rating(value, 2, 1) for value in given.tolist()]
    return judge_ratings(Dataset("made.csv", list(rows), ["stars"], "regression"), answers)


@pytest.mark.parametrize("kind", ["stars", "prices"])
def test_intervals_of_many_rows_are_those_of_resampling(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    few = judged(3000, kind).headline()
    monkeypatch.setattr(rating_evaluation, "MOST_RESAMPLED", 100)
    many = judged(3000, kind).headline()
    assert list(few) == list(many) == ["Pearson", "Spearman", "mean error"]
    for name, resampled in few.items():
        assert many[name].value == pytest.approx(resampled.value)
        assert many[name].low < many[name].value < many[name].high
        width = resampled.high - resampled.low
        assert many[name].low == pytest.approx(resampled.low, abs=0.2 * width), name
        assert many[name].high == pytest.approx(resampled.high, abs=0.2 * width), name


def test_many_rows_are_judged_at_once() -> None:
    started = time.process_time()
    found = judged(50_000, "stars").headline()
    assert time.process_time() - started < 5, "resampling them takes 15 s and more"
    assert all(estimate.high - estimate.low < 0.02 for estimate in found.values())


def test_a_correlation_of_many_rows_may_be_whole_or_missing() -> None:
    whole = judged(20_001, "exact").correlations()
    assert {(round(one.low, 9), round(one.value, 9), round(one.high, 9)) for one in whole.values()} == {(1.0, 1.0, 1.0)}
    rows = [RatedText("a text", 0, row, value=3.0) for row in range(1, 20_002)]
    answers = [Rating(float(number % 5), 2, 1) for number in range(20_001)]
    assert judge_ratings(Dataset("made.csv", list(rows), ["stars"], "regression"), answers).correlations() == {}
