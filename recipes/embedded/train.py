"""Step 1 of the embedded model: fine-tune the base on the mix. Writes runs/embedded/train.

    python recipes/embedded/train.py [--resume]

Cost: see recipes/embedded/README.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import base
import data
from polarbert.model import BertForSequenceClassification
from polarbert.text import WordPieceTokenizer, head_and_tail, join_segments
from polarbert.training.batching import Example
from polarbert.training.classification import ClassificationTask
from polarbert.training.loop import train
from polarbert.training.run import RunDirectory
from polarbert.training.settings import TrainSettings

RUNS = Path("runs/embedded")
TRAIN_PIECES, DEV_PIECES = 160, 256
IMDB_DEV_ROWS = 500  # while training; recipes/embedded/judge.py reads all of them
SETTINGS = TrainSettings(
    epochs=2.0, batch_tokens=1536, learning_rate=8e-5, warmup_share=0.06, seed=1, evaluations=8, threads=2
)


def to_examples(rows: list[data.LabelledText], tokenizer: WordPieceTokenizer, pieces: int) -> list[Example]:
    """Cut and number texts; long ones keep their head and tail."""
    encoded = tokenizer.encode([row.text for row in rows])
    cut = [head_and_tail(text.ids, pieces - 2) for text in encoded]
    ids = [join_segments(tokenizer.cls_id, tokenizer.sep_id, text, None) for text in cut]
    return [Example(i, row.label, row.choices) for i, row in zip(ids, rows, strict=True)]


def main() -> None:
    """Fetch, prepare, train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resume", action="store_true")
    resume = parser.parse_args().resume
    start = base.with_symbols(base.fetch(RUNS / "base"), RUNS / "base-with-symbols")
    tokenizer = WordPieceTokenizer.from_directory(start)
    parts = data.train_parts()
    print({name: len(rows) for name, rows in parts.items()}, flush=True)
    examples = to_examples([row for rows in parts.values() for row in rows], tokenizer, TRAIN_PIECES)
    print(f"{len(examples):,} texts, {sum(len(e.ids) for e in examples):,} pieces a pass", flush=True)
    dev = data.dev_parts()
    dev["imdb"] = data.sample(dev["imdb"], IMDB_DEV_ROWS)
    groups = {name: to_examples(rows, tokenizer, DEV_PIECES) for name, rows in dev.items()}
    torch.manual_seed(SETTINGS.seed)
    model = BertForSequenceClassification.from_encoder(start, data.LABELS)
    task = ClassificationTask(examples, groups, 3, tokenizer, SETTINGS)
    print(train(model, task, SETTINGS, RunDirectory(RUNS / "train"), resume=resume))


if __name__ == "__main__":
    main()
