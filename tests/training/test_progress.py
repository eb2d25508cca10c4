"""What a run says on stderr, in a log and in a terminal."""

from __future__ import annotations

import pytest

from polarbert.training.progress import TrainingProgress


@pytest.fixture(autouse=True)
def plain_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "160")


def test_a_log_gets_a_line_with_loss_speed_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingProgress(2000, line_seconds=0.0) as progress:
        progress.update(1234, 0.56789, 2300.4, 600.0)
    captured = capsys.readouterr()
    assert captured.err == "step 1,234/2,000  loss 0.5679  2,300 tokens/s  10 min left\n"
    assert captured.out == ""


def test_the_last_minute_and_a_half_is_told_in_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingProgress(2000, line_seconds=0.0) as progress:
        progress.update(1990, 0.5, 2300.4, 42.3)
    assert capsys.readouterr().err.endswith("  42 s left\n")


def test_a_log_is_not_flooded(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingProgress(100, line_seconds=1000.0) as progress:
        for step in range(1, 51):
            progress.update(step, 0.5, 100.0, 60.0)
        progress.note("step 50: accuracy 0.9")
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "accuracy" in line] == ["step 50: accuracy 0.9"]
    assert len(lines) <= 2


def test_a_long_note_stays_one_line_and_brackets_are_no_markup(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    note = "step 50: [bold] " + "accuracy 0.9 " * 10
    with TrainingProgress(100) as progress:
        progress.note(note)
    assert capsys.readouterr().err == f"{note}\n"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingProgress(100, quiet=True, line_seconds=0.0) as progress:
        progress.update(1, 0.5, 100.0, 60.0)
        progress.note("a note")
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_and_notes_above_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with TrainingProgress(200) as progress:
        progress.update(100, 0.5, 2300.0, 60.0)
        progress.note("step 100: accuracy 0.9")
    captured = capsys.readouterr()
    assert "step 100: accuracy 0.9" in captured.err
    assert "loss 0.5000" in captured.err
    assert "50%" in captured.err
    assert captured.out == ""
