"""The model that comes with Polarbert, as a user meets it. All texts are our own."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polarbert
from polarbert.bundle import Bundle, resolve
from polarbert.export.graph import build_graph
from polarbert.inference.classifier import SentimentModel
from polarbert.inference.engine import ENGINES
from polarbert.model import BertConfig, BertForSequenceClassification

pytest_plugins = ["tests.scoring_fixtures"]

REVIEWS = Path(__file__).parents[1] / "examples" / "reviews.csv"
LABELS = ["negative", "neutral", "positive"]
OBVIOUS = [
    ("I love it", "positive"),
    ("Absolutely wonderful, the best coffee I have had in years!", "positive"),
    ("Works perfectly and arrived a day early. Thank you!", "positive"),
    ("My daughter adores this book and so do I.", "positive"),
    ("The staff were so kind and the room was spotless. We will be back.", "positive"),
    ("Crashes every time I open it. Useless.", "negative"),
    ("Terrible service, cold food and a rude waiter. Never again.", "negative"),
    ("I hate the new update, it ruined everything.", "negative"),
    ("It broke after two days and nobody answers my emails. A waste of money.", "negative"),
    ("The worst film I have ever seen, boring from start to end.", "negative"),
    ("It's okay, nothing special.", "neutral"),
    ("The meeting starts at nine on Tuesday in room four.", "neutral"),
]


# What this edition gets wrong among them, as its card says; the next edition has to mend it.
KNOWN_MISSES = {"The staff were so kind and the room was spotless. We will be back."}


@pytest.fixture(scope="module")
def embedded() -> SentimentModel:
    loaded = polarbert.load(threads=1, engine="onnxruntime")
    assert isinstance(loaded, SentimentModel)
    return loaded


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with REVIEWS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def reviews(rows: list[dict[str, str]]) -> list[str]:
    return [row["review"] for row in rows]


@pytest.fixture(scope="module")
def exact(embedded: SentimentModel, tmp_path_factory: pytest.TempPathFactory) -> SentimentModel:
    """The embedded model on a float graph made of its weights."""
    from polarbert.inference.engine import load_engine

    network = BertForSequenceClassification.from_pretrained(embedded.bundle.path)
    weights = {name: tensor.float().numpy() for name, tensor in network.state_dict().items()}
    file = tmp_path_factory.mktemp("embedded") / "model.onnx"
    file.write_bytes(build_graph(network.config, weights, network.labels).SerializeToString())
    loaded = polarbert.load(threads=1, engine="onnxruntime")
    assert isinstance(loaded, SentimentModel)
    loaded.engine = load_engine(file, 1, "onnxruntime")
    return loaded


def test_it_is_what_it_says(embedded: SentimentModel) -> None:
    bundle = embedded.bundle
    assert bundle.path == resolve(None)
    assert (bundle.task, bundle.precision, bundle.labels) == ("sentiment", "int8", LABELS)
    assert bundle.window == 512
    config = BertConfig.from_pretrained(bundle.path)
    assert (config.num_hidden_layers, config.hidden_size, config.vocab_size) == (6, 384, 30_522)
    assert 0.5 < bundle.calibration.temperature < 4
    assert 1 / 3 < bundle.calibration.unsure_below < 0.9


def test_every_checksum_holds() -> None:
    bundle = Bundle.open(resolve(None))
    assert {"config.json", "model.safetensors", "tokenizer.json", bundle.graph} <= set(bundle.checksums)
    bundle.verify()


def test_it_is_small_enough_to_ship() -> None:
    assert sum(file.stat().st_size for file in resolve(None).rglob("*") if file.is_file()) < 80_000_000


@pytest.mark.parametrize("engine", ENGINES)
def test_obvious_texts_get_their_labels(engine: str) -> None:
    answers = polarbert.load(threads=1, engine=engine).predict([text for text, _ in OBVIOUS])
    wrong = [
        (text, answer.label) for (text, label), answer in zip(OBVIOUS, answers, strict=True) if answer.label != label
    ]
    assert {text for text, _ in wrong} <= KNOWN_MISSES


def test_probabilities_sum_to_one(embedded: SentimentModel, reviews: list[str]) -> None:
    for answer in embedded.predict(reviews):
        assert sum(answer.probabilities.values()) == pytest.approx(1, abs=3e-6)
        assert answer.confidence == answer.probabilities[answer.label] == max(answer.probabilities.values())


@pytest.mark.parametrize("text", ["", "  ", "\n", "???", "!!!", "."])
def test_a_text_without_words_is_defined_and_unsure(embedded: SentimentModel, text: str) -> None:
    answer = embedded.predict([text])[0]
    assert answer.label in LABELS
    assert answer.unsure


@pytest.mark.parametrize(
    ("text", "praised", "blamed"),
    [
        ("The soup was wonderful, but the waiter was rude.", "soup", "waiter"),
        ("Terrible battery, great screen.", "screen", "battery"),
        ("The keyboard is a joy to type on. The fan is loud and annoying.", "keyboard", "fan"),
        ("Lovely room, awful breakfast.", "room", "breakfast"),
    ],
)
def test_opposite_verdicts_on_two_aspects_come_out_so(
    embedded: SentimentModel, text: str, praised: str, blamed: str
) -> None:
    good, bad, none = embedded.predict([text] * 3, aspects=[praised, blamed, None])
    assert (good.label, bad.label) == ("positive", "negative")
    assert (good.aspect, bad.aspect, none.aspect) == (praised, blamed, None)


@pytest.mark.parametrize(
    "text",
    [
        "qweoiu zxcmn fjghdk",
        "Der Zug kommt um neun Uhr an, und wir warten am Bahnhof.",
        "Wczoraj kupiliśmy chleb i mleko w sklepie za rogiem.",
        "Este libro cuenta la historia de una familia del norte.",
    ],
)
def test_what_it_cannot_read_is_unsure(embedded: SentimentModel, text: str) -> None:
    assert embedded.predict([text])[0].unsure


def test_an_emoji_changes_the_answer(embedded: SentimentModel) -> None:
    plain, glad, cross = embedded.predict(
        ["The parcel came today", "The parcel came today 😍", "The parcel came today 😡"]
    )
    polarity = [answer.polarity or 0.0 for answer in (cross, plain, glad)]
    assert polarity == sorted(polarity)
    assert polarity[2] - polarity[0] > 0.5
    assert (glad.n_unknown, cross.n_unknown) == (0, 0)


def test_an_emoji_does_not_swallow_the_word_it_touches(embedded: SentimentModel) -> None:
    apart, touching = embedded.predict(["great 😀", "great😀"])
    assert touching.probabilities == pytest.approx(apart.probabilities, abs=1e-3)


def test_a_text_alone_and_in_a_batch_gets_the_same_answer(embedded: SentimentModel, reviews: list[str]) -> None:
    together = embedded.predict(reviews)
    for number in range(0, len(reviews), 12):
        alone = embedded.predict([reviews[number]])[0]
        assert alone.probabilities == pytest.approx(together[number].probabilities, abs=1e-3)


def test_a_long_text_is_read_to_its_end(embedded: SentimentModel) -> None:
    filler = "We stayed in room four and the window faces the street. " * 60
    calm, angry = embedded.predict([filler, filler + "It was awful, dirty and loud, we hated every minute. " * 15])
    assert angry.n_windows > 1
    assert (angry.polarity or 0) < (calm.polarity or 0)


def test_its_tokenizer_is_the_same_in_transformers(embedded: SentimentModel, reviews: list[str]) -> None:
    from transformers import AutoTokenizer

    theirs: Any = AutoTokenizer.from_pretrained(embedded.bundle.path)
    ours = embedded.tokenizer.encode(reviews)
    for text, pieces in zip(reviews, ours, strict=True):
        assert theirs(text)["input_ids"] == [embedded.tokenizer.cls_id, *pieces.ids, embedded.tokenizer.sep_id]


def test_the_pipeline_of_transformers_gives_the_same_answers(
    exact: SentimentModel, embedded: SentimentModel, reviews: list[str]
) -> None:
    from transformers import pipeline

    # The pipeline reads no windows: texts that need them cannot be compared.
    reviews = [text for text, answer in zip(reviews, exact.predict(reviews), strict=True) if answer.n_windows == 1]
    # The pipeline knows no temperature, so ours is taken out by giving the softmax logits multiplied by it.
    classify: Any = pipeline("text-classification", model=str(exact.bundle.path), device="cpu")
    temperature = exact.bundle.calibration.temperature
    logits = classify(reviews, top_k=None, function_to_apply="none", batch_size=16)
    scaled = np.array([[{s["label"]: s["score"] for s in scores}[label] for label in LABELS] for scores in logits])
    theirs = np.exp(scaled / temperature)
    theirs /= theirs.sum(1, keepdims=True)
    ours = np.array([list(answer.probabilities.values()) for answer in exact.predict(reviews)])
    small = np.array([list(answer.probabilities.values()) for answer in embedded.predict(reviews)])
    assert np.abs(theirs - ours).max() < 1e-3
    assert (theirs.argmax(1) == ours.argmax(1)).mean() >= 0.995
    assert np.abs(theirs - small).mean() < 0.02
    # The examples are hard: where int8 changes a label, the two likeliest classes are all but equal.
    top = np.sort(theirs, axis=1)
    changed = theirs.argmax(1) != small.argmax(1)
    assert not (changed & (top[:, 2] - top[:, 1] > 0.1)).any()
    assert changed.mean() <= 0.05


def test_answers_follow_the_stars_of_the_examples(
    embedded: SentimentModel, rows: list[dict[str, str]], reviews: list[str]
) -> None:
    polarity = np.array([answer.polarity for answer in embedded.predict(reviews)], dtype=float)
    stars = np.array([int(row["stars"]) for row in rows])
    means = [float(polarity[stars == number].mean()) for number in range(1, 6)]
    assert means[4] - means[0] > 0.7  # the examples are meant to be hard: dry, ironic, in four languages
    assert means[3] > means[2] > means[1]
