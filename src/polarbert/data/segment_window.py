"""The part of a corpus that is in memory at a time, out of which sequences are made and shuffled together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polarbert.data.sentence_pieces import Ids
from polarbert.data.shard_files import damaged, shard_file
from polarbert.data.shards import Shard, Shards


@dataclass(frozen=True, eq=False)
class WindowText:
    """Shards side by side: N pieces, S sentences, R runs. A run is a stretch of one document without a gap.

    Attributes:
        ids: (N,) pieces.
        sentence_starts: (S + 1,) where each sentence starts in `ids`, and N.
        run_starts: (R + 1,) the sentence that each run starts with, and S.
        run_documents: (R,) the numbers of their documents, ascending; a document that lost its middle has two runs.
        own: (R,) False for runs that are there to borrow from alone.
    """

    ids: Ids
    sentence_starts: NDArray[np.int64]
    run_starts: NDArray[np.int64]
    run_documents: NDArray[np.int64]
    own: NDArray[np.bool_]


def read_window(shards: Shards, numbers: Sequence[int], lender: int | None = None) -> WindowText:
    """Read shards into memory, in the order of the corpus.

    Args:
        shards: all of them.
        numbers: those of the window.
        lender: one more to borrow from.

    Raises:
        DataError: when a shard is damaged.
    """
    order = sorted([*numbers] if lender is None else [*numbers, lender])
    parts = [_checked(shards, number) for number in order]
    pieces = np.cumsum([0, *(len(part.ids) for part in parts)])
    sentences = np.cumsum([0, *(len(part.sentence_starts) - 1 for part in parts)])
    starts = [part.sentence_starts[:-1] + at for part, at in zip(parts, pieces, strict=False)]
    runs = [part.document_starts[:-1] + at for part, at in zip(parts, sentences, strict=False)]
    documents = np.concatenate([part.document_numbers for part in parts])
    own = np.concatenate(
        [np.full(len(part.document_numbers), number != lender) for part, number in zip(parts, order, strict=True)]
    )
    first = np.concatenate([_starts_run(parts, order, place, lender) for place in range(len(parts))])
    return WindowText(
        np.concatenate([part.ids for part in parts]),
        np.append(np.concatenate(starts), pieces[-1]),
        np.append(np.concatenate(runs)[first], sentences[-1]),
        documents[first],
        own[first],
    )


def _checked(shards: Shards, number: int) -> Shard:
    """A shard, once it is known that a network has a vector for each of its pieces."""
    shard = shards[number]
    highest = int(np.max(shard.ids))
    if highest >= shards.vocab_size:
        file = shard_file(shards.path, number, "pieces")
        raise damaged(file, f"has the piece {highest:,}, and the vocabulary {shards.vocab_size:,}")
    return shard


def _starts_run(parts: Sequence[Shard], order: Sequence[int], place: int, lender: int | None) -> NDArray[np.bool_]:
    """(D,) False where the first document of a shard goes on from the one beside it."""
    starts = np.ones(len(parts[place].document_numbers), dtype=np.bool_)
    if place and order[place] == order[place - 1] + 1 and lender not in order[place - 1 : place + 1]:
        starts[0] = parts[place].document_numbers[0] != parts[place - 1].document_numbers[-1]
    return starts
