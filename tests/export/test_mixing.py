"""A mix of layers in the graph is that of the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from tests.export.test_graph import network, ragged, torch_logits, write_graph

from polarbert.export.graph_builder import GraphBuilder
from polarbert.export.mixing import mixed
from polarbert.inference.engine import load_engine
from polarbert.model import BertConfig, BertEncoder


@pytest.mark.parametrize("kind", ["sum", "mix", "concat"])
@pytest.mark.parametrize("count", [1, 3])
def test_the_nodes_compute_what_the_module_does(kind: str, count: int, tmp_path: Path) -> None:
    import onnxruntime

    torch.manual_seed(4)
    sizes = dict(vocab_size=50, hidden_size=8, num_attention_heads=2, intermediate_size=16)
    config = BertConfig.tiny(layer_mix=kind, layer_mix_count=count, **sizes)
    mix = BertEncoder(config).mix
    assert mix is not None
    with torch.no_grad():
        for parameter in mix.parameters():
            parameter.add_(torch.randn_like(parameter))
    names = ["embedded", "layer0.out", "layer1.out"]
    builder = GraphBuilder()
    weights = {f"bert.mix.{name}": tensor.numpy() for name, tensor in mix.state_dict().items()}
    result = mixed(builder, config, weights, names)
    float_matrix = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 8]) for name in [*names, result]]
    graph = helper.make_graph(
        builder.nodes, "mix", float_matrix[:3], float_matrix[3:], list(builder.constants.values())
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 9
    onnx.checker.check_model(model)

    states = [torch.randn(5, 8) for _ in names]
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (found,) = session.run(None, dict(zip(names, (state.numpy() for state in states), strict=True)))
    np.testing.assert_allclose(found, mix(states).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", ["sum", "mix", "concat"])
def test_the_graph_of_a_classifier_reads_the_mix(kind: str, tmp_path: Path) -> None:
    model = network(layer_mix=kind, layer_mix_count=2)
    batch = ragged([3, 40, 12])
    engine = load_engine(write_graph(model, tmp_path / "mix.onnx"), 1, "onnxruntime")
    np.testing.assert_allclose(engine.logits(*batch), torch_logits(model, batch), atol=1e-4)
