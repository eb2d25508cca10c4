"""The files of a corpus: which there are, what kind each is, and its bytes unpacked."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, cast

from polarbert.data.inputs import STDIN, input_name, open_input
from polarbert.data.tables import FORMATS
from polarbert.errors import DataError, MissingExtraError, UsageError
from polarbert.files import reason

TEXT = "text"
_PACKED = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_SUFFIXES = {b"PAR1": ".parquet", b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}  # by how the file begins
_START = 1 << 12  # bytes by which text is told from other things

Note = Callable[[str], None]


def silent(_line: str) -> None:
    """Say nothing."""


def list_files(paths: Sequence[str | Path], note: Note = silent) -> list[Path]:
    """The files of a corpus, in the order in which they are read.

    Folders are searched with all that is in them, sorted by name. What begins with a full stop is left out there, and a
    file that is reached in two ways is read once.

    Args:
        paths: files and folders; "-" is stdin.
        note: called with a line on what is left out.

    Raises:
        UsageError: when a path is not there.
        DataError: when there is no file.

    Example:
        >>> list_files(["books", "more.jsonl.gz"])
        [PosixPath('books/a.txt'), PosixPath('books/old/b.txt'), PosixPath('more.jsonl.gz')]
    """
    files: dict[tuple[int, int], Path] = {}
    for path in map(Path, paths):
        for file in _under(path, (), note):
            first = files.setdefault(_identity(file), file)
            if first != file:
                note(f"{file}: is {first}, which is read once")
    if not files:
        raise DataError(f"{', '.join(map(str, paths)) or 'the corpus'}: holds no file; name files or folders with text")
    return list(files.values())


def _under(path: Path, above: tuple[tuple[int, int], ...], note: Note) -> Iterator[Path]:
    """A path itself, or the files in a folder; `above` are the folders that lead to it."""
    if not path.is_dir():
        if str(path) != STDIN and not path.exists():
            near = _nearest(path)
            raise UsageError(f"{path}: is not there. {f'Did you mean {near}?' if near else 'Check the path'}")
        yield path
        return
    here = _identity(path)
    if here in above:
        note(f"{path}: leads back to a folder that it is in; left out")
        return
    try:
        inside = sorted(path.iterdir(), key=lambda inner: inner.name)
    except OSError as error:
        note(f"{path}: cannot be read: {reason(error)}; left out")
        return
    for inner in inside:
        if inner.name.startswith("."):
            continue
        if inner.is_dir() or inner.is_file():
            yield from _under(inner, (*above, here), note)
        else:
            note(f"{inner}: is no file; left out")


def _identity(path: Path) -> tuple[int, int]:
    """The same for every name of a file."""
    if str(path) == STDIN:
        return -1, -1
    status = path.stat()
    return status.st_dev, status.st_ino


def _nearest(path: Path) -> str | None:
    if not path.parent.is_dir():
        return None
    near = get_close_matches(path.name, [other.name for other in path.parent.iterdir()], n=1)
    return str(path.with_name(near[0])) if near else None


def kind_of(file: Path) -> str:
    """How a file is to be read, by its name: csv, jsonl, parquet or text."""
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return FORMATS.get(suffixes[-1], TEXT) if suffixes else TEXT


def size_of(file: Path) -> int:
    """Bytes of a regular file as it is on the disk; 0 of what has no size, such as stdin."""
    return file.stat().st_size if file.is_file() else 0


def check_extras(files: Sequence[Path]) -> None:
    """Refuse at once what could not be unpacked later.

    Raises:
        MissingExtraError: naming the extra.
    """
    packed = [file for file in files if _PACKED.get(file.suffix.lower()) == "zstd"]
    if packed and find_spec("pyarrow") is None:
        raise MissingExtraError(f"{packed[0]}: zstd", "parquet")


@contextmanager
def open_unpacked(file: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """A file as it is on the disk, and its content unpacked, which reads from the first.

    Raises:
        UsageError: when there is no such file.
        DataError: when it cannot be read, is damaged or is no text.
    """
    name, packing = input_name(file), _PACKED.get(file.suffix.lower())
    if packing and kind_of(file) == "parquet":
        raise DataError(f"{name}: Parquet is compressed within and cannot be read through {packing}; unpack it")
    if file.is_file() and kind_of(file) == TEXT:
        with _opened(file, name, packing) as (_, stream):
            _refuse_binary(stream.read(_START), name)
    with _opened(file, name, packing) as streams:
        yield streams


@contextmanager
def _opened(file: Path, name: str, packing: str | None) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    try:
        with open_input(file) as raw:
            if packing is None:
                yield raw, raw
                return
            with closing(_unpacked(raw, packing)) as stream:
                yield raw, stream
    except (OSError, EOFError, zlib.error) as error:
        what = f"cut short or damaged ({error})" if packing else f"not readable: {_said(error)}"
        raise DataError(f"{name}: is {what}; copy it again") from error


def _unpacked(raw: BinaryIO, packing: str) -> BinaryIO:
    if packing == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
    arrow = import_module("pyarrow")
    return cast(BinaryIO, arrow.CompressedInputStream(arrow.PythonFile(raw, mode="r"), packing))


def _said(error: Exception) -> str:
    return reason(error) if isinstance(error, OSError) else str(error)


def _refuse_binary(start: bytes, name: str) -> None:
    if not start:
        raise DataError(f"{name}: is empty")
    for magic, suffix in _SUFFIXES.items():
        if start.startswith(magic):
            raise DataError(f"{name}: is a file of another kind; let its name end in {suffix}")
    if b"\x00" in start and not _is_wide(start):
        raise DataError(f"{name}: holds binary data, not text")


def _is_wide(start: bytes) -> bool:
    """True for UTF-16 and UTF-32: a byte order mark, or zeros in nearly every second byte and hardly elsewhere."""
    even, odd = (start[first::2].count(0) / (len(start) / 2) for first in (0, 1))
    marked = start.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff"))
    return marked or (len(start) >= 8 and max(even, odd) > 0.8 and min(even, odd) < 0.1)
