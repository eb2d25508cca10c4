"""Masked LM and next sentence prediction together (BERT, section 3.1), as a task of the loop."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polarbert.data.segment_pairs import PairExample, PairSettings, PairStream, Window
from polarbert.data.shards import Shards
from polarbert.errors import TrainingError
from polarbert.model.masked_lm import BertForMaskedLM
from polarbert.model.packing import Packed
from polarbert.model.pretraining import BertForPreTraining
from polarbert.text import WordPieceTokenizer
from polarbert.training.device import make_precision
from polarbert.training.masking import MaskedPieces, Masking, mask_pieces
from polarbert.training.pretraining_recipe import PretrainSettings, Stage

# Apart from every pass over the training part, so that the masks of the dev part never follow those of training.
_DEV_MASKS = 2**32 - 1
# The number of a sequence is its place in the window plus this times the number of the window, counted on and on.
_WINDOW = 2**32


@dataclass
class PretrainingBatch:
    """Tensors of a batch; B sequences, N pieces in all, M of them to predict.

    Attributes:
        packed: the sequences, pieces replaced where they are hidden.
        positions: (M,) what to predict, counted through the N pieces.
        labels: (M,) the true pieces.
        next_sentence_labels: (B,) 0 where the second segment follows the first, 1 elsewhere; None without pairs.
    """

    packed: Packed
    positions: Tensor
    labels: Tensor
    next_sentence_labels: Tensor | None

    @property
    def tokens(self) -> int:
        """Its pieces; there is no padding."""
        return len(self.packed.input_ids)

    @property
    def counts(self) -> tuple[int, ...]:
        """Its hidden pieces and its pairs: what the means of a batch are over."""
        pairs = () if self.next_sentence_labels is None else (len(self.next_sentence_labels),)
        return (len(self.labels), *pairs)

    def to(self, device: torch.device) -> PretrainingBatch:
        """The same batch on another device."""
        pairs = None if self.next_sentence_labels is None else self.next_sentence_labels.to(device)
        return PretrainingBatch(self.packed.to(device), self.positions.to(device), self.labels.to(device), pairs)


def collate_pairs(examples: Sequence[PairExample], hidden: Sequence[MaskedPieces]) -> PretrainingBatch:
    """Pack sequences one after another.

    Args:
        examples: B sequences as they are.
        hidden: the same, as the network sees them.
    """
    starts = np.cumsum([0, *(len(example.ids) for example in examples[:-1])])
    positions = np.concatenate([one.positions + start for one, start in zip(hidden, starts, strict=True)])
    labels = np.concatenate([one.labels for one in hidden])
    pairs = [example.label for example in examples if example.label is not None]
    return PretrainingBatch(
        Packed.from_texts([one.ids for one in hidden], [example.second_at for example in examples]),
        torch.from_numpy(positions),
        torch.from_numpy(labels),
        torch.tensor(pairs) if pairs else None,
    )


@dataclass
class PretrainingTask:
    """The losses of masked LM and, from pairs, of next sentence prediction; both are learned together.

    A sequence is made and hidden anew in each pass over the corpus, by chance drawn from the seed and its place, and
    from nothing else: a resumed run sees what an uninterrupted one does. A pass of the loop is a window of the corpus,
    as much of it as is shuffled together, so memory does not grow with the corpus.

    Args:
        shards: the corpus to learn from.
        dev: the part to judge by. Its sequences are as long as those of the last stage, and the same each time; the
            score is minus the sum of both losses.
        tokenizer: saved beside the best model.
        settings: stages, masking, batch sizes.

    Raises:
        TrainingError: when the dev part has nothing to judge by.

    Example:
        >>> task = PretrainingTask(Shards.open("train"), Shards.open("dev"), tokenizer, PretrainSettings())
        >>> train(model, task, settings.training, RunDirectory("run"))
    """

    shards: Shards
    dev: Shards
    tokenizer: WordPieceTokenizer
    settings: PretrainSettings
    masking: Masking = field(init=False)

    def __post_init__(self) -> None:
        self.masking = Masking.from_tokenizer(self.tokenizer, **asdict(self.settings.masking))
        self._numbered: tuple[int, Window] | None = None
        self._dev = self._make_dev()

    def fingerprint(self) -> str:
        """Changes with the text that is learned from or judged by."""
        return hashlib.sha256(json.dumps([self.shards.digest, self.dev.digest]).encode("utf-8")).hexdigest()

    def batches_in_epoch(self, epoch: int, step: int) -> list[list[int]]:
        """The batches of a window of the corpus, those that are left of the stage which `step` belongs to."""
        stage, end = self.settings.stage_at(step)
        stream = self._stream(self.shards, stage, self.settings.training.seed)
        window = stream.window(*divmod(epoch, stream.windows_in_epoch))
        self._numbered = epoch, window
        return [(batch + epoch * _WINDOW).tolist() for batch in window.batches[: end - step]]

    def prepare(self, numbers: list[int]) -> list[PretrainingBatch]:
        """The tensors of these sequences, in parts of at most `micro_batch_tokens`."""
        examples = [self.example(number) for number in numbers]
        hidden = [self.hide(number, one) for number, one in zip(numbers, examples, strict=True)]
        parts = _cut([len(one.ids) for one in examples], self.settings.micro_batch_tokens)
        return [collate_pairs(examples[part], hidden[part]) for part in parts]

    def example(self, number: int) -> PairExample:
        """A sequence by its number; of the window that was planned last."""
        epoch, place = divmod(number, _WINDOW)
        if self._numbered is None or self._numbered[0] != epoch:
            raise ValueError(f"number {number} is not of the window that was planned last")
        return self._numbered[1].example(place)

    def hide(self, number: int, example: PairExample) -> MaskedPieces:
        """The sequence as its pass sees it."""
        random = np.random.default_rng([self.settings.training.seed, *divmod(number, _WINDOW)])
        return mask_pieces(example.ids, self.masking, random)

    def losses(self, model: nn.Module, part: PretrainingBatch, totals: Sequence[float]) -> dict[str, Tensor]:
        """Both cross-entropies of a part, each divided by its total."""
        pieces, pairs = self._logits(model, part)
        losses = {"masked_lm": F.cross_entropy(pieces, part.labels, reduction="sum") / totals[0]}
        if pairs is not None and part.next_sentence_labels is not None:
            summed = F.cross_entropy(pairs, part.next_sentence_labels, reduction="sum")
            losses["next_sentence"] = summed / totals[1]
        return losses

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Loss, perplexity and accuracy over hidden pieces, loss and accuracy over pairs, all of the dev part."""
        sums = np.zeros(6)
        for part in self._dev:
            sums += self._judge(model, part)
        pieces, loss, hits, pairs, pair_loss, pair_hits = sums
        figures = {
            "masked_lm_loss": loss / pieces,
            "perplexity": math.exp(min(loss / pieces, 700.0)),  # a float ends near e^709
            "masked_accuracy": hits / pieces,
        }
        if pairs:
            figures |= {"next_sentence_loss": pair_loss / pairs, "next_sentence_accuracy": pair_hits / pairs}
        return {"score": -sum(value for name, value in figures.items() if name.endswith("_loss")), **figures}

    def save(self, model: nn.Module, path: str) -> None:
        """Weights, configuration and tokenizer in one directory."""
        cast("BertForMaskedLM | BertForPreTraining", model).save_pretrained(path)
        self.tokenizer.save(path)

    def _logits(self, model: nn.Module, part: PretrainingBatch) -> tuple[Tensor, Tensor | None]:
        """(M, V) logits of the hidden pieces and (B, 2) of the pairs."""
        output = model(part.packed, positions=part.positions)
        if part.next_sentence_labels is None:
            return output.logits.float(), None
        return output.prediction_logits.float(), output.seq_relationship_logits.float()

    def _judge(self, model: nn.Module, part: PretrainingBatch) -> list[float]:
        """Number, loss and hits of the hidden pieces, then of the pairs."""
        part = part.to(next(model.parameters()).device)
        with torch.inference_mode(), make_precision(model, self.settings.training.precision)():
            pieces, pairs = self._logits(model, part)
        labels = part.next_sentence_labels
        return [
            *_counted(pieces, part.labels),
            *([0.0] * 3 if pairs is None or labels is None else _counted(pairs, labels)),
        ]

    def _stream(self, shards: Shards, stage: Stage, seed: int) -> PairStream:
        pairs = PairSettings(stage.length, self.settings.next_sentence, self.settings.short_share)
        ids = self.tokenizer.cls_id, self.tokenizer.sep_id
        return PairStream(shards, pairs, *ids, stage.batch_tokens, seed, self.settings.window_pieces)

    def _make_dev(self) -> list[PretrainingBatch]:
        """The first sequences of the dev part, chosen and hidden the same way in each evaluation and each run."""
        stage = self.settings.stages[-1]
        stage = replace(stage, batch_tokens=min(stage.batch_tokens, max(8192, stage.length)))
        window = self._stream(self.dev, stage, seed=0).window(0, 0)
        parts, left = [], self.settings.dev_pairs
        for batch in window.batches:
            numbers = batch[:left].tolist()
            examples = [window.example(number) for number in numbers]
            hidden = [
                mask_pieces(one.ids, self.masking, np.random.default_rng([_DEV_MASKS, number]))
                for number, one in zip(numbers, examples, strict=True)
            ]
            if sum(len(one.labels) for one in hidden):
                parts.append(collate_pairs(examples, hidden))
            left -= len(numbers)
            if left <= 0:
                break
        if not parts:
            raise TrainingError("the dev part has no sequence with a piece to hide; give it more text")
        return parts


def _counted(logits: Tensor, labels: Tensor) -> list[float]:
    """How many there are, the sum of their losses, and how many were guessed."""
    loss = F.cross_entropy(logits, labels, reduction="sum")
    return [float(len(labels)), float(loss), float((logits.argmax(-1) == labels).sum())]


def _cut(lengths: Sequence[int], budget: int) -> list[slice]:
    """Runs of sequences of at most `budget` pieces each; a longer sequence is a run of its own."""
    if budget == 0:
        return [slice(0, len(lengths))]
    starts, pieces = [0], 0
    for number, length in enumerate(lengths):
        if pieces and pieces + length > budget:
            starts.append(number)
            pieces = 0
        pieces += length
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], len(lengths)], strict=True)]
