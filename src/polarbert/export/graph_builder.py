"""The nodes and constants of an ONNX graph as they are written, in float or in static int8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

MAX_BIAS_STEPS = 2**30  # a bias counts in steps of its column's scale; the sum it joins must fit in 32 bits
SMOOTHING = 0.65  # how much of the spread of an input's columns its weights take over; 1 would be all of it

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
