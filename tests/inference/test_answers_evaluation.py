"""Answers are compared with the truth as SQuAD's scripts do, and what the figures cannot show is said."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from polarbert.data.dataset import Dataset, LabelledText
from polarbert.data.questions import Question
from polarbert.errors import DataError, UsageError
from polarbert.inference.answerer import Answer
from polarbert.inference.answers_evaluation import AnswersEvaluation, judge_answers
from polarbert.inference.spans import AnswerSpan
from polarbert.metrics import answer_f1, exact_match

PASSAGES = ["Anna came by train from the old town.", "Paul walked, as he always does.", "It rained 3 mm."]


def question(row: int, passage: int, *truths: str, asked: str = "") -> Question:
    text = PASSAGES[passage]
    answers = tuple((truth, text.index(truth)) for truth in truths)
    values = {"title": ["people", "people", "weather"][passage]}
    return Question(text, 0, row, values, None, asked or f"question {row}?", f"id{row}", answers, not truths)


def answer(text: str, confidence: float, n_tokens: int = 12) -> Answer:
    spans = [AnswerSpan(text, 0, len(text), confidence)] if text else []
    nothing = confidence if not text else round(1 - confidence, 6)
    return Answer(text, 0, len(text), confidence, False, not text, nothing, spans, n_tokens, 1)


ROWS: list[LabelledText] = [
    question(1, 0, "Anna"),
    question(2, 0, "the old town", "old town"),
    question(3, 0),
    question(4, 1, "Paul"),
    question(5, 1, "as he always does"),
    question(6, 2, "3 mm"),
    question(7, 2),
    question(8, 2, "It rained"),
]
ANSWERS = [
    answer("Anna", 0.9),
    answer("old town.", 0.8),
    answer("train", 0.7),
    answer("", 0.6),
    answer("he always does", 0.95),
    answer("3 mm", 0.5, 40),
    answer("", 0.85, 40),
    answer("It rained 3", 0.3, 40),
]
DATASET = Dataset("questions.json", ROWS, ["start", "end"], "qa", {"empty question": 2, "none": 0}, ("a note",))


@pytest.fixture(scope="module")
def evaluation() -> AnswersEvaluation:
    return judge_answers(DATASET, ANSWERS, 0.6, seconds=2.0, by=["title"], about={"model": "m"})


def test_questions_that_were_cut_are_counted_and_the_first_one_is_named() -> None:
    answers = [replace(one, n_cut=3) if number in (2, 5) else one for number, one in enumerate(ANSWERS)]
    [said] = [note for note in judge_answers(DATASET, answers, 0.6).notes if "cut there" in note]
    assert said.endswith("and cut there: 2 (the first: question 3)")
    assert not [note for note in judge_answers(DATASET, ANSWERS, 0.6).notes if "cut there" in note]


def test_figures_are_means_over_questions_and_of_both_parts(evaluation: AnswersEvaluation) -> None:
    truths = [row.truths for row in ROWS if isinstance(row, Question)]
    exact = [exact_match(a.text, t) for a, t in zip(ANSWERS, truths, strict=True)]
    f1 = [answer_f1(a.text, t) for a, t in zip(ANSWERS, truths, strict=True)]
    assert exact == [True, True, False, False, False, True, True, False]
    assert (evaluation.n, evaluation.passages) == (8, 3)
    assert evaluation.exact_match.value == 0.5
    assert evaluation.f1.value == pytest.approx(np.mean(f1))
    assert evaluation.has_answer is not None
    assert evaluation.no_answer is not None
    with_answer = [0, 1, 3, 4, 5, 7]
    assert evaluation.has_answer.n == 6
    assert evaluation.has_answer.exact_match.value == pytest.approx(3 / 6)
    assert evaluation.has_answer.f1.value == pytest.approx(np.mean([f1[n] for n in with_answer]))
    assert evaluation.has_answer.declined == pytest.approx(1 / 6)
    assert (evaluation.no_answer.n, evaluation.no_answer.f1.value, evaluation.no_answer.declined) == (2, 0.5, 0.5)
    assert list(evaluation.headline()) == ["F1", "exact match"]


def test_confidence_is_judged_by_exact_matches(evaluation: AnswersEvaluation) -> None:
    assert evaluation.sure.threshold == 0.6
    assert evaluation.sure.share == 6 / 8
    assert evaluation.sure.accuracy is not None
    assert evaluation.sure.accuracy.value == pytest.approx(3 / 6)
    assert evaluation.coverage.accuracy[-1] == 0.5
    assert evaluation.coverage.accuracy[0] == 0.0  # the surest answer is wrong
    (group,) = evaluation.calibration.bins
    assert (group.accuracy, group.count) == (0.5, 8)
    assert group.confidence == pytest.approx(np.mean([a.confidence for a in ANSWERS]))


def test_the_most_confident_wrong_answers_come_first(evaluation: AnswersEvaluation) -> None:
    assert [(error.row, error.answer, error.confidence) for error in evaluation.errors] == [
        (5, "he always does", 0.95),
        (3, "train", 0.7),
        (4, "", 0.6),
        (8, "It rained 3", 0.3),
    ]
    assert evaluation.errors[0].truths == ["as he always does"]
    assert evaluation.errors[1].truths == []
    assert (evaluation.errors[0].id, evaluation.errors[0].question) == ("id5", "question 5?")


def test_groups_are_by_length_and_by_column() -> None:
    rows = [replace(row, row=number) for number, row in enumerate(ROWS * 10, 1)]
    found = judge_answers(replace(DATASET, rows=rows), ANSWERS * 10, 0.6, by=["title"])
    assert [(group.name, group.n) for group in found.by_length] == [("up to 16", 50), ("17 to 64", 30)]
    assert [(group.name, group.n) for group in found.by_column["title"]] == [("people", 50), ("weather", 30)]
    assert found.by_length[1].exact_match.value == pytest.approx(2 / 3)
    assert found.by_length[1].confidence == pytest.approx((0.5 + 0.85 + 0.3) / 3)


def test_the_figures_as_json_and_as_text(evaluation: AnswersEvaluation) -> None:
    values = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert values["exact_match"]["value"] == 0.5
    assert values["skipped"] == {"empty question": 2}
    assert values["no_answer"]["n"] == 2
    assert values["about"]["model"] == "m"
    text = evaluation.text(100)
    lines = text.splitlines()
    assert lines[0] == "questions.json: 8 questions about 3 passages judged, 2 left out: empty question 2"
    assert any(line.startswith("exact match") and " 0.500 " in line for line in lines)
    assert any(line.startswith("  without one, F1") and "2 questions, 50.0% of them" in line for line in lines)
    assert any("question 5" in line and "95%" in line for line in lines)
    assert "note: a note" in lines
    assert "4 questions/s, 2.0 s" in lines
    assert max(map(len, evaluation.text(60).splitlines())) <= 60


def test_parts_that_are_not_there_are_none() -> None:
    answered = [0, 1, 3]
    data = replace(DATASET, rows=[ROWS[n] for n in answered])
    found = judge_answers(data, [ANSWERS[n] for n in answered], 0.0)
    assert found.no_answer is None
    assert found.has_answer is not None
    assert found.has_answer.n == 3
    assert "without one" not in found.text(100)
    unanswerable = replace(DATASET, rows=[ROWS[2], ROWS[6]])
    found = judge_answers(unanswerable, [ANSWERS[6], ANSWERS[6]], 0.0)
    assert found.has_answer is None
    assert any("no question has an answer" in note for note in found.notes)
    assert any("no answer is wrong; of as many other questions" in note for note in found.notes)


def test_a_question_without_words_is_never_sure() -> None:
    data = replace(DATASET, rows=[question(1, 0, "Anna", asked="?"), ROWS[0]])
    found = judge_answers(data, [answer("Anna", 0.9), answer("Anna", 0.9)], 0.5)
    assert found.sure.share == 0.5


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(DataError, match=r"questions\.json: there is no question to judge"):
        judge_answers(replace(DATASET, rows=[]), [], 0.5)
    with pytest.raises(UsageError, match="8 questions and 7 answers"):
        judge_answers(DATASET, ANSWERS[1:], 0.5)
    with pytest.raises(UsageError, match="no question has a 'topic'"):
        judge_answers(DATASET, ANSWERS, 0.5, by=["topic"])
