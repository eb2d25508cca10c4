"""What must hold for any input of a reader: an error of Polarbert, or rows that lose nothing on their way out.

Each function takes the bytes of a file. It raises `PolarbertError` where the reader refuses them; any other exception,
`FindingError` among them, is a fault of the reader.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from polarbert.bundle import MANIFEST, Bundle
from polarbert.data.rows import Row, Table
from polarbert.data.tables import open_table

ENCODINGS = (None, None, None, "cp1252", "utf-16", "utf-16-le", "utf-32", "shift_jis", "gb18030", "cp037", "latin-1")
EAST_ASIAN = ("shift_jis", "gb18030")
DELIMITERS = (None, None, None, ",", ";", "\t", " ", "a")
TYPES: dict[str, type] = {"label": str, "confidence": float, "error": str}
ADDED = list(TYPES)
ANSWERS: tuple[dict[str, object], ...] = (
    {"label": "positive", "confidence": 0.75, "error": None},
    {"label": None, "confidence": None, "error": 'no, "text"\r\n'},
)


class FindingError(Exception):
    """A reader lost or changed something."""


def examine_csv(data: bytes) -> None:
    """A CSV. Its first byte chooses encoding and delimiter, and whether a header comes before the rest."""
    first, rest = data[:1] or b"\0", data[1:]
    encoding = ENCODINGS[first[0] % len(ENCODINGS)]
    delimiter = DELIMITERS[first[0] // len(ENCODINGS) % len(DELIMITERS)]
    header = f"text{delimiter or ','}id\n".encode(encoding or "utf-8") if first[0] > 127 else b""
    table = open_table(io.BytesIO(header + rest), "in.csv", "csv", "text", ADDED, delimiter, encoding)
    rows = list(table.rows())
    out = _written(table, rows)
    again = open_table(io.BytesIO(out), "out.csv", "csv", "text", (), getattr(table, "_delimiter"), encoding)  # noqa: B009
    width = len(table.columns)
    _must(list(again.columns) == [*table.columns, *ADDED], "a column was changed")
    for before, after in zip(rows, again.rows(), strict=True):
        if encoding in EAST_ASIAN and any("\udc80" <= c <= "\udcff" for cell in before.cells for c in cell):
            continue  # bytes that mean nothing there are not kept
        kept = [*before.cells[:width], *[""] * (width - len(before.cells)), *before.cells[width:]]
        _must([*after.cells[:width], *after.cells[width + len(ADDED) :]] == kept, "a cell was changed")


def examine_jsonl(data: bytes) -> None:
    """JSONL. Its first byte chooses the encoding, and whether an object comes before the rest."""
    first, rest = data[:1] or b"\0", data[1:]
    encoding = ENCODINGS[first[0] % len(ENCODINGS)]
    start = '{"text": "a"}\n'.encode(encoding or "utf-8") if first[0] > 127 else b""
    table = open_table(io.BytesIO(start + rest), "in.jsonl", "jsonl", "text", ADDED, None, encoding)
    rows = list(table.rows())
    _written(table, rows)
    if encoding is not None:
        return
    for row in rows:
        line = table.line(row, ANSWERS[0]).decode("utf-8", "surrogateescape")
        if row.is_record:
            _must(line.startswith(row.cells[:-1].rstrip()), "a line was changed")
        else:
            _must(json.loads(line)["line"] == row.cells, "a line was changed")


def examine_parquet(data: bytes) -> None:
    """Parquet."""
    table = open_table(io.BytesIO(data), "in.parquet", "parquet", "text", ADDED)
    rows = list(table.rows())
    answers = _written(table, rows)
    assemble = table.assembler(TYPES)
    if assemble is None:
        raise FindingError("Parquet without an assembler")
    out = io.BytesIO()
    assemble(io.BytesIO(answers), out)
    written = pq.ParquetFile(io.BytesIO(out.getvalue()))
    _must(written.schema_arrow.names == [*table.columns, *ADDED], "a column was lost")
    _must(written.metadata.num_rows == len(rows), "a row was lost")


def examine_manifest(data: bytes) -> None:
    """The manifest of a bundle."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / MANIFEST).write_bytes(data)
        bundle = Bundle.open(folder)
        _must(len(bundle.fingerprint()) == 16, "no fingerprint")
        _must(json.loads(bundle.manifest())["labels"] == bundle.labels, "a label was changed")


EXAMINERS: dict[str, Callable[[bytes], None]] = {
    "csv": examine_csv,
    "jsonl": examine_jsonl,
    "parquet": examine_parquet,
    "manifest": examine_manifest,
}


def _written(table: Table, rows: Sequence[Row]) -> bytes:
    """The output of all rows, whose answers are read back as they were given."""
    given = [ANSWERS[number % 2] for number in range(len(rows))]
    for row in rows:
        _must((row.text is None) != (row.problem is None), "a row has both a text and a problem, or neither")
        _must(row.text is None or row.text.encode("utf-8").decode("utf-8") == row.text, "a text is none")
    out = table.header(ADDED) + b"".join(table.line(row, answer) for row, answer in zip(rows, given, strict=True))
    for answer, read in zip(given, table.read_back(io.BytesIO(out), ADDED), strict=True):
        same = [_plain(read[name]) for name in ADDED] == [_plain(answer[name]) for name in ADDED]
        _must(same, "an answer was changed")
    return out


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise FindingError(otherwise)


def _plain(value: Any) -> Any:
    """A value of the output, whether the format has types or not."""
    return {None: "", "0.750000": 0.75}.get(value, value)
