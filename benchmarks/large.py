"""BERT-BASE and BERT-LARGE for real: some steps of pre-training and of fine-tuning each, with speed and memory.

    python benchmarks/large.py

It takes about eight minutes on two processors and writes benchmarks/results/large.json, with what the paper's whole
pre-training would cost at the speed measured: 1,000,000 steps of 256 sequences of 512 pieces (BERT, appendix A.2).
Needs 8 GB of memory. On a machine with a GPU, `--device cuda` measures there.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import child
import common

if TYPE_CHECKING:
    import torch

    from polarbert.training.pretraining_recipe import PretrainSettings

PACKAGES = ("torch",)
PAPER_PIECES = 1_000_000 * 256 * 512
SIZES = ("base", "large")
CHARACTERS = 400_000


def main() -> None:
    """Measure and keep the result."""
    if child.serve((run_pretraining, run_fine_tuning)):
        return
    options = _options()
    common.say("looking whether the machine is idle")
    busy = common.busy_share()
    found: dict[str, dict[str, Any]] = {}
    for size in options.sizes:
        for part in ("run_pretraining", "run_fine_tuning"):
            asked = {name: getattr(options, name) for name in ("steps", "tokens", "length", "threads", "device")}
            run = child.ask(__file__, part, asked | {"size": size}).values
            found[f"{size}, {part.removeprefix('run_').replace('_', '-')}"] = run | {
                "tokens_per_second": round(run["pieces"] / run["seconds"], 1)
            }
            common.say(
                f"{size} {part}: {run['pieces'] / run['seconds']:,.1f} tokens/s, {run['peak_bytes'] / 1e9:.1f} GB"
            )
    for size in options.sizes:
        speed = found[f"{size}, pretraining"]["tokens_per_second"]
        found[f"{size}, pretraining"]["paper_years"] = round(PAPER_PIECES / speed / 86_400 / 365.25, 2)
    values = {
        **{name: getattr(options, name) for name in ("steps", "tokens", "length", "threads", "device")},
        "paper_pieces": PAPER_PIECES,
        "runs": found,
    }
    common.write_result("large" if options.device == "cpu" else f"large_{options.device}", busy, PACKAGES, values)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--steps", type=int, default=20, help="steps of each (default 20)")
    parser.add_argument("--tokens", type=int, default=1024, help="most pieces of a step (default 1024)")
    parser.add_argument("--length", type=int, default=128, help="most pieces of a sequence (default 128)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=common.usable_processors(), help="default: all")
    return parser.parse_args()


def _settings(request: dict[str, Any]) -> PretrainSettings:
    from polarbert.training.pretraining_recipe import NetworkSettings, PretrainSettings, Stage
    from polarbert.training.settings import TrainSettings

    loop = TrainSettings(learning_rate=1e-4, evaluations=1, checkpoint_seconds=1e9, threads=request["threads"])
    stage = Stage(request["length"], request["steps"], request["tokens"])
    network = NetworkSettings(request["size"])
    return PretrainSettings(dev_pairs=8, device=request["device"], network=network, stages=(stage,), training=loop)


def run_pretraining(request: dict[str, Any]) -> dict[str, Any]:
    """Steps with both losses on real books, from random weights, with the vocabulary of BERT."""
    import torch

    import texts
    from polarbert.bundle import resolve
    from polarbert.data.corpus import Document, read_documents
    from polarbert.data.shards import write_shards
    from polarbert.model import BertForPreTraining
    from polarbert.text import WordPieceTokenizer
    from polarbert.text.sentences import SPLITTERS
    from polarbert.training.pretraining import PretrainingTask

    tokenizer = WordPieceTokenizer.from_directory(resolve(None))
    books = read_documents([texts.data_directory() / "books" / "val.parquet"], text_column="text")
    parts = [Document(book.source, book.text[: CHARACTERS // 4]) for book in itertools.islice(books, 4)]
    settings = _settings(request)
    torch.manual_seed(1)
    model = BertForPreTraining(settings.network.to_config(tokenizer.vocab_size))
    with tempfile.TemporaryDirectory() as room:
        shards = write_shards(parts, tokenizer, room, SPLITTERS["punctuation"], {})
        task = PretrainingTask(shards, shards, tokenizer, settings)
        return _timed(model.to(request["device"]), task, settings.loop_settings)


def run_fine_tuning(request: dict[str, Any]) -> dict[str, Any]:
    """Steps of a classifier of three labels on real reviews, from random weights."""
    import torch

    import texts
    from polarbert.bundle import resolve
    from polarbert.model import BertForSequenceClassification
    from polarbert.text import WordPieceTokenizer
    from polarbert.training.classification import ClassificationTask
    from polarbert.training.examples import encode_texts

    tokenizer = WordPieceTokenizer.from_directory(resolve(None))
    labels = ["negative", "neutral", "positive"]
    rows = texts.reviews(2000)
    encoded = encode_texts([row.text for row in rows], [labels.index(row.label) for row in rows], tokenizer, 128)
    settings = _settings(request)
    loop = dataclasses.replace(settings.training, steps=request["steps"], batch_tokens=request["tokens"])
    torch.manual_seed(1)
    model = BertForSequenceClassification(settings.network.to_config(tokenizer.vocab_size), labels)
    task = ClassificationTask(encoded.examples, {"dev": encoded.examples[:8]}, 3, tokenizer, loop)
    return _timed(model.to(request["device"]), task, loop)


def _timed(model: torch.nn.Module, task: Any, settings: Any) -> dict[str, Any]:
    """Train, and say how fast and in how much memory; the evaluation at the end is not counted."""
    import torch

    from polarbert.training.device import choose_precision
    from polarbert.training.loop import train
    from polarbert.training.run import RunDirectory

    peak = 0

    def evaluate(_model: torch.nn.Module) -> dict[str, float]:
        nonlocal peak
        peak = common.own_peak_bytes() if not torch.cuda.is_available() else torch.cuda.max_memory_allocated()
        return {"score": 0.0}

    task.evaluate, task.save = evaluate, lambda _model, _path: None
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as room:
        summary = train(model, task, settings, RunDirectory(room), quiet=True)
        log = (Path(room) / "log.jsonl").read_text("utf-8").splitlines()
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "steps": summary["steps"],
        "pieces": summary["tokens"],
        "seconds": round(summary["seconds"], 2),
        "wall_seconds": round(time.perf_counter() - started, 1),
        "peak_bytes": peak,
        "precision": choose_precision("auto", next(model.parameters()).device.type),
        "log": log[-1],
    }


if __name__ == "__main__":
    main()
