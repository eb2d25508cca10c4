"""What the answers to a set are worth: the same for whoever gives them.

An answer is what a kind of task decides about a row: the number of a class, a number, the tags of all words, a text.
Of each row a few numbers are kept by which every figure can be computed again, on any choice of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polarbert.data.dataset import Dataset
from polarbert.data.entities import entity_spans, entity_types
from polarbert.inference.answers_evaluation import question_of
from polarbert.inference.rating_evaluation import value_of
from polarbert.inference.tagged_rows import as_tagged
from polarbert.metrics import (
    accuracy,
    answer_f1,
    count_entities,
    exact_match,
    f1_scores,
    macro_f1,
    matthews,
    pearson,
    spearman,
)

Floats = NDArray[np.float64]
RESAMPLES = 1000


def _classes(rows: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    truth, given = rows.astype(np.int64).T
    return truth, given, max(int(rows.max()) + 1, 2)


def _correlation(rows: Floats) -> float:
    truth, given = rows.T
    return float(np.mean([np.nan_to_num(measure(truth, given)) for measure in (pearson, spearman)]))


def _entity_f1(rows: Floats) -> float:
    right, occurs, answered = rows.sum(0)
    return float(2 * right / max(occurs + answered, 1))


MEASURES: dict[str, tuple[str, Callable[[Floats], float]]] = {
    "accuracy": ("accuracy", lambda rows: accuracy(*_classes(rows)[:2])),
    "macro_f1": ("macro-F1", lambda rows: macro_f1(*_classes(rows))),
    "matthews": ("Matthews correlation", lambda rows: matthews(*_classes(rows))),
    "f1": ("F1 of the positive class", lambda rows: float(np.nan_to_num(f1_scores(*_classes(rows))[1]))),
    "correlation": ("mean of Pearson and Spearman", _correlation),
    "entity_f1": ("entity F1", _entity_f1),
    "answer_f1": ("answer F1", lambda rows: float(rows[:, 0].mean())),
    "exact_match": ("exact match", lambda rows: float(rows[:, 1].mean())),
}
OF_TASK = {
    "classification": ("accuracy", "macro_f1", "matthews"),
    "pair": ("accuracy", "macro_f1", "matthews"),
    "regression": ("correlation",),
    "tagging": ("entity_f1",),
    "qa": ("answer_f1", "exact_match"),
}


def statistics(dataset: Dataset, answers: Sequence[Any], positive: str | None = None) -> Floats:
    """(rows, k) what the figures of a set need to know of each row.

    Classes and numbers: the truth and the answer. Tags: the entities that are right, that there are, that were found.
    Questions: F1 and exact match.

    Args:
        dataset: what was asked.
        answers: one a row.
        positive: of two classes, the one whose F1 counts; it is numbered 1 and the other 0.
    """
    if dataset.task == "qa":
        pairs = [(answer, question_of(row).truths) for answer, row in zip(answers, dataset.rows, strict=True)]
        return np.array([[answer_f1(*pair), exact_match(*pair)] for pair in pairs], dtype=np.float64)
    if dataset.task == "tagging":
        return _entity_counts(dataset, answers)
    if dataset.task == "regression":
        truth: list[Any] = [value_of(row) for row in dataset.rows]
    else:
        truth = [row.label for row in dataset.rows]
        if positive is not None:
            number = dataset.labels.index(positive)
            truth, answers = ([int(one == number) for one in side] for side in (truth, answers))
    return np.array([truth, list(answers)], dtype=np.float64).T


def _entity_counts(dataset: Dataset, answers: Sequence[Sequence[str]]) -> Floats:
    names = [[dataset.labels[tag] for tag in as_tagged(row).tags] for row in dataset.rows]
    spans = [[entity_spans(tags) for tags in side] for side in (names, answers)]
    tally = count_entities(spans[0], spans[1], entity_types(dataset.labels))
    return np.stack([tally.right.sum(1), tally.occurs.sum(1), tally.answered.sum(1)], axis=1)


def value(measure: str, rows: Floats) -> float:
    """A figure of rows."""
    return MEASURES[measure][1](rows)


def figures(dataset: Dataset, answers: Sequence[Any], positive: str | None = None) -> dict[str, float]:
    """All figures of a set's answers."""
    rows = statistics(dataset, answers)
    found = {name: value(name, rows) for name in OF_TASK[dataset.task]}
    return found if positive is None else found | {"f1": value("f1", statistics(dataset, answers, positive))}


def resampled_error(measure: str, ours: Floats, theirs: Floats, seed: int = 0) -> float:
    """Standard error of the difference of two contenders' figures, by other rows (Efron and Tibshirani 1993).

    Both are judged by the same rows, so these are drawn for both at once.
    """
    draws = np.random.default_rng(seed).integers(0, len(ours), (RESAMPLES, len(ours)))
    return float(np.std([value(measure, ours[drawn]) - value(measure, theirs[drawn]) for drawn in draws], ddof=1))
