"""Sequences for pre-training: two segments of a document, or one of each of two (BERT, section 3.1, task 2).

A document is consumed from its beginning to its end. For each sequence a length and a label are drawn:

- IsNext: the next pieces, up to that length, are the sequence. It is cut in two where a sentence begins, at random
  among those places. The pieces behind it, be it in the middle of a sentence, open the next sequence, so that the limit
  loses nothing.
- NotNext: segment A ends at such a place too, and segment B comes from another document, from the beginning of a
  random sentence on. What stands behind A opens the next sequence.

Where no sentence begins within the length, IsNext cuts the sentence itself in two; NotNext does so too, unless the
sentence ends the document and leaves room for a B. So the label is as it was drawn, but for one case: a single piece
that is left of a document can only be NotNext. Every piece stands exactly once in an A or in a B that follows its A;
pieces borrowed for NotNext are copies.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from polarbert.data.segment_window import WindowText, read_window
from polarbert.data.sentence_pieces import Ids
from polarbert.data.shards import Shards
from polarbert.errors import DataError, TrainingError
from polarbert.text.batches import plan_batches

IS_NEXT, NOT_NEXT = 0, 1
_ORDER, _PAIRS, _BATCHES = 1, 2, 3  # what chance is drawn for; the last word of a seed, so never 0


@dataclass(frozen=True)
class PairSettings:
    """What sequences are made.

    Args:
        length: most pieces of a sequence, [CLS] and [SEP] included.
        next_sentence: make pairs; otherwise single segments, each of consecutive pieces of one document.
        short_share: share of the sequences that are given a random shorter length, of two pieces or more.
        random_share: share of the pairs whose second segment comes from another document.

    Raises:
        TrainingError: when a value is out of range.
    """

    length: int
    next_sentence: bool = True
    short_share: float = 0.1
    random_share: float = 0.5

    def __post_init__(self) -> None:
        if self.room < 2:
            raise TrainingError(f"sequences of {self.length!r} pieces have no room for text; take 5 or more")
        for name in ("short_share", "random_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise TrainingError(f"settings: {name} must be in [0, 1], not {getattr(self, name)!r}")

    @property
    def room(self) -> int:
        """Pieces of text in a full sequence: all but [CLS] and a [SEP] behind each segment."""
        return self.length - (3 if self.next_sentence else 2)


@dataclass(frozen=True, eq=False)
class PairExample:
    """A sequence of T pieces.

    Attributes:
        ids: (T,) [CLS] A [SEP] B [SEP], or [CLS] A [SEP].
        second_at: where B starts; None when there is one segment.
        label: 0 when B follows A in its document (IsNext), 1 when it comes from another; None with one segment.
    """

    ids: NDArray[np.int64]
    second_at: int | None
    label: int | None


@dataclass(frozen=True)
class PairSummary:
    """What the sequences of a window come to.

    Attributes:
        sequences: how many.
        is_next_share: of the pairs, those whose B follows its A; None with one segment.
        mean_length: pieces of a sequence, special ones included.
        used: pieces of the window, each of which stands once in an A or in a B that follows.
        borrowed: pieces copied from other documents.
    """

    sequences: int
    is_next_share: float | None
    mean_length: float
    used: int
    borrowed: int


@dataclass(frozen=True, eq=False)
class Window:
    """The N sequences made of a part of the corpus.

    Attributes:
        ids: the pieces of the part.
        spans: (N, 4) start and end of A, start and end of B in `ids`; B is empty with one segment.
        labels: (N,) 0 or 1, see `PairExample`.
        settings: what was asked.
        special: ids of [CLS] and [SEP].
        batch_tokens: most pieces of a batch.
        seed: of the order.
    """

    ids: Ids
    spans: NDArray[np.int64]
    labels: NDArray[np.int64]
    settings: PairSettings
    special: tuple[int, int]
    batch_tokens: int
    seed: int

    def __len__(self) -> int:
        return len(self.spans)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """(N,) pieces of each sequence, special ones included."""
        segments = self.spans[:, 1] - self.spans[:, 0] + self.spans[:, 3] - self.spans[:, 2]
        return segments + (self.settings.length - self.settings.room)

    @cached_property
    def batches(self) -> list[NDArray[np.int64]]:
        """The numbers of the sequences of each batch: shuffled, of like length, at most `batch_tokens` pieces."""
        plan = plan_batches(self.lengths.tolist(), self.batch_tokens, self.seed)
        return [np.array(batch) for batch in plan]

    def example(self, number: int) -> PairExample:
        """Sequence `number`, from 0."""
        cls_id, sep_id = self.special
        first, end, other, other_end = self.spans[number].tolist()
        ids = np.full(int(self.lengths[number]), sep_id, dtype=np.int64)
        ids[0] = cls_id
        middle = 1 + end - first
        ids[1:middle] = self.ids[first:end]
        if not self.settings.next_sentence:
            return PairExample(ids, None, None)
        ids[middle + 1 : -1] = self.ids[other:other_end]
        return PairExample(ids, middle + 1, int(self.labels[number]))

    def summary(self) -> PairSummary:
        """Counts and shares."""
        sizes = np.diff(self.spans)[:, ::2]  # of A and of B
        borrowed = int(sizes[self.labels == NOT_NEXT, 1].sum())
        share = float((self.labels == IS_NEXT).mean()) if self.settings.next_sentence else None
        return PairSummary(len(self), share, float(self.lengths.mean()), int(sizes.sum()) - borrowed, borrowed)


class PairStream:
    """Sequences of a corpus, window by window, made anew in each pass over it.

    A window is a number of shards, as many as `window_pieces` hold; which, is drawn for each pass. It is all that is in
    memory. What a window gives depends on `seed`, the pass and the number of the window, and on nothing before it.

    Args:
        shards: the corpus.
        settings: what sequences to make.
        cls_id: the id of [CLS].
        sep_id: the id of [SEP].
        batch_tokens: most pieces of a batch.
        seed: of all chance.
        window_pieces: most pieces of a window, but for a single shard that has more.

    Attributes:
        windows_in_epoch: windows in a pass over the corpus.

    Raises:
        DataError: when pairs are wanted of a corpus that is a single document.

    Example:
        >>> stream = PairStream(Shards.open("shards"), PairSettings(128), 101, 102, batch_tokens=8192, seed=1)
        >>> window = stream.window(epoch=0, number=0)
        >>> [window.example(number).label for number in window.batches[0][:4]]
    """

    def __init__(
        self,
        shards: Shards,
        settings: PairSettings,
        cls_id: int,
        sep_id: int,
        batch_tokens: int,
        seed: int,
        window_pieces: int = 2**25,
    ) -> None:
        if settings.next_sentence and shards.documents < 2:
            raise DataError(
                f"{shards.path}: the corpus is a single document, and next sentence prediction needs another one to "
                "take wrong sentences from. Give more documents, say what a document is, or train without it (--no-nsp)"
            )
        self.shards, self.settings = shards, settings
        self._special = cls_id, sep_id
        self._batch_tokens, self._seed = batch_tokens, seed
        in_window = max(1, window_pieces // max(record.pieces for record in shards.records))
        self.windows_in_epoch = -(-len(shards) // in_window)

    def window(self, epoch: int, number: int) -> Window:
        """Make the sequences of a window.

        Args:
            epoch: pass over the corpus, from 0.
            number: of the window in that pass, below `windows_in_epoch`.

        Raises:
            DataError: when a shard is damaged.
        """
        if not 0 <= number < self.windows_in_epoch:
            raise ValueError(f"there is no window {number}; a pass has {self.windows_in_epoch}")
        order = self._chance(epoch, 0, _ORDER).permutation(len(self.shards))
        members = np.array_split(order, self.windows_in_epoch)[number].tolist()
        text = read_window(self.shards, members, self._lender(order.tolist(), members))
        rows = _make_rows(text, self.settings, self._chance(epoch, number, _PAIRS))
        seed = int(self._chance(epoch, number, _BATCHES).integers(2**62))
        return Window(text.ids, rows[:, :4], rows[:, 4], self.settings, self._special, self._batch_tokens, seed)

    def _chance(self, epoch: int, number: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, epoch, number, purpose])

    def _lender(self, order: list[int], members: list[int]) -> int | None:
        """A shard with another document, for a window that is all of one; None where none is needed."""
        records = self.shards.records
        documents = {end for one in members for end in (records[one].first_document, records[one].last_document)}
        if not self.settings.next_sentence or len(documents) > 1:
            return None
        others = (one for one in order if {records[one].first_document, records[one].last_document} != documents)
        return next(others)


def _make_rows(text: WindowText, settings: PairSettings, random: np.random.Generator) -> NDArray[np.int64]:
    """(N, 5) start and end of A, start and end of B, label."""
    maker = _Maker(text, settings, random)
    for run in np.flatnonzero(text.own).tolist():
        if settings.next_sentence:
            maker.add_pairs(run)
        else:
            maker.add_segments(run)
    return np.array(maker.rows, dtype=np.int64).reshape(-1, 5)


class _Maker:
    """Makes sequences of one run of text after another; `rows` has five numbers of each. Plain numbers, for speed."""

    def __init__(self, text: WindowText, settings: PairSettings, random: np.random.Generator) -> None:
        self.rows: list[int] = []
        self._starts: list[int] = text.sentence_starts.tolist()
        self._runs: list[int] = text.run_starts.tolist()
        self._documents = text.run_documents
        self._room = settings.room
        self._short_share, self._random_share = settings.short_share, settings.random_share
        self._chance = _uniform(random).__next__

    def add_segments(self, run: int) -> None:
        """One segment each."""
        at, end = self._starts[self._runs[run]], self._starts[self._runs[run + 1]]
        while at < end:
            stop = min(at + self._target(), end)
            self.rows += (at, stop, 0, 0, IS_NEXT)
            at = stop

    def add_pairs(self, run: int) -> None:
        """Two segments each."""
        at, end = self._starts[self._runs[run]], self._starts[self._runs[run + 1]]
        own = self._sentences_of(run)
        while at < end:
            target = self._target()
            stop = min(at + target, end)
            cut, follows = self._cut(at, stop, run, has_room=stop - at < target)
            if follows:
                self.rows += (at, cut, cut, stop, IS_NEXT)
                at = stop
            else:
                self.rows += (at, cut, *self._borrow(target - (cut - at), *own), NOT_NEXT)
                at = cut

    def _target(self) -> int:
        """Pieces of text in the next sequence."""
        if self._chance() < self._short_share:
            return 2 + int(self._chance() * (self._room - 1))
        return self._room

    def _cut(self, at: int, stop: int, run: int, has_room: bool) -> tuple[int, bool]:
        """Where A ends, and whether B is what follows."""
        follows = self._chance() >= self._random_share
        low = bisect_right(self._starts, at, self._runs[run], self._runs[run + 1])
        high = bisect_left(self._starts, stop, low, self._runs[run + 1])
        if low < high:
            return self._starts[low + int(self._chance() * (high - low))], follows
        if stop - at == 1:
            return stop, False
        if follows or not has_room:
            return at + 1 + int(self._chance() * (stop - at - 1)), follows
        return stop, follows

    def _sentences_of(self, run: int) -> tuple[int, int]:
        """The sentences of the document that a run is of, with all its other runs."""
        document = self._documents[run]
        first, last = (int(np.searchsorted(self._documents, document, side=side)) for side in ("left", "right"))
        return self._runs[first], self._runs[last]

    def _borrow(self, most: int, first: int, last: int) -> tuple[int, int]:
        """At most so many pieces from the start of a random sentence outside [first, last), all of one document."""
        sentence = int(self._chance() * (len(self._starts) - 1 - (last - first)))
        if sentence >= first:
            sentence += last - first
        start = self._starts[sentence]
        end = self._starts[self._runs[bisect_right(self._runs, sentence)]]
        return start, min(start + most, end)


def _uniform(random: np.random.Generator) -> Iterator[float]:
    """Numbers in [0, 1), drawn many at a time."""
    while True:
        yield from random.random(2**14).tolist()
