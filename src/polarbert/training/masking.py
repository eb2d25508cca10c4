"""Hiding pieces, so that a network can learn to name them (BERT, section 3.1, task 1, and appendix A.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from polarbert.errors import BundleError, TrainingError
from polarbert.text import WordPieceTokenizer
from polarbert.text.tokenizer import SPECIAL


@dataclass(frozen=True, eq=False)
class Masking:
    """What is hidden, and by what. The shares are those of BERT.

    Args:
        mask_id: the id of [MASK].
        special: (V,) bool, True at the ids that are never chosen: [PAD], [UNK], [CLS], [SEP] and [MASK].
        continues: (V,) bool, True at the ids of pieces that continue a word (`##ing`).
        share: of the pieces that could be chosen, how many are.
        mask_share: of the chosen, how many become [MASK].
        random_share: of the chosen, how many become a random piece; the rest stay as they are.
        whole_words: choose words with all their pieces, rather than pieces.

    Raises:
        TrainingError: when a share is out of range.
    """

    mask_id: int
    special: NDArray[np.bool_] = field(repr=False)
    continues: NDArray[np.bool_] = field(repr=False)
    share: float = 0.15
    mask_share: float = 0.8
    random_share: float = 0.1
    whole_words: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise TrainingError(f"masking: share must be above 0 and at most 1, not {self.share!r}")
        if min(self.mask_share, self.random_share) < 0 or self.mask_share + self.random_share > 1:
            raise TrainingError(
                "masking: mask_share and random_share must be at least 0 and together at most 1, "
                f"not {self.mask_share!r} and {self.random_share!r}"
            )

    @classmethod
    def from_tokenizer(
        cls,
        tokenizer: WordPieceTokenizer,
        share: float = 0.15,
        mask_share: float = 0.8,
        random_share: float = 0.1,
        whole_words: bool = False,
    ) -> Self:
        """Read from a vocabulary what is special and what continues a word.

        Raises:
            BundleError: when the vocabulary has no [MASK].
        """
        vocab = tokenizer.backend.get_vocab()
        if "[MASK]" not in vocab:
            raise BundleError("tokenizer: the vocabulary lacks [MASK], by which masked language modelling hides pieces")
        special, continues = np.zeros((2, max(vocab.values()) + 1), dtype=np.bool_)
        special[[vocab[name] for name in SPECIAL]] = True
        continues[[number for piece, number in vocab.items() if piece.startswith("##") and len(piece) > 2]] = True
        return cls(vocab["[MASK]"], special, continues, share, mask_share, random_share, whole_words)

    @property
    def vocab_size(self) -> int:
        """Number V of pieces."""
        return len(self.special)

    def maskable(self, ids: Sequence[int] | NDArray[np.int64]) -> int:
        """How many pieces of a text could be chosen."""
        return int(np.count_nonzero(~self.special[np.asarray(ids, dtype=np.int64)]))


@dataclass(frozen=True, eq=False)
class MaskedPieces:
    """A text with some of its pieces hidden.

    Attributes:
        ids: (T,) the text as the network sees it.
        positions: (N,) where pieces were chosen, ascending.
        labels: (N,) the pieces that stood there.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    labels: NDArray[np.int64]


def mask_pieces(ids: Sequence[int] | NDArray[np.int64], masking: Masking, random: np.random.Generator) -> MaskedPieces:
    """Choose 15% of a text's pieces and hide them: 80% behind [MASK], 10% behind a random piece, 10% not at all.

    Special pieces and padding are never chosen and do not count. Pieces (or whole words) are chosen in random order
    while they fit into the 15%; the one that goes beyond is taken by chance, as likely as the share of it that fits, so
    that the share is met on average whatever the length. At least one piece or word is chosen where there is any.

    Which of the three happens to it is drawn for each chosen piece alone. The random piece is drawn from the whole
    vocabulary, special and unused pieces included, as BERT's authors did; it may be the true piece.

    Args:
        ids: (T,) piece ids with [CLS] and [SEP]; may be padded.
        masking: the shares and the vocabulary.
        random: the only source of chance: the same state gives the same answer.

    Returns:
        The hidden text, and what to predict where; no positions when nothing can be chosen.

    Example:
        >>> masking = Masking.from_tokenizer(tokenizer)
        >>> mask_pieces([101, 2307, 3185, 999, 102], masking, np.random.default_rng(1)).ids
    """
    original = np.asarray(ids, dtype=np.int64)
    positions = _choose(original, masking, random)
    labels = original[positions]
    draw = random.random(len(positions))
    replacement = random.integers(0, masking.vocab_size, len(positions))
    hidden = original.copy()
    hidden[positions] = np.select(
        [draw < masking.mask_share, draw < masking.mask_share + masking.random_share],
        [np.full_like(labels, masking.mask_id), replacement],
        labels,
    )
    return MaskedPieces(hidden, positions, labels)


def _choose(ids: NDArray[np.int64], masking: Masking, random: np.random.Generator) -> NDArray[np.int64]:
    """The positions to predict, ascending."""
    candidates = np.flatnonzero(~masking.special[ids])
    if not len(candidates):
        return candidates
    words = _words(ids, candidates, masking)
    sizes = np.bincount(words)
    order = random.permutation(len(sizes))
    ends = np.cumsum(sizes[order])
    budget = masking.share * len(candidates)
    count = int(np.searchsorted(ends, budget, side="right"))  # as many as fit
    if count < len(order):
        left = budget - (ends[count - 1] if count else 0)
        by_chance = random.random() * sizes[order[count]] < left
        count += 1 if by_chance or count == 0 else 0
    return candidates[np.isin(words, order[:count])]


def _words(ids: NDArray[np.int64], candidates: NDArray[np.int64], masking: Masking) -> NDArray[np.int64]:
    """The number of the word that each candidate belongs to; without whole words each is one of its own."""
    if not masking.whole_words:
        return np.arange(len(candidates))
    # A continuation belongs to the piece right before it; after a special piece, as where a text was cut, it is alone.
    starts = ~masking.continues[ids[candidates]] | (np.diff(candidates, prepend=-1) > 1)
    starts[0] = True
    return np.cumsum(starts) - 1
