"""Scoring a table block by block: memory does not grow, and interruptions do not change the result."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from polarbert.data.journal import Sink
from polarbert.data.rows import text_problem
from polarbert.data.tables import Row, Table
from polarbert.errors import DataError
from polarbert.inference.by_sentence import SentenceReader
from polarbert.inference.columns import Cells, Columns
from polarbert.inference.predictor import Predictor
from polarbert.text.tokenizer import is_blank

# A block is computed, written and made durable as one: about a second. Its rows with all their cells are held at once.
BLOCK_ROWS, BLOCK_CHARACTERS, BLOCK_SIZE = 1000, 250_000, 32_000_000
REMEMBERED_TEXTS, REMEMBERED_MEMBERS = 65_536, 131_072  # members: what lists in cells hold, some 400 bytes each
NO_SECOND = "the column {!r} has no text that can be read"

Asked = tuple[str | None, ...]


class Memory:
    """The answers to the last `size` different inputs, so that one repeated through a file is computed once.

    Of answers that are lists, such as entities, fewer are held: all of them together have at most `members` members.
    What it holds depends on the rows alone, in blocks: a resumed run rebuilds it from the rows already written.
    """

    def __init__(self, size: int = REMEMBERED_TEXTS, members: int = REMEMBERED_MEMBERS) -> None:
        self._size = size
        self._most_members = members
        self._members = 0
        self._known: dict[bytes, Cells] = {}

    def get(self, asked: Asked) -> Cells | None:
        """What is known of an input."""
        return self._known.get(_key(asked))

    def learn(self, block: Mapping[Asked, Cells]) -> None:
        """Take in the answers of a block; the oldest go where there is no room."""
        for asked, known in block.items():
            if (key := _key(asked)) not in self._known:
                self._known[key] = known
                self._members += _members(known)
        while len(self._known) > self._size or self._members > self._most_members:
            self._members -= _members(self._known.pop(next(iter(self._known))))


def score_table(
    predictor: Predictor[Any, Any] | SentenceReader,
    table: Table,
    sink: Sink,
    columns: Columns[Any],
    progress: Callable[[int], None] = lambda _rows: None,
    second_column: str | None = None,
    may_lack_second: bool = False,
) -> dict[str, int]:
    """Score every row of `table` into `sink`, from where an earlier run stopped.

    Args:
        predictor: the model, or what reads its sentences too.
        table: the input.
        sink: the output.
        columns: what to add.
        progress: called with the rows done after each block.
        second_column: the column with the second texts, for a model that reads two.
        may_lack_second: rows whose second text is empty are read without one, as by a model that judges aspects.

    Returns:
        Totals: rows, errors, what `Columns.tally` counts (unsure, "label:positive", ...), texts computed, their pieces
        and how many of those were unknown to the vocabulary.
    """
    memory = Memory()
    totals = dict(sink.totals)
    work = _Scoring(predictor, table, columns, memory, totals, second_column, may_lack_second)
    blocks = _blocks(table.rows())
    done = work.replay(blocks, sink) if sink.rows else 0
    if not done:
        sink.write(table.header(columns.names()), 0, totals)
    for block in blocks:
        answers = work.answers(block)
        lines = [table.line(row, columns.values(answer)) for row, answer in zip(block, answers, strict=True)]
        for answer in answers:
            work.count(answer)
        sink.write(b"".join(lines), len(block), totals)
        done += len(block)
        progress(done)
    sink.finish()
    return totals


@dataclass
class _Scoring:
    """A run over a table."""

    predictor: Predictor[Any, Any] | SentenceReader
    table: Table
    columns: Columns[Any]
    memory: Memory
    totals: dict[str, int]
    second_column: str | None
    may_lack_second: bool

    def replay(self, blocks: Iterator[list[Row]], sink: Sink) -> int:
        """Pass over the rows already written and remember their answers as the first run did."""
        done = 0
        try:
            with sink.read_back() as output:
                written = self.table.read_back(output, self.columns.names())
                while done < sink.rows:
                    block = next(blocks)
                    known = {self._asked(row): self.columns.read(w) for row, w in zip(block, written, strict=False)}
                    self.memory.learn({asked: cells for asked, cells in known.items() if asked and cells is not None})
                    done += len(block)
        except (ValueError, LookupError, TypeError, StopIteration, csv.Error) as error:
            raise DataError(
                "the rows of the unfinished output are not those of this input; start anew with --overwrite"
            ) from error
        return done

    def answers(self, block: list[Row]) -> list[Cells | str]:
        """The cells of each row, or what is wrong with it."""
        asked = [self._asked(row) for row in block]
        known = {one: self.memory.get(one) for one in dict.fromkeys(asked) if one is not None}
        new = [one for one, found in known.items() if found is None]
        for one, answer in zip(new, self.predictor.answer(new), strict=True):
            known[one] = tuple(self.columns.cells_of(answer))
            self._add("computed_texts", 1)
            self._add("computed_pieces", answer.n_tokens)
            self._add("unknown_pieces", answer.n_unknown)
            if getattr(answer, "n_cut", 0):  # only answers to questions know of it
                self._add("cut_questions", 1)
        found = {one: cells for one, cells in known.items() if cells is not None}
        self.memory.learn(found)
        return [
            (row.problem or NO_SECOND.format(self.second_column)) if one is None else found[one]
            for row, one in zip(block, asked, strict=True)
        ]

    def count(self, answer: Cells | str) -> None:
        """Take a row into the totals."""
        self._add("rows", 1)
        if isinstance(answer, str):
            self._add("errors", 1)
            return
        for name in self.columns.tally(answer):
            self._add(name, 1)

    def _asked(self, row: Row) -> Asked | None:
        """What the model is asked about a row; None where the row has a problem or lacks its second text."""
        if row.problem is not None:
            return None
        second = None if self.second_column is None else self.table.cell(row, self.second_column)
        if self.may_lack_second and is_blank(second or ""):
            second = None
        elif self.second_column is not None and (second is None or text_problem(second) is not None):
            return None
        asked: Asked = self.columns.asked(row.text or "", second)
        return asked

    def _add(self, name: str, count: int) -> None:
        self.totals[name] = self.totals.get(name, 0) + count


def _blocks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    block: list[Row] = []
    characters = size = 0
    for row in rows:
        block.append(row)
        characters += len(row.text or "")
        size += row.size
        if len(block) == BLOCK_ROWS or characters > BLOCK_CHARACTERS or size > BLOCK_SIZE:
            yield block
            block, characters, size = [], 0, 0
    if block:
        yield block


def _members(cells: Cells) -> int:
    return sum(len(cell) for cell in cells if isinstance(cell, list))


def _key(asked: Asked) -> bytes:
    # Lone parts are told apart by their lengths, so no two inputs have one key.
    parts = [b"-" if part is None else str(part).encode("utf-8") for part in asked]
    lengths = ",".join("-" if part is None else str(len(part)) for part in asked)
    return hashlib.blake2b(b"\0".join([lengths.encode("ascii"), *parts]), digest_size=16).digest()
