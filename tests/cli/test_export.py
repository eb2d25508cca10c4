"""`polarbert export`: a trained directory becomes a bundle that `predict` takes."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.scoring_fixtures import QUICK, Outcome, sentences

from polarbert.bundle import Bundle

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


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["none"], 2, "none: no such directory"),
        (["empty"], 1, "empty: not a model directory (it has no config.json)"),
        (["model", "--task", "sorcery"], 2, "--task is 'sorcery'"),
        (["model", "--texts", "none.csv"], 2, "none.csv: cannot be read: No such file"),
        (["model", "--texts", "texts.csv"], 2, "no column 'text'"),
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
