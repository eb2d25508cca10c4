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
    with pytest.raises(
        TrainingError, match=r"settings differ: epochs \(was 3.0, now 2.0\), new .*, old .*new directory"
    ):
        RunDirectory(tmp_path).begin({"seed": 1, "epochs": 2.0, "new": 1}, resume=True)
    assert json.loads((tmp_path / "settings.json").read_text("utf-8"))["epochs"] == 3.0
    RunDirectory(tmp_path).begin({"seed": 1, "epochs": 3.0, "old": 1}, resume=True)


def test_resuming_with_other_data_is_refused_and_says_so(tmp_path: Path) -> None:
    RunDirectory(tmp_path).begin({"seed": 1, "data": "abc"}, resume=False)
    with pytest.raises(TrainingError, match=r"cannot resume, the run began with other data\. Give the same again"):
        RunDirectory(tmp_path).begin({"seed": 1, "data": "abd"}, resume=True)


def test_how_often_checkpoints_are_saved_may_change(tmp_path: Path) -> None:
    RunDirectory(tmp_path).begin({"seed": 1, "checkpoint_seconds": 5.0}, resume=False)
    RunDirectory(tmp_path).begin({"seed": 1, "checkpoint_seconds": 9.0}, resume=True)


def test_of_two_runs_in_one_directory_the_second_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    first, second = RunDirectory(tmp_path), RunDirectory(tmp_path)
    with first.locked():
        with first.locked():
            pass
        with pytest.raises(TrainingError, match=f"{tmp_path}: another run is at work here"), second.locked():
            pass
    with second.locked():
        assert (tmp_path / "lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_left_by_a_killed_run_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    with RunDirectory(tmp_path).locked():
        pass


def test_what_a_killed_run_left_half_written_goes(tmp_path: Path) -> None:
    (tmp_path / "settings.json.4711.tmp").write_text("{")
    with RunDirectory(tmp_path).locked():
        assert not list(tmp_path.glob("*.tmp"))


def test_a_place_where_no_directory_can_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match=r"file/run: cannot be written: Not a directory\. Name another folder"):
        RunDirectory(tmp_path / "file" / "run")


def test_damaged_settings_are_named(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"seed": ')
    with pytest.raises(TrainingError, match=r"settings\.json: cannot be read"):
        RunDirectory(tmp_path).begin({"seed": 1}, resume=True)


def test_lines_behind_a_step_and_half_lines_are_forgotten(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for step in (1, 5, 9):
        run.append("log.jsonl", {"step": step})
        run.append("evaluations.jsonl", {"step": step})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 1')
    run.forget_after(5)
    assert [record["step"] for record in run.records("log.jsonl")] == [1, 5]
    assert (tmp_path / "evaluations.jsonl").read_text() == '{"step": 1}\n{"step": 5}\n'


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
