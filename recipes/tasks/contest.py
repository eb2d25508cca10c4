"""What the contenders share: the budget, and what comes out of a run."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean

import torch
from recipes.tasks import judging
from recipes.tasks.sets import LabelledSet, Parts

from polarbert.data.dataset import Dataset, LabelledText
from polarbert.inference.tagged_rows import as_tagged
from polarbert.training.base import Base
from polarbert.training.device import choose_device, choose_precision
from polarbert.training.kinds import Kind, kind_of
from polarbert.training.pace import adapt
from polarbert.training.recipe import FineTuneSettings
from polarbert.training.settings import TrainSettings


@dataclass(frozen=True)
class Budget:
    """What every contender has to do with.

    Attributes:
        passes: over the rows to learn from.
        evaluations: how often the dev part is judged, the last time after the last step.
        batch_tokens: most pieces in a batch of Polarbert's.
        batch: as many rows, or windows of long ones, come to about these pieces.
        learning_rate: its peak.
        max_pieces: most pieces that are read at once.
        overlap: pieces that neighbouring windows of a passage share.
        precision: "bf16" or "fp32".
        device: "cpu" or "cuda".
        seed: of new layers, order and dropout.
        warmup_share: of the steps in which Polarbert's rate climbs.
    """

    passes: float
    evaluations: int
    batch_tokens: int
    batch: int
    learning_rate: float
    max_pieces: int
    overlap: int
    precision: str
    device: str
    seed: int
    warmup_share: float = TrainSettings.warmup_share

    def settings(self) -> TrainSettings:
        """For the loop."""
        return TrainSettings(
            epochs=self.passes,
            batch_tokens=self.batch_tokens,
            learning_rate=self.learning_rate,
            evaluations=self.evaluations,
            precision=self.precision,
            seed=self.seed,
            warmup_share=self.warmup_share,
            checkpoint_seconds=1e9,
        )


@dataclass
class Outcome:
    """A run.

    Attributes:
        evaluations: all figures of each evaluation, in order.
        rows: `judging.statistics` of the answers after the last step.
        steps: of the optimizer.
        tokens: pieces that were learned from, padding not counted.
        seconds: of the steps alone.
    """

    evaluations: list[dict[str, float]]
    rows: judging.Floats
    steps: int
    tokens: int
    seconds: float

    def best(self, measure: str) -> dict[str, float]:
        """The figures of the evaluation that is best by one of them."""
        return max(self.evaluations, key=lambda found: found[measure])

    @property
    def last(self) -> dict[str, float]:
        """The figures after the last step."""
        return self.evaluations[-1]


def make_kind(chosen: LabelledSet, dataset: Dataset, base: Base) -> Kind:
    """The project's own kind of task for a set."""
    select_by = chosen.measure if chosen.measure in ("accuracy", "macro_f1", "matthews") else "accuracy"
    return kind_of(dataset, base, FineTuneSettings(select_by=select_by))


def make_budget(kind: Kind, parts: Parts, base: Base, passes: float, seed: int, device: str = "auto") -> Budget:
    """Batches and rate as `polarbert train` would choose them for these rows, with a given number of passes."""
    encoded = kind.encode(parts.train.rows)
    usual = TrainSettings(epochs=passes)
    training = adapt(usual, encoded.pieces, base.config.hidden_size)
    longest = base.longest(FineTuneSettings().max_pieces)
    where = choose_device(device).type
    return Budget(
        passes=passes,
        evaluations=max(1, round(passes)),
        batch_tokens=training.batch_tokens,
        batch=max(1, round(training.batch_tokens / mean(len(example.ids) for example in encoded.examples))),
        learning_rate=training.learning_rate,
        max_pieces=longest,
        overlap=longest // 4,
        precision=choose_precision("auto", where),
        device=where,
        seed=seed,
    )


def words_of(row: LabelledText) -> list[str]:
    """The words of a tagged text."""
    tagged = as_tagged(row)
    return [row.text[start:end] for start, end in tagged.words]


def wait_for(device: str) -> None:
    """Wait until a device has done what it was told, so that the time is that of the work."""
    if device == "cuda":
        torch.cuda.synchronize()
