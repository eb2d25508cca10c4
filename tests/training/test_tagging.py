"""The tagging task: what is learned, where, and by what the best model is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.tagging_fixtures import SETTINGS, TAGS, WINDOW, tagged_dataset, tagged_rows
from tests.training_fixtures import loss_of

from polarbert.bundle import Bundle
from polarbert.calibration import Calibration
from polarbert.data.dataset import LabelledText
from polarbert.data.entities import entity_spans
from polarbert.data.tagged import TaggedText, tagged_text
from polarbert.errors import TrainingError
from polarbert.inference.tagger import Tagger
from polarbert.inference.tagging_evaluation import evaluate_tagging
from polarbert.model import BertConfig, BertForTokenClassification
from polarbert.model.engine import TorchEngine
from polarbert.text import WordPieceTokenizer
from polarbert.training.base import Base
from polarbert.training.masking import Masking
from polarbert.training.recipe import FineTuneSettings
from polarbert.training.tagging import TaggedExample, TaggingKind, TaggingTask, encode_tagged, fit_tagger

pytest_plugins = ["tests.tagging_fixtures"]


def examples_of(
    rows: Sequence[LabelledText], tokenizer: WordPieceTokenizer, limit: int = WINDOW
) -> list[TaggedExample]:
    found: list[TaggedExample] = encode_tagged(rows, tokenizer, limit).examples
    return found


@pytest.fixture
def task(tokenizer: WordPieceTokenizer) -> TaggingTask:
    train, dev = (examples_of(tagged_rows(40, seed), tokenizer) for seed in (1, 2))
    return TaggingTask(train, {"dev": dev}, TAGS, tokenizer, SETTINGS)


@pytest.fixture
def model(vocab: list[str]) -> BertForTokenClassification:
    torch.manual_seed(3)
    config = BertConfig.tiny(
        vocab_size=len(vocab), hidden_size=32, intermediate_size=64, max_position_embeddings=WINDOW
    )
    return BertForTokenClassification(config, TAGS).eval()


def test_the_first_piece_of_each_word_carries_its_tag(tokenizer: WordPieceTokenizer) -> None:
    row = tagged_text(["my", "phones", "\x07", "(7)", "works"], [0, 3, 0, 4, 0], 1)
    (example,) = examples_of([row], tokenizer)
    pieces = [tokenizer.backend.id_to_token(int(number)) for number in example.ids]
    assert pieces[0] == "[CLS]"
    assert pieces[-1] == "[SEP]"
    assert [pieces[place] for place in example.positions] == ["my", "phone", "(", "works"]
    assert example.labels.tolist() == [0, 3, 4, 0]
    assert example.words == (0, 1, 3, 4)
    assert example.tags == (0, 3, 0, 4, 0)


def test_each_word_of_a_long_text_is_learned_once(tokenizer: WordPieceTokenizer) -> None:
    rows = tagged_rows(40, 7)
    words = [row.text[start:end] for row in rows if isinstance(row, TaggedText) for start, end in row.words]
    tags = [tag for row in rows if isinstance(row, TaggedText) for tag in row.tags]
    long = tagged_text(words, tags, 1)
    encoded = encode_tagged([long, rows[0]], tokenizer, WINDOW)
    windows: list[TaggedExample] = [example for example in encoded.examples if example.text == 0]
    assert len(windows) > 3
    assert encoded.cut == 1
    assert encoded.pieces == sum(len(example.ids) for example in encoded.examples)
    assert max(len(example.ids) for example in windows) <= WINDOW
    assert sorted(word for example in windows for word in example.words) == list(range(len(words)))
    assert sorted((w, t) for e in windows for w, t in zip(e.words, e.labels.tolist(), strict=True)) == list(
        enumerate(tags)
    )
    # Neighbours overlap, so no word is learned at the very edge of a window that the text goes on behind.
    assert all(example.positions[0] > 5 for example in windows[1:])
    assert all(example.positions[-1] < len(example.ids) - 6 for example in windows[:-1])


def test_the_loss_is_the_mean_over_words(task: TaggingTask, model: BertForTokenClassification) -> None:
    losses = []
    for example in task.train[:3]:
        logits = model(torch.tensor(example.ids)[None]).logits[0].log_softmax(-1)
        losses += [-logits[place, tag] for place, tag in zip(example.positions, example.labels, strict=True)]
    loss, pieces = loss_of(task, model, [0, 1, 2])
    torch.testing.assert_close(loss, torch.stack(losses).mean(), atol=1e-5, rtol=0)
    assert pieces == sum(len(example.ids) for example in task.train[:3])


def test_the_score_is_that_of_the_tagger(task: TaggingTask, model: BertForTokenClassification, tmp_path: Path) -> None:
    """Long texts too: the loop judges by the same answers as the bundle gives."""
    dataset = tagged_dataset(12, 4)
    rows = [row for row in dataset.rows if isinstance(row, TaggedText)]
    words = [row.text[start:end] for row in rows for start, end in row.words]
    dataset.rows.append(tagged_text([*words, "\x07"], [*(tag for row in rows for tag in row.tags), 3], 13))
    with torch.no_grad():
        model.classifier.weight.mul_(30)  # so that all kinds of tags are answered
    task = replace(task, dev={"dev": examples_of(dataset.rows, task.tokenizer)})
    figures = task.evaluate(model)
    task.save(model, str(tmp_path))
    (tmp_path / "model.onnx").write_bytes(b"")
    Bundle(tmp_path, "tagging", TAGS, "model.onnx", "float32", window=WINDOW, overlap=30).write()
    loaded = BertForTokenClassification.from_pretrained(tmp_path)
    evaluation = evaluate_tagging(Tagger(Bundle.open(tmp_path), engine=TorchEngine(loaded)), dataset)
    assert evaluation.entities > 20
    assert evaluation.f1.value > 0
    assert figures["score"] == figures["dev_entity_f1"] == pytest.approx(evaluation.f1.value)
    assert figures["dev_precision"] == pytest.approx(evaluation.precision.value)
    assert figures["dev_recall"] == pytest.approx(evaluation.recall.value)
    assert figures["dev_word_accuracy"] == pytest.approx(evaluation.word_accuracy.value)


def test_examples_without_a_word_are_not_learned_from_and_still_judged(
    task: TaggingTask, model: BertForTokenClassification
) -> None:
    blank = examples_of([tagged_text(["\x07"], [3], 1)], task.tokenizer)
    assert len(blank) == 1
    assert len(replace(task, train=[*task.train, *blank]).train) == len(task.train)
    figures = replace(task, dev={"dev": blank}).evaluate(model)
    assert (figures["dev_word_accuracy"], figures["score"]) == (0.0, 0.0)
    with pytest.raises(TrainingError, match="nothing to learn from"):
        replace(task, train=blank)


def test_tags_must_be_labels_and_there_must_be_something_to_judge_by(task: TaggingTask) -> None:
    with pytest.raises(TrainingError, match="the tag 4; there are 4 labels"):
        replace(task, labels=TAGS[:4])
    nothing: list[dict[str, list[TaggedExample]]] = [{}, {"dev": []}]
    for dev in nothing:
        with pytest.raises(TrainingError, match="nothing to judge by"):
            replace(task, dev=dev)


def test_the_fingerprint_follows_whatever_is_learned_or_judged_by(task: TaggingTask) -> None:
    first, *rest = task.train
    other = replace(first, tags=(*first.tags[:-1], (first.tags[-1] + 1) % 5))
    changed = [
        replace(task, train=rest),
        replace(task, train=[replace(first, ids=first.ids[::-1].copy()), *rest]),
        replace(task, train=[other, *rest]),
        replace(task, dev={"other": task.dev["dev"]}),
        replace(task, dev={"dev": task.dev["dev"][1:]}),
        replace(task, labels=[*TAGS[:4], "I-thing"]),
    ]
    prints = {one.fingerprint() for one in (task, *changed)}
    assert len(prints) == 1 + len(changed)
    assert replace(task).fingerprint() == task.fingerprint()


def test_the_plan_is_of_all_examples_and_another_in_each_pass(task: TaggingTask) -> None:
    plans = [task.batches_in_epoch(epoch) for epoch in (0, 1, 0)]
    assert sorted(number for batch in plans[0] for number in batch) == list(range(len(task.train)))
    assert plans[0] == plans[2] != plans[1]


def test_pieces_can_be_hidden_beside_it(task: TaggingTask, model: BertForTokenClassification) -> None:
    """A masked-LM loss on the same texts needs ids, mask and segments of the batch."""
    from polarbert.model.masked_lm import MaskedLmHead
    from polarbert.training.auxiliary import AuxiliaryLmTask
    from polarbert.training.helped import Helped

    helped = Helped(model, {"masked_lm": MaskedLmHead(model.config)})
    auxiliary = AuxiliaryLmTask(task, Masking.from_tokenizer(task.tokenizer), 0.5, seed=1)
    loss, _ = loss_of(auxiliary, helped, [0, 1, 2])
    own, _ = loss_of(task, model, [0, 1, 2])
    assert float(loss.detach()) > float(own.detach())


def test_the_kind_brings_rows_to_model_and_predictor(
    tmp_path: Path, trained_tagger_dir: Path, tagger_bundle: Bundle
) -> None:
    dataset = tagged_dataset(30, 11)
    base = Base.open(trained_tagger_dir)
    kind = TaggingKind(dataset, base, FineTuneSettings())
    encoded = kind.encode(dataset.rows)
    assert max(len(example.ids) for example in encoded.examples) <= WINDOW
    task = kind.task(encoded, encoded, SETTINGS)
    figures = task.evaluate(BertForTokenClassification.from_pretrained(trained_tagger_dir))
    assert list(kind.shown(figures)) == ["entity F1", "precision", "recall"]
    assert kind.shown(figures)["entity F1"] == figures["score"] > 0.9

    plain = Tagger(replace(tagger_bundle, calibration=Calibration()), threads=1)
    asked, truth = kind.asked(dataset.rows), kind.truth(dataset.rows)
    chances = plain.distributions(asked)
    assert [len(one) for one in chances] == [len(one) for one in truth]
    fitted = kind.fit(plain, dataset.rows, 0.9)
    evaluation = kind.judge(dataset, plain.answer(asked), plain, 1.0)
    assert evaluation.f1.value == pytest.approx(figures["score"], abs=0.02)
    assert fitted.temperature > 0
    assert len(plain.distributions(kind.own_inputs()[:2])) == 2


def test_the_threshold_lifts_the_precision_of_entities_to_the_target() -> None:
    random = np.random.default_rng(1)
    labels = ["O", "B-x", "I-x"]
    truth, chances = [], []
    for _ in range(400):
        tags = random.integers(0, 2, 6)
        logits = random.normal(0, 1, (6, 3)) + 2.0 * np.eye(3)[tags]
        logits[:, 2] = -9
        truth.append(tags.tolist())
        chances.append(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))
    fitted = fit_tagger(labels, chances, truth, 0.97)
    assert 0.5 < fitted.unsure_below < 1
    right = total = 0
    for one, tags in zip(chances, truth, strict=True):
        warm = one ** (1 / fitted.temperature)
        warm /= warm.sum(1, keepdims=True)
        true = set(entity_spans(labels[tag] for tag in tags))
        for word, number in enumerate(one.argmax(1)):
            if number == 1 and warm[word, 1] >= fitted.unsure_below:
                total += 1
                right += ("x", word, word + 1) in true
    assert right / total == pytest.approx(0.97, abs=0.01)
    assert fit_tagger(labels, chances, truth, 0.5).unsure_below == 0.0


@pytest.mark.parametrize(
    ("chances", "tags"),
    [
        ([], []),
        ([np.empty((0, 3))], [[]]),
        ([np.array([[0.9, 0.1, 0.0]])], [[0]]),
        ([np.array([[0.9, 0.1, 0.0]])], [[1]]),
    ],
)
def test_where_no_entity_is_found_each_one_found_later_is_unsure(
    chances: list[NDArray[np.float64]], tags: list[list[int]]
) -> None:
    assert fit_tagger(["O", "B-x", "I-x"], iter(chances), tags, 0.9) == Calibration(1.0, 1.0)
