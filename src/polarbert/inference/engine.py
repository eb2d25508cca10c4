"""Running the graph: ONNX Runtime, or OpenVINO where it is asked for. One file, the same answers.

An engine computes one batch on one processor thread and may be called from several threads at once: two batches side
by side use two cores better than one batch cut in two.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from polarbert.errors import BundleError, MissingExtraError, PolarbertError, UsageError

Ids = NDArray[np.int64]
ENGINES = ("onnxruntime", "openvino")
WEIGHTS = "model.safetensors"  # what an engine that runs no graph computes from
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_MEND = "Copy or export the bundle again"
_FIRST_USE = threading.Lock()


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
        labels: how many logits a text must get; None for any number.

    Raises:
        BundleError: when the file is not a graph that can be run, or not that of such a classifier.
    """

    name = "onnxruntime"

    def __init__(self, file: Path, threads: int, labels: int | None = None) -> None:
        try:
            import onnxruntime
        except (ImportError, OSError) as error:
            fix = "Install it again: pip install --force-reinstall onnxruntime"
            raise PolarbertError(f"ONNX Runtime is installed but cannot be loaded ({error}). {fix}") from error

        self.threads = threads
        self._file = file
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong comes as an exception, once
        options.enable_mem_pattern = False  # plans memory for one shape; batches differ
        options.add_session_config_entry("session.use_env_allocators", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime raises a family of its own without a common base
            raise BundleError(f"{file}: ONNX Runtime cannot load the graph: {_said(error)}. {_MEND}") from error
        outputs = {output.name: output.shape for output in self._session.get_outputs()}
        _check_graph(file, [given.name for given in self._session.get_inputs()], outputs, labels)

    def logits(self, input_ids: Ids, attention_mask: Ids, token_type_ids: Ids) -> NDArray[np.float32]:
        """See `Engine.logits`."""
        feed = dict(zip(INPUTS, (input_ids, attention_mask, token_type_ids), strict=True))
        try:
            result: NDArray[np.float32] = self._session.run(["logits"], feed)[0]
        except Exception as error:
            raise BundleError(
                f"{self._file}: ONNX Runtime cannot compute the graph: {_said(error)}. {_MEND}"
            ) from error
        return result


class OpenVinoEngine:
    """The same graph on OpenVINO; arguments as for `OnnxRuntimeEngine`.

    Raises:
        MissingExtraError: when OpenVINO is not installed, or cannot be loaded.
        BundleError: as there.
    """

    name = "openvino"
    survives_fork = False  # it would wait for threads that only the other process has

    def __init__(self, file: Path, threads: int, labels: int | None = None) -> None:
        if find_spec("openvino") is None:
            raise MissingExtraError("The OpenVINO engine", "openvino")
        try:
            with _FIRST_USE:
                openvino = _openvino_without_telemetry()
                # Arrays are first converted here, by one thread: where two do it at once, each waits for the other.
                _ = openvino.Tensor(np.zeros(1, np.float32)).data
        except Exception as error:  # a broken installation fails in many ways
            raise MissingExtraError("The OpenVINO engine", "openvino", error) from error
        self.threads = threads
        self._file = file
        self._requests = threading.local()
        settings = {"NUM_STREAMS": threads, "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        try:
            self._model = openvino.Core().compile_model(str(file), "CPU", settings)
        except RuntimeError as error:
            raise BundleError(f"{file}: OpenVINO cannot load the graph: {_said(error)}. {_MEND}") from error
        inputs = [name for given in self._model.inputs for name in given.names]
        outputs = {name: list(found.partial_shape) for found in self._model.outputs for name in found.names}
        known = {name: [int(str(n)) if str(n).isdigit() else None for n in shape] for name, shape in outputs.items()}
        _check_graph(file, inputs, known, labels)

    def logits(self, input_ids: Ids, attention_mask: Ids, token_type_ids: Ids) -> NDArray[np.float32]:
        """See `Engine.logits`."""
        feed = dict(zip(INPUTS, (input_ids, attention_mask, token_type_ids), strict=True))
        try:
            result = self._request().infer(feed)["logits"]
        except RuntimeError as error:
            raise BundleError(f"{self._file}: OpenVINO cannot compute the graph: {_said(error)}. {_MEND}") from error
        return np.array(result, dtype=np.float32)  # a copy: the request will write its next answer there

    def _request(self) -> Any:
        """This thread's own; a new one for each batch takes a twentieth longer."""
        if not hasattr(self._requests, "kept"):
            self._requests.kept = self._model.create_infer_request()
        return self._requests.kept


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _check_graph(
    file: Path, inputs: Sequence[str], outputs: Mapping[str, Sequence[object]], labels: int | None
) -> None:
    """Refuse a graph that is not one of our classifiers.

    Raises:
        BundleError: naming what is missing, or both numbers of labels.
    """
    missing = [*(f"input {name}" for name in INPUTS if name not in inputs)]
    missing += [] if "logits" in outputs else ["output logits"]
    if missing or len(inputs) != len(INPUTS):
        what = f"it lacks the {missing[0]}" if missing else f"it has {len(inputs)} inputs"
        raise BundleError(f"{file}: is not the graph of a classifier: {what}. {_MEND}")
    found = list(outputs["logits"])[-1:]
    if labels is not None and found and isinstance(found[0], int) and found[0] != labels:
        raise BundleError(f"{file}: the graph has {found[0]} labels, the manifest names {labels}. {_MEND}")


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


def load_engine(file: Path, threads: int = 0, engine: str | None = None, labels: int | None = None) -> Engine:
    """Make an engine for a graph.

    Args:
        file: the graph.
        threads: 0 for as many as the process may use.
        engine: a name from `ENGINES`; None takes ONNX Runtime, the faster one on this graph.
        labels: how many logits a text must get; None for any number.
    """
    kind = OpenVinoEngine if engine_name(engine) == "openvino" else OnnxRuntimeEngine
    return kind(file, threads or usable_threads(), labels)


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
    """Processor threads this process may use, by its affinity, a container's quota and OMP_NUM_THREADS."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # a list has a number for each level
    return max(1, min(allowed, _quota() or allowed, int(asked) if asked.isdecimal() and int(asked) else allowed))


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
