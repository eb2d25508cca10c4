"""Everything a user can get wrong ends in one clear message and the right exit code; one bad row stops no other."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.scoring_fixtures import QUICK, Outcome

from polarbert.bundle import MANIFEST

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]
GOOD = b"id,text\n1,so great\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, so that messages show the names that a user would type."""
    monkeypatch.chdir(tmp_path)
    Path("reviews.csv").write_bytes(GOOD)
    Path("folder").mkdir()
    Path("folder/x.xlsx").write_bytes(b"PK")
    return tmp_path


def assert_refused(ended: Outcome, code: int, *words: str) -> None:
    assert ended.code == code, ended
    assert ended.out == ""
    for word in words:
        assert word in " ".join(ended.err.split()), ended.err
    assert "Traceback" not in ended.err


# Name of the case, arguments behind `score`, exit code, words of the message.
REFUSED: list[tuple[str, list[str], int, list[str]]] = [
    ("missing file", ["reviews.cvs", "-o", "o.csv"], 2, ["reviews.cvs: no such file. Did you mean reviews.csv?"]),
    ("missing file, none like it", ["zzz.csv", "-o", "o.csv"], 2, ["polarbert: zzz.csv: no such file."]),
    ("missing file in a missing folder", ["no/such.csv", "-o", "o.csv"], 2, ["no/such.csv: no such file."]),
    ("input is a folder", ["folder", "-o", "o.csv", "--format", "csv"], 2, ["folder: is a folder"]),
    (
        "missing column",
        ["reviews.csv", "-o", "o.csv", "-c", "texts"],
        2,
        ["reviews.csv: no column 'texts'. Did you mean 'text'?", "The columns are 'id', 'text'"],
    ),
    ("output folder missing", ["reviews.csv", "-o", "none/o.csv"], 2, ["none/o.csv: the folder none does not exist"]),
    ("output is a folder", ["reviews.csv", "-o", "folder"], 2, ["folder: is a folder; name a file in it"]),
    ("output is the input", ["reviews.csv", "-o", "reviews.csv"], 2, ["reviews.csv: is the input"]),
    ("input by another path", ["reviews.csv", "-o", "folder/../reviews.csv", "--overwrite"], 2, ["is the input"]),
    ("unknown engine", ["reviews.csv", "-o", "o.csv", "--engine", "abacus"], 2, ["no engine 'abacus'", "onnxruntime"]),
    ("two-character delimiter", ["reviews.csv", "-o", "o.csv", "--delimiter", ";;"], 2, ["--delimiter is ';;'"]),
    ("empty delimiter", ["reviews.csv", "-o", "o.csv", "--delimiter", ""], 2, ["--delimiter is ''"]),
    ("quote as delimiter", ["reviews.csv", "-o", "o.csv", "--delimiter", '"'], 2, ["--delimiter is"]),
    ("line end as delimiter", ["reviews.csv", "-o", "o.csv", "--delimiter", "\n"], 2, ["--delimiter is"]),
    ("unknown format", ["reviews.csv", "-o", "o.csv", "--format", "excel"], 2, ["--format is 'excel'", "csv or jsonl"]),
    ("format that no name tells", ["folder/x.xlsx", "-o", "o.csv"], 2, ["cannot tell the format", "--format csv"]),
    ("rows and summary on stdout", ["reviews.csv", "-o", "-", "--json"], 2, ["--json", "-o -"]),
    ("no output", ["reviews.csv"], 2, ["--output"]),
    ("negative threads", ["reviews.csv", "-o", "o.csv", "--threads", "-1"], 2, ["--threads"]),
    ("unknown option", ["reviews.csv", "-o", "o.csv", "--colour"], 2, ["--colour"]),
    ("no model there", ["reviews.csv", "-o", "o.csv", "-m", "./none"], 1, ["none: no such model directory"]),
    ("not a bundle", ["reviews.csv", "-o", "o.csv", "-m", "folder"], 1, ["folder: not a model directory"]),
    ("model is a file", ["reviews.csv", "-o", "o.csv", "-m", "reviews.csv"], 1, ["a model is a directory"]),
    (
        "hub id offline",
        ["reviews.csv", "-o", "o.csv", "-m", "some-org/none"],
        1,
        ["some-org/none: not a local"],
    ),
]


@pytest.mark.parametrize(
    ("arguments", "code", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_wrong_request(
    command: Command, here: Path, bundle_dir: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    model = [] if "-m" in arguments else ["-m", str(bundle_dir)]
    assert_refused(command("score", *arguments, *model), code, *words)
    assert Path("reviews.csv").read_bytes() == GOOD
    assert sorted(file.name for file in here.iterdir()) == ["folder", "reviews.csv"]


# Name of the case, content of the input, exit code, words of the message.
UNREADABLE: list[tuple[str, str, bytes, int, list[str]]] = [
    ("empty file", "a.csv", b"", 1, ["a.csv: is empty"]),
    ("empty JSONL", "a.jsonl", b"", 1, ["a.jsonl: is empty"]),
    ("blank header line", "a.csv", b"\n1,so great\n", 1, ["a.csv: the first line is blank"]),
    ("UTF-16", "a.csv", GOOD.decode().encode("utf-16"), 1, ["is UTF-16", "iconv -f UTF-16 -t UTF-8 a.csv"]),
    ("column twice", "a.csv", b"text,text\na,b\n", 2, ["column 'text' is there 2 times"]),
    (
        "name already taken",
        "a.csv",
        b"text,label\ngreat,mine\n",
        2,
        ["a column 'label' already", "--prefix model_"],
    ),
    ("field already taken", "a.jsonl", b'{"text": "a", "p_positive": 1}\n', 2, ["'p_positive' already", "--prefix"]),
    ("missing field", "a.jsonl", b'{"txet": "a"}\n', 2, ["no column 'text'. Did you mean 'txet'?"]),
]


@pytest.mark.parametrize(
    ("name", "content", "code", "words"), [case[1:] for case in UNREADABLE], ids=[case[0] for case in UNREADABLE]
)
def test_a_file_that_cannot_be_scored(
    command: Command, here: Path, bundle_dir: Path, name: str, content: bytes, code: int, words: list[str]
) -> None:
    Path(name).write_bytes(content)
    assert_refused(command("score", name, "-o", "o.csv", "-m", bundle_dir, *QUICK), code, *words)
    assert not Path("o.csv").exists()
    assert Path(name).read_bytes() == content


def scored(command: Command, bundle: Path, name: str, content: bytes) -> tuple[Outcome, list[dict[str, Any]]]:
    """Score a file of which some rows are bad."""
    Path(name).write_bytes(content)
    out = Path(f"out-{name}")
    ended = command("score", name, "-o", out, "-m", bundle, *QUICK)
    text = out.read_text("utf-8", "surrogateescape")
    if name.endswith("jsonl"):
        return ended, [json.loads(line) for line in text.splitlines()]
    return ended, list(csv.DictReader(text.splitlines(keepends=True)))


def test_a_header_alone_gives_a_header(command: Command, here: Path, bundle_dir: Path) -> None:
    ended, rows = scored(command, bundle_dir, "a.csv", b"id,text\n")
    assert (ended.code, rows) == (0, [])
    assert Path("out-a.csv").read_text().startswith("id,text,label,confidence")


def test_null_and_empty_cells_have_a_label_and_are_unsure(command: Command, here: Path, bundle_dir: Path) -> None:
    ended, rows = scored(command, bundle_dir, "a.csv", b"id,text\n1,\n2,   \n3,so great\n")
    assert ended.code == 0
    assert [row["unsure"] for row in rows] == ["true", "true", "false"]
    assert all(row["label"] and not row["error"] for row in rows)
    ended, rows = scored(command, bundle_dir, "a.jsonl", b'{"text": null}\n{"text": ""}\n{"text": "so great"}\n')
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


def test_a_cell_over_a_megabyte_is_kept_and_not_scored(command: Command, here: Path, bundle_dir: Path) -> None:
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


@pytest.mark.parametrize("name", ["model.int8.onnx", "tokenizer.json"])
@pytest.mark.parametrize("arguments", [["predict", "so great"], ["score", "reviews.csv", "-o", "o.csv"]])
def test_a_corrupt_bundle_is_named(
    command: Command, here: Path, own_bundle: Path, name: str, arguments: list[str]
) -> None:
    content = bytearray((own_bundle / name).read_bytes())
    content[100] ^= 8
    (own_bundle / name).write_bytes(content)
    ended = command(*arguments, "-m", own_bundle, *QUICK)
    assert_refused(ended, 1, f"{name}: is damaged or was changed")
    assert not list(here.glob("o.csv*"))


@pytest.mark.parametrize("arguments", [["predict", "so great"], ["score", "reviews.csv", "-o", "o.csv"], ["info"]])
def test_a_newer_format_says_how_to_upgrade(
    command: Command, here: Path, own_bundle: Path, arguments: list[str]
) -> None:
    manifest = json.loads((own_bundle / MANIFEST).read_text())
    (own_bundle / MANIFEST).write_text(json.dumps(manifest | {"format": 99}))
    ended = command(*arguments, "-m", own_bundle)
    assert_refused(ended, 1, "format 99 is newer", "pip install --upgrade polarbert")


def test_weights_without_a_graph_lead_to_export(command: Command, here: Path, trained_dir: Path) -> None:
    for arguments in (["predict", "so great"], ["score", "reviews.csv", "-o", "o.csv"], ["info"]):
        assert_refused(command(*arguments, "-m", trained_dir), 1, f"polarbert export {trained_dir}")
