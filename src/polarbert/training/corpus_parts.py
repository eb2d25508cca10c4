"""A corpus divided by documents into what is learned from and what is judged by, in constant memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from polarbert.data.corpus import Document
from polarbert.errors import DataError

_NUMBERS = 2**64
_LEAST = 2  # documents of a part: the false continuations of one come from another


@dataclass(frozen=True)
class CorpusParts:
    """Which documents of a corpus are held out.

    A document is known by a number made from its content, so one that stands in the corpus twice is never in both
    parts, and the division stays as it is when files are renamed or moved.

    Attributes:
        documents: number of documents.
        digest: of their content, in their order.
        last_held_out: documents with a number up to this one are held out.

    Example:
        >>> parts = CorpusParts.of(read_documents(["books"]), share=0.01)
        >>> held_out = parts.dev(read_documents(["books"]))
    """

    documents: int
    digest: str
    last_held_out: int

    @classmethod
    def of(cls, documents: Iterable[Document], share: float | None) -> CorpusParts:
        """Hold out about a share of the documents, two at least.

        Args:
            documents: the corpus; read once.
            share: of the documents, how many are held out; None for none.

        Raises:
            DataError: when some are to be held out of fewer than four different documents.
        """
        whole, count = hashlib.sha256(), 0
        ends: list[int] = []  # the smallest and the largest numbers, so that either part has enough documents
        for document in documents:
            number = number_of(document)
            whole.update(number.to_bytes(8, "big"))
            count += 1
            if number not in ends:
                ends = sorted([*ends, number])
                del ends[_LEAST:-_LEAST]
        if share is None:
            return cls(count, whole.hexdigest(), -1)
        if len(ends) < 2 * _LEAST:
            raise DataError(
                f"the corpus has {len(ends)} different documents; {2 * _LEAST} are needed to learn from some and be "
                'judged by others. Give more text, or say what a document is (unit = "blank-line" under [corpus])'
            )
        cut = min(max(ends[_LEAST - 1], round(share * _NUMBERS)), ends[-_LEAST] - 1)
        return cls(count, whole.hexdigest(), cut)

    def train(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents to learn from."""
        return (document for document in documents if number_of(document) > self.last_held_out)

    def dev(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents held out."""
        return (document for document in documents if number_of(document) <= self.last_held_out)


def number_of(document: Document) -> int:
    """A number from 0 to 2**64 - 1 by which a document is known."""
    return int.from_bytes(hashlib.blake2b(document.text.encode("utf-8"), digest_size=8).digest(), "big")
