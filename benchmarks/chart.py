"""A bar chart as SVG, written by hand: it needs no library, and the same figures always give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 760, 230, 90
BAR, GAP, HEADING, MARGIN = 22, 8, 40, 16
FONT = "font-family='system-ui, sans-serif'"


def bar_chart(title: str, unit: str, groups: Mapping[str, Mapping[str, float]], highlighted: str) -> str:
    """Groups of horizontal bars, all on one scale that starts at zero.

    Args:
        title: what is shown; also read out by screen readers.
        unit: of the values.
        groups: heading -> name of a bar -> value.
        highlighted: bars whose name starts with this are in the strong colour.
    """
    largest = max(value for bars in groups.values() for value in bars.values())
    scale = (WIDTH - LEFT - RIGHT) / largest
    lines: list[str] = []
    top = MARGIN + 24
    for heading, bars in groups.items():
        lines.append(_text(MARGIN, top + HEADING - 16, heading, size=14, weight="600"))
        top += HEADING
        for name, value in bars.items():
            colour = "#1f6feb" if name.startswith(highlighted) else "#9aa4b2"
            width = max(1.0, value * scale)
            lines.extend(
                (
                    _text(LEFT - 8, top + 16, name, anchor="end"),
                    f"<rect x='{LEFT}' y='{top}' width='{width:.1f}' height='{BAR}' rx='2' fill='{colour}'/>",
                    _text(LEFT + width + 6, top + 16, f"{value:,.0f}"),
                )
            )
            top += BAR + GAP
    height = top + MARGIN
    described = "; ".join(
        f"{heading}: " + ", ".join(f"{value:,.0f} ({name})" for name, value in bars.items())
        for heading, bars in groups.items()
    )
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' role='img'>",
        f"<title>{escape(title)} ({escape(unit)})</title>",
        f"<desc>{escape(described)}</desc>",
        f"<rect width='{WIDTH}' height='{height}' fill='#ffffff'/>",
        _text(MARGIN, MARGIN + 14, f"{title} ({unit})", size=16, weight="600"),
    )
    return "\n".join([*head, *lines, "</svg>"]) + "\n"


def _text(x: float, y: float, words: str, anchor: str = "start", size: int = 13, weight: str = "400") -> str:
    style = f"{FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}' fill='#1f2328'"
    return f"<text x='{x:.1f}' y='{y:.1f}' {style}>{escape(words)}</text>"
