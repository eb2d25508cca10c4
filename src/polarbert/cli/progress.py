"""Rows done, rows a second and time left, on stderr: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import stat
import sys
import time
from typing import BinaryIO, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

LINE_SECONDS = 10.0


class ScoreProgress:
    """Follows how far into its input a run is.

    Args:
        source: the input; time left is known when it is a regular file.
        earlier: rows done by earlier runs.
        quiet: show nothing.
        count: rows in all, for a format that says so and is not read from front to back.
        doing: what the bar says is done.
    """

    def __init__(
        self, source: BinaryIO, earlier: int, quiet: bool, count: int | None = None, doing: str = "scoring"
    ) -> None:
        self._source = source
        self._doing = doing
        self._count = count
        self._earlier = earlier
        self._quiet = quiet
        self._size = _size(source) if count is None else count
        self._started = self._said = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        console = Console(stderr=True)
        if not self._quiet and console.is_terminal:
            columns = (TextColumn(self._doing), BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
            self._task = self._bar.add_task("", total=self._size)
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, rows: int) -> None:
        """Show that `rows` rows are done in all."""
        now = time.monotonic()
        speed = (rows - self._earlier) / max(now - self._started, 1e-9)
        text = f"{rows:,} rows  {speed:,.0f} rows/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=self._position(rows), description=text)
        elif not self._quiet and now - self._said >= LINE_SECONDS:
            self._said = now
            print(f"{text}{self._time_left(now, self._position(rows))}", file=sys.stderr, flush=True)

    def _position(self, rows: int) -> int:
        if self._count is not None:
            return rows
        return self._source.tell() if self._size else 0

    def _time_left(self, now: float, position: int) -> str:
        if not self._size or not position:
            return ""
        left = (now - self._started) * (self._size - position) / position
        return f"  {left / 60:.0f} min left" if left >= 90 else f"  {left:.0f} s left"


def _size(source: BinaryIO) -> int | None:
    try:
        status = os.fstat(source.fileno())
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
