"""Raw text in, entities out: where they are, how sure they are, and that no length of text is too much."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.tagging_fixtures import OVERLAP, TAGS, WINDOW, stand_in_tagger, tagged_rows

from polarbert.bundle import Bundle
from polarbert.calibration import Calibration
from polarbert.data.tagged import TaggedText
from polarbert.errors import BundleError, UsageError
from polarbert.inference.tagger import Tagger, decode
from polarbert.inference.tagging_columns import TaggingColumns
from polarbert.text import cut_windows
from polarbert.text.words import split_words

pytest_plugins = ["tests.tagging_fixtures"]


def found_in(tagger: Tagger, text: str) -> list[tuple[str, str, int]]:
    return [(entity.type, entity.text, entity.start) for entity in tagger.predict([text])[0].entities]


def test_entities_and_where_they_are(tagger: Tagger) -> None:
    text = "My phone version, the new hotel...and this APP!"
    assert found_in(tagger, text) == [
        ("product", "phone version", 3),
        ("place", "new hotel", 22),
        ("product", "APP", 43),
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.lists(st.text(max_size=40) | st.sampled_from(["new hotel", "phone version", " ", "app😀", "\x00"]), max_size=8)
)
def test_an_entity_is_always_a_stretch_of_its_text(tagger: Tagger, parts: list[str]) -> None:
    text = "".join(parts)
    answer = tagger.predict([text])[0]
    behind = 0
    for entity in answer.entities:
        assert behind <= entity.start < entity.end <= len(text)
        assert text[entity.start : entity.end] == entity.text
        assert entity.text == entity.text.strip()
        assert 0 < entity.confidence <= 1
        behind = entity.end
    assert len(answer.words) == len(answer.tags)
    assert [text[start:end] for start, end in answer.words] == [text[start:end] for start, end in split_words(text)]


def test_a_text_of_any_length_is_tagged_whole(tagger: Tagger) -> None:
    rows = [row for row in tagged_rows(60, 5) if isinstance(row, TaggedText)]
    text = " and ".join(row.text for row in rows)
    expected = sum(TAGS[tag][0] == "B" for row in rows for tag in row.tags)
    answer = tagger.predict([text])[0]
    assert answer.n_tokens > 3 * WINDOW
    assert answer.n_windows == len(cut_windows(answer.n_tokens, WINDOW - 2, OVERLAP))
    assert len(answer.entities) == pytest.approx(expected, abs=0.03 * expected)
    assert answer.entities[-1].end > len(text) - 60


def test_each_word_is_decided_where_it_has_most_context(tagger_bundle: Bundle) -> None:
    """The stand-in's logit of O is minus the distance to the nearer end of the window."""
    made, engine = stand_in_tagger(tagger_bundle)
    count = 150
    chances = made.distributions([("bad " * count, None)])[0]
    assert chances.shape == (count, len(TAGS))
    parts = cut_windows(count, WINDOW - 2, OVERLAP)
    assert sum(len(batch) for batch in engine.batches) == len(parts) > 2
    for word in range(count):
        context = {
            (start, end): min(word - start if start else count, end - 1 - word if end < count else count)
            for start, end in parts
            if start <= word < end
        }
        start, end = max(context, key=lambda part: context[part])
        edge = 1 + min(word - start, end - 1 - word)
        expected = np.exp(-edge) / (np.exp(-edge) + len(TAGS) - 1)
        assert chances[word, 0] == pytest.approx(expected, rel=1e-5)


def test_words_can_be_given(tagger: Tagger) -> None:
    text = "new hotel"
    whole, parted, blind = tagger.answer([(text, ((0, 9),)), (text, ((0, 3), (4, 9))), (text, ())])
    assert [len(answer.tags) for answer in (whole, parted, blind)] == [1, 2, 0]
    assert [entity.text for entity in parted.entities] == ["new hotel"]
    assert blind.entities == []
    assert tagger.distributions([(text, ((0, 9),)), (text, ())])[1].shape == (0, len(TAGS))


@pytest.mark.parametrize("words", [((0, 4), (3, 9)), ((0, 0),), ((0, 10),), ((4, 9), (0, 3)), ((-1, 3),)])
def test_words_that_are_none_of_the_text_are_refused(tagger: Tagger, words: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(UsageError, match=r"words are \(start, end\) in characters, in order and apart"):
        tagger.answer([("new hotel", words)])


def test_a_word_without_a_piece_is_no_entity_whatever_the_network_says(tagger_bundle: Bundle) -> None:
    made, _ = stand_in_tagger(tagger_bundle, ["B-x", "O"])
    made.engine = type(
        "Eager", (), {"threads": 1, "name": "eager", "logits": lambda *_: np.full((1, 4, 2), [5.0, 0.0], np.float32)}
    )()
    answer = made.predict(["bad \x00\x01 bad"])[0]
    assert answer.tags == ("B-x", "O", "B-x")
    assert made.distributions([("bad \x00\x01 bad", None)])[0][1].tolist() == [0.0, 1.0]


def test_texts_without_words_have_no_entities(tagger: Tagger) -> None:
    for answer in tagger.predict(["", "  \n", "\x00"]):
        assert (answer.entities, answer.n_tokens, answer.n_windows) == ([], 0, 1)


def test_answers_come_in_order_and_repeats_are_computed_once(tagger_bundle: Bundle, tagger: Tagger) -> None:
    texts = ["my app", "new hotel", "my app", "", "my app"]
    answers = tagger.predict(texts)
    assert answers == [tagger.predict([text])[0] for text in texts]
    made, engine = stand_in_tagger(tagger_bundle)
    made.predict(texts)
    assert sum(len(batch) for batch in engine.batches) == 3


def test_what_is_no_list_of_texts_is_refused(tagger: Tagger) -> None:
    with pytest.raises(UsageError, match=r"for one text write predict\(\[text\]\)"):
        tagger.predict("my app")
    with pytest.raises(UsageError, match=r"texts\[1\] is int, not a text"):
        tagger.predict(["my app", 3])  # type: ignore[list-item]


def test_confidence_is_that_of_the_least_sure_word_and_decides_what_is_unsure(tagger_bundle: Bundle) -> None:
    text = "the phone version"
    sure, unsure = (Tagger(tagger_bundle, threads=1, min_confidence=at) for at in (0.0, 1.0))
    chances = sure.distributions([(text, None)])[0]
    entity = sure.predict([text])[0].entities[0]
    assert entity.confidence == pytest.approx(chances[1:].max(axis=1).min(), abs=1e-6)
    assert not entity.unsure
    assert unsure.predict([text])[0].entities == [replace(entity, unsure=True)]


def test_the_temperature_flattens_what_the_network_says(tagger_bundle: Bundle) -> None:
    asked = [("the new hotel broke", None)]
    plain, warm = (
        Tagger(replace(tagger_bundle, calibration=Calibration(at)), threads=1).distributions(asked)[0]
        for at in (1.0, 3.0)
    )
    logs = np.log(plain) / 3
    np.testing.assert_allclose(warm, np.exp(logs) / np.exp(logs).sum(1, keepdims=True), rtol=1e-5)


def test_an_answer_is_json_without_words_and_tags(tagger: Tagger) -> None:
    answer = tagger.predict(["my app version from \u20ac"])[0]
    told: dict[str, Any] = json.loads(json.dumps(answer.to_dict()))
    assert list(told) == ["entities", "n_tokens", "n_windows", "n_unknown"]
    assert list(told["entities"][0]) == ["type", "text", "start", "end", "confidence", "unsure"]
    assert (told["entities"][0]["type"], told["entities"][0]["text"]) == ("product", "app version")
    assert told["n_windows"] == 1


def test_labels_of_other_schemes_are_read_as_bio() -> None:
    chances = np.eye(4)[[1, 1, 0, 3, 2, 1]]
    tags, found = decode(["O", "I-PER", "B-PER", "E-LOC"], chances)
    assert tags == ["B-PER", "I-PER", "O", "B-LOC", "B-PER", "I-PER"]
    assert [entity for entity, _ in found] == [("PER", 0, 2), ("LOC", 3, 4), ("PER", 4, 6)]


def test_a_bundle_without_the_label_o_is_no_tagger(tagger_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="no label is 'O'"):
        Tagger(replace(tagger_bundle, labels=["a", "b", "c", "d", "e"]), threads=1)


def test_the_columns_of_a_scored_file_hold_the_entities(tagger: Tagger) -> None:
    columns = TaggingColumns(TAGS, "m_")
    answer = tagger.predict(["my app and a new hotel"])[0]
    written = columns.values(tuple(columns.cells_of(answer)))
    assert list(written) == ["m_entities", "m_n_entities", "m_unsure", "m_n_tokens", "m_n_windows", "m_error"]
    assert written["m_entities"] == answer.to_dict()["entities"]
    cells = columns.read(
        {
            name: "" if value is None else str(value).lower() if value in (True, False) else json.dumps(value)
            for name, value in written.items()
        }
    )
    assert cells == tuple(columns.cells_of(answer))
    assert sorted(columns.tally(cells)) == ["entity:place", "entity:product"]
