"""Files in other encodings: named when they are met, read when they are named, written back as they were."""

from __future__ import annotations

import codecs
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polarbert.data import encodings
from polarbert.data.encodings import Encoding, TextSource
from polarbert.data.tables import open_table
from polarbert.errors import DataError, UsageError

ADDED = ["label", "error"]
ANSWER: dict[str, object] = {"label": "positive", "error": None}
ROUND = "text,id\nso größt\u201c,1\n"


def pass_through(data: bytes, encoding: str | None, kind: str = "csv") -> bytes:
    table = open_table(io.BytesIO(data), "in", kind, "text", ADDED, encoding=encoding)
    return table.header(ADDED) + b"".join(table.line(row, ANSWER) for row in table.rows())


def texts(data: bytes, encoding: str | None, kind: str = "csv") -> list[str | None]:
    return [row.text for row in open_table(io.BytesIO(data), "in", kind, "text", encoding=encoding).rows()]


@pytest.mark.parametrize("encoding", ["cp1252", "windows-1252", "utf-16-le", "utf-16-be", "utf-8", "UTF-8", "gb18030"])
def test_a_named_encoding_is_read_and_written(encoding: str) -> None:
    data = ROUND.encode(encoding)
    assert texts(data, encoding) == ["so größt\u201c"]
    expected = "text,id,label,error\nso größt\u201c,1,positive,\n"
    assert pass_through(data, encoding) == expected.encode(encoding)


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_byte_order_mark_is_kept_once_and_says_the_order_of_bytes(mark: bytes, kind: str) -> None:
    codec = {3: "utf-8", 4: "utf-32-le"}.get(len(mark)) or ("utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be")
    name = codec.removesuffix("-le").removesuffix("-be")
    content = ROUND if kind == "csv" else '{"text": "so größt", "id": 1}\r\n'
    out = pass_through(mark + content.encode(codec), name, kind)
    assert out.startswith(mark + content[:6].encode(codec))
    assert "\ufeff" not in out[len(mark) :].decode(codec)
    assert texts(mark + content.encode(codec), name, kind)[0] in ("so größt\u201c", "so größt")
    assert out.decode(codec).endswith("\r\n" if kind == "jsonl" else "\n")


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_read_in_the_order_its_zeros_show(codec: str) -> None:
    assert texts(ROUND.encode(codec), "utf-16") == ["so größt\u201c"]
    with pytest.raises(DataError, match=f"is UTF-16, not UTF-8. Say --encoding {codec}"):
        texts(ROUND.encode(codec), None)


CHARACTERS = {
    "cp1252": 'aé€“,"\n\r \x00',
    "latin-1": 'aéÿ\x80,"\n\r ',
    "utf-16": 'aé€😀,"\n\r \x00',
    "utf-16-be": 'aé€😀,"\n\r ',
    "utf-32": 'aé€😀,"\n\r ',
    "shift_jis": 'a日本ア,"\n\r ',
    "gb18030": 'aé日😀,"\n\r ',
    "koi8-r": 'aпривет,"\n\r ',
    "mac-roman": 'aé€,"\n\r ',
}


@settings(max_examples=150)
@given(st.data(), st.sampled_from(sorted(CHARACTERS)), st.sampled_from(["\n", "\r\n", "\r"]))
def test_cells_of_any_encoding_come_out_byte_for_byte(data: st.DataObject, encoding: str, end: str) -> None:
    cells = st.text(st.sampled_from(CHARACTERS[encoding]), max_size=5)
    rows = data.draw(st.lists(st.tuples(cells, cells), min_size=1, max_size=4))
    lines = [("text", "id"), *rows]

    def printed(extra: tuple[str, ...], lines: list[tuple[str, str]]) -> bytes:
        quoted = [",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in (*line, *extra)) for line in lines]
        return (end.join(quoted) + end).encode(encoding)

    table = open_table(io.BytesIO(printed((), lines)), "in", "csv", "text", ADDED, encoding=encoding)
    out = table.header(ADDED) + b"".join(table.line(row, ANSWER) for row in table.rows())
    again = open_table(io.BytesIO(out), "out", "csv", "text", encoding=encoding)
    assert [tuple(row.cells[:2]) for row in again.rows()] == rows
    assert list(table.read_back(io.BytesIO(out), ADDED)) == [{"label": "positive", "error": ""}] * len(rows)


@settings(max_examples=150)
@given(st.binary(max_size=60), st.sampled_from(["latin-1", "cp1252", "cp037", "koi8-r", "utf-8", "cp437"]))
def test_bytes_that_mean_nothing_are_written_back(tail: bytes, encoding: str) -> None:
    source = TextSource(io.BytesIO("text\n".encode(encoding) + tail), "in", encoding)
    read = []
    while line := source.readline():
        read.append(line)
    assert source.encoding.mark + source.encoding.encode("".join(read)) == "text\n".encode(encoding) + tail


def test_bytes_that_mean_nothing_in_an_east_asian_encoding_cannot_swallow_their_neighbours() -> None:
    data = b'text|id\nso great|1\n"caf\x81"|2\n"\xb5"quoted"|3\n'
    table = open_table(io.BytesIO(data), "in", "csv", "text", ADDED, encoding="gb18030")
    rows = list(table.rows())
    assert [row.text for row in rows] == ["so great", None, None]
    lines = [table.line(row, ANSWER) for row in rows]
    assert lines == [b"so great|1|positive|\n", b"caf?|2|positive|\n", b'"?quoted"""|3|positive|\n']


@settings(max_examples=200)
@given(st.binary(max_size=40), st.integers(1, 7))
def test_the_first_bad_byte_is_named_at_its_offset(content: bytes, step: int) -> None:
    class Slow(io.BytesIO):
        """Gives few bytes at a time, so that characters are cut anywhere."""

        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(step if self.tell() else size)

    data = b"text\n" + content
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encodings, "_START", 3)
        source = TextSource(Slow(data), "in")
        while source.readline():
            pass
    try:
        data.decode("utf-8")
        expected = None
    except UnicodeDecodeError as error:
        expected = (error.start, data[error.start])
    assert source.bad_byte == expected


def test_the_doubt_names_offset_byte_and_option() -> None:
    table = open_table(io.BytesIO(b"text,id\nfine,1\ncaf\xe9,2\n"), "in", "csv", "text")
    rows = list(table.rows())
    assert [row.text for row in rows] == ["fine", None]
    assert str(table.doubt).startswith("in: byte 0xe9 at offset 18 is not UTF-8")
    assert "--encoding cp1252" in str(table.doubt)
    assert open_table(io.BytesIO(b"text\nfine\n"), "in", "csv", "text").doubt is None


def test_a_byte_that_the_named_encoding_lacks_is_a_problem_of_its_row() -> None:
    table = open_table(io.BytesIO(b"text\nfine\n\x81\n"), "in", "csv", "text", encoding="cp1252")
    fine, bad = table.rows()
    assert fine.text == "fine"
    assert str(bad.problem).startswith("the text is not valid cp1252 (byte 0x81")
    assert "name that one" in str(table.doubt)


@pytest.mark.parametrize(
    ("data", "kind"), [("Größe,text\n1,a\n".encode("cp1252"), "csv"), ('{"Größe": 1}\n'.encode("cp1252"), "jsonl")]
)
def test_names_that_cannot_be_read_are_refused_at_once(data: bytes, kind: str) -> None:
    with pytest.raises(DataError, match=r"names of its columns .* byte 0xf6 at offset \d.*--encoding cp1252"):
        open_table(io.BytesIO(data), "in", kind, "text")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("cp-1252", "--encoding is 'cp-1252', which cannot be read. Did you mean cp1252?"),
        ("windows1252", "Did you mean windows-1252?"),
        ("klingon", "Common ones are utf-8, cp1252"),
        ("", "--encoding is ''"),
        ("rot13", "cannot be read"),
        ("utf-7", "Did you mean utf-8?"),
        ("idna", "cannot be read"),
        ("iso2022_jp", "cannot be read"),
        ("hex", "cannot be read"),
        ("a\0b", "cannot be read"),
    ],
)
def test_an_unknown_encoding_gets_the_nearest_suggested(asked: str, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        TextSource(io.BytesIO(b"text\n"), "in", asked)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("data", "asked", "words"),
    [
        (codecs.BOM_UTF8 + b"text\n", "cp1252", "mark of UTF-8, so it is not cp1252. Leave --encoding out"),
        ("text\n".encode("utf-16"), "cp1252", "mark of UTF-16, so it is not cp1252. Say --encoding utf-16"),
        ("text\n".encode("utf-16"), "utf-8", "Say --encoding utf-16"),
    ],
)
def test_a_mark_that_belies_the_name_is_refused(data: bytes, asked: str, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        TextSource(io.BytesIO(data), "in", asked)
    assert words in str(raised.value)


@pytest.mark.parametrize("data", ["text\nfine\n".encode("utf-16") + b"a", "text\nfine\n".encode("utf-32")[:-2]])
def test_a_file_that_breaks_off_within_a_character_is_named_by_its_line(data: bytes) -> None:
    name = "utf-16" if len(data) < 30 else "utf-32"
    with pytest.raises(DataError, match=rf"in, line 3: is not {name.upper()}|in, line 2: is not {name.upper()}"):
        texts(data, name)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"PK\x03\x04", "spreadsheet.*Save it as CSV"),
        (b"\x1f\x8b", "gzip -dc"),
        (b"PAR1", "--format parquet"),
        (b"\xd0\xcf\x11\xe0", "Save it as CSV"),
        (b"BZh", "Unpack it"),
    ],
)
def test_a_file_of_another_kind_is_named(start: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        TextSource(io.BytesIO(start + b"\x00\x01" * 20), "in")


def test_a_new_column_that_the_encoding_lacks_is_refused_beforehand() -> None:
    data = "text\nGrüße\n".encode("cp1252")
    with pytest.raises(UsageError, match=r"'p_肯定', cannot be written in cp1252.*iconv -f cp1252 -t UTF-8"):
        open_table(io.BytesIO(data), "in", "csv", "text", ["p_gut", "p_肯定"], encoding="cp1252")
    with pytest.raises(UsageError, match="cannot be written"):
        open_table(io.BytesIO(b'{"text": "a"}\n'), "in", "jsonl", "text", ["p_肯定"], encoding="cp1252")
    open_table(io.BytesIO(data), "in", "csv", "text", ["p_größer"], encoding="cp1252")


def test_new_values_of_jsonl_fit_into_any_encoding() -> None:
    data = '{"text": "Grüße"}\nkaputt é\n'.encode("latin-1")
    table = open_table(io.BytesIO(data), "in", "jsonl", "text", ["error"], encoding="latin-1")
    good, broken = (table.line(row, {"error": "日本"}).decode("latin-1") for row in table.rows())
    assert json.loads(good) == {"text": "Grüße", "error": "日本"}
    assert json.loads(broken) == {"line": "kaputt é", "error": "日本"}


@pytest.mark.parametrize(("kind", "first"), [("csv", b"text\n"), ("jsonl", b'{"text": "a"}\n')])
def test_a_line_without_end_is_refused_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch, kind: str, first: bytes
) -> None:
    monkeypatch.setattr(encodings, "MAX_LINE", 1000)
    with pytest.raises(DataError, match="in, line 2: has more than 1,000 characters without an end"):
        texts(first + b"x" * 5000, None, kind)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8, codecs.BOM_UTF16_LE])
def test_a_mark_alone_is_an_empty_file(mark: bytes, kind: str) -> None:
    with pytest.raises(DataError, match="in: is empty; name a file"):
        texts(mark, "utf-16" if len(mark) == 2 else None, kind)


def test_the_plain_encoding_is_utf_8() -> None:
    assert Encoding().encode("é\udcff") == b"\xc3\xa9\xff"
