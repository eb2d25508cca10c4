"""Entity figures against an independent count in one pass over the tags, as the script conlleval does it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polarbert.data.entities import entity_spans, to_bio
from polarbert.metrics import Tally, count_entities, entity_f1, pool_texts, pool_types, resample_texts

NAMES = ["LOC", "PER"]
PAIRS = st.lists(
    st.lists(st.tuples(*[st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])] * 2), min_size=1, max_size=8),
    min_size=1,
    max_size=5,
)


def tally_of(texts: list[list[tuple[str, str]]]) -> Tally:
    truth, found = ([entity_spans(pair[side] for pair in text) for text in texts] for side in (0, 1))
    return count_entities(truth, found, NAMES)


def begins(before: str, tag: str) -> bool:
    return tag != "O" and (tag[0] == "B" or before == "O" or before[2:] != tag[2:])


def in_one_pass(texts: list[list[tuple[str, str]]]) -> dict[str, list[int]]:
    """For each type entities that are right, in the truth, and found; no list of entities is ever made."""
    counts = {name: [0, 0, 0] for name in NAMES}
    for text in texts:
        running = ""
        before = ("O", "O")
        for pair in [*text, ("O", "O")]:
            started = [begins(old, new) for old, new in zip(before, pair, strict=True)]
            ended = [
                old != "O" and (new == "O" or first) for old, new, first in zip(before, pair, started, strict=True)
            ]
            if running:
                if ended[0] and ended[1]:
                    counts[running][0] += 1
                if ended[0] or ended[1]:
                    running = ""
            if started[0] and started[1] and pair[0][2:] == pair[1][2:]:
                running = pair[0][2:]
            for side, place in ((0, 1), (1, 2)):
                if started[side]:
                    counts[pair[side][2:]][place] += 1
            before = pair
    return counts


@given(PAIRS)
def test_counts_are_those_of_one_pass(texts: list[list[tuple[str, str]]]) -> None:
    tally = pool_texts(tally_of(texts))
    found = {
        name: [int(part[n]) for part in (tally.right, tally.occurs, tally.answered)] for n, name in enumerate(NAMES)
    }
    assert found == in_one_pass(texts)


def test_figures_worked_out_by_hand() -> None:
    texts = [
        list(
            zip("B-PER I-PER O B-LOC".split(), "B-PER I-PER O B-PER".split(), strict=True)
        ),  # one right, one type wrong
        list(zip("B-LOC I-LOC O".split(), "B-LOC O O".split(), strict=True)),  # the end is wrong
        list(zip("O B-LOC B-LOC".split(), "B-PER B-LOC B-LOC".split(), strict=True)),  # two right, one too many
    ]
    tally = pool_texts(tally_of(texts))
    assert [part.tolist() for part in (tally.right, tally.occurs, tally.answered)] == [[2, 1], [4, 1], [3, 3]]
    assert tally.precisions.tolist() == [pytest.approx(2 / 3), pytest.approx(1 / 3)]
    assert tally.recalls.tolist() == [pytest.approx(2 / 4), 1.0]
    micro = pool_types(tally)
    assert (micro.precisions[0], micro.recalls[0]) == (pytest.approx(3 / 6), pytest.approx(3 / 5))
    assert entity_f1(tally_of(texts)) == pytest.approx(6 / 11)


def test_f1_is_0_where_nothing_is_right() -> None:
    assert entity_f1(tally_of([[("O", "O")]])) == 0.0
    assert entity_f1(tally_of([[("B-PER", "O")]])) == 0.0
    assert entity_f1(tally_of([[("O", "B-PER")]])) == 0.0


def test_resamples_are_of_whole_texts() -> None:
    """Brute force: draw texts, and count again."""
    random = np.random.default_rng(3)
    tags = ["O", "B-PER", "I-PER", "B-LOC"]
    texts = [
        [(tags[a], tags[a if c else b]) for a, b, c in random.integers(0, 2 + 2 * (n % 2), (6, 3))] for n in range(40)
    ]
    texts = [[(a, b) for a, b in zip(to_bio(x for x, _ in t), to_bio(y for _, y in t), strict=True)] for t in texts]
    tally = tally_of(texts)
    drawn = pool_types(resample_texts(tally, 4000)).f1_scores[:, 0]
    brute = [entity_f1(tally_of([texts[n] for n in random.integers(0, 40, 40)])) for _ in range(1000)]
    assert drawn.mean() == pytest.approx(np.mean(brute), abs=0.01)
    assert drawn.std() == pytest.approx(np.std(brute), rel=0.15)
    assert drawn.std() > 0.02
