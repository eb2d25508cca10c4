"""Every knob of a training run, in one typed place."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from polarbert.errors import TrainingError


@dataclass(frozen=True)
class TrainSettings:
    """How to train; the defaults suit fine-tuning (BERT, appendix A.3) with batches counted in pieces.

    Args:
        epochs: passes over the data; parts of a pass are allowed.
        steps: steps of the optimizer, in place of `epochs`; None to count passes.
        batch_tokens: most pieces in a batch, padding included.
        learning_rate: its peak.
        warmup_share: share of all steps in which the rate climbs from 0 to its peak; then it falls to 0, linearly.
        weight_decay: AdamW's decay; biases and norms are left out.
        max_gradient_norm: gradients are scaled down to this length.
        seed: of batch order, new weights and dropout.
        precision: "auto" (bf16 where the processor computes in it), "bf16" or "fp32".
        evaluations: how often the dev parts are scored, over the whole run.
        patience: evaluations without a better score after which the run ends; None for never.
        checkpoint_seconds: time between checkpoints.
        keep_checkpoints: how many of the last ones are kept.
        threads: processor threads; 0 for PyTorch's own choice.

    Raises:
        TrainingError: when a value is out of range.
    """

    epochs: float = 3.0
    steps: int | None = None
    batch_tokens: int = 1536
    learning_rate: float = 5e-5
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    seed: int = 1
    precision: str = "auto"
    evaluations: int = 8
    patience: int | None = None
    checkpoint_seconds: float = 120.0
    keep_checkpoints: int = 1
    threads: int = 0

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise TrainingError(f"settings: steps must be 1 or more, not {self.steps!r}")
        for name in ("epochs", "batch_tokens", "learning_rate", "max_gradient_norm", "evaluations", "keep_checkpoints"):
            if not getattr(self, name) > 0:
                raise TrainingError(f"settings: {name} must be above 0, not {getattr(self, name)!r}")
        for name in ("epochs", "learning_rate"):
            if not math.isfinite(getattr(self, name)):
                raise TrainingError(f"settings: {name} must be finite, not {getattr(self, name)!r}")
        if self.patience is not None and self.patience < 1:
            raise TrainingError(f"settings: patience must be 1 or more evaluations, not {self.patience!r}")
        for name in ("weight_decay", "seed", "checkpoint_seconds", "threads"):
            if not getattr(self, name) >= 0:
                raise TrainingError(f"settings: {name} must be 0 or more, not {getattr(self, name)!r}")
        if self.seed >= 2**32:
            raise TrainingError(f"settings: seed must be below {2**32:,}, not {self.seed:,}")
        if not 0 <= self.warmup_share < 1:
            raise TrainingError(f"settings: warmup_share must be in [0, 1), not {self.warmup_share!r}")
        if self.precision not in ("auto", "bf16", "fp32"):
            raise TrainingError(f"settings: precision must be auto, bf16 or fp32, not {self.precision!r}")

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON has them."""
        return asdict(self)
