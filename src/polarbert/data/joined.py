"""Files that are the parts of one dataset: one to learn from, others to choose and to judge by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from polarbert.data.dataset import Dataset, LabelledText
from polarbert.data.inputs import shown_name
from polarbert.data.tagged import TaggedText
from polarbert.errors import DataError


def join_parts(parts: Mapping[str, Dataset]) -> tuple[Dataset, list[str]]:
    """One dataset of several files, and the part that each of its rows is of.

    The labels are those of the first file, then those that only others have: nothing can be learned of these, which
    `polarbert.training.parts.Parts.missing` tells.

    Args:
        parts: what was read, by "train", "dev" or "test"; "train" comes first and says what the task is.

    Returns:
        The dataset, and as many names of parts as it has rows, as `polarbert.data.splits.given_splits` takes them.

    Raises:
        DataError: when the files are not of the same task.

    Example:
        >>> tickets = Dataset("tickets", [LabelledText("No refund yet", 0, 1)], ["payment"], "classification")
        >>> later = Dataset("later", [LabelledText("It never came", 0, 1)], ["delivery"], "classification")
        >>> dataset, names = join_parts({"train": tickets, "dev": later})
        >>> dataset.labels, [row.label for row in dataset.rows], names
        (['payment', 'delivery'], [0, 1], ['train', 'dev'])
    """
    first, *others = parts.values()
    for other in others:
        if other.task != first.task:
            raise DataError(
                f"{other.name}: its labels are for {other.task}, those of {first.name} for {first.task}. Say which is "
                "meant with --task"
            )
    labels = first.labels
    if first.task != "regression":  # whose one label is what the column is called
        labels = list(dict.fromkeys(label for dataset in parts.values() for label in dataset.labels))
    rows = [row for dataset in parts.values() for row in with_labels(dataset, labels)]
    skipped: Counter[str] = Counter()
    for dataset in parts.values():
        skipped.update(dataset.skipped)
    notes = [*first.notes, *(f"{shown_name(other.name)}: {note}" for other in others for note in other.notes)]
    names = [name for name, dataset in parts.items() for _ in dataset.rows]
    source = " + ".join([first.name, *(shown_name(other.name) for other in others)])
    return Dataset(source, rows, labels, first.task, skipped, tuple(notes)), names


def with_labels(dataset: Dataset, labels: Sequence[str]) -> list[LabelledText]:
    """The rows with the numbers that their labels have among `labels`, which holds them all."""
    if dataset.task == "regression" or dataset.labels == list(labels):
        return dataset.rows
    places = [labels.index(label) for label in dataset.labels]
    return [_renumbered(row, places) for row in dataset.rows]


def _renumbered(row: LabelledText, places: Sequence[int]) -> LabelledText:
    if isinstance(row, TaggedText):
        return replace(row, tags=tuple(places[tag] for tag in row.tags))
    return replace(row, label=places[row.label])
