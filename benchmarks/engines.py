"""The engines side by side: one text at a time, many of one length, two real mixes, memory, and whether they agree.

    python benchmarks/engines.py

Takes about eight minutes on two processors. Writes benchmarks/results/engines.json. Every contestant loads and runs in
a process of its own, once a round; the `transformers` pipeline is one of them. Everything goes through public calls,
from texts to answers, so cutting texts into pieces is timed too.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import child
import common

if TYPE_CHECKING:
    from polarbert.inference.engine import Engine

PACKAGES = ("onnxruntime", "openvino", "tokenizers", "torch", "transformers")
LENGTHS = (8, 16, 32, 64, 128, 256, 512)
SHORT, LONG = (0, 32), (60, 80)  # pieces of the texts whose latency is measured, [CLS] and [SEP] included
PIPELINE = "pipeline"
PIPELINE_BATCHES = (1, 8, 32)
SLOW_SHARE = 0.5  # of the texts of one length, for what computes in float: it takes longer for each
WARM_UP_TEXTS = 32
Call = Callable[[list[str]], list[str]]  # texts -> labels


def main() -> None:
    """Measure and keep the result."""
    if child.serve((prepare, measure)):
        return
    options = _options()
    common.say("looking whether the machine is idle")
    busy = common.busy_share()
    counts = {
        "tweets": options.tweets,
        "reviews": options.reviews,
        "latency": options.latency,
        "pieces": options.pieces,
    }
    prepared = child.ask(__file__, "prepare", counts | {"model": options.model}).values
    shared = {"model": prepared.pop("path"), "threads": options.threads, "texts": prepared["texts"]}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in prepared["contestants"]}
    few = {kind: rows[:2] for kind, rows in prepared["texts"].items()}
    for name in runs:
        common.say(f"warming the disk cache: {name}")
        child.ask(__file__, "measure", shared | {"contestant": name, "texts": few})
    for number in range(1, options.rounds + 1):
        for name, done in runs.items():
            answer = child.ask(__file__, "measure", shared | {"contestant": name})
            done.append(answer.values)
            common.say(f"round {number}  {name}: {answer.seconds:.1f} s")
    values = {
        "model": prepared["model"],
        "threads": options.threads,
        "rounds": options.rounds,
        "lengths": list(LENGTHS),
        "pieces_of_a_length": options.pieces,
        "latency": _latencies(prepared, runs),
        "throughput": _throughputs(prepared, runs),
        "mixes": {name: _mix(prepared["pieces"][name], name, prepared, runs) for name in prepared["labels"]},
        "processes": {name: _process(done) for name, done in runs.items()},
        "agreement": _agreement(runs),
    }
    common.write_result("engines", busy, PACKAGES, values)
    _show(values)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a bundle directory; the embedded model unless given")
    parser.add_argument("--tweets", type=int, default=500, help="how many tweets in the mix (default 500)")
    parser.add_argument("--reviews", type=int, default=200, help="how many reviews in the mix (default 200)")
    parser.add_argument("--latency", type=int, default=300, help="texts of each kind, one at a time (default 300)")
    parser.add_argument("--pieces", type=int, default=8192, help="pieces of each exact length (default 8192)")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each contestant (default 3)")
    parser.add_argument("--threads", type=int, default=common.usable_processors(), help="for all; default: all")
    return parser.parse_args()


def prepare(request: dict[str, Any]) -> dict[str, Any]:
    """All texts, their pieces counted, and who can take part here."""
    import texts
    from polarbert.bundle import Bundle, resolve
    from polarbert.text import WordPieceTokenizer

    bundle = Bundle.open(resolve(request["model"]))
    tokenizer = WordPieceTokenizer.from_directory(bundle.path)
    everything = {"tweets": texts.tweets(1_000_000), "reviews": texts.reviews(1_000_000)}
    mixes = {name: rows[: request[name]] for name, rows in everything.items()}
    sets = {name: [row.text for row in rows] for name, rows in mixes.items()}
    for kind, name, (least, most) in (("short", "tweets", SHORT), ("long", "reviews", LONG)):
        rows = [row.text for row in everything[name]]
        fitting = [text for text, n in zip(rows, _lengths(tokenizer, rows), strict=True) if least <= n <= most]
        sets[kind] = fitting[: request["latency"]]
    source = " ".join(row.text for rows in zip(*everything.values(), strict=False) for row in rows)
    for length in LENGTHS:
        sets[str(length)] = _of_length(tokenizer, source, length, request["pieces"] // length)
    return {
        "path": str(bundle.path),
        "model": {
            "name": "embedded" if request["model"] is None else Path(request["model"]).name,
            "precision": bundle.precision,
            "fingerprint": bundle.fingerprint(),
        },
        "contestants": _contestants(),
        "texts": sets,
        "pieces": {name: sum(_lengths(tokenizer, rows)) for name, rows in sets.items()},
        "labels": {name: [row.label for row in rows] for name, rows in mixes.items()},
    }


def _contestants() -> list[str]:
    """Engines that are installed, PyTorch in the precisions that the hardware computes in, and the pipeline."""
    import torch

    from polarbert.inference.engine import ENGINES
    from polarbert.training.device import has_bf16

    devices = ["cpu"] + ["cuda"] * torch.cuda.is_available()
    ways = [(device, precision) for device in devices for precision in ("fp32", "bf16")]
    torches = [f"torch, {device}, {precision}" for device, precision in ways if precision == "fp32" or has_bf16(device)]
    return [*(name for name in ENGINES if find_spec(name) is not None), *torches, PIPELINE]


def _lengths(tokenizer: Any, rows: Sequence[str]) -> list[int]:
    """Pieces of each text, [CLS] and [SEP] included."""
    return [len(pieces.ids) + 2 for pieces in tokenizer.encode(rows)]


def _of_length(tokenizer: Any, source: str, length: int, count: int) -> list[str]:
    """Different texts of exactly `length` pieces, [CLS] and [SEP] included: stretches of whole words of `source`."""
    offsets = tokenizer.encode([source], offsets=True)[0].offsets
    found: dict[str, None] = {}
    start = 0
    while len(found) < count and start + length - 2 <= len(offsets):
        end = start + length - 2
        text = source[offsets[start][0] : offsets[end - 1][1]]
        if text not in found and _lengths(tokenizer, [text]) == [length]:  # cut inside a word, pieces may change
            found[text] = None
            start = end
        else:
            start += 1
    return list(found)


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Load a contestant and let it do everything once."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    name, texts = request["contestant"], request["texts"]
    started = time.perf_counter()
    calls = _load(name, request["model"], request["threads"])
    load_seconds = time.perf_counter() - started
    loaded = common.own_peak_bytes()
    call = calls[name if name != PIPELINE else f"{PIPELINE}, batch 8"]
    one_at_a_time = calls[name if name != PIPELINE else f"{PIPELINE}, batch 1"]
    call(texts["tweets"][:WARM_UP_TEXTS])
    latency = {kind: _one_at_a_time(one_at_a_time, texts[kind]) for kind in ("short", "long")}
    share = 1.0 if name in ("onnxruntime", "openvino") else SLOW_SHARE
    throughput = {}
    for length in LENGTHS:
        rows = texts[str(length)][: max(1, round(len(texts[str(length)]) * share))]
        call(rows[:2])
        throughput[length] = length * len(rows) / _timed(call, rows)[0]
    mixes = {mix: {way: _timed(run, texts[mix]) for way, run in calls.items()} for mix in ("tweets", "reviews")}
    return {
        "load_seconds": load_seconds,
        "loaded_bytes": loaded,
        "peak_bytes": common.own_peak_bytes(),
        "latency": latency,
        "throughput": throughput,
        "mixes": mixes,
    }


def _load(name: str, model: str, threads: int) -> dict[str, Call]:
    """What a contestant can be asked, by name: one call, and for the pipeline one a batch size."""
    if name == PIPELINE:
        return _load_pipeline(model, threads)
    from polarbert.bundle import Bundle
    from polarbert.inference.predictors import make_predictor

    bundle = Bundle.open(model)
    engine: str | Engine = name
    if name.startswith("torch, "):
        import torch

        from polarbert.loading import torch_engine

        torch.set_num_threads(threads)
        engine = torch_engine(bundle, *name.split(", ")[1:])
    predictor = make_predictor(bundle, threads, engine)
    return {name: lambda rows: [answer.label for answer in predictor.predict(rows)]}


def _load_pipeline(model: str, threads: int) -> dict[str, Call]:
    """The pipeline as its users make it, in float32."""
    import torch
    from transformers import pipeline

    torch.set_num_threads(threads)
    made = pipeline("text-classification", model=model, device="cpu", dtype=torch.float32)

    def call(batch: int) -> Call:
        return lambda rows: [answer["label"] for answer in made(rows, batch_size=batch, truncation=True)]

    return {f"{PIPELINE}, batch {batch}": call(batch) for batch in PIPELINE_BATCHES}


def _one_at_a_time(call: Call, rows: Sequence[str]) -> list[float]:
    return [_timed(call, [text])[0] for text in rows]


def _timed(call: Call, rows: list[str]) -> tuple[float, list[str]]:
    started = time.perf_counter()
    labels = call(rows)
    return time.perf_counter() - started, labels


def _latencies(prepared: dict[str, Any], runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Median and 99th percentile over all texts and rounds, and the same of each round alone."""
    described = {}
    for kind in ("short", "long"):
        figures = {}
        for name, done in runs.items():
            values = [seconds for run in done for seconds in run["latency"][kind]]
            figures[name] = {
                "n": len(values),
                "median": round(median(values), 6),
                "p99": round(common.percentile(values, 0.99), 6),
                "rounds": [
                    {"median": round(median(own), 6), "p99": round(common.percentile(own, 0.99), 6)}
                    for own in (run["latency"][kind] for run in done)
                ],
            }
        count = len(prepared["texts"][kind])
        described[kind] = {
            "texts": count,
            "mean_pieces": round(prepared["pieces"][kind] / count, 1),
            "contestants": figures,
        }
    return described


def _throughputs(prepared: dict[str, Any], runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Real pieces a second at each exact length."""
    return {
        name: {
            str(length): common.summary([run["throughput"][str(length)] for run in done], digits=1)
            for length in LENGTHS
            if prepared["texts"][str(length)]
        }
        for name, done in runs.items()
    }


def _mix(pieces: int, mix: str, prepared: dict[str, Any], runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Times of every way through a real mix, and how many times the pipeline's best of the round that is."""
    timed = {way: [run["mixes"][mix][way] for run in done] for done in runs.values() for way in done[0]["mixes"][mix]}
    peers = [[seconds for seconds, _ in found] for way, found in timed.items() if way.startswith(PIPELINE)]
    best = [min(of_round) for of_round in zip(*peers, strict=True)]
    truth, figures = prepared["labels"][mix], {}
    for way, found in timed.items():
        seconds = [own for own, _ in found]
        figures[way] = {
            "seconds": common.summary(seconds),
            "texts_per_second": round(len(truth) / median(seconds), 1),
            "pieces_per_second": round(pieces / median(seconds), 1),
            "ratio": common.summary([peer / own for peer, own in zip(best, seconds, strict=True)], digits=3),
            "accuracy": _share_equal(found[0][1], truth),
        }
    return {"texts": len(truth), "mean_pieces": round(pieces / len(truth), 1), "contestants": figures}


def _process(done: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "load_seconds": common.summary([run["load_seconds"] for run in done]),
        "loaded_bytes": common.summary([run["loaded_bytes"] for run in done], digits=0),
        "peak_bytes": common.summary([run["peak_bytes"] for run in done], digits=0),
    }


def _agreement(runs: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """The share of the texts of both mixes that two contestants give the same label."""
    labels = {}
    for name, done in runs.items():
        mixes = done[0]["mixes"].values()
        labels[name] = [label for ways in mixes for label in next(iter(ways.values()))[1]]
    return {one: {other: _share_equal(labels[one], labels[other]) for other in labels} for one in labels}


def _share_equal(one: Sequence[str], other: Sequence[str]) -> float:
    return round(sum(a == b for a, b in zip(one, other, strict=True)) / len(one), 4)


def _show(values: dict[str, Any]) -> None:
    for kind, measured in values["latency"].items():
        print(f"one text at a time, {kind} ({measured['mean_pieces']} pieces)")
        for name, figures in measured["contestants"].items():
            print(f"  {name:<24} median {figures['median'] * 1e3:6.2f} ms  p99 {figures['p99'] * 1e3:6.2f} ms")
    for name, figures in values["throughput"].items():
        print(f"{name:<24} pieces/s", "  ".join(f"{n}: {found['median']:,.0f}" for n, found in figures.items()))
    for mix, measured in values["mixes"].items():
        for name, figures in measured["contestants"].items():
            speed, times = figures["texts_per_second"], figures["ratio"]["median"]
            print(f"{mix:<8} {name:<24} {speed:8.1f} texts/s  x{times:.2f}  accuracy {figures['accuracy']:.1%}")


if __name__ == "__main__":
    main()
