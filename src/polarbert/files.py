"""Files that are written whole or not at all, read up to a size, and never written by two at once."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from polarbert.errors import DataError, PolarbertError

try:
    import fcntl
except ImportError:  # not on Windows; there two runs into one place are the user's to avoid
    fcntl = None  # type: ignore[assignment]


def read_bounded(file: Path, most: int, error: type[PolarbertError]) -> bytes:
    """The content of a small file.

    Args:
        file: a regular file, or a link to one.
        most: bytes it may have.
        error: what is raised when it is a device or a pipe, cannot be read or is larger.
    """
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise error(f"{file}: is no regular file; put a file of that name in its place")
        with file.open("rb") as opened:
            content = opened.read(most + 1)
    except OSError as problem:
        raise error(f"{file}: cannot be read: {reason(problem)}; make it readable or copy it again") from problem
    if len(content) > most:
        raise error(f"{file}: has more than {most:,} bytes, more than any such file; it is not what its name says")
    return content


def write_whole(file: Path, content: bytes) -> None:
    """Write a file in one step: until it is complete, what stood there before stays."""
    with replacing(file) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A name beside `file` to write to; it takes the place of `file` when the block ends well, and goes otherwise."""
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        flush_to_disk(temporary)
        os.replace(temporary, file)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def flush_to_disk(file: Path) -> None:
    """Return when the content is on the disk."""
    with file.open("r+b") as opened:
        os.fsync(opened.fileno())


def lock(file: IO[bytes] | int) -> bool:
    """Take a file or folder for this process, until it is closed; False when another process has it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def locked_folder(folder: Path) -> Iterator[bool]:
    """Take a folder for this process while the block runs; False when another process has it."""
    if fcntl is None:
        yield True
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        yield lock(opened)
    finally:
        os.close(opened)


@contextmanager
def disk_errors(name: str, consolation: str, error: type[PolarbertError] = DataError) -> Iterator[None]:
    """Turn what the system says about writing `name` into an error with `consolation`: what is kept, what to do."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as problem:
        raise error(f"{name}: cannot be written: {reason(problem)}. {consolation}") from problem


def reason(error: OSError) -> str:
    """What the system says, in words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    return error.strerror or str(error)
