"""What runs of neighbours say of each part of a text: what it does alone, and adds to runs, settled to a sum.

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


class Runs:
    """The readings that weigh units of a text, and what they come to.

    A unit is read alone, at the end of a run of its neighbours and at the beginning of one; of both runs what it adds
    to them counts. Runs are stretches of the text as it stands, so that units have most of them in common.

    Args:
        units: word pieces of each.
        around: units that a run has beside one.
        context: those of the pieces that are read once more without the rest; none where nothing is.

    Attributes:
        readings: word pieces of each, no two of them the same; the first is empty.
    """

    def __init__(self, units: Sequence[Ids], around: int, context: Sequence[Ids] = ()) -> None:
        self.readings: list[Ids] = []
        self._known: dict[tuple[int, ...], int] = {}
        self._read([])
        count = len(units)
        spans = [span for place in range(count) for span in _spans(place, max(0, place - around), place + around + 1)]
        halves: dict[tuple[int, int], tuple[int, int]] = {}
        for start, end in dict.fromkeys(spans):
            read = self._read(_joined(units[start:end]))
            again = _joined(context[start:end])
            halves[start, end] = read, self._read(again) if again else read
        # The two halves of what is said of each run, (units, 5, 2).
        self._places = np.array([halves[span] for span in spans], dtype=np.int64).reshape(count, 5, 2)

    def _read(self, ids: Ids) -> int:
        number = self._known.setdefault(tuple(ids), len(self.readings))
        if number == len(self.readings):
            self.readings.append(ids)
        return number

    def weights(self, explained: Explained, said: Floats) -> Floats:
        """(units,) the mean of what each does alone and what it adds to runs.

        Args:
            explained: how what is said is weighed.
            said: (readings, labels) what the network says of each.
        """
        values = explained.values(said[self._places].mean(axis=2).reshape(-1, said.shape[1])).reshape(-1, 5)
        nothing = explained.values(said[:1])[0]
        alone, ending, before, beginning, behind = values.T
        return np.asarray((2 * (alone - nothing) + (ending - before) + (beginning - behind)) / 4)


def _spans(place: int, first: int, behind: int) -> list[tuple[int, int]]:
    """(start, end) of a unit alone, of the run that it ends, with it and without, and of the one that it begins."""
    return [(place, place + 1), (first, place + 1), (first, place), (place, behind), (place + 1, behind)]


def _joined(units: Sequence[Ids]) -> Ids:
    return [number for ids in units for number in ids]


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
