"""Documents cut into sentences, by splitters known by name.

For pre-training a sentence is a stretch of text that is never torn apart (BERT, section 3.1), so a boundary missed or
set too much costs little. What counts is that nothing is lost, that lines broken at a fixed width make no sentences,
and that it takes a small part of the time that tokenising takes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

from polarbert.errors import UsageError

Splitter = Callable[[str], list[str]]

# What opens and closes quotations, brackets and emphasis, as in _word_ and *word*.
_OPENERS = "\"'([{_*\u201c\u2018\u201e\u201a\u00ab\u2039"
_CLOSERS = "\"')]}_*\u201d\u2019\u00bb\u203a"
# A sentence does not begin with these: small letters of Latin, Greek and Cyrillic, and marks within a sentence.
_INSIDE = "a-zß-öø-ÿα-ωа-яё" + re.escape(",;:.!?…)]}-\u201d\u2019\u2013\u2014")
# A boundary is a blank line, or marks with what closes behind them, white space, and no sign that the sentence goes on.
# A run of marks is tried once, at its first, and what was taken is never given back: the time is linear.
_BOUNDARY = re.compile(
    r"[.!?…\n](?:"
    r"(?<=\n)[^\S\n]*+\n\s*+"
    rf"|(?<=[.!?…])(?<![.!?…].)[.!?…]*+[{re.escape(_CLOSERS)}]*+\s++(?![{re.escape(_OPENERS)}]*+(?:[{_INSIDE}]|\Z))"
    r")",
    re.DOTALL,
)

# A name goes on behind these; behind those of the second set, a number.
_TITLES = frozenset(
    "mr mrs ms messrs mme mlle dr prof st ste rev hon gov pres sen rep gen col maj capt cpt lt lieut sgt adm cdr "
    "jr sr mt ft cf viz vs approx esp e.g i.e jan feb mar apr jun jul aug sept sep oct nov dec".split()
)
_COUNTED = frozenset("no nos art sec p pp ch chap vol vols fig figs eq".split())
_LONGEST = 10
_INITIALS = re.compile(r"(?:[A-Z]\.)*[A-Z]")
_NUMBERING = re.compile(r"\d{1,3}|[IVXLC]{1,6}|[A-Za-z]")


def split_sentences(text: str, splitter: str = "punctuation") -> list[str]:
    r"""Cut a text into sentences, in order and without the white space around them; nothing else is lost.

    Args:
        text: any text.
        splitter: a name in `SPLITTERS`. "punctuation", for English and languages written like it: a sentence ends at
            a full stop, an exclamation or question mark or an ellipsis, and at a blank line, but not at the end of a
            line, and not behind titles, initials and numbers of a list. "lines": each line is a sentence.

    Raises:
        UsageError: when there is no such splitter.

    Example:
        >>> split_sentences("Mr. Hale came at 5.30 p.m. on\nMonday. \"Why?\" he asked. Nobody knew.")
        ['Mr. Hale came at 5.30 p.m. on\nMonday.', '"Why?" he asked.', 'Nobody knew.']
    """
    if splitter not in SPLITTERS:
        near = get_close_matches(splitter, SPLITTERS, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise UsageError(f"there is no splitter {splitter!r}. {hint}Known are {', '.join(SPLITTERS)}")
    return SPLITTERS[splitter](text)


def _at_punctuation(text: str) -> list[str]:
    sentences = []
    begin = 0
    for found in _BOUNDARY.finditer(text):
        at, end = found.span()
        if text[at] == "." and _goes_on(text, begin, at, end):
            continue
        if sentence := text[begin:end].strip():
            sentences.append(sentence)
        begin = end
    if rest := text[begin:].strip():
        sentences.append(rest)
    return sentences


def _goes_on(text: str, begin: int, at: int, end: int) -> bool:
    """True when the full stop at `at` belongs to the word before it, and a sentence that began at `begin` goes on."""
    before = text[max(begin, at - _LONGEST) : at]
    if (tail := before[-7:]).islower() and tail.isalpha() and len(tail) == 7:  # longer than any word below
        return False
    words = before.split()
    if not words or before[-1].isspace() or text.count("\n", at, end) > 1:
        return False
    word = words[-1].lstrip(_OPENERS)
    if word.lower() in _TITLES or (_INITIALS.fullmatch(word) and word != "I"):
        return True
    if word.lower() in _COUNTED:
        return text[end].isdigit()
    return _NUMBERING.fullmatch(word) is not None and text[begin:at].strip() == words[-1]


def _at_line_ends(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if line]


SPLITTERS: Mapping[str, Splitter] = MappingProxyType({"punctuation": _at_punctuation, "lines": _at_line_ends})
