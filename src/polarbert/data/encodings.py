"""Which bytes are which characters: UTF-8 unless another encoding is named.

Bytes without a meaning are kept: they are written back as they were, and the place of the first one is remembered, so
that a file in another encoding can be told from one damaged row.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from encodings.aliases import aliases
from typing import Any, BinaryIO

from polarbert.errors import DataError, UsageError

MAX_LINE = 1 << 26  # characters; a line beyond this is no line of a table
_START = 1 << 16
_MARKS = {  # the longer ones first: the mark of UTF-32 begins with that of UTF-16
    b"\xff\xfe\x00\x00": "utf-32-le",
    b"\x00\x00\xfe\xff": "utf-32-be",
    b"\xef\xbb\xbf": "utf-8",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}
_NO_TABLES = {
    b"PAR1": "a Parquet file. Say --format parquet",
    b"PK\x03\x04": "a zip archive or a spreadsheet (such as .xlsx). Save it as CSV in UTF-8",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet or document (such as .xls). Save it as CSV in UTF-8",
    b"\x1f\x8b": "compressed with gzip. Unpack it first, or pipe it: gzip -dc FILE | polarbert ...",
    b"BZh": "compressed with bzip2. Unpack it first",
    b"\xfd7zXZ": "compressed with xz. Unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed with zstd. Unpack it first",
}
# Escapes and encodings of mail, in which a character's bytes depend on what stands before it.
_NOT_READ = ("hz", "idna", "iso2022", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7")
_EAST_ASIAN = ("big5", "cp932", "cp949", "cp950", "euc", "gb", "johab", "shift")


@dataclass(frozen=True)
class Encoding:
    """How characters stand in bytes.

    Attributes:
        name: as people write it.
        codec: Python's name, which also says the order of bytes.
        mark: the byte order mark at the start of the file; empty when it has none.
    """

    name: str = "UTF-8"
    codec: str = "utf-8"
    mark: bytes = b""

    @property
    def errors(self) -> str:
        """What becomes of bytes that mean nothing: lone surrogates, by which they are known."""
        return "surrogatepass" if self.codec.startswith(("utf-16", "utf-32")) else "surrogateescape"

    def encode(self, text: str) -> bytes:
        """The bytes of a text, without a byte order mark; bytes that mean nothing as they were.

        In East Asian encodings those become question marks: with other neighbours they could mean something.
        """
        return text.encode(self.codec, "replace" if self.codec.startswith(_EAST_ASIAN) else self.errors)

    def open(self, stream: BinaryIO | io.BufferedReader) -> io.TextIOWrapper:
        """Text of a stream that stands behind the byte order mark; line ends as they are."""
        return io.TextIOWrapper(stream, encoding=self.codec, errors=self.errors, newline="")


class TextSource:
    """The lines of a stream.

    Args:
        stream: the bytes, from the first one.
        name: of the file, for messages.
        encoding: as the user named it; None for UTF-8.

    Raises:
        UsageError: when there is no such encoding, or the file has the byte order mark of another.
        DataError: when the file is empty, or its start shows that it is no text in UTF-8.
    """

    def __init__(self, stream: BinaryIO, name: str, encoding: str | None = None) -> None:
        start = stream.read(_START)
        self.name = name
        self.number = 0
        self.encoding = _encoding_of(start, name, encoding)
        if start == self.encoding.mark:
            raise DataError(f"{name}: is empty; name a file that holds data")
        self._named = encoding is not None
        self._bytes = _Watched(start, stream, self.encoding)
        self._text = self.encoding.open(io.BufferedReader(self._bytes, _START))

    @property
    def bad_byte(self) -> tuple[int, int] | None:
        """Offset and value of the first byte read so far that means nothing in this encoding; None when all do."""
        return self._bytes.bad

    @property
    def doubt(self) -> str | None:
        """What to tell of the first byte that means nothing."""
        if self.bad_byte is None:
            return None
        offset, value = self.bad_byte
        return (
            f"{self.name}: byte 0x{value:02x} at offset {offset:,} is not {self.encoding.name}; a text with such bytes "
            f"is not scored. {self._advice()}"
        )

    def _advice(self) -> str:
        if self._named:
            return "If the file is in another encoding, name that one"
        return "If the file is Latin-1 or from Windows, say --encoding cp1252"

    def refuse_undecoded(self, names: Sequence[str]) -> None:
        """Refuse column names with bytes that mean nothing: then the whole file is in another encoding.

        Raises:
            DataError: naming the offset of the first such byte.
        """
        if self.bad_byte is None or not any("\ud800" <= c <= "\udfff" for name in names for c in name):
            return
        offset, value = self.bad_byte
        raise DataError(
            f"{self.name}: the names of its columns are not {self.encoding.name}: byte 0x{value:02x} at offset "
            f"{offset:,}. {self._advice()}"
        )

    def refuse_unwritable(self, added: Sequence[str]) -> None:
        """Refuse new columns whose names have characters that the encoding of the file lacks.

        Raises:
            UsageError: naming the column and the way out.
        """
        for column in added:
            try:
                self.encoding.encode(column)
            except UnicodeEncodeError:
                raise UsageError(
                    f"{self.name}: a new column, {column!r}, cannot be written in {self.encoding.name}, the encoding "
                    f"of the input. Convert that first: iconv -f {self.encoding.name} -t UTF-8 {self.name} > utf8.txt"
                ) from None

    def read(self, most: int) -> str:
        """Up to `most` characters more, line ends as they are; "" when there are none.

        Raises:
            DataError: when the file breaks off within a character.
        """
        try:
            return self._text.read(most)
        except UnicodeError as error:
            raise DataError(
                f"{self.name}: is not {self.encoding.name} ({error}). Name its encoding: --encoding"
            ) from error

    def readline(self) -> str:
        """The next line with its end, whichever that is; "" when there is none.

        Raises:
            DataError: when the line is too long for a table, or the file breaks off within a character.
        """
        self.number += 1
        try:
            line = self._text.readline(MAX_LINE)
        except UnicodeError as error:
            raise DataError(
                f"{self.name}, line {self.number}: is not {self.encoding.name} ({error}). Name its encoding: --encoding"
            ) from error
        if len(line) == MAX_LINE and line[-1] not in "\r\n":
            raise DataError(
                f"{self.name}, line {self.number}: has more than {MAX_LINE:,} characters without an end. "
                "A table has a line a row; is this another kind of file?"
            )
        return line


def _encoding_of(start: bytes, name: str, asked: str | None) -> Encoding:
    mark = next((mark for mark in _MARKS if start.startswith(mark)), b"")
    found = _MARKS.get(mark) or _utf16_without_mark(start)
    if asked is None:
        return _default_encoding(start, name, mark, found)
    codec = _codec(asked)
    family = codec.removesuffix("-sig").removesuffix("-le").removesuffix("-be")
    if mark and found and family != found.removesuffix("-le").removesuffix("-be"):
        known = found.removesuffix("-le").removesuffix("-be")
        raise UsageError(
            f"{name}: starts with the byte order mark of {known.upper()}, so it is not {asked}. "
            + ("Leave --encoding out" if known == "utf-8" else f"Say --encoding {known}")
        )
    if family in ("utf-16", "utf-32"):
        ordered = codec if codec != family else None
        return Encoding(family.upper(), ordered or found or f"{family}-le", mark)
    return Encoding("UTF-8" if family == "utf-8" else asked, family, mark)


def _default_encoding(start: bytes, name: str, mark: bytes, found: str | None) -> Encoding:
    for magic, what in _NO_TABLES.items():
        if start.startswith(magic):
            raise DataError(f"{name}: is {what}")
    if found is not None and found != "utf-8":
        kind = found[:6]  # utf-16 or utf-32
        raise DataError(f"{name}: is {kind.upper()}, not UTF-8. Say --encoding {kind if mark else found}")
    return Encoding(mark=mark)


def _utf16_without_mark(start: bytes) -> str | None:
    """UTF-16 of mostly ASCII text has a zero in every second byte."""
    even, odd = start[0:200:2], start[1:200:2]
    if len(odd) < 4:
        return None
    if odd.count(0) > 0.8 * len(odd) and even.count(0) < 0.1 * len(even):
        return "utf-16-le"
    return "utf-16-be" if even.count(0) > 0.8 * len(even) and odd.count(0) < 0.1 * len(odd) else None


def _codec(asked: str) -> str:
    """Python's name of an encoding of files."""
    if _is_read(asked):
        return codecs.lookup(asked).name
    names = sorted(name.replace("_", "-") for name in {*aliases, *aliases.values()})
    near = [name for name in get_close_matches(asked.lower(), names, n=9) if _is_read(name)]
    hint = f"Did you mean {near[0]}? " if near else ""
    raise UsageError(
        f"--encoding is {asked!r}, which cannot be read. {hint}Common ones are utf-8, cp1252, latin-1 and utf-16"
    )


def _is_read(name: str) -> bool:
    try:
        return "a".encode(name) != b"" and not codecs.lookup(name).name.startswith(_NOT_READ)
    except (LookupError, UnicodeError, ValueError):
        return False


class _Watched(io.RawIOBase):
    """The bytes behind the byte order mark, and the place of the first that means nothing."""

    def __init__(self, start: bytes, rest: BinaryIO, encoding: Encoding) -> None:
        self.bad: tuple[int, int] | None = None
        self._first = start[len(encoding.mark) :]
        self._rest = rest
        self._at = len(encoding.mark)
        self._decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder(encoding.codec)("strict")
        self._watch(self._first)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._first:
            count = min(len(buffer), len(self._first))
            buffer[:count], self._first = self._first[:count], self._first[count:]
            return count
        data = self._rest.read(len(buffer))
        self._watch(data)
        buffer[: len(data)] = data
        return len(data)

    def _watch(self, data: bytes) -> None:
        if self._decoder is None:
            return
        pending = len(self._decoder.getstate()[0])
        try:
            self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            self.bad = (self._at - pending + error.start, error.object[error.start])
            self._decoder = None
        self._at += len(data)
