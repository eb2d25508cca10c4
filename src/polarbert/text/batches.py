"""Which texts to learn from at once, and which to compute together; counted in pieces rather than in texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Texts that are learned from together would fill, each padded to the longest, at most so many times the budget.
MOST_PADDED = 4


def draw_batches(lengths: Sequence[int], budget: int, seed: int) -> list[list[int]]:
    """Batches to learn from: texts drawn at random, so many that they have about `budget` pieces.

    The length of a text goes with what it says, and with its class. In batches of like length a step would see few
    classes at a time, and a text would count the more the fewer it has beside it, that is, the longer it is; with the
    small batches that suit small data, rare classes are not learned at all. The network reads such batches without
    their padding (`polarbert.model.packing`), so they take hardly longer.

    Args:
        lengths: pieces of each text.
        budget: most pieces in a batch, padding not counted; a longer text is a batch of its own.
        seed: of the order; the plan depends on the arguments alone.

    Returns:
        The numbers of the texts of each batch; each text stands in exactly one.

    Example:
        >>> [len(batch) for batch in draw_batches([5] * 100, budget=250, seed=1)]
        [50, 50]
    """
    batches: list[list[int]] = []
    current: list[int] = []
    pieces = longest = 0
    for number in np.random.default_rng(seed).permutation(len(lengths)).tolist():
        size = lengths[number]
        padded = max(longest, size) * (len(current) + 1)
        if current and (pieces + size > budget or padded > MOST_PADDED * budget):
            batches.append(current)
            current, pieces, longest = [], 0, 0
        current.append(number)
        pieces, longest = pieces + size, max(longest, size)
    return [*batches, current] if current else batches


def plan_batches(
    lengths: Sequence[int], budget: int, seed: int | None, pool_batches: int = 64, most_padding: int | None = None
) -> list[list[int]]:
    """Group texts of like length into batches of at most `budget` pieces, padding included.

    Texts are shuffled, sorted by length inside pools of about `pool_batches` batches, cut into batches, and the
    batches shuffled: order stays random while hardly anything is padded. The plan depends on the arguments alone.

    Args:
        lengths: pieces of each text.
        budget: most pieces in a batch; a longer text is a batch of its own.
        pool_batches: how many batches are sorted together.
        seed: of the shuffle; None sorts everything by length and shuffles nothing (for evaluation).
        most_padding: most pieces of padding in a batch; None for no bound but the budget.

    Returns:
        The numbers of the texts of each batch; each text stands in exactly one.

    Example:
        >>> plan_batches([9, 2, 2, 8], budget=100, seed=None, most_padding=4)
        [[0, 3], [1, 2]]
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    if seed is None:
        return _cut(np.argsort(-sizes, kind="stable"), sizes, budget, most_padding)
    random = np.random.default_rng(seed)
    order = random.permutation(len(sizes))
    pool = np.cumsum(sizes[order]) // (budget * pool_batches)
    order = order[np.lexsort((sizes[order], pool))]
    batches = _cut(order, sizes, budget, most_padding)
    return [batches[number] for number in random.permutation(len(batches))]


def _cut(order: NDArray[np.int64], sizes: NDArray[np.int64], budget: int, most_padding: int | None) -> list[list[int]]:
    batches: list[list[int]] = []
    current: list[int] = []
    pieces = longest = 0
    for number in order.tolist():
        size = int(sizes[number])
        longest, pieces = max(longest, size), pieces + size
        padded = longest * (len(current) + 1)
        if current and (padded > budget or (most_padding is not None and padded - pieces > most_padding)):
            batches.append(current)
            current, pieces, longest = [], size, size
        current.append(number)
    return [*batches, current] if current else batches
