"""Words out of raw text, the pieces that decide about them, and the windows in which they are decided."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polarbert.text import Pieces, WordPieceTokenizer, cut_windows
from polarbert.text.words import cut_words, first_pieces, split_words


def words_of(text: str) -> list[str]:
    return [text[start:end] for start, end in split_words(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It works.", "It works ."),
        ("(Leeds), York!", "( Leeds ) , York !"),
        ("wait... what?! no!!", "wait ... what ? ! no !!"),
        ("the U.S. and e.g. Ph.D. at 5 p.m.", "the U.S. and e.g. Ph.D. at 5 p.m."),
        ("Mr. Hale of Larkspur Inc. and J. Reed", "Mr. Hale of Larkspur Inc. and J. Reed"),
        ("So did I. Fine etc.", "So did I . Fine etc."),
        ("Leeds's they'll it’s O'Neill rock'n'roll", "Leeds 's they 'll it ’s O'Neill rock'n'roll"),
        ("users' 'quoted'", "users ' ' quoted '"),
        ("e-mail and/or 4.2.1 5:30 1,000.50 50%", "e-mail and/or 4.2.1 5:30 1,000.50 50 %"),
        ("-5 +3 .5 $5.70 €3", "-5 +3 .5 $ 5.70 € 3"),
        ("C++, C#. A+ (c++)", "C++ , C# . A+ ( c++ )"),
        ("@kestrow: #win @ # -", "@kestrow : #win @ # -"),
        ("word(s) f(x)) [1]", "word(s) f(x) ) [ 1 ]"),
        (
            "see https://a.example/b--c?d=(e)/. www.a.example, ok",
            "see https://a.example/b--c?d=(e)/ . www.a.example , ok",
        ),
        ("great😀whole Orrin™ ❤️❤️", "great 😀 whole Orrin ™ ❤️❤️"),
        ("well...then Leeds—York a--b end…", "well ... then Leeds — York a -- b end …"),
        ("我爱Leeds吗", "我 爱 Leeds 吗"),
        ("  \t\n ", ""),
        ("", ""),
    ],
)
def test_the_rule(text: str, words: str) -> None:
    assert words_of(text) == words.split()


@given(st.text())
def test_every_character_but_white_space_is_in_one_word(text: str) -> None:
    spans = split_words(text)
    assert all(start < end for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    inside = {place for start, end in spans for place in range(start, end)}
    assert inside == {place for place, character in enumerate(text) if not character.isspace()}


@given(st.text(alphabet='aBü1(),!;:?/"%😀中— \n', max_size=30))
def test_words_that_stand_apart_already_stay_as_they_are(text: str) -> None:
    """So training data, words with blanks between them, is cut as it was."""
    words = words_of(text)
    assert words_of(" ".join(words)) == words


def test_a_long_run_of_anything_takes_no_time_to_speak_of() -> None:
    for text in ("!?" * 50_000, "')]" * 40_000, "a-" * 50_000, "(a" * 50_000, "'s" * 50_000):
        assert split_words(text)


def test_the_first_piece_of_a_word_decides(tokenizer: WordPieceTokenizer) -> None:
    text = "great \x07 Leeds, phones"
    pieces = tokenizer.encode([text], offsets=True)[0]
    words = split_words(text)
    starts = [pieces.offsets[n][0] if n >= 0 else None for n in first_pieces(pieces, words).tolist()]
    assert starts == [0, None, 8, 13, 15]


def test_a_word_without_a_piece_of_its_own_has_none() -> None:
    pieces = Pieces([5, 6], [(0, 10), (11, 12)])
    assert first_pieces(pieces, [(0, 4), (4, 5), (5, 10), (11, 12)]).tolist() == [0, -1, -1, 1]
    assert first_pieces(Pieces([], []), [(0, 1)]).tolist() == [-1]


@given(st.integers(0, 60), st.integers(4, 20), st.integers(0, 12))
def test_each_word_is_decided_once_where_it_has_most_context(length: int, size: int, overlap: int) -> None:
    """Brute force: of the windows a piece is in, the first with the greatest distance to an end that is no text's."""
    pieces = Pieces(list(range(100, 100 + length)), [(2 * n, 2 * n + 1) for n in range(length)])
    words = [(2 * n, 2 * n + 1) for n in range(length)]
    windows = cut_words(pieces, words, size, overlap)
    parts = cut_windows(length, size, min(overlap, size // 2))
    assert [window.ids for window in windows] == [pieces.ids[start:end] for start, end in parts]
    for word in range(length):
        context = {
            number: min(word - start if start else length, end - 1 - word if end < length else length)
            for number, (start, end) in enumerate(parts)
            if start <= word < end
        }
        best = max(context, key=lambda number: context[number])
        here = [number for number, window in enumerate(windows) if word in window.words.tolist()]
        assert here == [best]
        place = windows[best].words.tolist().index(word)
        assert windows[best].ids[windows[best].pieces[place]] == pieces.ids[word]
