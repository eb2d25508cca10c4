"""Fine-tuning a classifier of single texts or pairs (BERT, section 4.1), as a task of the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polarbert.calibration import Calibration
from polarbert.data.dataset import Dataset, LabelledText
from polarbert.errors import TrainingError
from polarbert.export.texts import own_pairs, own_texts, with_aspects
from polarbert.inference.classifier import TextClassifier
from polarbert.inference.evaluate import evaluate_predictions
from polarbert.inference.evaluation import Evaluation
from polarbert.inference.prediction import Prediction
from polarbert.inference.text_predictor import TextPair
from polarbert.metrics import Classes, accuracy, macro_f1, macro_recall, matthews
from polarbert.training.base import Base
from polarbert.training.batching import Batch
from polarbert.training.confidence import fit_calibration
from polarbert.training.examples import EncodedTexts, encode_rows
from polarbert.training.recipe import FineTuneSettings
from polarbert.training.settings import TrainSettings
from polarbert.training.text_task import TextTask

COMPUTE: dict[str, Callable[[Classes, Classes, int], float]] = {
    "accuracy": lambda truth, guess, _classes: accuracy(truth, guess),
    "macro_f1": macro_f1,
    "macro_recall": macro_recall,
    "matthews": matthews,
}
MEASURES = {"macro_f1": "macro-F1", "accuracy": "accuracy", "macro_recall": "macro-recall", "matthews": "Matthews"}


@dataclass
class ClassificationTask(TextTask):
    """Cross-entropy over the classes that each text's annotators could choose.

    Args:
        class_weights: (classes,) what a text of each class counts in the loss; None for 1 each.
        select_by: the figure whose mean over the dev groups is the score: one of `MEASURES`.

    Raises:
        TrainingError: when a label is no class, there is nothing to judge by, or the weights do not fit.
    """

    class_weights: Sequence[float] | None = None
    select_by: str = "macro_f1"

    def __post_init__(self) -> None:
        super().__post_init__()
        for example in self.examples():
            if not 0 <= example.label < self.classes:
                raise TrainingError(f"an example has the label {example.label}; there are {self.classes} classes")
            if example.shares is not None and len(example.shares) != self.classes:
                raise TrainingError(f"an example has {len(example.shares)} shares; there are {self.classes} classes")
        if self.class_weights is not None and len(self.class_weights) != self.classes:
            raise TrainingError(f"there are {len(self.class_weights)} class weights for {self.classes} classes")

    def fingerprint(self) -> str:
        """Changes with anything that is learned from or judged by."""
        chosen = () if self.select_by == "macro_f1" else (self.select_by,)
        return self.digest(self.class_weights, *chosen)

    def losses(self, model: nn.Module, part: Batch, totals: Sequence[float]) -> dict[str, Tensor]:
        """Cross-entropy over the texts of a batch, weighted by class where asked for, divided by `totals`."""
        logits = model(part.input_ids, part.attention_mask, part.token_type_ids).logits.float()
        logits = logits.masked_fill(~part.allowed, float("-inf"))
        weights = None if self.class_weights is None else torch.tensor(self.class_weights, device=logits.device)
        # Not PyTorch's weighted mean: it divides by the weights in the batch, so a rare class alone would count as 1.
        losses = F.cross_entropy(logits, part.labels, weights, reduction="none")
        if part.shares is not None:
            losses = _soft_cross_entropy(logits, part.shares, weights)
        return {"cross_entropy": losses.sum() / totals[0]}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """The figures of `MEASURES` for each dev group; "score" is the mean of that which is selected by."""
        figures: dict[str, float] = {}
        for name, examples in self.dev.items():
            truth = np.array([example.label for example in examples])
            guess = self.logits(model, examples).argmax(1)
            figures |= {
                f"{name}_{measure}": compute(truth, guess, self.classes) for measure, compute in COMPUTE.items()
            }
        scores = [figures[f"{name}_{self.select_by}"] for name in self.dev]
        return {"score": float(np.mean(scores)), **figures}


def _soft_cross_entropy(logits: Tensor, shares: Tensor, weights: Tensor | None) -> Tensor:
    """(B,) cross-entropy with the shares of all classes; a class that is no choice has none, and counts nothing."""
    surprise = -F.log_softmax(logits, dim=-1).masked_fill(shares == 0, 0.0)
    return (surprise * (shares if weights is None else shares * weights)).sum(-1)


class ClassificationKind:
    """Classes of texts or pairs, as fine-tuning takes them; see `polarbert.training.kinds.Kind`."""

    def __init__(self, dataset: Dataset, base: Base, settings: FineTuneSettings) -> None:
        is_of_aspects = dataset.task == "sentiment" and any(row.pair is not None for row in dataset.rows)
        self.traits: tuple[str, ...] = ("aspects",) if is_of_aspects else ()
        self.measure = MEASURES[settings.select_by]
        self._labels = dataset.labels
        self._reads_pairs = dataset.task == "pair"
        self._base = base
        self._settings = settings

    def encode(self, rows: Sequence[LabelledText]) -> EncodedTexts:
        """See `Kind.encode`."""
        return encode_rows(rows, self._base.tokenizer, self._base.longest(self._settings.max_pieces))

    def task(self, learned: EncodedTexts, judging: EncodedTexts, training: TrainSettings) -> ClassificationTask:
        """See `Kind.task`."""
        classes, labels = len(self._labels), [example.label for example in learned.examples]
        weights = inverse_frequencies(labels, classes) if self._settings.class_weights else None
        dev, tokenizer = {"dev": judging.examples}, self._base.tokenizer
        select_by = self._settings.select_by
        return ClassificationTask(learned.examples, dev, classes, tokenizer, training, weights, select_by)

    def asked(self, rows: Sequence[LabelledText]) -> list[TextPair]:
        """See `Kind.asked`."""
        return [(row.text, row.pair) for row in rows]

    def truth(self, rows: Sequence[LabelledText]) -> list[list[int]]:
        """See `Kind.truth`."""
        return [[row.label] for row in rows]

    def own_inputs(self) -> list[TextPair]:
        """See `Kind.own_inputs`."""
        if self._reads_pairs:
            return own_pairs()
        return with_aspects(own_texts()) if self.traits else [(text, None) for text in own_texts()]

    def fit(self, predictor: TextClassifier, rows: Sequence[LabelledText], target: float) -> Calibration:
        """See `Kind.fit`."""
        answers = predictor.answer(self.asked(rows))
        chances = np.array([list(answer.probabilities.values()) for answer in answers])
        return fit_calibration(chances, np.array([row.label for row in rows]), target)

    def judge(
        self, dataset: Dataset, answers: Sequence[Prediction], predictor: TextClassifier, seconds: float
    ) -> Evaluation:
        """See `Kind.judge`."""
        return evaluate_predictions(dataset, answers, predictor.labels, predictor.unsure_below, seconds=seconds)

    def shown(self, dev: Mapping[str, float]) -> dict[str, float]:
        """See `Kind.shown`."""
        first = self._settings.select_by
        return {MEASURES[name]: dev[f"dev_{name}"] for name in dict.fromkeys((first, "macro_f1", "accuracy"))}


def inverse_frequencies(labels: Sequence[int], classes: int) -> list[float]:
    """Class weights that let each class count the same in sum, and a text 1 on average.

    Args:
        labels: class numbers of the training texts.
        classes: number of labels; one that does not occur gets 0.

    Example:
        >>> inverse_frequencies([0, 0, 0, 1], 2)
        [0.6666666666666666, 2.0]
    """
    counts = np.bincount(labels, minlength=classes)
    present = np.count_nonzero(counts)
    return [float(len(labels) / (present * count)) if count else 0.0 for count in counts]
