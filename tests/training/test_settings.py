"""The knobs of a run and their ranges."""

from __future__ import annotations

import json
from typing import Any

import pytest

from polarbert.errors import TrainingError
from polarbert.training.settings import TrainSettings


@pytest.mark.parametrize("name", ["epochs", "batch_tokens", "learning_rate", "max_gradient_norm", "evaluations"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_what_must_be_above_zero(name: str, value: float) -> None:
    changed: dict[str, Any] = {name: value}
    with pytest.raises(TrainingError, match=name):
        TrainSettings(**changed)


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0])
def test_warmup_is_a_share_below_one(share: float) -> None:
    with pytest.raises(TrainingError, match="warmup_share"):
        TrainSettings(warmup_share=share)


@pytest.mark.parametrize("name", ["epochs", "learning_rate"])
def test_what_must_be_finite(name: str) -> None:
    changed: dict[str, Any] = {name: float("inf")}
    with pytest.raises(TrainingError, match=f"{name} must be finite"):
        TrainSettings(**changed)


@pytest.mark.parametrize(
    ("name", "value"), [("weight_decay", -0.1), ("seed", -1), ("seed", 2**32), ("threads", -1), ("patience", 0)]
)
def test_other_values_out_of_range(name: str, value: float) -> None:
    changed: dict[str, Any] = {name: value}
    with pytest.raises(TrainingError, match=f"settings: {name} must be"):
        TrainSettings(**changed)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"auto, bf16 or fp32.*fp16"):
        TrainSettings(precision="fp16")


@pytest.mark.parametrize("values", [{}, {"epochs": 0.5, "warmup_share": 0.0, "precision": "bf16", "seed": 9}])
def test_settings_pass_through_json_unchanged(values: dict[str, Any]) -> None:
    settings = TrainSettings(**values)
    assert TrainSettings(**json.loads(json.dumps(settings.to_dict()))) == settings
