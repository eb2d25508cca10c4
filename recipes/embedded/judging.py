"""What a bundle reaches on the dev parts as users run it: figures with intervals, for the card and the gates."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import polarbert
from data import LABELS, NEGATIVE, NEUTRAL, POSITIVE, LabelledText
from polarbert.calibration import (
    Calibration,
    CalibrationFigures,
    calibration_figures,
    fit_temperature,
    fit_threshold,
    probabilities,
)
from polarbert.data.splits import normalised
from polarbert.inference.behaviour_evaluation import evaluate_behaviour
from polarbert.metrics import RESAMPLES, Estimate, Tally, confusion

THREE_CLASS = ("playstore", "tweets", "sst5", "clothing")
FOLDS = 5
UNSURE_TARGET, STRICT_TARGET = 0.85, 0.95  # shares right among the answers given: of the bundle, and for the card
LEAST = 1e-9
PLAIN = Path(__file__).with_name("plain.csv")

Parts = Mapping[str, Sequence[LabelledText]]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Answered:
    """The answers of a model to a part.

    Attributes:
        rows: of the part.
        chances: (rows, 3) probabilities.
    """

    rows: Sequence[LabelledText]
    chances: Floats

    @property
    def truth(self) -> NDArray[np.int64]:
        """(rows,) class numbers."""
        return np.array([row.label for row in self.rows])

    @property
    def guess(self) -> NDArray[np.int64]:
        """(rows,) the likeliest of the classes that the annotators could choose."""
        choices = list(self.rows[0].choices or range(len(LABELS)))
        return np.asarray(np.array(choices)[self.chances[:, choices].argmax(1)], dtype=np.int64)

    @property
    def fold(self) -> NDArray[np.int64]:
        """(rows,) to which of `FOLDS` a text belongs, by what it says."""
        return np.array([int(hashlib.sha1(normalised(r.text).encode()).hexdigest(), 16) % FOLDS for r in self.rows])  # noqa: S324 - no secret


def answer_parts(model: Any, parts: Parts) -> dict[str, Answered]:
    """The answers of a model, with the calibration that its bundle has."""
    found = {}
    for name, rows in parts.items():
        aspects = [row.aspect for row in rows]
        asked = aspects if any(aspects) else None
        answers = model.predict([row.text for row in rows], asked)
        found[name] = Answered(rows, np.array([list(one.probabilities.values()) for one in answers]))
    return found


def fit(answers: Mapping[str, Answered]) -> Calibration:
    """Temperature and unsure threshold on all whole texts of three classes; how good they are, `calibration` tells."""
    pooled = _pooled([answers[name] for name in THREE_CLASS])
    temperature, thresholds = _fitted(*pooled)
    return Calibration(round(temperature, 4), round(thresholds[UNSURE_TARGET], 4))


def part_figures(answered: Answered) -> dict[str, Any]:
    """Accuracy, macro-F1 and macro-recall, each with its 95% interval."""
    table = confusion(answered.truth, answered.guess, len(LABELS))
    tally, drawn = Tally.of(table), Tally.resampled(table)
    measures: dict[str, Callable[[Tally], Floats]] = {
        "accuracy": lambda one: one.accuracy,
        "macro_f1": lambda one: one.macro_f1,
        "macro_recall": lambda one: one.macro_recall,
    }
    found = {name: _interval(Estimate.bootstrap(of(tally), of(drawn))) for name, of in measures.items()}
    return {"texts": len(answered.rows), "classes": len(answered.rows[0].choices or LABELS), **found}


def conflict_figures(answers: Mapping[str, Answered], seed: int = 0) -> dict[str, Any]:
    """Praise and blame of single aspects, in texts that have both.

    Returns:
        Texts and pairs, the accuracy with its 95% interval (texts are resampled, since the pairs of one go together),
        and what the best answer that is the same for all pairs would reach.
    """
    truth: dict[str, list[int]] = defaultdict(list)
    right: dict[str, list[bool]] = defaultdict(list)
    for answered in answers.values():
        for row, guess in zip(answered.rows, answered.guess, strict=True):
            if row.label != NEUTRAL:
                truth[row.text].append(row.label)
                right[row.text].append(bool(row.label == guess))
    torn = [text for text, labels in truth.items() if len(set(labels)) > 1]
    hits, pairs = np.array([sum(right[text]) for text in torn]), np.array([len(right[text]) for text in torn])
    drawn = np.random.default_rng(seed).integers(0, len(torn), (RESAMPLES, len(torn)))
    labels = [label for text in torn for label in truth[text]]
    return {
        "texts": len(torn),
        "pairs": len(labels),
        "accuracy": _interval(Estimate.bootstrap(hits.sum() / pairs.sum(), hits[drawn].sum(1) / pairs[drawn].sum(1))),
        "one_answer": round(max(map(labels.count, (NEGATIVE, POSITIVE))) / len(labels), 4),
    }


def calibration(
    answers: Mapping[str, Answered],
    rated: Mapping[str, Answered],
    aspects: Mapping[str, Answered],
    chosen: Calibration,
) -> dict[str, Any]:
    """How far confidence is from accuracy, cross-fitted, and on each domain when the others alone were fitted on.

    Args:
        answers: of parts of whole texts, without calibration.
        rated: of more such parts, which take part in the second figure alone.
        aspects: of texts with an aspect, by the bundle with `chosen`, which no such text was fitted on.
        chosen: the calibration of the bundle.
    """
    parts = {name: answers[name] for name in THREE_CLASS}
    domains = parts | dict(rated)
    return {
        "temperature": chosen.temperature,
        "unsure_below": chosen.unsure_below,
        **_cross_fitted(list(parts.values())),
        "left_out": {
            name: _left_out(one, [other for rest, other in domains.items() if rest != name])
            for name, one in domains.items()
        }
        | {name: _domain(one, chosen.temperature, 1.0) for name, one in aspects.items()},
    }


def _cross_fitted(parts: Sequence[Answered]) -> dict[str, Any]:
    logits, truth = _pooled(parts)
    folds = np.concatenate([part.fold for part in parts])
    confidence, correct = np.empty(len(truth)), np.empty(len(truth), dtype=bool)
    given = {target: np.empty(len(truth), dtype=bool) for target in (UNSURE_TARGET, STRICT_TARGET)}
    for fold in range(FOLDS):
        here = folds == fold
        temperature, thresholds = _fitted(logits[~here], truth[~here])
        confidence[here], correct[here] = _confidence(logits[here], truth[here], temperature)
        for target, threshold in thresholds.items():
            given[target][here] = confidence[here] >= threshold
    found = calibration_figures(confidence, correct)
    _, whole = _fitted(logits, truth)
    return {
        "texts": len(truth),
        "folds": FOLDS,
        "expected_calibration_error": _error(found),
        "accuracy_of_all": round(float(correct.mean()), 4),
        "thresholds": {
            str(target): {
                "threshold": round(whole[target], 4),
                "share_answered": round(float(mask.mean()), 4),
                "accuracy_when_answered": _interval(Estimate.share(int(correct[mask].sum()), max(1, int(mask.sum())))),
            }
            for target, mask in given.items()
        },
    }


def _left_out(part: Answered, rest: Sequence[Answered]) -> dict[str, Any]:
    temperature, _ = _fitted(*_pooled(rest))
    return _domain(part, temperature, temperature)


def _domain(part: Answered, temperature: float, left: float) -> dict[str, Any]:
    """Of a part with the temperature for it, by `left` of which its logits are still to be divided."""
    found = calibration_figures(*_confidence(*_pooled([part]), left))
    about = {"texts": len(part.rows), "temperature": round(temperature, 4)}
    return {**about, "expected_calibration_error": _error(found)}


def _pooled(parts: Sequence[Answered]) -> tuple[Floats, NDArray[np.int64]]:
    logits = np.log(np.maximum(np.concatenate([part.chances for part in parts]), LEAST))
    return logits, np.concatenate([part.truth for part in parts])


def _fitted(logits: Floats, truth: NDArray[np.int64]) -> tuple[float, dict[float, float]]:
    temperature = fit_temperature(logits, truth)
    confidence, correct = _confidence(logits, truth, temperature)
    return temperature, {t: fit_threshold(confidence, correct, t) for t in (UNSURE_TARGET, STRICT_TARGET)}


def _confidence(logits: Floats, truth: NDArray[np.int64], temperature: float) -> tuple[Floats, NDArray[np.bool_]]:
    chances = probabilities(logits, temperature)
    return chances.max(1), chances.argmax(1) == truth


def manners(bundle: Path) -> dict[str, Any]:
    """How a bundle behaves on texts that are made: the behaviour suite, and plain texts."""
    return {"behaviour": behaviour_figures(bundle), "plain": plain_figures(polarbert.load(bundle))}


def plain_figures(model: Any) -> dict[str, Any]:
    """Plain texts of our own about which nobody would argue.

    Args:
        model: that answers.

    Returns:
        Of each part how many there are and how many come out right, and those that do not, with their answers. The
        part "known" was read before turns of phrase were added to the generated texts, "fresh" was written later.
    """
    with PLAIN.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    answers = model.predict([row["text"] for row in rows])
    parts: dict[str, dict[str, int]] = defaultdict(lambda: {"texts": 0, "right": 0, "wrong_and_sure": 0})
    wrong = []
    for row, answer in zip(rows, answers, strict=True):
        part, right = parts[row["part"]], answer.label == row["label"]
        part["texts"] += 1
        part["right"] += right
        part["wrong_and_sure"] += not right and not answer.unsure
        if not right:
            found = {"label": answer.label, "confidence": round(answer.confidence, 3), "unsure": answer.unsure}
            wrong.append({"text": row["text"], "wanted": row["label"], **found})
    return {"parts": dict(parts), "wrong": wrong}


def behaviour_figures(bundle: Path) -> dict[str, Any]:
    """The behaviour suite, as `polarbert evaluate --behaviour` judges it."""
    found = evaluate_behaviour(polarbert.load(bundle))
    results = [
        {
            "name": one.name,
            "group": one.group,
            "kind": one.kind,
            "cases": one.n,
            "failed": one.failed,
            "rate": _interval(one.rate),
            "limit": one.limit,
        }
        for one in found.results
    ]
    kept = {"gated": len(found.gated), "kept": len(found.passed)}
    return {"digest": found.digest, "cases": found.cases, "failed": found.failed, **kept, "results": results}


def _error(found: CalibrationFigures) -> dict[str, Any]:
    """As measured, what chance alone would make, and what is left without chance, with its interval."""
    return {
        "measured": round(found.ece, 4),
        "by_chance": round(found.by_chance, 4),
        "corrected": _interval(found.corrected),
    }


def _interval(estimate: Estimate) -> list[float]:
    return [round(estimate.value, 4), round(estimate.low, 4), round(estimate.high, 4)]
