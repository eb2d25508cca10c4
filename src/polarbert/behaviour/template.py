"""Templates: texts with slots, and the grammar of filling them.

- `{thing}` is an entry of the lexicon "thing", the same wherever it stands in one case; `{thing#2}` is another entry.
- `{a thing}` is the entry behind "a" or "an".
- `[is|was]` is one of the parts.
- The first letter of a sentence becomes a capital one where a slot or a choice gave it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from itertools import product

SLOT = re.compile(r"\{(?P<article>a )?(?P<key>(?P<name>\w+)(?:#\d)?)\}")
CHOICE = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")
_START = re.compile(r"(^|[.!?] )([a-z])")
_SOUNDS_A = re.compile(r"(?:uni|use|euro|one|ukr)", re.IGNORECASE)
_SOUNDS_AN = re.compile(r"(?:[aeiou]|hon(?:est|our)|hour)", re.IGNORECASE)

Draw = Callable[[str, int], int]


def seeded(seed: str) -> Draw:
    """A source of choices that is the same on every machine: the number of one of `count`, by what it is for."""

    def draw(purpose: str, count: int) -> int:
        digest = blake2b(f"{seed}\0{purpose}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % count

    return draw


def slot_names(text: str) -> set[str]:
    """The lexicons that a template needs."""
    return {slot["name"] for slot in SLOT.finditer(text)}


class Filling:
    """The words of one case: all of its texts get the same.

    Args:
        lexicons: the entries of each slot.
        draw: which entry it is.
        given: words of some slots, by name.
    """

    def __init__(self, lexicons: Mapping[str, Sequence[str]], draw: Draw, given: Mapping[str, str] | None = None):
        self._lexicons = lexicons
        self._draw = draw
        self._words = dict(given or {})

    def fill(self, template: str) -> str:
        """The text of a template."""
        chosen = CHOICE.sub(self._part, template)
        return _START.sub(lambda found: found[1] + found[2].upper(), SLOT.sub(self._entry, chosen))

    def _part(self, choice: re.Match[str]) -> str:
        parts = choice[1].split("|")
        return parts[self._draw(choice[0], len(parts))]

    def _entry(self, slot: re.Match[str]) -> str:
        key, name = slot["key"], slot["name"]
        if key not in self._words:
            taken = {word for other, word in self._words.items() if other.partition("#")[0] == name}
            free = [entry for entry in self._lexicons[name] if entry not in taken]
            self._words[key] = free[self._draw(key, len(free))]
        word = self._words[key]
        return f"{article(word)} {word}" if slot["article"] else word


def article(word: str) -> str:
    """The indefinite article before a word.

    Example:
        >>> article("honest review"), article("user-friendly page")
        ('an', 'a')
    """
    return "an" if _SOUNDS_AN.match(word) and not _SOUNDS_A.match(word) else "a"


def skeletons_of(template: str) -> list[str]:
    """What is left of a template without its words, one for every way through its choices.

    Example:
        >>> skeletons_of("The {thing} [is|was] {a good} one.")
        ['the _ is _ one', 'the _ was _ one']
    """
    pieces = CHOICE.split(template)  # what stands between choices, and the inside of each choice, by turns
    ways = product(*(piece.split("|") if number % 2 else [piece] for number, piece in enumerate(pieces)))
    bare = [SLOT.sub("_", "".join(way)).lower() for way in ways]
    return [" ".join(re.sub(r"[^\w\s'-]", " ", text).split()) for text in bare]
