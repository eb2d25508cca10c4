"""Which rows are for training and which for judging; the same answer on every machine."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from polarbert.data.dataset import Dataset
from polarbert.data.division import DifferentTexts, Positions, Shares, draw, share_out
from polarbert.data.duplicates import cluster_count, clusters, normalised
from polarbert.data.labels import counted
from polarbert.errors import DataError, UsageError
from polarbert.files import disk_errors, read_bounded, write_whole

__all__ = ["Splits", "given_splits", "is_dev", "make_splits", "normalised", "random_splits"]

PARTS = ("train", "dev", "test")
FORMAT = 1
_NO_PART = "none"
_PART_NAMES = {
    **dict.fromkeys(["train", "training"], "train"),
    **dict.fromkeys(["dev", "development", "val", "valid", "validation"], "dev"),
    **dict.fromkeys(["test", "testing"], "test"),
}


def is_dev(text: str) -> bool:
    """A tenth of all texts, chosen by the text alone, so that repeats always fall on the same side.

    Used for collections that come without a dev part.

    Example:
        >>> is_dev("Great app!") == is_dev("great app")
        True
    """
    return int(hashlib.sha1(normalised(text).encode("utf-8"), usedforsecurity=False).hexdigest(), 16) % 10 == 0


@dataclass(frozen=True, eq=False)
class Splits:
    """Which rows of a dataset are for training, which for choosing the best model, which for judging it.

    Attributes:
        train: positions in `Dataset.rows`, rising.
        dev: the same.
        test: the same.
        clusters: how many clusters of equal or nearly equal texts, or of pairs that share texts, there are.
        duplicates: rows in no part, because their text stands in dev or test already.
        cluster_of: (rows,) the cluster of every row of the dataset.
        notes: what people should know.
    """

    train: Positions
    dev: Positions
    test: Positions
    clusters: int
    duplicates: int
    cluster_of: Positions
    notes: tuple[str, ...] = ()

    def part(self, name: str) -> Positions:
        """The rows of "train", "dev" or "test"."""
        return {"train": self.train, "dev": self.dev, "test": self.test}[name]

    def save(self, path: Path, dataset: Dataset) -> None:
        """Write the splits as JSON, a line a row: number in its source, part, cluster, digest of the text.

        Raises:
            DataError: when the file cannot be written; what stood there before stays.
        """
        part = np.full(len(dataset.rows), _NO_PART, dtype="<U5")
        for name in PARTS:
            part[self.part(name)] = name
        rows = zip(dataset.rows, part.tolist(), self.cluster_of.tolist(), strict=True)
        lines = [json.dumps([row.row, name, cluster, _digest(row.content)]) for row, name, cluster in rows]
        about = {"format": FORMAT, "clusters": self.clusters, "duplicates": self.duplicates, "notes": self.notes}
        start = json.dumps(about, indent=1, ensure_ascii=False).removesuffix("\n}")
        content = start + ',\n "rows": [\n' + ",\n".join(lines) + "\n ]\n}\n"
        with disk_errors(str(path), "The splits were not saved"):
            write_whole(path, content.encode("utf-8", "replace"))

    @classmethod
    def load(cls, path: Path, dataset: Dataset) -> Splits:
        """Read what `save` wrote, and check that the dataset is still the same.

        Raises:
            DataError: when the file is no such file, or naming the first row that changed.
        """
        content = read_bounded(path, 1_000_000 + 200 * len(dataset.rows), DataError)
        try:
            values = json.loads(content)
            splits = cls._of(values, len(dataset.rows))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise DataError(f"{path}: is no file of splits ({error}). Name one that a training wrote") from error
        _refuse_changes(path, values["rows"], dataset)
        return splits

    @classmethod
    def _of(cls, values: dict[str, Any], rows: int) -> Splits:
        if values["format"] != FORMAT:
            raise ValueError(f"its format is {values['format']!r}, known is {FORMAT}")
        for number, (row, part, cluster, digest) in enumerate(values["rows"]):
            if type(row) is not int or type(cluster) is not int or type(digest) is not str or cluster < 0:
                raise ValueError(f"entry {number + 1:,} is not as it must be")
            if part not in (*PARTS, _NO_PART):
                raise ValueError(f"entry {number + 1:,} has the part {part!r}")
        names = np.array([part for _, part, _, _ in values["rows"][:rows]], dtype="<U5")
        cluster_of = np.array([cluster for _, _, cluster, _ in values["rows"][:rows]], dtype=np.int64)
        train, dev, test = (np.flatnonzero(names == name) for name in PARTS)
        notes = tuple(str(note) for note in values["notes"])
        return cls(train, dev, test, int(values["clusters"]), int(values["duplicates"]), cluster_of, notes)


def make_splits(dataset: Dataset, shares: Shares = (0.8, 0.1, 0.1), seed: int = 1) -> Splits:
    """Divide a dataset so that no text, nor one nearly like it, stands in two parts.

    Whole clusters of `polarbert.data.division.row_clusters` go into one part each, at random, so that the different
    texts of each class are shared out as asked and every class stands in every part. A cluster larger than a quarter of
    the dev or test part goes into train. Pairs that share a text are in one cluster; a text of more than
    `polarbert.data.division.MOST_SHARED` different pairs links none, which the notes tell.

    In train every row stays, repeats too: how often people say something is worth knowing. In dev and test each text
    counts once, or the figures would be of the few texts that are repeated most; of a text with several labels, the
    most frequent label counts. The parts depend on the texts, the labels and the seed, not on the order of the rows.

    Args:
        dataset: with two or more classes.
        shares: of train, dev and test; dev and test may be 0.
        seed: another one, other parts.

    Raises:
        UsageError: when the shares do not add up to 1.
        DataError: when a class has too few different texts to stand in every part.

    Example:
        >>> from polarbert.data.dataset import LabelledText
        >>> rows = [LabelledText(f"{7919 * n} is number {n}", n % 2, n + 1) for n in range(40)]
        >>> splits = make_splits(Dataset("numbers", rows, ["even", "odd"], "classification"))
        >>> len(splits.train), len(splits.dev), len(splits.test)
        (32, 4, 4)
    """
    _check_shares(shares)
    texts = DifferentTexts.of(dataset)
    part_of = share_out(texts, dataset, shares, seed)
    parts = part_of[texts.cluster_of]
    judging = (parts != 0) & texts.stands_for
    left_out = int(((parts != 0) & ~texts.stands_for).sum())
    train, dev, test = np.flatnonzero(parts == 0), *(np.flatnonzero(judging & (parts == part)) for part in (1, 2))
    notes = (*texts.notes(left_out), *_absent(dataset, (train, dev, test), shares))
    return Splits(train, dev, test, texts.clusters, left_out, texts.cluster_of, notes)


def random_splits(dataset: Dataset, shares: Shares = (0.8, 0.1, 0.1), seed: int = 1) -> Splits:
    """Divide a dataset row by row, so that it leaks wherever texts repeat.

    This is what most tutorials do. It is here to measure by how much their figures are too high; train with
    `make_splits`.

    Args:
        dataset: any.
        shares: of train, dev and test.
        seed: another one, other parts.
    """
    _check_shares(shares)
    count = len(dataset.rows)
    shuffled = np.array(sorted(range(count), key=lambda row: draw(seed, str(row))), dtype=np.int64)
    ends = [round(shares[0] * count), round((shares[0] + shares[1]) * count)]
    train, dev, test = (np.sort(part) for part in np.split(shuffled, ends))
    cluster_of = clusters(dataset.topics)
    note = "rows were divided at random: a text that repeats may stand in several parts"
    return Splits(train, dev, test, cluster_count(cluster_of), 0, cluster_of, (note,))


def given_splits(dataset: Dataset, column_values: Sequence[str]) -> Splits:
    """Take the parts that a column of the data names; `polarbert.data.leaks.find_leaks` says what they are worth.

    Without a dev part, a tenth of train becomes one, chosen as `make_splits` does.

    Args:
        dataset: any.
        column_values: for each row train, dev or test (or training, development, val, valid, validation, testing); a
            row with none is in no part.

    Raises:
        DataError: when a value is another, there is nothing to train on, or dev cannot be taken out of train.
    """
    names = [value.strip().lower() for value in column_values]
    other = [value for value, name in zip(column_values, names, strict=True) if name not in {"", *_PART_NAMES}]
    if other:
        raise DataError(
            f"{dataset.name}: the column with the parts has {counted(Counter(other))}. It can name train, dev and test"
        )
    found = np.array([_PART_NAMES.get(name, _NO_PART) for name in names], dtype="<U5")
    train, dev, test = (np.flatnonzero(found == name) for name in PARTS)
    if not len(train):
        raise DataError(f"{dataset.name}: the column with the parts puts no row into train; name another column")
    without = int((found == _NO_PART).sum())
    notes = [f"rows that name no part, and are left out: {without:,}"] if without else []
    cluster_of = clusters(dataset.topics)
    splits = Splits(train, dev, test, cluster_count(cluster_of), 0, cluster_of, tuple(notes))
    return splits if len(dev) else _with_dev(dataset, splits)


def _absent(dataset: Dataset, positions: Sequence[Positions], shares: Shares) -> list[str]:
    """Notes on classes that a part lacks though its clusters would do for all."""
    truth = dataset.truth
    return [
        f"no row of {PARTS[part]} is {dataset.labels[label]!r}: its texts are too much alike those of other classes"
        for part, share in enumerate(shares)
        for label in np.unique(truth)
        if share > 0 and label not in truth[positions[part]]
    ]


def _with_dev(dataset: Dataset, splits: Splits) -> Splits:
    """The splits with a tenth of train as dev."""
    try:
        inner = make_splits(replace(dataset, rows=[dataset.rows[row] for row in splits.train]), (0.9, 0.1, 0.0))
    except DataError as error:
        raise DataError(
            f"{error}. No row is given as dev, so a tenth of train was to be it; or give rows as dev"
        ) from error
    note = "no row is given as dev: a tenth of train, whose texts stand nowhere else in train, chooses the best model"
    train, dev = splits.train[inner.train], splits.train[inner.dev]
    return replace(splits, train=train, dev=dev, duplicates=inner.duplicates, notes=(*splits.notes, note, *inner.notes))


def _refuse_changes(path: Path, entries: Sequence[Sequence[Any]], dataset: Dataset) -> None:
    remedy = "Bring back the data of then, or make new splits"
    for (number, _, _, digest), row in zip(entries, dataset.rows, strict=False):
        if (number, digest) != (row.row, _digest(row.content)):
            raise DataError(f"{path}: row {row.row:,} of {dataset.name} is not what it was for these splits. {remedy}")
    if len(entries) != len(dataset.rows):
        raise DataError(
            f"{path}: was made for {len(entries):,} usable rows, and {dataset.name} has {len(dataset.rows):,}. {remedy}"
        )


def _check_shares(shares: Shares) -> None:
    if len(shares) != len(PARTS) or not shares[0] > 0 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise UsageError(f"the shares are {shares}; they are of train (above 0), dev and test and add up to 1")


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
