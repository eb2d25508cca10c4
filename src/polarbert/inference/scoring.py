"""Scoring a table block by block: memory does not grow, and interruptions do not change the result."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polarbert.data.journal import Sink
from polarbert.data.tables import Row, Table
from polarbert.errors import DataError
from polarbert.inference.classifier import Predictor
from polarbert.inference.prediction import Prediction, make_prediction
from polarbert.text import is_wordless

# A block is computed, written and made durable as one: about a second. Its rows with all their cells are held at once.
BLOCK_ROWS, BLOCK_CHARACTERS, BLOCK_SIZE = 1000, 250_000, 32_000_000
REMEMBERED_TEXTS = 65_536

_Known = tuple[list[float], int, int]  # probabilities, n_tokens, n_windows


@dataclass(frozen=True)
class ScoreColumns:
    """The columns that scoring adds, in order.

    Args:
        labels: of the model.
        prefix: put before each name.
    """

    labels: Sequence[str]
    prefix: str = ""

    def names(self) -> list[str]:
        """Their names."""
        ends = ["label", "confidence", "polarity", "unsure", *self.chances(), "n_tokens", "n_windows", "error"]
        return [self.prefix + end for end in ends]

    def types(self) -> dict[str, type]:
        """The type of each, by its name."""
        kinds = [str, float, float, bool, *(float for _ in self.labels), int, int, str]
        return dict(zip(self.names(), kinds, strict=True))

    def chances(self) -> list[str]:
        """Names of the probability columns, without the prefix."""
        return [f"p_{label}" for label in self.labels]

    def values(self, answer: Prediction | str) -> dict[str, object]:
        """The added cells of a row: those of a prediction, or empty ones and what was wrong."""
        if isinstance(answer, str):
            return {**dict.fromkeys(self.names()), f"{self.prefix}error": answer}
        cells = [answer.label, answer.confidence, answer.polarity, answer.unsure, *answer.probabilities.values()]
        return dict(zip(self.names(), [*cells, answer.n_tokens, answer.n_windows, None], strict=True))

    def read(self, cells: Mapping[str, Any]) -> _Known | None:
        """What an output row says was computed; None for a row with an error."""
        if cells[f"{self.prefix}error"]:
            return None
        chances = [float(cells[self.prefix + name]) for name in self.chances()]
        return chances, int(cells[f"{self.prefix}n_tokens"]), int(cells[f"{self.prefix}n_windows"])


class Memory:
    """The answers to the last `size` different texts, so that a text repeated through a file is computed once.

    What it holds depends on the rows alone, in blocks: a resumed run rebuilds it from the rows already written.
    """

    def __init__(self, size: int = REMEMBERED_TEXTS) -> None:
        self._size = size
        self._known: dict[bytes, _Known] = {}

    def get(self, text: str) -> _Known | None:
        """What is known of a text."""
        return self._known.get(_key(text))

    def learn(self, block: Mapping[str, _Known]) -> None:
        """Take in the answers of a block; the oldest go where there is no room."""
        for text, known in block.items():
            self._known.setdefault(_key(text), known)
        while len(self._known) > self._size:
            del self._known[next(iter(self._known))]


def score_table(
    predictor: Predictor,
    table: Table,
    sink: Sink,
    columns: ScoreColumns,
    progress: Callable[[int], None] = lambda _rows: None,
) -> dict[str, int]:
    """Score every row of `table` into `sink`, from where an earlier run stopped.

    Args:
        predictor: the model.
        table: the input.
        sink: the output.
        columns: what to add.
        progress: called with the rows done after each block.

    Returns:
        Totals: rows, errors, unsure, one count a label ("label:positive"), texts computed, their pieces and how many
        of those were unknown to the vocabulary.
    """
    memory = Memory()
    totals = dict(sink.totals)
    blocks = _blocks(table.rows())
    done = _replay(blocks, table, sink, columns, memory) if sink.rows else 0
    if not done:
        sink.write(table.header(columns.names()), 0, totals)
    for block in blocks:
        answers = _answers(predictor, block, memory, totals)
        lines = [table.line(row, columns.values(answer)) for row, answer in zip(block, answers, strict=True)]
        for answer in answers:
            _count(totals, answer)
        sink.write(b"".join(lines), len(block), totals)
        done += len(block)
        progress(done)
    sink.finish()
    return totals


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


def _replay(blocks: Iterator[list[Row]], table: Table, sink: Sink, columns: ScoreColumns, memory: Memory) -> int:
    """Pass over the rows already written and remember their answers as the first run did."""
    done = 0
    try:
        with sink.read_back() as output:
            written = table.read_back(output, columns.names())
            while done < sink.rows:
                block = next(blocks)
                known = {row.text: columns.read(cells) for row, cells in zip(block, written, strict=False)}
                memory.learn({text: found for text, found in known.items() if text is not None and found is not None})
                done += len(block)
    except (ValueError, LookupError, TypeError, StopIteration) as error:
        raise DataError(
            "the rows of the unfinished output are not those of this input; start anew with --overwrite"
        ) from error
    return done


def _answers(predictor: Predictor, block: list[Row], memory: Memory, totals: dict[str, int]) -> list[Prediction | str]:
    texts = dict.fromkeys(row.text for row in block if row.problem is None and row.text is not None)
    known = {text: memory.get(text) for text in texts}
    new = [text for text, found in known.items() if found is None]
    for text, answer in zip(new, predictor.answer([(text, None) for text in new]), strict=True):
        known[text] = (list(answer.probabilities.values()), answer.n_tokens, answer.n_windows)
        _add(totals, "computed_texts", 1)
        _add(totals, "computed_pieces", answer.n_tokens)
        _add(totals, "unknown_pieces", answer.n_unknown)
    found = {text: value for text, value in known.items() if value is not None}
    memory.learn(found)
    return [row.problem or _prediction(predictor, row.text or "", found[row.text or ""]) for row in block]


def _prediction(predictor: Predictor, text: str, known: _Known) -> Prediction:
    chances, n_tokens, n_windows = known
    below = predictor.unsure_below
    return make_prediction(predictor.labels, chances, below, is_wordless(text), n_tokens, n_windows, 0)


def _count(totals: dict[str, int], answer: Prediction | str) -> None:
    _add(totals, "rows", 1)
    if isinstance(answer, str):
        _add(totals, "errors", 1)
        return
    _add(totals, f"label:{answer.label}", 1)
    _add(totals, "unsure", int(answer.unsure))


def _add(totals: dict[str, int], name: str, count: int) -> None:
    totals[name] = totals.get(name, 0) + count


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest()
