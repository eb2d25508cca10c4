"""The plan of batches: every text once, within the budget, hardly any padding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polarbert.text.batches import draw_batches, plan_batches

LENGTHS = st.lists(st.integers(1, 200), max_size=120)
SEEDS = st.none() | st.integers(0, 10_000)


def padded(lengths: list[int], plan: list[list[int]]) -> int:
    """Pieces computed, padding included."""
    return sum(max(lengths[number] for number in batch) * len(batch) for batch in plan)


@given(lengths=LENGTHS, budget=st.integers(1, 500), seed=SEEDS, pool=st.integers(1, 5))
def test_each_text_is_in_exactly_one_batch(lengths: list[int], budget: int, seed: int | None, pool: int) -> None:
    plan = plan_batches(lengths, budget, seed, pool)
    assert sorted(number for batch in plan for number in batch) == list(range(len(lengths)))
    assert all(plan)


@given(lengths=LENGTHS, budget=st.integers(1, 500), seed=SEEDS)
def test_batches_stay_within_the_budget(lengths: list[int], budget: int, seed: int | None) -> None:
    for batch in plan_batches(lengths, budget, seed):
        assert padded(lengths, [batch]) <= budget or len(batch) == 1


@given(lengths=LENGTHS, budget=st.integers(1, 500), seed=SEEDS, most=st.integers(0, 60))
def test_no_batch_is_padded_more_than_was_said(lengths: list[int], budget: int, seed: int | None, most: int) -> None:
    plan = plan_batches(lengths, budget, seed, most_padding=most)
    assert sorted(number for batch in plan for number in batch) == list(range(len(lengths)))
    for batch in plan:
        assert padded(lengths, [batch]) <= budget or len(batch) == 1
        assert padded(lengths, [batch]) - sum(lengths[number] for number in batch) <= most


@given(lengths=LENGTHS, seed=SEEDS)
def test_the_same_seed_gives_the_same_plan(lengths: list[int], seed: int | None) -> None:
    assert plan_batches(lengths, 256, seed) == plan_batches(lengths, 256, seed)


def test_another_seed_gives_another_plan() -> None:
    lengths = [5 + number % 40 for number in range(300)]
    assert plan_batches(lengths, 256, 1) != plan_batches(lengths, 256, 2)


@pytest.mark.parametrize(("seed", "most"), [(1, 0.06), (None, 0.03)])
def test_hardly_anything_is_padded(seed: int | None, most: float) -> None:
    lengths = np.random.default_rng(0).lognormal(3.3, 0.7, 20_000).astype(int).clip(3, 160).tolist()
    plan = plan_batches(lengths, 1536, seed)
    waste = padded(lengths, plan) / sum(lengths) - 1
    assert waste < most
    assert len(plan) < 1.1 * sum(lengths) / 1536


def test_training_order_is_random_and_evaluation_order_sorted() -> None:
    lengths = [5 + number % 40 for number in range(2000)]
    trained = [max(lengths[n] for n in batch) for batch in plan_batches(lengths, 256, 1)]
    judged = [max(lengths[n] for n in batch) for batch in plan_batches(lengths, 256, None)]
    assert judged == sorted(judged, reverse=True)
    assert trained not in (judged, judged[::-1])
    assert abs(np.corrcoef(trained, range(len(trained)))[0, 1]) < 0.3


def test_no_texts_give_no_batches() -> None:
    assert plan_batches([], 100, 1) == plan_batches([], 100, None) == []


# --- batches to learn from -------------------------------------------------------------------------------------------


@given(lengths=LENGTHS, budget=st.integers(1, 500), seed=st.integers(0, 10_000))
def test_a_drawn_batch_holds_what_the_budget_allows(lengths: list[int], budget: int, seed: int) -> None:
    plan = draw_batches(lengths, budget, seed)
    assert sorted(number for batch in plan for number in batch) == list(range(len(lengths)))
    for batch in plan:
        assert len(batch) == 1 or sum(lengths[number] for number in batch) <= budget
        assert len(batch) == 1 or padded(lengths, [batch]) <= 4 * budget
    assert plan == draw_batches(lengths, budget, seed)


def test_long_and_short_texts_are_learned_from_together() -> None:
    """In each batch there is the same mixture, so a text counts about as much as any other, whatever its length."""
    lengths = [8] * 1000 + [24] * 1000
    plan = draw_batches(lengths, 512, 1)
    shares = [np.mean([lengths[number] == 8 for number in batch]) for batch in plan]
    assert 0.45 < np.mean(shares) < 0.55
    assert np.std(shares) < 0.12  # 0.09 by chance; batches of like length would have 0.5
    counted = {length: np.mean([1 / len(b) for b in plan for n in b if lengths[n] == length]) for length in (8, 24)}
    assert counted[24] / counted[8] < 1.1
