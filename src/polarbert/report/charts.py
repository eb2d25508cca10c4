"""Charts as SVG that takes its colours and its letters from the page it stands in."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from polarbert.calibration import CalibrationFigures
from polarbert.inference.lines import percent
from polarbert.metrics import CoverageCurve, Estimate

# Stand-ins that no chart uses otherwise; each becomes a colour of the page, so that charts follow its dark mode.
INK, MUTED, LINE, ACCENT, MARK = "#010203", "#010204", "#010205", "#010206", "#010207"
_VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line", ACCENT: "--accent", MARK: "--mark"}
_SETTINGS: Any = {
    "svg.fonttype": "none",  # letters stay letters: small, selectable, in the page's font
    "text.parse_math": False,  # a label may hold dollar signs
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.color": LINE,
    "ytick.labelcolor": INK,
}
_STYLE: Any = ["default", _SETTINGS]  # not the user's own, which is for other charts
WIDTH = 5.6  # inches, which a page shows as 540 points or less
NAME_CHARACTERS = 26
DASHES = (0, (4, 3))
SETTLED = 0.05  # of the texts; before so many, the curve says more of luck than of the model


@dataclass(frozen=True)
class Dot:
    """A line of a dot chart.

    Attributes:
        name: what stands before it.
        estimate: where the dot and its interval are.
        note: what stands behind it.
    """

    name: str
    estimate: Estimate
    note: str


def dots(rows: Sequence[Dot], axis: str, reference: tuple[float, str], description: str) -> str:
    """Figures with their intervals, one below the other.

    Args:
        rows: from top to bottom.
        axis: what is measured.
        reference: where a dashed line stands, and what it shows.
        description: of the chart in words, for those who do not see it.
    """
    with style.context(_STYLE):
        figure = Figure(figsize=(WIDTH, 0.8 + 0.3 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        places = list(range(len(rows)))
        lows = [row.estimate.low for row in rows]
        place, meaning = reference
        left = _floor(min([*lows, place]))
        axes.axvline(place, color=MARK, linewidth=1, linestyle=DASHES)
        above = {"xycoords": ("data", "axes fraction"), "ha": _side(place, left, 1)}
        _mark(axes, meaning, (place, 1), (0, 4), **above)
        axes.hlines(places, lows, [row.estimate.high for row in rows], color=ACCENT, linewidth=2.2, clip_on=False)
        axes.plot([row.estimate.value for row in rows], places, "o", color=ACCENT, markersize=7, clip_on=False)
        beside = {"xycoords": ("axes fraction", "data"), "va": "center", "color": MUTED}
        for number, row in enumerate(rows):
            _mark(axes, row.note, (1, number), (9, 0), **beside)
        axes.set_yticks(places, [_short(row.name) for row in rows])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set(xlim=(left, 1), ylim=(len(rows) - 0.4, -0.6), xlabel=axis)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.grid(axis="x")
        return _svg(figure, description)


def reliability(calibration: CalibrationFigures, description: str) -> str:
    """Accuracy against confidence for bins of equal mass, above how many answers have which confidence."""
    with style.context(_STYLE):
        figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        sure = [part.confidence for part in calibration.bins]
        steps = len(calibration.histogram)
        first = next(step for step, count in enumerate(calibration.histogram) if count) / steps
        left = min(_floor(sure[0]), first)
        upper.plot([left, 1], [left, 1], color=MARK, linewidth=1, linestyle=DASHES, label="as right as sure")
        shares = [Estimate.share(round(part.accuracy * part.count), part.count) for part in calibration.bins]
        upper.vlines(sure, [s.low for s in shares], [s.high for s in shares], color=ACCENT, linewidth=1.6)
        upper.plot(sure, [s.value for s in shares], "o", color=ACCENT, markersize=6, clip_on=False)
        upper.set(xlim=(left, 1), ylim=(0, 1), ylabel="share that is right")
        upper.grid()
        upper.legend(frameon=False, labelcolor=MARK, fontsize=9)
        starts = [step / steps for step in range(steps)]
        lower.bar(starts, calibration.histogram, 1 / steps, align="edge", color=ACCENT, alpha=0.5)
        lower.set(xlabel="confidence", ylabel="answers")
        lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        figure.align_ylabels()
        return _svg(figure, description)


def coverage(curve: CoverageCurve, share: float, accuracy: float | None, description: str) -> str:
    """Accuracy when only the surest answers are given.

    Args:
        curve: of all shares.
        share: answered at the threshold in use.
        accuracy: of these answers; None where there are none.
        description: of the chart in words.
    """
    with style.context(_STYLE):
        figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(curve.coverage, curve.accuracy, color=ACCENT, linewidth=2.2)
        settled = [right for part, right in zip(curve.coverage, curve.accuracy, strict=True) if part >= SETTLED]
        bottom = _floor(min(settled))
        if accuracy is not None:
            axes.plot([share, share], [bottom, accuracy], color=MARK, linewidth=1, linestyle=DASHES)
            axes.plot([share], [accuracy], "D", color=MARK, markersize=8, clip_on=False, zorder=3)
            side, step = ("left", 7) if share < 0.5 else ("right", -7)
            _mark(axes, "at the threshold in use", (share, bottom), (step, 22), ha=side)
            _mark(axes, f"{percent(share)} answered, {percent(accuracy)} right", (share, bottom), (step, 9), ha=side)
        axes.set(xlim=(0, 1), ylim=(bottom, 1), xlabel="share of the texts that is answered, surest first")
        axes.set_ylabel("share of these answers that is right")
        axes.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
        axes.grid()
        return _svg(figure, description)


def _mark(axes: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], **style: Any) -> None:
    axes.annotate(text, at, offset, textcoords="offset points", fontsize=9, **{"color": MARK, **style})


def _side(place: float, low: float, high: float) -> str:
    """How a text at a place is aligned so that it stays inside."""
    share = (place - low) / (high - low) if high > low else 0.5
    return "left" if share < 0.25 else "right" if share > 0.75 else "center"


def _floor(share: float) -> float:
    """A round number below a share, where an axis may begin."""
    return max(0.0, math.floor(share * 10 - 0.5) / 10)


def _short(name: str) -> str:
    squeezed = " ".join(name.split())
    return squeezed if len(squeezed) <= NAME_CHARACTERS else f"{squeezed[: NAME_CHARACTERS - 1]}…"


def _svg(figure: Figure, description: str) -> str:
    """The figure as an element of a page."""
    out = io.StringIO()
    with warnings.catch_warnings(), mpl.rc_context({"svg.hashsalt": description}):
        warnings.filterwarnings("ignore", message="Glyph")  # the browser has letters that the measuring font lacks
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    whole = out.getvalue()
    inside = whole[whole.index("<g ") : whole.rindex("</svg>")]  # without what can only head a file of its own
    drawn = re.sub(r"<[^<>]*>", lambda tag: _tidy(tag[0]), inside)  # letters between tags are other people's
    drawn = re.sub(r">\s+<", ">\n<", drawn).strip()
    box = re.search(r'viewBox="[\d. ]+"', whole)
    return f'<svg {box[0] if box else ""} role="img" aria-label="{escape(description)}">\n{drawn}\n</svg>'


def _tidy(tag: str) -> str:
    """A tag with the page's colours and letters, short numbers, and no name that another chart could have too."""
    tag = re.sub(r'^<g id="[^"]*"', "<g", tag).replace("xlink:href", "href")
    tag = re.sub(r"font: (?:(?:[a-z]+|\d+) )*([\d.]+)px [^;\"]*", r"font-size: \1px", tag)
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    tag = re.sub(r"(\d\.\d\d)\d+", r"\1", tag)
    for stand_in, variable in _VARIABLES.items():
        tag = tag.replace(stand_in, f"var({variable})")
    return tag
