"""The shape of a BERT: one frozen dataclass with the field names of Hugging Face's config.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from polarbert.bundle import MAX_JSON_BYTES
from polarbert.errors import BundleError
from polarbert.files import read_bounded

LAYER_MIXES = ("last", "sum", "mix", "concat")
MIXED_TYPE = "bert-layer-mix"  # a name of our own, so that no other library opens such a network and leaves the mix out


@dataclass(frozen=True)
class BertConfig:
    """Sizes and rates of a BERT network (Devlin et al. 2019, section 3).

    Args:
        vocab_size: number of word pieces.
        hidden_size: length H of the vector at each position.
        num_hidden_layers: number L of Transformer layers.
        num_attention_heads: number A of attention heads; divides `hidden_size`.
        intermediate_size: width of the feed-forward layer.
        hidden_dropout_prob: dropout after embeddings, attention and feed-forward output.
        attention_probs_dropout_prob: dropout on attention weights.
        max_position_embeddings: longest input, in pieces.
        type_vocab_size: number of segments.
        initializer_range: standard deviation of the (truncated) normal initial weights.
        layer_norm_eps: added to the variance in layer normalisation.
        pad_token_id: id of [PAD].
        layer_mix: which vectors the encoder gives: those of the "last" layer, or of several, as a "sum", a learned
            "mix" or a projected "concat"; see `polarbert.model.mixing.LayerMix`.
        layer_mix_count: how many of the last layers those are, the embeddings counted as one.

    Raises:
        BundleError: when the sizes do not fit together.

    Example:
        >>> BertConfig.base().parameter_count()
        109482240
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0
    layer_mix: str = "last"
    layer_mix_count: int = 1

    def __post_init__(self) -> None:
        for name in (
            "vocab_size",
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "intermediate_size",
            "max_position_embeddings",
            "type_vocab_size",
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise BundleError(f"config: {name} must be a whole number of at least 1, not {value!r}")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            rate = getattr(self, name)
            if not isinstance(rate, int | float) or not 0 <= rate < 1:
                raise BundleError(f"config: {name} must be a number in [0, 1), not {rate!r}")
        for name in ("initializer_range", "layer_norm_eps"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < 1:
                raise BundleError(f"config: {name} must be a number between 0 and 1, not {value!r}")
        pad = getattr(self, "pad_token_id")  # noqa: B009 - a file may say anything, whatever the type is
        if not isinstance(pad, int) or not 0 <= pad < self.vocab_size:
            raise BundleError(f"config: pad_token_id must be the number of a piece, not {pad!r}")
        if self.hidden_size % self.num_attention_heads:
            raise BundleError(
                f"config: hidden_size {self.hidden_size} is not a multiple of "
                f"num_attention_heads {self.num_attention_heads}"
            )
        self._check_mix()

    def _check_mix(self) -> None:
        if self.layer_mix not in LAYER_MIXES:
            raise BundleError(f"config: layer_mix must be one of {', '.join(LAYER_MIXES)}, not {self.layer_mix!r}")
        count, most = getattr(self, "layer_mix_count"), self.num_hidden_layers + 1  # noqa: B009 - as above
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= most:
            raise BundleError(
                f"config: layer_mix_count must be a whole number from 1 to {most}, the layers and the embeddings, "
                f"not {count!r}"
            )

    @classmethod
    def base(cls, **changes: Any) -> BertConfig:
        """BERT-BASE: 12 layers, hidden 768, 12 heads (110 M parameters in the paper)."""
        return cls(**changes)

    @classmethod
    def large(cls, **changes: Any) -> BertConfig:
        """BERT-LARGE: 24 layers, hidden 1024, 16 heads (340 M parameters in the paper)."""
        sizes = dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)
        return cls(**{**sizes, **changes})

    @classmethod
    def transformer(cls, **changes: Any) -> BertConfig:
        """The default size of the 2017 Transformer (Vaswani et al., table 3): 6 layers, 512, 8 heads."""
        sizes = dict(hidden_size=512, num_hidden_layers=6, num_attention_heads=8, intermediate_size=2048)
        return cls(**{**sizes, **changes})

    @classmethod
    def tiny(cls, **changes: Any) -> BertConfig:
        """Two layers of 128, for tests and lessons (Turc et al. 2019)."""
        sizes = dict(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512)
        return cls(**{**sizes, **changes})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> BertConfig:
        """Take the known fields of a parsed config.json and refuse a network that is not this BERT."""
        if values.get("model_type", "bert") not in ("bert", MIXED_TYPE):
            raise BundleError(f"config: model_type is {values['model_type']!r}; only 'bert' can be loaded")
        if values.get("hidden_act", "gelu") != "gelu":
            raise BundleError(f"config: hidden_act is {values['hidden_act']!r}; only 'gelu' can be loaded")
        if values.get("position_embedding_type", "absolute") != "absolute":
            raise BundleError("config: only absolute position embeddings can be loaded")
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known and value is not None})

    @classmethod
    def from_pretrained(cls, path: str | Path) -> BertConfig:
        """Read `config.json` of a model directory.

        Raises:
            BundleError: when the file is missing, is not JSON, or describes another network.
        """
        file = Path(path) / "config.json"
        if not file.exists():
            raise BundleError(f"{path}: not a model directory (it has no config.json)")
        try:
            values = json.loads(read_bounded(file, MAX_JSON_BYTES, BundleError))
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{file}: cannot be read as JSON: {error}") from error
        if not isinstance(values, dict):
            raise BundleError(f"{file}: must hold a JSON object")
        return cls.from_dict(values)

    def to_dict(self) -> dict[str, Any]:
        """The fields as Hugging Face's config.json has them; those of a mix, which are ours, where there is one."""
        values = asdict(self)
        if self.layer_mix == "last":
            del values["layer_mix"], values["layer_mix_count"]
        return {
            "model_type": "bert" if self.layer_mix == "last" else MIXED_TYPE,
            "hidden_act": "gelu",
            "position_embedding_type": "absolute",
            **values,
        }

    def parameter_count(self) -> int:
        """Number of parameters of the encoder with its pooler, without any task's output layer."""
        h, ff = self.hidden_size, self.intermediate_size
        embeddings = (self.vocab_size + self.max_position_embeddings + self.type_vocab_size) * h + 2 * h
        attention = 4 * (h * h + h) + 2 * h
        feed_forward = (h * ff + ff) + (ff * h + h) + 2 * h
        pooler = h * h + h
        count = self.layer_mix_count
        mix = {"last": 0, "sum": 0, "mix": count + 1, "concat": count * h * h + h}[self.layer_mix]
        return embeddings + self.num_hidden_layers * (attention + feed_forward) + mix + pooler
