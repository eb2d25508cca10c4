"""`polarbert embed`: a table in, vectors out."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.refusals import assert_refused
from tests.scoring_fixtures import Outcome

from polarbert.training import vector_files
from polarbert.training.embedding import Embedder, Reading, Vectors

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]
TEXTS = ["I love it", "the hotel was awful, and the food worse", "", "good", "I love it", "😀 great café"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("texts") / "reviews.csv"
    lines = [f'00{number},"{text}",x{number}' for number, text in enumerate(TEXTS)]
    file.write_text("id,review,note\n" + "\n".join(lines) + "\n", "utf-8")
    return file


@pytest.fixture
def expected(tiny_model_dir: Path) -> Vectors:
    return Embedder.open(tiny_model_dir).embed(TEXTS)


@pytest.fixture
def embed(command: Command) -> Command:
    """Runs the command on one thread: tests have better things to do than wait for one another."""
    return lambda *arguments, **options: command("embed", *arguments, "--threads", "1", **options)


def test_an_npy_has_a_row_for_each_row(
    embed: Command, table: Path, tiny_model_dir: Path, expected: Vectors, tmp_path: Path
) -> None:
    output = tmp_path / "vectors.npy"
    ended = embed(table, "-o", output, "-c", "review", "-m", tiny_model_dir)
    assert (ended.code, ended.out) == (0, "")
    assert f"{output}: 6 rows, 128 numbers of layer 2 each" in ended.err
    found = np.load(output)
    assert found.dtype == np.float32
    assert np.array_equal(found, expected)
    assert list(tmp_path.iterdir()) == [output]
    assert np.array_equal(np.load(output, mmap_mode="r"), expected)


def test_layers_are_chosen_and_combined(embed: Command, table: Path, tiny_model_dir: Path, tmp_path: Path) -> None:
    output = tmp_path / "vectors.npy"
    options = ["--layers", "-1,-2", "--combine", "concat", "--pool", "cls", "--json", "-q"]
    ended = embed(table, "-o", output, "-c", "review", "-m", tiny_model_dir, *options)
    about = json.loads(ended.out)
    assert ended.err == ""
    assert about.pop("seconds") >= 0
    assert about == {
        "rows": 6, "errors": 0, "dimensions": 256, "layers": [2, 1], "pool": "cls", "combine": "concat"
    }  # fmt: skip
    assert np.array_equal(np.load(output), Embedder.open(tiny_model_dir, Reading("-1,-2", pool="cls")).embed(TEXTS))


def test_a_parquet_has_the_columns_too(
    embed: Command, table: Path, tiny_model_dir: Path, expected: Vectors, tmp_path: Path
) -> None:
    output = tmp_path / "vectors.parquet"
    ended = embed(table, "-o", output, "-c", "review", "-m", tiny_model_dir, "--prefix", "my_")
    assert ended.code == 0, ended.err
    found = pq.read_table(output)
    assert found.column_names == ["id", "review", "note", "my_vector", "my_error"]
    assert found["id"].to_pylist() == [f"00{number}" for number in range(6)]
    assert found["review"].to_pylist() == TEXTS
    assert np.array_equal(np.array(found["my_vector"].to_pylist(), dtype=np.float32), expected)
    assert found["my_error"].null_count == 6


def test_a_parquet_keeps_its_types(
    embed: Command, tiny_model_dir: Path, expected: Vectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_files, "BLOCK_ROWS", 4)
    columns = {"n": pa.array(range(6), pa.int16()), "text": TEXTS, "tags": [["a"], [], None, ["b", "c"], [], []]}
    original = pa.table(columns).replace_schema_metadata({"made": "by hand"})
    pq.write_table(original, tmp_path / "in.parquet", row_group_size=4)
    ended = embed(tmp_path / "in.parquet", "-o", tmp_path / "out.parquet", "-m", tiny_model_dir)
    assert ended.code == 0, ended.err
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.select(["n", "text", "tags"]).equals(original)
    assert found.schema.metadata[b"made"] == b"by hand"
    np.testing.assert_allclose(np.array(found["vector"].to_pylist(), dtype=np.float32), expected, atol=1e-5)


def test_tokens_have_their_place_and_their_vector(
    embed: Command, table: Path, tiny_model_dir: Path, tmp_path: Path
) -> None:
    output = tmp_path / "tokens.parquet"
    ended = embed(table, "-o", output, "-c", "review", "-m", tiny_model_dir, "--pool", "tokens")
    assert ended.code == 0, ended.err
    rows = pq.read_table(output)["tokens"].to_pylist()
    assert [len(row) for row in rows][2] == 0
    assert [piece["piece"] for piece in rows[0]] == ["i", "love", "it"]
    assert [(piece["start"], piece["end"]) for piece in rows[0]] == [(0, 1), (2, 6), (7, 9)]
    told = Embedder.open(tiny_model_dir, Reading(pool="tokens")).tokens(TEXTS)
    for row, one in zip(rows, told, strict=True):
        assert [piece["piece"] for piece in row] == one.pieces
        found = np.array([piece["vector"] for piece in row], dtype=np.float32).reshape(-1, 128)
        assert np.array_equal(found, one.vectors)


def test_a_bad_row_has_no_vector_and_the_others_have_theirs(
    embed: Command, tiny_model_dir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "bad.csv"
    file.write_bytes(b"id,text\n1,good\n2,caf\xe9\n3\n4,I love it\n")
    good = Embedder.open(tiny_model_dir).embed(["good", "I love it"])
    ended = embed(file, "-o", tmp_path / "v.npy", "-m", tiny_model_dir)
    assert ended.code == 0
    assert "4 rows, 2 of them without a readable text, whose vectors are NaN" in ended.err
    found = np.load(tmp_path / "v.npy")
    assert np.isnan(found[1:3]).all()
    np.testing.assert_allclose(found[[0, 3]], good, atol=1e-5)

    assert embed(file, "-o", tmp_path / "v.parquet", "-m", tiny_model_dir).code == 0
    rows = pq.read_table(tmp_path / "v.parquet").to_pylist()
    assert [row["vector"] is None for row in rows] == [False, True, True, False]
    assert "not valid UTF-8" in rows[1]["error"]
    assert rows[2]["error"] == "line 4: 1 fields, the header has 2"
    np.testing.assert_allclose(rows[3]["vector"], good[1], atol=1e-5)


def test_a_file_without_a_readable_row_is_refused_after_it_is_written(
    embed: Command, tiny_model_dir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "bad.csv"
    file.write_bytes(b"id,text\n1\n2\n")
    ended = embed(file, "-o", tmp_path / "v.parquet", "-m", tiny_model_dir, "-q")
    assert_refused(ended, 1, "no row has a text that could be read", "'error'")
    assert len(pq.read_table(tmp_path / "v.parquet")) == 2


def test_rows_come_from_stdin_in_json_too(embed: Command, tiny_model_dir: Path, tmp_path: Path) -> None:
    lines = "".join(json.dumps({"n": n, "text": text}) + "\n" for n, text in enumerate(TEXTS))
    output = tmp_path / "v.parquet"
    ended = embed("-", "-o", output, "--format", "jsonl", "-m", tiny_model_dir, stdin=lines.encode("utf-8"))
    assert ended.code == 0, ended.err
    found = pq.read_table(output)
    assert found["n"].to_pylist() == [str(n) for n in range(6)]
    assert found["text"].to_pylist() == TEXTS


def test_blocks_change_nothing(
    embed: Command, table: Path, tiny_model_dir: Path, expected: Vectors, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(vector_files, "BLOCK_ROWS", 2)
    assert embed(table, "-o", tmp_path / "v.npy", "-c", "review", "-m", tiny_model_dir).code == 0
    np.testing.assert_allclose(np.load(tmp_path / "v.npy"), expected, atol=1e-5)


def test_a_table_without_rows_makes_a_file_without_rows(embed: Command, tiny_model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "none.csv").write_text("text\n", "utf-8")
    for name in ("v.npy", "v.parquet"):
        assert embed(tmp_path / "none.csv", "-o", tmp_path / name, "-m", tiny_model_dir).code == 0
    assert np.load(tmp_path / "v.npy").shape == (0, 128)
    assert len(pq.read_table(tmp_path / "v.parquet")) == 0


def test_the_embedded_model_is_the_default(embed: Command, table: Path, tmp_path: Path) -> None:
    assert embed(table, "-o", tmp_path / "v.npy", "-c", "review", "-q").code == 0
    assert np.load(tmp_path / "v.npy").shape == (6, 384)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-o", "{new}.npy", "--layers", "3"], ["no such layer: 3; the model has 2 layers", "0 to 2"]),
        (["-o", "{new}.npy", "--layers", "a"], ["--layers is 'a'", "give numbers with commas"]),
        (["-o", "{new}.npy", "--pool", "max"], ["--pool is 'max'", "it can be mean, cls or tokens"]),
        (["-o", "{new}.npy", "--pool", "tokens"], ["{new}.npy", "Name a .parquet"]),
        (["-o", "{new}.txt"], ["{new}.txt", "Let the name end in one of them"]),
        (["-o", "-"], ["-:", "written as .npy or .parquet"]),
        (["-o", "{new}/v.npy"], ["the folder {new} does not exist"]),
        (["-o", "{there}"], ["exists already", "--overwrite"]),
        (["-o", "{new}.npy", "-c", "reviw"], ["no column 'reviw'", "Did you mean 'review'?"]),
        (["-o", "{new}.npy", "--device", "tpu"], ["no device 'tpu'"]),
    ],
)
def test_what_cannot_be_done_is_refused_before_it_is_begun(
    embed: Command, table: Path, tiny_model_dir: Path, tmp_path: Path, options: list[str], words: list[str]
) -> None:
    names = {"new": tmp_path / "new", "there": tmp_path / "there.npy"}
    names["there"].write_bytes(b"mine")
    asked = [option.format(**names) for option in options]
    column = [] if "-c" in asked else ["-c", "review"]
    ended = embed(table, "-m", tiny_model_dir, *asked, *column)
    assert_refused(ended, 2, *(word.format(**names) for word in words))
    assert [file.name for file in tmp_path.iterdir()] == ["there.npy"]
    assert names["there"].read_bytes() == b"mine"


def test_a_taken_column_name_and_the_input_as_output_are_refused(
    embed: Command, tiny_model_dir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "in.parquet"
    pq.write_table(pa.table({"text": ["good"], "vector": [1]}), file)
    assert_refused(embed(file, "-o", tmp_path / "out.parquet", "-m", tiny_model_dir), 2, "'vector'", "--prefix")
    assert_refused(embed(file, "-o", file, "-m", tiny_model_dir, "--overwrite"), 2, "is the input")


def test_an_output_is_replaced_when_asked(embed: Command, table: Path, tiny_model_dir: Path, tmp_path: Path) -> None:
    output = tmp_path / "v.npy"
    output.write_bytes(b"old")
    assert embed(table, "-o", output, "-c", "review", "-m", tiny_model_dir, "--overwrite").code == 0
    assert len(np.load(output)) == 6


def test_stopped_on_the_way_it_leaves_nothing(
    embed: Command, table: Path, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_files, "BLOCK_ROWS", 2)
    real, calls = Embedder.embed, iter(range(9))

    def stop(self: Embedder, texts: list[str]) -> object:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return real(self, texts)

    monkeypatch.setattr(Embedder, "embed", stop)
    ended = embed(table, "-o", tmp_path / "v.npy", "-c", "review", "-m", tiny_model_dir)
    assert ended.code == 130
    assert "v.npy: stopped, and nothing is written; run the same command again" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_the_header_of_an_npy_keeps_its_length() -> None:
    headers = [vector_files._npy_header(rows, 384) for rows in (0, 1, 10**6, 10**12)]
    assert len({len(header) for header in headers}) == 1
    assert np.load(io.BytesIO(headers[0])).shape == (0, 384)
