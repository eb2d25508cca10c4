"""Nothing is lost, broken lines make no sentences, and the usual traps are no boundaries."""

from __future__ import annotations

import textwrap
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polarbert.errors import UsageError
from polarbert.text.sentences import SPLITTERS, sentence_spans, split_sentences

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


# Reviews, "|" between their sentences in place of white space.
REVIEWS = [
    "Great screen!!!|but the battery is awful.|would not buy",
    "well... it works.|Not for long.|I waited… nothing.|Wait...|What?!",
    "Rated 4.5 of 5, v2.0.1 for $4.99.|Dies by 3.30 p.m. every day.|Approx. 5 days etc. and so on.",
    "Mr. Hale of Larkspur Inc. and the U.S. Navy, e.g. apples.|See no. 5.",
    "Love it 😍😍|Works.|Great! 😀 👍|Bye",
    "Love the camera 😍|Battery is awful 😡",
    "Thanks! :)|Works again :D|Would not :( but did",
    "I ❤ London and I <3 Paris|",
    "great app.|",
    "no punctuation at all just words and more words",
    "pros:|- light|- cheap|cons:|* slow|1. First|2) second|",
    "Nice<br /><br />|But long.<br>|End",
    'He said "Help!" and left.|(Really!)|"Never again." she wrote',
    "Great ! ! !|Bad . . .|Worse",
    "I like it,|",
    "• one|• two",
    "Wait! - no, go on.|Then",
]


@pytest.mark.parametrize("review", REVIEWS)
def test_sentences_of_reviews(review: str) -> None:
    for blank in (" ", "  ", "\n\n"):
        if blank != "\n\n" and "- light" in review:
            continue  # a bullet begins a line
        text = review.replace("|", blank)
        wanted = [part for part in review.split("|") if part]
        assert [text[start:end] for start, end in sentence_spans(text)] == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("great app.Love it!But slow", ["great app.", "Love it!", "But slow"]),
        ("see www.Foo.Com/x and Node.js, ask ann.Lee@example.org", None),
        ("Ph.D. and B.Sc. and 4.5/5 and a.m.", None),
        ("one\ntwo\n\nthree", ["one", "two", "three"]),
        ("this line is broken at a width of some forty\nor more characters", None),
        ("one,\n, two", None),
        ("... \n!!!", None),
        ("Good. !!!", None),
        ("!!! Good", None),
        ("one\r\ntwo\u2028three", ["one", "two", "three"]),
        ("", []),
        (" \n\t", []),
    ],
)
def test_what_ends_a_sentence_of_a_review_and_what_does_not(text: str, wanted: list[str] | None) -> None:
    assert [text[start:end] for start, end in sentence_spans(text)] == ([text] if wanted is None else wanted)


REVIEW_BITS = BITS | st.sampled_from("😀|❤ |:) |<br />|• |\n- |etc. |app.Love |…|3.5 |p.m. ".split("|"))
SINGLE = ["\r", "\n", "a\r", "😀", "😀 ", ":) ", ".\u2019", "a.B", "ab.Cd", "<br>", "•", "a\n", "... a", "\u200d"]


@settings(max_examples=300)
@given(st.text() | st.lists(REVIEW_BITS | st.text(max_size=3), max_size=30).map("".join))
def test_spans_hold_every_character_but_white_space_once(text: str) -> None:
    spans = sentence_spans(text)
    assert all(text[start:end] and text[start:end] == text[start:end].strip() for start, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    inside = {place for start, end in spans for place in range(start, end)}
    assert inside >= {place for place, character in enumerate(text) if not character.isspace()}


@pytest.mark.parametrize("unit", [*UNITS, *SINGLE])
def test_spans_of_one_thing_alone_take_no_longer_than_others(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    started = time.process_time()
    sentence_spans(text)
    assert time.process_time() - started < 5, "the time grows with the square of the length"
