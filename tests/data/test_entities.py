"""Tags of every scheme are read as conlleval reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polarbert.data.entities import bio_labels, entity_spans, entity_types, has_prefix, read_tag, to_bio

TAGS = st.lists(st.sampled_from(["O", *(f"{kind}-{name}" for kind in "BIES" for name in ("PER", "LOC"))]), max_size=12)
ENTITIES = st.lists(st.tuples(st.sampled_from(["PER", "LOC"]), st.integers(1, 3), st.integers(0, 2)), max_size=5)


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O O", []),
        ("B-PER I-PER O B-LOC", [("PER", 0, 2), ("LOC", 3, 4)]),
        ("B-PER B-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("I-PER I-PER O I-LOC", [("PER", 0, 2), ("LOC", 3, 4)]),  # IOB1
        ("I-PER B-PER I-PER", [("PER", 0, 1), ("PER", 1, 3)]),  # IOB1: B- parts neighbours
        ("B-PER I-LOC I-LOC", [("PER", 0, 1), ("LOC", 1, 3)]),  # the type changes inside
        ("B-PER O I-PER", [("PER", 0, 1), ("PER", 2, 3)]),
        ("S-LOC B-PER I-PER E-PER", [("LOC", 0, 1), ("PER", 1, 4)]),  # BIOES
        ("B-PER E-PER E-PER", [("PER", 0, 2), ("PER", 2, 3)]),
        ("U-LOC B-PER L-PER O M-PER", [("LOC", 0, 1), ("PER", 1, 3), ("PER", 4, 5)]),  # BILOU, BMES
        ("PER PER LOC O", [("PER", 0, 2), ("LOC", 2, 3)]),  # types alone
        ("b-PER i-PER o", [("PER", 0, 2)]),
        ("O e-mail e-mail O u-turn", [("e-mail", 1, 3), ("u-turn", 4, 5)]),  # types alone, with a hyphen in their names
        ("B I O", [("entity", 0, 2)]),
        ("B-a-b I-a-b", [("a-b", 0, 2)]),
    ],
)
def test_entities_of_every_scheme(tags: str, spans: list[tuple[str, int, int]]) -> None:
    assert entity_spans(tags.split()) == spans
    assert entity_spans(to_bio(tags.split())) == spans


@given(TAGS)
def test_bio_says_the_same_and_is_possible(tags: list[str]) -> None:
    bio = to_bio(tags)
    assert entity_spans(bio) == entity_spans(tags)
    assert to_bio(bio) == bio
    for before, tag in zip(["O", *bio], bio, strict=False):
        assert tag[0] != "I" or before in (tag, f"B{tag[1:]}")
    assert [tag == "O" for tag in bio] == [tag == "O" for tag in tags]


@given(ENTITIES)
def test_what_is_written_as_bioes_comes_out_whole(entities: list[tuple[str, int, int]]) -> None:
    tags: list[str] = []
    expected = []
    for name, length, gap in entities:
        expected.append((name, len(tags), len(tags) + length))
        tags += [f"S-{name}"] if length == 1 else [f"B-{name}", *[f"I-{name}"] * (length - 2), f"E-{name}"]
        tags += ["O"] * gap
    assert entity_spans(tags) == expected


def test_labels_and_their_types() -> None:
    assert bio_labels(["b", "a", "b"]) == ["O", "B-a", "I-a", "B-b", "I-b"]
    assert entity_types(["O", "I-b", "B-a", "I-a"]) == ["b", "a"]
    assert read_tag("E-x") == ("E", "x")
    assert [has_prefix(tag) for tag in ("O", "B-x", "B", "NN", "Bx", "s-x")] == [True, True, True, False, False, False]
