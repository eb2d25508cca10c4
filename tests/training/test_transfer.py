"""The settings of transfer learning: what is refused, and what is written of them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from polarbert.errors import TrainingError, UsageError
from polarbert.training.config import read_settings, to_toml
from polarbert.training.settings import TrainSettings
from polarbert.training.transfer import TransferSettings

ALL_CHANGED: dict[str, Any] = {
    "layers": "mix",
    "layer_count": 2,
    "keep_layers": 3,
    "head_rate": 3.0,
    "dropout": 0.05,
    "layer_decay": 0.5,
    "unfreeze": 0.25,
    "auxiliary_lm": 0.1,
    "teacher": "a/bundle",
    "teacher_weight": 0.75,
    "temperature": 4.0,
    "hidden_weight": 1.0,
}


def test_what_differs_from_the_defaults_is_told_and_nothing_else() -> None:
    assert TransferSettings().to_dict() == {}
    assert TransferSettings(**ALL_CHANGED).to_dict() == ALL_CHANGED
    assert set(ALL_CHANGED) | {"frozen"} == {field.name for field in fields(TransferSettings)}


def test_a_file_holds_all_of_it(tmp_path: Path) -> None:
    file = tmp_path / "transfer.toml"
    for settings in (TransferSettings(), TransferSettings(frozen=True), TransferSettings(**ALL_CHANGED)):
        file.write_text(to_toml(settings), "utf-8")
        assert read_settings(file, TransferSettings) == settings


def test_a_file_with_a_mistake_is_named(tmp_path: Path) -> None:
    file = tmp_path / "transfer.toml"
    file.write_text('layers = "lsat"', "utf-8")
    with pytest.raises(UsageError, match=r"transfer\.toml: settings: \[transfer\] layers must be .* not 'lsat'"):
        read_settings(file, TransferSettings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": "first"}, "layers must be last, sum, mix or concat, not 'first'"),
        ({"layer_count": 0}, "layer_count must be 1 or more"),
        ({"keep_layers": -1}, "keep_layers must be 0"),
        ({"head_rate": 0.0}, "head_rate must be above 0"),
        ({"head_rate": float("inf")}, "head_rate must be above 0 and finite"),
        ({"frozen": True, "head_rate": 2.0}, "head_rate is about how they learn"),
        ({"dropout": 1.0}, r"dropout must be a share in \[0, 1\), not 1.0"),
        ({"dropout": float("nan")}, "dropout must be a share"),
        ({"layer_decay": 0.0}, "layer_decay must be above 0 and at most 1"),
        ({"layer_decay": 1.5}, "layer_decay must be above 0 and at most 1"),
        ({"unfreeze": 1.0}, r"unfreeze must be a share of the run in \[0, 1\)"),
        ({"auxiliary_lm": -0.1}, "auxiliary_lm must be 0 or more"),
        ({"auxiliary_lm": float("nan")}, "auxiliary_lm must be 0 or more, and finite"),
        ({"teacher": "t", "teacher_weight": 1.1}, "teacher_weight must be from 0 to 1"),
        ({"teacher": "t", "temperature": 0.0}, "temperature must be above 0"),
        ({"teacher": "t", "hidden_weight": float("inf")}, "hidden_weight must be 0 or more, and finite"),
        ({"teacher": "t", "teacher_weight": 0.0}, "teaches nothing"),
        ({"temperature": 3.0}, "temperature is about a teacher, and there is none"),
        ({"hidden_weight": 1.0}, "hidden_weight is about a teacher, and there is none"),
        ({"frozen": True, "layer_decay": 0.9}, "layer_decay is about how they learn"),
        ({"frozen": True, "unfreeze": 0.5}, "unfreeze is about how they learn"),
        ({"frozen": True, "auxiliary_lm": 0.5}, "auxiliary_lm is about how they learn"),
        ({"frozen": True, "teacher": "t", "hidden_weight": 0.5}, "hidden_weight is about how they learn"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=rf"settings: \[transfer\] .*{message}"):
        TransferSettings(**options)


def test_a_frozen_encoder_has_a_rate_of_its_own_unless_one_was_chosen() -> None:
    frozen, chosen = TransferSettings(frozen=True), TrainSettings(learning_rate=3e-4)
    assert frozen.suited(TrainSettings(epochs=2)) == TrainSettings(epochs=2, learning_rate=1e-3)
    assert frozen.suited(chosen) == chosen
    assert TransferSettings().suited(TrainSettings()) == TrainSettings()


def test_each_option_names_its_paper() -> None:
    """But for sizes of an option that is named beside them."""
    text = TransferSettings.__doc__ or ""
    arguments = text.split("Args:\n")[1].split("Raises:")[0].split("\n        ")
    described = dict.fromkeys((field.name for field in fields(TransferSettings)), "")
    current = ""
    for line in arguments:
        name = line.strip().split(":")[0]
        current = name if name in described else current
        if current:
            described[current] += line
    without = {name for name, words in described.items() if "20" not in words}
    assert without == {"layer_count"}
