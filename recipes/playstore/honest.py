"""Step 3 of the play-store story: how good a model honestly is. Writes runs/playstore/honest-*.

Two bases, five seeds each: the public encoder, and the embedded model's. They learn from the play-store training part,
less what leaks into the part that judges, and less a tenth that shares no text with the rest. That tenth chooses among
the evaluations of a run. The part that judges, `playstore/val`, is looked at once, at the end of each run.

    python recipes/playstore/honest.py

A stopped run goes on when the command is given again; one that has ended is only read.
Cost: see recipes/playstore/README.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import figures
import networks
import polarbert
import reviews
from polarbert.data.dataset import Dataset, LabelledText
from polarbert.data.duplicates import clusters
from polarbert.data.labels import SENTIMENTS
from polarbert.data.leaks import find_leaks
from polarbert.data.splits import Splits, make_splits
from polarbert.metrics import accuracy, confusion, macro_f1, macro_recall, recalls
from polarbert.training.base import Base
from polarbert.training.finetune import FineTuning
from polarbert.training.recipe import FineTuneSettings
from polarbert.training.run import RunDirectory
from polarbert.training.settings import TrainSettings
from reviews import Places

SEEDS = range(1, 6)
SHARES, SPLIT_SEED = (0.9, 0.1, 0.0), 1
TWEETS = f"{reviews.TWEETS}/val"
RESAMPLES = 10_000

PLAIN = TrainSettings(epochs=2.0, batch_tokens=1024, learning_rate=8e-5, warmup_share=0.06, evaluations=4, threads=1)
# One pass: the base has learned from these reviews before. So it has from the tenth that chooses, which would prefer
# whatever changes it least; with a single evaluation nothing is chosen.
TUNED = replace(PLAIN, epochs=1.0, learning_rate=5e-5, evaluations=1)


@dataclass(frozen=True)
class Part:
    """What is learned from, what chooses, and what judges.

    Attributes:
        dataset: all reviews.
        splits: their places; the test part is `playstore/val`.
        left_out: reviews of the training part that repeat one of the judging part, exactly or nearly.
    """

    dataset: Dataset
    splits: Splits
    left_out: int

    def rows(self, places: Places) -> list[LabelledText]:
        """The rows at these places."""
        return [self.dataset.rows[place] for place in places]


def main() -> None:
    """All runs, and what they come to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("plain", "tuned"), help="do these runs alone and keep no figures")
    only = parser.parse_args().only
    part, model = read_part(), embedded_model()
    asked: dict[str, Callable[[], list[Places]]] = {
        "plain": lambda: plain_answers(part),
        "tuned": lambda: tuned_answers(part, model),
    }
    if only:
        asked[only]()
        return
    answers = {name: answer() for name, answer in asked.items()}
    val = part.rows(part.splits.test)
    truth = np.array([row.label for row in val])
    embedded = np.array([SENTIMENTS.index(p.label) for p in polarbert.load(model).predict([r.text for r in val])])
    found = {
        "parts": {
            "train": len(part.splits.train),
            "dev": len(part.splits.dev),
            "val": len(val),
            "left_out": part.left_out,
        },
        "train_pieces": networks.TRAIN_PIECES,
        "settings": {"plain": PLAIN.to_dict(), "tuned": TUNED.to_dict()},
        "embedded": {"digest": Base.open(model).digest, **judged(truth, [embedded])},
        **{name: judged(truth, given) for name, given in answers.items()},
        "dev": {"plain": spread(dev_accuracies(plain_runs())), "tuned": spread(dev_accuracies(tuned_runs(model)))},
        "gain": gain(truth, answers["plain"], answers["tuned"]),
        "gain_of_embedded": gain(truth, answers["plain"], [embedded] * len(SEEDS)),
        "bundle": own_model(part, model),
        "cost": {
            "plain": networks.cost(plain_runs()),
            "tuned": networks.cost(tuned_runs(model)),
            "bundle": networks.cost([RunDirectory(own_model_directory(model) / "training")]),
        },
    }
    figures.keep("honest", found)
    print(json.dumps(found, indent=1))


def read_part() -> Part:
    """Training part, a tenth of it that chooses, and the part that judges; no text stands in two of them.

    Raises:
        SystemExit: when one does all the same.
    """
    dataset, train, val = reviews.joined(reviews.read(reviews.TRAIN), reviews.read(reviews.VAL))
    cluster_of = clusters(dataset.texts)
    kept = train[~np.isin(cluster_of[train], cluster_of[val])]
    inside = make_splits(replace(dataset, rows=[dataset.rows[place] for place in kept]), SHARES, SPLIT_SEED)
    splits = Splits(kept[inside.train], kept[inside.dev], val, len({*cluster_of}), 0, cluster_of)
    if leaks := [leak.message() for leak in find_leaks(dataset, splits) if leak.exact + leak.near]:
        raise SystemExit(f"{dataset.name}: the parts are not apart: {'; '.join(leaks)}")
    return Part(dataset, splits, len(train) - len(kept))


def plain_runs() -> list[RunDirectory]:
    """Where the runs from the public encoder are, in the order of `SEEDS`."""
    return [RunDirectory(reviews.RUNS / f"honest-plain-{seed}") for seed in SEEDS]


def tuned_runs(model: Path) -> list[RunDirectory]:
    """Where the runs from the embedded model are, in the order of `SEEDS`; another edition of it has others."""
    return [RunDirectory(reviews.RUNS / f"honest-{model.name}-{seed}") for seed in SEEDS]


def plain_answers(part: Part) -> list[Places]:
    """What the public encoder says after training, for each seed."""
    base = reviews.plain_base()
    return [trained(run, part, base, replace(PLAIN, seed=s)) for s, run in zip(SEEDS, plain_runs(), strict=True)]


def tuned_answers(part: Part, model: Path) -> list[Places]:
    """What the embedded model says after training, for each seed."""
    runs = tuned_runs(model)
    return [trained(run, part, model, replace(TUNED, seed=s)) for s, run in zip(SEEDS, runs, strict=True)]


def embedded_model() -> Path:
    """A copy of the embedded model, so that one edition serves all runs; named by what it holds."""
    copy = reviews.RUNS / f"embedded-{Base.open(reviews.EMBEDDED).digest[:8]}"
    if not copy.is_dir():
        unfinished = copy.with_suffix(".tmp")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(reviews.EMBEDDED, unfinished)
        unfinished.rename(copy)
    return copy


def trained(run: RunDirectory, part: Part, base: Path, settings: TrainSettings) -> Places:
    """(rows of val,) the classes that the best network of a run gives."""
    asked = {"val": part.rows(part.splits.test), "tweets": reviews.read(TWEETS).rows}
    watched = {"dev": part.rows(part.splits.dev)}
    learned = part.rows(part.splits.train)
    return networks.train_and_ask(run, base, learned, watched, asked, settings, choose=True)["val"]


def own_model_directory(base: Path) -> Path:
    """Where `own_model` puts the bundle."""
    return reviews.RUNS / f"model-{base.name}"


def dev_accuracies(runs: Sequence[RunDirectory]) -> list[float]:
    """What the chosen network of each run had on the reviews that chose it."""
    return [max(networks.curve(run), key=lambda line: line["score"])["dev_accuracy"] for run in runs]


def own_model(part: Part, base: Path) -> dict[str, Any]:
    """The first seed's model again, as `polarbert train` makes it, and what its bundle answers."""
    settings = FineTuneSettings(
        task="sentiment", max_pieces=networks.TRAIN_PIECES, training=replace(TUNED, seed=SEEDS[0])
    )
    output = own_model_directory(base)

    def note(line: str) -> None:
        print(line, flush=True)

    evaluation = (
        FineTuning(part.dataset, output, settings, base=base, splits=part.splits, note=note).run(True).evaluation
    )
    if evaluation is None:
        raise SystemExit(f"{output}: was not judged")
    return {
        "accuracy": asdict(evaluation.accuracy),
        "macro_f1": asdict(evaluation.macro_f1),
        "ece": evaluation.calibration.ece,
        "confidence": sum(b.confidence * b.count for b in evaluation.calibration.bins) / evaluation.n,
    }


def judged(truth: Places, answers: Sequence[Places]) -> dict[str, Any]:
    """Figures of several networks on the same rows: each one's, and what they share."""
    classes = len(SENTIMENTS)
    tables = [confusion(truth, given, classes) for given in answers]
    return {
        "accuracy": spread([accuracy(truth, given) for given in answers]),
        "macro_f1": spread([macro_f1(truth, given, classes) for given in answers]),
        "macro_recall": spread([macro_recall(truth, given, classes) for given in answers]),
        "recall": dict(
            zip(SENTIMENTS, np.mean([recalls(truth, g, classes) for g in answers], 0).tolist(), strict=True)
        ),
        "confusion": np.sum(tables, 0).tolist(),
    }


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Values, their mean and their standard deviation (of a sample; 0 for one value)."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"values": list(values), "mean": float(np.mean(values)), "deviation": deviation}


def gain(truth: Places, before: Sequence[Places], after: Sequence[Places]) -> dict[str, Any]:
    """How much more accurate the second networks are than the first, paired by seed.

    The interval is that of other reviews: all networks are judged by the same ones, so rows are drawn anew, with all
    that the networks made of them.
    """
    better = np.mean([given == truth for given in after], 0) - np.mean([given == truth for given in before], 0)
    by_seed = [accuracy(truth, a) - accuracy(truth, b) for a, b in zip(after, before, strict=True)]
    low, high = np.quantile(resampled_means(better), [0.025, 0.975])
    return spread(by_seed) | {"low": float(low), "high": float(high)}


def resampled_means(values: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """(resamples,) means of rows drawn with replacement (Efron and Tibshirani 1993, chapter 13)."""
    drawn = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    return np.asarray(values[drawn].mean(1))


if __name__ == "__main__":
    main()
