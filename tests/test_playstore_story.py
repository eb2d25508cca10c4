"""The page of the play-store story says what its commands found, and they count and compare rightly."""

from __future__ import annotations

import copy
import json
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import figures
import honest
import leak
import make_story
import networks
import pictures
import reviews
from polarbert.data.dataset import LabelledText
from polarbert.data.labels import SENTIMENTS
from polarbert.errors import TrainingError
from polarbert.model import BertConfig, BertEncoder
from polarbert.text import WordPieceTokenizer
from polarbert.training.run import RunDirectory
from polarbert.training.settings import TrainSettings

ROOT = Path(__file__).parents[1]
SVG = "{http://www.w3.org/2000/svg}"


def about(name: str) -> dict[str, Any]:
    return {"command": f"python recipes/playstore/{name}.py", "date": "2026-01-31", "polarbert": "0.1.0"}


def estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.02, "high": value + 0.02}


def judged(values: list[float], table: list[list[int]]) -> dict[str, Any]:
    recall = dict(zip(SENTIMENTS, (row[n] / sum(row) for n, row in enumerate(table)), strict=True))
    some = honest.spread(values)
    return {"accuracy": some, "macro_f1": some, "macro_recall": some, "recall": recall, "confusion": table}


def side(values: list[float], groups: dict[str, tuple[float, int]]) -> dict[str, Any]:
    """What leak.py keeps of one split; every line of the curve has the same figures for all groups."""
    return {
        "train": 800,
        "test": 200,
        "left_out": 7,
        "curve": [dict.fromkeys(["all", "seen", *groups], value) for value in values],
        "last": {
            "accuracy": estimate(values[-1]),
            "macro_f1": values[-1],
            "groups": {name: estimate(value) | {"rows": rows} for name, (value, rows) in groups.items()},
        },
    }


def invented_results() -> dict[str, Any]:
    """Results in which the goal is met."""
    counts = {"negative": 30, "neutral": 34, "positive": 36}
    leaky = side([0.6, 0.7, 0.9], {"exact": (0.95, 100), "near": (0.9, 20), "new_once": (0.76, 80)})
    clean = side([0.6, 0.68, 0.66], {"new_repeated": (0.6, 100), "new_once": (0.75, 100)})
    settings = TrainSettings(evaluations=4).to_dict()
    good, bad = [[8, 1, 1], [2, 5, 3], [0, 2, 8]], [[6, 4, 0], [2, 4, 4], [0, 5, 5]]
    return {
        "explore": about("explore")
        | {
            "rows": 100,
            "classes": counts,
            "stars": {"known": 10, "as_labelled": 10},
            "pieces": {
                "all": 4500,
                "mean": 45.0,
                "median": 35.0,
                "p90": 100.0,
                "longest": 484,
                "bins": [{"above": 2, "up_to": 16, "rows": 60}, {"above": 16, "up_to": 512, "rows": 40}],
            },
            "different": {"as_written": 70, "letters": 68, "clusters": 66},
            "copies": {"once": 40, "twice": 56, "more": 4, "most": 4},
            "contradictions": {"as_written": 3, "letters": 4, "clusters": 5},
            "once": counts,
            "repeated": counts,
            "random": {name: {"exact": 0.5, "near": 0.01, "new": 0.49, "seeds": 5} for name in ("80/10/10", "90/5/5")},
            "without_repeats": {"train": counts, "val": counts, "of_val_in_train": {"exact": 2, "near": 1, "new": 97}},
        },
        "leak": about("leak")
        | {
            "passes": 3,
            "train_pieces": 64,
            "settings": settings,
            "random": leaky,
            "leak_free": clean,
            "share": leak.share_of_leak(leaky, clean),
            "cost": {"pieces": 1000, "minutes": 2.0},
        },
        "honest": about("honest")
        | {
            "parts": {"train": 800, "dev": 90, "val": 100, "left_out": 3},
            "train_pieces": 64,
            "settings": {"plain": settings, "tuned": settings},
            "embedded": judged([0.7], good),
            "plain": judged([0.66, 0.68], bad),
            "tuned": judged([0.7, 0.72], good),
            "dev": {name: honest.spread([0.7, 0.72]) for name in ("plain", "tuned")},
            "gain": honest.spread([0.04, 0.04]) | {"low": 0.01, "high": 0.07},
            "gain_of_embedded": honest.spread([0.04, 0.02]) | {"low": 0.0, "high": 0.06},
            "bundle": {"accuracy": estimate(0.71), "macro_f1": estimate(0.7), "ece": 0.04, "confidence": 0.73},
            "cost": {name: {"pieces": 1000000, "minutes": 2.0} for name in ("plain", "tuned", "bundle")},
        },
        "domain": about("domain")
        | {
            "learned": {"tweets": 800, "reviews": 800},
            "shares": {"val": [0.3, 0.3, 0.4], "tweets": [0.2, 0.5, 0.3]},
            "tweets": {"val": judged([0.55], bad), "tweets": judged([0.7], good)},
            "reviews": {"val": judged([0.68], good), "tweets": judged([0.6], bad)},
            "cost": {"pieces": 1000, "minutes": 2.0},
        },
    }


def test_the_page_is_what_the_results_say() -> None:
    results = figures.read_results()
    assert (ROOT / "docs/playstore.md").read_text("utf-8") == make_story.page(results)
    drawn = make_story.drawings(results)
    assert {path.name: path.read_text("utf-8") for path in (ROOT / "docs").glob("playstore-*.svg")} == drawn
    readme = (ROOT / "recipes/playstore/README.md").read_text("utf-8")
    assert make_story.START + make_story.costs(results) + make_story.STOP in readme


def test_every_part_has_its_figures_and_its_command() -> None:
    page = make_story.page(invented_results())
    assert "Not measured yet" not in page
    assert [
        name for name in figures.PARTS if f"Made by `python recipes/playstore/{name}.py` on 2026-01-31" in page
    ] == [*figures.PARTS]
    assert set(re.findall(r"\]\((playstore-\w+\.svg)\)", page)) == {*make_story.drawings(invented_results())}


def test_the_table_of_costs_counts_all_runs_of_a_command() -> None:
    table = make_story.costs(invented_results())
    assert "| `honest.py` | 11 networks | 3.0 M | 6 min |" in table


def test_what_was_not_measured_is_said() -> None:
    only = {"explore": invented_results()["explore"]}
    page = make_story.page(only)
    assert page.count("Not measured yet.") == 3
    assert "`python recipes/playstore/leak.py` does it" in page
    assert [*make_story.drawings(only)] == ["playstore-lengths.svg"]


@pytest.mark.parametrize(("gained", "said"), [(0.021, "2 points: reached"), (0.019, "2 points: **not reached**")])
def test_the_goal_is_called_what_it_is(gained: float, said: str) -> None:
    results = copy.deepcopy(invented_results())
    results["honest"]["gain"]["mean"] = gained
    assert said in " ".join(make_story.page(results).split())


def test_every_row_of_a_table_has_its_columns_and_lines_are_short() -> None:
    page = make_story.page(invented_results())
    tables = re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)
    assert len(tables) == 7
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1, table
    assert [line for line in page.splitlines() if len(line) > 120 and not line.startswith("|")] == []


def test_pictures_are_drawings_with_a_title_and_all_their_figures() -> None:
    for name, drawn in make_story.drawings(invented_results()).items():
        drawing = ET.fromstring(drawn)
        assert drawing.findtext(f"{SVG}title"), name
        assert drawing.findtext(f"{SVG}desc"), name
    words = "".join(ET.fromstring(make_story.drawings(invented_results())["playstore-passes.svg"]).itertext())
    assert all(share in words for share in ("88.3%", "60.0%, 70.0%, 90.0%", "60.0%, 68.0%, 66.0%"))


def test_bars_are_in_proportion() -> None:
    drawn = pictures.bars("A & B", {"Set": {"half": 0.5, "all": 1.0}}, {"half": "#123456", "all": "#654321"})
    widths = [
        float(r.attrib["width"]) for r in ET.fromstring(drawn).iter(f"{SVG}rect") if r.attrib["fill"] != "#ffffff"
    ]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.2)


@given(st.lists(st.floats(0, 500), min_size=1, max_size=8))
def test_names_of_lines_never_cover_each_other(heights: list[float]) -> None:
    placed = pictures.spaced(heights, 17)
    gaps = np.diff(sorted(placed))
    assert (gaps >= 17 - 1e-6).all()
    assert [*np.argsort(placed, kind="stable")] == [*np.argsort(heights, kind="stable")]


def test_texts_are_told_apart_by_how_they_stand_in_the_training_part() -> None:
    long = "This app keeps losing my notes whenever the phone restarts, please repair it soon"
    texts = ["Great app!", long, "Crashes daily", "great APP", long + " ok", "Something else altogether"]
    found = reviews.kinds(texts, np.array([0, 1, 2]), np.array([3, 4, 5]))
    assert found.tolist() == ["exact", "near", "new"]


def test_contradictions_are_texts_with_two_labels() -> None:
    assert reviews.contradictions(["a", "a", "b", "b", "c"], [0, 1, 2, 2, 1]) == 1


def test_the_leak_is_what_the_same_kinds_of_text_do_not_reach_without_it() -> None:
    results = invented_results()["leak"]
    share = leak.share_of_leak(results["random"], results["leak_free"])
    without = (120 * 0.6 + 80 * 0.75) / 200
    assert share["in_train"] == pytest.approx(120 / 200)
    assert share["without_leak"] == pytest.approx(without)
    assert share["leak"] == pytest.approx(0.9 - without)


def test_a_gain_is_paired_and_its_interval_is_that_of_other_texts() -> None:
    random = np.random.default_rng(1)
    truth = random.integers(0, 3, 2000)
    before = [np.where(random.random(2000) < 0.6, truth, (truth + 1) % 3) for _ in range(3)]
    after = [np.where(random.random(2000) < 0.7, truth, (truth + 1) % 3) for _ in range(3)]
    found = honest.gain(truth, before, after)
    expected = [(a == truth).mean() - (b == truth).mean() for a, b in zip(after, before, strict=True)]
    assert found["values"] == pytest.approx(expected)
    difference = np.mean([a == truth for a in after], 0) - np.mean([b == truth for b in before], 0)
    half = 1.96 * difference.std() / 2000**0.5
    assert (found["low"], found["high"]) == pytest.approx(
        (np.mean(expected) - half, np.mean(expected) + half), abs=2e-3
    )
    assert honest.gain(truth, before, before)["low"] == honest.gain(truth, before, before)["high"] == 0


def test_a_command_replaces_its_own_figures_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "results.json"
    monkeypatch.setattr(sys, "argv", ["leak.py"])
    figures.keep("leak", {"a": 1 / 3}, file)
    figures.keep("explore", {"b": [0.1234567]}, file)
    figures.keep("leak", {"c": np.float64(0.5)}, file)
    kept = json.loads(file.read_text("utf-8"))
    assert [*kept] == ["explore", "leak"]
    assert kept["explore"]["b"] == [0.12346]
    assert kept["leak"]["c"] == 0.5
    assert "a" not in kept["leak"]
    assert kept["leak"]["command"] == "python recipes/playstore/leak.py"


WORDS = "good bad fine app crashes love hate it is the works never".split()
QUICK = TrainSettings(epochs=2, batch_tokens=64, learning_rate=3e-3, evaluations=2, threads=1, precision="fp32")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    torch.manual_seed(0)
    BertEncoder(BertConfig.tiny(vocab_size=len(vocab))).save_pretrained(tmp_path / "base")
    WordPieceTokenizer.from_vocab(vocab, lowercase=True).save(tmp_path / "base")
    return tmp_path / "base"


def some_rows(seed: int, count: int) -> list[LabelledText]:
    """Rows whose label is in their words: bad, fine, good."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count).tolist()
    fill = [" ".join(random.choice(WORDS[3:], 4)) for _ in labels]
    return [
        LabelledText(f"{('bad', 'fine', 'good')[n]} {f}", n, i)
        for i, (n, f) in enumerate(zip(labels, fill, strict=True))
    ]


def test_a_network_learns_is_asked_once_and_then_only_read(tmp_path: Path, base: Path) -> None:
    learned, test = some_rows(1, 300), some_rows(2, 60)
    run = RunDirectory(tmp_path / "run")
    asked = {"test": test}
    answers = networks.train_and_ask(run, base, learned, {"dev": some_rows(3, 30)}, asked, QUICK)
    truth = np.array([row.label for row in test])
    assert (answers["test"] == truth).mean() > 0.8
    assert len(networks.curve(run)) == 2
    assert networks.cost([run])["pieces"] == 2 * sum(len(row.text.split()) + 2 for row in learned)
    before = {path: path.stat().st_mtime_ns for path in run.path.glob("*.jsonl")}
    again = networks.train_and_ask(run, base, learned, {"dev": some_rows(3, 30)}, asked, QUICK)
    assert again["test"].tolist() == answers["test"].tolist()
    assert {path: path.stat().st_mtime_ns for path in run.path.glob("*.jsonl")} == before


def test_a_run_on_other_texts_is_not_taken_for_this_one(tmp_path: Path, base: Path) -> None:
    learned, dev = some_rows(1, 30), {"dev": some_rows(3, 30)}
    networks.train_and_ask(RunDirectory(tmp_path / "run"), base, learned, dev, {"test": some_rows(2, 5)}, QUICK)
    with pytest.raises(TrainingError, match="cannot resume"):
        networks.train_and_ask(RunDirectory(tmp_path / "run"), base, learned, dev, {"test": some_rows(4, 5)}, QUICK)
    with pytest.raises(TrainingError, match="cannot resume"):
        networks.train_and_ask(RunDirectory(tmp_path / "run"), base, learned[1:], dev, {"test": some_rows(2, 5)}, QUICK)
