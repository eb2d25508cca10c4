"""The templates and words of generated training text, read from recipes/embedded/generated, and how they are filled.

- `{thing}` is an entry of the lexicon "thing", the same wherever it stands in one text; `{thing#2}` is another entry.
- `{a thing}` is the entry behind "a" or "an".
- `[is|was]` is one of the parts.
- The first letter of a sentence becomes a capital one where a slot or a choice gave it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from polarbert.behaviour.template import CHOICE, SLOT, article, slot_names
from polarbert.data.labels import SENTIMENTS

FOLDER = Path(__file__).with_name("generated")
_WORDS = ("words", "topics", "aspects")  # files of words
_ASPECT_FRAMES = "two-aspects"
_START = re.compile(r"(^|[.!?] )(?!https?:|www\.|pic\.)([a-z])")

Lexicons = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Family:
    """Templates of one make, for each label that they can have.

    Attributes:
        name: of its own.
        phenomenon: what it teaches.
        templates: by label. Those at the same place of two labels are a contrast: they are filled alike.
        topics: that the templates go with; every topic that has all their slots where none is named.
        as_written: no change of spelling, because marks and letters carry the meaning.
    """

    name: str
    phenomenon: str
    templates: Mapping[str, tuple[str, ...]]
    topics: tuple[str, ...] = ()
    as_written: bool = False


@dataclass(frozen=True)
class Aspect:
    """Something that a text can judge beside others.

    Attributes:
        name: as it stands in a text.
        says: what goes on after its name, by "up" (praise), "down" (blame) and "fact" (neither).
    """

    name: str
    says: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Phenomenon:
    """One thing that a model should learn from generated text.

    Attributes:
        name: by which it is asked for.
        about: what it is, in one line.
        weight: its share of a mix, relative to the others.
        families: of its texts.
    """

    name: str
    about: str
    weight: float
    families: tuple[Family, ...]


@cache
def phenomena() -> Mapping[str, Phenomenon]:
    """Every phenomenon by name, in the order of the files."""
    files = sorted(file for file in FOLDER.glob("*.toml") if file.stem not in (*_WORDS, _ASPECT_FRAMES))
    tables = [table for file in files for table in tomllib.loads(file.read_text("utf-8")).items()]
    return {name: _phenomenon(name, table) for name, table in tables}


def _phenomenon(name: str, table: Mapping[str, Any]) -> Phenomenon:
    return Phenomenon(name, table["about"], table["weight"], tuple(_family(name, one) for one in table["family"]))


def _family(phenomenon: str, table: Mapping[str, Any]) -> Family:
    templates = {label: tuple(table[label]) for label in SENTIMENTS if label in table}
    return Family(table["name"], phenomenon, templates, tuple(table.get("topics", ())), table.get("as_written", False))


@cache
def read_table(name: str) -> Mapping[str, Any]:
    """One of the files."""
    return tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8"))


@cache
def lexicons() -> Mapping[str | None, Lexicons]:
    """The words that fill slots where a text is about a topic, and under None those that need no topic.

    A topic's "plus" and "minus" are those of its "up" and "down" that are single words, so that they can stand before
    a noun too.
    """
    shared = {name: tuple(entries) for name, entries in read_table("words").items()}
    found: dict[str | None, Lexicons] = {None: shared}
    for topic, table in read_table("topics").items():
        own = {name: tuple(entries) for name, entries in table.items()}
        single = {name: tuple(e for e in own[of] if " " not in e) for name, of in (("plus", "up"), ("minus", "down"))}
        found[topic] = shared | own | single
    return found


@cache
def aspects() -> Mapping[str, tuple[Aspect, ...]]:
    """What can be judged side by side, by domain; "people" have names and no article."""
    return {domain: tuple(map(_aspect, table.items())) for domain, table in read_table("aspects").items()}


def _aspect(named: tuple[str, Mapping[str, list[str]]]) -> Aspect:
    return Aspect(named[0], {way: tuple(phrases) for way, phrases in named[1].items()})


def aspect_frames() -> Mapping[str, Mapping[str, list[str]]]:
    """Templates with {one}, {two} and {third}, for "things" and "people": "mixed", "praise", "blame" and "told"."""
    return read_table(_ASPECT_FRAMES)


@cache
def topics_of(template: str, allowed: tuple[str, ...]) -> tuple[str | None, ...]:
    """The topics, of those allowed or of all, that can fill a template; None alone where it needs none."""
    needed = slot_names(template)
    if needed <= lexicons()[None].keys():
        return (None,)
    every = [topic for topic in lexicons() if topic is not None]
    fitting = tuple(topic for topic in allowed or every if needed <= lexicons()[topic].keys())
    if not fitting:
        raise ValueError(f"no topic has all slots of {template!r}")
    return fitting


def entries() -> list[str]:
    """Every word and phrase that fills a slot."""
    return list(dict.fromkeys(_strings([read_table(name) for name in _WORDS])))


def templates() -> list[str]:
    """Every template, aspects' too."""
    families = [family for phenomenon in phenomena().values() for family in phenomenon.families]
    found = [text for family in families for texts in family.templates.values() for text in texts]
    return [*found, *_strings(aspect_frames())]


def _strings(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, Sequence):
        for each in value:
            yield from _strings(each)


def chosen(random: Random, among: Sequence[str]) -> str:
    """One of them; the same on every version of Python, which `Random.choice` does not promise."""
    return among[int(random.random() * len(among))]


class Filling:
    """The words of one text.

    Args:
        lexicons: the entries of each slot.
        random: where choices come from.
        given: words of some slots, by name.
    """

    def __init__(self, lexicons: Lexicons, random: Random, given: Mapping[str, str] | None = None):
        self._lexicons = lexicons
        self._random = random
        self._words = dict(given or {})

    def fill(self, template: str) -> str:
        """The text of a template."""
        return SLOT.sub(self._entry, CHOICE.sub(lambda found: chosen(self._random, found[1].split("|")), template))

    def _entry(self, slot: re.Match[str]) -> str:
        key, name = slot["key"], slot["name"]
        if key not in self._words:
            taken = {word for other, word in self._words.items() if other.partition("#")[0] == name}
            self._words[key] = chosen(self._random, [entry for entry in self._lexicons[name] if entry not in taken])
        word = self._words[key]
        return with_article(word) if slot["article"] else word


def with_article(noun: str) -> str:
    """A noun phrase behind "a" or "an", unless it has an article already."""
    return noun if re.match(r"(?:an?|the|my|our) ", noun) else f"{article(noun)} {noun}"


def capitalised(text: str) -> str:
    """With a capital letter at the start of each sentence."""
    return _START.sub(lambda found: found[1] + found[2].upper(), text)
