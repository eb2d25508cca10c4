"""Exact match and F1 of answers, as the scripts that come with SQuAD count them."""

from __future__ import annotations

from itertools import groupby
from string import punctuation

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polarbert.metrics import answer_f1, exact_match, normalised_answer


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("The Rhine", "rhine"),
        ("  a  river,\nthe   Rhine. ", "river rhine"),
        ("(An) apple-pie", "applepie"),
        ("theatre another ant", "theatre another ant"),
        ("a", ""),
        ("U.S.A.", "usa"),
        ("1,230 km (760 mi)", "1230 km 760 mi"),
        ("Graubünden’s", "graubünden’s"),  # marks beyond ASCII stay
        ("Theo’s the–a end", "theo’s – end"),
        ("", ""),
        ("?!", ""),
    ],
)
def test_what_does_not_count_is_taken_away(text: str, bare: str) -> None:
    assert normalised_answer(text) == bare


@pytest.mark.parametrize(
    ("prediction", "truths", "exact", "f1"),
    [
        ("Rhine", ["the Rhine"], True, 1.0),
        ("the Rhine!", ["Danube", "RHINE"], True, 1.0),
        ("the river Rhine", ["the Rhine"], False, 2 / 3),  # 1 of 2 words right, 1 of 1 found
        ("in the Swiss Alps", ["Swiss Alps", "southeastern Swiss Alps"], False, 0.8),
        ("red red blue", ["red blue blue"], False, 2 / 3),  # each word as often as it stands there
        ("blue", ["red"], False, 0.0),
        ("", ["red"], False, 0.0),
        ("red", [], False, 0.0),
        ("", [], True, 1.0),
        ("", [""], True, 1.0),
        ("the", [], True, 1.0),  # nothing is left of it
        ("the", ["a"], True, 1.0),
        ("", ["the", "red"], False, 0.0),  # a truth of which nothing is left counts only alone
    ],
)
def test_cases_counted_by_hand(prediction: str, truths: list[str], exact: bool, f1: float) -> None:
    assert exact_match(prediction, truths) is exact
    assert answer_f1(prediction, truths) == pytest.approx(f1)


def words_of(text: str) -> list[str]:
    """The words that count, found letter by letter."""
    letters = [letter for letter in text.lower() if letter not in punctuation]
    runs = ["".join(run) for _, run in groupby(letters, key=lambda letter: letter.isalnum())]
    return "".join(" " if run in ("a", "an", "the") else run for run in runs).split()


def f1_by_striking_out(prediction: str, truth: str) -> float:
    """Precision and recall, a shared word being struck out of the truth once it is counted."""
    given_words, left = words_of(prediction), words_of(truth)
    if not given_words or not left:
        return float(given_words == left)
    total, shared = len(left), 0
    for word in given_words:
        if word in left:
            left.remove(word)
            shared += 1
    if shared == 0:
        return 0.0
    precision, recall = shared / len(given_words), shared / total
    return 2 * precision * recall / (precision + recall)


TEXT = st.lists(
    st.sampled_from(["a", "An", "the", "red", "Red.", "blue", "re-d", "–", "’s", "e\u0301", "(x)", "_a_", "1,2"]),
    max_size=7,
).flatmap(lambda words: st.sampled_from([" ", "  ", "", "–"]).map(lambda joint: joint.join(words)))


@given(TEXT, st.lists(TEXT, max_size=4))
def test_they_agree_with_another_count(prediction: str, truths: list[str]) -> None:
    true = [truth for truth in truths if words_of(truth)] or [""]
    assert answer_f1(prediction, truths) == pytest.approx(max(f1_by_striking_out(prediction, one) for one in true))
    assert exact_match(prediction, truths) == any(words_of(prediction) == words_of(one) for one in true)


@given(TEXT, st.lists(TEXT, min_size=1, max_size=4))
def test_an_exact_match_has_full_f1_and_one_more_annotator_never_hurts(prediction: str, truths: list[str]) -> None:
    if exact_match(prediction, truths):
        assert answer_f1(prediction, truths) == 1.0
    assert answer_f1(truths[0], truths) in (1.0, 0.0)
    assert answer_f1(prediction, [*truths, "red blue"]) >= answer_f1(prediction, truths) or not any(
        map(words_of, truths)
    )
