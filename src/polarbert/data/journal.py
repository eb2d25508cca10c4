"""An output file that survives interruption: what is written stays, and the same command goes on from there.

Rows go to OUT.partial; after each block OUT.partial.json says how many rows and bytes of it count. Both are flushed to
the disk, in that order, so whatever stands behind the counted bytes is cut off on return. When all is done, OUT.partial
becomes OUT in one step; or, where the rows are not yet the output, OUT is made of them beside it and put in its place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from polarbert.errors import DataError, UsageError
from polarbert.files import disk_errors, flush_to_disk, lock


class Sink(Protocol):
    """Where output rows go."""

    rows: int
    totals: dict[str, int]

    def write(self, content: bytes, rows: int, totals: Mapping[str, int]) -> None:
        """Take `rows` more rows and the running totals."""

    def read_back(self) -> BinaryIO:
        """What an earlier run wrote, from the beginning."""

    def finish(self) -> None:
        """Everything is written."""


class Stream:
    """A pipe, a device or standard output: rows go out at once and nothing can be resumed.

    Args:
        stream: open for writing bytes.
        name: for messages.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.rows = 0
        self.totals: dict[str, int] = {}
        self._stream = stream
        self._name = name

    def write(self, content: bytes, rows: int, totals: Mapping[str, int]) -> None:  # noqa: ARG002 - a stream keeps no account
        """See `Sink.write`."""
        with disk_errors(self._name, "Nothing can be resumed on a pipe or device"):
            self._stream.write(content)
            self._stream.flush()

    def read_back(self) -> BinaryIO:
        """Never needed: a stream has no earlier rows."""
        raise UsageError(f"{self._name}: a stream cannot be read back")

    def finish(self) -> None:
        """Nothing is left to do."""


class Journal:
    """A file that grows by durable blocks.

    Args:
        target: the output file.
        identity: everything the output depends on; a run that differs in it cannot go on with this one's rows.
        overwrite: replace a finished output, and an unfinished one of another identity.
        assemble: makes the output (second argument) of all that was written (first); None where that is the output.

    Raises:
        UsageError: when the output is finished already, or its folder does not exist.
        DataError: when an unfinished output is of another identity, or another run is writing it.
    """

    def __init__(
        self,
        target: Path,
        identity: Mapping[str, Any],
        overwrite: bool = False,
        assemble: Callable[[BinaryIO, BinaryIO], None] | None = None,
    ) -> None:
        self.target = target
        self.partial = target.with_name(f"{target.name}.partial")
        self.state = target.with_name(f"{target.name}.partial.json")
        self.rows = 0
        self.totals: dict[str, int] = {}
        self._identity = dict(identity)
        self._assemble = assemble
        if not target.parent.is_dir():
            raise UsageError(f"{target}: the folder {target.parent} does not exist; make it or name another")
        if target.is_symlink() and not target.exists():
            raise UsageError(f"{target}: is a link that leads nowhere; remove it or name another output")
        self._refuse_finished(overwrite)
        with disk_errors(str(self.partial), "Nothing was changed; name an output in a place that can be written"):
            self._file = os.fdopen(os.open(self.partial, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        if not lock(self._file):  # before anything is read or cut off: the file may be another run's
            raise DataError(f"{self.partial}: another run is writing it; wait for it or name another output")
        done = self._resumable_bytes(overwrite)
        self._file.truncate(done)
        self._file.seek(done)
        self._bytes = done

    def write(self, content: bytes, rows: int, totals: Mapping[str, int]) -> None:
        """See `Sink.write`; when this returns, the rows are on the disk."""
        with disk_errors(str(self.partial), f"{self.rows:,} rows are kept; the same command goes on from there"):
            self._file.write(content)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._bytes += len(content)
            self._save_state(self.rows + rows, totals)
        self.rows += rows
        self.totals = dict(totals)

    def read_back(self) -> BinaryIO:
        """See `Sink.read_back`; read it before the next write."""
        return self.partial.open("rb")

    def kept_rows(self) -> int:
        """Rows that are on the disk; right also when a signal broke `write` off between the disk and `rows`."""
        try:
            return int(json.loads(self.state.read_text("utf-8"))["rows"])
        except (OSError, ValueError, KeyError, TypeError):
            return self.rows

    def finish(self) -> None:
        """Put the output in its place."""
        with disk_errors(str(self.target), f"All rows are kept in {self.partial}; the same command goes on from there"):
            complete = self.partial if self._assemble is None else self._assembled(self._assemble)
            os.replace(complete, self.target)
            self.state.unlink(missing_ok=True)
            self.partial.unlink(missing_ok=True)
            self._file.close()

    def _assembled(self, assemble: Callable[[BinaryIO, BinaryIO], None]) -> Path:
        """The output beside its place. Its name is always the same, so nothing piles up when a run is killed here."""
        made = self.target.with_name(f"{self.target.name}.partial.new")
        self._file.seek(0)
        try:
            with made.open("wb") as out:
                assemble(self._file, out)
            flush_to_disk(made)
        except Exception:
            made.unlink(missing_ok=True)
            raise
        return made

    def _refuse_finished(self, overwrite: bool) -> None:
        if self.target.exists() and not overwrite:
            raise UsageError(f"{self.target}: exists already. Name another output, or replace it with --overwrite")

    def _resumable_bytes(self, overwrite: bool) -> int:
        if not self.state.is_file():
            return 0
        try:
            state = json.loads(self.state.read_text("utf-8"))
            identity, rows, size = state["identity"], int(state["rows"]), int(state["bytes"])
            totals = {str(name): int(count) for name, count in state["totals"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            identity, rows, size, totals = None, 0, 0, {}
        if identity == json.loads(json.dumps(self._identity)) and self.partial.stat().st_size >= size:
            self.rows, self.totals = rows, totals
            return size if rows else 0  # without rows, the header is written again
        if overwrite:
            return 0
        known = identity if isinstance(identity, dict) else {}
        asked = json.loads(json.dumps(self._identity))
        changed = [name for name in {**asked, **known} if known.get(name) != asked.get(name)]
        raise DataError(
            f"{self.partial}: an unfinished run stands here whose {', '.join(changed) or 'length'} differed. "
            "Run that command again to finish it, or start anew with --overwrite"
        )

    def _save_state(self, rows: int, totals: Mapping[str, int]) -> None:
        content = {"identity": self._identity, "rows": rows, "bytes": self._bytes, "totals": dict(totals)}
        temporary = self.state.with_name(f"{self.state.name}.tmp")
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.state)
