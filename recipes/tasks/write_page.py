"""The parts of docs/tasks.md that hold figures, and its picture, from recipes/tasks/results.

    python recipes/tasks/write_page.py

A test compares the page with what this makes, so no figure in these parts can be typed in.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "playstore"))

from recipes.tasks import judging
from recipes.tasks.entries import Entry, base_of, read
from recipes.tasks.sets import SETS, LabelledSet

import pictures
from polarbert.files import write_whole

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tasks.md"
PICTURE = PAGE.with_name("tasks.svg")
RESULTS = Path(__file__).resolve().with_name("results") / "tasks.json"
WITHOUT_WARMUP = RESULTS.with_name("without_warmup.json")
BLOCK = re.compile(r"(?<=<!-- results -->\n).*?(?=<!-- /results -->)", re.DOTALL)
WARMUP_BLOCK = re.compile(r"(?<=<!-- warm-up -->\n).*?(?=<!-- /warm-up -->)", re.DOTALL)
OURS, THEIRS = "ours", "transformers"
COLOURS = {"Polarbert": pictures.BLUE, "transformers": pictures.GREY}
MOMENTS = {"last": "after the last step", "best": "at the best evaluation"}
LIMIT = 2  # standard errors: a smaller difference is none


@dataclass(frozen=True)
class Scores:
    """What one contender reached on a set, in percent, by seed."""

    by_seed: Mapping[int, float]

    @classmethod
    def of(cls, entries: Sequence[Entry], measure: str, moment: str) -> Scores:
        """Of the contender's entries."""
        return cls({entry["seed"]: 100 * entry[moment][measure] for entry in entries})

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return mean(self.by_seed.values())

    def __str__(self) -> str:
        values = list(self.by_seed.values())
        return f"{self.mean:.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{self.mean:.1f}"


@dataclass(frozen=True)
class Difference:
    """How much more the first contender reaches than the second.

    Attributes:
        value: mean over the seeds that both have, in points.
        error: its standard error; by seeds where there are several, and by other dev rows where there is one.
        seeds: how many there are.
    """

    value: float
    error: float
    seeds: int

    @property
    def verdict(self) -> str:
        """Whether it is more than chance."""
        if abs(self.value) <= LIMIT * self.error:
            return "even"
        return "better" if self.value > 0 else "worse"

    def __str__(self) -> str:
        return f"{self.value:+.1f} ± {self.error:.1f}"


def difference(ours: Sequence[Entry], theirs: Sequence[Entry], measure: str, moment: str) -> Difference | None:
    """Paired by seed, since rows to learn from are the seed's; None where no seed has both.

    With one seed the error is that of other dev rows, after the last step: only of these the answers are kept.
    """
    pairs = [(one, other) for one in ours for other in theirs if one["seed"] == other["seed"]]
    gains = [100 * (one[moment][measure] - other[moment][measure]) for one, other in pairs]
    if len(gains) > 1:
        return Difference(mean(gains), stdev(gains) / math.sqrt(len(gains)), len(gains))
    if not gains:
        return None
    rows = [np.array(entry["judged"], dtype=np.float64) for entry in pairs[0]]
    return Difference(gains[0], 100 * judging.resampled_error(measure, rows[0], rows[1]), 1)


@dataclass(frozen=True)
class Measured:
    """A set, and what both contenders reached on it.

    Attributes:
        chosen: the set.
        ours: entries of Polarbert.
        theirs: of `transformers`.
    """

    chosen: LabelledSet
    ours: list[Entry]
    theirs: list[Entry]

    def scores(self, moment: str) -> tuple[Scores, Scores]:
        """Of both."""
        ours, theirs = (Scores.of(entries, self.chosen.measure, moment) for entries in (self.ours, self.theirs))
        return ours, theirs

    def difference(self, moment: str) -> Difference | None:
        """Of both."""
        return difference(self.ours, self.theirs, self.chosen.measure, moment)


def main() -> None:
    """Write the page and, where there are figures, the picture."""
    results = read(RESULTS)
    page = BLOCK.sub(lambda _: figures(results), PAGE.read_text("utf-8"))
    page = WARMUP_BLOCK.sub(lambda _: warmup(results, read(WITHOUT_WARMUP)), page)
    write_whole(PAGE, page.encode("utf-8"))
    if found := measured(results):
        write_whole(PICTURE, draw(found).encode("utf-8"))
    else:
        PICTURE.unlink(missing_ok=True)


def measured(results: Mapping[str, Any]) -> list[Measured]:
    """The sets on which both contenders were measured with a seed in common."""
    found = []
    for name, chosen in SETS.items():
        entries = [entry for entry in results.get("entries", []) if entry["task"] == name]
        ours, theirs = ([entry for entry in entries if entry["contender"] == who] for who in (OURS, THEIRS))
        one = Measured(chosen, ours, theirs)
        if one.difference("last") is not None:
            found.append(one)
    return found


def figures(results: Mapping[str, Any]) -> str:
    """Tables and what they come to, as Markdown."""
    found = measured(results)
    if not found:
        return "Not measured yet: `python recipes/tasks/measure.py` does it.\n"
    missing = [chosen.title for chosen in SETS.values() if chosen not in [one.chosen for one in found]]
    parts = [
        about(results, found),
        f"![The table below as bars: Polarbert and transformers on each task]({PICTURE.name})\n",
        f"### {MOMENTS['last'].capitalize()}\n",
        verdicts(found, "last"),
        table(found),
        f"### {MOMENTS['best'].capitalize()}\n",
        verdicts(found, "best"),
        short_table(found),
    ]
    if missing:
        parts.append(f"Not measured yet: {', '.join(missing)}.\n")
    return "\n".join(parts)


def about(results: Mapping[str, Any], found: Sequence[Measured]) -> str:
    """The budget."""
    budget, environment = results["budget"], results["environment"]
    device = environment["processor"] if environment["device"] == "cpu" else environment["device"]
    precisions = sorted({entry["precision"] for one in found for entry in (*one.ours, *one.theirs)})
    rates = sorted({entry["learning_rate"] for one in found for entry in one.ours})
    return (
        f"Base: {base_of(budget)}. At most {budget['rows']:,} rows to learn from, drawn by the seed, "
        f"{budget['passes']:g} passes, peak rate {', '.join(f'{rate:g}' for rate in rates)}, "
        f"{' and '.join(precisions)}; at most {budget['dev_rows']:,} rows judge. Measured {results['date']} on "
        f"{device} with PyTorch {environment['torch']} and transformers {budget['transformers']}.\n"
    )


def verdicts(found: Sequence[Measured], moment: str) -> str:
    """On how many sets who is ahead."""
    named: dict[str, list[str]] = {"better": [], "even": [], "worse": []}
    for one in found:
        gain = one.difference(moment)
        if gain is not None:
            named[gain.verdict].append(one.chosen.title)
    words = {
        "better": "better by more than two standard errors of the difference",
        "even": "within two standard errors",
        "worse": "worse by more than two standard errors",
    }
    lines = [f"- {words[verdict]}: {len(titles)}{_listed(titles)}" for verdict, titles in named.items()]
    higher = sum(ours.mean > theirs.mean for ours, theirs in (one.scores(moment) for one in found))
    return "\n".join([f"Polarbert's mean is the higher one on {higher} of {len(found)} tasks. It is", "", *lines, ""])


def _listed(titles: Sequence[str]) -> str:
    return f" ({'; '.join(titles)})" if titles else ""


def table(found: Sequence[Measured]) -> str:
    """Each set with its dev part, its rows, both contenders and what BERT's authors report."""
    head = ["task", "measure", "judged by", "learned from", "Polarbert", "transformers", "difference", "seeds"]
    lines = [f"| {' | '.join(head)} | BERT, not comparable |", "|---|---|---|--:|--:|--:|--:|--:|---|"]
    for one in found:
        chosen, gain = one.chosen, one.difference("last")
        ours, theirs = one.scores("last")
        measure = judging.MEASURES[chosen.measure][0] if chosen.positive is None else f'F1 of "{chosen.positive}"'
        published = "" if chosen.published is None else f"{chosen.published[0]} ({chosen.published[1]})"
        rows = f"{one.ours[0]['rows']:,} rows"
        seeds = "" if gain is None else str(gain.seeds)
        judged = f"{chosen.dev_name}, {one.ours[0]['dev_rows']:,} rows"
        lines.append(
            f"| {chosen.title} | {measure} | {judged} | {rows} | {ours} | {theirs} | {gain} | {seeds} | {published} |"
        )
    return "\n".join([*lines, ""])


def short_table(found: Sequence[Measured]) -> str:
    """Both contenders where each is best."""
    lines = ["| task | Polarbert | transformers | difference |", "|---|--:|--:|--:|"]
    for one in found:
        ours, theirs = one.scores("best")
        lines.append(f"| {one.chosen.title} | {ours} | {theirs} | {one.difference('best')} |")
    return "\n".join([*lines, ""])


def warmup(results: Mapping[str, Any], without: Mapping[str, Any]) -> str:
    """What Polarbert reaches with its warm-up and without one, after the last step, with the seeds that both have."""
    lines = ["| task | with | without | difference | seeds |", "|---|--:|--:|--:|--:|"]
    for name, chosen in SETS.items():
        kept, tried = (
            [entry for entry in one.get("entries", []) if (entry["task"], entry["contender"]) == (name, OURS)]
            for one in (results, without)
        )
        common = {entry["seed"] for entry in kept} & {entry["seed"] for entry in tried}
        kept, tried = ([entry for entry in one if entry["seed"] in common] for one in (kept, tried))
        gain = difference(tried, kept, chosen.measure, "last")
        if gain is not None:
            means = [Scores.of(entries, chosen.measure, "last").mean for entries in (kept, tried)]
            lines.append(f"| {chosen.title} | {means[0]:.1f} | {means[1]:.1f} | {gain} | {gain.seeds} |")
    return "\n".join([*lines, ""])


def draw(found: Sequence[Measured]) -> str:
    """Both contenders on each set, after the last step."""
    groups = {}
    for one in found:
        ours, theirs = one.scores("last")
        measure = judging.MEASURES[one.chosen.measure][0]
        values = {"Polarbert": ours.mean / 100, "transformers": theirs.mean / 100}
        groups[f"{one.chosen.title}, {measure}"] = {name: max(value, 0.0) for name, value in values.items()}
    return pictures.bars("The same base, the same rows, the same passes", groups, COLOURS)


if __name__ == "__main__":
    main()
