"""Runs commands in forks of one process: loading PyTorch for each would take longer than the commands.

Reads a JSON list of `tests.finetune_fixtures.Attempt` from stdin and prints a list of how each ended.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from typing import Any, BinaryIO

import torch

import polarbert.report.charts
import polarbert.training.finetune
from polarbert.cli import main as polarbert


def main() -> None:
    torch.set_num_threads(1)
    torch.optim.AdamW([torch.zeros(1)])  # the first optimizer of a process loads much of PyTorch
    ended: list[dict[str, Any]] = []
    for asked in json.load(sys.stdin):
        if asked["unless_done"] and ended and ended[-1]["code"] == 0:
            continue
        ended.append(_ended(asked))
    print(json.dumps(ended))


def _ended(asked: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            _run(asked, out, err)
        _, status = os.waitpid(child, 0)
        said = [_content(file) for file in (out, err)]
    return {"code": os.waitstatus_to_exitcode(status), "out": said[0], "err": said[1]}


def _run(asked: dict[str, Any], out: BinaryIO, err: BinaryIO) -> None:
    """The command, in the child; never returns."""
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    sys.argv = ["polarbert", *asked["arguments"]]
    if asked["most_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (asked["most_bytes"], asked["most_bytes"]))
    _arm(asked["kill_at"], asked["kill_after"])
    try:
        polarbert()
        code: Any = 0
    except SystemExit as end:
        code = end.code or 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _arm(kill_at: int | None, kill_after: str | None) -> None:
    """Let the process kill itself at one of the moments at which what is on the disk changes as a whole."""
    numbers = itertools.count(1)

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            number = next(numbers)
            if number == kill_at and number % 2:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*arguments, **options)
            if number == kill_at or (kill_after is not None and str(arguments[-1]).endswith(kill_after)):
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    os.replace, os.rename, shutil.rmtree = watched(os.replace), watched(os.rename), watched(shutil.rmtree)


def _content(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode("utf-8")


if __name__ == "__main__":
    main()
