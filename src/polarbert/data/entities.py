"""Entities as runs of tagged words: BIO and its relatives, read as the script conlleval reads them.

A tag is "O", or a prefix and the type of an entity: "B-PER" begins a person, "I-PER" goes on with it. Tags of other
schemes are understood as well: IOB1, in which I- begins an entity unless one of its type ends right before it; BIOES
(E- ends an entity, S- is one of a single word) and the names that others have for it (BILOU: L-, U-; BMES: M-).
Source: Ramshaw and Marcus 1995 (BIO); Tjong Kim Sang and De Meulder 2003 (the task, and conlleval).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

OUTSIDE = "O"
NAMELESS = "entity"  # the type of an entity whose tag is a prefix alone

Span = tuple[str, int, int]  # type, first word, the word behind the last one

_TAG = re.compile(r"([BIESLUMbi])(?:-(.+))?", re.DOTALL)  # other small letters begin names, such as e-mail
_KINDS = {"L": "E", "U": "S", "M": "I"}


@lru_cache(maxsize=4096)
def read_tag(tag: str) -> tuple[str, str]:
    """What a tag says: its kind, one of O, B, I, E and S, and the type of the entity.

    A tag without a prefix is a type of which nothing is said but that the word belongs to it: it is read as I-.

    Example:
        >>> read_tag("B-PER"), read_tag("U-PER"), read_tag("O"), read_tag("PER")
        (('B', 'PER'), ('S', 'PER'), ('O', ''), ('I', 'PER'))
    """
    if tag in (OUTSIDE, OUTSIDE.lower()):
        return OUTSIDE, ""
    found = _TAG.fullmatch(tag)
    if found is None:
        return "I", tag
    kind = found[1].upper()
    return _KINDS.get(kind, kind), found[2] or NAMELESS


def has_prefix(tag: str) -> bool:
    """True for a tag that says where an entity begins or that there is none."""
    return tag in (OUTSIDE, OUTSIDE.lower()) or _TAG.fullmatch(tag) is not None


def to_bio(tags: Iterable[str]) -> list[str]:
    """The same entities in BIO, in which every entity begins with B-.

    A tag that goes on with an entity of its type where none is, because the text begins, the word before is O or of
    another type, or E- or S- has ended it, begins one.

    Example:
        >>> to_bio(["I-PER", "E-PER", "I-ORG", "O", "S-LOC", "I-LOC"])
        ['B-PER', 'I-PER', 'B-ORG', 'O', 'B-LOC', 'B-LOC']
    """
    open_type, converted = None, []
    for tag in tags:
        kind, name = read_tag(tag)
        if kind == OUTSIDE:
            open_type = None
            converted.append(OUTSIDE)
            continue
        begins = kind in ("B", "S") or name != open_type
        converted.append(f"{'B' if begins else 'I'}-{name}")
        open_type = None if kind in ("E", "S") else name
    return converted


def entity_spans(tags: Iterable[str]) -> list[Span]:
    """The entities of a text, in order; tags of any scheme, read as `to_bio` does.

    Example:
        >>> entity_spans(["B-PER", "I-PER", "O", "B-LOC"])
        [('PER', 0, 2), ('LOC', 3, 4)]
    """
    spans: list[Span] = []
    for number, tag in enumerate(to_bio(tags)):
        if tag == OUTSIDE:
            continue
        if tag[0] == "B":
            spans.append((tag[2:], number, number + 1))
        else:
            name, start, _ = spans[-1]
            spans[-1] = (name, start, number + 1)
    return spans


def bio_labels(types: Iterable[str]) -> list[str]:
    """The labels of a model that finds entities of these types: O, then B- and I- of each by name.

    Example:
        >>> bio_labels(["PER", "LOC"])
        ['O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER']
    """
    return [OUTSIDE, *(f"{prefix}-{name}" for name in sorted(set(types)) for prefix in "BI")]


def entity_types(labels: Sequence[str]) -> list[str]:
    """The types of entities that labels name, each once, in their order.

    Example:
        >>> entity_types(["O", "B-LOC", "I-LOC", "B-PER", "I-PER"])
        ['LOC', 'PER']
    """
    return list(dict.fromkeys(name for kind, name in map(read_tag, labels) if kind != OUTSIDE))
