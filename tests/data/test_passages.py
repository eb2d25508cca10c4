"""Passages: bounded, complete, and cut where it hurts least."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.shard_fixtures import text as document

from polarbert.data.passages import MAX_CHARACTERS, cut_passages


def cut(text: str, longest: int) -> list[str]:
    return [passage.text for passage in cut_passages([document(text)], longest)]


@given(st.lists(st.text("ab.! \n\r", max_size=60), max_size=5), st.integers(1, 20))
def test_passages_are_bounded_and_are_the_documents_again(texts: list[str], longest: int) -> None:
    passages = list(cut_passages([document(text) for text in texts], longest))
    for number, text in enumerate(texts):
        assert "".join(passage.text for passage in passages if passage.document == number) == text
    assert max((len(passage.text) for passage in passages), default=0) <= longest
    assert [passage.number for passage in passages] == [*range(len(passages))]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("one two. three\n\nfour five six", "one two. three\n\n"),
        ("one two. three\n\r\nfour five six", "one two. three\n\r\n"),
        ("one two three. four five six", "one two three. "),
        ("one two three!\nfour five six", "one two three!\n"),
        ("one two three\nfour five six", "one two three\n"),
        ("one two three four five six", "one two three four "),
        ("onetwothreefourfivesix", "onetwothreefourfives"),
    ],
)
def test_a_long_text_is_cut_at_the_best_place_of_its_second_half(text: str, first: str) -> None:
    assert cut(text, 20)[0] == first


def test_a_break_in_the_first_half_leaves_no_stub() -> None:
    assert cut("a\n\nlong line of words", 12) == ["a\n\nlong ", "line of ", "words"]


def test_a_text_as_long_as_may_be_stays_whole() -> None:
    assert len(cut(" " * MAX_CHARACTERS, MAX_CHARACTERS)) == 1
