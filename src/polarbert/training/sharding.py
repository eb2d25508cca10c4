"""Weights, gradients and moments spread over processes, for networks too large to be copied to each (FSDP)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

_MOMENTS = ("exp_avg", "exp_avg_sq")


def shard(model: nn.Module, device: torch.device, processes: int) -> nn.Module:
    """Divide every parameter over the processes, layer by layer (Zhao et al. 2023; FSDP2).

    A layer's parameters are whole only while it computes. The network is changed in place.

    Args:
        model: a network with a `bert` encoder.
        device: what it is on.
        processes: how many share it.
    """
    # Of no concern here: nothing is changed in place in what a layer gives.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    mesh = init_device_mesh(device.type, (processes,))
    for layer in model.get_submodule("bert.layers").children():
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def is_sharded(model: nn.Module) -> bool:
    """True for a network that went through `shard`."""
    return isinstance(model, FSDPModule)


@contextmanager
def unreduced(model: nn.Module) -> Iterator[None]:
    """Keep each process's gradients to itself inside the block; they are added up with those that come after it."""
    sharded = cast(FSDPModule, model)
    sharded.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        sharded.set_requires_gradient_sync(True)


def whole_weights(model: nn.Module) -> dict[str, Tensor]:
    """Every weight in full, on the processor; all processes must ask together."""
    return {
        name: (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().cpu()
        for name, tensor in model.state_dict().items()
    }


def save_shards(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Write what each process holds of weights and moments, in a safetensors file of its own; all must call.

    Args:
        folder: an empty directory that all processes see.
        model: a sharded network.
        optimizer: AdamW, after a step at least.
    """
    writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
    with _quiet():
        save(_state(model, optimizer), storage_writer=writer)


def load_shards(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Read what `save_shards` wrote, whatever the number of processes was then; all must call."""
    reader = HuggingFaceStorageReader(str(folder))
    stored = reader.read_metadata().state_dict_metadata
    for name, parameter in _trained(model).items():
        if f"optimizer.{name}.step" in stored:  # a parameter that no loss depends on has no moments
            optimizer.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32),
                **{moment: torch.zeros_like(parameter) for moment in _MOMENTS},
            }
    with _quiet():  # into the tensors as they are, so that nothing is left to be put in its place
        load(_state(model, optimizer), storage_reader=reader)


def _state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    moments = {
        f"optimizer.{name}.{moment}": value
        for name, parameter in _trained(model).items()
        for moment, value in optimizer.state.get(parameter, {}).items()
    }
    return {f"model.{name}": tensor for name, tensor in model.state_dict().items()} | moments


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what PyTorch says about its own choices."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
