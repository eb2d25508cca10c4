"""THE training loop. It knows steps, rates, checkpoints and scores; what a batch means is the task's."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from polarbert.errors import TrainingError
from polarbert.training.allocator import keep_freed_memory
from polarbert.training.checkpoint import Position, load_checkpoint, save_checkpoint
from polarbert.training.optimizer import learning_rate, make_optimizer
from polarbert.training.progress import TrainingProgress
from polarbert.training.run import RunDirectory
from polarbert.training.settings import TrainSettings


class Task(Protocol):
    """What the loop asks of a task."""

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
        model: what to train, changed in place.
        task: batches, loss and evaluation.
        settings: how to train.
        run: where everything is written.
        resume: go on with the run that `run` holds.
        quiet: no progress on stderr.

    Returns:
        The summary that is also written to summary.json.

    Raises:
        TrainingError: when the run cannot start or resume, or the loss is not a number.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    keep_freed_memory()
    run.begin(settings.to_dict(), resume)
    torch.manual_seed(settings.seed)
    optimizer = make_optimizer(model, settings)
    position = (load_checkpoint(run.checkpoint, model, optimizer) if resume else None) or Position()
    first = task.batches_in_epoch(0)
    if not first:
        raise TrainingError("there is nothing to train on")
    steps = max(1, round(settings.epochs * len(first)))
    with TrainingProgress(steps, quiet) as progress:
        _steps(model, task, settings, run, optimizer, position, steps, progress)
    summary = asdict(position) | {"steps": steps}
    run.write("summary.json", summary)
    return summary


def _steps(
    model: nn.Module,
    task: Task,
    settings: TrainSettings,
    run: RunDirectory,
    optimizer: torch.optim.AdamW,
    position: Position,
    steps: int,
    progress: TrainingProgress,
) -> None:
    precision = make_precision(model, settings.precision)
    due = {max(1, round(steps * part / settings.evaluations)) for part in range(1, settings.evaluations + 1)}
    saved_at = logged_at = time.monotonic()
    losses: list[Tensor] = []
    logged_tokens = position.tokens
    for batch in _from(task, position.step, steps):
        started = time.monotonic()
        rate = learning_rate(position.step, steps, settings)
        loss, tokens = _step(model, task, batch, optimizer, rate, settings.max_gradient_norm, precision)
        losses.append(loss)
        position.step += 1
        position.tokens += tokens
        position.seconds += time.monotonic() - started
        now = time.monotonic()
        to_save = position.step in due or now - saved_at >= settings.checkpoint_seconds
        if to_save or now - logged_at >= 5:
            mean = float(torch.stack(losses).mean())
            if not math.isfinite(mean):  # before anything is saved, so that the checkpoint stays a good one
                raise TrainingError(f"step {position.step}: the loss is not a number; lower the learning rate")
            speed = (position.tokens - logged_tokens) / max(now - logged_at, 1e-9)
            record = {"step": position.step, "loss": mean, "rate": rate, "tokens_per_second": round(speed)}
            run.append("log.jsonl", record)
            progress.update(position.step, mean, speed, position.seconds / position.step * (steps - position.step))
            losses, logged_at, logged_tokens = [], now, position.tokens
        if position.step in due:
            _evaluate(model, task, run, position, progress)
        if to_save:
            save_checkpoint(run.checkpoint, model, optimizer, position)
            saved_at = time.monotonic()


def _from(task: Task, step: int, steps: int) -> Any:
    """The batches of steps `step` to `steps`, pass after pass."""
    done, epoch = 0, 0
    while done < steps:
        plan = task.batches_in_epoch(epoch)
        for batch in plan[: steps - done]:
            if done >= step:
                yield batch
            done += 1
        epoch += 1


def _step(
    model: nn.Module,
    task: Task,
    batch: list[int],
    optimizer: torch.optim.AdamW,
    rate: float,
    max_norm: float,
    precision: Any,
) -> tuple[Tensor, int]:
    model.train()
    for group in optimizer.param_groups:
        group["lr"] = rate
    with precision():
        loss, tokens = task.loss(model, batch)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.detach(), tokens


def _evaluate(model: nn.Module, task: Task, run: RunDirectory, position: Position, progress: TrainingProgress) -> None:
    model.eval()
    figures = task.evaluate(model)
    run.append("evaluations.jsonl", {"step": position.step, **figures})
    progress.note(f"step {position.step:,}: " + "  ".join(f"{k} {v:.4f}" for k, v in figures.items()))
    if figures["score"] > position.best_score:
        position.best_score, position.best_step = figures["score"], position.step
        task.save(model, str(run.best))


def make_precision(model: nn.Module, precision: str) -> Any:
    """A maker of contexts in which to compute: bf16 where asked for, or where the processor has it."""
    device = next(model.parameters()).device.type
    if precision == "auto":
        precision = "bf16" if has_bf16(device) else "fp32"
    if precision == "fp32":
        return nullcontext
    return lambda: torch.autocast(device, torch.bfloat16)


def has_bf16(device: str) -> bool:
    """True where bf16 matrix products are computed by the hardware rather than imitated."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
