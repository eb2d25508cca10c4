"""Makes docs/benchmarks.md and its charts from benchmarks/results/*.json.

    python benchmarks/make_page.py

A test compares the page with what this makes, so no figure on it can be typed in.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import page_engines
import page_explanations
import page_million
import page_pretraining
import page_tasks
import page_training
from chart import bar_chart
from common import RESULTS, ROOT
from page_parts import Goal, Result, megabytes, table

PAGE, CHART = "benchmarks.md", "benchmarks.svg"

TIMES_GOAL, SHARE_GOAL = 3.3, 0.5
PREDICT_SECONDS, PREDICT_BYTES = 0.6, 200e6
IMPORT_SECONDS, INSTALL_BYTES = 0.1, 300e6
BUSY = 0.1  # other work above this share of the processors is told on the page
CORE_ENGINE = "onnxruntime"  # the one that every installation has

HEAD = """\
# Benchmarks

How fast Polarbert is, what it takes, and how that compares with `transformers` on the same checkpoint: its
text-classification pipeline for scoring, its Trainer for fine-tuning. `python benchmarks/make_page.py` makes this page
from the files in `benchmarks/results`; nothing on it is typed in. `benchmarks/README.md` in the repository says how to
measure on your own machine.

## How to read this page

- Figures hold for the machine named below the tables; on another one they differ, ratios included.
- Contestants take turns (A B C, A B C, ...), so a slow minute of the machine hits all of them. A first turn that warms
  the disk cache is not counted.
- The **median** is the middle of all rounds. **p95** is the time that 95% of the rounds did not exceed; with fewer than
  20 rounds that is the slowest of them. **p99** likewise.
- MB are millions of bytes.
- The goals were set in advance. One that is missed stands here as missed.
"""

SCORE_WORDS = """\
`polarbert score` is timed from the start of its process to the finished output file: starting Python, loading the
model, reading and writing CSV are all in it. The pipeline is timed without any of that: it is loaded before
({load:.1f} s, not counted), gets a list of texts and returns a list. It runs in float32 and gets the texts in file
order, as its users do. Threads for each: {threads}. No text comes twice, so remembering the answers to repeated texts
gives Polarbert no advantage.
"""

SCORE_LEGEND = """\
- **texts/s**: texts divided by the median time of {rounds} rounds.
- **p95 s**: 95th percentile of the time for all texts.
- **ratio**: how many times faster than the best pipeline batch size of the same round; the median over rounds.
- **accuracy**: share of these texts that get the class people gave them.
- **GOP/s**: useful operations a second. Each position of a text, [CLS] and [SEP] included and padding not, takes
  {mflop:.1f} million operations in this network (two for each parameter of its layers).
- **of int8 GEMM**: GOP/s over the best int8 matrix product of this machine, measured in the same run (table below):
  the share of the rate that no int8 network can exceed.
"""


QUANTISATION_WORDS = """\
The graph that scores computes in 8-bit integers. Logarithms of the probabilities of {texts:,} dev texts, compared with
those of the same network in float32: the root-mean-square difference, and the share of texts that get another label.
"""


@dataclass(frozen=True)
class Section:
    """A part of the page, made from one result.

    Attributes:
        title: its heading.
        command: what measures it.
        text: its content.
        goals: what was to be reached.
        charts: file name in docs -> what draws it.
    """

    title: str
    command: str
    text: Callable[[Result], str]
    goals: Callable[[Result], list[Goal]] = lambda _result: []
    charts: tuple[tuple[str, Callable[[Result], str]], ...] = ()


def main() -> None:
    """Write the page and its charts; one whose result is gone goes too."""
    results = read_results(RESULTS)
    docs = ROOT / "docs"
    (docs / PAGE).write_text(page(results), "utf-8")
    drawn = charts(results)
    for file in docs.glob("benchmarks*.svg"):
        if file.name not in drawn:
            file.unlink()
    for name, drawing in drawn.items():
        (docs / name).write_text(drawing, "utf-8")


def read_results(directory: Path) -> dict[str, Result]:
    """The kept results by name; what was not measured is left out."""
    files = {name: directory / f"{name}.json" for name in SECTIONS}
    return {name: json.loads(file.read_text("utf-8")) for name, file in files.items() if file.is_file()}


def page(results: dict[str, Result]) -> str:
    """The page in Markdown."""
    parts = [HEAD, "## Goals\n", _goals_section(results)]
    for name, section in SECTIONS.items():
        parts.append(f"## {section.title}\n")
        if name in results:
            parts += [section.text(results[name]), _made_by(results[name])]
        else:
            parts.append(f"Not measured yet. `{section.command}` measures it.\n")
    return "\n".join(parts)


def charts(results: dict[str, Result]) -> dict[str, str]:
    """File name in docs -> SVG, of everything that was measured."""
    return {
        file: draw(results[name])
        for name, section in SECTIONS.items()
        for file, draw in section.charts
        if name in results
    }


def goals(results: dict[str, Result]) -> list[Goal]:
    """Every goal whose figures were measured."""
    return [goal for name, section in SECTIONS.items() if name in results for goal in section.goals(results[name])]


def _score_chart(result: Result) -> str:
    groups = {
        f"{name.capitalize()}, {found['mean_pieces']:.0f} word pieces on average": {
            contestant: figures["texts_per_second"]
            for contestant, figures in found["contestants"].items()
            if not contestant.startswith("engine")
        }
        for name, found in result["sets"].items()
    }
    return bar_chart("Scoring a file", "texts a second, more is better", groups, highlighted="polarbert")


def _score_goals(result: Result) -> list[Goal]:
    found = []
    for name, measured in result["sets"].items():
        ours = measured["contestants"][f"polarbert score, {CORE_ENGINE}"]
        ratio, share = ours["ratio"]["median"], ours["share_of_int8_gemm"]
        what = f"`score` on {name} with ONNX Runtime"
        times = f"at least {TIMES_GOAL:.1f} times the pipeline"
        found += [
            Goal(what, times, f"{ratio:.2f} times", ratio >= TIMES_GOAL),
            Goal(what, f"{SHARE_GOAL:.0%} of the best int8 GEMM", f"{share:.1%}", share >= SHARE_GOAL),
        ]
    return found


def _cold_goals(result: Result) -> list[Goal]:
    measured = result["contestants"]
    predict = measured[f"predict, {CORE_ENGINE}"]
    seconds, peak = predict["seconds"]["median"], predict["peak_bytes"]["median"]
    importing = measured["import"]["import_seconds"]["median"]
    what = "`polarbert predict` from a cold shell"
    return [
        Goal(what, f"under {PREDICT_SECONDS:.1f} s", f"{seconds:.2f} s", seconds < PREDICT_SECONDS),
        Goal(what, f"under {megabytes(PREDICT_BYTES)} of memory", megabytes(peak), peak < PREDICT_BYTES),
        Goal("`import polarbert`", f"under {IMPORT_SECONDS:.1f} s", f"{importing:.3f} s", importing < IMPORT_SECONDS),
    ]


def _size_goals(result: Result) -> list[Goal]:
    size = result["core"]["bytes"]
    goal = f"at most {megabytes(INSTALL_BYTES)}"
    return [Goal("core installation", goal, megabytes(size), size <= INSTALL_BYTES)]


def _goals_section(results: dict[str, Result]) -> str:
    found = goals(results)
    if not found:
        return "Nothing has been measured yet.\n"
    rows = [[goal.what, goal.goal, goal.measured, "yes" if goal.met else "**no**"] for goal in found]
    missed = [f"{goal.what} reaches {goal.measured}; the goal is {goal.goal}" for goal in found if not goal.met]
    words = "\n".join(f"- Not met: {line}." for line in missed) if missed else "Every goal measured here is met."
    unmeasured = [
        f"- {section.title}: `{section.command}`\n" for name, section in SECTIONS.items() if name not in results
    ]
    more = f"\nStill to be measured:\n\n{''.join(unmeasured)}" if unmeasured else ""
    return f"{table(['what', 'goal', 'measured', 'met'], rows, numbers=0)}\n{words}\n{more}"


def _score_section(result: Result) -> str:
    parts = [
        SCORE_WORDS.format(load=result["pipeline_load_seconds"], threads=result["threads"]),
        f"![Texts a second: the pipeline at three batch sizes, and polarbert score]({CHART})\n",
    ]
    for name, measured in result["sets"].items():
        parts += [
            f"### {name.capitalize()}\n",
            f"{measured['texts']:,} texts of {measured['mean_pieces']:.1f} pieces (mean), [CLS] and [SEP] included.\n",
            _score_table(measured["contestants"]),
            _agreement(measured["contestants"]),
        ]
    legend = SCORE_LEGEND.format(rounds=result["rounds"], mflop=result["operations_per_piece"] / 1e6)
    parts += ["### What the columns mean\n", legend, "### The best int8 product\n", _gemm_table(result["int8_gemm"])]
    return "\n".join(parts)


def _score_table(contestants: dict[str, Any]) -> str:
    rows = [
        [
            name,
            f"{figures['texts_per_second']:,.1f}",
            f"{figures['seconds']['median']:.2f}",
            f"{figures['seconds']['p95']:.2f}",
            f"{figures['ratio']['median']:.2f}",
            f"{figures['accuracy']:.1%}",
            f"{figures['gops']:.0f}",
            f"{figures['share_of_int8_gemm']:.1%}",
        ]
        for name, figures in contestants.items()
    ]
    return table(["", "texts/s", "median s", "p95 s", "ratio", "accuracy", "GOP/s", "of int8 GEMM"], rows, numbers=7)


def _agreement(contestants: dict[str, Any]) -> str:
    shares = [
        f"{figures['same_labels_as_pipeline']:.1%} ({name.partition(', ')[2]})"
        for name, figures in contestants.items()
        if "same_labels_as_pipeline" in figures
    ]
    return f"Texts that `score` and the pipeline give the same class: {', '.join(shares)}.\n"


def _gemm_table(wall: dict[str, Any]) -> str:
    ordered = sorted(wall["best_of"].items(), key=lambda item: -item[1]["gops"])
    rows = [[name, f"{best['gops']:.0f}", str(best["k"]), str(best["n"])] for name, best in ordered]
    sizes = ", ".join(str(size) for size in wall["sizes"])
    words = (
        f"GOP/s of products (M, K) x (K, N) of 8-bit integers, M = {wall['rows']}, each way at its best K and N "
        f"among {sizes},\non all threads. Shares are taken of the first line.\n"
    )
    return f"{words}\n{table(['way', 'GOP/s', 'K', 'N'], rows, numbers=3)}"


COLD_NAMES = {
    "python": "`python -c pass`",
    "import": '`python -c "import polarbert"`',
    "help": "`polarbert --help`",
    "predict, onnxruntime": "`polarbert predict TEXT` (ONNX Runtime)",
    "predict, openvino": "`polarbert predict TEXT` (OpenVINO)",
    "pipeline": "`transformers` pipeline, one text",
}


def _cold_section(result: Result) -> str:
    rows = [
        [
            COLD_NAMES[name],
            f"{figures['seconds']['median']:.3f}",
            f"{figures['seconds']['p95']:.3f}",
            f"{figures['peak_bytes']['median'] / 1e6:.0f}",
            str(figures["seconds"]["n"]),
        ]
        for name, figures in result["contestants"].items()
    ]
    importing = result["contestants"]["import"]["import_seconds"]
    own = result["measurer_peak_bytes"] / 1e6
    words = (
        "Each run is a process of its own, started with nothing loaded but the disk cache warm. **median s** and "
        "**p95 s** run\nfrom the start of the process to its end. **peak MB** is its largest resident memory; the "
        f"process that measures takes\n{own:.0f} MB itself, and less than that cannot be seen.\n"
    )
    after = (
        f"The statement `import polarbert` alone, without the start of Python, takes {importing['median']:.3f} s "
        f"(p95 {importing['p95']:.3f} s).\n"
    )
    return f"{words}\n{table(['', 'median s', 'p95 s', 'peak MB', 'runs'], rows, numbers=4)}\n{after}"


def _size_section(result: Result) -> str:
    core, pipeline = result["core"], result["pipeline"]
    versions = " and ".join(f"{name} {version}" for name, version in pipeline["versions"].items())
    words = (
        f"The wheel takes {megabytes(core['wheel_bytes'])} and installs, with everything it needs and without pip, to "
        f"{megabytes(core['bytes'])}\nof site-packages. {versions} with what they need take "
        f"{megabytes(pipeline['bytes'])}. The tables show the ten largest\npackages of each.\n"
    )
    ours = table(["Polarbert", "MB"], [[name, f"{size / 1e6:.1f}"] for name, size in core["packages"]], numbers=1)
    rows = [[name, f"{size / 1e6:.1f}"] for name, size in pipeline["packages"]]
    theirs = table(["transformers and PyTorch", "MB"], rows, numbers=1)
    return f"{words}\n{ours}\n{theirs}"


def _quantisation_section(result: Result) -> str:
    rows = [
        [name, f"{figures['log_probability_rms']:.3f}", f"{figures['labels_changed']:.1%}"]
        for name, figures in result["variants"].items()
    ]
    words = QUANTISATION_WORDS.format(texts=result["texts"])
    return f"{words}\n{table(['', 'difference', 'labels changed'], rows, numbers=2)}"


def _made_by(result: Result) -> str:
    machine = result["machine"]
    known = ", ".join(machine["instructions"])
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    model = result.get("model")
    named = model if isinstance(model, str) else f"{model['name']} ({model['precision']})" if model else None
    processors = f"{machine['processor']}, {machine['processors']} processors{f' ({known})' if known else ''}"
    system = f"{machine['memory_gb']:.0f} GB, {machine['system']}, Python {machine['python']}"
    lines = [
        f"Made by `{result['command']}` on {result['date']}.",
        f"Machine: {processors}, {system}.",
        f"Versions: {versions}.",
    ]
    if named:
        lines.append(f"Model: {named}.")
    if (result["busy_before"] or 0) > BUSY:
        lines.append(f"Other work took {result['busy_before']:.0%} of the processors when this began.")
    return "\n".join(lines) + "\n"


SECTIONS = {
    "score": Section(
        "Scoring a file",
        "python benchmarks/score.py",
        _score_section,
        _score_goals,
        ((CHART, _score_chart),),
    ),
    "engines": Section(
        "The engines",
        "python benchmarks/engines.py",
        page_engines.section,
        page_engines.goals,
        ((page_engines.CHART, page_engines.chart),),
    ),
    "million": Section(
        "A million rows",
        "python benchmarks/million.py",
        page_million.section,
        page_million.goals,
        ((page_million.CHART, page_million.chart),),
    ),
    "quantisation": Section("What int8 costs", "python benchmarks/quantisation.py", _quantisation_section),
    "explanations": Section(
        "Explanations",
        "python benchmarks/explanations.py",
        page_explanations.section,
        page_explanations.goals,
        ((page_explanations.CHART, page_explanations.chart),),
    ),
    "training": Section(
        "Fine-tuning",
        "python benchmarks/training.py",
        page_training.section,
        page_training.goals,
        ((page_training.CHART, page_training.chart),),
    ),
    "training_ablation": Section(
        "Dropout and memory in fine-tuning",
        "python benchmarks/training.py --ablation",
        page_training.ablation,
    ),
    "tasks": Section(
        "The kinds of task",
        "python benchmarks/tasks.py",
        page_tasks.section,
        page_tasks.goals,
        ((page_tasks.CHART, page_tasks.chart),),
    ),
    "pretraining": Section(
        "Pre-training",
        "python benchmarks/pretraining.py",
        page_pretraining.section,
        page_pretraining.goals,
    ),
    "shards": Section(
        "From text to shards",
        "python benchmarks/shards.py",
        page_pretraining.shards_section,
        page_pretraining.shards_goals,
    ),
    "large": Section("BASE and LARGE", "python benchmarks/large.py", page_pretraining.large_section),
    "cold_start": Section("From a cold shell", "python benchmarks/cold_start.py", _cold_section, _cold_goals),
    "install_size": Section("Size on disk", "python benchmarks/install_size.py", _size_section, _size_goals),
}


if __name__ == "__main__":
    main()
