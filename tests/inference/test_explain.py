"""Weights of words: against brute force, what they add up to, where they stand, what they cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.scoring_fixtures import CALIBRATION, SpyEngine, load

import polarbert
from polarbert.bundle import Bundle
from polarbert.errors import UsageError
from polarbert.inference.classifier import Regressor, SentimentModel, TextClassifier
from polarbert.inference.engine import ENGINES
from polarbert.inference.explain import MOST_PIECES, Readings, _Explaining, _opened
from polarbert.inference.explanation import Explanation, WordWeight
from polarbert.inference.predictor import Window
from polarbert.inference.predictors import make_predictor
from polarbert.inference.runs import settle
from polarbert.inference.text_parts import Part, packed, units_of
from polarbert.text import WordPieceTokenizer

pytest_plugins = ["tests.scoring_fixtures"]

SHORT = "the app is really great but the screen was so bad"
LONG = "The app is great. I love it! " * 4 + "But the battery is awful, it is slow and broken. " * 3
TEXTS = [SHORT, LONG, LONG * 20, "great", "", "!?", "😀", "\x07 great", "the " * 300, "great-bad-" * 40]


def log_odds(probability: float) -> float:
    return math.log(probability / (1 - probability))


def sum_of(explanation: Explanation) -> float:
    return sum(word.weight for word in explanation.words)


def brute_force(model: SentimentModel, text: str, label: str) -> list[float]:
    """Weights from the answers to runs of words that are written out, before they are settled."""
    words = text.split()

    def value(run: list[str]) -> float:
        return log_odds(model.predict([" ".join(run)])[0].probabilities[label])

    weights = []
    for place, word in enumerate(words):
        before, behind = words[max(0, place - 2) : place], words[place + 1 : place + 3]
        to_those_before = value([*before, word]) - value(before)
        to_those_behind = value([word, *behind]) - value(behind)
        weights.append((value([word]) - value([])) / 2 + (to_those_before + to_those_behind) / 4)
    return weights


@pytest.mark.parametrize("label", [None, "negative", "neutral"])
def test_weights_are_those_of_runs_of_words_that_are_written_out(model: SentimentModel, label: str | None) -> None:
    found = model.explain(SHORT, label)
    assert found.label == (label or model.predict([SHORT])[0].label)
    total = log_odds(found.probability) - log_odds(found.baseline)
    expected = settle(np.array(brute_force(model, SHORT, found.label)), total)
    assert [word.weight for word in found.words] == pytest.approx(expected.tolist(), abs=2e-3)


@pytest.mark.parametrize("text", TEXTS)
def test_weights_lead_from_no_words_to_the_answer(model: SentimentModel, text: str) -> None:
    found = model.explain(text)
    assert found.prediction == model.predict([text])[0]
    assert found.baseline == pytest.approx(model.predict([""])[0].probabilities[found.label], abs=1e-5)
    if found.words:
        assert sum_of(found) == pytest.approx(log_odds(found.probability) - log_odds(found.baseline), abs=1e-3)
    if found.sentences:
        assert sum(sentence.weight for sentence in found.sentences) == pytest.approx(sum_of(found), abs=1e-3)
    for sentence in found.sentences:
        inside = [word.weight for word in found.words if sentence.start <= word.start < sentence.end]
        assert sum(inside) == pytest.approx(sentence.weight, abs=1e-3)


@pytest.mark.parametrize("text", TEXTS)
def test_every_character_but_white_space_is_in_one_word(model: SentimentModel, text: str) -> None:
    words = model.explain(text).words
    assert [word.text for word in words] == [text[word.start : word.end] for word in words]
    assert all(one.end <= other.start for one, other in pairwise(words))
    inside = {place for word in words for place in range(word.start, word.end)}
    assert inside == {place for place, character in enumerate(text) if not character.isspace()}


def test_the_words_that_decide_weigh_most(model: SentimentModel) -> None:
    found = model.explain("the phone was very great and the room was the same")
    assert max(found.words, key=lambda word: word.weight).text == "great"
    against = model.explain("the phone was very great", "negative")
    assert min(against.words, key=lambda word: word.weight).text == "great"


def heaviest(words: Sequence[WordWeight]) -> list[str]:
    """The words that speak for the label, by weight."""
    return [word.text for word in sorted(words, key=lambda word: -word.weight) if word.weight > 0]


def test_the_sentences_that_decide_weigh_most(model: SentimentModel) -> None:
    text = "This game was really great! " * 4 + "The room was so awful! " + "My film was just lovely. " * 4
    for many in (text, text * 6):  # of one window, and of several
        found = model.explain(many, "negative")
        weighed = sorted(found.sentences, key=lambda sentence: -sentence.weight)
        most = weighed[: many.count("awful")]
        assert {sentence.text for sentence in most} == {"The room was so awful!"}
        assert most[0].by_words
        inside = [word for word in found.words if most[0].start <= word.start < most[0].end]
        assert heaviest(inside) == heaviest(model.explain(most[0].text, "negative").words)


@pytest.mark.parametrize("text", [SHORT, LONG])
def test_the_same_text_is_explained_the_same(model: SentimentModel, text: str) -> None:
    assert model.explain(text) == model.explain(text)


def test_an_ordinary_text_takes_one_call(spied: tuple[SentimentModel, SpyEngine], monkeypatch: Any) -> None:
    model, spy = spied
    calls: list[int] = []
    ask = model.text_logits

    def counted(windows: Sequence[Window]) -> NDArray[np.float32]:
        calls.append(len(windows))
        return ask(windows)

    monkeypatch.setattr(model, "text_logits", counted)
    found = model.explain(SHORT)
    assert calls == [found.n_readings] == [spy.computed]
    assert found.n_readings <= 3 * len(found.words) + 2
    calls.clear()
    model.explain(LONG)
    assert len(calls) == 2


def test_a_long_text_costs_little_more_than_reading_it(spied: tuple[SentimentModel, SpyEngine]) -> None:
    model, spy = spied
    text = LONG * 60
    assert len(text.split()) > 3000
    model.predict([text])
    once = sum(batch.size for batch in spy.batches)
    spy.batches.clear()
    found = model.explain(text)
    assert sum(batch.size for batch in spy.batches) < 5 * once + 2 * MOST_PIECES
    assert {sentence.by_words for sentence in found.sentences} == {True, False}


@pytest.mark.parametrize("text", [SHORT, SHORT * 3, LONG, LONG * 3, "Good! Bad! " * 60, "great-bad-" * 20])
def test_a_text_of_one_window_costs_a_few_readings(spied: tuple[SentimentModel, SpyEngine], text: str) -> None:
    model, spy = spied
    model.predict([text])
    once = sum(batch.size for batch in spy.batches)
    spy.batches.clear()
    found = model.explain(text)
    besides = 2 * MOST_PIECES if found.sentences else 6 * len(found.words)
    assert sum(batch.size for batch in spy.batches) < 10 * once + besides


@pytest.mark.parametrize("words", [5, 60, 300])
def test_a_second_text_is_counted_in_the_cost(bundle_dir: Path, monkeypatch: Any, words: int) -> None:
    model = as_task(bundle_dir, "pair")
    assert isinstance(model, TextClassifier)
    sizes: list[int] = []
    ask = model.text_logits

    def counted(windows: Sequence[Window]) -> NDArray[np.float32]:
        sizes.append(sum(len(window.ids) for window in windows))
        return ask(windows)

    monkeypatch.setattr(model, "text_logits", counted)
    second = " ".join(["bad"] * words)
    for text in (SHORT, LONG, "Good. " * 3000):
        sizes.clear()
        model.predict([text], [second])
        once = sum(sizes)
        sizes.clear()
        found = model.explain(text, pair=second)
        assert sum(sizes) <= 13 * once + 4_000 + 300 * words
        assert found.sentences == () or any(sentence.by_words for sentence in found.sentences)


def test_a_word_of_control_characters_weighs_nothing(model: SentimentModel) -> None:
    control, great = model.explain("\x07 great").words
    assert control.weight == 0 < great.weight


def test_what_cannot_be_explained_is_refused(model: SentimentModel) -> None:
    with pytest.raises(UsageError, match="no label 'good'; the labels of this model are negative, neutral, positive"):
        model.explain("so great", "good")
    with pytest.raises(UsageError, match="takes one text, not list"):
        model.explain(["so great"])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not valid text"):
        model.explain("half \ud83d emoji")
    with pytest.raises(UsageError, match="of 1,000,002 characters is too long to explain; 1,000,000 are the most"):
        model.explain("good " * 200_000 + "so")
    with pytest.raises(UsageError, match="judges whole texts only"):
        model.explain("so great", aspect="battery")


def test_every_engine_explains_alike(bundle_dir: Path) -> None:
    found = [load(bundle_dir, engine).explain(SHORT) for engine in ENGINES]
    for one, other in pairwise(found):
        assert [word.text for word in one.words] == [word.text for word in other.words]
        close = pytest.approx([word.weight for word in other.words], abs=0.05)
        assert [word.weight for word in one.words] == close


def as_task(bundle: Path, task: str, **changes: Any) -> Any:
    return make_predictor(replace(Bundle.open(bundle), task=task, **changes), 1)


def test_pairs_are_explained_with_their_second_text(bundle_dir: Path) -> None:
    model = as_task(bundle_dir, "pair")
    assert isinstance(model, TextClassifier)
    for text in (SHORT, LONG):
        found = model.explain(text, pair="the battery is bad")
        assert found.pair == "the battery is bad"
        assert found.prediction == model.predict([text], ["the battery is bad"])[0]
        nothing = model.predict([""], ["the battery is bad"])[0].probabilities[found.label]
        assert found.baseline == pytest.approx(nothing, abs=1e-5)
        assert sum_of(found) == pytest.approx(log_odds(found.probability) - log_odds(found.baseline), abs=1e-3)
    with pytest.raises(UsageError, match="has no second text"):
        model.explain(SHORT)


def test_numbers_are_explained_in_their_own_units(bundle_dir: Path) -> None:
    model = as_task(bundle_dir, "regression")  # its number is the first logit
    assert isinstance(model, Regressor)
    for text in (SHORT, LONG, LONG * 4):
        found = model.explain(text)
        assert found.probability == model.predict([text])[0].value
        assert found.baseline == pytest.approx(model.predict([""])[0].value, abs=1e-5)
        assert sum_of(found) == pytest.approx(found.probability - found.baseline, abs=1e-3)


@pytest.mark.parametrize("text", ["", "so great"])
def test_an_explanation_is_json(model: SentimentModel, text: str) -> None:
    found = model.explain(text).to_dict()
    assert found["prediction"]["label"] == found["label"]
    assert [word["text"] for word in found["words"]] == text.split()


def test_words_that_one_piece_covers_are_one(tokenizer: WordPieceTokenizer) -> None:
    text = "great:) <3 bad😀x"
    units = units_of(text, tokenizer.encode([text], offsets=True)[0])
    assert [text[unit.start : unit.end] for unit in units] == ["great", ":)", "<3", "bad", "😀", "x"]


@given(st.text(alphabet="ab:)(<3😀\x07 中.-'"))
def test_units_keep_every_piece_and_every_character(tokenizer: WordPieceTokenizer, text: str) -> None:
    pieces = tokenizer.encode([text], offsets=True)[0]
    units = units_of(text, pieces)
    assert [number for unit in units for number in unit.ids] == pieces.ids
    inside = {place for unit in units for place in range(unit.start, unit.end)}
    assert inside == {place for place, character in enumerate(text) if not character.isspace()}


@given(
    st.lists(st.floats(-20, 20).map(lambda value: round(value, 3)), min_size=1, max_size=8),
    st.floats(-30, 30).map(lambda value: round(value, 3)),
)
def test_settled_weights_add_up_and_keep_their_order(weights: list[float], total: float) -> None:
    settled = settle(np.array(weights), total).tolist()
    assert sum(settled) == pytest.approx(total, abs=1e-6)
    if any(weight * total > 0 for weight in weights):
        assert all(one * other >= 0 for one, other in zip(weights, settled, strict=True))
        for sign in (1, -1):
            both = [(sign * one, sign * other) for one, other in zip(weights, settled, strict=True)]
            same = [other for one, other in sorted(both) if one > 0]
            assert same == sorted(same)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 12), max_size=60))
def test_parts_are_put_together_without_loss(lengths: list[int]) -> None:
    parts = [Part(number, number + 1, [number] * length) for number, length in enumerate(lengths)]
    ids = [number for part in parts for number in part.ids]
    sections = packed(parts, 20)
    assert [number for part in sections for number in part.ids] == ids
    assert all(one.behind == other.first for one, other in pairwise(sections))
    assert all(len(section.ids) <= 20 for section in sections)


@pytest.fixture(scope="module")
def embedded() -> SentimentModel:
    return polarbert.load(threads=1, engine="onnxruntime")


@pytest.mark.parametrize(
    ("text", "label", "word"),
    [
        ("The screen is bad", "negative", "bad"),
        ("This is not good at all", "negative", "not"),
        ("I love it", "positive", "love"),
        ("It never works 😡", "negative", "never"),
    ],
)
def test_the_embedded_model_says_why(embedded: SentimentModel, text: str, label: str, word: str) -> None:
    found = embedded.explain(text)
    assert found.label == label
    assert max(found.words, key=lambda one: one.weight).text == word


def test_leaving_words_out_by_weight_changes_the_answer_fastest(embedded: SentimentModel) -> None:
    """The weights are worth something: the three heaviest words decide more than any three others would."""
    text = "Bought it in May for my father and it crashes at every start, a useless waste of money for all of us."
    found = embedded.explain(text)
    heaviest = {word.start for word in sorted(found.words, key=lambda one: -one.weight)[:3]}

    def without(places: set[int]) -> str:
        return " ".join(word.text for word in found.words if word.start not in places)

    random = np.random.default_rng(0)
    others = [set(random.choice([word.start for word in found.words], 3, replace=False).tolist()) for _ in range(20)]
    chances = [one.probabilities[found.label] for one in embedded.predict(map(without, [heaviest, *others]))]
    assert chances[0] < min(chances[1:])


def test_the_temperature_of_the_bundle_is_applied(model: SentimentModel) -> None:
    assert CALIBRATION.temperature != 1
    found = model.explain("great")
    assert found.probability == model.predict(["great"])[0].probabilities[found.label]


@pytest.mark.parametrize(("words", "behind"), [(40, 0), (39, 30), (60, 0), (60, 251)])
def test_words_of_many_pieces_are_weighed_too(
    model: SentimentModel, tokenizer: WordPieceTokenizer, words: int, behind: int
) -> None:
    text = " ".join(f"great-bad-great-bad{number}" for number in range(words))
    second = "bad " * behind
    readings = Readings(model, text, None)
    readings.behind = behind
    units = units_of(text, tokenizer.encode([text], offsets=True)[0])
    parts = _Explaining(model, readings, text, second, None)._parts(units)
    assert [number for part in parts for number in part.ids] == [number for unit in units for number in unit.ids]
    assert _opened(units, parts, np.ones(len(parts)), behind)
    if behind == 0:
        weights = [word.weight for word in model.explain(text).words]
        assert len(set(weights)) > 2


def test_a_part_that_costs_too_much_does_not_hide_a_cheaper_one(
    model: SentimentModel, tokenizer: WordPieceTokenizer
) -> None:
    text = "great " * 180
    units = units_of(text, tokenizer.encode([text], offsets=True)[0])
    parts = [Part(0, 170, [1] * 170), Part(170, 180, [1] * 10)]
    assert _opened(units, parts, np.array([2.0, 1.0]), 0) == {1}


def test_one_endless_word_does_not_cut_the_rest_to_pieces(model: SentimentModel, tokenizer: WordPieceTokenizer) -> None:
    text = "great " * 2000 + "bad-" * 2000 + " bad" * 2000
    units = units_of(text, tokenizer.encode([text], offsets=True)[0])
    parts = _Explaining(model, Readings(model, text, None), text, None, None)._parts(units)
    assert sum(part.behind - part.first for part in parts) == len(units)
    assert len(parts) < len(units) / 20
