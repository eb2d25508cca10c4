"""The classifier: one output layer over the pooled [CLS], and its label names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from polarbert.errors import BundleError, WeightsError
from polarbert.model import BertConfig, BertEncoder, BertForSequenceClassification
from polarbert.model.heads import read_labels

SMALL = BertConfig.tiny(vocab_size=50, hidden_size=32, intermediate_size=64)


@pytest.fixture
def model() -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(SMALL, ["bad", "fine", "good"]).eval()


def test_logits_are_a_linear_layer_over_the_pooled_cls(model: BertForSequenceClassification) -> None:
    ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    pooled = model.bert(ids).pooler_output
    expected = pooled @ model.classifier.weight.T + model.classifier.bias
    torch.testing.assert_close(model(ids).logits, expected)
    assert sum(p.numel() for p in model.parameters()) == SMALL.parameter_count() + 32 * 3 + 3


def test_loss_is_the_mean_cross_entropy(model: BertForSequenceClassification) -> None:
    ids, labels = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([2, 0])
    out = model(ids, labels=labels)
    chances = out.logits.softmax(-1)
    expected = -(chances[0, 2].log() + chances[1, 0].log()) / 2
    torch.testing.assert_close(out.loss, expected)
    assert model(ids).loss is None


def test_saved_and_loaded_it_answers_alike(model: BertForSequenceClassification, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    loaded = BertForSequenceClassification.from_pretrained(tmp_path)
    ids = torch.tensor([[1, 2, 3]])
    assert loaded.labels == ["bad", "fine", "good"]
    assert not loaded.training
    assert torch.equal(loaded(ids).logits, model(ids).logits)


def test_from_encoder_takes_the_encoder_of_a_classifier_and_leaves_its_head(
    model: BertForSequenceClassification, tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path)
    ids = torch.tensor([[1, 2, 3]])
    started = BertForSequenceClassification.from_encoder(tmp_path, ["no", "yes"]).eval()
    assert torch.equal(started.bert(ids).pooler_output, model.bert(ids).pooler_output)
    assert started(ids).logits.shape == (1, 2)


def test_from_encoder_takes_a_bare_encoder(tmp_path: Path) -> None:
    encoder = BertEncoder(SMALL).eval()
    encoder.save_pretrained(tmp_path)
    ids = torch.tensor([[1, 2, 3]])
    started = BertForSequenceClassification.from_encoder(tmp_path, ["no", "yes"]).eval()
    assert torch.equal(started.bert(ids).last_hidden_state, encoder(ids).last_hidden_state)


def test_a_bare_encoder_is_no_classifier(tmp_path: Path) -> None:
    BertEncoder(SMALL).save_pretrained(tmp_path)
    with pytest.raises(BundleError, match="id2label"):
        BertForSequenceClassification.from_pretrained(tmp_path)


def test_label_names_and_output_layer_must_agree(model: BertForSequenceClassification, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    config["id2label"] = {"0": "bad", "1": "good"}
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(WeightsError, match=r"classifier\.weight.*\(3, 32\).*\(2, 32\)"):
        BertForSequenceClassification.from_pretrained(tmp_path)


def test_labels_are_read_in_number_order(tmp_path: Path) -> None:
    names = [f"class {number}" for number in range(12)]
    stored = {str(number): names[number] for number in reversed(range(12))}
    (tmp_path / "config.json").write_text(json.dumps({"id2label": stored}), "utf-8")
    assert read_labels(tmp_path) == names


@pytest.mark.parametrize("stored", [None, {}, ["a", "b"], {"one": "a"}, {"0": "a", "2": "b"}])
def test_labels_that_number_no_classes_are_refused(tmp_path: Path, stored: object) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"id2label": stored}), "utf-8")
    with pytest.raises(BundleError, match="id2label"):
        read_labels(tmp_path)
