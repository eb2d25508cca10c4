"""Parts of a benchmark that run in a process of their own: a request goes in as JSON, an answer comes out.

A contestant alone in a fresh process shows its own memory, and nothing that another left behind slows it. The process
that asks stays small (see common.py): it reads no texts and loads no model itself.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common

FLAG = "--child"
Part = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Answer:
    """What a part gave back.

    Attributes:
        values: its result.
        seconds: wall time of the whole process.
        peak_bytes: the largest resident size of the process.
    """

    values: dict[str, Any]
    seconds: float
    peak_bytes: int


def ask(script: str, part: str, request: dict[str, Any]) -> Answer:
    """Run a part of a benchmark in a new process and wait for it.

    Args:
        script: the benchmark, as `__file__` names it; it calls `serve` before anything else.
        part: name of one of the functions that it serves.
        request: the function's argument.

    Raises:
        SystemExit: when the process fails; its own words are in the message.
    """
    with tempfile.TemporaryDirectory() as room:
        asked, answered = Path(room) / "request.json", Path(room) / "answer.json"
        asked.write_text(json.dumps(request), "utf-8")
        done = common.run([sys.executable, script, FLAG, part, str(asked), str(answered)])
        return Answer(json.loads(answered.read_text("utf-8")), done.seconds, done.peak_bytes)


def serve(parts: Sequence[Part]) -> bool:
    """Run the part that this process was started for; False when `ask` did not start it."""
    if sys.argv[1:2] != [FLAG]:
        return False
    name, asked, answered = sys.argv[2:]
    part = next(part for part in parts if part.__name__ == name)
    result = part(json.loads(Path(asked).read_text("utf-8")))
    Path(answered).write_text(json.dumps(result), "utf-8")
    return True
