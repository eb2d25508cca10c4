"""Windows over long texts, and the cut that keeps head and tail."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polarbert.text import cut_windows, head_and_tail, join_segments

SHAPES = st.integers(1, 600).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1)))


@given(length=st.integers(0, 20_000), shape=SHAPES)
def test_windows_cover_everything_within_size_and_overlap(length: int, shape: tuple[int, int]) -> None:
    size, overlap = shape
    windows = cut_windows(length, size, overlap)
    assert windows[0][0] == 0
    assert windows[-1][1] == length
    assert all(0 <= end - start <= size for start, end in windows)
    for (start, end), (next_start, next_end) in pairwise(windows):
        assert end - next_start >= overlap
        assert next_start > start
        assert next_end > end


@given(length=st.integers(0, 20_000), shape=SHAPES)
def test_there_are_no_more_windows_than_needed(length: int, shape: tuple[int, int]) -> None:
    size, overlap = shape
    count = len(cut_windows(length, size, overlap))
    fewer = count - 1
    assert fewer == 0 or fewer * size - (fewer - 1) * overlap < length


@given(length=st.integers(0, 5000), shape=SHAPES)
def test_only_a_short_text_gets_a_window_that_is_not_full(length: int, shape: tuple[int, int]) -> None:
    windows = cut_windows(length, shape[0], shape[1])
    assert windows == [(0, length)] if length <= shape[0] else all(end - start == shape[0] for start, end in windows)


def test_the_documented_example() -> None:
    assert cut_windows(1000, 510, 64) == [(0, 510), (245, 755), (490, 1000)]
    assert cut_windows(0, 510, 64) == [(0, 0)]


@pytest.mark.parametrize(("size", "overlap"), [(10, 10), (10, 11), (0, 0), (5, -1)])
def test_windows_that_cannot_advance_are_refused(size: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="cannot overlap"):
        cut_windows(100, size, overlap)


@given(ids=st.lists(st.integers(), max_size=50), limit=st.integers(1, 60), share=st.floats(0, 1))
def test_head_and_tail_keeps_both_ends(ids: list[int], limit: int, share: float) -> None:
    kept = head_and_tail(ids, limit, share)
    assert len(kept) == min(len(ids), limit)
    if len(ids) <= limit:
        assert kept == ids
        return
    head = round(limit * share)
    assert kept[:head] == ids[:head]
    assert kept[::-1][: limit - head] == ids[::-1][: limit - head]


def test_three_quarters_are_head_unless_asked_otherwise() -> None:
    assert head_and_tail(range(100), 8) == [0, 1, 2, 3, 4, 5, 98, 99]
    assert head_and_tail(range(100), 4, head_share=0.0) == [96, 97, 98, 99]
    assert head_and_tail(range(100), 4, head_share=1.0) == [0, 1, 2, 3]


def test_segments_are_joined_as_in_the_paper() -> None:
    assert join_segments(101, 102, [7, 8], None) == [101, 7, 8, 102]
    assert join_segments(101, 102, [7, 8], [9]) == [101, 7, 8, 102, 9, 102]
    assert join_segments(101, 102, [], []) == [101, 102, 102]
