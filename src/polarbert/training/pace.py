"""Passes, batch size and rate that suit the amount of data and the width of the base."""

from __future__ import annotations

from dataclasses import fields, replace

from polarbert.training.settings import TrainSettings

ENOUGH_STEPS = 300
MIN_BATCH, MAX_EPOCHS = 256, 100.0
BERT_HIDDEN, MAX_RATE = 768, 1e-3

_DEFAULTS = {field.name: field.default for field in fields(TrainSettings)}


def adapt(settings: TrainSettings, pieces: int, hidden_size: int) -> TrainSettings:
    """Settings in which what was left at its default fits; what was set to anything else stays.

    The defaults are for large data and for BERT's own width. Small data would be learned from in a handful of steps, in
    which a new output layer learns nothing: their batches become smaller and, where that is not enough, their passes
    more. A narrow network takes, and needs, larger steps: the rate goes by 768 / `hidden_size`.

    Args:
        settings: `epochs`, `batch_tokens` and `learning_rate` may change.
        pieces: in one pass over the training part.
        hidden_size: of the base.

    Example:
        >>> adapt(TrainSettings(), pieces=3_000, hidden_size=384).epochs
        25.6
    """
    batch, epochs, rate = settings.batch_tokens, settings.epochs, settings.learning_rate
    if _is_default(settings, "batch_tokens"):
        batch = max(MIN_BATCH, min(batch, round(pieces * epochs / ENOUGH_STEPS)))
    if _is_default(settings, "epochs"):
        epochs = max(epochs, min(MAX_EPOCHS, round(ENOUGH_STEPS * batch / max(pieces, 1), 1)))
    if _is_default(settings, "learning_rate"):
        rate = min(MAX_RATE, rate * BERT_HIDDEN / hidden_size)
    return replace(settings, batch_tokens=batch, epochs=epochs, learning_rate=rate)


def _is_default(settings: TrainSettings, name: str) -> bool:
    return bool(getattr(settings, name) == _DEFAULTS[name])
