"""Texts that stand in two parts of a dataset: what makes figures better than the model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from polarbert.data.dataset import Dataset
from polarbert.data.duplicates import similarity, text_key
from polarbert.data.splits import Splits

PAIRS = (("dev", "train"), ("test", "train"), ("test", "dev"))
_EXAMPLES = 5
_COMPARED = 100  # members of a cluster, to find an example


@dataclass(frozen=True)
class Leak:
    """How many texts of a part also stand in another.

    Attributes:
        part: "dev" or "test".
        exact: rows whose text stands in the other part, apart from case, blanks and marks.
        near: further rows whose text is in one cluster with a text of the other part.
        total: rows of the part.
        examples: source rows of a text of the part and of its like in the other.
        other: "train", or "dev" for what stands in test and dev.
    """

    part: str
    exact: int
    near: int
    total: int
    examples: tuple[tuple[int, int], ...] = ()
    other: str = "train"

    def message(self) -> str:
        """For people.

        Example:
            >>> Leak("test", 65, 3, 100).message()
            'test: 65 of 100 texts stand in train too, and 3 nearly so; figures on them are too good'
        """
        if not self.exact + self.near:
            return f"{self.part}: none of {self.total:,} texts stands in {self.other}"
        near = f", and {self.near:,} nearly so" if self.near else ""
        like = ", ".join(f"row {one:,} is like row {other:,}" for one, other in self.examples[:2])
        harm = "figures on them are too good" if self.other == "train" else "the model was chosen by them"
        return (
            f"{self.part}: {self.exact:,} of {self.total:,} texts stand in {self.other} too{near}"
            f"{f' ({like})' if like else ''}; {harm}"
        )


def find_leaks(dataset: Dataset, splits: Splits) -> list[Leak]:
    """What of dev and test also stands in train, and what of test in dev, exactly or nearly.

    Args:
        dataset: that was divided.
        splits: of it, however they were made.

    Returns:
        One for each pair of parts that both have rows: dev and train, test and train, test and dev.
    """
    keys = [text_key(topic) for topic in dataset.topics]
    return [
        _leak(dataset, splits, keys, part, other)
        for part, other in PAIRS
        if len(splits.part(part)) and len(splits.part(other))
    ]


def _leak(dataset: Dataset, splits: Splits, keys: Sequence[str], part: str, other: str) -> Leak:
    there = splits.part(other).tolist()
    known = {keys[row]: row for row in reversed(there)}
    members: dict[int, list[int]] = defaultdict(list)
    for row in there:
        members[int(splits.cluster_of[row])].append(row)
    rows = splits.part(part).tolist()
    exact = [(row, known[keys[row]]) for row in rows if keys[row] in known]
    near = [row for row in rows if keys[row] not in known and int(splits.cluster_of[row]) in members]
    like = [(row, _most_like(dataset, row, members[int(splits.cluster_of[row])])) for row in near[:_EXAMPLES]]
    examples = [(dataset.rows[one].row, dataset.rows[two].row) for one, two in [*exact[: _EXAMPLES - 1], *like]]
    return Leak(part, len(exact), len(near), len(rows), tuple(examples[:_EXAMPLES]), other)


def _most_like(dataset: Dataset, row: int, others: Sequence[int]) -> int:
    topic = dataset.rows[row].topic
    return max(others[:_COMPARED], key=lambda other: similarity(topic, dataset.rows[other].topic))
