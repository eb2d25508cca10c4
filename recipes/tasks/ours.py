"""The first contender: the loop and the kinds of task of Polarbert, from rows to answers."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from recipes.tasks import judging
from recipes.tasks.contest import Budget, Outcome
from recipes.tasks.sets import LabelledSet, Parts
from torch import Tensor, nn

from polarbert.model.heads import BertWithHead
from polarbert.model.kinds import head_of
from polarbert.training.base import Base
from polarbert.training.kinds import Kind
from polarbert.training.loop import Task, train
from polarbert.training.question_answering import QuestionAnsweringTask
from polarbert.training.run import RunDirectory
from polarbert.training.tagging import TaggingTask
from polarbert.training.text_task import TextTask


@dataclass
class Watched:
    """A task whose answers to the dev part are judged as those of any contender; its models are not saved.

    Args:
        task: of the project.
        chosen: the set.
        parts: what is learned from and what judges.
        evaluations: takes the figures of each evaluation.
        answers: the last ones.
    """

    task: Task[Any]
    chosen: LabelledSet
    parts: Parts
    evaluations: list[dict[str, float]] = field(default_factory=list)
    answers: Sequence[Any] = ()

    def fingerprint(self) -> str:
        """The task's."""
        return self.task.fingerprint()

    def batches_in_epoch(self, epoch: int, step: int) -> Sequence[list[int]]:
        """The task's plan."""
        return self.task.batches_in_epoch(epoch, step)

    def prepare(self, numbers: list[int]) -> list[Any]:
        """The task's parts."""
        return self.task.prepare(numbers)

    def losses(self, model: nn.Module, part: Any, totals: Sequence[float]) -> dict[str, Tensor]:
        """The task's losses."""
        return self.task.losses(model, part, totals)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """All figures; "score" is the set's own measure."""
        self.answers = answer(self.task, model)
        found = judging.figures(self.parts.dev, self.answers, self.chosen.positive)
        self.evaluations.append(found)
        return {"score": found[self.chosen.measure], **found}

    def save(self, model: nn.Module, path: str) -> None:
        """Nothing: what counts are the answers."""


def answer(task: Task[Any], model: nn.Module) -> list[Any]:
    """The answers of a network in training to the dev part, one a row, as `judging` takes them."""
    if isinstance(task, TaggingTask):
        found = task.tags(model, task.dev["dev"])
        return [found[text] for text in sorted(found)]
    if isinstance(task, QuestionAnsweringTask):
        return list(task.answers(model, task.judged["dev"]))
    texts = cast(TextTask, task)
    logits = texts.logits(model, texts.dev["dev"])
    # Of a regression in the loop's own units: correlations are the same in any.
    return list(logits[:, 0].tolist() if texts.classes == 1 else logits.argmax(1).tolist())


def new_model(chosen: LabelledSet, parts: Parts, base: Base, seed: int) -> BertWithHead:
    """The base's encoder under a new output layer."""
    torch.manual_seed(seed)
    return head_of(chosen.task).from_encoder(base.path, parts.train.labels)


def fine_tune(chosen: LabelledSet, parts: Parts, base: Base, kind: Kind, budget: Budget) -> Outcome:
    """Learn a set and answer its dev part."""
    settings = budget.settings()
    task = kind.task(kind.encode(parts.train.rows), kind.encode(parts.dev.rows), settings)
    watched = Watched(task, chosen, parts)
    model = new_model(chosen, parts, base, budget.seed).to(budget.device)
    with tempfile.TemporaryDirectory() as room:
        summary = train(model, watched, settings, RunDirectory(room), quiet=True)
    rows = judging.statistics(parts.dev, watched.answers, chosen.positive)
    return Outcome(watched.evaluations, rows, summary["steps"], summary["tokens"], summary["seconds"])
