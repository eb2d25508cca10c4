"""Requests that no command can carry out: options, names and places that are wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.refusals import Refusal, assert_is, assert_refused
from tests.scoring_fixtures import Outcome

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]
GOOD = b"id,text\n1,so great\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, so that messages show the names that a user would type."""
    monkeypatch.chdir(tmp_path)
    Path("reviews.csv").write_bytes(GOOD)
    Path("rows.jsonl").write_bytes(b'{"text": "so great"}\n')
    pq.write_table(pa.table({"id": [1], "text": ["so great"]}), "table.parquet")
    Path("folder").mkdir()
    Path("folder/x.xlsx").write_bytes(b"PK\x03\x04" + bytes(100))
    Path("loop").symlink_to("loop")
    Path("nowhere").symlink_to("missing.csv")
    os.mkfifo("pipe")
    return tmp_path


S, O = ["score"], ["-o", "o.csv"]  # noqa: E741 - a score and its output
SCORE = [
    Refusal("missing file", [*S, "reviews.cvs", *O], 2, "reviews.cvs: no such file", "Did you mean reviews.csv?"),
    Refusal("missing file, none like it", [*S, "zzz.csv", *O], 2, "polarbert: zzz.csv: no such file", "Check the path"),
    Refusal("missing file in a missing folder", [*S, "no/such.csv", *O], 2, "no/such.csv: no such file", "Check"),
    Refusal("input is a folder", [*S, "folder", *O, "--format", "csv"], 2, "folder: is a folder", "name a file in it"),
    Refusal("input is a link to itself", [*S, "loop", *O], 1, "loop: cannot be read", "symbolic links"),
    Refusal("input is a link to nothing", [*S, "nowhere", *O], 2, "nowhere: no such file", "Check the path"),
    Refusal("input name too long", [*S, "x" * 300, *O], 1, "x: cannot be read", "File name too long"),
    Refusal("missing column", [*S, "reviews.csv", *O, "-c", "texts"], 2, "no column 'texts'", "Did you mean 'text'?"),
    Refusal(
        "missing column, none like it", [*S, "reviews.csv", *O, "-c", "zz"], 2, "no column 'zz'", "are 'id', 'text'"
    ),
    Refusal("missing field", [*S, "rows.jsonl", "-o", "o.jsonl", "-c", "txt"], 2, "no column 'txt'", "mean 'text'"),
    Refusal(
        "numbers for texts", [*S, "table.parquet", "-o", "o.parquet", "-c", "id"], 2, "'id' is int64", "are 'text'"
    ),
    Refusal("output folder missing", [*S, "reviews.csv", "-o", "none/o.csv"], 2, "the folder none", "make it or name"),
    Refusal(
        "output folder is a file", [*S, "reviews.csv", "-o", "rows.jsonl/o.csv"], 2, "the folder rows.jsonl", "name"
    ),
    Refusal("output folder is a loop", [*S, "reviews.csv", "-o", "loop/o.csv"], 2, "the folder loop", "name another"),
    Refusal("output is a folder", [*S, "reviews.csv", "-o", "folder"], 2, "folder: is a folder", "name a file in it"),
    Refusal("output is the input", [*S, "reviews.csv", "-o", "reviews.csv"], 2, "reviews.csv: is the input", "another"),
    Refusal(
        "output is the input by another path",
        [*S, "reviews.csv", "-o", "folder/../reviews.csv", "--overwrite"],
        2,
        "folder/../reviews.csv: is the input",
        "name another output",
    ),
    Refusal("output is a link to itself", [*S, "reviews.csv", "-o", "loop"], 2, "loop: is a link", "remove it or name"),
    Refusal("output is a link to nothing", [*S, "reviews.csv", "-o", "nowhere"], 2, "nowhere: is a link", "remove it"),
    Refusal(
        "output where no file can be", [*S, "reviews.csv", "-o", "/proc/o.csv"], 1, "/proc/o.csv.partial", "name an"
    ),
    Refusal("output name too long", [*S, "reviews.csv", "-o", "x" * 250], 1, "x.partial: cannot be written", "name an"),
    Refusal(
        "output is a missing device",
        [*S, "reviews.csv", "-o", "/dev/none"],
        2,
        "/dev/none: no such device",
        "another output",
    ),
    Refusal(
        "output name far too long", [*S, "reviews.csv", "-o", "x" * 300], 2, "x: cannot be written", "another output"
    ),
    Refusal(
        "output of another format", [*S, "reviews.csv", "-o", "o.jsonl"], 2, "o.jsonl: the output has", "end in .csv"
    ),
    Refusal("Parquet as CSV", [*S, "table.parquet", "-o", "o.csv"], 2, "o.csv: the output has", "end in .parquet"),
    Refusal("Parquet to stdout", [*S, "table.parquet", "-o", "-"], 2, "-: Parquet cannot be written", "name a file"),
    Refusal("Parquet to a pipe", [*S, "table.parquet", "-o", "pipe"], 2, "pipe: Parquet cannot be", "name a file"),
    Refusal(
        "unknown engine", [*S, "reviews.csv", *O, "--engine", "abacus"], 2, "no engine 'abacus'", "are onnxruntime"
    ),
    Refusal("long delimiter", [*S, "reviews.csv", *O, "--delimiter", ";;"], 2, "--delimiter is ';;'", "one character"),
    Refusal("empty delimiter", [*S, "reviews.csv", *O, "--delimiter", ""], 2, "--delimiter is ''", "one character"),
    Refusal("quote as delimiter", [*S, "reviews.csv", *O, "--delimiter", '"'], 2, "--delimiter is", "one character"),
    Refusal(
        "line end as delimiter", [*S, "reviews.csv", *O, "--delimiter", "\n"], 2, "--delimiter is", "one character"
    ),
    Refusal(
        "delimiter of JSONL",
        [*S, "rows.jsonl", "-o", "o.jsonl", "--delimiter", ","],
        2,
        "rows.jsonl: --delimiter is for csv",
        "Leave it out",
    ),
    Refusal(
        "encoding of Parquet",
        [*S, "table.parquet", "-o", "o.parquet", "--encoding", "cp1252"],
        2,
        "table.parquet: --encoding is for csv and jsonl",
        "Leave it out",
    ),
    Refusal(
        "unknown encoding", [*S, "reviews.csv", *O, "--encoding", "cp-1252"], 2, "--encoding is 'cp-1252'", "cp1252?"
    ),
    Refusal(
        "encoding of no text", [*S, "reviews.csv", *O, "--encoding", "hex"], 2, "--encoding is 'hex'", "Common ones"
    ),
    Refusal("unknown format", [*S, "reviews.csv", *O, "--format", "excel"], 2, "--format is 'excel'", "csv, jsonl or"),
    Refusal(
        "format that no name tells", [*S, "folder/x.xlsx", *O], 2, "folder/x.xlsx: cannot tell", "Say --format csv"
    ),
    Refusal(
        "a spreadsheet", [*S, "folder/x.xlsx", *O, "--format", "csv"], 1, "folder/x.xlsx: is a zip", "Save it as CSV"
    ),
    Refusal("rows and summary on stdout", [*S, "reviews.csv", "-o", "-", "--json"], 2, "-o -", "choose one"),
    Refusal(
        "new name that the encoding lacks",
        [*S, "reviews.csv", *O, "--encoding", "cp1252", "--prefix", "日"],
        2,
        "'日label', cannot be written in cp1252",
        "iconv -f cp1252 -t UTF-8",
    ),
    Refusal("no output", [*S, "reviews.csv"], 2, "--output", "polarbert score -h"),
    Refusal("negative threads", [*S, "reviews.csv", *O, "--threads", "-1"], 2, "--threads", "polarbert score -h"),
    Refusal("threads in words", [*S, "reviews.csv", *O, "--threads", "two"], 2, "--threads", "polarbert score -h"),
    Refusal("unknown option", [*S, "reviews.csv", *O, "--colour"], 2, "--colour", "polarbert score -h"),
]

PREDICT = [
    Refusal(
        "predict: unknown engine", ["predict", "a", "--engine", "abacus"], 2, "no engine 'abacus'", "are onnxruntime"
    ),
    Refusal("predict: unknown option", ["predict", "a", "--colour"], 2, "--colour", "polarbert predict -h"),
    Refusal("predict: negative threads", ["predict", "a", "--threads", "-2"], 2, "--threads", "polarbert predict -h"),
    Refusal("predict: half a character", ["predict", "caf\udce9"], 2, "texts[0]", "is not valid text"),
]

INFO = [
    Refusal("info: unknown preset", ["info", "--preset", "huge"], 2, "--preset is 'huge'", "base, large, transformer"),
    Refusal("info: unknown option", ["info", "--colour"], 2, "--colour", "polarbert info -h"),
    Refusal("info: too many words", ["info", "bundle"], 2, "bundle", "polarbert info -h"),
]

OTHER = [
    Refusal("unknown command", ["scroe"], 2, "scroe", "Did you mean 'score'?"),
]

MODELLESS = [*SCORE, *PREDICT]


@pytest.mark.parametrize("case", MODELLESS, ids=[case.name for case in MODELLESS])
def test_a_request_that_cannot_be_carried_out(command: Command, here: Path, bundle_dir: Path, case: Refusal) -> None:
    before = sorted(file.name for file in here.iterdir())
    assert_is(command(*case.arguments, "-m", str(bundle_dir)), case)
    assert Path("reviews.csv").read_bytes() == GOOD
    assert sorted(file.name for file in here.iterdir()) == before


@pytest.mark.parametrize("case", [*INFO, *OTHER], ids=[case.name for case in [*INFO, *OTHER]])
def test_a_request_without_a_model(command: Command, here: Path, case: Refusal) -> None:
    assert_is(command(*case.arguments), case)


WITH_A_MODEL = [["predict", "so great"], ["score", "reviews.csv", "-o", "o.csv"], ["info"]]
MODELS = [
    ("missing directory", "./none", "none: no such model directory", "polarbert export"),
    ("not a bundle", "folder", "folder: not a model directory", "polarbert.json"),
    ("a file", "reviews.csv", "a model is a directory, and this is a file", "name the directory"),
    ("a link to itself", "loop", "loop: is a link that leads nowhere", "name the directory"),
    ("a Hub id offline", "some-org/none", "some-org/none: not a local directory", "the Hub did not give it"),
    ("neither path nor id", "a/b/c", "a/b/c: no such model directory", "Name one that polarbert train"),
]


@pytest.mark.parametrize("arguments", WITH_A_MODEL, ids=["predict", "score", "info"])
@pytest.mark.parametrize(("name", "place", "step"), [case[1:] for case in MODELS], ids=[case[0] for case in MODELS])
def test_a_model_that_is_not_there(
    command: Command, here: Path, arguments: list[str], name: str, place: str, step: str
) -> None:
    assert_refused(command(*arguments, "-m", name), 1, place, step)
    assert not Path("o.csv").exists()


def test_an_output_that_exists_is_kept(command: Command, here: Path, bundle_dir: Path) -> None:
    Path("o.csv").write_bytes(b"precious")
    assert_refused(command("score", "reviews.csv", "-o", "o.csv", "-m", bundle_dir), 2, "o.csv: exists", "--overwrite")
    assert Path("o.csv").read_bytes() == b"precious"
