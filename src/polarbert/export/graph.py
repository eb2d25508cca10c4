"""A trained network as an ONNX graph, in float or in static int8.

The graph is written node by node instead of traced, so that it says exactly what is computed: one product for query,
key and value; matrices for all positions of a batch at once; integer products wherever a layer's weights are used.
Only operators of the ONNX standard are used, in its QDQ form, so any runtime can read the file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from polarbert.export.mixing import mixed
from polarbert.model.config import BertConfig

OPSET = 20  # the first with Gelu
IR_VERSION = 9
MAX_BIAS_STEPS = 2**30  # a bias counts in steps of its column's scale; the sum it joins must fit in 32 bits
SMOOTHING = 0.65  # how much of the spread of an input's columns its weights take over; 1 would be all of it
OUTLIERS_IN = 192  # one column in so many of the widest activation is multiplied in float: 8 of 1536
MASKED = -1e4  # added to the score of a padded position; exp() of it is 0 in float32

Array = NDArray[Any]
Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class ColumnRanges:
    """What values the columns of an activation take, by calibration.

    Attributes:
        lows, highs: (columns,) least and greatest value of each column.
    """

    lows: Array
    highs: Array

    @property
    def reach(self) -> Array:
        """(columns,) greatest absolute value of each column."""
        return np.maximum(-self.lows, self.highs)

    def scaled(self, factors: Array | float) -> ColumnRanges:
        """The ranges once each column is multiplied by its factor, above 0."""
        return ColumnRanges(self.lows * factors, self.highs * factors)

    def largest(self, count: int) -> list[int]:
        """The `count` columns that reach farthest, in ascending order."""
        return sorted(np.argsort(-self.reach, kind="stable")[:count].tolist())

    def scale_and_zero(self, without: Sequence[int] = ()) -> tuple[np.float32, np.uint8]:
        """The step of 255 that covers zero and all columns but some, and the step that stands for zero."""
        kept = np.delete(np.arange(len(self.lows)), np.array(without, dtype=np.int64))
        low, high = min(float(self.lows[kept].min()), 0.0), max(float(self.highs[kept].max()), 0.0)
        scale = max((high - low) / 255, 1e-8)
        return np.float32(scale), np.uint8(round(-low / scale))


@dataclass
class GraphBuilder:
    """Collects nodes and constants.

    Args:
        ranges: by name of the activation; empty for a float graph. Every weight layer's input needs one otherwise.
    """

    ranges: Mapping[str, ColumnRanges] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    linear_inputs: list[str] = field(default_factory=list)

    def constant(self, name: str, value: Array) -> str:
        """A named constant; asked for twice, it is stored once."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.array(value, order="C"), name)
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """A node with one output, which is returned."""
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output

    def linear(
        self, x: str, name: str, weight: Array, bias: Array, addend: str | None = None, outliers: int = 0
    ) -> str:
        """The product `x @ weight + bias (+ addend)`; in integers when the graph is quantised.

        Args:
            x: name of the input, (N, in).
            name: of the output, (N, out).
            weight: (in, out).
            bias: (out,).
            addend: name of something of the output's shape to add, (N, out).
            outliers: so many columns of `x`, those with the largest values, are multiplied in float and keep the steps
                of the others small (Dettmers et al. 2022, "LLM.int8()"). Needs an addend, which their product joins.
        """
        if not self.ranges:
            product = self._float_layer(x, f"{name}.mm", weight, bias)
        else:
            columns = self.ranges[x].largest(0 if addend is None else outliers)
            regular = weight.copy()
            regular[columns] = 0
            product = self._integer_layer(x, f"{name}.mm", regular, bias, columns)
            if columns and addend is not None:
                addend = self._outlier_product(x, f"{name}.outliers", weight[columns], columns, addend)
        return product if addend is None else self.add("Add", [product, addend], name)

    def smoothed(self, x: str, weight: Array) -> tuple[str, Array]:
        """Move the spread of the columns of `x` into `weight` (in, out): the same product, easier in integers.

        Returns:
            The name of `x` with its columns divided, and the weight with its rows multiplied; in a float graph, both as
            they were.
        """
        if not self.ranges:
            return x, weight
        factors = smoothing_factors(self.ranges[x].reach, weight)
        inverse = (1 / factors).astype(np.float32)
        divided = self.add("Mul", [x, self.constant(f"{x}.smoothing", inverse)], f"{x}.smoothed")
        self.ranges = {**self.ranges, divided: self.ranges[x].scaled(inverse)}
        return divided, weight * factors[:, None]

    def _float_layer(self, x: str, name: str, weight: Array, bias: Array) -> str:
        if x not in self.linear_inputs:
            self.linear_inputs.append(x)
        kernel = self.constant(f"{name}.weight", weight.astype(np.float32))
        return self.add("Gemm", [x, kernel, self.constant(f"{name}.bias", bias.astype(np.float32))], name)

    def _outlier_product(self, x: str, name: str, weight: Array, columns: list[int], addend: str) -> str:
        picked = self.add("Gather", [x, self.constant(f"{x}.columns", np.array(columns))], f"{x}.picked", axis=1)
        kernel = self.constant(f"{name}.weight", weight.astype(np.float32))
        return self.add("Gemm", [picked, kernel, addend], name)

    def _integer_layer(self, x: str, name: str, weight: Array, bias: Array, without: Sequence[int]) -> str:
        scale, zero = self.ranges[x].scale_and_zero(without)
        column_scale, integers = quantise_columns(weight, np.abs(bias) / scale / MAX_BIAS_STEPS)
        kernel = self.add(
            "DequantizeLinear",
            [
                self.constant(f"{name}.weight", integers),
                self.constant(f"{name}.weight.scale", column_scale),
                self.constant(f"{name}.weight.zero", np.zeros_like(column_scale, dtype=np.int8)),
            ],
            f"{name}.weight.float",
            axis=1,
        )
        bias_scale = (scale * column_scale).astype(np.float32)
        offset = self.add(
            "DequantizeLinear",
            [
                self.constant(f"{name}.bias", np.round(bias / bias_scale).astype(np.int32)),
                self.constant(f"{name}.bias.scale", bias_scale),
                self.constant(f"{name}.bias.zero", np.zeros_like(bias_scale, dtype=np.int32)),
            ],
            f"{name}.bias.float",
            axis=0,
        )
        return self.add("Gemm", [self._quantised(x, scale, zero), kernel, offset], name)

    def _quantised(self, x: str, scale: np.float32, zero: np.uint8) -> str:
        parameters = [self.constant(f"{x}.scale", np.array(scale)), self.constant(f"{x}.zero", np.array(zero))]
        steps = self.add("QuantizeLinear", [x, *parameters], f"{x}.steps")
        return self.add("DequantizeLinear", [steps, *parameters], f"{x}.rounded")


def quantise_columns(weight: Array, least: Array | float = 0.0) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Weights in steps of their column's own scale, from -63 to 63; no scale is smaller than `least`.

    Seven bits, not eight: processors with AVX2 but no VNNI add two products of a byte of activation and a byte of
    weight in 16 bits, and 255 * 63 * 2 = 32,130 is the most that fits there without saturating.
    """
    largest = np.abs(weight).max(axis=0)
    scale = np.maximum(np.maximum(largest / 63, least), 1e-10).astype(np.float32)
    return scale, np.clip(np.round(weight / scale), -63, 63).astype(np.int8)


def smoothing_factors(reach: Array, weight: Array) -> NDArray[np.float32]:
    """(in,) what to divide an input's columns by, so that all reach about as far (Xiao et al. 2023, "SmoothQuant").

    Args:
        reach: (in,) greatest absolute value of each column.
        weight: (in, out), whose rows are multiplied by the same factors.
    """
    strength = np.maximum(np.abs(weight).max(axis=1), 1e-5)
    factors = np.maximum(reach, 1e-5) ** SMOOTHING / strength ** (1 - SMOOTHING)
    return np.asarray(factors / np.exp(np.log(factors).mean()), dtype=np.float32)


def build_graph(
    config: BertConfig,
    weights: Weights,
    labels: Sequence[str],
    ranges: Mapping[str, ColumnRanges] | None = None,
    observe: bool = False,
    head: str = "classifier",
    of_pieces: bool = False,
) -> onnx.ModelProto:
    """The ONNX graph of an encoder with one output layer.

    Args:
        config: the network's sizes.
        weights: the tensors of the model's `state_dict()`, as numpy arrays.
        labels: names of the logits' last axis.
        ranges: of the inputs of the weight layers; None gives a float graph.
        observe: also output the inputs of the weight layers, for calibration.
        head: name of the output layer among the weights.
        of_pieces: the output layer reads every position, not the pooled [CLS].

    Returns:
        A checked model: `input_ids`, `attention_mask`, `token_type_ids`, each (B, T) int64, to `logits` (B, labels), or
        (B, T, labels) with `of_pieces`.
    """
    builder = GraphBuilder(ranges or {})
    states = [_embeddings(builder, config, weights)]
    mask = _mask(builder)
    for number in range(config.num_hidden_layers):
        states.append(_layer(builder, config, weights, number, states[-1], mask))
    x = mixed(builder, config, weights, states)
    if of_pieces:
        _piece_head(builder, weights, head, len(labels), x)
    else:
        _text_head(builder, config, weights, head, x)
    return _model(builder, len(labels), observe, of_pieces)


def _embeddings(b: GraphBuilder, config: BertConfig, w: Weights) -> str:
    """(N, H): the embeddings of all positions of the batch, N = B * T."""
    shape = b.add("Shape", ["input_ids"], "shape")
    b.add("Gather", [shape, b.constant("one", np.array(1, np.int64))], "length", axis=0)
    zero = b.constant("zero", np.array(0, np.int64))
    b.add("Range", [zero, "length", "one"], "positions")
    word = _word_embeddings(b, w["bert.embeddings.word.weight"])
    position = b.add(
        "Gather", [b.constant("position", w["bert.embeddings.position.weight"]), "positions"], "position_vectors"
    )
    segment = b.add(
        "Gather", [b.constant("segment", w["bert.embeddings.segment.weight"]), "token_type_ids"], "segment_vectors"
    )
    summed = b.add("Add", [b.add("Add", [word, position], "placed"), segment], "summed")
    flat = b.add("Reshape", [summed, b.constant("to_rows", np.array([-1, config.hidden_size]))], "summed_rows")
    return _norm(b, config, w, flat, "bert.embeddings.norm", "embedded")


def _word_embeddings(b: GraphBuilder, table: Array) -> str:
    """(B, T, H); in a quantised graph the table is stored in bytes, each row with a scale of its own."""
    if not b.ranges:
        return b.add("Gather", [b.constant("word", table), "input_ids"], "word_vectors")
    scale = np.maximum(np.abs(table).max(axis=1, keepdims=True) / 127, 1e-10).astype(np.float32)
    rows = b.constant("word", np.clip(np.round(table / scale), -127, 127).astype(np.int8))
    steps = b.add("Cast", [b.add("Gather", [rows, "input_ids"], "word_steps")], "word_floats", to=TensorProto.FLOAT)
    return b.add("Mul", [steps, b.add("Gather", [b.constant("word.scale", scale), "input_ids"], "word_scales")], "wv")


def _mask(b: GraphBuilder) -> str:
    """(B, 1, 1, T): 0 at real pieces, `MASKED` at padding."""
    real = b.add("Cast", ["attention_mask"], "mask_float", to=TensorProto.FLOAT)
    padding = b.add("Sub", [b.constant("one_float", np.array(1, np.float32)), real], "padding")
    scaled = b.add("Mul", [padding, b.constant("masked", np.array(MASKED, np.float32))], "mask_rows")
    return b.add("Unsqueeze", [scaled, b.constant("mask_axes", np.array([1, 2]))], "mask")


def _layer(b: GraphBuilder, config: BertConfig, w: Weights, number: int, x: str, mask: str) -> str:
    name, theirs = f"layer{number}", f"bert.layers.{number}"
    attended = _attention(b, config, w, f"{name}.attention", f"{theirs}.attention", x, mask)
    x = _norm(b, config, w, attended, f"{theirs}.attention_norm", f"{name}.attention.out")
    even, kernel = b.smoothed(x, w[f"{theirs}.intermediate.weight"].T)
    expanded = b.linear(even, f"{name}.wide", kernel, w[f"{theirs}.intermediate.bias"])
    activated = b.add("Gelu", [expanded], f"{name}.gelu")
    kernel, bias = w[f"{theirs}.output.weight"].T, w[f"{theirs}.output.bias"]
    narrow = b.linear(activated, f"{name}.narrow", kernel, bias, x, outliers=len(kernel) // OUTLIERS_IN)
    return _norm(b, config, w, narrow, f"{theirs}.output_norm", f"{name}.out")


def _attention(b: GraphBuilder, config: BertConfig, w: Weights, name: str, theirs: str, x: str, mask: str) -> str:
    heads, size = config.num_attention_heads, config.hidden_size // config.num_attention_heads
    shrink = 1 / math.sqrt(size)  # the scores' scale, moved into the query's weights
    value, value_bias = w[f"{theirs}.value.weight"].T, w[f"{theirs}.value.bias"]
    out = w[f"{theirs}.output.weight"].T
    if b.ranges:  # the context is a mean of values, so the value's own weights can smooth it
        factors = smoothing_factors(b.ranges[f"{name}.context"].reach, out)
        value, value_bias, out = value / factors, value_bias / factors, out * factors[:, None]
        b.ranges = {**b.ranges, f"{name}.context": b.ranges[f"{name}.context"].scaled(1 / factors)}
    kernels = [w[f"{theirs}.query.weight"].T * shrink, w[f"{theirs}.key.weight"].T, value]
    biases = [w[f"{theirs}.query.bias"] * shrink, w[f"{theirs}.key.bias"], value_bias]
    even, kernel = b.smoothed(x, np.concatenate(kernels, axis=1))
    qkv = b.linear(even, f"{name}.qkv", kernel, np.concatenate(biases))  # (N, 3H)
    split_heads = b.constant("split_heads", np.array([-1, 3 * heads, size]))
    rows = b.add("Reshape", [qkv, split_heads], f"{name}.rows")  # (N, 3A, D)
    by_text = b.add("Reshape", [rows, _text_shape(b, heads, size)], f"{name}.texts")  # (B, T, 3A, D)
    by_head = b.add("Transpose", [by_text], f"{name}.heads", perm=[0, 2, 1, 3])  # (B, 3A, T, D)
    parts = [f"{name}.q", f"{name}.k", f"{name}.v"]
    sizes = b.constant("head_parts", np.array([heads] * 3))
    b.nodes.append(helper.make_node("Split", [by_head, sizes], parts, name=f"{name}.split", axis=1))
    turned = b.add("Transpose", [parts[1]], f"{name}.k_turned", perm=[0, 1, 3, 2])
    scores = b.add("MatMul", [parts[0], turned], f"{name}.scores")  # (B, A, T, T)
    shares = b.add("Softmax", [b.add("Add", [scores, mask], f"{name}.masked")], f"{name}.shares", axis=-1)
    mixed = b.add("MatMul", [shares, parts[2]], f"{name}.mixed")  # (B, A, T, D)
    together = b.add("Transpose", [mixed], f"{name}.together", perm=[0, 2, 1, 3])
    context = b.add("Reshape", [together, "to_rows"], f"{name}.context")  # (N, H)
    return b.linear(context, f"{name}.projected", out, w[f"{theirs}.output.bias"], x)


def _text_shape(b: GraphBuilder, heads: int, size: int) -> str:
    if "text_shape" not in {node.name for node in b.nodes}:
        tail = b.constant("head_shape", np.array([3 * heads, size]))
        b.add("Concat", ["shape", tail], "text_shape", axis=0)
    return "text_shape"


def _norm(b: GraphBuilder, config: BertConfig, w: Weights, x: str, theirs: str, output: str) -> str:
    gain = b.constant(f"{output}.gain", w[f"{theirs}.weight"])
    shift = b.constant(f"{output}.shift", w[f"{theirs}.bias"])
    return b.add("LayerNormalization", [x, gain, shift], output, axis=-1, epsilon=config.layer_norm_eps)


def _piece_head(b: GraphBuilder, w: Weights, head: str, labels: int, x: str) -> None:
    """The output layer stays in float: it is narrow."""
    rows = b.add("Gemm", [x, *_last_layer(b, w, head)], "logit_rows")  # (N, labels)
    shape = b.add("Concat", ["shape", b.constant("labels", np.array([labels]))], "out_shape", axis=0)
    b.add("Reshape", [rows, shape], "logits")


def _text_head(b: GraphBuilder, config: BertConfig, w: Weights, head: str, x: str) -> None:
    """Pooler and output layer stay in float: they read one position of each text."""
    shape = b.constant("hidden", np.array([config.hidden_size]))
    by_text = b.add("Reshape", [x, b.add("Concat", ["shape", shape], "out_shape", axis=0)], "last_hidden_state")
    first = b.add("Gather", [by_text, "zero"], "cls", axis=1)  # (B, H)
    dense = [
        b.constant("pooler.weight", w["bert.pooler.dense.weight"].T),
        b.constant("pooler.bias", w["bert.pooler.dense.bias"]),
    ]
    pooled = b.add("Tanh", [b.add("Gemm", [first, *dense], "pooler")], "pooled")
    b.add("Gemm", [pooled, *_last_layer(b, w, head)], "logits")


def _last_layer(b: GraphBuilder, w: Weights, head: str) -> list[str]:
    weight, bias = w[f"{head}.weight"].T, w[f"{head}.bias"]
    return [b.constant("classifier.weight", weight), b.constant("classifier.bias", bias)]


def _model(b: GraphBuilder, labels: int, observe: bool, of_pieces: bool) -> onnx.ModelProto:
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in names]
    axes: list[str | int | None] = ["batch", "length", labels] if of_pieces else ["batch", labels]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, axes)]
    if observe:
        outputs += [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["rows", None]) for x in b.linear_inputs]
    graph = helper.make_graph(b.nodes, "bert", inputs, outputs, list(b.constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="polarbert")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model
