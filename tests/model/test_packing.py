"""Packed batches: how they are built, and the ways to attend in them; tests/parity holds them against padded ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from polarbert.model import BertConfig, BertEncoder, Packed, packing
from polarbert.model.encoder import attend
from polarbert.model.packing import (
    attend_in_stacks,
    attend_nested,
    attend_packed,
    attend_varlen,
    divide,
    is_worth_packing,
)

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
on_each_device = pytest.mark.parametrize("device", DEVICES)
Way = Callable[[Tensor, Tensor, Tensor, Packed], Tensor]


def test_texts_stand_one_after_another() -> None:
    batch = Packed.from_texts([[7, 8, 9], np.array([5]), (3, 4)], second_at=[2, None, 1])
    assert batch.input_ids.tolist() == [7, 8, 9, 5, 3, 4]
    assert batch.position_ids.tolist() == [0, 1, 2, 0, 0, 1]
    assert batch.token_type_ids.tolist() == [0, 0, 1, 0, 0, 1]
    assert batch.offsets.tolist() == [0, 3, 4, 6]
    assert batch.offsets.dtype == torch.int32, "what the kernels take"
    assert (batch.lengths, batch.longest) == ((3, 1, 2), 3)
    assert [x.dtype for x in batch.inputs] == [torch.int64] * 3


def test_without_second_segments_all_is_the_first() -> None:
    assert not Packed.from_texts([[7, 8, 9], [5]]).token_type_ids.any()


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=8))
def test_taking_the_padding_out_gives_what_was_never_padded(sizes: list[tuple[int, int]]) -> None:
    texts = [list(range(1, length + 1)) for length, _ in sizes]
    starts = [min(start, length) for length, start in sizes]
    longest = max(map(len, texts))
    ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
    segments = (torch.arange(longest) >= torch.tensor(starts)[:, None]).long()
    found, expected = Packed.from_padded(ids, ids != 0, segments), Packed.from_texts(texts, starts)
    for ours, theirs in zip((*found.inputs, found.offsets), (*expected.inputs, expected.offsets), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    assert (found.lengths, found.longest) == (expected.lengths, expected.longest)


def test_a_batch_without_a_mask_has_no_padding() -> None:
    batch = Packed.from_padded(torch.tensor([[7, 0], [5, 6]]))
    assert batch.input_ids.tolist() == [7, 0, 5, 6]
    assert not batch.token_type_ids.any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Packed.from_texts([]), "no text to pack"),
        (lambda: Packed.from_texts([[7], []]), "text 1 of the batch has no piece"),
        (lambda: Packed.from_texts([[7], [8]], second_at=[None]), "2 texts and 1 starts"),
        (lambda: Packed.from_padded(torch.tensor([[7], [0]]), torch.tensor([[1], [0]])), "text 1 of the batch has no"),
    ],
)
def test_what_cannot_be_packed_is_named(make: Callable[[], Packed], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_network_refuses_what_a_packed_batch_cannot_have() -> None:
    encoder = BertEncoder(BertConfig.tiny(vocab_size=9, max_position_embeddings=4))
    batch = Packed.from_texts([[1, 2], [3]])
    for extra in ({"attention_mask": torch.ones(1)}, {"token_type_ids": torch.ones(1)}, {"output_attentions": True}):
        with pytest.raises(ValueError, match="has its own mask and segments, and gives no attention weights"):
            encoder(batch, **extra)
    with pytest.raises(ValueError, match=r"5 pieces.*reads 4.*windows"):
        encoder(Packed.from_texts([[1, 2], [3, 4, 5, 6, 7]]))


@on_each_device
def test_a_batch_moves_to_a_device_whole(device: str) -> None:
    batch = Packed.from_texts([[7, 8, 9], [5]], [1, None])
    moved = batch.to(device)
    for before, after in zip((*batch.inputs, batch.offsets), (*moved.inputs, moved.offsets), strict=True):
        assert after.device.type == device
        assert torch.equal(before, after.cpu())
    assert (moved.lengths, moved.longest) == (batch.lengths, batch.longest)


# --- attention -------------------------------------------------------------------------------------------------------


def by_hand(q: Tensor, k: Tensor, v: Tensor, packed: Packed) -> Tensor:
    """Softmax over each text, a head and a text at a time."""
    mixed = torch.empty_like(q)
    start = 0
    for length in packed.lengths:
        text = slice(start, start + length)
        for head in range(q.shape[1]):
            scores = q[text, head] @ k[text, head].T / math.sqrt(q.shape[2])
            chances = scores.exp() / scores.exp().sum(1, keepdim=True)
            mixed[text, head] = chances @ v[text, head]
        start += length
    return mixed


def varlen_by_hand(
    q: Tensor, k: Tensor, v: Tensor, starts_q: Tensor, starts_k: Tensor, longest_q: int, longest_k: int
) -> Tensor:
    """What the documentation of PyTorch's kernel promises, on any device; and that it is called as it must be."""
    assert starts_q.dtype == starts_k.dtype == torch.int32
    assert torch.equal(starts_q, starts_k)
    lengths = starts_q.diff().tolist()
    assert longest_q == longest_k == max(lengths)
    parts = []
    for text in zip(*(x.split(lengths) for x in (q, k, v)), strict=True):
        query, key, value = (x[None].transpose(1, 2) for x in text)
        parts.append(attend(query, key, value, None, 0.0)[0].transpose(1, 2)[0])
    return torch.cat(parts)


WAYS: dict[str, Way] = {
    "in stacks": lambda q, k, v, packed: attend_in_stacks(q, k, v, packed.stacks, 0.0, attend),
    "nested": lambda q, k, v, packed: attend_nested(q, k, v, packed, 0.0),
    "chosen": lambda q, k, v, packed: attend_packed(q, k, v, packed, 0.0, attend),
}


def random_heads(packed: Packed, device: str, kind: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    heads = torch.randn(3, len(packed.input_ids), 2, 8).to(device, kind)
    q, k, v = (x.clone().requires_grad_() for x in heads)
    return q, k, v


@on_each_device
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("lengths", [[3, 1, 7, 3, 2], [1], [4, 4, 4], [1, 1], [90, 2, 1, 88]], ids=str)
def test_each_way_attends_within_texts_and_learns_so(way: str, lengths: list[int], device: str) -> None:
    packed = Packed.from_texts([[1] * length for length in lengths]).to(device)
    heads = random_heads(packed, device)
    answers = []
    for one in (by_hand, WAYS[way]):
        mixed = one(*heads, packed)
        answers.append((mixed, torch.autograd.grad(mixed.square().sum(), heads)))
    (expected, wanted), (found, gradients) = answers
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    for ours, theirs in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@on_each_device
def test_the_varlen_kernel_is_asked_for_what_it_documents(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU the kernel itself answers; elsewhere an attention written after its documentation stands in for it."""
    if device == "cpu":
        monkeypatch.setattr(packing, "varlen_attn", varlen_by_hand)
    packed = Packed.from_texts([[1] * length for length in (3, 1, 7, 3, 2)]).to(device)
    heads = random_heads(packed, device, torch.bfloat16)
    found = attend_varlen(*heads, packed)
    assert found.dtype == torch.bfloat16
    expected = by_hand(heads[0].float(), heads[1].float(), heads[2].float(), packed)
    torch.testing.assert_close(found.float(), expected, atol=0.03, rtol=0)
    ours = torch.autograd.grad(found.float().square().sum(), heads)
    theirs = torch.autograd.grad(expected.square().sum(), heads)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=0.1, rtol=0)


@on_each_device
@pytest.mark.parametrize("way", ["in stacks", "nested"])
@torch.no_grad()
def test_dropout_zeroes_weights_at_its_rate_and_keeps_the_expectation(way: str, device: str) -> None:
    """With values that are all one, a mixed value is the sum of the weights that are left."""
    packed = Packed.from_texts([[1] * 16] * 40 + [[1] * 8] * 40).to(device)
    queries = torch.zeros(len(packed.input_ids), 2, 8, device=device)  # all weights alike: 1/16 or 1/8
    ones = torch.ones_like(queries)
    torch.manual_seed(0)
    if way == "nested":
        mixed = attend_nested(queries, ones, ones, packed, 0.25)
    else:
        mixed = attend_in_stacks(queries, ones, ones, packed.stacks, 0.25, attend)
    kept = mixed[: 40 * 16, :, 0] * 0.75 * 16  # of 16 weights
    assert torch.allclose(kept, kept.round(), atol=1e-3)
    assert float(kept.mean()) == pytest.approx(12, abs=0.3)
    assert float(kept.var()) == pytest.approx(16 * 0.25 * 0.75, rel=0.2)
    assert float(mixed.mean()) == pytest.approx(1, abs=0.02)


def test_no_text_sees_another() -> None:
    torch.manual_seed(0)
    encoder = BertEncoder(BertConfig.tiny(vocab_size=50)).eval()
    first, second = [5, 6, 7, 8], [9, 10, 11, 12]
    before = encoder(Packed.from_texts([first, second])).last_hidden_state
    after = encoder(Packed.from_texts([first, [13, 14, 15, 16]])).last_hidden_state
    assert torch.equal(before[:4], after[:4])
    assert not torch.allclose(before[4:], after[4:], atol=1e-3)


def test_order_and_company_change_no_answer() -> None:
    torch.manual_seed(0)
    encoder = BertEncoder(BertConfig.tiny(vocab_size=50)).eval()
    texts = [[5, 6, 7], [8], [9, 10, 11], [12, 13]]
    alone = [encoder(Packed.from_texts([text])).pooler_output for text in texts]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        together = encoder(Packed.from_texts([texts[number] for number in order])).pooler_output
        torch.testing.assert_close(together, torch.cat([alone[number] for number in order]), atol=1e-5, rtol=0)


def test_training_drops_another_share_each_time_and_evaluation_repeats() -> None:
    torch.manual_seed(0)
    encoder, batch = BertEncoder(BertConfig.tiny(vocab_size=50)), Packed.from_texts([[5, 6, 7], [8]])
    encoder.train()
    assert not torch.equal(encoder(batch).pooler_output, encoder(batch).pooler_output)
    encoder.eval()
    assert torch.equal(encoder(batch).pooler_output, encoder(batch).pooler_output)


# --- padding is left out by the encoder itself -----------------------------------------------------------------------


def test_the_encoder_leaves_padding_out_and_answers_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    encoder = BertEncoder(BertConfig.tiny(vocab_size=50)).eval()
    ids = torch.tensor([[5, 6, 7, 0, 0], [8, 9, 10, 11, 12], [13, 0, 0, 0, 0]])
    segments = torch.tensor([[0, 0, 1, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]])
    mask = (ids != 0).long()
    rows: list[int] = []
    encoder.layers[0].register_forward_hook(lambda _layer, inputs, _output: rows.append(inputs[0].numel() // 128))
    found = encoder(ids, mask, segments)
    monkeypatch.setattr("polarbert.model.encoder.is_worth_packing", lambda _mask: False)
    expected = encoder(ids, mask, segments)
    assert rows == [9, 15]
    torch.testing.assert_close(found.pooler_output, expected.pooler_output, atol=1e-5, rtol=0)
    real = mask.bool()
    torch.testing.assert_close(found.last_hidden_state[real], expected.last_hidden_state[real], atol=1e-5, rtol=0)
    assert not found.last_hidden_state[~real].any()


def test_gradients_are_those_of_the_padded_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    encoder = BertEncoder(BertConfig.tiny(vocab_size=50)).eval()
    ids = torch.tensor([[5, 6, 7, 0, 0], [8, 9, 10, 11, 12], [13, 14, 0, 0, 0]])
    weights = torch.randn(3, 5, 128) * (ids != 0)[..., None]
    gradients = []
    for is_packed in (True, False):
        monkeypatch.setattr("polarbert.model.encoder.is_worth_packing", lambda _mask, answer=is_packed: answer)
        output = encoder(ids, ids != 0)
        loss = (output.last_hidden_state * weights).sum() + output.pooler_output.square().sum()
        gradients.append(torch.autograd.grad(loss, list(encoder.parameters())))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("mask", [None, [[1, 1], [1, 1]], [[0, 1], [1, 1]]], ids=["none", "nothing padded", "left"])
def test_a_batch_without_padding_behind_its_texts_stays_as_it_is(mask: list[list[int]] | None) -> None:
    assert not is_worth_packing(None if mask is None else torch.tensor(mask))
    assert is_worth_packing(torch.tensor([[1, 0], [1, 1]]))


@given(lengths=st.lists(st.integers(1, 300), min_size=1, max_size=60), cost=st.integers(0, 10_000))
def test_no_other_division_into_stacks_of_neighbours_is_cheaper(lengths: list[int], cost: int) -> None:
    def price(groups: list[list[int]]) -> int:
        return sum(len(group) * max(lengths[number] for number in group) ** 2 + cost for group in groups)

    groups = divide(lengths, cost)
    assert sorted(number for group in groups for number in group) == list(range(len(lengths)))
    order = [number for group in groups for number in group]
    assert [lengths[number] for number in order] == sorted(lengths, reverse=True)
    for cut in range(1, len(order)):
        assert price(groups) <= price([order[:cut], order[cut:]])
    assert price(groups) <= price([order])
    by_length: dict[int, list[int]] = {}
    for number in order:
        by_length.setdefault(lengths[number], []).append(number)
    assert price(groups) <= price(list(by_length.values()))
