"""Labelled texts of which some are repeated, to be divided."""

from __future__ import annotations

import random
from collections.abc import Sequence

from polarbert.data.dataset import Dataset, LabelledText
from polarbert.data.duplicates import text_key
from polarbert.data.splits import PARTS, Splits

NAMES = ["bug", "idea", "praise"]
WORDS = "the lamp is not very good and broke after one long week of use but they sent me new bulbs at once".split()


def dataset(texts: Sequence[str], labels: Sequence[int], names: Sequence[str] = NAMES) -> Dataset:
    """A dataset of texts and class numbers."""
    rows = [
        LabelledText(text, label, row) for row, (text, label) in enumerate(zip(texts, labels, strict=True), start=1)
    ]
    return Dataset("tickets.csv", rows, list(names), "classification")


def many(count: int, seed: int = 1) -> Dataset:
    """Random sentences; some are repeated with other marks, some with another word."""
    rng = random.Random(seed)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(3, 12))) for _ in range(count)]
    for place in range(count // 3):
        text = rng.choice(texts)
        texts[place] = rng.choice([text.upper() + "!", text + " too", text])
    keys = [text_key(text) for text in texts]
    labels = {key: [0, 0, 0, 1, 1, 2][number % 6] for number, key in enumerate(dict.fromkeys(keys))}
    return dataset(texts, [labels[key] for key in keys])


def parts(splits: Splits) -> list[list[int]]:
    """The rows of train, dev and test."""
    return [splits.part(name).tolist() for name in PARTS]
