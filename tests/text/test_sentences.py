"""Nothing is lost, broken lines make no sentences, and the usual traps are no boundaries."""

from __future__ import annotations

import textwrap
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polarbert.errors import UsageError
from polarbert.text.sentences import SPLITTERS, split_sentences

# Sentences, one a line; each block is a text.
TEXTS = {
    "marks": ["It rained.", "Did it?", "It did!", "Really?!", "Well…", "And then it stopped"],
    "quotations": ['"Who is there?" he asked.', '"Nobody," she said.', "'Go on.'", "“Curly.”", "He left. . . ."],
    "speech of several sentences": ['She said: "Go.', 'Now."', "Nobody moved."],
    "brackets": ["(This stands alone.)", "This (as you see!) goes on.", "[A note.]", "_Emphasis!_", "*Stars.*", "End."],
    "titles": ["Mr. and Mrs. Hale met Dr. Lund on St. Brannoc's day.", "Prof. Ek came too."],
    "initials": ["J. K. Marsh wrote it.", "The U.S. Navy bought it.", "He and I.", "Then we left."],
    "abbreviations": ["Take fruit, e.g. Apples or i.e. Pears.", "Ask at 5 p.m. on Friday.", "Close at 6 p.m.", "Yes."],
    "continuing": ["We sell pens, ink, etc. and paper.", "At approx. Noon it ended.", "He said no.", "She did not."],
    "numbers": [
        "It costs $3.50 or 4.",
        "Then 1.000 more.",
        "See no. 5 and Fig. 3 on p. 7.",
        "No.",
        "In 1860.",
        "7 came.",
    ],
    "lists": ["1. Buy bread.", "2. Eat it.", "IV. Rest.", "V. Sleep."],
    "addresses": ["Visit example.com/a.b?c=D now.", "Write to ann.lee@example.org!", "Node.js is a name."],
    "other letters": ["Es regnet.", "Über uns nicht.", "À bientôt!", "Это снег.", "Да.", "Ende."],
    "emoji": ["Great!", "😀 Love it.", "Bye 👋"],
    "dashes": ["Wait!—he said so.", "Stop. – no, go on.", "He came. (he always did.)", "Then he left."],
}


@pytest.mark.parametrize("name", TEXTS)
def test_sentences_are_found(name: str) -> None:
    assert split_sentences(" ".join(TEXTS[name])) == TEXTS[name]


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("width", [12, 25, 70])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_broken_at_a_width_make_no_sentences(name: str, width: int, end: str) -> None:
    lines = textwrap.wrap(" ".join(TEXTS[name]), width, break_long_words=False, break_on_hyphens=False)
    assert [" ".join(found.split()) for found in split_sentences(end.join(lines))] == TEXTS[name]


@pytest.mark.parametrize("gap", ["\n\n", "\r\n\r\n", "\n \t\n", "\n\n\n\n", "\r\n\n\r\n"])
def test_a_blank_line_ends_a_sentence_whatever_stands_around_it(gap: str) -> None:
    parts = ["CHAPTER I", "It was told by Mr.", "small letters go on,", "and on"]
    assert split_sentences(gap.join(parts)) == parts


def test_lines_as_sentences() -> None:
    assert split_sentences("One. Two.\r\n\n  three \n", "lines") == ["One. Two.", "three"]


@pytest.mark.parametrize("splitter", SPLITTERS)
@pytest.mark.parametrize("text", ["", " ", "\n\n \r\n", "\u2028"])
def test_a_blank_text_has_no_sentences(splitter: str, text: str) -> None:
    assert split_sentences(text, splitter) == []


BITS = st.sampled_from(
    [
        ". ",
        "... ",
        "! ",
        "?\n",
        "\n\n",
        "\r\n",
        "Mr. ",
        "e.g. ",
        "A. ",
        "1. ",
        "no. ",
        '"',
        "”",
        "’ ",
        "(",
        ") ",
        "word ",
        "Word",
    ]
)


@settings(max_examples=300)
@given(st.sampled_from([*SPLITTERS]), st.text() | st.lists(BITS | st.text(max_size=3), max_size=30).map("".join))
def test_only_white_space_is_lost(splitter: str, text: str) -> None:
    found = split_sentences(text, splitter)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(sentence and sentence == sentence.strip() for sentence in found)


@given(st.lists(BITS, max_size=30).map("".join))
def test_a_sentence_alone_is_not_cut_again(text: str) -> None:
    """A boundary does not depend on what follows the sentence behind it."""
    found = split_sentences(text)
    assert [split_sentences(sentence) for sentence in found[:-1]] == [[sentence] for sentence in found[:-1]]


UNITS = [
    ".",
    "!",
    '"',
    '."',
    ". (",
    ".  ",
    "(",
    "\n ",
    " ",
    "Mr. ",
    "1. ",
    "A. ",
    "no. ",
    '"Go. ',
    "“Go. ",
    "…”) ",
    "a",
]


@pytest.mark.parametrize("unit", UNITS)
def test_a_text_of_one_thing_alone_takes_no_longer_than_others(unit: str) -> None:
    text = unit * (400_000 // len(unit))
    started = time.process_time()
    split_sentences(text)
    assert time.process_time() - started < 5, "the time grows with the square of the length"


def test_an_unknown_splitter_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no splitter 'line'\. Did you mean lines\? Known are punctuation, lines"):
        split_sentences("a", "line")
