"""Examples and the tensors of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from polarbert.errors import TrainingError


@dataclass(frozen=True)
class Example:
    """One text ready for the network.

    Attributes:
        ids: piece ids with [CLS] and [SEP].
        label: class number.
        choices: the classes its annotators could choose among; None for all. A text from a collection without a
            neutral label teaches nothing about neutral.
        second_at: where the second segment starts in `ids`; None when there is one segment.
        value: the number to be learned, in a regression.
        shares: of each class, the share of its annotators that chose it, where they did not agree; None for all of
            them on `label`, which is the likeliest one.

    Raises:
        TrainingError: when the label is none of its own choices, as its loss would be infinite; or the shares are none.
    """

    ids: Sequence[int]
    label: int
    choices: tuple[int, ...] | None = None
    second_at: int | None = None
    value: float = 0.0
    shares: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.choices is not None and self.label not in self.choices:
            raise TrainingError(f"an example has the label {self.label}, which is none of its choices {self.choices}")
        if self.shares is None:
            return
        if self.choices is not None:
            raise TrainingError("an example has shares and choices; shares are of all classes, so give one of them")
        # Written so that a share that is no number is refused too.
        if not (min(self.shares, default=0) >= 0 and abs(sum(self.shares) - 1) <= 1e-4):
            raise TrainingError(f"an example has the shares {self.shares}; none is below 0, and they add up to 1")
        if not (0 <= self.label < len(self.shares) and self.shares[self.label] >= max(self.shares) - 1e-4):
            raise TrainingError(
                f"an example has the label {self.label} and the shares {self.shares}, by which another "
                "class is likelier"
            )


@dataclass
class Batch:
    """Tensors of a batch; B texts, T pieces in the longest, C classes.

    Attributes:
        input_ids: (B, T).
        attention_mask: (B, T) bool, or None when no text is padded.
        token_type_ids: (B, T).
        labels: (B,).
        values: (B,) float32.
        allowed: (B, C) bool, False at classes that are no choice.
        tokens: pieces without padding.
        shares: (B, C) float32, what is to be learned of each class; None where every text has one class.
    """

    input_ids: Tensor
    attention_mask: Tensor | None
    token_type_ids: Tensor
    labels: Tensor
    values: Tensor
    allowed: Tensor
    tokens: int
    shares: Tensor | None = None

    @property
    def counts(self) -> tuple[int]:
        """Its texts: what the mean of a batch is over."""
        return (len(self.labels),)

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        mask = None if self.attention_mask is None else self.attention_mask.to(device)
        labels, values, allowed = self.labels.to(device), self.values.to(device), self.allowed.to(device)
        segments = self.token_type_ids.to(device)
        shares = None if self.shares is None else self.shares.to(device)
        return Batch(self.input_ids.to(device), mask, segments, labels, values, allowed, self.tokens, shares)


def collate(examples: Sequence[Example], classes: int, pad_id: int) -> Batch:
    """Pad examples to the longest among them and stack them."""
    longest = max(len(example.ids) for example in examples)
    ids = torch.full((len(examples), longest), pad_id, dtype=torch.long)
    segments = torch.zeros_like(ids)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    allowed = torch.ones((len(examples), classes), dtype=torch.bool)
    for row, example in enumerate(examples):
        length = len(example.ids)
        ids[row, :length] = torch.as_tensor(example.ids, dtype=torch.long)
        mask[row, :length] = True
        if example.second_at is not None:
            segments[row, example.second_at : length] = 1
        if example.choices is not None:
            allowed[row] = False
            allowed[row, list(example.choices)] = True
    labels = torch.tensor([example.label for example in examples])
    values = torch.tensor([example.value for example in examples], dtype=torch.float32)
    tokens = sum(len(example.ids) for example in examples)
    shares = _shares(examples, classes)
    return Batch(ids, None if bool(mask.all()) else mask, segments, labels, values, allowed, tokens, shares)


def _shares(examples: Sequence[Example], classes: int) -> Tensor | None:
    """(B, C) what is to be learned of each class; None where every text has one class."""
    if all(example.shares is None for example in examples):
        return None
    certain = [tuple(float(number == example.label) for number in range(classes)) for example in examples]
    return torch.tensor([example.shares or sure for example, sure in zip(examples, certain, strict=True)])
