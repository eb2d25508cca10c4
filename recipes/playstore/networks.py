"""Training a network of the story and asking it for answers. What has ended once is not done again."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from polarbert.data.dataset import LabelledText
from polarbert.data.labels import SENTIMENTS
from polarbert.model import BertForSequenceClassification
from polarbert.training.base import Base
from polarbert.training.batching import Example
from polarbert.training.classification import ClassificationTask
from polarbert.training.examples import encode_texts
from polarbert.training.loop import train
from polarbert.training.run import RunDirectory
from polarbert.training.settings import TrainSettings
from reviews import Places

TRAIN_PIECES, JUDGED_PIECES = 64, 256
ANSWERS = "answers.json"

Rows = Sequence[LabelledText]


def examples(rows: Rows, base: Base, pieces: int) -> list[Example]:
    """Rows as the network reads them."""
    return encode_texts([row.text for row in rows], [row.label for row in rows], base.tokenizer, pieces).examples


def train_and_ask(
    run: RunDirectory,
    base: Path,
    learned: Rows,
    watched: Mapping[str, Rows],
    asked: Mapping[str, Rows],
    settings: TrainSettings,
    choose: bool = False,
) -> dict[str, Places]:
    """Train a network, then let it answer.

    Args:
        run: where it happens. A run that stands there is gone on with; one that has ended is read.
        base: directory of the encoder to start from.
        learned: rows to learn from.
        watched: groups of rows that each evaluation judges; see `curve`.
        asked: groups of rows to answer in the end; none may be empty.
        settings: how to train.
        choose: answer with the network that was best on the watched groups instead of the last one.

    Returns:
        (rows,) the class given to each row, for every group asked.
    """
    start = Base.open(base)
    judged = {name: examples(rows, start, JUDGED_PIECES) for name, rows in watched.items()}
    task = ClassificationTask(
        examples(learned, start, TRAIN_PIECES), judged, len(SENTIMENTS), start.tokenizer, settings
    )
    asked_for = {name: digest(*(row.text for row in rows)) for name, rows in asked.items()}
    began = {"data": task.fingerprint(), "base": start.digest, "asked": asked_for, "choose": choose}
    with run.locked():
        run.begin(settings.to_dict() | began, resume=True)
        known = run.read(ANSWERS)
        if known is None:
            torch.manual_seed(settings.seed)
            model = BertForSequenceClassification.from_encoder(base, SENTIMENTS)
            train(model, task, settings, run, resume=True)
            model = BertForSequenceClassification.from_pretrained(run.best) if choose else model.eval()
            groups = {name: examples(rows, start, JUDGED_PIECES) for name, rows in asked.items()}
            known = {name: task.logits(model, group).argmax(1).tolist() for name, group in groups.items()}
            run.write(ANSWERS, known)
            shutil.rmtree(run.checkpoint, ignore_errors=True)
    return {name: np.array(given, dtype=np.int64) for name, given in known.items()}


def curve(run: RunDirectory) -> list[dict[str, float]]:
    """The evaluations of a run, in order."""
    lines = (run.path / "evaluations.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def cost(runs: Sequence[RunDirectory]) -> dict[str, float]:
    """What runs took: pieces learned from, and minutes of training."""
    summaries = [run.read("summary.json") for run in runs]
    return {
        "pieces": sum(summary["tokens"] for summary in summaries),
        "minutes": sum(summary["seconds"] for summary in summaries) / 60,
    }


def digest(*texts: str) -> str:
    """What tells one list of texts from another."""
    return hashlib.sha256(json.dumps(texts).encode("utf-8")).hexdigest()
