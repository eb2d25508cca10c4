"""How the same text may be written: small letters, no marks, slips of the keyboard and the like."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from frames import chosen

_NEIGHBOURS = {
    "a": "s", "b": "v", "c": "x", "d": "f", "e": "r", "f": "g", "g": "h", "h": "j", "i": "o", "j": "k", "k": "l",
    "l": "k", "m": "n", "n": "m", "o": "p", "p": "o", "q": "w", "r": "t", "s": "d", "t": "y", "u": "i", "v": "b",
    "w": "e", "x": "z", "y": "u", "z": "x",
}  # fmt: skip
_SHORT = {
    "you": "u", "your": "ur", "are": "r", "please": "pls", "because": "bc", "though": "tho", "people": "ppl",
    "and": "&", "with": "w/", "never": "nvr", "thanks": "thx", "I don't know": "idk", "going to": "gonna",
    "want to": "wanna", "minutes": "mins", "okay": "ok", "something": "sth", "before": "b4",
    "weekend": "wknd", "tomorrow": "tmrw",
}  # fmt: skip
_LONG_FORMS = {
    "isn't": "is not", "wasn't": "was not", "don't": "do not", "didn't": "did not", "can't": "cannot",
    "couldn't": "could not", "wouldn't": "would not", "won't": "will not", "haven't": "have not", "hasn't": "has not",
    "doesn't": "does not", "weren't": "were not", "hadn't": "had not", "aren't": "are not", "I'm": "I am",
    "I've": "I have", "I'd": "I would", "I'll": "I will", "it's": "it is", "It's": "It is", "that's": "that is",
}  # fmt: skip
SLIPPED = 0.25  # of slips of the keyboard, the share that hits a key beside the right one
_ENDINGS = ("!", "!!", "!!!", " !", "...", "..", "!!!!")
_STRETCHED = re.compile(r"\b(?:very|super|love|hate|good|great|bad|awful|nice|ever|again|please|yes|so|way|all)\b(?!-)")
_LONG_WORD = re.compile(r"\b[a-z]{5,}\b")


def lower(text: str, _: Random) -> str:
    """In small letters."""
    return text.lower()


def hasty(text: str, _: Random) -> str:
    """In small letters, without marks or apostrophes."""
    return " ".join(re.sub(r"(?<!\d)[.,;:!\"](?!\d)|['\u2019]", "", text.lower()).split())


def unmarked(text: str, _: Random) -> str:
    """Without full stops and commas."""
    return " ".join(re.sub(r"(?<!\d)[.,;:](?!\d)", "", text).split())


def shouted(text: str, _: Random) -> str:
    """In capital letters."""
    return text.upper()


def one_shouted(text: str, random: Random) -> str:
    """With one word in capital letters."""
    return _one(text, random, lambda word: word.upper())


def slipped(text: str, random: Random) -> str:
    """With one key beside the right one."""
    place = random.random()
    return _one(text, random, lambda word: _replaced(word, place, lambda pair: _NEIGHBOURS[pair[0]] + pair[1]))


def swapped(text: str, random: Random) -> str:
    """With two letters exchanged, one left out or one typed twice."""
    place = random.random()
    how = int(random.random() * 3)
    changed: tuple[Callable[[str], str], ...] = (
        lambda pair: pair[1] + pair[0],
        lambda pair: pair[1],
        lambda pair: pair[0] + pair,
    )
    return _one(text, random, lambda word: _replaced(word, place, changed[how]))


def mistyped(text: str, random: Random) -> str:
    """With a slip in about every tenth word, one at least."""
    for _ in range(1 + len(text.split()) // 10):
        text = (slipped if random.random() < SLIPPED else swapped)(text, random)
    return text


def _replaced(word: str, place: float, change: Callable[[str], str]) -> str:
    """The word with two neighbouring letters changed, never its first one; `place` is from 0 to 1."""
    at = 1 + int(place * (len(word) - 2))
    return word[:at] + change(word[at : at + 2]) + word[at + 2 :]


def stretched(text: str, random: Random) -> str:
    """With the last vowel of one word drawn out."""
    count = 2 + int(random.random() * 4)
    return _STRETCHED.sub(lambda word: _drawn_out(word[0], count), text, count=1)


def shortened(text: str, _: Random) -> str:
    """As in messages: "u" for "you"."""
    return _exchanged(text, _SHORT)


def long_forms(text: str, _: Random) -> str:
    """With "is not" for "isn't", and so on."""
    return _exchanged(text, _LONG_FORMS)


def excited(text: str, random: Random) -> str:
    """With other marks at the end."""
    return text.rstrip(".!") + chosen(random, _ENDINGS) if text[-1] in ".!" else text


def spaced(text: str, random: Random) -> str:
    """With blanks before marks, or doubled."""
    return re.sub(r"([.,!?])", r" \1", text) if random.random() < 0.5 else text.replace(" ", "  ")


_WAYS: tuple[tuple[float, Callable[[str, Random], str]], ...] = (
    (0.12, lower),
    (0.10, hasty),
    (0.04, unmarked),
    (0.02, shouted),
    (0.02, one_shouted),
    (0.03, slipped),
    (0.05, swapped),
    (0.03, stretched),
    (0.03, shortened),
    (0.06, long_forms),
    (0.04, excited),
    (0.02, spaced),
)


def respelled(text: str, random: Random) -> str:
    """The text as it is, a little more often than not, or changed in one way."""
    point = random.random()
    for share, way in _WAYS:
        if point < share:
            return way(text, random)
        point -= share
    return text


def _one(text: str, random: Random, change: Callable[[str], str]) -> str:
    """Change one long word; the text as it is where there is none."""
    words = list(_LONG_WORD.finditer(text))
    if not words:
        return text
    word = words[int(random.random() * len(words))]
    return text[: word.start()] + change(word[0]) + text[word.end() :]


def _drawn_out(word: str, count: int) -> str:
    at = max(map(word.rfind, "aeiou"))
    at = len(word) - 1 if word.endswith("y") else at
    return word[:at] + word[at] * count + word[at:]


def _exchanged(text: str, pairs: dict[str, str]) -> str:
    pattern = rf"\b(?:{'|'.join(sorted(map(re.escape, pairs), key=len, reverse=True))})\b"
    return re.sub(pattern, lambda found: pairs[found[0]], text)
