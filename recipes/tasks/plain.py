"""The second contender: `transformers` as its own examples use it, from rows to answers.

Its Trainer with its defaults, the model class of the task, its tokenizer and collators; answers are read off as its
examples for text classification, token classification and question answering do.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recipes.tasks import judging
from recipes.tasks.contest import Budget, Outcome, wait_for, words_of
from recipes.tasks.sets import LabelledSet, Parts
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from polarbert.data.dataset import Dataset, LabelledText
from polarbert.data.entities import OUTSIDE, to_bio
from polarbert.inference.answers_evaluation import question_of
from polarbert.inference.rating_evaluation import value_of
from polarbert.inference.spans import MAX_PIECES
from polarbert.inference.tagged_rows import as_tagged
from polarbert.model.encoder import BertEncoder, load_encoder
from polarbert.training.base import Base

N_BEST = 20  # starts and ends that are tried, as in the example for question answering
EVALUATION_BATCH = 32
IGNORED = -100  # the label of a piece that is not learned

Features = list[dict[str, Any]]


def save_encoder(base: Base, path: str | Path) -> None:
    """Write a base without its output layer, which would otherwise be taken over where the number of labels fits."""
    with torch.device("meta"):
        encoder = BertEncoder(base.config)
    load_encoder(encoder, base.path)
    encoder.save_pretrained(path)
    base.tokenizer.save(path)


@dataclass(frozen=True)
class Reading:
    """How rows become what the network reads.

    Args:
        dataset: its task and labels.
        tokenizer: of `transformers`.
        max_pieces: most pieces of a text or window.
        overlap: pieces that neighbouring windows of a passage share.
    """

    dataset: Dataset
    tokenizer: Any
    max_pieces: int
    overlap: int

    def features(self, rows: Sequence[LabelledText]) -> Features:
        """One a row; of passages, one a window, with the number of its row and its offsets."""
        if self.dataset.task == "qa":
            return self._windows(rows)
        if self.dataset.task == "tagging":
            return self._tagged(rows)
        pairs = None if rows[0].pair is None else [row.pair for row in rows]
        found = self.tokenizer([row.text for row in rows], pairs, truncation=True, max_length=self.max_pieces)
        is_rated = self.dataset.task == "regression"
        labels = [float(value_of(row)) if is_rated else row.label for row in rows]
        return [{**one, "labels": label} for one, label in zip(_columns(found), labels, strict=True)]

    def collator(self) -> Callable[[list[Any]], dict[str, Any]]:
        """Pads to the longest of a batch."""
        if self.dataset.task == "tagging":
            return DataCollatorForTokenClassification(self.tokenizer)
        return DataCollatorWithPadding(self.tokenizer)

    def _tagged(self, rows: Sequence[LabelledText]) -> Features:
        """The first piece of a word bears its label."""
        words = [words_of(row) for row in rows]
        found = self.tokenizer(words, is_split_into_words=True, truncation=True, max_length=self.max_pieces)
        features = []
        for number, (one, row) in enumerate(zip(_columns(found), rows, strict=True)):
            places = first_pieces(found.word_ids(number))
            labels = [IGNORED] * len(one["input_ids"])
            for word, place in places.items():
                labels[place] = as_tagged(row).tags[word]
            features.append({**one, "labels": labels})
        return features

    def _windows(self, rows: Sequence[LabelledText]) -> Features:
        found = self.tokenizer(
            [question_of(row).question.lstrip() for row in rows],
            [row.text for row in rows],
            truncation="only_second",
            max_length=self.max_pieces,
            stride=self.overlap,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        owners, offsets = found.pop("overflow_to_sample_mapping"), found.pop("offset_mapping")
        features = []
        for number, one in enumerate(_columns(found)):
            row, inside = rows[owners[number]], [side == 1 for side in found.sequence_ids(number)]
            places = [offset if here else None for offset, here in zip(offsets[number], inside, strict=True)]
            start, end = _answer_at(question_of(row).answers, places)
            features.append(
                {**one, "start_positions": start, "end_positions": end, "row": owners[number], "places": places}
            )
        return features


def _columns(found: Any) -> Iterator[dict[str, Any]]:
    """What a tokenizer gives, one feature at a time."""
    names = [name for name in ("input_ids", "token_type_ids", "attention_mask") if name in found]
    for values in zip(*(found[name] for name in names), strict=True):
        yield dict(zip(names, values, strict=True))


def first_pieces(words: Sequence[int | None]) -> dict[int, int]:
    """Where the first piece of each word stands, by the number of the word that each piece belongs to."""
    places: dict[int, int] = {}
    for place, word in enumerate(words):
        if word is not None:
            places.setdefault(word, place)
    return places


def _answer_at(answers: Sequence[tuple[str, int]], places: Sequence[tuple[int, int] | None]) -> tuple[int, int]:
    """First and last piece of the first answer; the place of [CLS] where a window does not hold it whole."""
    inside = [number for number, place in enumerate(places) if place is not None]
    if not answers or not inside:
        return 0, 0
    text, begin = answers[0]
    stop = begin + len(text)
    bounds = [places[number] or (0, 0) for number in inside]
    if bounds[0][0] > begin or bounds[-1][1] < stop:
        return 0, 0
    start = max(number for number, (left, _) in zip(inside, bounds, strict=True) if left <= begin)
    end = min(number for number, (_, right) in zip(inside, bounds, strict=True) if right >= stop)
    return start, end


def new_model(dataset: Dataset, encoder: str | Path) -> Any:
    """The model class of the task, over a saved encoder, in float32."""
    common: dict[str, Any] = {"dtype": torch.float32}
    if dataset.task == "qa":
        return AutoModelForQuestionAnswering.from_pretrained(encoder, **common)
    names = dict(enumerate(dataset.labels))
    common |= {"id2label": names, "label2id": {name: number for number, name in names.items()}}
    if dataset.task == "tagging":
        return AutoModelForTokenClassification.from_pretrained(encoder, **common)
    if dataset.task == "regression":
        common["problem_type"] = "regression"
    return AutoModelForSequenceClassification.from_pretrained(encoder, **common)


@dataclass(frozen=True)
class Answering:
    """A network of `transformers` and what it is asked.

    Args:
        reading: of the rows.
        rows: to be answered.
        precision: "bf16" or "fp32".
        batch: features at a time.
    """

    reading: Reading
    rows: Sequence[LabelledText]
    precision: str = "fp32"
    batch: int = EVALUATION_BATCH

    def answers(self, model: Any, features: Features | None = None) -> list[Any]:
        """One a row, as `judging` takes them."""
        features = self.reading.features(self.rows) if features is None else features
        task = self.reading.dataset.task
        if task == "qa":
            starts, ends = (self.logits(model, features, name) for name in ("start_logits", "end_logits"))
            return read_spans(features, starts, ends, [row.text for row in self.rows])
        logits = self.logits(model, features)
        if task == "tagging":
            return [self._tags(*one) for one in zip(features, logits, self.rows, strict=True)]
        return [float(one[0]) if task == "regression" else int(one.argmax()) for one in logits]

    def logits(self, model: Any, features: Features, name: str = "logits") -> list[NDArray[np.float32]]:
        """Those of each feature, padding left out; features of like length are computed together."""
        collator, device = self.reading.collator(), next(model.parameters()).device
        order = sorted(range(len(features)), key=lambda number: len(features[number]["input_ids"]))
        found: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(features)
        model.eval()
        for begin in range(0, len(order), self.batch):
            numbers = order[begin : begin + self.batch]
            padded = collator([_inputs(features[number]) for number in numbers])
            given = {key: values.to(device) for key, values in padded.items() if key != "labels"}
            context = torch.autocast(device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()
            with torch.inference_mode(), context:
                values = model(**given)[name].float().cpu().numpy()
            for number, one in zip(numbers, values, strict=True):
                found[number] = one[: len(features[number]["input_ids"])] if self._is_of_pieces else one
        return found

    @property
    def _is_of_pieces(self) -> bool:
        return self.reading.dataset.task in ("tagging", "qa")

    def _tags(self, feature: dict[str, Any], logits: NDArray[np.float32], row: LabelledText) -> list[str]:
        """The tag of each word by its first piece; a word behind the end of what is read is O."""
        labels = self.reading.dataset.labels
        found = self.reading.tokenizer(words_of(row), is_split_into_words=True)
        tags = [OUTSIDE] * len(as_tagged(row).words)
        for word, place in first_pieces(found.word_ids()).items():
            if place < len(feature["input_ids"]) - 1:
                tags[word] = labels[int(logits[place].argmax())]
        return to_bio(tags)


def _inputs(feature: Mapping[str, Any]) -> dict[str, Any]:
    return {name: feature[name] for name in ("input_ids", "token_type_ids", "attention_mask")}


def read_spans(
    features: Features,
    starts: Sequence[NDArray[np.float32]],
    ends: Sequence[NDArray[np.float32]],
    passages: Sequence[str],
) -> list[str]:
    """The text of the best span of each passage: of the best starts and ends of all its windows, the best sum."""
    best: list[tuple[float, str]] = [(-math.inf, "")] * len(passages)
    for feature, start_logits, end_logits in zip(features, starts, ends, strict=True):
        row, places = feature["row"], feature["places"]
        for start in np.argsort(start_logits)[: -N_BEST - 1 : -1].tolist():
            for end in np.argsort(end_logits)[: -N_BEST - 1 : -1].tolist():
                if places[start] is None or places[end] is None or not start <= end < start + MAX_PIECES:
                    continue
                score = float(start_logits[start] + end_logits[end])
                if score > best[row][0]:
                    best[row] = (score, passages[row][places[start][0] : places[end][1]])
    return [text for _, text in best]


class _Watching(TrainerCallback):
    """Judges the dev part as often as the loop does, and leaves that out of the time."""

    def __init__(self, evaluate: Callable[[], None], evaluations: int, device: str) -> None:
        self.seconds = 0.0
        self._evaluate = evaluate
        self._evaluations = evaluations
        self._device = device
        self._due: set[int] = set()
        self._started = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_more: Any) -> None:  # noqa: ARG002 - its names
        parts = self._evaluations
        self._due = {max(1, round(state.max_steps * part / parts)) for part in range(1, parts + 1)}
        self._started = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_more: Any) -> None:  # noqa: ARG002 - its names
        if state.global_step in self._due:
            wait_for(self._device)
            self.seconds += time.perf_counter() - self._started
            self._evaluate()
            self._started = time.perf_counter()


def fine_tune(chosen: LabelledSet, parts: Parts, base: Base, budget: Budget) -> Outcome:
    """Learn a set with the Trainer and answer its dev part."""
    dev = parts.dev
    evaluations: list[dict[str, float]] = []
    given: list[Any] = []
    torch.manual_seed(budget.seed)
    with tempfile.TemporaryDirectory() as room:
        save_encoder(base, room)
        reading = Reading(parts.train, AutoTokenizer.from_pretrained(room), budget.max_pieces, budget.overlap)
        model = new_model(parts.train, room)
        judged = Answering(reading, dev.rows, budget.precision)
        features, asked = reading.features(parts.train.rows), reading.features(dev.rows)

        def evaluate() -> None:
            given[:] = judged.answers(model, asked)
            evaluations.append(judging.figures(dev, given, chosen.positive))
            model.train()

        watching = _Watching(evaluate, budget.evaluations, budget.device)
        trainer = Trainer(
            model,
            _arguments(room, budget),
            data_collator=reading.collator(),
            train_dataset=learned(features),
            callbacks=[watching],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    rows = judging.statistics(dev, given, chosen.positive)
    pieces = sum(len(one["input_ids"]) for one in features)
    return Outcome(evaluations, rows, trainer.state.global_step, round(pieces * budget.passes), watching.seconds)


def _arguments(room: str, budget: Budget) -> TrainingArguments:
    """The Trainer's defaults, but for the budget."""
    return TrainingArguments(
        room,
        num_train_epochs=budget.passes,
        per_device_train_batch_size=budget.batch,
        learning_rate=budget.learning_rate,
        bf16=budget.precision == "bf16",
        use_cpu=budget.device == "cpu",
        seed=budget.seed,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def learned(features: Features) -> Any:
    """Features without what only the reading of answers needs."""
    return [{name: one for name, one in feature.items() if name not in ("row", "places")} for feature in features]
