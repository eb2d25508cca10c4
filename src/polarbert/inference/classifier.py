"""Models that have one answer a text, or a pair of texts: a class, a sentiment, a number."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polarbert.calibration import probabilities
from polarbert.errors import UsageError
from polarbert.inference.by_sentence import BySentence, SentenceReader
from polarbert.inference.explain import explain_text
from polarbert.inference.explanation import Explanation
from polarbert.inference.prediction import DECIMALS, Prediction, make_prediction
from polarbert.inference.predictor import Answer, Predictor, Window, checked_text, given_texts, given_values
from polarbert.text import cut_windows, is_wordless, join_segments
from polarbert.text.local_context import local_context
from polarbert.text.tokenizer import is_blank

TextPair = tuple[str, str | None]


@dataclass
class Cut:
    """The windows of a group of texts, and what is said of each text.

    Attributes:
        windows: of all texts, in order.
        owners: the number of the text of each window.
        weights: what each window counts beside others of its text, by its length.
        n_tokens, n_windows, n_unknown: of each text.
    """

    windows: list[Window] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    n_tokens: list[int] = field(default_factory=list)
    n_windows: list[int] = field(default_factory=list)
    n_unknown: list[int] = field(default_factory=list)


class TextPredictor(Predictor[TextPair, Answer]):
    """Has one answer a text or pair; what windows of a long text say is averaged by their lengths."""

    def check(self, asked: Sequence[TextPair]) -> Sequence[TextPair]:
        """The inputs, if they are what the model was trained to read.

        Raises:
            UsageError: when a second text is missing, or one is given to a model of single texts.
        """
        reads_pairs = self.bundle.reads_pairs
        for number, (_, second) in enumerate(asked):
            if reads_pairs and second is None:
                raise UsageError(
                    f"texts[{number}] has no second text, and this model judges pairs of texts; give pairs"
                )
            if not reads_pairs and second is not None:
                raise UsageError("this model was trained on single texts, not on pairs; leave the second texts out")
        return asked

    def distributions(self, asked: Sequence[TextPair]) -> list[NDArray[np.float64]]:
        """For each input, (1, labels): see `Predictor.distributions`."""
        return [mean[None, :] for mean in self._means(self.read(asked))]

    def said(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """(windows, labels) what the logits of windows mean; this is averaged."""
        return probabilities(logits, self.bundle.calibration.temperature)

    @abstractmethod
    def answers(self, asked: Sequence[TextPair], cut: Cut, means: NDArray[np.float64]) -> list[Answer]:
        """Answers to inputs, in order, from (inputs, labels) what is said of each."""

    def _answer_group(self, asked: Sequence[TextPair]) -> list[Answer]:
        cut = self.read(asked)
        return self.answers(asked, cut, self._means(cut))

    def _means(self, cut: Cut) -> NDArray[np.float64]:
        return self.mean_of(cut, self.said(self.text_logits(cut.windows)))

    def mean_of(self, cut: Cut, said: NDArray[np.float64]) -> NDArray[np.float64]:
        """(texts, labels) what is said of each text, from (windows, labels) what is said of its windows."""
        weights = np.array(cut.weights, dtype=np.float64)
        sums = np.zeros((len(cut.n_tokens), len(self.labels)))
        totals = np.zeros((len(cut.n_tokens), 1))
        np.add.at(sums, cut.owners, said * weights[:, None])
        np.add.at(totals, cut.owners, weights[:, None])
        return np.asarray(sums / totals)

    def context_of(self, text: str, second: str | None) -> list[tuple[int, int]]:  # noqa: ARG002 - most have none
        """(start, end) of stretches of a text that are read once more without the rest, and count as much as all."""
        return []

    def window(self, first: Sequence[int], second: Sequence[int] | None) -> Window:
        """Pieces of a text, and of a second one, as the network reads them."""
        ids = join_segments(self.tokenizer.cls_id, self.tokenizer.sep_id, first, second)
        return Window(ids, None if second is None else len(first) + 2)

    def read(self, pairs: Sequence[TextPair]) -> Cut:
        """Word pieces, and windows where a text is too long for the network to read at once.

        What `context_of` finds is read in windows too, which count as much as all windows of the text together.
        """
        tokenizer, room = self.tokenizer, self.bundle.window - 2
        firsts = tokenizer.encode([first for first, _ in pairs])
        seconds = iter(tokenizer.encode([second for _, second in pairs if second is not None]))
        contexts = self._contexts(pairs)
        cut = Cut()
        for number, (pieces, (_, second_text)) in enumerate(zip(firsts, pairs, strict=True)):
            second = None if second_text is None else next(seconds).ids[: room // 2]
            space = room if second is None else room - 1 - len(second)
            parts = cut_windows(len(pieces.ids), space, min(self.bundle.overlap, space // 2))
            self._add(cut, number, pieces.ids, second, parts)
            if context := contexts.get(number):
                again = cut_windows(len(context), space, min(self.bundle.overlap, space // 2))
                self._add(cut, number, context, second, again)
            cut.n_tokens.append(len(pieces.ids) + len(second or ()))
            cut.n_windows.append(len(parts))
            cut.n_unknown.append([*pieces.ids, *(second or ())].count(tokenizer.unk_id))
        return cut

    def _add(
        self, cut: Cut, owner: int, ids: Sequence[int], second: Sequence[int] | None, parts: Sequence[tuple[int, int]]
    ) -> None:
        """Windows whose weights go by their lengths and are 1 in sum."""
        whole = sum(max(1, end - start) for start, end in parts)
        for start, end in parts:
            cut.windows.append(self.window(ids[start:end], second))
            cut.owners.append(owner)
            cut.weights.append(max(1, end - start) / whole)

    def _contexts(self, pairs: Sequence[TextPair]) -> dict[int, list[int]]:
        """Word pieces of what `context_of` finds, by the number of the input."""
        found = {number: spans for number, pair in enumerate(pairs) if (spans := self.context_of(*pair))}
        texts = [" ".join(pairs[number][0][start:end] for start, end in spans) for number, spans in found.items()]
        return {number: pieces.ids for number, pieces in zip(found, self.tokenizer.encode(texts), strict=True)}


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
