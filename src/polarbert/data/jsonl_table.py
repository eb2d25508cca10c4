"""One JSON object a line, with every line kept as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from polarbert.data.encodings import TextSource
from polarbert.data.rows import MAX_TEXT_BYTES, Assemble, Row, cell_text, find_column, refuse_taken, text_problem
from polarbert.errors import DataError


class JsonlTable:
    """One JSON object a line. The output has the encoding, the byte order mark and the line ends of the input.

    Args:
        source: the lines.
        text_column, added, also, max_bytes: see `open_table`; what the first object lacks is an error.
    """

    count = fault = None

    def __init__(
        self,
        source: TextSource,
        text_column: str,
        added: Sequence[str] = (),
        also: Sequence[str] = (),
        max_bytes: int = MAX_TEXT_BYTES,
    ) -> None:
        self._source = source
        self._max_bytes = max_bytes
        self._column = text_column
        self._added = frozenset(added)
        self._written = json.dumps(text_column, ensure_ascii=False)
        self._first = self._first_line()
        self._newline = "\r\n" if self._first.endswith("\r\n") else "\r" if self._first.endswith("\r") else "\n"
        record, _ = _parse(self._first)
        self.columns: list[str] = list(record) if isinstance(record, dict) else []
        if isinstance(record, dict):
            source.refuse_undecoded(self.columns)
            for name in (text_column, *also):
                find_column(self.columns, name, source.name, (text_column, *also))
            refuse_taken(self.columns, added, source.name)
        source.refuse_unwritable(added)

    def _first_line(self) -> str:
        """The first line that is not blank."""
        line = self._source.readline()
        while line and not line.strip():
            line = self._source.readline()
        start = "".join(line[:100].split())
        if start == "[" or start.startswith("[{"):
            raise DataError(
                f"{self._source.name}: holds one JSON array, where JSONL has an object a line. "
                f"Convert it: jq -c '.[]' {self._source.name} > objects.jsonl"
            )
        return line

    @property
    def doubt(self) -> str | None:
        """See `Table.doubt`."""
        return self._source.doubt

    def rows(self) -> Iterator[Row]:
        """The rows, in order; blank lines are not rows."""
        line, self._first = self._first, ""
        while line:
            stripped = line.strip()
            if stripped:
                yield self._row(stripped, self._source.number)
            line = self._source.readline()

    def _row(self, line: str, number: int) -> Row:
        record, problem = _parse(line)
        if problem is not None:
            return Row(line, None, f"line {number}: not JSON ({problem})", is_record=False, size=len(line))
        if not isinstance(record, dict):
            return Row(line, None, f"line {number}: not a JSON object", is_record=False, size=len(line))
        if taken := sorted(self._added & record.keys()):
            what = f"line {number}: has a field {taken[0]!r} already"
            return Row(line, None, what, is_record=False, values=record, size=len(line))
        text, problem = self._text(record, line, number)
        return Row(line, text, problem, values=record, size=len(line))

    def _text(self, record: dict[str, Any], line: str, number: int) -> tuple[str | None, str | None]:
        """The text, or what is wrong with it."""
        if self._column not in record:
            return None, f"line {number}: has no field {self._column!r}"
        if line.count(self._written) > 1 and _names(line).count(self._column) > 1:
            return None, f"line {number}: has the field {self._column!r} more than once"
        value = record[self._column]
        if value is not None and not isinstance(value, str):
            return None, f"line {number}: {self._column!r} is {type(value).__name__}, not text"
        problem = text_problem(value or "", self._source.encoding.name, self._max_bytes)
        return (None if problem else value or ""), problem

    def cell(self, row: Row, name: str) -> str | None:
        """See `Table.cell`; a number, list or object is as JSON has it."""
        return None if row.values is None else cell_text(row.values.get(name))

    def header(self, added: Sequence[str]) -> bytes:  # noqa: ARG002 - a CSV has one
        """The byte order mark, where the input has one: JSONL has no header."""
        return self._source.encoding.mark

    def line(self, row: Row, added: Mapping[str, object]) -> bytes:
        """The input line with fields appended inside its braces; a line that is no object goes into "line"."""
        escaped = not self._source.encoding.codec.startswith("utf")
        new = json.dumps(added, ensure_ascii=escaped)[1:]
        if row.is_record:
            inner = row.cells[:-1].rstrip()
            line = f"{inner}{'' if inner == '{' else ', '}{new}"
        else:
            line = f'{{"line": {json.dumps(row.cells, ensure_ascii=escaped)}, {new}'
        return self._source.encoding.encode(line + self._newline)

    def read_back(self, output: BinaryIO, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """The added fields of each line of an output."""
        output.seek(len(self._source.encoding.mark))
        for line in self._source.encoding.open(output):
            record, _ = _parse(line)
            yield {name: record[name] for name in names}

    def assembler(self, types: Mapping[str, type]) -> Assemble | None:  # noqa: ARG002 - Parquet needs them
        """None: what is written row by row is the output."""
        return None


def _parse(line: str) -> tuple[Any, str | None]:
    """The parsed JSON, or why it is none. NaN and the infinities, which are not in the standard, are numbers."""
    try:
        return json.loads(line, parse_constant=float), None
    except json.JSONDecodeError as error:
        return None, str(error)
    except RecursionError:
        return None, "nested too deeply"
    except ValueError:  # a whole number of more digits than Python takes
        return json.loads(line, parse_constant=float, parse_int=float), None


def _names(line: str) -> list[str]:
    """The names in the outermost object, repeats included."""
    found: list[str] = []

    def see(pairs: list[tuple[str, Any]]) -> None:
        found[:] = [name for name, _ in pairs]  # the outermost object comes last

    json.loads(line, object_pairs_hook=see, parse_int=float)
    return found
