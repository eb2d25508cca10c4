"""Whatever the input holds comes out as it was, with the answers beside it."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polarbert.data import csv_table
from polarbert.data.csv_table import MAX_FIELD
from polarbert.data.tables import MAX_TEXT_BYTES, Row, open_table, table_format
from polarbert.errors import DataError, UsageError

ADDED = ["label", "confidence", "unsure", "n_tokens", "error"]
ANSWER: dict[str, object] = {"label": "positive", "confidence": 0.75, "unsure": False, "n_tokens": 3, "error": None}
IN_CSV = ["positive", "0.750000", "false", "3", ""]
HEADER = ["text", "id", "note", "price"]


def pass_through(data: bytes, kind: str, delimiter: str | None = None) -> bytes:
    """The output for `data` when every row gets the same answer."""
    table = open_table(io.BytesIO(data), "in", kind, "text", ADDED, delimiter)
    lines = [table.header(ADDED), *(table.line(row, ANSWER) for row in table.rows())]
    return b"".join(lines)


def rows_of(data: bytes, kind: str = "csv") -> list[Row]:
    return list(open_table(io.BytesIO(data), "in", kind, "text", ADDED).rows())


def parse_csv(data: bytes, delimiter: str = ",") -> list[list[str]]:
    text = io.StringIO(data.decode("utf-8", "surrogateescape"), newline="")
    return list(csv.reader(text, delimiter=delimiter))


def print_csv(rows: list[list[str]], delimiter: str = ",", end: str = "\n") -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(rows)
    return out.getvalue().encode("utf-8", "surrogateescape")


# Cells are made of bytes, so that those which are no UTF-8 are among them, and of what a CSV finds hard.
CELLS = (
    st.text(st.sampled_from(list(",;\t|'\"\n\r \\é😀0a\u2028\x00\ufeff")), max_size=8)
    | st.sampled_from(["007", "1.00", "12345678901234567890", "1E5", "true", "null", "NaN", " padded ", "=1+1", ""])
    | st.binary(max_size=6).map(lambda content: content.decode("utf-8", "surrogateescape"))
    | st.text(max_size=10).map(lambda text: text.encode("utf-8", "ignore").decode("utf-8"))
)


@settings(max_examples=300)
@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=5)),
       st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n", "\r"]))  # fmt: skip
def test_every_cell_of_a_csv_comes_out_as_it_was(cells: list[list[str]], delimiter: str, end: str) -> None:
    header = HEADER[: len(cells[0])]
    out = pass_through(print_csv([header, *cells], delimiter, end), "csv", delimiter)
    first, *rows = parse_csv(out, delimiter)
    assert first == [*header, *ADDED]
    assert [row[: len(header)] for row in rows] == cells
    assert all(row[len(header) :] == IN_CSV for row in rows)
    assert out.decode("utf-8", "surrogateescape").endswith(end)


@pytest.mark.parametrize("delimiter", list(",;\t|"))
def test_the_delimiter_is_found_in_the_header(delimiter: str) -> None:
    data = print_csv([["text", "a"], ["one, two; three", "x|y\tz"]], delimiter)
    assert parse_csv(pass_through(data, "csv"), delimiter)[1][:2] == ["one, two; three", "x|y\tz"]


def test_a_delimiter_that_is_named_is_taken() -> None:
    out = pass_through(b"text^a,b\nfine^7\n", "csv", "^")
    assert out == b"text^a,b^label^confidence^unsure^n_tokens^error\nfine^7^positive^0.750000^false^3^\n"


def test_a_byte_order_mark_is_no_part_of_the_first_name_and_is_kept() -> None:
    out = pass_through(b"\xef\xbb\xbftext,id\nfine,1\n", "csv")
    assert out.startswith(b"\xef\xbb\xbftext,id,label")
    assert out.count(b"\xef\xbb\xbf") == 1


def test_line_ends_of_windows_are_kept() -> None:
    out = pass_through(b"text,id\r\nfine,1\r\n", "csv")
    assert out.count(b"\r\n") == 2
    assert out.count(b"\n") == 2


def test_a_last_line_without_its_end_is_a_row() -> None:
    assert [row.text for row in rows_of(b"text\none\ntwo")] == ["one", "two"]


def test_a_row_may_span_lines() -> None:
    assert [row.text for row in rows_of(b'text,id\n"two\nlines",1\nnext,2\n')] == ["two\nlines", "next"]


def test_a_blank_line_is_no_row_unless_there_is_one_column() -> None:
    assert len(rows_of(b"text,id\na,1\n\nb,2\n")) == 2
    assert [row.text for row in rows_of(b"text\na\n\nb\n")] == ["a", "", "b"]


@given(st.lists(CELLS, min_size=1, max_size=7).filter(lambda cells: len(cells) != 3 and any(cells)))
def test_a_ragged_row_keeps_all_its_cells_and_says_what_is_wrong(cells: list[str]) -> None:
    data = print_csv([["text", "id", "note"], cells, ["fine", "1", "2"]])
    table = open_table(io.BytesIO(data), "in", "csv", "text", ADDED)
    ragged, fine = table.rows()
    assert ragged.text is None
    assert f"{len(cells)} fields, the header has 3" in str(ragged.problem)
    assert fine.text == "fine"
    out = parse_csv(table.line(ragged, ANSWER))[0]
    padded = [*cells, "", "", ""][:3]
    assert out == [*padded, *IN_CSV, *cells[3:]]


def test_the_added_columns_are_read_back() -> None:
    data = b'text,id\n"a, b",1\nlong,1,2,3\nc,2\n'
    table = open_table(io.BytesIO(data), "in", "csv", "text", ADDED)
    written = table.header(ADDED) + b"".join(table.line(row, ANSWER) for row in table.rows())
    assert list(table.read_back(io.BytesIO(written), ADDED)) == [dict(zip(ADDED, IN_CSV, strict=True))] * 3


def test_a_written_cell_longer_than_any_input_cell_is_read_back_and_inputs_keep_their_limit() -> None:
    table = open_table(io.BytesIO(b"text\na\n"), "in", "csv", "text", ("sentences",))
    long = "x" * (MAX_FIELD + 1)
    written = table.header(("sentences",)) + b'a,"' + long.encode() + b'"\n'
    assert [row["sentences"] == long for row in table.read_back(io.BytesIO(written), ("sentences",))] == [True]
    assert csv.field_size_limit() == MAX_FIELD


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.text(st.characters(codec="utf-8"), max_size=6).filter(lambda name: name not in (*ADDED, "text"))


TEXTS = st.text(st.characters(codec="utf-8"))
STYLES = st.sampled_from([None, (",", ":"), (" , ", " : ")])


@settings(max_examples=200)
@given(
    st.lists(st.tuples(TEXTS, st.dictionaries(NAMES, JSON_VALUES, max_size=3)), min_size=1, max_size=4),
    st.booleans(),
    STYLES,
)
def test_a_line_of_jsonl_is_kept_byte_for_byte(
    records: list[tuple[str, dict[str, Any]]], escaped: bool, separators: tuple[str, str] | None
) -> None:
    lines = [json.dumps({"text": t, **rest}, ensure_ascii=escaped, separators=separators) for t, rest in records]
    out = pass_through("\n".join(lines).encode() + b"\n", "jsonl").decode()
    for line, scored, (text, rest) in zip(lines, out.split("\n"), records, strict=False):
        assert scored.startswith(line[:-1])
        assert json.loads(scored) == {"text": text, **rest, **ANSWER}


@pytest.mark.parametrize(
    "number", ["1.00", "12345678901234567890", "1E5", "-0.0", "0.1000000000000000055511151231257827", "1e400"]
)
def test_numbers_of_jsonl_are_not_touched(number: str) -> None:
    line = f'{{"price": {number},   "text": "fine"}}'
    assert pass_through(line.encode(), "jsonl").decode().startswith(line[:-1] + ", ")


def test_an_empty_object_gets_the_fields_too() -> None:
    assert json.loads(pass_through(b'{"text": "a"}\n{ }\n', "jsonl").splitlines()[1]) == ANSWER


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"text": "never closed', "line 2: not JSON"),
        ("plain words", "line 2: not JSON"),
        ('{"text": "two"} {"text": "objects"}', "line 2: not JSON"),
        ("[" * 100_000, "line 2: not JSON (nested too deeply)"),
        ('"a string"', "line 2: not a JSON object"),
        ("[1, 2]", "line 2: not a JSON object"),
        ("7", "line 2: not a JSON object"),
        ('{"text": "a", "label": "mine"}', "line 2: has a field 'label' already"),
    ],
)
def test_a_line_that_is_no_record_is_kept_in_line(line: str, words: str) -> None:
    data = f'{{"text": "a"}}\n{line}\n{{"text": "b"}}\n'.encode()
    before, broken, after = rows_of(data, "jsonl")
    assert (before.text, broken.text, after.text) == ("a", None, "b")
    assert str(broken.problem).startswith(words)
    out = json.loads(pass_through(data, "jsonl").splitlines()[1])
    assert out == {"line": line, **ANSWER}


def test_bytes_of_a_broken_line_are_kept() -> None:
    out = pass_through(b'{"text": "a"}\n{"text": "caf\xe9\n', "jsonl")
    assert rb"{\"text\": \"caf" + b"\xe9" in out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"id": 1}', "has no field 'text'"),
        ('{"text": 5}', "'text' is int, not text"),
        ('{"text": ["a"]}', "'text' is list, not text"),
        ('{"text": true}', "'text' is bool, not text"),
        (r'{"text": "half \ud83d an emoji"}', "not valid UTF-8 (a lone surrogate at character 5)"),
    ],
)
def test_a_record_without_a_text_keeps_its_fields_and_says_why(line: str, words: str) -> None:
    row = rows_of(f'{{"text": "a"}}\n{line}\n'.encode(), "jsonl")[1]
    assert row.text is None
    assert row.is_record
    assert words in str(row.problem)


def test_null_is_an_empty_text() -> None:
    assert [row.text for row in rows_of(b'{"text": null}\n{"text": ""}\n', "jsonl")] == ["", ""]


def test_blank_lines_of_jsonl_are_no_rows() -> None:
    assert [row.text for row in rows_of(b'\n{"text": "a"}\n  \n{"text": "b"}', "jsonl")] == ["a", "b"]


def test_bytes_that_are_no_utf8_are_a_problem_of_their_row_alone() -> None:
    first, second, third = rows_of(b"text,id\ncaf\xe9,1\nfine,2\nok,\xff\n")
    assert (first.text, second.text, third.text) == (None, "fine", "ok")
    assert "byte 0xe9 at character 3" in str(first.problem)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_text_over_a_megabyte_is_not_read(kind: str) -> None:
    fits, too_long = "a" * MAX_TEXT_BYTES, "é" * (MAX_TEXT_BYTES // 2) + "b"
    lines = ["text", fits, too_long] if kind == "csv" else [json.dumps({"text": t}) for t in (fits, too_long)]
    good, bad = rows_of("\n".join(lines).encode(), kind)
    assert good.text == fits
    assert bad.text is None
    assert "1,000,001 bytes; at most 1,000,000 are read" in str(bad.problem)


def test_a_quotation_mark_never_closed_is_named_by_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    before = csv.field_size_limit()
    monkeypatch.setattr(csv_table, "MAX_FIELD", 1000)
    try:
        with pytest.raises(
            DataError, match=r"in, line 3: a quotation mark opens here and is not closed within 1,000 characters"
        ):
            rows_of(b'text,id\nfine,1\n"never closed,2\n' + b"x" * 2000 + b"\n")
    finally:
        csv.field_size_limit(before)


def test_what_a_quotation_mark_swallows_is_kept() -> None:
    data = b'text,id\nfine,1\n"closed\nquote","open\nquote,2\nnext,3\n'
    table = open_table(io.BytesIO(data), "in", "csv", "text", ADDED)
    fine, rest = table.rows()
    assert fine.text == "fine"
    assert rest.text is None
    assert rest.cells == ["closed\nquote", "open\nquote,2\nnext,3\n"]
    assert str(rest.problem) == "line 4: a quotation mark opens here and is never closed"
    assert str(table.fault).startswith("in, line 4: a quotation mark opens here and is never closed")


@pytest.mark.parametrize(
    ("data", "kind", "error", "words"),
    [
        (b"", "csv", DataError, "in: is empty"),
        (b"", "jsonl", DataError, "in: is empty"),
        (b"\n\ntext\n", "csv", DataError, "the first line is blank"),
        (b",,\na,b,c\n", "csv", DataError, "the first line is blank"),
        ("text\nfine\n".encode("utf-16"), "csv", DataError, "in: is UTF-16, not UTF-8. Say --encoding utf-16"),
        (b"\xfe\xff\x00t", "csv", DataError, "is UTF-16, not UTF-8"),
        ("text\nfine\n".encode("utf-32"), "csv", DataError, "is UTF-32, not UTF-8. Say --encoding utf-32"),
        ("text,id\nfine".encode("utf-16-le"), "csv", DataError, "Say --encoding utf-16-le"),
        ("text,id\nfine".encode("utf-16-be"), "csv", DataError, "Say --encoding utf-16-be"),
        (
            b"Texte,id\na,1\n",
            "csv",
            UsageError,
            "Did you mean 'Texte'? The columns are 'Texte', 'id'",
        ),
        (b"TEXT ,id\na,1\n", "csv", UsageError, "Did you mean 'TEXT '?"),
        (b"qqq,id\na,1\n", "csv", UsageError, "no column 'text'. The columns are"),
        (b"text,text\na,b\n", "csv", UsageError, "the column 'text' is there 2 times"),
        (b'{"txt": "a"}\n', "jsonl", UsageError, "Did you mean 'txt'?"),
        (b"text,label,error\na,b,c\n", "csv", UsageError, "has a column 'label', 'error' already"),
        (b'{"text": "a", "label": 1}\n', "jsonl", UsageError, "--prefix model_"),
    ],
)
def test_what_cannot_be_opened_says_what_to_do(data: bytes, kind: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as raised:
        open_table(io.BytesIO(data), "in", kind, "text", ADDED)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("path", "given_format", "expected"),
    [
        ("a.csv", None, "csv"),
        ("a.TSV", None, "csv"),
        ("a.jsonl", None, "jsonl"),
        ("b/a.ndjson", None, "jsonl"),
        ("-", None, "csv"),
        ("-", "jsonl", "jsonl"),
        ("a.txt", "csv", "csv"),
        ("a.csv", "jsonl", "jsonl"),
    ],
)
def test_the_format_follows_the_name_unless_given(path: str, given_format: str | None, expected: str) -> None:
    assert table_format(path, given_format) == expected


@pytest.mark.parametrize(("path", "given_format"), [("reviews.xlsx", None), ("reviews", None), ("a.csv", "excel")])
def test_an_unknown_format_names_the_known_ones(path: str, given_format: str | None) -> None:
    with pytest.raises(UsageError, match=r"csv.*jsonl"):
        table_format(path, given_format)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_every_kind_of_line_end_ends_a_row_and_is_kept(kind: str, end: str) -> None:
    lines = ["text,id", "one,1", "two,2"] if kind == "csv" else ['{"text": "one"}', '{"text": "two"}']
    data = end.join(lines).encode() + end.encode()
    assert [row.text for row in rows_of(data, kind)] == ["one", "two"]
    out = pass_through(data, kind).decode()
    assert out.split(end)[-1] == ""
    assert len(out.split(end)) == len(lines) + 1
    assert set(out) & set("\r\n") == set(end)


def test_a_line_end_inside_a_name_is_not_taken_for_that_of_the_rows() -> None:
    out = pass_through(b'"my\rid",text\n1,fine\n', "csv")
    assert out == b'"my\rid",text,label,confidence,unsure,n_tokens,error\n1,fine,positive,0.750000,false,3,\n'


def test_a_header_whose_quotation_mark_is_never_closed_is_refused() -> None:
    with pytest.raises(DataError, match="in, line 1: a quotation mark opens here and is never closed"):
        rows_of(b'text,"id\n1,2\n3,4\n')


def test_many_columns_are_held_for_few_rows_at_a_time() -> None:
    names = ["text", *(f"c{number}" for number in range(100_000))]
    line = "fine" + "," * 100_000 + "\n"
    table = open_table(io.BytesIO((",".join(names) + "\n" + line * 3).encode()), "in", "csv", "text", ADDED)
    rows = list(table.rows())
    assert [row.text for row in rows] == ["fine"] * 3
    assert rows[0].size > 5_000_000
    assert table.line(rows[0], ANSWER).decode() == line.rstrip() + ",positive,0.750000,false,3,\n"
    with pytest.raises(UsageError, match="no column 'c'") as raised:
        open_table(io.BytesIO((",".join(names) + "\n").encode()), "in", "csv", "c")
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"text": "a", "text": "b"}', "has the field 'text' more than once"),
        ('{"text": "a", "te\\u0078t": "b", "x": "\\"text\\""}', None),
        ('{"text": "a", "x": {"text": "b", "text": "c"}}', None),
        ('{"text": NaN}', "'text' is float, not text"),
        ('{"text": -Infinity}', "'text' is float, not text"),
        ('{"text": ' + "9" * 5000 + "}", "'text' is float, not text"),
        ('{"text": "a", "id": ' + "9" * 5000 + "}", None),
        ('{"text": "a", "id": NaN}', None),
        ('{"text": {"text": "a"}}', "'text' is dict, not text"),
        ('{"text": "a\0b"}', "line 2: not JSON (Invalid control character"),
        ('{"text": "a", "x": "half \\ud83d"}', None),
        ('{"text": "a", "x": ' + "[" * 50_000 + "]" * 50_000 + "}", "line 2: not JSON (nested too deeply)"),
    ],
)
def test_odd_json_is_a_row_or_a_problem_of_its_row(line: str, words: str | None) -> None:
    first, odd, last = rows_of(f'{{"text": "a"}}\n{line}\n{{"text": "z"}}\n'.encode(), "jsonl")
    assert (first.text, last.text) == ("a", "z")
    assert odd.problem is None if words is None else words in str(odd.problem)
    out = pass_through(f'{{"text": "a"}}\n{line}\n'.encode(), "jsonl").split(b"\n")[1].decode()
    assert out.startswith(line[:-1]) or json.loads(out)["line"] == line


@pytest.mark.parametrize("start", ["[\n", '[{"text": "a"},\n', '[ {"text": "a"} ]\n', "\n\n  [\n"])
def test_a_json_array_is_named_with_the_way_out(start: str) -> None:
    with pytest.raises(DataError, match=r"in: holds one JSON array, .*jq -c '\.\[\]' in"):
        rows_of(start.encode(), "jsonl")


def test_the_columns_of_jsonl_are_those_of_its_first_line_with_content() -> None:
    table = open_table(io.BytesIO(b'\n \n{"text": "a", "stars": 5}\n'), "in", "jsonl", "text")
    assert list(table.columns) == ["text", "stars"]
    with pytest.raises(UsageError, match=r"no column 'txt'\. Did you mean 'text'"):
        open_table(io.BytesIO(b'\n{"text": "a"}\n'), "in", "jsonl", "txt")


def test_a_cell_is_its_text_or_nothing() -> None:
    table = open_table(io.BytesIO(b"text,stars\nfine,007\nragged\n"), "in", "csv", "text", also=["stars"])
    fine, ragged = table.rows()
    assert [table.cell(fine, name) for name in table.columns] == ["fine", "007"]
    assert (table.cell(ragged, "text"), table.cell(ragged, "stars")) == ("ragged", None)
    with pytest.raises(UsageError, match=r"no column 'star'\. Did you mean 'stars'"):
        table.cell(fine, "star")


def test_a_cell_of_jsonl_is_as_json_has_it() -> None:
    line = '{"text": "a", "n": 5, "f": 1.50, "b": true, "none": null, "nan": NaN, "s": " x ", "l": [1, "é"]}'
    table = open_table(io.BytesIO(f"{line}\n[1]\n".encode()), "in", "jsonl", "text")
    row, broken = table.rows()
    assert [table.cell(row, name) for name in "n f b none nan s l missing".split()] == [
        *["5", "1.5", "true", None, None, " x ", '[1, "é"]', None]
    ]
    assert table.cell(broken, "n") is None


@pytest.mark.parametrize(("data", "kind"), [(b"text,id\na,1\n", "csv"), (b'{"text": "a", "id": 1}\n', "jsonl")])
def test_columns_that_will_be_asked_for_are_looked_for_at_once(data: bytes, kind: str) -> None:
    with pytest.raises(UsageError, match="no column 'stars'"):
        open_table(io.BytesIO(data), "in", kind, "text", also=["stars"])
