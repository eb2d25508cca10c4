"""The parts of a dataset: to learn from, to choose the best model by, and to judge it by."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from polarbert.bundle import MAX_LABEL, is_label
from polarbert.data.dataset import Dataset, LabelledText
from polarbert.data.division import Positions
from polarbert.data.entities import entity_types
from polarbert.data.inputs import shown_name
from polarbert.data.splits import PARTS, Splits
from polarbert.data.tagged import TaggedText
from polarbert.errors import DataError

MIN_ROWS = 20  # to make parts of
FEW_DEV_TEXTS = 20  # one right answer more or less moves their accuracy by 5 points
TRIAL_TEXTS = 64  # of each part


@dataclass(frozen=True)
class Parts:
    """Rows of a dataset by what they are for.

    Attributes:
        dataset: all rows.
        train: positions of the rows to learn from.
        dev: of those that choose the best model and fit its calibration.
        test: of those that judge it; may be empty.
    """

    dataset: Dataset
    train: Positions
    dev: Positions
    test: Positions

    @classmethod
    def of(cls, dataset: Dataset, splits: Splits, trial: bool = False) -> Self:
        """The parts that `splits` makes; for a trial, a few rows of each.

        Raises:
            DataError: when there is nothing to choose by, or only one class to learn.
        """
        found = (splits.train, splits.dev, splits.test)
        parts = cls(dataset, *(_few(dataset, part) if trial else part for part in found))
        parts._check()
        return parts

    def positions(self, part: str) -> Positions:
        """The rows of "train", "dev" or "test"."""
        return {"train": self.train, "dev": self.dev, "test": self.test}[part]

    def rows(self, part: str) -> list[LabelledText]:
        """The rows of a part."""
        return [self.dataset.rows[number] for number in self.positions(part)]

    def labels(self, part: str) -> list[int]:
        """The class numbers of a part."""
        return [self.dataset.rows[number].label for number in self.positions(part)]

    def counts(self) -> dict[str, dict[str, int]]:
        """Rows of each class in each part; all as one where rows are not of a class."""
        names = self.dataset.labels
        return {part: {names[n]: count for n, count in sorted(Counter(self.labels(part)).items())} for part in PARTS}

    def as_dataset(self, part: str) -> Dataset:
        """A part on its own."""
        rows = self.rows(part)
        return replace(self.dataset, name=f"{self.dataset.name} ({part} part)", rows=rows, skipped={}, notes=())

    def missing(self) -> list[str]:
        """The classes, or types of entities, without a row to learn from."""
        names = self.dataset.labels
        if self.dataset.has_classes:
            present = set(self.labels("train"))
            return [name for number, name in enumerate(names) if number not in present]
        learned = {tag for row in self.rows("train") if isinstance(row, TaggedText) for tag in row.tags}
        if not learned:
            return []
        found = entity_types([names[tag] for tag in learned])
        return [name for name in entity_types(names) if name not in found]

    def check_aspects(self) -> None:
        """See that a model that is to judge aspects has some to learn from.

        Raises:
            DataError: when only dev or test has any.
        """
        if not any(row.pair is not None for row in self.rows("train")):
            raise DataError(
                f"{self.dataset.name}: no row to learn from has an aspect, and rows of the dev or test part have; give "
                "rows with aspects to learn from, or leave --aspect-column out"
            )

    def doubts(self) -> list[str]:
        """What the parts are too small for, or lack."""
        return [*self._too_few(), *self._no_whole_texts()]

    def _no_whole_texts(self) -> list[str]:
        rows = self.rows("train")
        if self.dataset.task == "sentiment" and rows and all(row.pair is not None for row in rows):
            return ["every row to learn from has an aspect: how the model judges whole texts, nobody taught it"]
        return []

    def _too_few(self) -> list[str]:
        count = len(self.dev)
        if count >= FEW_DEV_TEXTS:
            return []
        unit = self.dataset.unit
        so_few = f"{count} {unit} are" if count > 1 else f"1 {unit.removesuffix('s')} is"
        return [f"{so_few} in the dev part: which model is best, and when it is sure, hangs on so few; label more"]

    def _check(self) -> None:
        name, learned = self.dataset.name, set(self.labels("train"))
        for part in ("train", "dev"):
            if not len(self.positions(part)):
                raise DataError(f"{name}: there is no text in the {part} part; give more rows, or other splits")
        if self.dataset.has_classes and len(learned) < 2:
            only = self.dataset.labels[learned.pop()]
            raise DataError(
                f"{name}: every row to learn from is {only!r}; a classifier needs texts of two or more classes"
            )


def check_dataset(dataset: Dataset, is_divided: bool = False) -> None:
    """See that there is enough to learn from.

    Args:
        dataset: the labelled texts.
        is_divided: the parts are given. Then how many texts are enough is left to whoever made them, and `Parts` sees
            that none is missing.

    Raises:
        DataError: when there is not.
    """
    rows, name = dataset.rows, dataset.name
    reasons = "; ".join(f"{reason}: {count:,}" for reason, count in dataset.skipped.items())
    left_out = f" (left out: {reasons})" if reasons else ""
    if len(rows) < (1 if is_divided else MIN_ROWS):
        raise DataError(
            f"{name}: {len(rows)} usable rows{left_out} are too few to learn from, choose by and judge by. "
            f"Label at least {MIN_ROWS}, better some hundred of each class"
        )
    if dataset.has_classes and len({row.label for row in rows}) < 2:
        only = dataset.labels[rows[0].label]
        raise DataError(f"{name}: every row is {only!r}{left_out}; a classifier needs texts of two or more classes")
    if odd := [label for label in dataset.labels if not is_label(label)]:
        shown = repr(odd[0]) if len(odd[0]) <= MAX_LABEL else f"{odd[0][:40]!r}…"
        raise DataError(
            f"{name}: the label {shown} cannot be the name of a class, which is one line of at most {MAX_LABEL} "
            "characters. Rename it in the file, or in the table [labels] of a --config file"
        )


def dataset_digest(dataset: Dataset) -> str:
    """Changes with any text or label, and with what the labels are called; not with where the file lies."""
    digest = hashlib.sha256(repr((dataset.task, dataset.labels)).encode("utf-8"))
    for row in dataset.rows:
        digest.update(row.content.encode("utf-8", "surrogatepass") + b"\0%d\0" % row.label)
        digest.update(repr(row.target).encode("utf-8") if row.target else b"")
    return digest.hexdigest()


def splits_digest(splits: Splits) -> str:
    """Changes with any row that stands in another part."""
    parts = [np.asarray(part, dtype="<i8").tobytes() for part in (splits.train, splits.dev, splits.test)]
    return hashlib.sha256(b"|".join(parts)).hexdigest()


def file_name(dataset: Dataset) -> str:
    """The dataset's name without the folder it lies in: what may stand in a model card."""
    return shown_name(dataset.name)


def _few(dataset: Dataset, positions: Positions) -> Positions:
    """Some rows of a part, each class in turn, in their order."""
    queues: dict[int, list[int]] = {}
    for position in positions.tolist():
        queues.setdefault(dataset.rows[position].label, []).append(position)
    taken = [queue[turn] for turn in range(TRIAL_TEXTS) for queue in queues.values() if turn < len(queue)]
    return np.array(sorted(taken[:TRIAL_TEXTS]), dtype=np.int64)
