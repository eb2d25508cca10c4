"""Words and tags out of each format, as they stand: CoNLL columns, and tables whose cells hold lists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from polarbert.data.csv_table import CsvTable
from polarbert.data.encodings import TextSource
from polarbert.data.jsonl_table import JsonlTable
from polarbert.data.parquet import ParquetTable
from polarbert.data.rows import Row
from polarbert.errors import UsageError

_DOCUMENT = "-DOCSTART-"
_COMMENT = re.compile(r"# ?id\b|# \w[\w.]* = ")  # as CoNLL-U and its relatives have them before a text


class TaggedRecord(NamedTuple):
    """A text as it stands in a file: where, the words, the tags, and what keeps it from being read."""

    place: str
    words: Any
    tags: Any
    problem: str | None = None


def conll_records(source: TextSource) -> Iterator[TaggedRecord]:
    """The texts of a CoNLL file, between blank lines."""
    words: list[str] = []
    tags: list[str] = []
    start, problem = 0, None
    while line := source.readline():
        cells = _cells(line)
        if not cells or cells[0].startswith(_DOCUMENT):
            if words:
                yield TaggedRecord(f"the text at line {start:,}", words, tags, problem)
            words, tags, problem = [], [], None
        elif words or not _COMMENT.match(line):
            start = start if words else source.number
            words.append(cells[0])
            tags.append(cells[-1])
            if len(cells) == 1 and problem is None:
                problem = f"line {source.number:,} has one column, {_short(cells[0])}; it needs a word and its tag"
    if words:
        yield TaggedRecord(f"the text at line {start:,}", words, tags, problem)


def _cells(line: str) -> list[str]:
    """The columns of a line; none of a blank one. Where there are tabs, a word may hold a blank."""
    content = line.rstrip("\r\n")
    if not content.strip():
        return []
    return content.split("\t") if "\t" in content else re.split(" +", content.strip(" "))


def jsonl_records(table: JsonlTable, tokens: str, tags: str) -> Iterator[TaggedRecord]:
    """The rows of a JSONL file, whose columns hold lists."""
    for number, row in enumerate(table.rows(), start=1):
        if row.values is None:  # a line that is no object
            yield TaggedRecord(f"row {number:,}", [], [], row.problem)
        else:
            yield _record(number, {name: row.values.get(name) for name in (tokens, tags)})


def csv_records(table: CsvTable, tokens: str, tags: str) -> Iterator[TaggedRecord]:
    """The rows of a CSV, whose cells hold lists in JSON."""
    for number, row in enumerate(table.rows(), start=1):
        if row.problem is not None:
            yield TaggedRecord(f"row {number:,}", [], [], row.problem)
        else:
            yield _record(number, {tokens: _parsed(row.text or ""), tags: _parsed(table.cell(row, tags) or "")})


def parquet_records(table: ParquetLists, tags: str) -> Iterator[TaggedRecord]:
    """The rows of a Parquet file, tags by their names where its metadata has them."""
    names = table.class_names(tags)
    for number, row in enumerate(table.rows(), start=1):
        words, found = row.cells
        named = [names.get(tag, tag) for tag in found] if found and names else found
        yield _record(number, dict(zip(table.read, (words, named), strict=True)))


def _record(number: int, columns: Mapping[str, Any]) -> TaggedRecord:
    """A row of a table, whose two columns must hold lists."""
    for name, value in columns.items():
        if not isinstance(value, list):
            what = f"{name!r} is {_short(value)}, no list. Write a list of texts, such as " + '["In", "Leeds"]'
            return TaggedRecord(f"row {number:,}", [], [], what)
    return TaggedRecord(f"row {number:,}", *columns.values())


def _parsed(cell: str) -> Any:
    """What a cell says in JSON; the cell itself where it is none."""
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}…"


class ParquetLists(ParquetTable):
    """A Parquet file whose columns that are read hold lists; arguments and errors as for `ParquetTable`."""

    @property
    def read(self) -> list[str]:
        """The columns that are read, in the order of `Row.cells`."""
        return self._read

    def class_names(self, column: str) -> dict[int, str]:
        """What the numbers in a column of lists are called, by the metadata that files of the Hub have; may be none."""
        try:
            stored = json.loads(self._schema.metadata[b"huggingface"])["info"]["features"][column]
            names = (stored if isinstance(stored, dict) else {"feature": stored[0]})["feature"]["names"]
            return dict(enumerate(map(str, names)))
        except (TypeError, LookupError, ValueError, RecursionError):
            return {}

    def _refuse_other_types(self, column: str) -> None:  # noqa: ARG002 - all that are read must hold lists
        types = self._pa.types
        for name in self._read:
            kind = self._schema.field(name).type
            if not (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)):
                raise UsageError(f"{self._name}: the column {name!r} is {kind}, not lists. {self._columns_of_lists()}")

    def _columns_of_lists(self) -> str:
        lists = ", ".join(repr(field.name) for field in list(self._schema)[:100] if "list" in str(field.type))
        return f"The columns of lists are {lists}" if lists else "No column of it is"

    def _row(self, cells: tuple[Any, ...]) -> Row:
        return Row(cells, None)
