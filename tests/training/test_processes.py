"""Several processes train as one does."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tests.pretraining_fixtures import SETTINGS, with_steps, write_inputs

from polarbert.text import WordPieceTokenizer

STEPS = 50
# Without dropout, whose random numbers are each process's own, only the order of sums differs.
EXACT = replace(
    with_steps(SETTINGS, STEPS, evaluations=STEPS),
    dev_pairs=16,
    network=replace(SETTINGS.network, dropout=0.0),
    micro_batch_tokens=200,
)
# The clock of the second process is four times as fast.
EARLY = """\
import os, time
if os.environ.get("RANK") == "1":
    real = time.monotonic
    time.monotonic = lambda: 4 * real()
"""
Started = list[subprocess.Popen[str]]


def start(arguments: list[str], output: Path, processes: int) -> Started:
    """`polarbert pretrain` in so many processes, in the surroundings that torchrun makes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [sys.executable, "-m", "polarbert", "pretrain", *arguments, "-o", str(output)]
    return [
        subprocess.Popen(
            command,
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]


def run(arguments: list[str], output: Path, processes: int) -> list[str]:
    """What each process says."""
    started = start(arguments, output, processes)
    said = [process.communicate(timeout=100)[1] for process in started]
    assert [process.returncode for process in started] == [0] * processes, said
    return said


def step_of(output: Path) -> int:
    try:
        return int(json.loads((output / "checkpoint/position.json").read_text("utf-8"))["step"])
    except FileNotFoundError:
        return 0


def kill_after(step: int, arguments: list[str], output: Path) -> None:
    """Two processes, killed when that step's checkpoint is there."""
    started = start(arguments, output, 2)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and started[0].poll() is None and step_of(output) < step:
        time.sleep(0.01)
    for process in started:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert step_of(output) >= step
    assert not (output / "summary.json").exists(), "it is meant to be killed before its end"


def losses(output: Path) -> list[float]:
    lines = (output / "evaluations.jsonl").read_text("utf-8").splitlines()
    return [-json.loads(line)["score"] for line in lines]


def tokens(output: Path) -> int:
    return int(json.loads((output / "summary.json").read_text("utf-8"))["tokens"])


@pytest.fixture(scope="module")
def one(tokenizer: WordPieceTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process."""
    folder = tmp_path_factory.mktemp("one")
    run(write_inputs(folder, tokenizer, EXACT), folder / "run", 1)
    return folder / "run"


def test_two_processes_follow_one(one: Path, tokenizer: WordPieceTokenizer, tmp_path: Path) -> None:
    first, second = run(write_inputs(tmp_path, tokenizer, EXACT), tmp_path / "run", 2)
    expected = losses(one)
    assert len(expected) == STEPS
    assert expected[-1] < 0.7 * expected[0]
    np.testing.assert_allclose(losses(tmp_path / "run"), expected, rtol=1e-4)
    weights = [load_file(folder / "best/model.safetensors") for folder in (one, tmp_path / "run")]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        np.testing.assert_allclose(weights[1][name], tensor, atol=2e-3)
    assert tokens(tmp_path / "run") == tokens(one), "the processes share the work rather than do it twice"
    assert "word pieces to learn from" in first
    assert "word pieces to learn from" not in second, "one tells how it goes"


def test_two_processes_killed_and_resumed_end_in_the_same_bytes(tokenizer: WordPieceTokenizer, tmp_path: Path) -> None:
    arguments = write_inputs(tmp_path, tokenizer, with_steps(SETTINGS, 40, checkpoint_seconds=0.0))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(arguments, whole, 2)
    kill_after(5, arguments, parts)
    run([*arguments, "--resume"], parts, 2)
    for name in ("best/model.safetensors", "checkpoint/state.safetensors", "evaluations.jsonl"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()


def test_a_network_spread_over_two_goes_on_over_three(one: Path, tokenizer: WordPieceTokenizer, tmp_path: Path) -> None:
    settings = replace(EXACT, sharding=True, training=replace(EXACT.training, checkpoint_seconds=0.0))
    arguments = write_inputs(tmp_path, tokenizer, settings)
    kill_after(20, arguments, tmp_path / "run")
    held = sorted((tmp_path / "run/checkpoint/shards").glob("*.safetensors"))
    assert len(held) == 2
    assert max(file.stat().st_size for file in held) < 0.7 * sum(file.stat().st_size for file in held)
    run([*arguments, "--resume"], tmp_path / "run", 3)
    np.testing.assert_allclose(losses(tmp_path / "run"), losses(one), rtol=1e-4)
    assert load_file(tmp_path / "run/best/model.safetensors").keys() == load_file(one / "best/model.safetensors").keys()


def test_their_clocks_may_differ(
    tokenizer: WordPieceTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would log and save at moments of its own; the first decides, or they would wait for each other for ever."""
    settings = with_steps(SETTINGS, 40, checkpoint_seconds=0.2)
    arguments = write_inputs(tmp_path, tokenizer, settings)
    early = tmp_path / "early"
    early.mkdir()
    (early / "sitecustomize.py").write_text(EARLY, "utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(early), os.environ.get("PYTHONPATH", "")]))
    run(arguments, tmp_path / "run", 2)
    assert step_of(tmp_path / "run") == 40


def test_torchrun_starts_it(tokenizer: WordPieceTokenizer, tmp_path: Path) -> None:
    settings = replace(with_steps(SETTINGS, 2, evaluations=1), next_sentence=False)
    arguments = write_inputs(tmp_path, tokenizer, settings)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "polarbert", "pretrain", *arguments, "-o", str(tmp_path / "run"), "--quiet"]
    subprocess.run(command, check=True, timeout=100)
    assert step_of(tmp_path / "run") == 2


def test_surroundings_that_torchrun_did_not_make_are_refused(tmp_path: Path, tokenizer: WordPieceTokenizer) -> None:
    arguments = write_inputs(tmp_path, tokenizer, SETTINGS)
    command = [sys.executable, "-m", "polarbert", "pretrain", *arguments, "-o", str(tmp_path / "run")]
    surroundings = os.environ | {"WORLD_SIZE": "two"}
    done = subprocess.run(command, check=False, env=surroundings, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "WORLD_SIZE must be a number" in done.stderr
    assert "Traceback" not in done.stderr
