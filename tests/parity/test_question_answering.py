"""The head that points at answers against `transformers` (eager attention, single precision, evaluation mode).

Weights are random in every tensor, norms and biases too, so that no two may be mistaken for one another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from polarbert.model import BertConfig, BertForQuestionAnswering

CONFIG = BertConfig.tiny(vocab_size=300, hidden_size=48, intermediate_size=96)
POSITIONS = {"start_positions": torch.tensor([12, 10, 0]), "end_positions": torch.tensor([15, 12, 0])}


def assert_close(ours: Tensor | None, theirs: Tensor | None) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def randomise(model: nn.Module) -> None:
    """Move every tensor away from its initial value by as much as training might."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05 if parameter.ndim > 1 else 0.2)


def batch() -> dict[str, Tensor]:
    """Questions and passages of 20, 13 and 11 pieces together, padded."""
    torch.manual_seed(1)
    places = torch.arange(20)
    mask = places < torch.tensor([[20], [13], [11]])
    ids = torch.randint(1, 300, (3, 20)) * mask
    segments = ((places >= 9) & mask).long()
    return {"input_ids": ids, "attention_mask": mask.long(), "token_type_ids": segments}


@pytest.fixture(scope="module")
def theirs() -> Any:
    values = {name: value for name, value in CONFIG.to_dict().items() if name != "model_type"}
    config = transformers.BertConfig(**values)
    model = transformers.BertForQuestionAnswering._from_config(config, attn_implementation="eager").eval()
    randomise(model)
    return model


@torch.inference_mode()
def test_theirs_loads_here(theirs: Any, tmp_path: Path) -> None:
    theirs.save_pretrained(tmp_path)
    ours = BertForQuestionAnswering.from_pretrained(tmp_path)
    our_answer, their_answer = ours(**batch(), **POSITIONS), theirs(**batch(), **POSITIONS)
    assert_close(our_answer.start_logits, their_answer.start_logits)
    assert_close(our_answer.end_logits, their_answer.end_logits)
    assert_close(our_answer.loss, their_answer.loss)
    assert float(our_answer.logits.std()) > 0.1, "parity of constants would prove nothing"


@torch.inference_mode()
def test_ours_loads_there_and_nothing_is_missing_or_left_over(tmp_path: Path) -> None:
    ours = BertForQuestionAnswering(CONFIG).eval()
    randomise(ours)
    ours.save_pretrained(tmp_path)
    answer: Any = transformers.AutoModelForQuestionAnswering.from_pretrained(tmp_path, output_loading_info=True)
    loaded, report = answer
    assert type(loaded) is transformers.BertForQuestionAnswering
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    our_answer, their_answer = ours(**batch(), **POSITIONS), loaded.eval()(**batch(), **POSITIONS)
    assert_close(our_answer.start_logits, their_answer.start_logits)
    assert_close(our_answer.end_logits, their_answer.end_logits)
    assert_close(our_answer.loss, their_answer.loss)


@torch.inference_mode()
def test_a_position_beyond_the_input_is_passed_over_as_there(theirs: Any, tmp_path: Path) -> None:
    theirs.save_pretrained(tmp_path)
    ours = BertForQuestionAnswering.from_pretrained(tmp_path)
    positions = {"start_positions": torch.tensor([12, 10, 20]), "end_positions": torch.tensor([15, 70, 9])}
    assert_close(ours(**batch(), **positions).loss, theirs(**batch(), **positions).loss)


def test_gradients_agree(theirs: Any, tmp_path: Path) -> None:
    theirs.save_pretrained(tmp_path)
    ours = BertForQuestionAnswering.from_pretrained(tmp_path)
    theirs.zero_grad()
    ours(**batch(), **POSITIONS).loss.backward()
    theirs(**batch(), **POSITIONS).loss.backward()
    names = {
        "bert.embeddings.word.weight": "bert.embeddings.word_embeddings.weight",
        "bert.layers.0.attention.query.weight": "bert.encoder.layer.0.attention.self.query.weight",
        "qa_outputs.weight": "qa_outputs.weight",
        "qa_outputs.bias": "qa_outputs.bias",
    }
    for our_name, their_name in names.items():
        assert_close(ours.get_parameter(our_name).grad, theirs.get_parameter(their_name).grad)
