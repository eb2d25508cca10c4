"""The best product of int8 matrices that this machine can do: what no int8 network can outrun.

Several libraries are asked, each in the ways it offers, because the wall is the best of them and not the one we use.
Every product is (M, K) unsigned 8-bit times (K, N) signed 8-bit, the weights laid out beforehand where a library can.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

ROWS = 2048
SIZES = (384, 1536, 2048)
SECONDS = 0.4  # of each kind of product, at least
Bytes = NDArray[np.uint8]
Signed = NDArray[np.int8]


@dataclass(frozen=True)
class Product:
    """A way to multiply, ready to run.

    Attributes:
        name: library and operator.
        call: computes one product.
        at_once: how many are computed side by side, each on one thread; 1 for one product on all threads.
    """

    name: str
    call: Callable[[], object]
    at_once: int = 1


def best_product(threads: int) -> dict[str, Any]:
    """Measure all ways at all sizes.

    Args:
        threads: processor threads to use.

    Returns:
        gops: the best rate, in 10^9 operations a second (a multiplication and an addition are two);
        by: how it was reached; best_of: the best rate of each way.
    """
    rates: dict[str, tuple[float, int, int]] = {}
    for k in SIZES:
        for n in SIZES:
            for product in products(k, n, threads):
                rate = 2 * ROWS * k * n / _seconds(product) / 1e9
                if rate > rates.get(product.name, (0.0, 0, 0))[0]:
                    rates[product.name] = (rate, k, n)
    name = max(rates, key=lambda way: rates[way][0])
    described = {way: {"gops": round(rate, 1), "k": k, "n": n} for way, (rate, k, n) in rates.items()}
    return {"gops": described[name]["gops"], "by": name, "rows": ROWS, "sizes": list(SIZES), "best_of": described}


def products(k: int, n: int, threads: int) -> Iterator[Product]:
    """Every way this machine has, for (ROWS, k) times (k, n)."""
    generator = np.random.default_rng(0)
    left = generator.integers(0, 255, (ROWS, k), dtype=np.uint8)
    right = generator.integers(-127, 127, (k, n), dtype=np.int8)
    graphs = {"MatMulInteger": _integer_graph(right), "QGemm": _gemm_graph(right), "QLinearMatMul": _qdq_graph(right)}
    for name, graph in graphs.items():
        yield Product(f"ONNX Runtime {name}", _onnxruntime(graph, left, threads))
        if threads > 1:
            yield Product(f"ONNX Runtime {name}, side by side", _onnxruntime(graph, left, 1), threads)
    if find_spec("openvino") is not None:
        graph = graphs["QLinearMatMul"]
        yield Product("OpenVINO MatMul", _openvino(graph, left, threads, streams=1))
        if threads > 1:
            yield Product("OpenVINO MatMul, side by side", _openvino(graph, left, threads, streams=threads), threads)
    if find_spec("torch") is not None:
        yield from _torch(left, right, threads)


def _seconds(product: Product) -> float:
    """Median wall time of one product; of several side by side, that of all of them over their number."""
    with ThreadPoolExecutor(product.at_once) as pool:

        def once() -> float:
            started = time.perf_counter()
            if product.at_once == 1:
                product.call()
            else:
                for done in [pool.submit(product.call) for _ in range(product.at_once)]:
                    done.result()
            return (time.perf_counter() - started) / product.at_once

        for _ in range(3):
            once()
        times: list[float] = []
        until = time.perf_counter() + SECONDS
        while len(times) < 5 or time.perf_counter() < until:
            times.append(once())
    return median(times)


def _onnxruntime(graph: bytes, left: Bytes, threads: int) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"left": left})


def _openvino(graph: bytes, left: Bytes, threads: int, streams: int) -> Callable[[], object]:
    import openvino

    core: Any = openvino.Core()
    settings = {"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": threads}
    model = core.compile_model(core.read_model(graph), "CPU", settings)
    free = [model.create_infer_request() for _ in range(streams)]

    def call() -> None:
        request = free.pop()
        request.infer({"left": left}, share_inputs=True, share_outputs=True)
        free.append(request)

    return call


def _torch(left: Bytes, right: Signed, threads: int) -> Iterator[Product]:
    import torch

    torch.set_num_threads(threads)
    columns = right.shape[1]
    signed = torch.from_numpy(left.view(np.int8))
    weights = torch.from_numpy(right)
    yield Product("PyTorch _int_mm", lambda: torch._int_mm(signed, weights))
    if not hasattr(torch.ops.onednn, "qlinear_pointwise"):
        return
    unsigned = torch.from_numpy(left)
    packed = torch.ops.onednn.qlinear_prepack(weights.t().contiguous(), list(left.shape))
    scales, zeros = torch.full((columns,), 0.01), torch.zeros(columns, dtype=torch.int64)
    output: tuple[Any, ...] = (None, 1.0, 128, torch.uint8, "none", [], "")
    yield Product(
        "PyTorch onednn.qlinear",
        lambda: torch.ops.onednn.qlinear_pointwise(unsigned, 0.01, 128, packed, scales, zeros, *output),
    )


def _integer_graph(right: Signed) -> bytes:
    node = helper.make_node("MatMulInteger", ["left", "right", "zero"], ["product"])
    return _graph([node], {"right": right, "zero": np.uint8(128)}, TensorProto.INT32, right)


def _gemm_graph(right: Signed) -> bytes:
    inputs = ["left", "scale", "zero", "right", "scale", "weight_zero", "", "out_scale", "zero"]
    node = helper.make_node("QGemm", inputs, ["product"], domain="com.microsoft")
    return _graph([node], {"right": right} | _SCALES, TensorProto.UINT8, right)


def _qdq_graph(right: Signed) -> bytes:
    """The product in QDQ form, which ONNX Runtime turns into one QLinearMatMul and OpenVINO into one int8 MatMul."""
    nodes = [
        helper.make_node("DequantizeLinear", ["left", "scale", "zero"], ["left_float"]),
        helper.make_node("DequantizeLinear", ["right", "scale", "weight_zero"], ["right_float"]),
        helper.make_node("MatMul", ["left_float", "right_float"], ["product_float"]),
        helper.make_node("QuantizeLinear", ["product_float", "out_scale", "zero"], ["product"]),
    ]
    return _graph(nodes, {"right": right} | _SCALES, TensorProto.UINT8, right)


_SCALES: dict[str, Any] = {
    "scale": np.float32(0.01),
    "out_scale": np.float32(1.0),
    "zero": np.uint8(128),
    "weight_zero": np.int8(0),
}


def _graph(nodes: Sequence[onnx.NodeProto], constants: dict[str, Any], output: int, right: Signed) -> bytes:
    rows, columns = right.shape
    graph = helper.make_graph(
        list(nodes),
        "product",
        [helper.make_tensor_value_info("left", TensorProto.UINT8, [ROWS, rows])],
        [helper.make_tensor_value_info("product", output, [ROWS, columns])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    content: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    return content
