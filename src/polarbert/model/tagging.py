"""Tagging words: one output layer over the vector at every position (BERT, section 5.3, fine-tuning)."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from polarbert.model.heads import BertWithHead
from polarbert.model.masked_lm import IGNORED, at_positions
from polarbert.model.packing import Packed


@dataclass
class TokenClassifierOutput:
    """Logits and, when labels were given, their mean cross-entropy.

    Attributes:
        logits: (B, T, labels), or (N, labels) when N positions were asked for or the batch is packed.
        loss: mean over the labels that are not -100; not a number when all are.
    """

    logits: Tensor
    loss: Tensor | None = None


class BertForTokenClassification(BertWithHead):
    """BERT with one additional output layer over the vector at each position.

    The encoder has no pooler, which nothing would train.

    Args:
        config: the network's sizes.
        labels: the names of the tags, in the order of the logits.

    Example:
        >>> model = BertForTokenClassification(BertConfig.tiny(), ["O", "B-PER", "I-PER"])
        >>> model(torch.tensor([[101, 2307, 102]])).logits.shape
        torch.Size([1, 3, 3])
    """

    architecture = "BertForTokenClassification"
    classifier: nn.Linear

    def read_out(self, hidden: Tensor) -> Tensor:
        """Logits (..., labels) from vectors (..., H) of the encoder's last hidden state."""
        logits: Tensor = self.classifier(self.dropout(hidden))
        return logits

    def forward(
        self,
        input_ids: Tensor | Packed,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> TokenClassifierOutput:
        """Tag every position of a batch, padded or packed, or chosen ones alone.

        Args:
            input_ids: (B, T) piece ids, or a packed batch of N pieces.
            attention_mask: as for `BertEncoder`.
            token_type_ids: as for `BertEncoder`.
            labels: numbers of the true tags, (B, T), or (N,) beside `positions` or of a packed batch; -100 where none
                is to be learned: in the field's usual way at [CLS], [SEP] and all but the first piece of a word.
            positions: (N,) positions to tag, as for `BertForMaskedLM`; None for all.

        Returns:
            Logits (B, T, labels) or (N, labels), and the mean cross-entropy when `labels` is given.
        """
        hidden = self.bert(input_ids, attention_mask, token_type_ids).last_hidden_state  # (B, T, H)
        logits = self.read_out(at_positions(hidden, positions))  # (B, T, labels) or (N, labels)
        if labels is None:
            return TokenClassifierOutput(logits)
        flat = logits.float().flatten(0, -2)
        return TokenClassifierOutput(logits, F.cross_entropy(flat, labels.flatten(), ignore_index=IGNORED))
