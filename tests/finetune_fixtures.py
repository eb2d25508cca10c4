"""A small base, a small file of labelled texts, and settings with which both become a model in seconds.

A test module takes these fixtures with `pytest_plugins = ["tests.finetune_fixtures"]`. It may also import from here,
which comes before pytest loads the plugin; so the plugin is not to be rewritten: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.scoring_fixtures import LABELS, sentences

from polarbert.data.dataset import Dataset, read_labelled
from polarbert.model import BertConfig, BertEncoder
from polarbert.text import WordPieceTokenizer
from polarbert.training import FineTuneSettings, TrainSettings

ROWS = 400
QUICK = FineTuneSettings(
    training=TrainSettings(
        epochs=5,
        batch_tokens=512,
        learning_rate=3e-3,
        precision="fp32",
        evaluations=3,
        checkpoint_seconds=1e9,
        threads=1,
    )
)
QUICK_TOML = """\
[training]
epochs = 5
batch_tokens = 512
learning_rate = 3e-3
precision = "fp32"
evaluations = 3
checkpoint_seconds = 1e9
threads = 1
"""


@pytest.fixture(scope="session")
def small_base(tmp_path_factory: pytest.TempPathFactory, vocab: list[str], tokenizer: WordPieceTokenizer) -> Path:
    """An untrained encoder of two narrow layers that reads 64 pieces, in the Hugging Face layout."""
    folder = tmp_path_factory.mktemp("bases") / "small"
    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "max_position_embeddings": 64}
    BertEncoder(BertConfig.tiny(vocab_size=len(vocab), initializer_range=0.05, **sizes)).save_pretrained(folder)
    tokenizer.save(folder)
    return folder


@pytest.fixture(scope="session")
def reviews_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts whose words say their label, in a CSV with the columns id, review and label."""
    file = tmp_path_factory.mktemp("labelled") / "reviews.csv"
    write_rows(file, sentences(ROWS, 5))
    return file


@pytest.fixture(scope="session")
def reviews(reviews_csv: Path) -> Dataset:
    """The same, read."""
    return read_labelled(reviews_csv, "review", "label")


@pytest.fixture
def quick_toml(tmp_path: Path) -> Path:
    """`QUICK` as a file."""
    file = tmp_path / "quick.toml"
    file.write_text(QUICK_TOML)
    return file


def write_rows(file: Path, rows: Sequence[tuple[str, str]]) -> None:
    """A CSV of texts and labels."""
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["id", "review", "label"])
        writer.writerows([f"{number:04}", text, label] for number, (text, label) in enumerate(rows, start=1))


def bundle_files(folder: Path) -> dict[str, bytes]:
    """The files that make a bundle, by name: those that must not depend on when or where they were made."""
    made = json.loads((folder / "polarbert.json").read_text("utf-8"))["checksums"]
    return {name: (folder / name).read_bytes() for name in [*made, "polarbert.json"]}


@dataclass(frozen=True)
class Attempt:
    """One go at a command in a process of its own.

    Attributes:
        arguments: of `polarbert`.
        kill_at: kill -9 at the n-th time that a file or folder is put in its place or removed; odd numbers before it
            happens, even ones after it.
        kill_after: kill -9 as soon as a file with this end to its path is in its place.
        most_bytes: that a file may have (RLIMIT_FSIZE); None for any number.
        unless_done: leave it out when the attempt before it ended well.
    """

    arguments: list[str]
    kill_at: int | None = None
    kill_after: str | None = None
    most_bytes: int | None = None
    unless_done: bool = False


@dataclass(frozen=True)
class Ended:
    """How an attempt ended: the exit code, or minus the signal, and what was said."""

    code: int
    out: str = ""
    err: str = field(default="", repr=True)


class Attempts:
    """Makes attempts one after the other, each in a fork of one process that has loaded everything."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, *attempts: Attempt) -> list[Ended]:
        """How each ended."""
        ended: list[Ended] = []
        for one in attempts:
            if not (one.unless_done and ended and ended[-1].code == 0):
                ended.append(self._make(one))
        return ended

    def _make(self, one: Attempt) -> Ended:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(one)) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return Ended(**answer)


@pytest.fixture(scope="session")
def attempt() -> Iterator[Attempts]:
    """Runs commands that may be killed or find the disk full."""
    script = [sys.executable, str(Path(__file__).with_name("forked_commands.py"))]
    with subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Attempts(process)


__all__ = ["LABELS", "QUICK", "Attempt", "Attempts", "Ended", "bundle_files", "write_rows"]
