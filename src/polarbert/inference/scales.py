"""What readings of a text without some of its parts say of each part: differences at three scales, settled to a sum.

`polarbert.inference.explain` tells what is read, and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polarbert.inference.prediction import DECIMALS
from polarbert.inference.text_parts import Ids, Section

Floats = NDArray[np.float64]

LEAST_PROBABILITY = 10.0**-DECIMALS  # and one less this: log-odds stay finite, and follow from what is given out


@dataclass(frozen=True)
class Explained:
    """The label that is explained, and how what the network says of it is weighed.

    Attributes:
        number: of the label among the model's.
        is_number: the model answers by a number, which is weighed as it is; of a class log-odds are.
    """

    number: int
    is_number: bool

    def values(self, said: Floats) -> Floats:
        """(readings,) out of (readings, labels)."""
        return self.scale(said[:, self.number])

    def scale(self, value: Floats) -> Floats:
        """Log-odds of probabilities."""
        if self.is_number:
            return value
        held = np.clip(value, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
        return np.asarray(np.log(held / (1 - held)))


class Scales:
    """The readings that weigh units of a text, and what they come to.

    Args:
        units: word pieces of each.
        around: units on each side that are the phrase of one.
        context: those of the pieces that are read once more without the rest; none where nothing is.

    Attributes:
        readings: word pieces of each, no two of them the same units; the first is empty.
    """

    def __init__(self, units: Sequence[Ids], around: int, context: Sequence[Ids] = ()) -> None:
        places = np.arange(len(units))
        one = places[:, None] == places
        near = abs(places[:, None] - places) <= around
        ends = np.array([[False], [True]]).repeat(len(units), axis=1)
        masks, self._places = np.unique(np.vstack([ends, ~one, one, near, near & ~one]), axis=0, return_inverse=True)
        self.readings = [_joined(units, mask) for mask in masks]
        known = {tuple(ids): number for number, ids in enumerate(self.readings)}
        self._beside = list(range(len(masks)))  # the reading that is one half of what is said of each
        for number, mask in enumerate(masks if context else ()):
            ids = _joined(context, mask)
            if ids and tuple(ids) not in known:
                known[tuple(ids)] = len(self.readings)
                self.readings.append(ids)
            self._beside[number] = known[tuple(ids)] if ids else number

    def weights(self, explained: Explained, said: Floats) -> Floats:
        """(units,) the mean of the three differences.

        Args:
            explained: how what is said is weighed.
            said: (readings, labels) what the network says of each.
        """
        values = explained.values((said[: len(self._beside)] + said[self._beside]) / 2)
        found = values[self._places.ravel()]
        whole, (without, alone, phrase, rest) = found[1], found[2:].reshape(4, -1)
        return np.asarray(((whole - without) + (alone - found[0]) + (phrase - rest)) / 3)


def _joined(units: Sequence[Ids], mask: NDArray[np.bool_]) -> Ids:
    return [number for n in np.flatnonzero(mask).tolist() for number in units[n]]


def settle(weights: Floats, total: float) -> Floats:
    """Weights that add up to `total`: what is missing goes to each by its size.

    No weight changes its sign unless all speak against the total, and those of one sign keep their order.

    Example:
        >>> settle(np.array([2.0, -1.0]), 2.0).tolist()
        [2.666..., -0.666...]
    """
    size = float(np.abs(weights).sum())
    missing = total - float(weights.sum())
    if size == 0:
        return np.full(len(weights), total / max(len(weights), 1))
    if abs(missing) <= size:
        return np.asarray(weights + np.abs(weights) * missing / size)
    agreeing = np.where(np.sign(weights) == np.sign(total), np.abs(weights), 0)
    shares = agreeing if agreeing.any() else np.abs(weights)
    return np.asarray(total * shares / shares.sum())


def in_sections(explained: Explained, said: Floats, sections: Sequence[Section], parts: int, total: float) -> Floats:
    """(parts,) weights of the parts of a text that is read in several windows.

    Its answer is the mean of what sections say by their shares, so each adds its share of its distance from the answer
    to nothing; the slope of the line from there to the mean turns that into log-odds.

    Args:
        explained: what is explained.
        said: (readings, labels) of nothing, then of each section as its `readings` are.
        sections: of parts.
        parts: how many there are.
        total: what all weights add up to.
    """
    chances, values = said[:, explained.number], explained.values(said)
    begins = np.cumsum([1, *(len(section.readings) for section in sections)])[:-1]
    distances = (chances[begins] - chances[0]) * [section.share for section in sections]
    low, high = explained.scale(np.array([chances[0], chances[0] + distances.sum()]))
    slope = (high - low) / distances.sum() if abs(distances.sum()) > LEAST_PROBABILITY else 1.0
    result = np.zeros(parts)
    for section, begin, weight in zip(sections, begins.tolist(), settle(distances * slope, total), strict=True):
        alone = values[begin + 1 : begin + len(section.readings)] - values[0]
        result[list(section.parts)] += settle(alone, float(weight))
    return result
