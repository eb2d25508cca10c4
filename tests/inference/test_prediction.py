"""An answer says one thing: all of its parts follow from the same rounded probabilities."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polarbert.inference.prediction import make_prediction

LABELS = ["negative", "neutral", "positive"]
CHANCES = st.lists(st.floats(0.001, 1), min_size=3, max_size=3).map(
    lambda parts: (np.array(parts) / sum(parts)).tolist()
)


@given(CHANCES, st.floats(0, 1), st.booleans())
def test_every_part_follows_from_the_probabilities(chances: list[float], unsure_below: float, wordless: bool) -> None:
    answer = make_prediction(LABELS, chances, unsure_below, wordless, 4, 1, 0)
    assert answer.confidence == max(answer.probabilities.values()) == answer.probabilities[answer.label]
    assert sum(answer.probabilities.values()) == pytest.approx(1, abs=3e-6)
    difference = answer.probabilities["positive"] - answer.probabilities["negative"]
    assert answer.polarity == pytest.approx(difference, abs=1e-9)
    assert answer.unsure == (wordless or answer.confidence < unsure_below)


@given(CHANCES)
def test_numbers_survive_six_decimals(chances: list[float]) -> None:
    answer = make_prediction(LABELS, chances, 0.5, False, 4, 1, 0)
    numbers = [*answer.probabilities.values(), answer.confidence, answer.polarity or 0.0]
    assert [float(f"{number:.6f}") for number in numbers] == numbers


def test_other_labels_have_no_polarity() -> None:
    answer = make_prediction(["bug", "praise"], [0.2, 0.8], 0.9, False, 4, 1, 0)
    assert (answer.label, answer.polarity, answer.unsure) == ("praise", None, True)


def test_it_is_json() -> None:
    answer = make_prediction(LABELS, [0.1, 0.2, 0.7], 0.5, False, 4, 2, 1)
    assert json.loads(json.dumps(answer.to_dict())) == {
        "label": "positive",
        "probabilities": {"negative": 0.1, "neutral": 0.2, "positive": 0.7},
        "confidence": 0.7,
        "polarity": 0.6,
        "unsure": False,
        "aspect": None,
        "n_tokens": 4,
        "n_windows": 2,
        "n_unknown": 1,
    }
