"""Rows in and rows out, CSV and JSONL, with every input cell kept as it was.

A reader yields rows that know the bytes they came from, so that what cannot be understood can still be passed on.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TextIO

from polarbert.errors import DataError, UsageError

MAX_TEXT_BYTES = 1_000_000
_MAX_FIELD = 1 << 27  # a cell beyond this is not a cell but a quote never closed
_DELIMITERS = ",\t;|"
_UTF8_BOM = b"\xef\xbb\xbf"
_OTHER_BOMS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        cells: the fields as they stood (CSV), or the line as it stood (JSONL).
        text: the text to score; None when `problem` says why there is none.
        problem: what is wrong with the row, or None.
        is_record: False for a line of JSONL to which no field can be added.
    """

    cells: Any
    text: str | None
    problem: str | None = None
    is_record: bool = True


class Table(Protocol):
    """A format: how rows are read, and how they are written with columns added."""

    def rows(self) -> Iterator[Row]:
        """The rows, in order."""

    def header(self, added: Sequence[str]) -> str:
        """What the output starts with."""

    def line(self, row: Row, added: Mapping[str, object]) -> str:
        """A row of the output: the input's cells, then the added ones."""

    def read_back(self, output: TextIO, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """The added columns of each row of an output that `header` and `line` wrote."""


def open_table(
    stream: BinaryIO, name: str, kind: str, text_column: str, added: Sequence[str], delimiter: str | None = None
) -> Table:
    """Open a table for reading.

    Args:
        stream: its bytes.
        name: of the file, for messages.
        kind: "csv" or "jsonl".
        text_column: the column with the texts.
        added: names of the columns that the output will have besides.
        delimiter: of a CSV; None finds it in the header line.

    Raises:
        DataError: when the stream is empty or not UTF-8 text.
        UsageError: when there is no such column, or one of `added` is there already.
    """
    start = stream.read(3)
    for mark, encoding in _OTHER_BOMS.items():
        if start.startswith(mark):
            raise DataError(
                f"{name}: is {encoding}, not UTF-8. Convert it: iconv -f {encoding} -t UTF-8 {name} > utf8-{name}"
            )
    if not start:
        raise DataError(f"{name}: is empty")
    marked = start == _UTF8_BOM
    rest = _Prefixed(b"" if marked else start, stream)
    # Bytes that are not UTF-8 become lone surrogates and are written back as the same bytes.
    text = io.TextIOWrapper(io.BufferedReader(rest), encoding="utf-8", errors="surrogateescape", newline="")
    if kind == "csv":
        return CsvTable(text, name, text_column, added, delimiter, marked)
    return JsonlTable(text, name, text_column, added)


def table_format(path: str, given: str | None) -> str:
    """The format of a file, by its name unless given.

    Raises:
        UsageError: when the name says nothing.
    """
    if given is not None:
        if given not in ("csv", "jsonl"):
            raise UsageError(f"--format is {given!r}; it can be csv or jsonl")
        return given
    suffix = Path(path).suffix.lower()
    if path == "-":
        return "csv"
    if suffix not in FORMATS:
        known = ", ".join(FORMATS)
        raise UsageError(
            f"{path}: cannot tell the format from the name (known: {known}). Say --format csv or --format jsonl"
        )
    return FORMATS[suffix]


class CsvTable:
    """Comma-separated values, or separated by tab, semicolon or bar.

    Args:
        text: what stands behind the byte order mark.
        marked: a byte order mark stood there; spreadsheets know UTF-8 by it, so the output has one too.
        name, text_column, added, delimiter: see `open_table`.
    """

    def __init__(
        self,
        text: TextIO,
        name: str,
        text_column: str,
        added: Sequence[str],
        delimiter: str | None = None,
        marked: bool = False,
    ) -> None:
        csv.field_size_limit(_MAX_FIELD)
        self._name = name
        self._mark = "\ufeff" if marked else ""
        first = text.readline()
        self._newline = "\r\n" if first.endswith("\r\n") else "\n"
        self._delimiter = delimiter or _find_delimiter(first)
        self._reader = csv.reader(_Chained(first, text), delimiter=self._delimiter)
        self.columns = self._next() or []
        if not any(self.columns):
            raise DataError(f"{name}: the first line is blank; it must hold the column names")
        self._at = find_column(self.columns, text_column, name)
        refuse_taken(self.columns, added, name)

    def rows(self) -> Iterator[Row]:
        """The rows, in order. A blank line is no row, except where there is one column: there it is an empty cell."""
        blank_is_row = len(self.columns) == 1
        while (cells := self._next()) is not None:
            if cells or blank_is_row:
                yield self._row(cells or [""])

    def _next(self) -> list[str] | None:
        try:
            return next(self._reader, None)
        except csv.Error as error:
            raise DataError(
                f"{self._name}, line {self._reader.line_num}: not readable as CSV ({error}). "
                "A quotation mark opened before this line may never be closed"
            ) from error

    def _row(self, cells: list[str]) -> Row:
        if len(cells) != len(self.columns):
            return Row(
                cells, None, f"line {self._reader.line_num}: {len(cells)} fields, the header has {len(self.columns)}"
            )
        return checked_row(cells, cells[self._at])

    def header(self, added: Sequence[str]) -> str:
        """The header line."""
        return self._mark + self._format([*self.columns, *added])

    def line(self, row: Row, added: Mapping[str, object]) -> str:
        """A line: the row's cells, then the added ones; cells beyond the header's come last."""
        cells = list(row.cells)
        width = len(self.columns)
        padded = cells[:width] + [""] * (width - len(cells))
        return self._format([*padded, *(_csv_cell(value) for value in added.values()), *cells[width:]])

    def read_back(self, output: TextIO, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """The added columns of each row of an output, as text."""
        rows = csv.reader(output, delimiter=self._delimiter)
        next(rows, None)
        width = len(self.columns)
        for cells in rows:
            yield dict(zip(names, cells[width : width + len(names)], strict=True))

    def _format(self, cells: Sequence[str]) -> str:
        out = io.StringIO()
        csv.writer(out, delimiter=self._delimiter, lineterminator="\r\n").writerow(cells)
        # Cells with either mark of a line's end are quoted only where the writer's own end has both.
        return out.getvalue().removesuffix("\r\n") + self._newline


class JsonlTable:
    """One JSON object a line."""

    def __init__(self, text: TextIO, name: str, text_column: str, added: Sequence[str]) -> None:
        self._text = text
        self._column = text_column
        self._added = frozenset(added)
        self._first = text.readline()
        record = _parse(self._first)
        if isinstance(record, dict):
            find_column(list(record), text_column, name)
            refuse_taken(list(record), added, name)

    def rows(self) -> Iterator[Row]:
        """The rows, in order; blank lines are not rows."""
        for number, line in enumerate(_Chained(self._first, self._text), start=1):
            stripped = line.strip()
            if stripped:
                yield self._row(stripped, number)

    def _row(self, line: str, number: int) -> Row:
        record = _parse(line)
        if isinstance(record, str):
            return Row(line, None, f"line {number}: not JSON ({record})", is_record=False)
        if not isinstance(record, dict):
            return Row(line, None, f"line {number}: not a JSON object", is_record=False)
        if taken := sorted(self._added & record.keys()):
            return Row(line, None, f"line {number}: has a field {taken[0]!r} already", is_record=False)
        if self._column not in record:
            return Row(line, None, f"line {number}: has no field {self._column!r}")
        value = record[self._column]
        if value is not None and not isinstance(value, str):
            return Row(line, None, f"line {number}: {self._column!r} is {type(value).__name__}, not text")
        return checked_row(line, value or "")

    def header(self, added: Sequence[str]) -> str:  # noqa: ARG002 - a CSV has one
        """Nothing: JSONL has no header."""
        return ""

    def line(self, row: Row, added: Mapping[str, object]) -> str:
        """The input line with fields appended inside its braces; a line that is no object goes into "line"."""
        if not row.is_record:
            return json.dumps({"line": row.cells, **added}, ensure_ascii=False) + "\n"
        inner = row.cells[:-1].rstrip()
        comma = "" if inner == "{" else ", "
        return f"{inner}{comma}{json.dumps(added, ensure_ascii=False)[1:]}\n"

    def read_back(self, output: TextIO, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """The added fields of each line of an output."""
        for line in output:
            record = json.loads(line)
            yield {name: record[name] for name in names}


def find_column(columns: Sequence[str], wanted: str, name: str) -> int:
    """Position of a column.

    Raises:
        UsageError: suggesting the nearest name.
    """
    if list(columns).count(wanted) > 1:
        raise UsageError(
            f"{name}: the column {wanted!r} is there {list(columns).count(wanted)} times; rename all but one"
        )
    if wanted in columns:
        return list(columns).index(wanted)
    lowered = {column.strip().lower(): column for column in columns}
    near = get_close_matches(wanted.strip().lower(), lowered, n=1, cutoff=0.5)
    hint = f"Did you mean {lowered[near[0]]!r}? " if near else ""
    shown = ", ".join(repr(column) for column in columns[:20]) + (", …" if len(columns) > 20 else "")
    raise UsageError(f"{name}: no column {wanted!r}. {hint}The columns are {shown}")


def refuse_taken(columns: Sequence[str], added: Sequence[str], name: str) -> None:
    """Refuse to add a column under a name that the table has.

    Raises:
        UsageError: naming the columns and the way out.
    """
    taken = [column for column in added if column in columns]
    if taken:
        shown = ", ".join(repr(column) for column in taken)
        raise UsageError(f"{name}: has a column {shown} already. Put a word before the new ones, as in --prefix model_")


def checked_row(cells: Any, text: str) -> Row:
    """A row with its text, or with what is wrong with the text."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_TEXT_BYTES:
        return Row(cells, None, f"the text has {size:,} bytes; at most {MAX_TEXT_BYTES:,} are read")
    bad = next((c for c in text if "\ud800" <= c <= "\udfff"), None)
    if bad is not None:
        what = f"byte 0x{ord(bad) - 0xDC00:02x}" if "\udc80" <= bad <= "\udcff" else "a lone surrogate"
        return Row(cells, None, f"the text is not valid UTF-8 ({what} at character {text.index(bad)})")
    return Row(cells, text)


def _find_delimiter(header: str) -> str:
    counts = {mark: header.count(mark) for mark in _DELIMITERS}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else ","


def _csv_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6f}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parse(line: str) -> Any:
    """The parsed JSON; a str says why it is none (a JSON string is no row either)."""
    try:
        return json.loads(line, parse_constant=str)
    except (ValueError, RecursionError) as error:
        return str(error)


class _Chained:
    """A line already read, then the rest."""

    def __init__(self, first: str, rest: TextIO) -> None:
        self._first: str | None = first
        self._rest = rest

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return next(self._rest)


class _Prefixed(io.RawIOBase):
    """Bytes already read, then the rest."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        self._first = first
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._first:
            count = min(len(buffer), len(self._first))
            buffer[:count], self._first = self._first[:count], self._first[count:]
            return count
        data = self._rest.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
