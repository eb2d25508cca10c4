"""A shard on the disk: three arrays in NumPy's own format, each written whole or not at all.

NNNNN.pieces.npy      (N,) uint16 or uint32, little-endian: the pieces of whole sentences
NNNNN.sentences.npy   (S + 1,) int64: where each sentence starts in the pieces, and where the last one ends
NNNNN.documents.npy   (2, D) int64: the sentence that each document starts with, and the number of the document
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from polarbert.data.sentence_pieces import Ids
from polarbert.errors import DataError
from polarbert.files import reason, replacing

PARTS = ("pieces", "sentences", "documents")


@dataclass(frozen=True, eq=False)
class Shard:
    """A part of a tokenised corpus: N pieces, S sentences, D documents.

    Attributes:
        ids: (N,) pieces, without [CLS] and [SEP]; on the disk until they are looked at.
        sentence_starts: (S + 1,) where each sentence starts in `ids`, and N.
        document_starts: (D + 1,) the sentence that each document starts with, and S.
        document_numbers: (D,) their numbers, ascending. A document that goes on in the next shard has its number there
            too.
    """

    ids: Ids
    sentence_starts: NDArray[np.int64]
    document_starts: NDArray[np.int64]
    document_numbers: NDArray[np.int64]


@dataclass(frozen=True)
class ShardRecord:
    """What is known of a shard without opening it.

    Attributes:
        pieces: how many.
        sentences: how many.
        documents: how many are in it, wholly or in part.
        first_document: the lowest number among them.
        last_document: the highest.
        sizes: bytes of each file.
        sha256: of the arrays.
    """

    pieces: int
    sentences: int
    documents: int
    first_document: int
    last_document: int
    sizes: tuple[int, int, int]
    sha256: str

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave.

        Raises:
            TypeError: when a value is missing or of another type, or there is one too many.
            ValueError: when a value cannot be.
        """
        record = cls(**{**values, "sizes": tuple(values.get("sizes", ()))})
        counts = (record.pieces, record.sentences, record.documents, record.first_document, record.last_document)
        if not all(type(count) is int for count in (*counts, *record.sizes)) or not isinstance(record.sha256, str):
            raise TypeError("a count is no whole number")
        if len(record.sizes) != len(PARTS) or min(*counts, *record.sizes) < 0 or record.pieces < record.sentences:
            raise ValueError("the counts do not fit together")
        return record

    def to_dict(self) -> dict[str, Any]:
        """All values, as JSON has them."""
        return asdict(self) | {"sizes": list(self.sizes)}


def shard_file(folder: Path, number: int, part: str) -> Path:
    """Where an array of a shard lies."""
    return folder / f"{number:05}.{part}.npy"


def write_shard(folder: Path, number: int, shard: Shard) -> ShardRecord:
    """Write a shard; when this returns, it is on the disk.

    Raises:
        OSError: when the disk does not take it; nothing of the array at hand stays.
    """
    documents = np.stack([shard.document_starts[:-1], shard.document_numbers])
    arrays = (shard.ids, shard.sentence_starts, documents.astype("<i8"))
    sizes = []
    for part, array in zip(PARTS, arrays, strict=True):
        file = shard_file(folder, number, part)
        with replacing(file) as temporary, temporary.open("wb") as out:
            np.save(out, array, allow_pickle=False)
        sizes.append(file.stat().st_size)
    counts = (len(shard.ids), len(shard.sentence_starts) - 1, len(shard.document_numbers))
    ends = (int(shard.document_numbers[0]), int(shard.document_numbers[-1]))
    return ShardRecord(*counts, *ends, (sizes[0], sizes[1], sizes[2]), content_digest(shard))


def check_files(folder: Path, number: int, record: ShardRecord) -> None:
    """Refuse a shard whose files are missing or have other sizes than when they were written.

    Raises:
        DataError: naming the file.
    """
    for part, size in zip(PARTS, record.sizes, strict=True):
        file = shard_file(folder, number, part)
        try:
            found = file.stat().st_size
        except OSError as error:
            raise damaged(file, reason(error)) from error
        if found != size:
            raise damaged(file, f"has {found:,} bytes instead of {size:,}")


def read_shard(folder: Path, number: int, record: ShardRecord) -> Shard:
    """Map a shard into memory.

    Raises:
        DataError: when a file is damaged or does not fit its record.
    """
    ids = _map(shard_file(folder, number, "pieces"), (record.pieces,), "<u2", "<u4")
    starts = np.array(_map(shard_file(folder, number, "sentences"), (record.sentences + 1,), "<i8"))
    file = shard_file(folder, number, "documents")
    documents, numbers = np.array(_map(file, (2, record.documents), "<i8"))
    shard = Shard(ids, starts, np.append(documents, record.sentences), numbers)
    if not _rise(starts, record.pieces):
        raise damaged(shard_file(folder, number, "sentences"), "names places that cannot be")
    ends = [record.first_document, record.last_document]
    ascending = (np.diff(numbers) > 0).all() and numbers[[0, -1]].tolist() == ends
    if not _rise(shard.document_starts, record.sentences) or not ascending:
        raise damaged(file, "names places that cannot be")
    return shard


def content_digest(shard: Shard) -> str:
    """The SHA-256 of the arrays of a shard."""
    digest = hashlib.sha256()
    for array in (shard.ids, shard.sentence_starts, shard.document_starts, shard.document_numbers):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _map(file: Path, shape: tuple[int, ...], *kinds: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # of a damaged header NumPy raises what the tokenizer and the parser of Python do
        raise damaged(file, " ".join(str(error).split())[:200]) from error
    if array.shape != shape or array.dtype not in [np.dtype(kind) for kind in kinds]:
        raise damaged(file, f"holds {array.shape} of {array.dtype} instead of {shape} of {kinds[0]}")
    return array


def _rise(starts: NDArray[np.int64], end: int) -> bool:
    """Whether places rise from 0 to `end`, none twice."""
    return bool(starts[0] == 0 and starts[-1] == end and (np.diff(starts) > 0).all())


def damaged(file: Path, problem: str) -> DataError:
    """What to raise when a file of a shard is not as it was written."""
    return DataError(f"{file}: damaged: {problem}. Delete the folder {file.parent} and tokenise the corpus again")
