"""When a case fails: the definitions, on answers made by hand."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polarbert.behaviour import Capability, Case, Kind, fails, judge


@dataclass(frozen=True)
class Said:
    """An answer, as any model may give it."""

    label: str = "neutral"
    polarity: float | None = 0.0
    unsure: bool = False


@pytest.mark.parametrize(
    ("label", "expected", "failed"),
    [
        ("negative", ("negative",), False),
        ("neutral", ("negative",), True),
        ("neutral", ("negative", "neutral"), False),
        ("positive", ("negative", "neutral"), True),
    ],
)
def test_minimum_functionality_wants_one_of_the_expected_labels(
    label: str, expected: tuple[str, ...], failed: bool
) -> None:
    case = Case(("It is slow.",), expected)
    # Being unsure neither saves an answer nor spoils it.
    for unsure in (True, False):
        assert fails(Kind.MINIMUM_FUNCTIONALITY, case, [Said(label, unsure=unsure)]) is failed


@pytest.mark.parametrize(
    ("labels", "failed"),
    [
        (["positive"] * 3, False),
        (["negative"] * 3, False),
        (["positive", "positive", "neutral"], True),
        (["neutral", "positive", "positive"], True),
    ],
)
def test_invariance_wants_one_label_whichever_it_is(labels: list[str], failed: bool) -> None:
    case = Case(("a", "b", "c"))
    assert fails(Kind.INVARIANCE, case, [Said(label, polarity=number) for number, label in enumerate(labels)]) is failed


@pytest.mark.parametrize(
    ("forbidden", "before", "after", "failed"),
    [
        ("fall", 0.5, 0.4, False),
        ("fall", 0.5, 0.399, True),
        ("fall", -0.5, 0.9, False),
        ("rise", 0.5, 0.6, False),
        ("rise", 0.5, 0.601, True),
        ("rise", 0.5, -0.9, False),
    ],
)
def test_direction_forbids_one_way_beyond_the_tolerance(
    forbidden: str, before: float, after: float, failed: bool
) -> None:
    case = Case(("a", "b"), forbidden=forbidden)
    assert fails(Kind.DIRECTION, case, [Said(polarity=before), Said(polarity=after)]) is failed


def test_unsure_wants_the_mark_and_no_label() -> None:
    case = Case(("Grmpf",))
    assert not fails(Kind.UNSURE, case, [Said("positive", 0.99, unsure=True)])
    assert fails(Kind.UNSURE, case, [Said("neutral", 0.0)])


def capability(limit: float | None, cases: int = 20) -> Capability:
    made = tuple(Case((f"text {n}",), ("positive",), family=f"family {n % 2}") for n in range(cases))
    return Capability("made", "group", Kind.MINIMUM_FUNCTIONALITY, "Made by hand.", limit, made)


def answers(wrong: int, cases: int = 20) -> dict[str, Said]:
    return {f"text {n}": Said("negative" if n < wrong else "positive", -0.5) for n in range(cases)}


@pytest.mark.parametrize(("limit", "passed"), [(0.05, True), (0.04, False), (None, None)])
def test_a_limit_is_kept_up_to_itself(limit: float | None, passed: bool | None) -> None:
    result = judge(capability(limit), answers(1))
    assert (result.n, result.failed, result.passed) == (20, 1, passed)


def test_the_interval_is_wilsons() -> None:
    rate = judge(capability(None), answers(1)).rate
    # 1 of 20: worked out by hand from the score interval.
    assert (rate.value, round(rate.low, 4), round(rate.high, 4)) == (0.05, 0.0089, 0.2361)


def test_failures_come_from_all_families_and_say_what_was_wanted() -> None:
    result = judge(capability(None), answers(6), examples=3)
    assert [failure.texts for failure in result.failures] == [("text 0",), ("text 1",), ("text 2",)]
    assert {(failure.wanted, failure.labels, failure.polarities) for failure in result.failures} == {
        ("positive", ("negative",), (-0.5,))
    }


@given(st.integers(0, 20))
def test_the_rate_is_the_share_of_cases_that_fail(wrong: int) -> None:
    result = judge(capability(0.05), answers(wrong))
    assert result.rate.value == wrong / 20
    assert result.rate.low <= result.rate.value <= result.rate.high


@pytest.mark.parametrize(
    ("expected", "labels", "can"),
    [
        (("neutral",), ["negative", "positive"], False),
        (("neutral", "positive"), ["negative", "positive"], True),
        (("neutral",), ["negative", "neutral", "positive"], True),
        ((), ["negative", "positive"], True),
    ],
)
def test_a_capability_is_judged_where_a_right_answer_can_be_given(
    expected: tuple[str, ...], labels: list[str], can: bool
) -> None:
    one = Capability("made", "group", Kind.MINIMUM_FUNCTIONALITY, "By hand.", None, (Case(("a",), expected),))
    assert one.can_judge(labels) is can
