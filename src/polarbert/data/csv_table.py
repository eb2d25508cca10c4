"""Comma-separated values, with every cell kept as it was."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from polarbert.data.encodings import TextSource
from polarbert.data.rows import MAX_TEXT_BYTES, Assemble, Row, find_column, refuse_taken, text_problem
from polarbert.errors import DataError

MAX_FIELD = 1 << 25  # characters; a cell beyond this is not a cell but a quotation mark never closed
_NO_LIMIT = (1 << 31) - 1  # a C long on every platform
_DELIMITERS = ",\t;|"
_CELL_SIZE = 64  # about what an empty cell takes


class CsvTable:
    """Comma-separated values, or separated by tab, semicolon or bar.

    The output has the encoding, the byte order mark, the delimiter and the line ends of the input.

    Args:
        source: the lines.
        text_column, added, delimiter, also, max_bytes: see `open_table`.
    """

    count = None

    def __init__(
        self,
        source: TextSource,
        text_column: str,
        added: Sequence[str] = (),
        delimiter: str | None = None,
        also: Sequence[str] = (),
        max_bytes: int = MAX_TEXT_BYTES,
    ) -> None:
        csv.field_size_limit(MAX_FIELD)
        self._source = source
        self._name = source.name
        self._max_bytes = max_bytes
        first = source.readline()
        self._lines = _Lines(first, source)
        self._delimiter = delimiter or _find_delimiter(first)
        self._reader = csv.reader(self._lines, delimiter=self._delimiter)
        self.fault: str | None = None
        self.columns = self._next() or []
        self._newline = _line_end(self._lines.of_record[-1])
        if self._lines.ended:
            raise DataError(f"{self._unclosed()}, so there is no table behind it")
        if not any(self.columns):
            raise DataError(f"{self._name}: the first line is blank; it must hold the column names")
        source.refuse_undecoded(self.columns)
        used = (text_column, *also)
        self._text_at = find_column(self.columns, text_column, self._name, used)
        self._at = {name: find_column(self.columns, name, self._name, used) for name in also}
        refuse_taken(self.columns, added, self._name)
        source.refuse_unwritable(added)

    @property
    def doubt(self) -> str | None:
        """See `Table.doubt`."""
        return self._source.doubt

    def rows(self) -> Iterator[Row]:
        """The rows, in order. A blank line is no row, except where there is one column: there it is an empty cell."""
        blank_is_row = len(self.columns) == 1
        while (cells := self._next()) is not None:
            if cells or blank_is_row:
                yield self._row(cells or [""])

    def _next(self) -> list[str] | None:
        self._lines.of_record.clear()
        try:
            return next(self._reader, None)
        except csv.Error as error:
            opened = self._lines.open_quote()
            if opened is None:
                raise DataError(f"{self._name}, line {self._source.number}: not readable as CSV ({error})") from error
            raise DataError(
                f"{self._name}, line {opened}: a quotation mark opens here and is not closed within {MAX_FIELD:,} "
                "characters, so the rows behind it cannot be told apart. Close it, or double it inside the text"
            ) from error

    def _row(self, cells: list[str]) -> Row:
        size = sum(map(len, cells)) + _CELL_SIZE * len(cells)
        if problem := self._problem(cells):
            return Row(cells, None, problem, size=size)
        text = cells[self._text_at]
        problem = text_problem(text, self._source.encoding.name, self._max_bytes)
        return Row(cells, None if problem else text, problem, size=size)

    def _problem(self, cells: list[str]) -> str | None:
        if self._lines.ended:  # only within quotation marks does a row go on to the end of the file
            self.fault = f"{self._unclosed()}, so all that follows is one cell. Close it, or double it inside the text"
            return f"line {self._lines.open_quote()}: a quotation mark opens here and is never closed"
        if len(cells) != len(self.columns):
            return f"line {self._source.number}: {len(cells)} fields, the header has {len(self.columns)}"
        return None

    def _unclosed(self) -> str:
        return f"{self._name}, line {self._lines.open_quote()}: a quotation mark opens here and is never closed"

    def cell(self, row: Row, name: str) -> str | None:
        """See `Table.cell`."""
        if name not in self._at:
            self._at[name] = find_column(self.columns, name, self._name)
        cells: list[str] = row.cells
        return cells[self._at[name]] if self._at[name] < len(cells) else None

    def header(self, added: Sequence[str]) -> bytes:
        """The header line."""
        return self._source.encoding.mark + self._format([*self.columns, *added])

    def line(self, row: Row, added: Mapping[str, object]) -> bytes:
        """A line: the row's cells, then the added ones; cells beyond the header's come last."""
        cells = list(row.cells)
        width = len(self.columns)
        padded = cells[:width] + [""] * (width - len(cells))
        return self._format([*padded, *(self._cell(value) for value in added.values()), *cells[width:]])

    def _cell(self, value: object) -> str:
        """An added cell; a list as JSON, escaped where the encoding may lack a character of it."""
        if isinstance(value, list):
            return json.dumps(value, ensure_ascii=not self._source.encoding.codec.startswith("utf"))
        return _csv_cell(value)

    def read_back(self, output: BinaryIO, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """The added columns of each row of an output, as text."""
        output.seek(len(self._source.encoding.mark))
        rows = _without_limit(csv.reader(self._source.encoding.open(output), delimiter=self._delimiter))
        next(rows, None)
        width = len(self.columns)
        for cells in rows:
            yield dict(zip(names, cells[width : width + len(names)], strict=True))

    def assembler(self, types: Mapping[str, type]) -> Assemble | None:  # noqa: ARG002 - Parquet needs them
        """None: what is written row by row is the output."""
        return None

    def _format(self, cells: Sequence[str]) -> bytes:
        out = io.StringIO()
        csv.writer(out, delimiter=self._delimiter, lineterminator="\r\n").writerow(cells)
        # Cells with either mark of a line's end are quoted only where the writer's own end has both.
        return self._source.encoding.encode(out.getvalue().removesuffix("\r\n") + self._newline)


def _without_limit(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """Rows that we wrote: a cell with the verdicts of many sentences is longer than any cell of an input may be."""
    while True:
        csv.field_size_limit(_NO_LIMIT)
        try:
            cells = next(rows, None)
        finally:
            csv.field_size_limit(MAX_FIELD)  # the limit is one for the whole process, and inputs need it
        if cells is None:
            return
        yield cells


class _Lines:
    """A line already read, then the rest; remembers those of the row being read."""

    def __init__(self, first: str, source: TextSource) -> None:
        self.of_record: list[str] = []
        self.ended = False
        self._first: str | None = first
        self._source = source

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line, self._first = self._first, None
        if line is None:
            line = self._source.readline()
        if not line:
            self.ended = True
            raise StopIteration
        self.of_record.append(line)
        return line

    def open_quote(self) -> int | None:
        """Number of the line in which the quotation mark opens that the row does not close; None when it closes all."""
        opened = None
        last = self._source.number - self.ended  # the attempt to read behind the end is counted as a line
        for number, line in enumerate(self.of_record, start=last - len(self.of_record) + 1):
            for _ in range(line.count('"')):
                opened = number if opened is None else None
        return opened


def _find_delimiter(header: str) -> str:
    counts = {mark: header.count(mark) for mark in _DELIMITERS}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else ","


def _line_end(line: str) -> str:
    if line.endswith("\r\n"):
        return "\r\n"
    return "\r" if line.endswith("\r") else "\n"


def _csv_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6f}"
    return str(value).lower() if isinstance(value, bool) else str(value)
