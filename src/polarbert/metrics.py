"""Figures that say how good a classifier is, in numpy; each is tested against scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Classes = NDArray[np.int64] | Sequence[int]


def accuracy(truth: Classes, predicted: Classes) -> float:
    """Share of predictions that equal the truth."""
    return float(np.mean(np.asarray(truth) == np.asarray(predicted)))


def confusion(truth: Classes, predicted: Classes, classes: int) -> NDArray[np.int64]:
    """(classes, classes) counts; rows are the truth, columns the prediction."""
    table = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(table, (np.asarray(truth), np.asarray(predicted)), 1)
    return table


def recalls(truth: Classes, predicted: Classes, classes: int) -> NDArray[np.float64]:
    """(classes,) share of each class that was found; NaN for a class that does not occur."""
    table = confusion(truth, predicted, classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.diag(table) / table.sum(1), dtype=np.float64)


def macro_recall(truth: Classes, predicted: Classes, classes: int) -> float:
    """Mean recall over the classes that occur (the measure of SemEval task 4)."""
    return float(np.nanmean(recalls(truth, predicted, classes)))


def f1_scores(truth: Classes, predicted: Classes, classes: int) -> NDArray[np.float64]:
    """(classes,) F1 of each class; NaN for a class that neither occurs nor is predicted."""
    table = confusion(truth, predicted, classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(2 * np.diag(table) / (table.sum(0) + table.sum(1)), dtype=np.float64)


def macro_f1(truth: Classes, predicted: Classes, classes: int) -> float:
    """Mean F1 over the classes that occur or are predicted."""
    return float(np.nanmean(f1_scores(truth, predicted, classes)))
