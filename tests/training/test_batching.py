"""Examples into tensors: padding, masks, segments, choices."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polarbert.errors import TrainingError
from polarbert.training.batching import Example, collate


def test_ragged_examples_are_padded_and_masked() -> None:
    batch = collate([Example([5, 6, 7], 2), Example([8], 0)], classes=3, pad_id=9)
    assert batch.input_ids.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch.attention_mask is not None
    assert batch.attention_mask.tolist() == [[True, True, True], [True, False, False]]
    assert batch.labels.tolist() == [2, 0]


def test_examples_of_one_length_need_no_mask() -> None:
    assert collate([Example([5, 6], 0), Example([7, 8], 1)], classes=2, pad_id=0).attention_mask is None


def test_the_second_segment_starts_where_it_says_and_ends_before_padding() -> None:
    batch = collate([Example([1, 2, 3, 4], 0, second_at=2), Example([1, 2, 3], 0, second_at=1)], classes=2, pad_id=0)
    assert batch.token_type_ids.tolist() == [[0, 0, 1, 1], [0, 1, 1, 0]]


def test_choices_say_which_classes_count() -> None:
    batch = collate([Example([1], 0, choices=(0, 2)), Example([1], 1)], classes=3, pad_id=0)
    assert batch.allowed.tolist() == [[True, False, True], [True, True, True]]


def test_shares_stand_beside_those_of_texts_that_have_one_class() -> None:
    some = [Example([1], 2, shares=(0.1, 0.2, 0.7)), Example([1, 2], 1), Example([1], 0, choices=(0, 2))]
    batch = collate(some, classes=3, pad_id=0)
    assert batch.shares is not None
    torch.testing.assert_close(batch.shares, torch.tensor([[0.1, 0.2, 0.7], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]))
    assert batch.labels.tolist() == [2, 1, 0]
    assert collate(some[1:], classes=3, pad_id=0).shares is None


@pytest.mark.parametrize(
    "shares",
    [(0.5, 0.4), (0.6, 0.6), (), (1.5, -0.5), (0.5, 0.5, float("nan")), (float("inf"), 0.0), (0.0, 0.0)],
)
def test_shares_that_are_none_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(TrainingError, match=r"has the shares \(.*none is below 0, and they add up to 1"):
        Example([1], 0, shares=shares)


def test_a_rounded_third_is_a_share() -> None:
    assert Example([1], 0, shares=(0.33333, 0.33333, 0.33334)).shares is not None


@pytest.mark.parametrize("label", [0, 1, 3, -1])
def test_the_label_is_the_likeliest_of_the_shares(label: int) -> None:
    with pytest.raises(TrainingError, match=f"has the label {label} and the shares .* another class is likelier"):
        Example([1], label, shares=(0.1, 0.2, 0.7))


def test_shares_are_of_all_classes_so_there_are_no_choices() -> None:
    with pytest.raises(TrainingError, match="has shares and choices"):
        Example([1], 0, choices=(0, 1), shares=(0.5, 0.5, 0.0))


@given(st.lists(st.lists(st.integers(1, 30000), min_size=1, max_size=40), min_size=1, max_size=8))
def test_what_is_not_masked_is_the_examples(texts: list[list[int]]) -> None:
    batch = collate([Example(ids, 0) for ids in texts], classes=2, pad_id=0)
    mask = batch.attention_mask if batch.attention_mask is not None else torch.ones_like(batch.input_ids).bool()
    assert [row[kept].tolist() for row, kept in zip(batch.input_ids, mask, strict=True)] == texts
    assert batch.input_ids.shape[1] == max(map(len, texts))
    assert not bool(batch.input_ids[~mask].any())


def test_a_batch_moves_whole() -> None:
    moved = collate([Example([1, 2], 0, (0,), 1), Example([1], 1)], classes=2, pad_id=0).to(torch.device("meta"))
    assert moved.attention_mask is not None
    parts = (moved.input_ids, moved.attention_mask, moved.token_type_ids, moved.labels, moved.allowed)
    assert {part.device.type for part in parts} == {"meta"}
    assert moved.shares is None
    soft = collate([Example([1], 0, shares=(0.5, 0.5))], classes=2, pad_id=0).to(torch.device("meta"))
    assert soft.shares is not None
    assert soft.shares.device.type == "meta"
