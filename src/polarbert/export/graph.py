"""A trained network as an ONNX graph, in float or in static int8.

The graph is written node by node instead of traced, so that it says exactly what is computed: one product for query,
key and value; matrices for all positions of a batch at once; integer products wherever a layer's weights are used.
Only operators of the ONNX standard are used, in its QDQ form, so any runtime can read the file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from polarbert.export.graph_builder import Array, ColumnRanges, GraphBuilder, Weights, smoothing_factors
from polarbert.export.mixing import mixed
from polarbert.model.config import BertConfig

OPSET = 20  # the first with Gelu
IR_VERSION = 9
OUTLIERS_IN = 192  # one column in so many of the widest activation is multiplied in float: 8 of 1536
MASKED = -1e4  # added to the score of a padded position; exp() of it is 0 in float32


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
