"""`--device` and `--min-confidence` of predict, score and evaluate."""

from __future__ import annotations

import csv
import json
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.refusals import assert_refused
from tests.scoring_fixtures import QUICK, Outcome, polarbert_process, sentences

from polarbert.training import device as training_device

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]
LABELLED = sentences(1500, 71)
MANY = [text for text, _ in LABELLED]


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    file = tmp_path / "reviews.csv"
    file.write_text("text\n" + "\n".join(MANY) + "\n")
    lines = [f"{text},{label}" for text, label in LABELLED[:60]]
    file.with_name("labelled.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    return file


def commands(bundle: Path, reviews: Path, *more: str) -> list[list[str]]:
    """All three commands with some options."""
    options = ["--model", str(bundle), *more]
    scored = str(reviews.with_name("scored.csv"))
    judged = ["evaluate", str(bundle), str(reviews.with_name("labelled.csv")), "--json", *more]
    return [["predict", "so great", *options], ["score", str(reviews), "-o", scored, *options], judged]


def unsure(file: Path) -> list[bool]:
    with file.open(newline="") as opened:
        return [row["unsure"] == "true" for row in csv.DictReader(opened)]


@pytest.mark.parametrize(("threshold", "expected"), [("0", False), ("1", True)])
def test_the_threshold_can_be_named(
    command: Command, bundle_dir: Path, reviews: Path, threshold: str, expected: bool
) -> None:
    predict, score, evaluate = commands(bundle_dir, reviews, *QUICK, "--min-confidence", threshold)
    assert json.loads(command(*predict, "--json").out)["unsure"] is expected
    assert command(*score).code == 0
    assert unsure(reviews.with_name("scored.csv")) == [expected] * len(MANY)
    assert json.loads(command(*evaluate).out)["sure"]["share"] == (0 if expected else 1)


def test_the_threshold_of_the_model_is_the_one_that_info_shows(command: Command, bundle_dir: Path) -> None:
    stored = json.loads(command("info", "--model", bundle_dir, "--json").out)["unsure below"]
    texts = MANY[:200]
    plain, named = (
        command("predict", *texts, "--json", "--model", bundle_dir, *QUICK, *more)
        for more in ([], ["--min-confidence", str(stored)])
    )
    assert plain.out == named.out


@pytest.mark.parametrize("threshold", ["1.5", "-0.1", "nan", "60"])
def test_a_threshold_that_is_no_probability_is_refused(
    command: Command, bundle_dir: Path, reviews: Path, threshold: str
) -> None:
    for arguments in commands(bundle_dir, reviews, "--min-confidence", threshold):
        assert_refused(command(*arguments), 2, "--min-confidence is", "must lie between 0 and 1")
    assert not reviews.with_name("scored.csv.partial").exists()


def leave_unfinished(arguments: list[str]) -> None:
    """A run that is allowed to write the first thousand rows and not the rest."""
    limit = (160_000, 160_000)
    ended = polarbert_process(arguments, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    assert b"1,000 rows are kept" in ended.stderr


def test_a_run_is_not_continued_with_another_threshold(command: Command, bundle_dir: Path, reviews: Path) -> None:
    _, score, _ = commands(bundle_dir, reviews, *QUICK)
    leave_unfinished(score)
    assert_refused(command(*score, "--min-confidence", "0.9"), 1, "whose min confidence differed", "--overwrite")
    ended = command(*score, "--min-confidence", "0.6")  # what the model says as well
    assert ended.code == 0
    assert "going on after" in ended.err
    assert len(unsure(reviews.with_name("scored.csv"))) == len(MANY)


def test_a_run_is_not_continued_on_another_device(
    command: Command, bundle_dir: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, score, _ = commands(bundle_dir, reviews)
    leave_unfinished([*score, "--device", "cpu"])
    monkeypatch.setattr(training_device, "choose_device", lambda name: torch.device("cpu"))
    assert_refused(command(*score, "--device", "cuda"), 1, "whose model, engine differed", "--overwrite")
    assert command(*score, "--device", "cuda", "--overwrite").code == 0
    assert len(unsure(reviews.with_name("scored.csv"))) == len(MANY)


def test_a_gpu_gives_the_answers_of_the_graph(
    command: Command, bundle_dir: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_device, "choose_device", lambda name: torch.device("cpu"))
    texts = MANY[:50]
    graph, network = (
        [
            json.loads(line)
            for line in command("predict", *texts, "--json", "-m", bundle_dir, "--device", device).out.splitlines()
        ]
        for device in ("cpu", "cuda")
    )
    assert [answer["label"] for answer in network] == [answer["label"] for answer in graph]
    assert [answer["n_tokens"] for answer in network] == [answer["n_tokens"] for answer in graph]


def test_a_gpu_is_judged_by_what_it_computes(
    command: Command, bundle_dir: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_device, "choose_device", lambda name: torch.device("cpu"))
    graph, network = (
        json.loads(command(*commands(bundle_dir, reviews, "--device", device)[2]).out) for device in ("cpu", "cuda")
    )
    assert graph["about"]["engine"].startswith("onnxruntime on ")
    assert network["about"]["engine"].startswith("torch, cpu, ")
    assert network["about"]["fingerprint"] != graph["about"]["fingerprint"]
    assert abs(network["accuracy"]["value"] - graph["accuracy"]["value"]) <= 2 / 60


def test_auto_takes_the_graph_where_there_is_no_gpu(
    command: Command, bundle_dir: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    _, score, evaluate = commands(bundle_dir, reviews, "--device", "auto")
    assert json.loads(command(*evaluate).out)["about"]["engine"].startswith("onnxruntime on ")
    leave_unfinished(score)
    _, score, _ = commands(bundle_dir, reviews, "--device", "cpu")
    assert command(*score).code == 0, "what cpu began auto goes on with, and the other way round"


def test_a_gpu_that_is_not_there_is_named(
    command: Command, bundle_dir: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for arguments in commands(bundle_dir, reviews, "--device", "cuda"):
        assert_refused(command(*arguments), 2, "the device cuda cannot be used", "take the device cpu")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--device", "tpu"], "no device 'tpu'; it can be auto, cpu or cuda"),
        (["--device", "auto", "--engine", "openvino"], "give --device or --engine, not both"),
        (["--device", "cuda", "--engine", "openvino"], "give --device or --engine, not both"),
        (["--device", "cpu", "--engine", "onnxruntime"], "give --device or --engine, not both"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    command: Command, bundle_dir: Path, reviews: Path, options: list[str], words: str
) -> None:
    for arguments in commands(bundle_dir, reviews, *options):
        assert_refused(command(*arguments), 2, words)
    assert not reviews.with_name("scored.csv.partial").exists()
