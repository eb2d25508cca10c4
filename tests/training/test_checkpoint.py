"""Checkpoints: what they restore, and what a crash at the worst moment leaves."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from polarbert.errors import TrainingError
from polarbert.training.checkpoint import Position, load_checkpoint, save_checkpoint
from polarbert.training.optimizer import make_optimizer
from polarbert.training.settings import TrainSettings


class CrashError(Exception):
    """Stands for the power going."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint"


def trained(steps: int, width: int = 3) -> tuple[nn.Module, torch.optim.AdamW]:
    """A small network after some steps, always the same."""
    torch.manual_seed(0)
    model = nn.Linear(4, width)
    optimizer = make_optimizer(model, TrainSettings(learning_rate=0.1))
    for _ in range(steps):
        step(model, optimizer)
    return model, optimizer


def step(model: nn.Module, optimizer: torch.optim.AdamW) -> None:
    model(torch.randn(5, 4)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_weights_optimizer_random_numbers_and_position_return(folder: Path) -> None:
    model, optimizer = trained(3)
    save_checkpoint(folder, model, optimizer, Position(3, 0.75, 2, 1, 99, 1.5))
    for _ in range(4):
        step(model, optimizer)

    again, its_optimizer = trained(0)
    assert load_checkpoint(folder, again, its_optimizer) == Position(3, 0.75, 2, 1, 99, 1.5)
    for _ in range(4):
        step(again, its_optimizer)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_a_run_that_has_not_been_judged_yet_returns_too(folder: Path) -> None:
    save_checkpoint(folder, *trained(1), Position(step=1))
    assert load_checkpoint(folder, *trained(0)) == Position(step=1)


def test_nothing_saved_is_none(folder: Path) -> None:
    assert load_checkpoint(folder, *trained(0)) is None


def test_no_pickle_is_written(folder: Path) -> None:
    save_checkpoint(folder, *trained(1), Position(step=1))
    assert sorted(file.name for file in folder.iterdir()) == ["position.json", "state.safetensors"]
    assert list(folder.parent.iterdir()) == [folder]


def test_a_checkpoint_of_another_model_is_refused(folder: Path) -> None:
    save_checkpoint(folder, *trained(1), Position(step=1))
    with pytest.raises(TrainingError, match=r"another model.*new run directory"):
        load_checkpoint(folder, *trained(0, width=7))


@pytest.mark.parametrize("name", ["state.safetensors", "position.json"])
def test_a_damaged_checkpoint_is_refused(folder: Path, name: str) -> None:
    save_checkpoint(folder, *trained(1), Position(step=1))
    file = folder / name
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(TrainingError, match="checkpoint is damaged"):
        load_checkpoint(folder, *trained(0))


def crash_at(monkeypatch: pytest.MonkeyPatch, function: str, call: int) -> None:
    """Let the `call`-th call of os.<function> be the last thing that happens."""
    real, calls = getattr(os, function), iter(range(1, 100))

    def crash(*arguments: object) -> None:
        if next(calls) == call:
            raise CrashError
        real(*arguments)

    monkeypatch.setattr(os, function, crash)


@pytest.mark.parametrize(("function", "call"), [("fsync", 1), ("fsync", 2), ("rename", 1), ("rename", 2)])
def test_a_crash_while_saving_leaves_the_last_checkpoint(
    folder: Path, monkeypatch: pytest.MonkeyPatch, function: str, call: int
) -> None:
    save_checkpoint(folder, *trained(1), Position(step=1))
    with monkeypatch.context() as patch:
        crash_at(patch, function, call)
        with pytest.raises(CrashError):
            save_checkpoint(folder, *trained(2), Position(step=2))
    model, optimizer = trained(0)
    assert load_checkpoint(folder, model, optimizer) == Position(step=1)
    assert torch.equal(next(model.parameters()), next(trained(1)[0].parameters()))

    save_checkpoint(folder, *trained(3), Position(step=3))
    assert load_checkpoint(folder, *trained(0)) == Position(step=3)
    assert list(folder.parent.iterdir()) == [folder]


def test_a_second_crash_at_the_worst_moment_loses_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(folder, *trained(1), Position(step=1))
    for last, call in ((2, 2), (3, 1)):  # the first crash leaves no `folder`, so the second save renames once
        with monkeypatch.context() as patch:
            crash_at(patch, "rename", call)
            with pytest.raises(CrashError):
                save_checkpoint(folder, *trained(last), Position(step=last))
        assert load_checkpoint(folder, *trained(0)) == Position(step=1)


def test_an_old_checkpoint_left_by_a_crash_is_in_nobodys_way(folder: Path) -> None:
    save_checkpoint(folder, *trained(1), Position(step=1))
    shutil.copytree(folder, folder.with_name("checkpoint.old"))
    save_checkpoint(folder, *trained(2), Position(step=2))
    assert load_checkpoint(folder, *trained(0)) == Position(step=2)
    assert list(folder.parent.iterdir()) == [folder]


def test_half_a_checkpoint_beside_the_last_one_is_not_read(folder: Path) -> None:
    save_checkpoint(folder, *trained(1), Position(step=1))
    shutil.copytree(folder, folder.with_name("checkpoint.new"))
    (folder.with_name("checkpoint.new") / "position.json").write_text(json.dumps({"step": 50}), "utf-8")
    assert load_checkpoint(folder, *trained(0)) == Position(step=1)


def test_moments_of_other_parameters_are_refused(folder: Path) -> None:
    model, optimizer = trained(2)
    save_checkpoint(folder, model, optimizer, Position(2))
    again, other = trained(0)
    other.param_groups[0]["params"], other.param_groups[1]["params"] = (
        other.param_groups[1]["params"],
        other.param_groups[0]["params"],
    )
    with pytest.raises(TrainingError, match="the checkpoint is of another model"):
        load_checkpoint(folder, again, other)
