"""What suits a bundle's task: the predictor, and the columns that scoring adds.

Each kind of model is imported when a bundle asks for it, so that the embedded one is ready at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from polarbert.bundle import Bundle
from polarbert.inference.columns import Columns
from polarbert.inference.engine import Engine

_ROOM = "polarbert.inference"
_PREDICTORS = {
    "sentiment": ("classifier", "SentimentModel"),
    "classification": ("classifier", "TextClassifier"),
    "pair": ("classifier", "TextClassifier"),
    "regression": ("classifier", "Regressor"),
    "tagging": ("tagger", "Tagger"),
    "qa": ("answerer", "QuestionAnswerer"),
}
_COLUMNS = {
    "sentiment": ("columns", "ScoreColumns"),
    "classification": ("columns", "ScoreColumns"),
    "pair": ("columns", "ScoreColumns"),
    "regression": ("columns", "RatingColumns"),
    "tagging": ("tagging_columns", "TaggingColumns"),
    "qa": ("answer_columns", "AnswerColumns"),
}


def make_predictor(
    bundle: Bundle, threads: int = 0, engine: str | Engine | None = None, min_confidence: float | None = None
) -> Any:
    """The predictor that suits a bundle's task; arguments as for `polarbert.inference.predictor.Predictor`.

    What it is called with differs by task, so for type checkers it is of any type.
    """
    return _class(*_PREDICTORS[bundle.task])(bundle, threads, engine, min_confidence)


def make_columns(bundle: Bundle, prefix: str = "", sentences: bool = False) -> Columns[Any]:
    """The columns that suit a bundle's task; arguments as for `polarbert.inference.columns.Columns`.

    Args:
        bundle: of the model.
        prefix: put before each name.
        sentences: those of a `polarbert.inference.by_sentence.SentenceReader` of the model.
    """
    home = ("columns", "SentenceColumns") if sentences else _COLUMNS[bundle.task]
    columns: Columns[Any] = _class(*home)(bundle.labels, prefix)
    return columns


def _class(module: str, name: str) -> Any:
    return getattr(import_module(f"{_ROOM}.{module}"), name)
