"""Everything that can be chosen about a pre-training, in one typed place; a TOML file holds the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from polarbert.errors import TrainingError
from polarbert.model.config import BertConfig
from polarbert.training.recipe import DEVICES
from polarbert.training.settings import TrainSettings

_PRESETS: Mapping[str, Any] = {
    "tiny": BertConfig.tiny,
    "transformer": BertConfig.transformer,
    "base": BertConfig.base,
    "large": BertConfig.large,
}


@dataclass(frozen=True)
class NetworkSettings:
    """The sizes of a new network: those of a preset, but for what is named.

    Args:
        preset: "tiny", "transformer", "base" or "large"; see `BertConfig`.
        hidden_size: see `BertConfig`, as for the others.
        num_hidden_layers: of the encoder.
        num_attention_heads: of each layer.
        intermediate_size: of the feed-forward layer.
        max_position_embeddings: longest input that the network can ever read.
        initializer_range: standard deviation of new weights. 0.02 suits BASE and LARGE; a narrow network, whose sums
            have fewer terms, learns faster from about 1 / sqrt(hidden_size).
        dropout: of hidden vectors and attention weights.

    Raises:
        TrainingError: when there is no such preset.

    Example:
        >>> NetworkSettings("tiny", num_hidden_layers=4).to_config(8000).num_hidden_layers
        4
    """

    preset: str = "base"
    hidden_size: int | None = None
    num_hidden_layers: int | None = None
    num_attention_heads: int | None = None
    intermediate_size: int | None = None
    max_position_embeddings: int | None = None
    initializer_range: float | None = None
    dropout: float | None = None

    def __post_init__(self) -> None:
        if self.preset not in _PRESETS:
            raise TrainingError(f"settings: preset must be {', '.join(_PRESETS)}, not {self.preset!r}")

    def to_config(self, vocab_size: int, pad_id: int = 0) -> BertConfig:
        """The network for a vocabulary.

        Raises:
            BundleError: when the sizes do not fit together.
        """
        sizes = {name: value for name, value in asdict(self).items() if value is not None}
        preset, dropout = sizes.pop("preset"), sizes.pop("dropout", None)
        rates = {} if dropout is None else {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
        config: BertConfig = _PRESETS[preset](vocab_size=vocab_size, pad_token_id=pad_id, **sizes, **rates)
        return config


@dataclass(frozen=True)
class VocabularySettings:
    """The vocabulary that is learned where none is given; see `polarbert.text.vocabulary.learn_vocabulary`."""

    size: int = 30522
    cased: bool = False
    keep_accents: bool = False


@dataclass(frozen=True)
class CorpusSettings:
    """How texts become documents and sentences.

    Args:
        unit: what is a document: "file", "row", "blank-line", or "auto": rows of tables, files otherwise.
        text_column: of tables.
        encoding: of plain text, CSV and JSONL; UTF-8 unless given.
        splitter: how documents are cut into sentences; see `polarbert.text.sentences`.
        dev_share: share of the documents held out to judge by, where no others are given.
    """

    unit: str = "auto"
    text_column: str = "text"
    encoding: str | None = None
    splitter: str = "punctuation"
    dev_share: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.dev_share < 1:
            raise TrainingError(f"settings: dev_share must be in (0, 1), not {self.dev_share!r}")


@dataclass(frozen=True)
class MaskingSettings:
    """What is hidden, and by what; see `polarbert.training.masking.Masking`."""

    share: float = 0.15
    mask_share: float = 0.8
    random_share: float = 0.1
    whole_words: bool = False


@dataclass(frozen=True)
class Stage:
    """A part of pre-training with sequences of one length (BERT, appendix A.2: 90% of the steps at 128, then 512).

    Args:
        length: most pieces of a sequence, [CLS] and [SEP] included.
        steps: steps of the optimizer.
        batch_tokens: most pieces in the batch of a step, over all processes.
    """

    length: int = 128
    steps: int = 10_000
    batch_tokens: int = 32_768

    def __post_init__(self) -> None:
        if self.length < 8:
            raise TrainingError(f"settings: the length of a stage must be 8 or more, not {self.length!r}")
        if self.steps < 1:
            raise TrainingError(f"settings: the steps of a stage must be 1 or more, not {self.steps!r}")
        if self.batch_tokens < self.length:
            raise TrainingError(
                f"settings: batch_tokens of a stage must be at least its length, {self.length}, "
                f"not {self.batch_tokens!r}"
            )


@dataclass(frozen=True)
class PretrainSettings:
    """How to make a BERT from raw text (BERT, section 3.1 and appendix A.2).

    Args:
        next_sentence: learn next sentence prediction too, from pairs; otherwise masked LM alone, from runs of text.
        short_share: share of the sequences that are made shorter, so that the network meets short ones.
        micro_batch_tokens: most pieces computed at once in a process; gradients are added up. 0 for the whole batch.
        dev_pairs: how many sequences of the dev part are judged by.
        window_pieces: how much of the corpus is shuffled together, in pieces; about ten bytes of memory each.
        gradient_checkpointing: compute the layers again in the backward pass rather than keep them: a third slower,
            for a fraction of the memory.
        sharding: spread weights, gradients and moments over the processes (FSDP) rather than copy them to each.
        device: "cpu", "cuda", or "auto" for a GPU where there is one.
        network: its sizes.
        vocabulary: where none is given.
        corpus: what is a document, and what a sentence.
        masking: what is hidden.
        stages: lengths and steps, one after another under one schedule of rates.
        training: of the loop; passes and batch size follow from the stages.

    Raises:
        TrainingError: when a value is out of range.

    Example:
        >>> PretrainSettings(stages=(Stage(128, 900_000), Stage(512, 100_000))).steps
        1000000
    """

    next_sentence: bool = True
    short_share: float = 0.1
    micro_batch_tokens: int = 0
    dev_pairs: int = 2000
    window_pieces: int = 2**25
    gradient_checkpointing: bool = False
    sharding: bool = False
    device: str = "auto"
    network: NetworkSettings = field(default_factory=NetworkSettings)
    vocabulary: VocabularySettings = field(default_factory=VocabularySettings)
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    masking: MaskingSettings = field(default_factory=MaskingSettings)
    stages: tuple[Stage, ...] = (Stage(),)
    training: TrainSettings = field(
        default_factory=lambda: TrainSettings(learning_rate=1e-4, warmup_share=0.01, evaluations=20, keep_checkpoints=2)
    )

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise TrainingError(f"settings: device must be {', '.join(DEVICES)}, not {self.device!r}")
        if not self.stages:
            raise TrainingError("settings: there must be one stage or more")
        if not 0 <= self.short_share <= 1:
            raise TrainingError(f"settings: short_share must be in [0, 1], not {self.short_share!r}")
        for name in ("dev_pairs", "window_pieces"):
            if getattr(self, name) < 1:
                raise TrainingError(f"settings: {name} must be 1 or more, not {getattr(self, name)!r}")
        if self.micro_batch_tokens < 0:
            raise TrainingError(f"settings: micro_batch_tokens must be 0 or more, not {self.micro_batch_tokens!r}")

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> tuple[Stage, int]:
        """The stage that step `step`, counted from 0, belongs to, and the step at which that stage ends."""
        end = 0
        for stage in self.stages:
            end += stage.steps
            if step < end:
                return stage, end
        return self.stages[-1], end

    @property
    def loop_settings(self) -> TrainSettings:
        """What the loop is given: as many steps as the stages have."""
        return replace(self.training, steps=self.steps)

    def to_dict(self) -> dict[str, Any]:
        """All settings, as JSON has them."""
        return asdict(self)
