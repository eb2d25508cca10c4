"""Verdicts on aspects from the whole text, from the clauses that mention the aspect, and from both.

    python recipes/embedded/local_context.py [--model DIR]

Prints a table over the dev parts with aspects. `both` is what the model does (docs/decisions/0014-local-context.md).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

import data
import judging
import polarbert


def main() -> None:
    """Judge the model in three ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a bundle; the embedded model unless given")
    given = parser.parse_args()
    parts = data.aspect_dev_parts()
    model = polarbert.load(given.model)
    both = judging.answer_parts(model, parts)
    model.context_of = lambda *_: []
    whole = judging.answer_parts(model, parts)
    alone = judging.answer_parts(model, {name: list(map(data.clauses, rows)) for name, rows in parts.items()})
    # What a text says of its aspects is gathered by the text: those that were cut get their own back.
    alone = {name: replace(one, rows=parts[name]) for name, one in alone.items()}
    print(f"| read | {' | '.join(f'{name}, n={len(rows)}' for name, rows in parts.items())} | opposite verdicts |")
    print(f"|---|{'--:|' * len(parts)}--:|")
    for name, answers in (("the whole text", whole), ("the clauses", alone), ("both", both)):
        figures = [judging.part_figures(one) for one in answers.values()]
        cells = [f"{100 * one['accuracy'][0]:.1f} / {100 * one['macro_f1'][0]:.1f}" for one in figures]
        value, low, high = judging.conflict_figures(answers)["accuracy"]
        print(f"| {name} | {' | '.join(cells)} | {100 * value:.1f} ({100 * low:.0f}-{100 * high:.0f}) |")
    shares = [f"{np.mean([data.clauses(row) is not row for row in rows]):.0%}" for rows in parts.values()]
    print(f"Accuracy / macro-F1. With clauses that leave something out: {', '.join(shares)}.")


if __name__ == "__main__":
    main()
