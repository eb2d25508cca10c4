"""Texts that are the same, or nearly: MinHash with banded locality-sensitive hashing.

Broder (1997), "On the resemblance and containment of documents", for the sketch; Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", section 3.4, for the bands. What the sketches propose is verified on the texts themselves,
so two texts are never joined by chance.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

GRAM = 5  # characters
THRESHOLD = 0.8
_MISSED = 1e-6  # highest chance of not seeing a pair that is just similar enough
_MOST_HASHES = 128
_NEIGHBOURS = 32  # of a crowded bucket each text is compared with so many, and with the bucket's first
_PAIRS = 1 << 14  # pairs of sketches compared at once
_CHUNK = 1 << 18  # characters hashed at once: what a core's own cache holds
_IN_VAIN = 32  # comparisons without a link after which a text is not compared further
_NEITHER = re.compile(r"[\W_]+")  # neither letter nor digit, as str.isalnum has them
_NO_CHARACTER = 0x110000

_Numbers = NDArray[np.int64]
_Hashes = NDArray[np.uint64]


def normalised(text: str) -> str:
    """Lower-cased letters and digits only: texts that differ in nothing else are the same text."""
    return _NEITHER.sub("", text.lower())


def text_key(text: str) -> str:
    """What equal texts have in common: `normalised`, or for a text without letters and digits the text as it is read.

    Example:
        >>> text_key("Great  app!") == text_key("great app")
        True
        >>> text_key("👍") == text_key("👎")
        False
    """
    return normalised(text) or _as_read(text)


def clusters(texts: Sequence[str], threshold: float = THRESHOLD, seed: int = 1) -> NDArray[np.int64]:
    """Number the clusters of equal and nearly equal texts.

    Two texts are linked when their sets of character 5-grams have a Jaccard similarity of `threshold` or more: as they
    are read (lower case, any white space as one space), or by their letters and digits alone, so texts with an equal
    `text_key` always are. A text of fewer than five characters is one gram. Clusters are what links connect.

    A pair of similarity s agrees in one MinHash with chance s. With r hashes to a band and b bands it is missed with
    chance (1 - s^r)^b. For 0.8, r = 4 and b = 27: (1 - 0.4096)^27 = 6.6e-7. What a band proposes is looked at when at
    least 63 of all 108 hashes agree; a pair of 0.8 fails that with chance 0.8e-7. Both make 7.4e-7 together, and less
    for a pair more alike. Other thresholds get their numbers by the same rule.

    Crowds are the exception: in a bucket of more than 32 different texts not all pairs are compared, and a text that
    was compared with 32 before it in vain is not compared with others. Work so grows with the number of texts alone.

    Args:
        texts: any; the order decides the numbers alone.
        threshold: above 0, at most 1.
        seed: of the hash functions.

    Returns:
        (texts,) numbers from 0, in order of first appearance; the same on every machine.

    Example:
        >>> clusters(["Great app!", "It crashes", "great app", "GREAT APP..."]).tolist()
        [0, 1, 0, 0]
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold}; it must lie above 0 and be at most 1")
    parent = np.arange(len(texts), dtype=np.int64)
    for form in (_as_read, text_key):
        _link(parent, [form(text) for text in texts], threshold, seed)
    return np.unique(parent, return_inverse=True)[1].astype(np.int64)


def cluster_count(cluster_of: NDArray[np.int64]) -> int:
    """How many clusters there are, by the numbers that `clusters` gave."""
    return int(cluster_of.max()) + 1 if len(cluster_of) else 0


def similarity(left: str, right: str) -> float:
    """The Jaccard similarity of two texts by which `clusters` links them.

    Example:
        >>> similarity("It works", "it works!!")
        1.0
    """
    pairs = [({*_grams(form(left))}, {*_grams(form(right))}) for form in (_as_read, text_key)]
    return max(len(a & b) / len(a | b) for a, b in pairs)


def bands(threshold: float) -> tuple[int, int]:
    """Hashes to a band and number of bands: as selective as `_MOST_HASHES` hashes allow, or one hash to a band."""
    possible = [(size, _bands_needed(threshold, size)) for size in range(1, _MOST_HASHES + 1)]
    return [possible[0], *((size, count) for size, count in possible if size * count <= _MOST_HASHES)][-1]


def _bands_needed(threshold: float, size: int) -> int:
    return 1 if threshold == 1 else math.ceil(math.log(_MISSED) / math.log1p(-(threshold**size)))


def fewest_agreeing(hashes: int, threshold: float) -> int:
    """Most hashes that a pair of similarity `threshold` may be asked to agree in, so that it seldom fails by chance."""
    chance = 0.0
    for agreeing in range(hashes):
        chance += math.comb(hashes, agreeing) * threshold**agreeing * (1 - threshold) ** (hashes - agreeing)
        if chance > _MISSED / 10:
            return agreeing
    return hashes


def _as_read(text: str) -> str:
    return " ".join(text.lower().split())


def _grams(text: str) -> list[str]:
    return [text[start : start + GRAM] for start in range(max(len(text) - GRAM + 1, 1))]


def _link(parent: _Numbers, forms: Sequence[str], threshold: float, seed: int) -> None:
    """Join what is similar in one form; `parent` points from each text to the first of its cluster."""
    first: dict[str, int] = {}
    owner = np.array([first.setdefault(form, number) for number, form in enumerate(forms)], dtype=np.int64)
    join(parent, owner, np.arange(len(forms), dtype=np.int64))
    different, owners = list(first), np.array(list(first.values()), dtype=np.int64)
    size, count = bands(threshold)
    sketches = _sketches(different, size * count, seed)
    lengths = _lengths(different)
    fewest = fewest_agreeing(size * count, threshold)
    in_vain = np.zeros(len(different), dtype=np.int64)
    for band in range(count):
        keys = _folded(sketches[:, band * size : (band + 1) * size])
        order = np.argsort(keys, kind="stable")
        for one, other in _candidates(keys[order]):
            left, right = order[one], order[other]
            asked = (parent[owners[left]] != parent[owners[right]]) & (in_vain[right] < _IN_VAIN)
            left, right = left[asked], right[asked]
            asked = _agreeing(sketches, left, right) >= fewest
            left, right = left[asked], right[asked]
            chunks = _chunks(lengths[left] + lengths[right], _CHUNK)
            found = [_jaccard(different, left[here], right[here]) for here in chunks]
            alike = np.concatenate([np.zeros(0), *found]) >= threshold
            join(parent, owners[left[alike]], owners[right[alike]])
            np.add.at(in_vain, right[~alike], 1)


def _candidates(keys: _Hashes) -> Iterator[tuple[_Numbers, _Numbers]]:
    """Places to compare in sorted keys: each with the first of its run, then with those that follow it."""
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.zeros(0, np.int64)
    first = np.repeat(starts, np.diff(np.r_[starts, len(keys)]))
    later = np.flatnonzero(first != np.arange(len(keys)))
    yield first[later], later
    for step in range(1, _NEIGHBOURS):
        left = np.flatnonzero(keys[step:] == keys[:-step])
        if not len(left):
            return
        yield left, left + step


def join(parent: _Numbers, left: _Numbers, right: _Numbers) -> None:
    """Put each pair into one cluster. Before and after, every text points straight to the first of its cluster."""
    while True:
        a, b = parent[left], parent[right]
        apart = a != b
        if not apart.any():
            return
        np.minimum.at(parent, np.maximum(a, b)[apart], np.minimum(a, b)[apart])
        while (parent[parent] != parent).any():
            parent[:] = parent[parent]


def _sketches(texts: Sequence[str], count: int, seed: int) -> NDArray[np.uint16]:
    """(texts, count) MinHashes, of which 16 bits are kept: different ones agree with chance 2^-16."""
    seeds = _mixed(np.arange(2 * count, dtype=np.uint64) + _mixed(np.array([seed % (1 << 64)], dtype=np.uint64)))
    multipliers, offsets = seeds.reshape(2, count)
    sketches = np.zeros((len(texts), count), dtype=np.uint16)
    for here in _chunks(_lengths(texts), _CHUNK):
        codes, starts = _windows(texts[here])
        grams = _folded(codes.T.astype(np.uint64)) >> np.uint64(32)
        least = np.empty((count, len(starts)), dtype=np.uint64)
        for number in range(count):
            # The upper half of (a x + b) mod 2^64 is strongly universal in 32-bit x (Dietzfelbinger 1996).
            np.minimum.reduceat(grams * multipliers[number] + offsets[number], starts, out=least[number])
        sketches[here] = (_mixed(least) >> np.uint64(48)).T
    return sketches


def _agreeing(sketches: NDArray[np.uint16], left: _Numbers, right: _Numbers) -> _Numbers:
    """(pairs,) how many hashes of a pair agree."""
    agreeing = np.zeros(len(left), dtype=np.int64)
    for begin in range(0, len(left), _PAIRS):
        here = slice(begin, begin + _PAIRS)
        agreeing[here] = (sketches[left[here]] == sketches[right[here]]).sum(1)
    return agreeing


def _folded(columns: NDArray[np.unsignedinteger]) -> _Hashes:
    """One hash for each row."""
    folded = np.zeros(len(columns), dtype=np.uint64)
    for column in columns.T:
        folded = _mixed(folded + column)
    return folded


def _jaccard(texts: Sequence[str], left: _Numbers, right: _Numbers) -> NDArray[np.float64]:
    """(pairs,) size of the intersection over that of the union."""
    used, place = np.unique(np.concatenate([left, right]), return_inverse=True)
    grams, sizes = _gram_sets([texts[number] for number in used], len(left))
    starts = np.cumsum(sizes) - sizes
    high = int(grams.max()) + 1
    sides = []
    for side in (place[: len(left)], place[len(left) :]):
        pair = np.repeat(np.arange(len(side)), sizes[side])
        within = np.arange(len(pair)) - np.repeat(np.cumsum(sizes[side]) - sizes[side], sizes[side])
        sides.append(pair * high + grams[np.repeat(starts[side], sizes[side]) + within])
    merged = np.sort(np.concatenate(sides), kind="stable")  # two rising runs: merged in one pass
    shared = np.bincount(merged[1:][merged[1:] == merged[:-1]] // high, minlength=len(left))
    together = sizes[place[: len(left)]] + sizes[place[len(left) :]] - shared
    return np.asarray(shared / together, dtype=np.float64)


def _gram_sets(texts: Sequence[str], room: int) -> tuple[_Numbers, _Numbers]:
    """The grams of each text as numbers, rising and each once, one text after the other; and how many each has.

    Different grams have different numbers, small enough to stand `room` times, or once a text, below 2^63.
    """
    codes, starts = _windows(texts)
    place = np.cumsum(np.bincount(codes.ravel()) > 0)
    letters, columns = int(place[-1]), place[codes] - 1
    most = (1 << 62) // max(room, len(texts))
    grams = columns[0]
    for column in columns[1:]:
        grams = grams * letters + column
        if int(grams.max()) * letters >= most:
            grams = np.unique(grams, return_inverse=True)[1]
    high = int(grams.max()) + 1
    text = np.repeat(np.arange(len(texts)), np.diff(np.r_[starts, len(grams)]))
    keys = np.sort(text * high + grams)
    keys = keys[np.r_[True, keys[1:] != keys[:-1]]]
    return keys % high, np.bincount(keys // high, minlength=len(texts))


def _windows(texts: Sequence[str]) -> tuple[_Numbers, _Numbers]:
    """(5, grams) code points of every gram of the texts, and where each text's grams start.

    A text shorter than a gram is filled up with a number that is no code point.
    """
    lengths = _lengths(texts)
    filled = "".join([text.ljust(GRAM) for text in texts])
    points = np.frombuffer(filled.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64)
    ends = np.cumsum(np.maximum(lengths, GRAM))
    for number in np.flatnonzero(lengths < GRAM):
        points[ends[number] - GRAM + lengths[number] : ends[number]] = _NO_CHARACTER
    inside = np.ones(len(points), dtype=np.bool_)
    for back in range(1, GRAM):
        inside[ends - back] = False
    counts = np.maximum(lengths - GRAM + 1, 1)
    return points[np.flatnonzero(inside) + np.arange(GRAM)[:, None]], np.cumsum(counts) - counts


def _lengths(texts: Sequence[str]) -> _Numbers:
    return np.fromiter(map(len, texts), np.int64, len(texts))


def _chunks(sizes: _Numbers, most: int) -> Iterator[slice]:
    """Ranges that together have all members; the sizes of each sum to `most` and one member more at the utmost."""
    number = np.cumsum(sizes) // most
    edges = np.r_[0, np.flatnonzero(np.diff(number)) + 1, len(sizes)]
    for begin, end in pairwise(edges.tolist()):
        if begin < end:
            yield slice(begin, end)


def _mixed(values: _Hashes) -> _Hashes:
    """Each bit of the result depends on each bit of a value (the end of SplitMix64)."""
    x = values + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
