"""The pages on the kinds of task and on few labels say what was measured, and it is measured alike for everybody."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from recipes.tasks import contest, few_labels, judging, ours, plain, sets, write_page
from recipes.tasks.entries import Entries, base_of, read
from sklearn import metrics as sklearn_metrics
from transformers import AutoTokenizer

from polarbert.data.dataset import Dataset, LabelledText
from polarbert.data.questions import Question
from polarbert.data.splits import is_dev
from polarbert.data.tagged import tagged_text
from polarbert.model.kinds import head_of
from polarbert.training.base import Base

pytest_plugins = ["tests.finetune_fixtures"]

SVG = "{http://www.w3.org/2000/svg}"
ENVIRONMENT = {"processor": "Example CPU", "torch": "2", "device": "cpu"}


def entry(task: str, contender: str, seed: int, last: float, best: float | None = None, **more: Any) -> dict[str, Any]:
    measure = sets.SETS[task].measure
    budget = {"rows": 2000, "dev_rows": 500, "precision": "bf16", "learning_rate": 1e-4, "judged": []}
    figures = {"last": {measure: last}, "best": {measure: last if best is None else best}}
    return {"task": task, "contender": contender, "seed": seed, **budget, **figures, **more}


def results(*entries: dict[str, Any]) -> dict[str, Any]:
    budget = {"rows": 2000, "passes": 3.0, "dev_rows": 1000, "base": "the embedded model", "transformers": "5"}
    return {"date": "2026-01-31", "budget": budget, "environment": ENVIRONMENT, "entries": list(entries)}


def three(task: str, who: str, *values: float) -> list[dict[str, Any]]:
    return [entry(task, who, seed, value) for seed, value in enumerate(values, 1)]


def test_the_figures_are_those_of_the_results() -> None:
    kept = read(write_page.RESULTS)
    found = write_page.BLOCK.search(write_page.PAGE.read_text("utf-8"))
    assert found is not None
    assert found[0] == write_page.figures(kept)
    assert write_page.PICTURE.is_file() == bool(write_page.measured(kept))
    if write_page.PICTURE.is_file():
        assert write_page.PICTURE.read_text("utf-8") == write_page.draw(write_page.measured(kept))


def test_the_table_of_warm_up_is_that_of_the_results() -> None:
    found = write_page.WARMUP_BLOCK.search(write_page.PAGE.read_text("utf-8"))
    assert found is not None
    without = read(write_page.WITHOUT_WARMUP)
    assert without["budget"]["warmup_share"] == 0
    assert found[0] == write_page.warmup(read(write_page.RESULTS), without)


def test_warm_up_is_judged_by_the_seeds_that_have_both() -> None:
    kept = results(*three("cola", "ours", 0.1, 0.2, 0.3), *three("cola", "transformers", 0.9))
    table = write_page.warmup(kept, results(*three("cola", "ours", 0.2, 0.2)))
    assert "| CoLA | 15.0 | 20.0 | +5.0 ± 5.0 | 2 |" in table
    assert table.count("\n") == 3


def test_the_curve_is_that_of_the_results() -> None:
    kept = read(few_labels.RESULTS)
    found = few_labels.BLOCK.search(few_labels.PAGE.read_text("utf-8"))
    assert found is not None
    assert found[0] == few_labels.figures(kept)
    assert few_labels.PICTURE.is_file() == bool(kept)


def test_a_difference_is_paired_by_seed_and_called_what_it_is() -> None:
    measured = write_page.measured(
        results(
            *three("rte", "ours", 0.66, 0.62, 0.70),
            *three("rte", "transformers", 0.65, 0.60, 0.67),
            *three("sst2", "ours", 0.90, 0.91, 0.92),
            *three("sst2", "transformers", 0.91, 0.90, 0.92),
            *three("trec", "ours", 0.80, 0.80, 0.81),
            *three("trec", "transformers", 0.90, 0.91, 0.90),
            *three("cola", "ours", 0.5),
        )
    )
    assert [one.chosen.title for one in measured] == ["SST-2", "TREC", "RTE"]  # of CoLA there is one contender alone
    gains = {one.chosen.title: one.difference("last") for one in measured}
    assert gains["RTE"] is not None
    assert (gains["RTE"].value, gains["RTE"].error) == pytest.approx((2.0, 1 / 3**0.5))
    assert {title: gain.verdict for title, gain in gains.items() if gain is not None} == {
        "SST-2": "even",
        "TREC": "worse",
        "RTE": "better",
    }
    page = write_page.figures(results(*[one for m in measured for one in (*m.ours, *m.theirs)]))
    assert "Polarbert's mean is the higher one on 1 of 3 tasks" in page
    assert "- worse by more than two standard errors: 1 (TREC)" in page
    assert "| RTE | accuracy | dev, 500 rows | 2,000 rows | 66.0 ± 4.0 | 64.0 ± 3.6 | +2.0 ± 0.6 | 3 | 66.4" in page
    assert "Not measured yet: SST-5; CoLA; MRPC;" in page.replace(", ", "; ")
    for block in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_with_one_seed_the_error_is_that_of_other_rows() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, 400)
    given = [np.where(random.random(400) < share, truth, 1 - truth) for share in (0.8, 0.7)]
    judged = [np.stack([truth, answers], axis=1).tolist() for answers in given]
    pair = [
        entry("rte", who, 1, float((answers == truth).mean()), judged=rows)
        for who, answers, rows in zip(("ours", "transformers"), given, judged, strict=True)
    ]
    found = write_page.difference(pair[:1], pair[1:], "accuracy", "last")
    assert found is not None
    right = (given[0] == truth).astype(float) - (given[1] == truth)
    assert found.value == pytest.approx(100 * right.mean())
    assert found.error == pytest.approx(100 * right.std() / 20, rel=0.1)


def test_the_picture_has_a_bar_for_each_contender() -> None:
    kept = results(*three("rte", "ours", 0.66, 0.62), *three("rte", "transformers", 0.60, 0.62))
    drawing = ET.fromstring(write_page.draw(write_page.measured(kept)))
    words = "".join(drawing.itertext())
    assert all(word in words for word in ("RTE, accuracy", "Polarbert", "64.0%", "transformers", "61.0%"))


def few_entry(task: str, contender: str, labels: int, seed: int, value: float) -> dict[str, Any]:
    shared = {"rows": min(labels, 78) * 3, "dev_rows": 500, "classes": 3, "macro_f1": value}
    return {"task": task, "contender": contender, "labels": labels, "seed": seed, **shared}


def test_the_curve_has_a_row_for_each_set_and_contender() -> None:
    entries = [
        few_entry(task, contender, labels, seed, value + seed / 100)
        for task in ("playstore", "trec")
        for contender, value in (("Polarbert", 0.6), ("TF-IDF", 0.5))
        for labels in (8, 512)
        for seed in (1, 2)
    ]
    kept = results(*entries)
    page = few_labels.figures(kept)
    assert "| reviews of apps, Polarbert | 61.5 ± 0.7 | 61.5 ± 0.7 |" in page
    assert "of kinds of questions there are 234 rows in all at 512" in page
    assert "standard deviation of 2 seeds" in page
    words = "".join(ET.fromstring(few_labels.draw(kept)).itertext())
    assert all(name in words for name in ("Polarbert, reviews of apps", "TF-IDF, kinds of questions", "512"))


def test_a_run_that_is_kept_is_not_done_again(tmp_path: Path) -> None:
    file, key = tmp_path / "results" / "some.json", ("task", "seed")
    first = Entries(file, {"rows": 10}, key)
    first.add({"task": "b", "seed": 1, "value": 1 / 3})
    first.add({"task": "a", "seed": 2, "value": [0.5, 1.0]})
    again = Entries(file, {"rows": 10}, key)
    assert again.has(task="b", seed=1)
    assert not again.has(task="b", seed=2)
    kept = json.loads(file.read_text("utf-8"))
    assert kept["entries"] == [{"task": "a", "seed": 2, "value": [0.5, 1]}, {"task": "b", "seed": 1, "value": 0.33333}]
    with pytest.raises(SystemExit, match="rows 10; asked for is rows 20"):
        Entries(file, {"rows": 20}, key)
    assert Entries(file, {"rows": 20}, key, fresh=True).entries == []


def write_table(file: Path, **columns: list[str]) -> None:
    file.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), file)


def test_nothing_is_learned_that_judges_and_labels_keep_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLARBERT_DATA", str(tmp_path))
    write_table(tmp_path / "set/train.parquet", text=["good", "Bad!", "fine", "great"], label=["p", "n", "o", "p"])
    write_table(tmp_path / "set/dev.parquet", text=["bad", "lovely", "awful"], label=["n", "p", "n"])
    chosen = sets.LabelledSet("a set", "classification", "set/train.parquet", "accuracy", "set/dev.parquet")
    parts = sets.read(chosen)
    assert [row.text for row in parts.train.rows] == ["good", "fine", "great"]
    assert parts.train.labels == parts.dev.labels
    assert [parts.dev.labels[row.label] for row in parts.dev.rows] == ["n", "p", "n"]
    first, second = (sets.draw(parts, 2, 2, seed) for seed in (1, 3))
    assert len(first.train.rows) == len(first.dev.rows) == 2
    assert first.dev.rows == second.dev.rows
    tenth = sets.read(replace(chosen, dev=None))
    assert not {row.text for row in tenth.train.rows} & {row.text for row in tenth.dev.rows}


def test_no_pair_is_learned_that_has_a_text_of_one_that_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARBERT_DATA", str(tmp_path))
    first = [f"{number * 7919} is number {number}" for number in range(100)]
    judged = [text for text in first if is_dev(text)]
    free = [text for text in first if not is_dev(text)]
    second = [f"{number * 104729} of others" for number in range(100)]
    second[first.index(free[0])] = judged[0].upper() + "!"
    second[first.index(free[1])] = second[first.index(judged[1])]
    write_table(tmp_path / "set/train.parquet", text=first, text_pair=second, label=["same", "other"] * 50)
    parts = sets.read(sets.LabelledSet("a set", "pair", "set/train.parquet", "accuracy"))
    assert [row.text for row in parts.dev.rows] == judged
    assert [row.text for row in parts.train.rows] == free[2:]


def test_figures_of_classes_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    truth, given = random.integers(0, 2, 200), random.integers(0, 2, 200)
    rows = [LabelledText(f"text {number}", int(label), number) for number, label in enumerate(truth)]
    dataset = Dataset("some", rows, ["no", "yes"], "classification")
    found = judging.figures(dataset, given.tolist(), "no")
    assert found["matthews"] == pytest.approx(sklearn_metrics.matthews_corrcoef(truth, given))
    assert found["macro_f1"] == pytest.approx(sklearn_metrics.f1_score(truth, given, average="macro"))
    assert found["f1"] == pytest.approx(sklearn_metrics.f1_score(truth, given, pos_label=0))


PASSAGES = [
    "she came back from our hotel and sent her phone again last week",
    "staff bought good water because some shoes were so old",
]
DATASETS = {
    "pair": Dataset(
        "pairs",
        [
            LabelledText(text, number % 2, number, pair=other)
            for number, (text, other) in enumerate(
                [("the film was great", "a good film"), ("awful food", "we loved it"), ("never again", "again")] * 3
            )
        ],
        ["no", "yes"],
        "pair",
    ),
    "tagging": Dataset(
        "tags",
        [
            tagged_text("Anna came from London".split(), [3, 0, 0, 1], 1),
            tagged_text("The nice Berlin hotel phones".split(), [0, 0, 1, 0, 0], 2),
        ]
        * 3,
        ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"],
        "tagging",
    ),
    "qa": Dataset(
        "questions",
        [
            Question(PASSAGES[0], 0, 1, question="who came", id="1", answers=(("she", 0),)),
            Question(PASSAGES[0], 0, 2, question="from where", id="2", answers=(("our hotel", 19),)),
            Question(PASSAGES[1], 0, 3, question="what was bought", id="3", answers=(("good water", 13),)),
            Question(PASSAGES[1] + " " + PASSAGES[0] * 5, 0, 4, question="who", id="4", answers=(("staff", 0),)),
        ],
        ["start", "end"],
        "qa",
    ),
}
MEASURE = {"pair": "accuracy", "tagging": "entity_f1", "qa": "answer_f1"}


@pytest.mark.parametrize("task", list(DATASETS))
def test_the_same_weights_give_the_same_answers(task: str, small_base: Path, tmp_path: Path) -> None:
    # Of a passage in several windows, their bounds are not the same: ours are of equal length.
    dataset = replace(DATASETS[task], rows=[row for row in DATASETS[task].rows if len(row.text) < 100])
    base, chosen = Base.open(small_base), sets.LabelledSet(task, task, "none", MEASURE[task])
    parts = sets.Parts(dataset, dataset)
    kind = contest.make_kind(chosen, dataset, base)
    budget = replace(contest.make_budget(kind, parts, base, 1.0, 1, "cpu"), precision="fp32")
    encoded = kind.encode(dataset.rows)
    work = kind.task(encoded, encoded, budget.settings())
    torch.manual_seed(5)
    network = head_of(task).from_encoder(base.path, dataset.labels).eval()
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(torch.randn_like(weights) * 0.1)  # so that no two answers are nearly as likely
    work.save(network, str(tmp_path))
    reading = plain.Reading(dataset, AutoTokenizer.from_pretrained(tmp_path), budget.max_pieces, budget.overlap)
    known = plain.Answering(reading, dataset.rows).answers(plain.new_model(dataset, tmp_path))
    found = ours.answer(work, network)
    assert len(found) == len(known) == len(dataset.rows)
    assert found == known
    assert judging.figures(dataset, found) == judging.figures(dataset, known)


@pytest.mark.parametrize("task", list(DATASETS))
def test_both_contenders_learn_the_same_rows_as_often(task: str, small_base: Path) -> None:
    dataset, base = DATASETS[task], Base.open(small_base)
    chosen = sets.LabelledSet(task, task, "none", MEASURE[task])
    parts = sets.Parts(dataset, dataset)
    kind = contest.make_kind(chosen, dataset, base)
    budget = replace(contest.make_budget(kind, parts, base, 2.0, 1, "cpu"), precision="fp32", batch_tokens=64, batch=3)
    runs = ours.fine_tune(chosen, parts, base, kind, budget), plain.fine_tune(chosen, parts, base, budget)
    for run in runs:
        assert len(run.evaluations) == budget.evaluations == 2
        assert run.last[chosen.measure] == pytest.approx(judging.value(chosen.measure, run.rows))
        assert run.best(chosen.measure)[chosen.measure] >= run.last[chosen.measure]
        assert run.seconds > 0
    assert runs[0].tokens == pytest.approx(runs[1].tokens, rel=0.2 if task == "qa" else 0)  # windows overlap otherwise


def test_few_labels_are_as_many_of_each_class_and_the_same_for_everybody(small_base: Path) -> None:
    words = {0: "great lovely", 1: "awful broken", 2: "okay average"}
    rows = [LabelledText(f"{words[n % 3]} film number {n}", n % 3, n) for n in range(90)]
    rare = [row for row in rows if row.label != 2 or row.row < 15]
    dataset = Dataset("some", rare, ["a", "b", "c"], "classification")
    everything = sets.Parts(dataset, replace(dataset, rows=rows[60:]))
    parts = few_labels.few(everything, 8, seed=1)
    counts = [sum(row.label == number for row in parts.train.rows) for number in range(3)]
    assert counts == [8, 8, 5]
    assert few_labels.few(everything, 8, seed=1) == parts
    assert few_labels.few(everything, 8, seed=2).train.rows != parts.train.rows
    work = few_labels.Work(few_labels.SETS["trec"], parts, Base.open(small_base), "cpu", 1)
    assert few_labels.learn_by_words(work) == [row.label for row in parts.dev.rows]


def test_figures_of_an_earlier_edition_say_so() -> None:
    now = Base.open(None)
    assert base_of({"base": now.name, "digest": now.digest[:16]}) == now.name
    assert base_of({"base": now.name, "digest": "0" * 16}) == f"an earlier edition of {now.name}"
    assert base_of({"base": "mine", "digest": "0" * 16}) == "mine"
