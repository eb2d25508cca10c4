"""What a pre-trained model knows: its curves, perplexity on texts of another kind, and what fine-tuning gains from it.

    python recipes/pretrain/judge.py runs/pretrain/tiny [--tasks sst2 trec playstore] [--seeds 1 2 3]

Writes recipes/pretrain/results/RUN.json. Each of the tasks is learned by the pre-trained network and by the same one
from random weights: same texts, same number of steps, same seeds. The rate of each start is the better one of `RATES`
with a seed that is not among those reported: what suits a network that knows something does not suit one that does not.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pyarrow.parquet as pq
import torch

import labelled
from polarbert import __version__
from polarbert.data.corpus import Document
from polarbert.data.shards import Shards, write_shards
from polarbert.files import write_whole
from polarbert.model import BertConfig, BertForPreTraining, BertForSequenceClassification
from polarbert.text import WordPieceTokenizer
from polarbert.text.sentences import SPLITTERS
from polarbert.training.classification import ClassificationTask
from polarbert.training.examples import encode_texts
from polarbert.training.loop import train
from polarbert.training.pretraining import PretrainingTask
from polarbert.training.pretraining_recipe import PretrainSettings
from polarbert.training.run import RunDirectory
from polarbert.training.settings import TrainSettings

RESULTS = Path(__file__).with_name("results")
STARTS = ("pre-trained", "random")
PIECES = 128
RATES, RATE_SEED = (5e-4, 1.5e-3), 0


def main() -> None:
    """Judge, and keep the figures."""
    options = _options()
    run: Path = options.run
    file = RESULTS / f"{run.name}.json"
    figures: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    figures |= {"run": run.name, "polarbert": __version__, "date": time.strftime("%Y-%m-%d", time.gmtime())}
    figures |= {"settings": _read(run / "settings.json"), "environment": _read(run / "environment.json")}
    figures |= {"summary": _read(run / "summary.json"), "curves": _curves(run)}
    _keep(file, figures)
    figures["held_out"] = {name: _judge_text(run, documents()) for name, documents in TEXTS.items()}
    _keep(file, figures)
    gains = figures.setdefault("gains", {})
    for name in options.tasks:
        gains[name] = _gain(run, TASKS[name], options.seeds)
        _keep(file, figures)
        print(name, json.dumps({start: gains[name][start]["mean"] for start in STARTS}), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the run directory of polarbert pretrain")
    parser.add_argument("--tasks", nargs="*", choices=list(TASKS), default=list(TASKS), help="all unless given")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    return parser.parse_args()


def _read(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


def _keep(file: Path, figures: dict[str, Any]) -> None:
    file.parent.mkdir(exist_ok=True)
    write_whole(file, (json.dumps(figures, indent=1) + "\n").encode("utf-8"))


def _curves(run: Path) -> dict[str, list[dict[str, Any]]]:
    """Losses in training and on the dev part, by step."""
    lines = {name: (run / f"{name}.jsonl").read_text("utf-8").splitlines() for name in ("log", "evaluations")}
    return {name: [json.loads(line) for line in found] for name, found in lines.items()}


def _books() -> list[Document]:
    rows = pq.read_table(labelled.directory() / "books/val.parquet", columns=["text"])["text"].to_pylist()
    return [Document(f"book {number}", text) for number, text in enumerate(rows)]


def _wikitext() -> list[Document]:
    """Articles of WikiText-2's validation part, a first line "= Title =" before each."""
    rows = pq.read_table(labelled.directory() / "wikitext2/valid.parquet")["text"].to_pylist()
    articles: list[list[str]] = []
    for row in rows:
        line = row.strip()
        if not articles or (line.startswith("= ") and not line.startswith("= = ")):
            articles.append([])
        articles[-1].append(line)
    joined = (" ".join(article).strip() for article in articles)
    return [Document(f"article {number}", text) for number, text in enumerate(joined) if text]


TEXTS: dict[str, Callable[[], list[Document]]] = {"books": _books, "wikitext2": _wikitext}


def _judge_text(run: Path, documents: list[Document]) -> dict[str, float]:
    """Losses, perplexity and accuracies on texts that were not learned."""
    model = BertForPreTraining.from_pretrained(run / "best")
    tokenizer = WordPieceTokenizer.from_directory(run / "best")
    stage = _read(run / "settings.json")["stages"][-1]
    settings = PretrainSettings(dev_pairs=2000, device="cpu")
    settings = replace(settings, stages=(replace(settings.stages[0], length=stage["length"], batch_tokens=8192),))
    with tempfile.TemporaryDirectory() as room:
        write_shards(documents, tokenizer, room, SPLITTERS["punctuation"], {})
        shards = Shards.open(room)
        found = PretrainingTask(shards, shards, tokenizer, settings).evaluate(model)
        return found | {"pieces": shards.pieces, "unknown_share": _unknown_share(shards, tokenizer)}


def _unknown_share(shards: Shards, tokenizer: WordPieceTokenizer) -> float:
    unknown = tokenizer.backend.token_to_id("[UNK]")
    return sum(int((shard.ids == unknown).sum()) for shard in shards) / shards.pieces


@dataclass(frozen=True)
class FineTuning:
    """A task: its texts, and how long it is learned."""

    train: Callable[[], list[tuple[str, int]]]
    dev: Callable[[], list[tuple[str, int]]]
    classes: int
    epochs: float


TASKS = {
    "sst2": FineTuning(labelled.sst2, labelled.sst2_dev, 2, 1.0),
    "trec": FineTuning(labelled.trec, labelled.trec_dev, 6, 5.0),
    "playstore": FineTuning(labelled.playstore, labelled.playstore_dev, 3, 2.0),
}


def _gain(run: Path, task: FineTuning, seeds: list[int]) -> dict[str, Any]:
    """Accuracy of the last step on the dev part, from either start, seed by seed."""
    found: dict[str, Any] = {}
    for start in STARTS:
        tried = {rate: _fine_tune(run / "best", task, RATE_SEED, start, rate) for rate in RATES}
        rate = max(tried, key=tried.__getitem__)
        scores = [_fine_tune(run / "best", task, seed, start, rate) for seed in seeds]
        found[start] = {"accuracy": scores, "mean": mean(scores), "sd": stdev(scores), "rate": rate, "tried": tried}
    spread = math.sqrt(sum(found[start]["sd"] ** 2 for start in STARTS) / 2)
    error = spread * math.sqrt(2 / len(seeds))
    gain = found["pre-trained"]["mean"] - found["random"]["mean"]
    return found | {"gain": gain, "standard_error": error, "seeds": seeds, "epochs": task.epochs}


def _fine_tune(best: Path, task: FineTuning, seed: int, start: str, rate: float) -> float:
    tokenizer = WordPieceTokenizer.from_directory(best)
    torch.manual_seed(seed)
    labels = [str(number) for number in range(task.classes)]
    if start == "random":
        model = BertForSequenceClassification(_with_dropout(BertConfig.from_pretrained(best)), labels)
    else:
        model = BertForSequenceClassification.from_encoder(best, labels)
        model = _as_in_fine_tuning(model)
    parts = {}
    for name, read in (("train", task.train), ("dev", task.dev)):
        rows = read()
        parts[name] = encode_texts([text for text, _ in rows], [label for _, label in rows], tokenizer, PIECES).examples
    settings = TrainSettings(epochs=task.epochs, learning_rate=rate, batch_tokens=1024, evaluations=1, seed=seed)
    work = ClassificationTask(parts["train"], {"dev": parts["dev"]}, task.classes, tokenizer, settings)
    with tempfile.TemporaryDirectory() as room:
        train(model, work, settings, RunDirectory(room), quiet=True)
    return work.evaluate(model.eval())["dev_accuracy"]


def _with_dropout(config: BertConfig) -> BertConfig:
    """Both starts are fine-tuned with the dropout of BERT, whatever was pre-trained with."""
    return replace(config, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)


def _as_in_fine_tuning(model: BertForSequenceClassification) -> BertForSequenceClassification:
    other = BertForSequenceClassification(_with_dropout(model.config), model.labels)
    other.load_state_dict(model.state_dict())
    return other


if __name__ == "__main__":
    main()
