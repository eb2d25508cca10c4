"""The classification task: its loss, its figures, and what a binary label does not teach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sklearn import metrics as reference
from sklearn.utils.class_weight import compute_class_weight
from tests.training_fixtures import loss_of

from polarbert.data.dataset import Dataset, LabelledText
from polarbert.errors import TrainingError
from polarbert.model import BertForSequenceClassification
from polarbert.training.base import Base
from polarbert.training.batching import Example
from polarbert.training.classification import ClassificationTask, inverse_frequencies
from polarbert.training.kinds import kind_of
from polarbert.training.recipe import FineTuneSettings

Toy = tuple[BertForSequenceClassification, ClassificationTask]


@pytest.fixture
def toy(make_toy: Callable[[], Toy]) -> Toy:
    model, task = make_toy()
    return model.eval(), task


def test_the_loss_is_the_mean_cross_entropy_over_the_choices(toy: Toy) -> None:
    model, task = toy
    task.train = [Example([101, 7, 102], 0, (0, 2)), Example([101, 8, 9, 102], 1)]
    first = model(torch.tensor([[101, 7, 102]])).logits[0, [0, 2]].log_softmax(0)[0]
    second = model(torch.tensor([[101, 8, 9, 102]])).logits[0].log_softmax(0)[1]
    loss, pieces = loss_of(task, model, [0, 1])
    torch.testing.assert_close(loss, -(first + second) / 2)
    assert pieces == 7


def test_a_binary_label_gives_no_gradient_to_neutral(toy: Toy) -> None:
    model, task = toy
    numbers = [0, 1, 2, 3]
    loss_of(task, model, numbers)[0].backward()
    weight, bias = model.classifier.weight.grad, model.classifier.bias.grad
    assert weight is not None
    assert bias is not None
    assert not bool(weight[1].any())
    assert float(bias[1]) == 0.0
    assert bool(weight[0].any())
    assert bool(weight[2].any())

    model.zero_grad()
    task.train = [replace(task.train[number], choices=None) for number in numbers]
    loss_of(task, model, numbers)[0].backward()
    assert model.classifier.weight.grad is not None
    assert bool(model.classifier.weight.grad[1].any())


def test_a_label_outside_its_choices_is_refused_before_it_can_make_the_loss_infinite() -> None:
    with pytest.raises(TrainingError, match=r"the label 1, which is none of its choices \(0, 2\)"):
        Example([101, 102], 1, (0, 2))


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_is_refused(toy: Toy, label: int) -> None:
    with pytest.raises(TrainingError, match=f"the label {label}; there are 3 classes"):
        replace(toy[1], train=[Example([101, 102], label)])


@pytest.mark.parametrize("dev", [{}, {"toy": []}])
def test_without_a_dev_text_there_is_nothing_to_judge_by(toy: Toy, dev: dict[str, list[Example]]) -> None:
    with pytest.raises(TrainingError, match="nothing to judge by"):
        replace(toy[1], dev=dev)


def test_class_weights_are_those_of_scikit_learn_and_weigh_a_mean_over_all_texts(toy: Toy) -> None:
    model, task = toy
    labels = [0, 0, 0, 0, 2, 0, 1, 0]
    weights = inverse_frequencies(labels, 3)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert weights == pytest.approx(expected)
    assert np.mean([weights[label] for label in labels]) == pytest.approx(1)

    task.train = [Example([101, 7, 102], 0), Example([101, 8, 9, 102], 2)]
    plain = [float(loss_of(task, model, [number])[0].detach()) for number in (0, 1)]
    weighted, _ = loss_of(replace(task, class_weights=weights), model, [0, 1])
    assert float(weighted.detach()) == pytest.approx((weights[0] * plain[0] + weights[2] * plain[1]) / 2, rel=1e-5)


def surprise(logits: Any, shares: Any) -> float:
    """The cross-entropy of one text by its definition, in numpy and double precision."""
    scores = np.asarray(logits, dtype=np.float64)
    return float(np.log(np.exp(scores - scores.max()).sum()) - shares @ (scores - scores.max()))


SOFT = [
    Example([101, 7, 102], 0, shares=(0.6, 0.1, 0.3)),
    Example([101, 8, 9, 102], 1, shares=(0.0, 1.0, 0.0)),
    Example([101, 10, 11, 12, 102], 2, shares=(0.25, 0.25, 0.5)),
    Example([101, 13, 102], 2),
]


@torch.no_grad()
def test_the_loss_of_shares_is_their_cross_entropy(toy: Toy) -> None:
    model, task = toy
    task.train = SOFT
    logits = [model(torch.tensor([example.ids])).logits[0].numpy() for example in SOFT]
    shares = [np.array(example.shares or (0.0, 0.0, 1.0)) for example in SOFT]
    each = [surprise(*one) for one in zip(logits, shares, strict=True)]
    assert float(loss_of(task, model, [0, 1, 2, 3])[0]) == pytest.approx(np.mean(each), rel=1e-5)
    weights = [0.5, 2.0, 1.0]
    weighed = [  # a class counts by its weight wherever it has a share
        -np.sum(np.array(weights) * of * (found - found.max() - np.log(np.exp(found - found.max()).sum())))
        for found, of in zip(logits, shares, strict=True)
    ]
    loss, _ = loss_of(replace(task, class_weights=weights), model, [0, 1, 2, 3])
    assert float(loss) == pytest.approx(np.mean(weighed), rel=1e-5)


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0]])
def test_shares_of_one_class_teach_exactly_what_its_label_teaches(toy: Toy, weights: list[float] | None) -> None:
    model, task = toy
    hard = [replace(example, choices=None) for example in task.train[:6]]
    soft = [replace(e, shares=tuple(float(e.label == number) for number in range(3))) for e in hard]
    found = []
    for examples in (hard, soft):
        model.zero_grad()
        loss, _ = loss_of(replace(task, train=examples, class_weights=weights), model, list(range(6)))
        loss.backward()
        found.append([loss.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
    assert len(found[0]) == len(found[1]) > 10
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-7)


def test_shares_beside_texts_with_fewer_choices_give_finite_gradients(toy: Toy) -> None:
    model, task = toy
    task.train = [SOFT[0], Example([101, 9, 102], 2, (0, 2)), Example([101, 8, 102], 0, (0,))]
    loss, _ = loss_of(task, model, [0, 1, 2])
    loss.backward()
    with torch.no_grad():
        first, second = (model(torch.tensor([example.ids])).logits[0].numpy() for example in task.train[:2])
    each = [surprise(first, np.array(SOFT[0].shares)), surprise(second[[0, 2]], np.array([0.0, 1.0])), 0.0]
    assert float(loss.detach()) == pytest.approx(np.mean(each), rel=1e-5)
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_shares_are_as_many_as_classes(toy: Toy) -> None:
    with pytest.raises(TrainingError, match="an example has 2 shares; there are 3 classes"):
        replace(toy[1], train=[Example([101, 102], 0, shares=(0.5, 0.5))])


@pytest.mark.parametrize(
    ("aspects", "task", "traits"),
    [
        ((None, None, None), "sentiment", ()),
        ((None, "soup", None), "sentiment", ("aspects",)),
        (("soup", "soup", "soup"), "sentiment", ("aspects",)),
        (("soup", "soup", "soup"), "pair", ()),
    ],
)
def test_a_model_of_sentiment_that_learns_second_texts_judges_aspects(
    tiny_model_dir: Path, aspects: tuple[str | None, ...], task: str, traits: tuple[str, ...]
) -> None:
    rows = [LabelledText("the soup", number, number + 1, {}, aspect) for number, aspect in enumerate(aspects)]
    dataset = Dataset("meals", rows, ["negative", "neutral", "positive"], task)
    assert kind_of(dataset, Base.open(tiny_model_dir), FineTuneSettings()).traits == traits


def test_a_class_that_does_not_occur_weighs_nothing_and_the_others_1_on_average() -> None:
    assert inverse_frequencies([0, 0, 0, 2], 3) == pytest.approx([2 / 3, 0.0, 2.0])


def test_class_weights_must_be_as_many_as_classes(toy: Toy) -> None:
    with pytest.raises(TrainingError, match="2 class weights for 3 classes"):
        replace(toy[1], class_weights=[1.0, 2.0])


def test_the_fingerprint_follows_whatever_is_learned_or_judged_by(toy: Toy) -> None:
    task = toy[1]
    first, *rest = task.train
    changed = [
        replace(task, train=rest),
        replace(task, train=[replace(first, ids=[*first.ids[:-1], 7, 102]), *rest]),
        replace(task, train=[replace(first, choices=None), *rest]),
        replace(task, train=[replace(first, label=2 - first.label), *rest]),
        replace(task, train=[*task.train, task.dev["toy"][0]], dev={"toy": task.dev["toy"][1:]}),
        replace(task, dev={"other": task.dev["toy"]}),
        replace(task, class_weights=[1.0, 1.0, 2.0]),
        replace(task, train=[replace(first, choices=None, shares=(0.5, 0.0, 0.5)), *rest]),
        replace(task, train=[replace(first, choices=None, shares=(0.6, 0.1, 0.3)), *rest]),
    ]
    assert replace(task).fingerprint() == task.fingerprint()
    assert len({task.fingerprint(), *(other.fingerprint() for other in changed)}) == len(changed) + 1


def test_gradients_stay_finite_where_classes_are_masked(toy: Toy) -> None:
    model, task = toy
    task.train = [Example([101, 7, 102], 2, (2,)), Example([101, 102], 0, (0, 2))]
    loss_of(task, model, [0, 1])[0].backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_each_pass_has_a_plan_of_its_own_and_the_seed_fixes_it(toy: Toy) -> None:
    _, task = toy
    plans = [task.batches_in_epoch(epoch) for epoch in range(3)]
    assert plans == [replace(task).batches_in_epoch(epoch) for epoch in range(3)]
    numbers = list(range(len(task.train)))
    assert plans[0] != plans[1] != plans[2]
    assert plans[0] != replace(task, settings=replace(task.settings, seed=2)).batches_in_epoch(0)
    assert all(sorted(number for batch in plan for number in batch) == numbers for plan in plans)


def test_logits_come_in_input_order_whatever_the_batches(toy: Toy) -> None:
    model, task = toy
    examples = task.dev["toy"]
    alone = np.stack([model(torch.tensor([e.ids])).logits[0].detach().numpy() for e in examples])
    together = task.logits(model, examples)
    np.testing.assert_allclose(together[:, [0, 2]], alone[:, [0, 2]], atol=1e-5)
    assert bool(np.isneginf(together[:, 1]).all())


def test_figures_are_those_of_scikit_learn_and_the_score_is_the_mean_macro_f1(toy: Toy) -> None:
    model, task = toy
    open_choice = [replace(example, choices=None) for example in task.train[:50]]
    task.dev = {"binary": task.dev["toy"], "open": open_choice}
    figures = task.evaluate(model)
    for name, examples in task.dev.items():
        truth, guess = [e.label for e in examples], task.logits(model, examples).argmax(1)
        assert figures[f"{name}_accuracy"] == pytest.approx(reference.accuracy_score(truth, guess))
        expected = reference.f1_score(truth, guess, average="macro", zero_division=0)
        assert figures[f"{name}_macro_f1"] == pytest.approx(expected)
        expected = reference.recall_score(truth, guess, labels=[0, 2], average="macro", zero_division=0)
        assert figures[f"{name}_macro_recall"] == pytest.approx(expected)
    assert figures["score"] == pytest.approx((figures["binary_macro_f1"] + figures["open_macro_f1"]) / 2)


@torch.inference_mode()
def test_what_is_saved_opens_in_a_transformers_pipeline(toy: Toy, tmp_path: Path) -> None:
    model, task = toy
    task.save(model, str(tmp_path))
    pipeline: Any = transformers.pipeline("text-classification", model=str(tmp_path), top_k=None)
    text = "the hotel was good and the food"
    ids = [101, *task.tokenizer.encode([text])[0].ids, 102]
    chances = model(torch.tensor([ids])).logits[0].softmax(0).tolist()
    answers = {answer["label"]: answer["score"] for answer in pipeline([text])[0]}
    assert answers == pytest.approx(dict(zip(model.labels, chances, strict=True)), abs=1e-5)
