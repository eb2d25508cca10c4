"""Output layers: what a task adds to the encoder (BERT, section 4)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polarbert.errors import BundleError
from polarbert.model.config import BertConfig
from polarbert.model.dropout import Dropout
from polarbert.model.encoder import BertEncoder, initialise
from polarbert.model.packing import Packed
from polarbert.model.weights import load_weights, save_weights


@dataclass
class ClassifierOutput:
    """Logits (B, labels) and, when labels were given, their mean cross-entropy."""

    logits: Tensor
    loss: Tensor | None = None


class BertForSequenceClassification(nn.Module):
    """BERT with one additional output layer over the pooled [CLS] (BERT, section 4.1).

    Args:
        config: the network's sizes.
        labels: the names of the classes, in the order of the logits.

    Example:
        >>> model = BertForSequenceClassification(BertConfig.tiny(), ["negative", "positive"])
        >>> model(torch.tensor([[101, 2307, 102]])).logits.shape
        torch.Size([1, 2])
    """

    def __init__(self, config: BertConfig, labels: list[str]) -> None:
        super().__init__()
        self.config = config
        self.labels = list(labels)
        self.bert = BertEncoder(config)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.classifier = _new_classifier(config, labels)

    def forward(
        self,
        input_ids: Tensor | Packed,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> ClassifierOutput:
        """Classify a batch, padded or packed; arguments as for `BertEncoder`, `labels` (B,) class numbers.

        Returns:
            Logits (B, labels), and the mean cross-entropy when `labels` is given.
        """
        pooled = self.bert(input_ids, attention_mask, token_type_ids).pooler_output  # (B, H)
        logits = self.classifier(self.dropout(pooled))  # (B, labels)
        return ClassifierOutput(logits, None if labels is None else F.cross_entropy(logits.float(), labels))

    @classmethod
    def from_pretrained(cls, path: str | Path) -> Self:
        """Load encoder, head and label names from a directory in the Hugging Face layout."""
        with torch.device("meta"):
            model = cls(BertConfig.from_pretrained(path), read_labels(path))
        load_weights(model, path, prefix="bert.")
        return model.eval()

    @classmethod
    def from_encoder(cls, path: str | Path, labels: list[str]) -> Self:
        """A new, untrained output layer over the encoder found at `path`."""
        config = BertConfig.from_pretrained(path)
        with torch.device("meta"):
            model = cls(config, labels)
        load_weights(model.bert, path, prefix="")
        model.classifier = _new_classifier(config, labels)
        return model

    def save_pretrained(self, path: str | Path, half: bool = False) -> None:
        """Save in the Hugging Face layout, label names included; `half` stores half-precision weights."""
        save_weights(self, self.config_dict(), path, prefix="bert.", half=half)

    def config_dict(self) -> dict[str, object]:
        """The content of config.json."""
        return self.config.to_dict() | {
            "architectures": ["BertForSequenceClassification"],
            "problem_type": "single_label_classification",
            "id2label": {str(number): name for number, name in enumerate(self.labels)},
            "label2id": {name: number for number, name in enumerate(self.labels)},
        }


def _new_classifier(config: BertConfig, labels: list[str]) -> nn.Linear:
    layer = nn.Linear(config.hidden_size, len(labels))
    initialise(layer, config.initializer_range)
    return layer


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
