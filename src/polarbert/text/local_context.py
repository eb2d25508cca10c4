"""What stands around the mention of an aspect: the clauses that a verdict on it most likely comes from.

A network that reads "the soup was wonderful, but the waiter was rude" beside "soup" has both verdicts before it. Read
alone, the clause that names the soup holds one of them (the local context focus of Zeng et al. 2019, "LCF: A Local
Context Focus Mechanism for Aspect-Based Sentiment Classification", section 3.3, by clauses in place of a distance).

1. A mention is the aspect word for word, whatever its case; its last word may stand in the singular or the plural.
2. A clause ends with its sentence, at a comma, semicolon, colon, bracket or dash, and before "but", "and" and words
   like them; never inside a mention.
3. Where a clause has no word besides the mention and articles and the like, as in "Screen: superb", the next clause of
   its sentence goes with it; the one before where there is none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from polarbert.text.sentences import sentence_spans
from polarbert.text.words import split_words

Span = tuple[int, int]

MOST_CHARACTERS = 200  # of an aspect; a longer one is no name that a text would repeat
_BOUNDARY = re.compile(
    r"[,;:()](?=\s|\Z)|(?<=\s)\(|(?<=\s)--?(?=\s)|[\u2013\u2014]"
    r"|(?<=\s)(?:but|however|although|though|yet|while|whereas|except|despite|and)(?=\s)",
    re.IGNORECASE,
)
# Words that say nothing of what they stand beside.
_ARTICLES = frozenset(
    "a an the and or of my your our his her its their this that these those is are was were i we it".split()
)


def local_context(text: str, aspect: str) -> list[Span]:
    """The clauses of a text that mention an aspect.

    Args:
        text: of any length.
        aspect: its name.

    Returns:
        (start, end) of each clause or run of neighbouring ones, in characters, in order. None where the text does not
        mention the aspect, and where all that it says stands in these clauses.

    Example:
        >>> text = "The soup was wonderful, but the waiter was rude."
        >>> [text[start:end] for start, end in local_context(text, "waiter")]
        ['the waiter was rude.']
    """
    mentions = _mentions(text, aspect)
    if not mentions:
        return []
    found: list[Span] = []
    left_out = False
    for start, end in sentence_spans(text):
        clauses = _clauses(text, start, end, mentions)
        taken = _taken(text, clauses, mentions)
        left_out = left_out or len(taken) < len(clauses)
        for number in taken:
            if number - 1 in taken and found:
                found[-1] = (found[-1][0], clauses[number][1])
            else:
                found.append(clauses[number])
    return found if left_out else []


def _mentions(text: str, aspect: str) -> list[Span]:
    words = aspect.split()
    if not words or len(aspect) > MOST_CHARACTERS:
        return []
    *before, last = map(re.escape, words)
    pattern = r"\s+".join([*before, _either_number(last)])
    return [found.span() for found in re.finditer(rf"(?<!\w){pattern}(?!\w)", text, re.IGNORECASE)]


def _either_number(word: str) -> str:
    """A pattern for a word in the singular and in the plural."""
    if word.lower().endswith("ies"):
        return rf"{word[:-3]}(?:ies|y)"
    if word.lower().endswith("y"):
        return rf"{word[:-1]}(?:y|ys|ies)"
    if word.lower().endswith("s") and not word.lower().endswith("ss"):
        return f"{word}?"
    return rf"{word}(?:e?s)?"


def _clauses(text: str, start: int, end: int, mentions: Sequence[Span]) -> list[Span]:
    """The stretches of a sentence between boundaries, without what joins them; those without words are left out."""
    inside = iter(mentions)
    mention = next(inside, None)
    begins, ends = [start], []
    for found in _BOUNDARY.finditer(text, start, end):
        while mention is not None and mention[1] <= found.start():
            mention = next(inside, None)
        if mention is None or mention[0] >= found.start():
            ends.append(found.start())
            begins.append(found.end())
    parts = zip(begins, [*ends, end], strict=True)
    return [_trimmed(text, *part) for part in parts if any(sign.isalnum() for sign in text[slice(*part)])]


def _trimmed(text: str, start: int, end: int) -> Span:
    part = text[start:end]
    return end - len(part.lstrip()), start + len(part.rstrip())


def _taken(text: str, clauses: Sequence[Span], mentions: Sequence[Span]) -> set[int]:
    """Numbers of the clauses that mention the aspect, and of those that have to go with them."""
    taken: set[int] = set()
    for number, (start, end) in enumerate(clauses):
        own = [mention for mention in mentions if mention[0] < end and mention[1] > start]
        if not own:
            continue
        taken.add(number)
        if not _says_more(text, start, end, own):
            neighbour = number + 1 if number + 1 < len(clauses) else number - 1
            taken |= {neighbour} if neighbour >= 0 else set()
    return taken


def _says_more(text: str, start: int, end: int, mentions: Sequence[Span]) -> bool:
    """Whether a clause has a word beside the mentions in it and articles."""
    words = [(start + first, start + behind) for first, behind in split_words(text[start:end])]
    return any(
        not any(first < stop and behind > begin for begin, stop in mentions)
        and text[first:behind].lower() not in _ARTICLES
        and not text[first:behind].isspace()
        and any(sign.isalnum() or ord(sign) > 0x2000 for sign in text[first:behind])
        for first, behind in words
    )
