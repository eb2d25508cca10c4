"""What transfer learning does to a network: what learns, what stays, and that any of it resumes to the bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tagging_fixtures import TAGS, tagged_rows
from tests.transfer_fixtures import LABELS, TRAINING, Prepare, config
from torch import Tensor, nn

from polarbert.data.dataset import LabelledText
from polarbert.data.questions import Question
from polarbert.errors import SettingsError, TrainingError
from polarbert.model import (
    BertConfig,
    BertEncoder,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from polarbert.model.heads import BertWithHead
from polarbert.text import WordPieceTokenizer
from polarbert.training.base import Base
from polarbert.training.distillation import evenly
from polarbert.training.loop import Task, train
from polarbert.training.preparation import check_transfer, keep_layers, prepare_model, shrink, with_help
from polarbert.training.question_answering import QuestionAnsweringTask, encode_questions
from polarbert.training.run import RunDirectory
from polarbert.training.settings import TrainSettings
from polarbert.training.tagging import TaggingTask, encode_tagged
from polarbert.training.transfer import TransferSettings

pytest_plugins = ["tests.transfer_fixtures"]

# Each option, alone and with those that it is likely to meet; "teacher" stands for the bundle of the fixture.
OPTIONS: dict[str, dict[str, Any]] = {
    "frozen": {"frozen": True},
    "frozen mix": {"frozen": True, "layers": "mix", "layer_count": 5},
    "sum": {"layers": "sum", "layer_count": 2},
    "concat": {"layers": "concat", "layer_count": 3},
    "keep_layers": {"keep_layers": 2},
    "dropout": {"dropout": 0.3},
    "layer_decay": {"layer_decay": 0.8},
    "unfreeze": {"unfreeze": 0.7, "layer_decay": 0.9},
    "auxiliary_lm": {"auxiliary_lm": 0.3},
    "teacher": {"teacher": "teacher", "keep_layers": 2},
    "everything": {
        "teacher": "teacher",
        "hidden_weight": 0.5,
        "auxiliary_lm": 0.2,
        "layers": "mix",
        "layer_count": 2,
        "layer_decay": 0.9,
        "unfreeze": 0.5,
    },
}


@dataclass
class Interrupted:
    """A task that is broken off after some steps, as by Ctrl-C."""

    task: Task[Any]
    steps_left: int

    def fingerprint(self) -> str:
        return self.task.fingerprint()

    def batches_in_epoch(self, epoch: int, step: int) -> Sequence[list[int]]:
        return self.task.batches_in_epoch(epoch, step)

    def prepare(self, numbers: list[int]) -> list[Any]:
        return self.task.prepare(numbers)

    def losses(self, model: nn.Module, part: Any, totals: Sequence[float]) -> dict[str, Tensor]:
        if self.steps_left == 0:
            raise KeyboardInterrupt
        self.steps_left -= 1
        return self.task.losses(model, part, totals)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        return self.task.evaluate(model)

    def save(self, model: nn.Module, path: str) -> None:
        self.task.save(model, path)


@pytest.mark.parametrize("name", OPTIONS)
def test_broken_off_and_resumed_it_ends_in_the_same_weights(
    name: str, prepare: Prepare, teacher: Path, tmp_path: Path
) -> None:
    options = OPTIONS[name] | ({"teacher": str(teacher)} if "teacher" in OPTIONS[name] else {})
    transfer = TransferSettings(**options)
    training = replace(TRAINING, steps=6, evaluations=1, checkpoint_seconds=0.0)

    def run(folder: str, resume: bool = False, steps: int | None = None) -> nn.Module:
        model, task, _ = prepare(training, **options)
        task = task if steps is None else Interrupted(task, steps)
        torch.manual_seed(len(folder))  # what came before must not matter
        train(model, task, training, RunDirectory(tmp_path / folder), resume, quiet=True, transfer=transfer)
        return model

    whole = run("whole")
    for steps in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            run("parts", resume=steps > 1, steps=steps)
    resumed = run("parts", resume=True)
    states = zip(whole.state_dict().items(), resumed.state_dict().items(), strict=True)
    assert [one for (one, tensor), (_, other) in states if not torch.equal(tensor, other)] == []
    best = [(tmp_path / folder / "best" / "model.safetensors").read_bytes() for folder in ("whole", "parts")]
    assert best[0] == best[1]
    found = BertForSequenceClassification.from_pretrained(tmp_path / "whole" / "best")
    assert found(torch.tensor([[101, 500, 102]])).logits.shape == (1, 3)
    assert not [name for name in found.state_dict() if "helper" in name]


def tagging(base: Base, training: TrainSettings) -> tuple[BertWithHead, Task[Any]]:
    learned = encode_tagged(tagged_rows(30, 1), base.tokenizer, 64).examples
    network = BertForTokenClassification.from_encoder(base.path, TAGS)
    return network, TaggingTask(learned, {"dev": learned[:8]}, TAGS, base.tokenizer, training)


def answering(base: Base, training: TrainSettings) -> tuple[BertWithHead, Task[Any]]:
    texts = [f"the hotel was {word} and the food so so" for word in ("good", "bad", "great", "awful", "nice")]
    rows: list[LabelledText] = [
        Question(text, 0, row, {}, None, "how was the hotel", str(row), ((text.split()[3], 14),), False)
        for row, text in enumerate(texts * 6, 1)
    ]
    found = encode_questions(rows, base.tokenizer, 64, 16)
    judged = {"dev": found.judged[:5]}
    parts = found.examples, {"dev": found.examples[:5]}, 2, base.tokenizer, training
    return BertForQuestionAnswering.from_encoder(base.path, ["start", "end"]), QuestionAnsweringTask(*parts, judged)


@pytest.mark.parametrize(
    "options",
    [
        {"frozen": True, "layers": "mix", "layer_count": 5},
        {"layers": "concat", "layer_count": 2, "layer_decay": 0.9, "unfreeze": 0.5, "auxiliary_lm": 0.3},
        {"keep_layers": 2, "auxiliary_lm": 0.3},
    ],
    ids=["frozen", "trained", "kept"],
)
@pytest.mark.parametrize("kind", [tagging, answering])
def test_every_kind_of_task_learns_with_them(
    kind: Callable[[Base, TrainSettings], tuple[BertWithHead, Task[Any]]],
    options: dict[str, Any],
    four_layers: Path,
    tmp_path: Path,
) -> None:
    training = replace(TRAINING, steps=6, learning_rate=1e-2, evaluations=1)
    base, transfer = Base.open(four_layers), TransferSettings(**options)
    torch.manual_seed(4)
    network, task = kind(base, training)
    model, helped = with_help(prepare_model(network, transfer), task, transfer, base, seed=1)
    run = RunDirectory(tmp_path)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    train(model, helped, training, run, quiet=True, transfer=transfer)
    again = type(network).from_pretrained(run.best)
    network.eval()
    ids = torch.tensor([[101, 500, 501, 102]])
    assert torch.equal(again(ids).logits, network(ids).logits)
    moved = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert f"{network.head_name}.weight" in moved
    assert any(name.startswith("bert.layers.") for name in moved) == ("frozen" not in options)
    assert any(name.startswith("bert.mix.") for name in moved) == ("layers" in options)


def test_resuming_with_another_option_is_refused(prepare: Prepare, tmp_path: Path) -> None:
    training = replace(TRAINING, epochs=0.5)
    model, task, _ = prepare(training)
    train(model, task, training, RunDirectory(tmp_path), quiet=True, transfer=TransferSettings(layer_decay=0.5))
    with pytest.raises(TrainingError, match=r"layer_decay \(was 0.5, now 0.9\)"):
        train(
            model, task, training, RunDirectory(tmp_path), True, quiet=True, transfer=TransferSettings(layer_decay=0.9)
        )


def test_a_frozen_encoder_stays_and_what_is_over_it_learns(prepare: Prepare, tmp_path: Path) -> None:
    training = replace(TRAINING, learning_rate=1e-2)
    model, task, network = prepare(training, frozen=True, layers="mix", layer_count=5)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    train(model, task, training, RunDirectory(tmp_path), quiet=True, transfer=TransferSettings(frozen=True))
    moved = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    stays = {name for name in before if name.startswith(("bert.embeddings.", "bert.layers."))}
    assert moved == before.keys() - stays
    assert {"bert.mix.scores", "bert.pooler.dense.weight", "classifier.weight"} <= moved


def test_a_frozen_encoder_computes_the_same_in_training_as_afterwards(prepare: Prepare) -> None:
    network = prepare(frozen=True).network
    ids = torch.tensor([[101, 500, 501, 102]])
    states = [network.train(training).bert(ids).last_hidden_state for training in (True, False)]
    assert torch.equal(states[0], states[1])
    assert not states[0].requires_grad
    trained = prepare().network.train()
    assert not torch.equal(*(trained.bert(ids).last_hidden_state for _ in range(2)))


def test_layers_that_join_in_late_learn_less(prepare: Prepare, tmp_path: Path) -> None:
    training = replace(TRAINING, steps=10)
    model, task, network = prepare(training)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    # The embeddings' turn comes with the last step but one.
    train(model, task, training, RunDirectory(tmp_path), quiet=True, transfer=TransferSettings(unfreeze=0.9))
    for name in ("bert.embeddings.norm.bias", "bert.layers.0.output.bias", "bert.layers.3.output.bias"):
        assert not torch.equal(network.state_dict()[name], before[name]), name
    first, last = (f"bert.layers.{number}.output.bias" for number in (0, 3))
    moves = {name: float((network.state_dict()[name] - before[name]).norm()) for name in (first, last)}
    assert moves[first] < 0.5 * moves[last]


def test_unfreezing_in_several_processes_is_refused(prepare: Prepare, tmp_path: Path) -> None:
    from polarbert.training.processes import Processes

    model, task, _ = prepare()
    with pytest.raises(TrainingError, match="unfreeze works in one process alone"):
        train(
            model,
            task,
            TRAINING,
            RunDirectory(tmp_path),
            processes=Processes(0, 2),
            transfer=TransferSettings(unfreeze=0.5),
        )


@pytest.mark.parametrize(
    ("count", "layers", "kept"),
    [(1, 4, [4]), (2, 4, [2, 4]), (3, 4, [1, 3, 4]), (4, 4, [1, 2, 3, 4]), (6, 12, [2, 4, 6, 8, 10, 12])],
)
def test_layers_are_kept_evenly_up_to_the_last(count: int, layers: int, kept: list[int]) -> None:
    assert evenly(count, layers) == kept
    encoder = BertEncoder(BertConfig.tiny(vocab_size=9, num_hidden_layers=layers, hidden_size=8, intermediate_size=8))
    originals = list(encoder.layers)
    keep_layers(encoder, count)
    assert [originals.index(layer) + 1 for layer in encoder.layers] == kept
    assert encoder.config.num_hidden_layers == count


@pytest.mark.parametrize("count", range(1, 25))
def test_no_layer_is_kept_twice(count: int) -> None:
    for layers in range(count, 25):
        found = evenly(count, layers)
        assert found == sorted(set(found))
        assert found[-1] == layers
        assert found[0] >= 1


def test_a_shrunk_base_is_a_base_of_the_same_words(four_layers: Path, tmp_path: Path) -> None:
    shrink(four_layers, 2, tmp_path / "two")
    base, whole = Base.open(tmp_path / "two"), BertEncoder.from_pretrained(four_layers)
    assert base.config.num_hidden_layers == 2
    assert base.tokenizer.encode(["the good film"]) == Base.open(four_layers).tokenizer.encode(["the good film"])
    small = BertEncoder.from_pretrained(tmp_path / "two")
    keep_layers(whole, 2)
    assert all(torch.equal(tensor, small.state_dict()[name]) for name, tensor in whole.state_dict().items())
    with pytest.raises(TrainingError, match="two: holds something already; name a new folder"):
        shrink(four_layers, 2, tmp_path / "two")
    with pytest.raises(TrainingError, match="5 layers cannot be kept of 4"):
        shrink(four_layers, 5, tmp_path / "five")


def test_a_base_with_a_mix_goes_on_with_it_or_without(
    vocab: list[str], tokenizer: WordPieceTokenizer, tmp_path: Path
) -> None:
    mixing = replace(config(vocab), layer_mix="mix", layer_mix_count=2)
    encoder = BertEncoder(mixing)
    assert encoder.mix is not None
    with torch.no_grad():
        encoder.mix.scores.copy_(torch.tensor([1.0, 2.0]))
    encoder.save_pretrained(tmp_path)

    def prepared(**options: Any) -> BertForSequenceClassification:
        model = BertForSequenceClassification.from_encoder(tmp_path, LABELS)
        return prepare_model(model, TransferSettings(**options))

    same = prepared(layers="mix", layer_count=2).bert.mix
    other = prepared(layers="mix", layer_count=3).bert.mix
    assert same is not None
    assert other is not None
    assert same.scores.tolist() == [1.0, 2.0]
    assert other.scores.tolist() == [0.0, 0.0, 0.0]
    plain = prepared()
    assert plain.bert.mix is None
    assert plain.config.layer_mix == plain.bert.config.layer_mix == "last"


def check(base: Path, task: str = "classification", longest: int = 64, **options: Any) -> None:
    check_transfer(TransferSettings(**options), Base.open(base), task, LABELS, longest)


def test_what_fits_is_let_through(four_layers: Path, teacher: Path) -> None:
    check(four_layers)
    check(four_layers, layers="mix", layer_count=5, keep_layers=4, auxiliary_lm=1.0)
    check(four_layers, teacher=str(teacher), hidden_weight=1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep_layers": 5}, "keep_layers is 5; the base has 4 layers"),
        (
            {"layers": "sum", "layer_count": 6},
            "layer_count is 6; the network has 4 layers and the embeddings, so at most 5",
        ),
        ({"layers": "sum", "layer_count": 4, "keep_layers": 2}, "so at most 3"),
    ],
)
def test_more_layers_than_there_are_is_refused(four_layers: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        check(four_layers, **options)


@pytest.mark.parametrize("task", ["regression", "tagging", "qa"])
def test_a_teacher_of_a_task_without_classes_is_refused(four_layers: Path, teacher: Path, task: str) -> None:
    with pytest.raises(TrainingError, match=f"is for classes of texts and pairs .*, not for {task}; leave it out"):
        check(four_layers, task, teacher=str(teacher))


def test_a_teacher_that_is_none_is_refused(four_layers: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\[transfer\] teacher \(--teacher\): .*no such model directory"):
        check(four_layers, teacher=str(tmp_path / "nobody"))
