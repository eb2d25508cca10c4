"""Changes of a text that should not change what is said of it."""

from __future__ import annotations

import re
from collections.abc import Callable

from polarbert.behaviour.template import Draw

Perturbation = Callable[[str, Draw], str]

_LONG_WORD = re.compile(r"\b[a-z]{5,}\b")
_OTHER_WORDS = {"quite", "trial", "angel", "quiet", "trail", "angle", "there", "three"}  # one slip from another word
_CONTRACTIONS = {f"{verb} not": f"{verb}n't" for verb in "is are was were do does did has have had would".split()} | {
    "could not": "couldn't",
    "cannot": "can't",
    "will not": "won't",
    "I am": "I'm",
    "It is": "It's",
    "it is": "it's",
    "There is": "There's",
    "They are": "They're",
    "We are": "We're",
    "we are": "we're",
}
_STRETCHED = {"so": "sooo", "really": "reaaally", "very": "verrry", "much": "muuuch", "way": "waaay", "too": "tooo"}
_MALE = "he his man waiter father brother son uncle nephew himself".split()
_FEMALE = "she her woman waitress mother sister daughter aunt niece herself".split()


def slip(text: str, draw: Draw) -> str:
    """Two neighbouring letters inside a word, exchanged."""
    return _inside(text, draw, lambda word, at: word[:at] + word[at + 1] + word[at] + word[at + 2 :])


def drop(text: str, draw: Draw) -> str:
    """A letter inside a word, left out."""
    return _inside(text, draw, lambda word, at: word[:at] + word[at + 1 :])


def double(text: str, draw: Draw) -> str:
    """A letter inside a word, typed twice."""
    return _inside(text, draw, lambda word, at: word[: at + 1] + word[at:])


def contract(text: str, _: Draw) -> str:
    """Write "is not" as "isn't", and so on."""
    return _exchange(text, _CONTRACTIONS)


def stretch(text: str, _: Draw) -> str:
    """Write "so" as "sooo", and so on."""
    return _exchange(text, _STRETCHED)


def female(text: str, _: Draw) -> str:
    """The same of a woman that is said of a man; "his" must stand before a noun."""
    pairs = dict(zip(_MALE, _FEMALE, strict=True))
    return _exchange(text, pairs | {one.capitalize(): other.capitalize() for one, other in pairs.items()})


def bare(text: str, _: Draw) -> str:
    """Without full stops, commas and the like; apostrophes, hyphens and question marks stay."""
    return re.sub(r"[.,;:!]", "", text)


def exclaim(text: str, _: Draw) -> str:
    """With an exclamation mark at the end."""
    return f"{text.rstrip('.!')}!"


def trail(text: str, _: Draw) -> str:
    """With blanks doubled, and one before the last mark."""
    return re.sub(r" ", "  ", text[:-1]) + " " + text[-1]


def lower(text: str, _: Draw) -> str:
    """In small letters."""
    return text.lower()


def upper(text: str, _: Draw) -> str:
    """In capital letters."""
    return text.upper()


def title(text: str, _: Draw) -> str:
    """With a capital letter at the start of each word."""
    return re.sub(r"(?<![\w'])[a-z]", lambda letter: letter[0].upper(), text)


def _inside(text: str, draw: Draw, change: Callable[[str, int], str]) -> str:
    """Change one long word between its first letters and its last; the text as it is where there is none."""
    words = [word for word in _LONG_WORD.finditer(text) if word[0] not in _OTHER_WORDS]
    if not words:
        return text
    word = words[draw("word", len(words))]
    at = 1 + draw("letter", len(word[0]) - 3)
    return text[: word.start()] + change(word[0], at) + text[word.end() :]


def _exchange(text: str, pairs: dict[str, str]) -> str:
    pattern = rf"\b(?:{'|'.join(sorted(map(re.escape, pairs), key=len, reverse=True))})\b"
    return re.sub(pattern, lambda found: pairs[found[0]], text)


PERTURBATIONS: dict[str, Perturbation] = {
    made.__name__: made
    for made in (slip, drop, double, contract, stretch, female, bare, exclaim, trail, lower, upper, title)
}
