"""Step 1 of the embedded model: fine-tune the base in four runs, and average. Writes runs/embedded/model.

    python recipes/embedded/train.py [--resume]
    python recipes/embedded/train.py --only second-2    # one of the two second runs, second-2 and second-3
    python recipes/embedded/train.py --first DIR        # take what the first run made from there
    python recipes/embedded/train.py --third DIR        # only the third run, from the model in DIR
    python recipes/embedded/train.py --fourth DIR --first FIRST    # one of no edition yet; writes runs/embedded/next

Cost: see recipes/embedded/README.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

import base
import data
from polarbert.calibration import fit_temperature
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
FIRST_RUN, SECOND_MEAN, MODEL, NEXT = "train", "second-mean", "model", "next"
SECOND_RUNS = {"second-2": 2, "second-3": 3}  # by name, their seeds
SECOND_SHARE = 0.65  # of the second runs in the mean with the first one, from which the third run begins
FIRST = TrainSettings(epochs=2.0, batch_tokens=1536, learning_rate=8e-5, warmup_share=0.06, seed=1, evaluations=8)
SECOND = TrainSettings(epochs=1.0, batch_tokens=4096, learning_rate=8e-5, warmup_share=0.06, evaluations=4)
LATER = TrainSettings(epochs=1.0, batch_tokens=3072, learning_rate=6e-5, warmup_share=0.06, evaluations=4)
LATER_PASSES = {"sst5": 2}  # its neutral class, of mixed verdicts, is what later runs forget first
# Of a text that is rehearsed, what its label counts; the rest is what the model said before the run.
SECOND_HARDNESS, LATER_HARDNESS = 0.5, 0.25
SOFTENED = ("playstore", "tweets", "sst5", "clothing")
SOFTENED_ASPECTS, ASPECT_HARDNESS = ("restaurants", "laptops"), 0.5  # of the last run; of these models are too sure
PASSES = dict.fromkeys(data.ASPECT_SETS, data.ASPECT_PASSES) | {"rated": data.RATED_PASSES}

Parts = Mapping[str, Sequence[data.LabelledText]]


@dataclass(frozen=True)
class Later:
    """A run that rehearses what is known, learns what was misread, and is averaged with what it began from.

    Attributes:
        name: of its directory.
        seed: of the texts that are drawn and generated, and of their order.
        parts: what it learns from, by seed.
        share: of it in the mean.
        mean: name of the directory of the mean.
        tempered: whether what models say of a rehearsed text is made as sure as they may be of its collection.
    """

    name: str
    seed: int
    parts: Callable[[int], dict[str, list[data.LabelledText]]]
    share: float
    mean: str
    tempered: bool = False


THIRD = Later("third", 4, data.third_parts, 0.7, MODEL)
FOURTH = Later("fourth", 5, data.fourth_parts, 0.7, NEXT, tempered=True)


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
    teachers: Sequence[Path],
    rows: Sequence[data.LabelledText],
    hardness: float,
    dev: Sequence[data.LabelledText] | None = None,
) -> list[data.LabelledText]:
    """Rows whose classes are shared between their label and what models say (Li and Hoiem 2016, section 3).

    Their annotators could choose among all classes.

    Args:
        teachers: directories of the models; the mean of their probabilities is believed.
        rows: with labels.
        hardness: what the label counts; the rest is the models'.
        dev: texts of the same collection; what is believed gets the temperature with which it is as sure as it is
            right on them. None: it stays as sure as it is.

    Returns:
        The rows with shares. The class of each is the likeliest by them: below a half, the models may outvote a label.
    """
    believed = _believed(teachers, rows)
    if dev is not None:
        temperature = fit_temperature(_believed(teachers, dev).log().numpy(), np.array([row.label for row in dev]))
        print(f"beliefs of {len(rows):,} texts are tempered by {temperature:.2f}", flush=True)
        believed = (believed.log() / temperature).softmax(-1)
    truth = torch.nn.functional.one_hot(torch.tensor([row.label for row in rows]), 3)
    shares = hardness * truth + (1 - hardness) * believed
    likeliest = shares.argmax(-1).tolist()
    return [
        replace(row, label=label, shares=tuple(each))
        for row, label, each in zip(rows, likeliest, shares.tolist(), strict=True)
    ]


def _believed(teachers: Sequence[Path], rows: Sequence[data.LabelledText]) -> torch.Tensor:
    """(rows, 3) float64 means of what models say, none of them nought."""
    said = []
    for teacher in teachers:
        tokenizer = WordPieceTokenizer.from_directory(teacher)
        examples = to_examples(rows, tokenizer, TRAIN_PIECES)
        task = ClassificationTask(examples, {"all": examples}, 3, tokenizer, SECOND)
        model = BertForSequenceClassification.from_pretrained(teacher).eval()
        said.append(torch.from_numpy(task.logits(model, examples)).double().softmax(-1))
    return torch.stack(said).mean(0).clamp_min(1e-9)


def average(directories: Sequence[Path], target: Path, shares: Sequence[float]) -> Path:
    """Write a model whose weights are the means of others' (Wortsman et al. 2022, sections 2 and 3).

    Args:
        directories: of models.
        target: where the mean goes.
        shares: what each counts, 1 in sum.
    """
    models = [BertForSequenceClassification.from_pretrained(directory) for directory in directories]
    states = [model.state_dict() for model in models]
    weights = torch.tensor(shares)
    mean = {
        name: torch.einsum("n,n...->...", weights, torch.stack([one[name] for one in states])) for name in states[0]
    }
    models[0].load_state_dict(mean)
    models[0].save_pretrained(target)
    WordPieceTokenizer.from_directory(directories[0]).save(target)
    return target


def second(name: str, first: Path, threads: int, resume: bool) -> None:
    """From the first run's best model."""
    seed = SECOND_RUNS[name]
    model, tokenizer = BertForSequenceClassification.from_pretrained(first), WordPieceTokenizer.from_directory(first)
    parts = data.second_parts(seed)
    parts |= {part: softened([first], parts[part], SECOND_HARDNESS) for part in SOFTENED}
    parts |= {part: parts[part] * passes for part, passes in PASSES.items()}
    settings = replace(SECOND, threads=threads, seed=seed)
    Learning(name, settings, parts, dev_parts() | data.aspect_dev_parts()).start(model, tokenizer, resume)


def later(run: Later, begun: Path, others: Sequence[Path], threads: int, resume: bool) -> Path:
    """From a model, on to another; where the mean of both is.

    Args:
        run: which.
        begun: the model it goes on from.
        others: models that say beside it what a rehearsed text is learned as.
        threads: to train with.
        resume: go on with a run that was stopped, and leave out one that has ended.
    """
    last = RUNS / run.name
    if not (resume and is_done(last)):
        model = BertForSequenceClassification.from_pretrained(begun)
        tokenizer = WordPieceTokenizer.from_directory(begun)
        parts = run.parts(run.seed)
        parts |= _rehearsals(run, parts, begun, others)
        settings = replace(LATER, threads=threads, seed=run.seed)
        Learning(run.name, settings, parts, dev_parts() | data.aspect_dev_parts()).start(model, tokenizer, resume)
    return average([begun, last / "best"], RUNS / run.mean, [1 - run.share, run.share])


def _rehearsals(run: Later, parts: Parts, begun: Path, others: Sequence[Path]) -> dict[str, list[data.LabelledText]]:
    """The parts that are learned partly as models say, as often as they are to be learned."""
    if not run.tempered:
        soft = {part: softened([begun, *others], parts[part], LATER_HARDNESS) for part in SOFTENED}
    else:
        dev = data.dev_parts() | data.aspect_dev_parts()
        soft = {part: softened([begun, *others], parts[part], LATER_HARDNESS, dev[part]) for part in SOFTENED}
        soft |= {part: softened([begun], parts[part], ASPECT_HARDNESS, dev[part]) for part in SOFTENED_ASPECTS}
    return {part: rows * LATER_PASSES.get(part, 1) for part, rows in soft.items()}


def first_and_second(given: argparse.Namespace) -> Path:
    """The first run unless its model was given, and both second ones; where the mean of them all is."""
    first = given.first or RUNS / FIRST_RUN / "best"
    if not (given.first or (given.resume and is_done(RUNS / FIRST_RUN))):
        start = base.with_symbols(base.fetch(RUNS / "base"), RUNS / "base-with-symbols")
        tokenizer = WordPieceTokenizer.from_directory(start)
        run = Learning(FIRST_RUN, replace(FIRST, threads=given.threads), data.train_parts(), dev_parts())
        torch.manual_seed(FIRST.seed)
        run.start(BertForSequenceClassification.from_encoder(start, data.LABELS), tokenizer, given.resume)
    for name in SECOND_RUNS:
        if not (given.resume and is_done(RUNS / name)):
            second(name, first, given.threads, given.resume)
    begun = [RUNS / name / "best" for name in SECOND_RUNS]
    return average([first, *begun], RUNS / SECOND_MEAN, [1 - SECOND_SHARE, *[SECOND_SHARE / len(begun)] * len(begun)])


def main() -> None:
    """Fetch, prepare, train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resume", action="store_true", help="go on where an earlier call was stopped")
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--only", choices=SECOND_RUNS, help="one of the second runs, from the first one's model")
    parser.add_argument("--first", type=Path, help="a directory with what the first run made, which is left out then")
    parser.add_argument("--third", type=Path, metavar="DIR", help="only the third run, from the model in there")
    parser.add_argument("--fourth", type=Path, metavar="DIR", help="a fourth run, from the model in there")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    first = given.first or RUNS / FIRST_RUN / "best"
    if given.only:
        second(given.only, first, given.threads, given.resume)
        return
    if given.fourth:
        later(FOURTH, given.fourth, [first], given.threads, given.resume)
    else:
        later(THIRD, given.third or first_and_second(given), [], given.threads, given.resume)


if __name__ == "__main__":
    main()
