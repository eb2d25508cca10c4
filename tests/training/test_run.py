"""The run directory says what was asked, on what, and how it went."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from polarbert.errors import TrainingError
from polarbert.training.run import RunDirectory, environment


def test_beginning_records_settings_and_machine(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "new" / "run")
    run.begin({"epochs": 3.0, "seed": 1}, resume=False)
    assert json.loads((run.path / "settings.json").read_text("utf-8")) == {"epochs": 3.0, "seed": 1}
    recorded = json.loads((run.path / "environment.json").read_text("utf-8"))
    assert recorded["torch"] == torch.__version__
    assert all(recorded[name] for name in ("processor", "platform", "python", "numpy", "threads", "device"))


def test_a_second_run_in_the_same_place_is_refused(tmp_path: Path) -> None:
    RunDirectory(tmp_path).begin({"seed": 1}, resume=False)
    with pytest.raises(TrainingError, match="holds a run already"):
        RunDirectory(tmp_path).begin({"seed": 1}, resume=False)


def test_resuming_asks_for_the_same_settings_and_names_the_others(tmp_path: Path) -> None:
    RunDirectory(tmp_path).begin({"seed": 1, "epochs": 3.0, "old": 1}, resume=False)
    with pytest.raises(TrainingError, match=r"settings differ: epochs, new, old$"):
        RunDirectory(tmp_path).begin({"seed": 1, "epochs": 2.0, "new": 1}, resume=True)
    assert json.loads((tmp_path / "settings.json").read_text("utf-8"))["epochs"] == 3.0
    RunDirectory(tmp_path).begin({"seed": 1, "epochs": 3.0, "old": 1}, resume=True)


def test_resuming_where_nothing_is_begins(tmp_path: Path) -> None:
    RunDirectory(tmp_path).begin({"seed": 1}, resume=True)
    assert (tmp_path / "settings.json").is_file()


def test_a_run_is_done_once_it_has_a_summary(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert not run.is_done
    run.write("summary.json", {"step": 5, "note": "größer"})
    assert run.is_done
    assert "größer" in (tmp_path / "summary.json").read_text("utf-8")
    assert [file.name for file in tmp_path.iterdir()] == ["summary.json"]


def test_records_are_lines_of_json(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.append("log.jsonl", {"step": 1})
    RunDirectory(tmp_path).append("log.jsonl", {"step": 2})
    lines = (tmp_path / "log.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]


def test_the_environment_names_the_processor_and_threads() -> None:
    assert environment()["threads"] == torch.get_num_threads()
    assert len(environment()["processor"]) > 3
