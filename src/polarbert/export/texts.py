"""Texts of our own to calibrate on when a user has none at hand."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

from polarbert.errors import ExportError

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def own_texts() -> list[str]:
    """The example reviews: whole, by sentence, and by two sentences; over a thousand different texts.

    Raises:
        ExportError: when the installation lacks them.
    """
    reviews = [row["review"] for row in csv.DictReader(_find().read_text("utf-8").splitlines(keepends=True))]
    split = [_SENTENCE_END.split(review) for review in reviews]
    sentences = [sentence for parts in split for sentence in parts]
    twos = [" ".join(two) for parts in split for two in pairwise(parts)]
    return list(dict.fromkeys(text for text in [*reviews, *sentences, *twos] if text.strip()))


def own_pairs() -> list[tuple[str, str | None]]:
    """Each of these texts with the one after it: pairs as unlike, and at times as like, as pairs are."""
    return list(pairwise(own_texts()))


def with_aspects(texts: Sequence[str]) -> list[tuple[str, str | None]]:
    """Texts as a model of aspects is asked about them: every other one whole, the rest with their longest word."""
    found: list[tuple[str, str | None]] = []
    for number, text in enumerate(texts):
        words = re.findall(r"\w+", text)
        found.append((text, max(words, key=len) if number % 2 and words else None))
    return found


def _find() -> Path:
    """In an installed package beside this module; in a checkout in the folder of examples."""
    places = (Path(str(files("polarbert.export"))) / "reviews.csv", Path(__file__).parents[3] / "examples/reviews.csv")
    for place in places:
        if place.is_file():
            return place
    raise ExportError("the example reviews are missing from this installation; give --texts FILE")
