"""Step 2 of the embedded model: calibrate, export, judge, and put the bundle in its place.

    python recipes/embedded/build.py [--checkpoint DIR] [--no-install]

Fails hard, and changes nothing, when int8 costs more than its limits or the dev figures are below a plain fine-tune's.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import data
import polarbert
from card import write_card
from data import LABELS, LabelledText, dev_parts, sample
from polarbert.bundle import Bundle
from polarbert.calibration import Calibration, calibration_error, fit_temperature, fit_threshold, probabilities
from polarbert.data.splits import normalised
from polarbert.export.bundling import ExportOptions, ExportReport, export_bundle
from polarbert.export.proof import LabelledSet
from polarbert.inference.prediction import Prediction
from polarbert.metrics import accuracy, macro_f1, macro_recall
from polarbert.model import BertForSequenceClassification
from polarbert.text import WordPieceTokenizer

RUNS = Path("runs/embedded")
BUNDLE = RUNS / "bundle"
HOME = Path("src/polarbert/models/default")
RESULTS = Path("recipes/embedded/results.json")
WINDOW, OVERLAP = 512, 64
UNSURE_TARGET = 0.85  # share right among the answers not marked unsure
PROOF_ROWS = 1000  # of IMDb in the int8 proof; the other dev parts are used whole
THREE_CLASS = ("playstore", "tweets", "sst5", "clothing")

# What a plain fine-tune of the same base on a like mix reached: name of the dev part, measure, least value.
FLOORS = (
    ("playstore", "accuracy", 0.684),
    ("tweets", "macro_recall", 0.712),
    ("sst2", "accuracy", 0.904),
    ("sst5", "macro_f1", 0.637),
    ("imdb", "accuracy", 0.888),
)


def main() -> None:
    """All steps, in order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=RUNS / "train" / "best")
    parser.add_argument("--keep-graph", action="store_true", help="only calibrate and judge what was exported before")
    parser.add_argument("--no-install", action="store_true", help="leave the embedded model alone")
    arguments = parser.parse_args()
    dev = dev_parts()
    if not arguments.keep_graph:
        save_half(arguments.checkpoint)
        export(dev)
    replace(Bundle.open(BUNDLE), calibration=Calibration()).write()
    replace(Bundle.open(BUNDLE), calibration=fit(dev)).write()
    figures = judge(dev)
    write_card(BUNDLE, figures, json.loads((BUNDLE / "export.json").read_text("utf-8")), training_summary())
    Bundle.open(BUNDLE).write()  # the card is in the checksums too
    print(json.dumps(figures, indent=2), flush=True)
    check(figures)
    if not arguments.no_install:
        install(figures)


def save_half(checkpoint: Path) -> None:
    """The trained network in half precision; everything after this step starts from the rounded weights."""
    shutil.rmtree(BUNDLE, ignore_errors=True)
    BertForSequenceClassification.from_pretrained(checkpoint).save_pretrained(BUNDLE, half=True)
    WordPieceTokenizer.from_directory(checkpoint).save(BUNDLE)


def export(dev: dict[str, list[LabelledText]]) -> ExportReport:
    """Both graphs, proved on the dev parts; int8 or an error."""
    rows = dev | {"imdb": sample(dev["imdb"], PROOF_ROWS)}
    sets = {n: LabelledSet.of_texts([r.text for r in p], [r.label for r in p], p[0].choices) for n, p in rows.items()}
    texts = [row.text for part in data.train_parts().values() for row in sample(part, 200)]
    options = ExportOptions("sentiment", Calibration(), WINDOW, OVERLAP, strict=True, provenance=provenance())
    return export_bundle(BUNDLE, BUNDLE, texts, sets, options, note=lambda line: print(line, flush=True))


def fit(dev: dict[str, list[LabelledText]]) -> Calibration:
    """Temperature and threshold, on the half of the three-class dev texts that does not judge them."""
    rows = [row for name in THREE_CLASS for row in dev[name] if is_for_fitting(row)]
    chances = answer_matrix(polarbert.load(BUNDLE).predict([row.text for row in rows]))
    logits, truth = np.log(np.maximum(chances, 1e-9)), np.array([row.label for row in rows])
    temperature = fit_temperature(logits, truth)
    fitted = probabilities(logits, temperature)
    threshold = fit_threshold(fitted.max(1), fitted.argmax(1) == truth, UNSURE_TARGET)
    return Calibration(round(temperature, 4), round(threshold, 4))


def judge(dev: dict[str, list[LabelledText]]) -> dict[str, Any]:
    """Every dev figure, from the int8 bundle as users run it."""
    model = polarbert.load(BUNDLE)
    figures: dict[str, Any] = {"parts": {}}
    held, right, sure = [], [], []
    for name, rows in dev.items():
        answers = model.predict([row.text for row in rows])
        figures["parts"][name] = judge_part(rows, answer_matrix(answers))
        if name in THREE_CLASS:
            kept = [(r, a) for r, a in zip(rows, answers, strict=True) if not is_for_fitting(r)]
            held += [a.confidence for _, a in kept]
            right += [a.label == LABELS[r.label] for r, a in kept]
            sure += [not a.unsure for _, a in kept]
    confidence, correct, answered = np.array(held), np.array(right), np.array(sure)
    figures["calibration"] = {
        "texts": len(correct),
        "temperature": model.bundle.calibration.temperature,
        "expected_calibration_error": round(calibration_error(confidence, correct), 4),
        "unsure_below": model.bundle.calibration.unsure_below,
        "share_answered": round(float(answered.mean()), 4),
        "accuracy_when_answered": round(float(correct[answered].mean()), 4),
        "accuracy_of_all": round(float(correct.mean()), 4),
    }
    return figures


def judge_part(rows: Sequence[LabelledText], chances: np.ndarray) -> dict[str, Any]:
    """Accuracy, macro-F1 and macro-recall; a part without neutral texts is judged on the other two classes."""
    choices = list(rows[0].choices or range(len(LABELS)))
    guess = np.array(choices)[chances[:, choices].argmax(1)]
    truth = np.array([row.label for row in rows])
    measures = {"macro_f1": macro_f1(truth, guess, 3), "macro_recall": macro_recall(truth, guess, 3)}
    figures = {"accuracy": accuracy(truth, guess), **measures}
    return {"texts": len(rows), "classes": len(choices), **{name: round(v, 4) for name, v in figures.items()}}


def check(figures: dict[str, Any]) -> None:
    """Refuse an edition that is worse than a plain fine-tune: on the mean, or beyond chance on any part.

    Beyond chance is more than two standard errors of a share of as many texts.
    """
    found = [(name, figures["parts"][name][measure], least) for name, measure, least in FLOORS]
    low = [
        f"{name}: {value:.4f} is below {least} by more than two standard errors"
        for name, value, least in found
        if value < least - 2 * (least * (1 - least) / figures["parts"][name]["texts"]) ** 0.5
    ]
    if sum(value - least for _, value, least in found) < 0:
        low.append("the mean of the parts is below the plain fine-tune's")
    if low:
        raise SystemExit("not installed: " + "; ".join(low))


def install(figures: dict[str, Any]) -> None:
    """Put the bundle where `polarbert.load()` finds it, and its figures beside the recipe."""
    shutil.rmtree(HOME, ignore_errors=True)
    shutil.copytree(BUNDLE, HOME)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


def is_for_fitting(row: LabelledText) -> bool:
    """Half of the texts, by their content."""
    return len(normalised(row.text)) % 2 == 0


def answer_matrix(answers: Sequence[Prediction]) -> np.ndarray:
    """(texts, labels) probabilities."""
    return np.array([list(answer.probabilities.values()) for answer in answers])


def provenance() -> dict[str, Any]:
    """What polarbert.json says of how the model was made."""
    return {
        "edition": 2,
        "base": "all-MiniLM-L6-v2 (Apache-2.0), with pieces for emoji added",
        "data": "play-store reviews, SemEval tweets, SST-2, SST-5, IMDb, women's clothing reviews",
        "recipe": "recipes/embedded",
    }


def training_summary() -> dict[str, Any]:
    """What the run says of itself."""
    files = {name: RUNS / "train" / f"{name}.json" for name in ("settings", "environment", "summary")}
    return {name: json.loads(file.read_text("utf-8")) if file.is_file() else {} for name, file in files.items()}


if __name__ == "__main__":
    main()
