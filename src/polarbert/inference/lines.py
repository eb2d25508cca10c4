"""Figures as lines for a terminal: what every kind of evaluation shows in the same way."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap

from rich.cells import cell_len, set_cell_size

from polarbert.metrics import Estimate

NAME_CELLS = 28
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def page(parts: Iterable[Sequence[str]], width: int) -> str:
    """Parts with a blank line between them; empty ones are left out."""
    lines = [line for part in parts if part for line in (*part, "")]
    return "\n".join(cut(_harmless(line), width) for line in lines[:-1])


def percent(share: float) -> str:
    """A share for people; never 100% or 0% unless it is."""
    shown = f"{share:.1%}"
    return {"100.0%": "100%" if share == 1 else ">99.9%", "0.0%": "0%" if share == 0 else "<0.1%"}.get(shown, shown)


def span(estimate: Estimate) -> str:
    """An interval for people."""
    return f"{estimate.low:.3f} to {estimate.high:.3f}"


def share_cell(share: float | None) -> str:
    """A share, or a stroke where there is none."""
    return "-" if share is None else f"{share:.3f}"


def head(name: str, rows: int, skipped: Mapping[str, int], what: str = "rows") -> list[str]:
    """What was judged, and what could not be."""
    line = f"{name}: {rows:,} {what} judged"
    if skipped:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in skipped.items())
        line += f", {sum(skipped.values()):,} left out: {reasons}"
    return [line]


def figure(name: str, estimate: Estimate, remark: str = "") -> tuple[str, str, str, str]:
    """A row of figures: its name, its value, its interval and a remark."""
    return name, f"{estimate.value:.3f}", span(estimate), remark


def table(rows: Sequence[Sequence[str]], alignment: str) -> list[str]:
    """Cells in columns, "<" to the left and ">" to the right."""
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(alignment))]
    lines = []
    for row in rows:
        padded = zip(row, widths, alignment, strict=True)
        cells = [_fill(cell, size) if side == "<" else _fill(cell, size, left=True) for cell, size, side in padded]
        lines.append("  ".join(cells).rstrip())
    return lines


def tail(rows: int, seconds: float | None, remarks: Sequence[str], width: int, what: str = "rows") -> list[str]:
    """How fast the answers came, and the notes."""
    speed = [] if seconds is None else [f"{rows / max(seconds, 1e-9):,.0f} {what}/s, {seconds:.1f} s"]
    return [*speed, *notes(remarks, width)]


def notes(remarks: Sequence[str], width: int) -> list[str]:
    """Remarks, each on as many lines as it takes."""
    return [line for remark in remarks for line in wrap(f"note: {remark}", width, subsequent_indent="  ")]


def short_name(name: str) -> str:
    """A name on one line that does not fill it."""
    return cut(" ".join(name.split()), NAME_CELLS)


def cut(line: str, width: int) -> str:
    """As much of a line as fits."""
    return line if cell_len(line) <= width else f"{set_cell_size(line, width - 1).rstrip()}…"


def _fill(cell: str, size: int, left: bool = False) -> str:
    blanks = " " * (size - cell_len(cell))
    return blanks + cell if left else cell + blanks


def _harmless(line: str) -> str:
    """Without what a terminal would obey rather than show."""
    return "".join(" " if unicodedata.category(c) == "Cc" or c in _DIRECTIONS else c for c in line)
