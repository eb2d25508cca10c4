"""Hidden words named by a pre-trained network: the Cloze task (Taylor 1953; BERT, section 3.1, task 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from polarbert.errors import BundleError, UsageError
from polarbert.model.masked_lm import BertForMaskedLM
from polarbert.model.packing import Packed
from polarbert.text import WordPieceTokenizer, join_segments
from polarbert.text.batches import plan_batches
from polarbert.training.pretrained import BATCH_TOKENS, check_masked_lm_head, open_pretrained, without_specials

MASK = "[MASK]"


@dataclass(frozen=True)
class Candidate:
    """A piece that may stand behind a mask.

    Attributes:
        piece: as in the vocabulary, with ## where it continues a word.
        probability: from 0 to 1.
        text: the text with the piece in its place; other masks stay.
    """

    piece: str
    probability: float
    text: str


@dataclass(frozen=True)
class FilledText:
    """What a network says about the masks of a text.

    Attributes:
        text: as it was given.
        masks: for each mask in turn its candidates, the likeliest first.
        pieces: word pieces of the text, masks included.
        pieces_read: as many as the network saw round each mask; fewer than `pieces` where the text is too long.
    """

    text: str
    masks: list[list[Candidate]]
    pieces: int
    pieces_read: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "text": self.text,
            "masks": [[vars(candidate) for candidate in mask] for mask in self.masks],
            "pieces": self.pieces,
            "pieces_read": self.pieces_read,
        }


@dataclass(frozen=True)
class _Window:
    """What is computed at once: the pieces of a text, and where its masks `first`, `first` + 1, ... stand in them."""

    text: int
    first: int
    ids: list[int]
    places: list[int]


class MaskFiller:
    """Names the words behind [MASK].

    No other special piece can be written into a text: [SEP] and the like are read as the characters they are.

    Args:
        model: with a trained head; used in evaluation mode.
        tokenizer: of the model.

    Raises:
        BundleError: when the vocabulary has no [MASK].

    Example:
        >>> filler = MaskFiller.open("my-run")
        >>> filler.fill(["The film was [MASK]."])[0].masks[0][0].piece
    """

    def __init__(self, model: BertForMaskedLM, tokenizer: WordPieceTokenizer) -> None:
        mask_id = tokenizer.backend.token_to_id(MASK)
        if mask_id is None:
            raise BundleError(
                f"tokenizer: the vocabulary lacks {MASK}, by which masked language modelling hides pieces"
            )
        self._model = model.eval()
        self._tokenizer = without_specials(tokenizer)
        self._mask_id = mask_id
        self._room = model.config.max_position_embeddings - 2  # [CLS] and [SEP] take two

    @classmethod
    def open(cls, name: str | Path) -> Self:
        """Load from a run directory, another directory in the Hugging Face layout, or a Hub id.

        Raises:
            BundleError, WeightsError: when there is no such model, it has no head for this, or it cannot be loaded.
        """
        base = open_pretrained(name)
        check_masked_lm_head(base)
        return cls(BertForMaskedLM.from_pretrained(base.path), base.tokenizer)

    @torch.inference_mode()
    def fill(self, texts: Sequence[str], top: int = 5) -> list[FilledText]:
        """The likeliest pieces behind each mask of each text, each mask with the others still in place.

        Of a text too long for the network, each mask is seen with as many pieces round it as can be read.

        Args:
            texts: each with one [MASK] or more.
            top: candidates of each mask; at most the size of the vocabulary.

        Raises:
            UsageError: when a text has no [MASK].
        """
        for text in texts:
            if MASK not in text:
                raise UsageError(f"{text!r} has no {MASK}; write {MASK} where the word is missing")
        encoded = [self._encode(text) for text in texts]
        windows = [window for number, ids in enumerate(encoded) for window in self._windows(number, ids)]
        masks: list[dict[int, list[Candidate]]] = [{} for _ in texts]
        for numbers in plan_batches([len(window.ids) for window in windows], BATCH_TOKENS, seed=None):
            batch = [windows[number] for number in numbers]
            probabilities, pieces = self._likeliest(batch, top)
            places = [(w.text, w.first + n) for w in batch for n in range(len(w.places))]
            for (number, mask), chances, ids in zip(places, probabilities, pieces, strict=True):
                masks[number][mask] = self._candidates(texts[number], mask, chances, ids)
        return [
            FilledText(text, [mask for _, mask in sorted(found.items())], len(ids), min(len(ids), self._room))
            for text, found, ids in zip(texts, masks, encoded, strict=True)
        ]

    def _encode(self, text: str) -> list[int]:
        """The pieces of a text, each [MASK] one of them."""
        first, *others = (pieces.ids for pieces in self._tokenizer.encode(text.split(MASK)))
        return [*first, *(number for ids in others for number in (self._mask_id, *ids))]

    def _windows(self, text: int, ids: list[int]) -> list[_Window]:
        """One with all masks; of a long text one for each mask, which stands in its middle."""
        places = [place for place, number in enumerate(ids) if number == self._mask_id]
        if len(ids) <= self._room:
            return [self._window(text, 0, ids, places)]
        windows = []
        for number, place in enumerate(places):
            start = min(max(0, place - self._room // 2), len(ids) - self._room)
            windows.append(self._window(text, number, ids[start : start + self._room], [place - start]))
        return windows

    def _window(self, text: int, first: int, ids: list[int], places: list[int]) -> _Window:
        joined = join_segments(self._tokenizer.cls_id, self._tokenizer.sep_id, ids, None)
        return _Window(text, first, joined, [place + 1 for place in places])

    def _likeliest(self, batch: list[_Window], top: int) -> tuple[list[list[float]], list[list[int]]]:
        """For each mask of a batch, probabilities and ids of its candidates."""
        packed = Packed.from_texts([window.ids for window in batch])
        starts = packed.offsets.tolist()
        positions = [start + place for start, window in zip(starts, batch, strict=False) for place in window.places]
        logits: Tensor = self._model(packed, positions=torch.tensor(positions)).logits  # (masks, V)
        chances, ids = logits.float().softmax(-1).topk(min(top, logits.shape[-1]))
        return chances.tolist(), ids.tolist()

    def _candidates(self, text: str, mask: int, chances: list[float], ids: list[int]) -> list[Candidate]:
        pieces = [self._tokenizer.backend.id_to_token(number) or "" for number in ids]
        return [
            Candidate(piece, chance, put_piece(text, mask, piece))
            for piece, chance in zip(pieces, chances, strict=True)
        ]


def put_piece(text: str, mask: int, piece: str) -> str:
    """The text with a piece in the place of its mask of that number; a piece with ## continues the word before it.

    Example:
        >>> put_piece("It was work [MASK] [MASK].", 0, "##ing")
        'It was working [MASK].'
    """
    parts = text.split(MASK)
    before, after = MASK.join(parts[: mask + 1]), MASK.join(parts[mask + 1 :])
    continues = piece.startswith("##") and len(piece) > 2
    return before.rstrip() + piece[2:] + after if continues else before + piece + after
