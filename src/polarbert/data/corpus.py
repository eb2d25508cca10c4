"""Unlabelled text from files and folders, one document after another, in bounded memory.

A document is a whole file, a row or a block between blank lines. What cannot be read is passed over and told; it never
ends the reading.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO

from polarbert.data.corpus_files import (
    TEXT,
    Note,
    check_extras,
    kind_of,
    list_files,
    open_unpacked,
    silent,
    size_of,
)
from polarbert.data.encodings import TextSource
from polarbert.data.inputs import input_name
from polarbert.data.rows import text_problem
from polarbert.data.tables import open_table
from polarbert.errors import DataError, UsageError

__all__ = ["MAX_DOCUMENT", "UNITS", "Corpus", "CorpusSummary", "Document", "list_files", "read_documents"]

UNITS = ("auto", "file", "row", "blank-line")
MAX_DOCUMENT = 1 << 24  # characters; a longer file or block becomes several documents
_MAX_ROW = 1 << 27  # bytes of a text in a table
_CHUNK = 1 << 20
_BREAKS = ("\n\n", "\n", " ")  # where a long text is cut, best first

# A text and where it stands in its file: the row, or the line in which it begins; None for the file as a whole.
Placed = tuple[int | None, str]


@dataclass(frozen=True, slots=True)
class Document:
    """A text of a corpus.

    Attributes:
        source: the file as it was named; behind a colon the row, or the line in which a block begins.
        text: never blank, and valid Unicode.
    """

    source: str
    text: str


@dataclass(frozen=True, slots=True)
class CorpusSummary:
    """What was read.

    Attributes:
        documents: how many.
        bytes: of their text, in UTF-8.
        files: how many had a document.
        skipped_files: how many could not be read, or not to their end.
        skipped_rows: how many rows, lines or blocks could not be read in files that could.
        digest: changes with the content, the boundaries and the order of the documents, and with nothing else.
    """

    documents: int
    bytes: int
    files: int
    skipped_files: int
    skipped_rows: int
    digest: str


def read_documents(
    paths: Sequence[str | Path],
    unit: str = "auto",
    text_column: str | None = None,
    note: Note = silent,
    encoding: str | None = None,
) -> Iterator[Document]:
    """The documents of a corpus; see `Corpus`, which also counts them.

    Example:
        >>> sum(len(document.text) for document in read_documents(["books"]))
    """
    return Corpus(paths, unit, text_column, note, encoding).documents()


class Corpus:
    """Text in files and folders: CSV, TSV, JSONL and Parquet by their names, else plain text; also as .gz or .zst.

    Args:
        paths: files and folders; "-" is plain text from stdin.
        unit: what is a document. "file": a whole file. "row": a row of a table, a line of plain text. "blank-line":
            lines, or rows of a table, up to the next blank one. "auto": rows of tables, whole files of plain text.
        text_column: of tables; "text" unless given.
        note: called with a line on what is passed over.
        encoding: of plain text, CSV and JSONL; UTF-8 unless given.

    Raises:
        UsageError: when a path or the unit is not there.
        DataError: when there is no file.
        MissingExtraError: for a .zst file without pyarrow.

    Example:
        >>> corpus = Corpus(["books"], unit="blank-line")
        >>> longest = max(len(document.text) for document in corpus.documents())
        >>> corpus.summary.documents
        7412
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        unit: str = "auto",
        text_column: str | None = None,
        note: Note = silent,
        encoding: str | None = None,
    ) -> None:
        if unit not in UNITS:
            near = get_close_matches(unit, UNITS, n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise UsageError(f"the unit is {unit!r}. {hint}A document can be {', '.join(UNITS)}")
        self.files = list_files(paths, note)
        check_extras(self.files)
        self._named = {Path(path) for path in paths}
        self._unit, self._column, self._encoding, self._note = unit, text_column or "text", encoding, note
        self._sizes = [size_of(file) for file in self.files]
        self._tally = _Tally()
        self._done = 0
        self._here: Callable[[], int] = int

    @property
    def size(self) -> int:
        """Bytes of all files as they are on the disk; stdin has none."""
        return sum(self._sizes)

    @property
    def position(self) -> int:
        """About how many of those bytes have been read."""
        return self._done + self._here()

    @property
    def summary(self) -> CorpusSummary:
        """What the last reading has found so far."""
        return self._tally.summary()

    def documents(self) -> Iterator[Document]:
        """The documents, in order; each call reads them anew.

        Raises:
            UsageError: when a file that was named, not found in a folder, has no such column.
            DataError: at the end, when there was no document.
            MissingExtraError: for Parquet without pyarrow.
        """
        self._tally, self._done = _Tally(), 0
        for file, size in zip(self.files, self._sizes, strict=True):
            yield from self._of_file(file)
            self._done += size
        self._tally.refuse_nothing(len(self.files))

    def _of_file(self, file: Path) -> Iterator[Document]:
        """The documents of a file, as far as it can be read."""
        skipped = _Skipped()
        before = self._tally.documents
        try:
            with open_unpacked(file) as (raw, stream):
                for place, text in self._texts(file, raw, stream, skipped):
                    if text and not text.isspace():
                        source = input_name(file) if place is None else f"{input_name(file)}:{place}"
                        yield self._tally.add(Document(source, text))
        except (DataError, UsageError) as error:
            if isinstance(error, UsageError) and file in self._named:
                raise
            self._note(f"{error} (left out{'' if before == self._tally.documents else ' from there on'})")
            self._tally.skip(error)
        finally:
            self._here = int
        if skipped.count:
            self._note(f"{input_name(file)}: {skipped.count:,} left out; the first: {skipped.first}")
        self._tally.rows += skipped.count
        self._tally.files += self._tally.documents > before

    def _texts(self, file: Path, raw: BinaryIO, stream: BinaryIO, skipped: _Skipped) -> Iterator[Placed]:
        kind = kind_of(file)
        self._here = raw.tell if size_of(file) else int
        if kind == TEXT:
            return self._of_plain_text(TextSource(stream, input_name(file), self._encoding), skipped)
        return self._of_table(file, kind, stream, skipped)

    def _of_plain_text(self, source: TextSource, skipped: _Skipped) -> Iterator[Placed]:
        if self._unit in ("auto", "file"):
            for text in _joined(iter(lambda: source.read(_CHUNK), "")):
                if _problem(text, source) is not None:
                    raise DataError(f"{source.name}: {_undecoded(source)}")
                yield None, text
            return
        lines = enumerate(iter(source.readline, ""), 1)
        for place, text in lines if self._unit == "row" else _blocks(lines):
            if _problem(text, source) is None:
                yield place, text.rstrip("\r\n")
            else:
                skipped.add(_undecoded(source))

    def _of_table(self, file: Path, kind: str, stream: BinaryIO, skipped: _Skipped) -> Iterator[Placed]:
        rows = self._rows(file, kind, stream, skipped)
        if self._unit == "file":
            return ((None, text) for text in _joined(f"{text}\n" for _, text in rows))
        if self._unit == "blank-line":
            return _blocks((number, line) for number, text in rows for line in f"{text}\n".splitlines(keepends=True))
        return rows

    def _rows(self, file: Path, kind: str, stream: BinaryIO, skipped: _Skipped) -> Iterator[tuple[int, str]]:
        name, encoding = input_name(file), None if kind == "parquet" else self._encoding
        table = open_table(stream, name, kind, self._column, encoding=encoding, max_bytes=_MAX_ROW)
        count, size = table.count, size_of(file)
        for number, row in enumerate(table.rows(), 1):
            if count is not None:
                share = number / count
                self._here = lambda share=share: int(size * share)  # type: ignore[misc]
            if row.text is None:
                skipped.add(f"row {number:,}: {row.problem}")
            else:
                yield number, row.text
        if table.fault is not None:
            raise DataError(table.fault)


@dataclass
class _Skipped:
    """What is left out of a file."""

    count: int = 0
    first: str = ""

    def add(self, problem: str) -> None:
        self.first = self.first or problem
        self.count += 1


@dataclass
class _Tally:
    """Counts of what was read."""

    documents: int = 0
    bytes: int = 0
    files: int = 0
    skipped: int = 0
    rows: int = 0
    first_problem: Exception | None = None
    content: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=16))

    def add(self, document: Document) -> Document:
        text = document.text.encode("utf-8")
        self.content.update(len(text).to_bytes(8, "big"))  # or two documents would be as one that is both
        self.content.update(text)
        self.documents += 1
        self.bytes += len(text)
        return document

    def skip(self, problem: Exception) -> None:
        self.skipped += 1
        self.first_problem = self.first_problem or problem

    def refuse_nothing(self, files: int) -> None:
        if self.documents:
            return
        if isinstance(self.first_problem, UsageError):
            raise self.first_problem
        what = "1 file holds" if files == 1 else f"{files:,} files hold"
        why = f" (the first problem: {self.first_problem})" if self.first_problem else ""
        raise DataError(f"the corpus is empty: its {what} no text that can be read{why}. Name files with text")

    def summary(self) -> CorpusSummary:
        digest = self.content.hexdigest()
        return CorpusSummary(self.documents, self.bytes, self.files, self.skipped, self.rows, digest)


def _problem(text: str, source: TextSource) -> str | None:
    return text_problem(text, source.encoding.name, _MAX_ROW)


def _undecoded(source: TextSource) -> str:
    """The first byte of a plain text that means nothing."""
    if source.bad_byte is None:
        return f"it is not {source.encoding.name}"
    offset, value = source.bad_byte
    return f"byte 0x{value:02x} at offset {offset:,} is not {source.encoding.name}. Name its encoding: --encoding"


def _joined(parts: Iterable[str]) -> Iterator[str]:
    """Parts as one text, or as several where that would be too long."""
    held: list[str] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        while size > MAX_DOCUMENT:
            whole = "".join(held)
            cut = _cut(whole)
            yield whole[:cut]
            held, size = [whole[cut:]], size - cut
    yield "".join(held)


def _cut(text: str) -> int:
    """The best place in the second half of the longest document."""
    ends = (text.rfind(mark, MAX_DOCUMENT // 2, MAX_DOCUMENT) + len(mark) for mark in _BREAKS)
    return next((end for end in ends if end > MAX_DOCUMENT // 2), MAX_DOCUMENT)


def _blocks(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Lines up to the next blank one, with the number of the first."""
    block: list[str] = []
    first = size = 0
    for number, line in lines:
        if line.isspace() or size > MAX_DOCUMENT:
            if block:
                yield first, "".join(block).rstrip("\r\n")
            block, size = [], 0
        if line.isspace():
            continue
        first = first if block else number
        block.append(line)
        size += len(line)
    if block:
        yield first, "".join(block).rstrip("\r\n")
