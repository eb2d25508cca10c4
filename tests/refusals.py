"""What every refusal of the command line must have: its exit code, the place, the next step, and no traceback."""

from __future__ import annotations

from typing import NamedTuple

from tests.scoring_fixtures import Outcome


class Refusal(NamedTuple):
    """A command that cannot be carried out, and what it says.

    Attributes:
        name: of the case.
        arguments: the command.
        code: its exit code.
        place: the words that name the file, row, column or option.
        step: the words that say what to do.
    """

    name: str
    arguments: list[str]
    code: int
    place: str
    step: str


def assert_refused(ended: Outcome, code: int, *words: str) -> None:
    """The command ended with `code`, said these words in one message, and printed no result."""
    assert ended.code == code, ended
    assert ended.out == ""
    said = " ".join(ended.err.split())
    for word in words:
        assert word in said, ended.err
    assert "Traceback" not in ended.err
    assert "Exception ignored" not in ended.err


def assert_is(ended: Outcome, case: Refusal) -> None:
    """The command ended as the case says."""
    assert_refused(ended, case.code, case.place, case.step)
