"""What tasks with one answer a text, or a pair of texts, share: batches, logits, saving."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from polarbert.errors import TrainingError
from polarbert.model.heads import BertWithHead
from polarbert.text import WordPieceTokenizer
from polarbert.text.batches import draw_batches, plan_batches
from polarbert.training.batching import Batch, Example, collate
from polarbert.training.device import make_precision
from polarbert.training.settings import TrainSettings


@dataclass
class TextTask:
    """Examples to learn from and to judge by; what is lost and what is scored, a kind of task says.

    Args:
        train: examples to learn from.
        dev: named groups of examples to judge by.
        classes: number of logits.
        tokenizer: saved beside the best model.
        settings: those that `training.loop.train` is given; batch size, seed and precision are taken from them.

    Raises:
        TrainingError: when there is nothing to judge by.
    """

    train: Sequence[Example]
    dev: Mapping[str, Sequence[Example]]
    classes: int
    tokenizer: WordPieceTokenizer
    settings: TrainSettings

    def __post_init__(self) -> None:
        if not self.dev or not all(self.dev.values()):
            raise TrainingError("there is nothing to judge by: give at least one dev group, and texts in each")

    def digest(self, *rest: object) -> str:
        """Changes with any example, and with `rest`."""
        parts = [len(self.train), *((name, len(examples)) for name, examples in self.dev.items())]
        digest = hashlib.sha256(repr((self.classes, *rest, parts)).encode("utf-8"))
        for example in self.examples():
            digest.update(np.asarray(example.ids, dtype="<i4").tobytes())
            target = (*((example.value,) if example.value else ()), *(example.shares or ()))
            digest.update(repr((example.label, example.choices, example.second_at, *target)).encode("utf-8"))
        return digest.hexdigest()

    def batches_in_epoch(self, epoch: int, step: int = 0) -> list[list[int]]:  # noqa: ARG002 - the same at any step
        """The plan of one pass, another for each."""
        lengths = [len(example.ids) for example in self.train]
        return draw_batches(lengths, self.settings.batch_tokens, self.settings.seed * 1000 + epoch)

    def prepare(self, numbers: list[int]) -> list[Batch]:
        """The tensors of these examples."""
        return [collate([self.train[number] for number in numbers], self.classes, self.tokenizer.pad_id)]

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
        cast(BertWithHead, model).save_pretrained(path)
        self.tokenizer.save(path)

    def examples(self) -> Iterable[Example]:
        """All of them."""
        yield from self.train
        for examples in self.dev.values():
            yield from examples
