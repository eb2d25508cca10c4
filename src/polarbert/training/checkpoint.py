"""Checkpoints: everything a run needs to go on as if it had never stopped, without a pickle."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from polarbert.errors import TrainingError


@dataclass
class Position:
    """Where a run stands.

    Attributes:
        step: optimizer steps done.
        best_score: best dev score so far.
        best_step: the step it was reached at.
        tokens: pieces trained on.
        seconds: time spent training.
    """

    step: int = 0
    best_score: float = float("-inf")
    best_step: int = 0
    tokens: int = 0
    seconds: float = 0.0


def save_checkpoint(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, position: Position) -> None:
    """Write a checkpoint beside the last one, then put it in the last one's place in one step."""
    new, old = folder.with_name(f"{folder.name}.new"), folder.with_name(f"{folder.name}.old")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    state = optimizer.state_dict()
    moments = {
        f"optimizer.{number}.{name}": value.contiguous()
        for number, values in state["state"].items()
        for name, value in values.items()
    }
    weights = {f"model.{name}": tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights | moments | {"rng": torch.get_rng_state()}, str(new / "state.safetensors"))
    (new / "position.json").write_text(json.dumps(asdict(position)), "utf-8")
    for file in new.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    if folder.exists():  # otherwise `old` is the last good one, and stays until the new one is in place
        shutil.rmtree(old, ignore_errors=True)
        os.rename(folder, old)
    os.rename(new, folder)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Position | None:
    """Restore the last complete checkpoint; None when there is none.

    Raises:
        TrainingError: when the checkpoint is damaged or does not fit the model.
    """
    old = folder.with_name(f"{folder.name}.old")
    found = next((place for place in (folder, old) if (place / "position.json").is_file()), None)
    if found is None:
        return None
    try:
        position = Position(**json.loads((found / "position.json").read_text("utf-8")))
        tensors = load_file(str(found / "state.safetensors"))
        random_state = tensors.pop("rng")
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise TrainingError(f"{found}: the checkpoint is damaged ({error}); start a new run directory") from error
    weights = {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise TrainingError(f"{found}: the checkpoint is of another model; start a new run directory") from error
    state = optimizer.state_dict()
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, number, field = name.split(".")
            moments.setdefault(int(number), {})[field] = tensor
    optimizer.load_state_dict({"state": moments, "param_groups": state["param_groups"]})
    torch.set_rng_state(random_state)
    return position
