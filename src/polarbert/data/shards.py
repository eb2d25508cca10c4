"""A corpus as word pieces in files that are mapped into memory: tokenised once, read as often as one likes.

A folder holds numbered shards (see `polarbert.data.shard_files`) and, once all are written, shards.json: what they were
made of, how many pieces, sentences and documents there are, and digests.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile
from pathlib import Path
from typing import Any, Self, overload

from polarbert.data.corpus import Document
from polarbert.data.corpus_files import silent
from polarbert.data.passages import cut_passages
from polarbert.data.sentence_pieces import Splitter, encode_passages
from polarbert.data.shard_files import Shard, ShardRecord, check_files, content_digest, read_shard
from polarbert.data.shard_writer import MAX_BYTES, STATE, ShardWriter, refuse_other
from polarbert.errors import DataError, UsageError
from polarbert.files import disk_errors, locked_folder, read_bounded, write_whole
from polarbert.text import WordPieceTokenizer

__all__ = ["Shard", "Shards", "write_shards"]

FORMAT = 1
INDEX = "shards.json"
LONGEST_SENTENCE = 2**13  # pieces; a longer one is a table or a text without full stops, and is cut
_AGAIN = "delete the folder and tokenise the corpus again"
_NOTE_SECONDS = 10.0

Progress = Callable[[int, int], None]
Note = Callable[[str], None]


@dataclass(frozen=True)
class Shards(Sequence[Shard]):
    """A tokenised corpus: a sequence of shards, each mapped into memory when it is asked for.

    Attributes:
        path: the folder.
        records: what is known of each shard.
        vocab_size: every piece is below it.
        fingerprint: what the shards were made of.
        digest: changes with the pieces, with the boundaries of sentences and documents, and with those of shards.

    Example:
        >>> shards = Shards.open("run/shards")
        >>> shards[0].ids[: shards[0].sentence_starts[1]]  # the first sentence
    """

    path: Path
    records: tuple[ShardRecord, ...]
    vocab_size: int
    fingerprint: Mapping[str, Any] = field(repr=False)
    digest: str

    @classmethod
    def open(cls, folder: str | Path, fingerprint: Mapping[str, Any] | None = None) -> Self:
        """Open a finished folder. The sizes of its files are checked; `verify` reads them too.

        Args:
            folder: where `write_shards` wrote.
            fingerprint: what the shards must have been made of; None for anything.

        Raises:
            DataError: when there are no shards, not all of them, damaged ones, or ones made of something else.
        """
        path = Path(folder)
        index = _read_index(path)
        try:
            shards = cls(
                path,
                tuple(ShardRecord.from_dict(values) for values in index["shards"]),
                int(index["vocab_size"]),
                dict(index["fingerprint"]),
                str(index["digest"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path / INDEX}: damaged ({error}); {_AGAIN}") from error
        if _digest(shards.records, shards.vocab_size) != shards.digest or not shards.records:
            raise DataError(f"{path / INDEX}: damaged (its own digest does not fit); {_AGAIN}")
        refuse_other(path / INDEX, shards.fingerprint, _as_json(fingerprint or {}))
        for number, record in enumerate(shards.records):
            check_files(path, number, record)
        return shards

    @property
    def pieces(self) -> int:
        """Word pieces in all."""
        return sum(record.pieces for record in self.records)

    @property
    def sentences(self) -> int:
        """Sentences in all."""
        return sum(record.sentences for record in self.records)

    @property
    def documents(self) -> int:
        """Documents that have pieces; one that goes on from shard to shard counts once."""
        before = [-1, *(record.last_document for record in self.records)]
        goes_on = sum(record.first_document == last for record, last in zip(self.records, before, strict=False))
        return sum(record.documents for record in self.records) - goes_on

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, number: int) -> Shard: ...

    @overload
    def __getitem__(self, number: slice) -> list[Shard]: ...

    def __getitem__(self, number: int | slice) -> Shard | list[Shard]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        number = range(len(self))[number]
        return read_shard(self.path, number, self.records[number])

    def verify(self) -> None:
        """Read every byte and compare it with what was written.

        Raises:
            DataError: naming the shard that has changed.
        """
        for number, (shard, record) in enumerate(zip(self, self.records, strict=True)):
            if content_digest(shard) != record.sha256:
                raise DataError(f"{self.path / f'{number:05}'}: its content has changed since it was written; {_AGAIN}")


def write_shards(
    documents: Iterable[Document],
    tokenizer: WordPieceTokenizer,
    folder: str | Path,
    split: Splitter,
    fingerprint: Mapping[str, Any],
    shard_pieces: int = 2**22,
    on_progress: Progress | None = None,
    note: Note = silent,
) -> Shards:
    """Tokenise a corpus once, in bounded memory.

    Sentences have the pieces that the tokenizer gives each alone, without [CLS] and [SEP]. A sentence stands whole in
    one shard, unless it has more than 8,192 pieces; a document may go on in the next one.

    What was killed goes on behind the last whole shard when it is called again with the same fingerprint: the documents
    are read again, and not tokenised. The files are the same, byte for byte, as if it had never stopped. Where all
    is done, nothing is read.

    Args:
        documents: the corpus; the same documents in the same order whenever the fingerprint is the same.
        tokenizer: for the pieces.
        folder: where the shards go; made when missing.
        split: gives the sentences of a text. It sees a long document in passages of at most 65,536 characters.
        fingerprint: what the documents and the splitter are, as JSON can hold it; the tokenizer is added to it.
        shard_pieces: most pieces of a shard; two or four bytes each.
        on_progress: called now and then with the documents and the pieces done.
        note: called with a line where an earlier run left shards, and every ten seconds.

    Raises:
        UsageError: when `shard_pieces` is below 1.
        DataError: when the corpus has no word, the folder holds shards of something else or damaged ones, another run
            writes there, or the disk is full.

    Example:
        >>> write_shards(documents, tokenizer, "shards", SPLITTERS["punctuation"], {"corpus": digest}).pieces
    """
    if shard_pieces < 1:
        raise UsageError(f"shard_pieces must be 1 or more, not {shard_pieces!r}")
    path = Path(folder)
    with disk_errors(str(path), "Name a folder in a place that can be written"):
        path.mkdir(parents=True, exist_ok=True)
    with locked_folder(path) as ours:
        if not ours:
            raise DataError(f"{path}: another run is writing shards there; wait for it or name another folder")
        identity = _identity(fingerprint, tokenizer, shard_pieces)
        if not (path / INDEX).is_file():
            writer = ShardWriter(path, identity, shard_pieces)
            progress = _Progress(writer, on_progress, note)
            _write(documents, tokenizer, writer, split, min(LONGEST_SENTENCE, shard_pieces), progress)
            _finish(writer, max(tokenizer.backend.get_vocab().values()) + 1, identity)
        (path / STATE).unlink(missing_ok=True)
        return Shards.open(path, identity)


def _write(
    documents: Iterable[Document],
    tokenizer: WordPieceTokenizer,
    writer: ShardWriter,
    split: Splitter,
    longest: int,
    progress: _Progress,
) -> None:
    first = writer.next
    passages = dropwhile(lambda passage: passage.number < first.passage, cut_passages(documents))
    for block in encode_passages(passages, tokenizer, split, longest):
        writer.add(block.after(first.passage, first.sentence))
        progress.update(block.through + 1, writer.pieces)
    writer.finish()


def _finish(writer: ShardWriter, vocab_size: int, identity: Mapping[str, Any]) -> None:
    if not writer.records:
        raise DataError(f"{writer.folder}: the corpus has no word, so there are no shards. Name files with text")
    index = {
        "format": FORMAT,
        "vocab_size": vocab_size,
        "fingerprint": identity,
        "digest": _digest(writer.records, vocab_size),
        "shards": [record.to_dict() for record in writer.records],
    }
    with disk_errors(str(writer.folder / INDEX), "All shards are kept; make room and run the same command again"):
        write_whole(writer.folder / INDEX, (json.dumps(index, indent=1) + "\n").encode("utf-8"))


class _Progress:
    """Tells how far the work is."""

    def __init__(self, writer: ShardWriter, call: Progress | None, note: Note) -> None:
        self._call, self._note = call, note
        self._before = writer.pieces
        self._started = self._said = time.monotonic()
        if writer.records:
            note(f"{len(writer.records):,} shards with {writer.pieces:,} pieces are there; going on behind them")

    def update(self, documents: int, pieces: int) -> None:
        if self._call is not None:
            self._call(documents, pieces)
        now = time.monotonic()
        if now - self._said >= _NOTE_SECONDS:
            self._said = now
            speed = (pieces - self._before) / (now - self._started)
            self._note(f"{documents:,} documents, {pieces:,} pieces tokenised; {speed:,.0f} pieces/s")


def _identity(fingerprint: Mapping[str, Any], tokenizer: WordPieceTokenizer, shard_pieces: int) -> dict[str, Any]:
    """All that the bytes of the shards depend on."""
    definition = tokenizer.backend.to_str().encode("utf-8")
    own = {"tokenizer": hashlib.sha256(definition).hexdigest(), "shard_pieces": shard_pieces, "format": FORMAT}
    return own | _as_json(fingerprint)


def _as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they come back from a file: tuples are lists there."""
    return dict(json.loads(json.dumps(dict(values))))


def _digest(records: Sequence[ShardRecord], vocab_size: int) -> str:
    content = [vocab_size, *(record.to_dict() for record in records)]
    return hashlib.sha256(json.dumps(content).encode("utf-8")).hexdigest()


def _read_index(folder: Path) -> dict[str, Any]:
    if (folder / STATE).is_file() and not (folder / INDEX).is_file():
        raise DataError(f"{folder}: the corpus is tokenised in part only; run the command that began it again")
    if not (folder / INDEX).is_file():
        raise DataError(f"{folder}: holds no tokenised corpus (no {INDEX}); name a folder that does")
    try:
        index = dict(json.loads(read_bounded(folder / INDEX, MAX_BYTES, DataError)))
        known = index["format"] == FORMAT
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{folder / INDEX}: damaged ({error}); {_AGAIN}") from error
    if not known:
        raise DataError(f"{folder / INDEX}: of format {index['format']!r}, which this Polarbert cannot read; {_AGAIN}")
    return index
