"""How the windows of a long text should be put together: a comparison on the validation part of IMDb.

    python recipes/embedded/long_documents.py [--model DIR] [--reviews 1500]

Only reviews that no single window holds are judged, so the differences are those of long texts. Compared are parts of a
text that one window reads (head, tail, three quarters head and one quarter tail: Sun et al. 2019, section 5.3.1) and
means of what overlapping windows say: of probabilities or of logits, each window alike, by its pieces, or by its
confidence. IMDb has no neutral class, so the larger of the other two is the answer. Prints a table, and JSON with
--json FILE. Takes about a second for four reviews on two processors.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import polarbert
from data import BINARY, LABELS, read, sample
from polarbert.calibration import probabilities
from polarbert.inference.classifier import SentimentModel
from polarbert.inference.predictor import Window
from polarbert.text import cut_windows, join_segments
from polarbert.text.windows import head_and_tail

Floats = NDArray[np.float64]
PARTS: dict[str, Callable[[list[int], int], list[int]]] = {
    "head": lambda ids, room: ids[:room],
    "tail": lambda ids, room: ids[-room:],
    "head and tail": head_and_tail,
}


@dataclass(frozen=True)
class Reading:
    """What the windows of one review say.

    Attributes:
        logits: (windows, labels), before the temperature.
        chances: (windows, labels), after it.
        pieces: (windows,) pieces of each.
    """

    logits: Floats
    chances: Floats
    pieces: Floats


def mean_by(values: Floats, weights: Floats) -> Floats:
    """(labels,) a weighted mean over windows."""
    return np.asarray((values * weights[:, None]).sum(0) / weights.sum())


def alike(reading: Reading) -> Floats:
    """Every window counts the same."""
    return np.ones(len(reading.pieces))


MEANS: dict[str, Callable[[Reading, float], Floats]] = {
    "mean of probabilities": lambda r, _: mean_by(r.chances, alike(r)),
    "mean of probabilities, by pieces": lambda r, _: mean_by(r.chances, r.pieces),
    "mean of probabilities, by confidence": lambda r, _: mean_by(r.chances, r.chances.max(1)),
    "mean of probabilities, by pieces and confidence": lambda r, _: mean_by(r.chances, r.pieces * r.chances.max(1)),
    "mean of logits": lambda r, t: probabilities(mean_by(r.logits, alike(r))[None], t)[0],
    "mean of logits, by pieces": lambda r, t: probabilities(mean_by(r.logits, r.pieces)[None], t)[0],
    "the most confident window": lambda r, _: r.chances[r.chances.max(1).argmax()],
}


def read_windows(model: SentimentModel, texts: Sequence[list[list[int]]]) -> list[Reading]:
    """What the network says of the windows of each text, given as their pieces."""
    tokenizer, temperature = model.tokenizer, model.bundle.calibration.temperature
    windows = [Window(join_segments(tokenizer.cls_id, tokenizer.sep_id, ids, None)) for parts in texts for ids in parts]
    logits = model.text_logits(windows).astype(np.float64)
    chances = probabilities(logits.astype(np.float32), temperature)
    readings, at = [], 0
    for parts in texts:
        here = slice(at, at + len(parts))
        readings.append(Reading(logits[here], chances[here], np.array([float(len(ids)) for ids in parts])))
        at += len(parts)
    return readings


def compare(model: SentimentModel, pieces: Sequence[list[int]], truth: NDArray[np.int64]) -> dict[str, Any]:
    """Figures of every way to answer, by name."""
    room, overlap = model.bundle.window - 2, model.bundle.overlap
    temperature = model.bundle.calibration.temperature
    windows = [[ids[a:b] for a, b in cut_windows(len(ids), room, min(overlap, room // 2))] for ids in pieces]
    readings = read_windows(model, windows)
    answers = {name: np.stack([way(one, temperature) for one in readings]) for name, way in MEANS.items()}
    for name, part in PARTS.items():
        answers[name] = np.stack([one.chances[0] for one in read_windows(model, [[part(ids, room)] for ids in pieces])])
    return {name: figures(chances, truth) for name, chances in answers.items()}


def figures(chances: Floats, truth: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, its standard error and log loss, of the two classes that there are."""
    two = chances[:, list(BINARY)]
    two /= two.sum(1, keepdims=True)
    right = np.array(BINARY)[two.argmax(1)] == truth
    said = two[np.arange(len(truth)), np.searchsorted(np.array(BINARY), truth)]
    return {
        "accuracy": round(float(right.mean()), 4),
        "standard_error": round(float((right.mean() * (1 - right.mean()) / len(right)) ** 0.5), 4),
        "log_loss": round(float(-np.log(np.maximum(said, 1e-9)).mean()), 4),
    }


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a bundle; the embedded model unless given")
    parser.add_argument("--reviews", type=int, default=1500, help="at most, all of them long (default 1500)")
    parser.add_argument("--json", type=Path, help="keep the figures in this file too", metavar="FILE")
    options = parser.parse_args()
    model = polarbert.load(options.model)
    if model.labels != LABELS:
        raise SystemExit(f"the model has the labels {', '.join(model.labels)}; this compares models of sentiment")
    rows = sample(read("imdb/val", binary=True), 1_000_000)
    encoded = model.tokenizer.encode([row.text for row in rows])
    long = [(p.ids, row.label) for p, row in zip(encoded, rows, strict=True) if len(p.ids) > model.bundle.window - 2]
    if not long:
        raise SystemExit("no review is longer than a window of this model")
    chosen = long[: options.reviews]
    found = compare(model, [ids for ids, _ in chosen], np.array([label for _, label in chosen]))
    about = {"reviews": len(chosen), "of": len(rows), "longer_than_a_window": len(long), "ways": found}
    print(f"{len(chosen):,} reviews longer than a window, of {len(rows):,} ({len(long):,} of them are)")
    for name, values in sorted(found.items(), key=lambda item: -item[1]["accuracy"]):
        print(
            f"{name:<50} {values['accuracy']:.1%} ± {values['standard_error']:.1%}   log loss {values['log_loss']:.4f}"
        )
    if options.json is not None:
        options.json.write_text(json.dumps(about, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
