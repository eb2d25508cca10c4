"""The kinds of task that an encoder is fine-tuned for (BERT, figure 4): what differs, in one place each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from polarbert.calibration import Calibration
from polarbert.data.dataset import Dataset, LabelledText
from polarbert.metrics import Estimate
from polarbert.training.base import Base
from polarbert.training.classification import ClassificationKind
from polarbert.training.examples import EncodedTexts
from polarbert.training.loop import Task
from polarbert.training.question_answering import QuestionAnsweringKind
from polarbert.training.recipe import FineTuneSettings
from polarbert.training.regression import RegressionKind
from polarbert.training.settings import TrainSettings
from polarbert.training.tagging import TaggingKind


class Judgement(Protocol):
    """An evaluation of any kind of task."""

    @property
    def name(self) -> str:
        """Of the data."""

    @property
    def n(self) -> int:
        """Rows judged."""

    def headline(self) -> dict[str, Estimate]:
        """The main figures by name, the most important one first."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""

    def text(self, width: int = 100) -> str:
        """For a terminal."""


class Kind(Protocol):
    """What fine-tuning asks of a kind of task; made from the dataset, the base and the settings."""

    measure: str
    """What the dev score is called."""
    traits: tuple[str, ...]
    """Of the bundle, see `polarbert.bundle.Bundle`."""

    def encode(self, rows: Sequence[LabelledText]) -> EncodedTexts:
        """What the network reads of these rows in training."""

    def task(self, learned: EncodedTexts, judging: EncodedTexts, training: TrainSettings) -> Task[Any]:
        """The task of the loop."""

    def asked(self, rows: Sequence[LabelledText]) -> list[Any]:
        """The predictor's inputs."""

    def truth(self, rows: Sequence[LabelledText]) -> Sequence[Sequence[float]]:
        """What is right of each row, one number for each unit of `Predictor.distributions`."""

    def own_inputs(self) -> list[Any]:
        """Inputs of our own, to compare graphs on where a dataset is small."""

    def fit(self, predictor: Any, rows: Sequence[LabelledText], target: float) -> Calibration | None:
        """Temperature and unsure threshold, so that the share `target` of the sure answers is right.

        Args:
            predictor: that answers without a temperature or a threshold.
            rows: the model was not trained on.
            target: wanted share of right answers.

        Returns:
            Both numbers; None where answers have no confidence.
        """

    def judge(self, dataset: Dataset, answers: Sequence[Any], predictor: Any, seconds: float) -> Judgement:
        """The answers to a dataset compared with its truth."""

    def shown(self, dev: Mapping[str, float]) -> dict[str, float]:
        """The dev figures for people, the score or what it is made of first."""


KINDS: dict[str, Callable[[Dataset, Base, FineTuneSettings], Kind]] = {
    "sentiment": ClassificationKind,
    "classification": ClassificationKind,
    "pair": ClassificationKind,
    "regression": RegressionKind,
    "tagging": TaggingKind,
    "qa": QuestionAnsweringKind,
}


def kind_of(dataset: Dataset, base: Base, settings: FineTuneSettings) -> Kind:
    """The kind of task that a dataset is for.

    Raises:
        DataError: when there is nothing to learn in it.
    """
    return KINDS[dataset.task](dataset, base, settings)
