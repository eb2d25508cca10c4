"""How good a model of so many labels is: Polarbert beside TF-IDF and logistic regression, on the same rows.

    python recipes/tasks/few_labels.py [--tasks playstore trec tweets] [--labels 8 32 128 512] [--seeds 1 2 3]

Writes recipes/tasks/results/few_labels.json, a line for each run, and with it the table and the picture in
docs/how-to/how-many-labels.md; what stands in the results is not measured again. `--page` only writes the page. Reads
the sets from the directory that POLARBERT_DATA names; recipes/embedded/README.md says where they come from.

Polarbert is fine-tuned as `polarbert train` does it, with passes, batches and rate that follow the number of rows, and
judged after the last step, so the rows that judge choose nothing. The other model sees words alone and in twos and runs
of three to five characters; cross-validation over its rows chooses how much it is held back (C).
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline, make_union

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from recipes.tasks import ours, sets
from recipes.tasks.contest import make_kind
from recipes.tasks.entries import Entries, Entry, base_of, read
from recipes.tasks.sets import LabelledSet, Parts

from chart import line_chart
from polarbert.files import write_whole
from polarbert.metrics import accuracy, macro_f1
from polarbert.training.base import Base
from polarbert.training.device import choose_device
from polarbert.training.loop import train
from polarbert.training.pace import adapt
from polarbert.training.run import RunDirectory
from polarbert.training.settings import TrainSettings

RESULTS = Path(__file__).resolve().with_name("results") / "few_labels.json"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "how-many-labels.md"
PICTURE = PAGE.with_name("how-many-labels.svg")
BLOCK = re.compile(r"(?<=<!-- results -->\n).*?(?=<!-- /results -->)", re.DOTALL)
KEY = ("task", "contender", "labels", "seed")
DEV_ROWS = 1000
STRENGTHS = (0.1, 1.0, 10.0, 100.0)
FOLDS = 5
SETS = {
    "playstore": LabelledSet(
        "reviews of apps", "classification", "playstore/train.parquet", "macro_f1", "playstore/val.parquet"
    ),
    "trec": LabelledSet("kinds of questions", "classification", "trec/train.parquet", "macro_f1"),
    "tweets": LabelledSet(
        "tweets",
        "classification",
        "tweeteval_sentiment/train.parquet",
        "macro_f1",
        "tweeteval_sentiment/val.parquet",
    ),
}


@dataclass(frozen=True)
class Work:
    """What a contender gets.

    Attributes:
        chosen: the set.
        parts: few rows to learn from, and those that judge.
        base: what Polarbert starts from.
        device: to train on.
        seed: of new layers, order and folds.
    """

    chosen: LabelledSet
    parts: Parts
    base: Base
    device: str
    seed: int


def main() -> None:
    """Measure what is not measured yet, and write the page."""
    asked = _arguments()
    if not asked.page:
        _measure(asked)
    if asked.results == RESULTS:
        write_page(read(RESULTS))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--labels", nargs="+", type=int, default=[8, 32, 128, 512], help="of each class, at most")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--base", help="a bundle, another directory or a Hub id; the embedded model unless given")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS, help="another file for the results; then no page")
    parser.add_argument("--fresh", action="store_true", help="forget what the file of results holds")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page")
    return parser.parse_args()


def _measure(asked: argparse.Namespace) -> None:
    base, device = Base.open(asked.base), choose_device(asked.device).type
    budget = {"dev_rows": DEV_ROWS, "base": base.name, "digest": base.digest[:16]}
    entries = Entries(asked.results, budget, KEY, asked.fresh)
    for name in asked.tasks:
        everything: Parts | None = None
        for labels in asked.labels:
            for seed in asked.seeds:
                for contender, learn in CONTENDERS.items():
                    key = {"task": name, "contender": contender, "labels": labels, "seed": seed}
                    if entries.has(**key):
                        continue
                    everything = everything or sets.read(SETS[name])
                    parts = few(everything, labels, seed)
                    entry = key | _run(learn, Work(SETS[name], parts, base, device, seed))
                    entries.add(entry)
                    print(entry, flush=True)


def few(parts: Parts, labels: int, seed: int) -> Parts:
    """At most so many rows of each class, and at most `DEV_ROWS` that judge."""
    rows = [row for number in range(len(parts.train.labels)) for row in _of_class(parts, number, labels, seed)]
    return Parts(replace(parts.train, rows=rows), replace(parts.dev, rows=sets.some(parts.dev.rows, DEV_ROWS, 0)))


def _of_class(parts: Parts, number: int, labels: int, seed: int) -> list[Any]:
    return sets.some([row for row in parts.train.rows if row.label == number], labels, seed)


def _run(learn: Callable[[Work], Sequence[int]], work: Work) -> dict[str, Any]:
    started = time.perf_counter()
    given = learn(work)
    seconds = time.perf_counter() - started
    truth = [row.label for row in work.parts.dev.rows]
    return {
        "rows": len(work.parts.train.rows),
        "dev_rows": len(truth),
        "classes": len(work.parts.train.labels),
        "macro_f1": macro_f1(truth, given, len(work.parts.train.labels)),
        "accuracy": accuracy(truth, given),
        "seconds": seconds,
    }


def learn_by_polarbert(work: Work) -> Sequence[int]:
    """Classes of the dev rows, by the base fine-tuned on the rows to learn from."""
    kind = make_kind(work.chosen, work.parts.train, work.base)
    learned, judging = (kind.encode(part.rows) for part in (work.parts.train, work.parts.dev))
    usual = TrainSettings(seed=work.seed, evaluations=1, checkpoint_seconds=1e9)
    settings = adapt(usual, learned.pieces, work.base.config.hidden_size)
    watched = ours.Watched(kind.task(learned, judging, settings), work.chosen, work.parts)
    model = ours.new_model(work.chosen, work.parts, work.base, work.seed).to(work.device)
    with tempfile.TemporaryDirectory() as room:
        train(model, watched, settings, RunDirectory(room), quiet=True)
    return [int(number) for number in watched.answers]


def learn_by_words(work: Work) -> Sequence[int]:
    """Classes of the dev rows, by TF-IDF of words and characters and a logistic regression."""
    learned, judging = work.parts.train.rows, work.parts.dev.rows
    labels = [row.label for row in learned]
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    characters = TfidfVectorizer(analyzer="char", ngram_range=(3, 5), sublinear_tf=True)
    model = make_pipeline(make_union(words, characters), LogisticRegression(max_iter=2000))
    folds = StratifiedKFold(min(FOLDS, *Counter(labels).values()), shuffle=True, random_state=work.seed)
    search = GridSearchCV(model, {"logisticregression__C": STRENGTHS}, scoring="f1_macro", cv=folds)
    search.fit([row.text for row in learned], labels)
    return [int(number) for number in search.predict([row.text for row in judging])]


CONTENDERS: dict[str, Callable[[Work], Sequence[int]]] = {
    "Polarbert": learn_by_polarbert,
    "TF-IDF": learn_by_words,
}


def write_page(results: Mapping[str, Any]) -> None:
    """The table in the page and, where there are figures, the picture."""
    page = BLOCK.sub(lambda _: figures(results), PAGE.read_text("utf-8"))
    write_whole(PAGE, page.encode("utf-8"))
    if results:
        write_whole(PICTURE, draw(results).encode("utf-8"))
    else:
        PICTURE.unlink(missing_ok=True)


def figures(results: Mapping[str, Any]) -> str:
    """Table and picture, as Markdown."""
    if not results:
        return "Not measured yet: `python recipes/tasks/few_labels.py` does it.\n"
    found = grouped(results)
    sizes = sorted({labels for by_size in found.values() for labels in by_size})
    lines = [f"| | {' | '.join(f'{labels:,}' for labels in sizes)} |", f"|---|{'--:|' * len(sizes)}"]
    for (task, contender), by_size in found.items():
        cells = [_cell(by_size[labels]) if labels in by_size else "" for labels in sizes]
        lines.append(f"| {SETS[task].title}, {contender} | {' | '.join(cells)} |")
    return "\n".join([f"![The table below as lines]({PICTURE.name})\n", *lines, "", about(results)])


def grouped(results: Mapping[str, Any]) -> dict[tuple[str, str], dict[int, list[Entry]]]:
    """Entries by set and contender, then by labels of each class."""
    found: dict[tuple[str, str], dict[int, list[Entry]]] = {}
    order = sorted(
        results["entries"], key=lambda one: ([*SETS].index(one["task"]), [*CONTENDERS].index(one["contender"]))
    )
    for entry in order:
        by_size = found.setdefault((entry["task"], entry["contender"]), {})
        by_size.setdefault(entry["labels"], []).append(entry)
    return found


def _cell(entries: Sequence[Entry]) -> str:
    values = [100 * entry["macro_f1"] for entry in entries]
    return f"{mean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{mean(values):.1f}"


def about(results: Mapping[str, Any]) -> str:
    """What the figures are, and what is missing in them."""
    entries = results["entries"]
    seeds = len({entry["seed"] for entry in entries})
    judged = {SETS[entry["task"]].title: entry["dev_rows"] for entry in entries}
    shown = ", ".join(f"{rows:,} {title}" for title, rows in judged.items())
    short = [
        f"of {SETS[task].title} there are {by_size[labels][0]['rows']:,} rows in all at {labels:,}"
        for (task, contender), by_size in grouped(results).items()
        for labels in by_size
        if contender == next(iter(CONTENDERS)) and by_size[labels][0]["rows"] < labels * by_size[labels][0]["classes"]
    ]
    fewer = f" Where a class has fewer rows, all of them are taken: {'; '.join(short)}." if short else ""
    return (
        f"Macro-F1 in percent against labels of each class, mean and standard deviation of {seeds} "
        f"seed{'s' if seeds != 1 else ''}; the seed draws the rows. Judged on {shown} that were not learned from. "
        f"Base of Polarbert: {base_of(results['budget'])}.{fewer} Measured {results['date']} on "
        f"{results['environment']['processor']}.\n"
    )


def draw(results: Mapping[str, Any]) -> str:
    """A line for each set and contender."""
    series = {
        f"{contender}, {SETS[task].title}": [
            (float(labels), mean(100 * entry["macro_f1"] for entry in by_size[labels])) for labels in sorted(by_size)
        ]
        for (task, contender), by_size in grouped(results).items()
    }
    return line_chart(
        "How good so many labels are", "macro-F1 in percent", "labels of each class", series, doubling=True
    )


if __name__ == "__main__":
    main()
