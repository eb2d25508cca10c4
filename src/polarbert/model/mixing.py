"""One vector at each position out of those of several layers (BERT, table 7; Peters et al. 2018, equation 1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polarbert.model.config import BertConfig


class LayerMix(nn.Module):
    """Puts the outputs of the last layers together.

    - "sum": their sum (BERT, table 7).
    - "mix": their mean, weighted by the softmax of learned numbers, times a learned scale (Peters et al. 2018,
      equation 1). It starts as the plain mean.
    - "concat": one after the other (BERT, table 7), brought back to the width of one by a learned dense layer, which
      starts as their mean. A linear output layer over it can say all that one over the long vector could, as long as
      there are no more labels than the network is wide.

    Args:
        config: of a network whose `layer_mix` is one of these; `layer_mix_count` says how many layers.

    Example:
        >>> mix = LayerMix(BertConfig.tiny(layer_mix="sum", layer_mix_count=2))
        >>> mix([torch.zeros(1, 3, 128), torch.ones(1, 3, 128), torch.ones(1, 3, 128)])[0, 0, 0]
        tensor(2.)
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.kind, self.count = config.layer_mix, config.layer_mix_count
        if self.kind == "mix":
            self.scores = nn.Parameter(torch.zeros(self.count))
            self.scale = nn.Parameter(torch.ones(()))
        elif self.kind == "concat":
            self.dense = nn.Linear(self.count * config.hidden_size, config.hidden_size)
            with torch.no_grad():
                self.dense.weight.copy_(torch.eye(config.hidden_size).repeat(1, self.count) / self.count)
                self.dense.bias.zero_()

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """Mix the last `count` of the L + 1 tensors (..., H), from the embeddings on, into one (..., H)."""
        chosen = states[len(states) - self.count :]
        if self.kind == "concat":
            projected: Tensor = self.dense(torch.cat(list(chosen), dim=-1))
            return projected
        stacked = torch.stack(list(chosen))  # (count, ..., H)
        if self.kind == "sum":
            return stacked.sum(0)
        shares = self.scores.softmax(0)
        mixed: Tensor = self.scale * torch.tensordot(shares.to(stacked.dtype), stacked, dims=1)
        return mixed
