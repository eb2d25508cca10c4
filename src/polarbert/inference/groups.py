"""Rows put together by what they have in common: how long they are, or what stands in another column."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Grouping = list[tuple[str, NDArray[np.int64]]]  # a name and the numbers of its rows

LENGTHS = (8, 16, 32, 64, 128, 256, 512)
MIN_ROWS, MAX_GROUPS = 10, 12  # a value with fewer rows, or beyond the most frequent ones, is among the others
BLANK = "(blank)"
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?\s*", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d(-\d\d.*)?", re.ASCII | re.DOTALL)


def by_length(lengths: Sequence[int]) -> Grouping:
    """Rows by length in word pieces, in bins that double; a bin of few rows is one with its neighbour."""
    numbers = np.asarray(lengths)
    longest = max(lengths)
    last = next((edge for edge in LENGTHS if edge >= longest), longest)
    kept = [-1]
    for edge in (*(edge for edge in LENGTHS if edge < last), last):
        if ((numbers > kept[-1]) & (numbers <= edge)).sum() >= MIN_ROWS:
            kept.append(edge)
    kept = [*(kept[:-1] if len(kept) > 1 else kept), last]  # the last bin takes in the few rows above it
    return [
        (_length_name(low, high), np.flatnonzero((numbers > low) & (numbers <= high))) for low, high in pairwise(kept)
    ]


def by_value(values: Sequence[str]) -> Grouping:
    """Rows by what stands in a column.

    Numbers and dates of many values (dates as 2026-11-23) fall into quarters of about as many rows. Otherwise each
    value that `MIN_ROWS` rows have is a group, and the rest is one group together; numbers come in their order, other
    values by how frequent they are.
    """
    return _quarters(values) or _frequent(values)


def _frequent(values: Sequence[str]) -> Grouping:
    cells = np.array([value.strip() or BLANK for value in values], dtype=object)
    counts = Counter(cells.tolist())
    frequent = sorted((name for name in counts if counts[name] >= MIN_ROWS), key=lambda name: (-counts[name], name))
    known = _in_order(frequent[:MAX_GROUPS])
    groups = [(name, np.flatnonzero(cells == name)) for name in known]
    rest = [name for name in counts if name not in known]
    if not rest:
        return groups
    name = rest[0] if len(rest) == 1 else f"{len(rest):,} {'other ' if known else ''}values"
    return [*groups, (name, np.flatnonzero(np.isin(cells, rest)))]


def _in_order(names: list[str]) -> list[str]:
    """Numbers by their value, what is no number last."""
    if all(_NUMBER.fullmatch(name) for name in names if name != BLANK):
        return sorted(names, key=lambda name: math.inf if name == BLANK else float(name))
    return names


def _quarters(values: Sequence[str]) -> Grouping | None:
    """Groups between the quartiles, or None where the values are no numbers or dates, or few different ones."""
    cells = [value.strip() for value in values]
    given = sorted({cell for cell in cells if cell})
    if len(given) <= MAX_GROUPS:
        return None
    if all(map(_NUMBER.fullmatch, given)) and all(math.isfinite(float(cell)) for cell in given):
        order = {cell: float(cell) for cell in given}
    elif all(map(_DATE.fullmatch, given)):
        order = {cell: float(place) for place, cell in enumerate(given)}
    else:
        return None
    places = np.array([order.get(cell, np.nan) for cell in cells])
    edges = np.unique(np.nanquantile(places, [0, 0.25, 0.5, 0.75, 1], method="inverted_cdf"))
    names = {place: cell for cell, place in order.items()}
    groups = []
    for number, (low, high) in enumerate(pairwise(edges)):
        rows = np.flatnonzero((places >= low if number == 0 else places > low) & (places <= high))
        inside = places[rows]
        groups.append((_range_name(names[inside.min()], names[inside.max()]), rows))
    blank = np.flatnonzero(np.isnan(places))
    return [*groups, (BLANK, blank)] if len(blank) else groups


def _range_name(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def _length_name(low: int, high: int) -> str:
    if high > LENGTHS[-1]:
        return f"over {low}" if low >= 0 else "any"
    return f"{low + 1} to {high}" if low >= 0 else f"up to {high}"
