"""Texts with an aspect, and what they say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from polarbert.data.dataset import Dataset, LabelledText, as_dataset, read_rows
from polarbert.data.duplicates import text_key
from polarbert.data.labels import LabelMap
from polarbert.text.tokenizer import is_blank


@dataclass(frozen=True)
class AspectText(LabelledText):
    """A text, and the class of what it says of the aspect in `pair`; of the whole text where there is none."""

    @property
    def key(self) -> str:
        """Text and aspect apart; of the aspect every character counts, as in C, C++ and C#."""
        text = text_key(self.text)
        return text if self.pair is None else f"{text}\0{' '.join(self.pair.lower().split())}"

    @property
    def shown(self) -> str:
        """The aspect first, which is short."""
        return self.text if self.pair is None else f"{self.pair}: {self.text}"

    @property
    def topic(self) -> str:
        """The text alone: who has seen it with one aspect knows much of what it says of another."""
        return self.text

    @property
    def linked(self) -> tuple[str, ...]:
        """Nothing: an aspect such as "food" stands beside any number of texts."""
        return ()


def read_aspects(
    path: str | Path,
    text_column: str,
    label_column: str,
    aspect_column: str,
    *,
    label_map: LabelMap | None = None,
    task: str | None = None,
    keep: Sequence[str] | None = (),
    kind: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> Dataset:
    """Read labelled texts with an aspect each; arguments and errors as for `polarbert.data.dataset.read_labelled`.

    Where the cell of `aspect_column` is empty, the label is of the whole text. That no row has an aspect is noted.

    Example:
        >>> read_aspects("reviews.csv", "review", "sentiment", "aspect").rows[0].pair
        'battery'
    """
    found = read_rows(
        path, text_column, label_column, aspect_column, keep, kind, delimiter, encoding, may_lack_pair=True
    )
    found.rows = [
        AspectText(row.text, 0, row.row, row.values, None if is_blank(row.pair or "") else row.pair)
        for row in found.rows
    ]
    if found.rows and all(row.pair is None for row in found.rows):
        found.notes.append(f"no row has an aspect in the column {aspect_column!r}, so whole texts are judged")
    return as_dataset(found, label_map, task)
