"""BERT with both of its pre-training heads against `transformers` (eager attention, single precision, evaluation mode).

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

from polarbert.model import BertConfig, BertForMaskedLM, BertForPreTraining, BertForSequenceClassification, Packed

CONFIG = BertConfig.tiny(vocab_size=300, hidden_size=48, intermediate_size=96)
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def assert_close(ours: Tensor | None, theirs: Tensor | None) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def make_theirs(kind: Any = transformers.BertForPreTraining, **changes: Any) -> Any:
    values = {name: value for name, value in CONFIG.to_dict().items() if name != "model_type"} | changes
    model = kind._from_config(transformers.BertConfig(**values), attn_implementation="eager").eval()
    randomise(model)
    return model


def randomise(model: nn.Module) -> None:
    """Move every tensor away from its initial value by as much as training might."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05 if parameter.ndim > 1 else 0.2)


def pairs() -> dict[str, Tensor]:
    """Pairs of 20, 13 and 4 pieces, padded; a third of the real pieces is to be predicted."""
    torch.manual_seed(1)
    places = torch.arange(20)
    mask = places < torch.tensor([[20], [13], [4]])
    ids = torch.randint(1, 300, (3, 20)) * mask
    chosen = mask & (torch.rand(3, 20) < 0.33)
    return {
        "input_ids": torch.where(chosen, 103, ids),
        "attention_mask": mask.long(),
        "token_type_ids": ((places >= torch.tensor([[9], [5], [2]])) & mask).long(),
        "labels": torch.where(chosen, ids, -100),
        "next_sentence_label": torch.tensor([1, 0, 1]),
    }


@pytest.fixture(scope="module")
def theirs() -> Any:
    return make_theirs()


@pytest.fixture(scope="module")
def saved(theirs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("theirs")
    theirs.save_pretrained(directory)
    return directory


def assert_same_answers(ours: BertForPreTraining, theirs: Any) -> None:
    batch = pairs()
    real = batch["attention_mask"].bool()
    assert int((batch["labels"] != -100).sum()) >= 8
    our_output, their_output = ours(**batch), theirs(**batch)
    assert_close(our_output.prediction_logits[real], their_output.prediction_logits[real])
    assert_close(our_output.seq_relationship_logits, their_output.seq_relationship_logits)
    assert_close(our_output.loss, their_output.loss)
    assert float(their_output.prediction_logits[real].std()) > 0.2, "parity of constants would prove nothing"
    assert float(their_output.seq_relationship_logits.std(0).min()) > 1e-3


@torch.inference_mode()
def test_theirs_loads_here(theirs: Any, saved: Path) -> None:
    ours = BertForPreTraining.from_pretrained(saved)
    assert not ours.training
    assert_same_answers(ours, theirs)


@torch.inference_mode()
@pytest.mark.parametrize("half", [False, True])
def test_ours_loads_there_with_nothing_missing_or_left_over(tmp_path: Path, half: bool) -> None:
    torch.manual_seed(3)
    ours = BertForPreTraining(CONFIG).eval()
    randomise(ours)
    ours.save_pretrained(tmp_path, half=half)
    answer: Any = transformers.BertForPreTraining.from_pretrained(
        tmp_path, output_loading_info=True, attn_implementation="eager"
    )
    theirs, report = answer
    assert [report[f"{kind}_keys"] for kind in ("missing", "mismatched", "unexpected")] == [set()] * 3
    assert_same_answers(BertForPreTraining.from_pretrained(tmp_path), theirs.eval())
    auto = transformers.AutoModelForPreTraining.from_pretrained(tmp_path)
    assert type(auto) is transformers.BertForPreTraining
    assert auto.config.architectures == ["BertForPreTraining"]


@torch.inference_mode()
def test_a_packed_batch_gives_their_logits_and_loss_at_the_masked_positions(theirs: Any, saved: Path) -> None:
    batch = pairs()
    expected = theirs(**batch)
    packed = Packed.from_padded(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
    labels = batch["labels"][batch["attention_mask"].bool()]  # (N,)
    positions = (labels != -100).nonzero()[:, 0]
    found = BertForPreTraining.from_pretrained(saved)(
        packed, labels=labels[positions], positions=positions, next_sentence_label=batch["next_sentence_label"]
    )
    assert found.prediction_logits.shape == (len(positions), 300)
    assert_close(found.prediction_logits, expected.prediction_logits[batch["labels"] != -100])
    assert_close(found.seq_relationship_logits, expected.seq_relationship_logits)
    assert_close(found.loss, expected.loss)


@torch.inference_mode()
@pytest.mark.parametrize("with_decoder", [False, True])
@pytest.mark.parametrize("old_names", [False, True])
def test_checkpoints_of_other_times_load_here(
    theirs: Any, saved: Path, tmp_path: Path, with_decoder: bool, old_names: bool
) -> None:
    """Norms called gamma and beta, and the tied decoder stored a second time or not, as in BERT's own files."""
    tensors = load_file(str(saved / "model.safetensors"))
    if with_decoder:
        tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone()
        tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].clone()
    if old_names:
        for name in [name for name in tensors if "LayerNorm" in name]:
            new = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
            tensors[new] = tensors.pop(name)
    save_file(tensors, str(tmp_path / "model.safetensors"))
    (tmp_path / "config.json").write_bytes((saved / "config.json").read_bytes())
    assert_same_answers(BertForPreTraining.from_pretrained(tmp_path), theirs)


@torch.inference_mode()
def test_their_masked_lm_gets_a_new_next_sentence_head_here(tmp_path: Path) -> None:
    theirs = make_theirs(transformers.BertForMaskedLM)
    theirs.save_pretrained(tmp_path)
    ours, batch = BertForPreTraining.from_masked_lm(tmp_path).eval(), pairs()
    next_sentence_label = batch.pop("next_sentence_label")
    real, expected = batch["attention_mask"].bool(), theirs(**batch)
    found = ours(**batch, next_sentence_label=next_sentence_label)
    assert_close(found.prediction_logits[real], expected.logits[real])
    assert_close(found.loss - found.next_sentence_losses.mean(), expected.loss)
    assert found.seq_relationship_logits.shape == (3, 2)


@torch.inference_mode()
def test_what_is_saved_is_a_start_for_the_other_models_in_both_libraries(theirs: Any, saved: Path) -> None:
    batch = pairs()
    batch.pop("next_sentence_label")
    real = batch["attention_mask"].bool()
    labels = batch.pop("labels")
    expected = theirs(**batch)
    masked_lm = BertForMaskedLM.from_pretrained(saved)
    assert_close(masked_lm(**batch, labels=labels).logits[real], expected.prediction_logits[real])
    classifier = BertForSequenceClassification.from_encoder(saved, ["no", "yes"]).eval()
    assert_close(classifier.bert(**batch).pooler_output, theirs.bert(**batch).pooler_output)
    assert classifier(**batch).logits.shape == (3, 2)


@pytest.mark.parametrize("is_packed", [False, True])
def test_gradients_agree(tmp_path: Path, is_packed: bool) -> None:
    """Without dropout; that of the word embeddings sums what comes from both of their uses."""
    reference = make_theirs(**NO_DROPOUT)
    reference.save_pretrained(tmp_path)
    ours, batch = BertForPreTraining.from_pretrained(tmp_path), pairs()
    reference.train()(**batch).loss.backward()
    if is_packed:
        mask = batch.pop("attention_mask").bool()
        packed = Packed.from_padded(batch.pop("input_ids"), mask, batch.pop("token_type_ids"))
        ours.train()(
            packed, labels=batch["labels"][mask], next_sentence_label=batch["next_sentence_label"]
        ).loss.backward()
    else:
        ours.train()(**batch).loss.backward()
    names = {
        "bert.embeddings.word.weight": "bert.embeddings.word_embeddings.weight",
        "bert.embeddings.position.weight": "bert.embeddings.position_embeddings.weight",
        "bert.layers.0.attention.query.weight": "bert.encoder.layer.0.attention.self.query.weight",
        "bert.pooler.dense.weight": "bert.pooler.dense.weight",
        "cls.predictions.transform.LayerNorm.bias": "cls.predictions.transform.LayerNorm.bias",
        "cls.predictions.bias": "cls.predictions.bias",
        "cls.seq_relationship.weight": "cls.seq_relationship.weight",
        "cls.seq_relationship.bias": "cls.seq_relationship.bias",
    }
    for our_name, their_name in names.items():
        assert_close(ours.get_parameter(our_name).grad, reference.get_parameter(their_name).grad)
