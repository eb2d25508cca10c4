"""Which words made the answer: the network reads runs of a few of its words, in one batch.

A word is weighed alone, against nothing, and by what it adds to the two words before it and to the two behind it.
Its weight is the mean of what it does alone and what it adds to runs. A word alone is blind to "not" in "not good",
which runs show; where two words say the same, leaving one out of the text would show neither. As runs are short, this
costs what a few readings of the text do, however long it is. docs/decisions/0018 tells what was measured.

Weights are then settled so that they add up to all that the text does: the log-odds of the answer are those of a text
without words and the weights together (Shapley 1953 calls this efficiency).

A long text is weighed by sentences first, in the same way, and only the sentences that matter most are opened into
words. One too long for the network to read at once is the mean of its sections, so what each section does is known
exactly from reading it alone; then each sentence is read alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from polarbert.errors import UsageError
from polarbert.inference.explanation import Explanation, SentenceWeight, WordWeight
from polarbert.inference.prediction import DECIMALS
from polarbert.inference.predictor import Window
from polarbert.inference.runs import Explained, Floats, Runs, in_sections, settle
from polarbert.inference.text_parts import Ids, Part, Unit, packed, part_of, sections_of, units_of, within
from polarbert.inference.text_predictor import TextPredictor
from polarbert.text.sentences import sentence_spans

# What bounds the cost. Pieces are those the network reads in all, [CLS] and [SEP] included.
MOST_WORDS = 40  # weighed one by one
MOST_PIECES = 2000  # of the text, read to weigh its words, or those of all the sentences that are opened
MOST_CHARACTERS = 1_000_000  # of a text; a longer one is a file that somebody took for a text
WORDS_AROUND, SENTENCES_AROUND = 2, 1  # on each side: in the runs of a word, and of a sentence


class Readings:
    """The network, and one text that it explains.

    Args:
        predictor: the model.
        text: the text.
        second: a second text that is read behind each reading.

    Attributes:
        count: texts read so far.
        space: pieces of the text that one reading has room for.
        behind: pieces that stand behind those of the text in each reading: the second text and its [SEP].
    """

    def __init__(self, predictor: TextPredictor[Any], text: str, second: str | None) -> None:
        self.count = 0
        self._predictor = predictor
        self._asked = [(text, second)]
        self._cut = predictor.read(self._asked)
        window = self._cut.windows[0]
        self._second = None if window.second_at is None else window.ids[window.second_at : -1]
        self.behind = 0 if self._second is None else len(self._second) + 1
        self.space = predictor.bundle.window - 2 - self.behind

    def answer(self, readings: Sequence[Ids]) -> tuple[Any, Floats]:
        """The answer about the text, and (readings, labels) what the network says of each, in one batched call."""
        cut, predictor = self._cut, self._predictor
        said = self._said([*cut.windows, *map(self._window, readings)])
        own = len(cut.windows)
        return predictor.answers(self._asked, cut, predictor.mean_of(cut, said[:own]))[0], said[own:]

    def said(self, readings: Sequence[Ids]) -> Floats:
        """(readings, labels) in one batched call."""
        return self._said([self._window(ids) for ids in readings])

    def _said(self, windows: Sequence[Window]) -> Floats:
        self.count += len(windows)
        return self._predictor.said(self._predictor.text_logits(windows))

    def _window(self, ids: Ids) -> Window:
        return self._predictor.window(ids[: self.space], self._second)


def explain_text(
    predictor: TextPredictor[Any], text: str, second: str | None = None, label: str | None = None
) -> Explanation:
    """Weigh the words of a text.

    A text of up to `MOST_WORDS` words takes one batched call. A longer one takes two, for which the network reads at
    most five times the text, and 4,000 pieces besides. A second text stands behind each reading: with one it is at
    most thirteen times the text, and 300 times the second text besides. What is read once more without the rest, as are
    the clauses that mention an aspect, makes that at most twice as much.

    Args:
        predictor: a model that has one answer a text.
        text: any text.
        second: a second text, for a model that reads two.
        label: the class to explain; the answer unless given.

    Raises:
        UsageError: when the model has no such label, or the text is longer than `MOST_CHARACTERS`.
    """
    if len(text) > MOST_CHARACTERS:
        raise UsageError(
            f"a text of {len(text):,} characters is too long to explain; {MOST_CHARACTERS:,} are the most. "
            "Explain a part of it"
        )
    if label is not None and label not in predictor.labels:
        raise UsageError(f"there is no label {label!r}; the labels of this model are {', '.join(predictor.labels)}")
    readings = Readings(predictor, text, second)
    units = units_of(text, predictor.tokenizer.encode([text], offsets=True)[0])
    explaining = _Explaining(
        predictor, readings, text, second, label, within(units, predictor.context_of(text, second))
    )
    if len(units) <= MOST_WORDS and _cost(units, readings.behind) <= _most(readings.behind):
        return explaining.by_words(units)
    return explaining.by_sentences(units)


@dataclass
class _Explaining:
    """One explanation in the making.

    Attributes:
        context: the pieces of each unit that are read once more without the rest; empty where nothing is.
    """

    predictor: TextPredictor[Any]
    readings: Readings
    text: str
    second: str | None
    label: str | None
    context: Sequence[Ids] = ()

    def by_words(self, units: Sequence[Unit]) -> Explanation:
        """Of a short text."""
        runs = Runs([unit.ids for unit in units], WORDS_AROUND, self.context)
        answer, said = self.readings.answer(runs.readings)
        explained = self._explained(answer)
        outcome = self._outcome(explained, answer, said[0])
        weights = settle(runs.weights(explained, said), self._total(explained, outcome))
        return self._explanation(outcome, units, weights, (), answer)

    def by_sentences(self, units: Sequence[Unit]) -> Explanation:
        """Of a long text: first its sentences, then the words of those that matter most."""
        parts = self._parts(units)
        whole = sum(len(unit.ids) for unit in units) <= self.readings.space
        if whole:
            parts = packed(parts, self.readings.behind, lambda part: self._is_affordable(units, part))
            runs = Runs([part.ids for part in parts], SENTENCES_AROUND, self._contexts(parts))
            answer, said = self.readings.answer(runs.readings)
        else:
            parts = packed(parts, self.readings.behind // 4, lambda part: self._is_affordable(units, part))
            sections = sections_of(parts, self.readings.space, self._contexts(parts))
            answer, said = self.readings.answer([[], *(ids for section in sections for ids in section.readings)])
        explained = self._explained(answer)
        outcome = self._outcome(explained, answer, said[0])
        total = self._total(explained, outcome)
        if whole:
            weights = settle(runs.weights(explained, said), total)
        else:
            weights = in_sections(explained, said, sections, len(parts), total)
        opened = _opened(units, parts, weights, self.readings.behind)
        of_words = self._words(explained, units, parts, weights, opened)
        sentences = tuple(
            SentenceWeight(self.text[start:end], start, end, round(float(weight), DECIMALS), number in opened)
            for number, (part, weight) in enumerate(zip(parts, weights, strict=True))
            for start, end in [(units[part.first].start, units[part.behind - 1].end)]
        )
        return self._explanation(outcome, units, of_words, sentences, answer)

    def _parts(self, units: Sequence[Unit]) -> list[Part]:
        """Sentences, those of many words or pieces in runs of nearly equal length that can be opened."""
        starts = [unit.start for unit in units]
        bounds = [bisect_left(starts, start) for start, _ in sentence_spans(self.text)]
        parts = []
        for first, behind in zip(bounds, [*bounds[1:], len(units)], strict=True):
            runs = -(-(behind - first) // MOST_WORDS)
            cuts = [first + round((behind - first) * n / runs) for n in range(runs + 1)] if runs else []
            parts += [part for start, end in pairwise(cuts) for part in self._affordable(units, start, end)]
        return parts

    def _contexts(self, parts: Sequence[Part]) -> list[Ids]:
        """As `context`, of parts."""
        if not self.context:
            return []
        return [[n for ids in self.context[part.first : part.behind] for n in ids] for part in parts]

    def _affordable(self, units: Sequence[Unit], first: int, behind: int) -> list[Part]:
        """A run of units, halved until each part can be opened or is a single unit."""
        part = part_of(units, first, behind)
        if behind - first < 2 or self._is_affordable(units, part):
            return [part]
        middle = (first + behind) // 2
        return [*self._affordable(units, first, middle), *self._affordable(units, middle, behind)]

    def _is_affordable(self, units: Sequence[Unit], part: Part) -> bool:
        """Whether the words of a part may be weighed, if they are the only ones."""
        return _cost(units[part.first : part.behind], self.readings.behind) <= _most(self.readings.behind)

    def _words(
        self, explained: Explained, units: Sequence[Unit], parts: Sequence[Part], weights: Floats, opened: set[int]
    ) -> Floats:
        """(units,) weights of words; those of a sentence that is not opened share its weight."""
        spans = {number: slice(parts[number].first, parts[number].behind) for number in opened}
        runs = {
            number: Runs([unit.ids for unit in units[span]], WORDS_AROUND, self.context[span])
            for number, span in spans.items()
        }
        said = self.readings.said([ids for one in runs.values() for ids in one.readings])
        result = np.zeros(len(units))
        for number, (part, weight) in enumerate(zip(parts, weights.tolist(), strict=True)):
            if number in runs:
                own, said = np.split(said, [len(runs[number].readings)])
                shares = runs[number].weights(explained, own)
            else:
                shares = np.array([float(bool(unit.ids)) for unit in units[part.first : part.behind]])
                shares *= weight / max(shares.sum(), 1)
            result[part.first : part.behind] = settle(shares, weight)
        return result

    def _explained(self, answer: Any) -> Explained:
        label = getattr(answer, "label", self.predictor.labels[0]) if self.label is None else self.label
        return Explained(self.predictor.labels.index(label), not hasattr(answer, "label"))

    def _outcome(self, explained: Explained, answer: Any, nothing: Floats) -> tuple[str, float, float]:
        """Name of the label, its probability, and that of a text without words."""
        label = self.predictor.labels[explained.number]
        found = answer.value if explained.is_number else answer.probabilities[label]
        return label, found, round(float(nothing[explained.number]), DECIMALS)

    @staticmethod
    def _total(explained: Explained, outcome: tuple[str, float, float]) -> float:
        _, found, baseline = outcome
        low, high = explained.scale(np.array([baseline, found])).tolist()
        return float(high - low)

    def _explanation(
        self,
        outcome: tuple[str, float, float],
        units: Sequence[Unit],
        weights: Floats,
        sentences: tuple[SentenceWeight, ...],
        answer: Any,
    ) -> Explanation:
        words = tuple(
            WordWeight(self.text[unit.start : unit.end], unit.start, unit.end, round(weight, DECIMALS))
            for unit, weight in zip(units, weights.tolist(), strict=True)
        )
        return Explanation(self.text, *outcome, words, sentences, answer, self.second, self.readings.count)


def _opened(units: Sequence[Unit], parts: Sequence[Part], weights: Floats, behind: int) -> set[int]:
    """Numbers of the parts whose words are weighed: by weight, as many as `_most` allows."""
    opened: set[int] = set()
    left = _most(behind)
    for number in np.argsort(-np.abs(weights), kind="stable").tolist():
        part = parts[number]
        cost = _cost(units[part.first : part.behind], behind)
        if cost <= left:
            opened.add(number)
            left -= cost
    return opened


def _most(behind: int) -> int:
    """Pieces that may be read to weigh words, so that `behind` pieces leave as many words as a text alone has."""
    return MOST_PIECES + 3 * MOST_WORDS * behind


def _cost(units: Sequence[Unit], behind: int) -> int:
    """The most pieces that are read to weigh units.

    Each has a part in at most so many runs, and makes no more than three of them, with [CLS], [SEP] and what is behind.
    """
    pieces = sum(len(unit.ids) for unit in units)
    return 2 * (WORDS_AROUND + 1) * pieces + 3 * len(units) * (2 + behind)
