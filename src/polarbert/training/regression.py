"""Fine-tuning a network that gives texts or pairs a number (BERT, section 4.1: STS-B), as a task of the loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polarbert.calibration import Calibration
from polarbert.data.dataset import Dataset, LabelledText
from polarbert.errors import DataError
from polarbert.export.texts import own_pairs, own_texts
from polarbert.inference.classifier import Regressor
from polarbert.inference.prediction import Rating
from polarbert.inference.rating_evaluation import RatingEvaluation, judge_ratings, value_of
from polarbert.inference.text_predictor import TextPair
from polarbert.metrics import pearson, spearman
from polarbert.model.heads import BertForSequenceClassification
from polarbert.training.base import Base
from polarbert.training.batching import Batch
from polarbert.training.examples import EncodedTexts, encode_rows
from polarbert.training.recipe import FineTuneSettings
from polarbert.training.settings import TrainSettings
from polarbert.training.text_task import TextTask


@dataclass
class RegressionTask(TextTask):
    """Mean squared error to the labels, in units of their standard deviation.

    The network learns labels of mean 0 and deviation 1, whatever their own: so new output layers of a small scale, and
    the usual rates, suit all. What is saved answers in the labels' units. The score is the mean of Pearson's and
    Spearman's correlation (GLUE's measure of STS-B), averaged over the dev groups.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        values = np.array([example.value for example in self.train])
        self._mean, self._deviation = float(values.mean()), max(float(values.std()), 1e-9)

    def fingerprint(self) -> str:
        """Changes with anything that is learned from or judged by."""
        return self.digest("regression")

    def losses(self, model: nn.Module, part: Batch, totals: Sequence[float]) -> dict[str, Tensor]:
        """Squared errors of a batch, divided by `totals`."""
        logits = model(part.input_ids, part.attention_mask, part.token_type_ids).logits.float()
        wanted = (part.values - self._mean) / self._deviation
        return {"squared_error": F.mse_loss(logits[:, 0], wanted, reduction="sum") / totals[0]}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Correlations and the mean absolute error of each dev group; a correlation that does not exist counts as 0."""
        figures: dict[str, float] = {}
        scores = []
        for name, examples in self.dev.items():
            truth = np.array([example.value for example in examples])
            given = self.logits(model, examples)[:, 0].astype(np.float64) * self._deviation + self._mean
            found = [float(np.nan_to_num(measure(truth, given))) for measure in (pearson, spearman)]
            figures |= {f"{name}_pearson": found[0], f"{name}_spearman": found[1]}
            figures[f"{name}_mean_error"] = float(np.abs(truth - given).mean())
            scores.append(sum(found) / 2)
        return {"score": float(np.mean(scores)), **figures}

    def save(self, model: nn.Module, path: str) -> None:
        """As `TextTask.save`, with an output layer that answers in the labels' units."""
        with self._in_own_units(cast(BertForSequenceClassification, model).classifier):
            super().save(model, path)

    @contextmanager
    def _in_own_units(self, layer: nn.Linear) -> Iterator[None]:
        kept = layer.weight.detach().clone(), layer.bias.detach().clone()
        with torch.no_grad():
            layer.weight.mul_(self._deviation)
            layer.bias.mul_(self._deviation).add_(self._mean)
            try:
                yield
            finally:  # bit for bit as they were: the run goes on with them
                layer.weight.copy_(kept[0])
                layer.bias.copy_(kept[1])


class RegressionKind:
    """Numbers of texts or pairs, as fine-tuning takes them; see `polarbert.training.kinds.Kind`."""

    measure = "mean of Pearson and Spearman"

    def __init__(self, dataset: Dataset, base: Base, settings: FineTuneSettings) -> None:
        self._base = base
        self._settings = settings
        self._reads_pairs = dataset.rows[0].pair is not None
        self.traits: tuple[str, ...] = ("pairs",) if self._reads_pairs else ()
        if len({value_of(row) for row in dataset.rows}) < 2:
            raise DataError(f"{dataset.name}: every label is {value_of(dataset.rows[0]):g}; there is nothing to learn")

    def encode(self, rows: Sequence[LabelledText]) -> EncodedTexts:
        """See `Kind.encode`."""
        return encode_rows(rows, self._base.tokenizer, self._base.longest(self._settings.max_pieces))

    def task(self, learned: EncodedTexts, judging: EncodedTexts, training: TrainSettings) -> RegressionTask:
        """See `Kind.task`."""
        return RegressionTask(learned.examples, {"dev": judging.examples}, 1, self._base.tokenizer, training)

    def asked(self, rows: Sequence[LabelledText]) -> list[TextPair]:
        """See `Kind.asked`."""
        return [(row.text, row.pair) for row in rows]

    def truth(self, rows: Sequence[LabelledText]) -> list[list[float]]:
        """See `Kind.truth`."""
        return [[value_of(row)] for row in rows]

    def own_inputs(self) -> list[TextPair]:
        """See `Kind.own_inputs`."""
        return own_pairs() if self._reads_pairs else [(text, None) for text in own_texts()]

    def fit(self, predictor: Regressor, rows: Sequence[LabelledText], target: float) -> Calibration | None:  # noqa: ARG002
        """A number has no confidence, so there is nothing to fit."""
        return None

    def judge(
        self,
        dataset: Dataset,
        answers: Sequence[Rating],
        predictor: Regressor,  # noqa: ARG002
        seconds: float,
    ) -> RatingEvaluation:
        """See `Kind.judge`."""
        return judge_ratings(dataset, answers, seconds=seconds)

    def shown(self, dev: Mapping[str, float]) -> dict[str, float]:
        """See `Kind.shown`."""
        return {"Pearson": dev["dev_pearson"], "Spearman": dev["dev_spearman"]}
