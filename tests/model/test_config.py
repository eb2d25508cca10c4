"""The shape of a network: presets, parameter counts, config.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from polarbert.errors import BundleError
from polarbert.model.config import BertConfig


def test_base_and_large_have_the_parameters_that_the_paper_rounds() -> None:
    assert BertConfig.base().parameter_count() == 109_482_240
    assert BertConfig.large().parameter_count() == 335_141_888


@pytest.mark.parametrize(
    ("config", "layers", "hidden", "heads", "intermediate"),
    [
        (BertConfig.base(), 12, 768, 12, 3072),
        (BertConfig.large(), 24, 1024, 16, 4096),
        (BertConfig.transformer(), 6, 512, 8, 2048),
        (BertConfig.tiny(), 2, 128, 2, 512),
    ],
)
def test_presets_have_the_published_sizes(
    config: BertConfig, layers: int, hidden: int, heads: int, intermediate: int
) -> None:
    sizes = (config.num_hidden_layers, config.hidden_size, config.num_attention_heads, config.intermediate_size)
    assert sizes == (layers, hidden, heads, intermediate)


def test_a_preset_takes_changes() -> None:
    config = BertConfig.large(vocab_size=1000, num_hidden_layers=3)
    assert (config.vocab_size, config.num_hidden_layers, config.hidden_size) == (1000, 3, 1024)


def test_heads_that_do_not_divide_the_hidden_size_are_refused() -> None:
    with pytest.raises(BundleError, match=r"hidden_size 100 .* num_attention_heads 3"):
        BertConfig(hidden_size=100, num_attention_heads=3)


@pytest.mark.parametrize("name", ["vocab_size", "num_hidden_layers", "intermediate_size", "type_vocab_size"])
@pytest.mark.parametrize("value", [0, -1, 2.5, "12", True])
def test_sizes_must_be_whole_numbers_above_zero(name: str, value: object) -> None:
    with pytest.raises(BundleError, match=name):
        BertConfig.from_dict({name: value})


@pytest.mark.parametrize("name", ["hidden_dropout_prob", "attention_probs_dropout_prob"])
@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan"), "0.1"])
def test_dropout_rates_must_be_shares_below_one(name: str, value: object) -> None:
    with pytest.raises(BundleError, match=name):
        BertConfig.from_dict({name: value})


def test_saved_form_is_read_back_equal(tmp_path: Path) -> None:
    config = BertConfig.tiny(vocab_size=77, hidden_dropout_prob=0.25, layer_norm_eps=1e-6)
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()), "utf-8")
    assert BertConfig.from_pretrained(tmp_path) == config


def test_unknown_and_null_fields_of_a_checkpoint_are_left_aside() -> None:
    config = BertConfig.from_dict({"hidden_size": 24, "torch_dtype": "float32", "pad_token_id": None})
    assert (config.hidden_size, config.pad_token_id) == (24, 0)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"model_type": "roberta"}, "roberta"),
        ({"hidden_act": "gelu_new"}, "gelu_new"),
        ({"position_embedding_type": "relative_key"}, "absolute"),
    ],
)
def test_another_network_is_refused_by_name(values: dict[str, Any], word: str) -> None:
    with pytest.raises(BundleError, match=word):
        BertConfig.from_dict(values)


def test_a_directory_without_config_is_no_model_directory(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no config\.json"):
        BertConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize("content", [b"{not json", b"[1, 2]", b"\xff\xfe\x00"])
def test_a_config_that_is_no_json_object_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"config\.json"):
        BertConfig.from_pretrained(tmp_path)
