"""Rows of tagged words as a tagger sees them: its inputs, and types of entities that it knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from polarbert.data.dataset import Dataset, LabelledText
from polarbert.data.entities import OUTSIDE, entity_types, read_tag
from polarbert.data.tagged import TaggedText
from polarbert.errors import UsageError
from polarbert.inference.tagger import TextAndWords


def asked_words(rows: Sequence[LabelledText]) -> list[TextAndWords]:
    """What a tagger is asked about rows: their texts, in their own words."""
    return [(row.text, as_tagged(row).words) for row in rows]


def as_tagged(row: LabelledText) -> TaggedText:
    """The row, which must be a tagged one."""
    if not isinstance(row, TaggedText):
        raise TypeError(f"{type(row).__name__} has no tagged words; read the file with read_tagged")
    return row


def tag_names(dataset: Dataset, row: LabelledText) -> list[str]:
    """The tags of a row by their names."""
    return [dataset.labels[number] for number in as_tagged(row).tags]


def align_types(dataset: Dataset, labels: Sequence[str], mapping: Mapping[str, str] | None = None) -> Dataset:
    """The dataset with types of entities that a model knows.

    A type stands for that of its name, whatever its case.

    Args:
        dataset: as `polarbert.data.tagged.read_tagged` gives it.
        labels: of the model.
        mapping: the model's type for some types of the dataset; a blank name makes no entities of them.

    Raises:
        UsageError: naming types unknown to the model, or types of the mapping that do not exist.
    """
    known = {_key(name): name for name in entity_types(labels)}
    found = entity_types(dataset.labels)
    given = {_key(name): wanted.strip() for name, wanted in (mapping or {}).items()}
    if strangers := [name for name in given if name not in set(map(_key, found))]:
        raise UsageError(f"{dataset.name}: no entity is of the type {strangers[0]!r}; they are {', '.join(found)}")
    wanted = {name: given.get(_key(name), name) for name in found}
    if unknown := [name for name, other in wanted.items() if other and _key(other) not in known]:
        raise UsageError(
            f"{dataset.name}: the model does not know the type {wanted[unknown[0]]!r}; it knows "
            f"{', '.join(known.values())}. Say what it stands for with --labels {unknown[0]}=TYPE, or make no entities "
            f"of it with --labels {unknown[0]}="
        )
    return _renamed(dataset, {name: known[_key(other)] if other else "" for name, other in wanted.items()})


def _renamed(dataset: Dataset, types: Mapping[str, str]) -> Dataset:
    """The dataset with other names of types; a blank one makes no entities of a type."""
    if all(name == other for name, other in types.items()):
        return dataset
    labels = []
    for label in dataset.labels:
        kind, name = read_tag(label)
        labels.append(f"{kind}-{types[name]}" if kind != OUTSIDE and types[name] else OUTSIDE)
    names = list(dict.fromkeys([OUTSIDE, *labels]))
    numbers = [names.index(label) for label in labels]
    rows: list[LabelledText] = [
        replace(row, tags=tuple(numbers[tag] for tag in row.tags)) for row in map(as_tagged, dataset.rows)
    ]
    taken = [f"{name!r} as {other!r}" if other else f"{name!r} as no entity" for name, other in types.items()]
    note = f"types taken: {', '.join(taken)}"
    return replace(dataset, rows=rows, labels=names, notes=(*dataset.notes, note))


def _key(name: str) -> str:
    return name.strip().casefold()
