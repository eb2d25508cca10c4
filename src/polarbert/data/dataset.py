"""Labelled texts out of a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polarbert.data.duplicates import text_key
from polarbert.data.inputs import in_any_order, input_name, open_input
from polarbert.data.labels import LabelMap, counted
from polarbert.data.rows import as_sentence, text_problem
from polarbert.data.tables import Row, Table, open_table, table_format
from polarbert.errors import DataError, UsageError

CLASS_TASKS = ("sentiment", "classification", "pair")
EMPTY_TEXT, EMPTY_PAIR, EMPTY_LABEL = "empty text", "empty second text", "empty label"
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
        pair: the second text, where a pair of texts is judged.
    """

    text: str
    label: int
    row: int
    values: Mapping[str, str] = field(default_factory=dict)
    pair: str | None = None

    @property
    def content(self) -> str:
        """All that the model reads: rows that are equal in it repeat each other."""
        return self.text if self.pair is None else f"{self.text}\n{self.pair}"

    @property
    def key(self) -> str:
        """What rows have in common that repeat each other but for case, blanks and punctuation."""
        return text_key(self.content)

    @property
    def shown(self) -> str:
        """What people are shown of the row."""
        return self.content

    @property
    def topic(self) -> str:
        """What must not stand in two parts of a dataset, nor anything nearly like it."""
        return self.content

    @property
    def linked(self) -> tuple[str, ...]:
        """What else must not stand in two parts of a dataset: each text of a pair."""
        return () if self.pair is None else (self.text, self.pair)

    @property
    def annotation(self) -> tuple[Any, ...]:
        """What people said of the text; rows of equal content that differ in it contradict each other."""
        return (self.label,)

    @property
    def target(self) -> tuple[Any, ...]:
        """What is to be learned besides the class: the fields that a kind of row adds."""
        common = {field.name for field in fields(LabelledText)}
        return tuple(getattr(self, field.name) for field in fields(self) if field.name not in common)


@dataclass(frozen=True)
class Dataset:
    """What can be learned from or judged by.

    Attributes:
        name: of the source, for messages.
        rows: the usable rows, in order.
        labels: names of the classes, in the order of the logits.
        task: one of `polarbert.bundle.TASKS`.
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
    def has_classes(self) -> bool:
        """Whether a row is of one class, as a whole."""
        return self.task in CLASS_TASKS

    @property
    def unit(self) -> str:
        """What people call its rows: questions, pairs or texts."""
        if self.task == "qa":
            return "questions"
        return "pairs" if any(row.linked for row in self.rows[:1]) else "texts"

    @property
    def topics(self) -> list[str]:
        """By which rows are kept together, in order."""
        return [row.topic for row in self.rows]

    @property
    def truth(self) -> NDArray[np.int64]:
        """(rows,) class numbers."""
        return np.array([row.label for row in self.rows], dtype=np.int64)


def read_labelled(
    path: str | Path,
    text_column: str,
    label_column: str,
    *,
    pair_column: str | None = None,
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
        pair_column: the column with the second texts, where pairs are judged.
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
    found = read_rows(path, text_column, label_column, pair_column, keep, kind, delimiter, encoding)
    return as_dataset(found, label_map, task)


@dataclass
class FoundRows:
    """The rows of a table that have a text and a label, before it is known what the labels mean.

    Attributes:
        name: of the source, for messages.
        label_column: the column with the labels.
        rows: with 0 for the class.
        labels: as many, as they stand.
        skipped: how many rows were left out, for each reason.
        notes: what people should know.
        count: rows of the table.
    """

    name: str
    label_column: str
    rows: list[LabelledText] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    count: int = 0

    def keep(self, labels: Container[str], reason: str) -> None:
        """Leave out the rows of other labels."""
        pairs = [pair for pair in zip(self.rows, self.labels, strict=True) if pair[1] in labels]
        self.skipped[reason] += len(self.rows) - len(pairs)
        self.rows, self.labels = [row for row, _ in pairs], [label for _, label in pairs]

    def refuse_nothing(self) -> None:
        """See that there are rows.

        Raises:
            DataError: when there are none, with the reasons.
        """
        if self.rows:
            return
        if not self.count:
            raise DataError(f"{self.name}: has no rows of data")
        reasons = "; ".join(f"{why}: {count:,}" for why, count in self.skipped.items() if count)
        notes = "".join(f". {as_sentence(note, self.name)}" for note in self.notes)
        # A row that cannot be read says nothing about its columns.
        doubt = set(self.skipped) - {UNREADABLE} and f". Is {self.label_column!r} the column with the labels?"
        raise DataError(f"{self.name}: none of its {self.count:,} rows can be used ({reasons}){notes}{doubt or ''}")


def read_rows(
    path: str | Path,
    text_column: str,
    label_column: str,
    pair_column: str | None = None,
    keep: Sequence[str] | None = (),
    kind: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    *,
    may_lack_pair: bool = False,
) -> FoundRows:
    """The rows of a file that have all their texts and a label; arguments and errors as for `read_labelled`.

    With `may_lack_pair`, rows without a second text are kept too.
    """
    name = input_name(path)
    columns = [text_column, label_column, *([] if pair_column is None else [pair_column])]
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        called = ["the texts", "the labels", "the aspects" if may_lack_pair else "the second texts"]
        one, other, *_ = (what for what, column in zip(called, columns, strict=False) if column == twice)
        raise UsageError(f"{name}: {one} and {other} cannot both be in the column {twice!r}; name another")
    with ExitStack() as opened:
        stream = opened.enter_context(open_input(path))
        format_name = table_format(str(path), kind)
        if keep is None or format_name == "parquet":
            stream = opened.enter_context(in_any_order(stream, name))
        asked = [*columns[1:], *(keep or ())]
        table = open_table(stream, name, format_name, text_column, (), delimiter, encoding, asked)
        if keep is None:  # the columns are known now
            stream.seek(0)
            keep = [column for column in table.columns if column not in columns]
            table = open_table(stream, name, format_name, text_column, (), delimiter, encoding, [*columns[1:], *keep])
        found = _Reading(table, FoundRows(name, label_column), pair_column, keep, may_lack_pair).read()
    if table.fault is not None:
        raise DataError(table.fault)
    return found


class _Reading:
    """Gathers rows from a table."""

    def __init__(
        self, table: Table, found: FoundRows, pair_column: str | None, keep: Sequence[str], may_lack_pair: bool
    ) -> None:
        self._table = table
        self._found = found
        self._pair_column = pair_column
        self._keep = keep
        self._may_lack_pair = may_lack_pair

    def read(self) -> FoundRows:
        found = self._found
        for row in self._table.rows():
            found.count += 1
            label, pair = self._cell(row, found.label_column), self._cell(row, self._pair_column)
            if problem := row.problem or text_problem(label or "") or text_problem(pair or ""):
                self._skip_unreadable(problem)
            elif reason := self._missing(row.text, label, pair):
                found.skipped[reason] += 1
            else:
                values = {name: _UNDECODED.sub("\ufffd", self._table.cell(row, name) or "") for name in self._keep}
                found.rows.append(LabelledText(row.text or "", 0, found.count, values, pair))
                found.labels.append(label or "")
        if self._table.doubt is not None:
            found.notes.append(self._table.doubt)
        return found

    def _cell(self, row: Row, column: str | None) -> str | None:
        return None if row.problem is not None or column is None else self._table.cell(row, column)

    def _missing(self, text: str | None, label: str | None, pair: str | None) -> str | None:
        """What the row lacks, or None."""
        if not (text or "").strip():
            return EMPTY_TEXT
        if self._pair_column is not None and not self._may_lack_pair and not (pair or "").strip():
            return EMPTY_PAIR
        return None if (label or "").strip() else EMPTY_LABEL

    def _skip_unreadable(self, problem: str) -> None:
        found = self._found
        if not found.skipped[UNREADABLE]:
            found.notes.append(f"row {found.count:,} is left out, the first that cannot be read: {problem}")
        found.skipped[UNREADABLE] += 1


def as_dataset(found: FoundRows, label_map: LabelMap | None, task: str | None) -> Dataset:
    """The rows with the numbers of their classes; the other arguments and errors as for `read_labelled`."""
    found.refuse_nothing()
    if label_map is None:
        label_map = _infer(found.name, found.labels, task)
    counts = Counter(found.labels)
    unknown = Counter({label: count for label, count in counts.items() if not label_map.knows(label)})
    if unknown:
        found.keep(counts.keys() - unknown.keys(), UNKNOWN_LABEL)
        found.notes.append(f"the label map does not know {counted(unknown)}: these rows are left out")
        found.refuse_nothing()
    numbers = {label: label_map.number(label) for label in counts if label not in unknown}
    rows = [replace(row, label=numbers[label]) for row, label in zip(found.rows, found.labels, strict=True)]
    notes = (*label_map.notes, *found.notes)
    return Dataset(found.name, rows, list(label_map.labels), label_map.task, dict(found.skipped), notes)


def _infer(name: str, labels: Iterable[str], task: str | None) -> LabelMap:
    try:
        return LabelMap.infer(labels, task)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
