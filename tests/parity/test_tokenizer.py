"""Plain text against two tokenizers of `transformers`: the one of today, and the older one in pure Python."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

from polarbert.text import WordPieceTokenizer, join_segments

WORDS = st.sampled_from(
    ["great", "Great", "London", "apps", "loved", "naïve", "Café", "cafe\u0301", "5€", "can't", "x-ray", "中国", "ß"]
)
SPACES = st.sampled_from([" ", "  ", "\n", "\t", "\u00a0", ", ", "...", ""])
ALPHABET = st.characters(min_codepoint=0x20, max_codepoint=0x24F) | st.sampled_from("αβГд中本–“”…€")
SENTENCES = st.lists(st.tuples(WORDS | st.text(ALPHABET, max_size=6), SPACES), max_size=10).map(
    lambda parts: "".join(word + space for word, space in parts)
)


@pytest.fixture(scope="module", params=[True, False], ids=["uncased", "cased"])
def trio(
    request: pytest.FixtureRequest, vocab: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[WordPieceTokenizer, Any, Any]:
    """Ours, theirs and theirs in pure Python, all from one directory with vocab.txt."""
    directory: Path = tmp_path_factory.mktemp("vocab")
    (directory / "vocab.txt").write_text("\n".join(vocab) + "\n", "utf-8")
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": request.param}
    (directory / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    (directory / "config.json").write_text(json.dumps({"model_type": "bert"}), "utf-8")
    theirs = AutoTokenizer.from_pretrained(directory)
    python = BertTokenizerLegacy(str(directory / "vocab.txt"), do_lower_case=request.param)
    return WordPieceTokenizer.from_directory(directory), theirs, python


def our_ids(tokenizer: WordPieceTokenizer, first: str, second: str | None = None) -> list[int]:
    a = tokenizer.encode([first])[0].ids
    b = None if second is None else tokenizer.encode([second])[0].ids
    return join_segments(tokenizer.cls_id, tokenizer.sep_id, a, b)


@given(text=st.text() | SENTENCES)
def test_any_text_gets_the_ids_of_transformers(trio: tuple[WordPieceTokenizer, Any, Any], text: str) -> None:
    ours, theirs, _ = trio
    assert our_ids(ours, text) == theirs(text)["input_ids"]


@given(first=SENTENCES, second=SENTENCES)
def test_pairs_get_the_ids_of_transformers(trio: tuple[WordPieceTokenizer, Any, Any], first: str, second: str) -> None:
    ours, theirs, _ = trio
    assert our_ids(ours, first, second) == theirs([first], [second])["input_ids"][0]


@given(text=SENTENCES)
@settings(max_examples=200)
def test_european_and_chinese_text_gets_the_ids_of_the_python_tokenizer(
    trio: tuple[WordPieceTokenizer, Any, Any], text: str
) -> None:
    ours, _, python = trio
    text = unicodedata.normalize("NFC", text)  # as the Python tokenizer does by itself, beyond the original BERT
    assert our_ids(ours, text)[1:-1] == python.convert_tokens_to_ids(python.tokenize(text))


@given(text=SENTENCES)
def test_offsets_are_those_of_transformers(trio: tuple[WordPieceTokenizer, Any, Any], text: str) -> None:
    ours, theirs, _ = trio
    expected = theirs(text, return_offsets_mapping=True, add_special_tokens=False)["offset_mapping"]
    assert ours.encode([text], offsets=True)[0].offsets == [tuple(pair) for pair in expected]
