"""Checkpoints: old names, missing prefixes, shards, and what is refused with which words."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from polarbert.errors import BundleError, WeightsError
from polarbert.model import BertConfig, BertEncoder, BertForSequenceClassification
from polarbert.model.weights import load_weights

SMALL = BertConfig.tiny(vocab_size=50, hidden_size=32, intermediate_size=64)
IDS = torch.tensor([[1, 2, 3, 4]])


@pytest.fixture
def model() -> BertForSequenceClassification:
    torch.manual_seed(0)
    model = BertForSequenceClassification(SMALL, ["bad", "good"]).eval()
    with torch.no_grad():  # norms and biases too, so that none may be mistaken for another
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture
def saved(model: BertForSequenceClassification, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def rewrite(directory: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    file = directory / "model.safetensors"
    save_file(change(load_file(str(file))), str(file))


def rename(name_of: Callable[[str], str]) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda tensors: {name_of(name): tensor for name, tensor in tensors.items()}


def old_norm_name(name: str) -> str:
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


def bare_name(name: str) -> str:
    return name.removeprefix("bert.")


def test_the_file_has_the_names_of_the_hugging_face_layout(saved: Path) -> None:
    names = load_file(str(saved / "model.safetensors")).keys()
    assert len(names) == 5 + 2 * 16 + 2 + 2
    assert {
        "bert.embeddings.word_embeddings.weight",
        "bert.embeddings.LayerNorm.bias",
        "bert.encoder.layer.1.attention.self.query.weight",
        "bert.encoder.layer.1.attention.output.LayerNorm.weight",
        "bert.encoder.layer.0.intermediate.dense.bias",
        "bert.pooler.dense.weight",
        "classifier.bias",
    } <= set(names)


def test_old_gamma_and_beta_names_load(model: BertForSequenceClassification, saved: Path) -> None:
    rewrite(saved, rename(old_norm_name))
    assert "bert.embeddings.LayerNorm.gamma" in load_file(str(saved / "model.safetensors"))
    assert torch.equal(BertForSequenceClassification.from_pretrained(saved)(IDS).logits, model(IDS).logits)


def test_a_missing_bert_prefix_loads(model: BertForSequenceClassification, saved: Path) -> None:
    rewrite(saved, rename(bare_name))
    assert torch.equal(BertForSequenceClassification.from_pretrained(saved)(IDS).logits, model(IDS).logits)


def test_both_at_once_load(model: BertForSequenceClassification, saved: Path) -> None:
    rewrite(saved, rename(lambda name: bare_name(old_norm_name(name))))
    assert torch.equal(BertForSequenceClassification.from_pretrained(saved)(IDS).logits, model(IDS).logits)


def test_the_encoder_of_a_classifier_loads_by_itself(model: BertForSequenceClassification, saved: Path) -> None:
    encoder = BertEncoder.from_pretrained(saved)
    assert torch.equal(encoder(IDS).last_hidden_state, model.bert(IDS).last_hidden_state)


def test_half_precision_is_read_as_single(model: BertForSequenceClassification, saved: Path) -> None:
    rewrite(saved, lambda tensors: {name: tensor.half() for name, tensor in tensors.items()})
    loaded = BertForSequenceClassification.from_pretrained(saved)
    assert loaded.classifier.weight.dtype == torch.float32
    torch.testing.assert_close(loaded(IDS).logits, model(IDS).logits, atol=5e-3, rtol=0)


@pytest.mark.parametrize(
    "name",
    [
        "classifier.bias",
        "bert.pooler.dense.weight",
        "bert.embeddings.token_type_embeddings.weight",
        "bert.encoder.layer.1.attention.self.key.bias",
        "bert.encoder.layer.0.output.LayerNorm.weight",
    ],
)
def test_a_missing_tensor_is_named(saved: Path, name: str) -> None:
    rewrite(saved, lambda tensors: {n: t for n, t in tensors.items() if n != name})
    with pytest.raises(WeightsError) as caught:
        BertForSequenceClassification.from_pretrained(saved)
    assert repr(name) in str(caught.value)
    assert str(saved) in str(caught.value)


def test_a_misshapen_tensor_is_named_with_both_shapes(saved: Path) -> None:
    name = "bert.encoder.layer.1.intermediate.dense.weight"
    rewrite(saved, lambda tensors: tensors | {name: torch.zeros(64, 31)})
    with pytest.raises(WeightsError) as caught:
        BertForSequenceClassification.from_pretrained(saved)
    assert all(part in str(caught.value) for part in (repr(name), "(64, 31)", "(64, 32)"))


def test_a_transposed_tensor_is_misshapen_too(saved: Path) -> None:
    name = "bert.encoder.layer.0.output.dense.weight"
    rewrite(saved, lambda tensors: tensors | {name: tensors[name].T.contiguous()})
    with pytest.raises(WeightsError, match=r"layer\.0\.output\.dense"):
        BertForSequenceClassification.from_pretrained(saved)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "bert_model.ckpt"])
def test_a_pickle_is_refused_with_the_way_to_convert(saved: Path, name: str) -> None:
    tensors = load_file(str(saved / "model.safetensors"))
    (saved / "model.safetensors").unlink()
    torch.save(tensors, saved / name)
    with pytest.raises(BundleError, match="pickle") as caught:
        BertForSequenceClassification.from_pretrained(saved)
    assert name in str(caught.value)
    assert "save_pretrained" in str(caught.value)


def test_safetensors_are_preferred_to_a_pickle_beside_them(saved: Path) -> None:
    (saved / "pytorch_model.bin").write_bytes(b"never opened")
    assert BertForSequenceClassification.from_pretrained(saved).labels == ["bad", "good"]


def test_a_directory_without_weights_says_so(saved: Path) -> None:
    (saved / "model.safetensors").unlink()
    with pytest.raises(BundleError, match=r"no model\.safetensors"):
        BertForSequenceClassification.from_pretrained(saved)


@pytest.mark.parametrize("kept", [0, 5, 200, -1])
def test_a_cut_file_is_refused(saved: Path, kept: int) -> None:
    file = saved / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(BundleError, match=r"model\.safetensors.*not a readable"):
        BertForSequenceClassification.from_pretrained(saved)


def test_a_file_of_something_else_is_refused(saved: Path) -> None:
    (saved / "model.safetensors").write_bytes(b"<html>404 not found</html>" * 40)
    with pytest.raises(BundleError, match="not a readable safetensors file"):
        BertForSequenceClassification.from_pretrained(saved)


def shard(directory: Path) -> dict[str, str]:
    """Split the checkpoint in two files and an index; returns the index's map."""
    tensors = load_file(str(directory / "model.safetensors"))
    (directory / "model.safetensors").unlink()
    names = sorted(tensors)
    weight_map: dict[str, str] = {}
    for number, part in enumerate((names[: len(names) // 2], names[len(names) // 2 :]), start=1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, str(directory / file))
        weight_map |= dict.fromkeys(part, file)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}), "utf-8")
    return weight_map


def test_shards_load(model: BertForSequenceClassification, saved: Path) -> None:
    shard(saved)
    assert torch.equal(BertForSequenceClassification.from_pretrained(saved)(IDS).logits, model(IDS).logits)


def test_a_missing_shard_is_named(saved: Path) -> None:
    shard(saved)
    (saved / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(BundleError, match="model-00002-of-00002"):
        BertForSequenceClassification.from_pretrained(saved)


def test_a_shard_outside_the_directory_is_refused(saved: Path) -> None:
    weight_map = shard(saved) | {"classifier.bias": "../elsewhere.safetensors"}
    (saved / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}), "utf-8")
    with pytest.raises(BundleError, match="outside the model directory"):
        BertForSequenceClassification.from_pretrained(saved)


@pytest.mark.parametrize("content", ["{broken", "{}", "[]", '{"weight_map": 3}'])
def test_a_broken_index_is_refused(saved: Path, content: str) -> None:
    shard(saved)
    (saved / "model.safetensors.index.json").write_text(content, "utf-8")
    with pytest.raises(BundleError, match="not a readable shard index"):
        BertForSequenceClassification.from_pretrained(saved)


def test_saving_again_replaces_the_files_whole(model: BertForSequenceClassification, saved: Path) -> None:
    with torch.no_grad():
        model.classifier.bias.fill_(3.0)
    model.save_pretrained(saved)
    assert sorted(file.name for file in saved.iterdir()) == ["config.json", "model.safetensors"]
    assert bool((BertForSequenceClassification.from_pretrained(saved).classifier.bias == 3).all())


def test_loading_draws_no_random_numbers_and_every_tensor_is_there(
    model: BertForSequenceClassification, saved: Path
) -> None:
    before = torch.get_rng_state()
    loaded = BertForSequenceClassification.from_pretrained(saved)
    assert torch.equal(torch.get_rng_state(), before)
    for (name, theirs), ours in zip(model.named_parameters(), loaded.parameters(), strict=True):
        assert ours.requires_grad
        assert not ours.is_meta
        assert torch.equal(ours, theirs), name


def test_what_is_loaded_does_not_change_with_the_file(saved: Path) -> None:
    loaded = BertForSequenceClassification.from_pretrained(saved)
    before = loaded(IDS).logits
    file = saved / "model.safetensors"
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size // 2)
        opened.write(b"\xff" * 5000)
    assert torch.equal(loaded(IDS).logits, before)


def test_tensors_that_a_model_shares_stay_shared_on_loading(model: BertForSequenceClassification, saved: Path) -> None:
    with torch.device("meta"):
        twice: Any = torch.nn.ModuleDict({"embeddings": BertEncoder(SMALL).embeddings})
        twice["again"] = torch.nn.Module()
    twice["again"].word = twice["embeddings"].word
    rewrite(saved, lambda tensors: tensors | {"again.word.weight": torch.zeros(50, 32)})
    load_weights(twice, saved, prefix="")
    again = twice.get_parameter("again.word.weight")
    assert again is twice.get_parameter("embeddings.word.weight")
    assert torch.equal(again, model.bert.embeddings.word.weight)


def test_a_full_disk_is_an_error_of_the_system_and_leaves_the_old_file(saved: Path) -> None:
    before = (saved / "model.safetensors").read_bytes()
    code = f"""if True:
        import errno, resource
        from polarbert.model import BertForSequenceClassification
        model = BertForSequenceClassification.from_pretrained({str(saved)!r})
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            model.save_pretrained({str(saved)!r})
        except OSError as error:
            print(errno.errorcode[error.errno], error.filename)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("EFBIG ")
    assert "model.safetensors" in done.stdout
    assert (saved / "model.safetensors").read_bytes() == before
    assert {file.name for file in saved.iterdir()} == {"config.json", "model.safetensors"}
