"""Is the exported model still the same model? Compared text by text, never assumed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_FLOAT_DIFFERENCE = 1e-3  # of a probability, between PyTorch and the float graph
MAX_MEAN_DROP = 0.003  # of accuracy, over the dev sets, where it is more than chance
MAX_FLIPS = 0.02  # share of texts whose label changes
MIN_TEXTS = 1000  # fewer do not show a share of 2%


@dataclass(frozen=True)
class LabelledSet:
    """Texts with their class numbers; `choices` are the classes that can be right (None: all)."""

    texts: Sequence[str]
    labels: Sequence[int]
    choices: tuple[int, ...] | None = None


@dataclass(frozen=True)
class SetProof:
    """One labelled set before and after a step.

    Attributes:
        texts: how many.
        before, after: accuracies.
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
        texts: compared.
        flips: share whose label changed.
        mean_difference, max_difference: of a probability.
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


Probabilities = NDArray[np.float64]


def prove_same(before: Probabilities, after: Probabilities) -> Proof:
    """That two float forms of a network compute the same; arguments are (texts, labels) probabilities."""
    difference = np.abs(before - after)
    flips = float(np.mean(before.argmax(1) != after.argmax(1)))
    problems = []
    if difference.max() > MAX_FLOAT_DIFFERENCE:
        problems.append(f"a probability differs by {difference.max():.2g}; at most {MAX_FLOAT_DIFFERENCE} is allowed")
    return Proof(len(before), flips, float(difference.mean()), float(difference.max()), {}, problems)


def prove_int8(
    before: Mapping[str, Probabilities], after: Mapping[str, Probabilities], sets: Mapping[str, LabelledSet]
) -> Proof:
    """That int8 costs next to nothing.

    Args:
        before: by set name, (texts, labels) probabilities of the float graph.
        after: those of the int8 graph.
        sets: the labelled ones among them; others count for flips alone.
    """
    old, new = np.concatenate(list(before.values())), np.concatenate(list(after.values()))
    flips = float(np.mean(old.argmax(1) != new.argmax(1)))
    difference = np.abs(old - new)
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
    if flips > MAX_FLIPS:
        problems.append(f"{flips:.1%} of the labels changed; at most {MAX_FLIPS:.0%} is allowed")
    if len(old) < MIN_TEXTS:
        problems.append(f"{len(old)} texts are too few to show it; give {MIN_TEXTS} or more")
    return Proof(len(old), flips, float(difference.mean()), float(difference.max()), proofs, problems)


def _prove_set(before: Probabilities, after: Probabilities, labelled: LabelledSet) -> SetProof:
    truth = np.asarray(labelled.labels)
    right_before = _answers(before, labelled.choices) == truth
    right_after = _answers(after, labelled.choices) == truth
    change = right_after.astype(float) - right_before.astype(float)
    error = float(change.std(ddof=1) / np.sqrt(len(change))) if len(change) > 1 else 0.0
    return SetProof(len(truth), float(right_before.mean()), float(right_after.mean()), error)


def _answers(chances: Probabilities, choices: tuple[int, ...] | None) -> NDArray[np.int64]:
    columns = np.arange(chances.shape[1]) if choices is None else np.array(choices)
    answers: NDArray[np.int64] = columns[chances[:, columns].argmax(1)]
    return answers
