"""Texts in two parts are found, exactly and nearly, whichever the parts are."""

from __future__ import annotations

from tests.split_fixtures import dataset, many, many_pairs, of_pairs, parts

from polarbert.data.duplicates import similarity, text_key
from polarbert.data.leaks import Leak, find_leaks
from polarbert.data.splits import given_splits, make_splits, random_splits


def test_rows_at_random_leak_and_the_leak_is_found() -> None:
    data = many(400)
    splits = random_splits(data)
    assert sorted(row for part in parts(splits) for row in part) == list(range(400))
    assert [len(part) for part in parts(splits)] == [320, 40, 40]
    leaks = find_leaks(data, splits)
    assert [(leak.part, leak.other) for leak in leaks] == [("dev", "train"), ("test", "train"), ("test", "dev")]
    for leak in leaks:
        there = [data.rows[row].text for row in splits.part(leak.other)]
        keys = {text_key(text) for text in there}
        here = [data.rows[row].text for row in splits.part(leak.part)]
        alike = [text for text in here if max(similarity(text, other) for other in there) >= 0.8]
        assert leak.exact == sum(text_key(text) in keys for text in here) > 0
        assert leak.exact + leak.near >= len(alike) >= leak.exact
        assert leak.total == 40


def test_examples_of_a_leak_are_rows_of_the_source() -> None:
    texts = [
        "A lamp that broke after one week of use",
        "It is fine",
        "Sent back at once, no money",
        "it is FINE!",
        "A lamp that broke after two weeks",
        "A lamp that broke after one week of usage",
        "Entirely new",
    ]
    data = dataset(texts, [0, 1, 0, 1, 0, 0, 1])
    splits = given_splits(data, ["train", "train", "dev", "test", "train", "test", "test"])
    dev, test, judged = find_leaks(data, splits)
    assert dev == Leak("dev", 0, 0, 1)
    assert test == Leak("test", 1, 1, 3, ((4, 2), (6, 1)))
    assert dev.message() == "dev: none of 1 texts stands in train"
    assert (
        "1 of 3 texts stand in train too, and 1 nearly so (row 4 is like row 2, row 6 is like row 1)" in test.message()
    )
    assert judged == Leak("test", 0, 0, 3, other="dev")
    assert judged.message() == "test: none of 3 texts stands in dev"


def test_what_chose_the_model_and_judges_it_is_found() -> None:
    texts = [
        "A lamp that broke after one week of use",
        "Fine",
        "fine!",
        "A lamp that broke after one week of usage",
        "New",
    ]
    data = dataset(texts, [0, 1, 1, 0, 1])
    leaks = find_leaks(data, given_splits(data, ["dev", "dev", "test", "test", "train"]))
    assert leaks[-1] == Leak("test", 1, 1, 2, ((3, 2), (4, 1)), "dev")
    assert leaks[-1].message() == (
        "test: 1 of 2 texts stand in dev too, and 1 nearly so (row 3 is like row 2, row 4 is like row 1); "
        "the model was chosen by them"
    )
    assert [(leak.exact, leak.near) for leak in leaks[:-1]] == [(0, 0), (0, 0)]


def test_pairs_that_share_one_of_their_texts_are_counted() -> None:
    pairs = [
        ("How do I pay by card?", "Is there a fee for cards?"),
        ("Where are my old notes?", "Can I search in notes?"),
        ("is there a fee for cards", "Who made this app?"),
        ("How do I pay by card", "Is there a fee for cards"),
        ("May my dog come in?", "Is the museum open today?"),
        ("How do I share a photo?", "where are my old notes"),
    ]
    data = of_pairs(pairs, [0, 1, 0, 1, 0, 1])
    leaks = find_leaks(data, given_splits(data, ["train", "train", "dev", "dev", "dev", "test"]))
    assert leaks[0] == Leak("dev", 1, 0, 3, ((4, 1), (3, 1)), shared=1, unit="pairs")
    assert leaks[0].message() == (
        "dev: 1 of 3 pairs stand in train too, and 1 share one of their texts with it (row 4 is like row 1, row 3 is "
        "like row 1); figures on them are too good"
    )
    assert leaks[1] == Leak("test", 0, 0, 1, ((6, 2),), shared=1, unit="pairs")
    assert leaks[2] == Leak("test", 0, 0, 1, other="dev", unit="pairs")


def test_rows_of_pairs_at_random_leak_and_parts_made_here_do_not() -> None:
    data = many_pairs(200)
    splits = random_splits(data)
    leaks = find_leaks(data, splits)
    for leak in leaks:
        there, here = (
            [{text_key(data.rows[row].text), text_key(data.rows[row].pair or "")} for row in splits.part(part)]
            for part in (leak.other, leak.part)
        )
        assert leak.exact + leak.near + leak.shared == sum(any(one & two for two in there) for one in here)
    assert leaks[0].shared > 0
    assert all(leak.exact + leak.near + leak.shared == 0 for leak in find_leaks(data, make_splits(data)))


def test_a_part_without_rows_leaks_nothing() -> None:
    data = many(60)
    splits = random_splits(data, (0.8, 0.0, 0.2))
    assert [(leak.part, leak.other) for leak in find_leaks(data, splits)] == [("test", "train")]


def test_splits_made_without_leaks_have_none() -> None:
    data = many(300)
    assert [(leak.exact, leak.near) for leak in find_leaks(data, make_splits(data))] == [(0, 0)] * 3
    assert [leak.part for leak in find_leaks(data, make_splits(data, (0.9, 0.1, 0.0)))] == ["dev"]
