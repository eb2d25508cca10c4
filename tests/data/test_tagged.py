"""Tagged words come out of every kind of file; what is wrong with them is repaired or left out, counted and told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polarbert.data.dataset import Dataset
from polarbert.data.tagged import TaggedText, read_tagged, tagged_text
from polarbert.errors import DataError, UsageError

EXAMPLE = Path(__file__).parents[2] / "examples/mentions.conll"
ROWS = [
    (["Orla", "fails", "in", "New", "Leeds", "."], ["B-product", "O", "O", "B-place", "I-place", "O"]),
    (["Café", "Ü", "works"], ["B-place", "I-place", "O"]),
]
LABELS = ["O", "B-place", "I-place", "B-product", "I-product"]


def as_conll(separator: str = " ", middle: str = "") -> str:
    texts = [
        "\n".join(f"{word}{separator}{middle}{tag}" for word, tag in zip(words, tags, strict=True))
        for words, tags in ROWS
    ]
    return "\n\n".join(texts) + "\n"


def as_jsonl() -> str:
    return "".join(json.dumps({"id": n, "tokens": words, "tags": tags}) + "\n" for n, (words, tags) in enumerate(ROWS))


def as_csv(delimiter: str = ",") -> str:
    cells = [[json.dumps(words, ensure_ascii=False), json.dumps(tags)] for words, tags in ROWS]
    lines = [delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in cells]
    return "\n".join([delimiter.join(["tokens", "tags"]), *lines]) + "\n"


def write_parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    words, tags = zip(*ROWS, strict=True)
    pq.write_table(pa.table({"id": [1, 2], "tokens": list(words), "tags": list(tags)}), path)


def read(folder: Path, content: str, name: str = "in.conll", **options: str) -> Dataset:
    path = folder / name
    path.write_bytes(content.encode(options.get("encoding", "utf-8")))
    return read_tagged(path, **options)


def tagged(dataset: Dataset) -> list[TaggedText]:
    rows = [row for row in dataset.rows if isinstance(row, TaggedText)]
    assert len(rows) == len(dataset.rows)
    return rows


def words_and_tags(dataset: Dataset) -> list[tuple[list[str], list[str]]]:
    return [
        ([row.text[start:end] for start, end in row.words], [dataset.labels[tag] for tag in row.tags])
        for row in tagged(dataset)
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.conll", as_conll()),
        ("in.bio", as_conll("\t")),
        ("in.txt", as_conll("   ")),
        ("in.iob", as_conll(" ", "NN B-NP ")),
        ("in.conll", as_conll().replace("\n", "\r\n")),
        ("in.conll", "-DOCSTART- -X- O\n\n# id = 7\n" + as_conll() + "\n\n-DOCSTART- O\n"),
        ("in.conll", "\ufeff" + as_conll()),
        ("in.jsonl", as_jsonl()),
        ("in.csv", as_csv()),
        ("in.tsv", as_csv("\t")),
    ],
)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, content: str) -> None:
    dataset = read(tmp_path, content, name)
    assert words_and_tags(dataset) == ROWS
    assert (dataset.task, dataset.labels, dataset.notes, dict(dataset.skipped)) == ("tagging", LABELS, (), {})
    assert [(row.text, row.row, row.label) for row in dataset.rows] == [
        ("Orla fails in New Leeds .", 1, 0),
        ("Café Ü works", 2, 0),
    ]


def test_parquet_gives_the_same_rows(tmp_path: Path) -> None:
    write_parquet(tmp_path / "in.parquet")
    assert words_and_tags(read_tagged(tmp_path / "in.parquet")) == ROWS


def test_numbers_of_tags_go_by_the_names_that_a_file_of_the_hub_has(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ["O", "B-product", "I-product", "B-place", "I-place"]
    feature = {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "Sequence"}
    table = pa.table(
        {"tokens": [words for words, _ in ROWS], "ner": [[names.index(t) for t in tags] for _, tags in ROWS]}
    )
    path = tmp_path / "in.parquet"
    pq.write_table(
        table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": {"ner": feature}}})}), path
    )
    assert words_and_tags(read_tagged(path, tags_column="ner")) == ROWS

    pq.write_table(table, path)
    with pytest.raises(DataError, match=r"Row 1 is left out.*a tag is 1, not text; write tags by their names"):
        read_tagged(path, tags_column="ner")


def test_other_columns_and_encodings_can_be_named(tmp_path: Path) -> None:
    content = as_jsonl().replace("tokens", "w").replace("tags", "t")
    assert words_and_tags(read(tmp_path, content, "in.jsonl", tokens_column="w", tags_column="t")) == ROWS
    assert words_and_tags(read(tmp_path, as_conll(), "in.data", kind="conll", encoding="cp1252")) == ROWS


def test_iob1_becomes_bio_and_is_told(tmp_path: Path) -> None:
    dataset = read(tmp_path, "Anna I-PER\nMay I-PER\nBo B-PER\nin O\nYork I-LOC\n")
    assert words_and_tags(dataset)[0][1] == ["B-PER", "I-PER", "B-PER", "O", "B-LOC"]
    assert dataset.notes == ("the tags are IOB1, and became BIO: 2 entities begin with I-",)


def test_small_letters_are_read_as_capital_ones_and_told(tmp_path: Path) -> None:
    dataset = read(tmp_path, "Orla b-PER\nKay i-PER\nis o\nhere O\n")
    assert [dataset.labels[number] for number in tagged(dataset)[0].tags] == ["B-PER", "I-PER", "O", "O"]
    assert dataset.notes == (
        "tags with small letters, read as with capital ones: 'b-PER' once, 'i-PER' once, 'o' once",
    )


def test_bioes_becomes_bio_and_is_told(tmp_path: Path) -> None:
    dataset = read(tmp_path, "Anna B-PER\nMay E-PER\nin O\nYork S-LOC\n")
    assert words_and_tags(dataset)[0][1] == ["B-PER", "I-PER", "O", "B-LOC"]
    assert dataset.notes == ("the tags are BIOES, and became BIO: 'E-PER' once, 'S-LOC' once",)


def test_impossible_bio_is_repaired_counted_and_placed(tmp_path: Path) -> None:
    content = "It O\n\nAnna B-PER\nMay I-LOC\n\nYork I-LOC\nis O\nI I-PER\n\nBo B-PER\n"
    dataset = read(tmp_path, content)
    assert [tags for _, tags in words_and_tags(dataset)] == [
        ["O"],
        ["B-PER", "B-LOC"],
        ["B-LOC", "O", "B-PER"],
        ["B-PER"],
    ]
    told = (
        "I- where no entity of its type is before it, in 2 of the texts, read as B-: 'I-LOC' 2 times, 'I-PER' once. "
        "The first is in the text at line 3"
    )
    assert dataset.notes == (told,)


def test_types_without_a_prefix_are_types(tmp_path: Path) -> None:
    dataset = read(tmp_path, "Anna PER\nMay PER\nin O\nYork LOC\n")
    assert words_and_tags(dataset)[0][1] == ["B-PER", "I-PER", "O", "B-LOC"]
    assert "taken for types" in dataset.notes[0]
    assert "'PER' 2 times, 'LOC' once" in dataset.notes[0]


def test_rows_that_cannot_be_used_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    rows = [
        {"tokens": ["Leeds"], "tags": ["B-place"]},
        {"tokens": ["a", "b"], "tags": ["O"]},
        {"tokens": ["a"], "tags": ["O", "O"]},
        {"tokens": ["a", " "], "tags": ["O", "O"]},
        {"tokens": ["a", "b"], "tags": ["O", ""]},
        {"tokens": [], "tags": []},
        {"tokens": "a b", "tags": ["O", "O"]},
        {"tags": ["O"]},
        {"tokens": [1], "tags": ["O"]},
        {"tokens": ["half \ud83d"], "tags": ["O"]},
        {"tokens": ["York"], "tags": ["B-place"]},
    ]
    content = "".join(json.dumps(row) + "\n" for row in rows) + "{broken\n"
    dataset = read(tmp_path, content, "in.jsonl")
    assert [(row.text, row.row) for row in dataset.rows] == [("Leeds", 1), ("York", 11)]
    assert dict(dataset.skipped) == {
        "words and tags of unequal number": 2,
        "empty word": 1,
        "empty tag": 1,
        "no words": 1,
        "unreadable row": 5,
    }
    notes = "\n".join(dataset.notes)
    assert (
        "row 2 is left out, the first with this fault (words and tags of unequal number): 2 words and 1 tags" in notes
    )
    assert "row 4 is left out, the first with this fault (empty word): number 2 of its 2 words" in notes
    assert "row 7 is left out, the first with this fault (unreadable row): 'tokens' is 'a b', no list" in notes


def test_a_line_without_a_tag_spoils_its_text_alone(tmp_path: Path) -> None:
    dataset = read(tmp_path, "Leeds B-place\n\nIt O\nis\nfine O\n\nYork B-place\n")
    assert dataset.texts == ["Leeds", "York"]
    assert dict(dataset.skipped) == {"unreadable row": 1}
    told = (
        "the text at line 3 is left out, the first with this fault (unreadable row): line 4 has one column, 'is'; it "
        "needs a word and its tag"
    )
    assert dataset.notes == (told,)


def test_bytes_without_a_meaning_spoil_their_text_alone(tmp_path: Path) -> None:
    (tmp_path / "in.conll").write_bytes(b"caf\xe9 O\n\nLeeds B-place\n")
    dataset = read_tagged(tmp_path / "in.conll")
    assert dataset.texts == ["Leeds"]
    assert any("--encoding cp1252" in note for note in dataset.notes)


def test_where_tabs_part_the_columns_a_word_may_hold_a_blank(tmp_path: Path) -> None:
    dataset = read(tmp_path, "New York\tB-place\nit\tO\n")
    assert words_and_tags(dataset) == [(["New York", "it"], ["B-place", "O"])]


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("in.conll", "\n\n", DataError, "has no texts"),
        ("in.conll", "", DataError, "is empty"),
        ("in.conll", "It O\nis O\n", DataError, "every word is 'O'"),
        ("in.txt", "I love it\nIt broke\n", DataError, "no tag is O or begins with B- or I-.*'broke' once, 'it' once"),
        ("in.jsonl", '{"words": ["a"], "tags": ["O"]}\n', UsageError, "no column 'tokens'"),
        ("in.csv", "tokens,tags\nIt is,O O\n", DataError, r"Row 1 is left out.*'It is', no list. Write a list"),
        ("in.xml", "", UsageError, r"cannot tell the format.*--format conll"),
        ("in.csv", 'tokens,tags\n"[""a"",', DataError, "quotation mark opens here and is never closed"),
    ],
)
def test_what_is_no_file_of_tagged_words_is_named(
    tmp_path: Path, name: str, content: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read(tmp_path, content, name)


def test_columns_of_parquet_must_hold_lists(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"tokens": ["a b"], "words": [["a", "b"]], "tags": [["O", "B-x"]]}), path)
    with pytest.raises(UsageError, match=r"'tokens' is string, not lists\. The columns of lists are 'words', 'tags'"):
        read_tagged(path)
    assert read_tagged(path, "words").texts == ["a b"]
    with pytest.raises(UsageError, match="--encoding is for conll, csv and jsonl"):
        read_tagged(path, encoding="utf-8")
    with pytest.raises(UsageError, match="cannot both be in the column 'tags'"):
        read_tagged(path, "tags")
    with pytest.raises(UsageError, match="--format is 'xls'"):
        read_tagged(path, kind="xls")


@given(st.lists(st.tuples(st.text(min_size=1, max_size=5), st.integers(0, 3)), min_size=1, max_size=6))
def test_offsets_are_those_of_the_words(pairs: list[tuple[str, int]]) -> None:
    words, tags = [word for word, _ in pairs], [tag for _, tag in pairs]
    row = tagged_text(words, tags, 7)
    assert [row.text[start:end] for start, end in row.words] == words
    assert (row.tags, row.row) == (tuple(tags), 7)


def test_the_example_file_is_whole() -> None:
    dataset = read_tagged(EXAMPLE)
    assert len(dataset.rows) >= 120
    assert dataset.labels == [
        "O",
        *(f"{kind}-{name}" for name in ("company", "place", "product", "version") for kind in "BI"),
    ]
    assert (dataset.notes, dict(dataset.skipped)) == ((), {})
    assert len(set(dataset.texts)) == len(dataset.rows)
