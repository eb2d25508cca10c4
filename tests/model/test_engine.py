"""The network as an engine: precision, memory, what becomes of the model it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from polarbert.errors import PolarbertError
from polarbert.model import BertForSequenceClassification, Packed
from polarbert.model.engine import TorchEngine

Batch = tuple[Any, Any, Any]


@pytest.fixture
def model(tiny_model_dir: Path) -> BertForSequenceClassification:
    return BertForSequenceClassification.from_pretrained(tiny_model_dir)


@pytest.fixture
def batch() -> Batch:
    """Seven texts of up to nine pieces, the last pieces of a second segment."""
    random = np.random.default_rng(5)
    ids = random.integers(104, 500, (7, 9))
    mask = (np.arange(9) < random.integers(2, 10, (7, 1))).astype(np.int64)
    return ids, mask, np.tile((np.arange(9) > 5).astype(np.int64), (7, 1))


def expected(model: BertForSequenceClassification, batch: Batch) -> Any:
    with torch.inference_mode():
        return model(*(torch.from_numpy(array) for array in batch)).logits.numpy()


def test_it_computes_what_the_network_computes(model: BertForSequenceClassification, batch: Batch) -> None:
    logits = TorchEngine(model.train()).logits(*batch)  # dropout must not be at work
    np.testing.assert_allclose(logits, expected(model, batch), atol=1e-5)
    assert logits.dtype == np.float32


def test_bf16_rounds_products_and_little_else(model: BertForSequenceClassification, batch: Batch) -> None:
    exact = expected(model, batch)
    logits = TorchEngine(model, precision="bf16").logits(*batch)
    assert logits.dtype == np.float32
    assert not np.array_equal(logits, exact)
    np.testing.assert_allclose(logits, exact, atol=0.02 * np.abs(exact).max())
    steps = np.abs(logits - torch.from_numpy(logits).bfloat16().float().numpy())
    assert (steps > 0).mean() > 0.5, "the logits themselves are rounded to bf16"


def test_the_name_says_device_and_precision(model: BertForSequenceClassification) -> None:
    assert TorchEngine(model).name == "torch, cpu, fp32"
    assert TorchEngine(model, "cpu", "bf16").name == "torch, cpu, bf16"


class SmallDevice:
    """The network on a device whose memory holds so many texts at once."""

    def __init__(self, model: BertForSequenceClassification, texts: int) -> None:
        self.largest = 0
        self._texts, self._forward = texts, model.bert.forward
        model.bert.forward = self.forward  # type: ignore[method-assign, assignment]

    def forward(self, ids: torch.Tensor | Packed, *others: Any) -> Any:
        texts = len(ids.lengths if isinstance(ids, Packed) else ids)
        if texts > self._texts:
            raise torch.OutOfMemoryError("full")
        self.largest = max(self.largest, texts)
        return self._forward(ids, *others)


@pytest.mark.parametrize("texts", [1, 2, 6])
def test_a_batch_that_does_not_fit_is_computed_in_parts(
    model: BertForSequenceClassification, batch: Batch, texts: int
) -> None:
    exact = expected(model, batch)
    device = SmallDevice(model, texts)
    np.testing.assert_allclose(TorchEngine(model).logits(*batch), exact, atol=1e-5)
    assert 1 <= device.largest <= texts


def test_a_text_that_does_not_fit_is_an_error_that_says_what_to_do(
    model: BertForSequenceClassification, batch: Batch
) -> None:
    SmallDevice(model, 0)
    with pytest.raises(PolarbertError, match=r"not enough memory for one text; end other programs .* device cpu"):
        TorchEngine(model).logits(*batch)
