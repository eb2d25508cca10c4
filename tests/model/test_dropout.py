"""Dropout: how much it zeroes, what it keeps, and when it is off."""

from __future__ import annotations

import pytest
import torch

from polarbert.model.dropout import Dropout, dropout


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_the_share_of_zeros_is_the_rate(rate: float) -> None:
    torch.manual_seed(0)
    zeros = float((dropout(torch.ones(400_000), rate, training=True) == 0).float().mean())
    # The rate is rounded to 1/256; the rest of the tolerance is five standard errors of the sample.
    assert abs(zeros - rate) < 1 / 512 + 5 * (rate * (1 - rate) / 400_000) ** 0.5


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
def test_the_expectation_is_kept(rate: float) -> None:
    torch.manual_seed(0)
    x = torch.tensor([1.0, -2.0, 5.0])
    mean = dropout(x.repeat(200_000, 1), rate, training=True).mean(0)
    deviation = x.abs() * (rate / (1 - rate)) ** 0.5
    assert bool(((mean - x).abs() < 5 * deviation / 200_000**0.5).all())


def test_what_is_kept_is_scaled_alike() -> None:
    torch.manual_seed(0)
    dropped = dropout(torch.ones(10_000), 0.1, training=True)
    assert dropped.unique().numel() == 2
    assert float(dropped.max()) == pytest.approx(1 / (1 - 26 / 256))


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)
    dropped = (dropout(torch.ones(50_000, 16), 0.5, training=True) == 0).float()
    correlation = torch.corrcoef(dropped.T) - torch.eye(16)
    assert float(correlation.abs().max()) < 0.03


def test_it_is_off_in_evaluation_and_at_rate_zero() -> None:
    x = torch.randn(7, 5)
    module = Dropout(0.5)
    assert torch.equal(module.eval()(x), x)
    assert not torch.equal(module.train()(x), x)
    assert torch.equal(dropout(x, 0.0, training=True), x)


def test_the_same_seed_gives_the_same_mask() -> None:
    x = torch.ones(3, 1001)
    torch.manual_seed(4)
    first, second = dropout(x, 0.5, training=True), dropout(x, 0.5, training=True)
    torch.manual_seed(4)
    again = dropout(x, 0.5, training=True)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5, 11)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shape_and_type_are_kept(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    dropped = dropout(torch.ones(shape, dtype=dtype), 0.3, training=True)
    assert (dropped.shape, dropped.dtype) == (torch.Size(shape), dtype)


def test_the_gradient_passes_where_the_value_passed() -> None:
    torch.manual_seed(0)
    x = torch.ones(1000, requires_grad=True)
    y = dropout(x, 0.4, training=True)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())
