"""Where the bytes of a table come from: a file, or stdin."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import BinaryIO, cast

from polarbert.errors import DataError, UsageError
from polarbert.files import disk_errors, reason

STDIN = "-"
_NEAR = 0.75  # likeness of a file's name from which on it may have been meant
PIPES = (Path("/dev/fd"), Path("/proc/self/fd"))


def input_name(path: str | Path) -> str:
    """What messages call an input."""
    return "stdin" if str(path) == STDIN else str(path)


def shown_name(path: str | Path) -> str:
    """The last part of a path, as text that can stand in a file: of one line, without bytes that mean nothing.

    What a shell makes of `<(command)` is a pipe, and its number is no name.

    Example:
        >>> shown_name("/data/reviews.csv")
        'reviews.csv'
    """
    if Path(path).parent in PIPES:
        return "a pipe"
    name = Path(path).name or str(path)
    return " ".join(name.encode("utf-8", "replace").decode("utf-8").split()) or "unnamed"


@contextmanager
def open_input(path: str | Path) -> Iterator[BinaryIO]:
    r"""The bytes of a file, or of stdin for "-", which stays open.

    Raises:
        UsageError: when there is no such file, it is a folder, or stdin is closed.
        DataError: when the file cannot be read.

    Example:
        >>> with open_input("reviews.csv") as stream:
        ...     stream.readline()
        b'review,stars\n'
    """
    if str(path) == STDIN:
        if sys.stdin is None:
            raise UsageError("-: stdin is closed; send rows to it or name a file")
        yield sys.stdin.buffer
        return
    with _opened(Path(path)) as stream:
        yield stream


def _opened(file: Path) -> BinaryIO:
    try:
        if file.is_dir():
            raise UsageError(f"{file}: is a folder; name a file in it")
        return file.open("rb")
    except FileNotFoundError:
        near = _nearest_file(file)
        raise UsageError(f"{file}: no such file. {f'Did you mean {near}?' if near else 'Check the path'}") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {reason(error)}. Name another file, or make it readable") from error


def _nearest_file(path: Path) -> str | None:
    if not path.parent.is_dir():
        return None
    near = get_close_matches(path.name, [file.name for file in path.parent.iterdir() if file.is_file()], 1, _NEAR)
    return str(path.with_name(near[0])) if near else None


@contextmanager
def in_any_order(stream: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """The same bytes in a stream that can be read more than once: a pipe goes through a file that has no name.

    Args:
        stream: at its start.
        name: of it, for messages.

    Raises:
        DataError: when the disk of the temporary files is full.
    """
    if stream.seekable():
        yield stream
        return
    with _spooled(stream, name) as copy:
        yield copy


def _spooled(stream: BinaryIO, name: str) -> BinaryIO:
    remedy = "Make room there, or let TMPDIR name another folder for temporary files"
    with disk_errors(f"{name}: its copy in {gettempdir()}", remedy):
        copy = cast(BinaryIO, TemporaryFile())  # noqa: SIM115 - whoever asked closes it
        try:
            shutil.copyfileobj(stream, copy, 1 << 20)
            copy.seek(0)
        except BaseException:
            with suppress(OSError):  # what could not be written cannot be flushed either
                copy.close()
            raise
    return copy
