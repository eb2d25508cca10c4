"""The tagger: one output layer over the vector at every position, and no pooler."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from polarbert.errors import WeightsError
from polarbert.model import (
    BertConfig,
    BertEncoder,
    BertForSequenceClassification,
    BertForTokenClassification,
    Packed,
)
from polarbert.model.weights import stored_tensors

SMALL = BertConfig.tiny(vocab_size=50, hidden_size=32, intermediate_size=64)
LABELS = ["O", "B-place", "I-place"]
IDS = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])


@pytest.fixture
def model() -> BertForTokenClassification:
    torch.manual_seed(0)
    return BertForTokenClassification(SMALL, LABELS).eval()


def test_logits_are_a_linear_layer_over_each_vector(model: BertForTokenClassification) -> None:
    hidden = model.bert(IDS).last_hidden_state
    torch.testing.assert_close(model(IDS).logits, hidden @ model.classifier.weight.T + model.classifier.bias)
    assert model(IDS).logits.shape == (2, 4, 3)
    pooler = 32 * 32 + 32
    assert sum(p.numel() for p in model.parameters()) == SMALL.parameter_count() - pooler + 32 * 3 + 3


def test_positions_alone_give_what_all_would(model: BertForTokenClassification) -> None:
    chosen = torch.tensor([1, 3, 6])
    logits = model(IDS, positions=chosen).logits
    torch.testing.assert_close(logits, model(IDS).logits.flatten(0, 1)[chosen])
    assert model(IDS, positions=torch.empty(0, dtype=torch.long)).logits.shape == (0, 3)


def test_loss_is_the_mean_over_the_labelled_positions(model: BertForTokenClassification) -> None:
    labels = torch.tensor([[-100, 2, -100, 0], [-100, -100, 1, -100]])
    chances = model(IDS).logits.log_softmax(-1)
    expected = -(chances[0, 1, 2] + chances[0, 3, 0] + chances[1, 2, 1]) / 3
    torch.testing.assert_close(model(IDS, labels=labels).loss, expected)
    chosen = torch.tensor([1, 3, 6])
    torch.testing.assert_close(model(IDS, labels=torch.tensor([2, 0, 1]), positions=chosen).loss, expected)
    assert model(IDS).loss is None


def test_a_packed_batch_gives_the_logits_of_a_padded_one(model: BertForTokenClassification) -> None:
    texts = [[1, 2, 3, 4], [5, 6]]
    padded = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]])
    mask = padded > 0
    packed = model(Packed.from_texts(texts)).logits
    assert packed.shape == (6, 3)
    torch.testing.assert_close(packed, model(padded, mask).logits[mask], atol=1e-5, rtol=0)


def test_every_tensor_learns(model: BertForTokenClassification) -> None:
    """So that processes which average gradients find one for each."""
    model.train()(IDS, labels=torch.ones_like(IDS)).loss.backward()
    assert [name for name, tensor in model.named_parameters() if tensor.grad is None] == []


def test_saved_and_loaded_it_answers_alike(model: BertForTokenClassification, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    loaded = BertForTokenClassification.from_pretrained(tmp_path)
    assert loaded.labels == LABELS
    assert not loaded.training
    assert torch.equal(loaded(IDS).logits, model(IDS).logits)
    assert [name for name in stored_tensors(tmp_path) if "pooler" in name] == []


def test_a_tagger_starts_from_any_encoder(model: BertForTokenClassification, tmp_path: Path) -> None:
    encoder = BertEncoder(SMALL).eval()
    encoder.save_pretrained(tmp_path / "encoder")
    BertForSequenceClassification(SMALL, ["no", "yes"]).save_pretrained(tmp_path / "classifier")
    model.save_pretrained(tmp_path / "tagger")
    for name in ("encoder", "classifier", "tagger"):
        started = BertForTokenClassification.from_encoder(tmp_path / name, ["O", "B-x"]).eval()
        assert started(IDS).logits.shape == (2, 4, 2)
    started = BertForTokenClassification.from_encoder(tmp_path / "tagger", ["O", "B-x"]).eval()
    assert torch.equal(started.bert(IDS).last_hidden_state, model.bert(IDS).last_hidden_state)
    assert not torch.equal(started.classifier.weight, model.classifier.weight[:2])


def test_a_checkpoint_with_a_pooler_loads_and_leaves_it(model: BertForTokenClassification, tmp_path: Path) -> None:
    """Checkpoints of earlier versions of `transformers` have one."""
    classifier = BertForSequenceClassification(SMALL, LABELS).eval()
    classifier.save_pretrained(tmp_path)
    loaded = BertForTokenClassification.from_pretrained(tmp_path)
    hidden = classifier.bert(IDS).last_hidden_state
    torch.testing.assert_close(loaded(IDS).logits, classifier.classifier(hidden))


def test_an_output_layer_that_is_missing_is_named(tmp_path: Path, model: BertForTokenClassification) -> None:
    import json

    BertEncoder(SMALL).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"id2label": {"0": "O", "1": "B-x"}}), "utf-8")
    with pytest.raises(WeightsError, match=r"classifier\.weight"):
        BertForTokenClassification.from_pretrained(tmp_path)
