"""A small classifier that is trained, exported and run for real, and ways to run the command line.

A test module takes these fixtures with `pytest_plugins = ["tests.scoring_fixtures"]`. It may also import from here,
which comes before pytest loads the plugin; so the plugin is not to be rewritten: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import io
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from polarbert.bundle import Bundle
from polarbert.calibration import Calibration
from polarbert.inference.classifier import SentimentModel
from polarbert.inference.engine import Engine, Ids, load_engine
from polarbert.text import WordPieceTokenizer

LABELS = ["negative", "neutral", "positive"]
WINDOW, OVERLAP = 64, 16
CALIBRATION = Calibration(temperature=1.25, unsure_below=0.6)

SUBJECTS = (
    "app phone film book story screen battery sound shop service food hotel room dress box update game song".split()
)
VERBS = "is was are were".split()
ADVERBS = "very really quite just so too".split()
WORDS = {
    "negative": "bad worst worse awful terrible poor hate hated sad angry slow broken useless boring".split(),
    "neutral": "okay average normal usual expected arrived came sent bought paid used".split(),
    "positive": "good great nice best better lovely love loved happy glad perfect wonderful enjoy".split(),
}
POLARBERT = [sys.executable, "-c", "from polarbert.cli import main; main()"]
QUICK = ["--engine", "onnxruntime", "--threads", "1"]


def sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """Different texts of one to four parts that agree, each with its label."""
    chosen = random.Random(seed)
    found: dict[str, str] = {}
    while len(found) < count:
        label = chosen.choice(LABELS)
        parts = [
            " ".join(map(chosen.choice, (["the", "this", "my"], SUBJECTS, VERBS, ADVERBS, WORDS[label])))
            for _ in range(chosen.choice([1, 1, 2, 4]))
        ]
        found[chosen.choice([" and ", ". "]).join(parts)] = label
    return list(found.items())


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class SpyEngine:
    """Passes batches on to a real engine and remembers them; can be told to be interrupted at a batch."""

    def __init__(self, engine: Engine, fail_at: int | None = None) -> None:
        self.engine = engine
        self.name = engine.name
        self.threads = engine.threads
        self.batches: list[Ids] = []
        self._fail_at = fail_at

    def logits(self, input_ids: Ids, attention_mask: Ids, token_type_ids: Ids) -> NDArray[np.float32]:
        if len(self.batches) == self._fail_at:
            raise KeyboardInterrupt
        self.batches.append(input_ids)
        return self.engine.logits(input_ids, attention_mask, token_type_ids)

    @property
    def computed(self) -> int:
        """Texts that the engine was given."""
        return sum(len(batch) for batch in self.batches)


@pytest.fixture(scope="session")
def trained_dir(tmp_path_factory: pytest.TempPathFactory, vocab: list[str], tokenizer: WordPieceTokenizer) -> Path:
    """A BERT of two layers that tells the words of the three labels apart, in the Hugging Face layout."""
    import torch

    from polarbert.model import BertConfig, BertForSequenceClassification
    from polarbert.training.batching import Example
    from polarbert.training.classification import ClassificationTask
    from polarbert.training.loop import train
    from polarbert.training.run import RunDirectory
    from polarbert.training.settings import TrainSettings

    torch.manual_seed(1)
    config = BertConfig.tiny(
        vocab_size=len(vocab),
        hidden_size=64,
        intermediate_size=128,
        max_position_embeddings=WINDOW,
        initializer_range=0.05,
    )
    model = BertForSequenceClassification(config, LABELS)

    def examples(count: int, seed: int) -> list[Example]:
        texts, labels = zip(*sentences(count, seed), strict=True)
        return [
            Example([tokenizer.cls_id, *pieces.ids, tokenizer.sep_id], LABELS.index(label))
            for pieces, label in zip(tokenizer.encode(texts), labels, strict=True)
        ]

    settings = TrainSettings(
        epochs=6,
        batch_tokens=1024,
        learning_rate=2e-3,
        precision="fp32",
        evaluations=1,
        checkpoint_seconds=1e9,
        threads=1,
    )
    task = ClassificationTask(examples(1200, 1), {"dev": examples(150, 2)}, 3, tokenizer, settings)
    run = RunDirectory(tmp_path_factory.mktemp("trained") / "run")
    summary = train(model, task, settings, run, quiet=True)
    assert summary["best_score"] > 0.98, "the small classifier of the tests did not learn its words"
    return run.best


@pytest.fixture(scope="session")
def bundle_dir(trained_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small classifier as an int8 bundle that passed its proof. Read it only; `own_bundle` may be changed."""
    from polarbert.export.bundling import ExportOptions, export_bundle
    from polarbert.export.proof import LabelledSet

    target = tmp_path_factory.mktemp("bundles") / "int8"
    texts, labels = zip(*sentences(1100, 3), strict=True)
    known = LabelledSet.of_texts(texts, [LABELS.index(label) for label in labels])
    options = ExportOptions("sentiment", CALIBRATION, WINDOW, OVERLAP, strict=True, provenance={"recipe": "tests"})
    report = export_bundle(trained_dir, target, texts, {"held out": known}, options)
    assert report.precision == "int8"
    return target


@pytest.fixture(scope="session")
def float_bundle_dir(bundle_dir: Path, trained_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same bundle with the float graph instead."""
    from polarbert.export.graph import build_graph
    from polarbert.model import BertForSequenceClassification

    target = tmp_path_factory.mktemp("bundles") / "float"
    shutil.copytree(bundle_dir, target)
    (target / "model.int8.onnx").unlink()
    model = BertForSequenceClassification.from_pretrained(trained_dir)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    (target / "model.onnx").write_bytes(build_graph(model.config, weights, model.labels).SerializeToString())
    replace(Bundle.open(target), graph="model.onnx", precision="float32").write()
    return target


@pytest.fixture
def own_bundle(bundle_dir: Path, tmp_path: Path) -> Path:
    """A copy of the bundle for one test to damage."""
    return Path(shutil.copytree(bundle_dir, tmp_path / "bundle"))


@pytest.fixture(scope="session")
def model(bundle_dir: Path) -> SentimentModel:
    """The bundle, loaded on ONNX Runtime."""
    loaded = load(bundle_dir)
    assert isinstance(loaded, SentimentModel)
    return loaded


@pytest.fixture
def spied(bundle_dir: Path) -> tuple[SentimentModel, SpyEngine]:
    """A model of its own, and the spy through which it reaches its engine."""
    loaded = load(bundle_dir)
    spy = SpyEngine(load_engine(bundle_dir / loaded.bundle.graph, 1, "onnxruntime"))
    loaded.engine = spy
    assert isinstance(loaded, SentimentModel)
    return loaded, spy


def load(bundle: Path, engine: str = "onnxruntime", threads: int = 1) -> Any:
    """Load a bundle on one engine."""
    import polarbert

    return polarbert.load(bundle, threads, engine)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Outcome]]:
    """Runs a command in this process; what is no message but a traceback fails the test."""
    from polarbert.cli import main

    before = signal.getsignal(signal.SIGTERM)

    def run(*arguments: str | Path, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["polarbert", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsys.readouterr()
        try:
            main()
            code: Any = 0
        except SystemExit as end:
            code = end.code or 0
        return Outcome(int(code), *capsys.readouterr())

    yield run
    signal.signal(signal.SIGTERM, before)


def polarbert_process(arguments: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a process of its own and wait for it."""
    return subprocess.run([*POLARBERT, *map(str, arguments)], capture_output=True, timeout=100, check=False, **options)
