"""What each step of the recipe gave: dev figures and behaviour of the float networks, beside each other.

    python recipes/embedded/steps.py first=DIR second-2=runs/embedded/second-2/best model=runs/embedded/model

Each argument is a name and a directory; `NAME=DIR@SHARE@DIR` is the mean of two networks' weights, SHARE of the first.
Writes recipes/embedded/steps.json beside printing a table. Texts are read up to 256 pieces, of IMDb 500, so figures
differ a little from those of the finished bundle. Behaviour is judged without the group "confidence", which needs a
calibration. Takes about four minutes a network on two processors.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import data
import judging
from polarbert.behaviour import capabilities, judge
from polarbert.inference.prediction import make_prediction
from polarbert.model import BertForSequenceClassification
from polarbert.text import WordPieceTokenizer
from polarbert.training.classification import ClassificationTask
from train import DEV_PIECES, SECOND, THREADS, average, dev_parts, to_examples

RESULTS = Path("recipes/embedded/steps.json")
MEASURES = {"playstore": "accuracy", "tweets": "macro_recall", "sst2": "accuracy", "sst5": "macro_f1"}
MEASURES |= {"imdb": "accuracy", "clothing": "macro_f1"} | dict.fromkeys(data.ASPECT_SETS, "macro_f1")


def answered(directory: Path, parts: judging.Parts) -> dict[str, judging.Answered]:
    """What a network says of each part."""
    model = BertForSequenceClassification.from_pretrained(directory)
    tokenizer = WordPieceTokenizer.from_directory(directory)
    found = {}
    for name, rows in parts.items():
        examples = to_examples(rows, tokenizer, DEV_PIECES)
        task = ClassificationTask(examples, {name: examples}, len(data.LABELS), tokenizer, SECOND)
        chances = torch.from_numpy(task.logits(model.eval(), examples)).double().softmax(-1).numpy()
        found[name] = judging.Answered(rows, np.maximum(chances, judging.LEAST))
    return found


def behaviour(directory: Path) -> dict[str, float]:
    """The share of cases that fail, by capability, and of all."""
    suite = [one for one in capabilities() if one.group != "confidence"]
    texts = list(dict.fromkeys(text for one in suite for text in one.texts))
    chances = answered(directory, {"suite": [data.LabelledText(text, 0) for text in texts]})["suite"].chances
    answers = {
        text: make_prediction(data.LABELS, row.tolist(), 0.0, wordless=False, n_tokens=0, n_windows=1, n_unknown=0)
        for text, row in zip(texts, chances, strict=True)
    }
    results = [judge(one, answers) for one in suite]
    gated = [result for result in results if result.limit is not None]
    return {
        "all": sum(result.failed for result in results) / sum(result.n for result in results),
        "kept": sum(bool(result.passed) for result in gated) / len(gated),
        **{result.name: result.failed / result.n for result in results},
    }


def figures(directory: Path) -> dict[str, Any]:
    """All figures of a network."""
    whole, aspects = answered(directory, dev_parts()), answered(directory, data.aspect_dev_parts())
    parts = {name: judging.part_figures(one) for name, one in (whole | aspects).items()}
    return {
        "parts": {
            name: {m: part[m][0] for m in ("accuracy", "macro_f1", "macro_recall")} for name, part in parts.items()
        },
        "conflicts": judging.conflict_figures(aspects)["accuracy"],
        "behaviour": {name: round(share, 4) for name, share in behaviour(directory).items()},
    }


def main() -> None:
    """Judge what was asked for, and keep it beside what was judged before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", metavar="NAME=DIR")
    parser.add_argument("--threads", type=int, default=THREADS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    found: dict[str, Any] = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}
    for name, where in (one.split("=", 1) for one in given.networks):
        with tempfile.TemporaryDirectory() as room:
            found[name] = figures(_network(where, Path(room)))
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        print(line(name, found[name]), flush=True)


def _network(where: str, room: Path) -> Path:
    if "@" not in where:
        return Path(where)
    first, share, second = where.split("@")
    return average([Path(first), Path(second)], room, [float(share), 1 - float(share)])


def line(name: str, found: dict[str, Any]) -> str:
    """A row of the table."""
    shown = [f"{100 * found['parts'][part][measure]:.1f}" for part, measure in MEASURES.items()]
    shown += [f"{100 * found['conflicts'][0]:.1f}", *(f"{found['behaviour'][what]:.1%}" for what in ("all", "kept"))]
    return f"| {name} | " + " | ".join(shown) + " |"


if __name__ == "__main__":
    main()
