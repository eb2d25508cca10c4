"""The figures of the story: recipes/playstore/results.json, one part a command."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polarbert import __version__
from polarbert.files import write_whole

RESULTS = Path(__file__).with_name("results.json")
PARTS = ("explore", "leak", "honest", "domain")
DECIMALS = 5


def read_results(path: Path = RESULTS) -> dict[str, Any]:
    """The parts that were measured, by name."""
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def keep(part: str, figures: Mapping[str, Any], path: Path = RESULTS) -> None:
    """Put the figures of a command in the place of those it found before."""
    about = {
        "command": " ".join(["python", f"recipes/playstore/{part}.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "polarbert": __version__,
    }
    results = read_results(path) | {part: about | _rounded(figures)}
    ordered = {name: results[name] for name in PARTS if name in results}
    write_whole(path, (json.dumps(ordered, indent=1) + "\n").encode("utf-8"))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DECIMALS)
    if isinstance(value, Mapping):
        return {str(name): _rounded(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    return value
