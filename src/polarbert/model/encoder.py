"""BERT on one page: embeddings, self-attention, feed-forward, the stack of layers, the pooler.

Shapes: B texts in a batch, T pieces in the longest, H hidden size, A attention heads, D = H / A. A packed batch, which
has no padding, is (N, H) wherever a padded one is (B, T, H); N pieces in all (see `polarbert.model.packing`).
Source: Devlin et al. 2019, "BERT"; Vaswani et al. 2017, "Attention is all you need", section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from polarbert.model.config import BertConfig
from polarbert.model.dropout import Dropout, dropout
from polarbert.model.mixing import LayerMix
from polarbert.model.packing import Packed, attend_packed, is_worth_packing
from polarbert.model.weights import load_weights, save_weights, stored_tensors


@dataclass
class EncoderOutput:
    """What the encoder computes for a batch.

    Attributes:
        last_hidden_state: (B, T, H) or (N, H), the vector at each position after the last layer, or of a mix of layers.
        pooler_output: (B, H), dense + tanh over the vector at [CLS].
        hidden_states: when asked for, the L + 1 tensors (B, T, H) or (N, H) from the embeddings on.
        attentions: when asked for, L tensors (B, A, T, T); each row sums to one.
    """

    last_hidden_state: Tensor
    pooler_output: Tensor
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class BertEmbeddings(nn.Module):
    """The sum of word, position and segment embeddings, normalised (BERT, figure 2)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.word = _embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.position = _embedding(config.max_position_embeddings, config.hidden_size)
        self.segment = _embedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, position_ids: Tensor) -> Tensor:
        summed = self.word(input_ids) + self.position(position_ids) + self.segment(token_type_ids)  # (B, T, H)
        embedded: Tensor = self.dropout(self.norm(summed))
        return embedded


def _embedding(rows: int, width: int, padding: int | None = None) -> nn.Embedding:
    """An embedding without PyTorch's own random values: `initialise` or a checkpoint gives it others at once."""
    embedding: nn.Embedding
    embedding = nn.Embedding.from_pretrained(torch.empty(rows, width), freeze=False, padding_idx=padding)
    return embedding


class BertSelfAttention(nn.Module):
    """Every position looks at every other, to its left and to its right (Vaswani 2017, section 3.2)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)
        self.attention_dropout = config.attention_probs_dropout_prob

    def forward(
        self, x: Tensor, mask: Tensor | Packed | None, with_weights: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        q, k, v = (layer(x).unflatten(-1, (self.heads, -1)) for layer in (self.query, self.key, self.value))
        rate = self.attention_dropout if self.training else 0.0
        if isinstance(mask, Packed):
            mixed, weights = attend_packed(q, k, v, mask, rate, attend), None  # (N, A, D)
        else:
            q, k, v = (x.transpose(1, 2) for x in (q, k, v))  # (B, A, T, D)
            mixed, weights = attend(q, k, v, mask, rate, with_weights)
            mixed = mixed.transpose(1, 2)  # (B, T, A, D)
        return self.output(mixed.flatten(-2)), weights  # (B, T, H)


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, rate: float, with_weights: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Scaled dot-product attention (Vaswani 2017, equation 1), with dropout at `rate` on its weights.

    Args:
        q: (B, A, T, D) queries.
        k: (B, A, T, D) keys.
        v: (B, A, T, D) values.
        mask: (B, 1, 1, T) bool, True where a key may be looked at; None for everywhere.
        rate: 0 outside training.
        with_weights: also return the weights, computed explicitly.

    Returns:
        The mixed values (B, A, T, D), and the weights (B, A, T, T) before dropout, or None.
    """
    # PyTorch has no fused attention with dropout on a CPU, and its fallback is slower than these four lines.
    if with_weights or (rate and q.device.type == "cpu"):
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])  # (B, A, T, T)
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        weights = scores.softmax(-1)
        return dropout(weights, rate, training=True) @ v, weights if with_weights else None
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate), None


class BertLayer(nn.Module):
    """Self-attention, then feed-forward; each is added to its input and then normalised (post-layer-norm)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = BertSelfAttention(config)
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.intermediate = nn.Linear(config.hidden_size, config.intermediate_size)
        self.output = nn.Linear(config.intermediate_size, config.hidden_size)
        self.output_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(
        self, x: Tensor, mask: Tensor | Packed | None, with_weights: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        attended, weights = self.attention(x, mask, with_weights)
        x = self.attention_norm(x + self.dropout(attended))  # (B, T, H)
        expanded = F.gelu(self.intermediate(x))  # (B, T, intermediate); the exact erf form, as in BERT
        x = self.output_norm(x + self.dropout(self.output(expanded)))  # (B, T, H)
        return x, weights


class BertPooler(nn.Module):
    """Dense + tanh over the first position, [CLS]."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.dense(x[:, 0]))  # (B, H)


class BertEncoder(nn.Module):
    """A bidirectional Transformer encoder with a pooler.

    Args:
        config: the network's sizes.

    Attributes:
        gradient_checkpointing: keep only the input of each layer for the backward pass and compute the rest a second
            time, dropout included (Chen et al. 2016): about a third more work for far less memory. False unless set.

    Example:
        >>> encoder = BertEncoder(BertConfig.tiny())
        >>> encoder(torch.tensor([[101, 2307, 102]])).last_hidden_state.shape
        torch.Size([1, 3, 128])
        >>> encoder(Packed.from_texts([[101, 2307, 102], [101, 102]])).last_hidden_state.shape
        torch.Size([5, 128])
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        self.embeddings = BertEmbeddings(config)
        self.layers = nn.ModuleList(BertLayer(config) for _ in range(config.num_hidden_layers))
        self.pooler = BertPooler(config)
        self.apply(lambda module: initialise(module, config.initializer_range))
        self.mix = None if config.layer_mix == "last" else LayerMix(config)

    def forward(
        self,
        input_ids: Tensor | Packed,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
        keep_padding: bool = False,
    ) -> EncoderOutput:
        """Encode a batch of piece ids.

        Args:
            input_ids: (B, T) piece ids; or a packed batch, which says itself what the next two would.
            attention_mask: (B, T), 1 or True at real pieces, 0 at padding; None when nothing is padded.
            token_type_ids: (B, T) segment of each piece; None for all zeros.
            output_hidden_states: also return the input of the first layer and the output of every layer.
            output_attentions: also return attention weights (computed explicitly, slower); of padded batches alone.
            keep_padding: also compute what stands at padding, as the last two do; else the last hidden state may be
                zero there, and a processor is spared the work.

        Raises:
            ValueError: when a text has more than `max_position_embeddings` pieces, or a packed batch comes with what it
                cannot have.
        """
        keep_padding |= output_hidden_states or output_attentions
        if not isinstance(input_ids, Packed) and not keep_padding and is_worth_packing(attention_mask):
            packed = Packed.from_padded(input_ids, attention_mask, token_type_ids)
            output = self.forward(packed)
            return replace(output, last_hidden_state=packed.padded(output.last_hidden_state, input_ids.shape))
        mask: Tensor | Packed | None
        if isinstance(input_ids, Packed):
            if attention_mask is not None or token_type_ids is not None or output_attentions:
                raise ValueError("a packed batch has its own mask and segments, and gives no attention weights")
            mask, length, inputs = input_ids, input_ids.longest, input_ids.inputs
        else:
            mask = None if attention_mask is None else attention_mask.bool()[:, None, None, :]  # (B, 1, 1, T)
            length = input_ids.shape[1]
            segments = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
            inputs = (input_ids, segments, torch.arange(length, device=input_ids.device))
        if length > self.config.max_position_embeddings:
            raise ValueError(
                f"the input has {length} pieces; this network reads {self.config.max_position_embeddings}. "
                "Cut the text into windows first."
            )
        x = self.embeddings(*inputs)  # (B, T, H)
        hidden, attentions = [x], []
        for layer in self.layers:
            x, weights = self._through(layer, x, mask, output_attentions)
            if output_hidden_states or self.mix is not None:
                hidden.append(x)
            if weights is not None:
                attentions.append(weights)
        if self.mix is not None:
            x = self.mix(hidden)
        first = x.index_select(0, mask.offsets[:-1])[:, None] if isinstance(mask, Packed) else x  # (B, 1 or T, H)
        return EncoderOutput(
            last_hidden_state=x,
            pooler_output=self.pooler(first),
            hidden_states=tuple(hidden) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
        )

    def _through(
        self, layer: Callable[..., Any], x: Tensor, mask: Tensor | Packed | None, with_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            # Random numbers are rewound for the second time, so that the same elements are dropped.
            layer = partial(checkpoint, layer, use_reentrant=False)
        output: tuple[Tensor, Tensor | None] = layer(x, mask, with_weights)
        return output

    @classmethod
    def from_pretrained(cls, path: str | Path) -> Self:
        """Load from a directory in the Hugging Face layout (config.json + model.safetensors).

        The encoder of a checkpoint with a head is taken, the head left behind.

        Raises:
            BundleError, WeightsError: when the directory or a tensor is missing or misshapen.
        """
        with torch.device("meta"):  # a new network's random values, which cost seconds, would be overwritten at once
            encoder = cls(BertConfig.from_pretrained(path))
        load_weights(encoder, path, prefix="")
        return encoder.eval()

    def save_pretrained(self, path: str | Path) -> None:
        """Save in the Hugging Face layout, as `BertModel`."""
        save_weights(self, self.config.to_dict() | {"architectures": ["BertModel"]}, path, prefix="")


def load_encoder(encoder: BertEncoder, path: str | Path) -> None:
    """Fill an encoder on the meta device; a pooler that the checkpoint lacks, as some heads do, starts anew."""
    wanted: dict[str, nn.Module] = {"embeddings": encoder.embeddings, "layers": encoder.layers}
    if encoder.mix is not None:
        wanted["mix"] = encoder.mix
    has_pooler = any(name.removeprefix("bert.").startswith("pooler.") for name in stored_tensors(path))
    if has_pooler or not list(encoder.pooler.parameters()):
        wanted["pooler"] = encoder.pooler
    else:
        encoder.pooler = BertPooler(encoder.config)
        initialise(encoder.pooler.dense, encoder.config.initializer_range)
    load_weights(nn.ModuleDict(wanted), path, prefix="")


def initialise(module: nn.Module, standard_deviation: float) -> None:
    """Initial weights as in BERT: normal cut at two standard deviations, biases zero, [PAD] zero."""
    if isinstance(module, nn.Linear | nn.Embedding) and not module.weight.is_meta:
        cut = 2 * standard_deviation
        nn.init.trunc_normal_(module.weight, std=standard_deviation, a=-cut, b=cut)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        elif module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()
