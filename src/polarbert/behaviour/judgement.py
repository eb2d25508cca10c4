"""Judging answers: when a case fails, and how many of a capability do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from polarbert.behaviour.capability import TOLERANCE, Capability, Case, Kind
from polarbert.metrics import Estimate

MAX_FAILURES = 10


class Answer(Protocol):
    """What is read of an answer; `polarbert.Prediction` has it."""

    @property
    def label(self) -> str:
        """The label given."""

    @property
    def polarity(self) -> float | None:
        """P(positive) - P(negative)."""

    @property
    def unsure(self) -> bool:
        """Whether the answer is marked unsure."""


@dataclass(frozen=True)
class Failure:
    """A case that failed.

    Attributes:
        texts: of the case.
        wanted: what would have been right, in words.
        labels: that the texts were given.
        polarities: of the texts.
    """

    texts: tuple[str, ...]
    wanted: str
    labels: tuple[str, ...]
    polarities: tuple[float, ...]


@dataclass(frozen=True)
class Result:
    """How a model did on a capability.

    Attributes:
        name, group, kind, description, limit: of the capability.
        n: its cases.
        failed: how many failed.
        rate: the share that failed, with its 95% interval (Wilson 1927).
        passed: whether the share is within the limit; None where there is no limit.
        failures: some of the cases that failed, from all template families.
    """

    name: str
    group: str
    kind: str
    description: str
    limit: float | None
    n: int
    failed: int
    rate: Estimate
    passed: bool | None
    failures: list[Failure] = field(default_factory=list)


def judge(capability: Capability, answers: Mapping[str, Answer], examples: int = MAX_FAILURES) -> Result:
    """Judge the answers to all texts of a capability.

    Args:
        capability: with its cases.
        answers: one for each of its texts, by the text.
        examples: most failures to keep.

    Example:
        >>> import polarbert
        >>> model, (capability,) = polarbert.load(), capabilities(["case"])
        >>> judge(capability, dict(zip(capability.texts, model.predict(capability.texts)))).failed
        0
    """
    failed = [case for case in capability.cases if fails(capability.kind, case, _of(case, answers))]
    rate = Estimate.share(len(failed), len(capability.cases))
    return Result(
        capability.name,
        capability.group,
        capability.kind.value,
        capability.description,
        capability.limit,
        len(capability.cases),
        len(failed),
        rate,
        None if capability.limit is None else rate.value <= capability.limit,
        [_failure(capability.kind, case, _of(case, answers)) for case in _varied(failed)[:examples]],
    )


def fails(kind: Kind, case: Case, answers: Sequence[Answer]) -> bool:
    """Whether a case fails; see `Kind` for the definitions.

    Args:
        kind: of test.
        case: what was asked.
        answers: one a text of the case, in their order. For direction they have a polarity.
    """
    if kind is Kind.MINIMUM_FUNCTIONALITY:
        return answers[0].label not in case.expected
    if kind is Kind.INVARIANCE:
        return len({answer.label for answer in answers}) > 1
    if kind is Kind.UNSURE:
        return not answers[0].unsure
    before, after = (answer.polarity or 0.0 for answer in answers)
    moved = before - after if case.forbidden == "fall" else after - before
    return moved > TOLERANCE + 1e-9  # polarities are rounded to six decimals


def _of(case: Case, answers: Mapping[str, Answer]) -> list[Answer]:
    return [answers[text] for text in case.texts]


def _varied(failed: Sequence[Case]) -> list[Case]:
    """The first failure of each template family, then the second of each, and so on."""
    seen: dict[str, int] = {}
    turns = []
    for case in failed:
        seen[case.family] = seen.get(case.family, 0) + 1
        turns.append(seen[case.family])
    order = sorted(range(len(failed)), key=lambda number: turns[number])
    return [failed[number] for number in order]


def _failure(kind: Kind, case: Case, answers: Sequence[Answer]) -> Failure:
    labels, polarities = (answer.label for answer in answers), (answer.polarity or 0.0 for answer in answers)
    return Failure(case.texts, _wanted(kind, case), tuple(labels), tuple(polarities))


def _wanted(kind: Kind, case: Case) -> str:
    if kind is Kind.MINIMUM_FUNCTIONALITY:
        return " or ".join(case.expected)
    if kind is Kind.DIRECTION:
        return f"no {case.forbidden} of polarity by more than {TOLERANCE:g}"
    return "one label for all" if kind is Kind.INVARIANCE else "unsure"
