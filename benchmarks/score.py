"""Scoring a file: `polarbert score` beside the `transformers` pipeline, on the same checkpoint and the same texts.

    python benchmarks/score.py

Takes about ten minutes on two processors. Writes benchmarks/results/score.json.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import common
import gemm
import texts
from polarbert.bundle import Bundle, resolve
from polarbert.errors import BundleError
from polarbert.inference.classifier import SentimentModel
from polarbert.inference.engine import ENGINES
from polarbert.model.config import BertConfig

PIPELINE_BATCHES = (1, 8, 32)
WARM_UP_TEXTS = 64
PACKAGES = ("onnxruntime", "openvino", "tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class Timed:
    """One pass over the texts: wall time and the label of each."""

    seconds: float
    labels: list[str]


Contestant = Callable[[list[str]], Timed]


def operations_per_piece(config: BertConfig) -> int:
    """Operations that a network spends on a position: two, a multiplication and an addition, for each parameter.

    Counted are the layers' parameters. Products of attention with itself, which grow with the length, are left out, and
    so are embeddings, pooler and output layer: the figure errs on the low side.
    """
    rest = BertConfig.from_dict({**config.to_dict(), "num_hidden_layers": config.num_hidden_layers + 1})
    return 2 * config.num_hidden_layers * (rest.parameter_count() - config.parameter_count())


def main() -> None:
    """Measure and keep the result."""
    options = _options()
    os.environ["HF_HUB_OFFLINE"] = "1"
    common.say("looking whether the machine is idle")
    busy = common.busy_share()
    try:
        bundle = Bundle.open(resolve(options.model))
    except BundleError as error:
        raise SystemExit(str(error)) from None
    engines = [name for name in ENGINES if find_spec(name) is not None]
    sets = _read_sets(options)
    pipeline, load_seconds = _load_pipeline(bundle, options.threads)
    predictors = {name: SentimentModel(bundle, options.threads, name) for name in engines}
    contestants = _pipelines(pipeline) | _commands(bundle, engines, options.threads) | _engines(predictors)

    walls = [_wall(options.threads)]
    measured = {
        name: _measure(rows, contestants, predictors[engines[0]], options.rounds) for name, rows in sets.items()
    }
    walls.append(_wall(options.threads))
    wall = max(walls, key=lambda found: float(found["gops"]))
    per_piece = operations_per_piece(BertConfig.from_pretrained(bundle.path))
    for result in measured.values():
        _add_shares(result, per_piece, float(wall["gops"]))
    values = {
        "model": {
            "name": "embedded" if options.model is None else Path(options.model).name,
            "precision": bundle.precision,
            "fingerprint": bundle.fingerprint(),
        },
        "threads": options.threads,
        "rounds": options.rounds,
        "pipeline_load_seconds": round(load_seconds, 2),
        "operations_per_piece": per_piece,
        "int8_gemm": wall,
        "sets": measured,
    }
    common.write_result("score", busy, PACKAGES, values)
    _show(values)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a bundle directory; the embedded model unless given")
    parser.add_argument("--tweets", type=int, default=1500, help="how many tweets (default 1500)")
    parser.add_argument("--reviews", type=int, default=700, help="how many reviews (default 700)")
    parser.add_argument(
        "--rounds",
        type=int,
        default=5,
        help="rounds, in each of which the pipeline runs once at each batch size (default 5)",
    )
    parser.add_argument("--threads", type=int, default=common.usable_processors(), help="for all; default: all")
    return parser.parse_args()


def _read_sets(options: argparse.Namespace) -> dict[str, list[tuple[str, str]]]:
    sets = {"tweets": texts.tweets(options.tweets), "reviews": texts.reviews(options.reviews)}
    return {name: [(row.text, row.label) for row in rows] for name, rows in sets.items()}


def _load_pipeline(bundle: Bundle, threads: int) -> tuple[Any, float]:
    """The pipeline as its users make it, in float32, and how long that took."""
    started = time.perf_counter()
    import torch
    from transformers import pipeline

    torch.set_num_threads(threads)
    made = pipeline("text-classification", model=str(bundle.path), device="cpu", dtype=torch.float32)
    return made, time.perf_counter() - started


def _pipelines(pipeline: Any) -> dict[str, Contestant]:
    def contestant(batch: int) -> Contestant:
        def run(rows: list[str]) -> Timed:
            started = time.perf_counter()
            answers = pipeline(rows, batch_size=batch, truncation=True)
            return Timed(time.perf_counter() - started, [answer["label"] for answer in answers])

        return run

    return {f"pipeline, batch {batch}": contestant(batch) for batch in PIPELINE_BATCHES}


def _commands(bundle: Bundle, engines: list[str], threads: int) -> dict[str, Contestant]:
    """The command itself, from the start of its process to the finished file."""

    def contestant(engine: str) -> Contestant:
        def run(rows: list[str]) -> Timed:
            with _input_file(rows) as source:
                output = source.with_name("scored.csv")
                words = ["score", str(source), "-o", str(output), "--quiet", "--model", str(bundle.path)]
                words += ["--engine", engine, "--threads", str(threads)]
                done = common.run([*common.polarbert_command(), *words])
                with output.open(newline="", encoding="utf-8") as opened:
                    return Timed(done.seconds, [row["label"] for row in csv.DictReader(opened)])

        return run

    return {f"polarbert score, {engine}": contestant(engine) for engine in engines}


@contextmanager
def _input_file(rows: list[str]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as room:
        source = Path(room) / "texts.csv"
        with source.open("w", newline="", encoding="utf-8") as opened:
            writer = csv.writer(opened)
            writer.writerow(["number", "text"])
            writer.writerows(enumerate(rows))
        yield source


def _engines(predictors: dict[str, SentimentModel]) -> dict[str, Contestant]:
    """Scoring alone: no process to start, no file to read or write."""

    def contestant(predictor: SentimentModel) -> Contestant:
        def run(rows: list[str]) -> Timed:
            started = time.perf_counter()
            answers = predictor.answer([(row, None) for row in rows])
            return Timed(time.perf_counter() - started, [answer.label for answer in answers])

        return run

    return {f"engine alone, {name}": contestant(predictor) for name, predictor in predictors.items()}


def _wall(threads: int) -> dict[str, Any]:
    common.say("measuring the best int8 product")
    found = gemm.best_product(threads)
    common.say(f"{found['gops']} GOP/s by {found['by']}")
    return found


def _measure(
    rows: list[tuple[str, str]], contestants: dict[str, Contestant], predictor: SentimentModel, rounds: int
) -> dict[str, Any]:
    rows_in = [text for text, _ in rows]
    for name, run in contestants.items():
        common.say(f"warm-up  {name}: {run(rows_in[:WARM_UP_TEXTS]).seconds:.2f} s")
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    labels: dict[str, list[str]] = {}
    for number in range(rounds):
        for name in _turns(list(contestants)):
            timed = contestants[name](rows_in)
            seconds[name].append(timed.seconds)
            labels[name] = timed.labels
            common.say(f"round {number + 1}  {name}: {timed.seconds:.2f} s, {len(rows) / timed.seconds:.0f} texts/s")
    truth = [label for _, label in rows]
    pieces = [answer.n_tokens + 2 * answer.n_windows for answer in predictor.answer([(text, None) for text in rows_in])]
    best = [min(seconds[name][n] for name in _names(contestants, "pipeline")) for n in range(rounds)]
    described = {}
    for name in contestants:
        turns = len(seconds[name]) // rounds
        ratios = [best[n] / median(seconds[name][n * turns : (n + 1) * turns]) for n in range(rounds)]
        described[name] = {
            "seconds": common.summary(seconds[name]),
            "texts_per_second": round(len(rows) / median(seconds[name]), 1),
            "ratio": common.summary(ratios, digits=3),
            "accuracy": _share_equal(labels[name], truth),
        }
    for name in _names(contestants, "polarbert"):
        described[name]["same_labels_as_pipeline"] = _share_equal(labels[name], labels["pipeline, batch 1"])
    return {
        "texts": len(rows),
        "pieces": sum(pieces),
        "mean_pieces": round(sum(pieces) / len(rows), 1),
        "contestants": described,
    }


def _turns(names: list[str]) -> list[str]:
    """The order of a round: after each batch size of the pipeline, everything else takes a turn.

    A machine that others share has slow spells of some seconds. The pipeline is slow enough to average over them; what
    takes a fraction of its time is measured as many times as the pipeline has batch sizes, and the median counts.
    """
    peers = [name for name in names if name.startswith("pipeline")]
    return [turn for peer in peers for turn in (peer, *(name for name in names if name not in peers))]


def _names(contestants: dict[str, Contestant], start: str) -> list[str]:
    return [name for name in contestants if name.startswith(start)]


def _share_equal(one: list[str], other: list[str]) -> float:
    return round(sum(a == b for a, b in zip(one, other, strict=True)) / len(one), 4)


def _add_shares(result: dict[str, Any], per_piece: int, wall: float) -> None:
    """Operations on real pieces a second, and what share that is of the best int8 product."""
    for figures in result["contestants"].values():
        gops = result["pieces"] * per_piece / figures["seconds"]["median"] / 1e9
        figures["gops"] = round(gops, 1)
        figures["share_of_int8_gemm"] = round(gops / wall, 4)


def _show(values: dict[str, Any]) -> None:
    for name, result in values["sets"].items():
        print(f"{name}: {result['texts']} texts of {result['mean_pieces']} pieces")
        for contestant, figures in result["contestants"].items():
            print(
                f"  {contestant:<30} {figures['texts_per_second']:>8.1f} texts/s  x{figures['ratio']['median']:<6.2f}"
                f" {figures['share_of_int8_gemm']:>6.1%} of int8 GEMM  accuracy {figures['accuracy']:.1%}"
            )
    print(json.dumps(values["int8_gemm"]["best_of"], indent=2))


if __name__ == "__main__":
    main()
