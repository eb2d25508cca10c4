"""A task small enough to be learnt in seconds: which of two words a text holds."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch

from polarbert.model import BertConfig, BertForSequenceClassification
from polarbert.text import WordPieceTokenizer, join_segments
from polarbert.training.batching import Example
from polarbert.training.classification import ClassificationTask
from polarbert.training.settings import TrainSettings

LABELS = ["negative", "neutral", "positive"]
FILLERS = "the a it is was app phone film book very so and this my day week hotel food shop".split()


@pytest.fixture
def settings() -> TrainSettings:
    """Small batches, a rate that suits a tiny network, exact arithmetic."""
    return TrainSettings(
        epochs=3, batch_tokens=256, learning_rate=3e-3, precision="fp32", evaluations=3, checkpoint_seconds=1e9
    )


@pytest.fixture
def make_examples(tokenizer: WordPieceTokenizer) -> Callable[[int, int], list[Example]]:
    """`count` texts from a seed: fillers around "bad" (negative) or "good" (positive)."""

    def make(count: int, seed: int) -> list[Example]:
        draw = random.Random(seed)
        examples = []
        for _ in range(count):
            label = draw.choice([0, 2])
            words = draw.choices(FILLERS, k=draw.randint(2, 14))
            words.insert(draw.randint(0, len(words)), "good" if label else "bad")
            ids = tokenizer.encode([" ".join(words)])[0].ids
            examples.append(Example(join_segments(tokenizer.cls_id, tokenizer.sep_id, ids, None), label, (0, 2)))
        return examples

    return make


@pytest.fixture
def make_toy(
    vocab: list[str],
    tokenizer: WordPieceTokenizer,
    settings: TrainSettings,
    make_examples: Callable[[int, int], list[Example]],
) -> Callable[[], tuple[BertForSequenceClassification, ClassificationTask]]:
    """A new tiny classifier, always with the same weights, and the task to train it on."""

    def make() -> tuple[BertForSequenceClassification, ClassificationTask]:
        config = BertConfig.tiny(vocab_size=len(vocab), hidden_size=32, intermediate_size=64, initializer_range=0.1)
        torch.manual_seed(7)
        model = BertForSequenceClassification(config, LABELS)
        dev = {"toy": make_examples(80, 2)}
        return model, ClassificationTask(make_examples(400, 1), dev, 3, tokenizer, settings)

    return make
