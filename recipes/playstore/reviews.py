"""The play-store reviews and the tweets beside them, and what stands where in them.

Reads Parquet files from the directory that POLARBERT_DATA names; recipes/playstore/README.md says where they come from.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polarbert.data.dataset import Dataset, read_labelled
from polarbert.data.duplicates import clusters, text_key
from polarbert.data.labels import SENTIMENTS

ROOT = Path(__file__).parents[2]
RUNS = Path("runs/playstore")
EMBEDDED = Path("src/polarbert/models/default")
BASE = Path("runs/embedded/base-with-symbols")
RAW, TRAIN, VAL, TWEETS = "playstore/raw_with_duplicates", "playstore/train", "playstore/val", "tweeteval_sentiment"
KINDS = ("exact", "near", "new")  # how a text judged by stands in the training part

Places = NDArray[np.int64]


def read(name: str, keep: Sequence[str] = ()) -> Dataset:
    """The labelled texts of `name` ("collection/part")."""
    directory = Path(os.environ.get("POLARBERT_DATA", "../shared/data"))
    if not directory.is_dir():
        raise SystemExit(f"{directory}: no such directory; set POLARBERT_DATA (see recipes/playstore/README.md)")
    dataset = read_labelled(directory / f"{name}.parquet", "text", "label", task="sentiment", keep=keep)
    if dataset.labels != SENTIMENTS:
        raise SystemExit(f"{name}: the classes are {dataset.labels}, expected {SENTIMENTS}")
    return dataset


def joined(first: Dataset, second: Dataset) -> tuple[Dataset, Places, Places]:
    """Two collections as one, and where the rows of each stand in it."""
    start = len(first.rows)
    rows = [replace(row, row=number) for number, row in enumerate([*first.rows, *second.rows], 1)]
    one = Dataset(f"{first.name} and {second.name}", rows, first.labels, first.task)
    return one, np.arange(start), np.arange(start, len(rows))


def kinds(texts: Sequence[str], train: Places, judged: Places, cluster_of: Places | None = None) -> NDArray[np.str_]:
    """How each text judged by stands in the training part: `exact`, `near`, or not at all (`new`).

    Exact is the same text but for case, blanks and punctuation; near is in one cluster with a training text.

    Args:
        texts: of the whole collection.
        train: positions of the training part.
        judged: positions of the part that judges.
        cluster_of: (texts,) the cluster of each text, where it is known.
    """
    numbers = clusters(texts) if cluster_of is None else cluster_of
    keys = {text_key(texts[place]) for place in train}
    near = np.isin(numbers[judged], numbers[train])
    exact = np.array([text_key(texts[place]) in keys for place in judged], dtype=np.bool_)
    return np.where(exact, KINDS[0], np.where(near, KINDS[1], KINDS[2]))


def repeats(cluster_of: Places) -> NDArray[np.bool_]:
    """(rows,) True where another row has the same or nearly the same text."""
    return np.bincount(cluster_of)[cluster_of] > 1


def contradictions(keys: Sequence[str], labels: Sequence[int]) -> int:
    """How many texts have more than one label."""
    pairs = {*zip(keys, labels, strict=True)}
    return sum(count > 1 for count in Counter(key for key, _ in pairs).values())


def plain_base() -> Path:
    """The public encoder that recipes/embedded starts from; fetched and verified where it is not there yet."""
    if not (BASE / "config.json").is_file():
        sys.path.append(str(ROOT / "recipes/embedded"))
        import base  # noqa: PLC0415 - a neighbour's module, needed once

        base.with_symbols(base.fetch(BASE.parent / "base"), BASE)
    return BASE
