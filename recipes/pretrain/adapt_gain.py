"""What `polarbert adapt` brings on reviews of apps, with few labels and with all of them.

    python recipes/pretrain/adapt_gain.py [--base runs/pretrain/tiny/best] [--seeds 1 2 3]

Writes recipes/pretrain/results/adapt.json. The embedded model has learned from these reviews with their labels, so it
cannot be the base here. The base is the small network that has read old books and nothing else; or another one, such
as the public encoder of the embedded model (recipes/embedded/train.py puts it into runs/embedded/base-with-symbols).
As it is and after reading all reviews of the training part without their labels, it is fine-tuned on 100, on 1,000 and
on all labels, with the same texts, steps, rate and seeds, and judged on the dev part.
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
from polarbert.model import BertConfig, BertForSequenceClassification
from polarbert.text import WordPieceTokenizer
from polarbert.training.adaptation import adapt
from polarbert.training.classification import ClassificationTask
from polarbert.training.examples import encode_texts
from polarbert.training.loop import train
from polarbert.training.masked_lm import MaskedLmSettings
from polarbert.training.run import RunDirectory
from polarbert.training.settings import TrainSettings

RESULT = Path(__file__).with_name("results") / "adapt.json"
BASE = Path("runs/pretrain/tiny/best")
ADAPTED = Path("runs/pretrain/adapted")
NARROW = 384  # networks of less width take, and need, larger steps
PIECES = 64
# Labels (0 for all of them) -> passes, and pieces in a batch: few labels are learned in small batches, or in no step
# would a new output layer learn anything.
BUDGETS = {100: (20.0, 256), 1000: (8.0, 512), 0: (2.0, 1024)}
LABELS = ["negative", "neutral", "positive"]


def main() -> None:
    """Adapt, fine-tune from both, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--base", type=Path, default=BASE)
    options = parser.parse_args()
    seeds, base = options.seeds, options.base
    rate = 1e-4 if BertConfig.from_pretrained(base).hidden_size >= NARROW else 5e-4
    documents = [Document(f"review {number}", text) for number, (text, _) in enumerate(labelled.playstore())]
    reading = adapt(documents, ADAPTED, _reading(rate), base=base, resume=ADAPTED.is_dir(), quiet=True)
    figures: dict[str, Any] = {"polarbert": __version__, "base": base.parent.name, "rate": rate, "seeds": seeds}
    figures |= {"reading": reading, "labels": {}}
    for count in BUDGETS:
        found: dict[str, Any] = {}
        for name, start in (("as it is", base), ("adapted", ADAPTED)):
            scores = [_fine_tune(start, count, seed, rate) for seed in seeds]
            found[name] = {"accuracy": scores, "mean": mean(scores), "sd": stdev(scores)}
        spread = math.sqrt((found["as it is"]["sd"] ** 2 + found["adapted"]["sd"] ** 2) / 2)
        found["gain"] = found["adapted"]["mean"] - found["as it is"]["mean"]
        found["standard_error"] = spread * math.sqrt(2 / len(seeds))
        figures["labels"][str(count or "all")] = found
        print(count or "all", json.dumps(found), flush=True)
        RESULT.parent.mkdir(exist_ok=True)
        write_whole(RESULT, (json.dumps(figures, indent=1) + "\n").encode("utf-8"))


def _reading(rate: float) -> MaskedLmSettings:
    return MaskedLmSettings(
        training=TrainSettings(epochs=3.0, learning_rate=rate, batch_tokens=2048, evaluations=3),
        head=TrainSettings(epochs=1.0, learning_rate=1e-3, batch_tokens=2048, evaluations=1),
    )


def _fine_tune(base: Path, count: int, seed: int, rate: float) -> float:
    """Accuracy on the dev part after the last step; which labels are there depends on the seed."""
    rows = labelled.playstore()
    if count:
        rows = random.Random(seed).sample(rows, count)  # noqa: S311 - a draw that can be repeated
    tokenizer = WordPieceTokenizer.from_directory(base)
    parts = {
        name: encode_texts([text for text, _ in part], [label for _, label in part], tokenizer, PIECES).examples
        for name, part in (("train", rows), ("dev", labelled.playstore_dev()))
    }
    epochs, batch = BUDGETS[count]
    settings = TrainSettings(epochs=epochs, learning_rate=rate, batch_tokens=batch, evaluations=1, seed=seed)
    torch.manual_seed(seed)
    model = BertForSequenceClassification.from_encoder(base, LABELS)
    task = ClassificationTask(parts["train"], {"dev": parts["dev"]}, 3, tokenizer, settings)
    with tempfile.TemporaryDirectory() as room:
        train(model, task, settings, RunDirectory(room), quiet=True)
    return task.evaluate(model.eval())["dev_accuracy"]


if __name__ == "__main__":
    main()
