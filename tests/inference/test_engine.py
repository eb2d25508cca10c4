"""One suite for every engine: the same files, the same answers."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.scoring_fixtures import load, sentences

from polarbert.errors import BundleError, MissingExtraError, UsageError
from polarbert.inference import engine as engine_module
from polarbert.inference.classifier import SentimentModel, TextClassifier
from polarbert.inference.engine import ENGINES, engine_name, load_engine, usable_threads

pytest_plugins = ["tests.scoring_fixtures"]

TEXTS = [text for text, _ in sentences(120, 11)] + ["", "???", "great😀", "the app is zzz", "Café " * 40, "bad " * 150]
LABELS = [label for _, label in sentences(120, 11)]
GRAPHS = ("int8", "float")


@pytest.fixture(scope="module")
def loaded(bundle_dir: Path, float_bundle_dir: Path) -> dict[tuple[str, str], SentimentModel | TextClassifier]:
    """Every graph on every engine."""
    places = {"int8": bundle_dir, "float": float_bundle_dir}
    return {(name, graph): load(places[graph], name, threads=2) for name in ENGINES for graph in GRAPHS}


Loaded = dict[tuple[str, str], SentimentModel | TextClassifier]
each_engine = pytest.mark.parametrize("name", ENGINES)
each_graph = pytest.mark.parametrize("graph", GRAPHS)


def chances(model: SentimentModel | TextClassifier, texts: list[str]) -> np.ndarray:
    return np.array([list(answer.probabilities.values()) for answer in model.predict(texts)])


@each_engine
@each_graph
def test_obvious_texts_get_their_labels(loaded: Loaded, name: str, graph: str) -> None:
    answers = loaded[name, graph].predict(TEXTS[:120])
    right = sum(answer.label == label for answer, label in zip(answers, LABELS, strict=True))
    assert right >= 118


@each_graph
def test_the_engines_agree(loaded: Loaded, graph: str) -> None:
    theirs, ours = (chances(loaded[name, graph], TEXTS) for name in ENGINES)
    assert (theirs.argmax(1) == ours.argmax(1))[:120].all()
    np.testing.assert_allclose(theirs, ours, atol=0.02 if graph == "int8" else 1e-4)


@each_engine
def test_int8_answers_like_float(loaded: Loaded, name: str) -> None:
    small, exact = (chances(loaded[name, graph], TEXTS[:120]) for graph in GRAPHS)
    assert (small.argmax(1) == exact.argmax(1)).mean() >= 0.98
    assert np.abs(small - exact).mean() < 0.02


@each_engine
@each_graph
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=40))
def test_a_text_gets_the_same_answer_alone_and_in_any_company(
    loaded: Loaded, name: str, graph: str, texts: list[str]
) -> None:
    model = loaded[name, graph]
    together = chances(model, texts)
    for number in {0, len(texts) // 2, len(texts) - 1}:
        np.testing.assert_allclose(together[number], chances(model, [texts[number]])[0], atol=1e-3)


@each_engine
@each_graph
def test_padding_does_not_take_part(loaded: Loaded, name: str, graph: str) -> None:
    engine = loaded[name, graph].engine
    ids = np.array([[101, 450, 500, 102]])
    alone = engine.logits(ids, np.ones_like(ids), np.zeros_like(ids))
    padded = np.pad(ids, ((0, 0), (0, 20)), constant_values=7)
    mask = np.pad(np.ones_like(ids), ((0, 0), (0, 20)))
    np.testing.assert_allclose(engine.logits(padded, mask, np.zeros_like(padded)), alone, atol=1e-3)


@each_engine
def test_the_second_segment_is_told_from_the_first(loaded: Loaded, name: str) -> None:
    engine = loaded[name, "float"].engine
    ids = np.array([[101, 450, 500, 102, 460, 102]])
    first = np.zeros_like(ids)
    second = np.array([[0, 0, 0, 0, 1, 1]])
    difference = engine.logits(ids, np.ones_like(ids), first) - engine.logits(ids, np.ones_like(ids), second)
    assert np.abs(difference).max() > 1e-3


@each_engine
def test_logits_are_float32_of_a_row_a_text(loaded: Loaded, name: str) -> None:
    ids = np.full((5, 7), 101)
    logits = loaded[name, "int8"].engine.logits(ids, np.ones_like(ids), np.zeros_like(ids))
    assert logits.shape == (5, 3)
    assert logits.dtype == np.float32


@each_engine
def test_several_threads_get_the_answers_that_one_gets(loaded: Loaded, name: str) -> None:
    model = loaded[name, "int8"]
    parts = [TEXTS[start : start + 60] for start in range(0, 60, 10)] * 2
    alone = [chances(model, part) for part in parts]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda part: chances(model, part), parts))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@each_engine
def test_a_file_that_is_no_graph_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no graph at all")
    with pytest.raises(BundleError, match=r"model\.onnx: .* cannot load the graph"):
        load_engine(tmp_path / "model.onnx", 1, name)


@each_engine
def test_scoring_neither_calls_home_nor_loads_torch(bundle_dir: Path, name: str) -> None:
    code = f"""if True:
        import sys
        def watch(event, arguments):
            if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
                print("network", event, arguments, flush=True)
        sys.addaudithook(watch)
        import polarbert
        print(polarbert.load({str(bundle_dir)!r}, 1, {name!r}).predict(["the app is really great"])[0].label)
        print(sorted({{"torch", "transformers", "onnx", "pandas"}} & set(sys.modules)))
    """
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert ended.stdout == "positive\n[]\n"


def test_an_unknown_engine_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="no engine 'tensorflow'; the engines are onnxruntime and openvino"):
        engine_name("tensorflow")


def test_openvino_is_taken_only_where_it_is_asked_for() -> None:
    assert engine_name(None) == "onnxruntime"
    assert engine_name("onnxruntime") == "onnxruntime"
    assert engine_name("openvino") == "openvino"


def test_openvino_that_is_not_installed_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, bundle_dir: Path
) -> None:
    monkeypatch.setattr(engine_module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r'pip install "polarbert\[openvino\]"'):
        load_engine(bundle_dir / "model.int8.onnx", 1, "openvino")


def test_threads_follow_the_affinity_and_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(engine_module, "_quota", lambda: None)
    assert usable_threads() == 8
    monkeypatch.setattr(engine_module, "_quota", lambda: 3)
    assert usable_threads() == 3
    monkeypatch.setattr(engine_module, "_quota", lambda: 16)
    assert usable_threads() == 8


@pytest.mark.parametrize(
    ("files", "processors"),
    [
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_a_container(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, str], processors: int | None
) -> None:
    (tmp_path / "cpu").mkdir()
    for name, content in files.items():
        (tmp_path / name).write_text(content + "\n")
    groups = "/sys/fs/cgroup"
    monkeypatch.setattr(engine_module, "Path", lambda path: tmp_path / path.removeprefix(groups).lstrip("/"))
    assert engine_module._quota() == processors


def test_a_model_that_is_given_threads_uses_them(bundle_dir: Path) -> None:
    assert load(bundle_dir, threads=3).engine.threads == 3
    assert load(bundle_dir, threads=0).engine.threads == usable_threads()
