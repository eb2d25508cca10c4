"""THE training loop. It knows steps, rates, checkpoints and scores; what a batch means is the task's."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any, Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn

from polarbert.errors import TrainingError
from polarbert.training.allocator import keep_freed_memory
from polarbert.training.checkpoint import Position, load_checkpoint, save_checkpoint
from polarbert.training.device import make_precision
from polarbert.training.optimizer import make_optimizer, set_pace
from polarbert.training.processes import Processes, unsynchronised
from polarbert.training.progress import TrainingProgress
from polarbert.training.run import RunDirectory, saving
from polarbert.training.settings import TrainSettings
from polarbert.training.sharding import is_sharded, whole_weights
from polarbert.training.transfer import TransferSettings

LOG_SECONDS = 5.0


class Part(Protocol):
    """What is computed at once: a batch, or as much of it as memory takes."""

    @property
    def tokens(self) -> int:
        """Its pieces without padding."""

    @property
    def counts(self) -> tuple[int, ...]:
        """How many terms each of its losses is a sum of: texts, hidden pieces, ..."""

    def to(self, device: torch.device) -> Self:
        """The same part on another device."""


PartOfTask = TypeVar("PartOfTask", bound=Part)


class Task(Protocol[PartOfTask]):
    """What the loop asks of a task."""

    def fingerprint(self) -> str:
        """A digest of all data that the task learns from and is judged by; a resumed run must have the same."""

    def batches_in_epoch(self, epoch: int, step: int) -> Sequence[list[int]]:
        """The plan of one pass: the numbers of the examples of each batch. `step` steps were done before it."""

    def prepare(self, numbers: list[int]) -> list[PartOfTask]:
        """The tensors of these examples, in parts that are computed one after another."""

    def losses(self, model: nn.Module, part: PartOfTask, totals: Sequence[float]) -> dict[str, Tensor]:
        """The losses of a part by name; their sum is learned from.

        Each is the sum over the part divided by its count in `totals`, those of the whole batch over all parts and
        processes: so the parts add up to the batch's mean, however it was divided.
        """

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Figures on the dev parts; "score" decides which model is best."""

    def save(self, model: nn.Module, path: str) -> None:
        """Write the model as a directory in the Hugging Face layout."""


def train(
    model: nn.Module,
    task: Task[PartOfTask],
    settings: TrainSettings,
    run: RunDirectory,
    resume: bool = False,
    quiet: bool = False,
    processes: Processes | None = None,
    transfer: TransferSettings | None = None,
) -> dict[str, Any]:
    """Train `model` on `task`; the best model by dev score ends in `run.best`.

    Killed at any moment and called again with `resume`, it goes on from the last checkpoint; with the same seed,
    threads and PyTorch build the weights end as they would have without the interruption.

    Args:
        model: what to train, on the device to train on; changed in place.
        task: batches, loss and evaluation.
        settings: how to train.
        run: where everything is written. It is begun here with the settings and the task's fingerprint, unless its
            owner has begun it with more than these.
        resume: go on with the run that `run` holds.
        quiet: no progress on stderr.
        processes: those that train together; None for this one alone.
        transfer: rates by layer and gradual unfreezing; None for one rate from the first step on. What else it holds
            was done to `model` and `task` before, see `polarbert.training.preparation`.

    Returns:
        The summary that is also written to summary.json.

    Raises:
        TrainingError: when the run cannot start or resume, another run is at work in the directory, the loss is not a
            number, or the disk is full.
    """
    processes, transfer = processes or Processes(), transfer or TransferSettings()
    if transfer.unfreeze and processes.size > 1:
        raise TrainingError("settings: [transfer] unfreeze works in one process alone; take it out, or train in one")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    keep_freed_memory()
    with run.locked():
        if not run.has_begun:
            run.begin(settings.to_dict() | transfer.to_dict() | {"data": task.fingerprint()}, resume)
        torch.manual_seed(settings.seed + processes.rank)
        trainer = _Trainer(model, task, settings, run, quiet, processes, transfer)
        if resume:
            trainer.go_back_to_checkpoint()
        trainer.train()
        outcome = asdict(trainer.position)
        summary = {name: value for name, value in outcome.items() if name not in ("epoch", "batch")}
        summary["steps"] = trainer.steps
        run.write("summary.json", summary)
    return summary


class _Trainer(Generic[PartOfTask]):
    """A run in progress; arguments as for `train`."""

    def __init__(
        self,
        model: nn.Module,
        task: Task[PartOfTask],
        settings: TrainSettings,
        run: RunDirectory,
        quiet: bool,
        processes: Processes,
        transfer: TransferSettings,
    ) -> None:
        self.model = model
        self.task = task
        self.settings = settings
        self.run = run
        self.position = Position()
        self.steps = settings.steps or self._steps_of(settings.epochs)
        self._processes = processes
        self._device = next(model.parameters()).device
        self._saved = copy.deepcopy(model).to("meta") if processes.sharding else model
        self._replica = processes.spread(model)
        self._optimizer = make_optimizer(model, settings, transfer)
        self._precision = make_precision(model, settings.precision)
        self._progress = TrainingProgress(self.steps, quiet or not processes.is_first)

    def _steps_of(self, epochs: float) -> int:
        first = self.task.batches_in_epoch(0, 0)
        if not first:
            raise TrainingError("there is nothing to train on")
        return max(1, round(epochs * len(first)))

    def go_back_to_checkpoint(self) -> None:
        """Weights, optimizer, random numbers and position of the last checkpoint, where there is one."""
        found = load_checkpoint(self.run.checkpoint, self.model, self._optimizer, self._processes)
        self.position = found or Position()
        self.run.forget_after(self.position.step)

    def train(self) -> None:
        """All steps that are left, with evaluations, log lines and checkpoints on the way."""
        parts = self.settings.evaluations
        due = {max(1, round(self.steps * part / parts)) for part in range(1, parts + 1)}
        saved_at = logged_at = time.monotonic()
        logged, losses = replace(self.position), _Means()
        with self._progress:
            for batch in self._batches():
                now = time.monotonic()
                wishes = now - saved_at >= self.settings.checkpoint_seconds, now - logged_at >= LOG_SECONDS
                to_save, to_log = self._step(batch, losses, wishes)
                position = self.position
                to_save = to_save or position.step in due
                if to_save or to_log:
                    seconds = position.seconds - logged.seconds  # of training alone
                    self._log(losses, (position.tokens - logged.tokens) / max(seconds, 1e-9))
                    losses, logged_at, logged = _Means(), time.monotonic(), replace(position)
                if position.step in due:
                    self._evaluate()
                if to_save:
                    self._save()
                    saved_at = time.monotonic()

    def _batches(self) -> Iterator[list[int]]:
        """The batches that are left, pass after pass; none once patience has run out."""
        position = self.position
        while position.step < self.steps:
            plan = self.task.batches_in_epoch(position.epoch, position.step - position.batch)
            if not plan:
                raise TrainingError("there is nothing to train on")
            for batch in plan[position.batch : position.batch + self.steps - position.step]:
                if self._has_no_patience():
                    return
                position.batch += 1
                yield batch
            if position.batch >= len(plan):
                position.epoch, position.batch = position.epoch + 1, 0

    def _has_no_patience(self) -> bool:
        return self.settings.patience is not None and self.position.stale >= self.settings.patience

    def _step(self, batch: list[int], losses: _Means, wishes: Sequence[bool]) -> list[bool]:
        """One step of the optimizer.

        Args:
            batch: the numbers of its examples, over all processes.
            losses: takes this process's share of the batch's losses.
            wishes: what is to be done after it, by this process's clock.

        Returns:
            What is to be done by the clock of process 0, so that all do it after the same step.
        """
        started = time.monotonic()
        self._replica.train()
        set_pace(self._optimizer, self.position.step, self.steps, self.settings)
        share = self._divide(batch, wishes)
        for number, (part, weight) in enumerate(share.parts, 1):
            with nullcontext() if number == len(share.parts) else unsynchronised(self._replica):
                losses.add(self._learn(part, share.totals, weight))
        losses.steps += 1
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.max_gradient_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.position.step += 1
        self.position.tokens += share.tokens
        self.position.seconds += time.monotonic() - started
        return share.wishes

    def _divide(self, batch: list[int], wishes: Sequence[bool]) -> _Share[PartOfTask]:
        """What this process computes of a batch, and what all have to know of each other, in one exchange."""
        own = self._processes.share(batch)
        # A batch of fewer examples than processes: those without one take part all the same, with nothing that counts.
        parts, weight = self.task.prepare(own or batch[:1]), float(bool(own))
        counted = [(part.tokens, *part.counts) for part in parts]
        sums = [weight * sum(column) for column in zip(*counted, strict=True)]
        asked = [float(wish and self._processes.is_first) for wish in wishes]
        found = self._processes.sum([*asked, *sums])
        agreed, (tokens, *totals) = found[: len(asked)], found[len(asked) :]
        weighted = [(part, weight) for part in parts]
        # Where each process holds a part of the network, all compute equally often, if need be what does not count.
        weighted += [(parts[-1], 0.0)] * (self._processes.most(len(parts)) - len(parts))
        return _Share(weighted, totals, int(tokens), [wish > 0 for wish in agreed])

    def _learn(self, part: PartOfTask, totals: Sequence[float], weight: float) -> dict[str, Tensor]:
        """Add the gradients of a part; its losses."""
        with self._precision():
            losses = self.task.losses(self._replica, part.to(self._device), totals)
        # Gradients are averaged over the processes, but the totals are already those of all: the sum is wanted.
        (torch.stack(list(losses.values())).sum() * (weight * self._processes.size)).backward()
        return {name: loss.detach() * weight for name, loss in losses.items()}

    def _log(self, losses: _Means, speed: float) -> None:
        step, means = self.position.step, losses.over(self._processes)
        mean = sum(means.values())
        if not math.isfinite(mean):  # before anything is saved, so that the checkpoint stays a good one
            raise TrainingError(
                f"step {step}: the loss is not a number; lower the learning rate (now "
                f"{self.settings.learning_rate:g}) and start again in a new directory"
            )
        rate = self._optimizer.param_groups[0]["lr"]
        named = means if len(means) > 1 else {}
        self.run.append(
            "log.jsonl", {"step": step, "loss": mean, **named, "rate": rate, "tokens_per_second": round(speed)}
        )
        left = self.position.seconds / step * (self.steps - step)
        self._progress.update(step, mean, speed, left)

    def _evaluate(self) -> None:
        position = self.position
        self.model.eval()
        own = self.task.evaluate(self.model)
        figures = dict(zip(own, self._processes.of_first(list(own.values())), strict=True))
        if not math.isfinite(figures["score"]):
            raise TrainingError(f"step {position.step}: the score of the dev parts is not a number; see their labels")
        is_best = figures["score"] > position.best_score
        self.run.append("evaluations.jsonl", {"step": position.step, **figures})
        self._progress.note(f"step {position.step:,}: {_shown(figures)}{'  (best so far)' if is_best else ''}")
        position.stale += 1
        if is_best:
            position.best_score, position.best_step, position.stale = figures["score"], position.step, 0
            self._save_best()
        elif self._has_no_patience():
            self._progress.note(f"{position.stale} evaluations without a better score: the run ends here")

    def _save_best(self) -> None:
        if is_sharded(self.model):  # its parts are gathered into a network that is whole, and has no memory till then
            self._saved.load_state_dict(whole_weights(self.model), assign=True)
        if self._processes.is_first:
            with saving(self.run.best):
                self.task.save(self._saved, str(self.run.best))

    def _save(self) -> None:
        keep = self.settings.keep_checkpoints
        save_checkpoint(self.run.checkpoint, self.model, self._optimizer, self.position, keep, self._processes)


@dataclass(frozen=True)
class _Share(Generic[PartOfTask]):
    """A batch as this process sees it.

    Attributes:
        parts: what it computes, each with a weight: 0 for what is computed for company alone.
        totals: the counts of the whole batch.
        tokens: its pieces, over all processes.
        wishes: what process 0 wants done after the step.
    """

    parts: list[tuple[PartOfTask, float]]
    totals: list[float]
    tokens: int
    wishes: list[bool]


class _Means:
    """Losses of the steps since the last line of the log, this process's share of them."""

    def __init__(self) -> None:
        self.steps = 0
        self._sums: dict[str, Tensor] = {}

    def add(self, losses: dict[str, Tensor]) -> None:
        """Count in a part of a step."""
        self._sums = {name: self._sums.get(name, 0.0) + loss for name, loss in losses.items()}

    def over(self, processes: Processes) -> dict[str, float]:
        """Means over the steps, of all processes."""
        sums = processes.sum([float(value) for value in self._sums.values()])
        return {name: value / self.steps for name, value in zip(self._sums, sums, strict=True)}


def _shown(figures: dict[str, float]) -> str:
    """Figures on a line; the score is left out where another figure is the score."""
    is_repeated = list(figures.values()).count(figures["score"]) > 1
    named = {name: value for name, value in figures.items() if name != "score" or not is_repeated}
    return "  ".join(f"{name} {value:.4f}" for name, value in named.items())
