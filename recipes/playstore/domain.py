"""Step 4 of the play-store story: what belongs to the domain. Writes runs/playstore/domain-*.

The public encoder learns from tweets alone, from as many as there are reviews to learn from, and judges reviews; the
networks that `honest.py` trained on reviews judge tweets.

    python recipes/playstore/domain.py

Run honest.py first. Cost: see recipes/playstore/README.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

import figures
import networks
import reviews
from honest import PLAIN, SHARES, SPLIT_SEED, TWEETS, judged, plain_runs, read_part
from polarbert.data.dataset import LabelledText
from polarbert.data.duplicates import clusters
from polarbert.data.splits import make_splits
from polarbert.training.run import RunDirectory

SEED = 1


def main() -> None:
    """One run, and every network on both kinds of text."""
    part = read_part()
    val, tweets = part.rows(part.splits.test), reviews.read(TWEETS).rows
    truth = {name: np.array([row.label for row in rows]) for name, rows in (("val", val), ("tweets", tweets))}
    learned, dev = tweets_to_learn_from(len(part.splits.train), len(part.splits.dev))
    run = RunDirectory(reviews.RUNS / "domain-tweets")
    answers = networks.train_and_ask(
        run,
        reviews.plain_base(),
        learned,
        {"dev": dev},
        {"val": val, "tweets": tweets},
        replace(PLAIN, seed=SEED),
        choose=True,
    )
    taught_by_reviews = [of.read(networks.ANSWERS) for of in plain_runs()]
    if None in taught_by_reviews:
        raise SystemExit("not all networks have learned from reviews yet: run recipes/playstore/honest.py first")
    found = {
        "learned": {"tweets": len(learned), "reviews": len(part.splits.train)},
        "shares": {name: (np.bincount(given, minlength=3) / len(given)).tolist() for name, given in truth.items()},
        "tweets": {name: judged(truth[name], [answers[name]]) for name in truth},
        "reviews": {name: judged(truth[name], [np.array(k[name]) for k in taught_by_reviews]) for name in truth},
        "cost": networks.cost([run]),
    }
    figures.keep("domain", found)
    print(json.dumps(found, indent=1))


def tweets_to_learn_from(train: int, dev: int) -> tuple[list[LabelledText], list[LabelledText]]:
    """As many tweets as are asked for, to learn from and to choose by, none of which stands among those that judge."""
    both, first, second = reviews.joined(reviews.read(f"{reviews.TWEETS}/train"), reviews.read(TWEETS))
    cluster_of = clusters(both.texts)
    kept = first[~np.isin(cluster_of[first], cluster_of[second])]
    drawn = np.sort(np.random.default_rng(SEED).permutation(kept)[: train + dev])
    dataset = replace(both, rows=[both.rows[place] for place in drawn])
    splits = make_splits(dataset, SHARES, SPLIT_SEED)
    return rows_at(dataset.rows, splits.train), rows_at(dataset.rows, splits.dev)


def rows_at(rows: Sequence[LabelledText], places: reviews.Places) -> list[LabelledText]:
    """The rows at these places."""
    return [rows[place] for place in places]


if __name__ == "__main__":
    main()
