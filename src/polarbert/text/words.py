"""Words of a text, and which word pieces decide what is said of each.

Corpora of tagged words come cut into words already, with punctuation apart; what people write does not. `split_words`
cuts a text about as such corpora are cut:

1. White space ends a word. Each Chinese, Japanese or Korean ideograph, and each run of one emoji or other symbol
   (as in "great😀", "Orrin™"), is a word of its own.
2. Punctuation before and behind a word is apart, each mark for itself, a run of one mark ("...", "!!") as one. What is
   inside stays: hyphens, apostrophes, full stops and slashes, as in "e-mail", "O'Neill", "4.2.1", "and/or"; but an
   ellipsis, an em dash or two hyphens separate words inside as well.
3. These stay with their word: the full stop of an abbreviation of letters ("U.S.", "e.g."), of an initial ("J.") and
   of some common abbreviations ("Mr.", "Inc."); @ and # before a name; a sign or point before a number; + and # behind
   a word ("C++", "C#"); a bracket whose partner is inside ("word(s)"); everything in a web address.
4. English endings with an apostrophe are apart, as in "Leeds 's", "they 'll".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polarbert.text.tokenizer import Pieces
from polarbert.text.windows import cut_windows

Offsets = tuple[int, int]

_IDEOGRAPHS = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"
_CHUNK = re.compile(r"\S+")
_PLAIN = re.compile(rf"[^\W{_IDEOGRAPHS}]+")  # the most common chunk: nothing to take apart
_SEPARATOR = re.compile(rf"[{_IDEOGRAPHS}]|\.\.+|\u2026+|\u2014+|--+")
_ADDRESS = re.compile(r"(?:https?://|www\.)\w", re.IGNORECASE)
_ENDING = re.compile(r"['\u2019](?:s|m|d|re|ve|ll)(?!\w)", re.IGNORECASE)
_ABBREVIATION = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}|[A-HJ-Z]")
_ABBREVIATED = frozenset(
    "mr mrs ms dr prof st jr sr rev gen gov sen rep lt col capt sgt inc corp co ltd vs etc".split()
)
_UPON_SYMBOLS = frozenset(["Mn", "Cf", "Sk"])  # selectors, joiners and skin tones
_BRACKETS = {")": "(", "]": "[", "}": "{"}
_LONGEST_ABBREVIATION, _LONGEST_WITH_BRACKETS = 12, 100


def split_words(text: str) -> list[Offsets]:
    """The words of a text, by the rule above.

    Every character that is no white space is in exactly one word.

    Returns:
        (start, end) of each, in characters, in order.

    Example:
        >>> text = "Mr. Hale's U.S. flight (to Leeds) was late..."
        >>> [text[start:end] for start, end in split_words(text)]
        ['Mr.', 'Hale', "'s", 'U.S.', 'flight', '(', 'to', 'Leeds', ')', 'was', 'late', '...']
    """
    words: list[Offsets] = []
    for chunk in _CHUNK.finditer(text):
        start, end = chunk.span()
        if _PLAIN.fullmatch(text, start, end):
            words.append((start, end))
        else:
            words += _taken_apart(text, start, end)
    return words


def _taken_apart(text: str, start: int, end: int) -> list[Offsets]:
    """The words of a stretch without white space."""
    if _ADDRESS.match(text, start, end):
        return _peeled(text, start, end)
    words: list[Offsets] = []
    begun = at = start
    while at < end:
        length = _separator(text, at, end)
        if length:
            words += [*_peeled(text, begun, at), (at, at + length)]
            begun = at + length
        at += length or 1
    return [*words, *_peeled(text, begun, end)]


def _separator(text: str, at: int, end: int) -> int:
    """How many characters the symbol, ideograph, ellipsis or dash has that stands here; 0 where none does."""
    if found := _SEPARATOR.match(text, at, end):
        return found.end() - at
    character = text[at]
    if character.isascii() or unicodedata.category(character) != "So":
        return 0
    after = at + 1
    while after < end and (text[after] == character or unicodedata.category(text[after]) in _UPON_SYMBOLS):
        after += 1
    return after - at


def _peeled(text: str, start: int, end: int) -> list[Offsets]:
    """A stretch with the punctuation at its ends apart."""
    before: list[Offsets] = []
    while start < end and not _begins(text, start, end):
        length = _run(text, start, end, 1)
        before.append((start, start + length))
        start += length
    after: list[Offsets] = []
    while start < end and not _ends(text, start, end):
        length = 1 if text[end - 1] in _BRACKETS else _run(text, end - 1, start - 1, -1)
        after.append((end - length, end))
        end -= length
    word = _without_ending(text, start, end) if start < end else []
    return [*before, *word, *reversed(after)]


def _run(text: str, at: int, stop: int, step: int) -> int:
    """How often the mark at `at` stands there in a row, counted forwards or backwards up to `stop`."""
    behind = at
    while behind != stop and text[behind] == text[at]:
        behind += step
    return abs(behind - at)


def _begins(text: str, start: int, end: int) -> bool:
    """Whether a word can begin with this character."""
    first, second = text[start], text[start + 1] if start + 1 < end else ""
    if _is_letter(first):
        return True
    if first in "@#":
        return second.isalnum() or second == "_"
    if first in "'\u2019":
        return second.isdigit() or _ENDING.match(text, start, end) is not None
    return first in "+-.\u2212" and second.isdigit()


def _ends(text: str, start: int, end: int) -> bool:
    """Whether a word can end with this character."""
    last = text[end - 1]
    if _is_letter(last):
        return True
    if last == ".":
        return _is_abbreviated(text[start : end - 1] if end - start <= _LONGEST_ABBREVIATION else "")
    if last in "+#":
        before = text[max(start, end - 3) : end].rstrip("+#")
        return before != "" and _is_letter(before[-1])
    if last in "/=&":
        return _ADDRESS.match(text, start, end) is not None
    opening = _BRACKETS.get(last)
    if opening is None or end - start > _LONGEST_WITH_BRACKETS:
        return False
    return text.count(opening, start, end) >= text.count(last, start, end)


def _is_letter(character: str) -> bool:
    """Letters and digits, the marks upon them, and what joins words."""
    return character.isalnum() or character == "_" or unicodedata.category(character)[0] in "MC"


def _is_abbreviated(word: str) -> bool:
    return word.lower() in _ABBREVIATED or _ABBREVIATION.fullmatch(word) is not None


def _without_ending(text: str, start: int, end: int) -> list[Offsets]:
    """A word, and its English ending apart."""
    ending = _ENDING.search(text, max(start + 1, end - 3), end)
    if ending is None or ending.end() < end or not _is_letter(text[ending.start() - 1]):
        return [(start, end)]
    return [(start, ending.start()), (ending.start(), end)]


@dataclass(frozen=True, eq=False)
class WordWindow:
    """As much of a text as a network reads at once, and the words it decides about.

    Attributes:
        ids: word pieces, without [CLS] and [SEP].
        words: (n,) numbers of the words that are decided here, rising; each word is decided in one window at most.
        pieces: (n,) where in `ids` the first piece of each stands.
    """

    ids: list[int]
    words: NDArray[np.int64]
    pieces: NDArray[np.int64]


def first_pieces(pieces: Pieces, words: Sequence[Offsets]) -> NDArray[np.int64]:
    """(words,) the number of the first piece that begins in each word; -1 for a word in which none does.

    A word of control characters has no piece, and one that is joined to its neighbour by a vocabulary without its
    symbol has none of its own.

    Args:
        pieces: of a text, with offsets.
        words: of the same text, in order.
    """
    starts = np.array([start for start, _ in pieces.offsets], dtype=np.int64)
    bounds = np.array(words, dtype=np.int64).reshape(-1, 2)
    found = np.searchsorted(starts, bounds[:, 0])
    begins = np.append(starts, np.iinfo(np.int64).max)[found]
    return np.where(begins < bounds[:, 1], found, -1)


def cut_words(pieces: Pieces, words: Sequence[Offsets], size: int, overlap: int) -> list[WordWindow]:
    """Cover a text by windows, and let each word be decided where its first piece has most context.

    Context is the distance to the nearer end of the window; an end of the text itself is no limit.

    Args:
        pieces: of a text, with offsets.
        words: of the same text, in order.
        size: most pieces in a window.
        overlap: fewest pieces that neighbours share; at most half the size is taken.
    """
    length = len(pieces.ids)
    parts = cut_windows(length, size, min(overlap, size // 2))
    first = first_pieces(pieces, words)
    window_of = _best_windows(parts, length)
    decided = np.where(first >= 0, window_of[first] if length else -1, -1)
    windows = []
    for number, (start, end) in enumerate(parts):
        here = np.flatnonzero(decided == number)
        windows.append(WordWindow(pieces.ids[start:end], here, first[here] - start))
    return windows


def _best_windows(parts: Sequence[Offsets], length: int) -> NDArray[np.int64]:
    """(length,) the number of the window in which each piece has most context, the earlier of equals."""
    best = np.zeros(length, dtype=np.int64)
    most = np.full(length, -1, dtype=np.int64)
    for number, (start, end) in enumerate(parts):
        left = np.arange(end - start) if start else np.full(end - start, length)
        right = np.arange(end - start)[::-1] if end < length else np.full(end - start, length)
        context = np.minimum(left, right)
        better = context > most[start:end]
        best[start:end][better] = number
        most[start:end][better] = context[better]
    return best
