"""The output layer that points at an answer in a passage (BERT, section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polarbert.bundle import QA_LABELS
from polarbert.model.config import BertConfig
from polarbert.model.heads import BertWithHead
from polarbert.model.masked_lm import IGNORED
from polarbert.model.packing import Packed
from polarbert.model.weights import load_weights


@dataclass
class QuestionAnsweringOutput:
    """Logits of where an answer starts and ends and, when positions were given, their cross-entropy.

    Attributes:
        logits: (B, T, 2), or (N, 2) of a packed batch; the last axis is start and end.
        loss: mean of the cross-entropy of starts and of that of ends.
    """

    logits: Tensor
    loss: Tensor | None = None

    @property
    def start_logits(self) -> Tensor:
        """(B, T) or (N,)."""
        return self.logits[..., 0]

    @property
    def end_logits(self) -> Tensor:
        """(B, T) or (N,)."""
        return self.logits[..., 1]


class BertForQuestionAnswering(BertWithHead):
    """Two learned vectors, whose products with each position say how well an answer starts or ends there.

    The question is the first segment and the passage the second. A question that the passage does not answer points at
    [CLS] with both (BERT, section 4.3). The encoder has no pooler, which nothing would train.

    Args:
        config: the network's sizes.
        labels: "start" and "end".

    Example:
        >>> model = BertForQuestionAnswering(BertConfig.tiny())
        >>> model(torch.tensor([[101, 2339, 102, 2138, 102]])).logits.shape
        torch.Size([1, 5, 2])
    """

    architecture = "BertForQuestionAnswering"
    head_name = "qa_outputs"
    qa_outputs: nn.Linear

    def __init__(self, config: BertConfig, labels: Sequence[str] = QA_LABELS) -> None:
        super().__init__(config, list(labels))

    def read_out(self, hidden: Tensor) -> Tensor:
        """Logits (B, T, 2) from the encoder's last hidden state (B, T, H)."""
        logits: Tensor = self.qa_outputs(hidden)
        return logits

    def forward(
        self,
        input_ids: Tensor | Packed,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
    ) -> QuestionAnsweringOutput:
        """Point at answers in a batch, padded or packed.

        Args:
            input_ids: as for `BertEncoder`.
            attention_mask: as for `BertEncoder`.
            token_type_ids: as for `BertEncoder`.
            start_positions: (B,) place of the answer's first piece in its own text; one outside teaches nothing.
            end_positions: (B,) place of the last.

        Returns:
            Logits, and the loss when both positions are given. As in `transformers` every place of a text may be
            chosen, padding too; `polarbert.training.question_answering` has a loss over the passage alone.
        """
        is_learning = start_positions is not None and end_positions is not None
        hidden = self.bert(input_ids, attention_mask, token_type_ids, keep_padding=is_learning).last_hidden_state
        logits = self.read_out(hidden)
        if start_positions is None or end_positions is None:
            return QuestionAnsweringOutput(logits)
        rows = _rows(logits, input_ids.lengths) if isinstance(input_ids, Packed) else logits
        losses = [_cross_entropy(rows[..., 0], start_positions), _cross_entropy(rows[..., 1], end_positions)]
        return QuestionAnsweringOutput(logits, torch.stack(losses).mean())

    @classmethod
    def from_pretrained(cls, path: str | Path) -> Self:
        """Load from a directory in the Hugging Face layout, whatever its configuration calls start and end.

        Raises:
            BundleError, WeightsError: when the directory or a tensor is missing or misshapen.
        """
        with torch.device("meta"):
            model = cls(BertConfig.from_pretrained(path))
        load_weights(model, path, prefix="bert.")
        return model.eval()


def _rows(logits: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """(B, T, 2) of the (N, 2) logits of a packed batch; minus infinity behind a text's end."""
    texts = list(logits.float().split(list(lengths)))
    return nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=float("-inf"))


def _cross_entropy(logits: Tensor, positions: Tensor) -> Tensor:
    inside = (positions >= 0) & (positions < logits.shape[1])
    there = logits.gather(1, positions.clamp(0, logits.shape[1] - 1)[:, None])[:, 0]
    inside &= there.isfinite()
    return F.cross_entropy(logits.float(), torch.where(inside, positions, IGNORED), ignore_index=IGNORED)
