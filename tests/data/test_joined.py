"""Files that are the parts of one dataset."""

from __future__ import annotations

from pathlib import Path

import pytest

from polarbert.data.dataset import Dataset, LabelledText, read_labelled
from polarbert.data.joined import join_parts
from polarbert.data.splits import given_splits
from polarbert.data.tagged import TaggedText, read_tagged
from polarbert.errors import DataError


def tickets(name: str, labels: list[str], *rows: tuple[str, str]) -> Dataset:
    found = [LabelledText(text, labels.index(label), number) for number, (text, label) in enumerate(rows, 1)]
    return Dataset(name, found, labels, "classification", {"empty text": 1}, ("a note",))


def test_each_row_keeps_its_label_and_stands_in_the_part_of_its_file() -> None:
    learned = tickets("in/a.csv", ["late", "refund"], ("Give it back", "refund"), ("Where is it?", "late"))
    judging = tickets("in/b.csv", ["broken", "late"], ("It never came", "late"), ("Cracked", "broken"))
    dataset, names = join_parts({"train": learned, "test": judging})
    assert [(row.text, dataset.labels[row.label]) for row in dataset.rows] == [
        ("Give it back", "refund"),
        ("Where is it?", "late"),
        ("It never came", "late"),
        ("Cracked", "broken"),
    ]
    assert dataset.labels == ["late", "refund", "broken"]
    assert names == ["train", "train", "test", "test"]
    assert dataset.skipped == {"empty text": 2}
    assert dataset.notes == ("a note", "b.csv: a note")
    assert dataset.name == "in/a.csv + b.csv"


def test_tags_are_those_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("Ada B-person\nsings O\n\nLeeds B-town\n")
    (tmp_path / "b.conll").write_text("In O\nBrightwell B-town\nMarket I-town\n\nToday O\n")
    dataset, names = join_parts({"train": read_tagged(tmp_path / "a.conll"), "dev": read_tagged(tmp_path / "b.conll")})
    found = [[dataset.labels[tag] for tag in row.tags] for row in dataset.rows if isinstance(row, TaggedText)]
    assert found == [["B-person", "O"], ["B-town"], ["O", "B-town", "I-town"], ["O"]]
    splits = given_splits(dataset, names)
    assert (splits.train.tolist(), splits.dev.tolist(), splits.test.tolist()) == ([0, 1], [2, 3], [])


def test_files_for_different_tasks_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nfine,positive\nbad,negative\nso so,neutral\n")
    (tmp_path / "b.csv").write_text("text,label\nfine,sports\nbad,politics\n")
    files = {"train": "a.csv", "dev": "b.csv"}
    read = {part: read_labelled(tmp_path / name, "text", "label") for part, name in files.items()}
    with pytest.raises(DataError, match=r"b\.csv: its labels are for classification, those of .*a\.csv for sentiment"):
        join_parts(read)
