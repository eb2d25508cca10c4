"""Where the bytes of a table come from: files that are there or not, stdin, and pipes that are read twice."""

from __future__ import annotations

import io
import os
import resource
import sys
import tempfile
from pathlib import Path

import pytest

from polarbert.data.inputs import in_any_order, input_name, open_input, shown_name
from polarbert.errors import DataError, UsageError


def test_a_file_is_opened_and_closed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"text\n")
    with open_input(tmp_path / "a.csv") as stream:
        assert stream.read() == b"text\n"
    assert stream.closed


def test_stdin_is_read_and_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"text\n")))
    with open_input("-") as stream:
        assert stream.read() == b"text\n"
    assert not stream.closed
    assert (input_name("-"), input_name(Path("a.csv"))) == ("stdin", "a.csv")


def test_stdin_that_is_closed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="-: stdin is closed; send rows to it or name a file"), open_input("-"):
        pass


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rewiews.csv", r"rewiews\.csv: no such file\. Did you mean .*reviews\.csv\?"),
        ("zzz", r"zzz: no such file\. Check the path"),
        ("none/reviews.csv", r"reviews\.csv: no such file\. Check the path"),
        (".", "is a folder; name a file in it"),
    ],
)
def test_what_cannot_be_opened_is_named(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "reviews.csv").touch()
    with pytest.raises(UsageError, match=words), open_input(tmp_path / name):
        pass


def test_a_loop_of_links_is_an_error_of_the_data(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to("a.csv")
    with pytest.raises(DataError, match=r"a\.csv: cannot be read: .*Name another file"), open_input(tmp_path / "a.csv"):
        pass


def piped(content: bytes) -> io.BufferedReader:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as opened:
        opened.write(content)
    return os.fdopen(reader, "rb")


def test_a_pipe_is_read_twice_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with piped(b"text\nfine\n") as pipe, in_any_order(pipe, "stdin") as stream:
        assert stream.read() == b"text\nfine\n"
        stream.seek(0)
        assert stream.readline() == b"text\n"
        assert list(tmp_path.iterdir()) == [], "the copy has no name, so not even a kill leaves it behind"
    file = io.BytesIO(b"text\n")
    with in_any_order(file, "a.csv") as stream:
        assert stream is file


def test_a_full_disk_is_named_with_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with (
            piped(b"x" * 5000) as pipe,
            pytest.raises(DataError, match=rf"stdin: its copy in {tmp_path}: cannot be written: .*TMPDIR"),
            in_any_order(pipe, "stdin"),
        ):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data/reviews.csv", "reviews.csv"),
        ("two\nlines.csv", "two lines.csv"),
        (os.fsdecode(b"caf\xe9.csv"), "caf?.csv"),
        ("..", ".."),
        ("/", "/"),
        ("stdin", "stdin"),
        ("/dev/fd/63", "a pipe"),
    ],
)
def test_a_name_to_show_is_text_of_one_line(path: str, name: str) -> None:
    assert shown_name(path) == name
    assert shown_name(path).encode("utf-8")
