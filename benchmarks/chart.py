"""Charts as SVG, written by hand: they need no library, and the same figures always give the same bytes.

Each chart brings its own background and follows the reader's choice of light or dark.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 760, 250, 90
BAR, GAP, HEADING, MARGIN = 22, 8, 40, 16
PLOT_LEFT, PLOT_RIGHT, PLOT_TOP, PLOT_HEIGHT = 78, 190, 64, 260
LABEL_HEIGHT = 18
FONT = "font-family='system-ui, sans-serif'"
INK, PAPER, GRID, PLAIN, STRONG = "#1f2328", "#ffffff", "#d8dee4", "#9aa4b2", "#1f6feb"
LINES = ("#1f6feb", "#c2570c", "#1a7f37", "#8250df", "#6e7781", "#0f7b8a", "#cf222e", "#7d5a00")
DARK_LINES = ("#58a6ff", "#f0883e", "#3fb950", "#bc8cff", "#9aa4b2", "#39c5cf", "#ff7b72", "#d2b122")
DARK = "".join(
    (
        "text{fill:#e6edf3}.paper{fill:#0d1117}.grid{stroke:#30363d}.plain{fill:#6e7681}.strong{fill:#58a6ff}",
        *(f".line{number}{{stroke:{colour}}}" for number, colour in enumerate(DARK_LINES)),
        *(f".dot{number}{{fill:{colour}}}" for number, colour in enumerate(DARK_LINES)),
    )
)
Points = Sequence[tuple[float, float]]


def bar_chart(
    title: str, unit: str, groups: Mapping[str, Mapping[str, float]], highlighted: str, digits: int = 0
) -> str:
    """Groups of horizontal bars, all on one scale that starts at zero.

    Args:
        title: what is shown; also read out by screen readers.
        unit: of the values.
        groups: heading -> name of a bar -> value.
        highlighted: bars whose name starts with this are in the strong colour.
        digits: decimals of the values that are written.
    """
    largest = max(value for bars in groups.values() for value in bars.values())
    scale = (WIDTH - LEFT - RIGHT) / largest
    lines: list[str] = []
    top = MARGIN + 24
    for heading, bars in groups.items():
        lines.append(_text(MARGIN, top + HEADING - 16, heading, size=14, weight="600"))
        top += HEADING
        for name, value in bars.items():
            kind, colour = ("strong", STRONG) if name.startswith(highlighted) else ("plain", PLAIN)
            width = max(1.0, value * scale)
            place = f"x='{LEFT}' y='{top}' width='{width:.1f}' height='{BAR}' rx='2'"
            lines.extend(
                (
                    _text(LEFT - 8, top + 16, name, anchor="end"),
                    f"<rect class='{kind}' {place} fill='{colour}'/>",
                    _text(LEFT + width + 6, top + 16, f"{value:,.{digits}f}"),
                )
            )
            top += BAR + GAP
    described = "; ".join(
        f"{heading}: " + ", ".join(f"{value:,.{digits}f} ({name})" for name, value in bars.items())
        for heading, bars in groups.items()
    )
    return _document(f"{title} ({unit})", described, top + MARGIN, lines)


def line_chart(title: str, unit: str, across: str, series: Mapping[str, Points], doubling: bool = False) -> str:
    """Lines over a common scale, upwards from zero; their names stand at the right, in the order of their ends.

    Args:
        title: what is shown; also read out by screen readers.
        unit: of the values upwards.
        across: what stands to the right, with its unit.
        series: name of a line -> its points (x, y), from left to right; eight lines at most.
        doubling: x doubles from mark to mark, and each point has its mark; otherwise x starts at zero.
    """
    every = [point for points in series.values() for point in points]
    largest_x, largest_y = (max(values) for values in zip(*every, strict=True))
    x_marks = sorted({x for x, _ in every}) if doubling else _round_marks(largest_x)
    plane = _Plane(x_marks, _round_marks(largest_y), doubling)
    drawn = plane.axes(across)
    for number, points in enumerate(series.values()):
        drawn += _line(number, [plane.place(x, y) for x, y in points], dots=doubling)
    ends = [plane.place(*points[-1])[1] for points in series.values()]
    key = WIDTH - PLOT_RIGHT + 14
    for number, (name, y) in enumerate(zip(series, _apart(ends), strict=True)):
        drawn += [*_line(number, [(key, y), (key + 16, y)], dots=False), _text(key + 22, y + 4, name)]
    described = "; ".join(
        f"{name}: from {points[0][1]:,.0f} at {points[0][0]:,.0f} to {points[-1][1]:,.0f} at {points[-1][0]:,.0f}"
        for name, points in series.items()
    )
    return _document(f"{title} ({unit})", f"{across}. {described}", PLOT_TOP + PLOT_HEIGHT + 58, drawn)


@dataclass(frozen=True)
class _Plane:
    """Where values lie on a line chart; arguments as for `line_chart`, marks from low to high."""

    x_marks: Sequence[float]
    y_marks: Sequence[float]
    doubling: bool

    def place(self, x: float, y: float) -> tuple[float, float]:
        first, last, value = (math.log2(n) if self.doubling else n for n in (self.x_marks[0], self.x_marks[-1], x))
        across = (value - first) / max(last - first, 1e-9)
        upwards = y / self.y_marks[-1]
        return PLOT_LEFT + across * (WIDTH - PLOT_LEFT - PLOT_RIGHT), PLOT_TOP + PLOT_HEIGHT * (1 - upwards)

    def axes(self, across: str) -> list[str]:
        right, bottom = WIDTH - PLOT_RIGHT, PLOT_TOP + PLOT_HEIGHT
        drawn = [_text((PLOT_LEFT + right) / 2, bottom + 42, across, anchor="middle")]
        for mark in self.y_marks:
            y = self.place(self.x_marks[0], mark)[1]
            drawn += [_rule(PLOT_LEFT, y, right, y), _text(PLOT_LEFT - 8, y + 4, f"{mark:,.0f}", anchor="end")]
        for mark in self.x_marks:
            x = self.place(mark, 0)[0]
            drawn += [_rule(x, bottom, x, bottom + 5), _text(x, bottom + 20, f"{mark:,.0f}", anchor="middle")]
        return drawn


def _document(title: str, described: str, height: int, drawn: Sequence[str]) -> str:
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' role='img'>",
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(described)}</desc>",
        f"<style>@media (prefers-color-scheme: dark) {{{DARK}}}</style>",
        f"<rect class='paper' width='{WIDTH}' height='{height}' fill='{PAPER}'/>",
        _text(MARGIN, MARGIN + 14, title, size=16, weight="600"),
    )
    return "\n".join([*head, *drawn, "</svg>"]) + "\n"


def _round_marks(largest: float) -> list[float]:
    """0 and three to six more marks at round numbers, the last at or above `largest`."""
    size = 10.0 ** math.floor(math.log10(largest))
    step = next(size * part for part in (0.2, 0.25, 0.5, 1.0, 2.0, 2.5) if math.ceil(largest / (size * part)) <= 6)
    return [step * number for number in range(math.ceil(largest / step) + 1)]


def _apart(places: list[float]) -> list[float]:
    """The same places, moved as little downwards or upwards as keeps labels from covering each other."""
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = list(places)
    for above, below in pairwise(order):
        moved[below] = max(moved[below], moved[above] + LABEL_HEIGHT)
    lowest = float(PLOT_TOP + PLOT_HEIGHT)
    for number in reversed(order):
        moved[number] = min(moved[number], lowest)
        lowest = moved[number] - LABEL_HEIGHT
    return moved


def _line(number: int, points: Points, dots: bool) -> list[str]:
    colour = LINES[number]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    drawn = [f"<polyline class='line{number}' points='{path}' fill='none' stroke='{colour}' stroke-width='2.5'/>"]
    if dots:
        drawn += [f"<circle class='dot{number}' cx='{x:.1f}' cy='{y:.1f}' r='4' fill='{colour}'/>" for x, y in points]
    return drawn


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f"<line class='grid' x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{GRID}'/>"


def _text(x: float, y: float, words: str, anchor: str = "start", size: int = 13, weight: str = "400") -> str:
    style = f"{FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}' fill='{INK}'"
    return f"<text x='{x:.1f}' y='{y:.1f}' {style}>{escape(words)}</text>"
