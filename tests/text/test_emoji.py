"""The symbols that get pieces of their own, and the words that name them."""

from __future__ import annotations

import re
import unicodedata

from polarbert.text.emoji import EMOJI, EMOTICONS_ALONE, EMOTICONS_ANYWHERE, MEANINGS, MODIFIERS, symbols


def test_every_symbol_is_listed_once_and_named_in_plain_words() -> None:
    named = symbols()
    assert len(named) == len(EMOJI) + len(EMOTICONS_ANYWHERE) + len(EMOTICONS_ALONE)
    assert all(re.fullmatch(r"[a-z0-9]+( [a-z0-9]+)*", words) for words in named.values())


def test_names_say_what_people_mean() -> None:
    named = symbols()
    assert named["👍"] == "good approve"
    assert named["🌞"] == "sun"
    assert named[":("] == "sad unhappy"


def test_every_meaning_belongs_to_a_symbol() -> None:
    assert set(EMOJI) >= MEANINGS.keys()


def test_symbols_are_single_characters_and_no_modifiers() -> None:
    assert not [symbol for symbol in EMOJI if re.search(MODIFIERS, symbol) or symbol.isalnum()]


def test_modifiers_are_taken_from_a_sequence_and_nothing_else_is() -> None:
    assert re.sub(MODIFIERS, "", "👍🏽❤️🤷‍♀️1️⃣ a\N{COMBINING ACUTE ACCENT}♀") == "👍❤🤷1 a\N{COMBINING ACUTE ACCENT}♀"
    assert all(unicodedata.category(character) in {"Mn", "Me", "Cf", "Sk"} for character in "\ufe0f\u20e3\u200d🏽")
