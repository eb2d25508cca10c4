"""The verdict of each sentence of a text beside that of the whole, so that a reader sees where it turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from polarbert.inference.prediction import Prediction
from polarbert.text.sentences import sentence_spans


@dataclass(frozen=True)
class SentencePrediction:
    """What a model says of one sentence, read alone.

    Attributes:
        text: the sentence, `text[start:end]` of the whole.
        start: where it begins, in characters.
        end: the character behind its last.
        label, confidence, polarity, unsure: as of `polarbert.Prediction`.
    """

    text: str
    start: int
    end: int
    label: str
    confidence: float
    polarity: float | None
    unsure: bool


@dataclass(frozen=True)
class BySentence:
    """What a model says of a text and of each of its sentences.

    Attributes:
        whole: of the text, read as it stands; it is no mean of the sentences.
        sentences: in order; none of a blank text, one of a text that is one sentence.
    """

    whole: Prediction
    sentences: tuple[SentencePrediction, ...]

    @property
    def n_tokens(self) -> int:
        """Of the whole."""
        return self.whole.n_tokens

    @property
    def n_unknown(self) -> int:
        """Of the whole."""
        return self.whole.n_unknown

    def to_dict(self) -> dict[str, Any]:
        """The fields of the whole as JSON has them, and `sentences`."""
        return {**self.whole.to_dict(), "sentences": [asdict(one) for one in self.sentences]}


class SentenceReader:
    """Answers like the model it is given, and for each sentence too.

    Args:
        predictor: a model that sorts texts into classes.
    """

    def __init__(self, predictor: Any) -> None:
        self._predictor = predictor
        self.engine = predictor.engine
        self.unsure_below: float = predictor.unsure_below

    def answer(self, asked: Sequence[tuple[Any, ...]]) -> list[BySentence]:
        """One answer an input (text, second text or None), in order; a second text goes with each sentence."""
        spans = [sentence_spans(text) for text, _ in asked]
        parts = [
            (text[start:end], second)
            for (text, second), found in zip(asked, spans, strict=True)
            for start, end in found
        ]
        answers = self._predictor.answer([*asked, *parts])
        of_parts = iter(answers[len(asked) :])
        return [
            BySentence(whole, tuple(_sentence(text, span, next(of_parts)) for span in found))
            for (text, _), found, whole in zip(asked, spans, answers, strict=False)
        ]


def _sentence(text: str, span: tuple[int, int], found: Prediction) -> SentencePrediction:
    start, end = span
    return SentencePrediction(text[start:end], start, end, found.label, found.confidence, found.polarity, found.unsure)
