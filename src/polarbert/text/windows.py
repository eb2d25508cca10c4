"""Fitting a text of any length to a network that reads a fixed number of pieces."""

from __future__ import annotations

from collections.abc import Sequence


def cut_windows(length: int, size: int, overlap: int) -> list[tuple[int, int]]:
    """Cover `length` pieces by windows of at most `size`, neighbours sharing at least `overlap`.

    The windows are of nearly equal length, so that the last is not a stub without context.

    Args:
        length: number of pieces; 0 gives one empty window.
        size: most pieces in a window.
        overlap: fewest pieces shared by neighbours; less than `size`.

    Returns:
        (start, end) of each window.

    Raises:
        ValueError: when `size` is not above `overlap`.

    Example:
        >>> cut_windows(1000, 510, 64)
        [(0, 510), (245, 755), (490, 1000)]
    """
    if size <= overlap or overlap < 0:
        raise ValueError(f"a window of {size} pieces cannot overlap by {overlap}")
    if length <= size:
        return [(0, length)]
    count = -(-(length - overlap) // (size - overlap))
    starts = [round(number * (length - size) / (count - 1)) for number in range(count)]
    return [(start, start + size) for start in starts]


def head_and_tail(ids: Sequence[int], limit: int, head_share: float = 0.75) -> list[int]:
    """The first and the last pieces of a long text, `limit` in all (Sun et al. 2019, section 5.3.1)."""
    if len(ids) <= limit:
        return list(ids)
    head = round(limit * head_share)
    return [*ids[:head], *ids[len(ids) - (limit - head) :]]


def join_segments(cls_id: int, sep_id: int, first: Sequence[int], second: Sequence[int] | None) -> list[int]:
    """[CLS] first [SEP], and second [SEP] where there is one (BERT, figure 1)."""
    joined = [cls_id, *first, sep_id]
    return joined if second is None else [*joined, *second, sep_id]
