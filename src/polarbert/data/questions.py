"""Questions about passages, with their answers: SQuAD's JSON, versions 1.1 and 2.0, and one JSON object a line.

Rajpurkar et al. 2016, "SQuAD: 100,000+ questions for machine comprehension of text"; Rajpurkar et al. 2018, "Know what
you don't know: unanswerable questions for SQuAD".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polarbert.bundle import QA_LABELS
from polarbert.data.dataset import UNREADABLE, Dataset, LabelledText
from polarbert.data.inputs import input_name, open_input
from polarbert.data.question_formats import MAX_BYTES, QuestionRecord, question_records
from polarbert.data.rows import as_sentence, text_problem
from polarbert.errors import DataError

EMPTY_PASSAGE, EMPTY_QUESTION = "empty passage", "empty question"
NO_ANSWER, LOST_ANSWER = "no answer given", "answer not in its passage"
LINES = (".jsonl", ".ndjson")

Span = tuple[str, int]  # an answer and where it starts in its passage, in characters


@dataclass(frozen=True)
class Question(LabelledText):
    """A question about a passage, which is the `text`.

    Attributes:
        question: what is asked.
        id: the name that its source gives it.
        answers: of each annotator the answer and where it starts, in characters: `text[start : start + len(answer)]`
            is the answer. Empty when there is none.
        impossible: the passage does not hold the answer.
    """

    question: str = ""
    id: str = ""
    answers: tuple[Span, ...] = ()
    impossible: bool = False

    @property
    def content(self) -> str:
        """All that the model reads."""
        return f"{self.text}\n{self.question}"

    @property
    def topic(self) -> str:
        """The passage: whoever has read it has an easier time with its other questions."""
        return self.text

    @property
    def annotation(self) -> tuple[Any, ...]:
        """Whether there is an answer: of several, each may be right."""
        return (self.impossible,)

    @property
    def truths(self) -> list[str]:
        """The answers without their places, as `polarbert.metrics.exact_match` takes them."""
        return [text for text, _ in self.answers]


def has_impossible(rows: Iterable[LabelledText]) -> bool:
    """Whether any question is one that its passage does not answer."""
    return any(isinstance(row, Question) and row.impossible for row in rows)


def read_questions(path: str | Path) -> Dataset:
    """Read questions, their passages and their answers.

    A row that cannot be used is left out and counted. An answer that is not at its offset is taken from where it stands
    nearest, as whole words if it does anywhere; blanks may differ there. The title of the article, where there is one,
    is kept in `values`.

    Args:
        path: of a file in SQuAD's JSON ({"version", "data": [{"title", "paragraphs": [{"context", "qas": [{"id",
            "question", "answers": [{"text", "answer_start"}], "is_impossible"}]}]}]}), or of JSONL whose objects have
            "context", "question", "answers" ({"text": [...], "answer_start": [...]}) and, if need be, "id", "title" and
            "is_impossible"; "-" for stdin. In JSONL, and in a file of version 2, a question without answers is one that
            its passage does not answer.

    Raises:
        UsageError: when there is no such file.
        DataError: when the file is neither, is too large, or no question can be used.

    Example:
        >>> dataset = read_questions("questions.json")
        >>> dataset.rows[0].question, dataset.rows[0].answers[0]
        ('Which Android phones can run Lanternfish?', ('Android 9 or later', 75))
    """
    name = input_name(path)
    found = _Reading(name)
    with open_input(path) as stream:
        for record in question_records(stream, name, Path(path).suffix.lower() in LINES):
            found.take(record)
    return found.dataset()


class _Reading:
    """What is gathered, question by question."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rows: list[LabelledText] = []
        self._passages: dict[str, str] = {}  # each is kept once, however many questions it has
        self._ids: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()  # by what was repaired: questions
        self._first: dict[str, str] = {}  # the first of them
        self._notes: list[str] = []
        self._count = 0

    def take(self, record: QuestionRecord) -> None:
        """One question more."""
        self._count += 1
        fields = record.fields
        where = self._where(fields)
        if problem := record.problem or _problem(fields):
            self._skip(UNREADABLE, where, f", the first that cannot be read: {problem}")
        elif not fields["context"].strip():
            self._skip(EMPTY_PASSAGE, where)
        elif not fields["question"].strip():
            self._skip(EMPTY_QUESTION, where)
        else:
            self._take_answers(fields, where, record.answerless)

    def _take_answers(self, fields: Mapping[str, Any], where: str, answerless: bool) -> None:
        given = _given_answers(fields.get("answers"))
        flag = fields.get("is_impossible")
        impossible = bool(flag) if flag is not None else answerless and not given
        if impossible:
            if given:
                self._see("contradiction", where)
            self._add(fields, (), impossible=True)
            return
        if not given:
            self._skip(NO_ANSWER, where)
            return
        placed = [_place(fields["context"], text, start) for text, start in given]
        answers = tuple((found.text, found.start) for found in placed if found is not None)
        if not answers:
            self._skip(LOST_ANSWER, where)
            return
        if any(found is not None and found.moved for found in placed):
            self._see("moved", where)
        if len(answers) < len(given):
            self._see("lost", where)
        self._add(fields, answers, impossible=False)

    def _add(self, fields: Mapping[str, Any], answers: tuple[Span, ...], impossible: bool) -> None:
        passage = self._passages.setdefault(fields["context"], fields["context"])
        title = fields.get("title")
        values = {"title": title} if isinstance(title, str) and text_problem(title) is None else {}
        name = str(fields["id"]) if _is_id(fields.get("id")) else str(self._count)
        self._ids[name] += 1
        self._rows.append(
            Question(passage, 0, self._count, values, None, fields["question"], name, answers, impossible)
        )

    def dataset(self) -> Dataset:
        """All that can be used.

        Raises:
            DataError: when nothing can.
        """
        reasons = "; ".join(f"{why}: {count:,}" for why, count in self._skipped.items())
        if not self._count:
            raise DataError(f"{self._name}: holds no questions")
        if not self._rows:
            said = "".join(f". {as_sentence(note, self._name)}" for note in self._notes)
            raise DataError(f"{self._name}: none of its {self._count:,} questions can be used ({reasons}){said}")
        notes = (*self._notes, *self._repairs())
        return Dataset(self._name, self._rows, list(QA_LABELS), "qa", dict(self._skipped), notes)

    def _repairs(self) -> Iterator[str]:
        said = {
            "moved": "had an answer that was not at its offset: it is taken from where it stands nearest",
            "lost": "had, beside others, an answer that its passage does not have: it is left out",
            "contradiction": "had answers though marked as impossible: it counts as impossible",
        }
        for name, what in said.items():
            if count := self._seen[name]:
                yield f"{_questions(count)} {what} (the first: {self._first[name]})"
        if repeated := [name for name, count in self._ids.items() if count > 1]:
            yield f"{len(repeated):,} ids stand for more than one question (the first: {_shown(repeated[0])})"

    def _where(self, fields: Mapping[str, Any]) -> str:
        name = fields.get("id")
        return f"question {self._count:,}" + (f" (id {_shown(str(name))})" if _is_id(name) else "")

    def _skip(self, reason: str, where: str, why: str | None = None) -> None:
        if not self._skipped[reason]:
            self._notes.append(f"{where} is left out{why or f', the first of them: {reason}'}")
        self._skipped[reason] += 1

    def _see(self, what: str, where: str) -> None:
        self._seen[what] += 1
        self._first.setdefault(what, where)


@dataclass(frozen=True)
class _Placed:
    """An answer where it stands in its passage; `moved` when that is not where it was said to stand."""

    text: str
    start: int
    moved: bool


def _place(passage: str, answer: str, start: int | None) -> _Placed | None:
    """Find an answer, without blanks around it: whole words rather than a piece of one, then what stands nearest.

    None when the passage does not have it.
    """
    bare = answer.strip()
    if start is not None:
        begin = start + len(answer) - len(answer.lstrip())
        if begin >= 0 and passage.startswith(bare, begin):
            return _Placed(bare, begin, moved=False)
    words = r"\s+".join(map(re.escape, bare.split()))
    whole = rf"(?:(?<!\w)|(?!\w)){words}(?:(?!\w)|(?<!\w))"
    for pattern in (whole, words):
        there = min(re.finditer(pattern, passage), key=lambda found: abs(found.start() - (start or 0)), default=None)
        if there is not None:
            return _Placed(there.group(), there.start(), moved=True)
    return None


def _given_answers(answers: Any) -> list[tuple[str, int | None]]:
    """The answers of a checked record that are not blank."""
    if isinstance(answers, Mapping):
        starts = answers.get("answer_start") or []
        pairs = [(text, starts[n] if n < len(starts) else None) for n, text in enumerate(answers["text"])]
    else:
        pairs = [(answer["text"], answer.get("answer_start")) for answer in answers or []]
    return [(text, _offset(start)) for text, start in pairs if text.strip()]


def _offset(value: Any) -> int | None:
    """A place, or None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_BYTES:  # NaN neither
        return None
    return int(value)


def _problem(fields: Mapping[str, Any]) -> str | None:
    """What keeps a question from being read, or None."""
    for name in ("context", "question"):
        value = fields.get(name)
        if value is not None and not isinstance(value, str):
            return f"{name!r} is {type(value).__name__}, not text"
        if value is None:
            return f"it has no {name!r}"
        if problem := text_problem(value):
            return problem
    flag = fields.get("is_impossible")
    if flag not in (None, True, False):
        return f"'is_impossible' is {flag!r:.40}, neither true nor false"
    return _answers_problem(fields.get("answers"))


def _answers_problem(answers: Any) -> str | None:
    """What is wrong with the form of the answers: a list of objects, or an object of two lists."""
    texts: Any = None
    if isinstance(answers, Mapping) and isinstance(answers.get("answer_start"), list | None):
        texts = answers.get("text")
    elif isinstance(answers, list) and all(isinstance(answer, Mapping) for answer in answers):
        texts = [answer.get("text") for answer in answers]
    if answers is None or (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
        return None
    return "'answers' is neither a list of objects with a text each, nor an object with a list of texts"


def _is_id(value: Any) -> bool:
    return (isinstance(value, str) and text_problem(value) is None) or type(value) is int


def _questions(count: int) -> str:
    return f"{count:,} question" if count == 1 else f"{count:,} questions"


def _shown(name: str) -> str:
    return repr(name) if len(name) <= 40 else f"{name[:40]!r}…"
