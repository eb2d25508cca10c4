"""A million rows: does `polarbert score` hold its memory, and how long does it take? A short run and its projection.

    python benchmarks/million.py
    python benchmarks/million.py --rows 1000000

The first takes about four minutes on two processors: tables of several sizes, resident memory and finished rows sampled
while they are scored. The second scores a million rows; nothing is projected then. Both write
benchmarks/results/million.json. Needs Linux, whose /proc tells how large a running process is.

Rows are short real texts with a number behind each, so no text comes twice and every row is computed.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any

import child
import common

PACKAGES = ("onnxruntime", "openvino", "tokenizers")
MILLION = 1_000_000
MOST_PIECES = 20  # of a text, [CLS] and [SEP] included, before its number
EVERY = 0.1  # seconds between samples
KEPT_SAMPLES = 80
SEGMENTS = 10  # of the steady part of a run; each gives one speed and one memory figure
STUDENT = 2.306  # 97.5% point of Student's t with SEGMENTS - 2 degrees of freedom
WARM_SHARE = 1.5  # of the texts that are remembered: then their table has doubled for the last time
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Sample:
    """How far a run is: seconds since its start, rows on the disk, resident bytes."""

    seconds: float
    rows: int
    resident: int


@dataclass(frozen=True)
class Line:
    """y = level + slope * x by least squares, and how far off the slope may be (95%)."""

    level: float
    slope: float
    error: float


def main() -> None:
    """Measure and keep the result."""
    if child.serve((prepare,)):
        return
    options = _options()
    if not Path("/proc/self/statm").is_file():
        raise SystemExit("this system has no /proc, so the memory of a running process cannot be seen; use Linux")
    common.say("looking whether the machine is idle")
    busy = common.busy_share()
    prepared = child.ask(__file__, "prepare", {"model": options.model}).values
    words = ["--threads", str(options.threads)] + ["--engine", options.engine] * bool(options.engine)
    words += ["--model", prepared["path"]]
    runs = [_run(prepared["texts"], rows, words) for rows in sorted(options.rows)]
    samples = runs[-1].pop("all_samples")
    for run in runs[:-1]:
        run.pop("all_samples")
    warm_rows = round(WARM_SHARE * prepared["remembered_texts"])
    values = {
        "model": prepared["model"],
        "threads": options.threads,
        "engine": options.engine or prepared["engine"],
        "remembered_texts": prepared["remembered_texts"],
        "mean_pieces": round(runs[-1]["pieces"] / runs[-1]["rows"] + 2, 1),
        "runs": runs,
        "warm_rows": warm_rows,
        "steady": steady(samples, warm_rows, MILLION),
    }
    common.write_result("million", busy, PACKAGES, values)
    _show(values)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a bundle directory; the embedded model unless given")
    parser.add_argument("--engine", help="as for polarbert score; its own choice unless given")
    parser.add_argument(
        "--rows",
        type=int,
        nargs="+",
        default=[5_000, 20_000, 140_000],
        help="sizes of the tables (default 5000 20000 140000); the largest is what is projected from",
    )
    parser.add_argument("--threads", type=int, default=common.usable_processors(), help="default: all")
    return parser.parse_args()


def prepare(request: dict[str, Any]) -> dict[str, Any]:
    """Short texts, and what there is to know of the model and of scoring."""
    import texts
    from polarbert.bundle import Bundle, resolve
    from polarbert.inference.engine import engine_name
    from polarbert.inference.scoring import REMEMBERED_TEXTS
    from polarbert.text import WordPieceTokenizer

    bundle = Bundle.open(resolve(request["model"]))
    tokenizer = WordPieceTokenizer.from_directory(bundle.path)
    rows = [row.text for row in texts.tweets(MILLION)]
    short = [text for text, cut in zip(rows, tokenizer.encode(rows), strict=True) if len(cut.ids) + 2 <= MOST_PIECES]
    return {
        "path": str(bundle.path),
        "model": {
            "name": "embedded" if request["model"] is None else Path(request["model"]).name,
            "precision": bundle.precision,
            "fingerprint": bundle.fingerprint(),
        },
        "engine": engine_name(),
        "remembered_texts": REMEMBERED_TEXTS,
        "texts": short,
    }


def _run(texts: list[str], rows: int, words: list[str]) -> dict[str, Any]:
    """Score a table of so many rows and watch."""
    with tempfile.TemporaryDirectory() as room:
        source, output = Path(room) / "texts.csv", Path(room) / "scored.csv"
        _write_table(source, texts, rows)
        command = [*common.polarbert_command(), "score", str(source), "-o", str(output), "--json", "--quiet", *words]
        samples, seconds, peak, totals = _watch(command, output)
        input_bytes, output_bytes = source.stat().st_size, output.stat().st_size
    if (totals["rows"], totals["computed_texts"], totals.get("errors", 0)) != (rows, rows, 0):
        raise SystemExit(f"not every one of {rows:,} rows was computed: {totals}")
    common.say(f"{rows:,} rows: {seconds:.1f} s, {rows / seconds:,.0f} rows/s, peak {peak / 1e6:.0f} MB")
    step = max(1, math.ceil(len(samples) / KEPT_SAMPLES))
    return {
        "rows": rows,
        "pieces": totals["computed_pieces"],
        "seconds": round(seconds, 2),
        "rows_per_second": round(rows / seconds, 1),
        "peak_bytes": peak,
        "input_bytes": input_bytes,
        "output_bytes": output_bytes,
        "samples": [[round(s.seconds, 1), s.rows, s.resident] for s in (*samples[:-1:step], samples[-1])],
        "all_samples": samples,
    }


def _write_table(file: Path, texts: list[str], rows: int) -> None:
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(["number", "text"])
        writer.writerows((number, f"{texts[number % len(texts)]} {number}") for number in range(rows))


def _watch(command: list[str], output: Path) -> tuple[list[Sample], float, int, dict[str, int]]:
    """Run `score`; its samples, seconds, peak of resident bytes, and the totals that it prints."""
    state = output.with_name(f"{output.name}.partial.json")  # after each block it says how many rows are on the disk
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        environment = common.child_environment()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, env=environment)
        samples: list[Sample] = []
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            rows = _rows(state, samples[-1].rows if samples else 0)
            resident = _resident(process.pid)
            if resident and not output.exists():  # from then on the process only gives its memory back
                samples.append(Sample(time.perf_counter() - started, rows, resident))
            time.sleep(EVERY)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(ended[1])
        if process.returncode != 0:
            errors.seek(0)
            raise SystemExit(f"polarbert score: exit {process.returncode}\n{errors.read().decode('utf-8', 'replace')}")
        out.seek(0)
        return samples, seconds, ended[2].ru_maxrss * common.RSS_UNIT, json.loads(out.read())


def _rows(state: Path, before: int) -> int:
    try:
        return int(json.loads(state.read_text("utf-8"))["rows"])
    except FileNotFoundError:  # not yet there, or the output is complete
        return before


def _resident(pid: int) -> int:
    """Resident bytes of a process; 0 when it has just ended."""
    fields = Path(f"/proc/{pid}/statm").read_text("ascii").split()
    return int(fields[1]) * PAGE_BYTES


def steady(samples: list[Sample], warm_rows: int, target: int) -> dict[str, Any] | None:
    """What the part of a run after `warm_rows` rows says about one of `target` rows.

    That part is cut into segments of about as many rows each. The slope of memory over rows is fitted to the medians of
    the segments, because samples that follow each other are not independent. The slowest and the fastest segment bound
    the time: if all rows took as long as these.

    Args:
        samples: of the whole run.
        warm_rows: so long memory may grow.
        target: rows to project to.

    Returns:
        None when the run is too short to say anything.
    """
    last = samples[-1].rows
    edges = [warm_rows + (last - warm_rows) * number / SEGMENTS for number in range(SEGMENTS + 1)]
    parts = [[s for s in samples if low < s.rows <= high] for low, high in pairwise(edges)]
    if min(map(len, parts)) < 3:
        return None
    crossings = [next(s for s in samples if s.rows >= edge) for edge in edges]
    if any(a.rows == b.rows for a, b in pairwise(crossings)):
        return None
    rates = [(b.rows - a.rows) / (b.seconds - a.seconds) for a, b in pairwise(crossings)]
    likely = (crossings[-1].rows - crossings[0].rows) / (crossings[-1].seconds - crossings[0].seconds)
    line = fit([median(s.rows for s in part) for part in parts], [median(s.resident for s in part) for part in parts])
    now, rest = line.level + line.slope * last, crossings[0]
    return {
        "from_rows": warm_rows,
        "to_rows": last,
        "rows_per_second": common.summary(rates, digits=1),
        "bytes_per_row": {"slope": round(line.slope, 3), "error": round(line.error, 3)},
        "resident_bytes": round(now),
        "target_rows": target,
        "target_bytes": [round(now + (line.slope + sign * line.error) * (target - last)) for sign in (-1, 0, 1)],
        "target_seconds": [
            round(rest.seconds + (target - rest.rows) / rate, 1) for rate in (max(rates), likely, min(rates))
        ],
    }


def fit(x: Sequence[float], y: Sequence[float]) -> Line:
    """Least squares; the error is half of the slope's 95% interval, for SEGMENTS points."""
    centre_x, centre_y = mean(x), mean(y)
    spread = sum((value - centre_x) ** 2 for value in x)
    slope = sum((a - centre_x) * (b - centre_y) for a, b in zip(x, y, strict=True)) / spread
    level = centre_y - slope * centre_x
    left = sum((b - level - slope * a) ** 2 for a, b in zip(x, y, strict=True))
    return Line(level, slope, STUDENT * math.sqrt(left / (len(x) - 2) / spread))


def _show(values: dict[str, Any]) -> None:
    for run in values["runs"]:
        speed, peak = run["rows_per_second"], run["peak_bytes"] / 1e6
        print(f"{run['rows']:>9,} rows: {run['seconds']:7.1f} s  {speed:6,.0f} rows/s  peak {peak:.0f} MB")
    found = values["steady"]
    if found is None:
        print(f"no run is long enough past {values['warm_rows']:,} rows to project from")
        return
    low, likely, high = (value / 1e6 for value in found["target_bytes"])
    fast, middle, slow = (value / 60 for value in found["target_seconds"])
    print(f"{MILLION:,} rows: {likely:.0f} MB ({low:.0f} to {high:.0f}), {middle:.0f} min ({fast:.0f} to {slow:.0f})")


if __name__ == "__main__":
    main()
