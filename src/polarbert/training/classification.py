"""Fine-tuning a classifier of single texts or pairs (BERT, section 4.1), as a task of the loop."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from polarbert.errors import TrainingError
from polarbert.metrics import accuracy, macro_f1, macro_recall
from polarbert.model.heads import BertForSequenceClassification
from polarbert.text import WordPieceTokenizer
from polarbert.text.batches import plan_batches
from polarbert.training.batching import Batch, Example, collate
from polarbert.training.device import make_precision
from polarbert.training.settings import TrainSettings


@dataclass
class ClassificationTask:
    """Cross-entropy over the classes that each text's annotators could choose.

    Args:
        train: examples to learn from.
        dev: named groups of examples to judge by; the score is the mean of their macro-F1.
        classes: number of labels.
        tokenizer: saved beside the best model.
        settings: those that `training.loop.train` is given; batch size, seed and precision are taken from them.
        class_weights: (classes,) what a text of each class counts in the loss; None for 1 each.

    Raises:
        TrainingError: when a label is no class, there is nothing to judge by, or the weights do not fit.
    """

    train: Sequence[Example]
    dev: Mapping[str, Sequence[Example]]
    classes: int
    tokenizer: WordPieceTokenizer
    settings: TrainSettings
    class_weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if not self.dev or not all(self.dev.values()):
            raise TrainingError("there is nothing to judge by: give at least one dev group, and texts in each")
        for example in self._examples():
            if not 0 <= example.label < self.classes:
                raise TrainingError(f"an example has the label {example.label}; there are {self.classes} classes")
        if self.class_weights is not None and len(self.class_weights) != self.classes:
            raise TrainingError(f"there are {len(self.class_weights)} class weights for {self.classes} classes")

    def fingerprint(self) -> str:
        """Changes with anything that is learned from or judged by."""
        parts = [len(self.train), *((name, len(examples)) for name, examples in self.dev.items())]
        digest = hashlib.sha256(repr((self.classes, self.class_weights, parts)).encode("utf-8"))
        for example in self._examples():
            digest.update(np.asarray(example.ids, dtype="<i4").tobytes())
            digest.update(repr((example.label, example.choices, example.second_at)).encode("utf-8"))
        return digest.hexdigest()

    def batches_in_epoch(self, epoch: int, step: int = 0) -> list[list[int]]:  # noqa: ARG002 - the same at any step
        """The plan of one pass, another for each."""
        lengths = [len(example.ids) for example in self.train]
        return plan_batches(lengths, self.settings.batch_tokens, self.settings.seed * 1000 + epoch)

    def prepare(self, numbers: list[int]) -> list[Batch]:
        """The tensors of these examples."""
        return [collate([self.train[number] for number in numbers], self.classes, self.tokenizer.pad_id)]

    def losses(self, model: nn.Module, part: Batch, totals: Sequence[float]) -> dict[str, Tensor]:
        """Cross-entropy over the texts of a batch, weighted by class where asked for, divided by `totals`."""
        logits = model(part.input_ids, part.attention_mask, part.token_type_ids).logits.float()
        logits = logits.masked_fill(~part.allowed, float("-inf"))
        weights = None if self.class_weights is None else torch.tensor(self.class_weights, device=logits.device)
        # Not PyTorch's weighted mean: it divides by the weights in the batch, so a rare class alone would count as 1.
        losses = F.cross_entropy(logits, part.labels, weights, reduction="none")
        return {"cross_entropy": losses.sum() / totals[0]}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Accuracy, macro-F1 and macro-recall of each dev group; "score" is the mean macro-F1."""
        figures: dict[str, float] = {}
        for name, examples in self.dev.items():
            truth = np.array([example.label for example in examples])
            guess = self.logits(model, examples).argmax(1)
            figures[f"{name}_accuracy"] = accuracy(truth, guess)
            figures[f"{name}_macro_f1"] = macro_f1(truth, guess, self.classes)
            figures[f"{name}_macro_recall"] = macro_recall(truth, guess, self.classes)
        scores = [value for name, value in figures.items() if name.endswith("_macro_f1")]
        return {"score": float(np.mean(scores)), **figures}

    def logits(self, model: nn.Module, examples: Sequence[Example]) -> NDArray[np.float32]:
        """(examples, classes) logits in input order, minus infinity at classes that are no choice."""
        device = next(model.parameters()).device
        result = np.empty((len(examples), self.classes), dtype=np.float32)
        precision = make_precision(model, self.settings.precision)
        budget = 4 * self.settings.batch_tokens
        for numbers in plan_batches([len(e.ids) for e in examples], budget, seed=None):
            batch = collate([examples[n] for n in numbers], self.classes, self.tokenizer.pad_id).to(device)
            with torch.inference_mode(), precision():
                logits = model(batch.input_ids, batch.attention_mask, batch.token_type_ids).logits.float()
            result[numbers] = logits.masked_fill(~batch.allowed, float("-inf")).cpu().numpy()
        return result

    def save(self, model: nn.Module, path: str) -> None:
        """Weights, configuration and tokenizer in one directory."""
        cast(BertForSequenceClassification, model).save_pretrained(path)
        self.tokenizer.save(path)

    def _examples(self) -> Iterable[Example]:
        yield from self.train
        for examples in self.dev.values():
            yield from examples


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
