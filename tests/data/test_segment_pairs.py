"""Segment pairs: their shares, their limits, chance that repeats, and windows that hold a single document."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.shard_fixtures import CLS, FIRST, SEP, shards_of

from polarbert.data.segment_pairs import IS_NEXT, NOT_NEXT, PairExample, PairSettings, PairStream, Window
from polarbert.data.shards import Shards
from polarbert.errors import DataError, TrainingError

BUDGET = 2000


def sigma(share: float, draws: int) -> float:
    """The standard deviation of the share of hits among independent draws."""
    return float(np.sqrt(share * (1 - share) / draws))


def prose(documents: int, seed: int) -> list[list[int]]:
    """Documents of 1 to 60 sentences of 1 to 40 pieces."""
    random = np.random.default_rng(seed)
    return [random.integers(1, 41, random.integers(1, 61)).tolist() for _ in range(documents)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    """About 120,000 pieces."""
    return shards_of(prose(200, 1), tmp_path_factory.mktemp("corpus"))


def stream_of(shards: Shards, settings: PairSettings, seed: int = 1, window_pieces: int = 2**25) -> PairStream:
    return PairStream(shards, settings, CLS, SEP, BUDGET, seed, window_pieces)


def windows(stream: PairStream, epoch: int = 0) -> Iterator[Window]:
    return (stream.window(epoch, number) for number in range(stream.windows_in_epoch))


def examples(window: Window) -> list[PairExample]:
    return [window.example(number) for number in range(len(window))]


def same(one: Window, other: Window) -> bool:
    """The same sequences in the same batches."""
    batches = [[one.example(n).ids.tolist() for n in batch] for batch in one.batches]
    return batches == [[other.example(n).ids.tolist() for n in batch] for batch in other.batches]


# --- shares ---


@pytest.mark.parametrize("random_share", [0.5, 0.2])
@pytest.mark.parametrize("length", [16, 128])
def test_as_many_pairs_are_random_as_asked(corpus: Shards, length: int, random_share: float) -> None:
    """Each label is drawn alone, so 4 sigma of the binomial; only single pieces at a document's end have no choice."""
    settings = PairSettings(length, random_share=random_share)
    (window,) = windows(stream_of(corpus, settings))
    single = np.count_nonzero(window.spans[:, 1] - window.spans[:, 0] == 1)
    share = window.summary().is_next_share
    assert share == pytest.approx(1 - random_share, abs=4 * sigma(random_share, len(window)) + single / len(window) / 2)
    assert share == np.mean([example.label == IS_NEXT for example in examples(window)])


def test_documents_of_one_sentence_are_balanced_too(tmp_path: Path) -> None:
    shards = shards_of([[length] for length in range(2, 60)] * 30, tmp_path)
    (window,) = windows(stream_of(shards, PairSettings(64)))
    assert np.mean(window.labels == IS_NEXT) == pytest.approx(0.5, abs=4 * sigma(0.5, len(window)))


def test_a_single_piece_is_never_said_to_go_on(tmp_path: Path) -> None:
    shards = shards_of([[1]] * 20, tmp_path)
    (window,) = windows(stream_of(shards, PairSettings(16)))
    assert window.labels.tolist() == [NOT_NEXT] * 20


@pytest.mark.parametrize("next_sentence", [True, False])
def test_one_sequence_in_ten_is_of_random_length(tmp_path: Path, next_sentence: bool) -> None:
    """Documents so long that their ends do not count: all but the short ones are full. 4 sigma of the binomial."""
    shards = shards_of([[20] * 3000] * 3, tmp_path)
    settings = PairSettings(66, next_sentence, random_share=0.0)
    (window,) = windows(stream_of(shards, settings))
    lengths = window.lengths[window.lengths < 66]
    ends = 3
    share = 0.1 * (1 - 1 / (settings.room - 1))  # a random length may be the full one
    assert len(lengths) / len(window) == pytest.approx(share, abs=4 * sigma(share, len(window)) + ends / len(window))
    text = lengths - (66 - settings.room)
    assert {text.min(), text.max()} <= set(range(1, settings.room))
    middle, spread = (1 + settings.room) / 2, settings.room / np.sqrt(12)
    assert text.mean() == pytest.approx(middle, abs=4 * spread / np.sqrt(len(text)) + 1)


def test_random_segments_come_evenly_from_the_sentences_of_other_documents(tmp_path: Path) -> None:
    """30 sentences to borrow; chi-squared within 4 sigma of its mean."""
    shape = [[3] * 4000, [2] * 10, [4] * 20]
    shards = shards_of(shape, tmp_path)
    (window,) = windows(stream_of(shards, PairSettings(24, random_share=1.0)))
    from_first = window.spans[:, 0] < 12_000
    starts = window.spans[from_first, 2] - 12_000
    sentences = [*range(0, 20, 2), *range(20, 100, 4)]
    assert set(starts.tolist()) == set(sentences)
    counts = np.unique(starts, return_counts=True)[1]
    expected = counts.sum() / 30
    assert abs(float(((counts - expected) ** 2 / expected).sum()) - 29) < 4 * np.sqrt(2 * 29)


def test_segment_a_ends_at_any_sentence_of_the_sequence(tmp_path: Path) -> None:
    """Sentences of five, fifteen pieces of room: two places to cut, as likely for either label; 4 sigma."""
    shards = shards_of([[5] * 3000] * 2, tmp_path)
    (window,) = windows(stream_of(shards, PairSettings(18, short_share=0.0)))
    for label in (IS_NEXT, NOT_NEXT):
        sizes = np.diff(window.spans)[window.labels == label, 0]
        assert set(sizes[:-4].tolist()) <= {5, 10, 15}
        assert np.mean(sizes == 5) == pytest.approx(0.5, abs=4 * sigma(0.5, len(sizes)))


def test_the_summary_counts_what_the_sequences_hold(corpus: Shards) -> None:
    (window,) = windows(stream_of(corpus, PairSettings(64)))
    summary, made = window.summary(), examples(window)
    assert summary.used == corpus.pieces
    assert summary.used + summary.borrowed == sum(len(example.ids) - 3 for example in made)
    assert summary.mean_length == pytest.approx(np.mean([len(example.ids) for example in made]))
    assert summary.sequences == len(made)
    (single,) = windows(stream_of(corpus, PairSettings(64, next_sentence=False)))
    assert single.summary().is_next_share is None
    assert single.summary().borrowed == 0


def test_the_limit_is_used(corpus: Shards) -> None:
    """Without short ones, only what ends a document, or borrows its end, is not full."""
    (window,) = windows(stream_of(corpus, PairSettings(64, short_share=0.0)))
    follows = window.labels == IS_NEXT
    assert np.mean(window.lengths[follows] == 64) > 0.9
    assert window.summary().mean_length > 58


# --- chance ---


def test_a_window_depends_on_seed_epoch_and_number_alone(corpus: Shards) -> None:
    settings = PairSettings(32)
    stream = stream_of(corpus, settings)
    first = stream.window(0, 0)
    stream.window(3, 0)
    np.random.default_rng(1).random(10)
    assert same(first, stream.window(0, 0))
    assert same(first, stream_of(corpus, settings).window(0, 0))
    assert not same(first, stream.window(1, 0))
    assert not same(first, stream_of(corpus, settings, seed=2).window(0, 0))


def test_another_epoch_makes_other_pairs(corpus: Shards) -> None:
    stream = stream_of(corpus, PairSettings(32))
    made = [{tuple(example.ids.tolist()) for example in examples(stream.window(epoch, 0))} for epoch in (0, 1)]
    assert len(made[0] & made[1]) < 0.1 * len(made[0])


# --- windows ---


def test_windows_share_the_shards_out_anew_in_each_epoch(tmp_path: Path) -> None:
    shards = shards_of([[10] * 20] * 30, tmp_path, shard_pieces=400)  # 15 shards of two documents
    stream = stream_of(shards, PairSettings(32), window_pieces=1300)
    assert stream.windows_in_epoch == 5
    shares = []
    for epoch in range(3):
        parts = [np.sort(window.ids) for window in windows(stream, epoch)]
        assert max(len(part) for part in parts) <= 1300
        assert sorted(chain.from_iterable(part.tolist() for part in parts)) == sorted(
            chain.from_iterable(shard.ids.tolist() for shard in shards)
        )
        shares.append(tuple(tuple(part.tolist()) for part in parts))
    assert len(set(shares)) == 3


def test_a_window_that_is_one_document_borrows_from_outside(tmp_path: Path) -> None:
    shards = shards_of([[3], [10] * 200], tmp_path, shard_pieces=300)
    stream = stream_of(shards, PairSettings(32), window_pieces=300)
    assert stream.windows_in_epoch == len(shards) > 5
    seen = []
    for window in windows(stream):
        for example in examples(window):
            second = example.ids[example.second_at : -1]
            if example.label == NOT_NEXT:
                assert (min(second) < FIRST + 3) != (example.ids[1] < FIRST + 3)
            seen += (
                example.ids[1:-1].tolist() if example.label == IS_NEXT else example.ids[1 : example.second_at].tolist()
            )
    assert sorted(piece for piece in seen if piece != SEP) == [*range(FIRST, FIRST + 2003)]


def test_one_document_alone_cannot_make_pairs(tmp_path: Path) -> None:
    shards = shards_of([[10] * 200], tmp_path, shard_pieces=300)
    with pytest.raises(DataError, match=r"a single document, .* \(--no-nsp\)"):
        stream_of(shards, PairSettings(32))
    single = [*windows(stream_of(shards, PairSettings(32, next_sentence=False)))]
    assert sum(window.summary().used for window in single) == 2000


def test_there_is_no_window_beyond_the_last(corpus: Shards) -> None:
    with pytest.raises(ValueError, match="no window 1; a pass has 1"):
        stream_of(corpus, PairSettings(32)).window(0, 1)


def overwrite_last_piece(shards: Shards, piece: int) -> None:
    file = shards.path / "00000.pieces.npy"
    with file.open("r+b") as opened:
        opened.seek(-2, os.SEEK_END)
        opened.write(piece.to_bytes(2, "little"))


def test_a_piece_outside_the_vocabulary_is_refused(tmp_path: Path) -> None:
    shards = shards_of([[4], [4]], tmp_path)
    overwrite_last_piece(shards, 60_000)
    with pytest.raises(DataError, match=r"00000\.pieces\.npy: damaged: has the piece 60,000, and the vocabulary 4,005"):
        stream_of(shards, PairSettings(32)).window(0, 0)


# --- batches ---


def padded(window: Window, batch: NDArray[np.int64]) -> int:
    return int(window.lengths[batch].max()) * len(batch)


def test_batches_hold_each_sequence_once_within_the_budget(corpus: Shards) -> None:
    (window,) = windows(stream_of(corpus, PairSettings(128)))
    batches = window.batches
    assert sorted(chain.from_iterable(batch.tolist() for batch in batches)) == [*range(len(window))]
    assert max(padded(window, batch) for batch in batches) <= BUDGET
    waste = sum(padded(window, batch) for batch in batches) / window.lengths.sum()
    assert waste < 1.1  # sequences of like length stand together


def test_batches_are_no_stretch_of_the_corpus(corpus: Shards) -> None:
    (window,) = windows(stream_of(corpus, PairSettings(128)))
    spread = [float(np.std(window.spans[batch, 0])) for batch in window.batches if len(batch) > 5]
    assert np.mean(spread) > 0.2 * len(window.ids)


# --- refusals ---


@pytest.mark.parametrize(("length", "next_sentence"), [(4, True), (3, False)])
def test_a_length_without_room_is_refused(length: int, next_sentence: bool) -> None:
    with pytest.raises(TrainingError, match="have no room for text"):
        PairSettings(length, next_sentence)


def test_a_share_out_of_range_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"short_share must be in \[0, 1\], not 1.5"):
        PairSettings(128, short_share=1.5)
    with pytest.raises(TrainingError, match=r"random_share must be in \[0, 1\], not -1"):
        PairSettings(128, random_share=-1)
