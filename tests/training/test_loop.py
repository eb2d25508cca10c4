"""The training loop: it learns, resumes to the bit, keeps the best model, and refuses what cannot go on."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from polarbert.errors import TrainingError
from polarbert.model import BertConfig, BertForSequenceClassification
from polarbert.training.batching import Batch, Example
from polarbert.training.classification import ClassificationTask
from polarbert.training.loop import train
from polarbert.training.run import RunDirectory
from polarbert.training.settings import TrainSettings

Toy = tuple[BertForSequenceClassification, ClassificationTask]
MakeToy = Callable[[], Toy]


@dataclass
class InterruptedTask:
    """A task whose run is broken off after some steps, as by Ctrl-C."""

    task: ClassificationTask
    steps_left: int

    def fingerprint(self) -> str:
        return self.task.fingerprint()

    def batches_in_epoch(self, epoch: int, step: int) -> list[list[int]]:
        return self.task.batches_in_epoch(epoch, step)

    def prepare(self, numbers: list[int]) -> list[Batch]:
        return self.task.prepare(numbers)

    def losses(self, model: nn.Module, part: Batch, totals: Sequence[float]) -> dict[str, Tensor]:
        if self.steps_left == 0:
            raise KeyboardInterrupt
        self.steps_left -= 1
        return self.task.losses(model, part, totals)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        return self.task.evaluate(model)

    def save(self, model: nn.Module, path: str) -> None:
        self.task.save(model, path)


def records(run: RunDirectory, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.path / name).read_text("utf-8").splitlines()]


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_it_learns_to_tell_two_words_apart(make_toy: MakeToy, settings: TrainSettings, tmp_path: Path) -> None:
    model, task = make_toy()
    before = task.evaluate(model.eval())["toy_accuracy"]
    summary = train(model, task, settings, RunDirectory(tmp_path), quiet=True)
    run = RunDirectory(tmp_path)
    assert before < 0.8
    assert summary["best_score"] > 0.95
    assert task.evaluate(BertForSequenceClassification.from_pretrained(run.best))["toy_accuracy"] > 0.95
    losses = [record["loss"] for record in records(run, "log.jsonl")]
    assert losses[-1] < 0.5 * math.log(2)  # chance, between two words
    assert losses[-1] < losses[0]


def test_the_run_directory_tells_the_whole_story(make_toy: MakeToy, settings: TrainSettings, tmp_path: Path) -> None:
    model, task = make_toy()
    run = RunDirectory(tmp_path)
    summary = train(model, task, replace(settings, epochs=1.5), run, quiet=True)
    steps = round(1.5 * len(task.batches_in_epoch(0)))
    assert json.loads((tmp_path / "summary.json").read_text("utf-8")) == summary
    assert summary["steps"] == summary["step"] == steps
    assert run.is_done
    trained_on = task.batches_in_epoch(0) + task.batches_in_epoch(1)[: steps - len(task.batches_in_epoch(0))]
    assert summary["tokens"] == sum(len(task.train[number].ids) for batch in trained_on for number in batch)
    judged = records(run, "evaluations.jsonl")
    assert [record["step"] for record in judged] == [round(steps / 3), round(steps * 2 / 3), steps]
    assert max(record["score"] for record in judged) == summary["best_score"]
    last = records(run, "log.jsonl")[-1]
    assert last["step"] == steps
    assert last["tokens_per_second"] > 0
    assert 0 < last["rate"] < settings.learning_rate
    assert {"settings.json", "environment.json", "checkpoint", "best"} <= {file.name for file in tmp_path.iterdir()}


@pytest.mark.parametrize(("after", "seconds"), [(1, 1e9), (9, 0.0), (20, 1e9)])
def test_broken_off_and_resumed_it_ends_in_the_same_weights(
    make_toy: MakeToy, settings: TrainSettings, tmp_path: Path, after: int, seconds: float
) -> None:
    settings = replace(settings, epochs=1.2, checkpoint_seconds=seconds)
    model, task = make_toy()
    expected = train(model, task, settings, RunDirectory(tmp_path / "whole"), quiet=True)

    parts = RunDirectory(tmp_path / "parts")
    broken, its_task = make_toy()
    with pytest.raises(KeyboardInterrupt):
        train(broken, InterruptedTask(its_task, after), settings, parts, quiet=True)
    assert not parts.is_done
    resumed, its_task = make_toy()
    torch.manual_seed(after)  # what came before must not matter
    summary = train(resumed, its_task, settings, parts, resume=True, quiet=True)

    assert same_weights(model, resumed)
    assert not same_weights(broken, resumed)
    assert summary | {"seconds": 0} == expected | {"seconds": 0}
    whole = RunDirectory(tmp_path / "whole")
    assert records(parts, "evaluations.jsonl") == records(whole, "evaluations.jsonl")
    assert (parts.best / "model.safetensors").read_bytes() == (whole.best / "model.safetensors").read_bytes()


def position(directory: Path) -> int:
    """The step of the checkpoint in a run directory; 0 while there is none, or just then none."""
    try:
        return int(json.loads((directory / "checkpoint" / "position.json").read_text("utf-8"))["step"])
    except FileNotFoundError:
        return 0


def test_resuming_with_other_data_is_refused(make_toy: MakeToy, settings: TrainSettings, tmp_path: Path) -> None:
    settings = replace(settings, epochs=0.2)
    train(*make_toy(), settings, RunDirectory(tmp_path), quiet=True)
    model, task = make_toy()
    task.train = task.train[1:]
    with pytest.raises(TrainingError, match="cannot resume, the run began with other data"):
        train(model, task, settings, RunDirectory(tmp_path), resume=True, quiet=True)


def test_broken_off_between_evaluation_and_checkpoint_no_line_is_there_twice(
    make_toy: MakeToy, settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "parts")
    train(*make_toy(), settings, whole, quiet=True)

    def break_off(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("polarbert.training.loop.save_checkpoint", break_off)
        with pytest.raises(KeyboardInterrupt):
            train(*make_toy(), settings, parts, quiet=True)
    assert len(records(parts, "evaluations.jsonl")) == 1
    train(*make_toy(), settings, RunDirectory(parts.path), resume=True, quiet=True)
    assert records(parts, "evaluations.jsonl") == records(whole, "evaluations.jsonl")


@pytest.fixture
def no_progress(make_toy: MakeToy) -> MakeToy:
    """A task whose score is best at the first evaluation and then falls."""

    def make() -> Toy:
        model, task = make_toy()
        task.dev = {"turned": [replace(example, label=2 - example.label) for example in task.dev["toy"]]}
        return model, task

    return make


def test_without_a_better_score_patience_ends_the_run(
    no_progress: MakeToy, settings: TrainSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(settings, evaluations=8, patience=2)
    run = RunDirectory(tmp_path)
    summary = train(*no_progress(), settings, run)
    scores = [record["score"] for record in records(run, "evaluations.jsonl")]
    assert len(scores) < 8
    assert summary["step"] == records(run, "evaluations.jsonl")[-1]["step"] < summary["steps"]
    assert scores[-3] == max(scores), "it ends with the second evaluation that is no better"
    assert "2 evaluations without a better score: the run ends here" in capsys.readouterr().err


def test_patience_outlives_an_interruption(no_progress: MakeToy, settings: TrainSettings, tmp_path: Path) -> None:
    settings = replace(settings, evaluations=8, patience=2)
    whole = RunDirectory(tmp_path / "whole")
    expected = train(*no_progress(), settings, whole, quiet=True)
    judged = [record["step"] for record in records(whole, "evaluations.jsonl")]
    for name, after in (("in between", judged[-2]), ("before the end", judged[-1] - 1)):
        parts = RunDirectory(tmp_path / name)
        model, task = no_progress()
        with pytest.raises(KeyboardInterrupt):
            train(model, InterruptedTask(task, after), settings, parts, quiet=True)
        summary = train(*no_progress(), settings, RunDirectory(parts.path), resume=True, quiet=True)
        assert summary | {"seconds": 0} == expected | {"seconds": 0}
        assert records(parts, "evaluations.jsonl") == records(whole, "evaluations.jsonl")


def test_a_run_that_patience_ended_is_not_trained_further(
    no_progress: MakeToy, settings: TrainSettings, tmp_path: Path
) -> None:
    settings = replace(settings, evaluations=8, patience=1)
    expected = train(*no_progress(), settings, RunDirectory(tmp_path), quiet=True)
    model, task = no_progress()
    unused = InterruptedTask(task, 0)
    assert train(model, unused, settings, RunDirectory(tmp_path), resume=True, quiet=True) == expected


@pytest.mark.timeout(300)
def test_killed_twice_and_resumed_it_ends_in_the_same_weights(tmp_path: Path) -> None:
    script = [sys.executable, str(Path(__file__).with_name("killed_run.py"))]
    subprocess.run([*script, str(tmp_path / "whole")], check=True)
    killed = tmp_path / "killed"
    for until in (5, 40):
        process = subprocess.Popen([*script, str(killed)])
        while position(killed) < until and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not (killed / "summary.json").exists()
    subprocess.run([*script, str(killed)], check=True)

    states = [load_file(str(tmp_path / name / "checkpoint" / "state.safetensors")) for name in ("whole", "killed")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    best = [(tmp_path / name / "best" / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    assert best[0] == best[1]


def test_the_same_seed_gives_the_same_weights_and_another_others(
    make_toy: MakeToy, settings: TrainSettings, tmp_path: Path
) -> None:
    models = {}
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        model, task = make_toy()
        train(model, task, replace(settings, epochs=0.3, seed=seed), RunDirectory(tmp_path / name), quiet=True)
        models[name] = model
    assert same_weights(models["first"], models["again"])
    assert not same_weights(models["first"], models["other"])


def test_a_finished_run_is_not_trained_further(make_toy: MakeToy, settings: TrainSettings, tmp_path: Path) -> None:
    settings = replace(settings, epochs=0.3)
    model, task = make_toy()
    expected = train(model, task, settings, RunDirectory(tmp_path), quiet=True)
    again, _ = make_toy()
    unused = InterruptedTask(task, 0)
    assert train(again, unused, settings, RunDirectory(tmp_path), resume=True, quiet=True) == expected
    assert same_weights(again, model)


def test_the_best_model_is_kept_though_later_ones_are_worse(
    make_toy: MakeToy, settings: TrainSettings, tmp_path: Path
) -> None:
    """Judged by turned-round labels, the model gets worse the more it learns."""
    model, task = make_toy()
    task.dev = {"turned": [replace(example, label=2 - example.label) for example in task.dev["toy"]]}
    run = RunDirectory(tmp_path)
    summary = train(model, task, replace(settings, evaluations=19), run, quiet=True)
    judged = records(run, "evaluations.jsonl")
    assert judged[-1]["score"] < 0.15 < summary["best_score"]
    assert summary["best_step"] == max(judged, key=lambda record: record["score"])["step"] < summary["steps"]
    best = BertForSequenceClassification.from_pretrained(run.best)
    assert task.evaluate(best)["score"] == summary["best_score"]
    assert task.evaluate(model.eval())["score"] == judged[-1]["score"]


def test_the_best_model_is_chosen_by_macro_f1_rather_than_accuracy(
    make_toy: MakeToy, settings: TrainSettings, tmp_path: Path
) -> None:
    """Of two dev groups with nine in ten negative, the score follows what finds the rare class too."""
    model, task = make_toy()
    negatives = [example for example in task.dev["toy"] if example.label == 0]
    positives = [example for example in task.dev["toy"] if example.label == 2]
    task.dev = {"skewed": negatives[:27] + positives[:3]}
    with torch.no_grad():
        model.classifier.bias[0] = 3.0  # at first everything is called negative: 90% right, worthless
    run = RunDirectory(tmp_path)
    start = task.evaluate(model.eval())
    summary = train(model, task, settings, run, quiet=True)
    assert start["skewed_accuracy"] == pytest.approx(0.9)
    assert start["score"] == pytest.approx(start["skewed_macro_f1"])
    assert start["score"] < 0.5 < summary["best_score"]


def test_another_run_in_the_same_directory_is_refused(
    make_toy: MakeToy, settings: TrainSettings, tmp_path: Path
) -> None:
    model, task = make_toy()
    train(model, task, replace(settings, epochs=0.2), RunDirectory(tmp_path), quiet=True)
    summary = (tmp_path / "summary.json").read_text("utf-8")
    with pytest.raises(TrainingError, match="holds a run already"):
        train(*make_toy(), replace(settings, epochs=0.2), RunDirectory(tmp_path), quiet=True)
    changed = replace(settings, epochs=0.2, learning_rate=5e-4)
    with pytest.raises(TrainingError, match=r"settings differ: learning_rate \(was 0.003, now 0.0005\)"):
        train(*make_toy(), changed, RunDirectory(tmp_path), resume=True, quiet=True)
    assert (tmp_path / "summary.json").read_text("utf-8") == summary


def test_resuming_with_another_model_is_refused(make_toy: MakeToy, settings: TrainSettings, tmp_path: Path) -> None:
    settings = replace(settings, epochs=0.2)
    model, task = make_toy()
    train(model, task, settings, RunDirectory(tmp_path), quiet=True)
    other = BertForSequenceClassification(BertConfig.tiny(vocab_size=50), ["a", "b", "c"])
    with pytest.raises(TrainingError, match="another model"):
        train(other, task, settings, RunDirectory(tmp_path), resume=True, quiet=True)


def test_nothing_to_train_on_is_an_error(make_toy: MakeToy, settings: TrainSettings, tmp_path: Path) -> None:
    model, task = make_toy()
    task.train = []
    with pytest.raises(TrainingError, match="nothing to train on"):
        train(model, task, settings, RunDirectory(tmp_path), quiet=True)


@pytest.mark.parametrize("checkpoint_seconds", [0.0, 1e9])
def test_a_loss_that_is_no_number_stops_the_run_and_spoils_no_file(
    make_toy: MakeToy, settings: TrainSettings, tmp_path: Path, checkpoint_seconds: float
) -> None:
    model, task = make_toy()
    settings = replace(settings, learning_rate=1e30, warmup_share=0.0, checkpoint_seconds=checkpoint_seconds)
    run = RunDirectory(tmp_path)
    with pytest.raises(
        TrainingError, match=r"step \d+: the loss is not a number; lower the learning rate \(now 1e\+30\)"
    ):
        train(model, task, settings, run, quiet=True)
    assert not run.is_done
    saved = [load_file(str(file)) for file in tmp_path.rglob("*.safetensors")]
    assert len(saved) == (1 if checkpoint_seconds == 0 else 0)
    assert all(bool(tensor.float().isfinite().all()) for tensors in saved for tensor in tensors.values())
    assert all(math.isfinite(record["loss"]) for record in records(run, "log.jsonl")) if saved else True


def test_a_score_that_is_no_number_is_an_error(
    make_toy: MakeToy, settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, task = make_toy()
    monkeypatch.setattr(task, "evaluate", lambda model: {"score": float("nan")})
    with pytest.raises(TrainingError, match="the score of the dev parts is not a number"):
        train(model, task, replace(settings, epochs=0.2), RunDirectory(tmp_path), quiet=True)


def test_a_second_run_at_the_same_time_is_refused(make_toy: MakeToy, settings: TrainSettings, tmp_path: Path) -> None:
    with RunDirectory(tmp_path).locked(), pytest.raises(TrainingError, match="another run is at work here"):
        train(*make_toy(), settings, RunDirectory(tmp_path), quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_gradients_are_scaled_down_to_the_limit(make_toy: MakeToy, settings: TrainSettings, tmp_path: Path) -> None:
    """Below AdamW's epsilon a gradient moves nothing, so a limit far below it freezes the weights."""
    start, _ = make_toy()
    moves = {}
    for limit in (1e-14, 1.0):
        model, task = make_toy()
        changed = replace(settings, epochs=0.3, weight_decay=0.0, max_gradient_norm=limit)
        train(model, task, changed, RunDirectory(tmp_path / str(limit)), quiet=True)
        pairs = zip(start.parameters(), model.parameters(), strict=True)
        moves[limit] = max(float((a - b).detach().abs().max()) for a, b in pairs)
    assert moves[1e-14] < 1e-6
    assert moves[1.0] > 1e-3


@pytest.fixture
def threads() -> Iterator[int]:
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


def test_threads_are_taken_from_the_settings(
    make_toy: MakeToy, settings: TrainSettings, tmp_path: Path, threads: int
) -> None:
    model, task = make_toy()
    torch.set_num_threads(2)
    train(model, task, replace(settings, epochs=0.1, threads=1), RunDirectory(tmp_path), quiet=True)
    assert torch.get_num_threads() == 1
    assert json.loads((tmp_path / "environment.json").read_text("utf-8"))["threads"] == 1


def test_progress_goes_to_stderr_unless_quiet(
    make_toy: MakeToy, settings: TrainSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(settings, epochs=0.2, evaluations=1)
    model, task = make_toy()
    train(model, task, settings, RunDirectory(tmp_path / "told"))
    told = capsys.readouterr()
    assert "tokens/s" in told.err
    assert "toy_macro_f1" in told.err
    assert told.out == ""
    train(*make_toy(), settings, RunDirectory(tmp_path / "quiet"), quiet=True)
    assert capsys.readouterr() == ("", "")


def test_bf16_computes_in_half_width_and_keeps_single_weights(
    make_toy: MakeToy, settings: TrainSettings, tmp_path: Path
) -> None:
    model, task = make_toy()
    seen = set()
    model.bert.pooler.dense.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    train(model, task, replace(settings, epochs=0.1, precision="bf16"), RunDirectory(tmp_path), quiet=True)
    # Training computes in bf16; evaluation follows the task's own setting.
    assert torch.bfloat16 in seen
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_second_segment_reaches_the_network(make_toy: MakeToy) -> None:
    model, task = make_toy()
    model.eval()
    ids = [101, 7, 102, 8, 102]
    single, pair = (task.logits(model, [Example(ids, 0, None, second_at)])[0] for second_at in (None, 3))
    expected = model(torch.tensor([ids]), token_type_ids=torch.tensor([[0, 0, 0, 1, 1]])).logits[0]
    torch.testing.assert_close(torch.from_numpy(pair), expected.detach())
    assert abs(single - pair).max() > 1e-4
