"""What the integer graph costs in accuracy, and what each measure against it gives.

    python benchmarks/quantisation.py [--texts 150]

Compares logits with the float graph's on texts of four dev parts. Takes about three minutes. Writes
benchmarks/results/quantisation.json.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
import pyarrow.parquet as pq
from numpy.typing import NDArray

import common
from polarbert.bundle import Bundle, resolve
from polarbert.export import graph
from polarbert.export.graph_builder import Array
from polarbert.export.quantise import ObservingEngine
from polarbert.inference.classifier import TextClassifier
from polarbert.inference.engine import OnnxRuntimeEngine
from polarbert.model import BertForSequenceClassification

PARTS = ("playstore", "tweeteval_sentiment", "sst2", "sst5")
DEV = {"playstore": "val", "tweeteval_sentiment": "val", "sst2": "dev", "sst5": "dev"}
CALIBRATION_TEXTS = 60  # of each part
NO_OUTLIERS = 1 << 30
VARIANTS = {  # whether columns are smoothed, and one column in how many is multiplied in float
    "one scale for all columns": (False, NO_OUTLIERS),
    "smoothing": (True, NO_OUTLIERS),
    "smoothing, largest columns in float": (True, graph.OUTLIERS_IN),
}


def read(part: str, split: str, count: int) -> list[str]:
    """The first texts of a part, in its own order mixed by a fixed seed."""
    directory = os.environ.get("POLARBERT_DATA")
    if not directory:
        raise SystemExit("set POLARBERT_DATA to the directory with the texts (see recipes/embedded/README.md)")
    column = pq.read_table(Path(directory) / part / f"{split}.parquet", columns=["text"])["text"].to_pylist()
    order = np.random.default_rng(0).permutation(len(column))
    return [column[n] for n in order[:count] if column[n].strip()]


def no_smoothing(reach: Array, weight: Array) -> NDArray[np.float32]:  # noqa: ARG001 - as the real one
    """Factors that change nothing."""
    return np.ones_like(reach, dtype=np.float32)


@contextmanager
def variant(smoothing: bool, outliers_in: int) -> Iterator[None]:
    """The graph builder with a measure switched off."""
    with ExitStack() as patches:
        if not smoothing:
            for module in ("graph", "graph_builder"):
                name = f"polarbert.export.{module}.smoothing_factors"
                patches.enter_context(mock.patch(name, no_smoothing))
        patches.enter_context(mock.patch("polarbert.export.graph.OUTLIERS_IN", outliers_in))
        yield


def logits(scorer: TextClassifier, model: onnx.ModelProto, rows: list[str], folder: Path) -> NDArray[np.float64]:
    """(texts, labels), by the graph."""
    file = folder / "variant.onnx"
    file.write_bytes(model.SerializeToString())
    scorer.engine = OnnxRuntimeEngine(file, scorer.engine.threads)
    answers = scorer.predict(rows)
    return np.log(np.maximum([list(answer.probabilities.values()) for answer in answers], 1e-9))


def main() -> None:
    """Measure and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=150, help="of each dev part (default 150)")
    count = parser.parse_args().texts
    busy = common.busy_share()
    bundle = Bundle.open(resolve(None))
    model = BertForSequenceClassification.from_pretrained(bundle.path)
    weights = {name: tensor.float().numpy() for name, tensor in model.state_dict().items()}
    judged = [text for part in PARTS for text in read(part, DEV[part], count)]
    scorer = TextClassifier(bundle)
    observer = ObservingEngine(graph.build_graph(model.config, weights, model.labels, observe=True))
    scorer.engine = observer
    scorer.predict([text for part in PARTS for text in read(part, "train", CALIBRATION_TEXTS)])
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as room:
        exact = logits(scorer, graph.build_graph(model.config, weights, model.labels), judged, Path(room))
        for name, (smoothing, outliers_in) in VARIANTS.items():
            with variant(smoothing, outliers_in):
                built = graph.build_graph(model.config, weights, model.labels, observer.ranges())
            found = logits(scorer, built, judged, Path(room))
            results[name] = {
                "log_probability_rms": round(float(np.sqrt(((found - exact) ** 2).mean())), 4),
                "labels_changed": round(float((found.argmax(1) != exact.argmax(1)).mean()), 4),
            }
            common.say(f"{name}: {results[name]}")
    values = {"model": bundle.fingerprint(), "texts": len(judged), "variants": results}
    common.write_result("quantisation", busy, ("onnxruntime", "torch"), values)


if __name__ == "__main__":
    main()
