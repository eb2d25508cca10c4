"""Question answering as a task of the loop: windows and their targets, the loss, the dev figures, confidence."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.training_fixtures import loss_of

from polarbert.bundle import Bundle
from polarbert.data.dataset import Dataset, LabelledText
from polarbert.data.questions import Question
from polarbert.inference.answerer import ALWAYS_ANSWERS, QuestionAnswerer
from polarbert.inference.engine import Ids
from polarbert.inference.spans import SpanScores
from polarbert.metrics import answer_f1, exact_match
from polarbert.model import BertConfig, BertForQuestionAnswering
from polarbert.text import WordPieceTokenizer
from polarbert.training.answer_confidence import fit_answers
from polarbert.training.base import Base
from polarbert.training.loop import train
from polarbert.training.question_answering import (
    EncodedQuestions,
    QuestionAnsweringKind,
    QuestionAnsweringTask,
    SpanBatch,
    SpanExample,
    answer_pieces,
    encode_questions,
)
from polarbert.training.recipe import FineTuneSettings
from polarbert.training.run import RunDirectory
from polarbert.training.settings import TrainSettings

WINDOW, OVERLAP = 32, 8
FILLERS = "the a it is was app phone film book very so and this my day week hotel food shop".split()


class NetworkEngine:
    """A network as what computes a predictor's logits."""

    name = "network"
    threads = 1

    def __init__(self, model: BertForQuestionAnswering) -> None:
        self.model = model.eval()

    @torch.inference_mode()
    def logits(self, input_ids: Ids, attention_mask: Ids, token_type_ids: Ids) -> NDArray[np.float32]:
        inputs = map(torch.from_numpy, (input_ids, attention_mask, token_type_ids))
        found: NDArray[np.float32] = self.model(*inputs).logits.numpy()
        return found


def question(text: str, *answers: str, asked: str = "how is it", row: int = 1) -> Question:
    return Question(text, 0, row, {}, None, asked, str(row), tuple((a, text.index(a)) for a in answers), not answers)


def toy_questions(count: int, seed: int, impossible: float = 0.3) -> list[LabelledText]:
    """Fillers around "good" or "bad", which is the answer; some passages have neither."""
    draw = random.Random(seed)
    rows: list[LabelledText] = []
    for row in range(1, count + 1):
        words = draw.choices(FILLERS, k=draw.randint(3, 40))
        answers = []
        if draw.random() > impossible:
            answers = [draw.choice(["good", "bad"])]
            words.insert(draw.randint(0, len(words)), answers[0])
        rows.append(question(" ".join(words), *answers, row=row))
    return rows


@pytest.fixture
def settings_() -> TrainSettings:
    return TrainSettings(
        epochs=4,
        batch_tokens=512,
        learning_rate=3e-3,
        precision="fp32",
        evaluations=2,
        checkpoint_seconds=1e9,
        threads=1,
    )


def new_model(vocab: Sequence[str], seed: int = 7) -> BertForQuestionAnswering:
    torch.manual_seed(seed)
    sizes = dict(hidden_size=32, intermediate_size=64, max_position_embeddings=WINDOW, initializer_range=0.1)
    return BertForQuestionAnswering(BertConfig.tiny(vocab_size=len(vocab), **sizes))


def task_of(
    tokenizer: WordPieceTokenizer,
    settings: TrainSettings,
    learned: Sequence[LabelledText],
    judging: Sequence[LabelledText],
    may_decline: bool = True,
) -> QuestionAnsweringTask:
    train_part, dev = (encode_questions(rows, tokenizer, WINDOW, OVERLAP) for rows in (learned, judging))
    return QuestionAnsweringTask(
        train_part.examples, {"toy": dev.examples}, 2, tokenizer, settings, {"toy": dev.judged}, may_decline
    )


@pytest.fixture
def task(tokenizer: WordPieceTokenizer, settings_: TrainSettings) -> QuestionAnsweringTask:
    return task_of(tokenizer, settings_, toy_questions(60, 1), toy_questions(40, 2))


@settings(max_examples=60)
@given(place=st.integers(0, 79), length=st.integers(1, 12))
def test_a_window_points_at_the_answer_it_holds_whole_and_else_at_cls(
    tokenizer: WordPieceTokenizer, place: int, length: int
) -> None:
    words = (FILLERS * 5)[:80]
    words[place : place + length] = [*["good"] * min(length, 80 - place)]
    passage, answer = " ".join(words), " ".join(["good"] * min(length, 80 - place))
    encoded = encode_questions([question(passage, answer)], tokenizer, WINDOW, OVERLAP)
    (good,) = tokenizer.encode(["good"])[0].ids
    assert len(encoded.examples) == len(encoded.judged[0].reading.windows) > 2
    for example in encoded.examples:
        assert example.ids[0] == 101
        hits = [at for at, piece in enumerate(example.ids) if piece == good]
        whole = len(hits) == len(answer.split())
        assert (example.start, example.end) == ((hits[0], hits[-1]) if whole else (0, 0))
    assert encoded.pieces == sum(len(example.ids) for example in encoded.examples)
    if length <= OVERLAP:
        assert any(example.start for example in encoded.examples), "neighbours share enough for a short answer"


def test_all_windows_of_a_question_without_an_answer_point_at_cls(tokenizer: WordPieceTokenizer) -> None:
    encoded = encode_questions([question("good food " * 40)], tokenizer, WINDOW, OVERLAP)
    assert len(encoded.examples) > 2
    assert all((example.start, example.end) == (0, 0) for example in encoded.examples)
    assert encoded.judged[0].truths == []


def test_the_answer_of_most_annotators_is_learned_and_the_first_of_equals(tokenizer: WordPieceTokenizer) -> None:
    passage = "the very good food"
    several = question(passage, "very good", "good", "very good food", "good")
    equal = question(passage, "very good food", "good")
    first, second = encode_questions([several, equal], tokenizer, WINDOW, OVERLAP).examples
    at = first.second_at + 2
    assert (first.start, first.end) == (at, at)
    assert (second.start, second.end) == (at - 1, at + 1)


def test_an_answer_inside_a_word_is_learned_as_the_whole_word(tokenizer: WordPieceTokenizer) -> None:
    passage = "the bookings are new"
    found = question(passage, "king")
    encoded = encode_questions([found], tokenizer, WINDOW, OVERLAP)
    pieces = answer_pieces(found, encoded.judged[0].reading)
    assert pieces is not None
    offsets = encoded.judged[0].reading.offsets
    assert passage[offsets[pieces[0]][0] : offsets[pieces[1]][1]] == "bookings"


def test_what_is_cut_or_lost_is_counted_and_said(tokenizer: WordPieceTokenizer) -> None:
    rows = [
        question("it is good", "good", asked="how " * 50),
        question("so\u200b it is", "\u200b"),
        question("it is", "is"),
    ]
    encoded = encode_questions(rows, tokenizer, WINDOW, OVERLAP)
    assert (encoded.cut, encoded.lost, len(encoded.examples), len(encoded.judged)) == (1, 1, 2, 3)
    assert encoded.notes == [
        "questions longer than half of what is read at once, and cut there: 1",
        "questions whose answers are of characters that the tokenizer does not read: 1; nothing is learned from them",
    ]
    assert encode_questions(rows[2:], tokenizer, WINDOW, OVERLAP).notes == []


def test_only_cls_and_the_passage_are_candidates(tokenizer: WordPieceTokenizer) -> None:
    examples = [
        SpanExample([101, 7, 8, 102, 9, 10, 102], 0, second_at=4),
        SpanExample([101, 7, 102, 9, 102], 0, second_at=3),
    ]
    batch = SpanBatch.of(examples, tokenizer.pad_id)
    assert batch.candidates.int().tolist() == [[1, 0, 0, 0, 1, 1, 0], [1, 0, 0, 1, 0, 0, 0]]
    assert batch.token_type_ids.tolist() == [[0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0, 0]]
    assert (batch.tokens, batch.counts) == (12, (2,))


def test_the_loss_is_the_mean_of_both_cross_entropies_over_the_passage(
    task: QuestionAnsweringTask, vocab: list[str]
) -> None:
    model = new_model(vocab).eval()
    task.train = [
        SpanExample([101, 7, 102, 9, 10, 11, 102], 0, second_at=3, start=4, end=5),
        SpanExample([101, 7, 102, 9, 102], 0, second_at=3),
    ]
    expected = []
    for example in task.train:
        assert isinstance(example, SpanExample)
        segments = torch.tensor([[0] * 3 + [1] * (len(example.ids) - 3)])
        logits = model(torch.tensor([list(example.ids)]), None, segments).logits[0]
        places = [0, *range(3, len(example.ids) - 1)]
        for column, true in enumerate((example.start, example.end)):
            expected.append(-logits[places, column].log_softmax(0)[places.index(true)])
    loss, pieces = loss_of(task, model, [0, 1])
    torch.testing.assert_close(loss, torch.stack(expected).mean())
    assert pieces == 12


def test_pieces_of_the_question_learn_nothing_as_candidates(task: QuestionAnsweringTask, vocab: list[str]) -> None:
    model = new_model(vocab).eval()
    captured: list[torch.Tensor] = []

    def keep(_module: torch.nn.Module, _given: object, logits: torch.Tensor) -> None:
        logits.retain_grad()
        captured.append(logits)

    model.qa_outputs.register_forward_hook(keep)
    loss_of(task, model, [0, 1, 2])[0].backward()
    batch = task.prepare([0, 1, 2])[0]
    gradient = captured[0].grad
    assert gradient is not None
    assert bool(gradient.isfinite().all())
    assert not bool(gradient[~batch.candidates].any())
    assert bool(gradient[batch.candidates].any())


def test_the_fingerprint_follows_whatever_is_learned_or_judged_by(task: QuestionAnsweringTask) -> None:
    first, *rest = task.train
    assert isinstance(first, SpanExample)
    judged = task.judged["toy"]
    changed = [
        replace(task, train=rest),
        replace(task, train=[replace(first, start=first.start + 1), *rest]),
        replace(task, train=[replace(first, end=first.end + 1), *rest]),
        replace(task, may_decline=False),
        replace(task, judged={"toy": [replace(judged[0], truths=["another"]), *judged[1:]]}),
    ]
    assert replace(task).fingerprint() == task.fingerprint()
    assert len({task.fingerprint(), *(other.fingerprint() for other in changed)}) == len(changed) + 1


@pytest.mark.parametrize("may_decline", [True, False])
def test_dev_answers_are_those_that_the_predictor_will_give(
    tokenizer: WordPieceTokenizer, vocab: list[str], settings_: TrainSettings, tmp_path: Path, may_decline: bool
) -> None:
    rows = toy_questions(25, 3)
    task = task_of(tokenizer, settings_, rows, rows, may_decline)
    model = new_model(vocab).eval()
    bundle = bundle_of(task, model, tmp_path, () if may_decline else (ALWAYS_ANSWERS,))
    given_answers = QuestionAnswerer(bundle, engine=NetworkEngine(model)).predict(
        [row.question for row in rows if isinstance(row, Question)], [row.text for row in rows]
    )
    texts = task.answers(model, task.judged["toy"])
    assert texts == [answer.text for answer in given_answers]
    truths = [row.truths for row in rows if isinstance(row, Question)]
    figures = task.evaluate(model)
    f1 = np.array([answer_f1(text, true) for text, true in zip(texts, truths, strict=True)])
    assert figures["score"] == figures["toy_f1"] == pytest.approx(f1.mean())
    assert figures["toy_exact_match"] == np.mean([exact_match(t, true) for t, true in zip(texts, truths, strict=True)])
    there = np.array([bool(true) for true in truths])
    assert figures["toy_has_answer_f1"] == pytest.approx(f1[there].mean())
    assert figures["toy_no_answer_f1"] == pytest.approx(f1[~there].mean())


def bundle_of(
    task: QuestionAnsweringTask, model: BertForQuestionAnswering, path: Path, traits: tuple[str, ...] = ()
) -> Bundle:
    task.save(model, str(path))
    bundle = Bundle(
        path, "qa", ["start", "end"], "model.onnx", "float32", window=WINDOW, overlap=OVERLAP, traits=traits
    )
    bundle.write()
    return Bundle.open(path)


@pytest.fixture(scope="module")
def trained(
    tokenizer: WordPieceTokenizer, vocab: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[QuestionAnsweringTask, Path, dict[str, Any]]:
    """The toy learned through the loop."""
    settings = TrainSettings(
        epochs=8,
        batch_tokens=512,
        learning_rate=4e-3,
        precision="fp32",
        evaluations=2,
        checkpoint_seconds=1e9,
        threads=1,
    )
    task = task_of(tokenizer, settings, toy_questions(350, 1), toy_questions(60, 2))
    run = RunDirectory(tmp_path_factory.mktemp("qa") / "run")
    summary = train(new_model(vocab), task, settings, run, quiet=True)
    return task, run.best, summary


def test_the_loop_learns_to_answer_and_to_decline(
    trained: tuple[QuestionAnsweringTask, Path, dict[str, Any]],
) -> None:
    task, best, summary = trained
    assert summary["best_score"] > 0.9
    figures = task.evaluate(BertForQuestionAnswering.from_pretrained(best))
    assert figures["score"] == summary["best_score"]
    assert min(figures["toy_has_answer_f1"], figures["toy_no_answer_f1"]) > 0.8


@torch.inference_mode()
def test_what_is_saved_opens_in_transformers(trained: tuple[QuestionAnsweringTask, Path, dict[str, Any]]) -> None:
    _, best, _ = trained
    model: Any = transformers.AutoModelForQuestionAnswering.from_pretrained(best).eval()
    reader: Any = transformers.AutoTokenizer.from_pretrained(best)
    passage = "this hotel was very good and the food"
    encoded = reader("how is it", passage, return_tensors="pt", return_offsets_mapping=True)
    offsets = encoded.pop("offset_mapping")[0].tolist()
    output = model(**encoded)
    start, end = int(output.start_logits.argmax()), int(output.end_logits.argmax())
    assert passage[offsets[start][0] : offsets[end][1]] == "good"


def dataset_of(rows: list[LabelledText]) -> Dataset:
    return Dataset("toy.json", rows, ["start", "end"], "qa")


def kind_of(rows: list[LabelledText], base: Base, max_pieces: int = WINDOW) -> QuestionAnsweringKind:
    return QuestionAnsweringKind(dataset_of(rows), base, FineTuneSettings(max_pieces=max_pieces))


def test_the_kind_knows_whether_no_answer_is_one(tiny_model_dir: Path, settings_: TrainSettings) -> None:
    base = Base.open(tiny_model_dir)
    some, none = toy_questions(30, 4), toy_questions(30, 4, impossible=0.0)
    assert kind_of(some, base).traits == ()
    assert kind_of(none, base).traits == (ALWAYS_ANSWERS,)
    for rows, may_decline in ((some, True), (none, False)):
        kind = kind_of(rows, base)
        task = kind.task(kind.encode(rows[:20]), kind.encode(rows[20:]), settings_)
        assert task.may_decline is may_decline
        assert len(task.judged["dev"]) == 10
        assert all(len(example.ids) <= WINDOW for example in task.train)


def test_the_kind_asks_and_knows_the_truth_as_the_predictor_answers(
    trained: tuple[QuestionAnsweringTask, Path, dict[str, Any]],
) -> None:
    task, best, _ = trained
    rows = toy_questions(40, 5)
    kind = kind_of(rows, Base.open(best))
    model = BertForQuestionAnswering.from_pretrained(best)
    predictor = QuestionAnswerer(bundle_of(task, model, best), engine=NetworkEngine(model))
    asked, truth = kind.asked(rows), kind.truth(rows)
    assert asked[0] == ("how is it", rows[0].text)
    places = [found.argmax(axis=1).tolist() for found in predictor.distributions(asked)]
    assert np.mean([place == true for place, true in zip(places, truth, strict=True)]) > 0.85
    assert [true == [0, 0] for true in truth] == [isinstance(row, Question) and row.impossible for row in rows]
    calibration = kind.fit(predictor, rows, 0.9)
    assert 0.1 <= calibration.temperature <= 10
    evaluation = kind.judge(dataset_of(rows), predictor.answer(asked), predictor, 1.0)
    assert evaluation.f1.value > 0.85
    assert kind.shown({"dev_f1": 0.5, "dev_exact_match": 0.25, "score": 0.5}) == {"F1": 0.5, "exact match": 0.25}


def two_choices(gap: float) -> SpanScores:
    """A question with two answers, of which "red" is the likelier by so much."""
    scores = np.array([gap, 0.0])
    return SpanScores(scores, scores, np.array([0, 1]), [("red", 0, 3), ("blue", 4, 8)], may_decline=False)


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_makes_confidence_say_how_often_answers_are_right(true: float) -> None:
    random_ = np.random.default_rng(0)
    gaps = random_.uniform(0, 8, 1500)
    right = random_.random(1500) < 1 / (1 + np.exp(-gaps / true))
    scores = [two_choices(gap) for gap in gaps]
    truths = [["red" if hit else "blue"] for hit in right]
    fitted = fit_answers(iter(scores), truths, target=0.95)
    assert fitted.temperature == pytest.approx(true, rel=0.15)
    sure = 1 / (1 + np.exp(-gaps / fitted.temperature)) >= fitted.unsure_below
    assert 0.94 <= right[sure].mean() <= 0.97 or (fitted.unsure_below == 0 and right.mean() >= 0.95)


def test_a_few_right_answers_do_not_make_it_sure_without_limit() -> None:
    fitted = fit_answers([two_choices(2.0)] * 5, [["red"]] * 5, target=0.9)
    assert fitted.unsure_below == 0.0
    confidence = two_choices(2.0).findings(1, fitted.temperature).confidence
    assert confidence == pytest.approx(6 / 7, abs=0.01)


def test_where_no_answer_is_right_every_one_is_unsure() -> None:
    assert fit_answers([two_choices(2.0)] * 5, [["green"]] * 5, target=0.9).unsure_below == 1.0


def test_of_long_passages_few_are_held_and_all_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polarbert.training.answer_confidence.FITTED_SPANS", 40)
    held: WeakSet[SpanScores] = WeakSet()
    most = 0

    def coming() -> Iterator[SpanScores]:
        nonlocal most
        for number in range(300):
            held.add(one := two_choices(1.0 + 3.0 * (number % 2)))
            most = max(most, len(held))
            yield one

    fitted = fit_answers(coming(), [["red" if number % 2 else "blue"] for number in range(300)], target=0.95)
    assert most < 30
    confidences = [two_choices(gap).findings(1, fitted.temperature).confidence for gap in (1.0, 4.0)]
    assert confidences[0] < fitted.unsure_below <= confidences[1]


def test_rows_of_another_kind_are_no_questions(tokenizer: WordPieceTokenizer) -> None:
    with pytest.raises(TypeError, match="read the file with read_questions"):
        encode_questions([LabelledText("text", 0, 1)], tokenizer, WINDOW, OVERLAP)


def test_encoded_questions_are_what_fine_tuning_takes(tokenizer: WordPieceTokenizer) -> None:
    encoded = encode_questions(toy_questions(5, 6), tokenizer, WINDOW, OVERLAP)
    assert isinstance(encoded, EncodedQuestions)
    assert encoded.pieces > 0
    assert len(encoded.judged) == 5
