"""A base, a teacher and a task in which transfer learning shows in seconds.

A test module takes these fixtures with `pytest_plugins = ["tests.transfer_fixtures"]`. It may also import from here,
which comes before pytest loads the plugin; so the plugin is not to be rewritten: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from polarbert.bundle import Bundle
from polarbert.model import BertConfig, BertEncoder, BertForSequenceClassification
from polarbert.text import WordPieceTokenizer, join_segments
from polarbert.training.base import Base
from polarbert.training.batching import Example
from polarbert.training.classification import ClassificationTask
from polarbert.training.loop import Task, train
from polarbert.training.preparation import prepare_model, with_help
from polarbert.training.run import RunDirectory
from polarbert.training.settings import TrainSettings
from polarbert.training.transfer import TransferSettings

LABELS = ["negative", "neutral", "positive"]
WORDS = {0: "bad awful sad", 1: "okay usual normal", 2: "good great happy"}
FILLERS = "the a it is was app phone film book very so and this my day week hotel food shop".split()
TRAINING = TrainSettings(
    epochs=2, batch_tokens=256, learning_rate=2e-3, precision="fp32", evaluations=2, checkpoint_seconds=1e9, threads=1
)


class Prepared(NamedTuple):
    """What the loop is given, and the network alone."""

    model: nn.Module
    task: Task[Any]
    network: BertForSequenceClassification


Prepare = Callable[..., Prepared]


def make_examples(tokenizer: WordPieceTokenizer, count: int, seed: int) -> list[Example]:
    """Texts of fillers round a word that says the label."""
    draw = random.Random(seed)
    examples = []
    for _ in range(count):
        label = draw.choice([0, 1, 2])
        words = draw.choices(FILLERS, k=draw.randint(2, 12))
        words.insert(draw.randint(0, len(words)), draw.choice(WORDS[label].split()))
        ids = tokenizer.encode([" ".join(words)])[0].ids
        examples.append(Example(join_segments(tokenizer.cls_id, tokenizer.sep_id, ids, None), label))
    return examples


def config(vocab: list[str], layers: int = 4, width: int = 32) -> BertConfig:
    sizes = {"hidden_size": width, "intermediate_size": 2 * width, "max_position_embeddings": 64}
    return BertConfig.tiny(vocab_size=len(vocab), num_hidden_layers=layers, initializer_range=0.1, **sizes)


@pytest.fixture(scope="session")
def four_layers(tmp_path_factory: pytest.TempPathFactory, vocab: list[str], tokenizer: WordPieceTokenizer) -> Path:
    """An untrained base of four narrow layers."""
    folder = tmp_path_factory.mktemp("transfer") / "base"
    torch.manual_seed(5)
    BertEncoder(config(vocab)).save_pretrained(folder)
    tokenizer.save(folder)
    return folder


def save_teacher(model: BertForSequenceClassification, tokenizer: WordPieceTokenizer, folder: Path) -> Path:
    """Save a classifier as a bundle; no graph is needed of a teacher."""
    model.save_pretrained(folder)
    tokenizer.save(folder)
    Bundle(folder, "classification", LABELS, "model.onnx", "float32", window=64, overlap=16).write()
    return folder


def train_classifier(model: BertForSequenceClassification, tokenizer: WordPieceTokenizer, folder: Path) -> None:
    """Train a classifier until it knows its words."""
    settings = replace(TRAINING, epochs=6, learning_rate=5e-3, evaluations=1)
    dev = {"dev": make_examples(tokenizer, 60, 2)}
    task = ClassificationTask(make_examples(tokenizer, 300, 1), dev, 3, tokenizer, settings)
    summary = train(model, task, settings, RunDirectory(folder), quiet=True)
    assert summary["best_score"] > 0.9, "the teacher of the tests did not learn its words"


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory, vocab: list[str], tokenizer: WordPieceTokenizer) -> Path:
    """A trained bundle, wider than the base."""
    folder = tmp_path_factory.mktemp("teachers")
    torch.manual_seed(6)
    model = BertForSequenceClassification(config(vocab, width=48), LABELS)
    train_classifier(model, tokenizer, folder / "run")
    return save_teacher(model, tokenizer, folder / "teacher")


@pytest.fixture
def prepare(four_layers: Path, tokenizer: WordPieceTokenizer) -> Prepare:
    """Makes what the loop is given, always from the same weights; every `wrong`-th label is a wrong one."""

    def make(
        training: TrainSettings = TRAINING, rows: int = 120, wrong: int = 0, base: Path = four_layers, **options: Any
    ) -> Prepared:
        transfer = TransferSettings(**options)
        torch.manual_seed(7)
        network = prepare_model(BertForSequenceClassification.from_encoder(base, LABELS), transfer)
        dev = {"dev": make_examples(tokenizer, 40, 2)}
        examples = make_examples(tokenizer, rows, 3)
        if wrong:
            examples[::wrong] = [replace(example, label=(example.label + 1) % 3) for example in examples[::wrong]]
        task = ClassificationTask(examples, dev, 3, tokenizer, training)
        model, helped = with_help(network, task, transfer, Base.open(base), training.seed)
        return Prepared(model, helped, network)

    return make


__all__ = ["LABELS", "TRAINING", "Prepare", "Prepared", "config", "make_examples", "save_teacher"]
