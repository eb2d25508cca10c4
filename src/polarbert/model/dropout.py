"""Dropout that does not dominate training time on a CPU (Srivastava et al. 2014)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """Zero a share `rate` of the elements and scale up the rest.

    On a CPU one 64-bit random number decides eight elements, a byte each: PyTorch's own generator draws one number
    an element, which took a tenth of a training step. The rate is therefore rounded to 1/256 there
    (0.1 becomes 0.1016); the scale uses the rounded rate, so expectations stay exact.
    """
    if not training or rate == 0.0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, rate)
    threshold = min(round(rate * 256), 255)
    words = (x.numel() + 7) // 8
    bits = torch.randint(-(2**63), 2**63 - 1, (words,), dtype=torch.int64)
    keep = bits.view(torch.uint8)[: x.numel()].view(x.shape) >= threshold
    return x * keep.to(x.dtype).mul_(256 / (256 - threshold))


class Dropout(nn.Module):
    """`dropout` as a module: active in training mode only."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.rate, self.training)
