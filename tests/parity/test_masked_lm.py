"""Masked language modelling against `transformers` (eager attention, single precision, evaluation mode).

Weights are random in every tensor, norms and biases too, so that no two may be mistaken for one another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from polarbert.model import BertConfig, BertForMaskedLM

CONFIG = BertConfig.tiny(vocab_size=300, hidden_size=48, intermediate_size=96)
POOLER = {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}


def assert_close(ours: Tensor | None, theirs: Tensor | None) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def their_config(**changes: Any) -> transformers.BertConfig:
    values = {name: value for name, value in CONFIG.to_dict().items() if name != "model_type"} | changes
    return transformers.BertConfig(**values)


def randomise(model: nn.Module) -> None:
    """Move every tensor away from its initial value by as much as training might."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05 if parameter.ndim > 1 else 0.2)


def masked_batch() -> dict[str, Tensor]:
    """Texts of 20, 13 and 4 pieces, padded, in two segments; a third of the real pieces is to be predicted."""
    torch.manual_seed(1)
    places = torch.arange(20)
    mask = places < torch.tensor([[20], [13], [4]])
    ids = torch.randint(1, 300, (3, 20)) * mask
    chosen = mask & (torch.rand(3, 20) < 0.33)
    labels = torch.where(chosen, ids, -100)
    segments = ((places >= 9) & mask).long()
    return {
        "input_ids": torch.where(chosen, 103, ids),
        "attention_mask": mask.long(),
        "token_type_ids": segments,
        "labels": labels,
    }


@pytest.fixture(scope="module")
def theirs() -> Any:
    model = transformers.BertForMaskedLM._from_config(their_config(), attn_implementation="eager").eval()
    randomise(model)
    return model


@pytest.fixture(scope="module")
def saved(theirs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("theirs")
    theirs.save_pretrained(directory)
    return directory


def assert_same_answers(ours: BertForMaskedLM, theirs: Any) -> None:
    batch = masked_batch()
    real = batch["attention_mask"].bool()
    assert int((batch["labels"] != -100).sum()) >= 8
    our_output, their_output = ours(**batch), theirs(**batch)
    assert our_output.logits.shape == (3, 20, 300)
    assert_close(our_output.logits[real], their_output.logits[real])
    assert_close(our_output.loss, their_output.loss)
    assert float(their_output.logits[real].std()) > 0.2, "parity of constants would prove nothing"


@torch.inference_mode()
def test_theirs_loads_here(theirs: Any, saved: Path) -> None:
    ours = BertForMaskedLM.from_pretrained(saved)
    assert not ours.training
    assert_same_answers(ours, theirs)


@torch.inference_mode()
def test_the_masked_positions_alone_give_their_logits_and_loss(theirs: Any, saved: Path) -> None:
    batch = masked_batch()
    labels = batch.pop("labels")
    positions = (labels != -100).flatten().nonzero()[:, 0]
    ours = BertForMaskedLM.from_pretrained(saved)(**batch, labels=labels.flatten()[positions], positions=positions)
    expected = theirs(**batch, labels=labels)
    assert ours.logits.shape == (len(positions), 300)
    assert_close(ours.logits, expected.logits.flatten(0, 1)[positions])
    assert_close(ours.loss, expected.loss)


def old_name(name: str) -> str:
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


@torch.inference_mode()
@pytest.mark.parametrize("with_decoder", [False, True])
@pytest.mark.parametrize("old_names", [False, True])
def test_checkpoints_of_other_times_load_here(
    theirs: Any, saved: Path, tmp_path: Path, with_decoder: bool, old_names: bool
) -> None:
    """Norms called gamma and beta, and the tied decoder stored a second time or not."""
    tensors = load_file(str(saved / "model.safetensors"))
    assert "cls.predictions.decoder.weight" not in tensors
    if with_decoder:
        tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone()
        tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].clone()
    if old_names:
        tensors = {old_name(name): tensor for name, tensor in tensors.items()}
        assert "cls.predictions.transform.LayerNorm.gamma" in tensors
    save_file(tensors, str(tmp_path / "model.safetensors"))
    (tmp_path / "config.json").write_bytes((saved / "config.json").read_bytes())
    assert_same_answers(BertForMaskedLM.from_pretrained(tmp_path), theirs)


@torch.inference_mode()
def test_their_pretraining_checkpoint_gives_encoder_pooler_and_head(tmp_path: Path) -> None:
    theirs = transformers.BertForPreTraining._from_config(their_config(), attn_implementation="eager").eval()
    randomise(theirs)
    theirs.save_pretrained(tmp_path)
    ours, batch = BertForMaskedLM.from_pretrained(tmp_path), masked_batch()
    labels = batch.pop("labels")
    expected = theirs(**batch)
    real = batch["attention_mask"].bool()
    assert_close(ours(**batch, labels=labels).logits[real], expected.prediction_logits[real])
    assert_close(ours.bert(**batch).pooler_output, theirs.bert(**batch).pooler_output)


@torch.inference_mode()
@pytest.mark.parametrize("half", [False, True])
def test_ours_loads_there_with_nothing_missing(tmp_path: Path, half: bool) -> None:
    torch.manual_seed(3)
    ours = BertForMaskedLM(CONFIG).eval()
    randomise(ours)
    ours.save_pretrained(tmp_path, half=half)
    answer: Any = transformers.BertForMaskedLM.from_pretrained(
        tmp_path, output_loading_info=True, attn_implementation="eager"
    )
    theirs, report = answer
    assert not report["missing_keys"]
    assert not report["mismatched_keys"]
    assert set(report["unexpected_keys"]) == POOLER  # ours keeps it for the classifier that comes next
    assert_same_answers(BertForMaskedLM.from_pretrained(tmp_path), theirs.eval())
    auto = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert type(auto) is transformers.BertForMaskedLM
    assert auto.config.architectures == ["BertForMaskedLM"]


def test_gradients_agree(theirs: Any, tmp_path: Path) -> None:
    """Without dropout; that of the word embeddings sums what comes from both of their uses."""
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    reference = transformers.BertForMaskedLM._from_config(their_config(**none), attn_implementation="eager")
    reference.load_state_dict(theirs.state_dict())
    reference.save_pretrained(tmp_path)
    ours, batch = BertForMaskedLM.from_pretrained(tmp_path), masked_batch()
    reference.train()(**batch).loss.backward()
    ours.train()(**batch).loss.backward()
    names = {
        "bert.embeddings.word.weight": "bert.embeddings.word_embeddings.weight",
        "bert.layers.0.attention.query.weight": "bert.encoder.layer.0.attention.self.query.weight",
        "cls.predictions.transform.dense.weight": "cls.predictions.transform.dense.weight",
        "cls.predictions.transform.LayerNorm.bias": "cls.predictions.transform.LayerNorm.bias",
        "cls.predictions.bias": "cls.predictions.bias",
    }
    for our_name, their_name in names.items():
        assert_close(ours.get_parameter(our_name).grad, reference.get_parameter(their_name).grad)
