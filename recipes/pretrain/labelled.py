"""The labelled texts by which a pre-trained network is judged.

Reads Parquet files from the directory that POLARBERT_DATA names; recipes/embedded/README.md says where they come from.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq

from polarbert.data.splits import is_dev, normalised

SST2_PHRASES = 20_000
SENTIMENT, BINARY = {"negative": 0, "neutral": 1, "positive": 2}, {"negative": 0, "positive": 1}
QUESTIONS = {str(number): number for number in range(6)}
Rows = list[tuple[str, int]]


def directory() -> Path:
    """The directory with the collections."""
    found = Path(os.environ.get("POLARBERT_DATA", "../shared/data"))
    if not found.is_dir():
        raise SystemExit(f"{found}: no such directory; set POLARBERT_DATA (see recipes/embedded/README.md)")
    return found


def sst2() -> Rows:
    """Phrases of film reviews, none of which is a sentence of the dev part; always the same sample."""
    held_out = {normalised(text) for text, _ in sst2_dev()}
    rows = [row for row in _read("sst2/train", BINARY) if normalised(row[0]) not in held_out]
    return sorted(rows, key=lambda row: hashlib.sha1(row[0].encode(), usedforsecurity=False).digest())[:SST2_PHRASES]


def sst2_dev() -> Rows:
    """Sentences of film reviews."""
    return _read("sst2/dev", BINARY)


def trec() -> Rows:
    """Questions, by what they ask for."""
    return [row for row in _read("trec/train", QUESTIONS) if not is_dev(row[0])]


def trec_dev() -> Rows:
    """The tenth of the questions that is kept for judging."""
    return [row for row in _read("trec/train", QUESTIONS) if is_dev(row[0])]


def playstore() -> Rows:
    """Reviews of apps."""
    return _read("playstore/train", SENTIMENT)


def playstore_dev() -> Rows:
    """Reviews of apps that are kept for judging."""
    return _read("playstore/val", SENTIMENT)


def _read(name: str, classes: Mapping[str, int]) -> Rows:
    table = pq.read_table(directory() / f"{name}.parquet", columns=["text", "label"])
    pairs = zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True)
    return [(text, classes[label]) for text, label in pairs if text.strip()]
