"""Generated training text: what real reviews and posts teach too seldom, made from frames and words of our own.

    python recipes/embedded/generated.py --count 40 --seed 1 [--phenomenon denied-blame | --aspects | --check]

Nothing here is shared with the behaviour suite that judges the model: `check_disjoint`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from random import Random

import frames
import spelling
from polarbert.behaviour import families, skeletons, vocabulary
from polarbert.behaviour.template import SLOT, skeletons_of
from polarbert.data.labels import SENTIMENTS

NEGATIVE, NEUTRAL, POSITIVE = SENTIMENTS
ATTEMPTS = 30  # texts made before a template counts as used up
VERDICTS = {
    "mixed": (POSITIVE, NEGATIVE, NEUTRAL),
    "praise": (POSITIVE, POSITIVE, NEUTRAL),
    "blame": (NEGATIVE, NEGATIVE, NEUTRAL),
    "told": (NEUTRAL, NEUTRAL, NEUTRAL),
}
ASPECT_MIX = ("mixed", "mixed", "mixed", "praise", "mixed", "mixed", "blame", "mixed", "mixed", "told")
# Lexicons and an entry of the suite that are everyone's: function words, numbers and hours. They are no entries of
# ours either, but sentences may hold them.
COMMON = {"very", "fairly", "slightly", "number", "code", "clock", "whole", "mark", "space", "please"}


@dataclass(frozen=True)
class Generated:
    """A text for training.

    Attributes:
        text: as somebody might have written it.
        label: "negative", "neutral" or "positive"; towards the aspect where there is one.
        family: of templates that it was made by.
        phenomenon: what it teaches.
        aspect: what the label is about; None for the text as a whole.
    """

    text: str
    label: str
    family: str
    phenomenon: str
    aspect: str | None = None


def generate(
    count: int,
    seed: int,
    weights: Mapping[str, float] | None = None,
    labels: Mapping[str, float] | None = None,
) -> list[Generated]:
    """Different texts, in random order; the same ones on every machine.

    Args:
        count: how many.
        seed: another one gives other texts.
        weights: of phenomena, by name; those not named keep the weight of their file, and 0 leaves one out.
        labels: weights of labels that are aimed at, by name; those not named have 1, and 0 leaves one out. They are
            met as far as the phenomena allow: facts are neutral however much praise is asked for.

    Raises:
        ValueError: for a phenomenon or label that is unknown, or when the templates give too few different texts.

    Example:
        >>> texts = generate(200, seed=1, weights={"mock-praise": 0})
        >>> len({one.text for one in texts}), texts == generate(200, seed=1, weights={"mock-praise": 0})
        (200, True)
    """
    cells = _cells(weights or {}, dict.fromkeys(SENTIMENTS, 1.0) | dict(labels or {}))
    seen: set[str] = set()
    made = [one for cell, share in _counts(cells, count).items() for one in _fill_cell(cell, share, seed, seen)]
    _random(seed, "order").shuffle(made)
    return made


def generate_aspects(count: int, seed: int) -> list[Generated]:
    """Texts with an aspect: of each text one that it praises, one that it blames, and one that it does not judge.

    Seven texts of ten praise one aspect and blame another. In the rest both get the same verdict or none, so that
    a model cannot guess one verdict from the other.

    Args:
        count: pairs of text and aspect; three have the same text.
        seed: another one gives other texts.

    Example:
        >>> {one.label for one in generate_aspects(3, seed=1)} == set(SENTIMENTS)
        True
    """
    made: list[Generated] = []
    seen: set[str] = set()
    for number, kind in enumerate(cycle(ASPECT_MIX)):
        if len(made) >= count:
            break
        made += _aspect_rows(kind, _random(seed, "aspects", number), seen)
    del made[count:]
    _random(seed, "order").shuffle(made)
    return made


def phenomena() -> Mapping[str, frames.Phenomenon]:
    """Every phenomenon of `generate`, by name."""
    return frames.phenomena()


def check_disjoint() -> None:
    """Compare words, templates and their skeletons with those of the behaviour suite.

    No lexicon of ours has an entry of the suite, whatever its case. No template or entry holds one either, with its
    marks or, of several words, without them, but for function words, numbers and hours. No template or skeleton is one
    of the suite's, and no family has the name of one.

    Raises:
        ValueError: naming the first thing that is shared.
    """
    theirs = {entry.lower(): lexicon for lexicon in vocabulary() for entry in lexicon.entries}
    held = [entry for entry, found in theirs.items() if {found.name, entry}.isdisjoint(COMMON)]
    phrases = {tokens: entry for entry in held if len(tokens := _words(entry)) > 1}
    phrases |= {_tokens(entry): entry for entry in held}
    for entry in frames.entries():
        if entry.lower() in theirs:
            raise ValueError(f"the entry {entry!r} is one of the suite's lexicon {theirs[entry.lower()].name!r}")
    for text in [*frames.entries(), *frames.templates()]:
        bare = SLOT.sub("_", text)
        for found in sorted((_runs(_tokens(bare)) | _runs(_words(bare))) & phrases.keys()):
            entry = phrases[found]
            raise ValueError(f"{text!r} holds {entry!r}, an entry of the suite's {theirs[entry].name!r}")
    _check_frames()


def _check_frames() -> None:
    names = {name for family in families() for name in (family.name, family.name.partition("/")[2])}
    for phenomenon in phenomena().values():
        for family in phenomenon.families:
            if {family.name, f"{phenomenon.name}/{family.name}"} & names:
                raise ValueError(f"the family {phenomenon.name}/{family.name} has the name of one of the suite")
    for template in frames.templates():
        for skeleton in skeletons_of(template):
            if skeleton in skeletons():
                raise ValueError(f"the skeleton {skeleton!r} of {template!r} is one of the suite's")


def _tokens(text: str) -> tuple[str, ...]:
    """Its words in small letters, and its marks one by one."""
    return tuple(re.findall(r"\w+(?:'\w+)*|[^\w\s]", text.lower()))


def _words(text: str) -> tuple[str, ...]:
    return tuple(token for token in _tokens(text) if re.match(r"\w", token))


def _runs(tokens: tuple[str, ...]) -> set[tuple[str, ...]]:
    """Every run of tokens, up to the longest of the suite's entries."""
    return {tokens[start:end] for start in range(len(tokens)) for end in range(start + 1, start + 17)}


# ---- how many of what


@dataclass(frozen=True)
class Cell:
    """A phenomenon and a label that its texts can have."""

    phenomenon: str
    label: str


def _cells(weights: Mapping[str, float], labels: Mapping[str, float]) -> dict[Cell, float]:
    """The share of each cell: rows in proportion to weights, columns as near as can be to the shares of labels."""
    for what, given, known in (("phenomenon", weights, list(phenomena())), ("label", labels, SENTIMENTS)):
        if unknown := given.keys() - known:
            raise ValueError(f"there is no {what} {min(unknown)!r}; there are {', '.join(known)}")
    wanted = {name: weights.get(name, one.weight) for name, one in phenomena().items()}
    asked = [(name, one) for name, one in phenomena().items() if wanted[name]]
    cells = {Cell(name, label): 1.0 for name, one in asked for label in _labels(one) if labels[label]}
    for _ in range(50):
        cells = _scaled(cells, lambda cell: cell.label, labels)
        cells = _scaled(cells, lambda cell: cell.phenomenon, wanted)
    return cells


def _labels(phenomenon: frames.Phenomenon) -> list[str]:
    return [label for label in SENTIMENTS if any(label in family.templates for family in phenomenon.families)]


def _scaled(cells: Mapping[Cell, float], line: Callable[[Cell], str], wanted: Mapping[str, float]) -> dict[Cell, float]:
    """One step of iterative proportional fitting (Deming and Stephan 1940): every line of the table sums up rightly."""
    sums = {line(cell): 0.0 for cell in cells}
    for cell, share in cells.items():
        sums[line(cell)] += share
    whole = sum(wanted[name] for name in sums)
    factors = {name: wanted[name] / whole / found for name, found in sums.items() if found}
    return {cell: share * factors[line(cell)] for cell, share in cells.items() if share}


def _counts(cells: Mapping[Cell, float], count: int) -> dict[Cell, int]:
    """Whole numbers with the sum `count`, by largest remainder."""
    found = {cell: int(share * count) for cell, share in cells.items()}
    by_remainder = sorted(cells, key=lambda cell: found[cell] - cells[cell] * count)
    for cell in by_remainder[: count - sum(found.values())]:
        found[cell] += 1
    return found


# ---- one text


def _random(seed: int, *what: object) -> Random:
    return Random("\0".join(map(str, (seed, *what))))  # noqa: S311 - a draw that can be repeated


def _fill_cell(cell: Cell, count: int, seed: int, seen: set[str]) -> list[Generated]:
    """So many texts, from all templates by turns."""
    made: list[Generated] = []
    sources = _sources(cell, seed)
    while len(made) < count and sources:
        for source in list(sources):
            if (one := _next_new(source, seen)) is None:
                sources.remove(source)
            else:
                made.append(one)
    if len(made) < count:
        raise ValueError(f"{cell.phenomenon}: the templates give {len(made)} different {cell.label} texts, not {count}")
    for one in made[count:]:
        seen.remove(_key(one.text))
    return made[:count]


def _sources(cell: Cell, seed: int) -> list[Iterator[Generated]]:
    """One for each template, in a random order that is the same for all labels, so that contrasts come together."""
    found = [
        (family, place)
        for family in phenomena()[cell.phenomenon].families
        for place in range(len(family.templates.get(cell.label, ())))
    ]
    found.sort(key=lambda one: _random(seed, "turn", one[0].name, one[1]).random())
    return [_source(family, cell.label, place, seed) for family, place in found]


def _source(family: frames.Family, label: str, place: int, seed: int) -> Iterator[Generated]:
    """Texts of one template without end, with repeats. Their words depend on its place, not on the label."""
    template = family.templates[label][place]
    topics = frames.topics_of(template, family.topics)
    number = 0
    while True:
        random = _random(seed, family.phenomenon, family.name, place, number)
        topic = topics[int(random.random() * len(topics))]
        text = frames.Filling(frames.lexicons()[topic], random).fill(template)
        text = text if family.as_written else spelling.respelled(frames.capitalised(text), random)
        yield Generated(text, label, family.name, family.phenomenon)
        number += 1


def _next_new(source: Iterator[Generated], seen: set[str]) -> Generated | None:
    for _ in range(ATTEMPTS):
        one = next(source)
        if (key := _key(one.text)) not in seen:
            seen.add(key)
            return one
    return None


def _key(text: str) -> str:
    return " ".join(text.lower().split())


def _aspect_rows(kind: str, random: Random, seen: set[str]) -> list[Generated]:
    """A text and three aspects with their labels, in random order; nothing when the text has been made before."""
    domain = frames.chosen(random, list(frames.aspects()))
    family = "people" if domain == "people" else "things"
    one, two, third = random.sample(frames.aspects()[domain], 3)
    template = frames.chosen(random, frames.aspect_frames()[family][kind])
    given = {**_given("one", one, random), **_given("two", two, random), **_given("third", third, random)}
    text = frames.Filling(frames.lexicons()[None], random, given).fill(template)
    text = spelling.respelled(frames.capitalised(text), random)
    if _key(text) in seen:
        return []
    seen.add(_key(text))
    rows = [
        Generated(text, label, f"{family}-{kind}", "two-aspects", aspect.name)
        for aspect, label in zip((one, two, third), VERDICTS[kind], strict=True)
    ]
    return random.sample(rows, 3)


def _given(slot: str, aspect: frames.Aspect, random: Random) -> dict[str, str]:
    said = {f"{slot}_{way}": frames.chosen(random, phrases) for way, phrases in aspect.says.items()}
    return {slot: aspect.name, **said}


@cache
def sizes() -> dict[str, int]:
    """How much there is: phenomena, templates and lexicon entries."""
    return {"phenomena": len(phenomena()), "templates": len(frames.templates()), "entries": len(frames.entries())}


def _printed(texts: Sequence[Generated]) -> str:
    return "\n".join(f"{one.label:9}{one.phenomenon}  {one.aspect or ''}  {one.text}" for one in texts)


def main() -> None:
    """Print samples, for a person to read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--phenomenon", choices=list(phenomena()))
    parser.add_argument("--aspects", action="store_true", help="texts with two aspects instead")
    parser.add_argument("--check", action="store_true", help="compare with the behaviour suite and print the sizes")
    given = parser.parse_args()
    if given.check:
        check_disjoint()
        print(sizes())
        return
    only = {name: 0.0 for name in phenomena() if name != given.phenomenon} if given.phenomenon else {}
    texts = generate_aspects(given.count, given.seed) if given.aspects else generate(given.count, given.seed, only)
    print(_printed(texts))


if __name__ == "__main__":
    main()
