"""Parquet in and out: every column keeps its type, its metadata and its values.

Rows are scored from the text column alone, and what is written meanwhile are the answers, a line of JSON a row. At the
end the input is read once more, and written with the answers beside it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from typing import Any, BinaryIO

from polarbert.data.rows import MAX_TEXT_BYTES, Assemble, Row, cell_text, find_column, refuse_taken, text_problem
from polarbert.errors import DataError, MissingExtraError, UsageError

READ_ROWS, READ_BYTES = 1024, 16_000_000  # held at once while reading
GROUP_ROWS, GROUP_BYTES = 131_072, 64_000_000  # a row group of the output
# A column of a larger file is read through a buffer, and not whole. A smaller one is, because then a damaged page
# cannot ask for more memory than the file has bytes.
_SMALL_FILE, _BUFFER = 64_000_000, 1 << 20


class ParquetTable:
    """A Parquet file. The output has its columns, types, metadata and compression, and the added columns.

    Args:
        stream: the file; it is read in any order, so a pipe will not do.
        name, text_column, added, also, max_bytes: see `open_table`.

    Raises:
        MissingExtraError: without pyarrow.
        DataError: when the stream is no Parquet file, is cut short, damaged or encrypted.
        UsageError: when there is no such column, or it does not hold text.
    """

    doubt = fault = None

    def __init__(
        self,
        stream: BinaryIO,
        name: str,
        text_column: str,
        added: Sequence[str] = (),
        also: Sequence[str] = (),
        max_bytes: int = MAX_TEXT_BYTES,
    ) -> None:
        self._pa, self._pq = _pyarrow()
        if not stream.seekable():
            raise DataError(f"{name}: Parquet cannot be read from a pipe. Save it to a file and name that")
        self._stream, self._name, self._max_bytes = stream, name, max_bytes
        with _read_errors(name):
            buffer = _BUFFER if stream.seek(0, os.SEEK_END) > _SMALL_FILE else 0
            self._file = self._pq.ParquetFile(stream, buffer_size=buffer, pre_buffer=False)
            self._schema = self._file.schema_arrow
        self.columns: list[str] = list(self._schema.names)
        self.count: int = self._file.metadata.num_rows
        self._read = list(dict.fromkeys([text_column, *also]))
        for column in self._read:
            find_column(self.columns, column, name, self._read)
        self._refuse_other_types(text_column)
        refuse_taken(self.columns, added, name)

    def _refuse_other_types(self, column: str) -> None:
        kind = self._schema.field(column).type
        if self._is_text(kind):
            return
        texts = ", ".join(repr(field.name) for field in list(self._schema)[:100] if self._is_text(field.type))
        known = f"The columns of text are {texts}" if texts else "No column of it is"
        raise UsageError(f"{self._name}: the column {column!r} is {kind}, not text. {known}")

    def _is_text(self, kind: Any) -> bool:
        types = self._pa.types
        if types.is_dictionary(kind):
            kind = kind.value_type
        tests = "string large_string string_view binary large_binary binary_view null".split()
        return any(getattr(types, f"is_{test}")(kind) for test in tests)

    def rows(self) -> Iterator[Row]:
        """The rows, in order; a null is an empty text."""
        number = 0
        with _read_errors(self._name, lambda: f" behind row {number:,}"):
            for batch in self._batches(self._read):
                columns = [self._values(batch.column(name)) for name in self._read]
                for cells in zip(*columns, strict=True):
                    number += 1
                    yield self._row(cells)
            if number != self.count:
                raise ValueError(f"it says that it has {self.count:,} rows")

    def _row(self, cells: tuple[Any, ...]) -> Row:
        text = cells[0] or ""
        problem = text_problem(text, max_bytes=self._max_bytes)
        return Row(cells, None if problem else text, problem, size=len(text))

    def _batches(self, columns: Sequence[str] | None) -> Iterator[Any]:
        """Parts that can be held; none reaches into a second row group, so damage in one spares those before it."""
        groups = [self._file.metadata.row_group(number) for number in range(self._file.metadata.num_row_groups)]
        for number, group in enumerate(groups):
            fitting = READ_BYTES * max(1, group.num_rows) // max(1, group.total_byte_size)
            rows = max(1, min(READ_ROWS, fitting))
            yield from self._file.iter_batches(rows, row_groups=[number], columns=columns, use_threads=False)

    def _values(self, column: Any) -> list[Any]:
        """Python values; bytes of a text that are not UTF-8 as lone surrogates."""
        if self._pa.types.is_temporal(column.type):
            column = column.cast(self._pa.string())  # Python has no nanoseconds
        if not self._is_text(column.type):
            values: list[Any] = column.to_pylist()
            return values
        if self._pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        binary = column.cast(self._pa.large_binary()).to_pylist()
        return [None if value is None else value.decode("utf-8", "surrogateescape") for value in binary]

    def cell(self, row: Row, name: str) -> str | None:
        """See `Table.cell`; numbers, dates and nested values are as JSON has them."""
        if name not in self._read:
            raise UsageError(f"{self._name}: the column {name!r} was not asked for when the file was opened")
        return cell_text(row.cells[self._read.index(name)])

    def header(self, added: Sequence[str]) -> bytes:  # noqa: ARG002 - a CSV has one
        """Nothing: the answers have no header."""
        return b""

    def line(self, row: Row, added: Mapping[str, object]) -> bytes:  # noqa: ARG002 - the cells are read again
        """The answers of a row."""
        return json.dumps(added, ensure_ascii=False).encode("utf-8") + b"\n"

    def read_back(self, output: BinaryIO, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """The answers of each row."""
        for line in output:
            record = json.loads(line)
            yield {name: record[name] for name in names}

    def assembler(self, types: Mapping[str, type]) -> Assemble | None:
        """What writes the input with its answers as Parquet."""
        return partial(self._assemble, types)

    def _assemble(self, types: Mapping[str, type], answers: BinaryIO, out: BinaryIO) -> None:
        pa = self._pa
        kinds = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_(), list: pa.string()}
        fields = [pa.field(name, kinds[kind]) for name, kind in types.items()]
        schema = pa.schema([*self._schema, *fields], metadata=self._schema.metadata)
        writer = self._pq.ParquetWriter(out, schema, compression=self._compression())
        try:
            for group in self._groups(answers, fields):
                writer.write_table(group, row_group_size=max(1, group.num_rows))
            writer.close()
        except BaseException:
            with suppress(Exception):
                writer.close()
            writer.is_open = False  # it would try, and complain, once more when it is collected
            raise

    def _groups(self, answers: BinaryIO, fields: Sequence[Any]) -> Iterator[Any]:
        """The output in parts that are not too large to be held."""
        parts: list[Any] = []
        rows = size = 0
        for part in self._parts(answers, fields):
            parts.append(part)
            rows, size = rows + part.num_rows, size + part.nbytes
            if rows >= GROUP_ROWS or size >= GROUP_BYTES:
                yield self._pa.concat_tables(parts)
                parts, rows, size = [], 0, 0
        if parts:
            yield self._pa.concat_tables(parts)

    def _parts(self, answers: BinaryIO, fields: Sequence[Any]) -> Iterator[Any]:
        with _read_errors(self._name):
            for batch in self._batches(None):
                table = self._pa.Table.from_batches([batch])
                records = [json.loads(line) for line in islice(answers, batch.num_rows)]
                for field in fields:
                    values = self._pa.array([_flat(record[field.name]) for record in records], field.type)
                    table = table.append_column(field, values)
                yield table.replace_schema_metadata(self._schema.metadata)
            if next(answers, None) is not None:
                raise ValueError("its columns do not have as many rows as its texts")

    def _compression(self) -> str:
        metadata = self._file.metadata
        if not metadata.num_row_groups or not metadata.num_columns:
            return "snappy"
        name = str(metadata.row_group(0).column(0).compression).lower()
        return {"uncompressed": "none", "lzo": "snappy"}.get(name, name)


def _flat(value: Any) -> Any:
    """The value; a list as its JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def _pyarrow() -> tuple[Any, Any]:
    if find_spec("pyarrow") is None:
        raise MissingExtraError("Parquet", "parquet")
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except (ImportError, OSError) as error:
        raise MissingExtraError("Parquet", "parquet", error) from error


@contextmanager
def _read_errors(name: str, where: Callable[[], str] = lambda: "") -> Iterator[None]:
    """What pyarrow says of a file, as an error of ours: it raises kinds without a common base."""
    try:
        yield
    except (OSError, ValueError, TypeError, LookupError, NotImplementedError, MemoryError) as error:
        said = " ".join(str(error).split())[:300].rstrip(".")
        if "crypt" in said:
            raise DataError(f"{name}: is encrypted; write it without encryption first") from error
        raise DataError(
            f"{name}: cannot be read as Parquet{where()}: {said}. It is cut short, damaged or another kind of file; "
            "make it anew"
        ) from error
