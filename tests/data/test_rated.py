"""Numbers to learn come out of a column, and what is no number is left out and said."""

from __future__ import annotations

from pathlib import Path

import pytest

from polarbert.data.rated import RatedText, read_rated
from polarbert.errors import DataError, UsageError


def write(folder: Path, content: str) -> Path:
    file = folder / "rated.csv"
    file.write_text(content, encoding="utf-8")
    return file


def test_numbers_are_read_as_they_stand_in_any_spelling(tmp_path: Path) -> None:
    file = write(tmp_path, "text,score\nfine,4\nbad,-1.5\ngreat, 5e0 \n")
    found = read_rated(file, "text", "score")
    assert [row.value for row in found.rows if isinstance(row, RatedText)] == [4.0, -1.5, 5.0]
    assert (found.task, found.labels) == ("regression", ["score"])


def test_what_is_no_finite_number_is_left_out_counted_and_shown(tmp_path: Path) -> None:
    file = write(tmp_path, "text,score\nfine,4\nbad,low\nworse,nan\nodd,inf\nempty,\n,3\n")
    found = read_rated(file, "text", "score")
    assert [row.row for row in found.rows] == [1]
    assert found.skipped == {"label that is no number": 3, "empty label": 1, "empty text": 1}
    assert any("'low' once" in note for note in found.notes)


def test_second_texts_are_read_and_a_row_without_one_is_left_out(tmp_path: Path) -> None:
    file = write(tmp_path, "text,other,score\na plane,an aeroplane,5\na plane,,1\n")
    found = read_rated(file, "text", "score", pair_column="other")
    assert [(row.text, row.pair) for row in found.rows] == [("a plane", "an aeroplane")]
    assert found.skipped["empty second text"] == 1


def test_a_file_without_numbers_is_refused_with_the_column_named(tmp_path: Path) -> None:
    file = write(tmp_path, "text,score\nfine,good\nbad,poor\n")
    with pytest.raises(DataError, match=r"none of its 2 rows can be used .*Is 'score' the column"):
        read_rated(file, "text", "score")


def test_the_two_texts_and_the_number_are_three_columns(tmp_path: Path) -> None:
    file = write(tmp_path, "text,score\nfine,4\n")
    with pytest.raises(UsageError, match="cannot both be in the column 'text'"):
        read_rated(file, "text", "score", pair_column="text")


def test_numbers_are_part_of_what_is_learned(tmp_path: Path) -> None:
    one = read_rated(write(tmp_path, "text,score\nfine,4\n"), "text", "score").rows[0]
    other = read_rated(write(tmp_path, "text,score\nfine,5\n"), "text", "score").rows[0]
    assert one.content == other.content
    assert one.target != other.target
