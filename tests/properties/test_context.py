"""What makes BERT bidirectional: every position is computed from the pieces on both sides of it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polarbert.model import BertConfig, BertEncoder

VOCABULARY = 60
PIECES = st.integers(1, VOCABULARY - 1)


@pytest.fixture(scope="module", params=[1, 2], ids=["one layer", "two layers"])
def encoder(request: pytest.FixtureRequest) -> BertEncoder:
    """Weights wide enough that an influence, where there is one, is far above rounding."""
    torch.manual_seed(0)
    config = BertConfig.tiny(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=request.param,
        initializer_range=0.2, max_position_embeddings=32,
    )  # fmt: skip
    return BertEncoder(config).eval()


@st.composite
def change_of_a_piece(draw: st.DrawFn) -> tuple[list[int], int, int]:
    """A text, a position in it, and another piece for that position."""
    ids = draw(st.lists(PIECES, min_size=2, max_size=16))
    place = draw(st.integers(0, len(ids) - 1))
    return ids, place, draw(PIECES.filter(lambda piece: piece != ids[place]))


@given(change=change_of_a_piece())
@torch.inference_mode()
def test_a_changed_piece_changes_every_position(encoder: BertEncoder, change: tuple[list[int], int, int]) -> None:
    ids, place, other = change
    changed = [*ids[:place], other, *ids[place + 1 :]]
    before, after = encoder(torch.tensor([ids, changed])).last_hidden_state
    moved = (before - after).abs().amax(-1)
    assert float(moved.min()) > 1e-4


@given(ids=st.lists(PIECES, min_size=1, max_size=16), padding=st.lists(st.integers(0, VOCABULARY - 1), max_size=12))
@torch.inference_mode()
def test_padding_never_reaches_a_real_position(encoder: BertEncoder, ids: list[int], padding: list[int]) -> None:
    alone = encoder(torch.tensor([ids]), output_hidden_states=True)
    mask = torch.tensor([[1] * len(ids) + [0] * len(padding)])
    padded = encoder(torch.tensor([ids + padding]), mask, output_hidden_states=True)
    for real, state in zip(alone.hidden_states, padded.hidden_states, strict=True):
        torch.testing.assert_close(state[:, : len(ids)], real, atol=2e-6, rtol=0)
    torch.testing.assert_close(padded.pooler_output, alone.pooler_output, atol=2e-6, rtol=0)


@given(texts=st.lists(st.lists(PIECES, min_size=1, max_size=16), min_size=2, max_size=4))
@torch.inference_mode()
def test_the_texts_of_a_batch_do_not_see_each_other(encoder: BertEncoder, texts: list[list[int]]) -> None:
    longest = max(map(len, texts))
    ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts])
    together = encoder(ids, mask).pooler_output
    alone = torch.cat([encoder(torch.tensor([text])).pooler_output for text in texts])
    torch.testing.assert_close(together, alone, atol=2e-6, rtol=0)
