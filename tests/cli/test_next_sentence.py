"""`polarbert next-sentence`: a pair in, whether the second text follows the first out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.scoring_fixtures import Outcome

from polarbert.model import BertConfig, BertForMaskedLM, BertForPreTraining
from polarbert.text import WordPieceTokenizer
from polarbert.training.next_sentence import NextSentence, fit_pair

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]
PAIR = ("The app is new.", "I love it!")


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory, tokenizer: WordPieceTokenizer) -> Path:
    """A random network of 32 positions whose answers are far from even."""
    directory = tmp_path_factory.mktemp("pairs") / "model"
    torch.manual_seed(1)
    model = BertForPreTraining(
        BertConfig.tiny(vocab_size=tokenizer.vocab_size, max_position_embeddings=32, initializer_range=0.1)
    )
    with torch.no_grad():
        model.next_sentence_head.weight.mul_(5)
    model.save_pretrained(directory)
    tokenizer.save(directory)
    return directory


def tilt(model_dir: Path, target: Path, by: float) -> Path:
    """The same network, whose answer is moved towards "is next"."""
    model = BertForPreTraining.from_pretrained(model_dir)
    with torch.no_grad():
        model.next_sentence_head.bias.add_(torch.tensor([by, -by]))
    model.save_pretrained(target)
    WordPieceTokenizer.from_directory(model_dir).save(target)
    return target


@pytest.mark.parametrize(("by", "verdict"), [(50.0, "is next"), (-50.0, "not next")])
def test_the_verdict_comes_with_its_probability(
    command: Command, model_dir: Path, tmp_path: Path, by: float, verdict: str
) -> None:
    ended = command("next-sentence", "--model", tilt(model_dir, tmp_path / "tilted", by), *PAIR)
    assert ended == Outcome(0, f"{verdict:<8} 100.0%  The app is new.  |  I love it!\n", "")


def test_json_says_what_the_function_says(command: Command, model_dir: Path) -> None:
    record = json.loads(command("next-sentence", "-m", model_dir, *PAIR, "--json").out)
    assert record == NextSentence.open(model_dir).judge([PAIR])[0].to_dict()
    assert 0 < record["probability"] < 1
    assert record["is_next"] is (record["probability"] >= 0.5)


def test_order_and_segments_count(model_dir: Path) -> None:
    judge = NextSentence.open(model_dir)
    forward, backward, moved = judge.judge([PAIR, PAIR[::-1], ("The app is new. I", "love it!")])
    assert forward.probability != pytest.approx(backward.probability, abs=1e-4)
    assert forward.probability != pytest.approx(moved.probability, abs=1e-4)  # the same pieces, divided elsewhere


def test_lines_of_stdin_are_pairs_and_one_that_is_none_ends_nothing(command: Command, model_dir: Path) -> None:
    lines = b"so good\tI love it\nno tab\na\t\nbad\tworse\n"
    plain = command("next-sentence", "-m", model_dir, "-", stdin=lines)
    assert plain.code == 0
    assert [line.split("%  ")[1] for line in plain.out.splitlines()] == ["so good  |  I love it", "bad  |  worse"]
    assert plain.err.splitlines() == [
        f"stdin, line {number}: is no pair; write two texts with a tab between them" for number in (2, 3)
    ]
    records = [
        json.loads(line)
        for line in command("next-sentence", "-m", model_dir, "-", "--json", stdin=lines).out.splitlines()
    ]
    assert records[1] == {"text": "no tab", "error": "is no pair; write two texts with a tab between them"}
    assert [record["second"] for record in records if "second" in record] == ["I love it", "worse"]


def test_lines_without_any_pair_are_an_error(command: Command, model_dir: Path) -> None:
    ended = command("next-sentence", "-m", model_dir, "-", stdin=b"one\ntwo\n")
    assert (ended.code, ended.out) == (1, "")
    assert "polarbert: stdin: no line is a pair" in ended.err


@pytest.mark.parametrize("texts", [["alone"], ["", "text"], ["text", "  "]])
def test_a_missing_text_is_asked_for(command: Command, texts: list[str]) -> None:
    ended = command("next-sentence", "-m", "nowhere", *texts)
    assert (ended.code, ended.out) == (2, "")
    assert 'give two, as in: polarbert next-sentence --model my-run "The kettle' in ended.err


def test_a_long_pair_is_read_where_its_texts_meet(command: Command, model_dir: Path) -> None:
    first, second = f"{'bad ' * 50}good", f"great {'bad ' * 50}"
    ended = command("next-sentence", "-m", model_dir, first, second)
    assert ended.out.endswith("(29 of 102 pieces read)\n")
    judge = NextSentence.open(model_dir)
    whole, part = judge.judge([(first, second), ("bad " * 14 + "good", "great " + "bad " * 13)])
    assert whole.probability == pytest.approx(part.probability, abs=1e-6)


@given(st.lists(st.integers(), max_size=30), st.lists(st.integers(), max_size=30), st.integers(2, 40))
def test_pairs_are_cut_evenly_and_no_more_than_needed(first: list[int], second: list[int], room: int) -> None:
    a, b = fit_pair(first, second, room)
    assert a == first[len(first) - len(a) :]
    assert b == second[: len(b)]
    assert len(a) + len(b) == min(room, len(first) + len(second))
    if len(a) < len(first):
        assert len(a) >= len(b)
    if len(b) < len(second):
        assert len(b) >= len(a) - 1


def test_nothing_special_can_be_written_into_a_text(model_dir: Path) -> None:
    spelled, words = NextSentence.open(model_dir).judge([("so [SEP] good", "I [MASK] it"), ("so x good", "I x it")])
    assert spelled.pieces >= words.pieces + 4  # brackets and letters in the place of a word


def test_a_model_without_the_head_is_named_for_what_it_is(
    command: Command, tiny_model_dir: Path, tokenizer: WordPieceTokenizer, tmp_path: Path
) -> None:
    BertForMaskedLM(BertConfig.tiny(vocab_size=tokenizer.vocab_size)).save_pretrained(tmp_path)
    tokenizer.save(tmp_path)
    for directory, kind in ((tiny_model_dir, "a classifier"), (tmp_path, "a masked language model")):
        ended = command("next-sentence", "-m", directory, *PAIR)
        assert (ended.code, ended.out) == (1, "")
        assert f"{directory.name}: has no head for next-sentence prediction" in ended.err
        assert f"it is {kind}. polarbert pretrain, without --no-nsp, makes a model that can" in ended.err
