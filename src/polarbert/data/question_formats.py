"""The files that questions about passages stand in: one JSON object in SQuAD's form, or an object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from polarbert.errors import DataError

MAX_BYTES = 1 << 28  # of a file in SQuAD's JSON, which is read whole; the largest of the family has 42 MB
MAX_LINE = 1 << 26


@dataclass(frozen=True)
class QuestionRecord:
    """A question as it stands in its file, with nothing known of its types.

    Attributes:
        fields: "context", "question", "id", "title", "answers" and "is_impossible", as far as they are there.
        problem: why there are none, or None.
        answerless: whether no answers mean that there is none to be found.
    """

    fields: Mapping[str, Any]
    problem: str | None = None
    answerless: bool = False


def question_records(stream: BinaryIO, name: str, lines: bool) -> Iterator[QuestionRecord]:
    """The questions of a file: one a line, or all in one object; which of both, its first line says.

    Args:
        stream: the file, at its beginning.
        name: of the file, for messages.
        lines: one a line, whatever the first line looks like.

    Raises:
        DataError: when the file is empty, too large, or neither of both.
    """
    first, number = stream.readline(MAX_BYTES + 1), 1
    while first and not first.strip():
        first, number = stream.readline(MAX_BYTES + 1), number + 1
    if not first:
        raise DataError(f"{name}: is empty; name a file that holds questions")
    if lines or _is_row(first):
        yield from _line_records(first, number, stream)
        return
    content = first + stream.read(max(0, MAX_BYTES + 1 - len(first)))
    if len(content) > MAX_BYTES:
        raise DataError(
            f"{name}: has more than {MAX_BYTES:,} bytes, and one JSON object is read whole. Write it as JSONL, one "
            "question a line"
        )
    yield from _squad_records(_parsed(content, name), name)


def _is_row(line: bytes) -> bool:
    """True for a line that holds a whole question."""
    if len(line) > MAX_LINE:
        return False
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "data" not in value and bool({"context", "question"} & value.keys())


def _line_records(line: bytes, number: int, stream: BinaryIO) -> Iterator[QuestionRecord]:
    while line:
        if len(line) > MAX_LINE:
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE)
            yield QuestionRecord({}, f"line {number:,} has more than {MAX_LINE:,} bytes")
        elif line.strip():
            yield _line_record(line, number)
        line, number = stream.readline(MAX_LINE + 1), number + 1


def _line_record(line: bytes, number: int) -> QuestionRecord:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return QuestionRecord({}, f"line {number:,} is not JSON ({error})")
    if not isinstance(value, dict):
        return QuestionRecord({}, f"line {number:,} is no JSON object")
    return QuestionRecord(value, answerless=True)


def _parsed(content: bytes, name: str) -> Mapping[str, Any]:
    form = 'A file of questions is one object with "data" (SQuAD), or has an object a line (JSONL)'
    if content.startswith(b"PAR1"):
        raise DataError(
            f"{name}: is a Parquet file. Write it as JSONL, with an object a line, as datasets' to_json does"
        )
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: cannot be read as JSON: {error}. {form}") from error
    if isinstance(value, list) and value and _list_in(value[0], "paragraphs") is not None:
        raise DataError(
            f"{name}: is the list of articles of a SQuAD file without the object around it. Put it back: "
            f"jq '{{version: \"v2.0\", data: .}}' {name} > squad.json"
        )
    if isinstance(value, list):
        raise DataError(f"{name}: holds one JSON array. Convert it: jq -c '.[]' {name} > questions.jsonl")
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        raise DataError(f"{name}: has no list of articles. {form}")
    return cast(Mapping[str, Any], value)


def _squad_records(value: Mapping[str, Any], name: str) -> Iterator[QuestionRecord]:
    answerless = str(value.get("version", "")).lower().removeprefix("v").startswith("2")
    for number, article in enumerate(value["data"], 1):
        paragraphs = _list_in(article, "paragraphs")
        if paragraphs is None:
            yield QuestionRecord({}, f"article {number:,} of {name} has no list of paragraphs")
        for place, paragraph in enumerate(paragraphs or [], 1):
            questions = _list_in(paragraph, "qas")
            if questions is None:
                yield QuestionRecord({}, f"paragraph {place:,} of article {number:,} has no list of questions (qas)")
            for question in questions or []:
                if not isinstance(question, Mapping):
                    yield QuestionRecord({}, f"a question of paragraph {place:,} of article {number:,} is no object")
                    continue
                outer = {"title": article.get("title"), "context": paragraph.get("context")}
                yield QuestionRecord({**question, **outer}, answerless=answerless)


def _list_in(value: Any, name: str) -> Sequence[Any] | None:
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, list) else None
