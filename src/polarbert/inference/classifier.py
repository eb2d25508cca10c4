"""From texts to answers: dedupe, cut, batch, compute, average, calibrate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polarbert.bundle import Bundle
from polarbert.calibration import probabilities
from polarbert.errors import BundleError, UsageError
from polarbert.inference.engine import Engine, load_engine
from polarbert.inference.prediction import Prediction, check_min_confidence, make_prediction
from polarbert.text import WordPieceTokenizer, cut_windows, is_wordless, join_segments
from polarbert.text.batches import plan_batches

# Pieces of a batch, unless the engine names another number as `batch_tokens`: what a layer computes of more of them
# leaves a core's own cache, and is a third slower.
BATCH_TOKENS = 512
GROUP_TEXTS, GROUP_CHARACTERS = 4096, 4_000_000  # cut and sorted together; bounds what is held at once

TextPair = tuple[str, str | None]


@dataclass(frozen=True)
class _Window:
    """A part of a text, ready for the network."""

    text: int
    ids: list[int]
    second_at: int | None
    weight: int


@dataclass
class _Cut:
    """The windows of a group of texts, and what is said of each text."""

    windows: list[_Window] = field(default_factory=list)
    n_tokens: list[int] = field(default_factory=list)
    n_windows: list[int] = field(default_factory=list)
    n_unknown: list[int] = field(default_factory=list)


class Predictor:
    """What every kind of model shares: texts or pairs in, answers out. Safe to call from several threads.

    Args:
        bundle: which model.
        threads: processor threads; 0 for as many as the process may use.
        engine: "onnxruntime" (also None) or "openvino", which run the bundle's graph; or an engine of your own, which
            brings its own threads, and may say in `batch_tokens` how many pieces a batch should have.
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
        self._batch_tokens: int = getattr(self.engine, "batch_tokens", BATCH_TOKENS)
        self._pool = ThreadPoolExecutor(self.engine.threads, thread_name_prefix="polarbert")

    def answer(self, asked: Sequence[TextPair]) -> list[Prediction]:
        """One prediction a pair, in input order; a pair that comes twice is computed once."""
        places: dict[TextPair, list[int]] = {}
        for number, pair in enumerate(asked):
            places.setdefault(pair, []).append(number)
        answers: list[Prediction | None] = [None] * len(asked)
        for group in _groups(places):
            for pair, answer in zip(group, self._answer_group(group), strict=True):
                for number in places[pair]:
                    answers[number] = answer
        return [answer for answer in answers if answer is not None]

    def _answer_group(self, pairs: Sequence[TextPair]) -> list[Prediction]:
        cut = self._cut(pairs)
        window_logits = self.window_logits(cut.windows)
        chances = probabilities(window_logits, self.bundle.calibration.temperature)
        weights = np.array([window.weight for window in cut.windows], dtype=np.float64)
        owners = np.array([window.text for window in cut.windows])
        sums = np.zeros((len(pairs), len(self.labels)))
        np.add.at(sums, owners, chances * weights[:, None])
        means = sums / sums.sum(axis=1, keepdims=True)
        return [
            make_prediction(
                self.labels,
                means[number].tolist(),
                self.unsure_below,
                is_wordless(first),
                cut.n_tokens[number],
                cut.n_windows[number],
                cut.n_unknown[number],
            )
            for number, (first, _) in enumerate(pairs)
        ]

    def _cut(self, pairs: Sequence[TextPair]) -> _Cut:
        """Word pieces, and windows where a text is too long for the network to read at once."""
        tokenizer, room = self.tokenizer, self.bundle.window - 2
        firsts = tokenizer.encode([first for first, _ in pairs])
        seconds = iter(tokenizer.encode([second for _, second in pairs if second is not None]))
        cut = _Cut()
        for number, (pieces, (_, second_text)) in enumerate(zip(firsts, pairs, strict=True)):
            second = None if second_text is None else next(seconds).ids[: room // 2]
            space = room if second is None else room - 1 - len(second)
            parts = cut_windows(len(pieces.ids), space, min(self.bundle.overlap, space // 2))
            for start, end in parts:
                ids = join_segments(tokenizer.cls_id, tokenizer.sep_id, pieces.ids[start:end], second)
                second_at = None if second is None else end - start + 2
                cut.windows.append(_Window(number, ids, second_at, max(1, end - start)))
            cut.n_tokens.append(len(pieces.ids) + len(second or ()))
            cut.n_windows.append(len(parts))
            cut.n_unknown.append(pieces.ids.count(tokenizer.unk_id))
        return cut

    def window_logits(self, windows: Sequence[_Window]) -> NDArray[np.float32]:
        """(windows, labels) logits, in order; batches of like length run side by side."""
        result = np.empty((len(windows), len(self.labels)), dtype=np.float32)
        plan = plan_batches([len(window.ids) for window in windows], self._batch_tokens, seed=None)

        def compute(numbers: list[int]) -> None:
            logits = self.engine.logits(*self._arrays([windows[n] for n in numbers]))
            if logits.shape[1] != len(self.labels):
                raise BundleError(
                    f"{self.bundle.path}: the manifest names {len(self.labels)} labels, the graph has {logits.shape[1]}"
                )
            result[numbers] = logits

        if len(plan) == 1:
            compute(plan[0])
        else:
            for _ in self._pool.map(compute, plan):
                pass
        return result

    def _arrays(self, windows: Sequence[_Window]) -> tuple[NDArray[np.int64], ...]:
        longest = max(len(window.ids) for window in windows)
        ids = np.full((len(windows), longest), self.tokenizer.pad_id, dtype=np.int64)
        mask, segments = np.zeros_like(ids), np.zeros_like(ids)
        for row, window in enumerate(windows):
            ids[row, : len(window.ids)] = window.ids
            mask[row, : len(window.ids)] = 1
            if window.second_at is not None:
                segments[row, window.second_at : len(window.ids)] = 1
        return ids, mask, segments


class TextClassifier(Predictor):
    """Sorts texts, or pairs of texts, into the classes of its bundle."""

    def predict(self, texts: Iterable[str], pairs: Iterable[str | None] | None = None) -> list[Prediction]:
        """Score texts.

        Args:
            texts: list, numpy array or Series of texts.
            pairs: as many second texts, for a model of pairs.

        Returns:
            One prediction a text, in input order.

        Raises:
            UsageError: when `texts` is one text, an element is no text, or `pairs` has another length.
        """
        return self.answer(as_pairs(texts, pairs))


class SentimentModel(Predictor):
    """Negative, neutral or positive: of a whole text.

    Example:
        >>> import polarbert
        >>> polarbert.load().predict(["I love it"])[0].label
        'positive'
    """

    def predict(self, texts: Iterable[str], aspects: Iterable[str | None] | None = None) -> list[Prediction]:
        """Score texts.

        Args:
            texts: list, numpy array or Series of texts.
            aspects: as many names of what to judge (None: the whole text), for a model trained to do so.

        Returns:
            One prediction a text, in input order. An empty or wordless text gets a label too, and is unsure.

        Raises:
            UsageError: when `texts` is no collection of texts, or this model does not judge aspects.
        """
        asked = as_pairs(texts, aspects)
        if any(aspect is not None for _, aspect in asked):
            raise UsageError("this model judges whole texts only; it was not trained on aspects")
        return self.answer(asked)


def make_predictor(
    bundle: Bundle, threads: int = 0, engine: str | Engine | None = None, min_confidence: float | None = None
) -> SentimentModel | TextClassifier:
    """The predictor that suits a bundle's task; arguments as for `Predictor`."""
    kind = SentimentModel if bundle.task == "sentiment" else TextClassifier
    return kind(bundle, threads, engine, min_confidence)


def _groups(pairs: Iterable[TextPair]) -> Iterator[list[TextPair]]:
    group: list[TextPair] = []
    characters = 0
    for pair in pairs:
        group.append(pair)
        characters += len(pair[0])
        if len(group) == GROUP_TEXTS or characters > GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group


def as_pairs(texts: Iterable[str], pairs: Iterable[str | None] | None) -> list[TextPair]:
    """Check the arguments of predict.

    Raises:
        UsageError: naming the position of the first element that is no text.
    """
    firsts = [_text(value, number, "texts") for number, value in enumerate(_values(texts))]
    if pairs is None:
        return [(first, None) for first in firsts]
    seconds = [None if value is None else _text(value, n, "pairs") for n, value in enumerate(_values(pairs))]
    if len(seconds) != len(firsts):
        raise UsageError(f"there are {len(firsts)} texts and {len(seconds)} second texts; they must be as many")
    return list(zip(firsts, seconds, strict=True))


def _values(texts: Iterable[Any]) -> Iterable[Any]:
    tolist: Callable[[], Any] | None = getattr(texts, "tolist", None)  # numpy, pandas, pyarrow-like
    values = texts if tolist is None else tolist()
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise UsageError("predict takes a list of texts; for one text write predict([text])")
    return values


def _text(value: Any, number: int, name: str) -> str:
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
