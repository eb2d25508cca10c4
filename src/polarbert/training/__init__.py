"""Training, from Python: `FineTuning` does all that `polarbert train` does; below it are the loop and its tasks.

Needs the extra `[train]`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from polarbert.errors import MissingExtraError
from polarbert.training.recipe import FineTuneSettings
from polarbert.training.settings import TrainSettings

if TYPE_CHECKING:
    from polarbert.training.finetune import FineTuneResult, FineTuning

__all__ = ["FineTuneResult", "FineTuneSettings", "FineTuning", "TrainSettings"]

_LAZY = ("FineTuneResult", "FineTuning")


def __getattr__(name: str) -> Any:
    """Load what needs torch when it is first used."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module("polarbert.training.finetune"), name)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "onnx", "safetensors"):
            raise
        raise MissingExtraError(f"polarbert.training.{name}", "train") from None
