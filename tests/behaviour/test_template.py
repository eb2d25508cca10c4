"""Filling templates: words, articles, choices; and the changes of texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polarbert.behaviour.perturbation import PERTURBATIONS
from polarbert.behaviour.template import Filling, article, seeded, skeletons_of, slot_names

WORDS = {"thing": ("lamp", "ice bucket"), "good": ("fine", "honest"), "name": ("Ada", "Bo", "Cy")}


def fill(template: str, seed: str = "0") -> str:
    return Filling(WORDS, seeded(seed)).fill(template)


def test_a_slot_has_one_word_in_all_texts_of_a_case() -> None:
    filling = Filling(WORDS, seeded("x"))
    first, second = filling.fill("The {thing} is {good}."), filling.fill("Is the {thing} {good}?")
    word, praise = first[4:-1].split(" is ")
    assert second == f"Is the {word} {praise}?"


@given(st.text(max_size=5))
def test_numbered_slots_have_different_words(seed: str) -> None:
    names = fill("{name} {name#2} {name#3}", seed).split()
    assert sorted(names) == ["Ada", "Bo", "Cy"]


@pytest.mark.parametrize(
    ("word", "found"),
    [("apple", "an"), ("lamp", "a"), ("hour", "an"), ("honest man", "an"), ("user", "a"), ("Ukrainian", "a"),
     ("European", "a"), ("Indian", "an"), ("unusual day", "an"), ("one-off", "a")],
)  # fmt: skip
def test_the_article_goes_by_sound(word: str, found: str) -> None:
    assert article(word) == found


def test_sentences_begin_with_capitals() -> None:
    words = {"a": ("one",), "b": ("two",)}
    assert Filling(words, seeded("")).fill("{a} and {b}. {b}! {a}? {a}: {b}.") == "One and two. Two! One? One: two."


@given(st.text(max_size=8))
def test_a_choice_is_one_of_its_parts(seed: str) -> None:
    assert fill("It [is|was|has been] so", seed) in ("It is so", "It was so", "It has been so")


def test_other_seeds_give_other_texts_and_equal_seeds_equal_ones() -> None:
    made = [fill("{name} has {a thing}, and it is {good}", str(seed)) for seed in range(200)]
    assert made == [fill("{name} has {a thing}, and it is {good}", str(seed)) for seed in range(200)]
    assert len(set(made)) == 12


def test_slots_and_skeletons_of_a_template() -> None:
    assert slot_names("{a thing}, {name#2} [is|was] {good}") == {"thing", "name", "good"}
    assert skeletons_of("{a thing} [is|was] {good}, isn't it?") == ["_ is _ isn't it", "_ was _ isn't it"]


TEXT = "He is so sure that the waiter did not forget his order, and it is cold."
CHANGED = {
    "contract": "He is so sure that the waiter didn't forget his order, and it's cold.",
    "stretch": "He is sooo sure that the waiter did not forget his order, and it is cold.",
    "female": "She is so sure that the waitress did not forget her order, and it is cold.",
    "bare": "He is so sure that the waiter did not forget his order and it is cold",
    "exclaim": "He is so sure that the waiter did not forget his order, and it is cold!",
    "trail": "He  is  so  sure  that  the  waiter  did  not  forget  his  order,  and  it  is  cold .",
    "lower": TEXT.lower(),
    "upper": TEXT.upper(),
    "title": "He Is So Sure That The Waiter Did Not Forget His Order, And It Is Cold.",
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_change_does_what_it_says(name: str) -> None:
    assert PERTURBATIONS[name](TEXT, seeded("")) == CHANGED[name]


@given(st.text(max_size=5))
def test_a_slip_of_the_keyboard_is_in_one_word_and_keeps_its_first_letter(seed: str) -> None:
    for name, longer in (("slip", 0), ("drop", -1), ("double", 1)):
        changed = PERTURBATIONS[name](TEXT, seeded(seed))
        different = [(a, b) for a, b in zip(TEXT.split(), changed.split(), strict=True) if a != b]
        assert len(different) <= 1
        assert len(changed) == len(TEXT) + longer
        for before, after in different:
            assert before[0] == after[0]
            assert set(after) <= set(before)


def test_a_text_without_long_words_has_no_slip() -> None:
    assert PERTURBATIONS["slip"]("It is on, or so I am told.", seeded("")) == "It is on, or so I am told."
