"""The run directory: what was asked, on what, how it went, and what came out.

settings.json     what was asked
environment.json  machine, versions, threads
log.jsonl         a line every few seconds: step, loss, rate, tokens/s
evaluations.jsonl a line an evaluation: the dev figures
checkpoint/       where to go on
best/             the best model so far, in the Hugging Face layout
summary.json      the outcome, once the run is done
"""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy
import torch

from polarbert.errors import TrainingError


class RunDirectory:
    """A run's files.

    Args:
        path: the directory; made when missing.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint(self) -> Path:
        """Where the last checkpoint lies."""
        return self.path / "checkpoint"

    @property
    def best(self) -> Path:
        """Where the best model lies."""
        return self.path / "best"

    @property
    def is_done(self) -> bool:
        """True once the run has ended by itself."""
        return (self.path / "summary.json").is_file()

    def begin(self, settings: dict[str, Any], resume: bool) -> None:
        """Record the settings; refuse to go on with others.

        Raises:
            TrainingError: when the directory holds a run and `resume` is not set, or settings differ.
        """
        file = self.path / "settings.json"
        if file.is_file():
            if not resume:
                raise TrainingError(f"{self.path}: holds a run already; resume it or name a new directory")
            before = json.loads(file.read_text("utf-8"))
            changed = sorted(k for k in before.keys() | settings.keys() if before.get(k) != settings.get(k))
            if changed:
                raise TrainingError(f"{self.path}: cannot resume, settings differ: {', '.join(changed)}")
        self.write("settings.json", settings)
        self.write("environment.json", environment())

    def write(self, name: str, content: Any) -> None:
        """Write a JSON file in one atomic step."""
        temporary = self.path / f"{name}.tmp"
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
        os.replace(temporary, self.path / name)

    def append(self, name: str, record: dict[str, Any]) -> None:
        """Add a line to a JSONL file."""
        with (self.path / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


def environment() -> dict[str, Any]:
    """What a figure depends on besides the code."""
    return {
        "processor": _processor(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "threads": torch.get_num_threads(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
