"""What scoring writes of an answer, and reads back when it goes on with an unfinished file."""

from __future__ import annotations

import pytest

from polarbert.inference.answer_columns import AnswerColumns
from polarbert.inference.answerer import Answer

FOUND = Answer("Anna", 10, 14, 0.75, True, False, 0.125, [], 20, 1)
NOTHING = Answer("", 0, 0, 0.9, False, True, 0.9, [], 300, 2)


@pytest.mark.parametrize("prefix", ["", "model_"])
def test_an_answer_has_its_place_and_no_answer_has_none(prefix: str) -> None:
    columns = AnswerColumns(["start", "end"], prefix)
    found, nothing = (columns.values(tuple(columns.cells_of(answer))) for answer in (FOUND, NOTHING))
    assert list(found) == columns.names()
    assert list(columns.types()) == columns.names()
    expected = {"answer": "Anna", "start": 10, "end": 14, "confidence": 0.75, "unsure": True, "no_answer": False}
    expected |= {"no_answer_probability": 0.125, "n_tokens": 20, "n_windows": 1, "error": None}
    assert found == {prefix + name: value for name, value in expected.items()}
    empty = {"answer": "", "start": None, "end": None, "no_answer": True, "n_windows": 2}
    assert empty.items() <= {name.removeprefix(prefix): value for name, value in nothing.items()}.items()


@pytest.mark.parametrize("answer", [FOUND, NOTHING])
def test_what_was_written_as_text_is_read_back_as_it_was(answer: Answer) -> None:
    columns = AnswerColumns(["start", "end"])
    cells = tuple(columns.cells_of(answer))
    written = {
        name: "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in columns.values(cells).items()
    }
    assert columns.read(written) == cells
    assert columns.read({**written, "error": "unreadable"}) is None


def test_totals_count_what_was_found() -> None:
    columns = AnswerColumns(["start", "end"])
    assert list(columns.tally(tuple(columns.cells_of(FOUND)))) == ["answered", "unsure"]
    assert list(columns.tally(tuple(columns.cells_of(NOTHING)))) == ["no answer"]


def test_the_text_of_a_row_is_the_context_and_the_second_one_the_question() -> None:
    assert AnswerColumns([]).asked("the context", "the question") == ("the question", "the context")
