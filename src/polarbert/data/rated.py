"""Texts, or pairs of texts, with a number each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polarbert.data.dataset import Dataset, LabelledText, read_rows
from polarbert.data.labels import counted

NO_NUMBER = "label that is no number"


@dataclass(frozen=True)
class RatedText(LabelledText):
    """A text, or pair of texts, and its number.

    Attributes:
        value: the number.
    """

    value: float = 0.0

    @property
    def annotation(self) -> tuple[Any, ...]:
        """The number."""
        return (self.value,)


def read_rated(
    path: str | Path,
    text_column: str,
    label_column: str,
    *,
    pair_column: str | None = None,
    keep: Sequence[str] | None = (),
    kind: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> Dataset:
    """Read texts and their numbers; arguments and errors as for `polarbert.data.dataset.read_labelled`.

    A row whose label is no finite number is left out and counted. The one label of the dataset is the name of the
    column.

    Example:
        >>> read_rated("reviews.csv", "review", "stars").rows[0].value
        5.0
    """
    found = read_rows(path, text_column, label_column, pair_column, keep, kind, delimiter, encoding)
    values = {label: number for label in set(found.labels) if (number := _number(label)) is not None}
    others = Counter(label for label in found.labels if label not in values)
    if others:
        found.keep(values, NO_NUMBER)
        found.notes.append(f"labels that are no numbers: {counted(others)}; these rows are left out")
    found.refuse_nothing()
    rows: list[LabelledText] = [
        RatedText(row.text, 0, row.row, row.values, row.pair, values[label])
        for row, label in zip(found.rows, found.labels, strict=True)
    ]
    return Dataset(found.name, rows, [label_column], "regression", dict(found.skipped), tuple(found.notes))


def _number(label: str) -> float | None:
    try:
        number = float(label)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
