"""Runs commands in forks of one process: loading PyTorch for each would take longer than the commands.

Reads an `Attempt` of `tests.finetune_fixtures` from each line of stdin, as JSON, and answers each with how it ended.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from typing import Any

import torch

from polarbert.cli import main as run_command


def main() -> None:
    torch.set_num_threads(1)
    torch.optim.AdamW([torch.zeros(1)])  # the first optimizer of a process loads much of PyTorch
    for line in sys.stdin:
        print(json.dumps(_ended(json.loads(line))), flush=True)


def _ended(asked: dict[str, Any]) -> dict[str, Any]:
    out, err = os.pipe(), os.pipe()  # no files: their size may be limited; what is said fits into a pipe
    child = os.fork()
    if child == 0:
        try:
            _run(asked, out[1], err[1])
        finally:
            os._exit(99)
    said = []
    for _, writer in (out, err):
        os.close(writer)
    _, status = os.waitpid(child, 0)
    for reader, _ in (out, err):
        with os.fdopen(reader, "rb") as opened:
            said.append(opened.read().decode("utf-8"))
    return {"code": os.waitstatus_to_exitcode(status), "out": said[0], "err": said[1]}


def _run(asked: dict[str, Any], out: int, err: int) -> None:
    """The command, in the child; never returns."""
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    sys.argv = ["polarbert", *asked["arguments"]]
    if asked["most_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (asked["most_bytes"], asked["most_bytes"]))
    _arm(asked["kill_at"], asked["kill_after"])
    try:
        run_command()
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

    os.replace, os.rename = watched(os.replace), watched(os.rename)
    shutil.rmtree = watched(shutil.rmtree)  # type: ignore[assignment]


if __name__ == "__main__":
    main()
