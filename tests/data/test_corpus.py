"""Documents from files and folders of many kinds, in one order everywhere; what is wrong with one spares the others."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polarbert.data import corpus, corpus_files
from polarbert.data.corpus import Corpus, list_files, read_documents
from polarbert.errors import DataError, MissingExtraError, UsageError

NOISE = os.urandom(6000).hex()


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.compress(data, codec="zstd", asbytes=True)
    return packed


def parquet(texts: list[str | None], column: str = "text") -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({column: pa.array(texts, pa.string())}), out)
    return out.getvalue()


def jsonl(texts: list[str]) -> bytes:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode("utf-8")


def put(folder: Path, **files: bytes | str) -> None:
    """Files by their names, in which __ stands for a full stop."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode("utf-8")
        (folder / name.replace("__", ".")).write_bytes(data)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(*paths: str | Path, **options: Any) -> list[tuple[str, str]]:
    return [(document.source, document.text) for document in read_documents(paths, **options)]


def test_every_kind_of_file_in_a_folder() -> None:
    put(Path("f/inner"), a__md="# Title\r\n\r\nText.")
    put(
        Path("f"),
        b__txt="Plain.\n",
        c__csv="id,text\n1,One\n2,Two\n",
        d__jsonl=jsonl(["Three"]),
        e__LOG="No suffix known.",
    )
    put(Path("f"), g__parquet=parquet(["Four", None, "Five"]), h__tsv="text\tid\nSix\t6\n")
    put(Path("f"), i__txt__gz=gzip.compress(b"Seven"), j__jsonl__gz=gzip.compress(jsonl(["Eight"])))
    put(Path("f"), k__csv__zst=zstd(b"text\nNine\n"), l__zst=zstd(b"Ten, ") + zstd(b"of two frames"))
    assert read("f") == [
        ("f/b.txt", "Plain.\n"),
        ("f/c.csv:1", "One"),
        ("f/c.csv:2", "Two"),
        ("f/d.jsonl:1", "Three"),
        ("f/e.LOG", "No suffix known."),
        ("f/g.parquet:1", "Four"),
        ("f/g.parquet:3", "Five"),
        ("f/h.tsv:1", "Six"),
        ("f/i.txt.gz", "Seven"),
        ("f/inner/a.md", "# Title\r\n\r\nText."),
        ("f/j.jsonl.gz:1", "Eight"),
        ("f/k.csv.zst:1", "Nine"),
        ("f/l.zst", "Ten, of two frames"),
    ]


LINES = "One.\nTwo.\n\n \n\nThree.\r\n"
ROWS = ["One.", "Two.", "", " ", "", "Three.\r"]


@pytest.mark.parametrize(
    ("unit", "plain", "table"),
    [
        ("auto", [("a.txt", LINES)], [("a.jsonl:1", "One."), ("a.jsonl:2", "Two."), ("a.jsonl:6", "Three.\r")]),
        ("file", [("a.txt", LINES)], [("a.jsonl", "One.\nTwo.\n\n \n\nThree.\r\n")]),
        (
            "row",
            [("a.txt:1", "One."), ("a.txt:2", "Two."), ("a.txt:6", "Three.")],
            [("a.jsonl:1", "One."), ("a.jsonl:2", "Two."), ("a.jsonl:6", "Three.\r")],
        ),
        (
            "blank-line",
            [("a.txt:1", "One.\nTwo."), ("a.txt:6", "Three.")],
            [("a.jsonl:1", "One.\nTwo."), ("a.jsonl:6", "Three.")],
        ),
    ],
)
def test_what_a_document_is(unit: str, plain: list[tuple[str, str]], table: list[tuple[str, str]]) -> None:
    put(Path(), a__txt=LINES, a__jsonl=jsonl(ROWS))
    assert read("a.txt", unit=unit) == plain
    assert read("a.jsonl", unit=unit) == table


def test_blocks_within_a_row_are_found_and_none_reaches_into_the_next_file() -> None:
    put(Path("f"), a__jsonl=jsonl(["One.\n\nTwo", "and on."]), b__txt="Three.")
    assert read("f", unit="blank-line") == [
        ("f/a.jsonl:1", "One."),
        ("f/a.jsonl:1", "Two\nand on."),
        ("f/b.txt:1", "Three."),
    ]


def test_files_are_sorted_by_name_hidden_ones_left_out_and_none_is_read_twice() -> None:
    put(Path("f/m"), a__txt="4")
    put(Path("f"), Z__txt="1", a__txt="2", b__txt="3", n__txt="5", __hidden="x")
    put(Path("f/.git"), config="x")
    Path("f/m/up").symlink_to("..", target_is_directory=True)
    Path("f/o.txt").symlink_to("b.txt")
    Path("f/p.txt").symlink_to("nowhere")
    notes: list[str] = []
    files = list_files(["f", "f/.hidden", "f/n.txt"], notes.append)
    assert [file.as_posix() for file in files] == [
        *("f/Z.txt", "f/a.txt", "f/b.txt", "f/m/a.txt", "f/n.txt"),
        "f/.hidden",  # one that is named
    ]
    assert notes == [
        "f/m/up: leads back to a folder that it is in; left out",
        "f/o.txt: is f/b.txt, which is read once",
        "f/p.txt: is no file; left out",
    ]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("b.txt", b"caf\xe9 great", "b.txt: byte 0xe9 at offset 3 is not UTF-8. Name its encoding: --encoding"),
        ("b.txt", b"\x00\x01\x02" * 99, "b.txt: holds binary data, not text"),
        ("b.txt", b"", "b.txt: is empty"),
        ("b.txt", "wide".encode("utf-16"), "b.txt: is UTF-16, not UTF-8. Say --encoding utf-16"),
        ("b.txt", parquet(["a"]), "b.txt: is a file of another kind; let its name end in .parquet"),
        ("b.txt", gzip.compress(b"a", mtime=0), "b.txt: is a file of another kind; let its name end in .gz"),
        ("b.parquet", b"nothing", "b.parquet: cannot be read as Parquet"),
        ("b.parquet.gz", gzip.compress(parquet(["a"])), "b.parquet.gz: Parquet is compressed within"),
        ("b.txt.gz", b"nothing", "b.txt.gz: is cut short or damaged"),
        ("b.txt.gz", gzip.compress(NOISE.encode())[:-4000], "b.txt.gz: is cut short or damaged"),
        ("b.txt.zst", zstd(NOISE.encode())[:-4000], "b.txt.zst: is cut short or damaged"),
        ("b.txt.zst", b"nothing at all", "b.txt.zst: is cut short or damaged"),
        ("b.csv", b"", "b.csv: is empty"),
        ("b.csv", b"title\nOne\n", "b.csv: no column 'text'. The columns are 'title'"),
        ("b.csv", b'text\n"never closed\n', "a quotation mark opens here and is never closed"),
        ("b.jsonl", b'[{"text": "a"}]', "b.jsonl: holds one JSON array"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_and_spares_the_others(name: str, content: bytes, problem: str) -> None:
    put(Path("f"), a__txt="Before.", c__txt="Behind.")
    Path("f", name).write_bytes(content)
    notes: list[str] = []
    found = Corpus(["f"], note=notes.append)
    texts = [document.text for document in found.documents() if document.source.startswith(("f/a", "f/c"))]
    assert texts == ["Before.", "Behind."]
    assert problem in " ".join(notes)
    assert found.summary.skipped_files == 1
    with pytest.raises((DataError, UsageError)) as raised:
        read(f"f/{name}")
    assert problem.partition(": ")[2] in str(raised.value)


def test_what_stands_before_damage_is_read() -> None:
    put(Path(), a__txt__gz=gzip.compress(f"First line.\n{NOISE}".encode() + os.urandom(150_000).hex().encode())[:-3000])
    notes: list[str] = []
    found = Corpus(["a.txt.gz"], "row", note=notes.append)
    assert next(found.documents()).text == "First line."
    assert [document.text for document in found.documents()] == ["First line."]
    assert notes[-1].endswith("(left out from there on)")
    assert (found.summary.files, found.summary.skipped_files) == (1, 1)


def test_rows_that_cannot_be_read_are_counted_and_told_once() -> None:
    put(Path(), a__jsonl=jsonl(["One"]) + b'nope\n{"other": 1}\n{"text": "caf\xe9"}\n' + jsonl(["Two"]))
    put(Path(), b__txt=b"Three\ncaf\xe9\nFour\n")
    notes: list[str] = []
    found = Corpus(["a.jsonl", "b.txt"], "row", note=notes.append)
    assert [document.text for document in found.documents()] == ["One", "Two", "Three", "Four"]
    assert notes[0].startswith("a.jsonl: 3 left out; the first: row 2: line 2: not JSON")
    assert notes[1] == "b.txt: 1 left out; the first: byte 0xe9 at offset 9 is not UTF-8. Name its encoding: --encoding"
    assert (found.summary.skipped_rows, found.summary.skipped_files) == (4, 0)


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl"])
@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
def test_other_encodings_are_read_by_their_name(name: str, encoding: str) -> None:
    text = {"a.txt": "café €", "a.csv": "text\ncafé €\n", "a.jsonl": '{"text": "café €"}\n'}[name]
    Path(name).write_bytes(text.encode(encoding))
    put(Path(), b__parquet=parquet(["wie ein Café"]))
    found = [document.text for document in read_documents([name, "b.parquet"], encoding=encoding)]
    assert found == ["café €", "wie ein Café"]


def test_columns_have_names() -> None:
    put(Path("f"), a__csv="review\nOne\n", b__jsonl=b'{"review": "Two"}\n', c__txt="Three")
    put(Path("f"), d__parquet=parquet(["Four"], "review"))
    assert [text for _, text in read("f", text_column="review")] == ["One", "Two", "Three", "Four"]


def test_a_column_that_is_not_there_ends_it_where_the_file_was_named() -> None:
    put(Path("f"), a__csv="review\nOne\n")
    put(Path(), b__txt="Two")
    with pytest.raises(UsageError, match=r"a\.csv: no column 'text'"):
        read("b.txt", "f/a.csv")
    assert read("b.txt", "f") == [("b.txt", "Two")]
    with pytest.raises(UsageError, match=r"a\.csv: no column 'text'"):
        read("f")


def test_a_missing_path_is_told_with_the_nearest() -> None:
    put(Path("books"), a__txt="One")
    for path, hint in (("book", "Did you mean books?"), ("books/b.txt", "Did you mean books/a.txt?"), ("x/y", "Check")):
        with pytest.raises(UsageError) as raised:
            read("books", path)
        assert f"{path}: is not there. {hint}" in str(raised.value)


def test_an_empty_corpus_is_told() -> None:
    put(Path("blank"), a__txt=" \n", b__csv="text\n \n")
    Path("none").mkdir()
    with pytest.raises(DataError, match="none: holds no file"):
        read("none")
    with pytest.raises(DataError, match="the corpus: holds no file"):
        read()
    with pytest.raises(DataError, match=r"empty: its 2 files hold no text that can be read\. Name"):
        read("blank")


def test_an_unknown_unit_is_told_with_the_nearest() -> None:
    put(Path(), a__txt="One")
    with pytest.raises(
        UsageError, match=r"the unit is 'rows'\. Did you mean 'row'\? A document can be auto, file, row, blank"
    ):
        read_documents(["a.txt"], unit="rows")


def test_a_file_without_permission_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    put(Path("f"), a__txt="One", b__txt="Two")
    plain = Path.open

    def refused(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name == "a.txt":
            raise PermissionError(13, "Permission denied", str(self))
        return plain(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refused)
    notes: list[str] = []
    assert read("f", note=notes.append) == [("f/b.txt", "Two")]
    assert "f/a.txt: cannot be read: Permission denied" in notes[0]


def test_stdin_is_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"One.\n\nTwo.\n"), encoding="utf-8"))
    assert read("-", unit="blank-line") == [("stdin:1", "One."), ("stdin:3", "Two.")]
    assert not sys.stdin.closed


def test_a_pipe_is_read_as_a_file_is() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"One.\nTwo.\n")
    os.close(writer)
    assert [text for _, text in read(f"/dev/fd/{reader}", unit="row")] == ["One.", "Two."]
    os.close(reader)


def test_zstd_without_pyarrow_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    put(Path("f"), a__txt="One", b__txt__zst=zstd(b"Two"))
    monkeypatch.setattr(corpus_files, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r'f/b\.txt\.zst: zstd needs .* pip install "polarbert\[parquet\]"'):
        Corpus(["f"])
    assert len(Corpus(["f/a.txt"]).files) == 1


def test_rows_of_several_megabytes_are_read() -> None:
    book = "It was a long story, and no end of it. é\n" * 80_000
    put(Path(), a__parquet=parquet([book]), b__jsonl=jsonl([book]), c__csv=f'text\n"{book}"\n')
    assert [text == book for _, text in read("a.parquet", "b.jsonl", "c.csv")] == [True] * 3


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["word", " ", "\n", "\n\n", "é", "longerword"]), min_size=1, max_size=80).map("".join))
def test_a_long_file_becomes_several_documents_and_nothing_is_lost(text: str) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(corpus, "MAX_DOCUMENT", 20)
        patched.setattr(corpus, "_CHUNK", 7)
        put(Path(), a__txt=text)
        if not text.strip():
            return
        for unit in ("file", "blank-line"):
            found = [found for _, found in read("a.txt", unit=unit)]
            assert "".join("".join(found).split()) == "".join(text.split())
            assert max(map(len, found)) <= 20 + (0 if unit == "file" else 20 + max(map(len, text.split("\n"))))


def test_a_long_file_is_cut_where_a_reader_would_pause() -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(corpus, "MAX_DOCUMENT", 16)
        put(Path(), a__txt="One two.\n\nThree four.\nFive six seven eight nine")
        assert [text for _, text in read("a.txt")] == ["One two.\n\n", "Three four.\n", "Five six seven ", "eight nine"]


def test_the_digest_is_of_the_texts_alone() -> None:
    put(Path("one"), a__txt="First.", b__txt="Second.")
    put(Path("two/deep"), x__jsonl=jsonl(["First.", "Second."]))
    put(Path("three"), a__txt="Second.", b__txt="First.")
    put(Path("four"), a__txt="First.S", b__txt="econd.")
    put(Path("five"), a__txt="First.Second.")
    digests = []
    for name in ("one", "two", "three", "four", "five"):
        found = Corpus([name])
        assert sum(1 for _ in found.documents()) == found.summary.documents
        digests.append(found.summary.digest)
        assert [*found.documents()]  # read again, counted anew
        assert found.summary.digest == digests[-1]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


def test_what_was_read_is_counted() -> None:
    put(Path("f"), a__txt="café", b__csv="text\nOne\n,\n", c__bin=b"\x00")
    found = Corpus(["f"])
    assert len([*found.documents()]) == 2
    summary = found.summary
    assert (summary.documents, summary.bytes, summary.files) == (2, 8, 2)
    assert (summary.skipped_files, summary.skipped_rows) == (1, 1)


def test_the_position_rises_to_the_size_of_all_files() -> None:
    texts = [f"{number} {NOISE[:2000]}" for number in range(200)]
    put(Path("f"), a__jsonl=jsonl(texts), b__parquet=parquet([*texts]), c__txt__gz=gzip.compress(NOISE.encode()))
    found = Corpus(["f"])
    positions = [found.position for _ in found.documents()]
    size = sum(path.stat().st_size for path in Path("f").iterdir())
    assert positions == sorted(positions)
    assert len(set(positions)) > 100
    assert positions[-1] <= found.size == found.position == size


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.txt.gz", "a.jsonl.zst"])
def test_memory_does_not_grow_with_the_corpus(name: str) -> None:
    line = "A line that stands in a large corpus, and it stands there often. " * 30
    row = {"txt": line, "jsonl": json.dumps({"text": line}), "csv": f'"{line}"'}[name.split(".")[1]]
    data = (("text\n" if "csv" in name else "") + f"{row}\n" * 2_000).encode()
    Path(name).write_bytes(gzip.compress(data, 1) if "gz" in name else zstd(data) if "zst" in name else data)
    size = len(data)
    del data
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_documents([name], unit="row")) == 2_000
        assert tracemalloc.get_traced_memory()[1] < 1_500_000 < size // 2
    finally:
        tracemalloc.stop()
