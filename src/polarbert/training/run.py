"""The run directory: what was asked, on what, how it went, and what came out.

settings.json     what was asked, and digests of the data; a resumed run must agree
environment.json  machine, versions, threads
log.jsonl         a line every few seconds: step, loss, rate, tokens/s
evaluations.jsonl a line an evaluation: the dev figures
checkpoint/       where to go on
best/             the best model so far, in the Hugging Face layout
summary.json      the outcome, once the run is done
lock              there while a run is at work
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy
import torch

from polarbert.errors import TrainingError
from polarbert.files import disk_errors, lock, write_whole

_Block = AbstractContextManager[None]

# A resumed run may differ in these: the weights do not depend on them.
WITHOUT_EFFECT = {"checkpoint_seconds", "keep_checkpoints"}
DATA = {"data": "other data", "base": "another base", "splits": "other splits", "teacher": "another teacher"}


def saving(place: Path, then: str = "What was saved before is kept; make room and resume the run (--resume)") -> _Block:
    """A block in which files are written; what the system says against it becomes a `TrainingError`.

    Args:
        place: the file or directory, for the message.
        then: what is kept and what to do, for the message.
    """
    return disk_errors(str(place), then, TrainingError)


class RunDirectory:
    """A run's files. Of two runs in one directory the second is refused.

    Args:
        path: the directory; made when missing.

    Raises:
        TrainingError: when it cannot be made.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._held = 0
        self._has_begun = False
        with saving(self.path, "Name another folder"):
            self.path.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def peek(path: str | Path) -> dict[str, Any] | None:
        """The settings that the run in a directory was begun with, without making anything; None when there is none.

        Raises:
            TrainingError: when they are damaged.
        """
        settings: dict[str, Any] | None = _read_json(Path(path) / "settings.json")
        return settings

    @staticmethod
    def kept_step(path: str | Path) -> int:
        """The step that a run would go on from; 0 when there is no checkpoint yet."""
        folders = (Path(path) / name for name in ("checkpoint", "checkpoint.old"))
        positions = (_read_json(folder / "position.json") for folder in folders)
        return next((int(position["step"]) for position in positions if position), 0)

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

    @property
    def has_begun(self) -> bool:
        """True once `begin` was called on this object."""
        return self._has_begun

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out of the directory inside the block; blocks may be nested.

        Raises:
            TrainingError: when another run is in it.
        """
        if self._held == 0:
            self._lock = _take(self.path / "lock")
            remove_unfinished(self.path)
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if self._held == 0:
                (self.path / "lock").unlink(missing_ok=True)
                self._lock.close()

    def begin(self, settings: Mapping[str, Any], resume: bool) -> None:
        """Record what is asked, and on what; refuse to go on with anything else.

        Args:
            settings: everything that the outcome depends on, digests of the data included.
            resume: go on with the run that stands here, if one does.

        Raises:
            TrainingError: when the directory holds a run and `resume` is not set, or settings differ.
        """
        before = self.read("settings.json")
        if before is not None:
            if not resume:
                raise TrainingError(
                    f"{self.path}: holds a run already. Go on with it (--resume), or name a new directory"
                )
            refuse_changes(self.path, before, settings)
        else:
            self.write("settings.json", dict(settings))
        self.write("environment.json", environment())
        self._has_begun = True

    def read(self, name: str) -> Any:
        """The content of a JSON file; None when there is none.

        Raises:
            TrainingError: when it is damaged.
        """
        return _read_json(self.path / name)

    def records(self, name: str) -> list[dict[str, Any]]:
        """The lines of a JSONL file; half a line, left by a run that was killed, is none.

        Raises:
            TrainingError: when another line is damaged.
        """
        file = self.path / name
        lines = file.read_text("utf-8", "replace").splitlines(keepends=True) if file.is_file() else []
        try:
            return [json.loads(line) for line in lines if line.endswith("\n")]
        except ValueError as error:
            raise TrainingError(f"{file}: has a damaged line: {error}. Start again in a new directory") from error

    def write(self, name: str, content: Any) -> None:
        """Write a JSON file in one atomic step."""
        with saving(self.path / name):
            write_whole(self.path / name, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8"))

    def append(self, name: str, record: Mapping[str, Any]) -> None:
        """Add a line to a JSONL file."""
        with (
            saving(self.path / name),
            (self.path / name).open("a", encoding="utf-8") as file,
        ):
            file.write(json.dumps(record) + "\n")

    def forget_after(self, step: int) -> None:
        """Drop the lines of both JSONL files behind `step`, and half a line: a resumed run does those steps again."""
        for name in ("log.jsonl", "evaluations.jsonl"):
            kept = [record for record in self.records(name) if record["step"] <= step]
            if (self.path / name).is_file():
                with saving(self.path / name):
                    content = "".join(json.dumps(record) + "\n" for record in kept)
                    write_whole(self.path / name, content.encode("utf-8"))


class SharedRun(RunDirectory):
    """The run directory of another process that trains beside this one: read here, written there.

    Args:
        path: the directory.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._has_begun = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nothing: the process that writes keeps others out."""
        yield

    def begin(self, settings: Mapping[str, Any], resume: bool) -> None:  # noqa: ARG002 - checked by the one that writes
        """Nothing to record."""
        self._has_begun = True

    def write(self, name: str, content: Any) -> None:
        """Nothing."""

    def append(self, name: str, record: Mapping[str, Any]) -> None:
        """Nothing."""

    def forget_after(self, step: int) -> None:
        """Nothing."""


def remove_unfinished(folder: Path) -> None:
    """Remove the files that a run was writing when it was killed; nobody else may be writing there."""
    for file in folder.glob("*.tmp"):
        file.unlink(missing_ok=True)


def _read_json(file: Path) -> Any:
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{file}: cannot be read: {error}. Start again in a new directory") from error


def refuse_changes(place: Path, before: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Compare what a run began with and what it is to go on with.

    Args:
        place: the run, for the message.
        before: as the run has it.
        given: as it is asked for now.

    Raises:
        TrainingError: naming what differs.
    """
    now = json.loads(json.dumps(dict(given)))
    names = (before.keys() | now.keys()) - WITHOUT_EFFECT
    if "data" not in before:  # a run from before data were recorded
        names -= {"data"}
    changed = sorted(name for name in names if before.get(name) != now.get(name))
    if not changed:
        return
    if other := [words for name, words in DATA.items() if name in changed]:
        raise TrainingError(
            f"{place}: cannot resume, the run began with {' and '.join(other)}. "
            "Give the same again, or name a new directory"
        )
    shown = ", ".join(f"{name} (was {before.get(name)!r}, now {now.get(name)!r})" for name in changed)
    raise TrainingError(f"{place}: cannot resume, settings differ: {shown}. Set them back, or name a new directory")


def _take(file: Path) -> IO[bytes]:
    """The lock file, open and locked.

    It is removed by whoever held it last. Between its opening and its locking here it may be removed, and made anew by
    a third run: then this is not the file that others see, and the next try takes the one that is.
    """
    while True:
        with saving(file, "Nothing was changed; correct the folder or name another"):
            opened = file.open("wb")
        if not lock(opened):
            opened.close()
            raise TrainingError(f"{file.parent}: another run is at work here; wait for it or name another directory")
        if file.exists() and os.path.samestat(os.fstat(opened.fileno()), file.stat()):
            return opened
        opened.close()


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
