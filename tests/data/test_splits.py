"""Splits that every machine makes alike and no repeated text crosses."""

from __future__ import annotations

import os
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from polarbert.data.splits import is_dev, normalised


def test_normalised_keeps_letters_and_digits() -> None:
    assert normalised("  Great app!! 10/10 – Café \n") == "greatapp1010café"
    assert normalised("...") == ""


@given(st.text())
def test_texts_that_differ_in_marks_and_case_fall_on_the_same_side(text: str) -> None:
    noisy = " " + "! ".join(text.lower()) + " ..."
    assert normalised(noisy) == normalised(text)
    assert is_dev(noisy) == is_dev(text)


@given(st.text())
def test_normalising_again_changes_nothing(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


def test_a_tenth_is_dev() -> None:
    share = sum(is_dev(f"review number {number}") for number in range(20_000)) / 20_000
    assert abs(share - 0.1) < 0.01


def test_the_choice_does_not_depend_on_the_process() -> None:
    """Asked in processes that hash strings differently."""
    code = "from polarbert.data.splits import is_dev; print([n for n in range(100) if is_dev(f'review {n}')])"
    answers = set()
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", code]
        answers.add(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)
    assert answers == {str([n for n in range(100) if is_dev(f"review {n}")]) + "\n"}
