"""The texts that make the embedded model, and those that judge it.

Reads Parquet files from the directory that POLARBERT_DATA names; recipes/embedded/README.md says where they come from.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import NormalDist
from typing import Any

import pyarrow.parquet as pq

import generated
from likeness import is_of_suite
from ornaments import ornamented
from polarbert.data.splits import is_dev, normalised
from polarbert.text.local_context import local_context
from spelling import mistyped, respelled
from unclear import make_unclear

LABELS = ["negative", "neutral", "positive"]
NEGATIVE, NEUTRAL, POSITIVE = range(3)
BY_NAME = {
    "very negative": NEGATIVE,
    "negative": NEGATIVE,
    "neutral": NEUTRAL,
    "positive": POSITIVE,
    "very positive": POSITIVE,
}
BINARY = (NEGATIVE, POSITIVE)
IMDB_ROWS = 8_000
ASPECT_SETS = {"restaurants": "absa_restaurants", "laptops": "absa_laptops", "persons": "absa_twitter_acl14"}
RATED_SETS = {"posts": "tweets", "products": "amazonReviewSnippets", "news": "nytEditorialSnippets"}
UNMENTIONED = 1_500  # pairs of a text and an aspect that is not in it
GENERATED, GENERATED_ASPECTS, UNCLEAR = 70_000, 10_000, 3_000
# Of phenomena that texts of earlier tries taught too little.
WEIGHTS = {
    **dict.fromkeys(("denied-praise", "denied-blame", "far-denial", "double-denial"), 4.0),
    "late-denial": 3.0,
    **dict.fromkeys(("then-and-now", "asked-and-answered", "better-and-worse", "if-and-would"), 2.5),
    **dict.fromkeys(("set-phrases", "faces", "sober-words", "bare-questions"), 2.0),
}
SECOND_IMDB, SECOND_CLOTHING = 4_000, 8_000  # others for each seed
ASPECT_PASSES, RATED_PASSES = 3, 2  # in one run: these parts are small, and new to it
# Texts of a third run, of the parts that it takes fewer of than a second one.
THIRD_SIZES = {
    "tweets": 12_000,
    "sst2": 18_000,
    "imdb": 1_000,
    "clothing": 2_000,
    "generated": 60_000,
    "unclear": 1_000,
}
# A fourth run's: more of the tweets, which each later run cost a little, and fewer of most that is known.
FOURTH_SIZES = {
    "tweets": 22_000,
    "sst2": 20_000,
    "imdb": 500,
    "clothing": 1_200,
    "generated": 60_000,
    "generated aspects": 7_000,
    "unclear": 1_000,
}
MADE = ("generated", "generated aspects", "clauses")  # parts with generated texts; the last one has others too
ORNAMENTED, RESPELLED, MISTYPED = 0.10, 0.08, 0.08  # shares of whole texts
LIKELY = (1 / 3, 1 / 3, 1 / 3)  # of texts that nobody can judge
# One person's rating lies about the mean of all with this deviation; within the bound it says neither good nor bad.
RATING_SPREAD, NEUTRAL_BOUND = 0.8, 1.0


@dataclass(frozen=True)
class LabelledText:
    """A text and its class.

    Attributes:
        text: as it stood.
        label: of the text, or of what it says of the aspect.
        choices: the classes its annotators could choose among; None: all three.
        aspect: what the class is about; None: the whole text.
        shares: of each class, the share of people who would choose it; None: all of them `label`.
    """

    text: str
    label: int
    choices: tuple[int, ...] | None = None
    aspect: str | None = None
    shares: tuple[float, ...] | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        """What a repeat has in common with it."""
        return normalised(self.text), (self.aspect or "").lower(), self.label


def data_directory() -> Path:
    """The directory with the collections."""
    directory = Path(os.environ.get("POLARBERT_DATA", "../shared/data"))
    if not directory.is_dir():
        raise SystemExit(f"{directory}: no such directory; set POLARBERT_DATA (see recipes/embedded/README.md)")
    return directory


def read(name: str, binary: bool = False) -> list[LabelledText]:
    """The rows of `name` ("collection/part"), empty texts left out."""
    table = pq.read_table(data_directory() / f"{name}.parquet", columns=["text", "label"])
    pairs = zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True)
    return [LabelledText(text, BY_NAME[label], BINARY if binary else None) for text, label in pairs if text.strip()]


def sample(rows: list[LabelledText], count: int) -> list[LabelledText]:
    """`count` rows, always the same ones, whatever their order: some collections are sorted by label."""
    return sorted(rows, key=lambda row: hashlib.sha1(row.text.encode(), usedforsecurity=False).digest())[:count]


def dev_parts() -> dict[str, list[LabelledText]]:
    """What judges the model while it is made."""
    return {
        "playstore": read("playstore/val"),
        "tweets": read("tweeteval_sentiment/val"),
        "sst2": read("sst2/dev", binary=True),
        "sst5": read("sst5/dev"),
        "imdb": read("imdb/val", binary=True),
        "clothing": [row for row in read("womens_clothing/train") if is_dev(row.text)],
    }


def aspect_dev_parts() -> dict[str, list[LabelledText]]:
    """What judges verdicts on aspects; all pairs of a text stand on one side."""
    return {name: [row for row in read_aspects(name) if is_dev(row.text)] for name in ASPECT_SETS}


def rated_dev_parts() -> dict[str, list[LabelledText]]:
    """Texts that many people rated: they judge how sure the model may be, not how good it is."""
    return {name: [row for row in read_rated(file) if is_dev(row.text)] for name, file in RATED_SETS.items()}


def train_parts() -> dict[str, list[LabelledText]]:
    """What the first run learns from: no text here equals one of any dev part."""
    parts = {
        "playstore": read("playstore/train"),
        "tweets": read("tweeteval_sentiment/train"),
        "sst2": read("sst2/train", binary=True),
        "sst5": read("sst5/train"),
        "imdb": sample(read("imdb/train", binary=True), IMDB_ROWS),
        "clothing": [row for row in read("womens_clothing/train") if not is_dev(row.text)],
    }
    return without(parts, dev_parts())


def second_parts(seed: int, count: int = GENERATED) -> dict[str, list[LabelledText]]:
    """What a second run learns from: the same with other film reviews, and what the first one could not learn.

    Args:
        seed: of the texts that are drawn and generated; each run has others.
        count: texts to generate.
    """
    random = Random(seed)  # noqa: S311 - a draw that can be repeated
    aspects = {name: [row for row in read_aspects(name) if not is_dev(row.text)] for name in ASPECT_SETS}
    before = train_parts()
    others = sample(read("imdb/train", binary=True), len(read("imdb/train")))[IMDB_ROWS:]
    parts = before | {
        "clothing": random.sample(before["clothing"], SECOND_CLOTHING),
        "imdb": random.sample(others, SECOND_IMDB),
        "rated": [row for file in RATED_SETS.values() for row in read_rated(file) if not is_dev(row.text)],
        **aspects,
        "agreed": [row for name in ("restaurants", "laptops") for row in agreed(aspects[name])],
        "unmentioned": list(unmentioned(aspects["restaurants"], aspects["laptops"])),
        "generated": from_generated(generated.generate(count, seed=seed, weights=WEIGHTS)),
        "generated aspects": from_generated(generated.generate_aspects(GENERATED_ASPECTS, seed=seed)),
    }
    dev = dev_parts() | {f"aspects/{name}": rows for name, rows in (aspect_dev_parts() | rated_dev_parts()).items()}
    unclear = [LabelledText(text, NEUTRAL, shares=LIKELY) for text in make_unclear(UNCLEAR, seed=seed)]
    return varied(without(parts, dev), seed) | {"unclear": unclear}


def third_parts(seed: int) -> dict[str, list[LabelledText]]:
    """What a third run learns from: less of what is known, and texts with an aspect once more as clauses alone.

    Args:
        seed: of the texts that are drawn and generated.
    """
    return _rehearsed(second_parts(seed), THIRD_SIZES, Random(f"third {seed}"))  # noqa: S311 - can be repeated


def fourth_parts(seed: int) -> dict[str, list[LabelledText]]:
    """What a fourth run learns from, chosen as for a third one; some whole texts have slips of the keyboard.

    What is generated, and happens to be what the behaviour suite could hold, is left out.

    Args:
        seed: of the texts that are drawn and generated.
    """
    random = Random(f"fourth {seed}")  # noqa: S311 - a draw that can be repeated
    made = FOURTH_SIZES["generated"] * 11 // 10  # some are repeats, which are left out
    parts = _rehearsed(second_parts(seed, made), FOURTH_SIZES, random)
    parts = {name: [_with_slips(row, random) for row in rows] for name, rows in parts.items()}
    real = {clauses(row).text for name in ASPECT_SETS for row in parts[name]}
    return parts | {n: [row for row in parts[n] if row.text in real or not is_of_suite(row.text)] for n in MADE}


def _with_slips(row: LabelledText, random: Random) -> LabelledText:
    slips = random.random() < MISTYPED and row.aspect is None
    return replace(row, text=mistyped(row.text, random)) if slips else row


def _rehearsed(
    parts: dict[str, list[LabelledText]], sizes: Mapping[str, int], random: Random
) -> dict[str, list[LabelledText]]:
    parts |= {name: random.sample(parts[name], size) for name, size in sizes.items()}
    with_aspect = [row for name in (*ASPECT_SETS, "generated aspects") for row in parts[name]]
    return parts | {"clauses": [cut for row in with_aspect if (cut := clauses(row)) is not row]}


def clauses(row: LabelledText) -> LabelledText:
    """The row with nothing but the clauses that mention its aspect; as it is where there are none."""
    spans = local_context(row.text, row.aspect or "")
    return replace(row, text=" ".join(row.text[start:end] for start, end in spans)) if spans else row


def varied(parts: Mapping[str, Sequence[LabelledText]], seed: int) -> dict[str, list[LabelledText]]:
    """Some whole texts with an address, handle or hashtag, some misspelt; what they say stays the same."""
    random = Random(f"varied {seed}")  # noqa: S311 - a draw that can be repeated
    return {name: [row if row.aspect else _varied(row, random) for row in rows] for name, rows in parts.items()}


def _varied(row: LabelledText, random: Random) -> LabelledText:
    point = random.random()
    if point < ORNAMENTED:
        return replace(row, text=ornamented(row.text, random))
    if point < ORNAMENTED + RESPELLED:
        return replace(row, text=respelled(row.text, random))
    return row


def read_aspects(name: str) -> list[LabelledText]:
    """Texts with an aspect, and what they say of it."""
    rows = pq.read_table(data_directory() / ASPECT_SETS[name] / "train.parquet").to_pylist()
    return [LabelledText(row["text"], BY_NAME[row["label"]], aspect=row["text_pair"]) for row in rows]


def read_rated(name: str) -> list[LabelledText]:
    """Texts that many people rated, with the shares of them that would choose each class."""
    rows = pq.read_table(data_directory() / "vader_gold" / f"{name}.parquet").to_pylist()
    return [_rated(row) for row in rows if row["text"].strip()]


def _rated(row: Mapping[str, Any]) -> LabelledText:
    shares = shares_of(row["score"])
    return LabelledText(row["text"], max(range(3), key=shares.__getitem__), shares=shares)


def shares_of(rating: float) -> tuple[float, ...]:
    """The shares of people who find a text negative, neutral and positive, from the mean of their ratings, -4 to 4.

    The collection holds no spread: each person is taken to rate by a normal distribution about the mean.

    Example:
        >>> [round(share, 2) for share in shares_of(1.5)]
        [0.0, 0.27, 0.73]
    """
    people = NormalDist(rating, RATING_SPREAD)
    negative, positive = people.cdf(-NEUTRAL_BOUND), 1 - people.cdf(NEUTRAL_BOUND)
    return negative, 1 - negative - positive, positive


def agreed(rows: Sequence[LabelledText]) -> Iterator[LabelledText]:
    """As whole texts, those that praise, or blame, all their aspects."""
    found: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        found[row.text].add(row.label)
    yield from (LabelledText(text, min(labels)) for text, labels in found.items() if labels in ({NEGATIVE}, {POSITIVE}))


def unmentioned(*sets: Sequence[LabelledText]) -> Iterator[LabelledText]:
    """Texts of one set with aspects of another that are not in them, of which they say nothing."""
    for rows, others in zip(sets, (*sets[1:], sets[0]), strict=True):
        names = [row.aspect or "" for row in sample(list(others), UNMENTIONED)]
        texts = sample(list({row.text: row for row in rows}.values()), UNMENTIONED // len(sets))
        for row, name in zip(texts, names, strict=False):
            if not set(name.lower().split()) & set(row.text.lower().split()):
                yield LabelledText(row.text, NEUTRAL, aspect=name)


def from_generated(made: Sequence[generated.Generated]) -> list[LabelledText]:
    """Generated texts as the others are."""
    return [LabelledText(one.text, BY_NAME[one.label], aspect=one.aspect) for one in made]


def without(
    parts: Mapping[str, Sequence[LabelledText]], dev: Mapping[str, Sequence[LabelledText]]
) -> dict[str, list[LabelledText]]:
    """Parts without the texts of dev parts, each distinct text, aspect and label once in its part."""
    held_out = {normalised(row.text) for rows in dev.values() for row in rows}
    return {name: list(_without(rows, held_out)) for name, rows in parts.items()}


def _without(rows: Sequence[LabelledText], held_out: set[str]) -> Iterator[LabelledText]:
    seen: set[tuple[str, str, int]] = set()
    for row in rows:
        if row.key[0] not in held_out and row.key not in seen:
            seen.add(row.key)
            yield row
