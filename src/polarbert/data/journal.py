"""An output file that survives interruption: what is written stays, and the same command goes on from there.

Rows go to OUT.partial; after each block OUT.partial.json says how many rows and bytes of it count. Both are flushed to
the disk, in that order, so whatever stands behind the counted bytes is cut off on return. When all is done, OUT.partial
becomes OUT in one step.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TextIO

from polarbert.errors import DataError, UsageError

try:
    import fcntl
except ImportError:  # not on Windows; there two runs into one file are the user's to avoid
    fcntl = None  # type: ignore[assignment]


class Sink(Protocol):
    """Where output rows go."""

    rows: int
    totals: dict[str, int]

    def write(self, text: str, rows: int, totals: Mapping[str, int]) -> None:
        """Take `rows` more rows and the running totals."""

    def read_back(self) -> TextIO:
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

    def write(self, text: str, rows: int, totals: Mapping[str, int]) -> None:  # noqa: ARG002 - a stream keeps no account
        """See `Sink.write`."""
        with _disk_errors(self._name, "Nothing can be resumed on a pipe or device"):
            self._stream.write(text.encode("utf-8", "surrogateescape"))
            self._stream.flush()

    def read_back(self) -> TextIO:
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

    Raises:
        UsageError: when the output is finished already, or its folder does not exist.
        DataError: when an unfinished output is of another identity, or another run is writing it.
    """

    def __init__(self, target: Path, identity: Mapping[str, Any], overwrite: bool = False) -> None:
        self.target = target
        self.partial = target.with_name(f"{target.name}.partial")
        self.state = target.with_name(f"{target.name}.partial.json")
        self.rows = 0
        self.totals: dict[str, int] = {}
        self._identity = dict(identity)
        if not target.parent.is_dir():
            raise UsageError(f"{target}: the folder {target.parent} does not exist; make it or name another")
        if target.exists() and not overwrite:
            raise UsageError(f"{target}: exists already. Name another output, or replace it with --overwrite")
        with _disk_errors(str(self.partial), "Nothing was changed"):
            self._file = os.fdopen(os.open(self.partial, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        self._lock()  # before anything is read or cut off: the file may be another run's
        done = self._resumable_bytes(overwrite)
        self._file.truncate(done)
        self._file.seek(done)
        self._bytes = done

    def write(self, text: str, rows: int, totals: Mapping[str, int]) -> None:
        """See `Sink.write`; when this returns, the rows are on the disk."""
        with _disk_errors(str(self.partial), f"{self.rows:,} rows are kept; the same command goes on from there"):
            data = text.encode("utf-8", "surrogateescape")
            self._file.write(data)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._bytes += len(data)
            self._save_state(self.rows + rows, totals)
        self.rows += rows
        self.totals = dict(totals)

    def read_back(self) -> TextIO:
        """See `Sink.read_back`; read it before the next write."""
        return self.partial.open("r", encoding="utf-8", errors="surrogateescape", newline="")

    def kept_rows(self) -> int:
        """Rows that are on the disk; right also when a signal broke `write` off between the disk and `rows`."""
        try:
            return int(json.loads(self.state.read_text("utf-8"))["rows"])
        except (OSError, ValueError, KeyError, TypeError):
            return self.rows

    def finish(self) -> None:
        """Put the output in its place."""
        with _disk_errors(str(self.target), f"The rows are complete in {self.partial}"):
            self._file.close()
            os.replace(self.partial, self.target)
            self.state.unlink(missing_ok=True)

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
        changed = [name for name in self._identity if known.get(name) != json.loads(json.dumps(self._identity[name]))]
        raise DataError(
            f"{self.partial}: an unfinished run stands here whose {', '.join(changed)} differed. "
            "Run that command again to finish it, or start anew with --overwrite"
        )

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(f"{self.partial}: another run is writing it; wait for it or name another output") from error

    def _save_state(self, rows: int, totals: Mapping[str, int]) -> None:
        content = {"identity": self._identity, "rows": rows, "bytes": self._bytes, "totals": dict(totals)}
        temporary = self.state.with_name(f"{self.state.name}.tmp")
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.state)


@contextmanager
def _disk_errors(name: str, consolation: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        what = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else (error.strerror or str(error))
        raise DataError(f"{name}: cannot be written: {what}. {consolation}") from error
