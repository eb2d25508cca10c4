"""What values the activations take on real text: the numbers that a static int8 graph is built from."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from polarbert.export.graph_builder import ColumnRanges
from polarbert.inference.engine import Ids

Columns = NDArray[np.float32]


@dataclass
class ObservingEngine:
    """Runs a graph that outputs the inputs of its weight layers, and keeps each column's range over real positions.

    Args:
        graph: made with `build_graph(..., observe=True)`.
        threads: how many batches it is given at once.
    """

    graph: onnx.ModelProto
    threads: int = 1
    name: str = "observing"
    lows: dict[str, Columns] = field(default_factory=dict)
    highs: dict[str, Columns] = field(default_factory=dict)

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
        with self._lock:
            for name, values in zip(self._names[1:], activations, strict=True):
                low, high = values[real].min(axis=0), values[real].max(axis=0)
                self.lows[name] = np.minimum(self.lows.get(name, low), low)
                self.highs[name] = np.maximum(self.highs.get(name, high), high)
        result: NDArray[np.float32] = logits
        return result

    def ranges(self) -> dict[str, ColumnRanges]:
        """The range of each column of each activation."""
        return {name: ColumnRanges(self.lows[name], self.highs[name]) for name in self.lows}
