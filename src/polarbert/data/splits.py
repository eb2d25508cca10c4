"""Which rows are for training and which for judging; the same answer on every machine."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polarbert.data.dataset import Dataset
from polarbert.data.duplicates import clusters, normalised, similarity, text_key
from polarbert.data.labels import counted
from polarbert.errors import DataError, UsageError
from polarbert.files import disk_errors, read_bounded, write_whole

__all__ = ["Leak", "Splits", "find_leaks", "given_splits", "is_dev", "make_splits", "normalised", "random_splits"]

PARTS = ("train", "dev", "test")
FORMAT = 1
_NO_PART = "none"
_PART_NAMES = {
    **dict.fromkeys(["train", "training"], "train"),
    **dict.fromkeys(["dev", "development", "val", "valid", "validation"], "dev"),
    **dict.fromkeys(["test", "testing"], "test"),
}
_EXAMPLES = 5
_COMPARED = 100  # members of a cluster, to find an example

Positions = NDArray[np.int64]
Shares = tuple[float, float, float]


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
        clusters: how many clusters of equal or nearly equal texts there are.
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

    def save(self, path: Path, dataset: Dataset) -> None:
        """Write the splits as JSON, a line a row: number in its source, part, cluster, digest of the text.

        Raises:
            DataError: when the file cannot be written; what stood there before stays.
        """
        part = np.full(len(dataset.rows), _NO_PART, dtype="<U5")
        for name in PARTS:
            part[getattr(self, name)] = name
        rows = zip(dataset.rows, part.tolist(), self.cluster_of.tolist(), strict=True)
        lines = [json.dumps([row.row, name, cluster, _digest(row.text)]) for row, name, cluster in rows]
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


@dataclass(frozen=True)
class Leak:
    """How many texts of a part also stand in train.

    Attributes:
        part: "dev" or "test".
        exact: rows whose text stands in train, apart from case, blanks and marks.
        near: other rows whose text is in one cluster with a text of train.
        total: rows of the part.
        examples: source rows of a text of the part and of its like in train.
    """

    part: str
    exact: int
    near: int
    total: int
    examples: tuple[tuple[int, int], ...] = ()

    def message(self) -> str:
        """For people.

        Example:
            >>> Leak("test", 65, 3, 100).message()
            'test: 65 of 100 texts stand in train too, and 3 nearly so; figures on them are too good'
        """
        if not self.exact + self.near:
            return f"{self.part}: none of {self.total:,} texts stands in train"
        near = f", and {self.near:,} nearly so" if self.near else ""
        like = ", ".join(f"row {one:,} is like row {other:,}" for one, other in self.examples[:2])
        return (
            f"{self.part}: {self.exact:,} of {self.total:,} texts stand in train too{near}"
            f"{f' ({like})' if like else ''}; figures on them are too good"
        )


def make_splits(dataset: Dataset, shares: Shares = (0.8, 0.1, 0.1), seed: int = 1) -> Splits:
    """Divide a dataset so that no text, nor one nearly like it, stands in two parts.

    Whole clusters of `polarbert.data.duplicates.clusters` go into one part each, at random, so that the different texts
    of each class are shared out as asked and every class stands in every part. A cluster larger than a quarter of the
    dev or test part goes into train.

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
    texts = _Texts.of(dataset)
    part_of = _share_out(texts, dataset, shares, seed)
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
    shuffled = np.array(sorted(range(count), key=lambda row: _random(seed, str(row))), dtype=np.int64)
    ends = [round(shares[0] * count), round((shares[0] + shares[1]) * count)]
    train, dev, test = (np.sort(part) for part in np.split(shuffled, ends))
    cluster_of = clusters(dataset.texts)
    note = "rows were divided at random: a text that repeats may stand in several parts"
    return Splits(train, dev, test, _count(cluster_of), 0, cluster_of, (note,))


def given_splits(dataset: Dataset, column_values: Sequence[str]) -> Splits:
    """Take the parts that a column of the data names; `find_leaks` says what they are worth.

    Without a dev part, a tenth of train becomes one, chosen as `make_splits` does.

    Args:
        dataset: any.
        column_values: for each row train, dev or test (or training, development, val, valid, validation, testing); a
            row with none is in no part.

    Raises:
        DataError: when a value is another, or there is nothing to train on.
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
    notes = [f"{without:,} rows name no part and are left out"] if without else []
    cluster_of = clusters(dataset.texts)
    splits = Splits(train, dev, test, _count(cluster_of), 0, cluster_of, tuple(notes))
    return splits if len(dev) else _with_dev(dataset, splits)


def find_leaks(dataset: Dataset, splits: Splits) -> list[Leak]:
    """What of dev and test also stands in train, exactly or nearly.

    Args:
        dataset: that was divided.
        splits: of it, however they were made.

    Returns:
        One for each of dev and test that has rows.
    """
    keys = [text_key(text) for text in dataset.texts]
    return [_leak(dataset, splits, keys, part) for part in PARTS[1:] if len(getattr(splits, part))]


@dataclass(frozen=True)
class _Texts:
    """The different texts of a dataset, by `text_key`.

    Attributes:
        cluster_of: (rows,) number of the cluster.
        stands_for: (rows,) true for one row of each text: the first with its most frequent label.
        names: (clusters,) what the order of clusters is drawn from.
        labels: (clusters,) the label of each different text in a cluster.
        rows: of the dataset.
        contradicted: texts that have more than one label.
    """

    cluster_of: Positions
    stands_for: NDArray[np.bool_]
    names: list[str]
    labels: list[list[int]]
    rows: int
    contradicted: int

    @classmethod
    def of(cls, dataset: Dataset) -> _Texts:
        if len({row.label for row in dataset.rows}) < 2:
            found = f"every row is {dataset.labels[dataset.rows[0].label]!r}" if dataset.rows else "there are no rows"
            raise DataError(f"{dataset.name}: {found}; a classifier needs texts of two or more classes")
        cluster_of = clusters(dataset.texts)
        rows_of: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        for position, row in enumerate(dataset.rows):
            rows_of[text_key(row.text)][row.label].append(position)
        names = ["\U0010ffff"] * _count(cluster_of)
        labels: list[list[int]] = [[] for _ in names]
        stands_for = np.zeros(len(dataset.rows), dtype=np.bool_)
        for key, by_label in rows_of.items():
            label, rows = min(by_label.items(), key=lambda item: (-len(item[1]), item[0]))
            stands_for[rows[0]] = True
            cluster = int(cluster_of[rows[0]])
            labels[cluster].append(label)
            names[cluster] = min(names[cluster], key)
        contradicted = sum(len(by_label) > 1 for by_label in rows_of.values())
        return cls(cluster_of, stands_for, names, labels, len(dataset.rows), contradicted)

    @property
    def clusters(self) -> int:
        """How many there are."""
        return len(self.names)

    def notes(self, left_out: int) -> list[str]:
        different = int(self.stands_for.sum())
        notes = []
        if different < self.rows:
            notes.append(
                f"{self.rows - different:,} of {self.rows:,} rows repeat the text of another: in train they stay, in "
                f"dev and test each text counts once ({left_out:,} rows are left out)"
            )
        if self.clusters < different:
            notes.append(
                f"{different:,} different texts are in {self.clusters:,} clusters of nearly equal ones; each cluster "
                "is in one part"
            )
        if self.contradicted:
            notes.append(
                f"{self.contradicted:,} texts have rows with different labels: in train all count, in dev and test the "
                "most frequent"
            )
        return notes


def _share_out(texts: _Texts, dataset: Dataset, shares: Shares, seed: int) -> Positions:
    """The part of each cluster."""
    wanted = [number for number, share in enumerate(shares) if share > 0]
    _refuse_small_classes(texts, dataset, len(wanted))
    order = sorted(range(texts.clusters), key=lambda cluster: _random(seed, texts.names[cluster]))
    room = _Room(texts, shares)
    part_of = np.full(texts.clusters, -1, dtype=np.int64)
    for cluster, part in _one_of_each(texts, order, wanted):
        part_of[cluster] = part
        room.take(part, texts.labels[cluster])
    for cluster in order:
        labels = texts.labels[cluster]
        if part_of[cluster] < 0:
            open_parts = [0, *(part for part in wanted[1:] if room.fits(part, labels))]
            part_of[cluster] = max(open_parts, key=lambda part: room.open_share(part, labels))
            room.take(int(part_of[cluster]), labels)
    return part_of


class _Room:
    """How many texts of each class each part still takes."""

    def __init__(self, texts: _Texts, shares: Shares) -> None:
        totals = Counter(label for labels in texts.labels for label in labels)
        parts = range(len(shares))
        self._want = {(part, label): shares[part] * total for part in parts for label, total in totals.items()}
        self._left = dict(self._want)
        usual = totals.total() / texts.clusters  # texts to a cluster
        self._largest = [max(share * totals.total() / 4, 2 * usual) for share in shares]

    def take(self, part: int, labels: Sequence[int]) -> None:
        for label in labels:
            self._left[part, label] -= 1

    def fits(self, part: int, labels: Sequence[int]) -> bool:
        """A cluster goes in that is no large piece of the part and does not overfill it."""
        enough = all(self._left[part, label] >= count - 0.5 for label, count in Counter(labels).items())
        return len(labels) <= self._largest[part] and enough

    def open_share(self, part: int, labels: Sequence[int]) -> float:
        """How much of what the part wants of these classes is still missing."""
        different = set(labels)
        return sum(self._left[part, label] for label in different) / sum(self._want[part, label] for label in different)


def _one_of_each(texts: _Texts, order: Sequence[int], parts: Sequence[int]) -> Iterable[tuple[int, int]]:
    """For each class and part a cluster, small ones first; rare classes choose first."""
    having: dict[int, list[int]] = defaultdict(list)
    for cluster in sorted(order, key=lambda cluster: len(texts.labels[cluster])):
        for label in set(texts.labels[cluster]):
            having[label].append(cluster)
    taken: set[int] = set()
    present: set[tuple[int, int]] = set()
    for label in sorted(having, key=lambda label: (len(having[label]), label)):
        for part in reversed(parts):
            free = next((cluster for cluster in having[label] if cluster not in taken), None)
            if (part, label) not in present and free is not None:
                taken.add(free)
                present.update((part, other) for other in texts.labels[free])
                yield free, part


def _refuse_small_classes(texts: _Texts, dataset: Dataset, parts: int) -> None:
    found = Counter(label for labels in texts.labels for label in set(labels))
    rows = Counter(row.label for row in dataset.rows)
    small = [label for label in sorted(rows) if found[label] < parts]
    if not small:
        return
    shown = ", ".join(
        f"{dataset.labels[label]!r} has {found[label]:,} in {rows[label]:,} row{'s' if rows[label] > 1 else ''}"
        for label in small[:5]
    )
    more = f" and {len(small) - 5:,} more classes have too few" if len(small) > 5 else ""
    if len(small) > max(5, len(rows) / 2):
        more += " (most classes are like that: are the labels in another column?)"
    raise DataError(
        f"{dataset.name}: cannot be divided into {parts} parts without repeats: each class needs {parts} texts that "
        f"are not nearly the same, and {shown}{more}. Add texts to these classes, give their rows another label, or "
        "leave them out"
    )


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
    inner = make_splits(replace(dataset, rows=[dataset.rows[row] for row in splits.train]), (0.9, 0.1, 0.0))
    note = "no row is given as dev: a tenth of train, whose texts stand nowhere else in train, chooses the best model"
    train, dev = splits.train[inner.train], splits.train[inner.dev]
    return replace(splits, train=train, dev=dev, duplicates=inner.duplicates, notes=(*splits.notes, note, *inner.notes))


def _leak(dataset: Dataset, splits: Splits, keys: Sequence[str], part: str) -> Leak:
    known = {keys[row]: row for row in reversed(splits.train.tolist())}
    members: dict[int, list[int]] = defaultdict(list)
    for row in splits.train.tolist():
        members[int(splits.cluster_of[row])].append(row)
    rows = getattr(splits, part).tolist()
    exact = [(row, known[keys[row]]) for row in rows if keys[row] in known]
    near = [row for row in rows if keys[row] not in known and int(splits.cluster_of[row]) in members]
    like = [(row, _most_like(dataset, row, members[int(splits.cluster_of[row])])) for row in near[:_EXAMPLES]]
    examples = [(dataset.rows[one].row, dataset.rows[other].row) for one, other in [*exact[: _EXAMPLES - 1], *like]]
    return Leak(part, len(exact), len(near), len(rows), tuple(examples[:_EXAMPLES]))


def _most_like(dataset: Dataset, row: int, others: Sequence[int]) -> int:
    text = dataset.rows[row].text
    return max(others[:_COMPARED], key=lambda other: similarity(text, dataset.rows[other].text))


def _refuse_changes(path: Path, entries: Sequence[Sequence[Any]], dataset: Dataset) -> None:
    remedy = "Bring back the data of then, or make new splits"
    for (number, _, _, digest), row in zip(entries, dataset.rows, strict=False):
        if (number, digest) != (row.row, _digest(row.text)):
            raise DataError(f"{path}: row {row.row:,} of {dataset.name} is not what it was for these splits. {remedy}")
    if len(entries) != len(dataset.rows):
        raise DataError(
            f"{path}: was made for {len(entries):,} usable rows, and {dataset.name} has {len(dataset.rows):,}. {remedy}"
        )


def _check_shares(shares: Shares) -> None:
    if len(shares) != len(PARTS) or not shares[0] > 0 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise UsageError(f"the shares are {shares}; they are of train (above 0), dev and test and add up to 1")


def _count(cluster_of: Positions) -> int:
    return int(cluster_of.max()) + 1 if len(cluster_of) else 0


def _random(seed: int, name: str) -> bytes:
    """A place in a random order that is the same everywhere."""
    return hashlib.blake2b(f"{seed}\0{name}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
