"""A tagger's entities against the truth: figures, intervals, and what people are told."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from tests.tagging_fixtures import TAGS, tagged_dataset

from polarbert.data.dataset import Dataset, LabelledText
from polarbert.data.entities import entity_spans
from polarbert.data.tagged import TaggedText, tagged_text
from polarbert.errors import DataError, UsageError
from polarbert.inference.tagged_rows import align_types
from polarbert.inference.tagger import Entity, Tagger, Tagging
from polarbert.inference.tagging_evaluation import TaggingEvaluation, evaluate_tagging, judge_taggings

pytest_plugins = ["tests.tagging_fixtures"]

LABELS = ["O", "B-place", "I-place", "B-product", "I-product"]


def dataset_of(*tags: str, labels: list[str] | None = None) -> Dataset:
    """Texts of the words w0, w1, ... with these tags."""
    labels = labels or LABELS
    rows: list[LabelledText] = [
        tagged_text([f"w{n}" for n in range(len(text.split()))], [labels.index(tag) for tag in text.split()], row)
        for row, text in enumerate(tags, start=1)
    ]
    return Dataset("made.conll", rows, labels, "tagging")


def answered(dataset: Dataset, *tags: str, confidence: float = 0.9) -> list[Tagging]:
    """Answers with these tags."""
    answers = []
    for row, text in zip(dataset.rows, tags, strict=True):
        assert isinstance(row, TaggedText)
        entities = []
        for name, first, behind in entity_spans(text.split()):
            start, end = row.words[first][0], row.words[behind - 1][1]
            entities.append(Entity(name, row.text[start:end], start, end, confidence, False))
        answers.append(Tagging(entities, len(row.words), 1, 0, row.words, tuple(text.split())))
    return answers


def judged(truth: list[str], found: list[str], confidence: float = 0.9) -> TaggingEvaluation:
    dataset = dataset_of(*truth)
    return judge_taggings(dataset, answered(dataset, *found, confidence=confidence), 0.5, seconds=2.0)


TRUTH = ["B-product I-product O B-place", "B-place I-place O", "O B-place B-place"]
FOUND = ["B-product I-product O B-product", "B-place O O", "B-product B-place B-place"]


def test_figures_worked_out_by_hand() -> None:
    evaluation = judged(TRUTH, FOUND)
    assert (evaluation.n, evaluation.words, evaluation.entities) == (3, 10, 5)
    assert evaluation.precision.value == pytest.approx(3 / 6)
    assert evaluation.recall.value == pytest.approx(3 / 5)
    assert evaluation.f1.value == pytest.approx(6 / 11)
    assert evaluation.word_accuracy.value == pytest.approx(7 / 10)
    place, product = evaluation.types
    assert (place.label, place.support, place.answered) == ("place", 4, 3)
    assert place.precision == pytest.approx(2 / 3)
    assert (product.label, product.recall) == ("product", 1.0)
    assert place.f1 is not None
    assert place.f1.value == pytest.approx(4 / 7)
    assert evaluation.f1.low < evaluation.f1.value < evaluation.f1.high
    assert list(evaluation.headline()) == ["entity F1", "precision", "recall"]


def test_wrong_entities_are_shown_with_what_is_true_of_their_words() -> None:
    errors = judged(TRUTH, FOUND).errors
    assert [(e.row, e.answer, e.entity, e.truth) for e in errors] == [
        (1, "product", "w3", "place w3"),
        (2, "place", "w0", "place w0 w1"),
        (3, "product", "w0", "not an entity"),
    ]
    assert errors[0].text == "w0 w1 w2 w3"


def test_texts_of_very_many_entities_are_judged_in_time() -> None:
    """Some 0.1 s; were all true entities gone through for each that is found, a minute."""
    started = time.process_time()
    figures = judged(["B-product B-place " * 4000], ["B-product B-product " * 4000])
    assert time.process_time() - started < 10
    assert figures.precision.value == 0.5


def test_sure_entities_are_those_above_the_threshold() -> None:
    for confidence, share in ((0.9, 1.0), (0.4, 0.0)):
        sure = judged(TRUTH, FOUND, confidence).sure
        assert sure is not None
        assert sure.share == share
        assert (sure.accuracy is None) == (share == 0)
    evaluation = judged(TRUTH, FOUND)
    assert evaluation.sure is not None
    assert evaluation.sure.accuracy is not None
    assert evaluation.sure.accuracy.value == 0.5


def test_where_nothing_is_found_or_there_the_figures_are_0_and_said() -> None:
    nothing_found = judged(["B-place O"], ["O O"])
    assert (nothing_found.f1.value, nothing_found.precision.value, nothing_found.calibration) == (0.0, 0.0, None)
    assert "entity F1" in nothing_found.text()
    nothing_there = judged(["O O"], ["B-place O"])
    assert (nothing_there.f1.value, nothing_there.recall.value) == (0.0, 0.0)
    assert any("no text has an entity" in note for note in nothing_there.notes)
    json.dumps(nothing_there.to_dict(), allow_nan=False)
    with pytest.raises(DataError, match="no tagged text to judge by"):
        judge_taggings(replace(dataset_of("O"), rows=[]), [], 0.5)


def test_json_and_lines_hold_the_figures() -> None:
    evaluation = judged(TRUTH, FOUND)
    told = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert told["f1"]["value"] == pytest.approx(6 / 11, abs=1e-6)
    assert told["types"][0]["label"] == "place"
    lines = evaluation.text(width=100).splitlines()
    assert lines[0] == "made.conll: 3 texts judged"
    assert any(line.startswith("entity F1") and "0.545" in line and "5 entities in 10 words" in line for line in lines)
    assert any(line.startswith("row 1") and "product w3" in line and "place w3" in line for line in lines)
    assert max(map(len, lines)) <= 100
    assert max(map(len, evaluation.text(width=40).splitlines())) <= 40


def test_a_model_is_judged_in_the_words_of_the_data(tagger: Tagger) -> None:
    dataset = tagged_dataset(150, 9)
    seen: list[tuple[int, int]] = []
    evaluation = evaluate_tagging(tagger, dataset, progress=lambda done, every: seen.append((done, every)))
    assert evaluation.f1.value > 0.95
    assert evaluation.word_accuracy.value > 0.97
    assert seen[-1] == (150, 150)
    assert evaluation.seconds is not None
    assert {"model", "engine", "polarbert"} <= set(evaluation.about)
    with pytest.raises(UsageError, match="ask with asked_words"):
        judge_taggings(dataset, tagger.predict(["my app"] * 150), 0.5)


def test_types_are_matched_by_name_or_by_what_they_are_said_to_be() -> None:
    labels = ["O", "B-PLACE", "I-PLACE", "B-firm", "I-firm"]
    dataset = dataset_of("B-PLACE I-PLACE O B-firm I-firm", labels=labels)
    with pytest.raises(
        UsageError, match=r"does not know the type 'firm'; it knows place, product\. .*--labels firm=TYPE"
    ):
        align_types(dataset, TAGS)
    with pytest.raises(UsageError, match="no entity is of the type 'town'"):
        align_types(dataset, TAGS, {"town": "place"})
    renamed = align_types(dataset, TAGS, {"firm": "product"})
    assert [renamed.labels[tag] for tag in renamed.rows[0].tags] == [  # type: ignore[attr-defined]
        "B-place",
        "I-place",
        "O",
        "B-product",
        "I-product",
    ]
    assert renamed.notes == ("types taken: 'PLACE' as 'place', 'firm' as 'product'",)
    without = align_types(dataset, TAGS, {"Firm": " "})
    assert [without.labels[tag] for tag in without.rows[0].tags] == ["B-place", "I-place", "O", "O", "O"]  # type: ignore[attr-defined]
    assert align_types(renamed, TAGS) is renamed
