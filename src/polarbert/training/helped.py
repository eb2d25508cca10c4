"""A network with layers that help it learn and are left behind afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from polarbert.model.heads import BertWithHead


class Helped(nn.Module):
    """Computes what the network computes; optimizer and checkpoint see the helping layers too.

    Args:
        model: the network, which is what is saved in the end.
        helpers: layers that only the training uses, by name.
    """

    def __init__(self, model: BertWithHead, helpers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.model = model
        self.helpers = nn.ModuleDict(dict(helpers))

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the network gives."""
        return self.model(*inputs, **options)


def own_network(model: nn.Module) -> nn.Module:
    """The network alone, without what helps it."""
    return model.model if isinstance(model, Helped) else model
