"""Fine-tuning a tagger of words (BERT, section 5.3, fine-tuning), as a task of the loop.

The tag of a word is learned at its first word piece; other pieces, [CLS] and [SEP] count for nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from polarbert.calibration import Calibration, fit_threshold, probabilities
from polarbert.data.dataset import Dataset, LabelledText
from polarbert.data.entities import OUTSIDE, entity_spans, entity_types, to_bio
from polarbert.errors import TrainingError
from polarbert.export.texts import own_texts
from polarbert.inference.prediction import DECIMALS
from polarbert.inference.tagged_rows import as_tagged, asked_words
from polarbert.inference.tagger import Tagger, Tagging, TextAndWords, decode
from polarbert.inference.tagging_evaluation import TaggingEvaluation, judge_taggings
from polarbert.metrics import count_entities, entity_f1, pool_texts, pool_types
from polarbert.model.tagging import BertForTokenClassification
from polarbert.text import WordPieceTokenizer
from polarbert.text.batches import draw_batches, plan_batches
from polarbert.text.words import cut_words
from polarbert.training.base import Base
from polarbert.training.confidence import FITTED_AT_ONCE, THRESHOLD_SCALE, fit_calibration
from polarbert.training.device import make_precision
from polarbert.training.examples import EncodedTexts
from polarbert.training.masked_lm import MaskedBatch, collate_masked
from polarbert.training.masking import MaskedPieces
from polarbert.training.recipe import FineTuneSettings
from polarbert.training.settings import TrainSettings

OVERLAP = 64  # pieces that neighbouring windows of a long text share
_SMALLEST = 1e-12  # a probability of 0 has no logarithm


@dataclass(frozen=True, eq=False)
class TaggedExample(MaskedPieces):
    """A text, or a window of a long one, and the words that are learned in it.

    Attributes:
        ids: (T,) piece ids with [CLS] and [SEP].
        positions: (N,) where the first pieces of these words stand, rising.
        labels: (N,) the numbers of their tags.
        text: number of the text.
        words: (N,) numbers of the words in it.
        tags: those of all words of the text, also of words in other windows and of words without a piece.
    """

    text: int
    words: tuple[int, ...]
    tags: tuple[int, ...]


@dataclass
class TaggedBatch(MaskedBatch):
    """Tensors of a batch; its `positions` are the first pieces of words, its `labels` their tags."""

    @property
    def token_type_ids(self) -> Tensor:
        """(B, T), all of them 0: there is one segment."""
        return torch.zeros_like(self.input_ids)

    def to(self, device: torch.device) -> TaggedBatch:
        """The same batch on another device."""
        return TaggedBatch(**vars(super().to(device)))


@dataclass(frozen=True)
class WindowedTexts(EncodedTexts):
    """Texts of which nothing is left out: those that are too long, `cut` of them, are read in windows."""

    @property
    def notes(self) -> list[str]:
        """What people should know."""
        return [f"{self.cut:,} long texts are read in windows that overlap"] if self.cut else []


def encode_tagged(rows: Sequence[LabelledText], tokenizer: WordPieceTokenizer, max_pieces: int) -> EncodedTexts:
    """Word pieces with [CLS] and [SEP]; a long text becomes overlapping windows.

    A word that stands in several windows is learned in the one in which it has most context, and there alone.

    Args:
        rows: tagged texts.
        tokenizer: of the network.
        max_pieces: most pieces of a window, [CLS] and [SEP] included.
    """
    examples, cut = [], 0
    for number, (row, pieces) in enumerate(zip(rows, tokenizer.encode([row.text for row in rows], True), strict=True)):
        tagged = as_tagged(row)
        tags = np.array(tagged.tags, dtype=np.int64)
        windows = cut_words(pieces, tagged.words, max_pieces - 2, OVERLAP)
        cut += len(windows) > 1
        for window in windows:
            ids = np.array([tokenizer.cls_id, *window.ids, tokenizer.sep_id], dtype=np.int64)
            here = tuple(window.words.tolist())
            examples.append(TaggedExample(ids, window.pieces + 1, tags[window.words], number, here, tagged.tags))
    return WindowedTexts(examples, sum(len(example.ids) for example in examples), cut)


@dataclass
class TaggingTask:
    """Mean cross-entropy over words; the score is the entity F1 of the dev groups, as the script conlleval counts it.

    Args:
        train: examples to learn from; those without a word to learn are left out.
        dev: named groups of examples to judge by.
        labels: names of the tags, in the order of the logits.
        tokenizer: saved beside the best model.
        settings: those that `training.loop.train` is given; batch size, seed and precision are taken from them.

    Raises:
        TrainingError: when a tag is no label, or there is nothing to learn from or judge by.
    """

    train: Sequence[TaggedExample]
    dev: Mapping[str, Sequence[TaggedExample]]
    labels: Sequence[str]
    tokenizer: WordPieceTokenizer
    settings: TrainSettings

    def __post_init__(self) -> None:
        self.train = [example for example in self.train if len(example.labels)]
        if not self.train:
            raise TrainingError("there is nothing to learn from: give tagged texts")
        if not self.dev or not all(self.dev.values()):
            raise TrainingError("there is nothing to judge by: give at least one dev group, and texts in each")
        for example in self._examples():
            if odd := [tag for tag in example.tags if not 0 <= tag < len(self.labels)]:
                raise TrainingError(f"a word has the tag {odd[0]}; there are {len(self.labels)} labels")

    def fingerprint(self) -> str:
        """Changes with anything that is learned from or judged by."""
        parts = [len(self.train), *((name, len(examples)) for name, examples in self.dev.items())]
        digest = hashlib.sha256(repr((list(self.labels), parts)).encode("utf-8"))
        for example in self._examples():
            digest.update(repr((len(example.ids), example.text, example.words, example.tags)).encode("utf-8"))
            for numbers in (example.ids, example.positions):
                digest.update(np.asarray(numbers, dtype="<i4").tobytes())
        return digest.hexdigest()

    def batches_in_epoch(self, epoch: int, step: int = 0) -> list[list[int]]:  # noqa: ARG002 - the same at any step
        """The plan of one pass, another for each."""
        lengths = [len(example.ids) for example in self.train]
        return draw_batches(lengths, self.settings.batch_tokens, self.settings.seed * 1000 + epoch)

    def prepare(self, numbers: list[int]) -> list[TaggedBatch]:
        """The tensors of these examples."""
        return [self._collate([self.train[number] for number in numbers])]

    def losses(self, model: nn.Module, part: TaggedBatch, totals: Sequence[float]) -> dict[str, Tensor]:
        """Cross-entropy over the words of a batch, divided by `totals`."""
        logits = model(part.input_ids, part.attention_mask, positions=part.positions).logits.float()
        return {"cross_entropy": F.cross_entropy(logits, part.labels, reduction="sum") / totals[0]}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Entity F1, precision, recall and word accuracy of each dev group; "score" is the mean entity F1."""
        figures: dict[str, float] = {}
        for name, examples in self.dev.items():
            figures |= {f"{name}_{what}": value for what, value in self._judge(model, examples).items()}
        return {"score": float(np.mean([figures[f"{name}_entity_f1"] for name in self.dev])), **figures}

    def save(self, model: nn.Module, path: str) -> None:
        """Weights, configuration and tokenizer in one directory."""
        cast(BertForTokenClassification, model).save_pretrained(path)
        self.tokenizer.save(path)

    def tags(self, model: nn.Module, examples: Sequence[TaggedExample]) -> dict[int, list[str]]:
        """The tags of all words of each text, as BIO, by its number; a word without a piece is O."""
        outside = list(self.labels).index(OUTSIDE)
        found = {example.text: np.full(len(example.tags), outside) for example in examples}
        device = next(model.parameters()).device
        precision = make_precision(model, self.settings.precision)
        budget = 4 * self.settings.batch_tokens
        for numbers in plan_batches([len(example.ids) for example in examples], budget, seed=None):
            chosen = [examples[number] for number in numbers]
            batch = self._collate(chosen).to(device)
            with torch.inference_mode(), precision():
                best = model(batch.input_ids, batch.attention_mask, positions=batch.positions).logits.argmax(-1)
            ends = np.cumsum([len(example.words) for example in chosen])[:-1]
            for example, tags in zip(chosen, np.split(best.cpu().numpy(), ends), strict=True):
                found[example.text][list(example.words)] = tags
        return {text: to_bio(self.labels[number] for number in numbers) for text, numbers in found.items()}

    def _judge(self, model: nn.Module, examples: Sequence[TaggedExample]) -> dict[str, float]:
        found = self.tags(model, examples)
        truth = {example.text: [self.labels[tag] for tag in example.tags] for example in examples}
        spans = [[entity_spans(tags[text]) for text in truth] for tags in (truth, found)]
        tally = count_entities(spans[0], spans[1], entity_types(self.labels))
        together = pool_types(pool_texts(tally))
        right = [tag == other for text, tags in truth.items() for tag, other in zip(tags, found[text], strict=True)]
        return {
            "entity_f1": entity_f1(tally),
            "precision": float(np.nan_to_num(together.precisions)[0]),
            "recall": float(np.nan_to_num(together.recalls)[0]),
            "word_accuracy": float(np.mean(right)),
        }

    def _collate(self, examples: Sequence[TaggedExample]) -> TaggedBatch:
        return TaggedBatch(**vars(collate_masked(examples, self.tokenizer.pad_id)))

    def _examples(self) -> Iterable[TaggedExample]:
        yield from self.train
        for examples in self.dev.values():
            yield from examples


class TaggingKind:
    """Tags of words, as fine-tuning takes them; see `polarbert.training.kinds.Kind`."""

    measure = "entity F1"
    traits: tuple[str, ...] = ()

    def __init__(self, dataset: Dataset, base: Base, settings: FineTuneSettings) -> None:
        self._labels = dataset.labels
        self._base = base
        self._settings = settings

    def encode(self, rows: Sequence[LabelledText]) -> EncodedTexts:
        """See `Kind.encode`."""
        return encode_tagged(rows, self._base.tokenizer, self._base.longest(self._settings.max_pieces))

    def task(self, learned: EncodedTexts, judging: EncodedTexts, training: TrainSettings) -> TaggingTask:
        """See `Kind.task`."""
        return TaggingTask(learned.examples, {"dev": judging.examples}, self._labels, self._base.tokenizer, training)

    def asked(self, rows: Sequence[LabelledText]) -> list[TextAndWords]:
        """See `Kind.asked`."""
        return asked_words(rows)

    def truth(self, rows: Sequence[LabelledText]) -> list[tuple[int, ...]]:
        """See `Kind.truth`."""
        return [as_tagged(row).tags for row in rows]

    def own_inputs(self) -> list[TextAndWords]:
        """See `Kind.own_inputs`."""
        return [(text, None) for text in own_texts()]

    def fit(self, predictor: Tagger, rows: Sequence[LabelledText], target: float) -> Calibration:
        """See `Kind.fit` and `fit_tagger`."""
        asked = self.asked(rows)
        blocks = (asked[begin : begin + FITTED_AT_ONCE] for begin in range(0, len(asked), FITTED_AT_ONCE))
        chances = chain.from_iterable(map(predictor.distributions, blocks))
        return fit_tagger(self._labels, chances, self.truth(rows), target)

    def judge(
        self, dataset: Dataset, answers: Sequence[Tagging], predictor: Tagger, seconds: float
    ) -> TaggingEvaluation:
        """See `Kind.judge`."""
        return judge_taggings(dataset, answers, predictor.unsure_below, seconds=seconds)

    def shown(self, dev: Mapping[str, float]) -> dict[str, float]:
        """See `Kind.shown`."""
        names = {"entity F1": "entity_f1", "precision": "precision", "recall": "recall"}
        return {shown: dev[f"dev_{name}"] for shown, name in names.items()}


def fit_tagger(
    labels: Sequence[str],
    chances: Iterable[NDArray[np.float64]],
    truth: Sequence[Sequence[int]],
    target: float,
) -> Calibration:
    """Temperature and unsure threshold of a tagger, on texts it was not trained on.

    Nearly all words are O and easily right, and would hide how sure the model is of entities. So the temperature is
    fitted on the words that belong to an entity, in truth or by the answer, and the threshold is that from which on the
    share `target` of the entities found is right.

    Args:
        labels: of the model.
        chances: for each text (words, labels) probabilities at temperature 1; only those of telling words are kept.
        truth: for each text the numbers of its tags.
        target: wanted share of right entities among those that are not unsure.

    Returns:
        Both numbers; `unsure_below` is 0 where all entities found together reach the target, and 1 where none do or
        none is found: nothing has shown then that any confidence is enough.
    """
    outside = list(labels).index(OUTSIDE)
    words, tags = [np.empty((0, len(labels)))], [np.empty(0, np.int64)]
    found: list[tuple[NDArray[np.float64], bool]] = []  # the words of each entity, and whether it is right
    for one, text in zip(chances, truth, strict=True):
        numbers = np.array(text, dtype=np.int64)
        telling = (numbers != outside) | (one.argmax(axis=1) != outside)
        words.append(one[telling])
        tags.append(numbers[telling])
        true = set(entity_spans(labels[tag] for tag in text))
        found += [(one[entity[1] : entity[2]].copy(), entity in true) for entity, _ in decode(labels, one)[1]]
    if not found:
        return Calibration(1.0, 1.0)
    temperature = fit_calibration(np.concatenate(words), np.concatenate(tags), target).temperature
    confidence = np.array([_confidence(one, temperature) for one, _ in found])
    correct = np.array([right for _, right in found], dtype=np.bool_)
    if correct.mean() >= target:
        return Calibration(temperature)
    threshold = fit_threshold(confidence, correct, target)
    # Cut, not rounded: see `fit_calibration`.
    return Calibration(temperature, math.floor(threshold * THRESHOLD_SCALE) / THRESHOLD_SCALE)


def _confidence(words: NDArray[np.float64], temperature: float) -> float:
    """That of an entity of these words, as `decode` has it of probabilities at the temperature."""
    fitted = probabilities(np.log(np.maximum(words, _SMALLEST)), temperature)
    return round(float(fitted.max(axis=1).min()), DECIMALS)
