"""Whether one text follows another, asked of a pre-trained network (BERT, section 3.1, task 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import torch

from polarbert.errors import UsageError
from polarbert.model.packing import Packed
from polarbert.model.pretraining import IS_NEXT, BertForPreTraining
from polarbert.text import WordPieceTokenizer, join_segments
from polarbert.text.batches import plan_batches
from polarbert.training.pretrained import BATCH_TOKENS, check_next_sentence_head, open_pretrained, without_specials


@dataclass(frozen=True)
class PairAnswer:
    """What a network says about a pair of texts.

    Attributes:
        first: the text that comes first.
        second: the text that may follow it.
        is_next: whether it does.
        probability: that it does, from 0 to 1.
        pieces: word pieces of both texts.
        pieces_read: as many as the network saw.
    """

    first: str
    second: str
    is_next: bool
    probability: float
    pieces: int
    pieces_read: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class NextSentence:
    """Says whether the second text of a pair follows the first.

    No special piece can be written into a text: [SEP] and the like are read as the characters they are.

    Args:
        model: with a trained head; used in evaluation mode.
        tokenizer: of the model.

    Example:
        >>> judge = NextSentence.open("my-run")
        >>> judge.judge([("The kettle was empty.", "She filled it at the well.")])[0].is_next
    """

    def __init__(self, model: BertForPreTraining, tokenizer: WordPieceTokenizer) -> None:
        self._model = model.eval()
        self._tokenizer = without_specials(tokenizer)
        self._room = model.config.max_position_embeddings - 3  # [CLS] and two [SEP] take three

    @classmethod
    def open(cls, name: str | Path) -> Self:
        """Load from a run directory, another directory in the Hugging Face layout, or a Hub id.

        Raises:
            BundleError, WeightsError: when there is no such model, it has no head for this, or it cannot be loaded.
        """
        base = open_pretrained(name)
        check_next_sentence_head(base)
        return cls(BertForPreTraining.from_pretrained(base.path), base.tokenizer)

    @torch.inference_mode()
    def judge(self, pairs: Sequence[tuple[str, str]]) -> list[PairAnswer]:
        """An answer for each pair, in order.

        Of a pair too long for the network, the pieces where the two meet are read: the end of the first text and the
        start of the second.

        Raises:
            UsageError: when a text is empty.
        """
        if not all(text.strip() for pair in pairs for text in pair):
            raise UsageError("a text is empty; a pair is of two texts that have words")
        first, second = (self._tokenizer.encode([pair[side] for pair in pairs]) for side in (0, 1))
        whole = [(a.ids, b.ids) for a, b in zip(first, second, strict=True)]
        read = [fit_pair(*pieces, self._room) for pieces in whole]
        return [
            PairAnswer(*pair, chance >= 0.5, chance, sum(map(len, pieces)), sum(map(len, seen)))
            for pair, chance, pieces, seen in zip(pairs, self._chances(read), whole, read, strict=True)
        ]

    def _chances(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[float]:
        """For each pair of pieces, the probability that the second follows."""
        tokenizer = self._tokenizer
        texts = [join_segments(tokenizer.cls_id, tokenizer.sep_id, *pair) for pair in pairs]
        chances = [0.0] * len(pairs)
        for numbers in plan_batches([len(ids) for ids in texts], BATCH_TOKENS, seed=None):
            packed = Packed.from_texts([texts[n] for n in numbers], [len(pairs[n][0]) + 2 for n in numbers])
            nowhere = torch.empty(0, dtype=torch.long)  # no piece is to be named
            logits = self._model(packed, positions=nowhere).seq_relationship_logits  # (B, 2)
            for number, chance in zip(numbers, logits.float().softmax(-1)[:, IS_NEXT].tolist(), strict=True):
                chances[number] = chance
        return chances


def fit_pair(first: list[int], second: list[int], room: int) -> tuple[list[int], list[int]]:
    """Shorten the longer text, then both alike, to `room` pieces: the first by its start, the second by its end.

    Example:
        >>> fit_pair([1, 2, 3, 4, 5], [6, 7], 4)
        ([4, 5], [6, 7])
    """
    of_first = min(len(first), max(room - len(second), room - room // 2))
    return first[len(first) - of_first :], second[: room - of_first]
