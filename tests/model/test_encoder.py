"""The encoder by itself; tests/parity holds it against the reference implementation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from polarbert.model import BertConfig, BertEncoder, Packed
from polarbert.model.encoder import BertSelfAttention

SMALL = BertConfig.tiny(vocab_size=50, hidden_size=32, intermediate_size=64, max_position_embeddings=16)


@pytest.fixture
def encoder() -> BertEncoder:
    torch.manual_seed(0)
    return BertEncoder(SMALL).eval()


@pytest.mark.parametrize(
    ("config", "parameters"), [(BertConfig.base(), 109_482_240), (BertConfig.large(), 335_141_888)]
)
def test_the_module_has_the_parameters_of_the_paper(config: BertConfig, parameters: int) -> None:
    with torch.device("meta"):
        encoder = BertEncoder(config)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == parameters


@pytest.mark.parametrize("config", [SMALL, BertConfig.transformer(vocab_size=10, type_vocab_size=3)])
def test_the_count_of_the_config_is_that_of_the_module(config: BertConfig) -> None:
    with torch.device("meta"):
        encoder = BertEncoder(config)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == config.parameter_count()


def test_outputs_have_the_documented_shapes(encoder: BertEncoder) -> None:
    out = encoder(torch.ones(3, 7, dtype=torch.long), output_hidden_states=True, output_attentions=True)
    assert out.last_hidden_state.shape == (3, 7, 32)
    assert out.pooler_output.shape == (3, 32)
    assert [state.shape for state in out.hidden_states] == [(3, 7, 32)] * 3
    assert [weights.shape for weights in out.attentions] == [(3, 2, 7, 7)] * 2
    assert torch.equal(out.hidden_states[-1], out.last_hidden_state)


def test_optional_outputs_are_absent_unless_asked_for(encoder: BertEncoder) -> None:
    out = encoder(torch.ones(1, 2, dtype=torch.long))
    assert out.hidden_states is None
    assert out.attentions is None


def test_asking_for_attention_changes_no_answer(encoder: BertEncoder) -> None:
    ids, mask = torch.randint(1, 50, (4, 9)), torch.arange(9) < torch.tensor([[9], [5], [2], [1]])
    fused, explicit = encoder(ids, mask), encoder(ids, mask, output_attentions=True)
    torch.testing.assert_close(fused.last_hidden_state[mask], explicit.last_hidden_state[mask], atol=1e-5, rtol=0)


def test_attention_rows_sum_to_one_and_skip_padding(encoder: BertEncoder) -> None:
    mask = torch.tensor([[1, 1, 1, 0, 0]])
    weights = encoder(torch.tensor([[1, 2, 3, 0, 0]]), mask, output_attentions=True).attentions[0]
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 2, 5))
    assert not bool(weights[..., 3:].any())


@pytest.mark.parametrize("kind", [torch.bool, torch.long, torch.float32])
def test_the_mask_may_be_of_any_type(encoder: BertEncoder, kind: torch.dtype) -> None:
    ids, mask = torch.tensor([[5, 6, 7, 0]]), torch.tensor([[True, True, True, False]])
    expected = encoder(ids[:, :3]).pooler_output
    torch.testing.assert_close(encoder(ids, mask.to(kind)).pooler_output, expected, atol=1e-6, rtol=0)


def test_segments_and_order_matter(encoder: BertEncoder) -> None:
    ids = torch.tensor([[5, 6, 7]])
    plain = encoder(ids).pooler_output
    assert torch.equal(encoder(ids, token_type_ids=torch.zeros_like(ids)).pooler_output, plain)
    assert not torch.allclose(encoder(ids, token_type_ids=torch.tensor([[0, 1, 1]])).pooler_output, plain, atol=1e-4)
    assert not torch.allclose(encoder(torch.tensor([[5, 7, 6]])).pooler_output, plain, atol=1e-4)


def test_the_longest_input_works_and_a_longer_one_says_what_to_do(encoder: BertEncoder) -> None:
    assert encoder(torch.ones(1, 16, dtype=torch.long)).last_hidden_state.shape == (1, 16, 32)
    with pytest.raises(ValueError, match=r"17 pieces.*reads 16.*windows"):
        encoder(torch.ones(1, 17, dtype=torch.long))


def test_training_mode_drops_and_evaluation_repeats(encoder: BertEncoder) -> None:
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(encoder(ids).pooler_output, encoder(ids).pooler_output)
    encoder.train()
    assert not torch.equal(encoder(ids).pooler_output, encoder(ids).pooler_output)


def test_training_without_dropout_computes_what_evaluation_does() -> None:
    torch.manual_seed(0)
    encoder = BertEncoder(BertConfig.tiny(vocab_size=50, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    ids, mask = torch.tensor([[5, 6, 7], [8, 9, 0]]), torch.tensor([[1, 1, 1], [1, 1, 0]])
    trained, evaluated = encoder.train()(ids, mask).pooler_output, encoder.eval()(ids, mask).pooler_output
    torch.testing.assert_close(trained, evaluated, atol=1e-6, rtol=0)


@torch.no_grad()
def test_dropout_on_attention_alone_keeps_the_expectation() -> None:
    torch.manual_seed(0)
    config = BertConfig.tiny(attention_probs_dropout_prob=0.2)
    attention = BertSelfAttention(config)
    x = torch.randn(1, 6, 128)
    expected = attention.eval()(x, None, False)[0]
    drawn = attention.train()(x.expand(4000, -1, -1), None, False)[0]
    error = drawn.std(0) / 4000**0.5
    assert float(((drawn.mean(0) - expected[0]).abs() / error).max()) < 6
    assert float(drawn.std(0).min()) > 0


def test_new_weights_are_a_cut_normal() -> None:
    torch.manual_seed(0)
    encoder = BertEncoder(BertConfig.tiny(vocab_size=2000, initializer_range=0.05))
    weight = encoder.embeddings.word.weight[1:]
    assert float(weight.detach().abs().max()) <= 0.1
    assert float(weight.detach().std()) == pytest.approx(0.05 * 0.88, rel=0.02)  # a normal cut at two deviations
    assert float(encoder.embeddings.word.weight[0].detach().abs().max()) == 0.0
    assert all(float(p.detach().abs().max()) == 0.0 for name, p in encoder.named_parameters() if name.endswith("bias"))
    assert encoder.get_parameter("layers.1.output_norm.weight").tolist() == [1.0] * 128


def test_saved_and_loaded_it_answers_alike(encoder: BertEncoder, tmp_path: Path) -> None:
    encoder.save_pretrained(tmp_path / "new" / "folder")
    loaded = BertEncoder.from_pretrained(tmp_path / "new" / "folder")
    ids = torch.randint(1, 50, (2, 8))
    assert loaded.config == SMALL
    assert not loaded.training
    assert torch.equal(loaded(ids).last_hidden_state, encoder(ids).last_hidden_state)


def learn(encoder: BertEncoder, batch: torch.Tensor | Packed) -> tuple[list[torch.Tensor], int, torch.Tensor]:
    """Gradients of one pass, the bytes kept for it, and the random number that comes next."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    torch.manual_seed(3)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = encoder(batch).last_hidden_state.square().mean()
    size = sum(kept.values()) - sum(p.nbytes for p in encoder.parameters() if p.data_ptr() in kept)
    gradients = torch.autograd.grad(loss, [p for n, p in encoder.named_parameters() if "pooler" not in n])
    return list(gradients), size, torch.rand(1)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("is_packed", [False, True])
def test_gradient_checkpointing_changes_no_gradient_and_keeps_less(is_packed: bool, precision: torch.dtype) -> None:
    """With dropout: the second time the same elements are dropped, and later random numbers stay the same."""
    torch.manual_seed(0)
    encoder = BertEncoder(BertConfig.tiny(vocab_size=50, num_hidden_layers=4)).train()
    batch = Packed.from_texts([[5, 6, 7] * 9, [8] * 4]) if is_packed else torch.randint(1, 50, (3, 27))
    with torch.autocast("cpu", precision, enabled=precision is torch.bfloat16):
        expected, whole, drawn = learn(encoder, batch)
        encoder.gradient_checkpointing = True
        found, little, drawn_after = learn(encoder, batch)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))
    assert torch.equal(drawn, drawn_after)
    assert little < whole / 4
