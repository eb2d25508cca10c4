"""The network and its checkpoints against `transformers` (eager attention, single precision, evaluation mode).

Weights are random in every tensor, norms and biases too, so that no two may be mistaken for one another.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from polarbert.model import BertConfig, BertEncoder, BertForSequenceClassification

# The layers and widths of the presets over a small vocabulary, which saves memory and changes no computation.
SHAPES = {
    "tiny": BertConfig.tiny(vocab_size=1000),
    "transformer": BertConfig.transformer(vocab_size=1000),
    "base": BertConfig.base(vocab_size=1000),
    "large": BertConfig.large(vocab_size=1000),
}
LABELS = {0: "negative", 1: "neutral", 2: "positive"}


@dataclass
class Pair:
    """The same network twice, and the directory that theirs was saved in."""

    theirs: Any
    ours: BertEncoder
    directory: Path


def assert_close(ours: Tensor | None, theirs: Tensor | None) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def their_config(config: BertConfig, **more: Any) -> transformers.BertConfig:
    values = {name: value for name, value in config.to_dict().items() if name != "model_type"}
    return transformers.BertConfig(**values, **more)


def randomise(model: nn.Module) -> None:
    """Move every tensor away from its initial value by as much as training might."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02 if parameter.ndim > 1 else 0.1)


def ragged_batch() -> dict[str, Tensor]:
    """Texts of 24, 17, 9 and 3 pieces, padded; all but the last have two segments."""
    torch.manual_seed(1)
    lengths, seconds = torch.tensor([[24], [17], [9], [3]]), torch.tensor([[10], [15], [4], [99]])
    places = torch.arange(24)
    mask = places < lengths
    ids = torch.randint(1, 1000, (4, 24)) * mask
    segments = ((places >= seconds) & mask).long()
    return {"input_ids": ids, "attention_mask": mask.long(), "token_type_ids": segments}


@pytest.fixture(scope="module", params=SHAPES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Theirs, saved by them and loaded by us."""
    directory = tmp_path_factory.mktemp("pair")
    theirs = transformers.BertModel._from_config(
        their_config(SHAPES[request.param]), attn_implementation="eager"
    ).eval()
    randomise(theirs)
    theirs.save_pretrained(directory)
    yield Pair(theirs, BertEncoder.from_pretrained(directory), directory)
    shutil.rmtree(directory)


@torch.inference_mode()
def test_every_hidden_state_and_the_pooler_agree(pair: Pair) -> None:
    batch = ragged_batch()
    theirs = pair.theirs(**batch, output_hidden_states=True)
    ours = pair.ours(**batch, output_hidden_states=True)
    real = batch["attention_mask"].bool()
    assert len(ours.hidden_states) == len(theirs.hidden_states) == pair.ours.config.num_hidden_layers + 1
    for our_state, their_state in zip(ours.hidden_states, theirs.hidden_states, strict=True):
        assert_close(our_state[real], their_state[real])
    assert_close(ours.pooler_output, theirs.pooler_output)


@torch.inference_mode()
def test_attentions_agree(pair: Pair) -> None:
    batch = ragged_batch()
    theirs = pair.theirs(**batch, output_hidden_states=True, output_attentions=True)
    ours = pair.ours(**batch, output_hidden_states=True, output_attentions=True)
    real = batch["attention_mask"].bool()
    for our_weights, their_weights in zip(ours.attentions, theirs.attentions, strict=True):
        assert_close(our_weights.transpose(1, 2)[real], their_weights.transpose(1, 2)[real])
    assert_close(ours.last_hidden_state[real], theirs.last_hidden_state[real])


@torch.inference_mode()
def test_the_answers_differ_between_texts(pair: Pair) -> None:
    """Parity of constants would prove nothing."""
    pooled = pair.ours(**ragged_batch()).pooler_output
    assert float(torch.pdist(pooled).min()) > 0.1


def test_what_we_save_they_load_bit_for_bit(pair: Pair, tmp_path: Path) -> None:
    pair.ours.save_pretrained(tmp_path)
    answer: Any = transformers.BertModel.from_pretrained(tmp_path, output_loading_info=True)
    loaded, report = answer
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    expected = pair.theirs.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())
    shutil.rmtree(tmp_path)


@torch.inference_mode()
def test_all_positions_agree(tmp_path: Path) -> None:
    theirs = transformers.BertModel(their_config(SHAPES["tiny"])).eval()
    randomise(theirs)
    theirs.save_pretrained(tmp_path)
    ids = torch.randint(1, 1000, (1, 512))
    ours = BertEncoder.from_pretrained(tmp_path)(ids).last_hidden_state
    assert_close(ours, theirs(ids).last_hidden_state)


@pytest.mark.parametrize("preset", ["base", "large"])
def test_parameters_are_as_many_as_theirs(preset: str) -> None:
    config = BertConfig.base() if preset == "base" else BertConfig.large()
    with torch.device("meta"):
        theirs, ours = transformers.BertModel(their_config(config)), BertEncoder(config)
    count = sum(parameter.numel() for parameter in theirs.parameters())
    assert count == sum(parameter.numel() for parameter in ours.parameters()) == config.parameter_count()


@pytest.fixture(scope="module")
def their_classifier() -> Any:
    """A classifier of theirs with three named labels."""
    label2id = {name: number for number, name in LABELS.items()}
    config = their_config(SHAPES["tiny"], id2label=LABELS, label2id=label2id)
    model = transformers.BertForSequenceClassification(config).eval()
    randomise(model)
    return model


@torch.inference_mode()
def test_their_classifier_loads_here(their_classifier: Any, tmp_path: Path) -> None:
    their_classifier.save_pretrained(tmp_path)
    ours, batch = BertForSequenceClassification.from_pretrained(tmp_path), ragged_batch()
    assert ours.labels == list(LABELS.values())
    assert_close(ours(**batch).logits, their_classifier(**batch).logits)


@torch.inference_mode()
def test_our_classifier_loads_there(tmp_path: Path) -> None:
    ours = BertForSequenceClassification(SHAPES["tiny"], list(LABELS.values())).eval()
    randomise(ours)
    ours.save_pretrained(tmp_path)
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    batch = ragged_batch()
    assert theirs.config.id2label == LABELS
    assert_close(theirs(**batch).logits, ours(**batch).logits)
    labels = torch.tensor([0, 2, 1, 1])
    assert_close(theirs(**batch, labels=labels).loss, ours(**batch, labels=labels).loss)


@torch.inference_mode()
def test_their_sharded_checkpoint_loads_here(their_classifier: Any, tmp_path: Path) -> None:
    their_classifier.save_pretrained(tmp_path, max_shard_size="300KB")
    assert len(list(tmp_path.glob("model-*-of-*.safetensors"))) > 2
    assert not (tmp_path / "model.safetensors").exists()
    ours, batch = BertForSequenceClassification.from_pretrained(tmp_path), ragged_batch()
    assert_close(ours(**batch).logits, their_classifier(**batch).logits)


@torch.inference_mode()
def test_their_pretraining_checkpoint_gives_its_encoder(tmp_path: Path) -> None:
    theirs = transformers.BertForPreTraining(their_config(SHAPES["tiny"])).eval()
    randomise(theirs)
    theirs.save_pretrained(tmp_path)
    ours, batch = BertEncoder.from_pretrained(tmp_path), ragged_batch()
    expected = theirs.bert(**batch).pooler_output
    assert_close(ours(**batch).pooler_output, expected)


@torch.inference_mode()
def test_a_pickle_converted_as_its_error_says_loads_with_its_head(their_classifier: Any, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    their_classifier.config.save_pretrained(old)
    torch.save(their_classifier.state_dict(), old / "pytorch_model.bin")
    transformers.AutoModelForSequenceClassification.from_pretrained(old).save_pretrained(new)
    batch = ragged_batch()
    ours = BertForSequenceClassification.from_pretrained(new)(**batch).logits
    assert_close(ours, their_classifier(**batch).logits)


def test_gradients_agree(their_classifier: Any, tmp_path: Path) -> None:
    """Without dropout, training computes the reference's gradient too."""
    changes = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    theirs = transformers.BertForSequenceClassification(
        their_config(BertConfig.tiny(vocab_size=1000, **changes), num_labels=3)
    )
    theirs.load_state_dict(their_classifier.state_dict())
    theirs.save_pretrained(tmp_path)
    ours = BertForSequenceClassification.from_encoder(tmp_path, list(LABELS.values()))
    ours.classifier.load_state_dict(theirs.classifier.state_dict())
    batch, labels = ragged_batch(), torch.tensor([0, 2, 1, 1])
    theirs.train()(**batch, labels=labels).loss.backward()
    ours.train()(**batch, labels=labels).loss.backward()
    names = {
        "bert.embeddings.word.weight": "bert.embeddings.word_embeddings.weight",
        "bert.layers.0.attention.query.weight": "bert.encoder.layer.0.attention.self.query.weight",
        "bert.layers.1.output_norm.bias": "bert.encoder.layer.1.output.LayerNorm.bias",
        "classifier.weight": "classifier.weight",
    }
    for our_name, their_name in names.items():
        assert_close(ours.get_parameter(our_name).grad, theirs.get_parameter(their_name).grad)
