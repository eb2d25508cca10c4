"""Documents cut into sentences, by splitters known by name; and reviews cut into sentences, with their places.

For pre-training a sentence is a stretch of text that is never torn apart (BERT, section 3.1), so a boundary missed or
set too much costs little. What counts is that nothing is lost, that lines broken at a fixed width make no sentences,
and that it takes a small part of the time that tokenising takes.

People who write reviews begin sentences with small letters, end them with emoji or with nothing, and press Enter
between them. `sentence_spans` cuts such texts:

1. A sentence ends at full stops, exclamation and question marks and ellipses, with what closes behind them and the
   emoji and emoticons that follow, before white space; also before a small letter, unless the mark is an ellipsis, or
   closes a quotation or bracket, or the full stop belongs to an abbreviation, an initial or the number of a list.
2. It ends at an emoji or emoticon, other than a heart, before a word with a capital; and at a mark between a word in
   small letters and one with a capital, as in "great app.Love it".
3. It ends at a blank line, at a `<br>`, before a bullet, and at the end of a line, unless a mark follows, or a small
   letter does and the line is long enough to have been broken at a width.
4. What has no word and no symbol is no sentence and goes with the one before it, or else the one behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

from polarbert.errors import UsageError
from polarbert.text.emoji import EMOTICONS_ALONE, EMOTICONS_ANYWHERE, MODIFIERS
from polarbert.text.tokenizer import is_wordless

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

# What may end a sentence of a review. A run of anything is taken whole, at its first, so the time is linear.
_HEARTS = "\u2764\u2665\u2763\U0001f493-\U0001f49f\U0001f5a4\U0001f90d\U0001f90e\U0001f9e1"  # "I ❤ London" is one
_SYMBOL = rf"[\u2600-\u27bf\u2b50\u2b55\U0001f300-\U0001faff](?:{MODIFIERS})*+"
_EMOTICON = "|".join(re.escape(face) for face in sorted({**EMOTICONS_ANYWHERE, **EMOTICONS_ALONE}, key=len)[::-1])
_FACE = rf"(?:{_SYMBOL}|(?:{_EMOTICON})(?!\S))"
_FACES = rf"{_FACE}(?:[^\S\n]*+{_FACE})*+"
_REVIEW_END = re.compile(
    rf"(?P<marks>[.!?…]++)(?P<closed>[{re.escape(_CLOSERS)}]*+)(?P<after>[^\S\n]*+{_FACES})?"
    rf"|(?P<faces>(?:(?<!\S)|(?=[^\x00-\x7f])){_FACES})"
    r"|(?P<tag>(?:<br ?/?>\s*+)++)"
    r"|(?P<line>[\n\r\x85\u2028\u2029]\s*+)"
    r"|(?P<bullet>(?=\u2022))",
    re.IGNORECASE,
)
_BLANKS = re.compile(r"\s*+")
_BULLET = re.compile(r"[-*+\u2022\u2013\u2014\u25aa\u25e6\u00b7]\s|\d{1,3}[.)]\s")
_ALL_HEARTS = re.compile(rf"(?:[{_HEARTS}]|{MODIFIERS}|</?3|\s)+")
_SMALL_FOLLOWS = frozenset("etc inc ltd co corp min max incl excl ca avg dept est misc".split())
_DOTTED = re.compile(r"(?:[A-Za-z]{1,2}\.)+[A-Za-z]{1,2}")
_DASHES = "-\u2013\u2014"
_CONTINUING = ",;:.!?…)]}"
_LONGEST_ADDRESS, _SHORT_LINE = 200, 40


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


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """The sentences of a review, tweet or comment, by the rule above.

    Every character that is no white space is in exactly one sentence, and none begins or ends with white space.

    Returns:
        (start, end) of each, in characters, in order; of a text without punctuation or line ends, one.

    Example:
        >>> text = "Great screen!!! 😍 but the battery... dies by 3.30 p.m. every day. would not buy"
        >>> [text[start:end] for start, end in sentence_spans(text)]
        ['Great screen!!! 😍', 'but the battery... dies by 3.30 p.m. every day.', 'would not buy']
    """
    ends: list[int] = []
    begin = _behind_blanks(text, 0)
    for found in _REVIEW_END.finditer(text):
        if found.start() > begin and _ends_review_sentence(text, begin, found):
            ends.append(found.end())
            begin = _behind_blanks(text, found.end())
    return _with_words(text, _trimmed(text, [*ends, len(text)]))


def _ends_review_sentence(text: str, begin: int, found: re.Match[str]) -> bool:
    """Whether a sentence that began at `begin` ends at what was found."""
    end = found.end()
    at = _behind_blanks(text, end)
    if found["line"] is not None:
        return _ends_at_line(text, begin, found)
    if found["faces"] is not None:
        return at > end and _is_capitalised(text, at) and _ALL_HEARTS.fullmatch(found["faces"]) is None
    if found["marks"] is not None:
        return _ends_with_blank(text, begin, found, at) if at > end else _ends_without_blank(text, begin, found)
    return True


def _ends_with_blank(text: str, begin: int, found: re.Match[str], at: int) -> bool:
    """Whether marks end a sentence that have white space behind them, up to `at`."""
    following = text[at : at + 1]
    is_dash = following in _DASHES and _BULLET.match(text, at) and "\n" not in text[found.end() : at]
    if following in _CONTINUING or is_dash:
        return False
    small = following.islower() and found["after"] is None
    if found["marks"] == "." and not found["closed"]:
        stop = found.start()
        return not (_goes_on(text, begin, stop, at) or (small and _is_cut_short(text, begin, stop)))
    ellipsis = found["marks"] != "." and found["marks"].strip(".…") == ""
    return not (small and (ellipsis or found["closed"]))


def _ends_at_line(text: str, begin: int, found: re.Match[str]) -> bool:
    """Whether a line end is more than a line broken at a width."""
    start, at = found.span()
    if len(found["line"].splitlines()) > 1 or _BULLET.match(text, at):
        return True
    line = text[max(begin, start - _SHORT_LINE) : start].splitlines()
    is_short = len(line) > 1 or len(line[0]) < _SHORT_LINE
    return text[at : at + 1] not in _CONTINUING and (is_short or not text[at : at + 1].islower())


def _ends_without_blank(text: str, begin: int, found: re.Match[str]) -> bool:
    """Whether a mark ends a sentence though the next begins at once, as in "great app.Love it"."""
    at, end = found.span()
    if found["closed"] or found["after"] or found["marks"].strip("!?") not in ("", "."):
        return False
    before = text[max(begin, at - 2) : at]
    if len(before) < 2 or not (before.isalpha() and before.islower() and _is_capitalised(text, end)):
        return False
    chunk = text[max(begin, at - _LONGEST_ADDRESS) : at].rsplit(maxsplit=1)[-1]
    chunk += text[at : at + _LONGEST_ADDRESS].split(maxsplit=1)[0]
    return not any(sign in chunk for sign in ("/", "@", "www."))


def _behind_blanks(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks else at


def _is_capitalised(text: str, at: int) -> bool:
    """A capital before a small letter, an apostrophe or white space stands at `at`."""
    second = text[at + 1 : at + 2]
    return text[at : at + 1].isupper() and (second.islower() or second in "'\u2019" or second.isspace())


def _is_cut_short(text: str, begin: int, at: int) -> bool:
    """Whether the word before the full stop at `at` is one of the abbreviations behind which small letters go on."""
    words = text[max(begin, at - _LONGEST) : at].split()
    word = words[-1].lstrip(_OPENERS) if words and not text[at - 1].isspace() else ""
    return word.lower() in _SMALL_FOLLOWS or _DOTTED.fullmatch(word) is not None


def _trimmed(text: str, ends: list[int]) -> list[tuple[int, int]]:
    """The stretches between `ends` without the white space around them, empty ones left out."""
    spans = []
    begin = 0
    for end in ends:
        stretch = text[begin:end]
        start = begin + len(stretch) - len(stretch.lstrip())
        stop = begin + len(stretch.rstrip())
        if start < stop:
            spans.append((start, stop))
        begin = end
    return spans


def _with_words(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans, those that say nothing put to a neighbour."""
    joined: list[tuple[int, int]] = []
    waiting: int | None = None
    for start, end in spans:
        if not is_wordless(text[start:end]):
            joined.append((start if waiting is None else waiting, end))
            waiting = None
        elif joined:
            joined[-1] = (joined[-1][0], end)
        elif waiting is None:
            waiting = start
    return joined if waiting is None else [(waiting, spans[-1][1])]
