"""`polarbert export`: a trained directory becomes a bundle that `predict` takes."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tests.scoring_fixtures import CALIBRATION, OVERLAP, QUICK, WINDOW, Outcome, sentences

from polarbert.bundle import Bundle
from polarbert.calibration import Calibration
from polarbert.model import BertConfig, BertForSequenceClassification
from polarbert.text import WordPieceTokenizer

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]


@pytest.fixture
def own_model(trained_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_dir, tmp_path / "model"))


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    file = tmp_path / "texts.csv"
    file.write_text("review\n" + "".join(f"{text}\n" for text, _ in sentences(1050, 61)))
    return file


def test_a_directory_becomes_a_bundle_in_place(command: Command, own_model: Path, texts: Path) -> None:
    ended = command("export", own_model, "--texts", texts, "-c", "review", "--task", "sentiment", "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["precision"] == "int8"
    assert "float graph: 256 texts" in ended.err
    assert "int8 graph: 1,050 texts" in ended.err
    assert f"{own_model}: scores in int8" in ended.err
    assert Bundle.open(own_model).task == "sentiment"
    assert command("predict", "so great", "--model", own_model, *QUICK).out.startswith("positive")


def test_too_few_texts_keep_the_float_graph_and_say_so(command: Command, own_model: Path, tmp_path: Path) -> None:
    (tmp_path / "few.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t, _ in sentences(30, 62)))
    out = tmp_path / "out"
    ended = command("export", own_model, "-o", out, "--texts", tmp_path / "few.jsonl")
    assert ended.code == 0
    assert "30 texts are too few to show it; give 1000 or more. Keeping the float graph" in ended.err
    bundle = Bundle.open(out)
    assert (bundle.graph, bundle.precision, bundle.task) == ("model.onnx", "float32", "classification")
    assert not (own_model / "polarbert.json").exists()
    assert command("predict", "so great", "--model", out, *QUICK).out.startswith("positive")


def test_quiet_says_nothing(command: Command, own_model: Path, texts: Path) -> None:
    assert command("export", own_model, "--texts", texts, "-c", "review", "--quiet") == Outcome(0, "", "")


@pytest.fixture
def few(tmp_path: Path) -> Path:
    file = tmp_path / "few.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text, _ in sentences(20, 63)))
    return file


def test_a_bundle_that_is_exported_again_stays_as_sure_as_it_was(
    command: Command, own_bundle: Path, few: Path, tmp_path: Path
) -> None:
    before = Bundle.open(own_bundle)
    assert (before.calibration, before.window, before.overlap) == (CALIBRATION, WINDOW, OVERLAP)
    ended = command("export", own_bundle, "-o", tmp_path / "out", "--texts", few)
    assert "temperature and unsure threshold are those of the bundle" in ended.err
    after = Bundle.open(tmp_path / "out")
    for name in ("task", "labels", "calibration", "window", "overlap", "provenance", "traits"):
        assert getattr(after, name) == getattr(before, name), name
    asked = ["predict", "the app was very bad and my book was great", "--json", *QUICK]
    said = [json.loads(command(*asked, "--model", model).out) for model in (own_bundle, tmp_path / "out")]
    assert said[1]["unsure"] == said[0]["unsure"]
    assert said[1]["confidence"] == pytest.approx(said[0]["confidence"], abs=0.05)
    command("export", own_bundle, "-o", tmp_path / "narrow", "--texts", few, "--window", "32")
    narrow = Bundle.open(tmp_path / "narrow")
    assert (narrow.window, narrow.overlap, narrow.calibration) == (32, 8, CALIBRATION)


def test_confidence_that_is_not_the_new_bundles_is_left_out_and_told(
    command: Command, own_bundle: Path, few: Path, tmp_path: Path
) -> None:
    ended = command("export", own_bundle, "-o", tmp_path / "out", "--texts", few, "--task", "classification")
    assert "the bundle is for sentiment, so its temperature and unsure threshold are left out" in ended.err
    assert Bundle.open(tmp_path / "out").calibration == Calibration()
    save_file(load_file(own_bundle / "model.safetensors"), own_bundle / "model.safetensors", {"trained": "further"})
    ended = command("export", own_bundle, "--texts", few)
    assert "model.safetensors: is damaged or was changed" in ended.err
    after = Bundle.open(own_bundle)
    assert (after.calibration, after.task, after.window) == (Calibration(), "sentiment", WINDOW)


def test_a_network_of_one_number_is_a_regression(
    command: Command, few: Path, tmp_path: Path, vocab: list[str], tokenizer: WordPieceTokenizer
) -> None:
    config = BertConfig.tiny(vocab_size=len(vocab), max_position_embeddings=WINDOW)
    BertForSequenceClassification(config, ["stars"]).save_pretrained(tmp_path / "one")
    tokenizer.save(tmp_path / "one")
    ended = command("export", tmp_path / "one", "-o", tmp_path / "out", "--texts", few, "--task", "classification")
    assert ended.code == 1
    assert f"{tmp_path / 'one' / 'config.json'}: id2label names 1 label, and a model for classification" in ended.err
    assert "say --task regression" in ended.err
    ended = command("export", tmp_path / "one", "-o", tmp_path / "out", "--texts", few)
    assert ended.code == 0, ended.err
    assert "of the numbers changed" in ended.err
    assert Bundle.open(tmp_path / "out").task == "regression"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["none"], 2, "none: no such directory"),
        (["empty"], 1, "empty: not a model directory (it has no config.json)"),
        (["model", "--task", "sorcery"], 2, "--task is 'sorcery'"),
        (["model", "--texts", "none.csv"], 2, "none.csv: cannot be read: No such file"),
        (["model", "--texts", "texts.csv"], 2, "The columns are 'review'. Name another with --text-column"),
        (["model", "--texts", "blank.csv", "-c", "review"], 1, "the column 'review' holds no text"),
        (["model", "--window", "3"], 2, "--window"),
    ],
)
def test_a_wrong_request(
    command: Command, own_model: Path, texts: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int,
    words: str
) -> None:  # fmt: skip
    monkeypatch.chdir(texts.parent)
    Path("empty").mkdir()
    Path("blank.csv").write_text("review,id\n,1\n  ,2\n")
    ended = command("export", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert words in " ".join(ended.err.split())
    assert not (own_model / "polarbert.json").exists()


def test_a_missing_extra_is_named_with_its_pip_line(
    command: Command, own_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["polarbert.cli.export"], "find_spec", lambda name: None)
    ended = command("export", own_model)
    assert ended.code == 1
    assert 'pip install "polarbert[train]"' in ended.err
