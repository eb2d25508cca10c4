"""The words that fill templates: `lexicons.toml`, and the index of all of them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from polarbert.data.labels import SENTIMENTS

FILE = Path(__file__).with_name("lexicons.toml")


@dataclass(frozen=True)
class Lexicon:
    """Words or phrases that can stand in the same place.

    Attributes:
        name: of the slot that they fill.
        topic: what they are about (app, restaurant, ...); None where they go with any topic.
        polarity: what they say, "negative", "neutral" or "positive".
        entries: each once.
    """

    name: str
    topic: str | None
    polarity: str
    entries: tuple[str, ...]


@cache
def vocabulary() -> tuple[Lexicon, ...]:
    """Every lexicon of the suite.

    Whoever writes training text keeps clear of these entries (compare them without regard to case), and of the
    `polarbert.behaviour.skeletons`.

    Example:
        >>> {entry for lexicon in vocabulary() for entry in lexicon.entries if lexicon.name == "good"} >= {"superb"}
        True
    """
    table = tomllib.loads(FILE.read_text("utf-8"))
    topics: Mapping[str, Any] = table.pop("topics")
    found = _lexicons(None, table)
    for topic, lexicons in topics.items():
        found += _lexicons(topic, lexicons)
    return tuple(found)


def _lexicons(topic: str | None, table: Mapping[str, Mapping[str, list[str]]]) -> list[Lexicon]:
    return [
        Lexicon(name, topic, polarity, tuple(entries))
        for polarity in SENTIMENTS
        for name, entries in table.get(polarity, {}).items()
    ]


@cache
def slots(topic: str | None) -> Mapping[str, tuple[str, ...]]:
    """What fills each slot where the text is about a topic: its own lexicons, and those of no topic."""
    return {lexicon.name: lexicon.entries for lexicon in vocabulary() if lexicon.topic in (None, topic)}


@cache
def topics() -> tuple[str, ...]:
    """Every topic."""
    return tuple(dict.fromkeys(lexicon.topic for lexicon in vocabulary() if lexicon.topic is not None))
