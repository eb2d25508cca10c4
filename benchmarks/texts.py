"""The texts that are scored: public tweets and reviews that no recipe trains on.

Read from the directory that POLARBERT_DATA names; recipes/embedded/README.md says where the files come from.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from polarbert.data.splits import is_dev


@dataclass(frozen=True)
class LabelledText:
    """A text and the class that people gave it."""

    text: str
    label: str


def tweets(count: int) -> list[LabelledText]:
    """Tweets of SemEval 2013 to 2017, task 4: the validation part of TweetEval's "sentiment"."""
    return _distinct(_read("tweeteval_sentiment/val"), count)


def reviews(count: int) -> list[LabelledText]:
    """Reviews of women's clothing: the tenth that is kept for judging."""
    return _distinct([row for row in _read("womens_clothing/train") if is_dev(row.text)], count)


def app_reviews(count: int) -> list[LabelledText]:
    """Reviews of apps: the validation part of `playstore`."""
    return _distinct(_read("playstore/val"), count)


def film_reviews(count: int) -> list[LabelledText]:
    """Whole reviews of films: the validation part of `imdb`."""
    return _distinct(_read("imdb/val"), count)


def data_directory() -> Path:
    """The directory that POLARBERT_DATA names."""
    directory = os.environ.get("POLARBERT_DATA")
    if not directory:
        raise SystemExit("set POLARBERT_DATA to the directory with the texts (see recipes/embedded/README.md)")
    return Path(directory)


def _read(name: str) -> list[LabelledText]:
    file = data_directory() / f"{name}.parquet"
    if not file.is_file():
        raise SystemExit(f"{file}: no such file; POLARBERT_DATA must name the directory with the texts")
    table = pq.read_table(file, columns=["text", "label"])
    pairs = zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True)
    return [LabelledText(text, label) for text, label in pairs if text.strip()]


def _distinct(rows: list[LabelledText], count: int) -> list[LabelledText]:
    """`count` different texts in an order of their own, the same on every machine: files may be sorted by class."""
    first = {row.text: row for row in reversed(rows)}
    return sorted(first.values(), key=lambda row: hashlib.sha256(row.text.encode("utf-8")).digest())[:count]
