"""Texts that stand in two parts of a dataset: what makes figures better than the model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from polarbert.data.dataset import Dataset
from polarbert.data.division import SharedTexts
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
        shared: of a dataset of pairs further rows, one of whose texts stands in a pair of the other part. Texts that
            are left out are `polarbert.data.division.SharedTexts.templates`.
        unit: what the rows are called.
    """

    part: str
    exact: int
    near: int
    total: int
    examples: tuple[tuple[int, int], ...] = ()
    other: str = "train"
    shared: int = 0
    unit: str = "texts"

    def message(self) -> str:
        """For people.

        Example:
            >>> Leak("test", 65, 3, 100).message()
            'test: 65 of 100 texts stand in train too, and 3 nearly so; figures on them are too good'
        """
        if not self.exact + self.near + self.shared:
            return f"{self.part}: none of {self.total:,} {self.unit} stands in {self.other}"
        near = f", and {self.near:,} nearly so" if self.near else ""
        near += f", and {self.shared:,} share one of their texts with it" if self.shared else ""
        like = ", ".join(f"row {one:,} is like row {other:,}" for one, other in self.examples[:2])
        harm = "figures on them are too good" if self.other == "train" else "the model was chosen by them"
        return (
            f"{self.part}: {self.exact:,} of {self.total:,} {self.unit} stand in {self.other} too{near}"
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
    texts_of: list[list[str]] = [[] for _ in keys]
    for text, rows in SharedTexts.of(dataset).rows_of.items():
        for row in rows:
            texts_of[row].append(text)
    return [
        _leak(dataset, splits, keys, texts_of, part, other)
        for part, other in PAIRS
        if len(splits.part(part)) and len(splits.part(other))
    ]


def _leak(
    dataset: Dataset, splits: Splits, keys: Sequence[str], texts_of: Sequence[Sequence[str]], part: str, other: str
) -> Leak:
    there = splits.part(other).tolist()
    known = {keys[row]: row for row in reversed(there)}
    paired = {text: row for row in reversed(there) for text in texts_of[row]}
    members: dict[int, list[int]] = defaultdict(list)
    for row in there:
        members[int(splits.cluster_of[row])].append(row)
    rows = splits.part(part).tolist()
    exact = [(row, known[keys[row]]) for row in rows if keys[row] in known]
    rows_left = [row for row in rows if keys[row] not in known]
    near = [row for row in rows_left if int(splits.cluster_of[row]) in members]
    rows_left = [row for row in rows_left if int(splits.cluster_of[row]) not in members]
    found = [(row, [paired[text] for text in texts_of[row] if text in paired]) for row in rows_left]
    shared = [(row, min(others)) for row, others in found if others]
    like = [(row, _most_like(dataset, row, members[int(splits.cluster_of[row])])) for row in near[:_EXAMPLES]]
    chosen = [*exact[: _EXAMPLES - 1], *like, *shared[:_EXAMPLES]]
    examples = [(dataset.rows[one].row, dataset.rows[two].row) for one, two in chosen]
    return Leak(part, len(exact), len(near), len(rows), tuple(examples[:_EXAMPLES]), other, len(shared), dataset.unit)


def _most_like(dataset: Dataset, row: int, others: Sequence[int]) -> int:
    topic = dataset.rows[row].topic
    return max(others[:_COMPARED], key=lambda other: similarity(topic, dataset.rows[other].topic))
