"""Fine-tuning a classifier of single texts or pairs (BERT, section 4.1), as a task of the loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from polarbert.metrics import accuracy, macro_f1, macro_recall
from polarbert.model.heads import BertForSequenceClassification
from polarbert.text import WordPieceTokenizer
from polarbert.text.batches import plan_batches
from polarbert.training.batching import Example, collate
from polarbert.training.loop import make_precision


@dataclass
class ClassificationTask:
    """Cross-entropy over the classes that each text's annotators could choose.

    Args:
        train: examples to learn from.
        dev: named groups of examples to judge by; the score is the mean of their macro-F1.
        classes: number of labels.
        tokenizer: saved beside the best model.
        batch_tokens: most pieces in a batch.
        seed: of the batch order.
        precision: for evaluation, as in `TrainSettings`.
    """

    train: Sequence[Example]
    dev: Mapping[str, Sequence[Example]]
    classes: int
    tokenizer: WordPieceTokenizer
    batch_tokens: int
    seed: int
    precision: str = "auto"

    def batches_in_epoch(self, epoch: int) -> list[list[int]]:
        """The plan of one pass, another for each."""
        return plan_batches([len(e.ids) for e in self.train], self.batch_tokens, self.seed * 1000 + epoch)

    def loss(self, model: nn.Module, numbers: list[int]) -> tuple[Tensor, int]:
        """Mean cross-entropy of a batch, and its pieces without padding."""
        examples = [self.train[number] for number in numbers]
        batch = collate(examples, self.classes, self.tokenizer.pad_id).to(next(model.parameters()).device)
        logits = model(batch.input_ids, batch.attention_mask, batch.token_type_ids).logits.float()
        logits = logits.masked_fill(~batch.allowed, float("-inf"))
        return F.cross_entropy(logits, batch.labels), sum(len(example.ids) for example in examples)

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
        precision = make_precision(model, self.precision)
        for numbers in plan_batches([len(e.ids) for e in examples], 4 * self.batch_tokens, seed=None):
            batch = collate([examples[n] for n in numbers], self.classes, self.tokenizer.pad_id).to(device)
            with torch.inference_mode(), precision():
                logits = model(batch.input_ids, batch.attention_mask, batch.token_type_ids).logits.float()
            result[numbers] = logits.masked_fill(~batch.allowed, float("-inf")).cpu().numpy()
        return result

    def save(self, model: nn.Module, path: str) -> None:
        """Weights, configuration and tokenizer in one directory."""
        cast(BertForSequenceClassification, model).save_pretrained(path)
        self.tokenizer.save(path)
