"""What is tested: capabilities, each with many small cases (Ribeiro et al. 2020, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

TOLERANCE = 0.1  # of polarity, in [-1, 1]: as much may it move the wrong way (Ribeiro et al. 2020, section 2.2)


class Kind(StrEnum):
    """What an answer has to do, and when a case fails.

    Attributes:
        MINIMUM_FUNCTIONALITY: the case is one text; it fails unless the label is one of those expected.
        INVARIANCE: the case is a text and changed versions of it; it fails unless all of them get one label, whichever
            that is.
        DIRECTION: the case is a text and one changed version of it; it fails when polarity, P(positive) - P(negative),
            moves in the forbidden direction by more than `TOLERANCE`.
        UNSURE: the case is one text that nobody could judge; it fails unless the answer is marked unsure.
    """

    MINIMUM_FUNCTIONALITY = "minimum functionality"
    INVARIANCE = "invariance"
    DIRECTION = "direction"
    UNSURE = "unsure"


@dataclass(frozen=True)
class Case:
    """One thing to get right.

    Attributes:
        texts: one; or, for invariance and direction, the text and its changed versions.
        expected: labels that are right, any of them; empty but for minimum functionality.
        forbidden: "fall" or "rise", for direction: what polarity must not do; empty otherwise.
        family: the template family that the texts are of.
    """

    texts: tuple[str, ...]
    expected: tuple[str, ...] = ()
    forbidden: str = ""
    family: str = ""


@dataclass(frozen=True)
class Capability:
    """One thing that a model of sentiment should be able to do.

    Attributes:
        name: by which it is asked for.
        group: what kind of skill it is: vocabulary, negation, temporal and so on.
        kind: of test.
        description: what is asked, in one line.
        limit: the greatest share of cases that may fail; None where failures are reported only.
        cases: all of them, each once, in the order of generation.
    """

    name: str
    group: str
    kind: Kind
    description: str
    limit: float | None
    cases: tuple[Case, ...]

    @property
    def example(self) -> tuple[str, ...]:
        """The texts of one case."""
        return self.cases[0].texts

    @property
    def texts(self) -> list[str]:
        """The different texts of all cases."""
        return list(dict.fromkeys(text for case in self.cases for text in case.texts))

    def can_judge(self, labels: Sequence[str]) -> bool:
        """Whether a model with these labels can answer every case rightly."""
        return all(not case.expected or set(case.expected) & set(labels) for case in self.cases)
