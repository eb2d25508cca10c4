"""Labelled texts and answers made up by hand, for tests that need no model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from polarbert.data.dataset import Dataset, LabelledText
from polarbert.inference.evaluate import evaluate_predictions
from polarbert.inference.evaluation import Evaluation
from polarbert.inference.prediction import Prediction, make_prediction

THRESHOLD = 0.6


def labelled(
    truth: Sequence[int], labels: Sequence[str], texts: Sequence[str] | None = None, **columns: Sequence[str]
) -> Dataset:
    """A dataset of texts that differ unless given."""
    texts = [f"text {number}" for number in range(len(truth))] if texts is None else texts
    cells = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    values = cells or [{} for _ in truth]
    rows = [
        LabelledText(text, n, row + 1, v) for row, (text, n, v) in enumerate(zip(texts, truth, values, strict=True))
    ]
    return Dataset("reviews.csv", rows, list(labels), "classification")


def answered(chances: Sequence[Sequence[float]], labels: Sequence[str], pieces: Sequence[int] = ()) -> list[Prediction]:
    """Answers with these probabilities."""
    lengths = pieces or [10] * len(chances)
    return [
        make_prediction(list(labels), list(c), THRESHOLD, False, n, 1, 0) for c, n in zip(chances, lengths, strict=True)
    ]


def draw(count: int, seed: int = 0, classes: int = 3) -> tuple[list[int], list[list[float]]]:
    """Truth and probabilities that often fit it."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, count)
    logits = random.normal(0, 1, (count, classes))
    logits[np.arange(count), truth] += 1.5
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return truth.tolist(), chances.tolist()


def judge(dataset: Dataset, chances: Sequence[Sequence[float]], labels: Sequence[str], **options: Any) -> Evaluation:
    return evaluate_predictions(dataset, answered(chances, labels), labels, THRESHOLD, **options)
