"""What is decayed, and how the learning rate moves."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polarbert.model import BertConfig, BertForSequenceClassification
from polarbert.training.optimizer import learning_rate, make_optimizer
from polarbert.training.settings import TrainSettings


@pytest.fixture
def model() -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig.tiny(vocab_size=40, hidden_size=16, intermediate_size=32)
    return BertForSequenceClassification(config, ["a", "b"])


def test_matrices_decay_and_biases_and_norms_do_not(model: BertForSequenceClassification) -> None:
    decays = {
        parameter: group["weight_decay"]
        for group in make_optimizer(model, TrainSettings(weight_decay=0.07)).param_groups
        for parameter in group["params"]
    }
    assert len(decays) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        assert decays[parameter] == (0.0 if name.endswith("bias") or "norm" in name else 0.07)


def test_decay_shrinks_matrices_alone(model: BertForSequenceClassification) -> None:
    """A step with gradients of zero shows the decay by itself."""
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = make_optimizer(model, TrainSettings(learning_rate=0.1, weight_decay=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        factor = 1.0 if name.endswith("bias") or "norm" in name else 1 - 0.1 * 0.5
        torch.testing.assert_close(parameter.detach(), before[name] * factor)


def test_frozen_parameters_are_left_out(model: BertForSequenceClassification) -> None:
    model.bert.embeddings.requires_grad_(requires_grad=False)
    held = {id(p) for group in make_optimizer(model, TrainSettings()).param_groups for p in group["params"]}
    assert held == {id(parameter) for parameter in model.parameters() if parameter.requires_grad}


@given(steps=st.integers(1, 3000), share=st.floats(0, 0.99))
def test_the_rate_climbs_to_its_peak_and_falls_towards_zero(steps: int, share: float) -> None:
    settings = TrainSettings(learning_rate=2e-4, warmup_share=share)
    rates = [learning_rate(step, steps, settings) for step in range(steps)]
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(2e-4)
    assert min(rates) > 0
    assert abs(peak + 1 - max(1, steps * share)) <= 1.5
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


def test_the_rate_is_linear_on_both_sides() -> None:
    settings = TrainSettings(learning_rate=1.0, warmup_share=0.2)
    rates = [learning_rate(step, 20, settings) for step in range(20)]
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[4:] == pytest.approx([number / 16 for number in range(16, 0, -1)])
