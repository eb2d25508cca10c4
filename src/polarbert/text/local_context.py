"""What stands around the mention of an aspect: the clauses that a verdict on it most likely comes from.

A network that reads "the soup was wonderful, but the waiter was rude" beside "soup" has both verdicts before it. Read
alone, the clause that names the soup holds one of them (the local context focus of Zeng et al. 2019, "LCF: A Local
Context Focus Mechanism for Aspect-Based Sentiment Classification", section 3.3, by clauses in place of a distance).

1. A mention is the aspect word for word, whatever its case and however its accents are encoded; its last word may stand
   in the singular or the plural.
2. A clause ends with its sentence, at a comma, semicolon, colon or dash, and before "but", "and" and words like them;
   never inside a mention. What stands in brackets belongs to the clause around it.
3. A clause with no word besides the mention and articles and the like brings others of its sentence with it: behind a
   colon or dash the next one ("Screen: superb"); in a list the next ones, up to the one that says something ("the soup,
   salad and bread were cold"), or else the ones before ("they ruined the fish and the rice, but ..."). No clause is
   brought from across "but" and the like, or a semicolon.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from polarbert.text.sentences import sentence_spans
from polarbert.text.words import split_words

Span = tuple[int, int]

MOST_CHARACTERS = 200  # of an aspect; a longer one is no name that a text would repeat
# Each boundary stands between words as `split_words` finds them, so that no word is cut in two.
_BOUNDARY = re.compile(
    r"(?P<contrast>;(?=\s)|(?<=\s)(?:but|however|although|though|yet|while|whereas|except|despite)(?=\s))"
    r"|(?P<list>,(?=\s)|(?<=\s)and(?=\s))"
    r"|(?P<telling>(?<=\w):(?=\s)|(?<=\s)(?:--?|\u2013)(?=\s)|\u2014)",
    re.IGNORECASE,
)
# Words that say nothing of what they stand beside.
_EMPTY = frozenset(
    "a an the and or of my your our his her its their this that these those is are was were i we it".split()
)
_FIRST_SYMBOL = "\u2000"
_PRONOUNS = frozenset(["us", "it", "who"])  # "US", in capitals, is a country
_SHORTEST_PLURAL = 5  # "prices" has a singular, "news" and "bus" are one
_ENOUGH = 2  # words of a clause in a list that say something


@dataclass(frozen=True)
class Clause:
    """A stretch of a sentence.

    Attributes:
        start, end: in characters, without what joins it to its neighbours.
        before: the kind of boundary before it; "" at the beginning of a sentence.
    """

    start: int
    end: int
    before: str


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
    starts, ends = [start for start, _ in mentions], [end for _, end in mentions]
    found: list[Span] = []
    left_out = False
    for start, end in sentence_spans(text):
        own = mentions[bisect_right(ends, start) : bisect_left(starts, end)]
        if not own:
            left_out = True
            continue
        clauses = _clauses(text, start, end, own)
        taken = _taken(text, clauses, own)
        left_out = left_out or len(taken) < len(clauses)
        for number in taken:
            if number - 1 in taken:
                found[-1] = (found[-1][0], clauses[number].end)
            else:
                found.append((clauses[number].start, clauses[number].end))
    return found if left_out else []


def _mentions(text: str, aspect: str) -> list[Span]:
    if not aspect.split() or len(aspect) > MOST_CHARACTERS:
        return []
    spellings = dict.fromkeys(unicodedata.normalize(form, aspect) for form in ("NFC", "NFD"))
    pattern = "|".join(map(_pattern, spellings))
    flags = 0 if aspect.isupper() and aspect.lower() in _PRONOUNS else re.IGNORECASE
    return [found.span() for found in re.finditer(rf"(?<!\w)(?:{pattern})(?!\w)", text, flags)]


def _pattern(aspect: str) -> str:
    *before, last = aspect.split()
    return r"\s+".join([*map(_as_it_is, before), _either_number(last)])


def _as_it_is(word: str) -> str:
    """A pattern for a word, with either apostrophe."""
    return re.sub("['\u2019]", "['\u2019]", re.escape(word))


def _either_number(word: str) -> str:
    """A pattern for a word in the singular and in the plural."""
    small = word.lower()
    if len(small) >= _SHORTEST_PLURAL and not word.isupper():
        if small.endswith("ies"):
            return rf"{_as_it_is(word[:-3])}(?:ies|ie|y)"
        if small.endswith(("ses", "xes", "zes", "shes", "ches")):
            return rf"{_as_it_is(word[:-2])}(?:es|e)?"
        if small.endswith("s") and not small.endswith("ss"):
            return f"{_as_it_is(word)}?"
    if small.endswith("y"):
        return rf"{_as_it_is(word[:-1])}(?:y|ys|ies)"
    return rf"{_as_it_is(word)}(?:e?s)?" if small[-1:].isalpha() and small not in _PRONOUNS else _as_it_is(word)


def _clauses(text: str, start: int, end: int, mentions: Sequence[Span]) -> list[Clause]:
    """The stretches of a sentence between boundaries; those without words are left out."""
    behind = [stop for _, stop in mentions]
    clauses: list[Clause] = []
    begin, before = start, ""
    for found in _BOUNDARY.finditer(text, start, end):
        inside = bisect_right(behind, found.start())
        if inside < len(mentions) and mentions[inside][0] < found.start():
            continue
        if clause := _clause(text, begin, found.start(), before):
            clauses.append(clause)
            before = ""
        begin = found.end()
        # Of several boundaries in a row, as in ", but", the one that divides more counts.
        before = "contrast" if before == "contrast" else found.lastgroup or ""
    if clause := _clause(text, begin, end, before):
        clauses.append(clause)
    return clauses


def _clause(text: str, start: int, end: int, before: str) -> Clause | None:
    part = text[start:end]
    if not any(sign.isalnum() for sign in part):
        return None
    return Clause(end - len(part.lstrip()), start + len(part.rstrip()), before)


def _taken(text: str, clauses: Sequence[Clause], mentions: Sequence[Span]) -> list[int]:
    """Numbers, in order, of the clauses that mention the aspect, and of those that have to go with them."""
    taken: set[int] = set()
    starts, ends = [start for start, _ in mentions], [end for _, end in mentions]
    for number, clause in enumerate(clauses):
        own = mentions[bisect_right(ends, clause.start) : bisect_left(starts, clause.end)]
        if own:
            taken.add(number)
            if not _words(text, clause, own):
                taken.update(_next(text, clauses, number) or _before(text, clauses, number))
    return sorted(taken)


def _next(text: str, clauses: Sequence[Clause], number: int) -> list[int]:
    """Numbers of the clauses behind one that says nothing, as far as they belong to it."""
    found = []
    for other in range(number + 1, len(clauses)):
        if clauses[other].before == "contrast":
            break
        found.append(other)
        if clauses[other].before == "telling" or _words(text, clauses[other]) >= _ENOUGH:
            break
    return found


def _before(text: str, clauses: Sequence[Clause], number: int) -> list[int]:
    """As `_next`, of the clauses before it."""
    found = []
    for other in range(number, 0, -1):
        if clauses[other].before == "contrast":
            break
        found.append(other - 1)
        if _words(text, clauses[other - 1]) >= _ENOUGH:
            break
    return found


def _words(text: str, clause: Clause, mentions: Sequence[Span] = ()) -> int:
    """How many words, emoji and emoticons of a clause say something, without mentions."""
    found = 0
    for first, behind in split_words(text[clause.start : clause.end]):
        start, end = clause.start + first, clause.start + behind
        word = text[start:end]
        is_mention = any(start < stop and end > begin for begin, stop in mentions)
        is_mark = len(word) == 1 and word < _FIRST_SYMBOL and not word.isalnum()
        found += not is_mention and not is_mark and word.lower() not in _EMPTY
    return found
