"""The head that names hidden pieces: what it computes, what it is tied to, and how it is saved and loaded."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from polarbert.errors import BundleError, WeightsError
from polarbert.model import BertConfig, BertEncoder, BertForMaskedLM, BertForSequenceClassification, MaskedLmHead
from polarbert.model.masked_lm import has_masked_lm_head

SMALL = BertConfig.tiny(vocab_size=50, hidden_size=32, intermediate_size=64)
IDS = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])
DENSE = "cls.predictions.transform.dense.weight"


def make_model() -> BertForMaskedLM:
    torch.manual_seed(0)
    model = BertForMaskedLM(SMALL).eval()
    with torch.no_grad():  # norms and biases too, so that none may be mistaken for another
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture
def model() -> BertForMaskedLM:
    return make_model()


@pytest.fixture
def saved(model: BertForMaskedLM, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def rewrite(directory: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    file = directory / "model.safetensors"
    save_file(change(load_file(str(file))), str(file))


def without(*names: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if name not in names}


def test_logits_are_products_with_the_word_embeddings(model: BertForMaskedLM) -> None:
    hidden, head = model.bert(IDS).last_hidden_state, model.head
    dense = hidden @ head.transform.dense.weight.T + head.transform.dense.bias
    gelu = dense * 0.5 * (1 + torch.erf(dense / math.sqrt(2)))
    centred = gelu - gelu.mean(-1, keepdim=True)
    normed = centred / (centred.square().mean(-1, keepdim=True) + 1e-12).sqrt()
    vector = normed * head.transform.LayerNorm.weight + head.transform.LayerNorm.bias
    expected = vector @ model.bert.embeddings.word.weight.T + head.bias
    torch.testing.assert_close(model(IDS).logits, expected, atol=1e-5, rtol=0)


def test_the_decoder_adds_no_matrix(model: BertForMaskedLM) -> None:
    added = 32 * 32 + 32 + 2 * 32 + 50  # dense, norm, bias
    assert sum(p.numel() for p in model.parameters()) == SMALL.parameter_count() + added
    before = model(IDS).logits
    with torch.no_grad():
        model.bert.embeddings.word.weight[40] += 1.0  # a piece that is not in the input
    after = model(IDS).logits
    assert not torch.equal(after[..., 40], before[..., 40])
    assert torch.equal(after[..., :40], before[..., :40])


def test_the_word_embeddings_learn_from_both_of_their_uses(model: BertForMaskedLM) -> None:
    labels = torch.tensor([[-100, 30, -100, -100], [-100, -100, -100, -100]])
    model(IDS, labels=labels).loss.backward()
    gradient = model.bert.embeddings.word.weight.grad
    assert gradient is not None
    assert bool(gradient[30].any()), "as the answer, though it is nowhere in the input"
    assert bool(gradient[2].any())


def test_a_new_head_starts_as_bert_does() -> None:
    torch.manual_seed(0)
    head = MaskedLmHead(BertConfig.tiny(vocab_size=50))
    weight = head.transform.dense.weight
    assert float(weight.detach().std()) == pytest.approx(0.88 * 0.02, rel=0.05)  # cut at two standard deviations
    assert float(weight.detach().abs().max()) <= 0.04
    assert not head.bias.any()
    assert not head.transform.dense.bias.any()


def test_loss_is_the_mean_over_what_is_to_be_predicted(model: BertForMaskedLM) -> None:
    labels = torch.tensor([[-100, 9, -100, -100], [11, -100, -100, 12]])
    out = model(IDS, labels=labels)
    chances = out.logits.softmax(-1)
    expected = -(chances[0, 1, 9].log() + chances[1, 0, 11].log() + chances[1, 3, 12].log()) / 3
    torch.testing.assert_close(out.loss, expected)
    assert model(IDS).loss is None


@settings(max_examples=40)
@given(data=st.data(), rows=st.integers(1, 4), columns=st.integers(1, 9))
def test_chosen_positions_give_what_all_positions_give_there(data: st.DataObject, rows: int, columns: int) -> None:
    model = make_model()
    size = rows * columns
    ids = torch.tensor(data.draw(st.lists(st.integers(1, 49), min_size=size, max_size=size))).view(rows, columns)
    lengths = torch.tensor(data.draw(st.lists(st.integers(1, columns), min_size=rows, max_size=rows)))
    mask = torch.arange(columns) < lengths[:, None]
    chosen = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1)))
    positions, answers = torch.tensor(chosen), ids.flatten()[chosen]
    labels = torch.full((size,), -100).index_copy(0, positions, answers).view(rows, columns)
    with torch.inference_mode():
        whole = model(ids, mask, labels=labels)
        alone = model(ids, mask, labels=answers, positions=positions)
    torch.testing.assert_close(alone.logits, whole.logits.flatten(0, 1)[chosen], atol=1e-5, rtol=0)
    torch.testing.assert_close(alone.loss, whole.loss, atol=1e-5, rtol=0)


def test_chosen_positions_give_the_same_gradients(model: BertForMaskedLM) -> None:
    labels = torch.tensor([[-100, 9, -100, -100], [11, -100, -100, 12]])
    model(IDS, labels=labels).loss.backward()
    expected = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    model(IDS, labels=torch.tensor([9, 11, 12]), positions=torch.tensor([1, 4, 7])).loss.backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[name], expected[name], atol=1e-6) for name in expected)
    assert not any("pooler" in name for name in found), "the pooler has no part in this task"


def test_saved_and_loaded_it_answers_alike(model: BertForMaskedLM, saved: Path) -> None:
    loaded = BertForMaskedLM.from_pretrained(saved)
    assert not loaded.training
    assert torch.equal(loaded(IDS).logits, model(IDS).logits)
    assert torch.equal(loaded.bert(IDS).pooler_output, model.bert(IDS).pooler_output)
    assert json.loads((saved / "config.json").read_text("utf-8"))["architectures"] == ["BertForMaskedLM"]
    names = load_file(str(saved / "model.safetensors")).keys()
    assert {name for name in names if name.startswith("cls.")} == {
        "cls.predictions.bias",
        "cls.predictions.transform.dense.weight",
        "cls.predictions.transform.dense.bias",
        "cls.predictions.transform.LayerNorm.weight",
        "cls.predictions.transform.LayerNorm.bias",
    }


def test_a_checkpoint_without_a_pooler_loads_and_the_pooler_starts_anew(model: BertForMaskedLM, saved: Path) -> None:
    rewrite(saved, without("bert.pooler.dense.weight", "bert.pooler.dense.bias"))
    torch.manual_seed(5)
    loaded = BertForMaskedLM.from_pretrained(saved)
    assert torch.equal(loaded(IDS).logits, model(IDS).logits)
    assert not loaded.bert.pooler.dense.bias.any()
    assert float(loaded.bert.pooler.dense.weight.detach().std()) == pytest.approx(0.88 * 0.02, rel=0.1)


def test_half_a_pooler_is_an_error(saved: Path) -> None:
    rewrite(saved, without("bert.pooler.dense.bias"))
    with pytest.raises(WeightsError, match=r"pooler\.dense\.bias"):
        BertForMaskedLM.from_pretrained(saved)


@pytest.mark.parametrize("name", ["cls.predictions.bias", "cls.predictions.transform.LayerNorm.weight", DENSE])
def test_a_missing_tensor_of_the_head_is_named(saved: Path, name: str) -> None:
    rewrite(saved, without(name))
    with pytest.raises(WeightsError) as caught:
        BertForMaskedLM.from_pretrained(saved)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    ("second", "first"),
    [
        ("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
        ("cls.predictions.decoder.bias", "cls.predictions.bias"),
    ],
)
def test_a_decoder_that_is_not_tied_is_refused(saved: Path, second: str, first: str) -> None:
    rewrite(saved, lambda tensors: tensors | {second: tensors[first] + 0.1})
    with pytest.raises(WeightsError, match="tied") as caught:
        BertForMaskedLM.from_pretrained(saved)
    assert repr(second) in str(caught.value)
    assert "from_encoder" in str(caught.value)
    assert BertForMaskedLM.from_encoder(saved)(IDS).logits.shape == (2, 4, 50)


def test_a_new_head_over_the_encoder_of_a_classifier(tmp_path: Path) -> None:
    classifier = BertForSequenceClassification(SMALL, ["bad", "good"]).eval()
    classifier.save_pretrained(tmp_path)
    model = BertForMaskedLM.from_encoder(tmp_path).eval()
    assert torch.equal(model.bert(IDS).pooler_output, classifier.bert(IDS).pooler_output)
    assert not model.head.bias.any()


def test_a_classifier_can_start_from_what_is_saved(model: BertForMaskedLM, saved: Path) -> None:
    classifier = BertForSequenceClassification.from_encoder(saved, ["bad", "good"]).eval()
    assert torch.equal(classifier.bert(IDS).pooler_output, model.bert(IDS).pooler_output)


def test_a_head_is_seen_where_there_is_one(saved: Path, tmp_path: Path) -> None:
    assert has_masked_lm_head(saved)
    rewrite(
        saved, lambda tensors: {name.replace("LayerNorm.weight", "LayerNorm.gamma"): t for name, t in tensors.items()}
    )
    assert has_masked_lm_head(saved)
    BertEncoder(SMALL).save_pretrained(tmp_path / "bare")
    assert not has_masked_lm_head(tmp_path / "bare")


def test_a_file_of_something_else_is_refused(saved: Path) -> None:
    (saved / "model.safetensors").write_bytes(b"<html>404 not found</html>" * 40)
    for load in (has_masked_lm_head, BertForMaskedLM.from_pretrained, BertForMaskedLM.from_encoder):
        with pytest.raises(BundleError, match="not a readable safetensors file"):
            load(saved)


def test_bf16_keeps_the_loss_in_single_precision(model: BertForMaskedLM) -> None:
    exact = model(IDS, labels=IDS).loss
    with torch.autocast("cpu", torch.bfloat16):
        out = model(IDS, labels=IDS)
    assert out.loss.dtype == torch.float32
    assert float(F.l1_loss(out.loss, exact).detach()) < 0.05
