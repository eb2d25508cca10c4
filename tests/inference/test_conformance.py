"""One suite for everything that computes: the same texts, the same answers, within limits that are stated here.

Two engines run the int8 graph and the float graph, and PyTorch computes from the weights: in float32, in bf16 as on a
GPU, and on the GPU itself where the tests find one. A small classifier goes through everything, the embedded model
through what its size allows.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.scoring_fixtures import WINDOW, sentences

from polarbert.bundle import Bundle, resolve
from polarbert.inference.classifier import TextClassifier
from polarbert.inference.engine import ENGINES, Engine
from polarbert.inference.prediction import Prediction
from polarbert.inference.predictors import make_predictor
from polarbert.loading import torch_engine

pytest_plugins = ["tests.scoring_fixtures"]

LABELLED = sentences(120, 11)
PLAIN, LABELS = [text for text, _ in LABELLED], [label for _, label in LABELLED]
ODD = ["", "???", "great😀", "😀😀😀", "日本語", "the app is zzz", "Café " * 40, "bad " * 600, "x" * 3000]
TEXTS = PLAIN + ODD

# Largest difference of a probability that is allowed.
BETWEEN = {"int8": 2e-3, "float": 1e-4, "bf16": 0.01}  # to the others of a kind; bf16 is compared with float
COMPANY = {"int8": 1e-3, "float": 1e-4, "bf16": 5e-3}  # between a text alone and the same text in a batch


@dataclass(frozen=True)
class Contestant:
    """What computes: an engine on a graph, or PyTorch on a device; and how precisely."""

    engine: str
    kind: str

    def load(self, int8: Path, exact: Path, threads: int = 2) -> TextClassifier:
        """The small classifier of the tests, as one that also takes pairs."""
        bundle = replace(Bundle.open(int8 if self.kind == "int8" else exact), task="classification")
        device = self.engine.removeprefix("torch on ")
        precision = "bf16" if self.kind == "bf16" else "fp32"
        engine = self.engine if self.engine in ENGINES else torch_engine(bundle, device, precision)
        predictor = make_predictor(bundle, threads, engine)
        assert isinstance(predictor, TextClassifier)
        return predictor

    def __str__(self) -> str:
        return f"{self.engine} {self.kind}"


DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
CONTESTANTS = [
    *(Contestant(engine, kind) for kind in ("int8", "float") for engine in ENGINES),
    *(Contestant(f"torch on {device}", kind) for device in DEVICES for kind in ("float", "bf16")),
]
REFERENCE = Contestant("onnxruntime", "float")
Loaded = dict[Contestant, TextClassifier]
each = pytest.mark.parametrize("contestant", CONTESTANTS, ids=str)


@pytest.fixture(scope="module")
def loaded(bundle_dir: Path, float_bundle_dir: Path) -> Loaded:
    return {contestant: contestant.load(bundle_dir, float_bundle_dir) for contestant in CONTESTANTS}


@pytest.fixture(scope="module")
def answers(loaded: Loaded) -> dict[Contestant, list[Prediction]]:
    """What each says of all texts."""
    return {contestant: model.predict(TEXTS) for contestant, model in loaded.items()}


Answers = dict[Contestant, list[Prediction]]


def chances(predictions: Sequence[Prediction]) -> NDArray[np.float64]:
    return np.array([list(prediction.probabilities.values()) for prediction in predictions])


@each
def test_obvious_texts_get_their_labels(answers: Answers, contestant: Contestant) -> None:
    given = [answer.label for answer in answers[contestant][: len(PLAIN)]]
    assert sum(label == right for label, right in zip(given, LABELS, strict=True)) >= 118


@each
def test_those_of_a_kind_agree(answers: Answers, contestant: Contestant) -> None:
    other = next(c for c in CONTESTANTS if c.kind == ("float" if contestant.kind == "bf16" else contestant.kind))
    ours, theirs = chances(answers[contestant]), chances(answers[other])
    np.testing.assert_allclose(ours, theirs, atol=BETWEEN[contestant.kind])
    assert (ours.argmax(1) == theirs.argmax(1))[: len(PLAIN)].all()


@each
def test_all_answer_like_the_float_graph(answers: Answers, contestant: Contestant) -> None:
    ours, exact = (chances(answers[which][: len(PLAIN)]) for which in (contestant, REFERENCE))
    assert (ours.argmax(1) == exact.argmax(1)).mean() >= 0.98
    assert np.abs(ours - exact).mean() < 0.02


@each
def test_what_is_said_of_a_text_besides_its_class_is_the_same(answers: Answers, contestant: Contestant) -> None:
    facts = [(a.n_tokens, a.n_windows, a.n_unknown) for a in answers[contestant]]
    assert facts == [(a.n_tokens, a.n_windows, a.n_unknown) for a in answers[REFERENCE]]
    said = dict(zip(TEXTS, answers[contestant], strict=True))
    assert said[""].unsure
    assert said["???"].unsure
    assert said["great😀"].n_unknown == 0
    assert said["bad " * 600].n_tokens == 600
    assert said["bad " * 600].n_windows > 600 // WINDOW
    assert said["bad " * 600].label == "negative"


@each
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=40))
def test_a_text_gets_the_same_answer_alone_and_in_any_company(
    loaded: Loaded, contestant: Contestant, texts: list[str]
) -> None:
    model = loaded[contestant]
    together = model.predict(texts)
    for number in {0, len(texts) // 2, len(texts) - 1}:
        alone = model.predict([texts[number]])
        np.testing.assert_allclose(chances([together[number]]), chances(alone), atol=COMPANY[contestant.kind])


@each
def test_answers_come_in_the_order_of_the_texts_and_repeats_are_equal(
    loaded: Loaded, answers: Answers, contestant: Contestant
) -> None:
    order = np.random.default_rng(3).integers(0, len(TEXTS), 300)
    found = loaded[contestant].predict([TEXTS[number] for number in order])
    expected = [answers[contestant][number] for number in order]
    np.testing.assert_allclose(chances(found), chances(expected), atol=COMPANY[contestant.kind])
    first = {int(number): answer for number, answer in reversed(list(zip(order, found, strict=True)))}
    assert all(answer == first[int(number)] for number, answer in zip(order, found, strict=True))


@each
def test_no_texts_give_no_answers(loaded: Loaded, contestant: Contestant) -> None:
    assert loaded[contestant].predict([]) == []


@each
def test_pairs_are_read_as_two_segments(loaded: Loaded, contestant: Contestant) -> None:
    asked = [("the app is great", "really"), ("bad", ""), ("", "sad"), ("so okay", "good " * 100)]
    ours, exact = (chances(loaded[which].answer(asked)) for which in (contestant, REFERENCE))
    limit = BETWEEN[contestant.kind] if contestant.kind != "int8" else 0.03  # unlike what its ranges were taken from
    np.testing.assert_allclose(ours, exact, atol=limit)


@each
def test_the_second_segment_is_told_from_the_first(loaded: Loaded, contestant: Contestant) -> None:
    engine = loaded[contestant].engine
    ids = np.array([[101, 450, 500, 102, 460, 102]])
    second = np.array([[0, 0, 0, 0, 1, 1]])
    difference = engine.logits(ids, np.ones_like(ids), 0 * ids) - engine.logits(ids, np.ones_like(ids), second)
    assert np.abs(difference).max() > 1e-3


@each
def test_padding_does_not_take_part(loaded: Loaded, contestant: Contestant) -> None:
    engine = loaded[contestant].engine
    ids = np.array([[101, 450, 500, 102]])
    alone = engine.logits(ids, np.ones_like(ids), np.zeros_like(ids))
    padded = np.pad(ids, ((0, 0), (0, 20)), constant_values=7)
    mask = np.pad(np.ones_like(ids), ((0, 0), (0, 20)))
    found = engine.logits(padded, mask, np.zeros_like(padded))
    np.testing.assert_allclose(found, alone, atol=5 * COMPANY[contestant.kind])  # logits vary more than probabilities


@each
def test_logits_are_float32_of_a_row_a_text(loaded: Loaded, contestant: Contestant) -> None:
    ids = np.full((5, 7), 101)
    logits = loaded[contestant].engine.logits(ids, np.ones_like(ids), np.zeros_like(ids))
    assert logits.shape == (5, 3)
    assert logits.dtype == np.float32


@each
def test_eight_threads_at_once_get_the_answers_that_one_gets(
    bundle_dir: Path, float_bundle_dir: Path, contestant: Contestant
) -> None:
    model = contestant.load(bundle_dir, float_bundle_dir)  # a new one: its first use of all is by eight at once
    parts = [TEXTS[start::8] for start in range(8)]
    ready = threading.Barrier(8)

    def ask(part: list[str]) -> list[Prediction]:
        ready.wait()
        return model.predict(part)

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(ask, parts))
    for part, found in zip(parts, together, strict=True):
        np.testing.assert_allclose(chances(found), chances(model.predict(part)), atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_number_of_threads_changes_no_answer(engine: str, bundle_dir: Path, float_bundle_dir: Path) -> None:
    for kind in ("int8", "float"):
        one, two = (Contestant(engine, kind).load(bundle_dir, float_bundle_dir, threads) for threads in (1, 2))
        assert one.predict(TEXTS) == two.predict(TEXTS)


def test_the_embedded_model_answers_alike_wherever_it_is_computed() -> None:
    bundle = Bundle.open(resolve(None))
    texts = [f"{text}, said {name}" for text, name in zip(PLAIN[:24], ["Anna 😀", "nobody"] * 12, strict=True)]
    engines: list[str | Engine] = [
        *ENGINES,
        *(torch_engine(bundle, device, kind) for device in DEVICES for kind in ("fp32", "bf16")),
    ]
    found = [chances(make_predictor(bundle, 1, engine).predict(texts)) for engine in engines]
    for first, one in enumerate(found):
        for second, other in enumerate(found):
            # int8, which the first engines compute, is another network than the float one; of one all are closer.
            same_weights = (first < len(ENGINES)) == (second < len(ENGINES))
            assert (one.argmax(1) == other.argmax(1)).mean() > 0.9
            assert np.abs(one - other).mean() < (0.01 if same_weights else 0.015)
