"""Output layers: what a task adds to the encoder (BERT, section 4)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polarbert.errors import BundleError
from polarbert.model.config import BertConfig
from polarbert.model.dropout import Dropout
from polarbert.model.encoder import BertEncoder, BertPooler, initialise, load_encoder
from polarbert.model.packing import Packed
from polarbert.model.weights import load_weights, save_weights


@dataclass
class ClassifierOutput:
    """Logits (B, labels) and, when labels were given, their mean cross-entropy."""

    logits: Tensor
    loss: Tensor | None = None


class NoPooler(BertPooler):
    """In the place of the pooler of a network that says nothing of a text as a whole: the vector at [CLS] as it is.

    It has no weights, so that a checkpoint has those of the same class in `transformers` and no others.
    """

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]  # (B, H)


class BertWithHead(nn.Module):
    """An encoder and one additional output layer: what all kinds of task share (BERT, figure 4).

    A kind says which class of `transformers` it is, and computes its logits in `read_out` and `forward`.

    Args:
        config: the network's sizes.
        labels: the names of the logits' last axis, in order.
    """

    architecture: ClassVar[str]  # the class by which `transformers` opens the directory
    head_name: ClassVar[str] = "classifier"
    reads_pooler: ClassVar[bool] = False  # `transformers` has no pooler under the heads that read every position

    def __init__(self, config: BertConfig, labels: list[str]) -> None:
        super().__init__()
        self.config = config
        self.labels = list(labels)
        self.bert = BertEncoder(config)
        if not self.reads_pooler:
            self.bert.pooler = NoPooler()
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.add_module(self.head_name, self.new_head())

    def new_head(self) -> nn.Linear:
        """An untrained output layer."""
        layer = nn.Linear(self.config.hidden_size, len(self.labels))
        initialise(layer, self.config.initializer_range)
        return layer

    def read_out(self, hidden: Tensor) -> Tensor:
        """Logits from the encoder's last hidden state (B, T, H)."""
        raise NotImplementedError

    @classmethod
    def from_pretrained(cls, path: str | Path) -> Self:
        """Load encoder, head and label names from a directory in the Hugging Face layout.

        Raises:
            BundleError, WeightsError: when the directory or a tensor is missing or misshapen.
        """
        with torch.device("meta"):
            model = cls(BertConfig.from_pretrained(path), read_labels(path))
        load_weights(model, path, prefix="bert.")
        return model.eval()

    @classmethod
    def from_encoder(cls, path: str | Path, labels: list[str]) -> Self:
        """A new, untrained output layer over the encoder found at `path`; a pooler that is needed starts anew."""
        with torch.device("meta"):
            model = cls(BertConfig.from_pretrained(path), labels)
        load_encoder(model.bert, path)
        setattr(model, cls.head_name, model.new_head())
        return model

    def save_pretrained(self, path: str | Path, half: bool = False) -> None:
        """Save in the Hugging Face layout, label names included; `half` stores half-precision weights."""
        save_weights(self, self.config_dict(), path, prefix="bert.", half=half)

    def config_dict(self) -> dict[str, object]:
        """The content of config.json."""
        return self.config.to_dict() | {
            "architectures": [self.architecture],
            "id2label": {str(number): name for number, name in enumerate(self.labels)},
            "label2id": {name: number for number, name in enumerate(self.labels)},
        }


class BertForSequenceClassification(BertWithHead):
    """One additional output layer over the pooled [CLS] (BERT, section 4.1); with a single label, a regression.

    Args:
        config: the network's sizes.
        labels: the names of the classes, in the order of the logits; or the one name of what is measured.

    Example:
        >>> model = BertForSequenceClassification(BertConfig.tiny(), ["negative", "positive"])
        >>> model(torch.tensor([[101, 2307, 102]])).logits.shape
        torch.Size([1, 2])
    """

    architecture = "BertForSequenceClassification"
    reads_pooler = True
    classifier: nn.Linear

    def read_out(self, hidden: Tensor) -> Tensor:
        """Logits (B, labels) from the encoder's last hidden state (B, T, H)."""
        logits: Tensor = self.classifier(self.dropout(self.bert.pooler(hidden)))
        return logits

    def forward(
        self,
        input_ids: Tensor | Packed,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> ClassifierOutput:
        """Classify a batch, padded or packed; arguments as for `BertEncoder`, `labels` (B,) class numbers.

        Returns:
            Logits (B, labels), and the mean cross-entropy when `labels` is given; of a regression, whose `labels` are
            numbers, the mean squared error.
        """
        pooled = self.bert(input_ids, attention_mask, token_type_ids).pooler_output  # (B, H)
        logits = self.classifier(self.dropout(pooled))  # (B, labels)
        return ClassifierOutput(logits, None if labels is None else self._loss(logits.float(), labels))

    def config_dict(self) -> dict[str, object]:
        """The content of config.json."""
        kind = "regression" if len(self.labels) == 1 else "single_label_classification"
        return super().config_dict() | {"problem_type": kind}

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        if len(self.labels) == 1:
            return F.mse_loss(logits[:, 0], labels.float())
        return F.cross_entropy(logits, labels)


def read_labels(path: str | Path) -> list[str]:
    """Label names in the order of the logits, from `id2label` of config.json.

    Raises:
        BundleError: when the configuration names no labels, or does not number them 0, 1, 2, ...
    """
    config = json.loads((Path(path) / "config.json").read_text("utf-8"))
    names = config.get("id2label")
    if not isinstance(names, dict) or not names:
        raise BundleError(f"{path}: config.json has no id2label, so this is not a trained classifier")
    if set(names) != {str(number) for number in range(len(names))}:
        raise BundleError(f"{path}: id2label in config.json must number the labels 0 to {len(names) - 1}")
    return [str(names[str(number)]) for number in range(len(names))]
