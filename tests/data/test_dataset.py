"""Labelled texts come out of every kind of table, and what cannot be used is counted and told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from polarbert.data.dataset import Dataset, read_labelled
from polarbert.data.labels import LabelMap
from polarbert.errors import DataError, UsageError

ROWS = [("Lovely lamp", "5", "Leeds"), ("Broke at once", "1", "York"), ("It is a lamp", "3", "Leeds")]


def read(folder: Path, content: str | bytes, name: str = "in.csv", **options: object) -> Dataset:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_labelled(path, "text", "stars", **options)  # type: ignore[arg-type]


def as_csv(delimiter: str = ",") -> str:
    return "\n".join(delimiter.join(cells) for cells in [("text", "stars", "town"), *ROWS]) + "\n"


def as_jsonl() -> str:
    """Stars as numbers, as JSON has them."""
    return "".join(json.dumps({"text": t, "stars": int(s), "town": town}) + "\n" for t, s, town in ROWS)


def write_parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts, stars, towns = zip(*ROWS, strict=True)
    pq.write_table(pa.table({"text": texts, "stars": [float(s) for s in stars], "town": towns}), path)


@pytest.mark.parametrize("name", ["in.csv", "in.tsv", "in.jsonl", "in.parquet"])
@pytest.mark.parametrize("keep", [["town"], None])
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, keep: list[str] | None) -> None:
    path = tmp_path / name
    if name.endswith("parquet"):
        write_parquet(path)
    else:
        path.write_text({"in.csv": as_csv(), "in.tsv": as_csv("\t"), "in.jsonl": as_jsonl()}[name])
    dataset = read_labelled(path, "text", "stars", keep=keep)
    assert dataset.texts == [text for text, _, _ in ROWS]
    assert dataset.truth.tolist() == [2, 0, 1]
    assert dataset.truth.dtype == np.int64
    assert (dataset.task, dataset.labels) == ("sentiment", ["negative", "neutral", "positive"])
    assert [(row.row, dict(row.values)) for row in dataset.rows] == [
        (number, {"town": town}) for number, (_, _, town) in enumerate(ROWS, start=1)
    ]
    assert dict(dataset.skipped) == {}


def test_other_columns_are_not_kept_unasked(tmp_path: Path) -> None:
    assert [row.values for row in read(tmp_path, as_csv()).rows] == [{}, {}, {}]


def test_rows_that_cannot_be_used_are_counted_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    content = b"text,stars\nfine,5\n   ,4\nno label,\nragged\nbad byte \xe9,1\nawful,1\nbad label,\xe9\nso so,3\n"
    dataset = read(tmp_path, content)
    assert [(row.text, row.row) for row in dataset.rows] == [("fine", 1), ("awful", 6), ("so so", 8)]
    assert dict(dataset.skipped) == {"empty text": 1, "empty label": 1, "unreadable row": 3}
    notes = "\n".join(dataset.notes)
    assert "row 4 is left out" in notes
    assert "1 fields, the header has 2" in notes
    assert "byte 0xe9 at offset" in notes


def test_a_line_that_is_no_json_does_not_end_the_reading(tmp_path: Path) -> None:
    lines = [
        '{"text": "a", "stars": 5}',
        "{broken",
        '{"text": "b"}',
        '{"text": null, "stars": 1}',
        '{"text": "c", "stars": 1.0}',
    ]
    dataset = read(tmp_path, "\n".join(lines), "in.jsonl")
    assert [(row.text, dataset.labels[row.label], row.row) for row in dataset.rows] == [
        ("a", "positive", 1),
        ("c", "negative", 5),
    ]
    assert dict(dataset.skipped) == {"unreadable row": 1, "empty label": 1, "empty text": 1}


def test_labels_that_differ_by_case_or_blanks_are_one_and_a_note_says_so(tmp_path: Path) -> None:
    dataset = read(tmp_path, 'text,stars\na,Bug\nb,bug\nc," bug"\nd,bug\ne,Idea\n')
    assert dataset.labels == ["Idea", "bug"]
    assert dataset.truth.tolist() == [1, 1, 1, 1, 0]
    assert any("'bug' 2 times, ' bug' once, 'Bug' once" in note for note in dataset.notes)


def test_a_file_of_another_encoding_is_read_when_it_is_named(tmp_path: Path) -> None:
    dataset = read(
        tmp_path, "text,stars,café\nMüde,5,Zoë\nSchön,1,x\n".encode("cp1252"), encoding="cp1252", keep=["café"]
    )
    assert dataset.texts == ["Müde", "Schön"]
    assert dataset.rows[0].values == {"café": "Zoë"}


def test_kept_cells_can_always_be_printed(tmp_path: Path) -> None:
    dataset = read(tmp_path, b"text,stars,town\nfine,5,K\xf6ln\nbad,1,Ulm\n", keep=["town"])
    assert dataset.rows[0].values["town"].encode("utf-8").decode() == "K\N{REPLACEMENT CHARACTER}ln"


def test_the_format_and_the_delimiter_can_be_named(tmp_path: Path) -> None:
    assert len(read(tmp_path, "text^stars\nfine^5\nbad^1\n", "data", kind="csv", delimiter="^").rows) == 2


def test_a_label_map_says_what_labels_mean_and_other_rows_are_left_out(tmp_path: Path) -> None:
    label_map = LabelMap.explicit({"good": "praise", "bad": "complaint"})
    dataset = read(tmp_path, "text,stars\na,good\nb,Bad\nc,spam\nd,spam\ne,?\n", label_map=label_map)
    assert dataset.labels == ["complaint", "praise"]
    assert dataset.truth.tolist() == [1, 0]
    assert dict(dataset.skipped) == {"label not in the label map": 3}
    assert any("'spam' 2 times, '?' once" in note for note in dataset.notes)


def test_a_task_is_followed(tmp_path: Path) -> None:
    assert read(tmp_path, as_csv(), task="classification").labels == ["1", "3", "5"]
    with pytest.raises(DataError, match=r"in\.csv: labels that are no sentiment: 'spam' once"):
        read(tmp_path, "text,stars\na,spam\nb,neg\n", task="sentiment")


def test_one_class_can_be_read_to_be_judged_by(tmp_path: Path) -> None:
    assert read(tmp_path, "text,stars\na,bad\nb,bad\n").labels == ["bad"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("text,stars\n", "has no rows of data"),
        ("text,stars\n ,5\nx,\n", r"none of its 2 rows can be used \(empty text: 1; empty label: 1\)"),
        ("text,stars\n1,2,3\n", r"unreadable row: 1.*3 fields, the header has 2"),
        ("text,stars\n1,2,3\n", r"the header has 2$"),
        ("", "is empty"),
        ('text,stars\nfine,5\n"open,1\nlost,3\n', "line 3: a quotation mark opens here and is never closed"),
    ],
)
def test_a_file_without_a_usable_row_is_a_clear_error(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(DataError, match=rf"in\.csv.*{words}"):
        read(tmp_path, content)


def test_labels_unknown_to_the_map_are_named_when_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of its 1 rows.*'5' once.*Is 'stars' the column"):
        read(tmp_path, "text,stars\na,5\n", label_map=LabelMap.explicit({"a": "x", "b": "y"}))


@pytest.mark.parametrize("columns", [("txt", "stars"), ("text", "star"), ("Text", "stars")])
def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path, columns: tuple[str, str]) -> None:
    path = tmp_path / "in.csv"
    path.write_text(as_csv())
    with pytest.raises(UsageError, match=r"in\.csv: no column '(txt|star|Text)'\. Did you mean '(text|stars)'\?"):
        read_labelled(path, *columns)


def test_a_missing_column_to_keep_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no column 'twon'\. Did you mean 'town'\?"):
        read(tmp_path, as_csv(), keep=["twon"])


def test_text_and_label_must_be_two_columns(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot both be in the column 'text'"):
        read_labelled(tmp_path / "in.csv", "text", "text")


def test_a_missing_file_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(as_csv())
    with pytest.raises(UsageError, match=r"review\.csv: no such file\. Did you mean .*reviews\.csv\?"):
        read_labelled(tmp_path / "review.csv", "text", "stars")
    with pytest.raises(UsageError, match="is a folder"):
        read_labelled(tmp_path, "text", "stars")
