"""What values the activations take on real text: the numbers that a static int8 graph is built from."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from polarbert.export.graph import Range
from polarbert.inference.engine import Ids

CUT_SHARE = 1e-4  # of the values at each end; cutting the rarest leaves finer steps for all others


@dataclass
class ObservingEngine:
    """Runs a graph that outputs the inputs of its weight layers, and keeps their ranges over real positions.

    Args:
        graph: made with `build_graph(..., observe=True)`.
        threads: of one batch.
    """

    graph: onnx.ModelProto
    threads: int = 1
    name: str = "observing"
    lows: dict[str, list[float]] = field(default_factory=dict)
    highs: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        content = self.graph.SerializeToString()
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._names = [output.name for output in self._session.get_outputs()]
        self._lock = threading.Lock()

    def logits(self, input_ids: Ids, attention_mask: Ids, token_type_ids: Ids) -> NDArray[np.float32]:
        """Logits of a batch; remembers the ranges on the way."""
        feed = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        logits, *activations = self._session.run(self._names, feed)
        real = attention_mask.reshape(-1).astype(bool)
        for name, values in zip(self._names[1:], activations, strict=True):
            low, high = _ends(values[real].reshape(-1))
            with self._lock:
                self.lows.setdefault(name, []).append(low)
                self.highs.setdefault(name, []).append(high)
        result: NDArray[np.float32] = logits
        return result

    def ranges(self) -> dict[str, Range]:
        """The range of each activation: the mean of the batches' ends."""
        return {n: Range(float(np.mean(self.lows[n])), float(np.mean(self.highs[n]))) for n in self.lows}


def _ends(values: NDArray[np.float32]) -> tuple[float, float]:
    low, high = np.quantile(values, [CUT_SHARE, 1 - CUT_SHARE])
    return float(low), float(high)
