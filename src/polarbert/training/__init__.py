"""Training, from Python: `FineTuning`, `Pretraining` and `adapt` do all that the commands do; below them is the loop.

Needs the extra `[train]`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from polarbert.errors import MissingExtraError
from polarbert.training.recipe import FineTuneSettings
from polarbert.training.settings import TrainSettings

if TYPE_CHECKING:
    from polarbert.training.adaptation import adapt
    from polarbert.training.finetune import FineTuneResult, FineTuning
    from polarbert.training.pretrain import Pretraining
    from polarbert.training.pretraining_recipe import PretrainSettings

__all__ = [
    "FineTuneResult",
    "FineTuneSettings",
    "FineTuning",
    "PretrainSettings",
    "Pretraining",
    "TrainSettings",
    "adapt",
]

_HOMES = {
    "FineTuneResult": "polarbert.training.finetune",
    "FineTuning": "polarbert.training.finetune",
    "PretrainSettings": "polarbert.training.pretraining_recipe",
    "Pretraining": "polarbert.training.pretrain",
    "adapt": "polarbert.training.adaptation",
}


def __getattr__(name: str) -> Any:
    """Load what needs torch when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "onnx", "safetensors", "pyarrow"):
            raise
        raise MissingExtraError(f"polarbert.training.{name}", "train") from None
