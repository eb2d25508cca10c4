"""Texts in, answers out: what predict takes, what it refuses, and what it computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.scoring_fixtures import OVERLAP, WINDOW, SpyEngine, sentences

from polarbert.bundle import Bundle
from polarbert.errors import BundleError, UsageError
from polarbert.inference.classifier import SentimentModel, TextClassifier
from polarbert.inference.engine import load_engine
from polarbert.inference.predictors import make_predictor
from polarbert.text import cut_windows

pytest_plugins = ["tests.scoring_fixtures"]

TEXTS = [text for text, _ in sentences(60, 21)]
Spied = tuple[SentimentModel, SpyEngine]


class Column:
    """A column of a table as pandas has it: no sequence, but with a tolist."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def tolist(self) -> list[Any]:
        return self._values


def generate() -> Iterator[str]:
    yield from TEXTS


@pytest.mark.parametrize(
    "make",
    [
        lambda: list(TEXTS),
        lambda: tuple(TEXTS),
        lambda: np.array(TEXTS),
        lambda: np.array(TEXTS, dtype=object),
        lambda: [np.str_(text) for text in TEXTS],
        lambda: Column(TEXTS),
        generate,
        lambda: dict.fromkeys(TEXTS).keys(),
    ],
    ids=["list", "tuple", "array", "object array", "numpy strings", "column", "generator", "keys"],
)
def test_any_collection_of_texts_is_taken(model: SentimentModel, make: Callable[[], Any]) -> None:
    assert model.predict(make()) == model.predict(TEXTS)


@pytest.mark.parametrize("texts", ["one text", b"bytes", np.array("one text"), None, 5])
def test_what_is_no_collection_is_refused(model: SentimentModel, texts: Any) -> None:
    with pytest.raises(UsageError, match=r"takes a list of texts; for one text write predict\(\[text\]\)"):
        model.predict(texts)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (pa.table({"review": ["fine"]}), r"texts is a table \(Table\); give one column of it, as texts\['text'\]"),
        ({"r1": "fine"}, r"texts is a mapping \(dict\), which would yield its keys"),
        ({"fine", "bad"}, r"texts is a set \(set\), which has no order to answer in; give a list, as sorted\(texts\)"),
    ],
)  # fmt: skip
def test_what_would_yield_something_else_than_its_texts_is_refused(
    model: SentimentModel, texts: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        model.predict(texts)
    with pytest.raises(UsageError, match=message.replace("texts", "aspects")):
        model.predict(["fine", "bad"], aspects=texts)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "is NoneType, not a text"),
        (float("nan"), "is float, not a text"),
        (7, "is int, not a text"),
        (b"bytes", "is bytes, not a text"),
        (["nested"], "is list, not a text"),
        ("half \ud83d emoji", "is not valid text"),
        ("byte \udce9", "is not valid text"),
    ],
)
def test_an_element_that_is_no_text_is_named_by_its_place(model: SentimentModel, value: Any, words: str) -> None:
    with pytest.raises(UsageError, match=rf"texts\[2\] {words}"):
        model.predict(["fine", "fine too", value, "never reached"])


def test_nothing_gives_nothing(model: SentimentModel) -> None:
    assert model.predict([]) == []


def test_answers_come_in_input_order(model: SentimentModel) -> None:
    labelled = sentences(400, 22)
    answers = model.predict([text for text, _ in labelled])
    assert sum(answer.label == label for answer, (_, label) in zip(answers, labelled, strict=True)) >= 392
    shuffled = np.random.default_rng(0).permutation(len(labelled))
    again = model.predict([labelled[number][0] for number in shuffled])
    for place, number in enumerate(shuffled):
        assert again[place].label == answers[number].label
        assert again[place].confidence == pytest.approx(answers[number].confidence, abs=1e-3)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([*TEXTS[:8], "", "great"]), max_size=60))
def test_a_text_that_comes_twice_is_computed_once(spied: Spied, texts: list[str]) -> None:
    model, spy = spied
    spy.batches.clear()
    answers = model.predict(texts)
    assert spy.computed == len(set(texts))
    assert len(answers) == len(texts)
    assert all(answers[texts.index(text)] == answer for text, answer in zip(texts, answers, strict=True))


def test_batches_hold_texts_of_like_length_and_few_pieces(spied: Spied) -> None:
    model, spy = spied
    model.predict([" ".join(["great"] * (1 + number % 50)) + f" {number}" for number in range(500)])
    assert all(batch.size <= 2048 for batch in spy.batches)
    pieces = sum(int((batch != model.tokenizer.pad_id).sum()) for batch in spy.batches)
    assert pieces > 0.9 * sum(batch.size for batch in spy.batches), "more than a tenth of the work is padding"


def test_few_texts_keep_all_threads_busy_and_are_hardly_padded(spied: Spied, monkeypatch: pytest.MonkeyPatch) -> None:
    model, spy = spied
    monkeypatch.setattr(spy, "threads", 2)
    texts = [" ".join(["great"] * (1 + number % 50)) + f" {number}" for number in range(20)]
    model.predict(texts)
    assert len(spy.batches) >= 2
    assert all((batch == model.tokenizer.pad_id).sum() <= 8 for batch in spy.batches)


def test_an_engine_that_names_a_size_gets_such_batches(spied: Spied, monkeypatch: pytest.MonkeyPatch) -> None:
    model, spy = spied
    monkeypatch.setattr(spy, "batch_tokens", 4000, raising=False)
    model.predict([" ".join(["great"] * (1 + number % 50)) + f" {number}" for number in range(200)])
    assert len(spy.batches) <= 3


def test_more_texts_than_are_held_at_once_are_answered_in_order(spied: Spied) -> None:
    model, spy = spied
    texts = [f"{number}" for number in range(9000)]
    answers = model.predict(texts)
    assert spy.computed == 9000
    alone = model.predict([texts[8999]])[0]
    assert answers[8999].n_tokens == alone.n_tokens
    assert answers[8999].confidence == pytest.approx(alone.confidence, abs=1e-3)


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "???", "...!", "\u200b"])
def test_a_text_without_words_is_answered_and_unsure(model: SentimentModel, text: str) -> None:
    answer = model.predict([text])[0]
    assert answer.label in model.labels
    assert answer.unsure
    assert sum(answer.probabilities.values()) == pytest.approx(1, abs=3e-6)


def test_an_emoji_is_a_word(model: SentimentModel) -> None:
    answer = model.predict(["😀"])[0]
    assert answer.n_tokens == 1
    assert answer.n_unknown == 0
    assert answer.unsure == (answer.confidence < model.bundle.calibration.unsure_below)


def test_unsure_means_below_the_threshold(bundle_dir: Path) -> None:
    bundle = Bundle.open(bundle_dir)
    strict = replace(bundle, calibration=replace(bundle.calibration, unsure_below=1.0))
    easy = replace(bundle, calibration=replace(bundle.calibration, unsure_below=0.0))
    assert all(answer.unsure for answer in make_predictor(strict, 1, "onnxruntime").predict(TEXTS))
    assert not any(answer.unsure for answer in make_predictor(easy, 1, "onnxruntime").predict(TEXTS))


def test_the_temperature_divides_the_logits(bundle_dir: Path) -> None:
    bundle = Bundle.open(bundle_dir)
    cold = replace(bundle, calibration=replace(bundle.calibration, temperature=1.0))
    hot = replace(bundle, calibration=replace(bundle.calibration, temperature=3.0))
    text = ["the app is really great"]
    one, three = (make_predictor(b, 1, "onnxruntime").predict(text)[0].probabilities for b in (cold, hot))
    logits = np.log(list(one.values()))
    expected = np.exp(logits / 3) / np.exp(logits / 3).sum()
    np.testing.assert_allclose(list(three.values()), expected, rtol=0.02)


def test_pieces_are_counted(model: SentimentModel) -> None:
    short, unknown, long = model.predict(["the app is great", "the 日 app", " ".join(["great"] * 200)])
    assert (short.n_tokens, short.n_windows, short.n_unknown) == (4, 1, 0)
    assert (unknown.n_tokens, unknown.n_unknown) == (3, 1)
    assert (long.n_tokens, long.n_windows) == (200, len(cut_windows(200, WINDOW - 2, OVERLAP)))


@pytest.mark.parametrize("pieces", [1, WINDOW - 3, WINDOW - 2, WINDOW - 1, 150])
def test_a_text_of_any_length_fits_the_network(spied: Spied, pieces: int) -> None:
    model, spy = spied
    answer = model.predict([" ".join(["great"] * pieces)])[0]
    assert answer.n_tokens == pieces
    assert answer.n_windows == (1 if pieces <= WINDOW - 2 else spy.computed)
    assert max(batch.shape[1] for batch in spy.batches) <= WINDOW
    rows = [row for batch in spy.batches for row in batch]
    assert all(row[0] == model.tokenizer.cls_id and model.tokenizer.sep_id in row for row in rows)


def test_a_long_text_is_the_mean_of_its_windows(model: SentimentModel) -> None:
    words = ["good", "bad"] * 60
    pieces = [model.tokenizer.encode([word])[0].ids[0] for word in words]
    windows = cut_windows(len(pieces), WINDOW - 2, OVERLAP)
    parts = model.predict([" ".join(words[start:end]) for start, end in windows])
    whole = model.predict([" ".join(words)])[0]
    mean = np.mean([list(part.probabilities.values()) for part in parts], axis=0)
    np.testing.assert_allclose(list(whole.probabilities.values()), mean, atol=2e-3)


def test_both_ends_of_a_long_text_are_read(model: SentimentModel) -> None:
    filler = " ".join(["the app is just average"] * 30)
    anger = " ".join(["this film was so awful"] * 10)
    start, end, neither = model.predict([f"{anger} {filler}", f"{filler} {anger}", filler])
    assert start.probabilities["negative"] > 0.1 + neither.probabilities["negative"]
    assert end.probabilities["negative"] > 0.1 + neither.probabilities["negative"]


def test_aspects_of_a_model_that_was_not_trained_on_them_are_refused(model: SentimentModel) -> None:
    assert model.predict(["great", "bad"], aspects=[None, None]) == model.predict(["great", "bad"])
    with pytest.raises(UsageError, match="was not trained on aspects"):
        model.predict(["great food", "bad"], aspects=["food", None])


@pytest.fixture(scope="module")
def pair_model(bundle_dir: Path) -> TextClassifier:
    loaded = make_predictor(replace(Bundle.open(bundle_dir), task="pair"), 1, "onnxruntime")
    assert isinstance(loaded, TextClassifier)
    return loaded


def test_a_pair_is_two_segments(pair_model: TextClassifier, bundle_dir: Path) -> None:
    first, second = "the app is great", "really"
    answer = pair_model.predict([first], pairs=[second])[0]
    tokenizer = pair_model.tokenizer
    one, two = (pieces.ids for pieces in tokenizer.encode([first, second]))
    ids = np.array([[tokenizer.cls_id, *one, tokenizer.sep_id, *two, tokenizer.sep_id]])
    segments = np.array([[0] * (len(one) + 2) + [1] * (len(two) + 1)])
    engine = load_engine(bundle_dir / "model.int8.onnx", 1, "onnxruntime")
    scaled = engine.logits(ids, np.ones_like(ids), segments)[0] / pair_model.bundle.calibration.temperature
    np.testing.assert_allclose(list(answer.probabilities.values()), np.exp(scaled) / np.exp(scaled).sum(), atol=1e-5)
    assert answer.n_tokens == len(one) + len(two)


def test_the_second_text_counts(pair_model: TextClassifier) -> None:
    one, other = pair_model.predict(["great", "great"], pairs=["awful", "great"])
    assert (one.n_tokens, other.n_tokens) == (2, 2)
    assert one.probabilities["positive"] < other.probabilities["positive"]


def test_a_model_of_pairs_needs_both_texts_and_one_of_single_texts_takes_no_second(
    pair_model: TextClassifier, bundle_dir: Path
) -> None:
    with pytest.raises(UsageError, match=r"texts\[1\] has no second text, and this model judges pairs"):
        pair_model.predict(["great", "bad"], pairs=["awful", None])
    with pytest.raises(UsageError, match="give pairs"):
        pair_model.predict(["great"])
    single = make_predictor(replace(Bundle.open(bundle_dir), task="classification"), 1, "onnxruntime")
    with pytest.raises(UsageError, match="trained on single texts, not on pairs"):
        single.predict(["great"], pairs=["awful"])
    assert single.predict(["great"], pairs=[None])[0].label == "positive"


def test_a_long_pair_is_cut_to_what_fits(pair_model: TextClassifier) -> None:
    answer = pair_model.predict([" ".join(["great"] * 100)], pairs=[" ".join(["bad"] * 100)])[0]
    assert answer.n_tokens == 100 + (WINDOW - 2) // 2
    assert answer.n_windows > 1


@pytest.mark.parametrize("pairs", [["one"], ["one", "two", "three"], []])
def test_as_many_second_texts_as_texts(pair_model: TextClassifier, pairs: list[str]) -> None:
    with pytest.raises(UsageError, match=f"there are 2 texts and {len(pairs)} second texts"):
        pair_model.predict(["a", "b"], pairs=pairs)


def test_a_second_text_that_is_no_text_is_named_by_its_place(pair_model: TextClassifier) -> None:
    wrong: Any = ["fine", 5]
    with pytest.raises(UsageError, match=r"pairs\[1\] is int, not a text"):
        pair_model.predict(["a", "b"], pairs=wrong)
    with pytest.raises(UsageError, match="takes a list of texts"):
        pair_model.predict(["a", "b"], pairs="ab")


@pytest.mark.parametrize("name", ["model.int8.onnx", "tokenizer.json"])
def test_a_damaged_file_is_found_when_the_model_is_loaded(own_bundle: Path, name: str) -> None:
    with (own_bundle / name).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BundleError, match=rf"{name}: is damaged"):
        make_predictor(Bundle.open(own_bundle))


def test_labels_that_the_graph_does_not_have_are_an_error(bundle_dir: Path) -> None:
    bundle = replace(Bundle.open(bundle_dir), labels=["negative", "positive"])
    with pytest.raises(BundleError, match="the graph has 3 labels, the manifest names 2"):
        make_predictor(bundle, 1, "onnxruntime").predict(["great"])
