"""The int8 graph answers the same on a processor with AVX2 but without VNNI.

Such a processor adds two products of a byte by a byte in 16 bits, which saturate when weights use all eight bits. It is
emulated (qemu-x86_64 -cpu Haswell), and a layer of eight-bit weights shows that the emulation does saturate.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tests.scoring_fixtures import load, sentences

from polarbert.export.graph import IR_VERSION, OPSET
from polarbert.export.graph_builder import ColumnRanges, GraphBuilder
from polarbert.inference.engine import load_engine

pytest_plugins = ["tests.scoring_fixtures"]

EMULATOR = shutil.which("qemu-x86_64")
SIZE = 256

# Runs with the standard library, numpy and the engine alone: every import is slow when emulated.
PROGRAM = """
import json, sys
import numpy, onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
results = {}
feeds = numpy.load(sys.argv[1])
for name in sys.argv[2:]:
    session = onnxruntime.InferenceSession(name, options, providers=["CPUExecutionProvider"])
    feed = {put.name: feeds[put.name] for put in session.get_inputs()}
    results[name] = session.run(None, feed)[0].tolist()
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def emulator() -> str:
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("this processor is no x86-64, so its engine has no path for AVX2")
    if EMULATOR is None:
        if os.environ.get("CI") == "true":
            pytest.fail("qemu-x86_64 is not on the PATH; install it: apt-get install qemu-user")
        pytest.skip("qemu-x86_64 is not on the PATH (Debian: apt-get install qemu-user)")
    return EMULATOR


def extreme_layer(file: Path, bits: int) -> Path:
    """A layer whose weights, in `bits` bits, are all at an end of their range."""
    builder = GraphBuilder({"x": ColumnRanges(np.zeros(SIZE), np.full(SIZE, 2.55))})
    weight = np.ones((SIZE, 32), dtype=np.float32)
    weight[:, 16:] = -1
    y = builder.linear("x", "y", weight, np.zeros(32, np.float32))
    most = 2 ** (bits - 1) - 1
    for name in (f"{y}.weight", f"{y}.weight.scale"):
        stored = numpy_helper.to_array(builder.constants[name])
        changed = np.sign(stored) * most if name.endswith("weight") else np.full_like(stored, 1 / most)
        builder.constants[name].CopyFrom(numpy_helper.from_array(changed.astype(stored.dtype), name))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", SIZE])]
    outputs = [helper.make_tensor_value_info(y, TensorProto.FLOAT, ["n", 32])]
    graph = helper.make_graph(builder.nodes, "layer", inputs, outputs, list(builder.constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    file.write_bytes(model.SerializeToString())
    return file


def batch(bundle: Path) -> dict[str, NDArray[np.int64]]:
    """Some texts of different lengths, padded."""
    tokenizer = load(bundle).tokenizer
    encoded = tokenizer.encode([text for text, _ in sentences(8, 81)])
    ids = np.full((8, max(len(pieces.ids) for pieces in encoded) + 2), tokenizer.pad_id)
    mask = np.zeros_like(ids)
    for row, pieces in enumerate(encoded):
        length = len(pieces.ids) + 2
        ids[row, :length] = [tokenizer.cls_id, *pieces.ids, tokenizer.sep_id]
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


@pytest.fixture(scope="module")
def emulated(emulator: str, bundle_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the graphs give on the emulated processor, by the stem of their file."""
    folder = tmp_path_factory.mktemp("haswell")
    graph = Path(shutil.copyfile(bundle_dir / "model.int8.onnx", folder / "model.onnx"))
    files = [graph, extreme_layer(folder / "seven.onnx", 7), extreme_layer(folder / "eight.onnx", 8)]
    feeds: dict[str, Any] = {"x": np.full((4, SIZE), 2.55, np.float32), **batch(bundle_dir)}
    np.savez(folder / "feeds.npz", **feeds)
    command = [emulator, "-cpu", "Haswell", os.path.realpath(sys.executable), "-c", PROGRAM, str(folder / "feeds.npz")]
    paths = os.pathsep.join(path for path in sys.path if path)
    ended = subprocess.run(
        [*command, *map(str, files)],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return {Path(name).stem: np.array(result) for name, result in json.loads(ended.stdout).items()}


def test_the_graph_answers_as_on_this_processor(emulated: dict[str, Any], bundle_dir: Path) -> None:
    native = load_engine(bundle_dir / "model.int8.onnx", 1, "onnxruntime").logits(**batch(bundle_dir))
    assert np.ptp(native, axis=0).min() > 1, "the texts would not show a difference"
    np.testing.assert_allclose(emulated["model"], native, atol=1e-3)


def test_seven_bit_weights_at_their_ends_do_not_saturate(emulated: dict[str, Any]) -> None:
    exact = np.array([2.55 * SIZE] * 16 + [-2.55 * SIZE] * 16)
    np.testing.assert_allclose(emulated["seven"], np.tile(exact, (4, 1)), rtol=1e-4)


def test_eight_bit_weights_would(emulated: dict[str, Any]) -> None:
    exact = 2.55 * SIZE
    assert np.abs(emulated["eight"][:, :16]).max() < 0.6 * exact, "the emulated processor does not add in 16 bits"
