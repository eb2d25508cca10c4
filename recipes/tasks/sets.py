"""The sets of labelled texts by which the kinds of task are measured: what is learned from, and what judges.

Reads files from the directory that POLARBERT_DATA names; recipes/embedded/README.md says where they come from. No row
that is learned from has the texts of one that judges. Where pairs that judge are taken out of those to learn from, no
pair is left there that has one of their texts, or a text nearly like it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "pretrain"))

import labelled
from polarbert.data.dataset import Dataset, LabelledText, read_labelled
from polarbert.data.duplicates import clusters
from polarbert.data.joined import with_labels
from polarbert.data.questions import read_questions
from polarbert.data.rated import read_rated
from polarbert.data.splits import is_dev, normalised
from polarbert.data.tagged import read_tagged

MANY_SEEDS, SEEDS = (1, 2, 3, 4, 5), (1, 2, 3)  # many where the rows that judge are few, or the task is a hard one


@dataclass(frozen=True)
class LabelledSet:
    """A set of labelled texts.

    Attributes:
        title: for people.
        task: one of `polarbert.bundle.TASKS`.
        train: its file.
        measure: the main figure, one of `recipes.tasks.judging.MEASURES`.
        dev: the file that judges; None where it is a tenth of `train`, by `polarbert.data.splits.is_dev`.
        dev_name: of that part, for people.
        positive: the class whose F1 is measured; None where that is not the measure.
        seeds: by which it is measured unless others are asked for.
        published: what BERT's authors report for BASE and LARGE in percent, and on what; None where they do not.
        most_rows: to learn from, where that is less than is usual for the sets: passages take long.
    """

    title: str
    task: str
    train: str
    measure: str
    dev: str | None = None
    dev_name: str = "dev"
    positive: str | None = None
    seeds: Sequence[int] = SEEDS
    published: tuple[str, str] | None = None
    most_rows: int | None = None


TENTH = "a tenth of train, by the text"
SETS = {
    "sst2": LabelledSet(
        "SST-2",
        "classification",
        "sst2/train.parquet",
        "accuracy",
        "sst2/dev.parquet",
        published=("93.5 / 94.9", "GLUE test"),
    ),
    "sst5": LabelledSet("SST-5", "classification", "sst5/train.parquet", "accuracy", "sst5/dev.parquet"),
    "cola": LabelledSet(
        "CoLA",
        "classification",
        "cola/train.parquet",
        "matthews",
        "cola/dev_in_domain.parquet",
        "in-domain dev",
        seeds=MANY_SEEDS,
        published=("52.1 / 60.5", "GLUE test"),
    ),
    "trec": LabelledSet("TREC", "classification", "trec/train.parquet", "accuracy", dev_name=TENTH),
    "mrpc": LabelledSet(
        "MRPC",
        "pair",
        "mrpc/train.parquet",
        "f1",
        dev_name=TENTH,
        positive="equivalent",
        seeds=MANY_SEEDS,
        published=("88.9 / 89.3", "GLUE test"),
    ),
    "rte": LabelledSet(
        "RTE",
        "pair",
        "rte/train.parquet",
        "accuracy",
        "rte/dev.parquet",
        seeds=MANY_SEEDS,
        published=("66.4 / 70.1", "GLUE test"),
    ),
    "sick": LabelledSet("SICK, three classes", "pair", "sick/train.parquet", "accuracy", "sick/dev.parquet"),
    "stsb": LabelledSet(
        "STS-B",
        "regression",
        "stsb/train.parquet",
        "correlation",
        "stsb/dev.parquet",
        published=("85.8 / 86.5", "GLUE test, Spearman"),
    ),
    "squad": LabelledSet(
        "SQuAD v1.1",
        "qa",
        "squad/train.json",
        "answer_f1",
        "squad/dev.json",
        "dev, articles of its own",
        published=("88.5 / 90.9", "SQuAD dev, learned from all of train"),
        most_rows=1000,
    ),
    "conll2003": LabelledSet(
        "CoNLL-2003",
        "tagging",
        "conll2003/train.parquet",
        "entity_f1",
        "conll2003/dev.parquet",
        published=("92.4 / 92.8", "CoNLL test"),
    ),
    "wnut17": LabelledSet("WNUT-17", "tagging", "wnut17/train.parquet", "entity_f1", "wnut17/dev.parquet"),
}


@dataclass(frozen=True)
class Parts:
    """Rows to learn from and rows that judge, with the same labels."""

    train: Dataset
    dev: Dataset


def read(chosen: LabelledSet) -> Parts:
    """All rows of a set, less those to learn from whose texts judge."""
    learned = _read(chosen.task, chosen.train)
    if chosen.dev is None:
        dev = replace(learned, rows=[row for row in learned.rows if is_dev(row.text)])
        learned = replace(learned, rows=_apart([row for row in learned.rows if not is_dev(row.text)], dev.rows))
    else:
        dev = _with_labels(_read(chosen.task, chosen.dev), learned.labels)
    held_out = {normalised(row.content) for row in dev.rows}
    return Parts(replace(learned, rows=[row for row in learned.rows if normalised(row.content) not in held_out]), dev)


def draw(parts: Parts, rows: int, dev_rows: int, seed: int) -> Parts:
    """At most so many rows of either part: the seed chooses what is learned from; what judges is always the same."""
    train = replace(parts.train, rows=some(parts.train.rows, rows, seed))
    return Parts(train, replace(parts.dev, rows=some(parts.dev.rows, dev_rows, 0)))


def some(rows: Sequence[LabelledText], count: int, seed: int) -> list[LabelledText]:
    """At most so many rows, drawn by a seed, in their order."""
    drawn = np.random.default_rng(seed).permutation(len(rows))[:count]
    return [rows[number] for number in sorted(drawn.tolist())]


def _apart(rows: list[LabelledText], dev: Sequence[LabelledText]) -> list[LabelledText]:
    """Of pairs those that have no text of a pair that judges, nor one nearly like it; single texts as they are."""
    if any(row.pair is None for row in rows):
        return rows
    texts = [text for row in (*dev, *rows) for text in (row.text, row.pair or "", row.content)]
    cluster_of = clusters(texts).reshape(-1, 3)
    judged = set(cluster_of[: len(dev)].ravel().tolist())
    return [row for row, found in zip(rows, cluster_of[len(dev) :].tolist(), strict=True) if judged.isdisjoint(found)]


def _read(task: str, name: str) -> Dataset:
    file = labelled.directory() / name
    if task == "qa":
        return read_questions(file)
    if task == "tagging":
        return read_tagged(file)
    if task == "regression":
        return read_rated(file, "text", "label", pair_column="text_pair")
    pair_column = "text_pair" if task == "pair" else None
    found = read_labelled(file, "text", "label", pair_column=pair_column, task="classification")
    return replace(found, task=task)


def _with_labels(dataset: Dataset, labels: Sequence[str]) -> Dataset:
    """The dataset with the numbers that its labels have elsewhere."""
    if unknown := [label for label in dataset.labels if label not in labels]:
        raise SystemExit(
            f"{dataset.name}: nothing can be learned of the label {unknown[0]!r}: no row to learn from has it"
        )
    return replace(dataset, rows=with_labels(dataset, labels), labels=list(labels))
