"""Every figure against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from polarbert.metrics import accuracy, confusion, f1_scores, macro_f1, macro_recall, recalls

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
def test_recall_and_f1_of_each_class(answers: tuple[list[int], list[int]]) -> None:
    truth, guess = answers
    _, recall, f1, support = reference.precision_recall_fscore_support(
        truth, guess, labels=range(CLASSES), zero_division=np.nan
    )
    np.testing.assert_allclose(recalls(truth, guess, CLASSES), np.where(support > 0, recall, np.nan))
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
