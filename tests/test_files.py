"""Small files are read up to a size, files are written whole or not at all, and a place has one writer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from polarbert.errors import BundleError, DataError, ExportError
from polarbert.files import disk_errors, lock, locked_folder, read_bounded, reason, replacing, write_whole


def test_a_small_file_is_read_and_a_large_one_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b"x" * 100)
    assert read_bounded(file, 100, BundleError) == b"x" * 100
    with pytest.raises(BundleError, match=r"a\.json: has more than 99 bytes"):
        read_bounded(file, 99, BundleError)


def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    for name, words in (("pipe", "no regular file"), ("zero", "no regular file"), (".", "no regular file")):
        with pytest.raises(BundleError, match=words):
            read_bounded(tmp_path / name, 10, BundleError)
    for name, words in (("loop", "symbolic links"), ("none", "No such file")):
        with pytest.raises(BundleError, match=f"{name}: cannot be read: .*{words}"):
            read_bounded(tmp_path / name, 10, BundleError)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_whole(file, b"old")
    write_whole(file, b"new")
    assert file.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_whole(file, b"precious")

    def break_off() -> None:
        with replacing(file) as temporary:
            temporary.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert file.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [file]


FULL = """
import resource, sys
from pathlib import Path
from polarbert.files import write_whole
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_whole(Path(sys.argv[1]), b"x" * 2000)
except OSError as error:
    print(type(error).__name__)
"""


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_whole(file, b"precious")
    ended = subprocess.run([sys.executable, "-c", FULL, file], capture_output=True, text=True, check=True)
    assert ended.stdout == "OSError\n"
    assert file.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [file]


HOLD = """
import sys
from pathlib import Path
from polarbert.files import lock, locked_folder
place = Path(sys.argv[1])
if place.is_dir():
    with locked_folder(place) as ours:
        print(ours)
else:
    with place.open("rb") as file:
        print(lock(file))
"""


def other_process_gets(place: Path) -> str:
    ended = subprocess.run([sys.executable, "-c", HOLD, place], capture_output=True, text=True, check=True)
    return ended.stdout.strip()


def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    with locked_folder(tmp_path) as ours:
        assert ours
        assert other_process_gets(tmp_path) == "False"
    assert other_process_gets(tmp_path) == "True"


def test_a_file_has_one_writer(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"")
    with file.open("rb") as opened:
        assert lock(opened)
        assert other_process_gets(file) == "False"
    assert other_process_gets(file) == "True"


def test_errors_of_the_system_get_a_name_a_reason_and_a_consolation() -> None:
    whole = r"^out\.csv: cannot be written: the disk is full\. Rows are kept$"
    with pytest.raises(DataError, match=whole), disk_errors("out.csv", "Rows are kept"):
        raise OSError(28, "No space left on device")
    with pytest.raises(ExportError, match="Permission denied"), disk_errors("model", "Try again", ExportError):
        raise PermissionError(13, "Permission denied")
    with pytest.raises(BrokenPipeError), disk_errors("stdout", ""):
        raise BrokenPipeError


def test_a_reason_is_in_words() -> None:
    assert reason(OSError(122, "Disk quota exceeded")) == "the disk is full"
    assert reason(OSError("odd")) == "odd"
