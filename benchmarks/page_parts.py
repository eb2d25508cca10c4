"""What the sections of the page are made of: goals, tables, sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Result = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """What was to be reached, and what was."""

    what: str
    goal: str
    measured: str
    met: bool


def table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: int) -> str:
    """A Markdown table; its last `numbers` columns are set to the right."""
    left = len(header) - numbers
    rule = ["---"] * left + ["---:"] * numbers
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, rule, *rows))


def megabytes(size: float) -> str:
    """A size for people."""
    return f"{size / 1e6:.0f} MB"
