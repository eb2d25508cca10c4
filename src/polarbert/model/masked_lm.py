"""Masked language modelling: the head that names hidden pieces (BERT, section 3.1, task 1).

Its modules are called as in the Hugging Face layout (`cls.predictions...`), so no name is translated. The decoder has
no matrix of its own: it is that of the word embeddings, which the caller hands over, and a bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

from polarbert.errors import WeightsError
from polarbert.model.config import BertConfig
from polarbert.model.encoder import BertEncoder, initialise, load_encoder
from polarbert.model.packing import Packed
from polarbert.model.weights import load_weights, save_weights, stored_tensors

# (tensor that a checkpoint may hold a second time, the one it has to repeat)
_TIED = (
    ("cls.predictions.decoder.weight", "bert.embeddings.word.weight"),
    ("cls.predictions.decoder.bias", "cls.predictions.bias"),
)


IGNORED = -100  # the label of a position where nothing is to be predicted


@dataclass
class MaskedLmOutput:
    """Logits over the vocabulary and, when labels were given, their cross-entropy.

    Attributes:
        logits: (B, T, V), or (N, V) when N positions were asked for or the batch is packed.
        loss: mean over the labels that are not -100; not a number when all are.
        masked_lm_losses: (B * T,) or (N,), the cross-entropy at each position, 0 where the label is -100. A training
            whose batch is computed in parts adds these up and divides by the number of labels in all of the parts.
    """

    logits: Tensor
    loss: Tensor | None = None
    masked_lm_losses: Tensor | None = None


class MaskedLmTransform(nn.Module):
    """Dense layer, GELU and layer norm, between the last layer and the decoder."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        initialise(self.dense, config.initializer_range)

    def forward(self, hidden: Tensor) -> Tensor:
        transformed: Tensor = self.LayerNorm(F.gelu(self.dense(hidden)))  # (..., H); the erf form, as in the encoder
        return transformed


class MaskedLmHead(nn.Module):
    """From hidden vectors to logits over the vocabulary (BERT, section 3.1, task 1).

    It knows nothing of texts and batches: it takes the vectors of whichever positions are to be predicted. Nearly all
    of its cost is the product with the vocabulary, so give it those positions alone.

    Args:
        config: the network's sizes.

    Example:
        >>> encoder = BertEncoder(BertConfig.tiny())
        >>> hidden = encoder(torch.tensor([[101, 2307, 103, 102]])).last_hidden_state[0, [2]]
        >>> MaskedLmHead(encoder.config)(hidden, encoder.embeddings.word.weight).shape
        torch.Size([1, 30522])
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.transform = MaskedLmTransform(config)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden: Tensor, word_embeddings: Tensor) -> Tensor:
        """Logits at the positions that `hidden` holds.

        Args:
            hidden: (..., H) vectors after the last layer.
            word_embeddings: (V, H), the encoder's own: sharing them ties the decoder.

        Returns:
            (..., V) logits.
        """
        return F.linear(self.transform(hidden), word_embeddings, self.bias)


class BertForMaskedLM(nn.Module):
    """BERT that names the pieces hidden from it (BERT, section 3.1, task 1).

    The encoder keeps its pooler, which this task does not use, so that a classifier can start from what is saved.

    Args:
        config: the network's sizes.

    Example:
        >>> model = BertForMaskedLM(BertConfig.tiny())
        >>> model(torch.tensor([[101, 2307, 103, 102]])).logits.shape
        torch.Size([1, 4, 30522])
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.bert = BertEncoder(config)
        self.cls = nn.ModuleDict({"predictions": MaskedLmHead(config)})

    @property
    def head(self) -> MaskedLmHead:
        """The part that is not the encoder."""
        return cast(MaskedLmHead, self.cls["predictions"])

    def forward(
        self,
        input_ids: Tensor | Packed,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> MaskedLmOutput:
        """Logits at every position of a batch, or at chosen ones alone.

        Args:
            input_ids: (B, T) piece ids, some of them hidden; or a packed batch of N pieces.
            attention_mask: as for `BertEncoder`.
            token_type_ids: as for `BertEncoder`.
            labels: the true ids, (B, T), or (N,) beside `positions` or of a packed batch; -100 where nothing is to be
                predicted.
            positions: (N,) positions to predict, counted through the batch: column + T * row, or through the pieces of
                a packed batch. The logits equal those that all positions would give there, at the cost of N of them;
                None for all.

        Returns:
            Logits (B, T, V) or (N, V), and the cross-entropy when `labels` is given.
        """
        hidden = self.bert(input_ids, attention_mask, token_type_ids).last_hidden_state  # (B, T, H)
        logits = self.head(at_positions(hidden, positions), self.bert.embeddings.word.weight)
        if labels is None:
            return MaskedLmOutput(logits)
        losses = position_losses(logits, labels)
        return MaskedLmOutput(logits, losses.sum() / (labels != IGNORED).sum(), losses)

    @classmethod
    def from_pretrained(cls, path: str | Path) -> Self:
        """Load encoder and head from a directory in the Hugging Face layout; a missing pooler starts anew.

        Raises:
            BundleError, WeightsError: when the directory or a tensor is missing or misshapen, or the checkpoint's
                decoder is not its word embeddings.
        """
        with torch.device("meta"):
            model = cls(BertConfig.from_pretrained(path))
        load_encoder(model.bert, path)
        load_weights(nn.ModuleDict({"cls": model.cls}), path, prefix="")
        check_tied(model, path)
        return model.eval()

    @classmethod
    def from_encoder(cls, path: str | Path) -> Self:
        """A new, untrained head over the encoder found at `path`; a missing pooler starts anew."""
        config = BertConfig.from_pretrained(path)
        with torch.device("meta"):
            model = cls(config)
        load_encoder(model.bert, path)
        model.cls = nn.ModuleDict({"predictions": MaskedLmHead(config)})
        return model

    def save_pretrained(self, path: str | Path, half: bool = False) -> None:
        """Save in the Hugging Face layout; `half` stores half-precision weights."""
        save_weights(self, self.config.to_dict() | {"architectures": ["BertForMaskedLM"]}, path, "bert.", half)


def at_positions(hidden: Tensor, positions: Tensor | None) -> Tensor:
    """The vectors (N, H) at positions counted through the batch; all of them as they are when there are none."""
    return hidden if positions is None else hidden.flatten(0, -2).index_select(0, positions)


def position_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each position in single precision, flat; 0 where the label is -100."""
    flat = logits.float().flatten(0, -2)
    return F.cross_entropy(flat, labels.flatten(), ignore_index=IGNORED, reduction="none")


def has_masked_lm_head(path: str | Path) -> bool:
    """True when the checkpoint at `path` has the weights of a head for masked language modelling.

    Raises:
        BundleError: when there is no safetensors file, or it cannot be read.
    """
    return "cls.predictions.transform.dense.weight" in stored_tensors(path)


def check_tied(model: nn.Module, path: str | Path) -> None:
    """Refuse a checkpoint whose decoder was trained apart from what it should repeat.

    Raises:
        WeightsError: naming the tensor.
    """
    stored = stored_tensors(path)
    for second, first in _TIED:
        if second not in stored:
            continue
        with safe_open(stored[second], framework="pt") as opened:
            repeated: Tensor = opened.get_tensor(second)
        if not torch.equal(repeated.float(), model.get_parameter(first).detach()):
            raise WeightsError(
                f"{path}: tensor {second!r} has values of its own; only a decoder tied to the word embeddings can be "
                f"loaded. To go on from the encoder with a new head, use {type(model).__name__}.from_encoder"
            )
