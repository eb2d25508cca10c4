"""Vectors of the rows of a table, written as they are computed: a .npy of numbers alone, or Parquet beside the columns.

A file is written beside its place and put there once it is whole.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from polarbert.data.rows import Row, Table, find_column
from polarbert.errors import DataError, UsageError
from polarbert.files import disk_errors, replacing
from polarbert.training.embedding import Embedder, TokenVectors, Vectors

SUFFIXES = (".npy", ".parquet")
BLOCK_ROWS, BLOCK_CHARACTERS = 2048, 1_000_000
BLOCK_NUMBERS = 16_000_000  # of the pieces of a block, about: 64 MB
TOKEN_TEXT_BYTES = 100_000  # longest text of which every piece is kept


class VectorFile(Protocol):
    """Where the vectors of a block of rows go."""

    def write(self, rows: Sequence[Row], vectors: Sequence[Vectors | TokenVectors | None]) -> None:
        """Take a block; None where a row could not be read."""


Opener = Callable[[Path], AbstractContextManager[VectorFile]]


def embed_table(
    embedder: Embedder,
    table: Table,
    output: Path,
    opener: Opener,
    progress: Callable[[int], None] = lambda _rows: None,
) -> dict[str, int]:
    """Write the vectors of every row of a table.

    Args:
        embedder: what computes them.
        table: the rows.
        output: the file; it appears when all is written.
        opener: `npy_file` or `parquet_file`, with what they need.
        progress: called with the rows done after each block.

    Returns:
        Totals: rows, and errors, the rows without a vector.

    Raises:
        DataError: when the disk does not take it.
    """
    totals = {"rows": 0, "errors": 0}
    then = "Nothing is left of it; name another place, or make room, and run the same command again"
    with disk_errors(str(output), then), replacing(output) as temporary, opener(temporary) as file:
        for block in _blocks(table.rows(), embedder):
            file.write(block, _vectors(embedder, block))
            totals["rows"] += len(block)
            totals["errors"] += sum(row.text is None for row in block)
            progress(totals["rows"])
    return totals


def _blocks(rows: Iterator[Row], embedder: Embedder) -> Iterator[list[Row]]:
    """Rows that are computed together: as many as can be held with all their vectors."""
    most = BLOCK_CHARACTERS
    if embedder.reading.pool == "tokens":
        most = min(most, BLOCK_NUMBERS // embedder.dimensions)
    block: list[Row] = []
    characters = 0
    for row in rows:
        block.append(row)
        characters += len(row.text or "")
        if len(block) == BLOCK_ROWS or characters > most:
            yield block
            block, characters = [], 0
    if block:
        yield block


def _vectors(embedder: Embedder, block: Sequence[Row]) -> list[Vectors | TokenVectors | None]:
    texts = [row.text for row in block if row.text is not None]
    found: Iterator[Vectors | TokenVectors]
    found = iter(embedder.tokens(texts) if embedder.reading.pool == "tokens" else embedder.embed(texts))
    return [None if row.text is None else next(found) for row in block]


@contextmanager
def npy_file(path: Path, dimensions: int) -> Iterator[VectorFile]:
    """A .npy of shape (rows, D) in float32; a row that could not be read is all NaN."""
    with path.open("wb") as file:
        file.write(_npy_header(0, dimensions))
        rows = _NpyRows(file, dimensions)
        yield rows
        file.seek(0)
        file.write(_npy_header(rows.count, dimensions))  # as long as the first: NumPy leaves room for the count


def _npy_header(rows: int, dimensions: int) -> bytes:
    header = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, dimensions)}
    np.lib.format.write_array_header_1_0(header, shape)
    return header.getvalue()


class _NpyRows:
    """The body of a .npy."""

    def __init__(self, file: BinaryIO, dimensions: int) -> None:
        self.count = 0
        self._file = file
        self._missing = np.full(dimensions, np.nan, dtype="<f4")

    def write(self, rows: Sequence[Row], vectors: Sequence[Vectors | TokenVectors | None]) -> None:
        block = np.stack([vector if isinstance(vector, np.ndarray) else self._missing for vector in vectors])
        self._file.write(block.astype("<f4").tobytes())
        self.count += len(rows)


class Columns(Protocol):
    """The columns of a table, as Arrow has them."""

    schema: pa.Schema

    def take(self, rows: Sequence[Row]) -> list[Any]:
        """The arrays of the next rows."""


class TextColumns:
    """The columns of a CSV or JSONL; each cell is text, as it stood.

    Args:
        table: which table.
        name: of it, for messages.

    Raises:
        UsageError: when two columns have one name.
    """

    def __init__(self, table: Table, name: str) -> None:
        self._table = table
        self._names = list(table.columns)
        for column in self._names:
            find_column(self._names, column, name)
        self.schema = pa.schema([(_writable(column), pa.string()) for column in self._names])

    def take(self, rows: Sequence[Row]) -> list[Any]:
        """See `Columns.take`."""
        cells = ([self._table.cell(row, name) for row in rows] for name in self._names)
        return [pa.array([None if c is None else _writable(c) for c in column], pa.string()) for column in cells]


class ParquetColumns:
    """The columns of a Parquet file, with their types.

    Args:
        stream: the file.
        name: of it, for messages.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        file = pq.ParquetFile(stream, pre_buffer=False)
        self.schema = file.schema_arrow
        self._name = name
        self._batches = file.iter_batches(BLOCK_ROWS, use_threads=False)
        self._held = self.schema.empty_table()

    def take(self, rows: Sequence[Row]) -> list[Any]:
        """See `Columns.take`."""
        try:
            while self._held.num_rows < len(rows):
                self._held = pa.concat_tables([self._held, pa.Table.from_batches([next(self._batches)], self.schema)])
        except (pa.ArrowException, OSError, StopIteration) as error:
            raise DataError(f"{self._name}: a column cannot be read: {error}. Make the file anew") from error
        taken, self._held = self._held.slice(0, len(rows)), self._held.slice(len(rows))
        return list(taken.columns)


@contextmanager
def parquet_file(path: Path, columns: Columns, dimensions: int, tokens: bool, prefix: str = "") -> Iterator[VectorFile]:
    """A Parquet file: the columns of the table, then `vector` (or `tokens`) and `error`.

    Args:
        path: the file.
        columns: of the table.
        dimensions: numbers D in a vector.
        tokens: a list of piece, start, end and vector in place of one vector.
        prefix: put before the names of the added columns.
    """
    kind = _token_type(dimensions) if tokens else pa.list_(pa.float32())
    name, error = added_columns(tokens, prefix)
    schema = pa.schema([*columns.schema, pa.field(name, kind), pa.field(error, pa.string())])
    schema = schema.with_metadata(columns.schema.metadata)
    with pq.ParquetWriter(path, schema) as writer:
        yield _ParquetRows(writer, schema, columns, dimensions)


def added_columns(tokens: bool, prefix: str = "") -> list[str]:
    """The names of the columns that `parquet_file` adds."""
    return [prefix + ("tokens" if tokens else "vector"), f"{prefix}error"]


class _ParquetRows:
    """The row groups of a Parquet file."""

    def __init__(self, writer: Any, schema: pa.Schema, columns: Columns, dimensions: int) -> None:
        self._writer, self._schema, self._columns, self._dimensions = writer, schema, columns, dimensions

    def write(self, rows: Sequence[Row], vectors: Sequence[Vectors | TokenVectors | None]) -> None:
        tokens = pa.types.is_struct(self._schema.field(-2).type.value_type)
        added = _token_lists(vectors, self._dimensions) if tokens else _vector_lists(vectors)
        errors = pa.array([row.problem for row in rows], pa.string())
        table = pa.Table.from_arrays([*self._columns.take(rows), added, errors], schema=self._schema)
        self._writer.write_table(table)


def _vector_lists(vectors: Sequence[Vectors | TokenVectors | None]) -> Any:
    given = [vector for vector in vectors if isinstance(vector, np.ndarray)]
    sizes = [len(vector) if isinstance(vector, np.ndarray) else None for vector in vectors]
    values = np.concatenate(given) if given else np.empty(0, np.float32)
    return pa.ListArray.from_arrays(_ends(sizes), pa.array(values, pa.float32()))


def _token_lists(vectors: Sequence[Vectors | TokenVectors | None], dimensions: int) -> Any:
    given = [one for one in vectors if isinstance(one, TokenVectors)]
    sizes = [len(one.pieces) if isinstance(one, TokenVectors) else None for one in vectors]
    values = np.concatenate([np.empty((0, dimensions), np.float32), *(one.vectors for one in given)])
    places = [offset for one in given for offset in one.offsets]
    inner = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), pa.float32()), dimensions)
    fields = [
        pa.array([piece for one in given for piece in one.pieces], pa.string()),
        pa.array([start for start, _ in places], pa.int32()),
        pa.array([end for _, end in places], pa.int32()),
        inner,
    ]
    structs = pa.StructArray.from_arrays(fields, fields=list(_token_type(dimensions).value_type))
    return pa.ListArray.from_arrays(_ends(sizes), structs)


def _token_type(dimensions: int) -> Any:
    vector = pa.field("vector", pa.list_(pa.float32(), dimensions))
    return pa.list_(pa.struct([("piece", pa.string()), ("start", pa.int32()), ("end", pa.int32()), vector]))


def _ends(sizes: Sequence[int | None]) -> Any:
    """Where each list begins, and the last one ends; a null makes the list that begins there a null."""
    ends, total = [], 0
    for size in sizes:
        ends.append(None if size is None else total)
        total += size or 0
    return pa.array([*ends, total], pa.int32())


def _writable(text: str) -> str:
    """The text without halves of characters, which stand for bytes that mean nothing."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def output_suffix(output: Path, pool: str) -> str:
    """The kind of file that an output is to be, by its name.

    Raises:
        UsageError: when it is none, or cannot hold what is asked for.
    """
    suffix = output.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{output}: vectors are written as .npy or .parquet. Let the name end in one of them")
    if suffix == ".npy" and pool == "tokens":
        raise UsageError(f"{output}: texts have different numbers of pieces, and a .npy has one shape. Name a .parquet")
    return suffix
