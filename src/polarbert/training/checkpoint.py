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
from torch.distributed.checkpoint.api import CheckpointException

from polarbert.errors import TrainingError
from polarbert.files import flush_to_disk
from polarbert.model.weights import write_tensors
from polarbert.training.processes import Processes
from polarbert.training.run import saving
from polarbert.training.sharding import is_sharded, load_shards, save_shards

SHARDS = "shards"  # what each process holds, where the network is spread over several


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
        epoch: the pass over the data.
        batch: batches of this pass done.
    """

    step: int = 0
    best_score: float = float("-inf")
    best_step: int = 0
    stale: int = 0
    tokens: int = 0
    seconds: float = 0.0
    epoch: int = 0
    batch: int = 0


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    position: Position,
    keep: int = 1,
    processes: Processes | None = None,
) -> None:
    """Write a checkpoint beside the last one, then put it in the last one's place in one step.

    Args:
        folder: the last checkpoint; those before it, where they are kept, are called `folder`-step.
        model: its weights.
        optimizer: its moments.
        position: where the run stands.
        keep: how many of the last checkpoints are kept.
        processes: those that train together. All must call; the first one writes.

    Raises:
        TrainingError: when the disk does not take it; the last one stays.
    """
    processes = processes or Processes()
    new = folder.with_name(f"{folder.name}.new")
    state = _random_state(model, processes)
    if not is_sharded(model):
        state |= _whole_state(model, optimizer)
    with saving(folder):
        try:
            if processes.is_first:
                _write(new, state, position)
            if is_sharded(model):
                processes.wait()
                save_shards(new / SHARDS, model, optimizer)
                processes.wait()
            if processes.is_first:
                _replace(folder, new, keep)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)  # half a checkpoint is of no use, and its room may be needed
            raise


def _replace(folder: Path, new: Path, keep: int) -> None:
    """Put the new checkpoint, once it is safe on the disk, in the place of the last."""
    for file in new.rglob("*"):
        if file.is_file():
            flush_to_disk(file)
    old = folder.with_name(f"{folder.name}.old")
    if folder.exists():  # otherwise `old` is the last good one, and stays until the new one is in place
        shutil.rmtree(old, ignore_errors=True)
        os.rename(folder, old)
    os.rename(new, folder)
    _retire(folder, old, keep)


def _retire(folder: Path, old: Path, keep: int) -> None:
    """Keep the checkpoint before the last under its step, or drop it, and drop those that are too many."""
    if keep > 1 and (step := _step_of(old)) is not None:
        kept = folder.with_name(f"{folder.name}-{step:09}")
        shutil.rmtree(kept, ignore_errors=True)
        os.rename(old, kept)
    shutil.rmtree(old, ignore_errors=True)
    earlier = sorted(folder.parent.glob(f"{folder.name}-*"), reverse=True)
    for extra in earlier[keep - 1 :]:
        shutil.rmtree(extra, ignore_errors=True)


def _step_of(folder: Path) -> int | None:
    try:
        return int(json.loads((folder / "position.json").read_text("utf-8"))["step"])
    except (OSError, ValueError, KeyError):
        return None


def _write(folder: Path, state: dict[str, torch.Tensor], position: Position) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_tensors(state, folder / "state.safetensors")
    (folder / "position.json").write_text(json.dumps(asdict(position)), "utf-8")


def _whole_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Weights and moments."""
    moments = {
        f"optimizer.{number}.{name}": value.contiguous()
        for number, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }
    return {f"model.{name}": tensor.contiguous() for name, tensor in model.state_dict().items()} | moments


def _random_state(model: nn.Module, processes: Processes) -> dict[str, torch.Tensor]:
    """The generators that dropout draws from: each process's own, and that of the GPU which its model is on."""
    states = {"rng": processes.gather(torch.get_rng_state())}
    device = next(model.parameters()).device
    if device.type == "cuda":
        states["rng.cuda"] = processes.gather(torch.cuda.get_rng_state(device))
    return {_of_rank(name, rank): one for name, all_ranks in states.items() for rank, one in enumerate(all_ranks)}


def _of_rank(name: str, rank: int) -> str:
    return f"{name}.{rank}" if rank else name


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, processes: Processes | None = None
) -> Position | None:
    """Restore the last complete checkpoint; None when there is none.

    With more processes than it was written by, those beyond keep the random numbers they have.

    Raises:
        TrainingError: when the checkpoint is damaged or does not fit the model.
    """
    rank = (processes or Processes()).rank
    old = folder.with_name(f"{folder.name}.old")
    found = next((place for place in (folder, old) if (place / "position.json").is_file()), None)
    if found is None:
        return None
    try:
        position = _read_position(found)
        tensors = load_file(str(found / "state.safetensors"))
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise TrainingError(f"{found}: the checkpoint is damaged ({error}); start a new run directory") from error
    try:
        if is_sharded(model):
            load_shards(found / SHARDS, model, optimizer)
        else:
            _load_whole_state(tensors, model, optimizer)
    except (RuntimeError, ValueError, CheckpointException) as error:
        raise TrainingError(f"{found}: the checkpoint is of another model; start a new run directory") from error
    _restore_random_state(model, tensors, rank)
    return position


def _load_whole_state(tensors: dict[str, torch.Tensor], model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, number, field = name.split(".")
            moments.setdefault(int(number), {})[field] = tensor
    learned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for place, found in moments.items():  # PyTorch compares the sizes of groups alone
        shapes = {tuple(tensor.shape) for tensor in found.values() if tensor.ndim}
        if place >= len(learned) or shapes - {tuple(learned[place].shape)}:
            raise ValueError(f"parameter {place} of the optimizer has another shape")
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})


def _read_position(folder: Path) -> Position:
    values = json.loads((folder / "position.json").read_text("utf-8"))
    if "batch" not in values:
        raise KeyError("it does not say where in the data the run stands")
    return Position(**values)


def _restore_random_state(model: nn.Module, tensors: dict[str, torch.Tensor], rank: int) -> None:
    device = next(model.parameters()).device
    own, of_gpu = tensors.get(_of_rank("rng", rank)), tensors.get(_of_rank("rng.cuda", rank))
    if own is not None:
        torch.set_rng_state(own)
    if of_gpu is not None and device.type == "cuda":
        torch.cuda.set_rng_state(of_gpu, device)
