"""Which clauses mention an aspect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polarbert.text.local_context import MOST_CHARACTERS, local_context
from polarbert.text.words import split_words


def found(text: str, aspect: str) -> list[str]:
    return [text[start:end] for start, end in local_context(text, aspect)]


@pytest.mark.parametrize(
    ("text", "aspect", "clauses"),
    [
        ("The soup was wonderful, but the waiter was rude.", "soup", ["The soup was wonderful"]),
        ("The soup was wonderful, but the waiter was rude.", "WAITER", ["the waiter was rude."]),
        ("Crisp screen, mushy keyboard.", "keyboard", ["mushy keyboard."]),
        ("Fine pens. The ink smears and the nib is scratchy.", "ink", ["The ink smears"]),
        ("Slow delivery (the parcel was wet) yet the book is fine", "parcel", ["Slow delivery (the parcel was wet)"]),
        ("The waiter served us :( but the food was lovely", "waiter", ["The waiter served us :("]),
        ("The food costs 10–20 dollars too much, but it comes fast", "food", ["The food costs 10–20 dollars too much"]),
        ("a, the soup is bad, b, c, d, e, f, g, h, no more soup, i", "soup", ["the soup is bad", "no more soup"]),
        ("The room is small \u2014 the view makes up for it", "view", ["the view makes up for it"]),
        (
            "The soup was hot. Bread came late. I would have the soup again!",
            "soup",
            ["The soup was hot.", "I would have the soup again!"],
        ),
        ("Good waiter, good soup, bad wine", "soup", ["good soup"]),
        # a clause that says nothing by itself brings others
        ("Screen: superb. Keyboard: mushy.", "screen", ["Screen: superb."]),
        ("Screen: superb. Keyboard: mushy.", "keyboard", ["Keyboard: mushy."]),
        ("The screen, battery and case are great; support is not", "battery", ["battery and case are great"]),
        ("Screen: superb, keyboard: mushy", "screen", ["Screen: superb"]),
        ("The soup, salad and bread were cold. The wine was fine", "soup", ["The soup, salad and bread were cold."]),
        ("The waiter, John, was rude. The rest was fine", "waiter", ["The waiter, John, was rude."]),
        ("They ruined the fish and the rice, but the view is nice", "rice", ["They ruined the fish and the rice"]),
        ("Cold soup; the wine; warm bread", "wine", ["the wine"]),
        ("The case (black) is loose, the lid is not", "case", ["The case (black) is loose"]),
        ("It came with a dead mouse, the keyboard", "keyboard", []),
        ("Loud fan. The case, 👍, is nice", "case", ["The case, 👍, is nice"]),
    ],
)
def test_the_clauses_that_mention_it(text: str, aspect: str, clauses: list[str]) -> None:
    assert found(text, aspect) == clauses


@pytest.mark.parametrize(
    ("text", "aspect"),
    [
        ("The batteries die, the screen is fine", "battery"),
        ("The battery dies, the screen is fine", "batteries"),
        ("The glasses broke, the case is fine", "glass"),
        ("The price is fair, the case is not", "prices"),
        ("The movie was dull, the case is fine", "movies"),
        ("The dish was cold, the case is fine", "dishes"),
        ("The lenses broke, the case is fine", "lens"),
        ("The lens broke, the case is fine", "lenses"),
        ("The boxes broke, the case is fine", "box"),
        ("The chef\u2019s menu was cold, the case is fine", "chef's menu"),
        ("The US office is rude, they told us so", "US"),
        ("The news is bad, the new anchor is fine", "news"),
        ("Battery  life is short, the case is fine", "battery life"),
        ("The cafe\u0301 is cold, the case is fine", "caf\u00e9"),
        ("The caf\u00e9 is cold, the case is fine", "cafe\u0301"),
        ("The caf\u00e9s are cold, the case is fine", "cafe\u0301"),
    ],
)
def test_one_and_many_are_the_same(text: str, aspect: str) -> None:
    assert len(found(text, aspect)) == 1
    assert found(text, aspect)[0] == text.split(",", maxsplit=1)[0]


@pytest.mark.parametrize(
    ("text", "aspect"),
    [
        ("The soup was wonderful, but the waiter was rude.", "parking"),  # not mentioned
        ("The soup was wonderful.", "soup"),  # nothing else is said
        ("bread and butter", "bread and butter"),
        ("soup", "soup"),
        ("souper, duper", "soup"),  # another word
        ("", "soup"),
        ("The soup, the wine", " "),
        (f"The {'soup' * MOST_CHARACTERS} is cold, the wine is fine", "soup" * MOST_CHARACTERS),
    ],
)
def test_where_there_is_none(text: str, aspect: str) -> None:
    assert found(text, aspect) == []


def test_a_name_with_a_boundary_in_it_is_not_cut() -> None:
    assert found("The bar-and-grill is loud, the rooms are not", "bar-and-grill") == ["The bar-and-grill is loud"]
    assert found("Salt and Smoke is loud, the rooms are not", "salt and smoke") == ["Salt and Smoke is loud"]
    assert found("C++ (fast) is hard, C# is not", "c++") == ["C++ (fast) is hard"]


WORDS = [
    "soup",
    "was",
    "bad",
    ",",
    "but",
    ".",
    "!",
    "(",
    ")",
    "-",
    "\n",
    "and",
    "Soup",
    "😀",
    ":",
    ":(",
    "10–20",
    "x—y",
    ";",
]


@given(st.lists(st.sampled_from(WORDS), max_size=60), st.sampled_from(["soup", "was bad", "and"]))
def test_clauses_stand_in_order_apart_and_each_has_words(words: list[str], aspect: str) -> None:
    text = " ".join(words)
    spans = local_context(text, aspect)
    places = [place for span in spans for place in span]
    assert places == sorted(set(places))
    own = split_words(text)
    for start, end in spans:
        assert any(sign.isalnum() for sign in text[start:end])
        assert start in {first for first, _ in own}, "no word is cut in two"
        assert end in {behind for _, behind in own}
    if spans:
        assert aspect.split(maxsplit=1)[0] in " ".join(text[start:end] for start, end in spans).lower()
        assert sum(end - start for start, end in spans) < len(text)


def test_time_grows_with_the_length_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def counted(part: str) -> list[tuple[int, int]]:
        calls.append(len(part))
        return split_words(part)

    monkeypatch.setattr("polarbert.text.local_context.split_words", counted)
    text = "The soup, wine was fine and good. " * 2000
    assert len(local_context(text, "soup")) == 2000
    assert sum(calls) < 2 * len(text)
