"""Weights in seven bits, activations in eight: their products fit where the oldest processors add them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from polarbert.export.graph import IR_VERSION, OPSET
from polarbert.export.graph_builder import ColumnRanges, GraphBuilder, quantise_columns, smoothing_factors
from polarbert.export.quantise import ObservingEngine
from polarbert.inference.engine import OnnxRuntimeEngine

pytest_plugins = ["tests.scoring_fixtures"]

WEIGHTS = arrays(
    np.float32,
    st.tuples(st.integers(1, 8), st.integers(1, 5)),
    elements=st.floats(-1e6, 1e6, width=32)
    | st.floats(-(2.0**-20), 2.0**-20, width=32)
    | st.sampled_from([0.0, 1.0, -1.0]),
)


@given(WEIGHTS)
def test_weights_take_seven_bits_and_are_off_by_half_a_step(weight: NDArray[np.float32]) -> None:
    scale, steps = quantise_columns(weight)
    assert steps.dtype == np.int8
    assert steps.min() >= -63
    assert steps.max() <= 63
    error = np.abs(weight.astype(np.float64) - steps * scale.astype(np.float64))
    assert (error <= 0.5001 * scale + 1e-12).all()


@given(WEIGHTS)
def test_every_column_uses_all_of_its_steps(weight: NDArray[np.float32]) -> None:
    _, steps = quantise_columns(weight)
    used = np.abs(weight).max(axis=0) > 1e-6
    assert (np.abs(steps).max(axis=0)[used] == 63).all()


@given(WEIGHTS.filter(lambda weight: weight.shape[0] >= 2), st.data())
def test_no_pair_of_products_leaves_sixteen_bits(weight: NDArray[np.float32], data: st.DataObject) -> None:
    _, steps = quantise_columns(weight)
    rows = data.draw(
        arrays(np.uint8, len(steps), elements=st.sampled_from([0, 1, 128, 254, 255]) | st.integers(0, 255))
    )
    products = rows[:, None].astype(np.int64) * steps.astype(np.int64)
    even = products[: len(products) // 2 * 2]
    pairs = even[0::2] + even[1::2]
    assert pairs.min(initial=0) >= -(2**15)
    assert pairs.max(initial=0) <= 2**15 - 1


@given(st.floats(-1e4, 1e4), st.floats(0, 1e4))
def test_a_range_holds_zero_exactly_and_its_ends_within_a_step(low: float, width: float) -> None:
    span = ColumnRanges(np.array([low]), np.array([low + width]))
    scale, zero = span.scale_and_zero()
    assert 0 <= int(zero) <= 255
    for value in (min(low, 0.0), max(low + width, 0.0)):
        step = np.clip(round(value / float(scale)) + int(zero), 0, 255)
        assert abs((int(step) - int(zero)) * float(scale) - value) <= 1.01 * float(scale)


def even(low: float, high: float, columns: int) -> ColumnRanges:
    return ColumnRanges(np.full(columns, low), np.full(columns, high))


def observed(x: NDArray[np.float32]) -> ColumnRanges:
    return ColumnRanges(x.min(axis=0), x.max(axis=0))


def run_linear(weight: NDArray[np.float32], bias: NDArray[np.float32], x: NDArray[np.float32],
               span: ColumnRanges, outliers: int = 0, smooth: bool = False) -> NDArray[np.float32]:  # fmt: skip
    """x @ weight + bias through a graph of one quantised layer."""
    import onnxruntime

    builder = GraphBuilder({"x": span})
    zeros = builder.constant("zeros", np.zeros((1, weight.shape[1]), np.float32))
    name, kernel = builder.smoothed("x", weight) if smooth else ("x", weight)
    y = builder.linear(name, "y", kernel, bias, zeros, outliers)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", weight.shape[0]])]
    outputs = [helper.make_tensor_value_info(y, TensorProto.FLOAT, ["n", weight.shape[1]])]
    graph = helper.make_graph(builder.nodes, "layer", inputs, outputs, list(builder.constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: NDArray[np.float32] = session.run([y], {"x": x})[0]
    return result


@pytest.mark.parametrize("sign", [1, -1])
def test_sums_of_extreme_values_are_exact(sign: int) -> None:
    weight = np.full((512, 16), sign * 0.63, dtype=np.float32)
    x = np.full((3, 512), 2.55, dtype=np.float32)
    y = run_linear(weight, np.zeros(16, np.float32), x, even(0.0, 2.55, 512))
    np.testing.assert_allclose(y, sign * 0.63 * 2.55 * 512, rtol=1e-5)


def test_a_layer_in_integers_is_near_the_layer_in_float() -> None:
    random = np.random.default_rng(0)
    weight = random.normal(0, 0.1, (64, 32)).astype(np.float32)
    bias = random.normal(0, 0.1, 32).astype(np.float32)
    x = random.uniform(-1, 2, (20, 64)).astype(np.float32)
    y = run_linear(weight, bias, x, even(-1.0, 2.0, 64))
    exact = x @ weight + bias
    assert np.abs(y - exact).mean() < 0.02 * np.abs(exact).max()
    assert np.corrcoef(y.ravel(), exact.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-6])
def test_the_bias_of_a_column_without_weights_survives(size: float) -> None:
    weight = np.full((8, 3), 0.1, dtype=np.float32)
    weight[:, 1] = size
    bias = np.array([0.5, 2.0, -0.5], dtype=np.float32)
    y = run_linear(weight, bias, np.zeros((1, 8), np.float32), even(-1.0, 1.0, 8))
    np.testing.assert_allclose(y[0], bias, atol=0.01)


def test_columns_that_stick_out_are_exact_and_leave_the_others_their_steps() -> None:
    random = np.random.default_rng(1)
    weight = random.normal(0, 0.1, (64, 32)).astype(np.float32)
    bias = random.normal(0, 0.1, 32).astype(np.float32)
    x = random.uniform(-1, 1, (20, 64)).astype(np.float32)
    x[:, [3, 40]] *= 100
    exact = x @ weight + bias
    kept = run_linear(weight, bias, x, observed(x), outliers=2)
    spread = run_linear(weight, bias, x, observed(x))
    assert np.abs(kept - exact).mean() < 0.02
    assert np.abs(spread - exact).mean() > 5 * np.abs(kept - exact).mean()


def test_smoothing_gives_uneven_columns_their_steps_back() -> None:
    random = np.random.default_rng(2)
    weight = random.normal(0, 0.1, (64, 32)).astype(np.float32)
    bias = random.normal(0, 0.1, 32).astype(np.float32)
    x = (random.uniform(-1, 1, (20, 64)) * np.exp(random.normal(0, 1, 64))).astype(np.float32)
    exact = x @ weight + bias
    smooth, plain = (run_linear(weight, bias, x, observed(x), smooth=flag) for flag in (True, False))
    assert np.abs(smooth - exact).mean() < 0.8 * np.abs(plain - exact).mean()


REACHES = arrays(np.float32, 12, elements=st.floats(0, 1000, width=32))


@given(REACHES, arrays(np.float32, (12, 3), elements=st.floats(-10, 10, width=32)))
def test_smoothing_changes_no_product(reach: NDArray[np.float32], weight: NDArray[np.float32]) -> None:
    factors = smoothing_factors(reach, weight)
    assert (factors > 0).all()
    assert np.isfinite(factors).all()
    x = np.linspace(-1, 1, 12, dtype=np.float32) * reach
    np.testing.assert_allclose((x / factors) @ (weight * factors[:, None]), x @ weight, rtol=1e-3, atol=1e-2)


@given(arrays(np.float32, (2, 30), elements=st.floats(0, 1000, width=32)), st.integers(0, 5))
def test_the_columns_that_reach_farthest_are_left_out_of_the_range(ends: NDArray[np.float32], count: int) -> None:
    span = ColumnRanges(-ends[0], ends[1])
    outliers = span.largest(count)
    assert len(set(outliers)) == count
    rest = np.delete(np.arange(30), np.array(outliers, dtype=int))
    assert min(span.reach[outliers], default=np.inf) >= span.reach[rest].max()
    scale, _ = span.scale_and_zero(outliers)
    assert float(scale) == pytest.approx(max((ends[1][rest].max() + ends[0][rest].max()) / 255, 1e-8), rel=1e-5)


def test_observed_ranges_leave_out_padding(bundle_dir: Path, trained_dir: Path, tmp_path: Path) -> None:
    from polarbert.export.graph import build_graph
    from polarbert.model import BertForSequenceClassification

    model = BertForSequenceClassification.from_pretrained(trained_dir)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    graph = build_graph(model.config, weights, model.labels, observe=True)
    ids = np.array([[101, 450, 500, 460, 102]])
    padded = np.pad(ids, ((0, 0), (0, 30)), constant_values=7)
    bare, filled = ObservingEngine(graph), ObservingEngine(graph)
    bare.logits(ids, np.ones_like(ids), np.zeros_like(ids))
    filled.logits(padded, np.pad(np.ones_like(ids), ((0, 0), (0, 30))), np.zeros_like(padded))
    assert len(bare.ranges()) == 4 * model.config.num_hidden_layers
    for name, span in bare.ranges().items():
        assert (span.lows < span.highs).all()
        assert filled.ranges()[name].lows == pytest.approx(span.lows, abs=1e-3)
        assert filled.ranges()[name].highs == pytest.approx(span.highs, abs=1e-3)


def test_the_exported_graph_holds_seven_bit_weights(bundle_dir: Path) -> None:
    model = onnx.load(bundle_dir / "model.int8.onnx")
    kernels = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.INT8 and tensor.name.endswith(".weight")
    }
    assert len(kernels) == 4 * 2
    for steps in kernels.values():
        assert np.abs(steps.astype(int)).max() == 63
    operators = {node.op_type for node in model.graph.node}
    assert {"QuantizeLinear", "DequantizeLinear", "Gemm"} <= operators
    assert all(entry.domain in ("", "ai.onnx") for entry in model.opset_import), "an operator outside the standard"


def test_the_int8_graph_runs_as_a_file(bundle_dir: Path) -> None:
    engine = OnnxRuntimeEngine(bundle_dir / "model.int8.onnx", 1)
    ids = np.array([[101, 102]])
    assert engine.logits(ids, np.ones_like(ids), np.zeros_like(ids)).shape == (1, 3)
