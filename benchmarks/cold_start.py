"""From a cold shell: one answer, the help, the import; beside the `transformers` pipeline on the same checkpoint.

    python benchmarks/cold_start.py

Takes about two minutes. Writes benchmarks/results/cold_start.json. Every run is a fresh
process; the disk cache is warm.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import common

TEXT = "The battery died after two days, but their support was lovely about it."
PACKAGES = ("onnxruntime", "openvino", "tokenizers", "torch", "transformers")
TIME_IMPORT = "import time; t = time.perf_counter(); import polarbert; print(time.perf_counter() - t)"
PIPELINE = (
    "import sys; from transformers import pipeline; "
    "print(pipeline('text-classification', model=sys.argv[1], device='cpu')(sys.argv[2]))"
)


def main() -> None:
    """Measure and keep the result."""
    options = _options()
    busy = common.busy_share()
    contestants, model = _contestants(options.model)
    rounds = {name: options.pipeline_runs if name == "pipeline" else options.runs for name in contestants}
    runs = common.interleave(contestants, rounds)
    measured: dict[str, Any] = {
        name: {
            "seconds": common.summary([run.seconds for run in done]),
            "peak_bytes": common.summary([run.peak_bytes for run in done], digits=0),
        }
        for name, done in runs.items()
    }
    measured["import"]["import_seconds"] = common.summary([float(run.output) for run in runs["import"]])
    values = {"model": model, "measurer_peak_bytes": common.own_peak_bytes(), "contestants": measured}
    common.write_result("cold_start", busy, PACKAGES, values)
    for name, figures in measured.items():
        seconds, peak = figures["seconds"], figures["peak_bytes"]["median"]
        print(f"{name:<24} median {seconds['median']:.3f} s  p95 {seconds['p95']:.3f} s  {peak / 1e6:.0f} MB")
    print(f"{'import polarbert alone':<24} median {measured['import']['import_seconds']['median']:.3f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a bundle directory; the embedded model unless given")
    parser.add_argument("--runs", type=int, default=20, help="of each command (default 20)")
    parser.add_argument("--pipeline-runs", type=int, default=5, help="of the pipeline (default 5)")
    return parser.parse_args()


def _contestants(model: str | None) -> tuple[dict[str, Callable[[], common.Run]], str]:
    directory = common.ROOT / "src/polarbert/models/default" if model is None else Path(model)
    if not (directory / "polarbert.json").is_file():
        raise SystemExit(f"{directory}: no bundle; name one with --model")
    command, python = common.polarbert_command(), sys.executable
    asking = [] if model is None else ["--model", model]
    commands = {
        "python": [python, "-c", "pass"],
        "import": [python, "-c", TIME_IMPORT],
        "help": [*command, "--help"],
        "predict, onnxruntime": [*command, "predict", TEXT, "--engine", "onnxruntime", *asking],
    }
    if find_spec("openvino") is not None:
        commands["predict, openvino"] = [*command, "predict", TEXT, "--engine", "openvino", *asking]
    commands["pipeline"] = [python, "-c", PIPELINE, str(directory), TEXT]
    return {name: _runner(words) for name, words in commands.items()}, "embedded" if model is None else directory.name


def _runner(words: list[str]) -> Callable[[], common.Run]:
    return lambda: common.run(words)


if __name__ == "__main__":
    main()
