"""Learning from a larger network's answers and inner vectors.

Source: Hinton et al. 2015, "Distilling the knowledge in a neural network"; Sanh et al. 2019, "DistilBERT"; Jiao et al.
2020, "TinyBERT".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from polarbert.bundle import Bundle, resolve
from polarbert.errors import SettingsError
from polarbert.inference.engine import WEIGHTS
from polarbert.model.config import BertConfig
from polarbert.model.encoder import BertEncoder
from polarbert.model.heads import BertForSequenceClassification, BertWithHead, ClassifierOutput
from polarbert.text import WordPieceTokenizer
from polarbert.training.batching import Batch
from polarbert.training.classification import ClassificationTask
from polarbert.training.helped import Helped, own_network
from polarbert.training.transfer import TransferSettings

DISTILLED = ("sentiment", "classification", "pair")  # tasks that a teacher is for
TEACHER = "settings: [transfer] teacher (--teacher)"  # what messages about a teacher begin with
PROJECTION = "projection"  # of the student's vectors to the width of the teacher's


@dataclass(frozen=True)
class Teacher:
    """A bundle that a student learns from.

    Attributes:
        bundle: where it lies and what it answers.
        config: its network's sizes.
    """

    bundle: Bundle
    config: BertConfig

    @classmethod
    def open(cls, name: str | Path) -> Self:
        """Find a teacher, without loading its weights.

        Raises:
            BundleError: when there is no such bundle, or it is damaged.
        """
        bundle = Bundle.open(resolve(name))
        bundle.verify(["config.json", "tokenizer.json", WEIGHTS])
        return cls(bundle, BertConfig.from_pretrained(bundle.path))

    def check(
        self,
        labels: Sequence[str],
        tokenizer: WordPieceTokenizer,
        longest: int,
        is_pair: bool,
        has_aspects: bool = False,
    ) -> None:
        """See that it can teach a student.

        Args:
            labels: the student's.
            tokenizer: the student's.
            longest: most pieces of a text that both read.
            is_pair: the student reads pairs.
            has_aspects: the student learns what texts say about aspects.

        Raises:
            SettingsError: naming what differs.
        """
        bundle = self.bundle
        path = f"{TEACHER}: {bundle.path}"
        if bundle.task not in DISTILLED or bundle.reads_pairs != is_pair or len(bundle.labels) < 2:
            wanted = "pairs of texts" if is_pair else "classes of single texts"
            raise SettingsError(
                f"{path}: this teacher's task is {bundle.task}, which is not that of the student. Name a model that "
                f"was trained on {wanted}"
            )
        if bundle.labels != list(labels):
            raise SettingsError(
                f"{path}: this teacher knows the labels {', '.join(bundle.labels)}, the data {', '.join(labels)}. "
                "Train a teacher on these data, or rename the labels in the table [labels]"
            )
        if has_aspects and not bundle.judges_aspects:
            raise SettingsError(
                f"{path}: this teacher was not trained on aspects, which the data have. Take one that was, or learn "
                "whole texts alone"
            )
        if WordPieceTokenizer.from_directory(bundle.path).backend.to_str() != tokenizer.backend.to_str():
            raise SettingsError(
                f"{path}: this teacher cuts texts into other pieces than the base does. Start from a base with its "
                "vocabulary, as the teacher itself with keep_layers"
            )
        if self.config.max_position_embeddings < longest:
            raise SettingsError(
                f"{path}: this teacher reads {self.config.max_position_embeddings} pieces, and texts have up to "
                f"{longest}; set max_pieces = {self.config.max_position_embeddings}"
            )

    @cached_property
    def network(self) -> BertForSequenceClassification:
        """The network; loaded when first asked for."""
        return BertForSequenceClassification.from_pretrained(self.bundle.path).requires_grad_(False)


@dataclass(frozen=True)
class DistilledPart:
    """A batch, and what the teacher says of it.

    Attributes:
        own: of the task.
        soft: (B, C) the teacher's logits; None where the teacher reads the batch itself.
    """

    own: Batch
    soft: Tensor | None

    @property
    def input_ids(self) -> Tensor:
        """(B, T)."""
        return self.own.input_ids

    @property
    def attention_mask(self) -> Tensor | None:
        """(B, T) bool, or None when no text is padded."""
        return self.own.attention_mask

    @property
    def token_type_ids(self) -> Tensor:
        """(B, T)."""
        return self.own.token_type_ids

    @property
    def tokens(self) -> int:
        """Pieces without padding."""
        return self.own.tokens

    @property
    def counts(self) -> tuple[int, ...]:
        """Its texts, and its pieces."""
        return (*self.own.counts, self.own.tokens)

    def to(self, device: torch.device) -> DistilledPart:
        """The same part on another device."""
        return DistilledPart(self.own.to(device), None if self.soft is None else self.soft.to(device))


@dataclass
class DistillationTask:
    """Learn what the labels say and what a teacher says.

    The loss is (1 - w) times the task's own, plus w T² times the Kullback-Leibler divergence of the student's
    distribution from the teacher's, both at temperature T (Hinton et al. 2015, section 2); plus, where asked for, the
    mean squared distance between the vectors of the student's layers and those of the teacher's layers that lie at the
    same share of its depth (Jiao et al. 2020, section 3.1, with its uniform map of layers), through a learned
    projection where the widths differ.

    What the teacher says does not change, so it reads each training text once; for its inner vectors, which are too
    many to be kept, it reads each batch again.

    Args:
        task: what is learned.
        teacher: whom from; the same labels and pieces (`Teacher.check`).
        settings: weights and temperature.

    Example:
        >>> settings = TransferSettings(teacher="large-model", hidden_weight=1.0)
        >>> task = DistillationTask(classification, Teacher.open("large-model"), settings)
        >>> train(Helped(student, task.new_layers(student.config)), task, training, RunDirectory("run"))
    """

    task: ClassificationTask
    teacher: Teacher
    settings: TransferSettings

    def new_layers(self, config: BertConfig) -> dict[str, nn.Module]:
        """The layers that a student of these sizes learns along: a projection where its vectors are compared."""
        theirs = self.teacher.config.hidden_size
        if not self.settings.hidden_weight or config.hidden_size == theirs:
            return {}
        return {PROJECTION: nn.Linear(config.hidden_size, theirs, bias=False)}

    def fingerprint(self) -> str:
        """Changes with the task's, with the teacher and with what it counts."""
        how = (self.settings.teacher_weight, self.settings.temperature, self.settings.hidden_weight)
        parts = (self.task.fingerprint(), self.teacher.bundle.fingerprint(WEIGHTS), how)
        return hashlib.sha256(repr(parts).encode("utf-8")).hexdigest()

    def batches_in_epoch(self, epoch: int, step: int) -> list[list[int]]:
        """The task's plan."""
        return self.task.batches_in_epoch(epoch, step)

    def prepare(self, numbers: list[int]) -> list[DistilledPart]:
        """The tensors of these examples, with what the teacher says of them."""
        soft = None if self.settings.hidden_weight else torch.from_numpy(self._answers[numbers])
        return [DistilledPart(batch, soft) for batch in self.task.prepare(numbers)]

    @cached_property
    def _answers(self) -> NDArray[np.float32]:
        """(examples, classes) the teacher's logits, computed when they are first needed."""
        return self.task.logits(self.teacher.network.eval(), self.task.train)

    def losses(self, model: nn.Module, part: DistilledPart, totals: Sequence[float]) -> dict[str, Tensor]:
        """The task's loss and those of the teacher, weighted, divided by `totals`."""
        student = cast(BertWithHead, own_network(model))
        inputs = (part.input_ids, part.attention_mask, part.token_type_ids)
        weight, soft = self.settings.teacher_weight, part.soft
        with hidden_states(student.bert) as ours:
            output = student(*inputs)
        extra: dict[str, Tensor] = {}
        if soft is None:
            with torch.no_grad(), hidden_states(self.teacher.network.bert) as theirs:
                soft = self.teacher.network.eval()(*inputs).logits
            distance = self._distance(model, ours, theirs, part.attention_mask)
            extra["hidden"] = self.settings.hidden_weight * distance / totals[1]
        known = self.task.losses(_Given(output), part.own, totals[:1])
        followed = divergence(output.logits, soft, part.own.allowed, self.settings.temperature) / totals[0]
        return {**{name: (1 - weight) * loss for name, loss in known.items()}, "teacher": weight * followed, **extra}

    def _distance(self, model: nn.Module, ours: list[Tensor], theirs: list[Tensor], mask: Tensor | None) -> Tensor:
        """Squared distance of vectors, mean over layers and columns, sum over pieces."""
        chosen = [theirs[number - 1].float() for number in evenly(len(ours), len(theirs))]
        projection = model.helpers[PROJECTION] if isinstance(model, Helped) and PROJECTION in model.helpers else None
        own = [state if projection is None else projection(state) for state in ours]
        pairs = zip(own, chosen, strict=True)
        squares = torch.stack([(mine.float() - other).square().mean(-1) for mine, other in pairs]).mean(0)
        if mask is None or squares.ndim != 2:  # of a packed batch (N,), all of them pieces
            return squares.sum()
        return (squares * mask).sum()

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """The task's figures."""
        return self.task.evaluate(model)

    def save(self, model: nn.Module, path: str) -> None:
        """The student alone."""
        self.task.save(own_network(model), path)


class _Given(nn.Module):
    """A network whose output for the batch at hand is known already."""

    def __init__(self, output: ClassifierOutput) -> None:
        super().__init__()
        self._output = output

    def forward(self, *_inputs: Any) -> ClassifierOutput:
        return self._output


def divergence(student: Tensor, teacher: Tensor, allowed: Tensor, temperature: float) -> Tensor:
    """T² times the Kullback-Leibler divergence of the student from the teacher, summed over the texts.

    Args:
        student: (B, C) logits.
        teacher: (B, C) logits.
        allowed: (B, C) bool, False at classes that are no choice.
        temperature: T, by which both are divided; T² keeps the gradients as large as those of the labels.
    """
    ours, theirs = (
        (logits.float() / temperature).masked_fill(~allowed, -1e9).log_softmax(-1) for logits in (student, teacher)
    )
    return F.kl_div(ours, theirs, reduction="sum", log_target=True) * temperature**2


@contextmanager
def hidden_states(encoder: BertEncoder) -> Iterator[list[Tensor]]:
    """A list that takes the output of each layer as the encoder computes inside the block."""
    found: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda _layer, _inputs, output: found.append(output[0])) for layer in encoder.layers
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def evenly(count: int, layers: int) -> list[int]:
    """The numbers, from 1, of `count` of `layers` layers, evenly spaced, the last one among them.

    Example:
        >>> evenly(3, 12)
        [4, 8, 12]
    """
    return [round(number * layers / count) for number in range(1, count + 1)]
