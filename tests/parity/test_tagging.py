"""Taggers against `transformers` (single precision, evaluation mode), in both directions.

Weights are random in every tensor, norms and biases too, so that no two may be mistaken for one another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from polarbert.inference.tagger import Tagger
from polarbert.model import BertConfig, BertForTokenClassification

pytest_plugins = ["tests.tagging_fixtures"]

CONFIG = BertConfig.tiny(vocab_size=300, hidden_size=48, intermediate_size=96)
LABELS = {0: "O", 1: "B-place", 2: "I-place", 3: "B-product", 4: "I-product"}


def their_config() -> transformers.BertConfig:
    values = {name: value for name, value in CONFIG.to_dict().items() if name != "model_type"}
    return transformers.BertConfig(**values, id2label=LABELS, label2id={name: n for n, name in LABELS.items()})


def randomise(model: nn.Module) -> None:
    """Move every tensor away from its initial value by as much as training might."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05 if parameter.ndim > 1 else 0.2)


def tagged_batch() -> dict[str, Tensor]:
    """Texts of 20, 13 and 4 pieces, padded; the first pieces of words are labelled."""
    torch.manual_seed(1)
    places = torch.arange(20)
    mask = places < torch.tensor([[20], [13], [4]])
    ids = torch.randint(1, 300, (3, 20)) * mask
    labels = torch.where(mask & (torch.rand(3, 20) < 0.5), torch.randint(0, 5, (3, 20)), -100)
    return {"input_ids": ids, "attention_mask": mask.long(), "labels": labels}


def assert_same_answers(ours: BertForTokenClassification, theirs: Any) -> None:
    batch = tagged_batch()
    real = batch["attention_mask"].bool()
    our_output, their_output = ours(**batch), theirs(**batch)
    assert our_output.logits.shape == (3, 20, 5)
    torch.testing.assert_close(our_output.logits[real], their_output.logits[real], atol=1e-5, rtol=0)
    torch.testing.assert_close(our_output.loss, their_output.loss, atol=1e-5, rtol=0)
    assert float(their_output.logits[real].std()) > 0.2, "parity of constants would prove nothing"


@torch.inference_mode()
def test_their_tagger_loads_here(tmp_path: Path) -> None:
    theirs = transformers.BertForTokenClassification(their_config()).eval()
    randomise(theirs)
    theirs.save_pretrained(tmp_path)
    ours = BertForTokenClassification.from_pretrained(tmp_path)
    assert ours.labels == list(LABELS.values())
    assert_same_answers(ours, theirs)


@torch.inference_mode()
@pytest.mark.parametrize("half", [False, True])
def test_our_tagger_loads_there_without_a_key_too_many_or_too_few(tmp_path: Path, half: bool) -> None:
    ours = BertForTokenClassification(CONFIG, list(LABELS.values())).eval()
    randomise(ours)
    if half:
        ours.half().float()
    ours.save_pretrained(tmp_path, half=half)
    loaded: Any = transformers.AutoModelForTokenClassification.from_pretrained(tmp_path, output_loading_info=True)
    theirs, report = loaded
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert type(theirs).__name__ == "BertForTokenClassification"
    assert theirs.config.id2label == LABELS
    assert_same_answers(ours, theirs.eval())


def test_gradients_agree(tmp_path: Path) -> None:
    """Without dropout, training computes the reference's gradient too."""
    config = their_config()
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    theirs = transformers.BertForTokenClassification(config)
    randomise(theirs)
    theirs.save_pretrained(tmp_path)
    ours, batch = BertForTokenClassification.from_pretrained(tmp_path), tagged_batch()
    theirs.train()(**batch).loss.backward()
    ours.train()(**batch).loss.backward()
    names = {
        "bert.embeddings.word.weight": "bert.embeddings.word_embeddings.weight",
        "bert.layers.0.attention.query.weight": "bert.encoder.layer.0.attention.self.query.weight",
        "classifier.weight": "classifier.weight",
    }
    for our_name, their_name in names.items():
        expected = theirs.get_parameter(their_name).grad
        torch.testing.assert_close(ours.get_parameter(our_name).grad, expected, atol=1e-5, rtol=0)


def test_their_pipeline_finds_our_entities(tagger: Tagger) -> None:
    """On words of one piece: its "simple" grouping asks every piece, and we the first of each word."""
    texts = ["the phone version works very good", "a new hotel and my app", "it is 1 day"]
    pipeline: Any = transformers.pipeline(
        "token-classification", model=str(tagger.bundle.path), aggregation_strategy="simple"
    )
    theirs = [[(e["entity_group"], e["start"], e["end"]) for e in found] for found in pipeline(texts)]
    ours = tagger.predict(texts)
    assert [[(e.type, e.start, e.end) for e in answer.entities] for answer in ours] == theirs
    assert sum(map(len, theirs)) == 3
