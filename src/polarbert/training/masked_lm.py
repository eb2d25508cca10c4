"""Training on unlabelled text: predict the hidden pieces (BERT, section 3.1, task 1), as a task of the loop."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from polarbert.errors import TrainingError
from polarbert.model.masked_lm import BertForMaskedLM, has_masked_lm_head
from polarbert.text import WordPieceTokenizer, join_segments
from polarbert.text.batches import draw_batches, plan_batches
from polarbert.training.base import Base
from polarbert.training.device import choose_device, make_precision
from polarbert.training.loop import train
from polarbert.training.masking import MaskedPieces, Masking, mask_pieces
from polarbert.training.run import RunDirectory
from polarbert.training.settings import TrainSettings

Sequences = Sequence[Sequence[int]]

# Apart from every epoch, so that the masks of dev texts never follow those of training.
_DEV_MASKS = 2**32 - 1


@dataclass
class MaskedBatch:
    """Tensors of a batch; B texts, T pieces in the longest, N pieces to predict.

    Attributes:
        input_ids: (B, T), hidden pieces replaced.
        attention_mask: (B, T) bool, or None when no text is padded.
        positions: (N,) what to predict, counted through the batch: column + T * row.
        labels: (N,) the true pieces.
        tokens: pieces without padding.
    """

    input_ids: Tensor
    attention_mask: Tensor | None
    positions: Tensor
    labels: Tensor
    tokens: int

    @property
    def counts(self) -> tuple[int]:
        """Its hidden pieces: what the mean of a batch is over."""
        return (len(self.labels),)

    def to(self, device: torch.device) -> MaskedBatch:
        """The same batch on another device."""
        mask = None if self.attention_mask is None else self.attention_mask.to(device)
        rest = (self.positions.to(device), self.labels.to(device), self.tokens)
        return MaskedBatch(self.input_ids.to(device), mask, *rest)


def collate_masked(texts: Sequence[MaskedPieces], pad_id: int) -> MaskedBatch:
    """Pad texts to the longest among them and stack them."""
    lengths = np.array([len(text.ids) for text in texts])
    longest = int(lengths.max())
    ids = np.full((len(texts), longest), pad_id, dtype=np.int64)
    for row, text in enumerate(texts):
        ids[row, : len(text.ids)] = text.ids
    mask = np.arange(longest) < lengths[:, None]
    positions = np.concatenate([text.positions + longest * row for row, text in enumerate(texts)])
    labels = np.concatenate([text.labels for text in texts])
    padding = None if mask.all() else torch.from_numpy(mask)
    tensors = (torch.from_numpy(positions), torch.from_numpy(labels))
    return MaskedBatch(torch.from_numpy(ids), padding, *tensors, int(lengths.sum()))


@dataclass
class MaskedLmTask:
    """Cross-entropy over the hidden pieces of each text.

    A text is hidden anew in each pass, by chance drawn from the seed, the number of the pass and the number of the
    text, and from nothing else: a resumed run sees what an uninterrupted one does. Dev texts are hidden the same way in
    each evaluation and each run, so that figures can be compared.

    Args:
        train: texts to learn from, as piece ids with [CLS] and [SEP]; those without a piece to hide are left out.
        dev: named groups of texts to judge by; the score is minus the mean of their losses.
        tokenizer: saved beside the best model.
        masking: what is hidden, and by what.
        settings: those that `training.loop.train` is given; batch size, seed and precision are taken from them.

    Raises:
        TrainingError: when no training text, or no text of a dev group, has a piece to hide.

    Example:
        >>> masking = Masking.from_tokenizer(tokenizer)
        >>> settings = TrainSettings(epochs=1)
        >>> task = MaskedLmTask(train_ids, {"dev": dev_ids}, tokenizer, masking, settings)
        >>> train(model, task, settings, RunDirectory("run"))
    """

    train: Sequences
    dev: Mapping[str, Sequences]
    tokenizer: WordPieceTokenizer
    masking: Masking
    settings: TrainSettings

    def __post_init__(self) -> None:
        if not self.dev:
            raise TrainingError("there is nothing to judge by: give at least one dev group")
        self.train = self._usable(self.train, "the training part")
        self.dev = {name: self._usable(texts, f"the dev part {name!r}") for name, texts in self.dev.items()}

    def fingerprint(self) -> str:
        """Changes with anything that is learned from or judged by, and with how it is hidden."""
        rule = self.masking
        shares = (rule.share, rule.mask_share, rule.random_share, rule.whole_words, rule.mask_id)
        digest = hashlib.sha256(repr(shares).encode("utf-8"))
        digest.update(rule.special.tobytes() + rule.continues.tobytes())
        for name, texts in (("", self.train), *self.dev.items()):
            digest.update(repr((name, len(texts))).encode("utf-8"))
            for ids in texts:
                digest.update(len(ids).to_bytes(4, "little") + np.asarray(ids, dtype="<i4").tobytes())
        return digest.hexdigest()

    def batches_in_epoch(self, epoch: int, step: int = 0) -> list[list[int]]:  # noqa: ARG002 - the same at any step
        """The plan of one pass, another for each.

        Text n has in pass e the number n + e * (number of texts), so a number also says how the text is hidden.
        """
        lengths = [len(ids) for ids in self.train]
        plan = draw_batches(lengths, self.settings.batch_tokens, self.settings.seed * 1000 + epoch)
        return [[number + epoch * len(self.train) for number in batch] for batch in plan]

    def prepare(self, numbers: list[int]) -> list[MaskedBatch]:
        """The tensors of these texts, hidden as their pass sees them."""
        return [collate_masked([self.masked(number) for number in numbers], self.tokenizer.pad_id)]

    def losses(self, model: nn.Module, part: MaskedBatch, totals: Sequence[float]) -> dict[str, Tensor]:
        """Cross-entropy over the hidden pieces of a batch, divided by `totals`."""
        logits = model(part.input_ids, part.attention_mask, positions=part.positions).logits.float()
        return {"masked_lm": F.cross_entropy(logits, part.labels, reduction="sum") / totals[0]}

    def masked(self, number: int) -> MaskedPieces:
        """A training text as its pass sees it; `number` as in `batches_in_epoch`."""
        epoch, text = divmod(number, len(self.train))
        return mask_pieces(self.train[text], self.masking, np.random.default_rng([self.settings.seed, epoch, text]))

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Loss, perplexity and accuracy over the hidden pieces of each dev group; "score" is minus the mean loss."""
        figures: dict[str, float] = {}
        for name, texts in self.dev.items():
            losses, hits = self._judge(model, texts)
            figures[f"{name}_loss"] = float(losses.mean())
            figures[f"{name}_perplexity"] = math.exp(min(figures[f"{name}_loss"], 700.0))  # a float ends near e^709
            figures[f"{name}_masked_accuracy"] = float(hits.mean())
        return {"score": -float(np.mean([figures[f"{name}_loss"] for name in self.dev])), **figures}

    def save(self, model: nn.Module, path: str) -> None:
        """Weights, configuration and tokenizer in one directory."""
        cast(BertForMaskedLM, model).save_pretrained(path)
        self.tokenizer.save(path)

    def _judge(self, model: nn.Module, texts: Sequences) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """For each hidden piece of a dev group its loss, and whether it was guessed."""
        device = next(model.parameters()).device
        precision = make_precision(model, self.settings.precision)
        losses, hits = [], []
        budget = 4 * self.settings.batch_tokens
        for numbers in plan_batches([len(ids) for ids in texts], budget, seed=None):
            hidden = [mask_pieces(texts[n], self.masking, np.random.default_rng([_DEV_MASKS, n])) for n in numbers]
            batch = collate_masked(hidden, self.tokenizer.pad_id).to(device)
            with torch.inference_mode(), precision():
                logits = model(batch.input_ids, batch.attention_mask, positions=batch.positions).logits.float()
                losses.append(F.cross_entropy(logits, batch.labels, reduction="none").double().cpu().numpy())
                hits.append((logits.argmax(-1) == batch.labels).cpu().numpy())
        return np.concatenate(losses), np.concatenate(hits)

    def _usable(self, texts: Sequences, part: str) -> Sequences:
        usable = [ids for ids in texts if self.masking.maskable(ids)]
        if not usable:
            raise TrainingError(f"{part} has no text with a piece that can be hidden; give it texts with words")
        return usable


def to_sequences(texts: Sequence[str], tokenizer: WordPieceTokenizer, max_pieces: int) -> list[list[int]]:
    """Texts as piece ids with [CLS] and [SEP]; a long one becomes several of nearly equal length, nothing dropped.

    Args:
        texts: any number of texts.
        tokenizer: of the model.
        max_pieces: most pieces in a sequence, [CLS] and [SEP] included.

    Example:
        >>> to_sequences(["I love it", "It broke"], tokenizer, max_pieces=128)
    """
    room = max_pieces - 2
    sequences = []
    for pieces in tokenizer.encode(texts):
        parts = max(1, -(-len(pieces.ids) // room))
        cuts = [len(pieces.ids) * part // parts for part in range(parts + 1)]
        for start, end in pairwise(cuts):
            sequences.append(join_segments(tokenizer.cls_id, tokenizer.sep_id, pieces.ids[start:end], None))
    return sequences


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Keep the parameters of `module` as they are inside the block, and let them go as before after it."""
    before = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    module.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, trained in before:
            parameter.requires_grad_(trained)


def warm_up_head(
    model: BertForMaskedLM,
    task: MaskedLmTask,
    settings: TrainSettings,
    run: RunDirectory,
    resume: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train a new head while the encoder, word embeddings included, stays as it is bit for bit.

    A new head gives large and meaningless gradients, which would spoil a trained encoder before the head has learnt to
    read it. Arguments, result and errors are those of `training.loop.train`; a rate of about 1e-3 suits the head.
    """
    with frozen(model.bert):
        return train(model, task, settings, run, resume, quiet)


@dataclass(frozen=True)
class MaskedLmSettings:
    """How `train_masked_lm` trains.

    Args:
        training: of the stage in which everything is trained.
        head: of the stage in which a new head is trained; None for `training` with one pass at a rate of 1e-3.
        max_pieces: longest sequence, [CLS] and [SEP] included; longer texts are cut into several.
        whole_words: hide whole words rather than pieces.
        device: "auto" (a GPU where there is one), "cpu" or "cuda".
    """

    training: TrainSettings = field(default_factory=TrainSettings)
    head: TrainSettings | None = None
    max_pieces: int = 128
    whole_words: bool = False
    device: str = "auto"

    @property
    def of_head(self) -> TrainSettings:
        """The settings of the head's stage."""
        return self.head or replace(self.training, epochs=1.0, learning_rate=1e-3)


def train_masked_lm(
    base: str | Path | None,
    texts: Sequence[str],
    dev_texts: Sequence[str],
    output: str | Path,
    settings: MaskedLmSettings | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Go on pre-training a base on texts of one's own (Dai and Le 2015; Sun et al. 2019, section 5.4).

    A base with a head for masked language modelling is trained at once. Any other gets a new head, trained first with
    the encoder frozen (in `output`/head, see `warm_up_head`); then everything is trained (in `output`).

    Args:
        base: the embedded model (None), a directory in the Hugging Face layout, or a Hub id.
        texts: to learn from.
        dev_texts: to judge by; must not be among `texts`.
        output: the run directory; the best model ends in `output`/best.
        settings: how to train; None for the defaults.
        resume: go on with the run that `output` holds.
        quiet: no progress on stderr.

    Returns:
        The summary of the run as from `training.loop.train`, with that of the head under "head" (None without one).

    Raises:
        BundleError: when the base cannot be loaded.
        TrainingError: when the run cannot start or resume, or the loss is not a number.
        UsageError: when there is no such device.

    Example:
        >>> settings = MaskedLmSettings(TrainSettings(epochs=2, learning_rate=1e-4))
        >>> train_masked_lm(None, reviews, held_out_reviews, "adapted", settings)
    """
    settings = settings or MaskedLmSettings()
    start = Base.open(base)
    task = _make_task(start, texts, dev_texts, settings)
    is_new = not has_masked_lm_head(start.path)
    torch.manual_seed(settings.of_head.seed)
    model = BertForMaskedLM.from_encoder(start.path) if is_new else BertForMaskedLM.from_pretrained(start.path)
    model.to(choose_device(settings.device))

    run = RunDirectory(output)
    digests = {"data": task.fingerprint(), "base": start.digest}
    options = {"max_pieces": settings.max_pieces, "whole_words": settings.whole_words}
    with run.locked():
        run.begin(settings.training.to_dict() | options | digests, resume)
        head = None
        if is_new:
            head_task = replace(task, settings=settings.of_head)
            head_run = RunDirectory(run.path / "head")
            head = warm_up_head(model, head_task, settings.of_head, head_run, resume, quiet)
        return {**train(model, task, settings.training, run, resume, quiet), "head": head}


def _make_task(base: Base, texts: Sequence[str], dev_texts: Sequence[str], settings: MaskedLmSettings) -> MaskedLmTask:
    longest = base.config.max_position_embeddings
    if not 3 <= settings.max_pieces <= longest:
        raise TrainingError(f"max_pieces must be from 3 to {longest} for this base, not {settings.max_pieces!r}")
    train_ids, dev_ids = (to_sequences(part, base.tokenizer, settings.max_pieces) for part in (texts, dev_texts))
    masking = Masking.from_tokenizer(base.tokenizer, whole_words=settings.whole_words)
    return MaskedLmTask(train_ids, {"dev": dev_ids}, base.tokenizer, masking, settings.training)
