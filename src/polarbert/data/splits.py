"""Which rows are for training and which for judging; the same answer on every machine."""

from __future__ import annotations

import hashlib


def normalised(text: str) -> str:
    """Lower-cased letters and digits only: texts that differ in nothing else are the same text."""
    return "".join(character for character in text.lower() if character.isalnum())


def is_dev(text: str) -> bool:
    """A tenth of all texts, chosen by the text alone, so that repeats always fall on the same side.

    Used for collections that come without a dev part.

    Example:
        >>> is_dev("Great app!") == is_dev("great app")
        True
    """
    return int(hashlib.sha1(normalised(text).encode("utf-8"), usedforsecurity=False).hexdigest(), 16) % 10 == 0
