"""What an output file goes through: blocks, an end, interruptions, another run."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from polarbert.data.journal import Journal, Stream
from polarbert.errors import DataError, UsageError

ABOUT = {"input": "a.csv", "size": 10, "model": "m1"}


def partial(target: Path) -> Path:
    return target.with_name("out.csv.partial")


def interrupted(target: Path, blocks: list[str]) -> None:
    """A run that wrote these blocks, a row each but for the first, and died."""
    journal = Journal(target, ABOUT)
    for number, block in enumerate(blocks):
        journal.write(block.encode(), min(number, 1), {"rows": number})
    del journal


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out.csv"


def test_the_output_appears_when_it_is_complete(target: Path) -> None:
    journal = Journal(target, ABOUT)
    journal.write(b"head\n", 0, {})
    journal.write(b"one\ntwo\n", 2, {"rows": 2})
    assert not target.exists()
    assert partial(target).read_text() == "head\none\ntwo\n", "a block is in the file as soon as it is written"
    journal.finish()
    assert target.read_text() == "head\none\ntwo\n"
    assert [file.name for file in target.parent.iterdir()] == ["out.csv"]


def test_an_interrupted_run_is_continued_where_it_stopped(target: Path) -> None:
    interrupted(target, ["head\n", "one\n", "two\n"])
    journal = Journal(target, ABOUT)
    assert (journal.rows, journal.totals) == (2, {"rows": 2})
    with journal.read_back() as earlier:
        assert earlier.read() == b"head\none\ntwo\n"
    journal.write(b"three\n", 1, {"rows": 3})
    journal.finish()
    assert target.read_text() == "head\none\ntwo\nthree\n"


def test_what_stands_behind_the_last_durable_block_is_cut_off(target: Path) -> None:
    interrupted(target, ["head\n", "one\n"])
    with partial(target).open("a") as file:
        file.write("half a ro")
    journal = Journal(target, ABOUT)
    assert journal.rows == 1
    assert partial(target).read_text() == "head\none\n"


def test_a_run_that_died_behind_the_header_starts_with_it_again(target: Path) -> None:
    interrupted(target, ["head\n"])
    journal = Journal(target, ABOUT)
    assert journal.rows == 0
    journal.write(b"head\n", 0, {})
    journal.write(b"one\n", 1, {"rows": 1})
    journal.finish()
    assert target.read_text() == "head\none\n"


def test_bytes_that_are_no_utf8_are_written_as_they_were(target: Path) -> None:
    journal = Journal(target, ABOUT)
    journal.write(b"caf\xe9\n", 1, {})
    journal.finish()
    assert target.read_bytes() == b"caf\xe9\n"


def test_a_finished_output_is_not_replaced_unasked(target: Path) -> None:
    target.write_text("precious\n")
    with pytest.raises(UsageError, match=r"exists already.*--overwrite"):
        Journal(target, ABOUT)
    assert target.read_text() == "precious\n"
    assert [file.name for file in target.parent.iterdir()] == ["out.csv"]


def test_an_output_is_replaced_at_the_end_alone(target: Path) -> None:
    target.write_text("precious\n")
    journal = Journal(target, ABOUT, overwrite=True)
    journal.write(b"new\n", 1, {})
    assert target.read_text() == "precious\n"
    journal.finish()
    assert target.read_text() == "new\n"


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"model": "m2"}, "whose model differed"), ({"input": "b.csv", "size": 11}, "whose input, size differed")],
)
def test_another_identity_does_not_continue_these_rows(target: Path, changes: dict[str, object], words: str) -> None:
    interrupted(target, ["head\n", "one\n"])
    with pytest.raises(DataError, match=f"{words}.*--overwrite"):
        Journal(target, ABOUT | changes)
    assert partial(target).read_text() == "head\none\n"
    anew = Journal(target, ABOUT | changes, overwrite=True)
    assert anew.rows == 0
    assert partial(target).read_text() == ""


@pytest.mark.parametrize("content", ["", "{", "[]", '{"identity": {}}', '{"rows": "many"}', "null"])
def test_a_damaged_state_is_not_trusted(target: Path, content: str) -> None:
    interrupted(target, ["head\n", "one\n"])
    (target.parent / "out.csv.partial.json").write_text(content)
    with pytest.raises(DataError, match="--overwrite"):
        Journal(target, ABOUT)


def test_a_state_that_counts_more_bytes_than_there_are_is_not_trusted(target: Path) -> None:
    interrupted(target, ["head\n", "one\n"])
    partial(target).write_text("head\n")
    with pytest.raises(DataError, match="--overwrite"):
        Journal(target, ABOUT)


def test_the_state_says_how_many_rows_and_bytes_count(target: Path) -> None:
    interrupted(target, ["head\n", "one\n", "two\n"])
    state = json.loads((target.parent / "out.csv.partial.json").read_text())
    assert (state["rows"], state["bytes"], state["identity"]) == (2, 13, ABOUT)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("blocks", [[], ["head\n"], ["head\n", "one\n"]])
def test_a_second_run_is_refused_and_does_the_first_no_harm(target: Path, blocks: list[str], overwrite: bool) -> None:
    first = Journal(target, ABOUT)
    for number, block in enumerate(blocks):
        first.write(block.encode(), min(number, 1), {})
    other = ABOUT | {"model": "m2"} if overwrite else ABOUT
    with pytest.raises(DataError, match="another run is writing it"):
        Journal(target, other, overwrite)
    first.write(b"last\n", 1, {})
    first.finish()
    assert target.read_text() == "".join(blocks) + "last\n"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the folder .*nowhere does not exist"):
        Journal(tmp_path / "nowhere" / "out.csv", ABOUT)


def test_a_link_that_leads_nowhere_is_refused(target: Path) -> None:
    for leads_to in ("out.csv", "nowhere"):
        target.unlink(missing_ok=True)
        target.symlink_to(leads_to)
        with pytest.raises(UsageError, match=r"out\.csv: is a link that leads nowhere; remove it"):
            Journal(target, ABOUT)
        assert target.is_symlink()


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match=r"the folder .*file does not exist"):
        Journal(tmp_path / "file" / "out.csv", ABOUT)


def test_a_name_too_long_for_its_account_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be written: File name too long.*name an output"):
        Journal(tmp_path / ("x" * 250), ABOUT)


def test_a_stream_gets_its_rows_at_once() -> None:
    taken = io.BytesIO()
    stream = Stream(taken, "stdout")
    stream.write(b"caf\xe9\n", 1, {})
    assert taken.getvalue() == b"caf\xe9\n"
    with pytest.raises(UsageError, match="cannot be read back"):
        stream.read_back()
    stream.finish()


def test_a_full_device_is_a_clear_error() -> None:
    with Path("/dev/full").open("wb", buffering=0) as device:
        stream = Stream(device, "/dev/full")
        with pytest.raises(DataError, match="/dev/full: cannot be written: the disk is full"):
            stream.write(b"row\n", 1, {})
