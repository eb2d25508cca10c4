"""From texts, or pairs of them, to one answer each, through windows where a text is long."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from polarbert.calibration import probabilities
from polarbert.errors import UsageError
from polarbert.inference.predictor import Answer, Predictor, Window
from polarbert.text import cut_windows, join_segments

TextPair = tuple[str, str | None]


@dataclass
class Cut:
    """The windows of a group of texts, and what is said of each text.

    Attributes:
        windows: of all texts, in order.
        owners: the number of the text of each window.
        weights: what each window counts beside others of its text, by its length.
        n_tokens, n_windows, n_unknown: of each text.
    """

    windows: list[Window] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    n_tokens: list[int] = field(default_factory=list)
    n_windows: list[int] = field(default_factory=list)
    n_unknown: list[int] = field(default_factory=list)


class TextPredictor(Predictor[TextPair, Answer]):
    """Has one answer a text or pair; what windows of a long text say is averaged by their lengths."""

    def check(self, asked: Sequence[TextPair]) -> Sequence[TextPair]:
        """The inputs, if they are what the model was trained to read.

        Raises:
            UsageError: when a second text is missing, or one is given to a model of single texts.
        """
        reads_pairs = self.bundle.reads_pairs
        for number, (_, second) in enumerate(asked):
            if reads_pairs and second is None:
                raise UsageError(
                    f"texts[{number}] has no second text, and this model judges pairs of texts; give pairs"
                )
            if not reads_pairs and second is not None:
                raise UsageError("this model was trained on single texts, not on pairs; leave the second texts out")
        return asked

    def distributions(self, asked: Sequence[TextPair]) -> list[NDArray[np.float64]]:
        """For each input, (1, labels): see `Predictor.distributions`."""
        return [mean[None, :] for mean in self._means(self.read(asked))]

    def said(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """(windows, labels) what the logits of windows mean; this is averaged."""
        return probabilities(logits, self.bundle.calibration.temperature)

    @abstractmethod
    def answers(self, asked: Sequence[TextPair], cut: Cut, means: NDArray[np.float64]) -> list[Answer]:
        """Answers to inputs, in order, from (inputs, labels) what is said of each."""

    def _answer_group(self, asked: Sequence[TextPair]) -> list[Answer]:
        cut = self.read(asked)
        return self.answers(asked, cut, self._means(cut))

    def _means(self, cut: Cut) -> NDArray[np.float64]:
        return self.mean_of(cut, self.said(self.text_logits(cut.windows)))

    def mean_of(self, cut: Cut, said: NDArray[np.float64]) -> NDArray[np.float64]:
        """(texts, labels) what is said of each text, from (windows, labels) what is said of its windows."""
        weights = np.array(cut.weights, dtype=np.float64)
        sums = np.zeros((len(cut.n_tokens), len(self.labels)))
        totals = np.zeros((len(cut.n_tokens), 1))
        np.add.at(sums, cut.owners, said * weights[:, None])
        np.add.at(totals, cut.owners, weights[:, None])
        return np.asarray(sums / totals)

    def context_of(self, text: str, second: str | None) -> list[tuple[int, int]]:  # noqa: ARG002 - most have none
        """(start, end) of stretches of a text that are read once more without the rest, and count as much as all."""
        return []

    def window(self, first: Sequence[int], second: Sequence[int] | None) -> Window:
        """Pieces of a text, and of a second one, as the network reads them."""
        ids = join_segments(self.tokenizer.cls_id, self.tokenizer.sep_id, first, second)
        return Window(ids, None if second is None else len(first) + 2)

    def read(self, pairs: Sequence[TextPair]) -> Cut:
        """Word pieces, and windows where a text is too long for the network to read at once.

        What `context_of` finds is read in windows too, which count as much as all windows of the text together.
        """
        tokenizer, room = self.tokenizer, self.bundle.window - 2
        firsts = tokenizer.encode([first for first, _ in pairs])
        seconds = iter(tokenizer.encode([second for _, second in pairs if second is not None]))
        contexts = self._contexts(pairs)
        cut = Cut()
        for number, (pieces, (_, second_text)) in enumerate(zip(firsts, pairs, strict=True)):
            second = None if second_text is None else next(seconds).ids[: room // 2]
            space = room if second is None else room - 1 - len(second)
            parts = cut_windows(len(pieces.ids), space, min(self.bundle.overlap, space // 2))
            self._add(cut, number, pieces.ids, second, parts)
            if context := contexts.get(number):
                again = cut_windows(len(context), space, min(self.bundle.overlap, space // 2))
                self._add(cut, number, context, second, again)
            cut.n_tokens.append(len(pieces.ids) + len(second or ()))
            cut.n_windows.append(len(parts))
            cut.n_unknown.append([*pieces.ids, *(second or ())].count(tokenizer.unk_id))
        return cut

    def _add(
        self, cut: Cut, owner: int, ids: Sequence[int], second: Sequence[int] | None, parts: Sequence[tuple[int, int]]
    ) -> None:
        """Windows whose weights go by their lengths and are 1 in sum."""
        whole = sum(max(1, end - start) for start, end in parts)
        for start, end in parts:
            cut.windows.append(self.window(ids[start:end], second))
            cut.owners.append(owner)
            cut.weights.append(max(1, end - start) / whole)

    def _contexts(self, pairs: Sequence[TextPair]) -> dict[int, list[int]]:
        """Word pieces of what `context_of` finds, by the number of the input."""
        found = {number: spans for number, pair in enumerate(pairs) if (spans := self.context_of(*pair))}
        texts = [" ".join(pairs[number][0][start:end] for start, end in spans) for number, spans in found.items()]
        return {number: pieces.ids for number, pieces in zip(found, self.tokenizer.encode(texts), strict=True)}
