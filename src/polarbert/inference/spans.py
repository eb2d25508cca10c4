"""Where in a passage an answer may stand: windows over the passage, and one distribution over all of its spans.

Devlin et al. 2019, sections 4.2 and 4.3, for a single window; the windows of a long passage are put together as below.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polarbert.inference.predictor import Window
from polarbert.metrics import normalised_answer
from polarbert.text import Pieces, WordPieceTokenizer, cut_windows, join_segments

MAX_PIECES = 30  # of an answer, as in BERT's own code
COMPARED = 200  # spans, the most probable ones, among which equal answers are put together

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Reading:
    """A question and its passage, as the network reads them.

    Attributes:
        passage: the text.
        windows: parts of the passage, the question before each of them.
        parts: (start, end) of each, in pieces of the passage.
        offsets: (start, end) of each piece of the passage, in characters.
        can_start: (pieces,) whether a word begins with the piece.
        can_end: (pieces,) whether a word ends with it.
        n_tokens: pieces of question and passage that were read.
        n_unknown: of these, the ones not in the vocabulary.
        n_cut: pieces of the question that were left out, because it is longer than half a window.
    """

    passage: str
    windows: list[Window]
    parts: list[tuple[int, int]]
    offsets: list[tuple[int, int]]
    can_start: Booleans
    can_end: Booleans
    n_tokens: int
    n_unknown: int
    n_cut: int


def cut_questions(count: int, first: int | None = None) -> str:
    """What people are told of questions that were not read to their end.

    Args:
        count: how many.
        first: the number of the first one, where it is known.
    """
    where = "" if first is None else f" (the first: question {first:,})"
    return f"questions longer than half of what is read at once, and cut there: {count:,}{where}"


class PassageReader:
    """Cuts questions and passages into what the network reads: [CLS] question [SEP] part of the passage [SEP].

    Args:
        tokenizer: of the network.
        window: most pieces that the network reads at once.
        overlap: pieces of the passage that neighbouring windows share, where there is room for as many.

    Example:
        >>> reading = PassageReader(tokenizer, 384, 64).read([("Who came?", "Anna came.")])[0]
        >>> reading.offsets
        [(0, 4), (5, 9), (9, 10)]
    """

    def __init__(self, tokenizer: WordPieceTokenizer, window: int, overlap: int) -> None:
        self._tokenizer = tokenizer
        self._room = window - 3  # beside [CLS] and two [SEP]
        self._overlap = overlap
        pieces = tokenizer.backend.get_vocab()
        self._continues = np.zeros(max(pieces.values()) + 1, dtype=np.bool_)
        self._continues[[number for piece, number in pieces.items() if piece.startswith("##")]] = True

    def read(self, asked: Sequence[tuple[str, str]]) -> list[Reading]:
        """The windows of questions and their passages; a passage that comes twice is cut into pieces once."""
        questions = self._tokenizer.encode([question for question, _ in asked])
        different = list(dict.fromkeys(passage for _, passage in asked))
        passages = dict(zip(different, self._tokenizer.encode(different, offsets=True), strict=True))
        ends = {passage: self._word_ends(pieces) for passage, pieces in passages.items()}
        return [
            self._reading(question.ids, passage, passages[passage], *ends[passage])
            for question, (_, passage) in zip(questions, asked, strict=True)
        ]

    def _word_ends(self, pieces: Pieces) -> tuple[Booleans, Booleans]:
        """Where an answer may start and end: at the bounds of words, never at a piece that stands for no character.

        A word of more pieces than an answer may have is no word of a language; in it every piece will do.
        """
        begins = ~self._continues[np.asarray(pieces.ids, dtype=np.int64)]
        begins[:1] = True
        ends = np.append(begins[1:], True)[: len(begins)]
        word = np.cumsum(begins)
        endless = np.bincount(word)[word] > MAX_PIECES
        there = np.array([start < end for start, end in pieces.offsets], dtype=np.bool_)
        return (begins | endless) & there, (ends | endless) & there

    def _reading(
        self, question: list[int], passage: str, pieces: Pieces, can_start: Booleans, can_end: Booleans
    ) -> Reading:
        read = question[: self._room // 2]
        space = self._room - len(read)
        parts = cut_windows(len(pieces.ids), space, min(self._overlap, space // 2))
        cls_id, sep_id, unknown = self._tokenizer.cls_id, self._tokenizer.sep_id, self._tokenizer.unk_id
        windows = [
            Window(join_segments(cls_id, sep_id, read, pieces.ids[start:end]), len(read) + 2) for start, end in parts
        ]
        return Reading(
            passage=passage,
            windows=windows,
            parts=parts,
            offsets=pieces.offsets,
            can_start=can_start,
            can_end=can_end,
            n_tokens=len(read) + len(pieces.ids),
            n_unknown=read.count(unknown) + pieces.ids.count(unknown),
            n_cut=len(question) - len(read),
        )


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the network says of each piece of a passage: its logits less those of [CLS] in the same window.

    Attributes:
        starts: (pieces,) of where an answer starts.
        ends: (pieces,) of where it ends.
    """

    starts: Floats
    ends: Floats

    @classmethod
    def of(cls, reading: Reading, logits: Sequence[NDArray[np.float32]]) -> Evidence:
        """Put the windows of a passage together.

        Less those of [CLS], logits of different windows can be compared. Were windows independent, the chance that the
        answer is a span of window w and that no other window has one would be, up to a factor that all share, the
        chance of the span over that of "not here" in w. Of a piece that stands in several windows, the one counts in
        which it has most of the passage around it.

        Args:
            reading: of the question.
            logits: (pieces of the window, 2) of each window.
        """
        found = np.zeros((len(reading.offsets), 2))
        around = np.full(len(reading.offsets), -1)
        for (start, end), window, rows in zip(reading.parts, reading.windows, logits, strict=True):
            place = np.arange(end - start)
            context = np.minimum(place, place[::-1])
            better = context > around[start:end]
            passage = rows[window.second_at : -1].astype(np.float64) - rows[0].astype(np.float64)
            found[start:end][better] = passage[better]
            around[start:end][better] = context[better]
        return cls(found[:, 0], found[:, 1])


@dataclass(frozen=True)
class AnswerSpan:
    """A stretch of a passage that may be the answer.

    Attributes:
        text: as it stands in the passage.
        start: its first character.
        end: the character behind its last: `passage[start:end]` is `text`.
        probability: that it is the answer, wherever else in the passage it may stand as well.
    """

    text: str
    start: int
    end: int
    probability: float


@dataclass(frozen=True)
class Findings:
    """The answers to a question.

    Attributes:
        spans: the most probable ones, falling; no two are the same answer.
        no_answer: probability that the passage does not hold the answer.
    """

    spans: list[AnswerSpan]
    no_answer: float

    @property
    def best(self) -> AnswerSpan | None:
        """The answer to give, None for "no answer": whichever is most probable."""
        return None if not self.spans or self.no_answer > self.spans[0].probability else self.spans[0]

    @property
    def confidence(self) -> float:
        """Probability of `best`."""
        return self.no_answer if self.best is None else self.best.probability


@dataclass(frozen=True, eq=False)
class SpanScores:
    """What may be the answer to a question, and what speaks for it.

    A span from piece i to piece j may be the answer when it has at most `MAX_PIECES` pieces and neither begins nor ends
    inside a word. Its probability is proportional to exp((start_i + end_j) / temperature), the product of what the
    softmaxes over starts and over ends give it; that of "no answer" is proportional to 1. They are normalised together,
    so that all of them sum to 1. Spans of the same text, apart from what `normalised_answer` takes away, are one
    answer: it stands where the most probable of them does, and their probabilities are added up.

    Attributes:
        every: (spans,) start_i + end_j of every span that may be the answer.
        top: (compared,) those of the most probable ones, falling.
        answer_of: (compared,) to which answer each of these belongs.
        answers: (text, start, end) of each.
        may_decline: whether "no answer" is a possible answer; otherwise it is given only where there is no span.
    """

    every: Floats
    top: Floats
    answer_of: NDArray[np.int64]
    answers: list[tuple[str, int, int]]
    may_decline: bool

    @classmethod
    def of(cls, reading: Reading, evidence: Evidence, may_decline: bool = True) -> SpanScores:
        """Those of a question."""
        scores = _span_scores(reading, evidence)
        possible = np.flatnonzero(np.isfinite(scores))
        best = possible
        if len(best) > COMPARED:
            best = best[np.argpartition(-scores[best], COMPARED)[:COMPARED]]
        best = best[np.argsort(-scores[best], kind="stable")]
        numbers: dict[str, int] = {}
        answers, answer_of = [], []
        for place in best.tolist():
            text, start, end = _span(reading, place)
            key = normalised_answer(text) or text
            if key not in numbers:
                numbers[key] = len(numbers)
                answers.append((text, start, end))
            answer_of.append(numbers[key])
        return cls(scores[possible], scores[best], np.array(answer_of, dtype=np.int64), answers, may_decline)

    def chances(self, temperature: float = 1.0) -> tuple[Floats, float]:
        """(answers,) the probability of each answer, and that of "no answer"."""
        if not len(self.every):
            return np.empty(0), 1.0
        declining = 0.0 if self.may_decline else -np.inf
        highest = max(float(self.top[0]), declining)
        nothing = np.exp((declining - highest) / temperature)
        total = np.exp((self.every - highest) / temperature).sum() + nothing
        weights = np.exp((self.top - highest) / temperature)
        return np.bincount(self.answer_of, weights) / total, float(nothing / total)

    def findings(self, count: int, temperature: float = 1.0) -> Findings:
        """The most probable answers, at most so many."""
        chances, no_answer = self.chances(temperature)
        order = np.argsort(-chances, kind="stable")[:count].tolist()
        found = [(*self.answers[n], float(chances[n])) for n in order]
        return Findings([AnswerSpan(text, start, end, chance) for text, start, end, chance in found], no_answer)


def place_distributions(
    reading: Reading, evidence: Evidence, *, temperature: float = 1.0, may_decline: bool = True
) -> Floats:
    """(2, 1 + pieces) probabilities of the start and of the end: of no answer, then of each piece of the passage."""
    rows = np.full((2, 1 + len(reading.offsets)), -np.inf)
    rows[0, 1:] = np.where(reading.can_start, evidence.starts, -np.inf)
    rows[1, 1:] = np.where(reading.can_end, evidence.ends, -np.inf)
    if may_decline or not np.isfinite(rows).any():
        rows[:, 0] = 0.0
    weights = np.exp((rows - rows.max(axis=1, keepdims=True)) / temperature)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def pieces_of(reading: Reading, start: int, end: int) -> tuple[int, int] | None:
    """The first and the last piece of the passage that have characters of `passage[start:end]`; None when none has."""
    touching = [n for n, (begin, stop) in enumerate(reading.offsets) if begin < end and stop > start and begin < stop]
    return (touching[0], touching[-1]) if touching else None


def _span_scores(reading: Reading, evidence: Evidence) -> Floats:
    """(pieces * MAX_PIECES,) score of the span from piece i to piece i + k, at i * MAX_PIECES + k."""
    if not reading.offsets:
        return np.empty(0)
    starts = np.where(reading.can_start, evidence.starts, -np.inf)
    ends = np.where(reading.can_end, evidence.ends, -np.inf)
    behind = np.append(ends, np.full(MAX_PIECES - 1, -np.inf))
    table = starts[:, None] + np.lib.stride_tricks.sliding_window_view(behind, MAX_PIECES)
    return np.asarray(table.reshape(-1))


def _span(reading: Reading, place: int) -> tuple[str, int, int]:
    """Text, start and end of a span by its place among all."""
    first, more = divmod(place, MAX_PIECES)
    start, end = reading.offsets[first][0], _whole(reading.passage, reading.offsets[first + more][1])
    return reading.passage[start:end], start, end


def _whole(text: str, end: int) -> int:
    """The end of the last character as people see it: the tokenizer leaves out the accents and tones that follow it."""
    while end < len(text) and (unicodedata.category(text[end])[0] == "M" or "\U0001f3fb" <= text[end] <= "\U0001f3ff"):
        end += 1
    return end
