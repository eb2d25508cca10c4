"""Loading an engine, choosing one, and how many threads it gets. What engines compute: see test_conformance."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.scoring_fixtures import load

from polarbert.errors import BundleError, MissingExtraError, UsageError
from polarbert.inference import engine as engine_module
from polarbert.inference.engine import ENGINES, engine_name, load_engine, usable_threads

pytest_plugins = ["tests.scoring_fixtures"]

each_engine = pytest.mark.parametrize("name", ENGINES)


@each_engine
def test_a_file_that_is_no_graph_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no graph at all")
    with pytest.raises(BundleError, match=r"model\.onnx: .* cannot load the graph"):
        load_engine(tmp_path / "model.onnx", 1, name)


WITH_THE_GRAPH = {
    "scoring": "import sys, polarbert; polarbert.load(sys.argv[1]).predict(['so great'])",
    "export": "import sys; from polarbert.export.quantise import onnxruntime as ort; "
    "ort.InferenceSession(sys.argv[1] + '/model.int8.onnx')",
}


@pytest.mark.parametrize("what", WITH_THE_GRAPH)
def test_onnx_runtime_keeps_no_account_of_the_user(bundle_dir: Path, tmp_path: Path, what: str) -> None:
    """Where it is left to itself it writes an identifier into the home folder, to send it with its reports."""
    places = {name: str(tmp_path) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME")}
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"} | places
    done = subprocess.run(
        [sys.executable, "-c", WITH_THE_GRAPH[what], str(bundle_dir)], env=environment, timeout=100, check=False
    )
    assert done.returncode == 0
    assert list(tmp_path.rglob("*")) == []


# Whatever is imported at first use gives way to the other threads, so that all are in the middle of it at once.
FIRST_USE = """if True:
    import builtins, sys, threading, time
    from pathlib import Path
    import numpy as np
    from polarbert.inference.engine import load_engine

    engine = load_engine(Path(sys.argv[1]), 2, sys.argv[2])
    plain = builtins.__import__
    def slow(*arguments, **named):
        time.sleep(0.05)
        return plain(*arguments, **named)
    builtins.__import__ = slow
    ids = np.full((1, 4), 101)
    ready = threading.Barrier(4)
    def use():
        ready.wait()
        engine.logits(ids, np.ones_like(ids), np.zeros_like(ids))
    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("all answered")
"""


@each_engine
def test_the_first_use_of_all_may_be_by_many_threads(bundle_dir: Path, name: str) -> None:
    command = [sys.executable, "-c", FIRST_USE, str(bundle_dir / "model.int8.onnx"), name]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "all answered\n"


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
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert usable_threads() == 8
    monkeypatch.setattr(engine_module, "_quota", lambda: 3)
    assert usable_threads() == 3
    monkeypatch.setattr(engine_module, "_quota", lambda: 16)
    assert usable_threads() == 8
    for asked, threads in (("2", 2), ("3,2", 3), ("64", 8), ("0", 8), ("many", 8), ("", 8)):
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        assert usable_threads() == threads


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
