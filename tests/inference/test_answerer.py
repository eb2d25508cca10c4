"""Questions and contexts in, answers out: what is found, where it stands, and how sure the model is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from polarbert.bundle import Bundle
from polarbert.calibration import Calibration
from polarbert.errors import UsageError
from polarbert.inference.answerer import ALWAYS_ANSWERS, N_BEST, Answer, QuestionAnswerer
from polarbert.inference.engine import Ids
from polarbert.model import BertConfig, BertForQuestionAnswering
from polarbert.text import WordPieceTokenizer

WINDOW, OVERLAP = 64, 16
CONTEXT = "the old phone was slow and the new screen is very great"


class PointingEngine:
    """Points at every piece of one word after [SEP], as strongly as it is told to; keeps what it was given."""

    name = "pointing"
    threads = 2

    def __init__(self, piece: int, strength: float = 5.0, nothing: float = 0.0) -> None:
        self.piece, self.strength, self.nothing = piece, strength, nothing
        self.batches: list[Ids] = []

    def logits(self, input_ids: Ids, attention_mask: Ids, token_type_ids: Ids) -> NDArray[np.float32]:  # noqa: ARG002
        self.batches.append(input_ids)
        hit = (input_ids == self.piece) & (token_type_ids == 1)
        logits = np.where(hit, self.strength, -5.0)
        logits[:, 0] = self.nothing
        return np.repeat(logits[..., None], 2, axis=-1).astype(np.float32)


class NetworkEngine:
    """A network of random weights."""

    name = "network"
    threads = 1

    def __init__(self, model: BertForQuestionAnswering) -> None:
        self.model = model

    @torch.inference_mode()
    def logits(self, input_ids: Ids, attention_mask: Ids, token_type_ids: Ids) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self.model(
            *map(torch.from_numpy, (input_ids, attention_mask, token_type_ids))
        ).logits.numpy()
        return found


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, vocab: list[str], tokenizer: WordPieceTokenizer) -> Bundle:
    directory = tmp_path_factory.mktemp("answerer")
    torch.manual_seed(0)
    config = BertConfig.tiny(vocab_size=len(vocab), max_position_embeddings=WINDOW, initializer_range=0.2)
    BertForQuestionAnswering(config).save_pretrained(directory)
    tokenizer.save(directory)
    made = Bundle(directory, "qa", ["start", "end"], "model.onnx", "float32", window=WINDOW, overlap=OVERLAP)
    made.write()
    return Bundle.open(directory)


@pytest.fixture(scope="module")
def random_model(bundle: Bundle) -> QuestionAnswerer:
    return QuestionAnswerer(bundle, engine=NetworkEngine(BertForQuestionAnswering.from_pretrained(bundle.path)))


def pointing(bundle: Bundle, tokenizer: WordPieceTokenizer, word: str, **options: float) -> QuestionAnswerer:
    (piece,) = tokenizer.encode([word])[0].ids
    return QuestionAnswerer(bundle, engine=PointingEngine(piece, **options))


def engine_of(model: QuestionAnswerer) -> PointingEngine:
    assert isinstance(model.engine, PointingEngine)
    return model.engine


def test_the_answer_is_the_stretch_that_is_pointed_at(bundle: Bundle, tokenizer: WordPieceTokenizer) -> None:
    answer = pointing(bundle, tokenizer, "screen").predict("what is very great", CONTEXT)
    assert (answer.text, answer.start, answer.end) == ("screen", 35, 41)
    assert not answer.no_answer
    assert not answer.unsure
    assert answer.confidence > 0.99
    assert answer.n_best == [replace(answer.n_best[0], text="screen", start=35, end=41, probability=answer.confidence)]
    assert (answer.n_tokens, answer.n_windows, answer.n_unknown) == (4 + 12, 1, 0)


def test_no_answer_when_cls_is_pointed_at(bundle: Bundle, tokenizer: WordPieceTokenizer) -> None:
    answer = pointing(bundle, tokenizer, "screen", nothing=9.0).predict("what is very great", CONTEXT, n_best=3)
    assert (answer.text, answer.start, answer.end, answer.no_answer) == ("", 0, 0, True)
    assert answer.confidence == answer.no_answer_probability > 0.99
    assert answer.n_best[0].text == "screen"
    assert len(answer.n_best) == 3


def test_a_model_that_saw_no_question_without_an_answer_always_answers(
    bundle: Bundle, tokenizer: WordPieceTokenizer
) -> None:
    trained = replace(bundle, traits=(ALWAYS_ANSWERS,))
    answer = pointing(trained, tokenizer, "screen", nothing=9.0).predict("what is very great", CONTEXT)
    assert (answer.text, answer.no_answer, answer.no_answer_probability) == ("screen", False, 0.0)
    assert pointing(trained, tokenizer, "screen").predict("what?", "").no_answer


def test_one_text_each_gives_one_answer_and_lists_give_a_list_in_order(
    bundle: Bundle, tokenizer: WordPieceTokenizer
) -> None:
    model = pointing(bundle, tokenizer, "good")
    contexts = ["the good app", "a very good app", "the bad app"]
    answers = model.predict(["how is it"] * 3, contexts)
    assert [answer.start for answer in answers] == [4, 7, 0]
    assert [answer.no_answer for answer in answers] == [False, False, True]
    assert answers[1] == model.predict("how is it", contexts[1])
    assert model.predict(np.array(["how is it"] * 3), (context for context in contexts)) == answers
    assert model.predict([], []) == []


def test_a_question_that_comes_twice_is_computed_once(bundle: Bundle, tokenizer: WordPieceTokenizer) -> None:
    model = pointing(bundle, tokenizer, "good")
    asked = [("how", "it is good"), ("what", "it is good"), ("how", "it is good")]
    answers = model.answer(asked)
    assert sum(len(batch) for batch in engine_of(model).batches) == 2
    assert answers[0] == answers[2]


@pytest.mark.parametrize(
    ("question", "context", "words"),
    [
        ("one", ["list"], "one question and one context"),
        (["list"], "one", "one question and one context"),
        (["a", "b"], ["c"], "2 questions and 1 contexts"),
        (["a", 5], ["c", "d"], r"question\[1\] is int"),
        (["a"], [None], r"context\[0\] is NoneType"),
        ("half \ud83d", "c", r"question\[0\] is not valid text"),
        (7, ["c"], "takes a list of texts"),
    ],
)
def test_what_is_no_question_is_refused(
    random_model: QuestionAnswerer, question: Any, context: Any, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        random_model.predict(question, context)


@pytest.mark.parametrize("count", [0, -1, N_BEST + 1])
def test_n_best_has_its_bounds(random_model: QuestionAnswerer, count: int) -> None:
    with pytest.raises(UsageError, match="n_best is"):
        random_model.predict("who", CONTEXT, n_best=count)


@pytest.mark.parametrize("context", ["", "  \n", "\u200b"])
def test_an_empty_context_has_no_answer_and_that_is_certain(random_model: QuestionAnswerer, context: str) -> None:
    answer = random_model.predict("who came", context)
    assert (answer.text, answer.no_answer, answer.confidence, answer.no_answer_probability) == ("", True, 1.0, 1.0)
    assert answer.unsure, "nothing was read"
    assert answer.n_best == []
    assert answer.n_windows == 1


@pytest.mark.parametrize(("question", "context"), [("", CONTEXT), ("?!", CONTEXT), ("who", "?? !")])
def test_without_words_an_answer_is_unsure(random_model: QuestionAnswerer, question: str, context: str) -> None:
    answer = random_model.predict(question, context)
    assert answer.unsure
    assert 0 < answer.confidence <= 1


def test_the_threshold_is_the_bundles_unless_another_is_asked_for(bundle: Bundle) -> None:
    network = NetworkEngine(BertForQuestionAnswering.from_pretrained(bundle.path))
    confidence = QuestionAnswerer(bundle, engine=network).predict("who", CONTEXT).confidence
    strict = replace(bundle, calibration=Calibration(1.0, min(1.0, confidence + 0.01)))
    assert QuestionAnswerer(strict, engine=network).predict("who", CONTEXT).unsure
    assert not QuestionAnswerer(strict, engine=network, min_confidence=confidence).predict("who", CONTEXT).unsure


def test_the_temperature_makes_answers_less_sure(bundle: Bundle, tokenizer: WordPieceTokenizer) -> None:
    hot = replace(bundle, calibration=Calibration(5.0))
    cold, warm = (pointing(b, tokenizer, "screen").predict("who", CONTEXT, 20) for b in (bundle, hot))
    assert warm.text == cold.text == "screen"
    assert warm.confidence < 0.9 < cold.confidence
    assert warm.no_answer_probability + sum(span.probability for span in warm.n_best) < 1


@pytest.mark.parametrize("place", [0, 40, 77, 150, 299])
def test_a_text_over_the_window_is_read_whole(bundle: Bundle, tokenizer: WordPieceTokenizer, place: int) -> None:
    words = ["bad"] * 300
    words[place] = "good"
    context = " ".join(words)
    model = pointing(bundle, tokenizer, "good")
    answer = model.predict("which is it", context)
    assert (answer.text, answer.start) == ("good", 4 * place)
    assert answer.n_tokens == 300 + 3
    assert answer.n_windows == sum(len(batch) for batch in engine_of(model).batches) > 5
    assert max(batch.shape[1] for batch in engine_of(model).batches) <= WINDOW


def test_a_question_over_the_window_is_read_in_part(bundle: Bundle, tokenizer: WordPieceTokenizer) -> None:
    answer = pointing(bundle, tokenizer, "good").predict("what " * 500, "it is good")
    assert answer.text == "good"
    assert answer.n_tokens == (WINDOW - 3) // 2 + 3


ODD = "café|cafe\u0301|👩‍👩‍👧|👍🏽|😀|naïve|İstanbul|ﬁne|日本|don't|$1,230.50|good|the|\u200b|\u00ad|e\u0301\u0327"
ODD += "|[SEP]|##ing|\0|🇩🇪|ß|\r\n|…"
TEXTS = st.one_of(st.text(max_size=80), st.lists(st.sampled_from(ODD.split("|")), max_size=40).map(" ".join))


def is_exact(answer: Answer, context: str) -> bool:
    spans = [(answer.text, answer.start, answer.end), *((span.text, span.start, span.end) for span in answer.n_best)]
    return all(context[start:end] == text and 0 <= start <= end <= len(context) for text, start, end in spans)


@settings(max_examples=150)
@given(question=TEXTS, context=TEXTS)
def test_an_answer_is_always_what_stands_there(random_model: QuestionAnswerer, question: str, context: str) -> None:
    if not all(
        text.isascii() or text.encode("utf-8", "ignore").decode("utf-8") == text for text in (question, context)
    ):
        return
    answer = random_model.predict(question, context, N_BEST)
    assert is_exact(answer, context)
    assert all(span.text for span in answer.n_best)
    assert answer.no_answer == (answer.text == "")
    chances = [span.probability for span in answer.n_best]
    assert chances == sorted(chances, reverse=True)
    assert sum(chances) + answer.no_answer_probability <= 1 + 1e-9
    assert answer.confidence == (answer.no_answer_probability if answer.no_answer else chances[0])
    assert json.loads(json.dumps(answer.to_dict()))["n_best"] == [span.__dict__ for span in answer.n_best]


def test_distributions_say_where_the_answer_starts_and_ends(bundle: Bundle, tokenizer: WordPieceTokenizer) -> None:
    model = pointing(bundle, tokenizer, "screen")
    found, empty = model.distributions([("what is great", CONTEXT), ("what", "")])
    assert found.shape == (2, 1 + 12)
    assert found.argmax(axis=1).tolist() == [1 + 8, 1 + 8]
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert empty.tolist() == [[1.0], [1.0]]
    (declined,) = pointing(bundle, tokenizer, "screen", nothing=9.0).distributions([("what is great", CONTEXT)])
    assert declined.argmax(axis=1).tolist() == [0, 0]


def test_several_threads_get_the_same_answers(random_model: QuestionAnswerer) -> None:
    from concurrent.futures import ThreadPoolExecutor

    contexts = [f"{CONTEXT} {number} " * (1 + number % 4) for number in range(12)]
    alone = [random_model.predict("what is it", context, 3) for context in contexts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda context: random_model.predict("what is it", context, 3), contexts))
    assert together == alone
