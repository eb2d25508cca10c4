"""The columns that scoring adds to a table, for each kind of model."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Generic, TypeVar

from polarbert.inference.by_sentence import BySentence
from polarbert.inference.prediction import Prediction, Rating

Answer = TypeVar("Answer")
Cells = tuple[Any, ...]  # of one row, without the error
ERROR = "error"


class Columns(ABC, Generic[Answer]):
    """What is added, in order: what the kind of model answers, then `n_tokens`, `n_windows` and `error`.

    Args:
        labels: of the model.
        prefix: put before each name.
    """

    def __init__(self, labels: Sequence[str], prefix: str = "") -> None:
        self.labels = labels
        self.prefix = prefix

    @abstractmethod
    def answered(self) -> dict[str, type]:
        """Name and type (str, float, int, bool or list) of each column that holds the answer.

        A list is written as JSON has it, in CSV and Parquet as its text.
        """

    @abstractmethod
    def cells_of(self, answer: Answer) -> Sequence[object]:
        """The cells of an answer, then its counts of tokens and windows."""

    @abstractmethod
    def tally(self, cells: Cells) -> Iterator[str]:
        """What is counted of a row in the totals."""

    def asked(self, text: str, second: str | None) -> Any:
        """The input of the model for a row."""
        return text, second

    def names(self) -> list[str]:
        """Their names."""
        return [self.prefix + name for name in self._kinds()]

    def types(self) -> dict[str, type]:
        """The type of each, by its name."""
        return {self.prefix + name: kind for name, kind in self._kinds().items()}

    def values(self, cells: Cells | str) -> dict[str, object]:
        """The added cells of a row by name: those of an answer, or empty ones and what was wrong."""
        if isinstance(cells, str):
            return {**dict.fromkeys(self.names()), f"{self.prefix}{ERROR}": cells}
        return dict(zip(self.names(), [*cells, None], strict=True))

    def read(self, written: Mapping[str, Any]) -> Cells | None:
        """The cells of an output row; None for a row with an error."""
        if written[f"{self.prefix}{ERROR}"]:
            return None
        kinds = list(self.types().items())[:-1]
        return tuple(_typed(written[name], kind) for name, kind in kinds)

    def _kinds(self) -> dict[str, type]:
        return {**self.answered(), "n_tokens": int, "n_windows": int, ERROR: str}


class ScoreColumns(Columns[Prediction]):
    """Of classes: the label, how sure it is, and every probability."""

    def answered(self) -> dict[str, type]:
        """See `Columns.answered`."""
        chances = {f"p_{label}": float for label in self.labels}
        return {"label": str, "confidence": float, "polarity": float, "unsure": bool, **chances}

    def cells_of(self, answer: Prediction) -> Sequence[object]:
        """See `Columns.cells_of`."""
        said = [answer.label, answer.confidence, answer.polarity, answer.unsure, *answer.probabilities.values()]
        return [*said, answer.n_tokens, answer.n_windows]

    def tally(self, cells: Cells) -> Iterator[str]:
        """The label, and whether it is unsure."""
        yield f"label:{cells[0]}"
        if cells[3]:
            yield "unsure"


class SentenceColumns(Columns[BySentence]):
    """Of classes, and of each sentence: what `ScoreColumns` adds, and `sentences`, a list of objects."""

    def __init__(self, labels: Sequence[str], prefix: str = "") -> None:
        super().__init__(labels, prefix)
        self._whole = ScoreColumns(labels)

    def answered(self) -> dict[str, type]:
        """See `Columns.answered`."""
        return {**self._whole.answered(), "sentences": list}

    def cells_of(self, answer: BySentence) -> Sequence[object]:
        """See `Columns.cells_of`."""
        *said, n_tokens, n_windows = self._whole.cells_of(answer.whole)
        return [*said, [asdict(one) for one in answer.sentences], n_tokens, n_windows]

    def tally(self, cells: Cells) -> Iterator[str]:
        """See `ScoreColumns.tally`."""
        return self._whole.tally(cells)


class RatingColumns(Columns[Rating]):
    """Of numbers: the value."""

    def answered(self) -> dict[str, type]:
        """See `Columns.answered`."""
        return {"value": float}

    def cells_of(self, answer: Rating) -> Sequence[object]:
        """See `Columns.cells_of`."""
        return [answer.value, answer.n_tokens, answer.n_windows]

    def tally(self, cells: Cells) -> Iterator[str]:  # noqa: ARG002 - a number is not counted
        """Nothing."""
        return iter(())


def _typed(value: Any, kind: type) -> Any:
    """A cell as it was before it was written; CSV has texts alone."""
    if value is None or value == "":
        return "" if kind is str and value == "" else None
    if kind is bool:
        return value is True or value == "true"
    if kind is list:
        return json.loads(value) if isinstance(value, str) else value
    return kind(value)
