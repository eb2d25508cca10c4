"""Whatever the corpus: every piece once as A or true B, no negative from its own document, no sequence too long.

Every piece of a corpus is another word here, so that a sequence tells by itself where each piece comes from.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.shard_fixtures import CLS, FIRST, SEP, shards_of

from polarbert.data.segment_pairs import IS_NEXT, PairExample, PairSettings, PairStream

Shape = Sequence[Sequence[int]]
SENTENCES = st.integers(1, 6) | st.integers(1, 40)
DOCUMENTS = st.lists(st.lists(SENTENCES, min_size=1, max_size=6), min_size=2, max_size=5)
MOST = 40 * 6 * 5  # pieces in all
NO_WAITING = mock.patch("os.fsync")  # for the disk, a hundred times over


@dataclass(frozen=True)
class Corpus:
    """By brute force, where each piece is from."""

    shape: Shape

    @property
    def pieces(self) -> list[int]:
        return [*range(FIRST, FIRST + sum(map(sum, self.shape)))]

    @cached_property
    def ends(self) -> list[int]:
        return [*accumulate(map(sum, self.shape))]

    @cached_property
    def starts(self) -> frozenset[int]:
        return frozenset(accumulate(chain.from_iterable(self.shape), initial=FIRST))

    def document(self, piece: int) -> int:
        return bisect_right(self.ends, piece - FIRST)

    def is_start(self, piece: int) -> bool:
        return piece in self.starts


@dataclass(frozen=True)
class Asked:
    """A way to make sequences."""

    pairs: PairSettings
    shard_pieces: int
    window_pieces: int
    seed: int


@st.composite
def ways(draw: st.DrawFn, next_sentence: bool) -> Asked:
    shares = st.sampled_from([0.0, 0.1, 0.5, 1.0])
    pairs = PairSettings(draw(st.integers(5, 60)), next_sentence, draw(shares), draw(shares))
    return Asked(pairs, draw(st.integers(30, 300)), draw(st.integers(1, 600)), draw(st.integers(0, 2**32)))


def made(shape: Shape, asked: Asked, epoch: int) -> list[PairExample]:
    """The sequences of an epoch."""
    with tempfile.TemporaryDirectory() as room, NO_WAITING:
        shards = shards_of(shape, Path(room), asked.shard_pieces, words=MOST)
        stream = PairStream(shards, asked.pairs, CLS, SEP, 100, asked.seed, asked.window_pieces)
        found = []
        for number in range(stream.windows_in_epoch):
            window = stream.window(epoch, number)
            batches = [batch.tolist() for batch in window.batches]
            assert sorted(chain.from_iterable(batches)) == [*range(len(window))]
            assert all(len(batch) == 1 or window.lengths[batch].sum() <= 100 for batch in batches)
            found += [window.example(place) for place in range(len(window))]
            assert window.lengths.tolist() == [len(example.ids) for example in found[len(found) - len(window) :]]
        return found


def parts(example: PairExample) -> tuple[list[int], list[int]]:
    """A and B, once the frame around them is as it must be."""
    assert example.second_at is not None
    frame = [0, example.second_at - 1, -1]
    assert example.ids[frame].tolist() == [CLS, SEP, SEP]
    first, second = example.ids[1 : example.second_at - 1].tolist(), example.ids[example.second_at : -1].tolist()
    assert first
    assert second
    return first, second


def is_stretch(corpus: Corpus, pieces: list[int]) -> bool:
    """Whether these pieces stand one after another in one document."""
    return pieces == [*range(pieces[0], pieces[-1] + 1)] and corpus.document(pieces[0]) == corpus.document(pieces[-1])


@settings(max_examples=70)
@given(DOCUMENTS, ways(next_sentence=True), st.integers(0, 3))
def test_pairs(shape: Shape, asked: Asked, epoch: int) -> None:
    corpus = Corpus(shape)
    used: list[int] = []
    for example in made(shape, asked, epoch):
        first, second = parts(example)
        assert len(example.ids) <= asked.pairs.length
        assert is_stretch(corpus, first)
        assert is_stretch(corpus, second)
        if example.label == IS_NEXT:
            assert is_stretch(corpus, first + second)
            used += first + second
        else:
            assert corpus.document(first[0]) != corpus.document(second[0])
            used += first
    assert sorted(used) == corpus.pieces


@settings(max_examples=40)
@given(DOCUMENTS, ways(next_sentence=False), st.integers(0, 3))
def test_single_segments(shape: Shape, asked: Asked, epoch: int) -> None:
    corpus = Corpus(shape)
    used: list[int] = []
    for example in made(shape, asked, epoch):
        assert (example.second_at, example.label) == (None, None)
        assert example.ids[[0, -1]].tolist() == [CLS, SEP]
        assert is_stretch(corpus, example.ids[1:-1].tolist())
        assert len(example.ids) <= asked.pairs.length
        used += example.ids[1:-1].tolist()
    assert sorted(used) == corpus.pieces


@settings(max_examples=40)
@given(DOCUMENTS, ways(next_sentence=True))
def test_segments_meet_where_sentences_begin(shape: Shape, asked: Asked) -> None:
    """A random B begins a sentence. A ends one, unless none ends in it and room for B would be left, or none at all."""
    corpus = Corpus(shape)
    asked = Asked(PairSettings(asked.pairs.length, short_share=0.0), 5000, 5000, asked.seed)
    for example in made(shape, asked, 0):
        first, second = parts(example)
        room = asked.pairs.room if example.label != IS_NEXT else len(first) + len(second)
        inside = range(first[0] + 1, min(first[0] + room, corpus.pieces[-1] + 1))
        same = [piece for piece in inside if corpus.document(piece) == corpus.document(first[0])]
        assert corpus.is_start(second[0]) or example.label == IS_NEXT
        if any(corpus.is_start(piece) for piece in same):
            assert corpus.is_start(first[-1] + 1)
