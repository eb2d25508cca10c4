"""Hiding pieces: the shares, what is never hidden, whole words, and chance that repeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from polarbert.errors import BundleError, TrainingError
from polarbert.text import WordPieceTokenizer
from polarbert.training.masking import MaskedPieces, Masking, mask_pieces

PAD, UNK, CLS, SEP, MASK = range(5)
WORDS, ENDINGS = range(5, 205), range(205, 305)  # pieces that start a word, and pieces that continue one
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in WORDS), *(f"##e{n}" for n in ENDINGS)]
TOKENIZER = WordPieceTokenizer.from_vocab(VOCAB, lowercase=True)
PIECES = Masking.from_tokenizer(TOKENIZER)
WHOLE_WORDS = replace(PIECES, whole_words=True)

pieces = st.one_of(st.sampled_from(WORDS), st.sampled_from(ENDINGS), st.sampled_from([UNK, SEP, MASK, PAD]))
texts = st.lists(pieces, max_size=60).map(lambda ids: [CLS, *ids, SEP])
seeds = st.integers(0, 2**32 - 1)
rules = st.sampled_from([PIECES, WHOLE_WORDS])


def sigma(share: float, draws: int) -> float:
    """The standard deviation of the share of hits among independent draws."""
    return float(np.sqrt(share * (1 - share) / draws))


def hide(ids: Sequence[int], masking: Masking, seed: int) -> MaskedPieces:
    return mask_pieces(ids, masking, np.random.default_rng(seed))


def word_of_each_piece(ids: Sequence[int]) -> list[int]:
    """By brute force: a continuation right after a piece that is not special is of that piece's word."""
    numbers: list[int] = []
    for at, piece in enumerate(ids):
        joins = piece in ENDINGS and at > 0 and ids[at - 1] > MASK
        numbers.append(numbers[-1] if joins else at)
    return numbers


def many(masking: Masking, length: int, count: int) -> list[MaskedPieces]:
    """`count` texts of `length` one-piece words, hidden with one stream of chance."""
    random = np.random.default_rng(11)
    ids = [CLS, *np.resize(np.array(WORDS), length).tolist(), SEP]
    return [mask_pieces(ids, masking, random) for _ in range(count)]


@given(texts, seeds, rules)
def test_what_was_not_chosen_stays_and_the_labels_are_what_stood_there(
    ids: list[int], seed: int, masking: Masking
) -> None:
    hidden = hide(ids, masking, seed)
    restored = hidden.ids.copy()
    restored[hidden.positions] = hidden.labels
    assert restored.tolist() == ids
    assert bool((np.diff(hidden.positions) > 0).all())


@given(texts, seeds, rules)
def test_special_pieces_and_padding_are_never_chosen(ids: list[int], seed: int, masking: Masking) -> None:
    assert not set(hide([*ids, PAD, PAD], masking, seed).labels.tolist()) & {PAD, UNK, CLS, SEP, MASK}


@given(texts, seeds, rules)
def test_at_least_one_piece_is_chosen_where_there_is_any(ids: list[int], seed: int, masking: Masking) -> None:
    there_is_any = any(piece > MASK for piece in ids)
    assert bool(len(hide(ids, masking, seed).positions)) == there_is_any
    assert masking.maskable(ids) == sum(piece > MASK for piece in ids)


@given(texts, seeds)
def test_whole_words_are_chosen_wholly_or_not_at_all(ids: list[int], seed: int) -> None:
    chosen = set(hide(ids, WHOLE_WORDS, seed).positions.tolist())
    words = word_of_each_piece(ids)
    touched = {words[at] for at in chosen}
    whole = {at for at, piece in enumerate(ids) if piece > MASK and words[at] in touched}
    assert chosen == whole


def test_without_the_option_words_are_chosen_in_part() -> None:
    ids = [CLS, *[WORDS[0], ENDINGS[0], ENDINGS[1]] * 10, SEP]
    words = np.array(word_of_each_piece(ids))
    sizes = {n for seed in range(50) for n in np.bincount(words[hide(ids, PIECES, seed).positions]).tolist()}
    assert {1, 2} <= sizes


@given(texts, seeds)
def test_the_number_of_chosen_pieces_is_within_one_of_the_share(ids: list[int], seed: int) -> None:
    budget = 0.15 * PIECES.maskable(ids)
    chosen = len(hide(ids, PIECES, seed).positions)
    assert chosen in {max(min(1, PIECES.maskable(ids)), int(budget)), int(budget) + 1}


@given(texts, seeds, rules)
def test_the_same_seed_hides_the_same(ids: list[int], seed: int, masking: Masking) -> None:
    one, other = hide(ids, masking, seed), hide(np.array(ids, dtype=np.int32).tolist(), masking, seed)
    assert one.ids.tolist() == other.ids.tolist()
    assert one.positions.tolist() == other.positions.tolist()


def test_another_seed_hides_others() -> None:
    ids = [CLS, *WORDS[:60], SEP]
    assert len({tuple(hide(ids, PIECES, seed).positions.tolist()) for seed in range(20)}) == 20


@pytest.mark.parametrize("length", [7, 9, 25, 126])
def test_fifteen_percent_are_chosen_whatever_the_length(length: int) -> None:
    """The number chosen in a text varies by less than one, so its share by less than a binomial's; 4 sigma of that."""
    count = 40_000 // length
    chosen = sum(len(text.positions) for text in many(PIECES, length, count))
    assert chosen / (count * length) == pytest.approx(0.15, abs=4 * sigma(0.15, count * length))


def test_of_the_chosen_80_percent_are_masked_10_random_10_kept() -> None:
    """Each of about 15,000 chosen pieces is drawn alone: 4 sigma of the binomial."""
    hidden = many(PIECES, 126, 800)
    after = np.concatenate([text.ids[text.positions] for text in hidden])
    before = np.concatenate([text.labels for text in hidden])
    count = len(after)
    assert count > 15_000
    vocabulary = len(VOCAB)  # a random piece is by chance [MASK] or the true piece, once in so many draws
    masked, kept = 0.8 + 0.1 / vocabulary, 0.1 + 0.1 / vocabulary
    assert np.mean(after == MASK) == pytest.approx(masked, abs=4 * sigma(masked, count))
    assert np.mean(after == before) == pytest.approx(kept, abs=4 * sigma(kept, count))


def test_random_pieces_come_from_the_whole_vocabulary_evenly() -> None:
    """All 305 pieces, special ones too; chi-squared of about 20,000 draws, within 4 sigma of its mean."""
    always = replace(PIECES, share=1.0, mask_share=0.0, random_share=1.0)
    counts = np.bincount(np.concatenate([text.ids[1:-1] for text in many(always, 200, 100)]), minlength=len(VOCAB))
    expected = counts.sum() / len(VOCAB)
    chi_squared = float(((counts - expected) ** 2 / expected).sum())
    freedom = len(VOCAB) - 1
    assert abs(chi_squared - freedom) < 4 * np.sqrt(2 * freedom)


def test_every_position_is_chosen_equally_often() -> None:
    """20 positions, 4,000 texts: 4 sigma of the binomial."""
    chosen = np.bincount(np.concatenate([text.positions for text in many(PIECES, 20, 4000)]), minlength=22)
    assert chosen[[0, 21]].tolist() == [0, 0]
    np.testing.assert_allclose(chosen[1:-1] / 4000, 0.15, atol=4 * sigma(0.15, 4000))


def words_of(sizes: NDArray[np.int64]) -> list[int]:
    return [CLS, *(piece for size in sizes for piece in [WORDS[0], *[ENDINGS[0]] * (int(size) - 1)]), SEP]


def test_whole_words_meet_the_same_share() -> None:
    """Words of one to four pieces. A text's count strays by less than 4 pieces: 4 sigma of that over 400 texts."""
    random = np.random.default_rng(2)
    chosen, pieces_in_all = 0, 0
    for _ in range(400):
        ids = words_of(random.choice([1, 2, 3, 4], size=60, p=[0.7, 0.15, 0.1, 0.05]))
        chosen += len(mask_pieces(ids, WHOLE_WORDS, random).positions)
        pieces_in_all += len(ids) - 2
    assert chosen / pieces_in_all == pytest.approx(0.15, abs=4 * 4 / np.sqrt(400) / (pieces_in_all / 400))


def test_a_word_longer_than_the_share_is_chosen_when_there_is_no_other() -> None:
    assert hide([CLS, WORDS[0], ENDINGS[0], ENDINGS[1], SEP], WHOLE_WORDS, 0).positions.tolist() == [1, 2, 3]


def test_a_continuation_after_a_special_piece_is_a_word_of_its_own() -> None:
    """Where a text was cut inside a word, or an unknown word stands before."""
    ids = [CLS, ENDINGS[0], SEP, ENDINGS[1], UNK, ENDINGS[2], SEP]
    once = {tuple(hide(ids, WHOLE_WORDS, seed).positions.tolist()) for seed in range(40)}
    assert once == {(1,), (3,), (5,)}


def test_the_tokenizer_says_what_is_special_and_what_continues(tokenizer: WordPieceTokenizer) -> None:
    masking = Masking.from_tokenizer(tokenizer)
    assert np.flatnonzero(masking.special).tolist() == [0, 100, 101, 102, 103]
    vocab = tokenizer.backend.get_vocab()
    assert masking.vocab_size == len(vocab)
    assert masking.mask_id == vocab["[MASK]"]
    assert [bool(masking.continues[vocab[piece]]) for piece in ("##ing", "app", "#", "😀")] == [
        True,
        False,
        False,
        False,
    ]


def test_a_vocabulary_without_mask_is_refused() -> None:
    tokenizer = WordPieceTokenizer.from_vocab(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"], lowercase=True)
    with pytest.raises(BundleError, match=r"lacks \[MASK\]"):
        Masking.from_tokenizer(tokenizer)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"share": 0.0}, "share must be above 0"),
        ({"share": 1.5}, "at most 1"),
        ({"mask_share": 0.95}, "together at most 1"),
        ({"random_share": -0.1}, "at least 0"),
    ],
)
def test_shares_out_of_range_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        replace(PIECES, **changes)  # type: ignore[arg-type]


def test_shares_can_be_changed() -> None:
    all_masked = replace(PIECES, share=0.4, mask_share=1.0, random_share=0.0)
    hidden = hide([CLS, *WORDS[:100], SEP], all_masked, 0)
    assert len(hidden.positions) == 40
    assert set(hidden.ids[hidden.positions].tolist()) == {MASK}
