"""BERT on one page: embeddings, self-attention, feed-forward, the stack of layers, the pooler.

Shapes: B texts in a batch, T pieces in the longest, H hidden size, A attention heads, D = H / A.
Source: Devlin et al. 2019, "BERT"; Vaswani et al. 2017, "Attention is all you need", section 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polarbert.model.config import BertConfig
from polarbert.model.dropout import Dropout, dropout
from polarbert.model.weights import load_weights, save_weights


@dataclass
class EncoderOutput:
    """What the encoder computes for a batch.

    Attributes:
        last_hidden_state: (B, T, H), the vector at each position after the last layer.
        pooler_output: (B, H), dense + tanh over the vector at [CLS].
        hidden_states: when asked for, the L + 1 tensors (B, T, H) from the embeddings on.
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

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        length = input_ids.shape[1]
        if length > self.position.num_embeddings:
            raise ValueError(
                f"the input has {length} pieces; this network reads {self.position.num_embeddings}. "
                "Cut the text into windows first."
            )
        positions = torch.arange(length, device=input_ids.device)  # (T,)
        segments = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        summed = self.word(input_ids) + self.position(positions) + self.segment(segments)  # (B, T, H)
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

    def forward(self, x: Tensor, mask: Tensor | None, with_weights: bool) -> tuple[Tensor, Tensor | None]:
        q, k, v = (self._split(layer(x)) for layer in (self.query, self.key, self.value))  # (B, A, T, D)
        rate = self.attention_dropout if self.training else 0.0
        weights = None
        # PyTorch has no fused attention with dropout on a CPU, and its fallback is slower than these four lines.
        if with_weights or (rate and x.device.type == "cpu"):
            scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])  # (B, A, T, T)
            if mask is not None:
                scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
            weights = scores.softmax(-1)
            mixed = dropout(weights, rate, self.training) @ v  # (B, A, T, D)
        else:
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate)
        return self.output(mixed.transpose(1, 2).flatten(2)), weights  # (B, T, H)

    def _split(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (self.heads, -1))  # (B, T, A, D)
        return heads.transpose(1, 2)


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

    def forward(self, x: Tensor, mask: Tensor | None, with_weights: bool) -> tuple[Tensor, Tensor | None]:
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

    Example:
        >>> encoder = BertEncoder(BertConfig.tiny())
        >>> encoder(torch.tensor([[101, 2307, 102]])).last_hidden_state.shape
        torch.Size([1, 3, 128])
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = BertEmbeddings(config)
        self.layers = nn.ModuleList(BertLayer(config) for _ in range(config.num_hidden_layers))
        self.pooler = BertPooler(config)
        self.apply(lambda module: initialise(module, config.initializer_range))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> EncoderOutput:
        """Encode a batch of piece ids.

        Args:
            input_ids: (B, T) piece ids.
            attention_mask: (B, T), 1 or True at real pieces, 0 at padding; None when nothing is padded.
            token_type_ids: (B, T) segment of each piece; None for all zeros.
            output_hidden_states: also return the input of the first layer and the output of every layer.
            output_attentions: also return attention weights (computed explicitly, slower).

        Raises:
            ValueError: when T is more than `max_position_embeddings`.
        """
        mask = None if attention_mask is None else attention_mask.bool()[:, None, None, :]  # (B, 1, 1, T)
        x = self.embeddings(input_ids, token_type_ids)
        hidden, attentions = [x], []
        for layer in self.layers:
            x, weights = layer(x, mask, output_attentions)
            hidden.append(x)
            attentions.append(weights)
        return EncoderOutput(
            last_hidden_state=x,
            pooler_output=self.pooler(x),
            hidden_states=tuple(hidden) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
        )

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
