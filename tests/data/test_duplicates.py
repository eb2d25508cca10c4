"""Clusters of equal and nearly equal texts, against comparing every pair."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polarbert.data import duplicates
from polarbert.data.duplicates import bands, clusters, fewest_agreeing, normalised, similarity, text_key

WORDS = "the lamp is not very good and broke after one long week of use but they sent me new bulbs at once".split()


def grams(text: str) -> set[str]:
    return {text[n : n + 5] for n in range(len(text) - 4)} if len(text) >= 5 else {text}


def jaccard(left: str, right: str) -> float:
    return len(grams(left) & grams(right)) / len(grams(left) | grams(right))


def alike(left: str, right: str) -> float:
    """By definition: lower case with single spaces, or letters and digits alone."""
    a, b = (" ".join(text.lower().split()) for text in (left, right))
    c, d = ("".join(x for x in text.lower() if x.isalnum()) for text in (left, right))
    return max(jaccard(a, b), jaccard(c, d) if c and d else 0.0)


def by_every_pair(texts: list[str], threshold: float) -> list[int]:
    cluster = list(range(len(texts)))
    for one, other in combinations(range(len(texts)), 2):
        if alike(texts[one], texts[other]) >= threshold:
            old, new = cluster[other], cluster[one]
            cluster = [new if number == old else number for number in cluster]
    order = list(dict.fromkeys(cluster))
    return [order.index(number) for number in cluster]


def sentence(rng: random.Random, length: int) -> str:
    return " ".join(rng.choices(WORDS, k=length))


def edited(rng: random.Random, text: str) -> str:
    """A few characters of it changed, doubled or lost."""
    letters = list(text)
    for _ in range(rng.randint(0, 4)):
        place = rng.randrange(len(letters))
        letters[place] = rng.choice(["", letters[place] * 2, "x", letters[place].upper(), "!"])
    return "".join(letters)


@settings(max_examples=40)
@given(st.integers(0, 10**9), st.sampled_from([0.5, 0.8, 0.9, 1.0]))
def test_clusters_are_those_of_comparing_every_pair(seed: int, threshold: float) -> None:
    rng = random.Random(seed)
    texts = [sentence(rng, rng.randint(1, 12)) for _ in range(12)]
    texts += [edited(rng, rng.choice(texts)) for _ in range(20)]
    rng.shuffle(texts)
    assert clusters(texts, threshold).tolist() == by_every_pair(texts, threshold)


@settings(max_examples=80)
@given(st.lists(st.text(st.sampled_from("ab !é😀\x00\u3042\U0010ffff"), max_size=9), max_size=14))
def test_short_and_strange_texts_are_clustered_as_by_every_pair(texts: list[str]) -> None:
    assert clusters(texts).tolist() == by_every_pair(texts, 0.8)


@settings(max_examples=40)
@given(st.lists(st.text(max_size=30), max_size=8))
def test_any_text_at_all_is_in_a_cluster(texts: list[str]) -> None:
    found = clusters(texts)
    assert found.shape == (len(texts),)
    assert found.dtype == np.int64
    assert sorted(set(found.tolist())) == list(range(len(set(found.tolist()))))
    assert clusters([*texts, *texts]).tolist() == [*found, *found]


def test_pairs_that_are_just_similar_enough_are_found() -> None:
    """Texts of distinct characters: 36 grams each, 32 shared, so that the similarity is exactly 0.8."""
    texts = []
    for pair in range(400):
        letters = [chr(0x4E00 + 48 * pair + n) for n in range(48)]
        texts += ["".join(letters[:40]), "".join([*letters[:36], *letters[40:44]])]
    assert {alike(*texts[n : n + 2]) for n in range(0, 20, 2)} == {0.8}
    assert clusters(texts).tolist() == [number // 2 for number in range(len(texts))]


def test_pairs_that_are_not_quite_similar_enough_are_kept_apart() -> None:
    texts = []
    for pair in range(400):
        letters = [chr(0x4E00 + 48 * pair + n) for n in range(48)]
        texts += ["".join(letters[:40]), "".join([*letters[:35], *letters[40:45]])]
    assert clusters(texts).tolist() == list(range(len(texts)))


def test_the_sum_in_the_description_is_right() -> None:
    size, count = bands(0.8)
    assert (size, count) == (4, 27)
    assert (1 - 0.8**size) ** count < 1e-6
    rng = np.random.default_rng(1)
    agreeing = rng.binomial(108, 0.8, 2_000_000)
    assert fewest_agreeing(108, 0.8) == 63
    assert (agreeing < 63).mean() < 3e-6
    assert (agreeing <= 66).sum() > 0, "the bound is not idle"


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.7, 0.95, 0.999])
def test_every_threshold_gets_enough_bands(threshold: float) -> None:
    size, count = bands(threshold)
    assert (1 - threshold**size) ** count <= 1e-6


def test_sketches_agree_as_often_as_sets_are_similar() -> None:
    """The share of agreeing hashes is an unbiased estimate of the similarity; here over 200 pairs and 108 hashes."""
    rng = random.Random(5)
    texts = [sentence(rng, 20) for _ in range(200)]
    pairs = [(text, text[: len(text) // 2] + sentence(rng, 10)) for text in texts]
    sketches = [duplicates._sketches([pair[side] for pair in pairs], 108, 1) for side in (0, 1)]
    agreeing = (sketches[0] == sketches[1]).mean()
    expected = np.mean([jaccard(*pair) for pair in pairs])
    assert 0.3 < expected < 0.8
    assert abs(agreeing - expected) < 0.012


def test_clusters_do_not_depend_on_the_process() -> None:
    code = (
        "from polarbert.data.duplicates import clusters, _sketches\n"
        "texts = [f'review {n % 70} of the lamp, number {n // 3}' for n in range(200)]\n"
        "print(clusters(texts).tolist(), _sketches(texts, 3, 1)[:2].tolist())"
    )
    answers = set()
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", code]
        answers.add(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)
    (answer,) = answers
    assert answer.endswith(" [[34916, 52819, 35946], [34916, 57256, 35946]]\n"), "hashes are part of what a seed means"


def test_texts_beyond_one_chunk_are_compared_too(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    texts = [sentence(rng, 12) for _ in range(60)]
    texts += [edited(rng, text) for text in texts]
    whole = clusters(texts).tolist()
    monkeypatch.setattr(duplicates, "_CHUNK", 100)
    monkeypatch.setattr(duplicates, "_PAIRS", 7)
    assert clusters(texts).tolist() == whole == by_every_pair(texts, 0.8)


def test_an_alphabet_too_large_for_one_number_a_gram_is_compared_exactly() -> None:
    letters = [chr(code) for code in range(0x4E00, 0x4E00 + 18_000)]
    long = "".join(letters)
    close, far = long[:17_000] + long[:1_000], long[::-1]
    assert clusters([long, close, far, long + "!"]).tolist() == by_every_pair([long, close, far, long + "!"], 0.8)


def test_a_crowd_of_equal_texts_is_one_cluster() -> None:
    found = clusters(["good app", "Good App!"] * 20_000 + ["bad app"])
    assert found.tolist() == [0] * 40_000 + [1]


def test_a_crowd_of_near_texts_is_one_cluster() -> None:
    texts = [f"This long review of the application differs from others in its number, {n}" for n in range(1000)]
    assert set(clusters(texts).tolist()) == {0}


def test_a_crowd_of_texts_that_are_not_alike_takes_work_for_each_and_not_for_each_pair(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Order numbers in one sentence: every bucket is full, and no pair is similar enough."""
    compared = 0
    jaccard = duplicates._jaccard

    def counting(texts: list[str], left: np.ndarray, right: np.ndarray) -> np.ndarray:
        nonlocal compared
        compared += len(left)
        return jaccard(texts, left, right)

    monkeypatch.setattr(duplicates, "_jaccard", counting)
    rng = random.Random(1)
    texts = [f"My order number {rng.randrange(10**7, 10**8)} has not come" for _ in range(600)]
    assert len(set(clusters(texts).tolist())) > 560
    assert 0 < compared < 600 * 2 * 2 * 32, "two forms, each text with about 32 others"


def test_texts_without_words_are_equal_only_as_they_stand() -> None:
    assert clusters(["👍", "👎", "👍 ", "...", "!", "", "  "]).tolist() == [0, 1, 0, 2, 3, 4, 4]
    assert text_key("👍") == text_key(" 👍")


@given(st.text())
def test_the_key_of_a_text_is_its_letters_and_digits(text: str) -> None:
    letters = "".join(character for character in text.lower() if character.isalnum())
    assert normalised(text) == letters
    assert text_key(text) == (letters or " ".join(text.lower().split()))


@settings(max_examples=40)
@given(st.text(st.sampled_from("abc !"), max_size=12), st.text(st.sampled_from("abc !"), max_size=12))
def test_similarity_is_by_definition(left: str, right: str) -> None:
    assert similarity(left, right) == alike(left, right)
    assert (clusters([left, right])[1] == 0) == (similarity(left, right) >= 0.8)


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.1])
def test_a_threshold_outside_its_range_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="must lie above 0"):
        clusters(["a"], threshold)
