"""What a text says about an aspect: the second segment of what a model reads, and a field of its answer."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.scoring_fixtures import WINDOW, SpyEngine, load

from polarbert.bundle import Bundle
from polarbert.data.aspects import AspectText
from polarbert.data.dataset import Dataset
from polarbert.errors import UsageError
from polarbert.inference.classifier import SentimentModel
from polarbert.inference.engine import load_engine
from polarbert.inference.evaluate import evaluate
from polarbert.inference.runs import settle
from polarbert.inference.text_parts import units_of, within

pytest_plugins = ["tests.scoring_fixtures"]

TEXT = "the screen is great but the battery was so bad"


@pytest.fixture(scope="module")
def judging(bundle_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small classifier as a bundle that takes aspects; what they do to its answers it never learned."""
    target = Path(shutil.copytree(bundle_dir, tmp_path_factory.mktemp("aspects") / "bundle"))
    replace(Bundle.open(target), traits=("aspects",)).write()
    return target


@pytest.fixture(scope="module")
def judge(judging: Path) -> SentimentModel:
    loaded = load(judging)
    assert isinstance(loaded, SentimentModel)
    return loaded


def test_an_aspect_is_the_second_segment(judge: SentimentModel, judging: Path) -> None:
    answer = judge.predict([TEXT], aspects=["battery life"])[0]
    one, two = (pieces.ids for pieces in judge.tokenizer.encode([TEXT, "battery life"]))
    ids = np.array([[judge.tokenizer.cls_id, *one, judge.tokenizer.sep_id, *two, judge.tokenizer.sep_id]])
    segments = np.array([[0] * (len(one) + 2) + [1] * (len(two) + 1)])
    engine = load_engine(judging / "model.int8.onnx", 1, "onnxruntime")
    scaled = engine.logits(ids, np.ones_like(ids), segments)[0] / judge.bundle.calibration.temperature
    np.testing.assert_allclose(list(answer.probabilities.values()), np.exp(scaled) / np.exp(scaled).sum(), atol=1e-5)
    assert answer.n_tokens == len(one) + len(two)


def test_answers_name_their_aspects_in_input_order(judge: SentimentModel) -> None:
    aspects = ["screen", None, "battery", "screen"]
    answers = judge.predict([TEXT] * 4, aspects=aspects)
    assert [answer.aspect for answer in answers] == aspects
    assert [answer.to_dict()["aspect"] for answer in answers] == aspects
    assert answers[0] == answers[3]
    assert len({tuple(answer.probabilities.values()) for answer in answers}) == 3


def unfocused(bundle: Path) -> SentimentModel:
    """The model with whole texts alone before it."""
    loaded = load(bundle)
    assert isinstance(loaded, SentimentModel)
    loaded.context_of = lambda *_: []  # type: ignore[method-assign]
    return loaded


def test_the_clause_that_mentions_an_aspect_counts_as_much_as_the_whole_text(
    judge: SentimentModel, judging: Path
) -> None:
    plain = unfocused(judging)
    parts = plain.predict([TEXT, "the battery was so bad"], ["battery"] * 2)
    mean = np.mean([list(one.probabilities.values()) for one in parts], axis=0)
    found = judge.predict([TEXT], ["battery"])[0]
    np.testing.assert_allclose(list(found.probabilities.values()), mean, atol=2e-3)
    assert (found.n_tokens, found.n_windows) == (11, 1)
    for aspect in ("price", "screen is great but the battery"):  # not mentioned; nothing stands outside of its clause
        assert judge.predict([TEXT], [aspect]) == plain.predict([TEXT], [aspect])


def test_in_a_long_text_too(judge: SentimentModel, judging: Path) -> None:
    text = f"{'The app is great. ' * 40} The battery was so bad."
    plain = unfocused(judging)
    parts = plain.predict([text, "The battery was so bad."], ["battery"] * 2)
    mean = np.mean([list(one.probabilities.values()) for one in parts], axis=0)
    found = judge.predict([text], ["battery"])[0]
    np.testing.assert_allclose(list(found.probabilities.values()), mean, atol=2e-3)
    assert found.n_windows == parts[0].n_windows > 3


def test_weights_for_an_aspect_are_those_of_brute_force(judge: SentimentModel, judging: Path) -> None:
    plain, words, aspect, label = unfocused(judging), TEXT.split(), "battery", "negative"
    clause = range(words.index("but") + 1, len(words))

    def value(kept: list[int]) -> float:
        readings = [kept, [number for number in kept if number in clause] or kept]
        texts = [" ".join(words[number] for number in reading) for reading in readings]
        chances = [one.probabilities[label] for one in plain.predict(texts, [aspect] * 2)]
        mean = float(np.mean(chances))
        return math.log(mean / (1 - mean))

    everything = list(range(len(words)))
    expected = []
    for word in everything:
        before, behind = everything[max(0, word - 2) : word], everything[word + 1 : word + 3]
        added = value([*before, word]) - value(before) + value([word, *behind]) - value(behind)
        expected.append((value([word]) - value([])) / 2 + added / 4)
    found = judge.explain(TEXT, label, aspect)
    settled = settle(np.array(expected), value(everything) - value([]))
    np.testing.assert_allclose([word.weight for word in found.words], settled, atol=0.02)


@pytest.mark.parametrize(
    "text",
    [
        "The app—great. The battery:bad, (so) bad :( but the screen was good",
        "so bad battery – it was 10–20 great,the app!",
        "battery, screen and app were so great; the app was bad…",
        "The battery was bad. " * 3 + "Great app. " * 5 + "the BATTERY -5 so bad, battery",
    ],
)
def test_an_explanation_reads_the_clauses_that_the_answer_reads(judge: SentimentModel, text: str) -> None:
    spans = judge.context_of(text, "battery")
    assert spans
    units = units_of(text, judge.tokenizer.encode([text], offsets=True)[0])
    read = judge.tokenizer.encode([" ".join(text[start:end] for start, end in spans)])[0].ids
    assert [number for ids in within(units, spans) for number in ids] == read


def test_clauses_that_fill_more_than_a_window_are_read_to_their_end(judge: SentimentModel, judging: Path) -> None:
    clause = "the battery was so bad"
    text = ", the app is great. ".join([clause] * 40) + ", it is great."
    plain = unfocused(judging)
    parts = plain.predict([text, " ".join([clause] * 40)], ["battery"] * 2)
    mean = np.mean([list(one.probabilities.values()) for one in parts], axis=0)
    found = judge.predict([text], ["battery"])[0]
    np.testing.assert_allclose(list(found.probabilities.values()), mean, atol=2e-3)
    explained = judge.explain(text, "negative", "battery")
    odds = [math.log(chance / (1 - chance)) for chance in (explained.baseline, explained.probability)]
    assert sum(word.weight for word in explained.words) == pytest.approx(odds[1] - odds[0], abs=5e-3)


@pytest.mark.parametrize("sentences", [12, 200])
def test_weights_of_a_long_text_add_up_and_favour_the_clauses_with_the_aspect(
    judge: SentimentModel, judging: Path, sentences: int
) -> None:
    text = f"{'The app is great. ' * sentences} The battery was so bad."
    found, other = (one.explain(text, "negative", "battery") for one in (judge, unfocused(judging)))
    odds = [math.log(chance / (1 - chance)) for chance in (found.baseline, found.probability)]
    assert sum(word.weight for word in found.words) == pytest.approx(odds[1] - odds[0], abs=2e-3)
    shares = [
        sum(abs(word.weight) for word in one.words[-6:]) / sum(abs(w.weight) for w in one.words)
        for one in (found, other)
    ]
    assert shares[0] > shares[1]


def test_without_an_aspect_the_whole_text_is_judged_as_ever(judge: SentimentModel, model: SentimentModel) -> None:
    texts = [TEXT, "so great", ""]
    assert judge.predict(texts) == judge.predict(texts, aspects=[None] * 3) == model.predict(texts)
    mixed = judge.predict([TEXT, *texts], aspects=["screen", None, None, None])[1:]
    for one, other in zip(mixed, model.predict(texts), strict=True):
        assert one.label == other.label
        assert one.confidence == pytest.approx(other.confidence, abs=2e-3)


def test_a_text_is_computed_once_for_each_of_its_aspects(judging: Path) -> None:
    loaded = load(judging)
    loaded.engine = spy = SpyEngine(loaded.engine)
    loaded.predict([TEXT] * 6, aspects=["screen", "price", None, "screen", "price", None])
    assert spy.computed == 4  # the text is read alone, and with each aspect; the clause with "screen" once more


@pytest.mark.parametrize(
    "make",
    [lambda found: np.array(found, dtype=object), iter, tuple],
    ids=["array", "generator", "tuple"],
)
def test_aspects_come_in_any_collection(judge: SentimentModel, make: Callable[[list[str | None]], Any]) -> None:
    found = judge.predict([TEXT, TEXT], aspects=make(["screen", None]))
    assert [answer.aspect for answer in found] == ["screen", None]


@pytest.mark.parametrize(
    ("aspects", "said"),
    [
        (["screen"], "there are 2 texts and 1 aspects; they must be as many"),
        (["screen", ""], r"aspects\[1\] is blank; name what to judge, or give None for the whole text"),
        ([" \t\n", "screen"], r"aspects\[0\] is blank"),
        (["screen", 5], r"aspects\[1\] is int, not a text"),
        (["screen", float("nan")], r"aspects\[1\] is not a number .nan.; give None for the whole text"),
        (["screen", "\ud83d"], r"aspects\[1\] is not valid text"),
        ("screen", "aspects is str; give a list with as many"),
    ],
)
def test_what_is_no_aspect_is_refused_by_its_place(judge: SentimentModel, aspects: Any, said: str) -> None:
    for ask in (judge.predict, judge.predict_sentences):
        with pytest.raises(UsageError, match=said):
            ask([TEXT, TEXT], aspects)


def test_a_model_that_was_not_trained_on_aspects_refuses_them_everywhere(model: SentimentModel) -> None:
    asked: list[Callable[[], Any]] = [
        lambda: model.predict([TEXT], ["screen"]),
        lambda: model.predict_sentences([TEXT], ["screen"]),
        lambda: model.explain(TEXT, aspect="screen"),
    ]
    for ask in asked:
        with pytest.raises(UsageError, match="judges whole texts only; it was not trained on aspects"):
            ask()


def test_a_long_text_is_read_in_windows_each_beside_the_aspect(judging: Path) -> None:
    loaded = load(judging)
    loaded.engine = spy = SpyEngine(loaded.engine)
    answer = loaded.predict([" ".join([TEXT] * 20)], aspects=["battery"])[0]
    assert (answer.n_tokens, answer.aspect) == (20 * 10 + 1, "battery")
    assert spy.computed == 2 * answer.n_windows > 6  # the clauses that mention the aspect are as long as the text
    battery = loaded.tokenizer.encode(["battery"])[0].ids[0]
    for row in (row for batch in spy.batches for row in batch.tolist()):
        read = [piece for piece in row if piece != loaded.tokenizer.pad_id]
        assert len(read) <= WINDOW
        assert read[-2:] == [battery, loaded.tokenizer.sep_id]


@pytest.mark.parametrize("text", ["", "  ", "?!"])
def test_a_text_without_words_is_unsure_of_any_aspect(judge: SentimentModel, text: str) -> None:
    assert judge.predict([text], aspects=["battery"])[0].unsure


def test_sentences_are_each_read_beside_the_aspect(judge: SentimentModel) -> None:
    text = "The app is great! The screen was so bad."
    found = judge.predict_sentences([text, text], aspects=["screen", None])
    assert [one.whole.aspect for one in found] == ["screen", None]
    assert found[0].whole == judge.predict([text], ["screen"])[0]
    alone = judge.predict([one.text for one in found[0].sentences], ["screen"] * 2)
    for sentence, answer in zip(found[0].sentences, alone, strict=True):
        assert sentence.confidence == pytest.approx(answer.confidence, abs=2e-3)
    assert found[0].to_dict()["aspect"] == "screen"
    assert found[0].sentences != found[1].sentences


def test_an_explanation_weighs_the_words_of_the_text_and_not_the_aspect(judge: SentimentModel) -> None:
    found = judge.explain(TEXT, aspect="battery")
    assert [word.text for word in found.words] == TEXT.split()
    assert (found.prediction, found.pair) == (judge.predict([TEXT], ["battery"])[0], "battery")
    odds = [math.log(chance / (1 - chance)) for chance in (found.baseline, found.probability)]
    assert sum(word.weight for word in found.words) == pytest.approx(odds[1] - odds[0], abs=1e-3)
    assert found.words != judge.explain(TEXT, found.label).words
    with pytest.raises(UsageError, match=r"aspect is .*; name what to judge"):
        judge.explain(TEXT, aspect=" ")


def rows(*found: tuple[str, str | None, int]) -> Dataset:
    texts = [AspectText(text, label, number, {}, aspect) for number, (text, aspect, label) in enumerate(found, 1)]
    return Dataset("reviews", list(texts), ["negative", "neutral", "positive"], "sentiment")


def test_an_evaluation_asks_about_each_aspect(judge: SentimentModel, model: SentimentModel) -> None:
    asked: list[tuple[str, str | None]] = [(TEXT, "screen"), (TEXT, "battery"), (TEXT, None), ("so great", "food")]
    right = [judge.labels.index(answer.label) for answer in judge.predict(*map(list, zip(*asked, strict=True)))]
    known = rows(*((*one, label) for one, label in zip(asked, right, strict=True)))
    assert evaluate(judge, known).accuracy.value == 1
    wrong = rows(*((*one, (label + 1) % 3) for one, label in zip(asked, right, strict=True)))
    found = evaluate(judge, wrong)
    assert found.accuracy.value == 0
    assert {error.text for error in found.errors} == {f"screen: {TEXT}", f"battery: {TEXT}", TEXT, "food: so great"}
    with pytest.raises(UsageError, match="was not trained on aspects"):
        evaluate(model, known)


def test_what_nobody_sees_is_no_aspect(judge: SentimentModel) -> None:
    with pytest.raises(UsageError, match=r"aspects\[0\] is blank"):
        judge.predict([TEXT], aspects=["\u200b"])


def test_pieces_of_an_aspect_that_are_unknown_are_counted(judge: SentimentModel) -> None:
    plain, strange = judge.predict([TEXT, TEXT], aspects=["battery", "\u0a95\u0b9c"])
    assert (plain.n_unknown, strange.n_unknown) == (0, 1)


def test_an_aspect_without_words_is_unsure(judge: SentimentModel) -> None:
    assert judge.predict([TEXT], aspects=["???"])[0].unsure


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda m: m.predict([TEXT], aspects=[float("nan")]), r"aspects\[0\].*give None for the whole text"),
        (lambda m: m.predict([TEXT], aspects="battery"), "aspects is str; give a list"),
        (lambda m: m.explain(TEXT, aspect=5), "aspect is 5; name what to judge"),
        (lambda m: m.explain(TEXT, aspect=" "), "aspect is ' '; name what to judge"),
    ],
)
def test_messages_name_the_argument(judge: SentimentModel, ask: Callable[[SentimentModel], Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ask(judge)
