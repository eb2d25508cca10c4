"""Both pre-training heads together: their losses, and what can be loaded from what."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from polarbert.errors import WeightsError
from polarbert.model import (
    BertConfig,
    BertEncoder,
    BertForMaskedLM,
    BertForPreTraining,
    BertForSequenceClassification,
    Packed,
)
from polarbert.model.pretraining import has_next_sentence_head

SMALL = BertConfig.tiny(vocab_size=50, hidden_size=32, intermediate_size=64)
TEXTS = [[1, 2, 3, 4], [5, 6], [7, 8, 9]]
LABELS = torch.tensor([-100, 9, -100, 20, -100, 7, -100, -100, 30])
PAIRS = torch.tensor([0, 1, 1])


@pytest.fixture
def model() -> BertForPreTraining:
    torch.manual_seed(0)
    model = BertForPreTraining(SMALL).eval()
    with torch.no_grad():  # norms and biases too, so that none may be mistaken for another
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture
def saved(model: BertForPreTraining, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def rewrite(directory: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    file = directory / "model.safetensors"
    save_file(change(load_file(str(file))), str(file))


def without(part: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if part not in name}


def test_losses_are_cross_entropies_and_the_loss_the_sum_of_their_means(model: BertForPreTraining) -> None:
    out = model(Packed.from_texts(TEXTS), labels=LABELS, next_sentence_label=PAIRS)
    chances = out.prediction_logits.softmax(-1)
    pieces = -torch.stack([chances[n, LABELS[n]].log() for n in (1, 3, 5, 8)])
    pairs = -out.seq_relationship_logits.softmax(-1)[torch.arange(3), PAIRS].log()
    assert out.masked_lm_losses.shape == (9,)
    assert out.masked_lm_losses.count_nonzero() == 4
    torch.testing.assert_close(out.masked_lm_losses[[1, 3, 5, 8]], pieces)
    torch.testing.assert_close(out.next_sentence_losses, pairs)
    torch.testing.assert_close(out.loss, pieces.mean() + pairs.mean())


def test_losses_of_parts_over_the_totals_add_up_to_that_of_the_batch(model: BertForPreTraining) -> None:
    """What accumulation and several processes rest on, though the parts have different numbers of labels."""
    whole = model(Packed.from_texts(TEXTS), labels=LABELS, next_sentence_label=PAIRS)
    whole.loss.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    total = torch.zeros(())
    for texts, pieces, pairs in ((TEXTS[:1], slice(0, 4), PAIRS[:1]), (TEXTS[1:], slice(4, 9), PAIRS[1:])):
        part = model(Packed.from_texts(texts), labels=LABELS[pieces], next_sentence_label=pairs)
        share = part.masked_lm_losses.sum() / 4 + part.next_sentence_losses.sum() / 3
        share.backward()
        total += share.detach()
    torch.testing.assert_close(total, whole.loss.detach(), atol=1e-6, rtol=0)
    for name, gradient in expected.items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient, atol=1e-6, rtol=0)


def test_either_loss_can_be_had_alone(model: BertForPreTraining) -> None:
    batch = Packed.from_texts(TEXTS)
    neither, pieces = model(batch), model(batch, labels=LABELS)
    pairs = model(batch, next_sentence_label=PAIRS)
    assert (neither.loss, neither.masked_lm_losses, neither.next_sentence_losses) == (None, None, None)
    assert pieces.next_sentence_losses is None
    assert pairs.masked_lm_losses is None
    both = model(batch, labels=LABELS, next_sentence_label=PAIRS).loss
    torch.testing.assert_close(pieces.loss + pairs.loss, both)


def test_no_position_asked_for_costs_no_logits(model: BertForPreTraining) -> None:
    found = model(Packed.from_texts(TEXTS), positions=torch.empty(0, dtype=torch.long))
    assert found.prediction_logits.shape == (0, 50)
    assert torch.equal(found.seq_relationship_logits, model(Packed.from_texts(TEXTS)).seq_relationship_logits)


def test_saved_and_loaded_it_answers_alike(model: BertForPreTraining, saved: Path) -> None:
    loaded = BertForPreTraining.from_pretrained(saved)
    before, after = model(Packed.from_texts(TEXTS)), loaded(Packed.from_texts(TEXTS))
    assert not loaded.training
    assert torch.equal(before.prediction_logits, after.prediction_logits)
    assert torch.equal(before.seq_relationship_logits, after.seq_relationship_logits)
    assert json.loads((saved / "config.json").read_text("utf-8"))["architectures"] == ["BertForPreTraining"]
    assert loaded.head.transform.dense.weight.data_ptr() != model.head.transform.dense.weight.data_ptr()


def test_a_masked_lm_and_a_classifier_start_from_it(model: BertForPreTraining, saved: Path) -> None:
    batch = Packed.from_texts(TEXTS)
    found = BertForMaskedLM.from_pretrained(saved)
    assert torch.equal(found(batch).logits, model(batch).prediction_logits)
    encoder = BertForSequenceClassification.from_encoder(saved, ["no", "yes"]).eval().bert
    assert torch.equal(encoder(batch).pooler_output, model.bert(batch).pooler_output)


def test_a_masked_lm_gets_a_next_sentence_head_on_request_alone(saved: Path) -> None:
    rewrite(saved, without("seq_relationship"))
    assert not has_next_sentence_head(saved)
    with pytest.raises(WeightsError, match=r"no head for next-sentence prediction.*BertForPreTraining\.from_masked_lm"):
        BertForPreTraining.from_pretrained(saved)
    torch.manual_seed(4)
    started = BertForPreTraining.from_masked_lm(saved).eval()
    torch.manual_seed(5)
    again = BertForPreTraining.from_masked_lm(saved).eval()
    batch = Packed.from_texts(TEXTS)
    expected = BertForMaskedLM.from_pretrained(saved)(batch).logits
    assert torch.equal(started(batch).prediction_logits, expected)
    assert not torch.equal(started(batch).seq_relationship_logits, again(batch).seq_relationship_logits)


def test_new_heads_stand_over_an_encoder(model: BertForPreTraining, tmp_path: Path) -> None:
    model.bert.save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match=r"no head for next-sentence.*BertForPreTraining\.from_encoder"):
        BertForPreTraining.from_pretrained(tmp_path)
    torch.manual_seed(4)
    started = BertForPreTraining.from_encoder(tmp_path)
    batch = Packed.from_texts(TEXTS)
    assert torch.equal(started.eval().bert(batch).pooler_output, model.bert(batch).pooler_output)
    weight = started.next_sentence_head.weight.detach()
    assert weight.shape == (2, 32)
    assert 0 < float(weight.abs().max()) <= 0.04, "a normal cut at two standard deviations"
    assert not started.next_sentence_head.bias.any()


def test_without_a_pooler_a_next_sentence_head_has_nothing_to_read(saved: Path) -> None:
    rewrite(saved, without("pooler"))
    with pytest.raises(WeightsError, match=r"no tensor 'bert\.pooler\.dense\.weight'"):
        BertForPreTraining.from_pretrained(saved)


def test_a_decoder_of_its_own_is_refused(saved: Path) -> None:
    rewrite(saved, lambda tensors: tensors | {"cls.predictions.decoder.weight": torch.zeros(50, 32)})
    with pytest.raises(WeightsError, match=r"values of its own.*BertForPreTraining\.from_encoder"):
        BertForPreTraining.from_pretrained(saved)


def test_an_encoder_alone_has_no_head(tmp_path: Path, saved: Path) -> None:
    BertEncoder(SMALL).save_pretrained(tmp_path / "encoder")
    assert has_next_sentence_head(saved)
    assert not has_next_sentence_head(tmp_path / "encoder")
