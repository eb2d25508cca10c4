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


def of_pairs(pairs: Sequence[tuple[str, str]], labels: Sequence[int]) -> Dataset:
    """A dataset of pairs of texts and class numbers."""
    rows = [
        LabelledText(first, label, row, pair=second)
        for row, ((first, second), label) in enumerate(zip(pairs, labels, strict=True), start=1)
    ]
    return Dataset("pairs.csv", rows, ["other", "same"], "pair")


def many_pairs(count: int, seed: int = 1) -> Dataset:
    """Random pairs, most of which share a text with a few others, as first or as second one."""
    rng = random.Random(seed)
    texts = [f"{number * 7919} {' '.join(rng.choices(WORDS, k=6))} {number * 104729}" for number in range(count * 2)]
    pairs = [(texts[2 * number], texts[2 * number + 1]) for number in range(count)]
    for number in range(0, count - 1, 3):
        shared = rng.choice(pairs[number])
        pairs[number + 1] = rng.choice([(shared.upper(), pairs[number + 1][1]), (pairs[number + 1][0], shared + "!")])
    return of_pairs(pairs, [number % 2 for number in range(count)])


def parts(splits: Splits) -> list[list[int]]:
    """The rows of train, dev and test."""
    return [splits.part(name).tolist() for name in PARTS]
