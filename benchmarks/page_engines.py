"""The part of the page about the engines."""

from __future__ import annotations

from typing import Any

from chart import line_chart
from page_parts import Goal, Result, table

TIMES_GOAL, STRETCH = 4.5, 5.5
GOAL_ENGINE = "openvino"
CHART = "benchmarks-engines.svg"
NAMES = {
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "torch, cpu, fp32": "PyTorch, float32",
    "torch, cpu, bf16": "PyTorch, bf16",
    "torch, cuda, fp32": "PyTorch, float32, GPU",
    "torch, cuda, bf16": "PyTorch, bf16, GPU",
    "pipeline": "`transformers` pipeline",
}

WORDS = """\
The same texts through every way there is to compute the embedded model, from texts to labels (`predict`), so cutting
them into pieces is timed too. Each contestant loads and runs in a process of its own, {rounds} times in turn, with
{threads} threads. The pipeline runs in float32, is given lists, and is timed without its loading. Rows named PyTorch
compute the network's weights instead of the int8 graph, as `--device cuda` does on a GPU.
"""

LATENCY = """\
### One text at a time

Milliseconds from a text to its answer, over {rounds} rounds of the same texts: half of the answers came within
**median**, 99% within **p99**. "Short" are {short} tweets of {short_pieces:.0f} pieces (mean), "long" {long} reviews of
{long_pieces:.0f}; [CLS] and [SEP] are counted. A single text uses one thread of the engines
([decision 4](decisions/0004-batches-side-by-side.md)).
"""

THROUGHPUT = """\
### Texts of one length

Real pieces a second, [CLS] and [SEP] included, when all texts have exactly as many: {pieces:,} pieces of each length,
what computes in float half of that. No text comes twice. The pipeline takes 8 texts at a time.

![Pieces a second over the length of the texts, for each engine]({chart})
"""

MIXES = """\
### Real texts, all lengths mixed

**ratio**: how many times faster than the pipeline's best batch size of the same round, the median over rounds.
**accuracy**: share of the texts that get the class people gave them.
"""

PROCESSES = """\
### Memory and loading

**load s**: from nothing imported to ready. **loaded MB**: largest resident memory until then; **peak MB**: until
everything above was computed, the longest texts included.
"""

AGREEMENT = """\
### Do they agree?

Share of the {texts:,} texts of both mixes to which two of them give the same label.
"""


def goals(result: Result) -> list[Goal]:
    """Against the pipeline, on both mixes, where OpenVINO took part."""
    found = []
    for mix, measured in result["mixes"].items():
        if GOAL_ENGINE in measured["contestants"]:
            ratio = measured["contestants"][GOAL_ENGINE]["ratio"]["median"]
            what, goal = f"`predict` on {mix} with OpenVINO", f"at least {TIMES_GOAL} times the pipeline"
            found.append(Goal(what, goal, f"{ratio:.2f} times", ratio >= TIMES_GOAL))
    return found


def section(result: Result) -> str:
    """Latency, throughput by length, real mixes, memory, agreement."""
    short, long = result["latency"]["short"], result["latency"]["long"]
    latency = LATENCY.format(
        rounds=result["rounds"],
        short=short["texts"],
        short_pieces=short["mean_pieces"],
        long=long["texts"],
        long_pieces=long["mean_pieces"],
    )
    throughput = THROUGHPUT.format(pieces=result["pieces_of_a_length"], chart=CHART)
    agreement = AGREEMENT.format(texts=sum(measured["texts"] for measured in result["mixes"].values()))
    return "\n".join(
        (
            WORDS.format(rounds=result["rounds"], threads=result["threads"]),
            latency,
            _latency_table(short, long),
            throughput,
            _throughput_table(result),
            MIXES,
            *(text for mix, measured in result["mixes"].items() for text in _mix(mix, measured)),
            _stretch(result),
            PROCESSES,
            _process_table(result["processes"]),
            agreement,
            _agreement_table(result["agreement"]),
        )
    )


def chart(result: Result) -> str:
    """Pieces a second over the length."""
    series = {
        named(name).replace("`", ""): [(float(length), found["median"]) for length, found in figures.items()]
        for name, figures in result["throughput"].items()
    }
    unit = "real pieces a second, more is better"
    return line_chart("Texts of one length", unit, "pieces of each text", series, doubling=True)


def named(name: str) -> str:
    """A contestant's name for people: "pipeline, batch 8" is told as the pipeline's."""
    start, _, rest = name.partition(", ")
    return NAMES.get(name) or f"{NAMES.get(start, start)}, {rest}"


def _latency_table(short: Result, long: Result) -> str:
    rows = []
    for name, figures in short["contestants"].items():
        other = long["contestants"][name]
        milliseconds = [found[what] * 1e3 for found in (figures, other) for what in ("median", "p99")]
        rows.append([named(name), *(f"{value:.2f}" for value in milliseconds), str(figures["n"])])
    return table(["", "short: median", "p99", "long: median", "p99", "n"], rows, numbers=5)


def _throughput_table(result: Result) -> str:
    lengths = [str(length) for length in result["lengths"]]
    rows = [
        [named(name), *(f"{figures[length]['median']:,.0f}" if length in figures else "" for length in lengths)]
        for name, figures in result["throughput"].items()
    ]
    return table(["pieces of a text", *lengths], rows, numbers=len(lengths))


def _mix(mix: str, measured: dict[str, Any]) -> tuple[str, str]:
    rows = [
        [
            named(name),
            f"{figures['texts_per_second']:,.1f}",
            f"{figures['pieces_per_second']:,.0f}",
            f"{figures['seconds']['median']:.2f}",
            f"{figures['seconds']['p95']:.2f}",
            f"{figures['ratio']['median']:.2f}",
            f"{figures['accuracy']:.1%}",
        ]
        for name, figures in measured["contestants"].items()
    ]
    words = f"{measured['texts']:,} {mix} of {measured['mean_pieces']:.1f} pieces (mean):\n"
    header = [mix, "texts/s", "pieces/s", "median s", "p95 s", "ratio", "accuracy"]
    return words, table(header, rows, numbers=6)


def _stretch(result: Result) -> str:
    """Whether what nobody promised was reached."""
    reached = [
        f"{name} on {mix} ({ratio:.2f})"
        for mix, measured in result["mixes"].items()
        for name in ("onnxruntime", "openvino")
        if name in measured["contestants"] and (ratio := measured["contestants"][name]["ratio"]["median"]) >= STRETCH
    ]
    words = ", ".join(f"{named(line.split(' ', 1)[0])} {line.split(' ', 1)[1]}" for line in reached) or "nobody"
    return f"Beyond the goal, {STRETCH} times the pipeline is reached by: {words}.\n"


def _process_table(processes: dict[str, Any]) -> str:
    rows = [
        [
            named(name),
            f"{figures['load_seconds']['median']:.2f}",
            f"{figures['load_seconds']['p95']:.2f}",
            f"{figures['loaded_bytes']['median'] / 1e6:,.0f}",
            f"{figures['peak_bytes']['median'] / 1e6:,.0f}",
        ]
        for name, figures in processes.items()
    ]
    return table(["", "load s, median", "load s, p95", "loaded MB", "peak MB"], rows, numbers=4)


def _agreement_table(agreement: dict[str, dict[str, float]]) -> str:
    rows = [[named(one), *(f"{share:.1%}" for share in others.values())] for one, others in agreement.items()]
    return table(["", *(named(name) for name in agreement)], rows, numbers=len(agreement))
