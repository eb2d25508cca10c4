"""Where a network is trained, and how precisely it computes there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import nn

from polarbert.errors import UsageError
from polarbert.training.recipe import DEVICES

Precision = Callable[[], AbstractContextManager[object]]


def choose_device(name: str = "auto") -> torch.device:
    """The device that `name` leads to: "cpu", "cuda", or "auto" for a GPU where there is one.

    Raises:
        UsageError: when there is no such device here.
    """
    if name not in DEVICES:
        raise UsageError(f"there is no device {name!r}; it can be {', '.join(DEVICES)}")
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        why = (
            "this PyTorch is built for processors only; install a build with CUDA, or take"
            if torch.version.cuda is None
            else "PyTorch finds no GPU here; look at the driver, or take"
        )
        raise UsageError(f"the device cuda cannot be used: {why} the device cpu")
    return torch.device("cuda" if has_cuda and name != "cpu" else "cpu")


def choose_precision(name: str, device: str) -> str:
    """What "auto" comes to on a device: "bf16" where the hardware computes in it, otherwise "fp32"."""
    if name != "auto":
        return name
    return "bf16" if has_bf16(device) else "fp32"


def make_precision(model: nn.Module, precision: str) -> Precision:
    """A maker of contexts in which to compute: bf16 where asked for, or where the processor has it."""
    device = next(model.parameters()).device.type
    if choose_precision(precision, device) == "fp32":
        return nullcontext
    return lambda: torch.autocast(device, torch.bfloat16)


def has_bf16(device: str) -> bool:
    """True where bf16 matrix products are computed by the hardware rather than imitated."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
