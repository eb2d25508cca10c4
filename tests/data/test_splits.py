"""Splits that every machine makes alike and no repeated text crosses."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.split_fixtures import dataset, many, many_pairs, of_pairs, parts

from polarbert.data.dataset import Dataset, LabelledText
from polarbert.data.division import MOST_SHARED
from polarbert.data.duplicates import similarity, text_key
from polarbert.data.questions import Question
from polarbert.data.rated import RatedText
from polarbert.data.splits import Splits, given_splits, is_dev, make_splits, normalised, random_splits
from polarbert.data.tagged import TaggedText, tagged_text
from polarbert.errors import DataError, UsageError


def test_normalised_keeps_letters_and_digits() -> None:
    assert normalised("  Great app!! 10/10 – Café \n") == "greatapp1010café"
    assert normalised("...") == ""


@given(st.text())
def test_texts_that_differ_in_marks_and_case_fall_on_the_same_side(text: str) -> None:
    noisy = " " + "! ".join(text.lower()) + " ..."
    assert normalised(noisy) == normalised(text)
    assert is_dev(noisy) == is_dev(text)


@given(st.text())
def test_normalising_again_changes_nothing(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


def test_a_tenth_is_dev() -> None:
    share = sum(is_dev(f"review number {number}") for number in range(20_000)) / 20_000
    assert abs(share - 0.1) < 0.01


def test_the_choice_does_not_depend_on_the_process() -> None:
    """Asked in processes that hash strings differently."""
    code = "from polarbert.data.splits import is_dev; print([n for n in range(100) if is_dev(f'review {n}')])"
    answers = set()
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", code]
        answers.add(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)
    assert answers == {str([n for n in range(100) if is_dev(f"review {n}")]) + "\n"}


def same(one: Splits, other: Splits) -> bool:
    return (parts(one), one.cluster_of.tolist(), one.clusters, one.duplicates, one.notes) == (
        parts(other),
        other.cluster_of.tolist(),
        other.clusters,
        other.duplicates,
        other.notes,
    )


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([(0.8, 0.1, 0.1), (0.6, 0.2, 0.2), (0.9, 0.1, 0.0)]))
def test_no_text_nor_one_nearly_like_it_stands_in_two_parts(seed: int, shares: tuple[float, float, float]) -> None:
    data = many(60, seed)
    splits = make_splits(data, shares, seed)
    texts = [[data.rows[row].text for row in part] for part in parts(splits)]
    for one, other in combinations(texts, 2):
        assert max((similarity(a, b) for a in one for b in other), default=0.0) < 0.8


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([(0.8, 0.1, 0.1), (0.6, 0.2, 0.2), (0.9, 0.1, 0.0)]))
def test_pairs_of_two_parts_share_no_text(seed: int, shares: tuple[float, float, float]) -> None:
    data = many_pairs(60, seed)
    splits = make_splits(data, shares, seed)
    texts = [{text_key(text or "") for row in part for text in _texts(data, row)} for part in parts(splits)]
    for one, other in combinations(texts, 2):
        assert not one & other
    for part, share in zip(parts(splits), shares, strict=True):
        assert abs(len(part) - share * 60) <= 3
    assert any("clusters of pairs that share a text or are nearly equal" in note for note in splits.notes)


def _texts(data: Dataset, row: int) -> list[str | None]:
    return [data.rows[row].text, data.rows[row].pair]


def test_a_text_of_very_many_pairs_keeps_none_of_them_together() -> None:
    count = MOST_SHARED + 20
    texts = [f"{number * 7919} is number {number}" for number in range(count)]
    template = [(text, "It is about money.") for text in texts]
    repeated = [("Is it free?", "What does it cost?")] * count + [("Is it free?", "Who owns it?")]
    data = of_pairs([*template, *repeated], [0, 1] * count + [1])
    splits = make_splits(data)
    assert [sum(row < count for row in part) for part in parts(splits)] == [count - 24, 12, 12]
    assert "texts that stand in more than 100 pairs each: 1; their pairs may be in several parts" in splits.notes
    places = [part for part in parts(splits) if any(row >= count for row in part)]
    assert len(places) == 1, "a pair that is often repeated is one pair"


def test_given_parts_of_pairs_without_dev_get_one_that_shares_no_text() -> None:
    data = many_pairs(90)
    splits = given_splits(data, ["train"] * 90)
    train, dev, _ = ({text_key(text or "") for row in part for text in _texts(data, row)} for part in parts(splits))
    assert dev
    assert not train & dev


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_every_row_has_one_part_or_repeats_another(seed: int) -> None:
    data = many(80, seed)
    splits = make_splits(data, seed=seed)
    placed = [row for part in parts(splits) for row in part]
    assert len(set(placed)) == len(placed) == len(data.rows) - splits.duplicates
    keys = {text_key(data.rows[row].text) for part in parts(splits)[1:] for row in part}
    for row in set(range(len(data.rows))) - set(placed):
        assert text_key(data.rows[row].text) in keys, "a row is left out only where its text stands in dev or test"
    for part in parts(splits):
        assert part == sorted(part)


def test_dev_and_test_have_each_text_once_and_train_keeps_repeats() -> None:
    data = many(300)
    splits = make_splits(data)
    train, dev, test = ([text_key(data.rows[row].text) for row in part] for part in parts(splits))
    assert len(set(dev + test)) == len(dev + test)
    assert len(set(train)) < len(train)
    assert splits.duplicates > 0
    assert any("repeat the text of another" in note and f"({splits.duplicates:,} rows" in note for note in splits.notes)


def test_the_different_texts_of_each_class_are_shared_out_as_asked() -> None:
    data = many(900)
    splits = make_splits(data, (0.7, 0.2, 0.1))
    labels = {text_key(row.text): row.label for row in data.rows}
    for label in range(3):
        total = sum(found == label for found in labels.values())
        for part, share in zip(parts(splits), (0.7, 0.2, 0.1), strict=True):
            have = len({key for row in part if labels[key := text_key(data.rows[row].text)] == label})
            assert abs(have - share * total) <= 3


@pytest.mark.parametrize("rare", [3, 4, 10])
def test_a_rare_class_stands_in_every_part(rare: int) -> None:
    texts = [f"sentence {number} of many, each on its own matter {number * 7919}" for number in range(200)]
    data = dataset(texts, [2] * rare + [0, 1] * ((200 - rare) // 2) + [0] * (rare % 2))
    for part in parts(make_splits(data)):
        assert {data.rows[row].label for row in part} == {0, 1, 2}


def test_a_giant_cluster_goes_into_train() -> None:
    texts = [f"Order {n} of the large lamp in green has not yet come to our house in the town" for n in range(60)]
    texts += [f"{number * 7919} is a matter of its own, {number}" for number in range(120)]
    data = dataset(texts, [0, 1] * 90)
    for seed in range(5):
        splits = make_splits(data, seed=seed)
        assert set(range(60)) <= set(splits.train.tolist())
        assert len(splits.dev) >= 10
        assert len(splits.test) >= 10


def test_the_order_of_the_rows_does_not_matter() -> None:
    data = many(200)
    order = random.Random(2).sample(range(200), 200)
    mixed = dataset([data.rows[row].text for row in order], [data.rows[row].label for row in order])
    texts = [
        [{data_set.rows[row].text for row in part} for part in parts(make_splits(data_set))]
        for data_set in (data, mixed)
    ]
    keys = [[{text_key(text) for text in part} for part in found] for found in texts]
    assert keys[0] == keys[1]


def test_a_seed_gives_the_same_parts_in_every_process() -> None:
    code = (
        "from polarbert.data.dataset import Dataset, LabelledText\n"
        "from polarbert.data.splits import make_splits, random_splits\n"
        "rows = [LabelledText(f'{n * 7919} is number {n}', n % 2, n + 1) for n in range(40)]\n"
        "data = Dataset('d', rows, ['a', 'b'], 'classification')\n"
        "print([(s.dev.tolist(), s.test.tolist()) for s in (make_splits(data, seed=4), random_splits(data, seed=4))])"
    )
    answers = set()
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", code]
        answers.add(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)
    assert answers == {"[([0, 1, 13, 22], [5, 12, 29, 30]), ([1, 25, 28, 31], [8, 10, 17, 24])]\n"}


def test_another_seed_gives_other_parts() -> None:
    data = many(200)
    assert same(make_splits(data, seed=1), make_splits(data, seed=1))
    assert parts(make_splits(data, seed=1)) != parts(make_splits(data, seed=2))


def test_of_a_text_with_several_labels_the_most_frequent_counts_where_it_is_judged() -> None:
    texts = [f"{number * 7919} is a matter of its own, {number}" for number in range(60)]
    data = dataset([*texts, *texts, *texts], [0, 1] * 30 + [1, 0] * 30 + [0, 1] * 30)
    splits = make_splits(data)
    judged = [*splits.dev.tolist(), *splits.test.tolist()]
    assert all(row < 60 for row in judged), "the first row with the label of most"
    assert len(splits.train) % 3 == 0
    assert any("60 texts have rows with different labels" in note for note in splits.notes)


@pytest.mark.parametrize(
    ("texts", "labels", "words"),
    [
        (["good lamp", "bad lamp"], [2, 0], "'bug' has 1 in 1 row, 'praise' has 1 in 1 row"),
        (["Good!", "bad"] * 30, [2, 0] * 30, "'bug' has 1 in 30 rows, 'praise' has 1 in 30 rows"),
        (["same"] * 9, [0, 1, 2] * 3, "'idea' has 0 in 3 rows"),
        (["one", "two", "three"], [1, 1, 1], "every row is 'idea'"),
        ([], [], "there are no rows"),
    ],
)
def test_what_cannot_be_divided_is_a_clear_error(texts: list[str], labels: list[int], words: str) -> None:
    with pytest.raises(DataError, match=rf"tickets\.csv: .*{words}"):
        make_splits(dataset(texts, labels))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            Dataset("q.json", [Question(f"Passage {n % 2} of a book", 0, n, question=f"Why {n}?") for n in range(30)],
                    ["start", "end"], "qa"),
            "has 2 passages, nearly equal ones counted as one, and 3 parts .* Add other passages, or give the parts",
        ),
        (
            Dataset("t.conll", [tagged_text(["one" if n % 2 else "two"], [0], n) for n in range(30)], ["O"], "tagging"),
            "has 2 texts, nearly equal ones counted as one, and 3 parts .* Add other texts, or give the parts with",
        ),
        (
            Dataset("p.csv", [RatedText(f"{n % 6 * 7919} apart", 0, n, pair=f"{n % 6}", value=n) for n in range(30)],
                    ["score"], "regression"),
            None,
        ),
        (
            Dataset("p.csv", [RatedText(f"{n % 6 * 7919} apart", 0, n, pair=f"{n % 2}", value=n) for n in range(30)],
                    ["score"], "regression"),
            "has 2 pairs, those that share a text or are nearly equal counted as one, and 3 parts .* Add other pairs",
        ),
        (
            of_pairs([(f"{n % 6 * 7919} apart", f"{n % 5}") for n in range(30)], [0, 1] * 15),
            "each class needs 3 pairs that share no text and are not nearly the same, and 'other' has 1 in 15 rows",
        ),
    ],
)  # fmt: skip
def test_too_few_to_be_divided_are_named_as_what_they_are(data: Dataset, words: str | None) -> None:
    if words is None:
        assert all(len(part) for part in parts(make_splits(data)))
        return
    with pytest.raises(DataError, match=words) as caught:
        make_splits(data)
    assert "score" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "note"),
    [
        (tagged_text(["Lea", "left"], [1, 0], 1), tagged_text(["Lea", "left"], [0, 0], 2), "with different tags"),
        (tagged_text(["Lea", "left"], [1, 0], 1), tagged_text(["lea", "left", "."], [1, 0, 0], 2), None),
        (RatedText("Fine", 0, 1, value=4.0), RatedText("fine!", 0, 2, value=5.0), "with different numbers"),
        (RatedText("Fine", 0, 1, value=4.0), RatedText("fine!", 0, 2, value=4.0), None),
        (
            Question("Lea left.", 0, 1, question="Who?", id="a", impossible=True),
            Question("Lea left.", 0, 2, question="Who?", id="b", answers=(("Lea", 0),)),
            "with and without an answer",
        ),
        (
            Question("Lea left.", 0, 1, question="Who?", id="a", answers=(("Lea left", 0),)),
            Question("Lea left.", 0, 2, question="Who?", id="b", answers=(("Lea", 0),)),
            None,
        ),
    ],
)
def test_rows_of_equal_texts_that_contradict_each_other_are_told(
    one: LabelledText, other: LabelledText, note: str | None
) -> None:
    others = [replace(one, text=f"{number * 7919} is number {number}", row=number) for number in range(3, 23)]
    tasks = {TaggedText: "tagging", RatedText: "regression", Question: "qa"}
    splits = make_splits(Dataset("d", [one, other, *others], ["O", "B-x"], tasks[type(one)]))
    what = "questions" if isinstance(one, Question) else "texts"
    told = [text for text in splits.notes if "in dev and test the most frequent" in text]
    assert told == (
        [] if note is None else [f"1 {what} have rows {note}: in train all count, in dev and test the most frequent"]
    )


def test_where_texts_are_judged_the_most_frequent_number_counts() -> None:
    texts = [f"{number * 7919} is a matter of its own, {number}" for number in range(60)]
    values = [1.0] * 60 + [2.0] * 120
    rows = [
        RatedText(text, 0, row, value=value) for row, (text, value) in enumerate(zip(texts * 3, values, strict=True))
    ]
    splits = make_splits(Dataset("d", list(rows), ["score"], "regression"))
    assert {rows[row].value for row in (*splits.dev, *splits.test)} == {2.0}


def test_too_many_small_classes_are_not_all_listed() -> None:
    names = [f"ticket {number}" for number in range(50)]
    data = dataset([f"{n * 7919} is number {n}" for n in range(50)], list(range(50)), names)
    with pytest.raises(DataError, match=r"'ticket 4' has 1 in 1 row and 45 more classes .* another column\?"):
        make_splits(data)


@pytest.mark.parametrize("shares", [(0.0, 0.5, 0.5), (0.8, 0.1, 0.2), (1.2, -0.1, -0.1), (0.9, 0.1)])
def test_shares_that_do_not_add_up_are_refused(shares: Any) -> None:
    for make in (make_splits, random_splits):
        with pytest.raises(UsageError, match="the shares are"):
            make(many(40), shares)


def test_parts_are_taken_from_a_column() -> None:
    data = many(9)
    names = ["train", "Training ", "dev", "val", "valid", "VALIDATION", "development", "test", ""]
    splits = given_splits(data, names)
    assert parts(splits) == [[0, 1], [2, 3, 4, 5, 6], [7]]
    assert splits.notes == ("rows that name no part, and are left out: 1",)


def test_a_column_without_dev_gives_a_tenth_of_train() -> None:
    data = many(200)
    splits = given_splits(data, ["train"] * 150 + ["test"] * 50)
    assert parts(splits)[2] == list(range(150, 200))
    assert sorted({*parts(splits)[0], *parts(splits)[1]}) == [
        row for row in range(150) if row in {*splits.train, *splits.dev}
    ]
    assert len(splits.train) + len(splits.dev) + splits.duplicates == 150
    assert 5 <= len(splits.dev) <= 20
    texts = [{text_key(data.rows[row].text) for row in part} for part in parts(splits)]
    assert not texts[0] & texts[1]
    assert "no row is given as dev" in splits.notes[0]


def test_a_column_with_other_names_is_refused() -> None:
    with pytest.raises(DataError, match=r"tickets\.csv: the column with the parts has 'holdout' 2 times, '7' once"):
        given_splits(many(4), ["train", "holdout", "7", "holdout"])
    with pytest.raises(DataError, match="puts no row into train"):
        given_splits(many(2), ["dev", "test"])


@pytest.mark.parametrize("make", [make_splits, random_splits])
def test_saved_splits_are_loaded_as_they_were(tmp_path: Path, make: Any) -> None:
    data = many(120)
    splits = make(data)
    splits.save(tmp_path / "splits.json", data)
    assert same(Splits.load(tmp_path / "splits.json", data), splits)
    assert [file.name for file in tmp_path.iterdir()] == ["splits.json"]


def test_each_row_of_the_file_can_be_read_by_people(tmp_path: Path) -> None:
    data = many(60)
    splits = make_splits(data)
    splits.save(tmp_path / "splits.json", data)
    text = (tmp_path / "splits.json").read_text()
    rows = json.loads(text)["rows"]
    assert [row for row, *_ in rows] == list(range(1, 61))
    counts = Counter(part for _, part, _, _ in rows)
    assert counts["train"] == len(splits.train)
    assert counts["none"] == splits.duplicates
    assert text.count("\n") > 60


def test_a_row_that_changed_is_named(tmp_path: Path) -> None:
    data = many(60)
    make_splits(data).save(tmp_path / "splits.json", data)
    changed = [*data.texts[:41], "Something else", *data.texts[42:]]
    with pytest.raises(DataError, match=r"splits\.json: row 42 of tickets\.csv is not what it was"):
        Splits.load(tmp_path / "splits.json", dataset(changed, data.truth.tolist()))
    for rows in (59, 1):
        fewer = dataset(data.texts[:rows], data.truth[:rows].tolist())
        with pytest.raises(DataError, match=rf"was made for 60 usable rows, and tickets\.csv has {rows}"):
            Splits.load(tmp_path / "splits.json", fewer)
    more = dataset([*data.texts, "new"], [*data.truth.tolist(), 0])
    with pytest.raises(DataError, match="has 61"):
        Splits.load(tmp_path / "splits.json", more)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"format": 1}', '{"format": 2, "rows": []}', "[" * 100_000,
     '{"format": 1, "clusters": 1, "duplicates": 0, "notes": [], "rows": [[1, "train", 0]]}',
     '{"format": 1, "clusters": 1, "duplicates": 0, "notes": [], "rows": [[1, "attic", 0, "a"]]}',
     '{"format": 1, "clusters": 1, "duplicates": 0, "notes": [], "rows": [[1, "train", 99999999999999999999, "a"]]}',
     '{"format": 1, "clusters": 1, "duplicates": 0, "notes": [], "rows": [[1, "train", -1, "a"]]}'],
)  # fmt: skip
def test_a_file_that_holds_no_splits_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "splits.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"splits\.json: is no file of splits"):
        Splits.load(path, many(5))


def test_a_file_too_large_for_splits_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    path.write_text(" " * 1_100_000)
    with pytest.raises(DataError, match="more than 1,001,000 bytes"):
        Splits.load(path, many(5))


def test_what_stood_there_survives_a_failed_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "splits.json"
    path.write_text("precious")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    data = many(40)
    with pytest.raises(DataError, match="the disk is full"):
        make_splits(data).save(path, data)
    assert path.read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 1


def test_cluster_numbers_are_given_for_every_row() -> None:
    data = many(80)
    splits = make_splits(data)
    assert splits.cluster_of.shape == (80,)
    assert len(np.unique(splits.cluster_of)) == splits.clusters < 80
