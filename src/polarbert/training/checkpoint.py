"""Checkpoints: everything a run needs to go on as if it had never stopped, without a pickle."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from polarbert.errors import TrainingError
from polarbert.files import flush_to_disk
from polarbert.model.weights import write_tensors
from polarbert.training.run import saving


@dataclass
class Position:
    """Where a run stands.

    Attributes:
        step: optimizer steps done.
        best_score: best dev score so far.
        best_step: the step it was reached at.
        stale: evaluations since then.
        tokens: pieces trained on.
        seconds: time spent training.
    """

    step: int = 0
    best_score: float = float("-inf")
    best_step: int = 0
    stale: int = 0
    tokens: int = 0
    seconds: float = 0.0


def save_checkpoint(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, position: Position) -> None:
    """Write a checkpoint beside the last one, then put it in the last one's place in one step.

    Raises:
        TrainingError: when the disk does not take it; the last one stays.
    """
    new, old = folder.with_name(f"{folder.name}.new"), folder.with_name(f"{folder.name}.old")
    with saving(folder):
        try:
            _write(new, model, optimizer, position)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)  # half a checkpoint is of no use, and its room may be needed
            raise
        if folder.exists():  # otherwise `old` is the last good one, and stays until the new one is in place
            shutil.rmtree(old, ignore_errors=True)
            os.rename(folder, old)
        os.rename(new, folder)
        shutil.rmtree(old, ignore_errors=True)


def _write(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, position: Position) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    moments = {
        f"optimizer.{number}.{name}": value.contiguous()
        for number, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }
    weights = {f"model.{name}": tensor.contiguous() for name, tensor in model.state_dict().items()}
    write_tensors(weights | moments | _random_state(model), folder / "state.safetensors")
    (folder / "position.json").write_text(json.dumps(asdict(position)), "utf-8")
    for file in folder.iterdir():
        flush_to_disk(file)


def _random_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """The generators that dropout draws from: the processor's, and that of the GPU which the model is on."""
    state = {"rng": torch.get_rng_state()}
    device = next(model.parameters()).device
    return state | ({"rng.cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


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
        random_state, cuda_state = tensors.pop("rng"), tensors.pop("rng.cuda", None)
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
    if cuda_state is not None and next(model.parameters()).device.type == "cuda":
        torch.cuda.set_rng_state(cuda_state, next(model.parameters()).device)
    return position
