"""The head that points at answers: two vectors over every position, and no pooler."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from polarbert.errors import WeightsError
from polarbert.model import BertConfig, BertEncoder, BertForMaskedLM, BertForQuestionAnswering, Packed

SMALL = BertConfig.tiny(vocab_size=50, hidden_size=32, intermediate_size=64)
TEXTS = [[1, 2, 3, 4, 5, 6], [7, 8, 9]]
IDS = torch.tensor([TEXTS[0], [*TEXTS[1], 0, 0, 0]])
MASK = torch.tensor([[1] * 6, [1, 1, 1, 0, 0, 0]])
SEGMENTS = torch.tensor([[0, 0, 1, 1, 1, 1], [0, 0, 1, 0, 0, 0]])


@pytest.fixture
def model() -> BertForQuestionAnswering:
    torch.manual_seed(0)
    model = BertForQuestionAnswering(SMALL).eval()
    with torch.no_grad():
        model.qa_outputs.weight.normal_()
        model.qa_outputs.bias.normal_()
    return model


def test_logits_are_products_of_two_vectors_with_every_position(model: BertForQuestionAnswering) -> None:
    hidden = model.bert(IDS, MASK, SEGMENTS).last_hidden_state
    output = model(IDS, MASK, SEGMENTS)
    start, end = model.qa_outputs.weight
    torch.testing.assert_close(output.start_logits, hidden @ start + model.qa_outputs.bias[0])
    torch.testing.assert_close(output.end_logits, hidden @ end + model.qa_outputs.bias[1])
    assert output.logits.shape == (2, 6, 2)
    assert output.loss is None


def test_two_vectors_are_all_that_is_added_and_no_pooler_is_there(model: BertForQuestionAnswering) -> None:
    pooler = 32 * 32 + 32
    assert sum(p.numel() for p in model.parameters()) == SMALL.parameter_count() - pooler + 2 * 32 + 2


def test_the_loss_is_the_mean_of_both_cross_entropies(model: BertForQuestionAnswering) -> None:
    starts, ends = torch.tensor([2, 0]), torch.tensor([4, 2])
    output = model(IDS, MASK, SEGMENTS, starts, ends)
    start, end = output.start_logits.log_softmax(1), output.end_logits.log_softmax(1)
    expected = -(start[0, 2] + start[1, 0] + end[0, 4] + end[1, 2]) / 4
    torch.testing.assert_close(output.loss, expected)


def test_a_position_outside_the_text_teaches_nothing(model: BertForQuestionAnswering) -> None:
    whole = model(IDS[:1], None, None, torch.tensor([2]), torch.tensor([4])).loss
    both = model(IDS[[0, 0]], None, None, torch.tensor([2, 6]), torch.tensor([4, 99])).loss
    torch.testing.assert_close(both, whole)


def test_a_packed_batch_gives_the_same_logits_and_the_loss_over_each_text_alone(
    model: BertForQuestionAnswering,
) -> None:
    packed = Packed.from_texts(TEXTS, [2, 2])
    starts, ends = torch.tensor([2, 1]), torch.tensor([4, 2])
    output, padded = model(packed, None, None, starts, ends), model(IDS, MASK, SEGMENTS)
    torch.testing.assert_close(output.logits, padded.logits[MASK.bool()])
    alone = [
        model(ids[None], None, segments[None], start[None], end[None]).loss
        for ids, segments, start, end in zip(
            map(torch.tensor, TEXTS), [SEGMENTS[0], SEGMENTS[1, :3]], starts, ends, strict=True
        )
    ]
    torch.testing.assert_close(output.loss, torch.stack(alone).mean())


def test_a_packed_text_has_no_place_behind_its_end(model: BertForQuestionAnswering) -> None:
    packed = Packed.from_texts(TEXTS)
    loss = model(packed, None, None, torch.tensor([2, 5]), torch.tensor([4, 3])).loss
    alone = model(IDS[:1], None, None, torch.tensor([2]), torch.tensor([4])).loss
    torch.testing.assert_close(loss, alone)


def test_saved_and_loaded_it_answers_alike(model: BertForQuestionAnswering, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    loaded = BertForQuestionAnswering.from_pretrained(tmp_path)
    assert not loaded.training
    assert loaded.labels == ["start", "end"]
    assert torch.equal(loaded(IDS, MASK).logits, model(IDS, MASK).logits)


def test_what_is_saved_names_its_class_and_has_no_pooler(model: BertForQuestionAnswering, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["BertForQuestionAnswering"]
    assert config["id2label"] == {"0": "start", "1": "end"}
    names = load_file(tmp_path / "model.safetensors").keys()
    assert {"qa_outputs.weight", "qa_outputs.bias"} <= names
    assert not [name for name in names if "pooler" in name]


def test_it_starts_from_an_encoder_with_a_pooler_or_without(model: BertForQuestionAnswering, tmp_path: Path) -> None:
    encoder = BertEncoder(SMALL).eval()
    encoder.save_pretrained(tmp_path / "encoder")
    model.save_pretrained(tmp_path / "answerer")
    for name, hidden in (("encoder", encoder(IDS)), ("answerer", model.bert(IDS))):
        started = BertForQuestionAnswering.from_encoder(tmp_path / name, ["start", "end"]).eval()
        assert torch.equal(started.bert(IDS).last_hidden_state, hidden.last_hidden_state)
        assert started(IDS).logits.shape == (2, 6, 2)
        assert bool(started.qa_outputs.weight.any())


def test_another_head_is_no_answerer(tmp_path: Path) -> None:
    BertForMaskedLM(SMALL).save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match=r"no tensor 'qa_outputs\.weight'"):
        BertForQuestionAnswering.from_pretrained(tmp_path)
