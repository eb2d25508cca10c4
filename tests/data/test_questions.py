"""Questions come out of SQuAD's JSON and of JSONL, their answers stand where they say, and what is repaired is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polarbert.data import question_formats, questions
from polarbert.data.dataset import Dataset
from polarbert.data.leaks import find_leaks
from polarbert.data.questions import Question, has_impossible, read_questions
from polarbert.data.splits import make_splits
from polarbert.errors import DataError, UsageError

PASSAGE = "Anna came from Łódź by train. Paul came by train, too; Anna's dog walked."
EXAMPLE = Path(__file__).parents[2] / "examples/questions.json"


def answer(text: str, start: Any = None) -> dict[str, Any]:
    return {"text": text, "answer_start": PASSAGE.find(text) if start is None else start}


def asked(answers: Any = None, **fields: Any) -> dict[str, Any]:
    return {"id": "q1", "question": "Who came?", "answers": [answer("Anna")] if answers is None else answers, **fields}


def squad(*questions: Any, context: Any = PASSAGE, version: str = "1.1") -> str:
    paragraphs = [{"context": context, "qas": list(questions)}]
    return json.dumps({"version": version, "data": [{"title": "Travel", "paragraphs": paragraphs}]})


def read(folder: Path, content: str | bytes, name: str = "squad.json") -> Dataset:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return read_questions(path)


def rows_of(dataset: Dataset) -> list[Question]:
    return [row for row in dataset.rows if isinstance(row, Question)]


def one(dataset: Dataset) -> Question:
    (row,) = rows_of(dataset)
    return row


def test_a_file_of_version_1(tmp_path: Path) -> None:
    dataset = read(tmp_path, squad(asked([answer("Łódź"), answer("from Łódź"), answer("Łódź")]), asked(id="q2")))
    assert (dataset.task, dataset.labels, dict(dataset.skipped), dataset.notes) == ("qa", ["start", "end"], {}, ())
    first, second = rows_of(dataset)
    assert (first.text, first.question, first.id, first.row) == (PASSAGE, "Who came?", "q1", 1)
    assert first.answers == (("Łódź", 15), ("from Łódź", 10), ("Łódź", 15))
    assert first.truths == ["Łódź", "from Łódź", "Łódź"]
    assert dict(first.values) == {"title": "Travel"}
    assert (second.id, second.row, second.impossible) == ("q2", 2, False)
    assert first.text is second.text, "a passage is held once, however many questions it has"


def test_a_file_of_version_2_says_what_has_no_answer(tmp_path: Path) -> None:
    marked = asked([], id="q2", is_impossible=True, plausible_answers=[answer("Paul")])
    dataset = read(tmp_path, squad(asked(is_impossible=False), marked, asked([], id="q3"), version="v2.0"))
    assert [(row.answers, row.impossible) for row in rows_of(dataset)] == [
        ((("Anna", 0),), False),
        ((), True),
        ((), True),
    ]
    assert has_impossible(dataset.rows)
    assert not has_impossible(dataset.rows[:1])


def test_lines_as_the_hub_has_them(tmp_path: Path) -> None:
    lines = [
        {
            "id": "a",
            "title": "T",
            "context": PASSAGE,
            "question": "Who?",
            "answers": {"text": ["Paul"], "answer_start": [30]},
        },
        {"context": PASSAGE, "question": "What barked?", "answers": {"text": [], "answer_start": []}},
        {"context": PASSAGE, "question": "How?", "answers": [answer("by train")]},
    ]
    content = "\n\n" + "\r\n".join(json.dumps(line) for line in lines) + "\n"
    for name in ("q.jsonl", "q.json", "anything"):  # the first line says what it is, whatever the name
        dataset = read(tmp_path, content, name)
        assert [(row.id, row.answers, row.impossible) for row in rows_of(dataset)] == [
            ("a", (("Paul", 30),), False),
            ("2", (), True),
            ("3", (("by train", 20),), False),
        ]
        assert dataset.notes == ()
        assert [dict(row.values) for row in dataset.rows] == [{"title": "T"}, {}, {}]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (answer("Paul", 0), ("Paul", 30)),
        (answer("Anna", 40), ("Anna", 55)),  # the nearer one of two
        (answer("Anna", 1), ("Anna", 0)),
        (answer("Paul", -43), ("Paul", 30)),  # what Python would count from the end
        (answer("Paul", 10**9), ("Paul", 30)),
        ({"text": "Paul"}, ("Paul", 30)),
        ({"text": "Paul", "answer_start": float("nan")}, ("Paul", 30)),
        ({"text": "Paul", "answer_start": "30"}, ("Paul", 30)),
        (answer("Paul  came\nby", 30), ("Paul came by", 30)),
    ],
)
def test_an_answer_that_is_not_at_its_offset_is_taken_from_where_it_stands_nearest(
    tmp_path: Path, given: dict[str, Any], found: tuple[str, int]
) -> None:
    dataset = read(tmp_path, squad(asked(), asked([given], id="bad")))
    assert rows_of(dataset)[1].answers == (found,)
    assert dataset.notes == (
        (
            "1 question had an answer that was not at its offset: it is taken from where it stands nearest "
            "(the first: question 2 (id 'bad'))"
        ),
    )


@pytest.mark.parametrize(
    ("passage", "wanted", "offset", "found"),
    [
        ("The Annual report says whom we met: Ann.", "Ann", 0, ("Ann", 36)),
        ("Born in 1945, he had 4 brothers.", "4", 9, ("4", 21)),
        ("It costs US$5, not $50.", "$5", 12, ("$5", 11)),
        ("Die Schneemänner schmolzen.", "männer", 0, ("männer", 10)),  # nowhere a word of its own
        ("東京都に住む", "東京", 3, ("東京", 0)),
    ],
)
def test_an_answer_is_rather_found_as_whole_words(
    tmp_path: Path, passage: str, wanted: str, offset: int, found: tuple[str, int]
) -> None:
    dataset = read(tmp_path, squad(asked([{"text": wanted, "answer_start": offset}]), context=passage))
    assert one(dataset).answers == (found,)


def test_blanks_around_an_answer_are_no_fault(tmp_path: Path) -> None:
    dataset = read(tmp_path, squad(asked([{"text": " Paul ", "answer_start": 29}])))
    assert one(dataset).answers == (("Paul", 30),)
    assert dataset.notes == ()


def test_an_answer_that_is_nowhere_leaves_its_question_out_unless_there_is_another(tmp_path: Path) -> None:
    lost = [asked([answer("Maria", 3)], id=name) for name in ("x", "y")]
    dataset = read(tmp_path, squad(*lost, asked([answer("Maria", 3), answer("Paul")], id="z")))
    assert one(dataset).answers == (("Paul", 30),)
    assert dict(dataset.skipped) == {"answer not in its passage": 2}
    assert dataset.notes == (
        "question 1 (id 'x') is left out, the first of them: answer not in its passage",
        (
            "1 question had, beside others, an answer that its passage does not have: it is left out "
            "(the first: question 3 (id 'z'))"
        ),
    )


def test_a_question_without_any_answer_is_told_from_one_that_has_none(tmp_path: Path) -> None:
    dataset = read(
        tmp_path,
        squad(asked(), asked([], id="e"), asked([answer("  ", 0)], id="f"), {**asked(id="g"), "answers": None}),
    )
    assert [row.id for row in rows_of(dataset)] == ["q1"]
    assert dict(dataset.skipped) == {"no answer given": 3}
    flagged = read(tmp_path, squad(asked(), asked([], id="e", is_impossible=False), version="v2.0"))
    assert dict(flagged.skipped) == {"no answer given": 1}


def test_an_impossible_question_with_answers_stays_impossible(tmp_path: Path) -> None:
    dataset = read(tmp_path, squad(asked(is_impossible=True)))
    assert (one(dataset).answers, one(dataset).impossible) == ((), True)
    assert "had answers though marked as impossible" in dataset.notes[0]


def test_what_is_empty_is_left_out_counted_and_named(tmp_path: Path) -> None:
    good = asked(id="good")
    broken = [asked(question=" ", id="b"), asked(question=None, id="c"), asked(question=7, id="d"), "no object"]
    broken += [asked([{"start": 1}]), asked("Anna"), asked(is_impossible="perhaps"), asked(question="half \ud83d")]
    dataset = read(tmp_path, squad(good, *broken))
    assert [row.row for row in dataset.rows] == [1]
    assert dict(dataset.skipped) == {"empty question": 1, "unreadable row": 7}
    assert dataset.notes[0] == "question 2 (id 'b') is left out, the first of them: empty question"
    assert dataset.notes[1].startswith("question 3 (id 'c') is left out, the first that cannot be read: it has no")
    empty = {"context": "\n", "qas": [asked(id="e")]}
    content = json.loads(squad(good))
    content["data"][0]["paragraphs"] += [empty, {"context": PASSAGE}, 5]
    content["data"] += ["no article", {"title": "none"}]
    dataset = read(tmp_path, json.dumps(content))
    assert dict(dataset.skipped) == {"empty passage": 1, "unreadable row": 4}
    assert "question 2 (id 'e') is left out, the first of them: empty passage" in dataset.notes
    assert "paragraph 3 of article 1 has no list of questions (qas)" in dataset.notes[1]


def test_a_bad_line_does_not_end_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question_formats, "MAX_LINE", 1000)
    good = json.dumps({"context": PASSAGE, "question": "Who?", "answers": [answer("Paul")]})
    lines = [b"{broken", good.encode(), b"[1]", b"\xff\xfe", b'{"x": "' + b"y" * 5000 + b'"}', good.encode()]
    dataset = read(tmp_path, b"\n".join(lines), "q.jsonl")
    assert [row.row for row in dataset.rows] == [2, 6]
    assert dict(dataset.skipped) == {"unreadable row": 4}
    assert "line 1 is not JSON" in dataset.notes[0]


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ("", "q.json", "is empty"),
        ("{}", "q.json", "has no list of articles"),
        ('{"data": {}}', "q.json", "has no list of articles"),
        ('{"data": []}', "q.json", "holds no questions"),
        ("[{}]", "q.json", r"holds one JSON array. Convert it: jq -c '\.\[\]'"),
        (
            json.dumps(json.loads(squad(asked([answer("Maria", 3)])))["data"]),
            "q.json",
            r"is the list of articles of a SQuAD file .* Put it back: jq '\{version: \"v2\.0\", data: \.",
        ),
        ('{"data": [', "q.json", "cannot be read as JSON"),
        (b'{"data": ["\xff"]}', "q.json", "cannot be read as JSON"),
        ("[" * 100_000, "q.json", "cannot be read as JSON"),
        ("PAR1\0\0", "q.parquet", "is a Parquet file. Write it as JSONL"),
        (
            squad(asked([answer("Maria", 3)])),
            "q.json",
            "none of its 1 questions can be used .*answer not in its passage",
        ),
    ],
)
def test_a_file_of_no_use_is_refused_with_the_reason(
    tmp_path: Path, content: str | bytes, name: str, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        read(tmp_path, content, name)


def test_a_file_larger_than_is_read_whole_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.dumps(json.loads(squad(asked())), indent=1)
    monkeypatch.setattr(question_formats, "MAX_BYTES", len(content) - 1)
    with pytest.raises(DataError, match="one JSON object is read whole"):
        read(tmp_path, content)


def test_a_missing_file_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_questions(tmp_path / "squad.json")


def test_ids_that_repeat_are_told(tmp_path: Path) -> None:
    dataset = read(tmp_path, squad(asked(), asked(question="And then?"), asked(id=5)))
    assert dataset.notes == ("1 ids stand for more than one question (the first: 'q1')",)
    assert rows_of(dataset)[2].id == "5"


WORDS = st.lists(
    st.sampled_from(["one", "two", "Łódź", "👩‍🚀", "e\u0301t", "(a)", "*", " ", "\n"]), min_size=1, max_size=12
)


@given(WORDS, st.integers(-5, 60), st.data())
def test_an_answer_always_stands_where_it_says(words: list[str], start: int, data: st.DataObject) -> None:
    passage = " ".join(words)
    first = data.draw(st.integers(0, len(passage) - 1))
    wanted = passage[first : data.draw(st.integers(first + 1, len(passage)))]
    found = questions._place(passage, wanted, start)
    if not wanted.strip():
        return
    assert found is not None
    assert passage[found.start : found.start + len(found.text)] == found.text
    assert found.text.split() == wanted.split()
    there = [place for place in range(len(passage)) if passage.startswith(found.text, place)]
    whole = [place for place in there if _is_whole(passage, place, place + len(found.text))]
    if found.moved and whole:
        assert found.start in whole
        there = whole
    assert abs(found.start - start) <= min(abs(place - start) for place in there) + len(wanted)


def _is_whole(passage: str, start: int, end: int) -> bool:
    """No word goes on over either end."""

    def goes_on(place: int) -> bool:
        around = passage[place - 1 : place + 1] if place else ""
        return len(around) == 2 and all(letter.isalnum() or letter == "_" for letter in around)

    return not goes_on(start) and not goes_on(end)


def test_the_example_is_as_its_description_says() -> None:
    dataset = read_questions(EXAMPLE)
    assert (dict(dataset.skipped), dataset.notes) == ({}, ())
    rows = rows_of(dataset)
    assert rows[0].question == "Which Android phones can run Lanternfish?"
    assert rows[0].answers[0] == ("Android 9 or later", 75)
    assert len({row.text for row in rows}) == 28
    assert len(rows) == 139
    assert sum(row.impossible for row in rows) == 25
    for row in rows:
        assert all(row.text[start : start + len(text)] == text for text, start in row.answers)


def test_all_questions_about_a_passage_stay_in_one_part_and_none_is_dropped() -> None:
    dataset = read_questions(EXAMPLE)
    splits = make_splits(dataset)
    parts = [splits.train.tolist(), splits.dev.tolist(), splits.test.tolist()]
    assert sorted(number for part in parts for number in part) == list(range(139))
    passages = [{dataset.rows[number].text for number in part} for part in parts]
    assert all(passages)
    assert sum(len(found) for found in passages) == 28
    assert [(leak.exact, leak.near) for leak in find_leaks(dataset, splits)] == [(0, 0)] * 3
