"""Models that have one answer a text, or a pair of texts: a class, a sentiment, a number."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polarbert.errors import UsageError
from polarbert.inference.by_sentence import BySentence, SentenceReader
from polarbert.inference.explain import explain_text
from polarbert.inference.explanation import Explanation
from polarbert.inference.prediction import DECIMALS, Prediction, Rating, make_prediction
from polarbert.inference.predictor import checked_text, given_texts, given_values
from polarbert.inference.text_predictor import Cut, TextPair, TextPredictor
from polarbert.text import is_wordless
from polarbert.text.local_context import local_context
from polarbert.text.tokenizer import is_blank


class Classifier(TextPredictor[Prediction]):
    """What models of classes share.

    Attributes:
        second_is_aspect: the second text of an input names what is judged in the first.
    """

    second_is_aspect = False

    def answers(self, asked: Sequence[TextPair], cut: Cut, means: NDArray[np.float64]) -> list[Prediction]:
        """See `TextPredictor.answers`."""
        return [
            make_prediction(
                self.labels,
                means[number].tolist(),
                self.unsure_below,
                is_wordless(first) or (self.second_is_aspect and second is not None and is_wordless(second)),
                cut.n_tokens[number],
                cut.n_windows[number],
                cut.n_unknown[number],
                second if self.second_is_aspect else None,
            )
            for number, (first, second) in enumerate(asked)
        ]

    def by_sentence(self, asked: Sequence[TextPair]) -> list[BySentence]:
        """What is said of inputs and of each sentence of their first texts."""
        return SentenceReader(self).answer(self.check(asked))


class TextClassifier(Classifier):
    """Sorts texts, or pairs of texts, into the classes of its bundle."""

    def predict(self, texts: Iterable[str], pairs: Iterable[str | None] | None = None) -> list[Prediction]:
        """Score texts.

        Args:
            texts: list, numpy array or Series of texts.
            pairs: as many second texts, for a model of pairs.

        Returns:
            One prediction a text, in input order.

        Raises:
            UsageError: when `texts` is one text, an element is no text, `pairs` has another length, or the model reads
                pairs and has none or the other way round.
        """
        return self.answer(self.check(as_pairs(texts, pairs)))

    def predict_sentences(self, texts: Iterable[str], pairs: Iterable[str | None] | None = None) -> list[BySentence]:
        """Score texts and each of their sentences; arguments and errors as for `predict`."""
        return self.by_sentence(as_pairs(texts, pairs))

    def explain(self, text: str, label: str | None = None, pair: str | None = None) -> Explanation:
        """Weigh the words of one text: what each does to the answer.

        Args:
            text: of any length.
            label: the class to explain; the answer unless given.
            pair: the second text, for a model of pairs; its words are not weighed.

        Raises:
            UsageError: when an argument is no text, there is no such label, or as for `predict`.
        """
        (asked,) = self.check(as_pairs([one_text(text)], None if pair is None else [pair]))
        return explain_text(self, *asked, label)


class SentimentModel(Classifier):
    """Negative, neutral or positive: of a whole text, or of what it says about an aspect (Sun et al. 2019, NAACL).

    Example:
        >>> import polarbert
        >>> polarbert.load().predict(["I love it"])[0].label
        'positive'
    """

    second_is_aspect = True

    def context_of(self, text: str, second: str | None) -> list[tuple[int, int]]:
        """Of a text with an aspect the clauses that mention it: see `polarbert.text.local_context`."""
        return [] if second is None else local_context(text, second)

    def predict(self, texts: Iterable[str], aspects: Iterable[str | None] | None = None) -> list[Prediction]:
        """Score texts.

        Args:
            texts: list, numpy array or Series of texts.
            aspects: as many names of what to judge (None: the whole text), for a model trained to do so.

        Returns:
            One prediction a text, in input order. An empty or wordless text gets a label too, and is unsure. A text
            that says nothing about its aspect is neutral.

        Raises:
            UsageError: when `texts` is no collection of texts, or this model does not judge aspects.

        Example:
            >>> text = "The screen is gorgeous, but the battery is dead by noon."
            >>> found = polarbert.load().predict([text, text], aspects=["screen", "battery"])
            >>> [(one.aspect, one.label) for one in found]
            [('screen', 'positive'), ('battery', 'negative')]
        """
        return self.answer(self.check(as_pairs(texts, aspects, "aspects")))

    def check(self, asked: Sequence[TextPair]) -> Sequence[TextPair]:
        """The inputs, if they are what the model was trained to read.

        Raises:
            UsageError: when there is an aspect, and the model does not judge aspects; or an aspect is blank.
        """
        for number, (_, aspect) in enumerate(asked):
            if aspect is not None and not self.bundle.judges_aspects:
                raise UsageError("this model judges whole texts only; it was not trained on aspects")
            if aspect is not None and is_blank(aspect):
                raise UsageError(f"aspects[{number}] is blank; name what to judge, or give None for the whole text")
        return asked

    def predict_sentences(self, texts: Iterable[str], aspects: Iterable[str | None] | None = None) -> list[BySentence]:
        """Score texts and each of their sentences, read alone; arguments and errors as for `predict`.

        Example:
            >>> found = polarbert.load().predict_sentences(["Great screen. The battery is terrible!"])[0]
            >>> [(one.text, one.label) for one in found.sentences]
            [('Great screen.', 'positive'), ('The battery is terrible!', 'negative')]
        """
        return self.by_sentence(as_pairs(texts, aspects, "aspects"))

    def explain(self, text: str, label: str | None = None, aspect: str | None = None) -> Explanation:
        """Weigh the words of one text: what each does to the verdict.

        Args:
            text: of any length.
            label: the verdict to explain; the model's own unless given.
            aspect: what to judge (None: the whole text), for a model trained to do so.

        Raises:
            UsageError: when an argument is no text, there is no such label, or this model does not judge aspects.

        Example:
            >>> words = polarbert.load().explain("The screen is bad").words
            >>> max(words, key=lambda word: word.weight).text
            'bad'
        """
        (asked,) = self.check(as_pairs([one_text(text)], [_one_aspect(aspect)], "aspects"))
        return explain_text(self, *asked, label)


class Regressor(TextPredictor[Rating]):
    """Gives texts, or pairs of texts, a number (BERT, section 4.1: STS-B)."""

    def predict(self, texts: Iterable[str], pairs: Iterable[str | None] | None = None) -> list[Rating]:
        """Rate texts; arguments and errors as for `TextClassifier.predict`.

        Returns:
            One rating a text, in input order. It is not held to the range of the labels.
        """
        return self.answer(self.check(as_pairs(texts, pairs)))

    def explain(self, text: str, pair: str | None = None) -> Explanation:
        """Weigh the words of one text, in the units of the number; arguments and errors as for `TextClassifier`."""
        (asked,) = self.check(as_pairs([one_text(text)], None if pair is None else [pair]))
        return explain_text(self, *asked)

    def said(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """See `TextPredictor.said`: the numbers themselves."""
        return logits.astype(np.float64)

    def answers(self, asked: Sequence[TextPair], cut: Cut, means: NDArray[np.float64]) -> list[Rating]:  # noqa: ARG002 - a number needs no text
        """See `TextPredictor.answers`."""
        values = means[:, 0].tolist()
        told = zip(values, cut.n_tokens, cut.n_windows, cut.n_unknown, strict=True)
        return [Rating(round(value, DECIMALS), *counts) for value, *counts in told]


def one_text(text: str) -> str:
    """Check the argument of explain.

    Raises:
        UsageError: when it is no text.
    """
    if not isinstance(text, str):
        raise UsageError(f"explain takes one text, not {type(text).__name__}; explain several one after the other")
    return text


def _one_aspect(aspect: Any) -> str | None:
    if aspect is None:
        return None
    if not isinstance(aspect, str) or is_blank(aspect):
        raise UsageError(f"aspect is {aspect!r}; name what to judge, or give None for the whole text")
    return str(aspect)


def _second_text(value: Any, number: int, name: str) -> str:
    if name == "aspects" and isinstance(value, float) and math.isnan(value):  # what pandas has in an empty cell
        raise UsageError(f"aspects[{number}] is not a number (nan); give None for the whole text")
    return checked_text(value, number, name)


def as_pairs(texts: Iterable[str], pairs: Iterable[str | None] | None, name: str = "pairs") -> list[TextPair]:
    """Check the arguments of predict.

    Args:
        texts: first texts.
        pairs: as many second ones, if there are any.
        name: what that argument is called.

    Raises:
        UsageError: naming the position of the first element that is no text.
    """
    firsts = given_texts(texts)
    if pairs is None:
        return [(first, None) for first in firsts]
    seconds = [None if v is None else _second_text(v, n, name) for n, v in enumerate(given_values(pairs, name))]
    if len(seconds) != len(firsts):
        called = "second texts" if name == "pairs" else name
        raise UsageError(f"there are {len(firsts)} texts and {len(seconds)} {called}; they must be as many")
    return list(zip(firsts, seconds, strict=True))
