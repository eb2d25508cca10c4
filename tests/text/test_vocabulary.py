"""The vocabulary is the same on every run, laid out as BERT's, and read alike here and by `transformers`."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import normalizers, pre_tokenizers
from transformers import AutoTokenizer

from polarbert.errors import DataError, UsageError
from polarbert.text import WordPieceTokenizer, vocabulary
from polarbert.text.vocabulary import (
    RESERVED,
    Coverage,
    WordCounts,
    count_words,
    coverage,
    learn_vocabulary,
    save_vocabulary,
    train_pieces,
)

VARIANTS = [(cased, strip) for cased in (False, True) for strip in (False, True)]


def invented_words(count: int, seed: int) -> str:
    """Words of which many occur equally often, so that nearly every choice is between equals."""
    chosen = Random(seed)
    words = ["".join(chosen.choices("aeioubdgklmnprst", k=chosen.randint(2, 9))) for _ in range(count)]
    return " ".join(words + words[::2])


TEXTS = [
    "So great, the greatest of greats! A grater grates; greatly grateful.",
    "The café's naïve garçon sold 12 crêpes, the café's last, at 12.50 each.",
    "LOUD voices in the Café and the café: 你好 friends, so LOUD.",
    invented_words(120, seed=5),
]


def digest(vocab: list[str]) -> str:
    return hashlib.sha256("\n".join(vocab).encode("utf-8")).hexdigest()


def test_special_pieces_stand_where_bert_has_them() -> None:
    vocab = learn_vocabulary(TEXTS, size=200)
    named = {"[PAD]": 0, "[unused0]": 1, "[unused98]": 99, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
    assert {piece: vocab.index(piece) for piece in named} == named
    assert len(vocab) == len(set(vocab)) == 200


def test_frequent_words_become_pieces_and_come_before_rarer_ones() -> None:
    vocab = learn_vocabulary(["rain " * 9 + "rains " * 5 + "drought"], size=300)
    learned = [piece for piece in vocab[104:] if len(piece.removeprefix("##")) > 1]
    assert learned.index("rain") < learned.index("rains")
    assert "drought" not in vocab


def test_every_run_gives_the_same_pieces() -> None:
    text = invented_words(700, seed=3)
    assert len({digest(learn_vocabulary([text], size=400)) for _ in range(25)}) == 1


def test_every_process_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(invented_words(700, seed=3), "utf-8")
    code = (
        "import sys; from pathlib import Path; from polarbert.text.vocabulary import *\n"
        "text = Path(sys.argv[1]).read_text('utf-8')\n"
        "save_vocabulary(learn_vocabulary([text], size=400), sys.argv[2])"
    )
    for number in range(6):
        threads = {"TOKENIZERS_PARALLELISM": "true", "RAYON_NUM_THREADS": str(1 + number % 3)}
        environment = {**os.environ, **threads, "PYTHONHASHSEED": str(number)}
        subprocess.run(
            [sys.executable, "-c", code, tmp_path / "text", tmp_path / str(number)], env=environment, check=True
        )
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        assert len({(tmp_path / str(number) / name).read_bytes() for number in range(6)}) == 1


def test_the_order_of_the_texts_does_not_matter() -> None:
    texts = [invented_words(40, seed) for seed in range(8)]
    assert learn_vocabulary(texts, 300) == learn_vocabulary([" ".join(reversed(texts))], 300)


def learned_by_hand(words: WordCounts, size: int, min_frequency: int) -> list[str]:
    """Byte pair encoding as its definition says, everything counted again for each piece."""
    counts = Counter[str]()
    for word, count in words.counts.items():
        counts.update(dict.fromkeys(word, 0))
        for character in word:
            counts[character] += count
    characters = sorted(counts)
    inner = [f"##{character}" for character in characters if character.isalnum()]
    ids = {piece: number for number, piece in enumerate([*inner, *characters])}
    cut = {word: [word[0], *(f"##{character}" for character in word[1:])] for word in words.counts}
    while len(ids) < size - len(RESERVED):
        pairs = Counter[tuple[str, str]]()
        for word, pieces in cut.items():
            for pair in pairwise(pieces):
                pairs[pair] += words.counts[word]
        best = max(pairs, key=lambda pair: (pairs[pair], -ids[pair[0]], -ids[pair[1]]), default=None)
        if best is None or pairs[best] < min_frequency:
            break
        new = best[0] + best[1].removeprefix("##")
        ids.setdefault(new, len(ids))
        cut = {word: merged(pieces, best, new) for word, pieces in cut.items()}
    longer = [piece for piece in ids if len(piece.removeprefix("##")) > 1]
    return [*RESERVED, *characters, *inner, *longer]


def merged(pieces: list[str], pair: tuple[str, str], new: str) -> list[str]:
    found: list[str] = []
    for piece in pieces:
        if found and (found[-1], piece) == pair:
            found[-1] = new
        else:
            found.append(piece)
    return found


@settings(max_examples=60)
@given(
    st.lists(st.text("abcé1", min_size=1, max_size=6), min_size=1, max_size=40),
    st.integers(1, 3),
    st.integers(118, 150),
)
def test_the_pieces_are_those_learned_by_hand(words: list[str], min_frequency: int, size: int) -> None:
    counted = count_words([" ".join(words)], cased=True)
    assert train_pieces(counted, size, min_frequency) == learned_by_hand(counted, size, min_frequency)


@pytest.mark.parametrize(("cased", "strip"), VARIANTS)
def test_here_and_in_transformers_texts_get_the_same_ids(tmp_path: Path, cased: bool, strip: bool) -> None:
    vocab = learn_vocabulary(TEXTS, 260, cased, strip)
    assert ("L" in vocab) is cased
    assert ("é" in vocab) is not strip
    whole, bare = tmp_path / "whole", tmp_path / "bare"
    save_vocabulary(vocab, whole, cased, strip)
    bare.mkdir()
    for name in ("vocab.txt", "tokenizer_config.json"):
        (bare / name).write_bytes((whole / name).read_bytes())
    readers: list[Any] = [AutoTokenizer.from_pretrained(path) for path in (whole, bare)]
    ours = [WordPieceTokenizer.from_directory(path) for path in (whole, bare)]
    for text in [*TEXTS, "Grateful CAFE cafe\u0301 crêpe", "[MASK] 好", "x" * 101, "★"]:
        wanted = [reader.encode([text])[0].ids for reader in ours]
        assert wanted[0] == wanted[1]
        assert [reader(text, add_special_tokens=False)["input_ids"] for reader in readers] == wanted
    assert readers[0].mask_token_id == 103
    assert readers[0].model_max_length == 512


def test_accents_follow_the_case_unless_said(tmp_path: Path) -> None:
    for cased in (False, True):
        assert learn_vocabulary(TEXTS, 260, cased) == learn_vocabulary(TEXTS, 260, cased, strip_accents=not cased)
        tokenizer = save_vocabulary(learn_vocabulary(TEXTS, 260, cased), tmp_path / str(cased), cased)
        given = WordPieceTokenizer.from_vocab(learn_vocabulary(TEXTS, 260, cased), not cased)
        assert tokenizer.encode(TEXTS) == given.encode(TEXTS)


def test_special_pieces_in_the_text_are_no_words() -> None:
    assert count_words(["[MASK] [unused5] ##ing"]).counts == Counter("[ mask ] [ unused5 ] # # ing".split())


ALPHABET = st.characters(min_codepoint=0x20, max_codepoint=0x24F, exclude_characters="\x85") | st.sampled_from(
    "中 \nα—”"
)


@given(st.text(ALPHABET), st.booleans(), st.sampled_from([None, False, True]))
def test_words_are_counted_as_the_tokenizer_cuts_them(text: str, cased: bool, strip: bool | None) -> None:
    normal = normalizers.BertNormalizer(lowercase=not cased, strip_accents=strip).normalize_str(text)
    words = [word for word, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(normal)]
    assert count_words([text], cased, strip).counts == Counter(words)


def test_half_a_surrogate_pair_is_read_as_a_question_mark() -> None:
    assert count_words(["so\ud800 great"]).counts == Counter(["so", "?", "great"])


def test_counting_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*TEXTS * 3, "x" * 300]
    whole = count_words(texts)
    assert whole.overlong == 1
    for name, value in (("_LOOK", 10), ("_PENDING_WORDS", 2), ("_PENDING_CHARACTERS", 100)):
        monkeypatch.setattr(vocabulary, name, value)
        assert count_words(texts) == whole


def test_memory_is_bounded_by_dropping_rare_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "MAX_WORDS", 60)
    monkeypatch.setattr(vocabulary, "_LOOK", 1)
    monkeypatch.setattr(vocabulary, "_PENDING_WORDS", 20)
    chosen = Random(1)
    rare = ["".join(chosen.choices("abcdefgh", k=8)) for _ in range(2000)]
    words = count_words(f"rain {word} snow" for word in rare)
    assert len(words.counts) <= 60
    assert (words.counts["rain"], words.counts["snow"]) == (2000, 2000)
    assert words.total == 6000
    assert "rain" in train_pieces(words, 150)


def test_what_a_rare_character_parts_is_not_put_together() -> None:
    text = "a★b " * 9 + "a b " * 9
    assert learn_vocabulary([text], 300, max_characters=2) == [*RESERVED, "a", "b", "##a", "##b"]
    assert "a★b" in learn_vocabulary([text], 300)


def test_a_large_text_is_learned_from_as_a_sample_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    words = WordCounts({"rain": 5000, "snow": 3000, **{f"w{number}": 1 for number in range(2000)}})
    monkeypatch.setattr(vocabulary, "_MAX_FED", 1000)
    fed = Counter(word for text in vocabulary._fed(words, set("rainsnow0123456789")) for word in text.split())
    assert (fed["rain"], fed["snow"]) == (500, 300)
    assert 100 < sum(fed.values()) - 800 < 300  # one in ten of the others, by chance
    assert max(fed[f"w{number}"] for number in range(2000)) == 1


def test_a_size_that_is_too_small_is_refused_with_one_that_is_not() -> None:
    with pytest.raises(
        UsageError, match=r"150 pieces is too small: 104 are reserved, and \d+ are .* Say --size \d+"
    ) as raised:
        learn_vocabulary(TEXTS, 150)
    least = int(str(raised.value).rsplit("--size ", 1)[1].split()[0])
    assert len(learn_vocabulary(TEXTS, least)) == least
    with pytest.raises(UsageError):
        learn_vocabulary(TEXTS, least - 1)


def test_there_may_be_fewer_pieces_than_asked_for() -> None:
    assert learn_vocabulary(["ab ab"], 5000) == [*RESERVED, "a", "b", "##a", "##b", "ab"]


@pytest.mark.parametrize("texts", [[], [""], [" \n"]])
def test_nothing_to_learn_from_is_told(texts: list[str]) -> None:
    with pytest.raises(DataError, match="no word"):
        learn_vocabulary(texts)


@given(st.integers(200, 260))
@settings(max_examples=10)
def test_coverage_is_what_the_tokenizer_does(size: int) -> None:
    texts = [*TEXTS, "y" * 101, "uncaught żółw"]
    words = count_words(texts)
    vocab = learn_vocabulary(TEXTS, size)
    tokenizer = WordPieceTokenizer.from_vocab(vocab, lowercase=True)
    each = [pieces.ids for pieces in tokenizer.encode([*Counter(words.counts).elements(), "y" * 101])]
    alone = [ids for ids in each if len(ids) == 1]
    unknown = alone.count([tokenizer.unk_id])
    found = coverage(vocab, words)
    total = words.total
    assert unknown >= 2
    assert found == Coverage((len(alone) - unknown) / total, unknown / total, sum(map(len, each)) / total)


def test_a_new_directory_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: Path) -> None:
        raise OSError(28, "No space left on device")

    vocab = learn_vocabulary(TEXTS, 250)
    with monkeypatch.context() as patched:
        patched.setattr(vocabulary, "flush_to_disk", full)
        with pytest.raises(DataError, match=r"deep.vocab: cannot be written: the disk is full"):
            save_vocabulary(vocab, tmp_path / "deep/vocab")
    assert [*(tmp_path / "deep").iterdir()] == []
    (tmp_path / "deep/vocab").mkdir()  # an empty one may be there
    save_vocabulary(vocab, tmp_path / "deep/vocab")
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "deep/vocab").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["vocab"]


def test_what_else_is_in_a_directory_stays(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    save_vocabulary(learn_vocabulary(TEXTS, 250), tmp_path)
    save_vocabulary(learn_vocabulary(TEXTS, 240), tmp_path)
    assert len((tmp_path / "vocab.txt").read_text("utf-8").splitlines()) == 240
    assert WordPieceTokenizer.from_directory(tmp_path).vocab_size == 240
    names = ["notes.txt", "tokenizer.json", "tokenizer_config.json", "vocab.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert json.loads((tmp_path / "tokenizer_config.json").read_text("utf-8"))["strip_accents"] is None
