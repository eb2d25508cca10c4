"""A table through the model: cells kept, columns added, texts computed once, interruptions without a trace."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.scoring_fixtures import LABELS, SpyEngine, sentences

from polarbert.data.journal import Journal, Sink, Stream
from polarbert.data.tables import open_table
from polarbert.errors import DataError
from polarbert.inference.classifier import SentimentModel
from polarbert.inference.columns import Cells, ScoreColumns
from polarbert.inference.engine import load_engine
from polarbert.inference.scoring import BLOCK_ROWS, Asked, Memory, score_table

pytest_plugins = ["tests.scoring_fixtures"]

NAMES = "label confidence polarity unsure p_negative p_neutral p_positive n_tokens n_windows error".split()
Spied = tuple[SentimentModel, SpyEngine]


def run(
    model: SentimentModel, data: bytes, sink: Sink, kind: str = "csv", prefix: str = "", encoding: str | None = None
) -> dict[str, int]:
    columns = ScoreColumns(model.labels, prefix)
    rows = open_table(io.BytesIO(data), "in", kind, "text", columns.names(), encoding=encoding)
    return score_table(model, rows, sink, columns)


def scored(model: SentimentModel, data: bytes, kind: str = "csv", prefix: str = "") -> tuple[bytes, dict[str, int]]:
    taken = io.BytesIO()
    totals = run(model, data, Stream(taken, "out"), kind, prefix)
    return taken.getvalue(), totals


def records(out: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out.decode("utf-8", "surrogateescape"), newline="")))


def printed(texts: Sequence[str]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows([["id", "text"], *([f"{n:04}", t] for n, t in enumerate(texts))])
    return out.getvalue()


def table(texts: Sequence[str]) -> bytes:
    return printed(texts).encode("utf-8", "surrogateescape")


def many(count: int) -> list[str]:
    """Texts of which a third has come before, also blocks ago."""
    different = [text for text, _ in sentences(count // 3 * 2, 31)]
    return [different[number % len(different)] if number % 3 else different[number // 3] for number in range(count)]


def test_the_columns_are_those_promised(model: SentimentModel) -> None:
    assert ScoreColumns(LABELS).names() == NAMES
    out, _ = scored(model, table(["great"]))
    assert list(records(out)[0]) == ["id", "text", *NAMES]


def test_a_row_says_what_predict_says(model: SentimentModel) -> None:
    texts = [text for text, _ in sentences(40, 32)] + ["", "???", "great " * 100]
    out, _ = scored(model, table(texts))
    for row, answer in zip(records(out), model.predict(texts), strict=True):
        assert row["label"] == answer.label
        assert float(row["confidence"]) == pytest.approx(answer.confidence, abs=1e-3)
        assert float(row["polarity"]) == pytest.approx(answer.polarity, abs=2e-3)
        assert row["unsure"] == ("true" if answer.unsure else "false")
        assert (int(row["n_tokens"]), int(row["n_windows"])) == (answer.n_tokens, answer.n_windows)
        assert row["error"] == ""
        chances = [float(row[f"p_{label}"]) for label in LABELS]
        assert sum(chances) == pytest.approx(1, abs=3e-6)
        assert float(row["confidence"]) == max(chances)


def test_jsonl_gets_typed_fields(model: SentimentModel) -> None:
    out, _ = scored(model, b'{"text": "the app is really great", "id": 007}\n{"text": "good", "id": 7.00}\n', "jsonl")
    broken, good = map(json.loads, out.splitlines())
    assert broken["line"] == '{"text": "the app is really great", "id": 007}'
    assert broken["label"] is None
    assert "not JSON" in broken["error"]
    assert isinstance(good["confidence"], float)
    assert isinstance(good["unsure"], bool)
    assert good["n_windows"] == 1
    assert good["error"] is None


CELLS = st.text(st.sampled_from(list(",\"\n\r 0é😀a?")), max_size=6) | st.sampled_from(["great", "007", "1.00"]) | (
    st.binary(max_size=4).map(lambda content: content.decode("utf-8", "surrogateescape"))
)  # fmt: skip


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(CELLS, min_size=2, max_size=4), min_size=1, max_size=6))
def test_any_table_keeps_its_cells_and_every_row_has_a_label_or_an_error(
    model: SentimentModel, rows: list[list[str]]
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([["text", "a", "b"], *rows])
    out, totals = scored(model, text.getvalue().encode("utf-8", "surrogateescape"))
    got = list(csv.reader(io.StringIO(out.decode("utf-8", "surrogateescape"), newline="")))[1:]
    assert [[*row[:3], *row[13:]] for row in got] == [[*row, "", ""][: max(3, len(row))] for row in rows]
    for row in got:
        label, error = row[3], row[12]
        assert (label in LABELS) != bool(error)
    assert totals["rows"] == len(rows)
    assert totals.get("errors", 0) == sum(bool(row[12]) for row in got)


def test_totals_add_up(model: SentimentModel) -> None:
    data = table([*(text for text, _ in sentences(50, 33)), "???", "the 日 app"]) + b"x\nid,text,too many\n"
    out, totals = scored(model, data)
    rows = records(out)
    assert totals["rows"] == len(rows) == 54
    assert totals["errors"] == 2
    assert totals["unsure"] == sum(row["unsure"] == "true" for row in rows)
    for label in LABELS:
        assert totals[f"label:{label}"] == sum(row["label"] == label for row in rows)
    assert totals["computed_texts"] == 52
    assert totals["computed_pieces"] == sum(int(row["n_tokens"] or 0) for row in rows)
    assert totals["unknown_pieces"] == 1


def test_a_text_repeated_through_a_file_is_computed_once(spied: Spied) -> None:
    model, spy = spied
    texts = many(3 * BLOCK_ROWS)
    out, totals = scored(model, table(texts))
    assert spy.computed == totals["computed_texts"] == len(set(texts))
    answers = {(row["text"], row["p_positive"]) for row in records(out)}
    assert len(answers) == len(set(texts)), "the same text got two answers"


def test_the_memory_forgets_the_oldest() -> None:
    memory = Memory(size=3)
    memory.learn({("a", None): (1.0, 1, 1), ("b", None): (2.0, 1, 1)})
    memory.learn({("c", None): (3.0, 1, 1), ("d", None): (4.0, 1, 1)})
    assert memory.get(("a", None)) is None
    assert [memory.get((text, None)) for text in "bcd"] == [(2.0, 1, 1), (3.0, 1, 1), (4.0, 1, 1)]


def test_the_memory_holds_few_answers_that_are_long_lists() -> None:
    memory = Memory(size=1000, members=100)
    answers: dict[Asked, Cells] = {
        (f"text {number}", None): ([{"type": "place"}] * 30, 30, False, 9, 1) for number in range(20)
    }
    memory.learn(answers)
    assert [asked for asked in answers if memory.get(asked)] == [
        ("text 17", None),
        ("text 18", None),
        ("text 19", None),
    ]
    memory.learn({("text 19", None): answers["text 19", None], ("none", None): ([], 0, False, 9, 1)})
    assert memory.get(("text 17", None)) is not None, "what is known already takes no room again"
    memory.learn({("a book", None): ([{"type": "place"}] * 101, 101, False, 9, 1)})
    assert [asked for asked in answers if memory.get(asked)] == []
    memory.learn({("again", None): answers["text 1", None]})
    assert memory.get(("again", None)) == answers["text 1", None]


def test_a_pair_is_not_remembered_as_another_one() -> None:
    memory = Memory()
    memory.learn({("a", "b"): (1.0,), ("ab", None): (2.0,), ("a", ""): (3.0,)})
    assert [memory.get(asked) for asked in [("a", "b"), ("ab", None), ("a", ""), ("ab", ""), ("a", None)]] == [
        (1.0,),
        (2.0,),
        (3.0,),
        None,
        None,
    ]


def test_a_table_without_rows_keeps_its_header(model: SentimentModel) -> None:
    out, totals = scored(model, b"id,text\n")
    assert out.decode() == ",".join(["id", "text", *NAMES]) + "\n"
    assert totals == {}


def test_the_prefix_stands_before_every_added_name(model: SentimentModel) -> None:
    out, _ = scored(model, b"text,label,error\ngreat,mine,none\n", prefix="model_")
    row = records(out)[0]
    assert (row["label"], row["error"], row["model_error"]) == ("mine", "none", "")
    assert row["model_label"] in LABELS
    assert list(row)[3:] == [f"model_{name}" for name in NAMES]


def as_jsonl(texts: Sequence[str]) -> bytes:
    lines = [json.dumps({"text": text, "id": n}, ensure_ascii=False) for n, text in enumerate(texts)]
    return "\n".join([*lines[:2000], "broken {", *lines[2000:]]).encode("utf-8", "surrogateescape")


def as_parquet(texts: Sequence[str]) -> bytes:
    out = io.BytesIO()
    encoded = pa.array([text.encode("utf-8", "surrogateescape") for text in texts])
    columns = {"text": encoded, "id": range(len(texts)), "kind": pa.array(["a", None] * (len(texts) // 2))}
    pq.write_table(pa.table(columns), out, row_group_size=700)
    return out.getvalue()


def as_utf16(texts: Sequence[str]) -> bytes:
    return printed(texts).replace("\udcff", "\ud800").encode("utf-16", "surrogatepass")


KINDS: dict[str, tuple[str, str | None, Callable[[Sequence[str]], bytes]]] = {
    "csv": ("csv", None, table),
    "csv in UTF-16": ("csv", "utf-16", as_utf16),
    "jsonl": ("jsonl", None, as_jsonl),
    "parquet": ("parquet", None, as_parquet),
}


# Numbers are batches of the run that is interrupted, negative ones from the end of a whole run. A block takes several.
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stop_at", [(0,), (3,), (-5, 0, 1), (-1, 0)])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(
    spied: Spied, bundle_dir: Path, tmp_path: Path, kind: str, stop_at: tuple[int, ...]
) -> None:
    model, spy = spied
    texts = many(3 * BLOCK_ROWS + 200)
    texts[5] = texts[1500] = "not utf-8 \udcff"
    form, encoding, write = KINDS[kind]
    data = write(texts)
    columns = ScoreColumns(model.labels)
    assemble = open_table(io.BytesIO(data), "in", form, "text", encoding=encoding).assembler(columns.types())

    def go_on(name: str) -> tuple[Path, dict[str, int]]:
        target = tmp_path / name
        return target, run(model, data, Journal(target, {"input": "in"}, assemble=assemble), form, encoding=encoding)

    whole, totals = go_on("whole")
    assert totals["errors"] == 2 + (kind == "jsonl")
    batches = len(spy.batches)
    for number in stop_at:
        model.engine = SpyEngine(
            load_engine(bundle_dir / model.bundle.graph, 1, "onnxruntime"), fail_at=number % batches
        )
        with pytest.raises(KeyboardInterrupt):
            go_on("out")
        assert not (tmp_path / "out").exists()
    model.engine = load_engine(bundle_dir / model.bundle.graph, 1, "onnxruntime")
    target, again = go_on("out")
    assert again == totals
    assert target.read_bytes() == whole.read_bytes()
    if kind == "parquet":
        read = pq.read_table(target)
        assert read.select(["text", "id", "kind"]).equals(pq.read_table(io.BytesIO(data)))
        assert read.column("unsure").null_count == 2


def test_a_table_that_is_not_the_one_begun_is_refused(model: SentimentModel, tmp_path: Path) -> None:
    """The same name, size and time, and yet another content."""
    target = tmp_path / "out.csv"
    journal = Journal(target, {})
    with pytest.raises(KeyboardInterrupt):
        score_interrupted(model, table(["so great"] * 1500), journal)
    del journal
    for data in (table(["so great"] * 10), table([])):
        with pytest.raises(DataError, match="not those of this input; start anew with --overwrite"):
            run(model, data, Journal(target, {}))


def score_interrupted(model: SentimentModel, data: bytes, journal: Journal) -> None:
    columns = ScoreColumns(model.labels)

    def stop(rows: int) -> None:
        raise KeyboardInterrupt

    rows = open_table(io.BytesIO(data), "in", "csv", "text", columns.names())
    score_table(model, rows, journal, columns, stop)


def test_rows_of_many_cells_are_held_few_at_a_time(model: SentimentModel) -> None:
    seen: list[int] = []
    columns = ScoreColumns(model.labels)
    data = "text" + "".join(f",c{number}" for number in range(50_000)) + "\n" + ("so great" + "," * 50_000 + "\n") * 25
    rows = open_table(io.BytesIO(data.encode()), "in", "csv", "text", columns.names())
    score_table(model, rows, Stream(io.BytesIO(), "out"), columns, seen.append)
    assert seen == [10, 20, 25]


def test_the_types_are_those_of_the_values(model: SentimentModel) -> None:
    columns = ScoreColumns(LABELS)
    values = columns.values(tuple(columns.cells_of(model.predict(["so great"])[0]))) | {"error": ""}
    assert {name: type(value) for name, value in values.items()} == columns.types()


def test_progress_counts_the_rows_done(model: SentimentModel) -> None:
    seen: list[int] = []
    columns = ScoreColumns(model.labels)
    stream: BinaryIO = io.BytesIO(table(many(2 * BLOCK_ROWS + 100)))
    rows = open_table(stream, "in", "csv", "text", columns.names())
    score_table(model, rows, Stream(io.BytesIO(), "out"), columns, seen.append)
    assert seen == [1000, 2000, 2100]


def test_long_texts_are_made_durable_more_often(model: SentimentModel) -> None:
    seen: list[int] = []
    columns = ScoreColumns(model.labels)
    rows = open_table(io.BytesIO(table(["great " * 20_000] * 6)), "in", "csv", "text", columns.names())
    score_table(model, rows, Stream(io.BytesIO(), "out"), columns, seen.append)
    assert seen == [3, 6]
