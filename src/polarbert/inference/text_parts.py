"""The pieces that an explanation is made of: words, and neighbours among them as parts of a text."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from polarbert.text.tokenizer import Pieces
from polarbert.text.words import split_words

Ids = list[int]


@dataclass(frozen=True)
class Unit:
    """A word, and the pieces it is read as.

    Attributes:
        start, end: in characters.
        ids: word pieces; of control characters none.
    """

    start: int
    end: int
    ids: Ids


@dataclass(frozen=True)
class Part:
    """Neighbouring units: a sentence, a run of words of a long one, several short ones, or a section.

    Attributes:
        first, behind: numbers of its first unit and of the one behind its last.
        ids: word pieces.
    """

    first: int
    behind: int
    ids: Ids


@dataclass(frozen=True)
class Section:
    """What the network reads at once of a text that is too long for it.

    Attributes:
        share: what it counts in the answer.
        parts: numbers of the parts that it is made of.
        readings: word pieces of all of it, and then of each part alone.
    """

    share: float
    parts: Sequence[int]
    readings: Sequence[Ids]


def units_of(text: str, pieces: Pieces) -> list[Unit]:
    """The words of a text with their pieces; words that one piece covers, as in the emoticon ":)", are one.

    Args:
        text: the text.
        pieces: of it, with offsets.
    """
    words = split_words(text)
    starts, ends = [start for start, _ in words], [end for _, end in words]
    joined = list(range(len(words)))  # the number of the last word that stands with each
    ids: list[Ids] = [[] for _ in words]
    for number, (start, end) in zip(pieces.ids, pieces.offsets, strict=True):
        first = min(bisect_right(ends, start), len(words) - 1)
        joined[first] = max(joined[first], bisect_left(starts, end) - 1)
        ids[first].append(number)
    units: list[Unit] = []
    last = -1
    for number, (start, end) in enumerate(words):
        if number > last:
            units.append(Unit(start, end, ids[number]))
        else:
            units[-1] = Unit(units[-1].start, end, units[-1].ids + ids[number])
        last = max(last, joined[number])
    return units


def packed(parts: Sequence[Part], size: int, fits: Callable[[Part], bool] = lambda _part: True) -> list[Part]:
    """Sections of whole parts, of at most `size` pieces unless one part has more.

    Args:
        parts: neighbours.
        size: most pieces of a section.
        fits: whether parts may become one, which it is given.
    """
    sections: list[Part] = []
    for part in parts:
        joined = _together(sections[-1], part) if sections else part
        if sections and len(joined.ids) <= size and fits(joined):
            sections[-1] = joined
        else:
            sections.append(part)
    return sections


def _together(one: Part, other: Part) -> Part:
    return Part(one.first, other.behind, one.ids + other.ids)


def part_of(units: Sequence[Unit], first: int, behind: int) -> Part:
    """The units from `first` to the one before `behind`."""
    return Part(first, behind, [number for unit in units[first:behind] for number in unit.ids])


def within(units: Sequence[Unit], spans: Sequence[tuple[int, int]]) -> list[Ids]:
    """The pieces of each unit that begins in one of some stretches of the text, in order; empty without stretches.

    Args:
        units: of a text.
        spans: (start, end) of each stretch, in characters.
    """
    found: list[Ids] = [[] for _ in units] if spans else []
    starts = [unit.start for unit in units]
    for start, end in spans:
        for number in range(bisect_left(starts, start), bisect_left(starts, end)):
            found[number] = units[number].ids
    return found


def sections_of(parts: Sequence[Part], size: int, context: Sequence[Ids] = ()) -> list[Section]:
    """Parts in sections of at most `size` pieces, which share the answer by their lengths.

    Args:
        parts: neighbours.
        size: most pieces of a section.
        context: of each part the pieces that are read once more without the rest, in sections that have half of the
            answer; empty where nothing is.
    """
    sections = _sections(parts, range(len(parts)), size)
    mentioning = [number for number, ids in enumerate(context) if ids]
    if not mentioning:
        return sections
    again = _sections([replace(parts[number], ids=context[number]) for number in mentioning], mentioning, size)
    return [replace(section, share=section.share / 2) for section in (*sections, *again)]


def _sections(parts: Sequence[Part], numbers: Sequence[int], size: int) -> list[Section]:
    packs = packed(parts, size)
    bounds = [pack.behind for pack in packs]
    members: list[list[int]] = [[] for _ in packs]
    for place, part in enumerate(parts):
        members[bisect_right(bounds, part.first)].append(place)
    whole = sum(max(1, len(pack.ids)) for pack in packs)
    return [
        Section(
            share=max(1, len(pack.ids)) / whole,
            parts=[numbers[place] for place in own],
            readings=[pack.ids, *(parts[place].ids for place in own)],
        )
        for pack, own in zip(packs, members, strict=True)
    ]
