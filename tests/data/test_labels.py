"""What the labels of a file are taken for, and what people are told of it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polarbert.data.labels import SENTIMENTS, LabelMap
from polarbert.errors import DataError, UsageError

WORDS = st.sampled_from(["negative", "Neutral", " POSITIVE ", "neg", "Neu", "pos\n", "NEG"])
STARS = st.sampled_from(["1", "2", "3", "4", "5", "1.0", "4.0", " 5 ", "3."])


def meaning(raw: list[str], task: str | None = None) -> dict[str, str]:
    """The class of each label."""
    found = LabelMap.infer(raw, task)
    return {label: found.labels[found.number(label)] for label in raw}


@given(st.lists(WORDS, min_size=1))
def test_words_of_sentiment_are_known_in_any_case(extra: list[str]) -> None:
    found = LabelMap.infer(["negative", "neutral", "positive", *extra])
    assert (found.task, found.labels) == ("sentiment", SENTIMENTS)
    for raw in extra:
        assert SENTIMENTS[found.number(raw)][:3] == raw.strip().lower()[:3]


@given(st.lists(STARS, min_size=1))
def test_stars_are_sentiment(extra: list[str]) -> None:
    found = LabelMap.infer(["1", "3", "5", *extra])
    assert (found.task, found.labels) == ("sentiment", SENTIMENTS)
    for raw in extra:
        assert SENTIMENTS[found.number(raw)] == {1: "negative", 2: "negative", 3: "neutral"}.get(
            int(float(raw)), "positive"
        )
    assert any("1 and 2 are taken as negative" in note for note in found.notes)


@pytest.mark.parametrize("raw", [["1", "2"], ["1", "2", "3"], ["1", "2", "3", "4", "4.0"]])
def test_numbers_that_may_be_codes_of_classes_are_no_stars(raw: list[str]) -> None:
    found = LabelMap.infer(raw)
    assert (found.task, found.labels) == ("classification", sorted(set(raw)))
    assert any("the task sentiment" in note for note in found.notes)
    assert LabelMap.infer(raw, "sentiment").labels == SENTIMENTS


@pytest.mark.parametrize(
    "raw", [["0", "1"], ["1", "5", "10"], ["4.5", "1", "5"], ["-1", "1"], ["12", "5"], ["1", "ok"]]
)
def test_other_numbers_are_no_stars(raw: list[str]) -> None:
    found = LabelMap.infer(raw)
    assert found.task == "classification"
    assert set(found.labels) == set(raw)


@pytest.mark.parametrize(
    ("raw", "labels"),
    [
        (["neg", "pos"], ["negative", "positive"]),
        (["1", "4"], ["negative", "positive"]),
        (["3", "5", "4"], ["neutral", "positive"]),
    ],
)
def test_two_classes_of_sentiment_make_a_classifier_of_two(raw: list[str], labels: list[str]) -> None:
    found = LabelMap.infer(raw)
    assert (found.task, found.labels) == ("classification", labels)
    assert any("a classifier of" in note and "the task sentiment" in note for note in found.notes)


def test_who_asks_for_sentiment_gets_all_three_classes() -> None:
    found = LabelMap.infer(["neg", "pos"], "sentiment")
    assert (found.task, found.labels) == ("sentiment", SENTIMENTS)
    assert found.notes == ("no row is neutral: the model will not learn it",)


def test_asked_for_sentiment_words_and_stars_may_mix() -> None:
    assert meaning(["very negative", "3", "Very Pos", "5"], "sentiment") == {
        "very negative": "negative",
        "3": "neutral",
        "Very Pos": "positive",
        "5": "positive",
    }


def test_labels_that_are_no_sentiment_are_named() -> None:
    with pytest.raises(DataError, match=r"'refund' 2 times, 'bug' once.*the task classification"):
        LabelMap.infer(["bug", "positive", "refund", "refund"], "sentiment")


def test_classification_takes_stars_as_names() -> None:
    found = LabelMap.infer(["5", "1", "3", "2", "10"], "classification")
    assert found.labels == ["1", "2", "3", "5", "10"]
    assert [found.number(raw) for raw in ("1", "10")] == [0, 4]


def test_other_labels_are_classes_in_order_of_their_names() -> None:
    found = LabelMap.infer(["praise", "bug", "idea", "bug"])
    assert (found.task, found.labels, found.notes) == ("classification", ["bug", "idea", "praise"], ())


def test_labels_that_differ_by_case_or_blanks_are_one() -> None:
    raw = ["Bug", "bug", "bug", " bug ", "BUG", "idea"]
    found = LabelMap.infer(raw)
    assert found.labels == ["bug", "idea"]
    assert [found.number(label) for label in raw] == [0, 0, 0, 0, 0, 1]
    (note,) = found.notes
    assert "one label, 'bug': 'bug' 2 times, ' bug ' once, 'BUG' once, 'Bug' once" in note


def test_the_most_frequent_spelling_is_the_name_whatever_the_order() -> None:
    raw = ["Café", "CAFÉ", "Café", "tea", "cafe\N{COMBINING ACUTE ACCENT}"]
    for labels in (raw, raw[::-1]):
        assert LabelMap.infer(labels).labels == ["Café", "tea"]


def test_merged_spellings_of_sentiment_are_told_too() -> None:
    notes = LabelMap.infer(["Positive", "positive", "negative", "neutral"]).notes
    assert any("'Positive' once" in note for note in notes)


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=4).filter(str.strip)


@given(st.lists(NAMES, min_size=1, max_size=12))
def test_every_label_gets_a_class_and_every_class_has_a_label(raw: list[str]) -> None:
    found = LabelMap.infer(raw, "classification")
    numbers = Counter(found.number(label) for label in raw)
    assert sorted(numbers) == list(range(len(found.labels)))
    assert {found.labels[found.number(label)].casefold() for label in raw} == {x.casefold() for x in found.labels}
    assert len({label.strip().casefold() for label in found.labels}) == len(found.labels)


def test_blank_labels_count_for_nothing() -> None:
    assert LabelMap.infer(["", "  ", "b", "a"]).labels == ["a", "b"]
    with pytest.raises(DataError, match="there is no label"):
        LabelMap.infer(["", "  "])


def test_a_map_is_taken_as_given() -> None:
    found = LabelMap.explicit({"good": "praise", "bad": "complaint", "awful": "complaint "})
    assert (found.task, found.labels) == ("classification", ["complaint", "praise"])
    assert [found.number(raw) for raw in ("good", " Bad", "awful")] == [1, 0, 0]


def test_a_map_onto_the_three_classes_is_sentiment() -> None:
    found = LabelMap.explicit({"+": "positive", "0": "neutral", "-": "negative"})
    assert (found.task, found.labels) == ("sentiment", SENTIMENTS)
    assert LabelMap.explicit({"+": "positive", "-": "negative"}).task == "classification"


def test_a_map_with_a_blank_name_is_refused() -> None:
    with pytest.raises(DataError, match="'bad' a blank name"):
        LabelMap.explicit({"bad": " ", "good": "praise"})


def test_a_label_that_a_map_does_not_know_is_named_with_the_nearest() -> None:
    found = LabelMap.explicit({"complaint": "bad", "praise": "good"})
    assert not found.knows("complant")
    with pytest.raises(DataError, match=r"'complant'\. Did you mean 'complaint'\?"):
        found.number("complant")


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(UsageError, match="'regression'; it can be sentiment or classification"):
        LabelMap.infer(["a"], "regression")


@pytest.mark.parametrize("blank", ["nan", "NaN", "NULL", "None", "N/A", "#N/A", "<NA>"])
def test_what_other_programs_write_for_an_empty_cell_is_told(blank: str) -> None:
    found = LabelMap.infer(["positive", "negative", "neutral", blank, blank])
    assert blank in found.labels
    assert any(note.startswith(f"taken as a class: {blank!r} 2 times") for note in found.notes)
    assert not any("taken as a class" in note for note in LabelMap.infer(["none of these", "all"]).notes)
