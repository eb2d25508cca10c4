"""BERT as it is pre-trained: hidden pieces are named, and sentences told from strangers (BERT, section 3.1).

Its modules are called as in the Hugging Face layout (`cls.predictions...`, `cls.seq_relationship`), so no name is
translated. Without next-sentence prediction `BertForMaskedLM` is pre-trained in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polarbert.errors import WeightsError
from polarbert.model.config import BertConfig
from polarbert.model.encoder import BertEncoder, initialise, load_encoder
from polarbert.model.masked_lm import (
    IGNORED,
    MaskedLmHead,
    at_positions,
    check_tied,
    has_masked_lm_head,
    position_losses,
)
from polarbert.model.packing import Packed
from polarbert.model.weights import load_weights, save_weights, stored_tensors

IS_NEXT, NOT_NEXT = 0, 1  # the two answers about a pair, as BERT's authors numbered them


@dataclass
class PreTrainingOutput:
    """Logits of both heads and, when labels were given, their cross-entropy.

    Attributes:
        prediction_logits: (B, T, V), or (N, V) when N positions were asked for or the batch is packed.
        seq_relationship_logits: (B, 2), of "is next" (0) and "is not next" (1).
        loss: the mean over the labels that are not -100, plus the mean over the pairs; of what was given.
        masked_lm_losses: (B * T,) or (N,), the cross-entropy at each position, 0 where the label is -100.
        next_sentence_losses: (B,), the cross-entropy of each pair.

    A training whose batch is computed in parts adds up the losses of the parts, each kind for itself, and divides them
    by the number of labels and of pairs in all of the parts.
    """

    prediction_logits: Tensor
    seq_relationship_logits: Tensor
    loss: Tensor | None = None
    masked_lm_losses: Tensor | None = None
    next_sentence_losses: Tensor | None = None


class BertForPreTraining(nn.Module):
    """BERT with the two heads it learns by (BERT, section 3.1): masked language modelling and next-sentence prediction.

    The decoder of the first is the matrix of the word embeddings; the second is a linear layer over the pooled [CLS].

    Args:
        config: the network's sizes.

    Example:
        >>> model = BertForPreTraining(BertConfig.tiny())
        >>> output = model(torch.tensor([[101, 2307, 103, 102, 2204, 102]]))
        >>> output.prediction_logits.shape, output.seq_relationship_logits.shape
        (torch.Size([1, 6, 30522]), torch.Size([1, 2]))
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.bert = BertEncoder(config)
        self.cls = nn.ModuleDict(
            {"predictions": MaskedLmHead(config), "seq_relationship": _new_next_sentence_head(config)}
        )

    @property
    def head(self) -> MaskedLmHead:
        """The head for masked language modelling."""
        return cast(MaskedLmHead, self.cls["predictions"])

    @property
    def next_sentence_head(self) -> nn.Linear:
        """The head for next-sentence prediction."""
        return cast(nn.Linear, self.cls["seq_relationship"])

    def forward(
        self,
        input_ids: Tensor | Packed,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        next_sentence_label: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> PreTrainingOutput:
        """Logits of both heads, for every position of a batch or for chosen ones alone.

        Args:
            input_ids: (B, T) piece ids, some of them hidden; or a packed batch of N pieces.
            attention_mask: as for `BertEncoder`.
            token_type_ids: as for `BertEncoder`.
            labels: the true ids, as for `BertForMaskedLM`.
            next_sentence_label: (B,), 0 where the second segment follows the first in its document, 1 where it does
                not.
            positions: (N,) positions to predict, as for `BertForMaskedLM`.
        """
        encoded = self.bert(input_ids, attention_mask, token_type_ids)
        hidden = at_positions(encoded.last_hidden_state, positions)  # (B, T, H) or (N, H)
        output = PreTrainingOutput(
            prediction_logits=self.head(hidden, self.bert.embeddings.word.weight),
            seq_relationship_logits=self.next_sentence_head(encoded.pooler_output),
        )
        means = []
        if labels is not None:
            output.masked_lm_losses = position_losses(output.prediction_logits, labels)
            means.append(output.masked_lm_losses.sum() / (labels != IGNORED).sum())
        if next_sentence_label is not None:
            pairs = output.seq_relationship_logits.float()
            output.next_sentence_losses = F.cross_entropy(pairs, next_sentence_label, reduction="none")
            means.append(output.next_sentence_losses.mean())
        output.loss = torch.stack(means).sum() if means else None
        return output

    @classmethod
    def from_pretrained(cls, path: str | Path) -> Self:
        """Load encoder and both heads from a directory in the Hugging Face layout.

        Raises:
            BundleError, WeightsError: when the directory, a head or a tensor is missing or misshapen, or the
                checkpoint's decoder is not its word embeddings.
        """
        if not has_next_sentence_head(path):
            start = "from_masked_lm" if has_masked_lm_head(path) else "from_encoder"
            raise WeightsError(
                f"{path}: the checkpoint has no head for next-sentence prediction. To go on from it with a new one, "
                f"use {cls.__name__}.{start}"
            )
        with torch.device("meta"):
            model = cls(BertConfig.from_pretrained(path))
        load_weights(model, path, prefix="bert.")
        check_tied(model, path)
        return model.eval()

    @classmethod
    def from_masked_lm(cls, path: str | Path) -> Self:
        """A new, untrained next-sentence head beside the encoder and the masked-LM head found at `path`.

        A missing pooler starts anew.

        Raises:
            BundleError, WeightsError: as for `from_pretrained`, the next-sentence head aside.
        """
        model = cls.from_encoder(path)
        load_weights(nn.ModuleDict({"cls": nn.ModuleDict({"predictions": model.head})}), path, prefix="")
        check_tied(model, path)
        return model

    @classmethod
    def from_encoder(cls, path: str | Path) -> Self:
        """New, untrained heads over the encoder found at `path`; a missing pooler starts anew."""
        config = BertConfig.from_pretrained(path)
        with torch.device("meta"):
            model = cls(config)
        load_encoder(model.bert, path)
        model.cls = nn.ModuleDict(
            {"predictions": MaskedLmHead(config), "seq_relationship": _new_next_sentence_head(config)}
        )
        return model

    def save_pretrained(self, path: str | Path, half: bool = False) -> None:
        """Save in the Hugging Face layout; `half` stores half-precision weights."""
        save_weights(self, self.config.to_dict() | {"architectures": ["BertForPreTraining"]}, path, "bert.", half)


def has_next_sentence_head(path: str | Path) -> bool:
    """True when the checkpoint at `path` has the weights of a head for next-sentence prediction.

    Raises:
        BundleError: when there is no safetensors file, or it cannot be read.
    """
    return "cls.seq_relationship.weight" in stored_tensors(path)


def _new_next_sentence_head(config: BertConfig) -> nn.Linear:
    layer = nn.Linear(config.hidden_size, 2)
    initialise(layer, config.initializer_range)
    return layer
