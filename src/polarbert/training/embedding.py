"""Vectors of texts, out of any layers of a network: feature-based use (BERT, section 5.3; Peters et al. 2018).

It stands among the rooms that have PyTorch: the graph that scores gives answers, and no vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polarbert.errors import UsageError
from polarbert.model.encoder import BertEncoder, load_encoder
from polarbert.model.packing import Packed
from polarbert.text import Pieces, WordPieceTokenizer, cut_windows, join_segments
from polarbert.text.batches import plan_batches
from polarbert.training.base import Base
from polarbert.training.pretrained import open_pretrained

POOLS = ("mean", "cls", "tokens")
COMBINATIONS = ("concat", "sum", "mean")
BATCH_TOKENS = {"cpu": 2048, "cuda": 32_768}
MAX_OVERLAP = 64

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Reading:
    """Which vectors are taken.

    Args:
        layers: as `parse_layers` takes them: numbers from 0, the embeddings, to L, the last layer; from the end, -1 is
            the last one; or "all".
        combine: of several layers: "concat", one after the other in the order given, "sum" or "mean".
        pool: "mean" over all positions, [CLS] and [SEP] included; "cls", the vector at [CLS]; or "tokens", one a piece.

    Raises:
        UsageError: when there is no such way.
    """

    layers: str = "-1"
    combine: str = "concat"
    pool: str = "mean"

    def __post_init__(self) -> None:
        for name, value, known in (("combine", self.combine, COMBINATIONS), ("pool", self.pool, POOLS)):
            if value not in known:
                raise UsageError(f"--{name} is {value!r}; it can be {', '.join(known[:-1])} or {known[-1]}")


@dataclass(frozen=True)
class TokenVectors:
    """The pieces of a text and their vectors; n pieces, D numbers each.

    Attributes:
        pieces: as in the vocabulary, with ## where they continue a word.
        offsets: (start, end) of each in the text, in characters.
        vectors: (n, D).
    """

    pieces: list[str]
    offsets: list[tuple[int, int]]
    vectors: Vectors


@dataclass(frozen=True)
class _Window:
    """A part of a text, with [CLS] and [SEP]: its pieces from `start` on."""

    text: int
    start: int
    ids: list[int]


class Embedder:
    """Turns texts into vectors; the same texts in the same order give the same numbers.

    A text of more pieces than the network reads is cut into windows that overlap. Its mean is that of all positions of
    all windows, which weighs each window by its pieces; its [CLS] is that of the first window; the vector of a piece
    that two windows hold is that of the window in which it has more text on both sides.

    Args:
        encoder: the network; the layers above the highest one asked for are taken off it.
        tokenizer: of the network.
        reading: which vectors.
        device: where to compute.

    Attributes:
        dimensions: numbers D in a vector.
        layers: the numbers of the layers, from 0.

    Raises:
        UsageError: when there is no such layer.

    Example:
        >>> embedder = Embedder.open(None, Reading(layers="-1,-2", combine="mean"))
        >>> embedder.embed(["I love it", "It broke after a week"]).shape
        (2, 384)
    """

    def __init__(
        self,
        encoder: BertEncoder,
        tokenizer: WordPieceTokenizer,
        reading: Reading | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.reading = reading or Reading()
        self.layers = parse_layers(self.reading.layers, encoder.config.num_hidden_layers)
        encoder.layers = encoder.layers[: max(self.layers)]
        encoder.mix = None
        self._encoder = encoder.eval().to(device)
        self._tokenizer = tokenizer
        self._device = torch.device(device)
        width = encoder.config.hidden_size
        self.dimensions = width * len(self.layers) if self.reading.combine == "concat" else width
        self._room = encoder.config.max_position_embeddings - 2  # [CLS] and [SEP] take two

    @classmethod
    def open(
        cls, name: str | Path | None = None, reading: Reading | None = None, device: torch.device | str = "cpu"
    ) -> Self:
        """Load a network.

        Args:
            name: the embedded model (None), a bundle, a run or another directory in the Hugging Face layout, or a Hub
                id.
            reading: which vectors.
            device: where to compute.

        Raises:
            BundleError, WeightsError: when there is no such model, or it cannot be loaded.
            UsageError: when there is no such layer.
        """
        base = Base.open(None) if name is None else open_pretrained(name)
        if reading is not None:
            parse_layers(reading.layers, base.config.num_hidden_layers)  # before the weights are read
        with torch.device("meta"):
            encoder = BertEncoder(base.config)
        load_encoder(encoder, base.path)
        return cls(encoder, base.tokenizer, reading, device)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One vector a text, (texts, D); equal texts are computed once.

        Raises:
            UsageError: when the reading is "tokens", which has no vector of a text.
        """
        if self.reading.pool == "tokens":
            raise UsageError("the pool is tokens, so a text has a vector for each piece; ask for tokens() instead")
        places = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        sums = np.zeros((len(places), self.dimensions), dtype=np.float32)
        counts = np.zeros((len(places), 1), dtype=np.float32)
        pieces = self._tokenizer.encode(list(places))
        for window, vector in self._compute(list(self._cut(pieces))):
            sums[window.text] += vector[0]
            counts[window.text] += 1 if self.reading.pool == "cls" else len(window.ids)
        means: Vectors = (sums / counts)[[places[text] for text in texts]]
        return means

    def tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """The vector of each piece of each text, [CLS] and [SEP] left out.

        Raises:
            UsageError: when the reading is another one than "tokens".
        """
        if self.reading.pool != "tokens":
            raise UsageError(f"the pool is {self.reading.pool}, so a text has one vector; ask for embed() instead")
        encoded = self._tokenizer.encode(texts, offsets=True)
        results = [np.empty((len(pieces.ids), self.dimensions), dtype=np.float32) for pieces in encoded]
        owned = [dict(self._owned(len(pieces.ids))) for pieces in encoded]
        for window, vectors in self._compute(list(self._cut(encoded))):
            start, end = owned[window.text][window.start]
            first = 1 - window.start  # [CLS] stands before the first piece
            results[window.text][start:end] = vectors[first + start : first + end]
        name = self._tokenizer.backend.id_to_token
        return [
            TokenVectors([str(name(number)) for number in pieces.ids], pieces.offsets, vectors)
            for pieces, vectors in zip(encoded, results, strict=True)
        ]

    def _parts(self, length: int) -> list[tuple[int, int]]:
        return cut_windows(length, self._room, min(MAX_OVERLAP, self._room // 4))

    def _owned(self, length: int) -> Iterator[tuple[int, tuple[int, int]]]:
        """By the start of each window, the pieces that are taken from it: its own, up to the middle of an overlap."""
        parts = self._parts(length)
        edges = [0, *((end + start) // 2 for (_, end), (start, _) in pairwise(parts)), length]
        for (start, _), edge in zip(parts, pairwise(edges), strict=True):
            yield start, edge

    def _cut(self, encoded: Sequence[Pieces]) -> Iterator[_Window]:
        tokenizer = self._tokenizer
        for number, pieces in enumerate(encoded):
            for start, end in self._parts(len(pieces.ids)):
                ids = join_segments(tokenizer.cls_id, tokenizer.sep_id, pieces.ids[start:end], None)
                yield _Window(number, start, ids)
                if self.reading.pool == "cls":
                    break

    def _compute(self, windows: Sequence[_Window]) -> Iterator[tuple[_Window, Vectors]]:
        """What is taken from each window: (1, D) its [CLS] or the sum over it, or (pieces, D); in any order.

        Batches of like length are computed together. Windows of one text come in the order of their numbers within a
        batch, and batches in an order that depends on the windows alone.
        """
        budget = BATCH_TOKENS.get(self._device.type, BATCH_TOKENS["cuda"])
        for numbers in plan_batches([len(window.ids) for window in windows], budget, seed=None):
            batch = [windows[number] for number in numbers]
            yield from zip(batch, self._read([window.ids for window in batch]), strict=True)

    @torch.inference_mode()
    def _read(self, texts: Sequence[list[int]]) -> list[Vectors]:
        packed = Packed.from_texts(texts).to(self._device)
        states = self._encoder(packed, output_hidden_states=True).hidden_states
        taken = [self._take(states[layer], packed) for layer in self.layers]
        if self.reading.combine == "concat":
            combined = torch.cat(taken, dim=-1)
        else:
            stacked = torch.stack(taken)
            combined = stacked.sum(0) if self.reading.combine == "sum" else stacked.mean(0)
        found = combined.float().cpu()
        sizes = packed.lengths if self.reading.pool == "tokens" else [1] * len(texts)
        return [part.numpy() for part in found.split(list(sizes))]

    def _take(self, state: Tensor, packed: Packed) -> Tensor:
        """Of the vectors (N, H) of a layer those that are asked for: (N, H), or (B, H)."""
        if self.reading.pool == "tokens":
            return state
        if self.reading.pool == "cls":
            return state.index_select(0, packed.offsets[:-1])
        return torch.stack([text.sum(0) for text in state.split(list(packed.lengths))])


def parse_layers(names: str, layers: int) -> list[int]:
    """The numbers of layers, from 0, in the order named.

    Args:
        names: numbers with commas, negative ones from the end; or "all".
        layers: how many the network has, without the embeddings, which are layer 0.

    Raises:
        UsageError: when one is no number, is not there or is named twice.

    Example:
        >>> parse_layers("-1,-2", 12)
        [12, 11]
    """
    if names.strip() == "all":
        return list(range(layers + 1))
    try:
        given = [int(name) for name in names.split(",")]
    except ValueError:
        raise UsageError(f"--layers is {names!r}; give numbers with commas, as in -1,-2, or all") from None
    found = [number + layers + 1 if number < 0 else number for number in given]
    for number, place in zip(given, found, strict=True):
        if not 0 <= place <= layers:
            raise UsageError(
                f"--layers: no such layer: {number}; the model has {layers} layers and the embeddings, 0 to {layers} "
                "(-1 is the last layer)"
            )
        if found.count(place) > 1:
            raise UsageError(f"--layers: layer {place} is named twice in {names}; name each once")
    return found
