"""Labelled texts with an aspect each: what is read, what is kept together, what contradicts what."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from tests.scoring_fixtures import sentences

from polarbert.data.aspects import AspectText, read_aspects
from polarbert.data.dataset import Dataset, LabelledText, read_labelled
from polarbert.data.joined import join_parts
from polarbert.data.leaks import find_leaks
from polarbert.data.splits import Splits, make_splits, random_splits
from polarbert.errors import DataError, UsageError

LABELS = ["negative", "neutral", "positive"]
ASPECTS = ["food", "service", None]
TABLE = """\
id,review,aspect,label
a,"Good soup, slow waiter",soup,positive
b,"Good soup, slow waiter",waiter,neg
c,"Good soup, slow waiter",,neutral
d,A table by the door,"  ",neu
e,,soup,positive
f,Lukewarm,soup,
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "meals.csv"
    file.write_text(TABLE, "utf-8")
    return file


def of_texts(texts: list[str], labels: list[int] | None = None) -> Dataset:
    """Each text with each of `ASPECTS`; labels by turns, so that those of one text differ."""
    rows = [
        AspectText(text, (number + place) % 3 if labels is None else labels[number], 3 * number + place + 1, {}, aspect)
        for number, text in enumerate(texts)
        for place, aspect in enumerate(ASPECTS)
    ]
    return Dataset("meals", list(rows), LABELS, "sentiment")


def test_an_empty_cell_is_for_the_whole_text(table: Path) -> None:
    found = read_aspects(table, "review", "label", "aspect", keep=["id"])
    assert [(row.values["id"], row.pair, found.labels[row.label], row.row) for row in found.rows] == [
        ("a", "soup", "positive", 1),
        ("b", "waiter", "negative", 2),
        ("c", None, "neutral", 3),
        ("d", None, "neutral", 4),
    ]
    assert (found.task, found.labels, found.unit) == ("sentiment", LABELS, "texts")
    assert {reason: count for reason, count in found.skipped.items() if count} == {"empty text": 1, "empty label": 1}


def test_jsonl_and_parquet_are_read_alike(table: Path, tmp_path: Path) -> None:
    expected = read_aspects(table, "review", "label", "aspect").rows
    cells = [{"review": row.text, "aspect": row.pair, "label": LABELS[row.label]} for row in expected]
    pq.write_table(pa.Table.from_pylist(cells), tmp_path / "meals.parquet")
    without = [{name: value for name, value in row.items() if value is not None} for row in cells]
    (tmp_path / "meals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in without), "utf-8")
    for name in ("meals.parquet", "meals.jsonl"):
        assert read_aspects(tmp_path / name, "review", "label", "aspect").rows == expected


def test_that_no_row_has_an_aspect_is_noted(table: Path) -> None:
    table.write_text("review,aspect,label\nGood soup,,positive\nSlow waiter, ,negative\n", "utf-8")
    found = read_aspects(table, "review", "label", "aspect")
    assert [row.pair for row in found.rows] == [None, None]
    assert "no row has an aspect in the column 'aspect', so whole texts are judged" in found.notes


def test_some_aspects_need_no_note(table: Path) -> None:
    assert not any("aspect" in note for note in read_aspects(table, "review", "label", "aspect").notes)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (("review", "label", "label"), "the labels and the aspects cannot both be in the column 'label'"),
        (("review", "label", "review"), "the texts and the aspects cannot both be in the column 'review'"),
        (("review", "review", "aspect"), "the texts and the labels cannot both be in the column 'review'"),
    ],
)
def test_one_column_is_not_two(table: Path, columns: tuple[str, str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_aspects(table, *columns)


def test_a_column_that_is_missing_is_named(table: Path) -> None:
    with pytest.raises(UsageError, match=r"no column 'aspct'\. Did you mean 'aspect'\?"):
        read_aspects(table, "review", "label", "aspct")


def test_labels_that_are_no_sentiment_are_refused_where_it_is_asked_for(table: Path) -> None:
    with pytest.raises(DataError, match="labels that are no sentiment"):
        read_aspects(table, "review", "id", "aspect", task="sentiment")


def test_people_are_shown_the_aspect_first() -> None:
    assert AspectText("Good soup", 2, 1, {}, "soup").shown == "soup: Good soup"
    assert AspectText("Good soup", 2, 1).shown == "Good soup"
    assert LabelledText("Good soup", 2, 1, {}, "Was it?").shown == "Good soup\nWas it?"


# ---- parts


def texts_of_parts(data: Dataset, splits: Splits) -> list[set[str]]:
    return [{data.rows[row].text for row in splits.part(part)} for part in ("train", "dev", "test")]


def test_all_rows_of_a_text_stand_in_one_part_and_an_aspect_joins_no_texts() -> None:
    data = of_texts([text for text, _ in sentences(90, 71)])
    splits = make_splits(data)
    train, dev, test = texts_of_parts(data, splits)
    assert (train & dev, train & test, dev & test) == (set(), set(), set())
    assert len(train) + len(dev) + len(test) == 90
    assert splits.clusters == 90
    assert min(len(dev), len(test)) >= 5
    assert [leak.exact + leak.near + leak.shared for leak in find_leaks(data, splits)] == [0, 0, 0]


def test_as_pairs_the_same_rows_would_be_one_cluster() -> None:
    """What sets aspects apart: a text of a pair says something of every other pair that it stands in."""
    data = of_texts([text for text, _ in sentences(30, 71)])
    rows = [LabelledText(row.text, row.label, row.row, {}, row.pair or "all") for row in data.rows]
    pairs = Dataset("pairs", rows, LABELS, "pair")
    with pytest.raises(DataError, match="cannot be divided into 3 parts"):
        make_splits(pairs)


def test_rows_divided_at_random_are_told_to_leak() -> None:
    data = of_texts([text for text, _ in sentences(40, 72)])
    leak = next(found for found in find_leaks(data, random_splits(data)) if found.part == "test")
    assert leak.exact > leak.total / 2
    assert "texts stand in train too" in leak.message()


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 11), st.sampled_from(ASPECTS), st.integers(0, 2)), min_size=40, max_size=90))
def test_no_text_is_ever_in_two_parts(chosen: list[tuple[int, str | None, int]]) -> None:
    texts = [text for text, _ in sentences(12, 73)]
    rows = [AspectText(texts[text], label, n, {}, aspect) for n, (text, aspect, label) in enumerate(chosen, 1)]
    data = Dataset("meals", list(rows), LABELS, "sentiment")
    try:
        splits = make_splits(data)
    except DataError:  # a class has too few texts
        reject()
    train, dev, test = texts_of_parts(data, splits)
    assert (train & dev, train & test, dev & test) == (set(), set(), set())


def test_opposite_labels_of_two_aspects_are_no_contradiction_and_those_of_one_are() -> None:
    data = of_texts([text for text, _ in sentences(60, 74)])
    assert not any("different labels" in note for note in make_splits(data).notes)
    first = data.rows[0]
    doubled = replace(data, rows=[*data.rows, replace(first, label=(first.label + 1) % 3)])
    assert any("1 texts have rows with different labels" in note for note in make_splits(doubled).notes)


def test_a_changed_aspect_is_another_row_to_saved_splits(tmp_path: Path) -> None:
    data = of_texts([text for text, _ in sentences(60, 75)])
    splits = make_splits(data)
    splits.save(tmp_path / "splits.json", data)
    assert Splits.load(tmp_path / "splits.json", data).train.tolist() == splits.train.tolist()
    rows = [replace(data.rows[0], pair="bill"), *data.rows[1:]]
    with pytest.raises(DataError, match="row 1 of meals is not what it was"):
        Splits.load(tmp_path / "splits.json", replace(data, rows=rows))


def test_files_that_are_parts_keep_their_aspects(table: Path, tmp_path: Path) -> None:
    other = tmp_path / "later.csv"
    other.write_text("review,aspect,label\nGood soup,soup,positive\nNo table,,negative\n", "utf-8")
    files = {"train": table, "test": other}
    read = {part: read_aspects(file, "review", "label", "aspect", task="sentiment") for part, file in files.items()}
    joined, names = join_parts(read)
    assert [row.pair for row in joined.rows] == ["soup", "waiter", None, None, "soup", None]
    assert [row.topic for row in joined.rows[:3]] == ["Good soup, slow waiter"] * 3
    assert names == ["train"] * 4 + ["test"] * 2


def test_the_same_file_without_the_column_is_of_whole_texts(table: Path) -> None:
    found = read_labelled(table, "review", "label")
    assert [row.pair for row in found.rows] == [None] * 4
    assert not isinstance(found.rows[0], AspectText)


def test_the_border_between_text_and_aspect_counts() -> None:
    texts = [f"{word} meal number {number}" for number in range(40) for word in ("Good", "Bad")]
    rows = [AspectText(text, 2 * (text[0] == "G"), n + 1, {}, "food") for n, text in enumerate(texts)]
    rows += [AspectText(f"{text} food", 2 * (text[0] == "B"), n + 81, {}) for n, text in enumerate(texts)]
    data = Dataset("meals", list(rows), LABELS, "sentiment")
    assert len({row.key for row in rows}) == len(rows)
    splits = make_splits(data)
    assert splits.duplicates == 0
    assert not [note for note in splits.notes if "different labels" in note]


def test_aspects_that_differ_in_a_mark_alone_are_different() -> None:
    texts = [f"The course of teacher {number} was fine" for number in range(60)]
    rows = [
        AspectText(text, place % 3, 4 * n + place + 1, {}, aspect)
        for n, text in enumerate(texts)
        for place, aspect in enumerate(("C", "C++", "C#", None))
    ]
    data = Dataset("courses", list(rows), LABELS, "sentiment")
    splits = make_splits(data)
    assert splits.duplicates == 0
    assert sum(len(splits.part(part)) for part in ("train", "dev", "test")) == len(rows)
    assert not [note for note in splits.notes if "repeat" in note or "different labels" in note]
    assert any("240 different texts and aspects are of 60 texts" in note for note in splits.notes)


@pytest.mark.parametrize("blank", ["\u200b", "\ufeff", " \u00a0"])
def test_an_aspect_that_nobody_sees_is_none(tmp_path: Path, blank: str) -> None:
    file = tmp_path / "meals.csv"
    file.write_text(f"review,aspect,label\nGood soup,{blank},positive\nSlow waiter,waiter,negative\n", "utf-8")
    assert [row.pair for row in read_aspects(file, "review", "label", "aspect").rows] == [None, "waiter"]
