"""Any bytes are rows or a clear error, what is read comes out as it was, and a run may be cut off at any byte."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import fuzz
from examine import ADDED, ANSWERS, EXAMINERS, TYPES
from polarbert.data.journal import Journal
from polarbert.data.rows import Table
from polarbert.data.tables import open_table
from polarbert.errors import PolarbertError

TABLES = ("csv", "jsonl", "parquet")
PIECES = st.sampled_from(fuzz.TOKENS) | st.binary(max_size=6)


def refused_or_kept(kind: str, data: bytes) -> None:
    """What `examine` finds fails the test; an error of Polarbert is an answer."""
    with suppress(PolarbertError):
        EXAMINERS[kind](data)


@settings(max_examples=300)
@given(st.sampled_from(TABLES), st.binary(max_size=200))
@example("csv", b"\x04\xff\xfe")
@example("csv", b'\x08text,id\n\xb5"a",1\n')
@example("jsonl", b'\x80{"text": "a",\x8e"text": "b"}\n')
def test_any_bytes_are_rows_or_a_clear_error(kind: str, data: bytes) -> None:
    refused_or_kept(kind, data)


@settings(max_examples=300)
@given(st.sampled_from(TABLES[:2]), st.integers(0, 255), st.lists(PIECES, max_size=25))
def test_any_words_of_a_table_are_rows_or_a_clear_error(kind: str, first: int, pieces: list[bytes]) -> None:
    refused_or_kept(kind, bytes([first]) + b"".join(pieces))


@settings(max_examples=200)
@given(st.sampled_from([*EXAMINERS]), st.randoms(use_true_random=False))
def test_any_changes_of_a_good_file_are_rows_or_a_clear_error(kind: str, random: Random) -> None:
    refused_or_kept(kind, fuzz.changed(random, SEEDS[kind]))


SEEDS = {kind: seeds() for kind, seeds in fuzz.SEEDS.items()}


@pytest.mark.parametrize("kind", EXAMINERS)
def test_what_must_hold_is_looked_at_for_every_reader(kind: str) -> None:
    """A property that only ever sees refusals would hold for a reader that reads nothing."""
    read = 0
    for seed in SEEDS[kind]:
        with suppress(PolarbertError):
            EXAMINERS[kind](seed)
            read += 1
    assert read >= 2


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
ROWS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=12)


def stored(kind: str, rows: list[tuple[str, str]]) -> bytes:
    if kind == "csv":
        quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in [("text", "id"), *rows]]
        return "".join(f"{line}\r\n" for line in quoted).encode()
    if kind == "jsonl":
        return "".join(json.dumps({"text": text, "id": name}) + "\n" for text, name in rows).encode()
    out = io.BytesIO()
    pq.write_table(pa.table({"text": [row[0] for row in rows], "id": [row[1] for row in rows]}), out, row_group_size=5)
    return out.getvalue()


def cells(kind: str, data: bytes) -> list[tuple[str | None, str | None]]:
    table = open_table(io.BytesIO(data), "out", kind, "text", also=["id"])
    return [(table.cell(row, "text"), table.cell(row, "id")) for row in table.rows()]


BLOCK = 3


def write(table: Table, target: Path) -> list[bytes]:
    """What `score` does, with constants for a model: go on where an earlier run stopped. Gives the blocks written."""
    journal = Journal(target, {}, assemble=table.assembler(TYPES))
    rows = list(table.rows())
    blocks = [] if journal.rows else [table.header(ADDED)]
    if not journal.rows:
        journal.write(blocks[0], 0, {})
    else:
        with journal.read_back() as output:
            earlier = [read for _, read in zip(range(journal.rows), table.read_back(output, ADDED), strict=False)]
        assert len(earlier) == journal.rows
    for start in range(journal.rows, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        lines = [table.line(row, ANSWERS[number % 2]) for number, row in enumerate(block, start)]
        blocks.append(b"".join(lines))
        journal.write(blocks[-1], len(block), {"rows": start + len(block)})
    journal.finish()
    return blocks


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(TABLES), ROWS, st.data())
def test_a_run_cut_off_at_any_byte_goes_on_and_ends_the_same(
    tmp_path_factory: pytest.TempPathFactory, kind: str, rows: list[tuple[str, str]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    content = stored(kind, rows)

    def opened() -> Table:
        return open_table(io.BytesIO(content), "in", kind, "text", ADDED)

    blocks = write(opened(), folder / "whole")
    assert cells(kind, (folder / "whole").read_bytes()) == rows

    # A run that dies leaves the blocks that were finished, and any part of the next.
    cut = data.draw(st.integers(0, sum(map(len, blocks))))
    journal = Journal(folder / "out", {}, assemble=opened().assembler(TYPES))
    done = 0
    for number, block in enumerate(blocks):
        if cut < len(block):
            with (folder / "out.partial").open("ab") as partial:
                partial.write(block[:cut])
            break
        count = min(BLOCK, len(rows) - done) if number else 0
        journal.write(block, count, {"rows": done + count})
        done, cut = done + count, cut - len(block)
    del journal
    write(opened(), folder / "out")
    assert (folder / "out").read_bytes() == (folder / "whole").read_bytes()
    assert {file.name for file in folder.iterdir()} == {"whole", "out"}
