"""Fine-tuning: the loop behind `polarbert train` beside the `transformers` Trainer, from the same encoder.

    python benchmarks/training.py
    python benchmarks/training.py --ablation

The first takes about eight minutes on two processors and writes benchmarks/results/training.json. The second takes
about four, measures the loop without the byte-wide dropout masks and without the freed memory kept (docs/decisions,
0002), and writes benchmarks/results/training_ablation.json.

All contestants learn the same texts once, so the same number of word pieces, padding not counted. Every run is a
process of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import against_trainer
import child
import common

if TYPE_CHECKING:
    from torch import Tensor

PACKAGES = ("accelerate", "torch", "transformers")
WITHOUT = {
    "PyTorch's dropout": ["byte-wide masks", "freed memory kept"],
    "byte-wide masks": ["freed memory kept"],
    "byte-wide masks, freed memory kept": [],
}
EVALUATION_BATCH = 32
Encoded = tuple[list[int], int]  # piece ids with [CLS] and [SEP], class number


def main() -> None:
    """Measure and keep the result."""
    if child.serve((prepare, run_polarbert, run_trainer)):
        return
    options = _options()
    common.say("looking whether the machine is idle")
    busy = common.busy_share()
    with tempfile.TemporaryDirectory() as room:
        asked = {"model": options.model, "tweets": options.tweets, "reviews": options.reviews, "held": options.held}
        prepared = child.ask(__file__, "prepare", asked | {"start": f"{room}/start"}).values
        common.say(f"{prepared['texts']:,} texts, {prepared['tokens']:,} word pieces")
        contestants = _ablations(prepared) if options.ablation else _contestants(prepared)
        shared = {name: prepared[name] for name in ("labels", "train", "held", "start")} | {
            "threads": options.threads,
            "tokens": prepared["tokens"],
        }
        runs = against_trainer.rounds(__file__, contestants, shared, options.rounds)
    values = {
        "model": "embedded" if options.model is None else Path(options.model).name,
        "threads": options.threads,
        "rounds": options.rounds,
        "texts": prepared["texts"],
        "tokens": prepared["tokens"],
        "mean_pieces": round(prepared["tokens"] / prepared["texts"], 1),
        "held_texts": len(prepared["held"]),
        "before": {name: round(value, 4) for name, value in prepared["before"].items()},
        "contestants": {
            name: against_trainer.described(own, runs) | {"accuracy": common.summary([run["accuracy"] for run in own])}
            for name, own in runs.items()
        },
    }
    common.write_result("training_ablation" if options.ablation else "training", busy, PACKAGES, values)
    _show(values)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a bundle directory; the embedded model unless given")
    parser.add_argument("--tweets", type=int, default=800, help="how many tweets to learn (default 800)")
    parser.add_argument("--reviews", type=int, default=400, help="how many reviews to learn (default 400)")
    parser.add_argument("--held", type=int, default=300, help="how many other texts to judge by (default 300)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contestant (default 3)")
    parser.add_argument("--threads", type=int, default=common.usable_processors(), help="for all; default: all")
    parser.add_argument("--ablation", action="store_true", help="measure what the loop's own dropout and memory bring")
    return parser.parse_args()


def _contestants(prepared: dict[str, Any]) -> against_trainer.Contestants:
    """Part and request of each. The second's batches are as large as the loop's own, the last's as the Trainer's."""
    mean = prepared["tokens"] / prepared["texts"]
    alike = max(1, round(prepared["batch_tokens"] / mean))
    small = {"precision": "fp32", "batch_tokens": round(against_trainer.TRAINER_BATCH * mean)}
    return against_trainer.everybody(alike, {}, {"settings": small})


def _ablations(_prepared: dict[str, Any]) -> against_trainer.Contestants:
    return {name: ("run_polarbert", {"without": without}) for name, without in WITHOUT.items()}


def prepare(request: dict[str, Any]) -> dict[str, Any]:
    """Texts as piece ids, none of which the embedded model learned, and the network that everybody starts from.

    Its output layer is new, and the same for all: over an encoder that knows sentiment already, one random layer is far
    ahead of another.
    """
    import torch

    import texts
    from polarbert.bundle import Bundle, resolve
    from polarbert.model import BertForSequenceClassification
    from polarbert.text import WordPieceTokenizer, join_segments
    from polarbert.training.recipe import FineTuneSettings

    bundle = Bundle.open(resolve(request["model"]))
    tokenizer = WordPieceTokenizer.from_directory(bundle.path)
    torch.manual_seed(0)
    start = BertForSequenceClassification.from_encoder(bundle.path, bundle.labels)
    start.save_pretrained(request["start"])
    tokenizer.save(request["start"])
    learned: list[texts.LabelledText] = []
    held: list[texts.LabelledText] = []
    for read, count, kept in (
        (texts.tweets, request["tweets"], request["held"] // 2),
        (texts.reviews, request["reviews"], request["held"] - request["held"] // 2),
    ):
        rows = read(count + kept)
        learned += rows[kept:]
        held += rows[:kept]
    random.Random(0).shuffle(learned)  # else every batch of the Trainer's first half would hold tweets alone

    def encoded(rows: Sequence[texts.LabelledText]) -> list[Encoded]:
        pieces = (found.ids[: bundle.window - 2] for found in tokenizer.encode([row.text for row in rows]))
        ids = (join_segments(tokenizer.cls_id, tokenizer.sep_id, own, None) for own in pieces)
        return [(own, bundle.labels.index(row.label)) for own, row in zip(ids, rows, strict=True)]

    train, judged = encoded(learned), encoded(held)
    return {
        "labels": bundle.labels,
        "start": request["start"],
        "before": _judged(start, judged),
        "train": train,
        "held": judged,
        "texts": len(train),
        "tokens": sum(len(ids) for ids, _ in train),
        "batch_tokens": FineTuneSettings().training.batch_tokens,
    }


def run_polarbert(request: dict[str, Any]) -> dict[str, Any]:
    """One pass of the loop with the settings of `polarbert train`, but for those of the request."""
    import torch

    from polarbert.model import BertForSequenceClassification
    from polarbert.text import WordPieceTokenizer
    from polarbert.training.batching import Example
    from polarbert.training.classification import ClassificationTask
    from polarbert.training.device import choose_precision
    from polarbert.training.loop import train
    from polarbert.training.recipe import FineTuneSettings
    from polarbert.training.run import RunDirectory

    class Timed(ClassificationTask):
        """Times the steps: from the first plan of batches to the first evaluation, which is left out as saving is."""

        started = ended = math.nan
        peak_bytes = 0

        def batches_in_epoch(self, epoch: int, step: int = 0) -> list[list[int]]:
            self.started = time.perf_counter() if math.isnan(self.started) else self.started
            return super().batches_in_epoch(epoch, step)

        def evaluate(self, model: torch.nn.Module) -> dict[str, float]:  # noqa: ARG002 - judged later, and untimed
            self.ended, self.peak_bytes = time.perf_counter(), common.own_peak_bytes()
            return {"score": 0.0}

        def save(self, model: torch.nn.Module, path: str) -> None:
            pass

    asked = {"epochs": 1.0, "evaluations": 1, "checkpoint_seconds": 1e9, "threads": request["threads"]}
    usual = FineTuneSettings().training
    settings = dataclasses.replace(usual, **asked, seed=request["seed"], **request.get("settings", {}))
    torch.set_num_threads(request["threads"])
    torch.manual_seed(request["seed"])
    model = BertForSequenceClassification.from_pretrained(request["start"])
    learned, held = ([Example(ids, label) for ids, label in request[part]] for part in ("train", "held"))
    tokenizer = WordPieceTokenizer.from_directory(request["start"])
    task = Timed(learned, {"held": held}, len(request["labels"]), tokenizer, settings)
    loaded = common.own_peak_bytes()
    with tempfile.TemporaryDirectory() as room, _as_before(request.get("without", [])):
        summary = train(model, task, settings, RunDirectory(room), quiet=True)
    return {
        "seconds": task.ended - task.started,
        "tokens": summary["tokens"],
        "threads": torch.get_num_threads(),
        "steps": summary["steps"],
        "loaded_bytes": loaded,
        "peak_bytes": task.peak_bytes,
        "precision": choose_precision(settings.precision, "cpu"),
        "batch": f"{settings.batch_tokens:,} pieces",
    } | _judged(model, request["held"])


def _as_before(without: Sequence[str]) -> ExitStack:
    """The loop without some of what decision 0002 brought; an error where it has that no longer."""
    import torch.nn.functional as F

    def plain(x: Tensor, rate: float, training: bool) -> Tensor:
        return F.dropout(x, rate, training)

    patches = ExitStack()
    if "byte-wide masks" in without:
        patches.enter_context(mock.patch("polarbert.model.dropout.dropout", plain))
        patches.enter_context(mock.patch("polarbert.model.encoder.dropout", plain))
    if "freed memory kept" in without:
        patches.enter_context(mock.patch("polarbert.training.loop.keep_freed_memory", return_value=False))
    return patches


def run_trainer(request: dict[str, Any]) -> dict[str, Any]:
    """One pass of the Trainer with its own defaults, but for those of the request."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding

    torch.set_num_threads(request["threads"])
    torch.manual_seed(request["seed"])
    start = AutoModelForSequenceClassification.from_pretrained(request["start"], dtype=torch.float32)
    rows = [{"input_ids": ids, "attention_mask": [1] * len(ids), "labels": label} for ids, label in request["train"]]
    collator = DataCollatorWithPadding(AutoTokenizer.from_pretrained(request["start"]))
    model, figures = against_trainer.trainer_pass(request, start, rows, collator, "texts")
    return figures | _judged(model, request["held"])


def _judged(model: Any, held: Sequence[Encoded]) -> dict[str, float]:
    """Mean cross-entropy and accuracy on texts that nobody learned, in float32; the same for either library's model."""
    import torch
    import torch.nn.functional as F

    from polarbert.training.batching import Example, collate

    model.eval()
    losses, right = [], 0
    for start in range(0, len(held), EVALUATION_BATCH):
        examples = [Example(ids, label) for ids, label in held[start : start + EVALUATION_BATCH]]
        batch = collate(examples, 1, pad_id=0)
        with torch.inference_mode():
            logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
        losses.append(float(F.cross_entropy(logits, batch.labels, reduction="sum")))
        right += int((logits.argmax(1) == batch.labels).sum())
    return {"loss": sum(losses) / len(held), "accuracy": right / len(held)}


def _show(values: dict[str, Any]) -> None:
    for name, figures in values["contestants"].items():
        middle = {what: found["median"] for what, found in figures.items() if isinstance(found, dict)}
        print(
            f"{name:<36} {middle['tokens_per_second']:>7,.0f} tokens/s  x{middle['times_first']:.2f}"
            f"  peak {middle['peak_bytes'] / 1e6:,.0f} MB  loss {middle['loss']:.3f}  accuracy {middle['accuracy']:.1%}"
        )


if __name__ == "__main__":
    main()
