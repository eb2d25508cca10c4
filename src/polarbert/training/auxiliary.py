"""A masked-LM loss beside that of a task, on the same texts (after Radford et al. 2018, section 3.2)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polarbert.model.masked_lm import MaskedLmHead, at_positions
from polarbert.training.helped import Helped, own_network
from polarbert.training.loop import Part, Task
from polarbert.training.masking import Masking, mask_pieces

# A number that the plan gives is that of an example and of a pass at once, so that a text is hidden anew in each.
_EXAMPLES = 2**32


class TextPart(Part, Protocol):
    """A part that holds a padded batch of texts."""

    @property
    def input_ids(self) -> Tensor:
        """(B, T)."""

    @property
    def attention_mask(self) -> Tensor | None:
        """(B, T) bool, or None when no text is padded."""

    @property
    def token_type_ids(self) -> Tensor:
        """(B, T)."""


PartOfTexts = TypeVar("PartOfTexts", bound=TextPart)


@dataclass
class AuxiliaryPart(Generic[PartOfTexts]):
    """What the task computes, and the same texts with pieces hidden; B texts, T pieces in the longest, N hidden.

    Attributes:
        own: of the task.
        input_ids: (B, T), hidden pieces replaced.
        positions: (N,) what to predict, counted through the batch: column + T * row.
        labels: (N,) the true pieces.
    """

    own: PartOfTexts
    input_ids: Tensor
    positions: Tensor
    labels: Tensor

    @property
    def tokens(self) -> int:
        """Pieces without padding, each counted once."""
        return self.own.tokens

    @property
    def counts(self) -> tuple[int, ...]:
        """Those of the task, and the hidden pieces."""
        return (*self.own.counts, len(self.labels))

    def to(self, device: torch.device) -> AuxiliaryPart[PartOfTexts]:
        """The same part on another device."""
        hidden = (self.input_ids.to(device), self.positions.to(device), self.labels.to(device))
        return AuxiliaryPart(self.own.to(device), *hidden)


@dataclass
class AuxiliaryLmTask(Generic[PartOfTexts]):
    """A task that also asks for the pieces hidden in its own texts, so that the encoder does not forget the language.

    The network reads each batch twice: as it is, for the task, and with 15% of its pieces hidden (BERT, section 3.1).
    Which ones depends on the seed, the pass and the batch, and on nothing else, so that a resumed run sees the same.

    Args:
        task: what is learned; its numbers of examples are the same in each pass.
        masking: what is hidden, and by what.
        weight: of the loss.
        seed: of what is hidden.

    Example:
        >>> task = AuxiliaryLmTask(classification, Masking.from_tokenizer(tokenizer), weight=0.2, seed=1)
        >>> train(Helped(model, {"masked_lm": MaskedLmHead(model.config)}), task, settings, RunDirectory("run"))
    """

    task: Task[PartOfTexts]
    masking: Masking
    weight: float
    seed: int

    def fingerprint(self) -> str:
        """Changes with the task's, and with the weight."""
        return hashlib.sha256(repr((self.task.fingerprint(), "masked lm", self.weight)).encode("utf-8")).hexdigest()

    def batches_in_epoch(self, epoch: int, step: int) -> list[list[int]]:
        """The task's plan; each number says the pass too."""
        return [[number + epoch * _EXAMPLES for number in plan] for plan in self.task.batches_in_epoch(epoch, step)]

    def prepare(self, numbers: list[int]) -> list[AuxiliaryPart[PartOfTexts]]:
        """The task's parts, each with a second copy in which pieces are hidden."""
        random = np.random.default_rng([self.seed, numbers[0] // _EXAMPLES, *(n % _EXAMPLES for n in numbers)])
        return [self._hide(part, random) for part in self.task.prepare([number % _EXAMPLES for number in numbers])]

    def _hide(self, part: PartOfTexts, random: np.random.Generator) -> AuxiliaryPart[PartOfTexts]:
        width = part.input_ids.shape[1]
        texts = [mask_pieces(row, self.masking, random) for row in part.input_ids.numpy()]
        ids = torch.from_numpy(np.stack([text.ids for text in texts]))
        positions = np.concatenate([text.positions + width * row for row, text in enumerate(texts)])
        labels = np.concatenate([text.labels for text in texts])
        return AuxiliaryPart(part, ids, torch.from_numpy(positions), torch.from_numpy(labels))

    def losses(self, model: nn.Module, part: AuxiliaryPart[PartOfTexts], totals: Sequence[float]) -> dict[str, Tensor]:
        """The task's losses, and the weighted cross-entropy over the hidden pieces."""
        helped = cast(Helped, model)
        head = cast(MaskedLmHead, helped.helpers["masked_lm"])
        encoder = helped.model.bert
        states = encoder(part.input_ids, part.own.attention_mask, part.own.token_type_ids, output_hidden_states=True)
        # What the last layer gives, whether or not the task reads a mix of layers: the head was trained on that.
        logits = head(at_positions(states.hidden_states[-1], part.positions), encoder.embeddings.word.weight)
        missed = F.cross_entropy(logits.float(), part.labels, reduction="sum") / max(totals[-1], 1.0)
        return {**self.task.losses(model, part.own, totals[:-1]), "masked_lm": self.weight * missed}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """The task's figures."""
        return self.task.evaluate(model)

    def save(self, model: nn.Module, path: str) -> None:
        """As the task does, without the head for masked language modelling."""
        self.task.save(own_network(model), path)
