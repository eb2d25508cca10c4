"""Each kind of task from the same base: Polarbert and a plain `transformers` fine-tune, with the same budget.

    python recipes/tasks/measure.py [--tasks sst2 cola ...] [--rows 2000] [--passes 3] [--seeds 1 2 3] [--only ours]

Writes recipes/tasks/results/tasks.json, a line for each run; what stands there is not measured again. Then
`python recipes/tasks/write_page.py` makes docs/tasks.md of it. Reads the sets from the directory that POLARBERT_DATA
names; recipes/embedded/README.md says where they come from.

Both contenders learn the same rows, drawn by the seed, as often, in batches of about as many pieces, at the same peak
rate and in the same precision. They are judged as often on the same dev rows by the same functions. What differs is
what the contenders are: the loop with its warm-up, decay, batches counted in pieces and reading of spans and tags, and
the Trainer with its defaults. Rows to learn from that repeat a dev row are left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import transformers
from recipes.tasks import ours, plain, sets
from recipes.tasks.contest import Budget, Outcome, make_budget, make_kind
from recipes.tasks.entries import Entries
from recipes.tasks.sets import LabelledSet, Parts

from polarbert.training.base import Base

RESULTS = Path(__file__).resolve().with_name("results") / "tasks.json"
DEV_ROWS = 1000
KEY = ("task", "contender", "seed")


def main() -> None:
    """Measure what is not measured yet."""
    asked = _arguments()
    if asked.warmup_share is not None and asked.results == RESULTS:
        raise SystemExit("--warmup-share is for a file of its own: name it with --results")
    transformers.logging.set_verbosity_error()
    base = Base.open(asked.base)
    budget = {
        "rows": asked.rows,
        "passes": asked.passes,
        "dev_rows": DEV_ROWS,
        "base": base.name,
        "digest": base.digest[:16],
        "transformers": transformers.__version__,
    }
    if asked.warmup_share is not None:
        budget["warmup_share"] = asked.warmup_share
    entries = Entries(asked.results, budget, KEY, asked.fresh)
    for name in asked.tasks:
        contest = Contest(name, base, asked)
        for seed in asked.seeds or sets.SETS[name].seeds:
            for contender in [asked.only] if asked.only else list(CONTENDERS):
                if not entries.has(task=name, contender=contender, seed=seed):
                    entry = contest.run(contender, seed)
                    entries.add(entry)
                    print(name, contender, seed, entry["last"], f"{entry['seconds']:.0f} s", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=list(sets.SETS), default=list(sets.SETS))
    parser.add_argument("--rows", type=int, default=2000, help="to learn from, at most (default 2000)")
    parser.add_argument("--passes", type=float, default=3.0, help="over these rows (default 3)")
    parser.add_argument("--seeds", nargs="+", type=int, help="5 for CoLA, MRPC and RTE and 3 for others unless given")
    parser.add_argument("--only", choices=list(CONTENDERS), help="one of the contenders alone")
    parser.add_argument("--base", help="a bundle, another directory or a Hub id; the embedded model unless given")
    parser.add_argument("--warmup-share", type=float, help="of Polarbert's steps; with --results")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS, help="another file for the results")
    parser.add_argument("--fresh", action="store_true", help="forget what the file of results holds")
    return parser.parse_args()


class Contest:
    """A set, and both contenders on it.

    Args:
        name: of the set.
        base: what both start from.
        asked: rows, passes and device.
    """

    def __init__(self, name: str, base: Base, asked: argparse.Namespace) -> None:
        self._name = name
        self._base = base
        self._asked = asked
        self._parts: Parts | None = None

    def run(self, contender: str, seed: int) -> dict[str, Any]:
        """The entry of one run."""
        chosen, base = sets.SETS[self._name], self._base
        if self._parts is None:
            self._parts = sets.read(chosen)
        rows = min(self._asked.rows, chosen.most_rows or self._asked.rows)
        parts = sets.draw(self._parts, rows, DEV_ROWS, seed)
        kind = make_kind(chosen, parts.train, base)
        budget = make_budget(kind, parts, base, self._asked.passes, seed, self._asked.device)
        if self._asked.warmup_share is not None:
            budget = replace(budget, warmup_share=self._asked.warmup_share)
        outcome = CONTENDERS[contender](chosen, parts, base, budget)
        return {
            "task": self._name,
            "contender": contender,
            "seed": seed,
            "rows": len(parts.train.rows),
            "dev_rows": len(parts.dev.rows),
            "batch": budget.batch,
            "batch_tokens": budget.batch_tokens,
            "learning_rate": budget.learning_rate,
            "precision": budget.precision,
            "steps": outcome.steps,
            "tokens": outcome.tokens,
            "seconds": outcome.seconds,
            "last": outcome.last,
            "best": outcome.best(chosen.measure),
            "judged": outcome.rows.tolist(),
        }


def _by_polarbert(chosen: LabelledSet, parts: Parts, base: Base, budget: Budget) -> Outcome:
    return ours.fine_tune(chosen, parts, base, make_kind(chosen, parts.train, base), budget)


CONTENDERS: dict[str, Callable[[LabelledSet, Parts, Base, Budget], Outcome]] = {
    "ours": _by_polarbert,
    "transformers": plain.fine_tune,
}


if __name__ == "__main__":
    main()
