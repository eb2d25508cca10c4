"""How the embedded model is made: what its texts are given, and what its figures say."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, recall_score

import build
import data
import generated
import judging
from data import NEGATIVE, NEUTRAL, POSITIVE, LabelledText
from judging import Answered
from ornaments import ornamented
from polarbert.behaviour import vocabulary
from polarbert.calibration import Calibration
from polarbert.data.splits import normalised
from polarbert.inference.prediction import Prediction, make_prediction
from polarbert.model import BertConfig, BertForSequenceClassification
from polarbert.text import WordPieceTokenizer
from spelling import mistyped
from train import FOURTH, THIRD, softened
from unclear import make_unclear


def sure(*guesses: int) -> NDArray[np.float64]:
    """(rows, 3) probabilities of answers that are all but certain."""
    return np.eye(3)[list(guesses)] * 0.97 + 0.01


# ---- what is learned


@given(st.floats(-4, 4))
def test_shares_of_a_rating_are_a_distribution_and_mirror_its_sign(rating: float) -> None:
    shares = data.shares_of(rating)
    assert sum(shares) == pytest.approx(1)
    assert min(shares) >= 0
    assert shares == pytest.approx(data.shares_of(-rating)[::-1])


def test_the_likeliest_share_follows_the_rating() -> None:
    assert [int(np.argmax(data.shares_of(rating))) for rating in (-3, -0.5, 0, 0.5, 3)] == [0, 1, 1, 1, 2]


def test_a_held_out_text_is_left_out_whatever_its_case_and_aspect_and_repeats_count_once() -> None:
    rows = [
        LabelledText("Good food!", POSITIVE, aspect="food"),
        LabelledText("Kind staff", POSITIVE, aspect="staff"),
        LabelledText("kind STAFF.", POSITIVE, aspect="Staff"),
        LabelledText("Kind staff", NEUTRAL, aspect="room"),
    ]
    left = data.without({"part": rows}, {"dev": [LabelledText("good FOOD", NEGATIVE)]})
    assert left == {"part": [rows[1], rows[3]]}


def test_of_a_text_with_an_aspect_the_clauses_alone_keep_its_verdict() -> None:
    row = LabelledText("Great soup, but the waiter was rude.", NEGATIVE, aspect="waiter")
    assert data.clauses(row) == LabelledText("the waiter was rude.", NEGATIVE, aspect="waiter")
    whole = LabelledText("Great soup", POSITIVE, aspect="soup")
    assert data.clauses(whole) is whole


def test_only_texts_of_one_verdict_on_all_aspects_are_whole_texts_of_that_verdict() -> None:
    rows = [
        LabelledText("a", POSITIVE, aspect="x"),
        LabelledText("a", POSITIVE, aspect="y"),
        LabelledText("b", POSITIVE, aspect="x"),
        LabelledText("b", NEGATIVE, aspect="y"),
        LabelledText("c", NEUTRAL, aspect="x"),
        LabelledText("d", NEGATIVE, aspect="x"),
    ]
    assert list(data.agreed(rows)) == [LabelledText("a", POSITIVE), LabelledText("d", NEGATIVE)]


def test_an_aspect_that_is_not_in_the_text_is_neutral() -> None:
    meals = [LabelledText(f"The soup number {n} was hot", POSITIVE, aspect="soup") for n in range(5)]
    machines = [LabelledText(f"The fan number {n} is loud", NEGATIVE, aspect="fan") for n in range(5)]
    found = list(data.unmentioned(meals, machines))
    assert {(row.label, row.aspect, "soup" in row.text) for row in found} == {
        (NEUTRAL, "fan", True),
        (NEUTRAL, "soup", False),
    }


def test_ornaments_stand_around_a_text_that_stays_as_it_is() -> None:
    texts = [ornamented("Nice and warm", Random(seed)) for seed in range(300)]
    assert all("Nice and warm" in text and len(text) > len("Nice and warm") + 2 for text in texts)
    assert all(re.search(r"#|@|http|www\.|pic\.", text) for text in texts)
    assert len(set(texts)) > 200


def test_ornaments_hold_no_word_of_the_suite() -> None:
    theirs = {
        entry.lower().lstrip("#@") for one in vocabulary() for entry in one.entries if entry.startswith(("#", "@"))
    }
    ours = {word.lower() for seed in range(2000) for word in re.findall(r"[#@]([\w]+)", ornamented("x", Random(seed)))}
    assert theirs
    assert not theirs & ours


def test_what_nobody_can_judge_is_made_anew_and_repeats_itself() -> None:
    made = make_unclear(600, seed=1)
    assert len(set(made)) == 600
    assert made == make_unclear(600, seed=1)
    assert made != make_unclear(600, seed=2)
    theirs = {entry.lower() for one in vocabulary() if one.name in ("mash", "foreign") for entry in one.entries}
    words = {word for text in make_unclear(3000, seed=1) for word in re.findall(r"\w+", text.lower())}
    assert theirs
    assert words.isdisjoint(theirs)
    assert not [text for text in made for entry in theirs if entry in text.lower()]


def test_variation_leaves_labels_and_aspects_alone() -> None:
    rows = [LabelledText(f"The coffee number {n} was very nice", POSITIVE) for n in range(400)]
    rows += [LabelledText(f"The coffee number {n} was nice", POSITIVE, aspect="coffee") for n in range(50)]
    found = data.varied({"part": rows}, seed=1)["part"]
    assert [(row.label, row.aspect) for row in found] == [(row.label, row.aspect) for row in rows]
    assert found[400:] == rows[400:]
    changed = sum(one != other for one, other in zip(rows, found, strict=True))
    assert 40 < changed < 110


# ---- what the figures say


def answered(truth: list[int], guess: list[int], choices: tuple[int, ...] | None = None) -> Answered:
    rows = [LabelledText(f"text {n}", label, choices) for n, label in enumerate(truth)]
    return Answered(rows, sure(*guess))


def test_figures_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    truth = random.integers(0, 3, 200).tolist()
    guess = [label if random.random() < 0.7 else int(random.integers(0, 3)) for label in truth]
    found = judging.part_figures(answered(truth, guess))
    assert found["accuracy"][0] == pytest.approx(accuracy_score(truth, guess), abs=1e-4)
    assert found["macro_f1"][0] == pytest.approx(f1_score(truth, guess, average="macro"), abs=1e-4)
    assert found["macro_recall"][0] == pytest.approx(recall_score(truth, guess, average="macro"), abs=1e-4)
    for name in ("accuracy", "macro_f1", "macro_recall"):
        value, low, high = found[name]
        assert low < value < high


def test_a_part_of_two_classes_is_judged_between_these() -> None:
    part = answered([NEGATIVE, POSITIVE], [NEUTRAL, POSITIVE], (NEGATIVE, POSITIVE))
    part.chances[0] = [0.3, 0.5, 0.2]
    assert judging.part_figures(part)["accuracy"][0] == 1


def test_conflicts_are_texts_that_praise_one_aspect_and_blame_another() -> None:
    rows = [
        LabelledText("a", POSITIVE, aspect="x"),
        LabelledText("a", NEGATIVE, aspect="y"),
        LabelledText("a", NEUTRAL, aspect="z"),
        LabelledText("b", POSITIVE, aspect="x"),
        LabelledText("c", POSITIVE, aspect="x"),
        LabelledText("c", POSITIVE, aspect="y"),
        LabelledText("c", NEGATIVE, aspect="z"),
    ]
    found = judging.conflict_figures({"part": Answered(rows, sure(2, 2, 1, 0, 2, 2, 0))})
    assert (found["texts"], found["pairs"], found["one_answer"]) == (2, 5, 0.6)
    value, low, high = found["accuracy"]
    assert (value, low, high) == (0.8, 0.5, 1.0)  # of both texts, or twice the first, or twice the second


def simulated(temperature: float, seed: int, count: int = 3000) -> Answered:
    """Answers whose logits, divided by `temperature`, are those by which the truth was drawn."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (count, 3))
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = [int(random.choice(3, p=row)) for row in chances]
    said = np.exp(logits * temperature)
    rows = [LabelledText(f"text {seed} {n}", label) for n, label in enumerate(truth)]
    return Answered(rows, said / said.sum(1, keepdims=True))


@pytest.fixture(scope="module")
def answers() -> Mapping[str, Answered]:
    return {name: simulated(2.0, seed) for seed, name in enumerate(judging.THREE_CLASS)}


def test_the_temperature_is_found_and_the_cross_fitted_error_is_that_of_chance(answers: Mapping[str, Answered]) -> None:
    chosen = judging.fit(answers)
    assert chosen.temperature == pytest.approx(2.0, abs=0.1)
    found = judging.calibration(answers, {}, {}, chosen)
    assert found["texts"] == 12_000
    assert found["expected_calibration_error"]["measured"] < 0.02
    for target, one in found["thresholds"].items():
        right, low, high = one["accuracy_when_answered"]
        assert low - 0.01 < float(target) < high + 0.01
        assert right > found["accuracy_of_all"]
    assert found["thresholds"]["0.95"]["share_answered"] < found["thresholds"]["0.85"]["share_answered"]


def test_a_domain_that_is_too_sure_shows_when_it_is_left_out(answers: Mapping[str, Answered]) -> None:
    among_alike = judging.calibration(answers, {}, {}, Calibration())["left_out"]
    found = judging.calibration(answers, {"strange": simulated(6.0, 9)}, {}, Calibration())["left_out"]
    assert found["strange"]["expected_calibration_error"]["corrected"][1] > 0.05
    assert all(one["expected_calibration_error"]["corrected"][1] < 0.01 for one in among_alike.values())


def test_answers_about_aspects_are_judged_as_the_bundle_gives_them(answers: Mapping[str, Answered]) -> None:
    about = {"honest": simulated(1.0, 9), "too sure": simulated(3.0, 9)}
    found = judging.calibration(answers, {}, about, Calibration(3.0))["left_out"]
    errors = {name: found[name]["expected_calibration_error"]["measured"] for name in about}
    assert errors["honest"] < 0.03
    assert errors["too sure"] > 0.1
    assert found["honest"]["temperature"] == 3.0


class Stubborn:
    """Finds everything positive, and is sure of it."""

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        return [
            make_prediction(data.LABELS, [0.1, 0.1, 0.8], 0.6, wordless=False, n_tokens=9, n_windows=1, n_unknown=0)
            for _ in texts
        ]


def test_plain_texts_are_counted_by_part_and_the_wrong_ones_named() -> None:
    found = judging.plain_figures(Stubborn())
    for part in found["parts"].values():
        assert 0 < part["right"] < part["texts"] / 2
        assert part["wrong_and_sure"] == part["texts"] - part["right"]
    assert len(found["wrong"]) == sum(part["wrong_and_sure"] for part in found["parts"].values())
    assert {one["wanted"] for one in found["wrong"]} == {"negative", "neutral"}


def test_no_plain_text_is_there_twice_or_among_the_generated_ones() -> None:
    with judging.PLAIN.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = [row["text"] for row in rows]
    assert len(set(texts)) == len(texts) >= 200
    assert {row["label"] for row in rows} == set(data.LABELS)
    seeds = (THIRD.seed, FOURTH.seed)
    made = {normalised(one.text) for seed in seeds for one in generated.generate(20_000, seed=seed)}
    fresh = [normalised(row["text"]) for row in rows if row["part"] == "fresh"]
    assert not made.intersection(fresh)


@given(words=st.lists(st.text("abcdefghij", min_size=5, max_size=12), min_size=1, max_size=40), seed=st.integers())
def test_slips_are_few_and_leave_the_first_letters(words: list[str], seed: int) -> None:
    typed = mistyped(" ".join(words), Random(seed)).split()
    most = 1 + len(words) // 10
    assert [word[0] for word in typed] == [word[0] for word in words]
    assert all(abs(len(one) - len(other)) <= most for one, other in zip(words, typed, strict=True))
    assert sum(one != other for one, other in zip(words, typed, strict=True)) <= most


# ---- what a rehearsed text is learned as


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two networks that differ, and disagree."""
    home = tmp_path_factory.mktemp("teachers")
    tokenizer = WordPieceTokenizer.from_directory(build.HOME)
    for seed in (1, 2):
        torch.manual_seed(seed)
        config = BertConfig(tokenizer.vocab_size, 16, 1, 2, 32, initializer_range=0.5)
        BertForSequenceClassification(config, data.LABELS).save_pretrained(home / str(seed))
        tokenizer.save(home / str(seed))
    return [home / "1", home / "2"]


ROWS = [LabelledText(f"It came on day {n}.", n % 3) for n in range(60)]


def shares(rows: Sequence[LabelledText]) -> NDArray[np.float64]:
    """(rows, 3) what is learned of each class."""
    return np.array([row.shares or () for row in rows])


def test_a_rehearsed_text_counts_by_its_label_and_by_the_mean_of_what_models_say(teachers: list[Path]) -> None:
    said = [shares(softened([one], ROWS, 0.0)) for one in teachers]
    assert np.abs(said[0] - said[1]).max() > 0.05
    truth = np.eye(3)[[row.label for row in ROWS]]
    learned = softened(teachers, ROWS, 0.25)
    np.testing.assert_allclose(shares(learned), 0.25 * truth + 0.75 * np.mean(said, 0), atol=1e-6)
    assert [row.label for row in learned] == shares(learned).argmax(1).tolist()
    assert [row.text for row in learned] == [row.text for row in ROWS]


def test_a_belief_is_as_sure_as_it_is_right_on_the_dev_part(teachers: list[Path]) -> None:
    said = softened(teachers, ROWS, 0.0)
    sure = shares(said).max(1)
    right = [replace(row, label=believed.label) for row, believed in zip(ROWS, said, strict=True)]
    wrong = [replace(row, label=(row.label + 1) % 3) for row in right]
    assert (shares(softened(teachers, ROWS, 0.0, right)).max(1) > sure).all()
    assert (shares(softened(teachers, ROWS, 0.0, wrong)).max(1) < sure).all()


# ---- which edition takes the place of the last


def figures(value: float = 0.92, failed: int = 40) -> dict[str, Any]:
    parts = {name: {"texts": 1000, measure: [value, value - 0.02, value + 0.02]} for name, measure, _ in build.FLOORS}
    return {
        "edition": 2,
        "parts": parts | {"clothing": {"texts": 1000, "accuracy": [0.8, 0.78, 0.82]}},
        "aspects": {"laptops": {"texts": 200, "accuracy": [0.7, 0.65, 0.75]}},
        "conflicts": {"accuracy": [0.7, 0.6, 0.8]},
        "calibration": {"expected_calibration_error": {"measured": 0.02, "corrected": [0.01, 0.0, 0.02]}},
        "behaviour": {"digest": "d", "failed": failed, "cases": 1000, "kept": 30},
        "plain": plain(140, 75),
    }


def plain(known: int, fresh: int) -> dict[str, Any]:
    return {"parts": {"known": {"texts": 150, "right": known}, "fresh": {"texts": 90, "right": fresh}}}


def test_a_better_edition_passes_and_so_does_one_that_can_do_more() -> None:
    last = figures(0.91, 50)
    build.check(figures(), last)
    build.check(figures(), {name: last[name] for name in ("edition", "parts", "behaviour")})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (figures(0.90), "below edition 2's by 0.0100"),
        (figures(failed=60), "6.0% of the behaviour cases fail, 5.0% of edition 2"),
        (figures(0.70), "sst2: 0.7000 is below 0.904 by more than two standard errors"),
        (figures() | {"conflicts": {"accuracy": [0.55, 0.5, 0.6]}}, "conflicts: 0.5500 is below the interval"),
        (figures() | {"aspects": {"laptops": {"accuracy": [0.6, 0.5, 0.7]}}}, "laptops: 0.6000 is below the interval"),
        (
            figures() | {"calibration": {"expected_calibration_error": {"corrected": [0.03, 0.02, 0.04]}}},
            "the calibration error is above the interval",
        ),
        (
            figures() | {"behaviour": {"digest": "d", "failed": 40, "cases": 1000, "kept": 29}},
            "29 limits of behaviour are kept, 30 by edition 2",
        ),
        (
            figures() | {"behaviour": {"digest": "e", "failed": 40, "cases": 1000, "kept": 30}},
            "the behaviour suite is another one now",
        ),
        (figures() | {"plain": plain(141, 73)}, "214 plain texts come out right, 215 with edition 2"),
    ],
)
def test_a_worse_one_is_refused_with_what_is_worse(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(SystemExit, match=re.escape(message)):
        build.check(changed, figures(0.91, 50))
