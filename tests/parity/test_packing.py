"""Packed batches against padded ones: outputs and gradients, at every length, in every model.

The padded path is held against the reference implementation in the other files of this folder.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from polarbert.model import (
    BertConfig,
    BertEncoder,
    BertForMaskedLM,
    BertForPreTraining,
    BertForSequenceClassification,
    Packed,
)

LONGEST = 24
CONFIG = BertConfig.tiny(
    vocab_size=60,
    hidden_size=32,
    intermediate_size=64,
    max_position_embeddings=LONGEST,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
RAGGED = [5, LONGEST, 1, 5, 17, 2, LONGEST, 1, 16]
on_each_device = pytest.mark.parametrize("device", DEVICES)


def with_random_weights(model: nn.Module, device: str = "cpu") -> nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model.to(device)


def padded_batch(lengths: Sequence[int], device: str = "cpu") -> tuple[Tensor, Tensor, Tensor]:
    """(B, T) ids, mask and segments; the second segment starts at another place in each text."""
    torch.manual_seed(1)
    sizes, places = torch.tensor(lengths)[:, None], torch.arange(max(lengths))
    mask = places < sizes
    ids = torch.randint(1, 60, mask.shape) * mask
    segments = ((places >= sizes // 2) & mask).long()
    return ids.to(device), mask.to(device), segments.to(device)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


def assert_close(found: Tensor, expected: Tensor, limit: float = 1e-5) -> None:
    torch.testing.assert_close(found.float(), expected.float(), atol=limit, rtol=0)


def compare(lengths: Sequence[int], device: str = "cpu", training: bool = True) -> None:
    """Encode both ways, and go back from the same sum of all outputs."""
    encoder = with_random_weights(BertEncoder(CONFIG), device).train(training)
    ids, mask, segments = padded_batch(lengths, device)
    padded = encoder(ids, mask, segments, output_hidden_states=True)
    packed = encoder(Packed.from_padded(ids, mask, segments), output_hidden_states=True)
    for ours, theirs in zip(packed.hidden_states, padded.hidden_states, strict=True):
        assert_close(ours, theirs[mask])
    assert_close(packed.last_hidden_state, padded.last_hidden_state[mask])
    assert_close(packed.pooler_output, padded.pooler_output)
    weights = torch.randn(int(mask.sum()), 32, device=device)  # so that no position counts as another
    (padded.last_hidden_state[mask] * weights).mean().add(padded.pooler_output.square().mean()).backward()
    expected = gradients(encoder)
    (packed.last_hidden_state * weights).mean().add(packed.pooler_output.square().mean()).backward()
    found = gradients(encoder)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert_close(found[name], gradient)
        # A bias of keys adds the same to all scores of a query, and a text of one piece has nothing to weigh up.
        assert bool(gradient.any()) or "key" in name or max(lengths) == 1, f"{name} has no gradient to compare"


@on_each_device
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "lengths", [RAGGED, [1], [LONGEST], [1] * 4, [LONGEST] * 3, list(range(1, LONGEST + 1)), [3, 3, 2, 2, 3]], ids=str
)
def test_outputs_and_gradients_are_those_of_the_padded_batch(lengths: list[int], training: bool, device: str) -> None:
    compare(lengths, device, training)


@settings(max_examples=25)
@given(st.lists(st.integers(1, LONGEST), min_size=1, max_size=12))
def test_so_they_are_at_any_lengths(lengths: list[int]) -> None:
    compare(lengths)


@on_each_device
def test_bf16_differs_by_no_more_than_its_rounding(device: str) -> None:
    """The distance to single precision is that of the padded batch in bf16."""
    encoder = with_random_weights(BertEncoder(CONFIG), device).train()
    ids, mask, segments = padded_batch(RAGGED, device)
    exact = encoder(ids, mask, segments).last_hidden_state[mask]
    with torch.autocast(device, torch.bfloat16):
        padded = encoder(ids, mask, segments).last_hidden_state[mask]
        packed = encoder(Packed.from_padded(ids, mask, segments)).last_hidden_state
    rounding = float((padded - exact).detach().abs().max())
    assert 0 < rounding < 0.1
    assert_close(packed, exact, 2 * rounding)


@on_each_device
@pytest.mark.parametrize("kind", [BertForMaskedLM, BertForPreTraining])
def test_models_that_name_pieces_give_the_same_losses_and_gradients(
    kind: type[BertForMaskedLM | BertForPreTraining], device: str
) -> None:
    model = with_random_weights(kind(CONFIG), device).train()
    ids, mask, segments = padded_batch(RAGGED, device)
    chosen = mask & (torch.rand(mask.shape, generator=torch.Generator().manual_seed(2)).to(device) < 0.3)
    labels = ids.masked_fill(~chosen, -100)
    pairs = {"next_sentence_label": torch.arange(len(RAGGED), device=device) % 2} if kind is BertForPreTraining else {}
    expected = model(ids, mask, segments, labels=labels, **pairs)
    expected.loss.backward()
    wanted = gradients(model)

    packed = Packed.from_padded(ids, mask, segments)
    everywhere = model(packed, labels=labels[mask], **pairs)
    positions = chosen[mask].nonzero()[:, 0]
    alone = model(packed, labels=labels[chosen], positions=positions, **pairs)
    for output in (everywhere, alone):
        assert_close(output.loss, expected.loss)
        assert_close(output.masked_lm_losses.sum(), expected.masked_lm_losses.sum(), 1e-4)
    alone.loss.backward()
    found = gradients(model)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert_close(found[name], gradient)


@on_each_device
def test_a_classifier_answers_alike(device: str) -> None:
    model = with_random_weights(BertForSequenceClassification(CONFIG, ["a", "b", "c"]), device).train()
    ids, mask, segments = padded_batch(RAGGED, device)
    labels = torch.arange(len(RAGGED), device=device) % 3
    expected = model(ids, mask, segments, labels=labels)
    found = model(Packed.from_padded(ids, mask, segments), labels=labels)
    assert_close(found.logits, expected.logits)
    assert_close(found.loss, expected.loss)
    assert float(expected.logits.detach().std(0).min()) > 1e-2, "parity of constants would prove nothing"
