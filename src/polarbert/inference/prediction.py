"""One answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from polarbert.errors import UsageError

DECIMALS = 6  # of every number given out, so that a number read back from a file equals the one computed


@dataclass(frozen=True)
class Prediction:
    """What a model says of one text.

    Attributes:
        label: the most probable class; always given.
        probabilities: of every class; they sum to one up to rounding.
        confidence: probability of `label`.
        polarity: P(positive) - P(negative), in [-1, 1]; None for labels that have no such poles.
        unsure: the confidence is below the threshold, the bundle's or the one asked for, or the text has no words. It
            never replaces `label`.
        aspect: what the verdict is about, or None for the whole text.
        n_tokens: pieces read, without [CLS] and [SEP].
        n_windows: parts in which a long text was read; 1 for most.
        n_unknown: pieces that are not in the vocabulary.
    """

    label: str
    probabilities: dict[str, float]
    confidence: float
    polarity: float | None
    unsure: bool
    aspect: str | None
    n_tokens: int
    n_windows: int
    n_unknown: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        return asdict(self)


@dataclass(frozen=True)
class Rating:
    """A number that a model gives a text or pair.

    Attributes:
        value: in the units of the labels it was trained on.
        n_tokens: pieces read, without [CLS] and [SEP].
        n_windows: parts in which a long text was read; 1 for most.
        n_unknown: pieces that are not in the vocabulary.
    """

    value: float
    n_tokens: int
    n_windows: int
    n_unknown: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        return asdict(self)


def check_min_confidence(value: float, name: str = "min_confidence") -> float:
    """A threshold of confidence that was asked for.

    Args:
        value: the threshold.
        name: what whoever asked calls it.

    Raises:
        UsageError: when it is no probability.
    """
    if not 0 <= value <= 1:
        raise UsageError(f"{name} is {value:g}; it must lie between 0 and 1")
    return value


def make_prediction(
    labels: list[str],
    probabilities: list[float],
    unsure_below: float,
    wordless: bool,
    n_tokens: int,
    n_windows: int,
    n_unknown: int,
    aspect: str | None = None,
) -> Prediction:
    """Assemble an answer; everything in it follows from the rounded probabilities."""
    named = {label: round(value, DECIMALS) for label, value in zip(labels, probabilities, strict=True)}
    label = max(named, key=named.__getitem__)
    polarity = None
    if "positive" in named and "negative" in named:
        polarity = round(named["positive"] - named["negative"], DECIMALS)
    unsure = wordless or named[label] < unsure_below
    return Prediction(label, named, named[label], polarity, unsure, aspect, n_tokens, n_windows, n_unknown)
