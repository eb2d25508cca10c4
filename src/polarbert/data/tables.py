"""Rows in and rows out, in CSV, JSONL and Parquet, with every input cell kept as it was.

A reader yields rows that know the bytes they came from, so that what cannot be understood can still be passed on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from polarbert.data.csv_table import CsvTable
from polarbert.data.encodings import TextSource
from polarbert.data.jsonl_table import JsonlTable
from polarbert.data.parquet import ParquetTable
from polarbert.data.rows import MAX_TEXT_BYTES, Row, Table, find_column
from polarbert.errors import UsageError

__all__ = ["FORMATS", "MAX_TEXT_BYTES", "Row", "Table", "find_column", "open_table", "table_format"]

FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
KINDS = ("csv", "jsonl", "parquet")


def open_table(
    stream: BinaryIO,
    name: str,
    kind: str,
    text_column: str,
    added: Sequence[str] = (),
    delimiter: str | None = None,
    encoding: str | None = None,
    also: Sequence[str] = (),
    *,
    max_bytes: int = MAX_TEXT_BYTES,
) -> Table:
    r"""Open a table for reading.

    Args:
        stream: its bytes; of Parquet, a file that can be read in any order.
        name: of the file, for messages.
        kind: one of `KINDS`.
        text_column: the column with the texts.
        added: names of the columns that the output will have besides.
        delimiter: of a CSV; None finds it in the header line.
        encoding: of a CSV or JSONL, by any name that Python knows; None is UTF-8.
        also: other columns that `Table.cell` will be asked for.
        max_bytes: most bytes of a text; a row with more has a problem.

    Raises:
        DataError: when the stream is empty or is no such table.
        UsageError: when there is no such column or encoding, one of `added` is there already, or the delimiter cannot
            be one.
        MissingExtraError: for Parquet without pyarrow.

    Example:
        >>> import io
        >>> table = open_table(io.BytesIO(b"text,stars\nFine,5\n"), "a.csv", "csv", "text", also=["stars"])
        >>> [(row.text, table.cell(row, "stars")) for row in table.rows()]
        [('Fine', '5')]
    """
    _refuse_useless("--delimiter", delimiter, name, kind, ["csv"])
    _refuse_useless("--encoding", encoding, name, kind, ["csv", "jsonl"])
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise UsageError(f"--delimiter is {delimiter!r}; it must be one character that separates cells")
    if kind == "parquet":
        return ParquetTable(stream, name, text_column, added, also, max_bytes)
    source = TextSource(stream, name, encoding)
    if kind == "csv":
        return CsvTable(source, text_column, added, delimiter, also, max_bytes)
    return JsonlTable(source, text_column, added, also, max_bytes)


def _refuse_useless(flag: str, value: str | None, name: str, kind: str, kinds: Sequence[str]) -> None:
    if value is not None and kind not in kinds:
        raise UsageError(f"{name}: {flag} is for {' and '.join(kinds)}, and this is {kind}. Leave it out")


def table_format(path: str, given: str | None) -> str:
    """The format of a file, by its name unless given.

    Raises:
        UsageError: when the name says nothing.
    """
    if given is not None:
        if given not in KINDS:
            raise UsageError(f"--format is {given!r}; it can be {', '.join(KINDS[:-1])} or {KINDS[-1]}")
        return given
    suffix = Path(path).suffix.lower()
    if path == "-":
        return "csv"
    if suffix not in FORMATS:
        known = ", ".join(FORMATS)
        raise UsageError(
            f"{path}: cannot tell the format from the name (known: {known}). "
            f"Say {', '.join(f'--format {kind}' for kind in KINDS[:-1])} or --format {KINDS[-1]}"
        )
    return FORMATS[suffix]
