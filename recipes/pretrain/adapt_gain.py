"""What `polarbert adapt` brings on reviews of apps, with few labels and with all of them.

    python recipes/pretrain/adapt_gain.py [--seeds 1 2 3]

Writes recipes/pretrain/results/adapt.json. The embedded model has learned from these reviews with their labels, so it
cannot be the base here: the base is the public encoder that it was made from (recipes/embedded/train.py fetches it), as
it is and after reading all reviews of the training part without their labels. Each is then fine-tuned on 100, on 1,000
and on all labels, with the same texts, steps, rate and seeds, and judged on the dev part.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

import labelled
from polarbert import __version__
from polarbert.data.corpus import Document
from polarbert.files import write_whole
from polarbert.model import BertForSequenceClassification
from polarbert.text import WordPieceTokenizer
from polarbert.training.adaptation import adapt
from polarbert.training.classification import ClassificationTask
from polarbert.training.examples import encode_texts
from polarbert.training.loop import train
from polarbert.training.masked_lm import MaskedLmSettings
from polarbert.training.run import RunDirectory
from polarbert.training.settings import TrainSettings

RESULT = Path(__file__).with_name("results") / "adapt.json"
BASE = Path("runs/embedded/base-with-symbols")
ADAPTED = Path("runs/pretrain/adapted")
PIECES = 64
EPOCHS = {100: 15.0, 1000: 5.0, 0: 2.0}  # labels -> passes; 0 for all of them
LABELS = ["negative", "neutral", "positive"]
READING = MaskedLmSettings(
    training=TrainSettings(epochs=3.0, learning_rate=1e-4, batch_tokens=2048, evaluations=3),
    head=TrainSettings(epochs=1.0, learning_rate=1e-3, batch_tokens=2048, evaluations=1),
)


def main() -> None:
    """Adapt, fine-tune from both, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    seeds = parser.parse_args().seeds
    documents = [Document(f"review {number}", text) for number, (text, _) in enumerate(labelled.playstore())]
    reading = adapt(documents, ADAPTED, READING, base=BASE, resume=ADAPTED.is_dir(), quiet=True)
    figures: dict[str, Any] = {"polarbert": __version__, "seeds": seeds, "reading": reading, "labels": {}}
    for count in EPOCHS:
        found: dict[str, Any] = {}
        for name, base in (("as it is", BASE), ("adapted", ADAPTED)):
            scores = [_fine_tune(base, count, seed) for seed in seeds]
            found[name] = {"accuracy": scores, "mean": mean(scores), "sd": stdev(scores)}
        spread = math.sqrt((found["as it is"]["sd"] ** 2 + found["adapted"]["sd"] ** 2) / 2)
        found["gain"] = found["adapted"]["mean"] - found["as it is"]["mean"]
        found["standard_error"] = spread * math.sqrt(2 / len(seeds))
        figures["labels"][str(count or "all")] = found
        print(count or "all", json.dumps(found), flush=True)
        RESULT.parent.mkdir(exist_ok=True)
        write_whole(RESULT, (json.dumps(figures, indent=1) + "\n").encode("utf-8"))


def _fine_tune(base: Path, count: int, seed: int) -> float:
    """Accuracy on the dev part after the last step; which labels are there depends on the seed."""
    rows = labelled.playstore()
    if count:
        rows = random.Random(seed).sample(rows, count)  # noqa: S311 - a draw that can be repeated
    tokenizer = WordPieceTokenizer.from_directory(base)
    parts = {
        name: encode_texts([text for text, _ in part], [label for _, label in part], tokenizer, PIECES).examples
        for name, part in (("train", rows), ("dev", labelled.playstore_dev()))
    }
    settings = TrainSettings(epochs=EPOCHS[count], learning_rate=1e-4, batch_tokens=1024, evaluations=1, seed=seed)
    torch.manual_seed(seed)
    model = BertForSequenceClassification.from_encoder(base, LABELS)
    task = ClassificationTask(parts["train"], {"dev": parts["dev"]}, 3, tokenizer, settings)
    with tempfile.TemporaryDirectory() as room:
        train(model, task, settings, RunDirectory(room), quiet=True)
    return task.evaluate(model.eval())["dev_accuracy"]


if __name__ == "__main__":
    main()
