"""Progress of a run on stderr: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class TrainingProgress:
    """Shows step, loss, tokens/s and time left.

    Args:
        steps: of the whole run.
        quiet: show nothing.
        line_seconds: time between lines when stderr is not a terminal.
    """

    def __init__(self, steps: int, quiet: bool = False, line_seconds: float = 30.0) -> None:
        self.steps = steps
        self.quiet = quiet
        self.line_seconds = line_seconds
        self._console = Console(stderr=True)
        self._bar: Progress | None = None
        self._last_line = 0.0

    def __enter__(self) -> Self:
        if not self.quiet and self._console.is_terminal:
            columns = (TextColumn("training"), BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, TimeRemainingColumn(), console=self._console)
            self._task = self._bar.add_task("", total=self.steps)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, step: int, loss: float, tokens_per_second: float, seconds_left: float) -> None:
        """Show where the run stands."""
        text = f"step {step:,}/{self.steps:,}  loss {loss:.4f}  {tokens_per_second:,.0f} tokens/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=step, description=text)
        elif not self.quiet and time.monotonic() - self._last_line >= self.line_seconds:
            self._last_line = time.monotonic()
            left = f"{seconds_left:.0f} s" if seconds_left < 90 else f"{seconds_left / 60:.0f} min"
            print(f"{text}  {left} left", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """Say one line above the bar."""
        if not self.quiet:
            console = self._bar.console if self._bar is not None else self._console
            console.print(text, highlight=False, markup=False, soft_wrap=True)
