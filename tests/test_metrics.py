"""Every figure against scikit-learn."""

from __future__ import annotations

import math
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as reference

from polarbert.metrics import (
    Estimate,
    Tally,
    accuracy,
    confusion,
    coverage_curve,
    f1_scores,
    grouped_mean,
    macro_f1,
    macro_recall,
    precisions,
    recalls,
)

CLASSES = 4
ANSWERS = st.lists(st.tuples(st.integers(0, CLASSES - 1), st.integers(0, CLASSES - 1)), min_size=1, max_size=60).map(
    lambda pairs: ([truth for truth, _ in pairs], [guess for _, guess in pairs])
)


@given(ANSWERS)
def test_accuracy_and_confusion(answers: tuple[list[int], list[int]]) -> None:
    truth, guess = answers
    assert accuracy(truth, guess) == pytest.approx(reference.accuracy_score(truth, guess))
    expected = reference.confusion_matrix(truth, guess, labels=range(CLASSES))
    assert np.array_equal(confusion(truth, guess, CLASSES), expected)


@given(ANSWERS)
def test_precision_recall_and_f1_of_each_class(answers: tuple[list[int], list[int]]) -> None:
    truth, guess = answers
    precision, recall, f1, support = reference.precision_recall_fscore_support(
        truth, guess, labels=range(CLASSES), zero_division=np.nan
    )
    np.testing.assert_allclose(recalls(truth, guess, CLASSES), np.where(support > 0, recall, np.nan))
    answered = np.isin(range(CLASSES), guess)
    np.testing.assert_allclose(precisions(truth, guess, CLASSES), np.where(answered, precision, np.nan))
    seen = np.isin(range(CLASSES), [*truth, *guess])
    np.testing.assert_allclose(f1_scores(truth, guess, CLASSES), np.where(seen, f1, np.nan))


@given(ANSWERS)
def test_macro_f1_is_the_mean_over_what_occurs(answers: tuple[list[int], list[int]]) -> None:
    truth, guess = answers
    expected = reference.f1_score(truth, guess, average="macro", zero_division=0)
    assert macro_f1(truth, guess, CLASSES) == pytest.approx(expected)


@given(ANSWERS)
def test_macro_recall_is_the_mean_over_the_classes_that_occur(answers: tuple[list[int], list[int]]) -> None:
    truth, guess = answers
    expected = reference.recall_score(truth, guess, labels=sorted(set(truth)), average="macro", zero_division=0)
    assert macro_recall(truth, guess, CLASSES) == pytest.approx(expected)


def test_a_hand_computed_case() -> None:
    truth, guess = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1])
    assert accuracy(truth, guess) == 0.5
    assert confusion(truth, guess, 3).tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]
    assert recalls(truth, guess, 3).tolist() == [0.5, 1.0, 0.0]
    assert macro_f1(truth, guess, 3) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_absent_classes_are_not_counted() -> None:
    assert macro_f1([0, 1], [0, 1], 3) == macro_recall([0, 1], [0, 1], 3) == 1.0
    assert math.isnan(recalls([0], [1], 3)[1])
    assert math.isnan(f1_scores([0], [1], 3)[2])


@given(ANSWERS)
def test_the_figures_of_a_table_are_over_the_classes_that_occur(answers: tuple[list[int], list[int]]) -> None:
    truth, guess = answers
    occurring = sorted(set(truth))
    tally = Tally.of(confusion(truth, guess, CLASSES))
    wanted = {"labels": occurring, "average": "macro", "zero_division": 0}
    assert float(tally.macro_f1) == pytest.approx(reference.f1_score(truth, guess, **wanted))
    assert float(tally.macro_recall) == pytest.approx(reference.recall_score(truth, guess, **wanted))
    assert float(tally.accuracy) == pytest.approx(reference.accuracy_score(truth, guess))


def answers_of(count: int, seed: int, right: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    """Truth with a rare class, and answers of which about so many are right."""
    random = np.random.default_rng(seed)
    truth = random.choice(3, count, p=[0.5, 0.4, 0.1])
    return truth, np.where(random.random(count) < right, truth, random.integers(0, 3, count))


def test_resampled_tables_scatter_as_resampled_rows_do() -> None:
    truth, guess = answers_of(150, 1)
    random = np.random.default_rng(2)
    rows = random.integers(0, len(truth), (2000, len(truth)))
    by_rows = [macro_f1(truth[r], guess[r], 3) for r in rows]
    by_counts = Tally.resampled(confusion(truth, guess, 3), 4000, seed=3).macro_f1
    probabilities = [0.025, 0.25, 0.5, 0.75, 0.975]
    np.testing.assert_allclose(np.quantile(by_counts, probabilities), np.quantile(by_rows, probabilities), atol=0.012)


def test_a_bootstrap_interval_holds_the_true_figure_19_times_of_20() -> None:
    true = 0.7 + 0.3 / 3
    held = 0
    for seed in range(400):
        tally, drawn = (make(confusion(*answers_of(300, seed), 3)) for make in (Tally.of, Tally.resampled))
        found = Estimate.bootstrap(tally.accuracy, drawn.accuracy)
        assert found.low <= found.value <= found.high
        held += found.low <= true <= found.high
    assert 0.91 <= held / 400 <= 0.98


def test_resampling_repeats_and_follows_its_seed() -> None:
    table = confusion(*answers_of(80, 4), 3)
    first, again, other = (Tally.resampled(table, 50, seed) for seed in (7, 7, 8))
    assert np.array_equal(first.right, again.right)
    assert not np.array_equal(first.right, other.right)
    assert (first.occurs.sum(-1) == 80).all()
    assert (first.answered.sum(-1) == 80).all()


@given(st.integers(1, 400), st.data())
def test_the_interval_of_a_share_is_wilsons(total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, total))
    found = Estimate.share(count, total)
    expected = binomtest(count, total).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert found.value == pytest.approx(count / total)


def test_an_interval_is_over_groups_and_not_over_rows() -> None:
    """Ten rows that are right or wrong together say as much as one."""
    random = np.random.default_rng(0)
    by_group = (random.random(40) < 0.6).astype(float)
    alone = grouped_mean(by_group, np.arange(40))
    together = grouped_mean(np.repeat(by_group, 10), np.repeat(np.arange(40), 10))
    assert together == alone
    apart = grouped_mean(np.repeat(by_group, 10), np.arange(400))
    assert (apart.high - apart.low) < 0.5 * (together.high - together.low)
    assert together.low < together.value < together.high


def test_an_interval_over_groups_holds_the_true_figure_about_19_times_of_20() -> None:
    held = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        sizes = random.integers(1, 8, 60)
        easy = random.beta(2, 1, 60)  # mean 2/3
        groups = np.repeat(np.arange(60), sizes)
        values = (random.random(len(groups)) < easy[groups]).astype(float)
        found = grouped_mean(values, groups, resamples=300)
        held += found.low <= 2 / 3 <= found.high
    assert 0.89 <= held / 200 <= 0.98


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_without_a_mistake_or_a_hit_the_interval_over_groups_is_no_point(value: float) -> None:
    found = grouped_mean(np.full(10, value), np.arange(10))
    assert found.value == value
    assert found.high - found.low > 0.2


ORDERED = st.lists(st.tuples(st.integers(0, 4).map(lambda n: n / 4), st.booleans()), min_size=1, max_size=6)


@given(ORDERED)
def test_the_area_under_coverage_is_the_mean_over_every_order_of_equal_answers(
    answers: list[tuple[float, bool]],
) -> None:
    orders = [order for order in permutations(answers) if all(a[0] >= b[0] for a, b in pairwise(order))]
    areas = [np.mean(np.cumsum([right for _, right in order]) / np.arange(1, len(order) + 1)) for order in orders]
    confidence, correct = (np.array(values) for values in zip(*answers, strict=True))
    assert coverage_curve(confidence, correct).area == pytest.approx(np.mean(areas))


@given(ORDERED)
def test_every_point_of_the_coverage_curve_is_what_its_threshold_gives(answers: list[tuple[float, bool]]) -> None:
    confidence, correct = (np.array(values) for values in zip(*answers, strict=True))
    curve = coverage_curve(confidence, correct)
    assert curve.threshold == sorted(set(confidence.tolist()), reverse=True)
    for threshold, coverage, right in zip(curve.threshold, curve.coverage, curve.accuracy, strict=True):
        given_answers = confidence >= threshold
        assert coverage == pytest.approx(given_answers.mean())
        assert right == pytest.approx(correct[given_answers].mean())
    assert curve.coverage[-1] == 1


def test_a_long_curve_is_thinned_and_keeps_its_ends_and_its_area() -> None:
    random = np.random.default_rng(5)
    confidence = random.random(5000)
    correct = random.random(5000) < confidence
    thin, whole = coverage_curve(confidence, correct, points=50), coverage_curve(confidence, correct, points=5000)
    assert len(thin.coverage) == 50
    assert (thin.coverage[0], thin.coverage[-1]) == (whole.coverage[0], 1.0)
    assert thin.area == whole.area
    assert set(zip(thin.coverage, thin.accuracy, strict=True)) <= set(zip(whole.coverage, whole.accuracy, strict=True))


def test_an_order_that_says_nothing_has_the_accuracy_as_its_area() -> None:
    correct = np.array([True, False, True, True])
    assert coverage_curve(np.full(4, 0.9), correct).area == pytest.approx(0.75)
    assert coverage_curve(np.array([0.9, 0.1, 0.8, 0.7]), correct).area == pytest.approx((1 + 1 + 1 + 0.75) / 4)
