"""What is decayed, how the learning rate moves, and which layers learn how fast and from when."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polarbert.model import (
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from polarbert.model.heads import BertWithHead
from polarbert.training.optimizer import MIX_RATE, TAGGING_RATE, learning_rate, make_optimizer, set_pace
from polarbert.training.settings import TrainSettings
from polarbert.training.transfer import TransferSettings


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


def paces(model: BertForSequenceClassification, transfer: TransferSettings, key: str) -> dict[str, float]:
    """What each parameter's group has under a key, by the parameter's name."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = make_optimizer(model, TrainSettings(), transfer).param_groups
    found = {names[parameter]: group[key] for group in groups for parameter in group["params"]}
    assert found.keys() == set(names.values())
    return found


def test_the_rate_falls_layer_by_layer(model: BertForSequenceClassification) -> None:
    scales = paces(model, TransferSettings(layer_decay=0.5), "scale")
    for name, scale in scales.items():
        if name.startswith("bert.embeddings."):
            assert scale == 0.25
        else:
            assert scale == (0.5 if name.startswith("bert.layers.0.") else 1.0)
    assert scales["classifier.weight"] == scales["bert.pooler.dense.weight"] == scales["bert.layers.1.output.bias"] == 1


@pytest.mark.parametrize(
    ("kind", "rate"),
    [(BertForSequenceClassification, 1), (BertForTokenClassification, TAGGING_RATE), (BertForQuestionAnswering, 1)],
)
def test_the_output_layer_has_its_own_rate_which_is_higher_for_tags(kind: type[BertWithHead], rate: float) -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 32}
    model = kind(BertConfig.tiny(**sizes), ["start", "end"])
    names = {parameter: name for name, parameter in model.named_parameters()}
    wanted_by = (
        (TransferSettings(head_rate=7), 7),
        (TransferSettings(frozen=True), 1),
        (TransferSettings(), rate),
        (None, rate),
    )
    for transfer, wanted in wanted_by:
        groups = make_optimizer(model, TrainSettings(), transfer).param_groups
        scales = {names[parameter]: group["scale"] for group in groups for parameter in group["params"]}
        assert scales.keys() == set(names.values())
        heads = {name: scale for name, scale in scales.items() if name.startswith(kind.head_name)}
        assert set(heads.values()) == {wanted}
        assert len(heads) == 2
        assert {scale for name, scale in scales.items() if name not in heads} == {1}


def test_layers_join_in_from_the_last_to_the_embeddings(model: BertForSequenceClassification) -> None:
    starts = paces(model, TransferSettings(unfreeze=0.6), "start")
    assert starts["classifier.bias"] == starts["bert.pooler.dense.bias"] == 0
    assert starts["bert.layers.1.attention.query.weight"] == pytest.approx(0.2)
    assert starts["bert.layers.0.output_norm.weight"] == pytest.approx(0.4)
    assert starts["bert.embeddings.word.weight"] == pytest.approx(0.6)


def test_without_transfer_there_are_the_two_groups_that_checkpoints_know(model: BertForSequenceClassification) -> None:
    groups = make_optimizer(model, TrainSettings()).param_groups
    assert [group["params"] for group in groups] == [
        [p for p in model.parameters() if p.ndim >= 2],
        [p for p in model.parameters() if p.ndim < 2],
    ]


def test_the_numbers_of_a_mix_are_fast() -> None:
    sizes = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 32}
    config = BertConfig.tiny(layer_mix="mix", layer_mix_count=2, **sizes)
    scales = paces(BertForSequenceClassification(config, ["a", "b"]), TransferSettings(), "scale")
    assert {name for name, scale in scales.items() if scale == MIX_RATE} == {"bert.mix.scores", "bert.mix.scale"}
    assert set(scales.values()) == {1.0, MIX_RATE}


def test_a_layer_whose_turn_has_not_come_stays_to_the_bit_and_has_no_moments(
    model: BertForSequenceClassification,
) -> None:
    settings = TrainSettings(learning_rate=0.1, weight_decay=0.5, warmup_share=0.0)
    optimizer = make_optimizer(model, settings, TransferSettings(unfreeze=0.6))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    joined = []
    for step in range(10):
        set_pace(optimizer, step, 10, settings)
        model(torch.tensor([[1, 2, 3]])).logits.square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
        with_moments = {name for name, p in model.named_parameters() if p in optimizer.state}
        assert moved <= with_moments
        joined.append(["bert.layers.1.output.bias" in moved, "bert.layers.0.output.bias" in moved])
        assert ("bert.embeddings.word.weight" in with_moments) == (step >= 6)
    assert [step for step, (last, _) in enumerate(joined) if last] == list(range(2, 10))
    assert [step for step, (_, first) in enumerate(joined) if first] == list(range(4, 10))
