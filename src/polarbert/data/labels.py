"""From what stands in a label column to the classes of a model."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from polarbert.errors import DataError, UsageError

SENTIMENTS = ["negative", "neutral", "positive"]
TASKS = ("sentiment", "classification")
_WORDS = {word: name for name in SENTIMENTS for word in (name, name[:3])}
_STRONG_WORDS = {f"very {word}": name for word, name in _WORDS.items() if name != "neutral"}
_BLANK_WORDS = frozenset({"nan", "null", "none", "n/a", "#n/a", "<na>"})  # what other programs write for an empty cell
_STARS = {1: "negative", 2: "negative", 3: "neutral", 4: "positive", 5: "positive"}


@dataclass(frozen=True)
class LabelMap:
    """Which class each raw label stands for.

    Attributes:
        task: "sentiment" or "classification".
        labels: names of the classes, in the order of the logits.
        names: the class of each raw label that was met.
        notes: what was merged or assumed, for people to read.
    """

    task: str
    labels: list[str]
    names: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @classmethod
    def infer(cls, raw: Iterable[str], task: str | None = None) -> LabelMap:
        """Find out what the labels of a file mean.

        Labels are sentiment when every one is negative, neutral or positive (also neg, neu, pos), or when every one is
        a number of stars from 1 to 5: one and two are negative, three is neutral, four and five are positive. Numbers
        that run from 1 upwards without a gap and end before 5 could as well be codes of classes, and are taken as such.
        A file that has two of the three classes gives a classifier of these two: a class that was never seen cannot be
        learned. Any other labels are classes under their own names.

        Labels that differ only by case or surrounding blanks are one class, under the spelling that is most frequent.

        Args:
            raw: the labels, with their repeats; blank ones count for nothing.
            task: "sentiment" gives all three classes and refuses other labels; "classification" takes labels as they
                are, stars too; None decides.

        Raises:
            DataError: when there is no label, or naming those that are no sentiment though `task` says so.

        Example:
            >>> LabelMap.infer(["5", "4", "1", "3"]).names["4"]
            'positive'
            >>> LabelMap.infer(["Bug", "Praise", "bug", "bug"]).labels
            ['Praise', 'bug']
        """
        if task not in (None, *TASKS):
            raise UsageError(f"the task is {task!r}; it can be {' or '.join(TASKS)}")
        counts = Counter(label for label in raw if label.strip())
        if not counts:
            raise DataError("there is no label; name another label column, or fill this one")
        if task == "sentiment":
            return _sentiment(counts)
        return _classification(counts) if task == "classification" else _guessed(counts)

    @classmethod
    def explicit(cls, mapping: Mapping[str, str]) -> LabelMap:
        """A map as given, from raw label to class.

        Classes that are negative, neutral and positive, all three, make a sentiment map; other classes are in the
        order of their names.

        Example:
            >>> LabelMap.explicit({"up": "positive", "down": "negative", "flat": "neutral"}).labels
            ['negative', 'neutral', 'positive']
        """
        names = {raw: name.strip() for raw, name in mapping.items()}
        if blank := [raw for raw, name in names.items() if not name]:
            raise DataError(f"the label map gives {_listed(blank)} a blank name; give it the name of a class")
        if set(names.values()) == set(SENTIMENTS):
            return cls("sentiment", list(SENTIMENTS), names)
        return cls("classification", _ordered(names.values()), names)

    def number(self, raw: str) -> int:
        """Position in `labels` of the class of a raw label; case and surrounding blanks do not matter.

        Raises:
            DataError: when the map does not know the label.
        """
        name = self._name(raw)
        if name is None:
            near = get_close_matches(raw.strip(), self.names, n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise DataError(f"no class for the label {raw!r}. {hint}Known are {_listed(list(self.names))}")
        return self.labels.index(name)

    def knows(self, raw: str) -> bool:
        """Whether `number` has an answer."""
        return self._name(raw) is not None

    def _name(self, raw: str) -> str | None:
        if raw in self.names:
            return self.names[raw]
        return next((name for known, name in self.names.items() if _key(known) == _key(raw)), None)


def _guessed(counts: Counter[str]) -> LabelMap:
    stars = {raw: _stars(raw) for raw in counts}
    if all(_key(raw) in _WORDS for raw in counts):
        names = {raw: _WORDS[_key(raw)] for raw in counts}
        return _as_they_occur(names, _merged(counts))
    if any(value is None for value in stars.values()):
        return _classification(counts)
    values = {value for value in stars.values() if value is not None}
    if max(values) < 5 and values == set(range(1, max(values) + 1)):
        note = (
            f"the labels are the numbers 1 to {max(values)}: taken as names of classes. "
            "If they are stars, say so with the task sentiment"
        )
        return _with_notes(_classification(counts), note)
    names = {raw: _STARS[value] for raw, value in stars.items() if value is not None}
    return _as_they_occur(names, (*_merged(counts), _stars_note(counts)))


def _as_they_occur(names: Mapping[str, str], notes: tuple[str, ...]) -> LabelMap:
    """All three classes of sentiment, or a classifier of those that occur."""
    labels = [name for name in SENTIMENTS if name in names.values()]
    if len(labels) == len(SENTIMENTS):
        return LabelMap("sentiment", labels, names, notes)
    missing = " and ".join(name for name in SENTIMENTS if name not in labels)
    note = (
        f"no row is {missing}: the model is a classifier of {' and '.join(labels)}. "
        "For all three classes say the task sentiment"
    )
    return LabelMap("classification", labels, names, (*notes, note))


def _sentiment(counts: Counter[str]) -> LabelMap:
    words = _WORDS | _STRONG_WORDS
    names: dict[str, str] = {}
    for raw in counts:
        stars = _stars(raw)
        name = words.get(_key(raw)) or (_STARS[stars] if stars else None)
        if name is not None:
            names[raw] = name
    if others := [raw for raw in counts if raw not in names]:
        raise DataError(
            f"labels that are no sentiment: {counted(_some(counts, others))}. Known are negative, neutral, positive, "
            "neg, neu, pos and 1 to 5 stars. Correct the labels, say what each stands for, or take the task "
            "classification"
        )
    notes = list(_merged(counts))
    if rated := [raw for raw in counts if _stars(raw)]:
        notes.append(_stars_note(_some(counts, rated)))
    notes += [f"no row is {name}: the model will not learn it" for name in SENTIMENTS if name not in names.values()]
    return LabelMap("sentiment", list(SENTIMENTS), names, tuple(notes))


def _classification(counts: Counter[str]) -> LabelMap:
    names = {raw: best for best, group in _spellings(counts) for raw in group}
    return LabelMap("classification", _ordered(names.values()), names, (*_merged(counts), *_blank_words(counts)))


def _blank_words(counts: Counter[str]) -> Iterator[str]:
    if found := [raw for raw in counts if _key(raw) in _BLANK_WORDS]:
        yield (
            f"taken as a class: {counted(_some(counts, found))}. If that stands for a row without a label, empty these "
            "cells and train again"
        )


def _spellings(counts: Counter[str]) -> list[tuple[str, list[str]]]:
    """Labels that are read as the same, with the spelling that most rows have."""
    groups: dict[str, list[str]] = {}
    for raw in counts:
        groups.setdefault(_key(raw), []).append(raw)
    return [(min(group, key=lambda raw: (-counts[raw], raw)).strip(), group) for group in groups.values()]


def _merged(counts: Counter[str]) -> tuple[str, ...]:
    groups = [(best, group) for best, group in _spellings(counts) if len(group) > 1]
    return tuple(f"taken as one label, {best!r}: {counted(_some(counts, group))}" for best, group in groups)


def _with_notes(label_map: LabelMap, *notes: str) -> LabelMap:
    return LabelMap(label_map.task, label_map.labels, label_map.names, (*label_map.notes, *notes))


def _stars_note(counts: Mapping[str, int]) -> str:
    return (
        f"the labels are stars ({counted(counts)}): 1 and 2 are taken as negative, 3 as neutral, 4 and 5 as "
        "positive. For a class for each number say the task classification"
    )


def _stars(raw: str) -> int | None:
    """1 to 5, or None when the label is no number of stars."""
    whole, _, fraction = raw.strip().partition(".")
    return int(whole) if whole in "12345" and len(whole) == 1 and not fraction.strip("0") else None


def _key(raw: str) -> str:
    """The same for labels that are read as the same."""
    return unicodedata.normalize("NFC", raw.strip().casefold())


def _ordered(names: Iterable[str]) -> list[str]:
    """Each name once, in order; whole numbers by their value."""
    different = sorted(set(names))
    if all(name.isascii() and name.isdigit() for name in different):
        return sorted(different, key=lambda name: (int(name), name))
    return different


def counted(counts: Mapping[str, int]) -> str:
    """Values with how often each occurs, the most frequent ten, for messages.

    Example:
        >>> counted({"bug": 1, "idea": 1200})
        "'idea' 1,200 times, 'bug' once"
    """
    most = sorted(counts, key=lambda name: (-counts[name], name))
    return _joined([f"{name!r} {_times(counts[name])}" for name in most])


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _listed(names: Iterable[str]) -> str:
    return _joined([repr(name) for name in names])


def _joined(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10:,} more" if len(names) > 10 else "")


def _some(counts: Mapping[str, int], names: Iterable[str]) -> dict[str, int]:
    return {name: counts[name] for name in names}
