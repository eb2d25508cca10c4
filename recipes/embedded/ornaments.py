"""What stands in posts and says nothing: web addresses, handles and hashtags, added to texts whose label stays."""

from __future__ import annotations

import re
from functools import cache
from random import Random

from frames import chosen, lexicons

_NAMES = ("name", "city")
_THINGS = ("item", "event", "tone", "city", "country", "spot", "job_of", "plan")
_LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_HOSTS = ("https://t.co/", "http://bit.ly/", "www.example.org/", "https://example.com/p/", "http://example.net/")


def ornamented(text: str, random: Random) -> str:
    """The text with one or two of them, before or behind it.

    Example:
        >>> ornamented("I love it", Random(1)) != "I love it"
        True
    """
    kind = random.random()
    if kind < 0.3:
        return f"{text} {_address(random)}"
    if kind < 0.5:
        return f"{_handle(random)} {text}"
    if kind < 0.6:
        return f"{text} via {_handle(random)}"
    return f"{text} {' '.join(_tag(random) for _ in range(1 + int(random.random() * 2)))}"


def _address(random: Random) -> str:
    if random.random() < 0.3:
        return chosen(random, lexicons()[None]["url"])
    return chosen(random, _HOSTS) + "".join(chosen(random, _LETTERS) for _ in range(4 + int(random.random() * 5)))


def _handle(random: Random) -> str:
    if random.random() < 0.3:
        return chosen(random, lexicons()[None]["handle"])
    name = _joined(chosen(random, lexicons()[None][chosen(random, _NAMES)]))
    return f"@{name.lower()}{chosen(random, ('', '_', '_x', str(int(random.random() * 100)), 'tv'))}"


def _tag(random: Random) -> str:
    if random.random() < 0.2:
        return chosen(random, lexicons()[None]["tag"])
    word = chosen(random, _tags())
    return f"#{word if random.random() < 0.5 else word.lower()}"


@cache
def _tags() -> tuple[str, ...]:
    """Words that judge nothing, each as one word with capital letters."""
    found = [entry for name in _THINGS for entry in lexicons()[None][name]]
    things = [entry for words in lexicons().values() for entry in words.get("thing", ())]
    return tuple(sorted({_joined(entry) for entry in [*found, *things]} - {""}))


def _joined(entry: str) -> str:
    words = re.findall(r"[A-Za-z]+", entry)
    return "".join(word[0].upper() + word[1:] for word in words) if len(words) <= 3 else ""
