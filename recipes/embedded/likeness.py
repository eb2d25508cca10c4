"""Whether a text could come from the behaviour suite, which no training text may: what judges must stay unseen."""

from __future__ import annotations

import re
from functools import cache

from polarbert.behaviour import capabilities, skeletons, vocabulary

GAP = r"\S+(?: \S+){0,2}"  # what a slot of the suite may hold
LEAST_WORDS = 3  # that a skeleton says itself; with fewer, anything could come from it
COMMON = {"please"}  # polite in one lexicon of the suite, and a word that sentences hold


def is_of_suite(text: str) -> bool:
    """Whether a text equals one of the suite, fits one of its sentence patterns, or holds its praise or blame.

    Capitals and marks are left out of it, unless there is nothing else.

    Example:
        >>> is_of_suite("The sofa was not very superb!"), is_of_suite("The sofa came on a Tuesday, in two boxes.")
        (True, False)
    """
    words = as_words(text)
    if (words or text) in _texts() or _patterns().match(words):
        return True
    return any(f" {entry} " in f" {words} " for entry in praise_and_blame())


def as_words(text: str) -> str:
    """A text as the suite's skeletons have it: small letters, no marks.

    Example:
        >>> as_words("Well - it's FINE!")
        "well - it's fine"
    """
    return " ".join(re.sub(r"[^\w\s'-]", " ", text.lower()).split())


@cache
def praise_and_blame() -> frozenset[str]:
    """What the suite praises and blames with."""
    polar = {entry for lexicon in vocabulary() if lexicon.polarity != "neutral" for entry in lexicon.entries}
    return frozenset(words for entry in polar - COMMON if re.search(r"\w\w", words := as_words(entry)))


@cache
def _texts() -> frozenset[str]:
    return frozenset(as_words(text) or text for one in capabilities() for case in one.cases for text in case.texts[:1])


@cache
def _patterns() -> re.Pattern[str]:
    told = [each.split() for each in skeletons() if len(each.replace("_", "").split()) >= LEAST_WORDS]
    patterns = [" ".join(GAP if word == "_" else re.escape(word) for word in each) for each in told]
    return re.compile(rf"(?:{'|'.join(patterns)})$")
