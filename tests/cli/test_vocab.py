"""`polarbert vocab`: what it prints, what it writes, and how it refuses."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.refusals import Refusal, assert_is
from tests.scoring_fixtures import Outcome

from polarbert.text import WordPieceTokenizer

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]
TEXT = "The café is good. The Café was good, and it is a café.\n" * 5


@pytest.fixture(autouse=True)
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text(TEXT, "utf-8")
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(b'{"text": "good"}\n{"text": "bad"}\nnope\n'))
    (folder / "c.bin").write_bytes(b"\x00\x01\x02" * 50)
    return folder


def pieces(folder: str) -> list[str]:
    return Path(folder, "vocab.txt").read_text("utf-8").splitlines()


def test_a_folder_becomes_a_vocabulary(command: Command) -> None:
    ended = command("vocab", "texts", "--size", "150", "-o", "out")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0] == f"out: {len(pieces('out'))} pieces from 3 documents"
    assert [line.split("  ")[1] for line in lines[1:]] == ["text", "words", "in one piece", "unknown", "pieces a word"]
    assert "left out: 1 file, 1 row" in lines[1]
    assert lines[2].endswith("82, 11 different")
    assert lines[4].endswith("0.000% of the words")
    assert "texts/c.bin: holds binary data, not text (left out)" in ended.err
    assert "texts/b.jsonl.gz: 1 left out; the first: row 3: line 3: not JSON" in ended.err
    assert "150 pieces were asked for; no other pair occurs 2 times or more" in ended.err
    tokenizer = WordPieceTokenizer.from_directory("out")
    assert [tokenizer.backend.id_to_token(number) for number in tokenizer.encode(["Café GOOD"])[0].ids] == [
        "cafe",
        "good",
    ]


def test_json_says_it_all(command: Command) -> None:
    ended = command("vocab", "texts", "--size", "140", "-o", "out", "--json", "--quiet")
    assert (ended.code, ended.err) == (0, "")
    about = json.loads(ended.out)
    assert about["pieces"] == len(pieces("out")) <= 140
    assert (about["documents"], about["words"], about["skipped_files"], about["skipped_rows"]) == (3, 82, 1, 1)
    assert 0 < about["whole"] <= 1 <= about["pieces_per_word"]
    assert (about["cased"], about["strip_accents"], about["unknown"]) == (False, True, 0)
    again = json.loads(command("vocab", "texts", "--size", "140", "-o", "again", "--json", "--quiet").out)
    assert again == about | {"vocabulary": "again"}
    names = ["tokenizer.json", "tokenizer_config.json", "vocab.txt"]
    assert sorted(path.name for path in Path("out").iterdir()) == names
    assert [Path("out", name).read_bytes() for name in names] == [Path("again", name).read_bytes() for name in names]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], {"the", "cafe"}),
        (["--keep-accents"], {"the", "café"}),
        (["--cased"], {"The", "café"}),
        (["--cased", "--strip-accents"], {"The", "cafe"}),
    ],
)
def test_case_and_accents(command: Command, options: list[str], words: set[str]) -> None:
    assert command("vocab", "texts", "--size", "150", "-o", "out", *options).code == 0
    assert words == {"the", "The", "cafe", "café"} & set(pieces("out"))


def test_what_is_a_document_and_how_often_a_piece_occurs(command: Command) -> None:
    ended = command(
        "vocab", "texts/a.txt", "--unit", "row", "--min-frequency", "11", "--size", "150", "-o", "out", "--json"
    )
    assert json.loads(ended.out)["documents"] == 5
    learned = [piece for piece in pieces("out")[104:] if len(piece.removeprefix("##")) > 1]
    assert learned
    assert "was" not in learned  # five times
    assert "cafe" in learned  # fifteen times


def test_text_comes_from_stdin_and_in_other_encodings(command: Command) -> None:
    ended = command(
        "vocab",
        "-",
        "--encoding",
        "cp1252",
        "--keep-accents",
        "--size",
        "150",
        "-o",
        "out",
        stdin=TEXT.encode("cp1252"),
    )
    assert ended.code == 0
    assert "café" in pieces("out")


def test_a_vocabulary_is_replaced_only_when_asked(command: Command) -> None:
    Path("out").mkdir()
    assert command("vocab", "texts", "--size", "140", "-o", "out").code == 0
    Path("out/mine.txt").write_text("mine")
    before = pieces("out")
    refused = command("vocab", "texts", "--size", "136", "-o", "out")
    assert refused.code == 2
    assert "out: is not empty" in refused.err
    assert pieces("out") == before
    assert command("vocab", "texts", "--size", "136", "-o", "out", "--overwrite").code == 0
    assert len(pieces("out")) == 136
    assert Path("out/mine.txt").read_text() == "mine"


REFUSALS = [
    Refusal("no path", ["text"], 2, "text: is not there.", "Did you mean texts?"),
    Refusal("no column", ["table.csv"], 2, "table.csv: no column 'text'", "The columns are 'review'"),
    Refusal("no unit", ["texts", "--unit", "rows"], 2, "the unit is 'rows'", "Did you mean 'row'?"),
    Refusal("too small", ["texts", "--size", "110"], 2, "110 pieces is too small", "Say --size 1"),
    Refusal("not positive", ["texts", "--size", "0"], 2, "--size", "1"),
    Refusal("binary", ["texts/c.bin"], 1, "texts/c.bin: holds binary data", "Name files with text"),
    Refusal("encoding", ["texts/a.txt", "--encoding", "utf8000"], 2, "--encoding is 'utf8000'", "Common ones are"),
    Refusal("blank", ["blank.txt"], 1, "holds no text that can be read", "Name files with text"),
    Refusal("wordless", ["control.txt"], 1, "the text holds no word", "Give more text"),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_a_wrong_request(command: Command, case: Refusal) -> None:
    Path("table.csv").write_text("review\nFine\n")
    Path("blank.txt").write_text(" \n")
    Path("control.txt").write_text("\x01\u200b")
    ended = command("vocab", *case.arguments, "-o", "out")
    assert_is(ended, case)
    assert not Path("out").exists()


def test_a_file_in_place_of_the_folder_is_refused(command: Command) -> None:
    Path("out").write_text("mine")
    ended = command("vocab", "texts", "-o", "out")
    assert (ended.code, ended.out) == (2, "")
    assert "out: is no folder; name another with -o" in ended.err


def test_a_full_disk_leaves_nothing(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from polarbert.text import vocabulary

    def full(_file: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(vocabulary, "flush_to_disk", full)
    ended = command("vocab", "texts", "--size", "150", "-o", "out")
    assert (ended.code, ended.out) == (1, "")
    assert "out: cannot be written: the disk is full. Make room, or name another directory" in ended.err
    assert sorted(path.name for path in Path().iterdir()) == ["texts"]


def test_a_vocabulary_is_learned_with_the_core_alone() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'transformers', 'pyarrow')))\n"
        "sys.argv = ['polarbert', 'vocab', 'texts/a.txt', '--size', '150', '-o', 'out']\n"
        "from polarbert.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "out: 1" in done.stdout
