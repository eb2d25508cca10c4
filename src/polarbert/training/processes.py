"""The processes that train one network together, as `torchrun` starts them; usually there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from polarbert.errors import UsageError
from polarbert.training.sharding import is_sharded, shard, unreduced

_TIMEOUT = timedelta(minutes=30)  # of one process waiting for another that evaluates or writes


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: its number; number 0 writes the files.
        size: how many there are.
        sharding: the network is spread over them rather than copied to each.

    Example:
        >>> Processes().share([4, 5, 6])
        [4, 5, 6]
        >>> Processes(rank=1, size=2).share([4, 5, 6])
        [5]
    """

    rank: int = 0
    size: int = 1
    sharding: bool = False

    @property
    def is_first(self) -> bool:
        """True for the process that writes the files."""
        return self.rank == 0

    def share(self, numbers: list[int]) -> list[int]:
        """What this process computes of a batch: every `size`-th example, so that long and short ones are dealt out."""
        return numbers[self.rank :: self.size]

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each value summed over all processes; the same in each of them, to the bit."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=_device_of_group())
        dist.all_reduce(total)
        return cast("list[float]", total.tolist())

    def most(self, value: int) -> int:
        """The largest value of all processes where the network is spread over them; otherwise the value itself."""
        if self.size == 1 or not self.sharding:
            return value
        largest = torch.tensor(value, device=_device_of_group())
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return int(largest)

    def of_first(self, values: Sequence[float]) -> list[float]:
        """What process 0 has."""
        return self.sum(values if self.is_first else [0.0] * len(values))

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """A tensor of each process, all of one shape, in the order of their ranks."""
        if self.size == 1:
            return [tensor]
        device = _device_of_group()
        found = [torch.empty_like(tensor, device=device) for _ in range(self.size)]
        dist.all_gather(found, tensor.to(device))
        return [one.cpu() for one in found]

    def spread(self, model: nn.Module) -> nn.Module:
        """The network whose gradients are averaged over the processes: a copy in each (DDP), or a part (FSDP).

        With a part in each, `model` itself is changed.
        """
        if self.size == 1:
            return model
        device = next(model.parameters()).device
        if self.sharding:
            return shard(model, device, self.size)
        return DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.size > 1:
            dist.barrier()


def unsynchronised(model: nn.Module) -> AbstractContextManager[None]:
    """A block in which gradients are added up in each process alone."""
    if isinstance(model, DistributedDataParallel):
        return cast("AbstractContextManager[None]", model.no_sync())
    return unreduced(model) if is_sharded(model) else nullcontext()


@contextmanager
def joined(device: torch.device | None = None, sharding: bool = False) -> Iterator[Processes]:
    """The processes that `torchrun` started, joined inside the block; this one alone where it started none.

    Args:
        device: what to train on; on a GPU each process takes the one of its local rank.
        sharding: spread the network over them; without effect on one alone.

    Raises:
        UsageError: when the surroundings are not those that `torchrun` makes.

    Example:
        >>> with joined() as processes:
        ...     processes.size
        1
    """
    size = _number("WORLD_SIZE", 1)
    if size == 1:
        yield Processes()
        return
    backend = "gloo"
    if device is not None and device.type == "cuda":
        torch.cuda.set_device(_number("LOCAL_RANK", 0))
        backend = "nccl"
    dist.init_process_group(backend, timeout=_TIMEOUT)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), sharding)
    finally:
        dist.destroy_process_group()


def is_first_here() -> bool:
    """True for the process that talks: the first that `torchrun` started, or the only one; before they have joined."""
    return _number("RANK", 0) == 0


def _device_of_group() -> torch.device:
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


def _number(name: str, usual: int) -> int:
    value = os.environ.get(name, str(usual))
    if not value.isdecimal():
        raise UsageError(f"the environment variable {name} must be a number, as torchrun sets it, not {value!r}")
    return int(value)
