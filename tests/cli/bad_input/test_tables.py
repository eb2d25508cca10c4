"""Files that are no tables, and tables with bad rows: the first are named, the second cost no good row."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.refusals import assert_refused
from tests.scoring_fixtures import QUICK, Outcome

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]
GOOD = "id,text\n1,so great\n"


def parquet_bytes(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


PARQUET = parquet_bytes(pa.table({"text": [f"so great {number}" for number in range(100)]}))

# Name of the case, name and content of the input, exit code, place, next step.
UNREADABLE: list[tuple[str, str, bytes, int, str, str]] = [
    ("empty file", "a.csv", b"", 1, "a.csv: is empty", "name a file that holds data"),
    ("empty JSONL", "a.jsonl", b"", 1, "a.jsonl: is empty", "name a file"),
    ("blank header line", "a.csv", b"\n1,so great\n", 1, "a.csv: the first line is blank", "the column names"),
    ("UTF-16", "a.csv", GOOD.encode("utf-16"), 1, "a.csv: is UTF-16, not UTF-8", "--encoding utf-16"),
    ("UTF-16 without a mark", "a.csv", GOOD.encode("utf-16-be"), 1, "a.csv: is UTF-16", "--encoding utf-16-be"),
    ("UTF-32", "a.csv", GOOD.encode("utf-32"), 1, "a.csv: is UTF-32", "--encoding utf-32"),
    ("Latin-1 header", "a.csv", b"Gr\xf6\xdfe,text\n", 1, "byte 0xf6 at offset 2", "--encoding cp1252"),
    ("Latin-1 field names", "a.jsonl", b'{"text": "a", "Gr\xf6": 1}\n', 1, "0xf6 at offset 17", "--encoding cp1252"),
    ("UTF-16 of a broken length", "a.csv", GOOD.encode("utf-16-le") + b"a", 1, "a.csv: is UTF-16", "utf-16-le"),
    ("gzip", "a.csv", b"\x1f\x8b\x08" + bytes(50), 1, "a.csv: is compressed with gzip", "gzip -dc"),
    ("Parquet named CSV", "a.csv", PARQUET, 1, "a.csv: is a Parquet file", "--format parquet"),
    ("a JSON array", "a.jsonl", b'[{"text": "a"}]\n', 1, "a.jsonl: holds one JSON array", "jq -c '.[]' a.jsonl"),
    ("column twice", "a.csv", b"text,text\na,b\n", 2, "column 'text' is there 2 times", "rename all but one"),
    ("name taken", "a.csv", b"text,label\ngreat,mine\n", 2, "a column 'label' already", "--prefix model_"),
    ("field taken", "a.jsonl", b'{"text": "a", "p_positive": 1}\n', 2, "'p_positive' already", "--prefix"),
    ("open quote in the header", "a.csv", b'text,"id\n1,2\n', 1, "a.csv, line 1: a quotation", "no table behind it"),
    ("truncated Parquet", "a.parquet", PARQUET[:-20], 1, "a.parquet: cannot be read as Parquet", "make it anew"),
    ("encrypted Parquet", "a.parquet", PARQUET[:-4] + b"PARE", 1, "a.parquet: is encrypted", "without encryption"),
    ("empty Parquet", "a.parquet", b"", 1, "a.parquet: cannot be read as Parquet", "make it anew"),
    ("CSV named Parquet", "a.parquet", GOOD.encode(), 1, "a.parquet: cannot be read as", "another kind of file"),
    ("nested texts", "a.parquet", parquet_bytes(pa.table({"text": [["a"]]})), 2, "'text' is list", "No column of it"),
    ("structs", "a.parquet", parquet_bytes(pa.table({"text": [{"a": "b"}]})), 2, "'text' is struct", "No column of it"),
    ("Parquet name taken", "a.parquet", parquet_bytes(pa.table({"text": ["a"], "unsure": [1]})), 2, "'unsure' already",
     "--prefix"),
]  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "content", "code", "place", "step"),
    [case[1:] for case in UNREADABLE],
    ids=[case[0] for case in UNREADABLE],
)
def test_a_file_that_cannot_be_scored(
    command: Command, here: Path, bundle_dir: Path, name: str, content: bytes, code: int, place: str, step: str
) -> None:
    Path(name).write_bytes(content)
    ended = command("score", name, "-o", f"out-{name}", "-m", bundle_dir, *QUICK)
    assert_refused(ended, code, place, step)
    assert [file.name for file in here.iterdir()] == [name]
    assert Path(name).read_bytes() == content


def test_damaged_parquet_keeps_the_rows_before_the_damage(command: Command, here: Path, bundle_dir: Path) -> None:
    table = pa.table({"text": [f"so great {number}" for number in range(4000)]})
    pq.write_table(table, "a.parquet", row_group_size=2000, compression="gzip", use_dictionary=False)
    content = bytearray(Path("a.parquet").read_bytes())
    start = pq.ParquetFile("a.parquet").metadata.row_group(1).column(0).data_page_offset + 40
    content[start : start + 100] = bytes(100)
    Path("a.parquet").write_bytes(content)
    ended = command("score", "a.parquet", "-o", "o.parquet", "-m", bundle_dir, *QUICK)
    assert_refused(ended, 1, "a.parquet: cannot be read as Parquet behind row 2,000", "make it anew")
    assert json.loads(Path("o.parquet.partial.json").read_text())["rows"] == 2000
    assert not Path("o.parquet").exists()


def scored(
    command: Command, bundle: Path, name: str, content: bytes, *more: str
) -> tuple[Outcome, list[dict[str, Any]]]:
    """Score a file of which some rows are bad."""
    Path(name).write_bytes(content)
    out = Path(f"out-{name}")
    ended = command("score", name, "-o", out, "-m", bundle, *QUICK, *more)
    assert "Traceback" not in ended.err
    if name.endswith("parquet"):
        return ended, pq.read_table(out).to_pylist()
    text = out.read_bytes().decode(more[-1] if "--encoding" in more else "utf-8", "surrogateescape")
    if name.endswith("jsonl"):
        return ended, [json.loads(line) for line in text.splitlines()]
    return ended, list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_header_alone_gives_a_header(command: Command, here: Path, bundle_dir: Path) -> None:
    ended, rows = scored(command, bundle_dir, "a.csv", b"id,text\n")
    assert (ended.code, rows) == (0, [])
    assert Path("out-a.csv").read_text().startswith("id,text,label,confidence")


def test_parquet_without_rows_gets_its_columns(command: Command, here: Path, bundle_dir: Path) -> None:
    empty = pa.table({"text": pa.array([], pa.string())})
    ended, rows = scored(command, bundle_dir, "a.parquet", parquet_bytes(empty))
    assert (ended.code, rows) == (0, [])
    assert pq.read_schema("out-a.parquet").field("confidence").type == pa.float64()


def test_null_and_empty_cells_have_a_label_and_are_unsure(command: Command, here: Path, bundle_dir: Path) -> None:
    ended, rows = scored(command, bundle_dir, "a.csv", b"id,text\n1,\n2,   \n3,so great\n")
    assert ended.code == 0
    assert [row["unsure"] for row in rows] == ["true", "true", "false"]
    assert all(row["label"] and not row["error"] for row in rows)
    ended, rows = scored(command, bundle_dir, "a.jsonl", b'{"text": null}\n{"text": ""}\n{"text": "so great"}\n')
    assert ended.code == 0
    assert [row["unsure"] for row in rows] == [True, True, False]
    assert [row["text"] for row in rows] == [None, "", "so great"]
    table = pa.table({"text": [None, "", "so great"]})
    ended, rows = scored(command, bundle_dir, "a.parquet", parquet_bytes(table))
    assert ended.code == 0
    assert [row["unsure"] for row in rows] == [True, True, False]
    assert [row["text"] for row in rows] == [None, "", "so great"]


def test_a_ragged_line_is_an_error_of_its_own(command: Command, here: Path, bundle_dir: Path) -> None:
    ended, rows = scored(command, bundle_dir, "a.csv", b"id,text\n1,so great\n2\n3,so bad,extra,more\n4,so bad\n")
    assert ended.code == 0
    assert "errors 2" in ended.err
    assert [row["label"] for row in rows] == ["positive", "", "", "negative"]
    assert "line 3: 1 fields, the header has 2" in rows[1]["error"]
    assert "line 4: 4 fields, the header has 2" in rows[2]["error"]
    assert Path("out-a.csv").read_text().splitlines()[3].endswith(",extra,more")


def test_a_broken_line_of_jsonl_is_an_error_of_its_own(command: Command, here: Path, bundle_dir: Path) -> None:
    content = b'{"text": "so great"}\n{"text": "so\n[1]\n{"text": 5}\n{"other": 1}\n{"text": "so bad"}\n'
    ended, rows = scored(command, bundle_dir, "a.jsonl", content)
    assert ended.code == 0
    assert [row["label"] for row in rows] == ["positive", None, None, None, None, "negative"]
    assert rows[1]["line"] == '{"text": "so'
    assert [bool(row["error"]) for row in rows] == [False, True, True, True, True, False]
    assert rows[4]["other"] == 1


def test_odd_json_is_an_error_of_its_own(command: Command, here: Path, bundle_dir: Path) -> None:
    odd = ['{"text": NaN}', '{"text": {"text": "so bad"}}', '{"text": ["so bad"]}', '{"text": "a", "text": "b"}']
    odd += ["[" * 100_000, '{"text": ' + "7" * 5000 + "}", '{"text": "so \\ud83d"}', '{"text": true}']
    last = '{"text": "so bad", "id": ' + "7" * 5000 + "}"
    Path("a.jsonl").write_text("\n".join(['{"text": "so great"}', *odd, last]))
    ended = command("score", "a.jsonl", "-o", "out-a.jsonl", "-m", bundle_dir, *QUICK)
    assert ended.code == 0
    assert "10 rows: negative 1, positive 1" in ended.err
    assert "errors 8" in ended.err
    lines = Path("out-a.jsonl").read_text().splitlines()
    assert all('"label": null' in line and '"error": "' in line for line in lines[1:-1])
    assert lines[-1].startswith(f'{last[:-1]}, "label": "negative"')


def test_half_an_emoji_in_jsonl_is_an_error_of_its_row(command: Command, here: Path, bundle_dir: Path) -> None:
    ended, rows = scored(command, bundle_dir, "a.jsonl", b'{"text": "so \\ud83d"}\n{"text": "so bad"}\n')
    assert ended.code == 0
    assert "not valid UTF-8" in rows[0]["error"]
    assert rows[1]["label"] == "negative"


def test_bytes_that_are_no_utf8_are_kept_and_their_row_is_not_scored(
    command: Command, here: Path, bundle_dir: Path
) -> None:
    ended, rows = scored(command, bundle_dir, "a.csv", b"id,text\n1,caf\xe9 so great\n\xff,so bad\n")
    assert ended.code == 0
    assert [row["label"] for row in rows] == ["", "negative"]
    assert "not valid UTF-8 (byte 0xe9 at character 3)" in rows[0]["error"]
    assert b"1,caf\xe9 so great,," in Path("out-a.csv").read_bytes()
    assert b"\n\xff,so bad,negative," in Path("out-a.csv").read_bytes()
    assert ended.err.count("a.csv: byte 0xe9 at offset 13 is not UTF-8") == 1
    assert "--encoding cp1252" in ended.err


def test_a_latin_1_file_is_told_from_its_offset_also_far_behind(command: Command, here: Path, bundle_dir: Path) -> None:
    content = b"text\n" + b"so great\n" * 20_000 + b"caf\xe9 so great\n"
    ended, rows = scored(command, bundle_dir, "a.csv", content)
    assert ended.code == 0
    assert f"byte 0xe9 at offset {content.index(0xE9):,} is not UTF-8" in ended.err
    assert sum(bool(row["error"]) for row in rows) == 1


def test_a_file_of_latin_1_alone_says_so_when_nothing_could_be_scored(
    command: Command, here: Path, bundle_dir: Path
) -> None:
    ended, _ = scored(command, bundle_dir, "a.csv", "text\nGrüße\nschön\n".encode("latin-1"))
    assert ended.code == 1
    assert "byte 0xfc at offset 7" in ended.err
    assert "--encoding cp1252" in ended.err
    assert "a.csv: no row could be scored" in ended.err


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-16-be"])
def test_another_encoding_is_read_when_named_and_written_again(
    command: Command, here: Path, bundle_dir: Path, encoding: str
) -> None:
    text = "id,text\n007,café so great\nGröße,so bad\n"
    ended, rows = scored(command, bundle_dir, "a.csv", text.encode(encoding), "--encoding", encoding)
    assert (ended.code, ended.err.count("not ")) == (0, 0)
    assert [(row["id"], row["text"], row["label"]) for row in rows] == [
        ("007", "café so great", "positive"),
        ("Größe", "so bad", "negative"),
    ]


def test_a_quotation_mark_never_closed_is_an_error_but_loses_nothing(
    command: Command, here: Path, bundle_dir: Path
) -> None:
    content = b'id,text\n1,so great\n2,"so bad\n3,so good\n'
    ended, rows = scored(command, bundle_dir, "a.csv", content)
    assert ended.code == 1
    assert "a.csv, line 3: a quotation mark opens here and is never closed" in ended.err
    assert "Close it, or double it inside the text. What could be read is in out-a.csv" in ended.err
    assert [row["label"] for row in rows] == ["positive", ""]
    assert "line 3: a quotation mark opens here" in rows[1]["error"]
    assert rows[1]["text"] == "so bad\n3,so good\n"


@pytest.mark.parametrize("end", [b"\r", b"\r\n", b"\n"])
def test_line_ends_of_any_system_end_rows(command: Command, here: Path, bundle_dir: Path, end: bytes) -> None:
    ended, rows = scored(command, bundle_dir, "a.csv", end.join([b"id,text", b"1,so great", b"2,so bad", b""]))
    assert ended.code == 0
    assert [row["label"] for row in rows] == ["positive", "negative"]
    assert Path("out-a.csv").read_bytes().count(end) == 3


def test_a_hundred_thousand_columns(command: Command, here: Path, bundle_dir: Path) -> None:
    names = ",".join(["text", *(f"c{number}" for number in range(100_000))])
    rest = "," * 100_000
    content = f"{names}\nso great{rest}\nso bad{rest}\n"
    Path("a.csv").write_text(content)
    started = time.process_time()
    ended = command("score", "a.csv", "-o", "o.csv", "-m", bundle_dir, *QUICK)
    assert ended.code == 0
    assert time.process_time() - started < 20
    header, first, second = Path("o.csv").read_text().splitlines()
    assert header.startswith(f"{names},label,")
    assert first.startswith(f"so great{rest},positive,")
    assert second.startswith(f"so bad{rest},negative,")


def test_a_hundred_thousand_rows_of_a_character(command: Command, here: Path, bundle_dir: Path) -> None:
    Path("a.csv").write_text("text\n" + "a\nb\n?\n\n" * 25_000)
    started = time.process_time()
    ended = command("score", "a.csv", "-o", "o.csv", "-m", bundle_dir, *QUICK, "--json")
    assert ended.code == 0
    assert time.process_time() - started < 30
    summary = json.loads(ended.out)
    assert (summary["rows"], summary["computed_texts"]) == (100_000, 4)
    assert Path("o.csv").read_bytes().count(b"\n") == 100_001


def test_a_cell_over_a_megabyte_is_kept_and_not_scored(command: Command, here: Path, bundle_dir: Path) -> None:
    csv.field_size_limit(10**9)
    huge = b"great " * 170_000
    ended, rows = scored(command, bundle_dir, "a.csv", b"id,text\n1," + huge + b"\n2,so bad\n")
    assert ended.code == 0
    assert "1,020,000 bytes; at most 1,000,000" in rows[0]["error"]
    assert rows[0]["text"].encode() == huge
    assert [row["label"] for row in rows] == ["", "negative"]


def test_a_word_without_end_and_odd_characters_are_scored(command: Command, here: Path, bundle_dir: Path) -> None:
    content = "id,text\n1," + "a" * 50_000 + "\n2,\u202e\u0000\u200d😀\n3,so bad\n"
    ended, rows = scored(command, bundle_dir, "a.csv", content.encode())
    assert ended.code == 0
    assert all(row["label"] and not row["error"] for row in rows)
    assert rows[2]["label"] == "negative"


# Name of the case, what comes on stdin, place, next step, lines answered before it.
STDIN = [
    ("a bad byte", b"so great\ncaf\xe9\n", "stdin, line 2: not UTF-8: byte 0xe9 at byte 3", "iconv -f cp1252", 1),
    ("UTF-16", "so great\n".encode("utf-16"), "stdin: is UTF-16", "iconv -f UTF-16 -t UTF-8", 0),
    (
        "a line over a megabyte",
        b"so bad\n" + b"x" * 1_000_001,
        "stdin, line 2: has more than 1,000,000",
        "shorter lines",
        1,
    ),
    ("half a character at the end", "so great\nä".encode()[:-1], "stdin, line 2: not UTF-8: byte 0xc3", "iconv", 1),
]


@pytest.mark.parametrize(("lines", "place", "step", "before"), [c[1:] for c in STDIN], ids=[c[0] for c in STDIN])
def test_lines_that_cannot_be_read_do_not_cost_those_before_them(
    command: Command, bundle_dir: Path, lines: bytes, place: str, step: str, before: int
) -> None:
    ended = command("predict", "-m", bundle_dir, *QUICK, stdin=lines)
    assert ended.out.count("\n") == before
    assert_refused(ended._replace(out=""), 1, place, step)


def test_odd_lines_get_an_answer_and_cannot_steer_a_terminal(command: Command, bundle_dir: Path) -> None:
    lines = b"\xef\xbb\xbfso great\nso \x1b[2J\x00\x7f bad\n\n" + b"so bad " * 100 + b"\n"
    ended = command("predict", "-m", bundle_dir, *QUICK, stdin=lines)
    assert (ended.code, ended.err) == (0, "")
    assert [line.split()[0] for line in ended.out.splitlines()][:2] == ["positive", "negative"]
    assert ended.out.count("\n") == 4
    assert not set("\x1b\x00\x7f\ufeff") & set(ended.out)
