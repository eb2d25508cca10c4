"""`polarbert adapt`: texts without labels in, a base out."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import transformers
from tests.pretraining_fixtures import TOPICS
from tests.refusals import assert_refused
from tests.scoring_fixtures import Outcome

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]
SETTINGS = """\
max_pieces = 32
[training]
epochs = 2.0
batch_tokens = 256
learning_rate = 3e-3
precision = "fp32"
evaluations = 2
threads = 1
"""


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """200 reviews without labels."""
    draw = random.Random(1)
    file = tmp_path / "reviews.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["review"])
        for number in range(200):
            topic = draw.choice(list(TOPICS))
            writer.writerow([f"The {topic} was {draw.choice(TOPICS[topic])} and i said so {number}"])
    (tmp_path / "settings.toml").write_text(SETTINGS, "utf-8")
    return file


@pytest.fixture
def arguments(reviews: Path, tiny_model_dir: Path) -> list[str]:
    config = str(reviews.with_name("settings.toml"))
    return [str(reviews), "--text-column", "review", "--base", str(tiny_model_dir), "--config", config]


def test_from_texts_to_a_base_that_can_be_trained(command: Command, arguments: list[str], tmp_path: Path) -> None:
    base = tmp_path / "base"
    ended = command("adapt", *arguments, "-o", base)
    assert ended.code == 0, ended.err
    assert f"polarbert train DATA --base {base}" in ended.err
    assert {"config.json", "model.safetensors", "tokenizer.json", "adaptation"} <= {
        file.name for file in base.iterdir()
    }
    assert not list(base.glob("*.tmp"))
    named = command("fill-mask", "--model", base, "The food was [MASK].")
    assert (named.code, named.err) == (0, "")
    transformers.AutoModelForMaskedLM.from_pretrained(base)
    lines = (base / "adaptation/evaluations.jsonl").read_text("utf-8").splitlines()
    first, last = json.loads(lines[0]), json.loads(lines[-1])
    assert last["dev_loss"] < first["dev_loss"]
    assert (base / "adaptation/head/summary.json").is_file(), "a base without a masked-LM head gets one first"


def test_a_finished_base_is_kept_and_resuming_changes_nothing(
    command: Command, arguments: list[str], tmp_path: Path
) -> None:
    base = tmp_path / "base"
    assert command("adapt", *arguments, "-o", base, "--quiet").code == 0
    before = (base / "model.safetensors").read_bytes()
    assert_refused(command("adapt", *arguments, "-o", base), 1, "holds a run already", "--resume")
    ended = command("adapt", *arguments, "-o", base, "--resume", "--json", "--quiet")
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out)["base"] == str(base)
    assert (base / "model.safetensors").read_bytes() == before


def test_bad_input_is_named(command: Command, arguments: list[str], reviews: Path, tmp_path: Path) -> None:
    column = [argument if argument != "review" else "reviws" for argument in arguments]
    assert_refused(command("adapt", *column, "-o", tmp_path / "base"), 2, "reviws", "review")
    assert_refused(command("adapt", f"{reviews}x", "-o", tmp_path / "base"), 2, "reviews.csvx")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine", "utf-8")
    assert_refused(command("adapt", *arguments, "-o", tmp_path / "full"), 1, "holds something else")
    reviews.write_text("review\none\none\n", "utf-8")
    assert_refused(command("adapt", *arguments, "-o", tmp_path / "base"), 1, "4 are needed")
