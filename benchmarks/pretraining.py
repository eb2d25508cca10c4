"""Pre-training: the loop behind `polarbert pretrain` beside `BertForPreTraining` under the `transformers` Trainer.

    python benchmarks/pretraining.py

It takes about six minutes on two processors and writes benchmarks/results/pretraining.json.

All contestants start from the same new network and learn the same sequences once, hidden in the same places: pairs of
segments of real books as BERT has them, one in ten of them short. Every run is a process of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import against_trainer
import child
import common

if TYPE_CHECKING:
    from polarbert.training.pretraining import PretrainingTask
    from polarbert.training.pretraining_recipe import PretrainSettings

PACKAGES = ("accelerate", "torch", "transformers")
BOOKS = Path("books") / "val.parquet"
VOCABULARY = 8000


def main() -> None:
    """Measure and keep the result."""
    if child.serve((prepare, run_polarbert, run_trainer)):
        return
    options = _options()
    common.say("looking whether the machine is idle")
    busy = common.busy_share()
    with tempfile.TemporaryDirectory() as room:
        asked = {"room": room, "sequences": options.sequences, "length": options.length}
        prepared = child.ask(__file__, "prepare", asked).values
        common.say(f"{prepared['sequences']:,} sequences, {prepared['tokens']:,} word pieces")
        mean = prepared["tokens"] / prepared["sequences"]
        small = {"precision": "fp32", "batch_tokens": round(against_trainer.TRAINER_BATCH * mean)}
        ours = {"precision": "auto", "batch_tokens": options.batch_tokens}
        contestants = against_trainer.everybody(round(options.batch_tokens / mean), ours, small)
        shared = asked | {"threads": options.threads, "tokens": prepared["tokens"]}
        runs = against_trainer.rounds(__file__, contestants, shared, options.rounds)
    values = {
        "threads": options.threads,
        "rounds": options.rounds,
        "length": options.length,
        **{name: prepared[name] for name in ("sequences", "tokens", "parameters", "network", "hidden_share")},
        "contestants": {name: against_trainer.described(own, runs) for name, own in runs.items()},
    }
    common.write_result("pretraining", busy, PACKAGES, values)
    for name, figures in values["contestants"].items():
        middle = {what: found["median"] for what, found in figures.items() if isinstance(found, dict)}
        print(
            f"{name:<36} {middle['tokens_per_second']:>7,.0f} tokens/s  x{middle['times_defaults']:.2f}"
            f"  peak {middle['peak_bytes'] / 1e6:,.0f} MB  loss {middle['loss']:.3f}"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=1500, help="how many sequences to learn (default 1500)")
    parser.add_argument("--length", type=int, default=128, help="most pieces of a sequence (default 128)")
    parser.add_argument("--batch-tokens", type=int, default=8192, help="pieces in a batch of the loop (default 8192)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contestant (default 3)")
    parser.add_argument("--threads", type=int, default=common.usable_processors(), help="for all; default: all")
    return parser.parse_args()


def prepare(request: dict[str, Any]) -> dict[str, Any]:
    """Vocabulary, token shards of as many sequences as asked for, and the network that everybody starts from."""
    import itertools

    import torch

    import texts
    from polarbert.data.corpus import Document, read_documents
    from polarbert.data.shards import write_shards
    from polarbert.model import BertForPreTraining
    from polarbert.text import WordPieceTokenizer
    from polarbert.text.sentences import SPLITTERS
    from polarbert.text.vocabulary import learn_vocabulary, save_vocabulary

    room = Path(request["room"])
    books = list(itertools.islice(read_documents([texts.data_directory() / BOOKS], text_column="text"), 4))
    pieces = learn_vocabulary((book.text for book in books), VOCABULARY)
    save_vocabulary(pieces, room / "vocabulary")
    tokenizer = WordPieceTokenizer.from_directory(room / "vocabulary")
    # About four characters make a piece; a book in several parts, so that segments can come from other documents.
    wanted = 4 * request["sequences"] * request["length"]
    text = "".join(book.text for book in books)[:wanted]
    parts = [Document(f"part {n}", text[n * 20_000 : (n + 1) * 20_000]) for n in range(-(-len(text) // 20_000))]
    write_shards(parts, tokenizer, room / "shards", SPLITTERS["punctuation"], {})
    task = _task(request | {"precision": "fp32", "batch_tokens": 8192})
    numbers = [number for batch in task.batches_in_epoch(0, 0) for number in batch]
    hidden = [task.hide(number, task.example(number)) for number in numbers]
    torch.manual_seed(0)
    config = task.settings.network.to_config(tokenizer.vocab_size)
    model = BertForPreTraining(config)
    model.save_pretrained(room / "start")
    tokens = sum(len(one.ids) for one in hidden)
    return {
        "sequences": len(numbers),
        "tokens": tokens,
        "hidden_share": round(sum(len(one.positions) for one in hidden) / tokens, 4),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "network": f"{config.num_hidden_layers} layers of {config.hidden_size}, {config.vocab_size:,} pieces",
    }


def _settings(request: dict[str, Any], steps: int) -> PretrainSettings:
    """Those of the recipe for a laptop, with dropout, which the Trainer has too."""
    from polarbert.training.config import read_settings
    from polarbert.training.pretraining_recipe import PretrainSettings, Stage

    recipe = read_settings(common.ROOT / "recipes" / "pretrain" / "tiny.toml", PretrainSettings)
    training = dataclasses.replace(
        recipe.training,
        precision=request["precision"],
        evaluations=1,
        checkpoint_seconds=1e9,
        threads=request.get("threads", 0),
    )
    return dataclasses.replace(
        recipe,
        network=dataclasses.replace(recipe.network, dropout=0.1),
        stages=(Stage(request["length"], steps, request["batch_tokens"]),),
        training=training,
        dev_pairs=8,
        device="cpu",
    )


def _task(request: dict[str, Any], steps: int = 10**6) -> PretrainingTask:
    from polarbert.data.shards import Shards
    from polarbert.text import WordPieceTokenizer
    from polarbert.training.pretraining import PretrainingTask

    room = Path(request["room"])
    shards = Shards.open(room / "shards")
    tokenizer = WordPieceTokenizer.from_directory(room / "vocabulary")
    return PretrainingTask(shards, shards, tokenizer, _settings(request, steps))


def run_polarbert(request: dict[str, Any]) -> dict[str, Any]:
    """Every sequence once, with the loop."""
    import torch

    from polarbert.model import BertForPreTraining
    from polarbert.training.device import choose_precision
    from polarbert.training.loop import train
    from polarbert.training.pretraining import PretrainingTask
    from polarbert.training.run import RunDirectory

    class Timed(PretrainingTask):
        """Times the steps: from the first plan of batches to the first evaluation, which is left out as saving is."""

        started = ended = math.nan
        peak_bytes = 0

        def batches_in_epoch(self, epoch: int, step: int) -> list[list[int]]:
            self.started = time.perf_counter() if math.isnan(self.started) else self.started
            return super().batches_in_epoch(epoch, step)

        def evaluate(self, model: torch.nn.Module) -> dict[str, float]:  # noqa: ARG002 - judged later, and untimed
            self.ended, self.peak_bytes = time.perf_counter(), common.own_peak_bytes()
            return {"score": 0.0}

        def save(self, model: torch.nn.Module, path: str) -> None:
            pass

    torch.set_num_threads(request["threads"])
    plain = _task(request)
    steps = len(plain.batches_in_epoch(0, 0))
    settings = _settings(request, steps)
    task = Timed(plain.shards, plain.dev, plain.tokenizer, settings)
    model = BertForPreTraining.from_pretrained(Path(request["room"]) / "start")
    loaded = common.own_peak_bytes()
    with tempfile.TemporaryDirectory() as room:
        summary = train(model, task, settings.loop_settings, RunDirectory(room), quiet=True)
    return {
        "seconds": task.ended - task.started,
        "tokens": summary["tokens"],
        "threads": torch.get_num_threads(),
        "steps": summary["steps"],
        "loaded_bytes": loaded,
        "peak_bytes": task.peak_bytes,
        "precision": choose_precision(settings.training.precision, "cpu"),
        "batch": f"{request['batch_tokens']:,} pieces",
        "loss": _judged(model, plain),
    }


def run_trainer(request: dict[str, Any]) -> dict[str, Any]:
    """Every sequence once, with the Trainer's own defaults but for those of the request."""
    import torch
    from transformers import BertForPreTraining

    torch.set_num_threads(request["threads"])
    torch.manual_seed(request["seed"])
    task = _task(request | {"precision": "fp32", "batch_tokens": 8192})
    rows = [_row(task, number) for batch in task.batches_in_epoch(0, 0) for number in batch]
    start = BertForPreTraining.from_pretrained(Path(request["room"]) / "start", dtype=torch.float32)
    rate = task.settings.training.learning_rate
    model, figures = against_trainer.trainer_pass(request, start, rows, _padded, "sequences", learning_rate=rate)
    return figures | {"loss": _judged(model, task)}


def _row(task: PretrainingTask, number: int) -> dict[str, Any]:
    """A sequence as the Trainer takes it: -100 where nothing is to be predicted."""
    example = task.example(number)
    hidden = task.hide(number, example)
    labels = [-100] * len(hidden.ids)
    for at, label in zip(hidden.positions.tolist(), hidden.labels.tolist(), strict=True):
        labels[at] = label
    second = len(hidden.ids) if example.second_at is None else example.second_at
    return {
        "input_ids": hidden.ids.tolist(),
        "token_type_ids": [0] * second + [1] * (len(hidden.ids) - second),
        "labels": labels,
        "next_sentence_label": example.label,
    }


def _padded(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows padded to the longest among them."""
    import torch

    longest = max(len(row["input_ids"]) for row in rows)

    def stacked(name: str, fill: int) -> torch.Tensor:
        return torch.tensor([row[name] + [fill] * (longest - len(row[name])) for row in rows])

    return {
        "input_ids": stacked("input_ids", 0),
        "token_type_ids": stacked("token_type_ids", 0),
        "attention_mask": torch.tensor([[n < len(row["input_ids"]) for n in range(longest)] for row in rows]).long(),
        "labels": stacked("labels", -100),
        "next_sentence_label": torch.tensor([row["next_sentence_label"] for row in rows]),
    }


def _judged(model: Any, task: PretrainingTask) -> float:
    """The sum of both losses over the first 100 sequences, in float32; the same for either library's model."""
    import torch

    model.eval()
    numbers = [number for batch in task.batches_in_epoch(0, 0) for number in batch][:100]
    losses = []
    for start in range(0, len(numbers), 20):
        batch = _padded([_row(task, number) for number in numbers[start : start + 20]])
        with torch.inference_mode():
            losses.append(float(model(**batch).loss))
    return sum(losses) / len(losses)


if __name__ == "__main__":
    main()
