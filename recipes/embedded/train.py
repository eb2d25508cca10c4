"""Step 1 of the embedded model: fine-tune the base in four runs, and average. Writes runs/embedded/model.

    python recipes/embedded/train.py [--resume]
    python recipes/embedded/train.py --only third-3    # the last two runs, third-3 and third-4, do not need each other

Cost: see recipes/embedded/README.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file

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
FIRST_RUN, SECOND_RUN, START, MODEL = "train", "second", "start", "model"
THIRD_RUNS = {"third-3": 3, "third-4": 4}  # by name, their seeds
FIRST = TrainSettings(epochs=2.0, batch_tokens=1536, learning_rate=8e-5, warmup_share=0.06, seed=1, evaluations=8)
SECOND = TrainSettings(epochs=1.0, batch_tokens=1536, learning_rate=6e-5, warmup_share=0.06, seed=2, evaluations=4)
THIRD = TrainSettings(epochs=1.0, batch_tokens=1536, learning_rate=3e-5, warmup_share=0.06, evaluations=1)
HARDNESS = 0.5  # of a text that is rehearsed, what its label counts; the rest is what the model said before the run

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


def softened(
    model: BertForSequenceClassification, tokenizer: WordPieceTokenizer, rows: Sequence[data.LabelledText]
) -> list[data.LabelledText]:
    """Rows whose classes are shared between their label and what the model says (Li and Hoiem 2016, section 3).

    Those whose annotators had no neutral class stay as they are: shares are of all classes.
    """
    if rows[0].choices is not None:
        return list(rows)
    examples = to_examples(rows, tokenizer, TRAIN_PIECES)
    task = ClassificationTask(examples, {"all": examples}, 3, tokenizer, THIRD)
    believed = torch.from_numpy(task.logits(model.eval(), examples)).softmax(-1)
    truth = torch.nn.functional.one_hot(torch.tensor([row.label for row in rows]), 3)
    shares = HARDNESS * truth + (1 - HARDNESS) * believed
    return [replace(row, shares=tuple(each)) for row, each in zip(rows, shares.tolist(), strict=True)]


def average(directories: Sequence[Path], target: Path) -> Path:
    """Write a model whose weights are the means of others' (Wortsman et al. 2022, sections 2 and 3)."""
    models = [BertForSequenceClassification.from_pretrained(directory) for directory in directories]
    states = [model.state_dict() for model in models]
    models[0].load_state_dict({name: torch.stack([one[name] for one in states]).mean(0) for name in states[0]})
    models[0].save_pretrained(target)
    WordPieceTokenizer.from_directory(directories[0]).save(target)
    return target


def last_of(run: RunDirectory, target: Path) -> Path:
    """Write the model as it was at the end of a run, which keeps only the best one as such."""
    model = BertForSequenceClassification.from_pretrained(run.best)
    state = load_file(run.checkpoint / "state.safetensors")
    model.load_state_dict({name.removeprefix("model."): part for name, part in state.items() if name[:6] == "model."})
    model.save_pretrained(target)
    WordPieceTokenizer.from_directory(run.best).save(target)
    return target


def third(name: str, threads: int, resume: bool) -> None:
    """From the mean of the first run's best and the second one's last model."""
    seed, second = THIRD_RUNS[name], RunDirectory(RUNS / SECOND_RUN)
    start = average([RUNS / FIRST_RUN / "best", last_of(second, RUNS / f"{name}-second")], RUNS / f"{name}-{START}")
    model, tokenizer = BertForSequenceClassification.from_pretrained(start), WordPieceTokenizer.from_directory(start)
    parts = data.third_parts(seed)
    parts |= {name: softened(model, tokenizer, parts[name]) for name in data.REHEARSED}
    settings = replace(THIRD, threads=threads, seed=seed)
    Learning(name, settings, parts, dev_parts() | data.aspect_dev_parts()).start(model, tokenizer, resume)


def main() -> None:
    """Fetch, prepare, train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resume", action="store_true", help="go on where an earlier call was stopped")
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--only", choices=THIRD_RUNS, help="one of the last runs, from the others' models")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.only:
        third(given.only, given.threads, given.resume)
        return
    start = base.with_symbols(base.fetch(RUNS / "base"), RUNS / "base-with-symbols")
    tokenizer = WordPieceTokenizer.from_directory(start)
    if not (given.resume and is_done(RUNS / FIRST_RUN)):
        first = Learning(FIRST_RUN, replace(FIRST, threads=given.threads), data.train_parts(), dev_parts())
        torch.manual_seed(FIRST.seed)
        first.start(BertForSequenceClassification.from_encoder(start, data.LABELS), tokenizer, given.resume)
    if not (given.resume and is_done(RUNS / SECOND_RUN)):
        dev = dev_parts() | data.aspect_dev_parts()
        second = Learning(SECOND_RUN, replace(SECOND, threads=given.threads), data.second_parts(), dev)
        second.start(BertForSequenceClassification.from_pretrained(RUNS / FIRST_RUN / "best"), tokenizer, given.resume)
    for name in THIRD_RUNS:
        if not (given.resume and is_done(RUNS / name)):
            third(name, given.threads, given.resume)
    average([RUNS / name / "best" for name in THIRD_RUNS], RUNS / MODEL)


if __name__ == "__main__":
    main()
