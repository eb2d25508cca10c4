"""The pictures of the story as SVG, written by hand: no library, and the same figures always give the same bytes.

Each stands on a ground of its own, so it can be read on any page, and follows the reader's choice of light or dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

INK, MUTED, LINE, GROUND = "#1f2328", "#57606a", "#d0d7de", "#ffffff"
BLUE, ORANGE, GREY = "#0969da", "#bc4c00", "#6e7781"
ON_COLOUR = "#fefefe"  # words on a strong colour stay light on dark pages too
IN_THE_DARK = {
    INK: "#e6edf3",
    MUTED: "#9198a1",
    LINE: "#30363d",
    GROUND: "#0d1117",
    BLUE: "#388bfd",
    ORANGE: "#e8772e",
    GREY: "#9198a1",
}
DARK = "".join(
    f"[fill='{one}']{{fill:{other}}}[stroke='{one}']{{stroke:{other}}}" for one, other in IN_THE_DARK.items()
)
WIDTH, MARGIN = 760, 18
FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"


@dataclass(frozen=True)
class Series:
    """A line: its name, its values from left to right, its colour, and whether it is dashed."""

    name: str
    values: Sequence[float]
    colour: str
    dashed: bool = False


@dataclass(frozen=True)
class Dots:
    """A row of dots: its name, one value each, and its colour."""

    name: str
    values: Sequence[float]
    colour: str


def curves(title: str, axis: str, series: Sequence[Series], bounds: tuple[float, float], step: float) -> str:
    """Shares against passes 1, 2, 3, ...; each line bears its name at its right end.

    Args:
        title: what is shown; also read out by screen readers.
        axis: what goes from left to right.
        series: the lines; one of a single value is a level and goes across.
        bounds: lowest and highest share of the picture.
        step: between two lines of the grid.
    """
    passes = max(len(one.values) for one in series)
    left, right, top, bottom = MARGIN + 44, WIDTH - 230, 62, 372
    low, high = bounds

    def x(number: int) -> float:
        return left + (right - left) * number / max(passes - 1, 1)

    def y(share: float) -> float:
        return bottom - (bottom - top) * (share - low) / (high - low)

    lines = [_grid_line(left, right, y(share), f"{share:.0%}") for share in _steps(low, high, step)]
    lines += [_text(x(number), bottom + 20, str(number + 1), anchor="middle", colour=MUTED) for number in range(passes)]
    lines.append(_text((left + right) / 2, bottom + 42, axis, anchor="middle", colour=MUTED))
    heights = spaced([y(one.values[-1]) for one in series], 17)
    for one, height in zip(series, heights, strict=True):
        values = list(one.values) if len(one.values) > 1 else [one.values[0]] * passes
        points = [(x(number), y(value)) for number, value in enumerate(values)]
        lines.append(_polyline(points, one.colour, one.dashed))
        if len(one.values) > 1:
            lines += [f"<circle cx='{a:.1f}' cy='{b:.1f}' r='3.5' fill='{one.colour}'/>" for a, b in points]
        name = f"{one.values[-1]:.1%}  {one.name}"
        lines.append(_text(right + 12, height + 4, name, colour=one.colour, weight="600"))
    described = "; ".join(f"{one.name}: {', '.join(f'{value:.1%}' for value in one.values)}" for one in series)
    return _picture(title, described, 430, lines)


def bars(title: str, groups: Mapping[str, Mapping[str, float]], colours: Mapping[str, str], notes: str = "") -> str:
    """Groups of horizontal bars of shares, all on one scale from 0 to 100%.

    Args:
        title: what is shown.
        groups: heading -> name of a bar -> share.
        colours: of the bars, by name.
        notes: a line below.
    """
    left, right = 262, WIDTH - 80
    lines: list[str] = []
    top = 52
    for heading, values in groups.items():
        lines.append(_text(MARGIN, top + 18, heading, weight="600"))
        top += 28
        for name, share in values.items():
            width = max(1.0, (right - left) * share)
            lines += [
                _text(left - 10, top + 15, name, anchor="end"),
                _rect(left, top, width, 20, colours[name]),
                _text(left + width + 8, top + 15, f"{share:.1%}", weight="600"),
            ]
            top += 26
        top += 8
    if notes:
        lines.append(_text(MARGIN, top + 18, notes, colour=MUTED, size=12))
        top += 24
    described = "; ".join(f"{h}: {', '.join(f'{n} {s:.1%}' for n, s in v.items())}" for h, v in groups.items())
    return _picture(title, described, top + MARGIN, lines)


def columns(title: str, axis: str, counts: Sequence[tuple[str, int]]) -> str:
    """Upright bars of counts, side by side."""
    left, right, top, bottom = MARGIN + 8, WIDTH - MARGIN, 70, 300
    most = max(count for _, count in counts)
    width = (right - left) / len(counts)
    lines = [_text((left + right) / 2, bottom + 42, axis, anchor="middle", colour=MUTED)]
    for number, (name, count) in enumerate(counts):
        height = (bottom - top) * count / most
        middle = left + width * (number + 0.5)
        lines += [
            _rect(left + width * number + 4, bottom - height, width - 8, height, BLUE),
            _text(middle, bottom - height - 6, f"{count:,}", anchor="middle", size=12),
            _text(middle, bottom + 18, name, anchor="middle", colour=MUTED, size=12),
        ]
    lines.append(f"<line x1='{left}' x2='{right}' y1='{bottom}' y2='{bottom}' stroke='{LINE}'/>")
    return _picture(title, ", ".join(f"{name}: {count:,}" for name, count in counts), 358, lines)


def dot_rows(title: str, rows: Sequence[Dots], bounds: tuple[float, float], step: float, note: str) -> str:
    """Rows of dots on one scale; a bar marks the mean of each row, which is also written behind it."""
    left, right, top = 262, WIDTH - 90, 62
    bottom = top + 46 * len(rows)
    low, high = bounds

    def x(share: float) -> float:
        return left + (right - left) * (share - low) / (high - low)

    lines: list[str] = []
    for share in _steps(low, high, step):
        lines += [
            f"<line x1='{x(share):.1f}' x2='{x(share):.1f}' y1='{top}' y2='{bottom}' stroke='{LINE}'/>",
            _text(x(share), bottom + 18, f"{share:.0%}", anchor="middle", colour=MUTED, size=12),
        ]
    for number, row in enumerate(rows):
        middle = top + 46 * number + 23
        mean = sum(row.values) / len(row.values)
        lines.append(_text(left - 12, middle + 5, row.name, anchor="end"))
        lines += [
            f"<circle cx='{x(value):.1f}' cy='{middle}' r='6' fill='{row.colour}' fill-opacity='0.45'/>"
            for value in row.values
        ]
        lines += [
            _rect(x(mean) - 1.5, middle - 13, 3, 26, row.colour),
            _text(right + 14, middle + 5, f"{mean:.1%}", weight="600", colour=row.colour),
        ]
    lines.append(_text(MARGIN, bottom + 44, note, colour=MUTED, size=12))
    described = "; ".join(f"{row.name}: {', '.join(f'{value:.1%}' for value in row.values)}" for row in rows)
    return _picture(title, described, bottom + 62, lines)


def tables(title: str, labels: Sequence[str], counts: Mapping[str, Sequence[Sequence[int]]]) -> str:
    """Confusion tables side by side: a row for each true class, its answers as shares of the row."""
    cell, height, top = 88, 52, 100
    lines: list[str] = []
    start = MARGIN + 70
    for name, table in counts.items():
        lines.append(_text(start + cell * len(labels) / 2, top - 34, name, anchor="middle", weight="600"))
        for column, label in enumerate(labels):
            lines.append(_text(start + cell * (column + 0.5), top - 10, label, anchor="middle", colour=MUTED, size=12))
        for row, answers in enumerate(table):
            y = top + height * row
            lines.append(_text(start - 8, y + height / 2 + 4, labels[row], anchor="end", colour=MUTED, size=12))
            for column, count in enumerate(answers):
                share = count / max(sum(answers), 1)
                lines += _cell(start + cell * column, y, cell, height, share, row == column)
        start += cell * len(labels) + 108
    foot = "Rows: what people said. Columns: what the network said, as a share of the row."
    bottom = top + height * len(labels)
    lines.append(_text(MARGIN, bottom + 28, foot, colour=MUTED, size=12))
    described = "; ".join(
        f"{name}: " + ", ".join(f"{labels[row]} {[*answers]}" for row, answers in enumerate(table))
        for name, table in counts.items()
    )
    return _picture(title, described, bottom + 46, lines)


def spaced(heights: Sequence[float], least: float) -> list[float]:
    """Heights moved until neighbours are `least` apart, in the order they had."""
    placed: list[float] = [0.0] * len(heights)
    before = float("-inf")
    for number in sorted(range(len(heights)), key=lambda place: heights[place]):
        placed[number] = before = max(heights[number], before + least)
    return placed


def _cell(x: float, y: float, width: float, height: float, share: float, right: bool) -> list[str]:
    colour = BLUE if right else ORANGE
    ink = ON_COLOUR if share > 0.7 else INK
    return [
        _rect(x + 2, y + 2, width - 4, height - 4, colour, opacity=0.06 + 0.94 * share),
        _text(x + width / 2, y + height / 2 + 5, f"{share:.0%}", "middle", weight="600", colour=ink),
    ]


def _picture(title: str, described: str, height: float, lines: Sequence[str]) -> str:
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height:.0f}' role='img'>",
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(described)}</desc>",
        f"<style>@media (prefers-color-scheme: dark) {{{DARK}}}</style>",
        f"<rect width='{WIDTH}' height='{height:.0f}' rx='8' fill='{GROUND}'/>",
        _text(MARGIN, 32, title, size=16, weight="600"),
    )
    return "\n".join([*head, *lines, "</svg>"]) + "\n"


def _steps(low: float, high: float, step: float) -> list[float]:
    return [low + step * number for number in range(round((high - low) / step) + 1)]


def _grid_line(left: float, right: float, y: float, name: str) -> str:
    line = f"<line x1='{left}' x2='{right}' y1='{y:.1f}' y2='{y:.1f}' stroke='{LINE}'/>"
    return line + _text(left - 8, y + 4, name, anchor="end", colour=MUTED, size=12)


def _polyline(points: Sequence[tuple[float, float]], colour: str, dashed: bool) -> str:
    dash = " stroke-dasharray='6 5'" if dashed else ""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2.5'{dash}/>"


def _rect(x: float, y: float, width: float, height: float, colour: str, opacity: float = 1.0) -> str:
    size = f"x='{x:.1f}' y='{y:.1f}' width='{width:.1f}' height='{height:.1f}'"
    return f"<rect {size} rx='2' fill='{colour}' fill-opacity='{opacity:.2f}'/>"


def _text(
    x: float, y: float, words: str, anchor: str = "start", size: int = 14, weight: str = "400", colour: str = INK
) -> str:
    style = f"{FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}' fill='{colour}'"
    return f"<text x='{x:.1f}' y='{y:.1f}' {style}>{escape(words)}</text>"
