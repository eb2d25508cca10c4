"""What every format has in common: rows, columns, and what is wrong with them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, BinaryIO, Protocol

from polarbert.errors import UsageError

MAX_TEXT_BYTES = 1_000_000

Assemble = Callable[[BinaryIO, BinaryIO], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        cells: the fields as they stood (CSV), the line as it stood (JSONL), or the values asked for (Parquet).
        text: the text to score; None when `problem` says why there is none.
        problem: what is wrong with the row, or None.
        is_record: False for a line of JSONL to which no field can be added.
        values: the parsed object of a line of JSONL.
        size: about how many characters it takes to hold the row.
    """

    cells: Any
    text: str | None
    problem: str | None = None
    is_record: bool = True
    values: Mapping[str, Any] | None = None
    size: int = 0


class Table(Protocol):
    """A format: how rows are read, and how they are written with columns added."""

    @property
    def columns(self) -> Sequence[str]:
        """Names of the columns; of JSONL, those of the first record."""

    @property
    def count(self) -> int | None:
        """How many rows there are, where the format says so beforehand."""

    @property
    def doubt(self) -> str | None:
        """What looks wrong with the input as a whole, as far as it was read, and what to do; None when nothing does."""

    @property
    def fault(self) -> str | None:
        """What is wrong with the input as a whole, as far as it was read, though rows could be told apart."""

    def rows(self) -> Iterator[Row]:
        """The rows, in order."""

    def cell(self, row: Row, name: str) -> str | None:
        """A cell as text; None where the row has none or its value is null.

        Of Parquet, `name` is the text column or one of those that `open_table` was told of.

        Raises:
            UsageError: when there is no such column.
        """

    def header(self, added: Sequence[str]) -> bytes:
        """What the output starts with."""

    def line(self, row: Row, added: Mapping[str, object]) -> bytes:
        """A row of the output: the input's cells, then the added ones."""

    def read_back(self, output: BinaryIO, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """The added columns of each row of an output that `header` and `line` wrote."""

    def assembler(self, types: Mapping[str, type]) -> Assemble | None:
        """What makes the output out of all that `header` and `line` wrote; None where that is the output.

        Args:
            types: name and type (str, float, int, bool or list) of each added column.
        """


class MissingColumnError(UsageError):
    """A table has no column of a name.

    Args:
        message: what is said of it.
        column: the name.
    """

    def __init__(self, message: str, column: str) -> None:
        super().__init__(message)
        self.column = column


def find_column(columns: Sequence[str], wanted: str, name: str, used: Collection[str] = ()) -> int:
    """Position of a column.

    Args:
        columns: names of all of them.
        wanted: name of the one.
        name: of the table, for messages.
        used: names of columns that have a part already, and so are none to suggest.

    Raises:
        UsageError: when several are called so.
        MissingColumnError: when none is, suggesting the nearest name.
    """
    if list(columns).count(wanted) > 1:
        raise UsageError(
            f"{name}: the column {wanted!r} is there {list(columns).count(wanted)} times; rename all but one"
        )
    if wanted in columns:
        return list(columns).index(wanted)
    lowered = {column.strip().lower(): column for column in columns[:1000] if column not in used}
    near = get_close_matches(wanted.strip().lower(), lowered, n=1, cutoff=0.5)
    hint = f"Did you mean {lowered[near[0]]!r}? " if near else ""
    shown = ", ".join(_shown(column) for column in columns[:20]) + (", …" if len(columns) > 20 else "")
    raise MissingColumnError(f"{name}: no column {wanted!r}. {hint}The columns are {shown or 'none'}", wanted)


def _shown(column: str) -> str:
    return repr(column) if len(column) <= 60 else f"{column[:60]!r}…"


def refuse_taken(columns: Sequence[str], added: Sequence[str], name: str) -> None:
    """Refuse to add a column under a name that the table has.

    Raises:
        UsageError: naming the columns and the way out.
    """
    taken = [column for column in added if column in columns]
    if taken:
        shown = ", ".join(repr(column) for column in taken)
        raise UsageError(f"{name}: has a column {shown} already. Put a word before the new ones, as in --prefix model_")


def as_sentence(note: str, name: str) -> str:
    """A note with a capital letter, unless it begins with the name of the file, which stays as it is.

    Example:
        >>> as_sentence("row 3 is left out", "a.csv"), as_sentence("a.csv: is odd", "a.csv")
        ('Row 3 is left out', 'a.csv: is odd')
    """
    return note if note.startswith(name) else note[0].upper() + note[1:]


def text_problem(text: str, encoding: str = "UTF-8", max_bytes: int = MAX_TEXT_BYTES) -> str | None:
    """What keeps a text from being read, or None.

    Args:
        text: with bytes that have no meaning as lone surrogates.
        encoding: in which it stood.
        max_bytes: most bytes it may have.
    """
    try:
        size = len(text) if text.isascii() else len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        bad = text[error.start]
        what = f"byte 0x{ord(bad) - 0xDC00:02x}" if "\udc80" <= bad <= "\udcff" else "a lone surrogate"
        return f"the text is not valid {encoding} ({what} at character {error.start})"
    return f"the text has {size:,} bytes; at most {max_bytes:,} are read" if size > max_bytes else None


def cell_text(value: Any) -> str | None:
    """A value as text: null and NaN are none; truth values, lists and objects are as JSON has them."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
