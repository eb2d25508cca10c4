"""The verdict of each sentence beside that of the whole, and the column that scoring writes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.scoring_fixtures import LABELS

from polarbert.bundle import Bundle
from polarbert.errors import UsageError
from polarbert.inference.classifier import SentimentModel, TextClassifier
from polarbert.inference.columns import ScoreColumns, SentenceColumns
from polarbert.inference.predictors import make_predictor

pytest_plugins = ["tests.scoring_fixtures"]

TEXTS = ["The app is great! The screen was so bad...", "", "so great", "...", "Great 😀\nbad"]


def test_each_sentence_is_answered_as_it_would_be_alone(model: SentimentModel) -> None:
    for text, found in zip(TEXTS, model.predict_sentences(TEXTS), strict=True):
        assert found.whole == model.predict([text])[0]
        assert [one.text for one in found.sentences] == [text[one.start : one.end] for one in found.sentences]
        alone = model.predict([one.text for one in found.sentences])
        for one, answer in zip(found.sentences, alone, strict=True):
            assert (one.label, one.unsure) == (answer.label, answer.unsure)
            assert one.confidence == pytest.approx(answer.confidence, abs=2e-3)
    turning = model.predict_sentences(TEXTS)[0]
    assert [one.label for one in turning.sentences] == ["positive", "negative"]


def test_blank_texts_have_no_sentences(model: SentimentModel) -> None:
    assert [len(found.sentences) for found in model.predict_sentences(TEXTS)] == [2, 0, 1, 1, 2]


def test_a_second_text_goes_with_each_sentence(bundle_dir: Path) -> None:
    model = make_predictor(replace(Bundle.open(bundle_dir), task="pair"), 1)
    assert isinstance(model, TextClassifier)
    found = model.predict_sentences(["It is great. It is bad."], ["the battery"])[0]
    alone = model.predict(["It is great.", "It is bad."], ["the battery"] * 2)
    assert [one.label for one in found.sentences] == [one.label for one in alone]
    with pytest.raises(UsageError, match="has no second text"):
        model.predict_sentences(["It is great."])


def test_json_has_the_whole_and_the_sentences(model: SentimentModel) -> None:
    found = model.predict_sentences(TEXTS[:1])[0].to_dict()
    sentences = found.pop("sentences")
    assert found == model.predict(TEXTS[:1])[0].to_dict()
    assert [one["start"] for one in sentences] == [0, 18]


@pytest.mark.parametrize("prefix", ["", "model_"])
def test_the_column_is_read_back_as_it_was_written(model: SentimentModel, prefix: str) -> None:
    import json

    columns = SentenceColumns(LABELS, prefix)
    plain = ScoreColumns(LABELS, prefix)
    assert [name for name in columns.names() if name != f"{prefix}sentences"] == plain.names()
    cells = tuple(columns.cells_of(model.predict_sentences(TEXTS[:1])[0]))
    values = columns.values(cells)
    assert columns.read(values) == cells
    assert columns.read({**values, f"{prefix}sentences": json.dumps(values[f"{prefix}sentences"])}) == cells
    assert list(columns.tally(cells)) == list(plain.tally(cells))
