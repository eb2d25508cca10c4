"""Entities in texts: a tag for every word, and what the tags say together (BERT, section 5.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polarbert.bundle import Bundle
from polarbert.calibration import probabilities
from polarbert.data.entities import OUTSIDE, Span, entity_spans, to_bio
from polarbert.errors import BundleError, UsageError
from polarbert.inference.engine import Engine
from polarbert.inference.prediction import DECIMALS
from polarbert.inference.predictor import Predictor, Window, given_texts
from polarbert.text.words import Offsets, WordWindow, cut_words, split_words

# A text and its words as (start, end) in characters; None where the words are to be found.
TextAndWords = tuple[str, tuple[Offsets, ...] | None]


@dataclass(frozen=True)
class Entity:
    """A stretch of a text that a model gives a type.

    Attributes:
        type: what it is.
        text: the stretch itself, `text[start:end]` of the text.
        start: where it begins, in characters.
        end: the character behind its last.
        confidence: probability of the tag of its least sure word.
        unsure: the confidence is below the threshold, the bundle's or the one asked for. It never hides the entity.
    """

    type: str
    text: str
    start: int
    end: int
    confidence: float
    unsure: bool


@dataclass(frozen=True)
class Tagging:
    """What a model finds in one text.

    Attributes:
        entities: in order; no two overlap.
        n_tokens: pieces read, without [CLS] and [SEP].
        n_windows: parts in which a long text was read; 1 for most.
        n_unknown: pieces that are not in the vocabulary.
        words: (start, end) of each word in the text, in characters.
        tags: of each word, in BIO.
    """

    entities: list[Entity]
    n_tokens: int
    n_windows: int
    n_unknown: int = 0
    words: tuple[Offsets, ...] = field(default=(), repr=False)
    tags: tuple[str, ...] = field(default=(), repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them, without words and tags: the entities say the same in fewer words."""
        values = asdict(self)
        return {name: value for name, value in values.items() if name not in ("words", "tags")}


@dataclass(frozen=True)
class _Read:
    """A text as it was read.

    Attributes:
        text: the text.
        words: its words.
        windows: those that cover it.
        n_tokens, n_unknown: its pieces, and those that are unknown.
    """

    text: str
    words: tuple[Offsets, ...]
    windows: list[WordWindow]
    n_tokens: int
    n_unknown: int


class Tagger(Predictor[TextAndWords, Tagging]):
    """Finds entities in texts of any length; arguments as for `Predictor`.

    A text is cut into words (`polarbert.text.words`), and the tag of each is decided at its first word piece, in the
    window in which that has most context. A word without a piece, such as one of control characters, is no entity.

    Raises:
        BundleError: when none of the bundle's labels is O, or as for `Predictor`.

    Example:
        >>> found = polarbert.load("my-tagger").predict(["The Orla app fails in Leeds."])[0]
        >>> [(entity.type, entity.text, entity.start) for entity in found.entities]
        [('product', 'Orla', 4), ('place', 'Leeds', 22)]
    """

    def __init__(
        self,
        bundle: Bundle,
        threads: int = 0,
        engine: str | Engine | None = None,
        min_confidence: float | None = None,
    ) -> None:
        if OUTSIDE not in bundle.labels:
            raise BundleError(f"{bundle.path}: no label is {OUTSIDE!r}, so this is no tagger. Export it again")
        super().__init__(bundle, threads, engine, min_confidence)
        self._outside = bundle.labels.index(OUTSIDE)

    def predict(self, texts: Iterable[str]) -> list[Tagging]:
        """Find the entities of texts.

        Args:
            texts: list, numpy array or Series of texts.

        Returns:
            One answer a text, in input order.

        Raises:
            UsageError: when `texts` is one text, or naming the position of the first element that is no text.
        """
        return self.answer([(text, None) for text in given_texts(texts)])

    def distributions(self, asked: Sequence[TextAndWords]) -> list[NDArray[np.float64]]:
        """For each text, (words, labels) probabilities; see `Predictor.distributions`."""
        return self._distributions(self._read(asked))

    def _answer_group(self, asked: Sequence[TextAndWords]) -> list[Tagging]:
        read = self._read(asked)
        return [self._tagging(one, chances) for one, chances in zip(read, self._distributions(read), strict=True)]

    def _read(self, asked: Sequence[TextAndWords]) -> list[_Read]:
        size = self.bundle.window - 2
        read = []
        for (text, given), pieces in zip(asked, self.tokenizer.encode([text for text, _ in asked], True), strict=True):
            words = tuple(split_words(text)) if given is None else _checked(given, text)
            windows = cut_words(pieces, words, size, self.bundle.overlap)
            read.append(_Read(text, words, windows, len(pieces.ids), pieces.ids.count(self.tokenizer.unk_id)))
        return read

    def _distributions(self, read: Sequence[_Read]) -> list[NDArray[np.float64]]:
        cls_id, sep_id = self.tokenizer.cls_id, self.tokenizer.sep_id
        logits = iter(self.piece_logits([Window([cls_id, *w.ids, sep_id]) for one in read for w in one.windows]))
        return [self._distribution(one, [next(logits) for _ in one.windows]) for one in read]

    def _distribution(self, one: _Read, logits: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
        """(words, labels) of one text, from the logits of its windows."""
        chances = np.zeros((len(one.words), len(self.labels)))
        chances[:, self._outside] = 1
        for window, found in zip(one.windows, logits, strict=True):
            # [CLS] stands before the pieces.
            chances[window.words] = probabilities(found[window.pieces + 1], self.bundle.calibration.temperature)
        return chances

    def _tagging(self, one: _Read, chances: NDArray[np.float64]) -> Tagging:
        tags, found = decode(self.labels, chances)
        entities = []
        for (name, first, behind), confidence in found:
            start, end = one.words[first][0], one.words[behind - 1][1]
            entities.append(Entity(name, one.text[start:end], start, end, confidence, confidence < self.unsure_below))
        return Tagging(entities, one.n_tokens, len(one.windows), one.n_unknown, one.words, tuple(tags))


def decode(labels: Sequence[str], chances: NDArray[np.float64]) -> tuple[list[str], list[tuple[Span, float]]]:
    """The most probable tag of each word as BIO, and the entities that these make.

    An impossible sequence is read as `polarbert.data.entities.to_bio` does: I- without B- begins an entity.

    Args:
        labels: of the model.
        chances: (words, labels) probabilities.

    Returns:
        The tags, and each entity with its confidence, the probability of the tag of its least sure word: an entity is
        right only if all of its words are.

    Example:
        >>> decode(["O", "B-PER", "I-PER"], np.array([[0.1, 0.2, 0.7], [0.1, 0.3, 0.6], [0.9, 0.1, 0.0]]))
        (['B-PER', 'I-PER', 'O'], [(('PER', 0, 2), 0.6)])
    """
    best = chances.argmax(axis=1)
    tags = to_bio(labels[number] for number in best)
    sure = chances[np.arange(len(best)), best]
    found = [(entity, round(float(sure[entity[1] : entity[2]].min()), DECIMALS)) for entity in entity_spans(tags)]
    return tags, found


def _checked(words: tuple[Offsets, ...], text: str) -> tuple[Offsets, ...]:
    """Words that were given, if they are stretches of the text, in order."""
    behind = 0
    for number, (start, end) in enumerate(words):
        if not behind <= start < end <= len(text):
            raise UsageError(
                f"word {number} is ({start}, {end}); words are (start, end) in characters, in order and apart, inside "
                f"the text of {len(text):,} characters"
            )
        behind = end
    return words
