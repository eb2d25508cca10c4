"""`polarbert pretrain`: a folder of text in, a BERT out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.pretraining_fixtures import SETTINGS, with_steps, write_corpus, write_inputs
from tests.refusals import assert_refused
from tests.scoring_fixtures import Outcome

from polarbert.text import WordPieceTokenizer
from polarbert.training.config import read_settings, to_toml
from polarbert.training.pretraining_recipe import PretrainSettings, Stage

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]
SHORT = with_steps(SETTINGS, 4, evaluations=2)


@pytest.fixture
def inputs(tmp_path: Path, tokenizer: WordPieceTokenizer) -> list[str]:
    return write_inputs(tmp_path, tokenizer, SHORT)


def test_from_text_to_a_model_that_names_hidden_words(command: Command, inputs: list[str], tmp_path: Path) -> None:
    ended = command("pretrain", *inputs, "-o", tmp_path / "run")
    assert ended.code == 0, ended.err
    assert "word pieces to learn from" in ended.err
    assert "the best model at step" in ended.err
    assert f"--model {tmp_path / 'run'}" in ended.err
    named = command("fill-mask", "--model", tmp_path / "run", "The food was [MASK].")
    assert (named.code, named.err) == (0, "")
    judged = command("next-sentence", "--model", tmp_path / "run", "The food was good.", "The food was fine.")
    assert (judged.code, judged.err) == (0, "")


def test_json_and_quiet(command: Command, inputs: list[str], tmp_path: Path) -> None:
    ended = command("pretrain", *inputs, "-o", tmp_path / "run", "--json", "--quiet")
    assert (ended.code, ended.err) == (0, "")
    told = json.loads(ended.out)
    assert told["model"] == str(tmp_path / "run" / "best")
    assert told["step"] == told["steps"] == 4


def test_what_the_network_sees_is_printed_and_nothing_is_trained(
    command: Command, inputs: list[str], tmp_path: Path
) -> None:
    ended = command("pretrain", *inputs, "-o", tmp_path / "run", "--show-batch")
    assert ended.code == 0, ended.err
    assert "place  segment  piece" in ended.out
    assert "to predict" in ended.out
    assert not (tmp_path / "run/best").exists()
    assert command("pretrain", *inputs, "-o", tmp_path / "run", "--quiet").code == 0, "what was prepared is used"


def test_a_finished_run_is_kept(command: Command, inputs: list[str], tmp_path: Path) -> None:
    assert command("pretrain", *inputs, "-o", tmp_path / "run", "--quiet").code == 0
    before = (tmp_path / "run/best/model.safetensors").read_bytes()
    again = command("pretrain", *inputs, "-o", tmp_path / "run")
    assert_refused(again, 1, "holds a run already", "--resume")
    resumed = command("pretrain", *inputs, "-o", tmp_path / "run", "--resume")
    assert resumed.code == 0, resumed.err
    assert (tmp_path / "run/best/model.safetensors").read_bytes() == before


def test_without_next_sentences(command: Command, inputs: list[str], tmp_path: Path) -> None:
    assert command("pretrain", *inputs, "-o", tmp_path / "run", "--no-nsp", "--quiet").code == 0
    refused = command("next-sentence", "--model", tmp_path / "run", "One.", "Two.")
    assert_refused(refused, 1, "no head for next-sentence prediction")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{corpus}x"], 2, ["corpus.txtx", "Did you mean"]),
        (["{empty}"], 1, ["empty"]),
        (["{one}"], 1, ["1 different documents; 4 are needed"]),
        (["{corpus}", "--config", "{missing}"], 2, ["missing.toml"]),
        (["{corpus}", "--config", "{wrong}"], 2, ["wrong.toml", "unknown key 'lenght' in [stages[1]]"]),
        (["{corpus}", "--config", "{size}"], 2, ["size.toml", "length of a stage must be 8 or more"]),
        (["{corpus}", "--vocab", "{empty}"], 1, ["empty"]),
        (["{corpus}", "--device", "tpu"], 2, ["device must be auto, cpu, cuda"]),
        (["{corpus}", "--dev", "{nowhere}"], 2, ["nowhere"]),
    ],
    ids=["path", "folder", "one document", "config", "key", "value", "vocabulary", "device", "dev"],
)
def test_bad_input_is_named(
    command: Command, tmp_path: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    (tmp_path / "empty").mkdir()
    places = {name: str(tmp_path / name) for name in ("empty", "nowhere")}
    places |= {"corpus": str(write_corpus(tmp_path)), "one": str(tmp_path / "one.txt")}
    (tmp_path / "one.txt").write_text("All there is. Nothing more.\n", "utf-8")
    places |= {name: str(tmp_path / f"{name}.toml") for name in ("missing", "wrong", "size")}
    (tmp_path / "wrong.toml").write_text("[[stages]]\nlenght = 128\n", "utf-8")
    (tmp_path / "size.toml").write_text("[[stages]]\nlength = 3\n", "utf-8")
    ended = command("pretrain", *(part.format(**places) for part in arguments), "-o", tmp_path / "run")
    assert_refused(ended, code, *words)


def test_the_settings_of_the_recipes_can_be_read(tmp_path: Path) -> None:
    recipes = sorted((Path(__file__).parents[2] / "recipes/pretrain").glob("*.toml"))
    assert len(recipes) >= 4
    for file in recipes:
        settings = read_settings(file, PretrainSettings)
        settings.network.to_config(30522)
        (tmp_path / "again.toml").write_text(to_toml(settings), "utf-8")
        assert read_settings(tmp_path / "again.toml", PretrainSettings) == settings


def test_stages_are_written_and_read_back(tmp_path: Path) -> None:
    settings = replace(SETTINGS, stages=(Stage(16, 7, 256), Stage(64, 5, 512)))
    (tmp_path / "settings.toml").write_text(to_toml(settings), "utf-8")
    assert read_settings(tmp_path / "settings.toml", PretrainSettings) == settings
