"""A template family: texts of one make, with what is expected of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from polarbert.behaviour.capability import Case
from polarbert.behaviour.lexicon import slots, topics
from polarbert.behaviour.perturbation import PERTURBATIONS
from polarbert.behaviour.template import SLOT, Filling, seeded, slot_names

ATTEMPTS = 60  # fillings tried before a template counts as used up

Template = tuple[str, ...]


@dataclass(frozen=True)
class Family:
    """Templates with one expectation.

    Attributes:
        name: of the capability and of the family in it, with a stroke between.
        templates: each one text, or the texts of one case.
        expected: labels that are right.
        forbidden: what polarity must not do.
        around: further texts of a case, in which {base} stands for its first one.
        changes: names of perturbations, each of which makes a further text of the first one.
        vary: the slot whose word differs from text to text.
        variants: texts of a case that differ in that slot.
        topics: that the templates go with; every topic that has all their slots where none is named.
    """

    name: str
    templates: tuple[Template, ...]
    expected: tuple[str, ...] = ()
    forbidden: str = ""
    around: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    vary: str = ""
    variants: int = 1
    topics: tuple[str, ...] = ()

    def cases(self) -> Iterator[Case]:
        """Different cases, from all templates by turns, and for each of these from all topics by turns."""
        return by_turns([by_turns(self._by_topic(template)) for template in self.templates])

    def topics_of(self, template: Template) -> list[str | None]:
        """The topics that can fill a template, or None alone where it needs none."""
        needed = set().union(*map(slot_names, (*template, *self.around))) - {"base"}
        if needed <= slots(None).keys() and not self.topics:
            return [None]
        return [topic for topic in self.topics or topics() if needed <= slots(topic).keys()]

    def _by_topic(self, template: Template) -> list[Iterator[Case]]:
        draw = seeded(f"{self.name}\0{template[0]}")
        shuffled = sorted(self.topics_of(template), key=lambda topic: draw(str(topic), 1 << 60))
        return [self._cases(template, topic) for topic in shuffled]

    def _cases(self, template: Template, topic: str | None) -> Iterator[Case]:
        """Different cases, until so many attempts in a row gave none."""
        seen: set[tuple[str, ...]] = set()
        number = failed = 0
        while failed < ATTEMPTS:
            texts = self._texts(template, topic, f"{self.name}\0{template[0]}\0{topic}\0{number}")
            number += 1
            failed += 1
            if texts not in seen and len(set(texts)) == len(texts):
                failed = 0
                seen.add(texts)
                yield Case(texts, self.expected, self.forbidden, self.name)

    def _texts(self, template: Template, topic: str | None, seed: str) -> tuple[str, ...]:
        draw, lexicons = seeded(seed), slots(topic)
        if self.vary:
            words = sorted(lexicons[self.vary], key=lambda word: draw(f"order {word}", 1 << 60))[: self.variants]
            fillings = [Filling(lexicons, draw, {self.vary: word}) for word in words]
            return tuple(filling.fill(template[0]) for filling in fillings)
        filling = Filling(lexicons, draw)
        made = [filling.fill(text) for text in template]
        made += [_fill_around(filling, text, made[0]) for text in self.around]
        made += [PERTURBATIONS[change](made[0], draw) for change in self.changes]
        return tuple(made)


def by_turns(sources: Sequence[Iterator[Case]]) -> Iterator[Case]:
    """The first of each, the second of each, and so on."""
    for cases in zip_longest(*sources):
        yield from (case for case in cases if case is not None)


def _fill_around(filling: Filling, text: str, base: str) -> str:
    """The text with the filled base in its place."""
    before, _, after = text.partition("{base}")
    ends = [filling.fill(part) if SLOT.search(part) else part for part in (before, after)]
    return f"{ends[0]}{base}{ends[1]}"
