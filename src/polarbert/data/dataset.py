"""Labelled texts out of a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polarbert.data.inputs import in_any_order, input_name, open_input
from polarbert.data.labels import LabelMap, counted
from polarbert.data.rows import text_problem
from polarbert.data.tables import Row, Table, open_table, table_format
from polarbert.errors import DataError, UsageError

EMPTY_TEXT, EMPTY_LABEL = "empty text", "empty label"
UNREADABLE, UNKNOWN_LABEL = "unreadable row", "label not in the label map"
_UNDECODED = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class LabelledText:
    """A text and its class.

    Attributes:
        text: as it stood.
        label: number of the class.
        row: 1 for the first row of data in its source.
        values: the cells of other columns that were asked for; an empty text where there is none.
    """

    text: str
    label: int
    row: int
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """What can be learned from or judged by.

    Attributes:
        name: of the source, for messages.
        rows: the usable rows, in order.
        labels: names of the classes, in the order of the logits.
        task: "sentiment" or "classification".
        skipped: how many rows were left out, for each reason.
        notes: what was assumed or left out, for people to read.
    """

    name: str
    rows: list[LabelledText]
    labels: list[str]
    task: str
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def texts(self) -> list[str]:
        """The texts, in order."""
        return [row.text for row in self.rows]

    @property
    def truth(self) -> NDArray[np.int64]:
        """(rows,) class numbers."""
        return np.array([row.label for row in self.rows], dtype=np.int64)


def read_labelled(
    path: str | Path,
    text_column: str,
    label_column: str,
    *,
    label_map: LabelMap | None = None,
    task: str | None = None,
    keep: Sequence[str] | None = (),
    kind: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> Dataset:
    """Read the labelled texts of a CSV, TSV, JSONL or Parquet file.

    A row that cannot be used is left out and counted. How many rows and classes are enough depends on what they are
    for: one class can be judged by, but `polarbert.data.splits.make_splits` refuses to make parts of it.

    Args:
        path: of the file; "-" for stdin.
        text_column: the column with the texts.
        label_column: the column with the labels; numbers are taken as text.
        label_map: what the labels mean; rows with others are left out. None finds it out from the labels.
        task: see `LabelMap.infer`.
        keep: other columns to keep in `LabelledText.values`; None keeps them all.
        kind: "csv", "jsonl" or "parquet"; None goes by the file's name, and takes stdin for a CSV.
        delimiter: of a CSV; None finds it in the header line.
        encoding: of a CSV or JSONL; None is UTF-8.

    Raises:
        UsageError: when there is no such file or column.
        DataError: when the file is no such table, a quotation mark is never closed, or no row can be used.

    Example:
        >>> dataset = read_labelled("reviews.csv", "review", "stars")
        >>> dataset.task, dataset.labels
        ('sentiment', ['negative', 'neutral', 'positive'])
    """
    name = input_name(path)
    if text_column == label_column:
        raise UsageError(f"{name}: the texts and the labels cannot both be in the column {text_column!r}; name another")
    with ExitStack() as opened:
        stream = opened.enter_context(open_input(path))
        format_name = table_format(str(path), kind)
        if keep is None or format_name == "parquet":
            stream = opened.enter_context(in_any_order(stream, name))
        asked = [label_column, *(keep or ())]
        table = open_table(stream, name, format_name, text_column, (), delimiter, encoding, asked)
        if keep is None:  # the columns are known now
            stream.seek(0)
            keep = [column for column in table.columns if column not in (text_column, label_column)]
            table = open_table(stream, name, format_name, text_column, (), delimiter, encoding, [label_column, *keep])
        found = _Reading(table, label_column, keep)
        found.read()
    if table.fault is not None:
        raise DataError(table.fault)
    return found.dataset(name, label_map, task)


class _Reading:
    """What is gathered from a table, row by row."""

    def __init__(self, table: Table, label_column: str, keep: Sequence[str]) -> None:
        self._table = table
        self._label_column = label_column
        self._keep = keep
        self._found: list[tuple[int, str, str, dict[str, str]]] = []
        self._skipped: Counter[str] = Counter()
        self._notes: list[str] = []
        self._count = 0

    def read(self) -> None:
        for row in self._table.rows():
            self._count += 1
            label = (self._table.cell(row, self._label_column) or "") if row.problem is None else ""
            if problem := row.problem or text_problem(label):
                self._skip_unreadable(problem)
            elif not (row.text or "").strip():
                self._skipped[EMPTY_TEXT] += 1
            elif not label.strip():
                self._skipped[EMPTY_LABEL] += 1
            else:
                self._found.append((self._count, row.text or "", label, self._values(row)))
        if self._table.doubt is not None:
            self._notes.append(self._table.doubt)

    def _skip_unreadable(self, problem: str) -> None:
        if not self._skipped[UNREADABLE]:
            self._notes.append(f"row {self._count:,} is left out, the first that cannot be read: {problem}")
        self._skipped[UNREADABLE] += 1

    def _values(self, row: Row) -> dict[str, str]:
        return {name: _UNDECODED.sub("\ufffd", self._table.cell(row, name) or "") for name in self._keep}

    def dataset(self, name: str, label_map: LabelMap | None, task: str | None) -> Dataset:
        self._refuse_nothing(name)
        if label_map is None:
            label_map = _infer(name, (label for _, _, label, _ in self._found), task)
        self._leave_out_unknown(label_map)
        self._refuse_nothing(name)
        numbers = {label: label_map.number(label) for label in {label for _, _, label, _ in self._found}}
        rows = [LabelledText(text, numbers[label], row, values) for row, text, label, values in self._found]
        notes = (*label_map.notes, *self._notes)
        return Dataset(name, rows, list(label_map.labels), label_map.task, dict(self._skipped), notes)

    def _leave_out_unknown(self, label_map: LabelMap) -> None:
        counts = Counter(label for _, _, label, _ in self._found)
        unknown = Counter({label: count for label, count in counts.items() if not label_map.knows(label)})
        if not unknown:
            return
        self._found = [row for row in self._found if row[2] not in unknown]
        self._skipped[UNKNOWN_LABEL] = unknown.total()
        self._notes.append(f"the label map does not know {counted(unknown)}: these rows are left out")

    def _refuse_nothing(self, name: str) -> None:
        if self._found:
            return
        if not self._count:
            raise DataError(f"{name}: has no rows of data")
        reasons = "; ".join(f"{why}: {count:,}" for why, count in self._skipped.items())
        notes = "".join(f". {note[0].upper()}{note[1:]}" for note in self._notes)
        raise DataError(
            f"{name}: none of its {self._count:,} rows can be used ({reasons}){notes}. "
            f"Is {self._label_column!r} the column with the labels?"
        )


def _infer(name: str, labels: Iterator[str], task: str | None) -> LabelMap:
    try:
        return LabelMap.infer(labels, task)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
