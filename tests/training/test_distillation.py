"""A student follows its teacher: the losses, what they need, and that it helps."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import softmax
from tests.transfer_fixtures import LABELS, TRAINING, Prepare, make_examples, save_teacher
from tests.transfer_fixtures import config as sizes

from polarbert.bundle import Bundle
from polarbert.errors import BundleError, TrainingError
from polarbert.model import BertForSequenceClassification
from polarbert.text import WordPieceTokenizer
from polarbert.training.classification import ClassificationTask
from polarbert.training.distillation import PROJECTION, DistillationTask, Teacher, divergence
from polarbert.training.helped import Helped
from polarbert.training.loop import train
from polarbert.training.run import RunDirectory
from polarbert.training.transfer import TransferSettings

pytest_plugins = ["tests.transfer_fixtures"]


def test_the_divergence_is_that_of_kullback_and_leibler_at_a_temperature() -> None:
    random = np.random.default_rng(1)
    student, teacher = random.normal(size=(2, 5, 3))
    p, q = softmax(teacher / 3, axis=1), softmax(student / 3, axis=1)
    expected = 9 * (p * np.log(p / q)).sum()
    everywhere = torch.ones(5, 3, dtype=torch.bool)
    found = divergence(torch.tensor(student), torch.tensor(teacher), everywhere, 3.0)
    assert float(found) == pytest.approx(expected, rel=1e-5)
    assert float(divergence(torch.tensor(teacher), torch.tensor(teacher), everywhere, 3.0)) == pytest.approx(
        0, abs=1e-6
    )


def test_a_class_that_is_no_choice_tells_nothing() -> None:
    allowed = torch.tensor([[True, False, True]])
    student, teacher = torch.tensor([[1.0, 5.0, 2.0]]), torch.tensor([[0.5, float("-inf"), 0.0]])
    without = divergence(student[:, [0, 2]], teacher[:, [0, 2]], allowed[:, [0, 2]], 2.0)
    torch.testing.assert_close(divergence(student, teacher, allowed, 2.0), without)


@pytest.mark.parametrize("hidden", [0.0, 0.5])
def test_the_losses_are_those_of_their_formulas(prepare: Prepare, teacher: Path, hidden: float) -> None:
    options: dict[str, Any] = {"teacher_weight": 0.75, "temperature": 2.0, "hidden_weight": hidden}
    model, task, network = prepare(teacher=str(teacher), keep_layers=2, **options)
    model.eval()
    (part,) = task.prepare(task.batches_in_epoch(0, 0)[0])
    own = part.own
    losses = task.losses(model, part, [float(count) for count in part.counts])
    inputs = (own.input_ids, own.attention_mask, own.token_type_ids)
    logits, theirs = network(*inputs).logits, BertForSequenceClassification.from_pretrained(teacher)(*inputs).logits
    torch.testing.assert_close(losses["cross_entropy"], 0.25 * F.cross_entropy(logits, own.labels))
    soft, log = (theirs / 2).softmax(-1), (logits / 2).log_softmax(-1)
    followed = 4 * (soft * (soft.log() - log)).sum(-1).mean()
    torch.testing.assert_close(losses["teacher"], 0.75 * followed, rtol=1e-4, atol=1e-6)
    assert ("hidden" in losses) == (hidden > 0)
    if hidden:
        ours = network.bert(*inputs, output_hidden_states=True).hidden_states
        other = Teacher.open(teacher).network.bert(*inputs, output_hidden_states=True).hidden_states
        project = cast(Helped, model).helpers[PROJECTION]
        real = own.input_ids != 0
        distances = [
            (project(ours[layer])[real] - other[2 * layer][real]).square().mean() for layer in (1, 2)
        ]  # two layers of the student and four of the teacher
        torch.testing.assert_close(losses["hidden"], 0.5 * torch.stack(distances).mean())


def test_a_student_as_wide_as_its_teacher_needs_no_projection(prepare: Prepare, teacher: Path) -> None:
    options: dict[str, Any] = {"teacher": str(teacher), "hidden_weight": 1.0}
    model, task, _ = prepare(base=teacher, keep_layers=2, **options)
    assert PROJECTION not in cast(Helped, model).helpers
    (part,) = task.prepare(task.batches_in_epoch(0, 0)[0])
    assert "hidden" in task.losses(model, part, [float(count) for count in part.counts])


def test_the_teacher_learns_nothing(prepare: Prepare, teacher: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"teacher": str(teacher), "hidden_weight": 1.0}
    model, task, _ = prepare(**options)
    network = cast(DistillationTask, task).teacher.network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    training = replace(TRAINING, epochs=0.5)
    train(model, task, training, RunDirectory(tmp_path), quiet=True, transfer=TransferSettings(**options))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("hidden", [0.0, 1.0])
def test_a_student_follows_its_teacher_more_closely_than_labels_alone_lead_it(
    prepare: Prepare, teacher: Path, tokenizer: WordPieceTokenizer, tmp_path: Path, hidden: float
) -> None:
    """Of labels by careless people: every third is wrong, and the teacher knows better."""
    unseen = make_examples(tokenizer, 150, 9)
    judge = ClassificationTask(unseen, {"dev": unseen}, 3, tokenizer, TRAINING)
    guide = softmax(judge.logits(BertForSequenceClassification.from_pretrained(teacher), unseen), axis=1)

    def distance(name: str, **options: Any) -> float:
        model, task, network = prepare(TRAINING, rows=240, wrong=3, base=teacher, keep_layers=2, **options)
        train(model, task, TRAINING, RunDirectory(tmp_path / name), quiet=True)
        own = softmax(judge.logits(network.eval(), unseen), axis=1)
        return float((guide * np.log(guide / own)).sum(1).mean())

    followed = distance("teacher", teacher=str(teacher), teacher_weight=0.9, hidden_weight=hidden)
    assert followed < 0.7 * distance("labels")


@pytest.fixture
def own_teacher(teacher: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(teacher, tmp_path / "own"))


def checked(
    path: Path,
    tokenizer: WordPieceTokenizer,
    labels: list[str] = LABELS,
    longest: int = 64,
    has_aspects: bool = False,
) -> None:
    Teacher.open(path).check(labels, tokenizer, longest, is_pair=False, has_aspects=has_aspects)


def test_a_teacher_with_other_labels_is_refused(teacher: Path, tokenizer: WordPieceTokenizer) -> None:
    for labels in (["no", "yes"], LABELS[::-1]):
        with pytest.raises(TrainingError, match=rf"knows the labels negative, neutral, positive, the data {labels[0]}"):
            checked(teacher, tokenizer, labels)


def test_a_teacher_of_pairs_is_refused_for_texts(own_teacher: Path, tokenizer: WordPieceTokenizer) -> None:
    replace(Bundle.open(own_teacher), task="pair").write()
    with pytest.raises(TrainingError, match="this teacher's task is pair"):
        checked(own_teacher, tokenizer)
    # Other labels are no matter of names where the task is another.
    answerer = replace(Teacher.open(own_teacher), bundle=replace(Bundle.open(own_teacher), task="qa"))
    with pytest.raises(TrainingError, match=r"task is qa, .* Name a model that was trained on classes of single texts"):
        answerer.check(["no", "yes"], tokenizer, 64, is_pair=False)


def test_a_teacher_that_knows_no_aspects_is_refused_for_them(own_teacher: Path, tokenizer: WordPieceTokenizer) -> None:
    bundle = replace(Bundle.open(own_teacher), task="sentiment")
    bundle.write()
    checked(own_teacher, tokenizer)
    with pytest.raises(TrainingError, match="was not trained on aspects, which the data have"):
        checked(own_teacher, tokenizer, has_aspects=True)
    replace(bundle, traits=("aspects",)).write()
    for has_aspects in (True, False):
        checked(own_teacher, tokenizer, has_aspects=has_aspects)


def test_a_teacher_with_other_pieces_is_refused(teacher: Path, vocab: list[str]) -> None:
    other = WordPieceTokenizer.from_vocab(vocab, lowercase=False)
    with pytest.raises(TrainingError, match="cuts texts into other pieces than the base does"):
        checked(teacher, other)


def test_a_teacher_that_reads_less_is_refused(teacher: Path, tokenizer: WordPieceTokenizer) -> None:
    with pytest.raises(TrainingError, match="reads 64 pieces, and texts have up to 65; set max_pieces = 64"):
        checked(teacher, tokenizer, longest=65)


def test_a_damaged_teacher_is_refused(own_teacher: Path) -> None:
    file = own_teacher / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(BundleError, match="is damaged or was changed"):
        Teacher.open(own_teacher)


def test_another_teacher_makes_another_run(
    prepare: Prepare, teacher: Path, vocab: list[str], tokenizer: WordPieceTokenizer, tmp_path: Path
) -> None:
    model = BertForSequenceClassification(sizes(vocab, layers=2, width=48), LABELS)
    other = save_teacher(model, tokenizer, tmp_path / "other")
    found = [
        prepare(teacher=str(path), **options).task.fingerprint()
        for path in (teacher, other)
        for options in ({}, {"temperature": 4.0}, {"teacher_weight": 0.1}, {"hidden_weight": 0.1})
    ]
    assert len(set(found)) == len(found)
