"""THE training loop. It knows steps, rates, checkpoints and scores; what a batch means is the task's."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from polarbert.errors import TrainingError
from polarbert.training.allocator import keep_freed_memory
from polarbert.training.checkpoint import Position, load_checkpoint, save_checkpoint
from polarbert.training.device import make_precision
from polarbert.training.optimizer import learning_rate, make_optimizer
from polarbert.training.progress import TrainingProgress
from polarbert.training.run import RunDirectory, saving
from polarbert.training.settings import TrainSettings

LOG_SECONDS = 5.0


class Task(Protocol):
    """What the loop asks of a task."""

    def fingerprint(self) -> str:
        """A digest of all data that the task learns from and is judged by; a resumed run must have the same."""

    def batches_in_epoch(self, epoch: int) -> list[list[int]]:
        """The plan of one pass: the numbers of the examples of each batch."""

    def loss(self, model: nn.Module, numbers: list[int]) -> tuple[Tensor, int]:
        """Mean loss of a batch and the number of its pieces."""

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Figures on the dev parts; "score" decides which model is best."""

    def save(self, model: nn.Module, path: str) -> None:
        """Write the model as a directory in the Hugging Face layout."""


def train(
    model: nn.Module,
    task: Task,
    settings: TrainSettings,
    run: RunDirectory,
    resume: bool = False,
    quiet: bool = False,
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

    Returns:
        The summary that is also written to summary.json.

    Raises:
        TrainingError: when the run cannot start or resume, another run is at work in the directory, the loss is not a
            number, or the disk is full.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    keep_freed_memory()
    with run.locked():
        if not run.has_begun:
            run.begin(settings.to_dict() | {"data": task.fingerprint()}, resume)
        torch.manual_seed(settings.seed)
        trainer = _Trainer(model, task, settings, run, quiet)
        if resume:
            trainer.go_back_to_checkpoint()
        trainer.train()
        summary = asdict(trainer.position) | {"steps": trainer.steps}
        run.write("summary.json", summary)
    return summary


class _Trainer:
    """A run in progress; arguments as for `train`."""

    def __init__(
        self, model: nn.Module, task: Task, settings: TrainSettings, run: RunDirectory, quiet: bool = False
    ) -> None:
        first = task.batches_in_epoch(0)
        if not first:
            raise TrainingError("there is nothing to train on")
        self.model = model
        self.task = task
        self.settings = settings
        self.run = run
        self.position = Position()
        self.steps = max(1, round(settings.epochs * len(first)))
        self._optimizer = make_optimizer(model, settings)
        self._precision = make_precision(model, settings.precision)
        self._progress = TrainingProgress(self.steps, quiet)

    def go_back_to_checkpoint(self) -> None:
        """Weights, optimizer, random numbers and position of the last checkpoint, where there is one."""
        self.position = load_checkpoint(self.run.checkpoint, self.model, self._optimizer) or Position()
        self.run.forget_after(self.position.step)

    def train(self) -> None:
        """All steps that are left, with evaluations, log lines and checkpoints on the way."""
        parts = self.settings.evaluations
        due = {max(1, round(self.steps * part / parts)) for part in range(1, parts + 1)}
        saved_at = logged_at = time.monotonic()
        logged, losses = replace(self.position), []
        with self._progress:
            for batch in self._batches():
                losses.append(self._step(batch))
                position, now = self.position, time.monotonic()
                to_save = position.step in due or now - saved_at >= self.settings.checkpoint_seconds
                if to_save or now - logged_at >= LOG_SECONDS:
                    seconds = position.seconds - logged.seconds  # of training alone
                    self._log(losses, (position.tokens - logged.tokens) / max(seconds, 1e-9))
                    losses, logged_at, logged = [], now, replace(position)
                if position.step in due:
                    self._evaluate()
                if to_save:
                    save_checkpoint(self.run.checkpoint, self.model, self._optimizer, position)
                    saved_at = time.monotonic()

    def _batches(self) -> Iterator[list[int]]:
        """The batches that are left, pass after pass; none once patience has run out."""
        done, epoch = 0, 0
        while done < self.steps:
            plan = self.task.batches_in_epoch(epoch)
            for batch in plan[: self.steps - done]:
                if done >= self.position.step:
                    if self._has_no_patience():
                        return
                    yield batch
                done += 1
            epoch += 1

    def _has_no_patience(self) -> bool:
        return self.settings.patience is not None and self.position.stale >= self.settings.patience

    def _step(self, batch: list[int]) -> Tensor:
        """One step of the optimizer; the loss of its batch."""
        started = time.monotonic()
        self.model.train()
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self.position.step, self.steps, self.settings)
        with self._precision():
            loss, tokens = self.task.loss(self.model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.max_gradient_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.position.step += 1
        self.position.tokens += tokens
        self.position.seconds += time.monotonic() - started
        return loss.detach()

    def _log(self, losses: list[Tensor], speed: float) -> None:
        step, mean = self.position.step, float(torch.stack(losses).mean())
        if not math.isfinite(mean):  # before anything is saved, so that the checkpoint stays a good one
            raise TrainingError(
                f"step {step}: the loss is not a number; lower the learning rate (now "
                f"{self.settings.learning_rate:g}) and start again in a new directory"
            )
        rate = self._optimizer.param_groups[0]["lr"]
        record = {"step": step, "loss": mean, "rate": rate, "tokens_per_second": round(speed)}
        self.run.append("log.jsonl", record)
        left = self.position.seconds / step * (self.steps - step)
        self._progress.update(step, mean, speed, left)

    def _evaluate(self) -> None:
        position = self.position
        self.model.eval()
        figures = self.task.evaluate(self.model)
        if not math.isfinite(figures["score"]):
            raise TrainingError(f"step {position.step}: the score of the dev parts is not a number; see their labels")
        is_best = figures["score"] > position.best_score
        self.run.append("evaluations.jsonl", {"step": position.step, **figures})
        self._progress.note(f"step {position.step:,}: {_shown(figures)}{'  (best so far)' if is_best else ''}")
        position.stale += 1
        if is_best:
            position.best_score, position.best_step, position.stale = figures["score"], position.step, 0
            with saving(self.run.best):
                self.task.save(self.model, str(self.run.best))
        elif self._has_no_patience():
            self._progress.note(f"{position.stale} evaluations without a better score: the run ends here")


def _shown(figures: dict[str, float]) -> str:
    """Figures on a line; the score is left out where another figure is the score."""
    is_repeated = list(figures.values()).count(figures["score"]) > 1
    named = {name: value for name, value in figures.items() if name != "score" or not is_repeated}
    return "  ".join(f"{name} {value:.4f}" for name, value in named.items())
