"""A mix of layers: what it computes, what is saved of it, and who may open that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from polarbert.errors import BundleError
from polarbert.model import BertConfig, BertEncoder, BertForMaskedLM, BertForSequenceClassification
from polarbert.model.packing import Packed

KINDS = ("sum", "mix", "concat")
IDS = torch.tensor([[101, 7, 8, 9, 102], [101, 12, 102, 0, 0]])
MASK = IDS != 0


def sizes(**changes: Any) -> BertConfig:
    small = dict(vocab_size=120, hidden_size=16, intermediate_size=32, num_hidden_layers=3, initializer_range=0.2)
    return BertConfig.tiny(**{**small, **changes})


def stirred(kind: str, count: int) -> BertEncoder:
    """A random encoder whose mix is no longer the mean that it starts as."""
    torch.manual_seed(1)
    encoder = BertEncoder(sizes(layer_mix=kind, layer_mix_count=count)).eval()
    assert encoder.mix is not None
    with torch.no_grad():
        for parameter in encoder.mix.parameters():
            parameter.add_(torch.randn_like(parameter))
    return encoder


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_the_mix_is_its_formula_over_the_last_layers(kind: str, count: int) -> None:
    encoder = stirred(kind, count)
    output = encoder(IDS, MASK, output_hidden_states=True)
    states = output.hidden_states[4 - count :]
    mix = encoder.mix
    assert mix is not None
    if kind == "sum":
        expected = sum(states)
    elif kind == "mix":
        powers = mix.scores.exp()
        expected = mix.scale * sum(p / powers.sum() * state for p, state in zip(powers, states, strict=True))
    else:
        expected = torch.cat(states, -1) @ mix.dense.weight.T + mix.dense.bias
    torch.testing.assert_close(output.last_hidden_state, expected)
    torch.testing.assert_close(output.pooler_output, encoder.pooler(expected))


@pytest.mark.parametrize("kind", ["mix", "concat"])
def test_what_is_learned_starts_as_the_mean(kind: str) -> None:
    encoder = BertEncoder(sizes(layer_mix=kind, layer_mix_count=3)).eval()
    output = encoder(IDS, MASK, output_hidden_states=True)
    torch.testing.assert_close(output.last_hidden_state, torch.stack(output.hidden_states[1:]).mean(0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_batch_is_mixed_as_a_padded_one(kind: str) -> None:
    encoder = stirred(kind, 2)
    packed = encoder(Packed.from_padded(IDS, MASK))
    torch.testing.assert_close(packed.last_hidden_state, encoder(IDS, MASK).last_hidden_state[MASK])
    torch.testing.assert_close(packed.pooler_output, encoder(IDS, MASK).pooler_output)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_it_computes_the_same(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(2)
    model = BertForSequenceClassification(sizes(layer_mix=kind, layer_mix_count=2), ["no", "yes"]).eval()
    model.bert = stirred(kind, 2)
    model.save_pretrained(tmp_path)
    again = BertForSequenceClassification.from_pretrained(tmp_path)
    assert torch.equal(again(IDS, MASK).logits, model(IDS, MASK).logits)
    assert again.config == model.config
    encoder = BertForMaskedLM.from_encoder(tmp_path).eval().bert
    assert torch.equal(encoder(IDS, MASK).pooler_output, model.bert(IDS, MASK).pooler_output)


def test_transformers_refuses_a_mix_rather_than_leave_it_out(tmp_path: Path) -> None:
    BertForSequenceClassification(sizes(layer_mix="sum", layer_mix_count=2), ["no", "yes"]).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="bert-layer-mix"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path)


def test_without_a_mix_nothing_of_it_is_written(tmp_path: Path) -> None:
    BertEncoder(sizes()).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert written["model_type"] == "bert"
    assert [name for name in written if "mix" in name] == []


@pytest.mark.parametrize("kind", ["last", *KINDS])
def test_parameters_are_counted(kind: str) -> None:
    config = sizes(layer_mix=kind, layer_mix_count=3 if kind != "last" else 1)
    counted = sum(parameter.numel() for parameter in BertEncoder(config).parameters())
    assert config.parameter_count() == counted


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer_mix": "max"}, "layer_mix must be one of last, sum, mix, concat, not 'max'"),
        ({"layer_mix": "sum", "layer_mix_count": 5}, "from 1 to 4, the layers and the embeddings, not 5"),
        ({"layer_mix": "sum", "layer_mix_count": 0}, "not 0"),
        ({"layer_mix": "sum", "layer_mix_count": "2"}, "not '2'"),
    ],
)
def test_a_mix_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        sizes(**changes)
