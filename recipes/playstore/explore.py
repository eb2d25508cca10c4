"""Step 1 of the play-store story: the reviews as they were scraped. Trains nothing.

    python recipes/playstore/explore.py

Cost: a minute on one core.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import figures
import reviews
from polarbert.data.dataset import Dataset
from polarbert.data.duplicates import clusters, text_key
from polarbert.data.splits import random_splits
from polarbert.text import WordPieceTokenizer

EDGES = (2, 16, 32, 48, 64, 80, 96, 112, 128, 512)  # word pieces, [CLS] and [SEP] included
SHARES = {"80/10/10": (0.8, 0.1, 0.1), "90/5/5": (0.9, 0.05, 0.05)}  # the second is what tutorials take
SEEDS = range(1, 6)
STARS = {1: "negative", 2: "negative", 3: "neutral", 4: "positive", 5: "positive"}


def main() -> None:
    """Look, and keep what was seen."""
    raw = reviews.read(reviews.RAW, keep=["score"])
    keys = [text_key(text) for text in raw.texts]
    cluster_of = clusters(raw.texts)
    found = {
        "rows": len(raw.rows),
        "classes": classes(raw),
        "stars": stars(raw),
        "pieces": pieces(raw.texts),
        "different": {"as_written": len({*raw.texts}), "letters": len({*keys}), "clusters": len({*cluster_of})},
        "copies": copies(keys),
        "contradictions": {
            "as_written": reviews.contradictions(raw.texts, raw.truth.tolist()),
            "letters": reviews.contradictions(keys, raw.truth.tolist()),
            "clusters": reviews.contradictions([str(number) for number in cluster_of], raw.truth.tolist()),
        },
        "once": classes(raw, ~reviews.repeats(cluster_of)),
        "repeated": classes(raw, reviews.repeats(cluster_of)),
        "random": {name: random_leak(raw, shares, cluster_of) for name, shares in SHARES.items()},
        "without_repeats": given_parts(),
    }
    figures.keep("explore", found)
    print(json.dumps(found, indent=1))


def classes(dataset: Dataset, which: NDArray[np.bool_] | None = None) -> dict[str, int]:
    """Rows of each class, among those asked for."""
    truth = dataset.truth if which is None else dataset.truth[which]
    return {label: int((truth == number).sum()) for number, label in enumerate(dataset.labels)}


def stars(dataset: Dataset) -> dict[str, int]:
    """In how many rows the number of stars is known, and in how many of them it gives the class."""
    known = [(STARS.get(int(float(row.values["score"]))), row.label) for row in dataset.rows if row.values["score"]]
    return {"known": len(known), "as_labelled": sum(name == dataset.labels[label] for name, label in known)}


def pieces(texts: Sequence[str]) -> dict[str, Any]:
    """Lengths in word pieces, [CLS] and [SEP] included."""
    tokenizer = WordPieceTokenizer.from_directory(reviews.plain_base())
    lengths = np.array([len(text.ids) + 2 for text in tokenizer.encode(texts)])
    bins = [(low, high, int(((lengths > low) & (lengths <= high)).sum())) for low, high in pairwise(EDGES)]
    return {
        "all": int(lengths.sum()),
        "mean": float(lengths.mean()),
        "median": float(np.median(lengths)),
        "p90": float(np.quantile(lengths, 0.9)),
        "longest": int(lengths.max()),
        "bins": [{"above": low, "up_to": high, "rows": count} for low, high, count in bins],
    }


def copies(keys: Sequence[str]) -> dict[str, int]:
    """Rows by how often their text occurs, whatever its case, blanks and punctuation."""
    times = Counter(keys)
    rows = Counter(min(times[key], 3) for key in keys)
    return {"once": rows[1], "twice": rows[2], "more": rows[3], "most": max(times.values())}


def random_leak(dataset: Dataset, shares: tuple[float, float, float], cluster_of: reviews.Places) -> dict[str, float]:
    """Shares of a random test part by how its texts stand in the training part; means over seeds."""
    found: Counter[str] = Counter()
    for seed in SEEDS:
        splits = random_splits(dataset, shares, seed)
        found.update(reviews.kinds(dataset.texts, splits.train, splits.test, cluster_of).tolist())
    return {kind: found[kind] / found.total() for kind in reviews.KINDS} | {"seeds": len(SEEDS)}


def given_parts() -> dict[str, Any]:
    """The parts that are published with one row a text: their sizes, and what of the second stands in the first."""
    train, val = reviews.read(reviews.TRAIN), reviews.read(reviews.VAL)
    both, first, second = reviews.joined(train, val)
    found = Counter(reviews.kinds(both.texts, first, second).tolist())
    return {"train": classes(train), "val": classes(val), "of_val_in_train": {k: found[k] for k in reviews.KINDS}}


if __name__ == "__main__":
    main()
