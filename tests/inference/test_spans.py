"""Windows over a passage are put together, and all spans and "no answer" share one distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polarbert.inference.spans import (
    MAX_PIECES,
    Evidence,
    PassageReader,
    Reading,
    SpanScores,
    pieces_of,
    place_distributions,
)
from polarbert.metrics import normalised_answer
from polarbert.text import WordPieceTokenizer

PASSAGE = "the old phone was slow and the new phone is very great"


def read(tokenizer: WordPieceTokenizer, passage: str, question: str = "what is great", window: int = 64) -> Reading:
    return PassageReader(tokenizer, window, 16).read([(question, passage)])[0]


def evidence_for(reading: Reading, seed: int, scale: float = 2.0) -> Evidence:
    random = np.random.default_rng(seed)
    starts, ends = random.normal(0, scale, (2, len(reading.offsets)))
    return Evidence(starts, ends)


def brute_force(
    reading: Reading, evidence: Evidence, temperature: float, may_decline: bool
) -> tuple[dict[str, float], float]:
    """The probability of every answer, and of none, by going through all spans one by one."""
    weights: dict[str, float] = {}
    for first in range(len(reading.offsets)):
        for last in range(first, min(first + MAX_PIECES, len(reading.offsets))):
            if reading.can_start[first] and reading.can_end[last]:
                text = reading.passage[reading.offsets[first][0] : reading.offsets[last][1]]
                key = normalised_answer(text) or text
                weight = math.exp((evidence.starts[first] + evidence.ends[last]) / temperature)
                weights[key] = weights.get(key, 0.0) + weight
    nothing = 1.0 if may_decline or not weights else 0.0
    total = sum(weights.values()) + nothing
    return {key: weight / total for key, weight in weights.items()}, nothing / total


@pytest.mark.parametrize("may_decline", [True, False])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_probabilities_are_those_of_all_spans_together(
    tokenizer: WordPieceTokenizer, seed: int, temperature: float, may_decline: bool
) -> None:
    reading = read(tokenizer, PASSAGE)
    evidence = evidence_for(reading, seed)
    expected, nothing = brute_force(reading, evidence, temperature, may_decline)
    found = SpanScores.of(reading, evidence, may_decline).findings(1000, temperature)
    assert found.no_answer == pytest.approx(nothing)
    keys = [normalised_answer(span.text) or span.text for span in found.spans]
    assert keys == sorted(expected, key=lambda key: -expected[key])[: len(keys)]
    for key, span in zip(keys, found.spans, strict=True):
        assert span.probability == pytest.approx(expected[key])
    assert found.no_answer + sum(span.probability for span in found.spans) == pytest.approx(1)


def test_the_same_answer_at_two_places_is_one_and_stands_at_the_likelier(tokenizer: WordPieceTokenizer) -> None:
    reading = read(tokenizer, PASSAGE)
    evidence = Evidence(np.full(12, -9.0), np.full(12, -9.0))
    for place, weight in ((2, 3.0), (8, 3.5)):  # both are "phone"
        evidence.starts[place] = evidence.ends[place] = weight
    evidence.starts[6] = 2.0  # "the new phone" and "new phone" are one answer, too
    evidence.starts[7] = 1.0
    found = SpanScores.of(reading, evidence).findings(100).spans
    first, second = found[0], next(span for span in found if "new phone" in span.text and span.start == 27)
    assert (first.text, first.start) == ("phone", 35)
    assert PASSAGE[first.start : first.end] == "phone"
    assert second.text == "the new phone"
    expected, _ = brute_force(reading, evidence, 1.0, may_decline=True)
    assert first.probability == pytest.approx(expected["phone"])
    assert second.probability == pytest.approx(expected["new phone"])


def test_an_answer_has_at_most_thirty_pieces(tokenizer: WordPieceTokenizer) -> None:
    reading = read(tokenizer, "great " * 40)
    evidence = Evidence(np.zeros(40), np.zeros(40))
    evidence.starts[2] = evidence.ends[32] = 50.0  # 31 pieces
    best = SpanScores.of(reading, evidence).findings(5).best
    assert best is not None
    assert len(best.text.split()) <= MAX_PIECES
    evidence.ends[32], evidence.ends[31] = 0.0, 50.0
    best = SpanScores.of(reading, evidence).findings(5).best
    assert best is not None
    assert (best.start, len(best.text.split())) == (12, 30)


def test_an_answer_is_of_whole_words(tokenizer: WordPieceTokenizer) -> None:
    reading = read(tokenizer, "my workings, oversleep!")
    evidence = Evidence(np.zeros(len(reading.offsets)), np.zeros(len(reading.offsets)))
    pieces = pieces_of(reading, 3, 11)
    assert pieces is not None
    first, last = pieces
    assert last > first, "the word is cut into several pieces"
    evidence.starts[first + 1] = evidence.ends[first] = 30.0
    texts = [span.text for span in SpanScores.of(reading, evidence).findings(1000).spans]
    assert "workings" in texts
    words = {"my", "workings", ",", "oversleep", "!"}
    assert all(set(text.replace(",", " , ").replace("!", " ! ").split()) <= words for text in texts)


def test_a_word_without_end_is_not_left_without_an_answer(tokenizer: WordPieceTokenizer) -> None:
    reading = read(tokenizer, "q" * 80)
    assert len(reading.offsets) > MAX_PIECES
    found = SpanScores.of(reading, evidence_for(reading, 1), may_decline=False).findings(3)
    assert found.best is not None
    assert found.no_answer == 0.0


@pytest.mark.parametrize(
    ("passage", "character"),
    [("a cafe\u0301 there", "e\u0301"), ("go 👍\U0001f3fd now", "👍\U0001f3fd"), ("a star ⭐\ufe0f here", "⭐\ufe0f")],
)
def test_an_answer_does_not_end_inside_a_character(tokenizer: WordPieceTokenizer, passage: str, character: str) -> None:
    reading = read(tokenizer, passage)
    at = passage.index(character)
    pieces = pieces_of(reading, at, at + 1)
    assert pieces is not None
    evidence = Evidence(np.full(len(reading.offsets), -9.0), np.full(len(reading.offsets), -9.0))
    evidence.starts[np.flatnonzero(reading.can_start[: pieces[1] + 1])[-1]] = evidence.ends[pieces[1]] = 9.0
    best = SpanScores.of(reading, evidence).findings(1).best
    assert best is not None
    assert best.text == passage[best.start : best.end]
    assert best.text.endswith(character)


def test_no_answer_is_given_when_it_is_the_likeliest(tokenizer: WordPieceTokenizer) -> None:
    reading = read(tokenizer, PASSAGE)
    low = Evidence(np.full(12, -4.0), np.full(12, -4.0))
    found = SpanScores.of(reading, low).findings(3)
    assert found.best is None
    assert found.confidence == found.no_answer > 0.9
    forced = SpanScores.of(reading, low, may_decline=False).findings(3)
    assert forced.best is not None
    assert forced.no_answer == 0.0
    assert forced.confidence == forced.spans[0].probability


@pytest.mark.parametrize("may_decline", [True, False])
def test_in_nothing_there_is_no_answer(tokenizer: WordPieceTokenizer, may_decline: bool) -> None:
    reading = read(tokenizer, " \n")
    evidence = Evidence.of(reading, [np.zeros((len(reading.windows[0].ids), 2), np.float32)])
    found = SpanScores.of(reading, evidence, may_decline).findings(3)
    assert (found.best, found.confidence, found.spans) == (None, 1.0, [])
    places = place_distributions(reading, evidence, may_decline=may_decline)
    assert places.tolist() == [[1.0], [1.0]]


def test_windows_hold_the_question_and_a_part_of_the_passage(tokenizer: WordPieceTokenizer) -> None:
    passage = " ".join(["great", "good", "bad", "slow", "great"] * 40)
    reading = read(tokenizer, passage)
    ids = tokenizer.encode([passage])[0].ids
    question = tokenizer.encode(["what is great"])[0].ids
    assert len(reading.windows) == len(reading.parts) > 3
    for window, (start, end) in zip(reading.windows, reading.parts, strict=True):
        assert window.ids == [101, *question, 102, *ids[start:end], 102]
        assert window.second_at == len(question) + 2
        assert len(window.ids) <= 64
    assert reading.parts[0][0] == 0
    assert reading.parts[-1][1] == len(ids) == len(reading.offsets)
    assert reading.n_tokens == len(ids) + len(question)


def test_a_long_question_keeps_half_of_the_window_for_the_passage(tokenizer: WordPieceTokenizer) -> None:
    reading = read(tokenizer, PASSAGE, "what " * 100)
    assert reading.windows[0].second_at == 30 + 2
    assert reading.n_cut == 70
    assert all(len(window.ids) <= 64 for window in reading.windows)
    assert read(tokenizer, PASSAGE).n_cut == 0


@given(pieces=st.integers(1, 200), seed=st.integers(0, 5))
def test_of_overlapping_windows_the_one_with_most_around_a_piece_counts(
    tokenizer: WordPieceTokenizer, pieces: int, seed: int
) -> None:
    reading = read(tokenizer, "great " * pieces)
    random = np.random.default_rng(seed)
    logits = [random.normal(size=(len(window.ids), 2)).astype(np.float32) for window in reading.windows]
    evidence = Evidence.of(reading, logits)
    assert len(evidence.starts) == pieces
    for piece in range(pieces):
        holding = [n for n, (start, end) in enumerate(reading.parts) if start <= piece < end]
        context = [min(piece - reading.parts[n][0], reading.parts[n][1] - 1 - piece) for n in holding]
        best = holding[int(np.argmax(context))]
        row = piece - reading.parts[best][0] + (reading.windows[best].second_at or 0)
        expected = logits[best][row].astype(np.float64) - logits[best][0].astype(np.float64)
        assert [evidence.starts[piece], evidence.ends[piece]] == pytest.approx(expected.tolist())


@pytest.mark.parametrize("may_decline", [True, False])
def test_places_are_the_softmax_over_no_answer_and_the_words(tokenizer: WordPieceTokenizer, may_decline: bool) -> None:
    reading = read(tokenizer, "the workings are slow")
    evidence = evidence_for(reading, 3)
    places = place_distributions(reading, evidence, temperature=2.0, may_decline=may_decline)
    assert places.shape == (2, 1 + len(reading.offsets))
    for row, logits, allowed in zip(
        places, (evidence.starts, evidence.ends), (reading.can_start, reading.can_end), strict=True
    ):
        weights = np.append(float(may_decline), np.exp(logits / 2.0) * allowed)
        np.testing.assert_allclose(row, weights / weights.sum())
    assert not reading.can_start.all()


def test_pieces_of_a_stretch_are_all_that_touch_it(tokenizer: WordPieceTokenizer) -> None:
    reading = read(tokenizer, PASSAGE)
    assert pieces_of(reading, 4, 13) == (1, 2)  # old phone
    assert pieces_of(reading, 5, 6) == (1, 1)
    assert pieces_of(reading, 3, 4) is None  # a blank
    assert pieces_of(reading, 3, 5) == (1, 1)


def test_probabilities_of_huge_logits_are_numbers(tokenizer: WordPieceTokenizer) -> None:
    reading = read(tokenizer, PASSAGE)
    for height in (1e4, -1e4):
        evidence = Evidence(np.full(12, height), np.full(12, height))
        found = SpanScores.of(reading, evidence).findings(20, 0.1)
        total = found.no_answer + sum(span.probability for span in found.spans)
        assert 0 < total <= 1 + 1e-9
