"""Parquet in, the same Parquet out with columns added; whatever is wrong with a file is one clear error."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polarbert.data import parquet
from polarbert.data.journal import Journal
from polarbert.data.rows import Table
from polarbert.data.tables import open_table, table_format
from polarbert.errors import DataError, MissingExtraError, UsageError

TYPES: dict[str, type] = {"label": str, "confidence": float, "unsure": bool, "n_tokens": int, "error": str}
ANSWER: dict[str, object] = {"label": "sehr größt", "confidence": 0.125, "unsure": True, "n_tokens": 3, "error": None}
WRONG: dict[str, object] = {**dict.fromkeys(TYPES), "error": "no text"}


def stored(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def opened(data: bytes, column: str = "text", also: tuple[str, ...] = ()) -> Table:
    return open_table(io.BytesIO(data), "in.parquet", "parquet", column, list(TYPES), also=also)


def scored(data: bytes, column: str = "text") -> bytes:
    """The output when every second row gets an answer and the others an error."""
    table = opened(data, column)
    lines = [table.line(row, WRONG if number % 2 else ANSWER) for number, row in enumerate(table.rows())]
    out = io.BytesIO()
    assemble = table.assembler(TYPES)
    assert assemble is not None
    assemble(io.BytesIO(table.header(list(TYPES)) + b"".join(lines)), out)
    return out.getvalue()


def every_type(count: int) -> pa.Table:
    numbers = range(count)
    when = datetime.datetime(2026, 11, 23, 12, 30, 15, 123456)
    return pa.table(
        {
            "id": [f"{n:03}" for n in numbers],
            "text": pa.array([None if n % 7 == 3 else f"great {n % 5}" for n in numbers]).dictionary_encode(),
            "large": pa.array(["x"] * count, pa.large_string()),
            "list": [[n, None] for n in numbers],
            "struct": [{"a": n, "b": {"c": str(n)}} for n in numbers],
            "map": pa.array([[("a", n)] for n in numbers], pa.map_(pa.string(), pa.int64())),
            "when": pa.array([when] * count, pa.timestamp("us", "Europe/Berlin")),
            "nanoseconds": pa.array(numbers, pa.timestamp("ns")),
            "day": pa.array([when.date()] * count, pa.date32()),
            "time": pa.array([when.time()] * count, pa.time64("us")),
            "price": [decimal.Decimal("1.10")] * count,
            "unsigned": pa.array([2**32 - 1] * count, pa.uint32()),
            "half": pa.array([1.5] * count, pa.float16()),
            "bytes": [b"\xff\x00"] * count,
            "fixed": pa.array([b"abcd"] * count, pa.binary(4)),
            "nothing": pa.nulls(count),
            "dotted.name": ["dot"] * count,
            "kind": pa.array(["a", None] * (count // 2)).dictionary_encode(),
        }
    )


@pytest.mark.parametrize("options", [{}, {"row_group_size": 700}, {"compression": "zstd"}, {"compression": "none"}])
def test_every_column_keeps_its_type_and_its_values(options: dict[str, Any]) -> None:
    table = every_type(2000).replace_schema_metadata({"pandas": '{"columns": []}', "häuser": "viele"})
    out = pq.ParquetFile(io.BytesIO(scored(stored(table, **options))))
    read = out.read()
    assert read.select(table.column_names).schema.equals(table.schema)
    assert read.schema.metadata == table.schema.metadata
    for name, kind in zip(table.column_names, table.schema.types, strict=True):
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        assert read.column(name).cast(plain).equals(table.column(name).cast(plain)), name
    assert read.column_names == [*table.column_names, *TYPES]
    assert out.metadata.row_group(0).column(0).compression == options.get("compression", "snappy").upper().replace(
        "NONE", "UNCOMPRESSED"
    )


def test_the_added_columns_are_typed_and_null_where_there_is_no_value() -> None:
    read = pq.read_table(io.BytesIO(scored(stored(pa.table({"text": ["a", "b"]})))))
    types = [pa.string(), pa.float64(), pa.bool_(), pa.int64(), pa.string()]
    assert [read.schema.field(name).type for name in TYPES] == types
    assert read.select(list(TYPES)).to_pylist() == [ANSWER, WRONG]


def test_a_file_without_rows_gets_the_columns() -> None:
    empty = pa.table({"text": pa.array([], pa.string()), "id": pa.array([], pa.int8())})
    read = pq.read_table(io.BytesIO(scored(stored(empty))))
    assert read.num_rows == 0
    assert read.column_names == ["text", "id", *TYPES]


TEXT_TYPES = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.binary(),
    pa.large_binary(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int32(), pa.large_string()),
]


@pytest.mark.parametrize("kind", TEXT_TYPES, ids=str)
def test_texts_of_any_type_are_read(kind: pa.DataType) -> None:
    texts = pa.array(["so great", None, "größt 😀", ""], pa.string())
    array = texts.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else texts.cast(kind)
    assert [row.text for row in opened(stored(pa.table({"text": array}))).rows()] == ["so great", "", "größt 😀", ""]


def test_a_column_of_nulls_is_of_empty_texts() -> None:
    assert [row.text for row in opened(stored(pa.table({"text": pa.nulls(3)}))).rows()] == ["", "", ""]


def test_bytes_that_are_no_utf8_are_a_problem_of_their_row_and_are_kept() -> None:
    offsets = pa.array([0, 4, 8], pa.int32()).buffers()[1]
    texts = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"finecaf\xe9")])
    data = stored(pa.table({"text": texts}))
    fine, bad = opened(data).rows()
    assert fine.text == "fine"
    assert bad.problem == "the text is not valid UTF-8 (byte 0xe9 at character 3)"
    out = pq.read_table(io.BytesIO(scored(data)))
    assert out.column("text").cast(pa.binary()).to_pylist() == [b"fine", b"caf\xe9"]


def test_a_text_over_a_megabyte_is_a_problem_of_its_row() -> None:
    fine, long = opened(stored(pa.table({"text": ["a" * 1_000_000, "a" * 1_000_001]}))).rows()
    assert fine.problem is None
    assert "1,000,001 bytes" in str(long.problem)


def test_cells_of_other_columns_can_be_asked_for() -> None:
    table = opened(
        stored(every_type(20)), also=("id", "list", "when", "nanoseconds", "unsigned", "dotted.name", "kind")
    )
    row = list(table.rows())[1]
    assert row.text == "great 1"
    assert table.cell(row, "text") == "great 1"
    assert table.cell(row, "list") == "[1, null]"
    assert table.cell(row, "unsigned") == "4294967295"
    assert table.cell(row, "dotted.name") == "dot"
    assert table.cell(row, "kind") is None
    assert str(table.cell(row, "when")).startswith("2026-11-23 13:30:15.123456")
    assert table.cell(row, "nanoseconds") == "1970-01-01 00:00:00.000000001"
    with pytest.raises(UsageError, match="'price' was not asked for"):
        table.cell(row, "price")


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("unsigned", "the column 'unsigned' is uint32, not text. The columns of text are 'id', 'text', 'large'"),
        ("list", "the column 'list' is list<element: int64>, not text"),
        ("struct", "not text"),
        ("price", "is decimal128(3, 2), not text"),
        ("nested", "no column 'nested'"),
        ("textt", "Did you mean 'text'?"),
    ],
)
def test_a_column_that_holds_no_text_is_refused(column: str, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        opened(stored(every_type(2)), column)
    assert words in str(raised.value)


def test_a_table_without_text_says_so() -> None:
    with pytest.raises(UsageError, match="No column of it is"):
        opened(stored(pa.table({"text": [1]})))


def test_names_that_are_taken_or_double_are_refused() -> None:
    with pytest.raises(UsageError, match=r"a column 'label' already.*--prefix"):
        opened(stored(pa.table({"text": ["a"], "label": ["mine"]})))
    double = pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    with pytest.raises(UsageError, match="is there 2 times"):
        opened(stored(double))


GOOD = stored(every_type(2000), row_group_size=500)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cannot be read as Parquet"),
        (b"PAR1", "cannot be read as Parquet"),
        (b"text\nso great\n", "another kind of file"),
        (GOOD[:-1], "cut short"),
        (GOOD[: len(GOOD) // 2], "cut short"),
        (GOOD[len(GOOD) // 2 :], "cannot be read as Parquet"),
        (GOOD[:-8] + b"\xff\xff\xff\x7fPAR1", "cannot be read as Parquet"),
        (GOOD[:-4] + b"PARE", "is encrypted; write it without encryption first"),
    ],
    ids=["empty", "mark alone", "csv", "last byte", "front half", "back half", "footer size", "encrypted footer"],
)
def test_a_damaged_file_is_named(data: bytes, words: str) -> None:
    with pytest.raises(DataError, match=rf"in\.parquet: .*{words}") as raised:
        list(opened(data).rows())
    assert "\n" not in str(raised.value)


def test_damage_in_the_middle_is_told_with_the_rows_before_it() -> None:
    data = stored(pa.table({"text": [f"great {n}" for n in range(3000)]}), row_group_size=1000, compression="gzip")
    column = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(2).column(0)
    start = column.data_page_offset + 40
    broken = data[:start] + b"\x00" * 200 + data[start + 200 :]
    rows = opened(broken).rows()
    assert [next(rows).text for _ in range(2000)][-1] == "great 1999"
    with pytest.raises(DataError, match=r"cannot be read as Parquet behind row 2,000: .*damaged"):
        list(rows)


def test_a_page_cannot_ask_for_more_memory_than_the_file_has_bytes() -> None:
    plain = pa.table({"text": ["so great"] * 3})
    data = stored(plain, compression="none", use_dictionary=False, write_statistics=False)
    # A page header: its kind, its size in memory and in the file, each a whole number in the compact form of Thrift.
    assert data[4:9:2] == b"\x15\x15\x15"
    billions = bytes([0x80, 0x90, 0xF8, 0xFD, 0x0B])
    pool = pa.default_memory_pool()
    before = pool.max_memory()
    with pytest.raises(
        DataError, match=r"in\.parquet: cannot be read as Parquet behind row 0: .*smaller .* than expected"
    ):
        list(opened(data[:9] + billions + data[10:]).rows())
    assert pool.max_memory() - before < 10_000_000


def test_a_large_file_is_read_through_a_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_SMALL_FILE", 1000)
    monkeypatch.setattr(parquet, "_BUFFER", 4096)
    reads: list[int] = []

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            reads.append(size or 0)
            return super().read(size)

    texts = [f"{number} " + "x" * 100 for number in range(5000)]
    data = stored(pa.table({"text": texts}), use_dictionary=False, compression="none", data_page_size=20_000)
    table = open_table(Counted(data), "in.parquet", "parquet", "text")
    footer = len(data) - 65_536  # read at once, whatever the buffer
    assert [row.text for row in table.rows()] == texts
    assert max(reads) < footer < sum(reads)


@settings(max_examples=60)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_one_wrong_byte_gives_rows_or_a_clear_error(place: int, change: int) -> None:
    data = bytearray(GOOD)
    data[place] ^= change
    try:
        rows = list(opened(bytes(data)).rows())
    except (DataError, UsageError):
        return
    assert all((row.text is None) != (row.problem is None) for row in rows)


def test_a_pipe_is_refused() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    with pytest.raises(DataError, match=r"cannot be read from a pipe\. Save it to a file"):
        open_table(Pipe(GOOD), "stdin", "parquet", "text")


def test_options_of_other_formats_are_refused() -> None:
    options: list[tuple[dict[str, Any], str]] = [
        ({"encoding": "cp1252"}, "--encoding"),
        ({"delimiter": ";"}, "--delimiter"),
    ]
    for option, name in options:
        with pytest.raises(UsageError, match=rf"in: {name} is for csv.* and this is parquet. Leave it out"):
            open_table(io.BytesIO(GOOD), "in", "parquet", "text", **option)


def test_without_pyarrow_the_pip_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r'Parquet needs .* pip install "polarbert\[parquet\]"'):
        opened(GOOD)


def test_a_broken_pyarrow_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr(parquet, "find_spec", lambda name: object())
    with pytest.raises(MissingExtraError, match=r"installed but cannot be loaded .*--force-reinstall"):
        opened(GOOD)


def test_the_name_says_the_format() -> None:
    assert table_format("a.PARQUET", None) == table_format("x", "parquet") == "parquet"


def test_row_groups_of_the_output_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_ROWS", 400)
    monkeypatch.setattr(parquet, "READ_ROWS", 100)
    out = pq.ParquetFile(io.BytesIO(scored(stored(pa.table({"text": [f"{n}" for n in range(1000)]})))))
    sizes = [out.metadata.row_group(number).num_rows for number in range(out.metadata.num_row_groups)]
    assert sizes == [400, 400, 200]
    assert out.read().column("text").to_pylist() == [f"{n}" for n in range(1000)]


def test_long_rows_are_read_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "READ_BYTES", 50_000)
    seen: list[int] = []
    plain = parquet.ParquetTable._values

    def counted(self: parquet.ParquetTable, column: Any) -> list[Any]:
        seen.append(len(column))
        return plain(self, column)

    monkeypatch.setattr(parquet.ParquetTable, "_values", counted)
    texts = [f"{number} " + "x" * 10_000 for number in range(50)]
    table = opened(stored(pa.table({"text": texts}), use_dictionary=False, compression="none"))
    assert [row.text for row in table.rows()] == texts
    assert max(seen) <= 5


class Full(io.BytesIO):
    """A disk with little room."""

    def write(self, content: Any, /) -> int:
        if self.tell() + len(content) > 3000:
            raise OSError(28, "No space left on device")
        return super().write(content)


def test_a_full_disk_is_an_error_of_the_system_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    table = opened(GOOD)
    answers = b"".join(table.line(row, ANSWER) for row in table.rows())
    assemble = table.assembler(TYPES)
    assert assemble is not None
    with pytest.raises(OSError, match="No space left"):
        assemble(io.BytesIO(answers), Full())
    assert capsys.readouterr().err == ""


def test_the_output_is_made_of_the_journal_in_one_step(tmp_path: Path) -> None:
    """Interrupted behind any block, and while the output is made, the same run goes on and ends with the same file."""
    whole = scored(GOOD)
    target = tmp_path / "out.parquet"
    table = opened(GOOD)
    lines = [table.line(row, WRONG if number % 2 else ANSWER) for number, row in enumerate(table.rows())]

    def broken(answers: Any, out: Any) -> None:
        out.write(b"half")
        raise OSError(28, "No space left on device")

    journal = Journal(target, {"input": "a"}, assemble=broken)
    journal.write(b"".join(lines[:700]), 700, {})
    del journal
    journal = Journal(target, {"input": "a"}, assemble=broken)
    assert journal.rows == 700
    assert [json.loads(line) for line in journal.read_back()][:2] == [ANSWER, WRONG]
    journal.write(b"".join(lines[700:]), 1300, {})
    with pytest.raises(DataError, match=r"disk is full. All rows are kept .*the same command goes on from there"):
        journal.finish()
    assert {file.name for file in tmp_path.iterdir()} == {"out.parquet.partial", "out.parquet.partial.json"}
    del journal
    journal = Journal(target, {"input": "a"}, assemble=opened(GOOD).assembler(TYPES))
    assert journal.rows == 2000
    journal.finish()
    assert [file.name for file in tmp_path.iterdir()] == ["out.parquet"]
    assert pq.read_table(target).equals(pq.read_table(io.BytesIO(whole)))
    assert target.read_bytes() == whole
