"""What the tests of training share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from polarbert.training.loop import PartOfTask, Task


def loss_of(task: Task[PartOfTask], model: nn.Module, numbers: list[int]) -> tuple[Tensor, int]:
    """The loss that one step of the loop learns from, and its pieces without padding."""
    parts = task.prepare(numbers)
    totals = [float(sum(column)) for column in zip(*(part.counts for part in parts), strict=True)]
    losses = [loss for part in parts for loss in task.losses(model, part, totals).values()]
    return torch.stack(losses).sum(), sum(part.tokens for part in parts)
