"""Word pieces: emoji, offsets, directories. tests/parity/test_tokenizer.py holds plain text against `transformers`."""

from __future__ import annotations

import json
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from polarbert.errors import BundleError
from polarbert.text import WordPieceTokenizer, is_wordless, join_segments
from polarbert.text.emoji import EMOTICONS_ANYWHERE, symbols

# Texts made of what goes wrong together: words, emoji with modifiers, emoticons, accents, addresses, unknown symbols.
FRAGMENTS = st.sampled_from(
    [
        *(
            "great",
            "Great",
            "whole",
            "the",
            "café",
            "naïve",
            "cafe\u0301",
            "İstanbul",
            "Straße",
            "中国",
            "5",
            "99",
            "x",
        ),
        *("😀", "❤️", "👍🏽", "🤷‍♀️", "👩‍💻", "🇬🇧", "1️⃣", "🦄", "™", "€", "½"),
        *(":)", ":-(", ":/", "XD", "<3", "D:", "http://x.org/a", "<br />", "!!", "...", "'", "-"),
        *(" ", "  ", "\n", "\t", "\u00a0", "\u200b", "\ufffd", "[SEP]", "[unused5]"),
    ]
)
MESSY_TEXT = st.lists(FRAGMENTS | st.text(max_size=4), max_size=12).map("".join)


def piece_of(tokenizer: WordPieceTokenizer, number: int) -> str:
    return str(tokenizer.backend.id_to_token(number))


def pieces_of(tokenizer: WordPieceTokenizer, text: str) -> list[str]:
    return [piece_of(tokenizer, number) for number in tokenizer.encode([text])[0].ids]


def test_an_emoji_parts_the_words_that_touch_it(tokenizer: WordPieceTokenizer) -> None:
    assert pieces_of(tokenizer, "great😀whole") == ["great", "😀", "whole"]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("I love it❤️", ["i", "love", "it", "❤"]),
        ("👍🏽good", ["👍", "good"]),
        ("what🤷‍♀️", ["what", "🤷"]),
        ("great1️⃣", ["great", "##1"]),
        ("😀😀!", ["😀", "😀", "!"]),
        ("bad<br />good", ["bad", "good"]),
        ("5€", ["5", "€"]),
    ],
)
def test_symbols_lose_their_modifiers_and_spare_their_neighbours(
    tokenizer: WordPieceTokenizer, text: str, pieces: list[str]
) -> None:
    assert pieces_of(tokenizer, text) == pieces


def test_every_added_symbol_is_one_piece_between_words(tokenizer: WordPieceTokenizer) -> None:
    found = {symbol: pieces_of(tokenizer, f"great {symbol} whole") for symbol in symbols()}
    assert found == {symbol: ["great", symbol, "whole"] for symbol in symbols()}


def test_a_face_may_touch_the_word_before_it(tokenizer: WordPieceTokenizer) -> None:
    found = {face: pieces_of(tokenizer, f"thanks{face}") for face in EMOTICONS_ANYWHERE}
    assert found == {face: ["thanks", face] for face in EMOTICONS_ANYWHERE}


@pytest.mark.parametrize(
    ("text", "wrong"), [("http://x", ":/"), ("good:Do it", ":D"), ("XDgood", "XD"), ("wD:", "D:"), ("fooT_T", "T_T")]
)
def test_ambiguous_faces_stand_alone_only(tokenizer: WordPieceTokenizer, text: str, wrong: str) -> None:
    assert wrong not in pieces_of(tokenizer, text)
    assert wrong in pieces_of(tokenizer, f"great {wrong} whole")


def test_no_unknown_symbol_swallows_its_neighbour(tokenizer: WordPieceTokenizer) -> None:
    """Every symbol that Unicode knows, apart from those that modify or fall apart into marks."""
    characters = [chr(number) for number in range(sys.maxunicode + 1)]
    unknown = [
        character
        for character in characters
        if unicodedata.category(character)[0] == "S"
        and character not in set("🏻🏼🏽🏾🏿\ufffd")
        and not any(unicodedata.category(part) == "Mc" for part in unicodedata.normalize("NFD", character))
    ]
    great, whole = (tokenizer.backend.token_to_id(word) for word in ("great", "whole"))
    encoded = tokenizer.encode([f"great{symbol}whole" for symbol in unknown])
    swallowed = [s for s, p in zip(unknown, encoded, strict=True) if p.ids[0] != great or p.ids[-1] != whole]
    assert len(unknown) > 7000
    assert swallowed == []
    assert pieces_of(tokenizer, "great🦄whole") == ["great", "[UNK]", "whole"]


def test_added_symbols_take_over_unused_pieces(vocab: list[str], tokenizer: WordPieceTokenizer) -> None:
    assert tokenizer.vocab_size == len(vocab)
    for symbol in symbols():
        assert vocab[tokenizer.backend.get_vocab()[symbol]].startswith("[unused")
    assert "[unused0]" in vocab


def test_a_symbol_that_the_vocabulary_has_keeps_its_piece(vocab: list[str]) -> None:
    extended = [*vocab, "😀"]
    tokenizer = WordPieceTokenizer.from_vocab(extended, lowercase=True, emoji=True)
    assert tokenizer.encode(["great😀whole"])[0].ids[1] == len(vocab)


def test_too_few_unused_pieces_are_an_error(vocab: list[str]) -> None:
    short = [piece for piece in vocab if not piece.startswith(("[unused1", "[unused2"))]
    with pytest.raises(BundleError, match="unused"):
        WordPieceTokenizer.from_vocab(short, lowercase=True, emoji=True)


@pytest.mark.parametrize("token", ["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
def test_a_missing_special_token_is_named(vocab: list[str], token: str) -> None:
    with pytest.raises(BundleError, match=rf"lacks \{token}"):
        WordPieceTokenizer.from_vocab([piece for piece in vocab if piece != token], lowercase=True)


def test_special_ids_are_those_of_the_vocabulary(tokenizer: WordPieceTokenizer) -> None:
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id) == (0, 100, 101, 102)


def test_case_and_accents_are_kept_by_a_cased_tokenizer_only(vocab: list[str]) -> None:
    cased = WordPieceTokenizer.from_vocab(vocab, lowercase=False)
    uncased = WordPieceTokenizer.from_vocab(vocab, lowercase=True)
    assert pieces_of(cased, "Great café") == ["Great", "café"]
    assert pieces_of(uncased, "Great café") == ["great", "cafe"]


def test_long_texts_are_not_cut(tokenizer: WordPieceTokenizer) -> None:
    assert tokenizer.encode(["good " * 3000])[0].ids == tokenizer.encode(["good"])[0].ids * 3000


@given(texts=st.lists(MESSY_TEXT, max_size=5))
def test_a_text_gets_the_same_pieces_in_any_company(tokenizer: WordPieceTokenizer, texts: list[str]) -> None:
    together = tokenizer.encode(texts, offsets=True)
    alone = [tokenizer.encode([text])[0].ids for text in texts]
    assert [pieces.ids for pieces in together] == alone


@given(text=MESSY_TEXT)
def test_offsets_are_ordered_and_inside_the_text(tokenizer: WordPieceTokenizer, text: str) -> None:
    pieces = tokenizer.encode([text], offsets=True)[0]
    assert len(pieces.offsets) == len(pieces.ids)
    assert all(0 <= start < end <= len(text) for start, end in pieces.offsets)
    assert pieces.offsets == sorted(pieces.offsets)


def plain(text: str) -> str:
    """Lower case, without accents: what an uncased piece is compared in."""
    return "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")


@given(words=st.lists(FRAGMENTS, max_size=10), glue=st.sampled_from(["", " "]))
def test_offsets_slice_out_what_the_piece_stands_for(
    tokenizer: WordPieceTokenizer, words: list[str], glue: str
) -> None:
    text = glue.join(words)
    symbol_ids = {tokenizer.backend.token_to_id(symbol) for symbol in symbols()}
    encoded = tokenizer.encode([text], offsets=True)[0]
    for number, (start, end) in zip(encoded.ids, encoded.offsets, strict=True):
        piece, is_symbol = piece_of(tokenizer, number), number in symbol_ids
        if is_symbol or piece not in {"[UNK]", "[SEP]", "[unused5]"}:
            cut = text[start:end] if is_symbol else plain(text[start:end])
            assert cut.translate(dict.fromkeys(map(ord, "\u200b\ufffd\ufe0f\u200d\u20e3"))) == piece.removeprefix("##")


def test_offsets_count_characters(tokenizer: WordPieceTokenizer) -> None:
    text = "Café❤️ 👍🏽 naïve:) 🤷‍♀️great"
    offsets = tokenizer.encode([text], offsets=True)[0].offsets
    assert [text[start:end] for start, end in offsets] == ["Café", "❤", "👍", "naïve", ":)", "🤷", "great"]
    assert tokenizer.encode([text])[0].offsets == []


@pytest.fixture(scope="module")
def auto(tiny_model_dir: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_model_dir)


@given(text=MESSY_TEXT)
def test_auto_tokenizer_gives_the_same_ids(tokenizer: WordPieceTokenizer, auto: Any, text: str) -> None:
    ours = join_segments(tokenizer.cls_id, tokenizer.sep_id, tokenizer.encode([text])[0].ids, None)
    theirs = auto(text)
    assert theirs["input_ids"] == ours
    assert theirs["token_type_ids"] == [0] * len(ours)


@given(first=MESSY_TEXT, second=MESSY_TEXT)
def test_auto_tokenizer_gives_the_same_pairs(tokenizer: WordPieceTokenizer, auto: Any, first: str, second: str) -> None:
    a, b = (pieces.ids for pieces in tokenizer.encode([first, second]))
    theirs = auto([first], [second])
    assert theirs["input_ids"] == [join_segments(tokenizer.cls_id, tokenizer.sep_id, a, b)]
    assert theirs["token_type_ids"] == [[0] * (len(a) + 2) + [1] * (len(b) + 1)]


def test_auto_tokenizer_knows_the_special_tokens(auto: Any, tokenizer: WordPieceTokenizer) -> None:
    known = [getattr(auto, name) for name in ("pad_token_id", "unk_token_id", "cls_token_id", "sep_token_id")]
    assert known == [tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id]
    assert auto.mask_token_id == 103
    assert auto.model_max_length == 512


def test_a_saved_tokenizer_is_read_back(tokenizer: WordPieceTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "new")
    texts = ["great😀whole thanks:)", "Café 👍🏽", "the app is slow"]
    assert WordPieceTokenizer.from_directory(tmp_path / "new").encode(texts) == tokenizer.encode(texts)


def test_truncation_and_padding_of_a_foreign_file_are_undone(tokenizer: WordPieceTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))
    content["truncation"] = {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    padding = {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None}
    content["padding"] = padding | {"pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    texts = ["good", "good bad good bad good bad good"]
    assert WordPieceTokenizer.from_directory(tmp_path).encode(texts) == tokenizer.encode(texts)


def test_a_directory_with_vocab_txt_alone_works(vocab: list[str], tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(vocab) + "\n", "utf-8")
    tokenizer = WordPieceTokenizer.from_directory(tmp_path)
    assert tokenizer.vocab_size == len(vocab)
    assert pieces_of(tokenizer, "Great apps!") == ["great", "app", "##s", "!"]


@pytest.mark.parametrize(("flag", "piece"), [(True, "great"), (False, "Great")])
def test_vocab_txt_follows_do_lower_case(vocab: list[str], tmp_path: Path, flag: bool, piece: str) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(vocab), "utf-8")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": flag}), "utf-8")
    assert pieces_of(WordPieceTokenizer.from_directory(tmp_path), "Great") == [piece]


@pytest.mark.parametrize("separator", ["\x0b", "\x1c", "\x85", "\u2028"])
def test_a_separator_inside_vocab_txt_shifts_no_id(vocab: list[str], tmp_path: Path, separator: str) -> None:
    lines = [*vocab[:105], f"odd{separator}piece", *vocab[105:]]
    (tmp_path / "vocab.txt").write_text("\n".join(lines) + "\n", "utf-8", newline="")
    tokenizer = WordPieceTokenizer.from_directory(tmp_path)
    assert tokenizer.encode(["great"])[0].ids == [vocab.index("great") + 1]


def test_a_directory_without_a_vocabulary_says_so(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no tokenizer\.json and no vocab\.txt"):
        WordPieceTokenizer.from_directory(tmp_path)


@pytest.mark.parametrize("content", ["", "{}", "not json", '{"version": "1.0", "model": {"type": "Other"}}'])
def test_an_unreadable_tokenizer_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content, "utf-8")
    with pytest.raises(BundleError, match=r"tokenizer\.json.*not a readable tokenizer"):
        WordPieceTokenizer.from_directory(tmp_path)


@pytest.mark.parametrize("text", ["", " \n\t", "!!!", "...?", "-- --", "\u200b\ufeff", "\x00", "://", ":", ")("])
def test_wordless_texts(text: str) -> None:
    assert is_wordless(text)


@pytest.mark.parametrize("text", ["a", "no!", "5", "😀", "❤️", "$", "中", "é", ":)", "-_-", " :/ ", ":((", "... :|"])
def test_texts_that_can_carry_meaning(text: str) -> None:
    assert not is_wordless(text)


@given(st.text())
def test_a_text_with_a_letter_or_digit_is_never_wordless(text: str) -> None:
    assert not (is_wordless(text) and any(character.isalnum() for character in text))
