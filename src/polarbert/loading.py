"""Which engine scores: a graph on the processor, or the network itself on a GPU."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from polarbert.bundle import Bundle
from polarbert.errors import BundleError, MissingExtraError, UsageError
from polarbert.inference.engine import WEIGHTS
from polarbert.inference.predictors import make_predictor

if TYPE_CHECKING:
    from polarbert.model.engine import TorchEngine

DEVICES = ("auto", "cpu", "cuda")
NEEDED = ("torch", "safetensors")


def load_predictor(
    bundle: Bundle,
    threads: int = 0,
    engine: str | None = None,
    device: str | None = None,
    min_confidence: float | None = None,
) -> Any:
    """The predictor that suits a bundle's task; the other arguments, and the errors, are those of `polarbert.load`."""
    device = settle_device(device, engine)
    on_device = torch_engine(bundle, device) if device == "cuda" else None
    return make_predictor(bundle, threads, on_device or engine, min_confidence)


def settle_device(device: str | None, engine: str | None = None) -> str | None:
    """What a request for a device comes to: "auto" is "cuda" where PyTorch is installed and finds a GPU, else "cpu".

    Raises:
        UsageError: when there is no such device, or an engine is named as well.
    """
    if device is not None and device not in DEVICES:
        raise UsageError(f"there is no device {device!r}; it can be {', '.join(DEVICES[:-1])} or {DEVICES[-1]}")
    if device is not None and engine is not None:
        raise UsageError(
            f"the device {device} and the engine {engine} both say what computes; give --device or --engine, not both"
        )
    return _found_device() if device == "auto" else device


def _found_device() -> str:
    if any(find_spec(name) is None for name in NEEDED):
        return "cpu"
    try:
        from polarbert.training.device import choose_device
    except (ImportError, OSError):  # a library that PyTorch needs may be broken or missing
        return "cpu"
    return choose_device("auto").type


def torch_engine(bundle: Bundle, device: str, precision: str = "auto") -> TorchEngine:
    """The network of a bundle on a device.

    Args:
        bundle: with its weights.
        device: "cpu" or "cuda".
        precision: "fp32", "bf16", or "auto" for bf16 where the device computes in it.

    Raises:
        MissingExtraError: when PyTorch is not installed, or cannot be loaded.
        UsageError: when there is no such device here.
        BundleError, WeightsError: when the weights are damaged, missing, or those of another model.
    """
    if any(find_spec(name) is None for name in NEEDED):
        raise MissingExtraError(f"The device {device}", "train")
    try:
        from polarbert.model.engine import TorchEngine
        from polarbert.model.kinds import head_of
        from polarbert.training.device import choose_device, choose_precision
    except (ImportError, OSError) as error:  # a library that PyTorch needs may be broken or missing
        raise MissingExtraError(f"The device {device}", "train", error) from error
    chosen = choose_device(device)
    bundle.verify(["config.json", WEIGHTS])
    network = head_of(bundle.task).from_pretrained(bundle.path)
    if network.labels != bundle.labels:
        raise BundleError(
            f"{bundle.path}: config.json names the labels {', '.join(network.labels)}, the manifest "
            f"{', '.join(bundle.labels)}. Copy or export the bundle again"
        )
    return TorchEngine(network, chosen, choose_precision(precision, chosen.type))
