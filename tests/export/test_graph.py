"""The graph computes what the network computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from polarbert.export.graph import build_graph
from polarbert.inference.engine import ENGINES, load_engine
from polarbert.model import BertConfig, BertForSequenceClassification

Arrays = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def network(labels: int = 3, **sizes: Any) -> BertForSequenceClassification:
    torch.manual_seed(3)
    changes: dict[str, Any] = dict(
        vocab_size=200, hidden_size=48, num_attention_heads=4, intermediate_size=96, max_position_embeddings=40
    )
    config = BertConfig.tiny(**{**changes, "initializer_range": 0.2, **sizes})
    model = BertForSequenceClassification(config, [f"label {number}" for number in range(labels)]).eval()
    with torch.no_grad():  # norms and biases start at ones and zeros, which would hide one that is left out
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def ragged(lengths: list[int], seed: int = 0, vocabulary: int = 200) -> Arrays:
    """A batch of two segments each, with nonsense where it is padded."""
    random = np.random.default_rng(seed)
    shape = (len(lengths), max(lengths))
    ids = random.integers(0, vocabulary, shape)
    mask, segments = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, length in enumerate(lengths):
        mask[row, :length] = 1
        segments[row, length // 2 : length] = 1
    return ids, mask, segments


def write_graph(model: BertForSequenceClassification, file: Path) -> Path:
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    file.write_bytes(build_graph(model.config, weights, model.labels).SerializeToString())
    return file


def torch_logits(model: BertForSequenceClassification, batch: Arrays) -> NDArray[np.float32]:
    with torch.inference_mode():
        logits: NDArray[np.float32] = model(*(torch.from_numpy(array) for array in batch)).logits.numpy()
    return logits


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "lengths", [[1], [40], [7, 7], [3, 40, 12, 1, 25], [2] * 33], ids=lambda lengths: f"{len(lengths)} texts"
)
def test_logits_are_those_of_the_network(tmp_path: Path, engine: str, lengths: list[int]) -> None:
    model = network()
    batch = ragged(lengths)
    logits = load_engine(write_graph(model, tmp_path / "model.onnx"), 1, engine).logits(*batch)
    expected = torch_logits(model, batch)
    assert np.ptp(expected, axis=0).max() > 0.05 or len(lengths) == 1, "the batch would not show a mix-up"
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@pytest.mark.parametrize(
    "sizes",
    [
        {"num_hidden_layers": 1, "num_attention_heads": 1},
        {"num_hidden_layers": 3, "num_attention_heads": 12},
        {"layer_norm_eps": 1e-3},
        {"intermediate_size": 10},
        {"type_vocab_size": 5},
        {"labels": 2},
        {"labels": 28},
    ],
    ids=str,
)
def test_networks_of_any_shape(tmp_path: Path, sizes: dict[str, Any]) -> None:
    model = network(**sizes)
    batch = ragged([5, 40, 17])
    logits = load_engine(write_graph(model, tmp_path / "model.onnx"), 1, "onnxruntime").logits(*batch)
    np.testing.assert_allclose(logits, torch_logits(model, batch), atol=1e-4)


def test_each_input_takes_part(tmp_path: Path) -> None:
    engine = load_engine(write_graph(network(), tmp_path / "model.onnx"), 1, "onnxruntime")
    ids, mask, segments = ragged([12])
    logits = engine.logits(ids, mask, segments)
    other_ids = ids.copy()
    other_ids[0, 11] = (ids[0, 11] + 1) % 200
    shorter = mask.copy()
    shorter[0, 11] = 0
    for changed in ((other_ids, mask, segments), (ids, shorter, segments), (ids, mask, np.zeros_like(segments))):
        assert np.abs(engine.logits(*changed) - logits).max() > 1e-4


def test_the_order_of_words_takes_part(tmp_path: Path) -> None:
    engine = load_engine(write_graph(network(), tmp_path / "model.onnx"), 1, "onnxruntime")
    ids, mask, _ = ragged([12])
    segments = np.zeros_like(ids)
    swapped = ids.copy()
    swapped[0, [3, 8]] = swapped[0, [8, 3]]
    assert np.abs(engine.logits(swapped, mask, segments) - engine.logits(ids, mask, segments)).max() > 1e-4


def test_building_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    model = network()
    first, second = (write_graph(model, tmp_path / name).read_bytes() for name in ("a.onnx", "b.onnx"))
    assert first == second
