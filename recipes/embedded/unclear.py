"""Texts that nobody can judge in English: letters without sense, and strings of words of other languages.

Each is learned with the same share for every class, so that the answer to such a text is of little confidence, and
marked unsure.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import TypeVar

from polarbert.behaviour import vocabulary

WORDS = Path(__file__).with_name("unclear.toml")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
Chosen = TypeVar("Chosen")
_MARKS = (".", "", "!", "?", "...", ",")


def make_unclear(count: int, seed: int) -> list[str]:
    """Different texts, the same ones on every machine; two of three are of other languages.

    Strings of letters that the behaviour suite has too are left out.

    Args:
        count: how many.
        seed: another one gives other texts.

    Example:
        >>> make_unclear(3, seed=1) == make_unclear(3, seed=1)
        True
    """
    languages = [words.split() for words in tomllib.loads(WORDS.read_text("utf-8")).values()]
    random = Random(f"unclear {seed}")  # noqa: S311 - a draw that can be repeated
    theirs = {entry.lower() for lexicon in vocabulary() for entry in lexicon.entries}
    made: dict[str, None] = {}
    while len(made) < count:
        gibberish = len(made) % 3 == 0
        words = _gibberish(random) if gibberish else _foreign(random, _one(random, languages))
        if gibberish and not theirs.isdisjoint(words):
            continue
        text = " ".join(words) + _one(random, _MARKS)
        made[text.capitalize() if random.random() < 0.3 else text] = None
    return list(made)


def _foreign(random: Random, words: list[str]) -> list[str]:
    found = [_one(random, words) for _ in range(3 + int(random.random() * 12))]
    return [found[0].capitalize(), *found[1:]]


def _gibberish(random: Random) -> list[str]:
    make = _one(random, (_mashed, _drawn, _walked))
    return [make(random) for _ in range(1 + int(random.random() * 6))]


def _mashed(random: Random) -> str:
    """Keys of one row, as a hand that rests on it hits them."""
    row = _one(random, _ROWS)
    return "".join(_one(random, row) for _ in range(4 + int(random.random() * 8)))


def _drawn(random: Random) -> str:
    """Letters at random."""
    return "".join(_one(random, _LETTERS) for _ in range(4 + int(random.random() * 7)))


def _walked(random: Random) -> str:
    """Neighbours on the keyboard, up and down the rows."""
    at = int(random.random() * 6)
    return "".join(_one(random, _ROWS)[at : at + 2] for _ in range(2 + int(random.random() * 3)))


def _one(random: Random, choices: Sequence[Chosen]) -> Chosen:
    return choices[int(random.random() * len(choices))]
