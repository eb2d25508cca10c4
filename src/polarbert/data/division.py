"""Sharing out the different texts of a dataset: whole clusters to each part, and every class in each."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from polarbert.data.dataset import CLASS_TASKS, Dataset
from polarbert.data.duplicates import cluster_count, clusters, join, text_key
from polarbert.errors import DataError

Positions = NDArray[np.int64]
Shares = tuple[float, float, float]

MOST_SHARED = 100  # different pairs; a text of more is a template, such as one hypothesis for everything
_CONTRADICTIONS = {
    **dict.fromkeys(CLASS_TASKS, "different labels"),
    "regression": "different numbers",
    "tagging": "different tags",
    "qa": "and without an answer",
}


@dataclass(frozen=True)
class SharedTexts:
    """The single texts that stand in several pairs of a dataset, by `text_key`.

    Attributes:
        rows_of: the rows of each, rising; without templates.
        templates: texts of more than `MOST_SHARED` different pairs.
    """

    rows_of: dict[str, list[int]]
    templates: int

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Those of a dataset; none where its rows are no pairs."""
        rows_of: dict[str, list[int]] = defaultdict(list)
        for position, row in enumerate(dataset.rows):
            for key in dict.fromkeys(map(text_key, row.linked)):
                rows_of[key].append(position)
        shared = {key: rows for key, rows in rows_of.items() if len(rows) > 1}
        crowds = [key for key, rows in shared.items() if len(rows) > MOST_SHARED]
        templates = [key for key in crowds if _different(dataset, shared[key]) > MOST_SHARED]
        for key in templates:
            del shared[key]
        return cls(shared, len(templates))


def _different(dataset: Dataset, rows: Iterable[int]) -> int:
    return len({dataset.rows[row].key for row in rows})


def row_clusters(dataset: Dataset, shared: SharedTexts) -> Positions:
    """Number the clusters of rows that must not stand in two parts.

    Rows are linked by equal or nearly equal topics, as `polarbert.data.duplicates.clusters` has it, and pairs by each
    text that they share, first or second: who has learned what one pair says of a text knows something of the other.

    Returns:
        (rows,) numbers from 0, in order of first appearance.
    """
    found = clusters(dataset.topics)
    parent = np.arange(cluster_count(found))
    rows_of = shared.rows_of.values()
    first = np.array([rows[0] for rows in rows_of for _ in rows[1:]], dtype=np.int64)
    other = np.array([row for rows in rows_of for row in rows[1:]], dtype=np.int64)
    join(parent, found[first], found[other])
    return np.unique(parent[found], return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True)
class DifferentTexts:
    """The different texts of a dataset, by `text_key`.

    Attributes:
        cluster_of: (rows,) number of the cluster.
        stands_for: (rows,) true for one row of each text: the first with its most frequent annotation.
        names: (clusters,) what the order of clusters is drawn from.
        labels: (clusters,) the label of each different text in a cluster.
        rows: of the dataset.
        contradicted: texts that have more than one annotation.
        task: of the dataset.
        unit: what its rows are called.
        templates: see `SharedTexts`.
        topics: how many texts there are without what they are judged for; as many as different texts for most tasks.
    """

    cluster_of: Positions
    stands_for: NDArray[np.bool_]
    names: list[str]
    labels: list[list[int]]
    rows: int
    contradicted: int
    task: str
    unit: str
    templates: int
    topics: int

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Those of a dataset.

        Raises:
            DataError: when it has no rows, or is one of classes and has rows of fewer than two.
        """
        if not dataset.rows:
            raise DataError(f"{dataset.name}: there are no rows")
        if dataset.has_classes and len({row.label for row in dataset.rows}) < 2:
            found = f"every row is {dataset.labels[dataset.rows[0].label]!r}"
            raise DataError(f"{dataset.name}: {found}; a classifier needs texts of two or more classes")
        shared = SharedTexts.of(dataset)
        cluster_of = row_clusters(dataset, shared)
        rows_of: dict[str, dict[tuple[Any, ...], list[int]]] = defaultdict(lambda: defaultdict(list))
        for position, row in enumerate(dataset.rows):
            rows_of[row.key][row.annotation].append(position)
        names = ["\U0010ffff"] * cluster_count(cluster_of)
        labels: list[list[int]] = [[] for _ in names]
        stands_for = np.zeros(len(dataset.rows), dtype=np.bool_)
        for key, annotated in rows_of.items():
            _, rows = min(annotated.items(), key=lambda item: (-len(item[1]), item[0]))
            stands_for[rows[0]] = True
            cluster = int(cluster_of[rows[0]])
            labels[cluster].append(dataset.rows[rows[0]].label)
            names[cluster] = min(names[cluster], key)
        return cls(
            cluster_of,
            stands_for,
            names,
            labels,
            rows=len(dataset.rows),
            contradicted=sum(len(annotated) > 1 for annotated in rows_of.values()),
            task=dataset.task,
            unit=dataset.unit,
            templates=shared.templates,
            topics=len({text_key(topic) for topic in dataset.topics}),
        )

    @property
    def clusters(self) -> int:
        """How many there are."""
        return len(self.names)

    def notes(self, left_out: int) -> list[str]:
        """What people should know of repeats, when so many rows are in no part."""
        different = int(self.stands_for.sum())
        notes = []
        if different < self.rows:
            notes.append(
                f"{self.rows - different:,} of {self.rows:,} rows repeat the text of another: in train they stay, in "
                f"dev and test each text counts once ({left_out:,} rows are left out)"
            )
        if self.unit == "texts" and self.topics < different:
            notes.append(
                f"{different:,} different texts and aspects are of {self.topics:,} texts; all aspects of a text, "
                f"and of those nearly equal to it, are in one part ({self.clusters:,} clusters)"
            )
        elif self.clusters < different:
            alike = {"pairs": "pairs that share a text or are nearly equal", "questions": "nearly equal passages"}
            notes.append(
                f"{different:,} different {self.unit} are in {self.clusters:,} clusters of "
                f"{alike.get(self.unit, 'nearly equal ones')}; each cluster is in one part"
            )
        if self.templates:
            notes.append(
                f"texts that stand in more than {MOST_SHARED} pairs each: {self.templates:,}; their pairs may be in "
                "several parts"
            )
        if self.contradicted:
            notes.append(
                f"{self.contradicted:,} {self.unit} have rows with {_CONTRADICTIONS[self.task]}: in train all count, "
                "in dev and test the most frequent"
            )
        return notes


def share_out(texts: DifferentTexts, dataset: Dataset, shares: Shares, seed: int) -> Positions:
    """The part of each cluster.

    Every class comes into every part; then each cluster, in an order drawn by the seed and its texts, goes where most
    of what is wanted of its classes is still missing. A cluster larger than a quarter of dev or test goes into train.

    Args:
        texts: those of the dataset.
        dataset: for messages.
        shares: of train, dev and test.
        seed: another one, another order.

    Returns:
        (clusters,) 0 for train, 1 for dev, 2 for test.

    Raises:
        DataError: when a class, or a dataset without classes, has too few clusters to stand in every part.
    """
    wanted = [number for number, share in enumerate(shares) if share > 0]
    refuse = _refuse_small_classes if dataset.has_classes else _refuse_few
    refuse(texts, dataset, len(wanted))
    order = sorted(range(texts.clusters), key=lambda cluster: draw(seed, texts.names[cluster]))
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

    def __init__(self, texts: DifferentTexts, shares: Shares) -> None:
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


def _one_of_each(texts: DifferentTexts, order: Sequence[int], parts: Sequence[int]) -> Iterable[tuple[int, int]]:
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


def _refuse_few(texts: DifferentTexts, dataset: Dataset, parts: int) -> None:
    if texts.clusters >= parts:
        return
    unit = "passages" if dataset.task == "qa" else texts.unit
    shown = f"{texts.clusters:,} {unit if texts.clusters > 1 else unit[:-1]}"
    alike = "those that share a text or are nearly equal" if texts.unit == "pairs" else "nearly equal ones"
    raise DataError(
        f"{dataset.name}: has {shown}, {alike} counted as one, and {parts} parts are to be made. Add other {unit}, or "
        "give the parts with --dev and --test"
    )


def _refuse_small_classes(texts: DifferentTexts, dataset: Dataset, parts: int) -> None:
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
    different = "pairs that share no text and" if texts.unit == "pairs" else "texts that"
    different += " are not nearly the same"
    raise DataError(
        f"{dataset.name}: cannot be divided into {parts} parts without repeats: each class needs {parts} {different}, "
        f"and {shown}{more}. Add texts to these classes, give their rows another label, leave them out, or give the "
        "parts with --dev and --test"
    )


def draw(seed: int, name: str) -> bytes:
    """A place in a random order that is the same everywhere."""
    return hashlib.blake2b(f"{seed}\0{name}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
