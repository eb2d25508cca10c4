"""Training on unlabelled text: the task, the head's own stage, and the way from a base to an adapted one."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.training_fixtures import loss_of
from torch import Tensor, nn

from polarbert.errors import BundleError, TrainingError
from polarbert.model import BertConfig, BertForMaskedLM, BertForSequenceClassification
from polarbert.model.masked_lm import has_masked_lm_head
from polarbert.text import WordPieceTokenizer
from polarbert.training.loop import train
from polarbert.training.masked_lm import (
    MaskedBatch,
    MaskedLmSettings,
    MaskedLmTask,
    collate_masked,
    frozen,
    to_sequences,
    train_masked_lm,
    warm_up_head,
)
from polarbert.training.masking import MaskedPieces, Masking
from polarbert.training.run import RunDirectory
from polarbert.training.settings import TrainSettings

Toy = tuple[BertForMaskedLM, MaskedLmTask]
MakeToy = Callable[[], Toy]

THINGS = {"food": "boring", "app": "slow", "sound": "great", "hotel": "nice"}


def sentences(count: int, seed: int) -> list[str]:
    """Texts in which each word says what the others are, as far as a small network can see."""
    draw = random.Random(seed)
    return [
        f"the {thing} was {draw.choice(['very', 'really'])} {THINGS[thing]} and i said so"
        for thing in draw.choices(list(THINGS), k=count)
    ]


@pytest.fixture
def settings() -> TrainSettings:
    return TrainSettings(
        epochs=2, batch_tokens=128, learning_rate=3e-3, precision="fp32", evaluations=2, checkpoint_seconds=1e9
    )


@pytest.fixture
def config(vocab: list[str]) -> BertConfig:
    return BertConfig.tiny(vocab_size=len(vocab), hidden_size=32, intermediate_size=64, initializer_range=0.1)


@pytest.fixture
def make_toy(config: BertConfig, tokenizer: WordPieceTokenizer, settings: TrainSettings) -> MakeToy:
    """A new tiny model, always with the same weights, and the task to train it on."""

    def make() -> Toy:
        torch.manual_seed(7)
        model = BertForMaskedLM(config)
        masking = Masking.from_tokenizer(tokenizer)
        texts, dev = (to_sequences(sentences(count, seed), tokenizer, 32) for count, seed in ((200, 1), (40, 2)))
        return model, MaskedLmTask(texts, {"dev": dev}, tokenizer, masking, settings)

    return make


@pytest.fixture
def base(config: BertConfig, tokenizer: WordPieceTokenizer, tmp_path: Path) -> Path:
    """A classifier without weights for masked language modelling."""
    torch.manual_seed(9)
    BertForSequenceClassification(config, ["negative", "positive"]).save_pretrained(tmp_path / "base")
    tokenizer.save(tmp_path / "base")
    return tmp_path / "base"


def tensors(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def changed(before: dict[str, Tensor], module: nn.Module) -> set[str]:
    return {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}


def records(run: RunDirectory, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.path / name).read_text("utf-8").splitlines()]


@dataclass
class InterruptedTask(MaskedLmTask):
    """A task whose run is broken off after some steps, as by Ctrl-C."""

    steps_left: int = 0

    def losses(self, model: nn.Module, part: MaskedBatch, totals: Sequence[float]) -> dict[str, Tensor]:
        if self.steps_left == 0:
            raise KeyboardInterrupt
        self.steps_left -= 1
        return super().losses(model, part, totals)


def interrupted(task: MaskedLmTask, after: int) -> InterruptedTask:
    return InterruptedTask(task.train, task.dev, task.tokenizer, task.masking, task.settings, after)


def test_it_learns_what_is_hidden(make_toy: MakeToy, settings: TrainSettings, tmp_path: Path) -> None:
    model, task = make_toy()
    before = task.evaluate(model.eval())
    run = RunDirectory(tmp_path)
    summary = train(model, task, replace(settings, epochs=12), run, quiet=True)
    after = task.evaluate(BertForMaskedLM.from_pretrained(run.best))
    assert before["dev_loss"] > 0.8 * math.log(task.masking.vocab_size)
    assert before["dev_masked_accuracy"] < 0.2
    assert after["dev_loss"] < 1.5
    assert after["dev_masked_accuracy"] > 0.7
    assert after["score"] == pytest.approx(summary["best_score"])
    losses = [record["loss"] for record in records(run, "log.jsonl")]
    assert losses[-1] < 0.5 * losses[0]


def test_the_loss_is_over_hidden_pieces_alone(make_toy: MakeToy) -> None:
    model, task = make_toy()
    model.eval()
    numbers = [3, 10, 57]
    loss, pieces = loss_of(task, model, numbers)
    surprises = []
    for text in (task.masked(number) for number in numbers):
        chances = model(torch.from_numpy(text.ids)[None]).logits[0].log_softmax(-1)
        surprises += [
            -float(chances[at, piece].detach()) for at, piece in zip(text.positions, text.labels, strict=True)
        ]
    assert float(loss.detach()) == pytest.approx(np.mean(surprises), abs=1e-5)
    assert pieces == sum(len(task.train[number]) for number in numbers)


def test_each_pass_hides_anew_and_the_seed_fixes_it(make_toy: MakeToy) -> None:
    _, task = make_toy()
    _, again = make_toy()
    size = len(task.train)

    def seen(task: MaskedLmTask, epoch: int) -> dict[int, tuple[list[int], list[int]]]:
        numbers = [number for batch in task.batches_in_epoch(epoch) for number in batch]
        texts = {number % size: task.masked(number) for number in numbers}
        return {text: (hidden.ids.tolist(), hidden.positions.tolist()) for text, hidden in texts.items()}

    passes = [seen(task, epoch) for epoch in range(3)]
    assert all(sorted(texts) == list(range(size)) for texts in passes), "each text once in a pass"
    assert passes[2] == seen(again, 2), "also when earlier passes were never asked for"
    assert sum(passes[0][text] == passes[1][text] for text in range(size)) < 0.1 * size
    assert passes[0] != seen(replace(task, settings=replace(task.settings, seed=2)), 0)
    assert len({tuple(positions) for _, positions in passes[0].values()}) > 5, "each text has its own"


def test_dev_texts_are_hidden_the_same_way_each_time_and_in_each_run(make_toy: MakeToy) -> None:
    model, task = make_toy()
    model.eval()
    first = task.evaluate(model)
    torch.manual_seed(99)
    task.batches_in_epoch(3)
    assert task.evaluate(model) == first
    others = replace(task, settings=replace(task.settings, seed=5, batch_tokens=17)).evaluate(model)
    assert others == {name: pytest.approx(value, rel=1e-6) for name, value in first.items()}


def test_figures_are_those_of_the_hidden_pieces(make_toy: MakeToy) -> None:
    model, task = make_toy()
    model.eval()
    task = replace(task, dev={"short": task.dev["dev"][:1], "long": task.dev["dev"][1:]})
    seen: list[tuple[Tensor, Tensor]] = []

    def remember(module: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any], output: Any) -> None:
        seen.append((output.logits, inputs[0].flatten()[options["positions"]]))

    handle = model.register_forward_hook(remember, with_kwargs=True)
    figures = task.evaluate(model)
    handle.remove()
    hidden = [len(logits) for logits, _ in seen]
    assert sum(hidden) == pytest.approx(0.15 * sum(len(ids) - 2 for ids in task.dev["long"]), rel=0.3)
    assert figures["long_perplexity"] == pytest.approx(math.exp(figures["long_loss"]))
    assert 0 <= figures["long_masked_accuracy"] <= 1
    assert figures["score"] == pytest.approx(-(figures["short_loss"] + figures["long_loss"]) / 2)
    masked = torch.cat([ids for _, ids in seen]) == task.masking.mask_id
    assert 0.6 < float(masked.double().mean()) < 0.95


def test_a_network_that_knows_every_piece_is_right_always(make_toy: MakeToy) -> None:
    """Every dev piece the same, and a head that names nothing else."""
    model, task = make_toy()
    word = task.tokenizer.encode(["good"])[0].ids[0]
    task = replace(task, dev={"dev": [[101, *[word] * 20, 102]] * 5})
    with torch.no_grad():
        model.head.bias[word] = 1000.0
    figures = task.evaluate(model.eval())
    assert figures == {"score": 0.0, "dev_loss": 0.0, "dev_perplexity": 1.0, "dev_masked_accuracy": 1.0}


def test_a_batch_is_padded_and_its_positions_point_at_the_labels() -> None:
    texts = [
        MaskedPieces(np.array([2, 9, 4, 3]), np.array([2]), np.array([7])),
        MaskedPieces(np.array([2, 4, 6, 6, 4, 3]), np.array([1, 4]), np.array([5, 8])),
    ]
    batch = collate_masked(texts, pad_id=0)
    assert batch.input_ids.tolist() == [[2, 9, 4, 3, 0, 0], [2, 4, 6, 6, 4, 3]]
    assert batch.attention_mask is not None
    assert batch.attention_mask.tolist() == [[True] * 4 + [False] * 2, [True] * 6]
    assert batch.positions.tolist() == [2, 7, 10]
    assert batch.labels.tolist() == [7, 5, 8]
    assert collate_masked(texts[1:], pad_id=0).attention_mask is None


@pytest.mark.parametrize(("after", "seconds"), [(1, 1e9), (9, 0.0), (17, 0.0)])
def test_broken_off_and_resumed_it_ends_in_the_same_weights(
    make_toy: MakeToy, settings: TrainSettings, tmp_path: Path, after: int, seconds: float
) -> None:
    settings = replace(settings, checkpoint_seconds=seconds)
    model, task = make_toy()
    expected = train(model, task, settings, RunDirectory(tmp_path / "whole"), quiet=True)
    assert expected["steps"] > after

    parts = RunDirectory(tmp_path / "parts")
    broken, its_task = make_toy()
    with pytest.raises(KeyboardInterrupt):
        train(broken, interrupted(its_task, after), settings, parts, quiet=True)
    resumed, its_task = make_toy()
    torch.manual_seed(after)  # what came before must not matter
    summary = train(resumed, its_task, settings, parts, resume=True, quiet=True)
    assert changed(tensors(model), resumed) == set()
    assert changed(tensors(broken), resumed)
    assert summary | {"seconds": 0} == expected | {"seconds": 0}
    assert records(parts, "evaluations.jsonl") == records(RunDirectory(tmp_path / "whole"), "evaluations.jsonl")


def test_the_head_warms_up_while_the_encoder_stays_bit_for_bit(
    make_toy: MakeToy, settings: TrainSettings, tmp_path: Path
) -> None:
    model, task = make_toy()
    encoder, head = tensors(model.bert), tensors(model.head)
    before = task.evaluate(model.eval())["dev_loss"]
    summary = warm_up_head(model, task, settings, RunDirectory(tmp_path), quiet=True)
    assert changed(encoder, model.bert) == set()
    assert changed(head, model.head) == set(head)
    assert -summary["best_score"] < before - 1
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert changed(encoder, BertForMaskedLM.from_pretrained(tmp_path / "best").bert) == set()


def test_what_was_frozen_before_stays_frozen(make_toy: MakeToy) -> None:
    model, _ = make_toy()
    model.bert.pooler.requires_grad_(False)

    def fail_inside() -> None:
        with frozen(model.bert):
            assert not any(parameter.requires_grad for parameter in model.bert.parameters())
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert {name for name, parameter in model.named_parameters() if not parameter.requires_grad} == {
        "bert.pooler.dense.weight",
        "bert.pooler.dense.bias",
    }


def adapt(base: Path | None, output: Path, settings: TrainSettings, **more: Any) -> dict[str, Any]:
    texts = more.pop("texts", sentences(120, 1))
    resume = more.pop("resume", False)
    options = MaskedLmSettings(settings, device="cpu", **more)
    return train_masked_lm(base, texts, sentences(30, 2), output, options, resume, quiet=True)


def test_a_base_without_a_head_gets_one_in_a_stage_of_its_own(
    base: Path, settings: TrainSettings, tmp_path: Path
) -> None:
    summary = adapt(base, tmp_path / "run", settings, whole_words=True)
    run, head_run = RunDirectory(tmp_path / "run"), RunDirectory(tmp_path / "run/head")
    assert json.loads((head_run.path / "settings.json").read_text("utf-8"))["learning_rate"] == 1e-3
    assert summary["head"] == json.loads((head_run.path / "summary.json").read_text("utf-8"))
    assert summary["best_score"] > summary["head"]["best_score"], "all of it learns more than the head alone"
    start = BertForMaskedLM.from_encoder(base)
    assert changed(tensors(start.bert), BertForMaskedLM.from_pretrained(head_run.best).bert) == set()
    adapted = BertForMaskedLM.from_pretrained(run.best)
    moved = changed(tensors(start.bert), adapted.bert)
    assert {"embeddings.word.weight", "layers.0.attention.query.weight"} <= moved
    assert not any("pooler" in name for name in moved)
    classifier = BertForSequenceClassification.from_encoder(run.best, ["no", "yes"])
    assert changed(tensors(adapted.bert), classifier.bert) == set()
    assert WordPieceTokenizer.from_directory(run.best).encode(["good food"]) == WordPieceTokenizer.from_directory(
        base
    ).encode(["good food"])


def test_a_base_with_a_head_is_trained_at_once(make_toy: MakeToy, settings: TrainSettings, tmp_path: Path) -> None:
    model, task = make_toy()
    task.save(model, str(tmp_path / "base"))
    assert has_masked_lm_head(tmp_path / "base")
    summary = adapt(tmp_path / "base", tmp_path / "run", settings)
    assert summary["head"] is None
    assert not (tmp_path / "run/head").exists()
    assert (tmp_path / "run/best/model.safetensors").is_file()


def broken_off(after: int) -> Callable[..., dict[str, Tensor]]:
    """The losses of the task, for so many steps in all."""
    steps = iter(range(after))
    losses = MaskedLmTask.losses

    def counted(task: MaskedLmTask, model: nn.Module, part: MaskedBatch, totals: Sequence[float]) -> dict[str, Tensor]:
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return losses(task, model, part, totals)

    return counted


@pytest.mark.parametrize("after", [5, 14, 30])
def test_broken_off_in_either_stage_it_ends_in_the_same_bytes(
    base: Path, settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    settings = replace(settings, checkpoint_seconds=0.0)
    whole = adapt(base, tmp_path / "whole", settings)
    assert whole["head"]["steps"] == 14, "the breaks are meant to fall into it, on its end, and after it"
    assert whole["head"]["steps"] + whole["steps"] > 30
    with monkeypatch.context() as patch:
        patch.setattr(MaskedLmTask, "losses", broken_off(after))
        with pytest.raises(KeyboardInterrupt):
            adapt(base, tmp_path / "parts", settings)
    resumed = adapt(base, tmp_path / "parts", settings, resume=True)
    assert resumed["best_score"] == whole["best_score"]
    for name in ("best/model.safetensors", "head/best/model.safetensors", "best/config.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_run_goes_on_with_the_same_texts_only(base: Path, settings: TrainSettings, tmp_path: Path) -> None:
    settings = replace(settings, epochs=0.2, evaluations=1)
    adapt(base, tmp_path / "run", settings)
    with pytest.raises(TrainingError, match="holds a run already"):
        adapt(base, tmp_path / "run", settings)
    with pytest.raises(TrainingError, match="cannot resume"):
        adapt(base, tmp_path / "run", settings, resume=True, whole_words=True)
    with pytest.raises(TrainingError, match="cannot resume, the run began with other data"):
        adapt(base, tmp_path / "run", settings, resume=True, texts=["other words"])
    torch.manual_seed(10)
    BertForSequenceClassification(BertConfig.from_pretrained(base), ["no", "yes"]).save_pretrained(base)
    with pytest.raises(TrainingError, match="cannot resume, the run began with another base"):
        adapt(base, tmp_path / "run", settings, resume=True)


def test_a_finished_run_is_not_trained_further(base: Path, settings: TrainSettings, tmp_path: Path) -> None:
    settings = replace(settings, epochs=0.2, evaluations=1)
    first = adapt(base, tmp_path / "run", settings)
    weights = (tmp_path / "run/best/model.safetensors").read_bytes()
    assert adapt(base, tmp_path / "run", settings, resume=True) == first
    assert (tmp_path / "run/best/model.safetensors").read_bytes() == weights


def test_texts_become_sequences_and_nothing_is_dropped(tokenizer: WordPieceTokenizer) -> None:
    long = "the food was good " * 13
    sequences = to_sequences([long, "ok", ""], tokenizer, 20)
    assert [len(ids) for ids in sequences] == [19, 19, 20, 4, 2], "52 pieces in three parts; o, ##k; nothing"
    assert all(ids[0] == tokenizer.cls_id and ids[-1] == tokenizer.sep_id for ids in sequences)
    inside = [piece for ids in sequences for piece in ids[1:-1]]
    assert inside == [piece for pieces in tokenizer.encode([long, "ok", ""]) for piece in pieces.ids]


def test_texts_with_nothing_to_hide_are_left_out(make_toy: MakeToy) -> None:
    _, task = make_toy()
    texts = [[101, 102], task.train[0], [101, 100, 102]]
    assert replace(task, train=texts).train == [task.train[0]]
    with pytest.raises(TrainingError, match="the training part has no text"):
        replace(task, train=[[101, 102]])
    with pytest.raises(TrainingError, match="the dev part 'books' has no text"):
        replace(task, dev={"books": []})
    with pytest.raises(TrainingError, match="nothing to judge by"):
        replace(task, dev={})


def test_the_fingerprint_changes_with_whatever_the_outcome_depends_on(make_toy: MakeToy) -> None:
    _, task = make_toy()
    others = [
        replace(task, train=task.train[1:]),
        replace(task, train=[*task.train[1:], task.train[0]]),
        replace(task, dev={"dev": task.dev["dev"][1:]}),
        replace(task, dev={"other": task.dev["dev"]}),
        replace(task, masking=replace(task.masking, whole_words=True)),
        replace(task, masking=replace(task.masking, share=0.2)),
    ]
    assert len({task.fingerprint(), *(other.fingerprint() for other in others)}) == 7
    assert make_toy()[1].fingerprint() == task.fingerprint()


def test_sizes_that_do_not_fit_are_refused_before_anything_is_written(
    base: Path, settings: TrainSettings, tmp_path: Path
) -> None:
    for pieces in (2, 513):
        with pytest.raises(TrainingError, match="max_pieces must be from 3 to 512"):
            adapt(base, tmp_path / "run", settings, max_pieces=pieces)
    config = json.loads((base / "config.json").read_text("utf-8"))
    (base / "config.json").write_text(json.dumps(config | {"vocab_size": 60}), "utf-8")
    with pytest.raises(BundleError, match="not of the same model"):
        adapt(base, tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()
