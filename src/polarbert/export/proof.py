"""Is the exported model still the same model? Compared text by text, never assumed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

MAX_FLOAT_DIFFERENCE = 1e-3  # of a probability, between PyTorch and the float graph
MAX_MEAN_DROP = 0.003  # of accuracy, over the dev sets, where it is more than chance
MAX_FLIPS = 0.02  # share of decisions that change
# Of an answer's start and end, among all places of a passage, many are nearly as good as the best: those moves cost
# little, and what they cost, accuracy shows.
MAX_MOVED_ENDS = 0.10
# Of the words that either graph takes for an entity. Those are the hard ones of a text: that the others are O is easily
# right, so as a share of all words the same changes would be far fewer.
MAX_MOVED_TAGS = 0.05
MAX_MOVE = 0.05  # of a number, as a share of the range: from there on it counts as a decision that changed
MIN_TEXTS = 1000  # fewer do not show a share of 2%


Distributions = Sequence[NDArray[np.float64]]  # an input: (units, k), see `Predictor.distributions`


@dataclass(frozen=True)
class LabelledSet:
    """Inputs with the truth of each.

    Attributes:
        inputs: as the predictor is asked them.
        truth: of each input, one number a unit: of its class, or its value in a regression.
        choices: the classes that can be right; None for all.
    """

    inputs: Sequence[Any]
    truth: Sequence[Sequence[float]]
    choices: tuple[int, ...] | None = None

    @classmethod
    def of_texts(cls, texts: Sequence[str], labels: Sequence[int], choices: tuple[int, ...] | None = None) -> Self:
        """Single texts with their class numbers."""
        return cls([(text, None) for text in texts], [[label] for label in labels], choices)


@dataclass(frozen=True)
class SetProof:
    """One labelled set before and after a step.

    Attributes:
        texts: how many.
        before, after: accuracies; of a regression, one less the mean error as a share of the labels' range.
        standard_error: of their paired difference.
    """

    texts: int
    before: float
    after: float
    standard_error: float

    @property
    def is_within(self) -> bool:
        """The accuracy did not fall by more than two standard errors of the paired difference."""
        return self.before - self.after <= 2 * self.standard_error + 1e-12


@dataclass(frozen=True)
class Proof:
    """What one step of the export changed.

    Attributes:
        texts: inputs compared.
        flips: share of the decisions that changed; of a tagger, of the words that either form takes for an entity.
        mean_difference, max_difference: of a probability; of a regression, as a share of the range of its answers.
        sets: by name, the labelled sets.
        problems: limits that were broken, in words; empty when the step is proved.
    """

    texts: int
    flips: float
    mean_difference: float
    max_difference: float
    sets: dict[str, SetProof] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        return asdict(self)


def prove_same(before: Distributions, after: Distributions) -> Proof:
    """That two float forms of a network compute the same."""
    found = _Change.between(before, after)
    problems = []
    if found.largest > MAX_FLOAT_DIFFERENCE:
        problems.append(f"a probability differs by {found.largest:.2g}; at most {MAX_FLOAT_DIFFERENCE} is allowed")
    return Proof(len(before), found.flips, found.mean, found.largest, {}, problems)


def prove_int8(
    before: Mapping[str, Distributions],
    after: Mapping[str, Distributions],
    sets: Mapping[str, LabelledSet],
    max_flips: float = MAX_FLIPS,
    *,
    ignored: int | None = None,
    decisions: str = "labels",
) -> Proof:
    """That int8 costs next to nothing.

    Args:
        before: by set name, what the float graph says.
        after: what the int8 graph says.
        sets: the labelled ones among them; others count for flips alone.
        max_flips: share of the decisions that may change.
        ignored: a choice that is no finding, as O of a tagger: units for which both graphs choose it are not counted.
        decisions: what they are called.
    """
    old, new = [one for part in before.values() for one in part], [one for part in after.values() for one in part]
    found = _Change.between(old, new, ignored)
    proofs = {name: _prove_set(before[name], after[name], labelled) for name, labelled in sets.items()}
    problems = [
        f"{name}: accuracy fell from {p.before:.4f} to {p.after:.4f}, "
        f"by more than two standard errors of {p.standard_error:.4f}"
        for name, p in proofs.items()
        if not p.is_within
    ]
    if proofs:
        drop = float(np.mean([p.before - p.after for p in proofs.values()]))
        chance = 2 * math.hypot(*(p.standard_error for p in proofs.values())) / len(proofs)
        if drop > max(MAX_MEAN_DROP, chance):  # of 150 texts one alone is more than the limit
            problems.append(f"mean accuracy fell by {drop:.4f}; at most {MAX_MEAN_DROP} is allowed")
    if found.flips > max_flips:
        problems.append(f"{found.flips:.1%} of the {decisions} changed; at most {max_flips:.0%} is allowed")
    if len(old) < MIN_TEXTS:
        problems.append(f"{len(old)} texts are too few to show it; give {MIN_TEXTS} or more")
    return Proof(len(old), found.flips, found.mean, found.largest, proofs, problems)


@dataclass(frozen=True)
class _Change:
    """How far two sets of answers differ."""

    flips: float
    mean: float
    largest: float

    @classmethod
    def between(cls, before: Distributions, after: Distributions, ignored: int | None = None) -> Self:
        scale, pairs = _span(before), list(zip(before, after, strict=True))
        gaps = [np.abs(old - new) / scale for old, new in pairs]
        flips = np.concatenate([_flipped(old, new, scale)[_counted(old, new, ignored)] for old, new in pairs])
        flat = np.concatenate([gap.reshape(-1) for gap in gaps])
        if not len(flat):
            return cls(0.0, 0.0, 0.0)
        return cls(float(flips.mean()) if len(flips) else 0.0, float(flat.mean()), float(flat.max()))


def _span(answers: Distributions) -> float:
    """What differences are a share of: 1 for probabilities, the range of the answers for numbers."""
    if not _are_numbers(answers):
        return 1.0
    values = np.concatenate(list(answers))
    return max(float(values.max() - values.min()), 1e-9)


def _are_numbers(answers: Distributions) -> bool:
    return bool(answers) and answers[0].shape[1] == 1


def _flipped(before: NDArray[np.float64], after: NDArray[np.float64], scale: float) -> NDArray[np.bool_]:
    """(units,) whether the decision changed; a number's does when it moves by more than a twentieth of the range."""
    if before.shape[1] == 1:
        return np.asarray((np.abs(before - after) > MAX_MOVE * scale)[:, 0])
    return np.asarray(before.argmax(1) != after.argmax(1))


def _counted(before: NDArray[np.float64], after: NDArray[np.float64], ignored: int | None) -> NDArray[np.bool_]:
    """(units,) whether either chooses something else than what is ignored."""
    if ignored is None:
        return np.ones(len(before), dtype=np.bool_)
    return np.asarray((before.argmax(1) != ignored) | (after.argmax(1) != ignored))


def _prove_set(before: Distributions, after: Distributions, labelled: LabelledSet) -> SetProof:
    right_before, right_after = _right(before, labelled), _right(after, labelled)
    change = right_after - right_before
    error = float(change.std(ddof=1) / np.sqrt(len(change))) if len(change) > 1 else 0.0
    return SetProof(len(change), float(right_before.mean()), float(right_after.mean()), error)


def _right(answers: Distributions, labelled: LabelledSet) -> NDArray[np.float64]:
    """For each input, the share of its decisions that are right."""
    if _are_numbers(answers):
        truth = np.array([one[0] for one in labelled.truth])
        gap = np.abs(np.array([answer[0, 0] for answer in answers]) - truth)
        return np.asarray(1 - gap / max(float(truth.max() - truth.min()), 1e-9))
    shares = [
        np.mean(_decisions(answer, labelled.choices) == np.asarray(truth))
        for answer, truth in zip(answers, labelled.truth, strict=True)
        if len(truth)
    ]
    return np.array(shares, dtype=np.float64)


def _decisions(chances: NDArray[np.float64], choices: tuple[int, ...] | None) -> NDArray[np.int64]:
    columns = np.arange(chances.shape[1]) if choices is None else np.array(choices)
    answers: NDArray[np.int64] = columns[chances[:, columns].argmax(1)]
    return answers
