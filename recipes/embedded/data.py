"""The texts that make the embedded model, and those that judge it.

Reads Parquet files from the directory that POLARBERT_DATA names; recipes/embedded/README.md says where they come from.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from polarbert.data.splits import is_dev, normalised

LABELS = ["negative", "neutral", "positive"]
NEGATIVE, NEUTRAL, POSITIVE = range(3)
BY_NAME = {
    "very negative": NEGATIVE,
    "negative": NEGATIVE,
    "neutral": NEUTRAL,
    "positive": POSITIVE,
    "very positive": POSITIVE,
}
BINARY = (NEGATIVE, POSITIVE)
IMDB_ROWS = 8_000


@dataclass(frozen=True)
class LabelledText:
    """A text, its class, and the classes its annotators could choose among (None: all three)."""

    text: str
    label: int
    choices: tuple[int, ...] | None = None


def data_directory() -> Path:
    """The directory with the collections."""
    directory = Path(os.environ.get("POLARBERT_DATA", "../shared/data"))
    if not directory.is_dir():
        raise SystemExit(f"{directory}: no such directory; set POLARBERT_DATA (see recipes/embedded/README.md)")
    return directory


def read(name: str, binary: bool = False) -> list[LabelledText]:
    """The rows of `name` ("collection/part"), empty texts left out."""
    table = pq.read_table(data_directory() / f"{name}.parquet", columns=["text", "label"])
    pairs = zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True)
    return [LabelledText(text, BY_NAME[label], BINARY if binary else None) for text, label in pairs if text.strip()]


def sample(rows: list[LabelledText], count: int) -> list[LabelledText]:
    """`count` rows, always the same ones, whatever their order: some collections are sorted by label."""
    return sorted(rows, key=lambda row: hashlib.sha1(row.text.encode(), usedforsecurity=False).digest())[:count]


def dev_parts() -> dict[str, list[LabelledText]]:
    """What judges the model while it is made."""
    return {
        "playstore": read("playstore/val"),
        "tweets": read("tweeteval_sentiment/val"),
        "sst2": read("sst2/dev", binary=True),
        "sst5": read("sst5/dev"),
        "imdb": read("imdb/val", binary=True),
        "clothing": [row for row in read("womens_clothing/train") if is_dev(row.text)],
    }


def train_parts() -> dict[str, list[LabelledText]]:
    """What the model learns from: no text here equals one of any dev part."""
    held_out = {normalised(row.text) for rows in dev_parts().values() for row in rows}
    parts = {
        "playstore": read("playstore/train"),
        "tweets": read("tweeteval_sentiment/train"),
        "sst2": read("sst2/train", binary=True),
        "sst5": read("sst5/train"),
        "imdb": sample(read("imdb/train", binary=True), IMDB_ROWS),
        "clothing": [row for row in read("womens_clothing/train") if not is_dev(row.text)],
    }
    return {name: list(_without(rows, held_out)) for name, rows in parts.items()}


def _without(rows: list[LabelledText], held_out: set[str]) -> Iterator[LabelledText]:
    """Rows whose text is not held out, each distinct text and label once."""
    seen: set[tuple[str, int]] = set()
    for row in rows:
        key = normalised(row.text)
        if key not in held_out and (key, row.label) not in seen:
            seen.add((key, row.label))
            yield row
