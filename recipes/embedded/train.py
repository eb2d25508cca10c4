"""Step 1 of the embedded model: fine-tune the base in two runs. Writes runs/embedded/train and runs/embedded/second.

    python recipes/embedded/train.py [--resume]

Cost: see recipes/embedded/README.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
IMDB_DEV_ROWS = 500  # while training; recipes/embedded/build.py reads all of them
THREADS = 2
FIRST_RUN, SECOND_RUN = "train", "second"
FIRST = TrainSettings(epochs=2.0, batch_tokens=1536, learning_rate=8e-5, warmup_share=0.06, seed=1, evaluations=8)
SECOND = TrainSettings(epochs=1.0, batch_tokens=1536, learning_rate=6e-5, warmup_share=0.06, seed=2, evaluations=4)

Parts = Mapping[str, Sequence[data.LabelledText]]


@dataclass(frozen=True)
class Learning:
    """A run.

    Attributes:
        name: of its directory.
        settings: how it learns.
        parts: what it learns from.
        dev: what it is judged by.
    """

    name: str
    settings: TrainSettings
    parts: Parts
    dev: Parts

    def start(self, model: BertForSequenceClassification, tokenizer: WordPieceTokenizer, resume: bool) -> Path:
        """Run, or go on, to the end; where its best model is."""
        print({name: len(rows) for name, rows in self.parts.items()}, flush=True)
        examples = to_examples([row for rows in self.parts.values() for row in rows], tokenizer, TRAIN_PIECES)
        print(f"{len(examples):,} texts, {sum(len(e.ids) for e in examples):,} pieces a pass", flush=True)
        groups = {name: to_examples(rows, tokenizer, DEV_PIECES) for name, rows in self.dev.items()}
        task = ClassificationTask(examples, groups, 3, tokenizer, self.settings)
        torch.manual_seed(self.settings.seed)
        run = RunDirectory(RUNS / self.name)
        print(train(model, task, self.settings, run, resume=resume and run.checkpoint.is_dir()))
        return run.best


def to_examples(rows: Sequence[data.LabelledText], tokenizer: WordPieceTokenizer, pieces: int) -> list[Example]:
    """Cut and number texts; long ones keep their head and tail, an aspect stands in the second segment."""
    firsts = tokenizer.encode([row.text for row in rows])
    aspects = iter(tokenizer.encode([row.aspect for row in rows if row.aspect is not None]))
    examples = []
    for row, text in zip(rows, firsts, strict=True):
        second = None if row.aspect is None else next(aspects).ids
        first = head_and_tail(text.ids, pieces - 2 if second is None else pieces - 3 - len(second))
        ids = join_segments(tokenizer.cls_id, tokenizer.sep_id, first, second)
        second_at = None if second is None else len(first) + 2
        examples.append(Example(ids, row.label, row.choices, second_at, shares=row.shares))
    return examples


def is_done(run: Path) -> bool:
    """Whether a run has come to its end."""
    return (run / "summary.json").is_file()


def dev_parts() -> dict[str, list[data.LabelledText]]:
    """Of whole texts, small enough to be read often."""
    dev = data.dev_parts()
    return dev | {"imdb": data.sample(dev["imdb"], IMDB_DEV_ROWS)}


def main() -> None:
    """Fetch, prepare, train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resume", action="store_true", help="go on where an earlier call was stopped")
    parser.add_argument("--threads", type=int, default=THREADS)
    given = parser.parse_args()
    start = base.with_symbols(base.fetch(RUNS / "base"), RUNS / "base-with-symbols")
    tokenizer = WordPieceTokenizer.from_directory(start)
    if not (given.resume and is_done(RUNS / FIRST_RUN)):
        first = Learning(FIRST_RUN, replace(FIRST, threads=given.threads), data.train_parts(), dev_parts())
        torch.manual_seed(FIRST.seed)
        first.start(BertForSequenceClassification.from_encoder(start, data.LABELS), tokenizer, given.resume)
    dev = dev_parts() | data.aspect_dev_parts()
    second = Learning(SECOND_RUN, replace(SECOND, threads=given.threads), data.second_parts(), dev)
    second.start(BertForSequenceClassification.from_pretrained(RUNS / FIRST_RUN / "best"), tokenizer, given.resume)


if __name__ == "__main__":
    main()
