"""A mix of layers as part of the graph; see `polarbert.model.mixing.LayerMix`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polarbert.export.graph_builder import GraphBuilder, Weights
from polarbert.model.config import BertConfig


def mixed(b: GraphBuilder, config: BertConfig, w: Weights, states: Sequence[str]) -> str:
    """What the output layer reads: the last layer's output, or a mix of several, in float.

    Args:
        b: takes the nodes.
        config: says which mix.
        w: the tensors of the network.
        states: names of the L + 1 outputs (N, H), from the embeddings on.

    Returns:
        The name of the result, (N, H).
    """
    chosen = list(states[len(states) - config.layer_mix_count :])
    if config.layer_mix == "last":
        return states[-1]
    if config.layer_mix == "concat":
        together = b.add("Concat", chosen, "mix.together", axis=1)  # (N, count * H)
        kernel = b.constant("mix.weight", w["bert.mix.dense.weight"].T)
        return b.add("Gemm", [together, kernel, b.constant("mix.bias", w["bert.mix.dense.bias"])], "mix")
    if config.layer_mix == "mix":
        scores = w["bert.mix.scores"].astype(np.float64)
        shares = np.exp(scores - scores.max())
        factors = (shares / shares.sum() * w["bert.mix.scale"]).astype(np.float32)
        names = [b.constant(f"mix.share.{number}", np.array(factor)) for number, factor in enumerate(factors)]
        chosen = [b.add("Mul", [state, name], f"{name}.of") for state, name in zip(chosen, names, strict=True)]
    return b.add("Sum", chosen, "mix")
