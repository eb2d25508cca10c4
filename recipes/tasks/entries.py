"""Results that are kept run by run: a file of JSON with a line for each, so that what was measured is measured once."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polarbert import __version__
from polarbert.files import write_whole
from polarbert.training.base import Base
from polarbert.training.run import environment

Entry = dict[str, Any]
DIGITS = 5


class Entries:
    """The results in a file, all made with the same budget.

    Args:
        file: read where it is there.
        budget: what all entries have in common, such as the number of rows.
        key: the names of what tells one entry from the other.
        fresh: forget what is in the file.

    Raises:
        SystemExit: when the file holds results of another budget.
    """

    def __init__(self, file: Path, budget: Mapping[str, Any], key: tuple[str, ...], fresh: bool = False) -> None:
        self._file = file
        self._key = key
        found = {} if fresh else read(file)
        if found and found["budget"] != dict(budget):
            before, now = (
                ", ".join(f"{name} {value}" for name, value in one.items()) for one in (found["budget"], budget)
            )
            raise SystemExit(
                f"{file}: was measured with {before}; asked for is {now}. Give the same options, name another file "
                "with --results, or begin anew with --fresh"
            )
        self._budget = dict(budget)
        self.entries: list[Entry] = found.get("entries", [])

    def has(self, **key: Any) -> bool:
        """Whether there is such an entry."""
        return any(all(entry[name] == value for name, value in key.items()) for entry in self.entries)

    def add(self, entry: Mapping[str, Any]) -> None:
        """Keep an entry; the file is whole at any moment."""
        self.entries.append(rounded(dict(entry)))
        self.entries.sort(key=lambda one: [one[name] for name in self._key])
        about = {
            "polarbert": __version__,
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "budget": self._budget,
            "environment": environment(),
        }
        head = json.dumps(about, indent=1, ensure_ascii=False).removesuffix("\n}")
        lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in self.entries)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._file, f'{head},\n "entries": [\n{lines}\n ]\n}}\n'.encode())


def read(file: Path) -> dict[str, Any]:
    """What was measured so far; nothing before the first run."""
    found: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return found


def base_of(budget: Mapping[str, Any]) -> str:
    """What a budget names as the base; whether that was an earlier edition of the embedded model."""
    now = Base.open(None)
    is_earlier = budget["base"] == now.name and budget.get("digest") not in (None, now.digest[:16])
    return f"an earlier edition of {budget['base']}" if is_earlier else str(budget["base"])


def rounded(value: Any) -> Any:
    """The same with few decimals."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else round(value, DIGITS)
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list | tuple) else value
