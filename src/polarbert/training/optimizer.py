"""AdamW, its learning rate, and which parameters learn how fast and from when."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from polarbert.model import BertForTokenClassification
from polarbert.training.settings import TrainSettings
from polarbert.training.transfer import TransferSettings

MIX_RATE = 100.0  # the weights of a layer mix are single numbers that start at 0: at an encoder's rate they stay there
TAGGING_RATE = 10.0  # of a layer that tags words: docs/decisions/0012-fast-output-layer.md

_LAYER = re.compile(r"(?:^|\.)bert\.layers\.(\d+)\.")
_EMBEDDINGS = re.compile(r"(?:^|\.)bert\.embeddings\.")
_HEAD = re.compile(r"(?:^|\.)(?:classifier|qa_outputs)\.")
_MIX = re.compile(r"(?:^|\.)bert\.mix\.sc(?:ores|ale)$")
_FULL = (1.0, 0.0)  # the pace of a parameter that nothing holds back


def make_optimizer(
    model: nn.Module, settings: TrainSettings, transfer: TransferSettings | None = None
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) that decays matrices and leaves biases and norms alone (BERT, A.2).

    Each group of parameters has, beside what PyTorch puts there, a "scale" by which its rate is multiplied and a
    "start", the share of the run from which on it learns; see `set_pace`.

    Args:
        model: a network; what of it does not require gradients is left out.
        settings: rate and decay.
        transfer: rates of the output layer and by layer (Howard and Ruder 2018, section 3.2), and gradual unfreezing
            (section 3.3); None for its defaults.
    """
    transfer = transfer or TransferSettings()
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    layers, head = _count_layers(name for name, _ in model.named_parameters()), _head_rate(model, transfer)
    paces: dict[tuple[float, float], list[nn.Parameter]] = {_FULL: []}
    for name, parameter in named:
        paces.setdefault(_pace(name, layers, head, transfer), []).append(parameter)
    groups: list[dict[str, Any]] = []
    for scale, start in sorted(paces, key=lambda pace: (pace != _FULL, pace)):  # the first one's rate is the one shown
        parameters = paces[scale, start]
        for decay, chosen in (
            (settings.weight_decay, [p for p in parameters if p.ndim >= 2]),
            (0.0, [p for p in parameters if p.ndim < 2]),
        ):
            groups.append({"params": chosen, "weight_decay": decay, "scale": scale, "start": start})
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.999), eps=1e-6, fused=True)


def _count_layers(names: Iterable[str]) -> int:
    found = (_LAYER.search(name) for name in names)
    return max((int(match[1]) + 1 for match in found if match), default=0)


def _head_rate(model: nn.Module, transfer: TransferSettings) -> float:
    if transfer.frozen:
        return 1.0
    tags = any(isinstance(part, BertForTokenClassification) for part in model.modules())
    return transfer.head_rate or (TAGGING_RATE if tags else 1.0)


def _pace(name: str, layers: int, head: float, transfer: TransferSettings) -> tuple[float, float]:
    """The scale and the start of a parameter, by where it stands."""
    if _MIX.search(name):
        return MIX_RATE, 0.0
    if _HEAD.search(name):
        return head, 0.0
    below = _below_output(name, layers)
    scale = transfer.layer_decay ** max(0, below - 1)  # the last layer has the full rate, as the output layer does
    return scale, transfer.unfreeze * below / (layers + 1)


def _below_output(name: str, layers: int) -> int:
    """How far below the output layer: 1 for the last layer, more for each before it, the most for the embeddings."""
    if match := _LAYER.search(name):
        return layers - int(match[1])
    return layers + 1 if _EMBEDDINGS.search(name) else 0


def learning_rate(step: int, steps: int, settings: TrainSettings) -> float:
    """The rate of step `step` of `steps`: linear climb, then linear fall to zero (BERT, A.2)."""
    warmup = max(1, round(steps * settings.warmup_share))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    return settings.learning_rate * (steps - step) / max(1, steps - warmup)


def set_pace(optimizer: torch.optim.Optimizer, step: int, steps: int, settings: TrainSettings) -> None:
    """Give each group its rate at step `step` of `steps`; a group whose start has not come gets no gradient.

    What follows from the step alone needs no place in a checkpoint. Without a gradient AdamW passes a parameter over:
    neither the parameter nor its moments move, and the backward pass ends above it.
    """
    rate = learning_rate(step, steps, settings)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]
        if group["start"]:
            for parameter in group["params"]:
                parameter.requires_grad_(step >= group["start"] * steps)
