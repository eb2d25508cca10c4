"""Many sentences at once have the pieces that each has alone, whatever is in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.shard_fixtures import bars
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from polarbert.bundle import resolve
from polarbert.data.passages import Passage
from polarbert.data.sentence_pieces import SentenceEncoder, encode_passages
from polarbert.text import WordPieceTokenizer

# What could reach across a space: joiners, accents, faces, tags, the special pieces, and other kinds of white space.
WORDS = """
    \u200d ♀ ♂ \ufe0f \u0301 é e : ) ( :) :D D: xD < <br <br/> br> > <3 3 [PAD] [SEP] [MASK] [ ] SEP
    😀 👍 🏽 great film . ! ? , … “ ” don't well-made 中 文 \x00 \x7f ## ##ing ing - _ * ½ ß İ
"""
SPACES = [" ", "  ", "\n", "\r\n", "\t", "\x1c", "\x0b", "\x85", "\u00a0", "\u2028", "\u3000"]
PIECES = [*WORDS.split(), *SPACES, " ", "", "x" * 120]
SENTENCES = st.lists(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), max_size=12)


@pytest.fixture(scope="module")
def cased(vocab: list[str]) -> WordPieceTokenizer:
    return WordPieceTokenizer.from_vocab(vocab, lowercase=False)


@pytest.fixture(scope="module")
def foreign(vocab: list[str]) -> WordPieceTokenizer:
    """Not of BERT's form: the beginning of a text is a piece of its own."""
    numbers = {piece: number for number, piece in enumerate(vocab)}
    backend = Tokenizer(models.WordPiece(numbers))
    backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Prepend("a ")])
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return WordPieceTokenizer(backend)


def same_as_alone(tokenizer: WordPieceTokenizer, sentences: list[str]) -> None:
    ids, lengths = SentenceEncoder(tokenizer).encode(sentences)
    alone = [pieces.ids for pieces in tokenizer.encode(sentences)]
    assert lengths.tolist() == [len(pieces) for pieces in alone]
    assert ids.tolist() == [piece for pieces in alone for piece in pieces]


@given(SENTENCES)
def test_uncased_with_emoji(tokenizer: WordPieceTokenizer, sentences: list[str]) -> None:
    same_as_alone(tokenizer, sentences)


@given(SENTENCES)
def test_cased(cased: WordPieceTokenizer, sentences: list[str]) -> None:
    same_as_alone(cased, sentences)


@given(SENTENCES)
def test_any_other_tokenizer(foreign: WordPieceTokenizer, sentences: list[str]) -> None:
    same_as_alone(foreign, sentences)


@given(st.lists(st.text(max_size=10), max_size=5))
def test_any_characters(tokenizer: WordPieceTokenizer, sentences: list[str]) -> None:
    same_as_alone(tokenizer, [sentence.encode("utf-8", "ignore").decode() for sentence in sentences])


def test_words_are_cut_alone_where_that_is_known_to_change_nothing(
    tokenizer: WordPieceTokenizer, cased: WordPieceTokenizer, foreign: WordPieceTokenizer
) -> None:
    embedded = WordPieceTokenizer.from_directory(resolve(None))
    assert [SentenceEncoder(each).by_words for each in (tokenizer, cased, embedded, foreign)] == [True] * 3 + [False]


def changed(vocab: list[str], *before: normalizers.Normalizer) -> WordPieceTokenizer:
    """BERT's tokenizer with other steps before its own."""
    backend = WordPieceTokenizer.from_vocab(vocab, lowercase=True).backend
    backend.normalizer = normalizers.Sequence([*before, normalizers.BertNormalizer()])
    return WordPieceTokenizer(backend)


@pytest.mark.parametrize("pattern", [r"\s+$", "a.", "[^a]", "b(?=a)", "^a", "a+"])
def test_a_replacement_that_may_look_beyond_a_word_keeps_sentences_whole(vocab: list[str], pattern: str) -> None:
    tokenizer = changed(vocab, normalizers.Replace(Regex(pattern), "a"))
    assert not SentenceEncoder(tokenizer).by_words
    same_as_alone(tokenizer, ["a b ", " c a", "a d", "e b a"])


def test_replacements_with_a_space_are_seen(vocab: list[str]) -> None:
    first, second = normalizers.Replace(Regex("a b"), "c"), normalizers.Replace(Regex("c d"), "e")
    sentences = ["a b d", "a b", "c d", "c\nd", "a\nb", "a b\nd", "d a", "b"]
    assert SentenceEncoder(changed(vocab, first)).by_words
    same_as_alone(changed(vocab, first), sentences)
    same_as_alone(changed(vocab, first, second), sentences)  # the first may make what the second looks for


@pytest.mark.parametrize("normalized", [True, False])
def test_added_pieces_with_a_space_are_seen(vocab: list[str], normalized: bool) -> None:
    backend = WordPieceTokenizer.from_vocab(vocab, lowercase=True).backend
    backend.add_tokens([AddedToken("not bad", normalized=normalized), AddedToken(":D", single_word=True)])
    same_as_alone(WordPieceTokenizer(backend), ["it is not bad", "Not Bad", "not\nbad", "not  bad", ":D x:D :D", "bad"])


def test_memory_of_words_is_bounded(tokenizer: WordPieceTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polarbert.data.sentence_pieces._MOST_WORDS", 5)
    encoder = SentenceEncoder(tokenizer)
    sentences = ["the film was good", "the " + "x" * 41, "a b c d e f g", "the film", "was it good or not at all"]
    for sentence in sentences * 2:
        assert encoder.encode([sentence])[0].tolist() == tokenizer.encode([sentence])[0].ids
        assert len(encoder._known) <= 5
        assert all(len(word) <= 40 for word in encoder._known)


def test_half_a_surrogate_pair_is_a_question_mark(tokenizer: WordPieceTokenizer) -> None:
    ids, lengths = SentenceEncoder(tokenizer).encode(["a good film", "bad \ud83d one"])
    expected = tokenizer.encode(["a good film", "bad ? one"])
    assert lengths.tolist() == [len(pieces.ids) for pieces in expected]
    assert ids.tolist() == [piece for pieces in expected for piece in pieces.ids]


def test_blocks_say_where_each_sentence_comes_from(tokenizer: WordPieceTokenizer) -> None:
    passages = [Passage(4, 2, "the film||was it good or not at all"), Passage(5, 3, " "), Passage(6, 3, "bad")]
    (block,) = encode_passages(passages, tokenizer, bars, longest=3)
    words = tokenizer.encode(["the film was it good or not at all bad"])[0].ids
    assert block.ids.tolist() == words
    assert block.lengths.tolist() == [2, 2, 2, 3, 1]  # seven pieces in three parts
    assert block.passages.tolist() == [4, 4, 4, 4, 6]
    assert block.documents.tolist() == [2, 2, 2, 2, 3]
    assert block.places.tolist() == [0, 1, 2, 3, 0]
    rest = block.after(4, 2)
    assert rest.ids.tolist() == words[4:]
    assert rest.places.tolist() == [2, 3, 0]


def test_blocks_come_in_order_and_are_bounded(tokenizer: WordPieceTokenizer) -> None:
    passages = [Passage(number, number // 2, "the film was good|so was the book|" * 1800) for number in range(40)]
    blocks = list(encode_passages(passages, tokenizer, bars, longest=512))
    assert len(blocks) > 1
    numbers = np.concatenate([block.passages for block in blocks])
    assert numbers.tolist() == sorted(numbers.tolist())
    assert set(numbers.tolist()) == set(range(40))
    assert [block.through for block in blocks] == [block.documents[-1] for block in blocks]


def test_what_the_splitter_raises_comes_out(tokenizer: WordPieceTokenizer) -> None:
    def broken(text: str) -> list[str]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(encode_passages([Passage(0, 0, "a")], tokenizer, broken, longest=8))
