"""What every kind of model shares: equal inputs once, groups that fit in memory, like lengths side by side."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from polarbert.bundle import Bundle
from polarbert.errors import BundleError, UsageError
from polarbert.inference.engine import Engine, Ids, load_engine
from polarbert.inference.prediction import check_min_confidence
from polarbert.text import WordPieceTokenizer
from polarbert.text.batches import plan_batches

# Pieces of a batch, unless the engine names another number as `batch_tokens`: what a layer computes of more of them
# leaves a core's own cache, and is a third slower.
BATCH_TOKENS = 512
# A call of a graph costs about as much as so many pieces, whatever it is given: no batch is padded with more, and few
# pieces are cut into batches of at least so many times as many, to keep all threads busy.
CALL_PIECES, WORTH_CALLS = 8, 8
GROUP_INPUTS, GROUP_CHARACTERS = 4096, 4_000_000  # cut and sorted together; bounds what is held at once

Asked = TypeVar("Asked", bound=tuple[Any, ...])
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Window:
    """As much of an input as the network reads at once.

    Attributes:
        ids: piece ids with [CLS] and [SEP].
        second_at: where the second segment starts in `ids`; None when there is one segment.
    """

    ids: list[int]
    second_at: int | None = None


class Predictor(ABC, Generic[Asked, Answer]):
    """Inputs in, answers out. Safe to call from several threads.

    An input is a tuple whose first elements are texts, such as (text, second text or None).

    Args:
        bundle: which model.
        threads: processor threads; 0 for as many as the process may use.
        engine: "onnxruntime" (also None) or "openvino", which run the bundle's graph; or an engine of your own, which
            brings its own threads, and may say in `batch_tokens` how many pieces a batch should have, and with
            `survives_fork = False` that it does not compute in a process that was forked from the one it was made in.
        min_confidence: an answer with less confidence is unsure; the bundle's threshold unless given.

    Attributes:
        unsure_below: the threshold in force.

    Raises:
        BundleError: when the bundle is damaged.
        UsageError: when there is no such engine, or the threshold is no probability.
    """

    def __init__(
        self,
        bundle: Bundle,
        threads: int = 0,
        engine: str | Engine | None = None,
        min_confidence: float | None = None,
    ) -> None:
        stored = bundle.calibration.unsure_below
        self.unsure_below = stored if min_confidence is None else check_min_confidence(min_confidence)
        bundle.verify(["tokenizer.json"])
        self.bundle = bundle
        self.labels = bundle.labels
        self.tokenizer = WordPieceTokenizer.from_directory(bundle.path)
        if self.tokenizer.vocab_size > (pieces := bundle.network_size("vocab_size")):
            what = f"has {self.tokenizer.vocab_size:,} pieces, the network {pieces:,.0f}"
            raise BundleError(f"{bundle.path / 'tokenizer.json'}: {what}. Copy or export the bundle again")
        if engine is None or isinstance(engine, str):
            bundle.verify([bundle.graph])
            engine = load_engine(bundle.path / bundle.graph, threads, engine, len(bundle.labels))
        self.engine: Engine = engine
        self._pool, self._process = _pool(self.engine.threads), os.getpid()

    def answer(self, asked: Sequence[Asked]) -> list[Answer]:
        """One answer an input, in order; an input that comes twice is computed once."""
        places: dict[Asked, list[int]] = {}
        for number, one in enumerate(asked):
            places.setdefault(one, []).append(number)
        answers: list[Answer | None] = [None] * len(asked)
        for group in _groups(places):
            for one, answer in zip(group, self._answer_group(group), strict=True):
                for number in places[one]:
                    answers[number] = answer
        return [answer for answer in answers if answer is not None]

    def explain(self, *_: Any, **__: Any) -> Any:
        """What the words of a text do to the answer, for models that have one answer a text.

        Raises:
            UsageError: of other models.
        """
        raise UsageError(f"this is a model for {self.bundle.task}, which has no one answer a text to explain")

    @abstractmethod
    def distributions(self, asked: Sequence[Asked]) -> list[NDArray[np.float64]]:
        """For each input, (units, k) what the model says of each unit that it decides about.

        Of a unit with k > 1 these are probabilities, and the largest is the decision; with k = 1, the number answered.
        """

    @abstractmethod
    def _answer_group(self, asked: Sequence[Asked]) -> list[Answer]:
        """Answers to different inputs, in order."""

    def text_logits(self, windows: Sequence[Window]) -> NDArray[np.float32]:
        """(windows, labels) logits of a network that has one answer a text, in order."""
        result = np.empty((len(windows), len(self.labels)), dtype=np.float32)

        def take(numbers: list[int], logits: NDArray[np.float32]) -> None:
            result[numbers] = logits

        self._compute(windows, take)
        return result

    def piece_logits(self, windows: Sequence[Window]) -> list[NDArray[np.float32]]:
        """For each window, (pieces, labels) logits of a network that has an answer for each piece, padding left out."""
        result: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(windows)

        def take(numbers: list[int], logits: NDArray[np.float32]) -> None:
            for number, rows in zip(numbers, logits, strict=True):
                result[number] = rows[: len(windows[number].ids)]

        self._compute(windows, take)
        return result

    def _compute(self, windows: Sequence[Window], take: Callable[[list[int], NDArray[np.float32]], None]) -> None:
        """Give the logits of each batch to `take` with the numbers of its windows."""
        self._check_process()
        plan = self._plan([len(window.ids) for window in windows])

        def compute(numbers: list[int]) -> None:
            logits = self.engine.logits(*self._arrays([windows[n] for n in numbers]))
            if logits.shape[-1] != len(self.labels):
                raise BundleError(
                    f"{self.bundle.path}: the manifest names {len(self.labels)} labels, the graph has "
                    f"{logits.shape[-1]}"
                )
            take(numbers, logits)

        if len(plan) == 1:
            compute(plan[0])
        else:
            for _ in self._workers().map(compute, plan):
                pass

    def _workers(self) -> ThreadPoolExecutor:
        """Threads of this process: a fork takes the object along and leaves the threads behind."""
        if self._process != os.getpid():
            self._pool, self._process = _pool(self.engine.threads), os.getpid()
        return self._pool

    def _check_process(self) -> None:
        if self._process != os.getpid() and not getattr(self.engine, "survives_fork", True):
            raise UsageError(
                f"{self.engine.name} does not compute in a process that was forked from the one that loaded the model; "
                "load it in each process, or take the engine onnxruntime"
            )

    def _plan(self, lengths: Sequence[int]) -> list[list[int]]:
        """The windows of each batch; an engine that names a size has calls that cost more than padding does."""
        named: int | None = getattr(self.engine, "batch_tokens", None)
        if named is not None:
            return plan_batches(lengths, named, seed=None)
        each = max(WORTH_CALLS * CALL_PIECES, sum(lengths) // (2 * self.engine.threads))
        return plan_batches(lengths, min(BATCH_TOKENS, each), seed=None, most_padding=CALL_PIECES)

    def _arrays(self, windows: Sequence[Window]) -> tuple[Ids, Ids, Ids]:
        longest = max(len(window.ids) for window in windows)
        ids = np.full((len(windows), longest), self.tokenizer.pad_id, dtype=np.int64)
        mask, segments = np.zeros_like(ids), np.zeros_like(ids)
        for row, window in enumerate(windows):
            ids[row, : len(window.ids)] = window.ids
            mask[row, : len(window.ids)] = 1
            if window.second_at is not None:
                segments[row, window.second_at : len(window.ids)] = 1
        return ids, mask, segments


def _groups(inputs: Iterable[Asked]) -> Iterator[list[Asked]]:
    group: list[Asked] = []
    characters = 0
    for one in inputs:
        group.append(one)
        characters += sum(len(part) for part in one if isinstance(part, str))
        if len(group) == GROUP_INPUTS or characters > GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group


def given_texts(texts: Iterable[str], name: str = "texts") -> list[str]:
    """Check a collection of texts: a list, a numpy array, a Series.

    Args:
        texts: what was given.
        name: what the argument is called.

    Raises:
        UsageError: when it is one text or no collection, or naming the position of the first element that is no text.
    """
    return [checked_text(value, number, name) for number, value in enumerate(given_values(texts))]


def given_values(texts: Iterable[Any], name: str = "texts") -> Iterable[Any]:
    """The elements of what numpy, pandas and the like hold.

    Args:
        texts: what was given.
        name: what the argument is called.

    Raises:
        UsageError: when it is one text, a table, a mapping, a set, or no collection.
    """
    _refuse_without_order(texts, name)
    tolist: Callable[[], Any] | None = getattr(texts, "tolist", None)  # numpy, pandas, pyarrow-like
    values = texts if tolist is None else tolist()
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        if name == "aspects":
            raise UsageError(f"{name} is {type(texts).__name__}; give a list with as many elements as there are texts")
        raise UsageError("predict takes a list of texts; for one text write predict([text])")
    return values


def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="polarbert")


def _refuse_without_order(texts: Any, name: str) -> None:
    """Refuse what yields something else than its texts: a table and a mapping their names, a set another order."""
    kind = type(texts).__name__
    if hasattr(texts, "columns"):  # pandas, Polars, pyarrow
        raise UsageError(f"{name} is a table ({kind}); give one column of it, as {name}['text']")
    if isinstance(texts, Mapping):
        raise UsageError(f"{name} is a mapping ({kind}), which would yield its keys; give list(...) of what is meant")
    if isinstance(texts, set | frozenset):
        raise UsageError(f"{name} is a set ({kind}), which has no order to answer in; give a list, as sorted({name})")


def checked_text(value: Any, number: int, name: str) -> str:
    """The element of that number, if it is a text.

    Raises:
        UsageError: naming its position.
    """
    if not isinstance(value, str):
        raise UsageError(
            f"{name}[{number}] is {type(value).__name__}, not a text; leave such rows out or make them str"
        )
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise UsageError(f"{name}[{number}] is not valid text: {error}") from error
    return value
