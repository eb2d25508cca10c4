"""A small tagger that is trained and run for real.

A test module takes these fixtures with `pytest_plugins = ["tests.tagging_fixtures"]`. It may also import from here,
which comes before pytest loads the plugin; so the plugin is not to be rewritten: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from polarbert.bundle import Bundle
from polarbert.calibration import Calibration
from polarbert.data.dataset import Dataset, LabelledText
from polarbert.data.tagged import tagged_text
from polarbert.export.graph import build_graph
from polarbert.inference.engine import Ids
from polarbert.inference.tagger import Tagger
from polarbert.model import BertConfig, BertForTokenClassification
from polarbert.text import WordPieceTokenizer
from polarbert.training.loop import train
from polarbert.training.run import RunDirectory
from polarbert.training.settings import TrainSettings
from polarbert.training.tagging import TaggingTask, encode_tagged

TAGS = ["O", "B-place", "I-place", "B-product", "I-product"]
WINDOW, OVERLAP = 64, 16
SETTINGS = TrainSettings(
    epochs=4,
    batch_tokens=512,
    learning_rate=3e-3,
    precision="fp32",
    evaluations=1,
    checkpoint_seconds=1e9,
    threads=1,
)
FILLERS = "the a it is was very good bad so and this my day week broke works love hate never always . , ! ...".split()
PRODUCTS = "app phone camera game".split()
PLACES = "hotel shop room".split()


def tagged_rows(count: int, seed: int) -> list[LabelledText]:
    """Fillers and numbers around products, some of them in a version ("phone version"), and places ("new hotel")."""
    draw = random.Random(seed)
    rows: list[LabelledText] = []
    for row in range(1, count + 1):
        words: list[str] = []
        tags: list[int] = []
        for _ in range(draw.choice([1, 2, 3, 4, 12])):
            fillers = draw.choices(FILLERS, k=draw.randint(1, 3))
            words += fillers
            tags += [0] * len(fillers)
            kind = draw.choice(["product", "version", "place", "none"])
            if kind == "none":
                words.append(draw.choice("123"))
                tags.append(0)
            elif kind == "place":
                words += ["new", draw.choice(PLACES)]
                tags += [1, 2]
            else:
                words.append(draw.choice(PRODUCTS))
                tags.append(3)
                if kind == "version":
                    words.append("version")
                    tags.append(4)
        rows.append(tagged_text(words, tags, row))
    return rows


def tagged_dataset(count: int, seed: int) -> Dataset:
    """Such rows as a dataset."""
    return Dataset("made.conll", tagged_rows(count, seed), TAGS, "tagging")


class StandIn:
    """An engine that computes the logits of each piece from its id and its place, as a function says."""

    name = "stand-in"
    threads = 1

    def __init__(self, labels: int) -> None:
        self.labels = labels
        self.batches: list[Ids] = []

    def logits(self, input_ids: Ids, attention_mask: Ids, _segments: Ids) -> NDArray[np.float32]:
        self.batches.append(input_ids)
        lengths = attention_mask.sum(1, keepdims=True)
        places = np.arange(input_ids.shape[1])[None, :]
        edge = np.minimum(places, lengths - 1 - places)  # pieces to the nearer end of the window, [CLS] or [SEP]
        logits = np.zeros((*input_ids.shape, self.labels), np.float32)
        logits[..., 0] = -edge
        return logits


@pytest.fixture(scope="session")
def trained_tagger_dir(
    tmp_path_factory: pytest.TempPathFactory, vocab: list[str], tokenizer: WordPieceTokenizer
) -> Path:
    """A BERT of two layers that knows products and places, in the Hugging Face layout."""
    torch.manual_seed(1)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "max_position_embeddings": WINDOW}
    model = BertForTokenClassification(BertConfig.tiny(vocab_size=len(vocab), initializer_range=0.05, **sizes), TAGS)
    learned, judging = (encode_tagged(tagged_rows(*made), tokenizer, WINDOW).examples for made in ((700, 1), (100, 2)))
    run = RunDirectory(tmp_path_factory.mktemp("tagger") / "run")
    task = TaggingTask(learned, {"dev": judging}, TAGS, tokenizer, SETTINGS)
    summary = train(model, task, SETTINGS, run, quiet=True)
    assert summary["best_score"] > 0.97, "the small tagger of the tests did not learn its words"
    return run.best


@pytest.fixture(scope="session")
def tagger_bundle(trained_tagger_dir: Path) -> Bundle:
    """The small tagger with a float graph that scores. Read it only."""
    model = BertForTokenClassification.from_pretrained(trained_tagger_dir)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    graph = build_graph(model.config, weights, model.labels, of_pieces=True)
    (trained_tagger_dir / "model.onnx").write_bytes(graph.SerializeToString())
    bundle = Bundle(
        trained_tagger_dir,
        "tagging",
        TAGS,
        "model.onnx",
        "float32",
        Calibration(1.25, 0.6),
        WINDOW,
        OVERLAP,
    )
    bundle.write()
    return Bundle.open(trained_tagger_dir)


@pytest.fixture(scope="session")
def tagger(tagger_bundle: Bundle) -> Tagger:
    """The bundle, loaded on ONNX Runtime."""
    return Tagger(tagger_bundle, threads=1)


def stand_in_tagger(bundle: Bundle, labels: Sequence[str] = TAGS) -> tuple[Tagger, StandIn]:
    """A tagger whose network is a `StandIn`, without a temperature."""
    engine = StandIn(len(labels))
    made = Tagger(replace(bundle, labels=list(labels), calibration=Calibration()), engine=engine)
    return made, engine
