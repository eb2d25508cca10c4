"""The columns that scoring adds for a model that answers questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from polarbert.inference.answerer import Answer, QuestionAndContext
from polarbert.inference.columns import Cells, Columns


class AnswerColumns(Columns[Answer]):
    """The answer and where it stands in the context, how sure it is, and whether there is one.

    Where there is none, the answer is an empty text, and start and end are empty.
    """

    def answered(self) -> dict[str, type]:
        """See `Columns.answered`."""
        place = {"answer": str, "start": int, "end": int}
        return {**place, "confidence": float, "unsure": bool, "no_answer": bool, "no_answer_probability": float}

    def cells_of(self, answer: Answer) -> Sequence[object]:
        """See `Columns.cells_of`."""
        place = (None, None) if answer.no_answer else (answer.start, answer.end)
        said = [answer.text, *place, answer.confidence, answer.unsure, answer.no_answer, answer.no_answer_probability]
        return [*said, answer.n_tokens, answer.n_windows]

    def tally(self, cells: Cells) -> Iterator[str]:
        """Whether there is an answer, and whether it is unsure."""
        yield "no answer" if cells[5] else "answered"
        if cells[4]:
            yield "unsure"

    def asked(self, text: str, second: str | None) -> QuestionAndContext:
        """The question, which is the second text of a row, and the context."""
        return second or "", text
