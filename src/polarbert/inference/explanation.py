"""What an explanation says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from polarbert.inference.prediction import Prediction, Rating


@dataclass(frozen=True)
class WordWeight:
    """A word and what it does to the answer.

    Attributes:
        text: the word as it stands, `text[start:end]` of the text explained.
        start: where it begins, in characters.
        end: the character behind its last.
        weight: above 0 where it speaks for the label, below 0 where it speaks against it.
    """

    text: str
    start: int
    end: int
    weight: float


@dataclass(frozen=True)
class SentenceWeight:
    """A sentence of a long text and what it does to the answer; attributes as for `WordWeight`.

    Attributes:
        by_words: whether its words were weighed one by one; where not, they share its weight evenly.
    """

    text: str
    start: int
    end: int
    weight: float
    by_words: bool


@dataclass(frozen=True)
class Explanation:
    """Why a model answers as it does: a weight for every word.

    The weights are in log-odds (natural logarithms), and they add up: the log-odds of `probability` are those of
    `baseline` and all weights together. So a weight of 0.7 doubles the odds of the label, and one of -0.7 halves them.
    Of a model that answers by a number, the weights are in its units, and add up to the number.

    Attributes:
        text: what was explained.
        label: the class whose probability is explained, the answer unless another was asked for; or the name of the
            model's number.
        probability: of the label; or the number.
        baseline: the same of a text without words.
        words: all words of the text, in order.
        sentences: of a text too long to weigh every word by itself, its sentences in order; empty for others.
        prediction: the answer itself.
        pair: the second text or aspect that was read with it, if any; its words are not weighed.
        n_readings: how many texts the network read for it.
    """

    text: str
    label: str
    probability: float
    baseline: float
    words: tuple[WordWeight, ...]
    sentences: tuple[SentenceWeight, ...]
    prediction: Prediction | Rating
    pair: str | None
    n_readings: int

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        return asdict(self)
