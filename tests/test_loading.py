"""What computes: an engine on the processor or the network on a GPU, and which answers are unsure."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.scoring_fixtures import SpyEngine, sentences

import polarbert
from polarbert import loading
from polarbert.bundle import Bundle
from polarbert.errors import BundleError, MissingExtraError, UsageError
from polarbert.inference.engine import load_engine
from polarbert.inference.predictors import make_predictor
from polarbert.loading import load_predictor, settle_device, torch_engine
from polarbert.training import device as training_device

pytest_plugins = ["tests.scoring_fixtures"]

TEXTS = [text for text, _ in sentences(40, 61)] + ["", "the box is here", "great but bad"]


@pytest.fixture
def processor_as_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for a GPU gets the processor, in the precision of a GPU."""
    monkeypatch.setattr(training_device, "choose_device", lambda name: torch.device("cpu"))
    monkeypatch.setattr(training_device, "choose_precision", lambda name, device: "bf16")


def test_the_processor_runs_the_graph(bundle_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in (None, "cpu", "auto"):
        assert polarbert.load(bundle_dir, 1, device=device).engine.name == "onnxruntime"


def test_a_gpu_computes_from_the_weights(processor_as_gpu: None, own_bundle: Path) -> None:
    expected = polarbert.load(own_bundle, 1).predict(TEXTS)
    (own_bundle / "model.int8.onnx").unlink()  # nothing but the weights is needed
    found = polarbert.load(own_bundle, device="cuda")
    assert found.engine.name == "torch, cpu, bf16"
    for ours, theirs in zip(found.predict(TEXTS), expected, strict=True):
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=0.05)
        assert ours.n_tokens == theirs.n_tokens


def test_auto_is_a_gpu_where_pytorch_finds_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert settle_device("auto") == "cuda"
    assert [settle_device(name) for name in (None, "cpu", "cuda")] == [None, "cpu", "cuda"]
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    assert settle_device("auto") == "cpu", "without PyTorch there is nothing to find a GPU with"


def test_a_gpu_that_is_not_there_is_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, bundle_dir: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"the device cuda cannot be used: .* take the device cpu"):
        polarbert.load(bundle_dir, device="cuda")


@pytest.mark.parametrize("package", ["torch", "safetensors"])
def test_without_pytorch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, bundle_dir: Path, package: str) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(MissingExtraError, match=r'The device cuda needs .* pip install "polarbert\[train\]"'):
        polarbert.load(bundle_dir, device="cuda")


def test_an_unknown_device_names_those_there_are(bundle_dir: Path) -> None:
    with pytest.raises(UsageError, match="no device 'tpu'; it can be auto, cpu or cuda"):
        polarbert.load(bundle_dir, device="tpu")


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda"])
def test_a_device_and_an_engine_are_not_both_taken(bundle_dir: Path, device: str) -> None:
    with pytest.raises(UsageError, match=f"the device {device} and the engine openvino both say what computes"):
        polarbert.load(bundle_dir, engine="openvino", device=device)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_damaged_file_that_computes_is_found(own_bundle: Path, name: str) -> None:
    with (own_bundle / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleError, match=rf"{name}: is damaged"):
        torch_engine(Bundle.open(own_bundle), "cpu")


def test_weights_that_are_not_there_are_named(own_bundle: Path) -> None:
    (own_bundle / "model.safetensors").unlink()
    with pytest.raises(BundleError, match=r"model\.safetensors: is missing"):
        torch_engine(Bundle.open(own_bundle), "cpu")


def test_weights_of_other_labels_are_refused(own_bundle: Path) -> None:
    config = json.loads((own_bundle / "config.json").read_text())
    config["id2label"] = {"0": "positive", "1": "neutral", "2": "negative"}
    (own_bundle / "config.json").write_text(json.dumps(config))
    Bundle.open(own_bundle).write()
    with pytest.raises(BundleError, match="names the labels positive, neutral, negative, the manifest negative"):
        torch_engine(Bundle.open(own_bundle), "cpu")


def test_the_engine_says_how_large_a_batch_should_be(bundle_dir: Path) -> None:
    class Roomy(SpyEngine):
        batch_tokens = 4096

    bundle = Bundle.open(bundle_dir)
    graph = load_engine(bundle_dir / bundle.graph, 1)
    texts = [text for text, _ in sentences(600, 62)]
    plain, roomy = SpyEngine(graph), Roomy(graph)
    for spy in (plain, roomy):
        make_predictor(bundle, engine=spy).predict(texts)
    assert max(batch.size for batch in plain.batches) <= 512
    assert 3000 < max(batch.size for batch in roomy.batches) <= 4096


def test_a_threshold_decides_what_is_unsure_and_nothing_else(bundle_dir: Path) -> None:
    plain = polarbert.load(bundle_dir, 1).predict(TEXTS)
    middle = float(np.median([answer.confidence for answer in plain]))
    for threshold in (0.0, middle, 1.0):
        answers = polarbert.load(bundle_dir, 1, min_confidence=threshold).predict(TEXTS)
        for text, before, after in zip(TEXTS, plain, answers, strict=True):
            assert after.unsure == (text == "" or after.confidence < threshold)
            assert replace(after, unsure=before.unsure) == before


def test_a_threshold_leaves_the_bundle_as_it_is(bundle_dir: Path) -> None:
    bundle = Bundle.open(bundle_dir)
    assert load_predictor(bundle, 1, min_confidence=0.9).unsure_below == 0.9
    assert load_predictor(bundle, 1).unsure_below == bundle.calibration.unsure_below == 0.6


@pytest.mark.parametrize("threshold", [-0.01, 1.01, 60.0, math.nan, math.inf])
def test_a_threshold_that_is_no_probability_is_refused(bundle_dir: Path, threshold: float) -> None:
    with pytest.raises(UsageError, match=r"min_confidence is \S+; it must lie between 0 and 1"):
        polarbert.load(bundle_dir, 1, min_confidence=threshold)
