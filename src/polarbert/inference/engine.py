"""Running the graph: ONNX Runtime, or OpenVINO where it is asked for. One file, the same answers.

An engine computes one batch on one processor thread and may be called from several threads at once: two batches side
by side use two cores better than one batch cut in two.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from polarbert.errors import BundleError, MissingExtraError, UsageError

Ids = NDArray[np.int64]
ENGINES = ("onnxruntime", "openvino")


class Engine(Protocol):
    """Computes logits."""

    name: str
    threads: int

    def logits(self, input_ids: Ids, attention_mask: Ids, token_type_ids: Ids) -> NDArray[np.float32]:
        """Logits (B, labels) of a padded batch; each argument is (B, T). Thread-safe."""


class OnnxRuntimeEngine:
    """The graph on ONNX Runtime.

    Args:
        file: the graph.
        threads: how many batches may be computed at once.

    Raises:
        BundleError: when the file is not a graph that can be run.
    """

    name = "onnxruntime"

    def __init__(self, file: Path, threads: int) -> None:
        import onnxruntime

        self.threads = threads
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_mem_pattern = False  # plans memory for one shape; batches differ
        options.add_session_config_entry("session.use_env_allocators", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime raises a family of its own without a common base
            raise BundleError(f"{file}: ONNX Runtime cannot load the graph: {error}") from error

    def logits(self, input_ids: Ids, attention_mask: Ids, token_type_ids: Ids) -> NDArray[np.float32]:
        """See `Engine.logits`."""
        feed = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        result: NDArray[np.float32] = self._session.run(["logits"], feed)[0]
        return result


class OpenVinoEngine:
    """The same graph on OpenVINO; arguments as for `OnnxRuntimeEngine`.

    Raises:
        MissingExtraError: when OpenVINO is not installed.
        BundleError: when the file is not a graph that can be run.
    """

    name = "openvino"

    def __init__(self, file: Path, threads: int) -> None:
        if find_spec("openvino") is None:
            raise MissingExtraError("The OpenVINO engine", "openvino")
        openvino = _openvino_without_telemetry()
        self.threads = threads
        settings = {"NUM_STREAMS": threads, "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        try:
            self._model = openvino.Core().compile_model(str(file), "CPU", settings)
        except RuntimeError as error:
            raise BundleError(f"{file}: OpenVINO cannot load the graph: {error}") from error

    def logits(self, input_ids: Ids, attention_mask: Ids, token_type_ids: Ids) -> NDArray[np.float32]:
        """See `Engine.logits`."""
        feed = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        result = self._model.create_infer_request().infer(feed)["logits"]
        return np.array(result, dtype=np.float32)


def _openvino_without_telemetry() -> Any:
    """The module, imported while the package that would report the import over the network cannot be found."""
    modules = cast(dict[str, Any], sys.modules)
    kept = "openvino_telemetry" in modules
    modules.setdefault("openvino_telemetry", None)
    try:
        return import_module("openvino")
    finally:
        if not kept:
            del modules["openvino_telemetry"]


def load_engine(file: Path, threads: int = 0, engine: str | None = None) -> Engine:
    """Make an engine for a graph.

    Args:
        file: the graph.
        threads: 0 for as many as the process may use.
        engine: a name from `ENGINES`; None takes ONNX Runtime, the faster one on this graph.
    """
    kind = OpenVinoEngine if engine_name(engine) == "openvino" else OnnxRuntimeEngine
    return kind(file, threads or usable_threads())


def engine_name(asked: str | None = None) -> str:
    """The engine that `asked` leads to.

    Raises:
        UsageError: when there is no such engine.
    """
    name = asked or ENGINES[0]
    if name not in ENGINES:
        raise UsageError(f"there is no engine {name!r}; the engines are {' and '.join(ENGINES)}")
    return name


def usable_threads() -> int:
    """Processor threads this process may use: its affinity, and a container's quota where one is set."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, _quota() or allowed))


def _quota() -> int | None:
    """Whole processors that a control group grants, rounded up (version 2, then version 1)."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
    except (OSError, ValueError):
        try:
            folder = Path("/sys/fs/cgroup/cpu")
            quota, period = ((folder / f"cpu.cfs_{n}_us").read_text("ascii").strip() for n in ("quota", "period"))
        except OSError:
            return None
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None  # "max" or -1: no quota
    return max(1, -(-int(quota) // int(period)))
