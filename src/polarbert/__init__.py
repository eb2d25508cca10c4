"""Sentiment analysis with BERT: light to install, honest about doubt, fast on ordinary processors.

import polarbert
model = polarbert.load()
model.predict(["I love it"])[0].label
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from polarbert.inference.answerer import Answer, QuestionAnswerer
    from polarbert.inference.by_sentence import BySentence, SentencePrediction
    from polarbert.inference.classifier import Regressor, SentimentModel, TextClassifier
    from polarbert.inference.explanation import Explanation, SentenceWeight, WordWeight
    from polarbert.inference.prediction import Prediction, Rating
    from polarbert.inference.tagger import Entity, Tagger, Tagging

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "BySentence",
    "Entity",
    "Explanation",
    "Prediction",
    "QuestionAnswerer",
    "Rating",
    "Regressor",
    "SentencePrediction",
    "SentenceWeight",
    "SentimentModel",
    "Tagger",
    "Tagging",
    "TextClassifier",
    "WordWeight",
    "__version__",
    "load",
]

# ONNX Runtime (1.32) reports its use over the network, and keeps an identifier of the machine for that, unless this is
# set before it is first loaded. Whoever wants the report sets 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {
    "Answer": "polarbert.inference.answerer",
    "BySentence": "polarbert.inference.by_sentence",
    "Entity": "polarbert.inference.tagger",
    "Explanation": "polarbert.inference.explanation",
    "Prediction": "polarbert.inference.prediction",
    "QuestionAnswerer": "polarbert.inference.answerer",
    "Rating": "polarbert.inference.prediction",
    "Regressor": "polarbert.inference.classifier",
    "SentencePrediction": "polarbert.inference.by_sentence",
    "SentenceWeight": "polarbert.inference.explanation",
    "SentimentModel": "polarbert.inference.classifier",
    "Tagger": "polarbert.inference.tagger",
    "Tagging": "polarbert.inference.tagger",
    "TextClassifier": "polarbert.inference.classifier",
    "WordWeight": "polarbert.inference.explanation",
}


@overload
def load(
    model: None = None,
    threads: int = 0,
    engine: str | None = None,
    device: str | None = None,
    min_confidence: float | None = None,
) -> SentimentModel: ...


@overload
def load(
    model: str | Path,
    threads: int = 0,
    engine: str | None = None,
    device: str | None = None,
    min_confidence: float | None = None,
) -> Any: ...


def load(
    model: str | Path | None = None,
    threads: int = 0,
    engine: str | None = None,
    device: str | None = None,
    min_confidence: float | None = None,
) -> Any:
    """Load a model for scoring.

    Args:
        model: None for the embedded model; a bundle directory; or a Hub id such as "org/name".
        threads: processor threads; 0 for as many as the process may use.
        engine: "onnxruntime" (also None) or "openvino", which needs the extra `[openvino]`.
        device: "cpu" (also None) for an engine; "cuda" for a GPU, which needs the extra `[train]`; or "auto" for a GPU
            where there is one.
        min_confidence: an answer with less confidence is unsure; the model's own threshold unless given.

    Returns:
        By the bundle's task, a `SentimentModel`, a `TextClassifier` (also of pairs), a `Regressor`, a `Tagger` or a
        `QuestionAnswerer`; each may be shared between threads.

    Raises:
        BundleError: when there is no such model, or it is damaged, or it has no graph yet.
        UsageError: when there is no such engine or device, both are given, or the threshold is no probability.
        MissingExtraError: when what the engine or device needs is not installed.

    Example:
        >>> load().predict(["I love it"])[0].label
        'positive'
    """
    from polarbert.bundle import Bundle, resolve

    loading = import_module("polarbert.loading")  # by name: rooms that take the version from here are below it
    return loading.load_predictor(Bundle.open(resolve(model)), threads, engine, device, min_confidence)


def __getattr__(name: str) -> Any:
    """Load the public classes when first used, so that importing polarbert costs next to nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
