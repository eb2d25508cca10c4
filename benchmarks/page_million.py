"""The part of the page about a million rows."""

from __future__ import annotations

from chart import line_chart
from page_parts import Goal, Result, megabytes, table

GROWTH_GOAL = 0.1  # of the memory at the beginning of the steady part: what "constant" allows
CHART = "benchmarks-million.svg"

WORDS = """\
`polarbert score` on tables of short tweets, {pieces:.0f} pieces on average, with a number behind each: no text comes
twice, so every row is computed. Resident memory and finished rows were looked up every tenth of a second. Engine:
{engine}. Threads: {threads}.

![Resident memory over the rows scored]({chart})
"""

REMEMBERED = """\
Memory grows a little over the first {warm:,} rows, by design: the answers to the last {remembered:,} different texts
are kept, so that a text which repeats through a file is computed once.
"""

TOO_SHORT = """\
No run went far enough past these rows to project from; `python benchmarks/million.py` does.
"""

PROJECTED = """\
After that, over rows {start:,} to {end:,}, it changed by {slope:+.1f} ± {error:.1f} bytes a row (95%, from ten
segments), and {speed:,.0f} rows a second were scored. **{what}: {likely} ({low} to {high}), and {middle} minutes
({fast} if all rows took as long as those of the fastest segment, {slow} if as long as those of the slowest).**
"""

MEASURED = """\
After that, over rows {start:,} to {end:,}, it changed by {slope:+.1f} ± {error:.1f} bytes a row (95%, from ten
segments). **Measured, nothing projected: {rows:,} rows took {minutes:.0f} minutes and {peak} at the most.**
"""


def goals(result: Result) -> list[Goal]:
    """That memory is constant."""
    found = result["steady"]
    if found is None:
        return []
    growth = _most_growth(found)
    how = "" if found["to_rows"] >= found["target_rows"] else ", projected"
    return [
        Goal(
            f"memory of `score` from row {found['from_rows']:,} to {found['target_rows']:,}",
            f"constant: at most {GROWTH_GOAL:.0%} more",
            f"{growth:+.1%} at the most{how}",
            growth <= GROWTH_GOAL,
        )
    ]


def section(result: Result) -> str:
    """What was run, the chart, the table, what it means for a million rows."""
    words = WORDS.format(pieces=result["mean_pieces"], engine=result["engine"], threads=result["threads"], chart=CHART)
    rows = [
        [
            f"{run['rows']:,}",
            f"{run['seconds']:,.1f}",
            f"{run['rows_per_second']:,.0f}",
            f"{run['peak_bytes'] / 1e6:.0f}",
            f"{run['input_bytes'] / 1e6:.1f}",
            f"{run['output_bytes'] / 1e6:.1f}",
        ]
        for run in result["runs"]
    ]
    header = ["rows", "seconds, all in", "rows/s", "peak MB", "input MB", "output MB"]
    remembered = REMEMBERED.format(warm=result["warm_rows"], remembered=result["remembered_texts"])
    return "\n".join((words, table(header, rows, numbers=6), remembered + _outlook(result)))


def chart(result: Result) -> str:
    """Resident memory over rows, a line a run; what was last seen is drawn to the run's end."""
    series = {}
    for run in result["runs"]:
        points = [(rows, resident / 1e6) for _, rows, resident in run["samples"] if rows]
        end = (run["rows"], run["samples"][-1][2] / 1e6)
        series[f"{run['rows']:,} rows"] = [*points, end]
    return line_chart("Memory while scoring", "resident MB", "rows scored", series)


def _outlook(result: Result) -> str:
    found = result["steady"]
    if found is None:
        return TOO_SHORT
    shared = {
        "start": found["from_rows"],
        "end": found["to_rows"],
        "slope": found["bytes_per_row"]["slope"],
        "error": found["bytes_per_row"]["error"],
    }
    last = result["runs"][-1]
    if found["to_rows"] >= found["target_rows"]:
        minutes, peak = last["seconds"] / 60, megabytes(last["peak_bytes"])
        return MEASURED.format(**shared, rows=last["rows"], minutes=minutes, peak=peak)
    low, likely, high = (megabytes(size) for size in found["target_bytes"])
    fast, middle, slow = (f"{seconds / 60:.0f}" for seconds in found["target_seconds"])
    what = f"Projected to {found['target_rows']:,} rows"
    memory = {"low": low, "likely": likely, "high": high}
    time = {"fast": fast, "middle": middle, "slow": slow, "speed": found["rows_per_second"]["median"]}
    return PROJECTED.format(**shared, **memory, **time, what=what)


def _most_growth(found: Result) -> float:
    """The upper end of how much more memory the last row of the target takes than the first of the steady part."""
    slope, error = found["bytes_per_row"]["slope"], found["bytes_per_row"]["error"]
    first = found["resident_bytes"] - slope * (found["to_rows"] - found["from_rows"])
    return float((slope + error) * (found["target_rows"] - found["from_rows"]) / first)
