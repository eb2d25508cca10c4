"""Questions about passages: the answer is a stretch of the passage, or that it is not there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from polarbert.bundle import Bundle
from polarbert.errors import UsageError
from polarbert.inference.engine import Engine
from polarbert.inference.prediction import DECIMALS
from polarbert.inference.predictor import Predictor, checked_text, given_texts
from polarbert.inference.spans import (
    AnswerSpan,
    Evidence,
    PassageReader,
    Reading,
    SpanScores,
    place_distributions,
)
from polarbert.text import is_wordless

N_BEST = 20
_SCALE = float(10**DECIMALS)
ALWAYS_ANSWERS = "always answers"  # the trait of a bundle whose training had no question without an answer

QuestionAndContext = tuple[str, str]


@dataclass(frozen=True)
class Answer:
    """What a model says to a question about a context.

    All probabilities are of one distribution over the spans of the context and "no answer"; see
    `polarbert.inference.spans.SpanScores`.

    Attributes:
        text: the answer; empty when there is none. Always `context[start:end]`.
        start: its first character.
        end: the character behind its last.
        confidence: probability of the answer, or of there being none when that is what is said.
        unsure: the confidence is below the threshold, the bundle's or the one asked for, or question or context have no
            words. It never replaces the answer.
        no_answer: the context does not hold the answer. Of an empty context that is certain; otherwise a model that
            was trained on questions with answers alone never says so.
        no_answer_probability: of that.
        n_best: the most probable stretches of the context, falling, no two of them the same answer; also when none of
            them is the answer given.
        n_tokens: pieces of question and context that were read.
        n_windows: parts in which a long context was read; 1 for most.
        n_unknown: pieces that are not in the vocabulary.
        n_cut: pieces at the end of the question that were not read, because it is longer than half a window.
    """

    text: str
    start: int
    end: int
    confidence: float
    unsure: bool
    no_answer: bool
    no_answer_probability: float
    n_best: list[AnswerSpan]
    n_tokens: int
    n_windows: int
    n_unknown: int = 0
    n_cut: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        return asdict(self)


class QuestionAnswerer(Predictor[QuestionAndContext, Answer]):
    """Finds the answers to questions in texts of any length; arguments as for `Predictor`.

    Attributes:
        may_decline: whether it may say that there is no answer.

    Example:
        >>> answer = polarbert.load("my-answerer").predict("Who came?", "Yesterday Anna came by train.")
        >>> answer.text, answer.start, answer.end
        ('Anna', 10, 14)
    """

    def __init__(
        self,
        bundle: Bundle,
        threads: int = 0,
        engine: str | Engine | None = None,
        min_confidence: float | None = None,
    ) -> None:
        super().__init__(bundle, threads, engine, min_confidence)
        self.may_decline = ALWAYS_ANSWERS not in bundle.traits
        self._reader = PassageReader(self.tokenizer, bundle.window, bundle.overlap)

    @overload
    def predict(self, question: str, context: str, n_best: int = 1) -> Answer: ...  # type: ignore[overload-overlap]

    @overload
    def predict(self, question: Iterable[str], context: Iterable[str], n_best: int = 1) -> list[Answer]: ...

    def predict(
        self, question: str | Iterable[str], context: str | Iterable[str], n_best: int = 1
    ) -> Answer | list[Answer]:
        """Answer one question, or several.

        Args:
            question: one, or a list, numpy array or Series of them. One longer than half the model's window is read up
                to there.
            context: the text to find the answer in, of any length; as many as there are questions.
            n_best: how many stretches of the context `Answer.n_best` names at most, up to 20.

        Returns:
            One answer, or one a question in input order.

        Raises:
            UsageError: when an element is no text, there are not as many contexts as questions, or `n_best` is out of
                range.
        """
        if not 1 <= n_best <= N_BEST:
            raise UsageError(f"n_best is {n_best}; it can be 1 to {N_BEST}")
        if isinstance(question, str) and isinstance(context, str):
            asked = (checked_text(question, 0, "question"), checked_text(context, 0, "context"))
            return _shortened(self.answer([asked])[0], n_best)
        if isinstance(question, str) or isinstance(context, str):
            raise UsageError("give one question and one context, or a list of questions and a list of as many contexts")
        questions, contexts = given_texts(question, "question"), given_texts(context, "context")
        if len(questions) != len(contexts):
            raise UsageError(f"there are {len(questions)} questions and {len(contexts)} contexts; they must be as many")
        return [_shortened(answer, n_best) for answer in self.answer(list(zip(questions, contexts, strict=True)))]

    def distributions(self, asked: Sequence[QuestionAndContext]) -> list[NDArray[np.float64]]:
        """For each question, (2, 1 + pieces of its context): where the answer starts, and where it ends.

        The first column is "no answer". See `Predictor.distributions`.
        """
        temperature = self.bundle.calibration.temperature
        return [
            place_distributions(reading, evidence, temperature=temperature, may_decline=self.may_decline)
            for reading, evidence in self.evidence(asked)
        ]

    def evidence(self, asked: Sequence[QuestionAndContext]) -> list[tuple[Reading, Evidence]]:
        """How each question was read, and what the network says of its context, before the temperature."""
        readings = self._reader.read(asked)
        logits = iter(self.piece_logits([window for reading in readings for window in reading.windows]))
        return [(reading, Evidence.of(reading, [next(logits) for _ in reading.windows])) for reading in readings]

    def _answer_group(self, asked: Sequence[QuestionAndContext]) -> list[Answer]:
        return [
            self._answer(question, reading, evidence)
            for (question, _), (reading, evidence) in zip(asked, self.evidence(asked), strict=True)
        ]

    def _answer(self, question: str, reading: Reading, evidence: Evidence) -> Answer:
        scores = SpanScores.of(reading, evidence, self.may_decline)
        found = scores.findings(N_BEST, self.bundle.calibration.temperature)
        given, confidence = found.best, _down(found.confidence)
        return Answer(
            text=given.text if given else "",
            start=given.start if given else 0,
            end=given.end if given else 0,
            confidence=confidence,
            unsure=confidence < self.unsure_below or is_wordless(question) or is_wordless(reading.passage),
            no_answer=given is None,
            no_answer_probability=_down(found.no_answer),
            n_best=[replace(span, probability=_down(span.probability)) for span in found.spans],
            n_tokens=reading.n_tokens,
            n_windows=len(reading.windows),
            n_unknown=reading.n_unknown,
            n_cut=reading.n_cut,
        )


def _shortened(answer: Answer, n_best: int) -> Answer:
    return replace(answer, n_best=answer.n_best[:n_best])


def _down(probability: float) -> float:
    """Rounded towards 0, so that what sums to at most 1 still does."""
    return math.floor(probability * _SCALE) / _SCALE
