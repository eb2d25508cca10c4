"""Step 2 of the play-store story: what repeats in a test part pretend. Writes runs/playstore/leak-*.

The same network is trained in the same way twice: on a random split of the reviews as they were scraped, as tutorials
do, and on a split in which no text of the test part stands in the training part, exactly or nearly. After each pass the
test part is judged. A stopped run goes on when the command is given again; one that has ended is only read.

    python recipes/playstore/leak.py

Cost: see recipes/playstore/README.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

import figures
import networks
import reviews
from polarbert.data.dataset import Dataset, LabelledText
from polarbert.data.splits import Splits, make_splits, random_splits
from polarbert.metrics import Estimate, macro_f1
from polarbert.training.run import RunDirectory
from polarbert.training.settings import TrainSettings
from reviews import KINDS, Places

SHARES, SEED, PASSES = (0.8, 0.1, 0.1), 1, 5
SETTINGS = TrainSettings(
    epochs=PASSES,
    batch_tokens=1024,
    learning_rate=1e-4,
    warmup_share=0.06,
    seed=SEED,
    evaluations=PASSES,  # one a pass
    threads=1,  # both runs can go side by side
)
RUNS = {"leak-random": random_splits, "leak-free": make_splits}
SEEN_ROWS = 500  # of the training part: what a network that has learned them by heart says to them


def main() -> None:
    """Both runs, and what tells them apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=RUNS, help="do this run alone and keep no figures; both can go side by side")
    only = parser.parse_args().only
    raw = reviews.read(reviews.RAW)
    if only:
        judge(raw, RUNS[only](raw, SHARES, SEED), only)
        return
    found: dict[str, Any] = {
        "passes": PASSES,
        "train_pieces": networks.TRAIN_PIECES,
        "settings": SETTINGS.to_dict(),
        "random": judge(raw, random_splits(raw, SHARES, SEED), "leak-random"),
        "leak_free": judge(raw, make_splits(raw, SHARES, SEED), "leak-free"),
    }
    found["share"] = share_of_leak(found["random"], found["leak_free"])
    found["cost"] = networks.cost([RunDirectory(reviews.RUNS / name) for name in RUNS])
    figures.keep("leak", found)
    print(json.dumps(found, indent=1))


def judge(raw: Dataset, splits: Splits, name: str) -> dict[str, Any]:
    """Train on a split, or read what that gave, and judge it by how the test texts stand in the training part."""
    test = np.concatenate([splits.test, splits.dev])  # nothing is chosen by the dev part here, so it judges as well
    groups = grouped(raw, splits.train, test, splits.cluster_of)
    seen = np.random.default_rng(SEED).permutation(splits.train)[:SEEN_ROWS]
    watched = {name: rows(raw, places) for name, places in (groups | {"seen": seen}).items()}
    asked = {name: watched[name] for name in groups}
    run = RunDirectory(reviews.RUNS / name)
    answers = networks.train_and_ask(run, reviews.plain_base(), rows(raw, splits.train), watched, asked, SETTINGS)
    return {
        "train": len(splits.train),
        "test": len(test),
        "left_out": splits.duplicates,
        "curve": [accuracies(line, groups) for line in networks.curve(run)],
        "last": last(raw, groups, answers),
    }


def rows(dataset: Dataset, places: Places) -> list[LabelledText]:
    """The rows at these places."""
    return [dataset.rows[place] for place in places]


def grouped(raw: Dataset, train: Places, test: Places, cluster_of: Places) -> dict[str, Places]:
    """The test part by how its texts stand in the training part, new ones by whether they repeat elsewhere."""
    kinds = reviews.kinds(raw.texts, train, test, cluster_of)
    repeats = reviews.repeats(cluster_of)[test]
    groups = {kind: test[kinds == kind] for kind in KINDS[:2]}
    groups["new_repeated"] = test[(kinds == "new") & repeats]
    groups["new_once"] = test[(kinds == "new") & ~repeats]
    return {name: places for name, places in groups.items() if len(places)}


def accuracies(line: Mapping[str, float], groups: Mapping[str, Places]) -> dict[str, float]:
    """Accuracy of every group after a pass, and of all of the test part."""
    found = {name: line[f"{name}_accuracy"] for name in groups}
    rows = {name: len(places) for name, places in groups.items()}
    whole = sum(found[name] * rows[name] for name in groups) / sum(rows.values())
    return {"all": whole, **found, "seen": line["seen_accuracy"]}


def last(raw: Dataset, groups: Mapping[str, Places], answers: Mapping[str, Places]) -> dict[str, Any]:
    """Figures after the last pass: of the test part, and of its groups."""
    truth = {name: raw.truth[places] for name, places in groups.items()}
    right = {name: answers[name] == truth[name] for name in groups}
    together = [np.concatenate([part[name] for name in groups]) for part in (right, truth, answers)]
    return {
        "accuracy": estimate(together[0]),
        "macro_f1": macro_f1(together[1], together[2], len(raw.labels)),
        "groups": {name: estimate(right[name]) | {"rows": len(right[name])} for name in groups},
    }


def estimate(right: np.ndarray) -> dict[str, float]:
    """A share of right answers and its interval."""
    share = Estimate.share(int(right.sum()), len(right))
    return {"value": share.value, "low": share.low, "high": share.high}


def share_of_leak(leaky: Mapping[str, Any], clean: Mapping[str, Any]) -> dict[str, float]:
    """What the random split's test part would show without the leak, and what the leak adds.

    Texts that repeat are not as hard as those that stand once, so its parts are weighed by their own share: each gets
    the accuracy that the leak-free run has on texts of its kind.
    """
    groups = leaky["last"]["groups"]
    rows = {name: group["rows"] for name, group in groups.items()}
    total = sum(rows.values())
    once = rows.get("new_once", 0) / total
    known = (rows.get("exact", 0) + rows.get("near", 0)) / total
    free = {name: clean["last"]["groups"][name]["value"] for name in ("new_repeated", "new_once")}
    without = once * free["new_once"] + (1 - once) * free["new_repeated"]
    shown = leaky["last"]["accuracy"]["value"]
    return {"in_train": known, "shown": shown, "without_leak": without, "leak": shown - without}


if __name__ == "__main__":
    main()
