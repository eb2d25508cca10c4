"""Answers compared with the truth: figures against scikit-learn or a plain count, whatever the labels are called."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from sklearn import metrics as reference
from tests.evaluation_fixtures import THRESHOLD, answered, draw, judge, labelled
from tests.scoring_fixtures import LABELS, SpyEngine, sentences

from polarbert.data.dataset import Dataset
from polarbert.errors import DataError, UsageError
from polarbert.inference.classifier import SentimentModel
from polarbert.inference.evaluate import MAX_ERRORS, align, evaluate, evaluate_predictions
from polarbert.inference.groups import MIN_ROWS, by_length, by_value

pytest_plugins = ["tests.scoring_fixtures"]


def test_every_headline_figure_is_scikit_learns() -> None:
    truth, chances = draw(400)
    found = judge(labelled(truth, LABELS), chances, LABELS)
    guess = np.argmax(chances, 1)
    assert found.n == 400
    assert found.accuracy.value == pytest.approx(reference.accuracy_score(truth, guess))
    assert found.macro_f1.value == pytest.approx(reference.f1_score(truth, guess, average="macro"))
    assert found.macro_recall.value == pytest.approx(reference.recall_score(truth, guess, average="macro"))
    assert found.confusion == reference.confusion_matrix(truth, guess).tolist()
    assert found.most_frequent == (LABELS[Counter(truth).most_common(1)[0][0]], max(Counter(truth).values()) / 400)
    precision, recall, f1, support = reference.precision_recall_fscore_support(truth, guess)
    for number, figures in enumerate(found.classes):
        assert (figures.label, figures.support) == (LABELS[number], support[number])
        assert (figures.precision, figures.recall) == pytest.approx((precision[number], recall[number]))
        assert figures.f1 is not None
        assert figures.f1.value == pytest.approx(f1[number])
        assert figures.f1.low < figures.f1.value < figures.f1.high
    assert found.absent == []
    assert found.accuracy_within is None
    assert 0.05 < found.accuracy.high - found.accuracy.low < 0.12, "400 rows: about 4 points to each side"


def test_more_rows_make_narrower_intervals() -> None:
    def width(count: int) -> float:
        truth, chances = draw(count)
        estimate = judge(labelled(truth, LABELS), chances, LABELS).macro_f1
        return estimate.high - estimate.low

    assert width(1600) == pytest.approx(width(100) / 4, rel=0.35)


def test_a_class_that_does_not_occur_counts_in_no_mean() -> None:
    truth, chances = draw(300)
    polar = [number for number, label in enumerate(truth) if label != 1]
    dataset = labelled([truth[number] for number in polar], LABELS)
    found = judge(dataset, [chances[number] for number in polar], LABELS)
    guess, right = np.argmax(chances, 1)[polar], np.array(truth)[polar]
    assert (guess == 1).any(), "the model answers neutral though no row is"
    assert found.absent == ["neutral"]
    wanted: dict[str, Any] = {"labels": [0, 2], "average": "macro"}
    assert found.macro_f1.value == pytest.approx(reference.f1_score(right, guess, **wanted))
    assert found.macro_recall.value == pytest.approx(reference.recall_score(right, guess, **wanted))
    assert found.accuracy.value == pytest.approx((guess == right).mean())
    among = np.array([0, 2])[np.array(chances)[polar][:, [0, 2]].argmax(1)]
    assert found.accuracy_within is not None
    assert found.accuracy_within.value == pytest.approx((among == right).mean())
    assert found.accuracy_within.value > found.accuracy.value
    assert found.classes[1].f1 is None
    assert found.classes[1].recall is None
    assert found.classes[1].precision == 0
    assert any("no row is 'neutral'" in note for note in found.notes)


def test_the_order_of_the_datasets_labels_changes_nothing() -> None:
    truth, chances = draw(120)
    usual = judge(labelled(truth, LABELS), chances, LABELS)
    other = ["positive", "negative", "neutral"]
    turned = labelled([other.index(LABELS[number]) for number in truth], other)
    assert judge(turned, chances, LABELS) == usual


def test_labels_that_differ_by_case_or_blanks_are_the_models() -> None:
    dataset = align(labelled([0, 1, 2], [" Positive", "NEGATIVE", "Neutral "]), LABELS)
    assert [row.label for row in dataset.rows] == [2, 0, 1]
    assert dataset.labels == LABELS
    assert dataset.notes == ()


def test_stars_and_short_names_are_known_to_a_model_of_sentiment() -> None:
    dataset = align(labelled(range(5), ["1", "2.0", "3", "4", "5"]), LABELS)
    assert [row.label for row in dataset.rows] == [0, 0, 1, 2, 2]
    assert dataset.notes == ("labels taken: '1', '2.0' as 'negative'; '3' as 'neutral'; '4', '5' as 'positive'",)
    assert [row.label for row in align(labelled(range(3), ["pos", "neg", "neu"]), LABELS).rows] == [2, 0, 1]


def test_stars_are_names_to_a_model_that_has_them() -> None:
    stars = ["1", "2", "3", "4", "5"]
    dataset = align(labelled([4, 0], ["1", "2", "3", "4", "5"][::-1]), stars)
    assert [row.label for row in dataset.rows] == [0, 4]


@pytest.mark.parametrize(
    ("names", "labels", "unknown"),
    [
        (["good", "negative"], LABELS, "'good'"),
        (["bug", "praise"], LABELS, "'bug', 'praise'"),
        (["1", "3", "5"], ["negative", "positive"], "'3'"),
        (["6", "1"], LABELS, "'6'"),
        (["neg", "b"], ["a", "b"], "'neg'"),
    ],
)
def test_labels_unknown_to_the_model_are_named_with_the_way_out(
    names: list[str], labels: list[str], unknown: str
) -> None:
    with pytest.raises(UsageError) as error:
        align(labelled(range(len(names)), names), labels)
    message = str(error.value)
    assert f"reviews.csv: the model does not know the label {unknown}; it knows '{labels[0]}'" in message
    first = unknown.split("'")[1]
    assert f"--labels {first}=CLASS" in message
    assert error.value.exit_code == 2


def test_labels_can_be_told_what_they_stand_for() -> None:
    dataset = labelled([0, 1, 2, 1], ["good", "spam", "negative"])
    told = align(dataset, LABELS, {"Good": "Positive", "spam": ""})
    assert [row.label for row in told.rows] == [2, 0]
    assert [row.row for row in told.rows] == [1, 3]
    assert told.skipped == {"label 'spam'": 2}
    assert told.notes == ("labels taken: 'good' as 'positive'",)
    against = align(labelled([0, 1], ["positive", "negative"]), LABELS, {"positive": "negative"})
    assert [row.label for row in against.rows] == [0, 0], "what is said goes before what the name says"


def test_a_mapping_that_fits_nothing_is_refused() -> None:
    dataset = labelled([0, 1], ["good", "bad"])
    with pytest.raises(UsageError, match=r"no row has the label 'god'; it has 'good', 'bad'"):
        align(dataset, LABELS, {"god": "positive"})
    with pytest.raises(UsageError, match=r"the model has no class 'great'; it has 'negative', 'neutral', 'positive'"):
        align(dataset, LABELS, {"good": "great", "bad": "negative"})


def test_unsure_answers_are_set_aside() -> None:
    chances = [[0.9, 0.05, 0.05], [0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.95, 0.03, 0.02]]
    dataset = labelled([0, 1, 0, 0], LABELS, ["bad", "so so", "poor", "?!"])
    found = judge(dataset, chances, LABELS)
    assert found.sure.threshold == THRESHOLD
    assert found.sure.share == 0.5, "one is below the threshold, one has no words"
    assert found.sure.accuracy is not None
    assert found.sure.accuracy.value == 0.5
    none = evaluate_predictions(dataset, answered(chances, LABELS), LABELS, 1.0)
    assert (none.sure.share, none.sure.accuracy) == (0, None)


def test_the_most_confident_errors_come_first_and_each_text_once() -> None:
    truth, chances = draw(200, seed=3)
    texts = [f"text {number // 2} \x1b[31m" + "word " * (number % 3) * 50 for number in range(200)]
    found = judge(labelled(truth, LABELS, texts), chances, LABELS).errors
    guess = np.argmax(chances, 1)
    wrong = sorted((number for number in range(200) if guess[number] != truth[number]), key=lambda n: -max(chances[n]))
    assert len(found) == MAX_ERRORS
    assert found[0].row == wrong[0] + 1
    assert found[0].confidence == pytest.approx(max(chances[wrong[0]]), abs=1e-6)
    assert (found[0].truth, found[0].answer) == (LABELS[truth[wrong[0]]], LABELS[int(guess[wrong[0]])])
    assert [error.confidence for error in found] == sorted((error.confidence for error in found), reverse=True)
    assert len({error.text for error in found}) == MAX_ERRORS
    assert all(len(error.text) <= 240 for error in found)
    assert any(error.text.endswith("…") for error in found)


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=300))
def test_bins_of_length_hold_every_row_once(lengths: list[int]) -> None:
    groups = by_length(lengths)
    assert sorted(np.concatenate([rows for _, rows in groups]).tolist()) == list(range(len(lengths)))
    assert len(groups) == 1 or min(len(rows) for _, rows in groups[:-1]) >= MIN_ROWS
    longest = [max(lengths[row] for row in rows) for _, rows in groups if len(rows)]
    assert longest == sorted(longest)


def test_bins_of_length_are_named_by_what_they_hold() -> None:
    lengths = [5] * 20 + [30] * 20 + [100] * 15 + [600] * 10 + [200] * 3
    assert [(name, len(rows)) for name, rows in by_length(lengths)] == [
        ("up to 8", 20),
        ("9 to 32", 20),
        ("33 to 128", 15),
        ("over 128", 13),
    ]


@given(st.lists(st.sampled_from(["", " ", "a", "b", "1", "2.5", "-3e2", "2025-01-02", "nan", "1e999"]), min_size=1))
def test_groups_of_values_hold_every_row_once(values: list[str]) -> None:
    groups = by_value(values)
    assert sorted(np.concatenate([rows for _, rows in groups]).tolist()) == list(range(len(values)))


def test_frequent_values_are_groups_and_the_rest_is_one() -> None:
    values = ["lamp"] * 30 + ["chair"] * 12 + ["sofa "] * 10 + ["desk"] * 3 + [""] * 11 + ["bed"]
    groups = {name: len(rows) for name, rows in by_value(values)}
    assert groups == {"lamp": 30, "chair": 12, "(blank)": 11, "sofa": 10, "2 other values": 4}
    assert [name for name, _ in by_value(["3", "5", "1", "3", "5", "1"] * 10)] == ["1", "3", "5"]
    assert [name for name, _ in by_value([f"user {n}" for n in range(40)])] == ["40 values"]


@pytest.mark.parametrize("make", [lambda n: f"{n * 0.5:.1f}", lambda n: f"20{10 + n % 80}-01-{1 + n // 80:02}"])
def test_numbers_and_dates_of_many_values_fall_into_quarters(make: Any) -> None:
    values = [make(number) for number in range(80)]
    groups = by_value([*values, "", " "])
    assert [len(rows) for _, rows in groups] == [20, 20, 20, 20, 2]
    assert groups[0][0] == f"{values[0]} to {values[19]}"
    assert groups[-1][0] == "(blank)"


def test_a_group_is_judged_as_if_it_were_all() -> None:
    truth, chances = draw(200, seed=5)
    shops = ["Leeds" if number % 4 else "Hull" for number in range(200)]
    pieces = [4 if number < 50 else 40 for number in range(200)]
    dataset = labelled(truth, LABELS, shop=shops)
    found = evaluate_predictions(dataset, answered(chances, LABELS, pieces), LABELS, THRESHOLD, by=["shop"])
    assert {group.name: group.n for group in found.by_column["shop"]} == {"Leeds": 150, "Hull": 50}
    hull = found.by_column["shop"][1]
    rows = [number for number in range(200) if number % 4 == 0]
    alone = judge(labelled([truth[n] for n in rows], LABELS), [chances[n] for n in rows], LABELS)
    assert hull.accuracy.value == alone.accuracy.value
    assert hull.macro_f1 == alone.macro_f1.value
    assert hull.answered == pytest.approx(alone.sure.share)
    assert hull.confidence == pytest.approx(np.mean([max(chances[n]) for n in rows]), abs=1e-6)
    assert [(group.name, group.n) for group in found.by_length] == [("up to 8", 50), ("9 to 64", 150)]


def test_speed_counts_different_texts() -> None:
    truth, chances = draw(10)
    dataset = labelled(truth, LABELS, ["same"] * 5 + [f"text {n}" for n in range(5)])
    found = judge(dataset, chances, LABELS, seconds=2.0).speed
    assert found is not None
    assert (found.texts_per_second, found.pieces_per_second) == (3.0, 30.0)
    assert judge(dataset, chances, LABELS).speed is None


def odd_datasets() -> dict[str, tuple[Dataset, list[list[float]]]]:
    sure = [[0.98, 0.01, 0.01]]
    return {
        "one row": (labelled([0], LABELS), sure),
        "two rows": (labelled([0, 1], LABELS), sure * 2),
        "one class": (labelled([2] * 50, LABELS), sure * 50),
        "all the same text": (labelled([0, 1, 2] * 20, LABELS, ["same"] * 60), sure * 60),
        "all right": (labelled([0] * 30 + [1], LABELS), [*(sure * 30), [0.0, 1.0, 0.0]]),
        "no text has words": (labelled([0, 1], LABELS, ["", "?"]), sure * 2),
    }


@pytest.mark.parametrize("name", odd_datasets())
def test_any_labelled_rows_have_figures_without_gaps(name: str) -> None:
    dataset, chances = odd_datasets()[name]
    found = judge(dataset, chances, LABELS, seconds=0.0)
    shown = json.dumps(found.to_dict(), allow_nan=False)
    assert json.loads(shown)["n"] == len(dataset.rows)
    for estimate in (found.accuracy, found.macro_f1, found.macro_recall, found.calibration.corrected):
        assert 0 <= estimate.low <= estimate.high <= 1
    assert "nan" not in found.text().lower()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("two rows", "2 rows cannot say much"),
        ("one class", "every row is 'positive'"),
        ("all the same text", "59 rows repeat the text of another row"),
        ("all the same text", "the same text has different labels in 2 cases"),
        ("all right", "no answer is wrong; of as many other rows up to 9.7% could be"),
    ],
)
def test_what_the_figures_cannot_show_is_said(name: str, words: str) -> None:
    dataset, chances = odd_datasets()[name]
    found = judge(dataset, chances, LABELS)
    assert any(words in note for note in found.notes), found.notes
    assert words in " ".join(found.text().split())


def test_a_perfect_accuracy_of_few_rows_is_no_certainty() -> None:
    dataset, chances = odd_datasets()["all right"]
    assert judge(dataset, chances, LABELS).accuracy.low < 0.9


def test_the_text_fits_a_screen_and_says_what_matters() -> None:
    truth, chances = draw(250, seed=8)
    shops = [f"shop {number % 3}" for number in range(250)]
    dataset = labelled(truth, LABELS, [f"text {n} \x1b[2J\u202e " + "日本語 " * 40 for n in range(250)], shop=shops)
    dataset = replace(dataset, skipped={"the text is blank": 2}, notes=("something was assumed",))
    found = judge(dataset, chances, LABELS, by=["shop"], seconds=1.0)
    for width in (60, 80, 100, 200):
        lines = found.text(width).splitlines()
        assert max(map(cell_len, lines)) <= width
        assert len(lines) <= 40
        assert not any("\x1b" in line or "\u202e" in line for line in lines)
    shown = found.text(100)
    assert "250 rows judged, 2 left out: the text is blank 2" in shown
    assert f"accuracy             {found.accuracy.value:.3f}  {found.accuracy.low:.3f} to" in shown
    for words in ("macro-F1", "calibration error", "sure answers", "answered as:", "shop 2", "most confident errors"):
        assert words in shown
    assert "250 texts/s" in shown
    assert "note: something was assumed" in shown
    assert f"row {found.errors[0].row}" in shown


def test_many_classes_still_fit_a_screen() -> None:
    names = [f"class {number}" for number in range(40)]
    truth, chances = draw(800, seed=2, classes=40)
    shown = judge(labelled(truth, names), chances, names).text()
    assert "and 28 more classes" in shown
    assert len(shown.splitlines()) <= 45


def test_no_rows_are_no_evaluation() -> None:
    empty = replace(labelled([], LABELS), skipped={"no label": 3, "the text is blank": 1})
    with pytest.raises(DataError, match=r"reviews.csv: no row has both a text and a label \(no label: 3, the text is"):
        judge(empty, [], LABELS)


def test_what_does_not_fit_together_is_refused() -> None:
    truth, chances = draw(4)
    with pytest.raises(UsageError, match="there are 4 rows and 3 predictions"):
        judge(labelled(truth, LABELS), chances[:3], LABELS)
    with pytest.raises(UsageError, match="the column 'shop' was not kept"):
        judge(labelled(truth, LABELS), chances, LABELS, by=["shop"])


def reviews(count: int = 60) -> Dataset:
    texts, names = zip(*sentences(count, 31), strict=True)
    return labelled([LABELS.index(name) for name in names], LABELS, texts)


def test_a_model_is_run_and_judged(model: SentimentModel) -> None:
    dataset = reviews()
    seen: list[tuple[int, int]] = []
    found = evaluate(model, dataset, progress=lambda done, of: seen.append((done, of)))
    answers = model.predict(dataset.texts)
    assert found.accuracy.value == np.mean(
        [a.label == LABELS[r.label] for a, r in zip(answers, dataset.rows, strict=True)]
    )
    assert found.accuracy.value > 0.9
    assert found.sure.threshold == model.bundle.calibration.unsure_below
    assert found.sure.share == np.mean([not answer.unsure for answer in answers])
    assert seen[-1] == (60, 60)
    assert found.speed is not None
    assert found.speed.texts_per_second > 0
    assert found.about["fingerprint"] == model.bundle.fingerprint()
    assert found.about["engine"] == "onnxruntime on 1 thread"


def test_another_threshold_changes_what_is_unsure_and_nothing_else(model: SentimentModel) -> None:
    usual, strict = evaluate(model, reviews()), evaluate(model, reviews(), unsure_below=0.999)
    assert strict.sure.threshold == 0.999
    assert strict.sure.share < usual.sure.share
    assert strict.accuracy == usual.accuracy
    assert strict.confusion == usual.confusion


def test_a_text_that_comes_twice_is_computed_once(spied: tuple[SentimentModel, SpyEngine]) -> None:
    model, spy = spied
    dataset = reviews(5)
    doubled = replace(dataset, rows=[row for row in dataset.rows for _ in range(3)])
    found = evaluate(model, doubled)
    assert spy.computed == 5
    assert found.n == 15
    assert found.accuracy.value == evaluate(model, dataset).accuracy.value
