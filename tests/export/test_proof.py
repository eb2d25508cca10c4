"""A step of the export is proved or refused by figures that can be worked out by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from polarbert.export.proof import MAX_MOVED_TAGS, LabelledSet, prove_int8, prove_same


def answers(labels: list[int] | NDArray[np.int64], classes: int = 3, sure: float = 0.9) -> list[NDArray[np.float64]]:
    """Probabilities that give these labels, one to an input."""
    chances = np.full((len(labels), classes), (1 - sure) / (classes - 1))
    chances[np.arange(len(labels)), labels] = sure
    return [one[None] for one in chances]


def labelled(labels: NDArray[np.int64], choices: tuple[int, ...] | None = None) -> LabelledSet:
    return LabelledSet.of_texts([""] * len(labels), labels.tolist(), choices)


@pytest.fixture
def truth() -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(0, 3, 2000)


def with_wrong(truth: NDArray[np.int64], count: int, start: int = 0) -> NDArray[np.int64]:
    wrong = truth.copy()
    wrong[start : start + count] = (wrong[start : start + count] + 1) % 3
    return wrong


def test_the_same_probabilities_are_the_same(truth: NDArray[np.int64]) -> None:
    proof = prove_same(answers(truth), [one + 1e-4 for one in answers(truth)])
    assert proof.problems == []
    assert proof.max_difference == pytest.approx(1e-4)
    assert proof.flips == 0


def test_one_probability_that_differs_is_refused(truth: NDArray[np.int64]) -> None:
    after = answers(truth)
    after[7][0, 0] += 0.002
    assert "a probability differs by 0.002" in prove_same(answers(truth), after).problems[0]


def test_int8_without_a_change_is_proved(truth: NDArray[np.int64]) -> None:
    proof = prove_int8({"a": answers(truth)}, {"a": answers(truth, sure=0.8)}, {"a": labelled(truth)})
    assert proof.problems == []
    assert (proof.texts, proof.flips) == (2000, 0)
    assert (proof.sets["a"].before, proof.sets["a"].after) == (1.0, 1.0)
    assert json.loads(json.dumps(proof.to_dict()))["max_difference"] == pytest.approx(0.1)


@pytest.mark.parametrize(("flips", "refused"), [(40, False), (41, True)])
def test_at_most_two_labels_in_a_hundred_may_change(truth: NDArray[np.int64], flips: int, refused: bool) -> None:
    proof = prove_int8({"a": answers(truth)}, {"a": answers(with_wrong(truth, flips))}, {})
    assert proof.flips == flips / 2000
    assert bool(proof.problems) == refused
    if refused:
        assert "2.0% of the labels changed; at most 2% is allowed" in proof.problems[0].replace("2.1%", "2.0%")


@pytest.mark.parametrize(("count", "refused"), [(999, True), (1000, False)])
def test_too_few_texts_prove_nothing(count: int, refused: bool) -> None:
    labels = np.zeros(count, dtype=np.int64)
    problems = prove_int8({"a": answers(labels)}, {"a": answers(labels)}, {}).problems
    assert problems == ([f"{count} texts are too few to show it; give 1000 or more"] if refused else [])


def test_texts_of_all_sets_count_together() -> None:
    labels = np.zeros(500, dtype=np.int64)
    parts = {"a": answers(labels), "b": answers(labels)}
    assert prove_int8(parts, parts, {}).problems == []


def test_a_mean_drop_of_accuracy_is_refused(truth: NDArray[np.int64]) -> None:
    after = answers(with_wrong(truth, 8))  # 0.4 points; the flips alone would be allowed
    proof = prove_int8({"a": answers(truth)}, {"a": after}, {"a": labelled(truth)})
    assert any("mean accuracy fell by 0.0040; at most 0.003" in problem for problem in proof.problems)


def test_one_lost_text_of_a_small_set_is_within_chance_and_ten_are_not() -> None:
    """Of 150 texts one is 0.7 points, more than the mean may fall on large sets."""
    truth = np.arange(150) % 3
    others = answers(np.arange(1000) % 3)
    for lost, refused in ((1, False), (10, True)):
        after = {"a": answers(with_wrong(truth, lost)), "others": others}
        problems = prove_int8({"a": answers(truth), "others": others}, after, {"a": labelled(truth)}).problems
        assert any("mean accuracy fell" in problem for problem in problems) == refused


def test_a_drop_in_one_set_is_refused_though_another_makes_up_for_it(truth: NDArray[np.int64]) -> None:
    before = {"a": answers(truth), "b": answers(with_wrong(truth, 30))}
    after = {"a": answers(with_wrong(truth, 20)), "b": answers(truth)}
    proof = prove_int8(before, after, {name: labelled(truth) for name in before})
    assert len(proof.problems) == 1
    assert proof.problems[0].startswith("a: accuracy fell from 1.0000 to 0.9900, by more than two standard errors")


def test_changes_that_cancel_are_within_two_standard_errors(truth: NDArray[np.int64]) -> None:
    before = {"a": answers(with_wrong(truth, 15))}
    after = {"a": answers(with_wrong(truth, 17, start=15))}
    proof = prove_int8(before, after, {"a": labelled(truth)})
    changes = np.concatenate([np.ones(15), -np.ones(17), np.zeros(1968)])
    assert proof.sets["a"].standard_error == pytest.approx(changes.std(ddof=1) / np.sqrt(2000))
    assert proof.sets["a"].is_within
    assert proof.problems == []


def test_a_number_that_moves_by_more_than_a_twentieth_of_the_range_has_changed() -> None:
    values = np.linspace(0, 10, 2000)
    before = [np.array([[value]]) for value in values]
    truth = LabelledSet(before, [[value] for value in values])
    for moved, share in ((0.4, 0.0), (0.6, 0.5)):
        after = [one + moved * (number % 2) for number, one in enumerate(before)]
        proof = prove_int8({"a": before}, {"a": after}, {"a": truth})
        assert proof.flips == share
        assert proof.max_difference == pytest.approx(moved / 10)
        assert proof.sets["a"].after == pytest.approx(1 - moved / 20)
        assert any("mean accuracy fell" in problem for problem in proof.problems)


def test_each_decision_about_an_input_counts_and_the_accuracy_is_by_input() -> None:
    sure, wrong = np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([[0.9, 0.1], [0.6, 0.4]])
    before, after = [sure] * 1000, [*[sure] * 990, *[wrong] * 10]
    proof = prove_int8({"a": before}, {"a": after}, {"a": LabelledSet([""] * 1000, [[0, 1]] * 1000)})
    assert proof.flips == 10 / 2000
    assert proof.sets["a"].after == pytest.approx(0.995)


def words_of(texts: int, lost: int) -> list[NDArray[np.float64]]:
    """Texts of 20 words of which the first is an entity; in the first `lost` texts it is O instead."""
    found = []
    for number in range(texts):
        words = np.tile([0.9, 0.1], (20, 1))
        words[0] = [0.6, 0.4] if number < lost else [0.2, 0.8]
        found.append(words)
    return found


@pytest.mark.parametrize(("lost", "refused"), [(400, True), (75, False)])
def test_of_tags_the_words_that_neither_takes_for_an_entity_do_not_count(lost: int, refused: bool) -> None:
    before, after = words_of(1500, 0), words_of(1500, lost)
    options: dict[str, Any] = {"max_flips": MAX_MOVED_TAGS, "ignored": 0, "decisions": "tags"}
    proof = prove_int8({"a": before}, {"a": after}, {}, **options)
    assert proof.flips == lost / 1500
    assert bool(proof.problems) == refused
    assert not refused or proof.problems == ["26.7% of the tags changed; at most 5% is allowed"]
    assert prove_int8({"a": after}, {"a": before}, {}, **options).flips == lost / 1500, "found anew counts like lost"
    nothing = prove_int8({"a": words_of(1500, 1500)}, {"a": words_of(1500, 1500)}, {}, **options)
    assert (nothing.flips, nothing.problems) == (0.0, [])


def test_a_gain_is_no_problem(truth: NDArray[np.int64]) -> None:
    proof = prove_int8({"a": answers(with_wrong(truth, 30))}, {"a": answers(truth)}, {"a": labelled(truth)})
    assert proof.problems == []


def test_where_only_two_classes_can_be_right_the_third_is_not_counted() -> None:
    truth = np.array([0, 2] * 600)
    chances = np.full((1200, 3), 0.2)
    chances[:, 1] = 0.5  # neutral leads, but nobody could have chosen it
    chances[np.arange(1200), truth] = 0.3
    said = [one[None] for one in chances]
    proof = prove_int8({"a": said}, {"a": said}, {"a": labelled(truth, (0, 2))})
    assert proof.sets["a"].before == 1.0
    assert prove_int8({"a": said}, {"a": said}, {"a": labelled(truth)}).sets["a"].before == 0.0
