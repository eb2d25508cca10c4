"""Passes, batches and rate that suit the data and the base."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polarbert.training.pace import ENOUGH_STEPS, MAX_EPOCHS, MIN_BATCH, adapt
from polarbert.training.settings import TrainSettings

BERT_WIDTH = 768


def test_large_data_and_a_base_as_wide_as_bert_keep_the_defaults() -> None:
    assert adapt(TrainSettings(), 3_000_000, BERT_WIDTH) == TrainSettings()


def test_small_data_get_small_batches_and_tiny_data_more_passes_as_well() -> None:
    small, tiny = adapt(TrainSettings(), 60_000, BERT_WIDTH), adapt(TrainSettings(), 700, BERT_WIDTH)
    assert (small.batch_tokens, small.epochs) == (600, 3.0)
    assert (tiny.batch_tokens, tiny.epochs) == (MIN_BATCH, MAX_EPOCHS)


@given(st.integers(1, 10_000_000))
def test_there_are_enough_steps_unless_a_limit_is_reached(pieces: int) -> None:
    adapted = adapt(TrainSettings(), pieces, BERT_WIDTH)
    steps = pieces * adapted.epochs / adapted.batch_tokens
    assert steps >= 0.97 * ENOUGH_STEPS or (adapted.epochs, adapted.batch_tokens) == (MAX_EPOCHS, MIN_BATCH)
    assert adapted.epochs >= TrainSettings().epochs
    assert MIN_BATCH <= adapted.batch_tokens <= TrainSettings().batch_tokens


@pytest.mark.parametrize(("width", "rate"), [(384, 1e-4), (768, 5e-5), (1024, 3.75e-5), (16, 1e-3)])
def test_the_rate_goes_by_the_width_of_the_base(width: int, rate: float) -> None:
    assert adapt(TrainSettings(), 3_000_000, width).learning_rate == pytest.approx(rate)


def test_what_was_set_stays() -> None:
    chosen = TrainSettings(epochs=1, batch_tokens=2048, learning_rate=2e-5, seed=7)
    assert adapt(chosen, 500, 384) == chosen
    assert adapt(replace(chosen, epochs=3.0), 500, 384).epochs == MAX_EPOCHS
