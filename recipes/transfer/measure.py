"""What each option of transfer learning is worth: the same texts, steps and seeds with it and without it.

    python recipes/transfer/measure.py [--tasks sst2 trec playstore] [--rows 2000] [--seeds 1 2 3] [--options NAME ...]

Writes recipes/transfer/results.json, and with it the table in docs/how-to/transfer.md. What stands in the results from
an earlier call with the same rows is not measured again; --fresh forgets it. Reads Parquet files from the directory
that POLARBERT_DATA names; recipes/embedded/README.md says where they come from.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "pretrain"))

import labelled
from polarbert import __version__
from polarbert.bundle import Bundle
from polarbert.files import write_whole
from polarbert.model import BertForSequenceClassification
from polarbert.training.base import Base
from polarbert.training.classification import ClassificationTask
from polarbert.training.examples import encode_texts
from polarbert.training.loop import train
from polarbert.training.pace import adapt
from polarbert.training.preparation import prepare_model, with_help
from polarbert.training.run import RunDirectory, environment
from polarbert.training.settings import TrainSettings
from polarbert.training.transfer import TransferSettings

RESULTS = Path(__file__).resolve().with_name("results.json")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "transfer.md"
BLOCK = re.compile(r"(?<=<!-- transfer-table -->\n).*?(?=<!-- /transfer-table -->)", re.DOTALL)
PIECES, DEV_ROWS = 128, 2000


@dataclass(frozen=True)
class Option:
    """A row of the table.

    Attributes:
        settings: of the table [transfer].
        against: the row that it is compared with.
        teacher: learn from the model of the row "plain", of the same seed.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    against: str = "plain"
    teacher: bool = False


OPTIONS = {
    "plain": Option(),
    "frozen": Option({"frozen": True}),
    "frozen, sum of 4": Option({"frozen": True, "layers": "sum", "layer_count": 4}, "frozen"),
    "frozen, concat of 4": Option({"frozen": True, "layers": "concat", "layer_count": 4}, "frozen"),
    "frozen, mix of 7": Option({"frozen": True, "layers": "mix", "layer_count": 7}, "frozen"),
    "mix of 7": Option({"layers": "mix", "layer_count": 7}),
    "layer_decay 0.9": Option({"layer_decay": 0.9}),
    "layer_decay 1/2.6": Option({"layer_decay": round(1 / 2.6, 3)}),
    "unfreeze 0.3": Option({"unfreeze": 0.3}),
    "unfreeze 0.3, layer_decay 0.9": Option({"unfreeze": 0.3, "layer_decay": 0.9}),
    "dropout 0": Option({"dropout": 0.0}),
    "auxiliary_lm 0.2": Option({"auxiliary_lm": 0.2}),
    "3 layers": Option({"keep_layers": 3}),
    "3 layers, teacher": Option({"keep_layers": 3, "teacher_weight": 0.7}, "3 layers", teacher=True),
    "3 layers, teacher, hidden_weight 1": Option(
        {"keep_layers": 3, "teacher_weight": 0.7, "hidden_weight": 1.0}, "3 layers", teacher=True
    ),
}


@dataclass(frozen=True)
class Texts:
    """A task."""

    title: str
    train: Callable[[], labelled.Rows]
    dev: Callable[[], labelled.Rows]
    classes: int


TASKS = {
    "sst2": Texts("SST-2", labelled.sst2, labelled.sst2_dev, 2),
    "trec": Texts("TREC", labelled.trec, labelled.trec_dev, 6),
    "playstore": Texts("reviews of apps", labelled.playstore, labelled.playstore_dev, 3),
}


def main() -> None:
    """Measure what is not measured yet, and write it down after each run."""
    asked = _arguments()
    results = {} if asked.fresh else read_results()
    about = {"rows": asked.rows, "dev_rows": DEV_ROWS, "base": Base.open(None).digest[:16], "polarbert": __version__}
    if {name: results.get(name) for name in about} != about:
        results = about | {"environment": environment(), "scores": {}}
    for task in asked.tasks:
        for seed in asked.seeds:
            _measure(results, task, seed, _with_what_they_need(asked.options))
    print(table(results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--options", nargs="+", choices=list(OPTIONS), default=list(OPTIONS))
    parser.add_argument("--rows", type=int, default=2000, help="to learn from")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    return parser.parse_args()


def _with_what_they_need(names: Sequence[str]) -> list[str]:
    """The options with those that they are compared with or learn from, in the order of the table."""
    wanted = {*names, *(OPTIONS[name].against for name in names)}
    if any(OPTIONS[name].teacher for name in wanted):
        wanted.add("plain")
    return [name for name in OPTIONS if name in wanted]


def read_results() -> dict[str, Any]:
    """What was measured so far; nothing before the first call."""
    found: dict[str, Any] = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}
    return found


def _measure(results: dict[str, Any], task: str, seed: int, names: Sequence[str]) -> None:
    """All options on one task with one seed: the teacher of the last ones is the model of the first."""
    scores = results["scores"].setdefault(task, {})
    left = [name for name in names if str(seed) not in scores.get(name, {})]
    if not left:
        return
    work = _Work(TASKS[task], results["rows"], seed)
    with tempfile.TemporaryDirectory() as room:
        teacher = Path(room) / "teacher"
        if any(OPTIONS[name].teacher for name in left) and "plain" not in left:
            left = ["plain", *left]
        for name in left:
            scores.setdefault(name, {})[str(seed)] = work.score(OPTIONS[name], teacher, keep=name == "plain")
            _keep(results)
            print(task, seed, name, json.dumps(scores[name][str(seed)]), flush=True)


def _keep(results: dict[str, Any]) -> None:
    write_whole(RESULTS, (json.dumps(results, indent=1) + "\n").encode("utf-8"))
    page = BLOCK.sub(lambda _: f"{table(results)}\n", PAGE.read_text("utf-8"))
    write_whole(PAGE, page.encode("utf-8"))


class _Work:
    """One task with one seed."""

    def __init__(self, texts: Texts, rows: int, seed: int) -> None:
        self._seed = seed
        self._base = Base.open(None)
        self._labels = [str(number) for number in range(texts.classes)]
        learned, judging = _some(texts.train(), rows, seed), _some(texts.dev(), DEV_ROWS, 0)
        self._train, self._dev = (
            encode_texts([text for text, _ in part], [label for _, label in part], self._base.tokenizer, PIECES)
            for part in (learned, judging)
        )

    def score(self, option: Option, teacher: Path, keep: bool) -> dict[str, float]:
        """Macro-F1 and accuracy on the dev part after the last step, and the seconds of training."""
        named = {"teacher": str(teacher)} if option.teacher else {}
        transfer = TransferSettings(**{**option.settings, **named})
        training = transfer.suited(TrainSettings(seed=self._seed, evaluations=1))
        training = adapt(training, self._train.pieces, self._base.config.hidden_size)
        torch.manual_seed(self._seed)
        network = BertForSequenceClassification.from_encoder(self._base.path, self._labels)
        network = prepare_model(network, transfer)
        dev = {"dev": self._dev.examples}
        task = ClassificationTask(self._train.examples, dev, len(self._labels), self._base.tokenizer, training)
        model, helped = with_help(network, task, transfer, self._base, self._seed)
        with tempfile.TemporaryDirectory() as room:
            summary = train(model, helped, training, RunDirectory(room), quiet=True, transfer=transfer)
        figures = task.evaluate(network.eval())
        if keep:
            task.save(network, str(teacher))
            Bundle(teacher, "classification", self._labels, "model.onnx", "float32").write()
        seconds = round(summary["seconds"], 2)
        return {"macro_f1": figures["score"], "accuracy": figures["dev_accuracy"], "seconds": seconds}


def _some(rows: labelled.Rows, count: int, seed: int) -> labelled.Rows:
    if len(rows) <= count:
        return rows
    return [rows[number] for number in np.random.default_rng(seed).permutation(len(rows))[:count]]


def table(results: Mapping[str, Any]) -> str:
    """Macro-F1 of each option, and its difference from the row it is compared with, as Markdown."""
    measured = results.get("scores", {})
    tasks = [task for task in TASKS if measured.get(task)]
    if not tasks:
        return "Not measured yet: `python recipes/transfer/measure.py` fills this table."
    lines = [
        f"| option | compared with | {' | '.join(TASKS[task].title for task in tasks)} | time |",
        f"|---|---|{'--:|' * len(tasks)}--:|",
    ]
    names = [name for name in OPTIONS if any(name in measured[task] for task in tasks)]
    for name in names:
        against = "" if OPTIONS[name].against == name else OPTIONS[name].against
        cells = [name, against, *(_cell(measured[task], name) for task in tasks), _time(measured, name)]
        lines.append(f"| {' | '.join(cells)} |")
    seeds = sorted({seed for task in tasks for found in measured[task].values() for seed in found}, key=int)
    is_earlier = results.get("base") not in (None, Base.open(None).digest[:16])
    earlier = " Base: an earlier edition of the embedded model." if is_earlier else ""
    about = (
        f"Macro-F1 on dev parts in percent, mean of {len(seeds)} seed{'s' if len(seeds) != 1 else ''}, learned from at "
        f"most {results['rows']:,} rows; behind it the difference from the row it is compared with, ± two standard "
        f"errors. Time: of training, as a multiple of plain ({results['environment']['processor']}, PyTorch "
        f"{results['environment']['torch']}).{earlier}"
    )
    return "\n".join([*lines, "", about])


def _cell(scores: Mapping[str, Any], name: str) -> str:
    if name not in scores:
        return ""
    own = {seed: 100 * found["macro_f1"] for seed, found in scores[name].items()}
    shown = f"{mean(own.values()):.1f}"
    against = OPTIONS[name].against
    if name == against or against not in scores:
        return shown
    gains = [value - 100 * scores[against][seed]["macro_f1"] for seed, value in own.items() if seed in scores[against]]
    if len(gains) < 2:
        return f"{shown} ({mean(gains):+.1f})" if gains else shown
    return f"{shown} ({mean(gains):+.1f} ± {2 * stdev(gains) / math.sqrt(len(gains)):.1f})"


def _time(measured: Mapping[str, Any], name: str) -> str:
    """Seconds over those of plain, where both were measured."""
    ratios = [
        found["seconds"] / scores["plain"][seed]["seconds"]
        for scores in measured.values()
        if "plain" in scores
        for seed, found in scores.get(name, {}).items()
        if seed in scores["plain"]
    ]
    return f"{mean(ratios):.2f}" if ratios else ""


if __name__ == "__main__":
    main()
