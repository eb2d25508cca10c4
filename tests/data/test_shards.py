"""Shards: the corpus and nothing else, written whole, resumed behind the last whole one, refused when damaged."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.data.killed_shards import SHAPE, SHARD
from tests.shard_fixtures import (
    FIRST,
    bars,
    content,
    counted,
    numbered_words,
    sentences_of,
    shards_of,
    text,
)

from polarbert.data.corpus import Document
from polarbert.data.shards import Shards, write_shards
from polarbert.errors import DataError, UsageError
from polarbert.files import locked_folder
from polarbert.text import WordPieceTokenizer

ROOT = Path(__file__).parents[2]


def test_the_shards_are_the_corpus(tokenizer: WordPieceTokenizer, tmp_path: Path) -> None:
    texts = ["The film was great😀|I loved it :)", "", "  | ", "Not bad|not good|[SEP] what?", "What a waste of time!"]
    shards = write_shards([text(each) for each in texts], tokenizer, tmp_path, bars, {}, shard_pieces=9)
    expected = [(number, tokenizer.encode([part])[0].ids) for number, each in enumerate(texts) for part in bars(each)]
    assert sentences_of(shards) == [(number, ids) for number, ids in expected if ids]
    assert (shards.documents, shards.sentences) == (3, 6)
    assert shards.pieces == sum(len(ids) for _, ids in expected)
    assert shards.vocab_size == tokenizer.vocab_size


def test_sentences_stay_whole_and_shards_are_as_full_as_that_allows(tmp_path: Path) -> None:
    shards = shards_of(SHAPE, tmp_path, SHARD)
    lengths = [len(ids) for _, ids in sentences_of(shards)]
    assert lengths == [7, 3, 9, 12, 4, 15, 15, 2, 2, *[5] * 20, 1, 1, 16, 16]  # 30 pieces do not fit into 24
    for shard, following in pairwise(shards):
        assert len(shard.ids) <= SHARD < len(shard.ids) + following.sentence_starts[1]


def test_a_document_goes_on_in_the_next_shard_under_its_number(tmp_path: Path) -> None:
    shards = shards_of([[3], [4] * 10, [2]], tmp_path, shard_pieces=12)
    assert [shard.document_numbers.tolist() for shard in shards] == [[0, 1], [1], [1], [1, 2]]
    assert shards.documents == 3


def test_pieces_take_two_bytes_or_four_where_the_vocabulary_is_larger(tmp_path: Path) -> None:
    small = shards_of([[3], [3]], tmp_path / "small")
    assert small[0].ids.dtype == np.dtype("<u2")
    tokenizer = numbered_words(66_000)
    large = write_shards([text("w65990 w3|w1")], tokenizer, tmp_path / "large", bars, {})
    assert large[0].ids.dtype == np.dtype("<u4")
    assert large[0].ids.tolist() == [65990 + FIRST, 3 + FIRST, 1 + FIRST]


def test_a_document_without_sentence_ends_is_cut_and_nothing_is_lost(tmp_path: Path) -> None:
    seen = []

    def whole(passage: str) -> list[str]:
        seen.append(len(passage))
        return [passage]

    (document,) = counted([[50_000]])
    shards = write_shards([document], numbered_words(), tmp_path, whole, {}, shard_pieces=20_000)
    assert len(document.text) > 4 * max(seen)
    assert max(len(ids) for _, ids in sentences_of(shards)) <= 8192
    together = np.concatenate([shard.ids for shard in shards])
    assert together.tolist() == [number % 4000 + FIRST for number in range(50_000)]


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    before = shards_of(SHAPE, tmp_path, SHARD)

    def unread() -> Iterator[Document]:
        raise AssertionError("the corpus was read")
        yield

    again = shards_of([], tmp_path, SHARD, documents=unread())
    assert again == before
    assert again.digest == before.digest


def test_the_digest_changes_with_pieces_sentences_and_documents(tmp_path: Path) -> None:
    shapes = [[[4, 4], [4]], [[4, 4], [5]], [[4, 2, 2], [4]], [[4, 4, 4]], [[4], [4, 4]]]
    digests = {shards_of(shape, tmp_path / str(number)).digest for number, shape in enumerate(shapes)}
    assert len(digests) == len(shapes)


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    documents = [*counted([[20_000], [20_000], [20_000], [1]])] * 5
    shards = write_shards(documents, numbered_words(), tmp_path, bars, {}, on_progress=lambda *done: told.append(done))
    assert len(told) > 1
    assert told == sorted(told)
    assert told[-1] == (20, shards.pieces)


# --- going on after an interruption ---


INDEX = 4 * 11 + 1  # each of eleven shards is three renamings, its record a fourth


@pytest.mark.parametrize("renaming", [1, 3, 4, 5, 10, 30, INDEX])
def test_a_killed_run_goes_on_and_the_files_are_the_same(renaming: int, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert 4 * len(shards_of(SHAPE, whole, SHARD)) + 1 == INDEX
    command = [sys.executable, "-m", "tests.data.killed_shards", str(killed), str(renaming)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == -9, ended.stderr
    with pytest.raises(DataError, match="part only; run the command" if renaming > 4 else "no tokenised corpus"):
        Shards.open(killed)
    kept = {file.name: file.stat().st_ino for file in killed.glob("*.npy")}
    count = (renaming - 1) // 4
    notes: list[str] = []
    shards = write_shards(counted(SHAPE), numbered_words(), killed, bars, {"corpus": 1}, SHARD, note=notes.append)
    assert content(killed) == content(whole)
    shards.verify()
    assert [note.split()[0] for note in notes] == ([str(count)] if count else [])
    for number in range(count):
        name = f"{number:05}.pieces.npy"
        assert kept[name] == (killed / name).stat().st_ino  # the very file that the killed run wrote


def test_what_is_in_whole_shards_is_not_tokenised_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polarbert.data.sentence_pieces._BATCH", 300)  # characters: a document or two
    shape = [[10] * 6] * 40
    split: list[str] = []

    def stops() -> Iterator[Document]:
        yield from counted(shape[:30])
        raise KeyboardInterrupt

    def watched(passage: str) -> list[str]:
        split.append(passage)
        return bars(passage)

    with pytest.raises(KeyboardInterrupt):
        shards_of([], tmp_path, 250, documents=stops())
    shards = shards_of(shape, tmp_path, 250, split=watched)
    assert 10 <= len(split) <= 20  # of 40; some of the first 30 were in no whole shard yet
    assert split[-1] == [*counted(shape)][-1].text
    assert [number for number, _ in sentences_of(shards)] == [number for number in range(40) for _ in range(6)]


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_keeps_the_whole_shards(tmp_path: Path) -> None:
    full, whole = tmp_path / "full", tmp_path / "whole"
    shards_of(SHAPE, whole, SHARD)
    with files_up_to(900), pytest.raises(DataError, match=r"full/00003: cannot be written: .*3 shards are kept; make"):
        shards_of(SHAPE, full, SHARD)  # the record of four shards takes more than that
    assert not list(full.glob("*.tmp"))
    shards_of(SHAPE, full, SHARD)
    assert content(full) == content(whole)


def test_two_runs_in_one_folder_are_one_too_many(tmp_path: Path) -> None:
    with locked_folder(tmp_path), pytest.raises(DataError, match="another run is writing shards there"):
        shards_of(SHAPE, tmp_path, SHARD)


# --- what does not fit ---


def test_shards_of_something_else_are_refused(tmp_path: Path) -> None:
    write_shards(counted(SHAPE), numbered_words(), tmp_path, bars, {"splitter": "bars", "files": (1, 2)})
    assert Shards.open(tmp_path, {"splitter": "bars", "files": (1, 2)}).documents == len(SHAPE)
    with pytest.raises(DataError, match="made with another splitter"):
        Shards.open(tmp_path, {"splitter": "stops", "files": [1, 2]})
    with pytest.raises(DataError, match="made with another tokenizer, shard_pieces"):
        write_shards(counted(SHAPE), numbered_words(50), tmp_path, bars, {"splitter": "bars"}, 50)


def test_an_unfinished_run_of_something_else_is_refused(tmp_path: Path) -> None:
    def stops() -> Iterator[Document]:
        yield from [*counted([[20_000]])] * 30
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shards_of([], tmp_path, 10_000, documents=stops())
    with pytest.raises(DataError, match="made with another corpus"):
        write_shards(counted(SHAPE), numbered_words(), tmp_path, bars, {"corpus": 2}, 10_000)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    shards_of(SHAPE, tmp_path, SHARD)
    return tmp_path


def test_a_shard_cut_short_is_named(made: Path) -> None:
    file = made / "00001.pieces.npy"
    os.truncate(file, file.stat().st_size - 2)
    with pytest.raises(DataError, match=r"00001\.pieces\.npy: damaged: has .* Delete the folder"):
        Shards.open(made)


def test_a_shard_that_is_gone_is_named(made: Path) -> None:
    (made / "00002.documents.npy").unlink()
    with pytest.raises(DataError, match=r"00002\.documents\.npy: damaged: No such file"):
        Shards.open(made)


def overwrite(file: Path, at: int, by: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(at, os.SEEK_END if at < 0 else os.SEEK_SET)
        opened.write(by)


def test_a_changed_byte_is_found_by_verify(made: Path) -> None:
    overwrite(made / "00001.pieces.npy", -2, b"\x07\x00")
    shards = Shards.open(made)
    with pytest.raises(DataError, match="00001: its content has changed"):
        shards.verify()


@pytest.mark.parametrize(
    ("part", "at", "by"),
    [
        ("pieces", 0, b"PK"),
        ("pieces", 10, b"{'descr': '|O'"),
        ("pieces", 10, b"((((((((((("),
        ("sentences", -8, b"\xff" * 8),
        ("sentences", 136, bytes(8)),
        ("documents", -16, b"\xff" * 8),
    ],
)
def test_a_damaged_shard_is_refused_when_it_is_read(made: Path, part: str, at: int, by: bytes) -> None:
    overwrite(made / f"00001.{part}.npy", at, by)
    shards = Shards.open(made)
    with pytest.raises(DataError, match=rf"00001\.{part}\.npy: damaged"):
        _ = shards[1]


def test_the_damaged_state_of_a_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "shards.partial.json").write_text('{"next": [0, 0], "shards": [{}]}')
    with pytest.raises(DataError, match=r"shards\.partial\.json: damaged; delete the folder"):
        shards_of(SHAPE, tmp_path, SHARD)


CHANGES: dict[str, Callable[[str], str]] = {
    "cut short": lambda index: index[: len(index) // 2],
    "no JSON object": lambda _: "[1, 2]",
    "another number": lambda index: index.replace(f'"vocab_size": {4000 + FIRST}', '"vocab_size": 3'),
    "fewer shards": lambda index: json.dumps({**json.loads(index), "shards": json.loads(index)["shards"][1:]}),
    "no shards": lambda index: json.dumps({**json.loads(index), "shards": []}),
    "a name in place of a count": lambda index: index.replace('"sentences": ', '"sentences": "two", "ignored": '),
    "a later format": lambda index: index.replace('"format": 1,', '"format": 2,', 1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_damaged_index_is_refused(made: Path, change: str) -> None:
    file = made / "shards.json"
    changed = CHANGES[change](file.read_text("utf-8"))
    assert changed != file.read_text("utf-8")
    file.write_text(changed, "utf-8")
    with pytest.raises(DataError, match=r"shards\.json: .*delete the folder and tokenise"):
        Shards.open(made)


def test_a_folder_without_shards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no tokenised corpus"):
        Shards.open(tmp_path / "nowhere")


def test_a_corpus_without_a_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the corpus has no word"):
        shards_of([], tmp_path, documents=[text(" | "), text("")])


def test_a_shard_without_room_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="shard_pieces must be 1 or more"):
        shards_of(SHAPE, tmp_path, shard_pieces=0)


def test_shards_are_a_sequence(made: Path) -> None:
    shards = Shards.open(made)
    numbers = [shard.document_numbers.tolist() for shard in shards]
    assert [shard.document_numbers.tolist() for shard in shards[1:3]] == numbers[1:3]
    assert shards[-1].document_numbers.tolist() == numbers[-1]
    assert len(shards) == len(numbers)
    with pytest.raises(IndexError):
        _ = shards[len(shards)]
