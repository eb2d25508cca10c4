"""Vectors of texts are those of the network's layers, however long the text and however it is batched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel, AutoTokenizer

from polarbert.errors import BundleError, UsageError
from polarbert.model import BertConfig, BertEncoder
from polarbert.text import WordPieceTokenizer
from polarbert.training.embedding import Embedder, Reading, Vectors, parse_layers

TEXTS = ["I love it", "", "The hotel was awful, and the food worse!", "good", "I love it", "😀 great café"]
POSITIONS = 16


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory, tokenizer: WordPieceTokenizer) -> Path:
    """A random encoder of three layers that reads 16 pieces."""
    folder = tmp_path_factory.mktemp("embed") / "model"
    torch.manual_seed(3)
    sizes: dict[str, Any] = dict(hidden_size=24, intermediate_size=48, max_position_embeddings=POSITIONS)
    config = BertConfig.tiny(vocab_size=tokenizer.vocab_size, num_hidden_layers=3, initializer_range=0.2, **sizes)
    BertEncoder(config).save_pretrained(folder)
    tokenizer.save(folder)
    return folder


def theirs(model_dir: Path, text: str) -> list[Vectors]:
    """The hidden states of `transformers`, from the embeddings on, each (pieces, H), with [CLS] and [SEP]."""
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    model = AutoModel.from_pretrained(model_dir).eval()
    with torch.inference_mode():
        output = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True)
    return [state[0].numpy() for state in output.hidden_states]


@pytest.mark.parametrize("combine", ["concat", "sum", "mean"])
@pytest.mark.parametrize("layers", ["-1", "0", "-1,-2", "1,3,0", "all"])
def test_vectors_are_those_of_transformers(model_dir: Path, layers: str, combine: str) -> None:
    texts = [TEXTS[0], TEXTS[1], TEXTS[2]]
    numbers = parse_layers(layers, 3)
    for pool in ("mean", "cls", "tokens"):
        embedder = Embedder.open(model_dir, Reading(layers, combine, pool))
        found = [one.vectors for one in embedder.tokens(texts)] if pool == "tokens" else list(embedder.embed(texts))
        for text, vectors in zip(texts, found, strict=True):
            states = theirs(model_dir, text)
            chosen = [states[number] for number in numbers]
            joined = np.concatenate(chosen, 1) if combine == "concat" else np.sum(chosen, 0)
            joined = joined / len(chosen) if combine == "mean" else joined
            expected = {"mean": joined.mean(0), "cls": joined[0], "tokens": joined[1:-1]}[pool]
            np.testing.assert_allclose(vectors, expected, atol=2e-5)
        assert embedder.dimensions == (24 * len(numbers) if combine == "concat" else 24)


@pytest.mark.parametrize("pool", ["mean", "cls"])
def test_a_text_has_the_same_vector_in_any_company(model_dir: Path, pool: str) -> None:
    embedder = Embedder.open(model_dir, Reading(pool=pool))
    together = embedder.embed(TEXTS)
    assert together.shape == (6, 24)
    assert together.dtype == np.float32
    assert np.array_equal(together[0], together[4])
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.array_equal(together, embedder.embed(TEXTS))


def windows_of(text: str, tokenizer: WordPieceTokenizer) -> list[list[int]]:
    """The windows of a text with [CLS] and [SEP], each computed by itself."""
    from polarbert.text import cut_windows

    ids = tokenizer.encode([text])[0].ids
    parts = cut_windows(len(ids), POSITIONS - 2, (POSITIONS - 2) // 4)
    return [[tokenizer.cls_id, *ids[start:end], tokenizer.sep_id] for start, end in parts]


LONG = "the film was good and the story was " * 6 + "awful"


def test_the_mean_of_a_long_text_is_over_all_positions_of_its_windows(
    model_dir: Path, tokenizer: WordPieceTokenizer
) -> None:
    encoder = BertEncoder.from_pretrained(model_dir)
    windows = windows_of(LONG, tokenizer)
    assert len(windows) > 3
    states = [encoder(torch.tensor([ids])).last_hidden_state[0].detach().numpy() for ids in windows]
    mean = Embedder.open(model_dir).embed(["good", LONG])[1]
    np.testing.assert_allclose(mean, np.concatenate(states).mean(0), atol=1e-5)
    cls = Embedder.open(model_dir, Reading(pool="cls")).embed([LONG, "good"])[0]
    np.testing.assert_allclose(cls, states[0][0], atol=1e-5)


def test_each_piece_of_a_long_text_has_the_vector_of_the_window_that_shows_most_round_it(
    model_dir: Path, tokenizer: WordPieceTokenizer
) -> None:
    from polarbert.text import cut_windows

    (found,) = Embedder.open(model_dir, Reading(pool="tokens")).tokens([LONG])
    pieces = tokenizer.encode([LONG], offsets=True)[0]
    assert len(found.pieces) == len(pieces.ids) == len(found.vectors) == len(found.offsets)
    assert [LONG[start:end] for start, end in found.offsets] == [piece.removeprefix("##") for piece in found.pieces]
    encoder = BertEncoder.from_pretrained(model_dir)
    parts = cut_windows(len(pieces.ids), POSITIONS - 2, (POSITIONS - 2) // 4)
    states = [
        encoder(torch.tensor([ids])).last_hidden_state[0, 1:-1].detach().numpy() for ids in windows_of(LONG, tokenizer)
    ]
    for place in range(len(pieces.ids)):
        rooms = {n: min(place - start, end - 1 - place) for n, (start, end) in enumerate(parts) if start <= place < end}
        best = [n for n, room in rooms.items() if room >= max(rooms.values()) - 1]  # in the middle either will do
        candidates = [states[n][place - parts[n][0]] for n in best]
        assert min(float(np.abs(found.vectors[place] - one).max()) for one in candidates) < 1e-5


def test_lower_layers_cost_less_and_are_the_same(model_dir: Path) -> None:
    low = Embedder.open(model_dir, Reading("1"))
    assert len(low._encoder.layers) == 1
    every = Embedder.open(model_dir, Reading("all")).embed(TEXTS)
    np.testing.assert_allclose(low.embed(TEXTS), every[:, 24:48], atol=1e-5)


def test_no_text_no_vector(model_dir: Path) -> None:
    assert Embedder.open(model_dir).embed([]).shape == (0, 24)
    assert Embedder.open(model_dir, Reading(pool="tokens")).tokens([]) == []


@given(layers=st.integers(1, 24), data=st.data())
def test_layers_count_from_either_end(layers: int, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, layers), min_size=1, unique=True))
    signed = [number - layers - 1 if data.draw(st.booleans()) else number for number in chosen]
    assert parse_layers(",".join(map(str, signed)), layers) == chosen
    assert parse_layers("all", layers) == list(range(layers + 1))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("7", "no such layer: 7; the model has 6 layers and the embeddings, 0 to 6"),
        ("-8", "no such layer: -8; the model has 6 layers"),
        ("1,x", "give numbers with commas"),
        ("", "give numbers with commas"),
        ("-1,6", "layer 6 is named twice in -1,6"),
    ],
)
def test_a_layer_that_is_none_is_refused(names: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_layers(names, 6)


def test_what_cannot_be_read_is_refused(model_dir: Path, tmp_path: Path) -> None:
    for reading in ({"pool": "max"}, {"combine": "product"}):
        with pytest.raises(UsageError, match="it can be"):
            Reading(**reading)
    with pytest.raises(UsageError, match="no such layer: 4"):
        Embedder.open(model_dir, Reading("4"))
    with pytest.raises(BundleError, match="no such folder"):
        Embedder.open(tmp_path / "none")
    with pytest.raises(UsageError, match=r"ask for tokens\(\)"):
        Embedder.open(model_dir, Reading(pool="tokens")).embed(["good"])
    with pytest.raises(UsageError, match=r"ask for embed\(\)"):
        Embedder.open(model_dir).tokens(["good"])
