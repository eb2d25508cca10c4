"""Passages as the word pieces of their sentences, at the speed at which the tokenizer takes whole texts.

An answer of the tokenizer costs much more than the pieces in it, and sentences are short. So many go in as one text
with a mark after each, which comes out as a piece of its own and tells where the sentence ends.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from polarbert.data.passages import Passage
from polarbert.text import WordPieceTokenizer

Splitter = Callable[[str], Sequence[str]]
Ids = NDArray[np.uint16] | NDArray[np.uint32]

# Characters of a text given to the tokenizer, and of the texts given at once. Smaller texts cost speed; larger ones,
# memory, and processors that wait for the last text.
_TEXT, _BATCH = 2**14, 2**20
_AHEAD = 3  # batches that are being tokenised while others are split or written

# Rare punctuation: BERT's tokenizer makes a word of each, whatever stands beside it.
_MARKS = "⸙⸎⸟⸛⸞⸑"


@dataclass(frozen=True, eq=False)
class Block:
    """Sentences of whole passages: N pieces, S sentences.

    Attributes:
        ids: (N,) the pieces of all, one sentence after another.
        lengths: (S,) pieces of each sentence, 1 or more.
        documents: (S,) number of its document.
        passages: (S,) number of its passage.
        places: (S,) its place in the passage, from 0.
        through: the documents up to this one have been read, this one perhaps in part.
    """

    ids: Ids
    lengths: NDArray[np.int64]
    documents: NDArray[np.int64]
    passages: NDArray[np.int64]
    places: NDArray[np.int64]
    through: int

    def between(self, start: int, stop: int) -> Block:
        """Sentences `start` to `stop` in memory of their own."""
        ends = np.cumsum(self.lengths[:stop])
        first, end = (int(ends[at - 1]) if at else 0 for at in (start, stop))
        return Block(
            self.ids[first:end].copy(),
            self.lengths[start:stop].copy(),
            self.documents[start:stop].copy(),
            self.passages[start:stop].copy(),
            self.places[start:stop].copy(),
            self.through,
        )

    def after(self, passage: int, place: int) -> Block:
        """What is left without the sentences before the one at `place` in `passage`."""
        before = (self.passages < passage) | ((self.passages == passage) & (self.places < place))
        return self.between(int(before.sum()), len(before)) if before.any() else self


def encode_passages(
    passages: Iterable[Passage], tokenizer: WordPieceTokenizer, split: Splitter, longest: int
) -> Iterator[Block]:
    """Tokenise the sentences of passages on all threads, in order.

    The pieces of a sentence are those that `WordPieceTokenizer.encode` gives it alone. Sentences without pieces are
    left out; one of more than `longest` pieces is cut into parts of nearly equal length.

    Args:
        passages: of a corpus, in order.
        tokenizer: for the pieces.
        split: gives the sentences of a text.
        longest: most pieces in a sentence.
    """
    encoder = SentenceEncoder(tokenizer)
    waiting: deque[Future[Block]] = deque()
    with ThreadPoolExecutor(2) as pool:  # one waits for the tokenizer while the other turns its answers into arrays
        try:
            for batch in _batches(passages):
                sentences = [split(passage.text) for passage in batch]
                waiting.append(pool.submit(_encode, encoder, batch, sentences, longest))
                if len(waiting) == _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _batches(passages: Iterable[Passage]) -> Iterator[list[Passage]]:
    batch: list[Passage] = []
    size = 0
    for passage in passages:
        batch.append(passage)
        size += len(passage.text) + 1  # empty documents count too, or a batch of them would have no end
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _encode(
    encoder: SentenceEncoder, passages: Sequence[Passage], sentences: Sequence[Sequence[str]], longest: int
) -> Block:
    ids, lengths = encoder.encode([*chain.from_iterable(sentences)])
    counts = [len(found) for found in sentences]
    parts = -(-lengths // longest)  # none for a sentence without pieces
    numbers = np.repeat(np.repeat([passage.number for passage in passages], counts), parts)
    documents = np.repeat(np.repeat([passage.document for passage in passages], counts), parts)
    places = np.arange(len(numbers)) - np.searchsorted(numbers, numbers)
    return Block(ids, _cut(lengths, parts), documents, numbers, places, passages[-1].document)


def _cut(lengths: NDArray[np.int64], parts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The lengths of the parts when each sentence is cut into so many."""
    whole, count = np.repeat(lengths, parts), np.repeat(parts, parts)
    number = np.arange(len(whole)) - np.repeat(np.cumsum(parts) - parts, parts)
    return np.asarray((number + 1) * whole // count - number * whole // count)


class SentenceEncoder:
    """Gives the pieces of many sentences at once, as arrays.

    Args:
        tokenizer: any; one of BERT's form is asked for many sentences in one text, another for each alone.
    """

    def __init__(self, tokenizer: WordPieceTokenizer) -> None:
        vocab = tokenizer.backend.get_vocab()
        self.vocab_size = max(vocab.values()) + 1
        self.dtype = np.dtype("<u2" if self.vocab_size < 2**16 else "<u4")  # the mark takes one number more
        self._alone = tokenizer.backend
        self._mark, self._other = [mark for mark in _MARKS if mark not in vocab][:2]
        self._marked = _with_mark(tokenizer.backend, self._mark, self.vocab_size)

    @property
    def joins(self) -> bool:
        """Whether many sentences go in as one text; otherwise it takes half as long again."""
        return self._marked is not None

    def encode(self, sentences: Sequence[str]) -> tuple[Ids, NDArray[np.int64]]:
        """The pieces of all sentences one after another, and how many each has.

        What is no Unicode character (half of a surrogate pair) is read as a question mark.
        """
        if self._marked is None:
            ids, ends = self._ids(self._alone, sentences)
            return ids, np.diff(ends, prepend=0)
        ids, _ = self._ids(self._marked, self._texts(sentences))
        ends = np.flatnonzero(ids == self.vocab_size)
        return ids[ids != self.vocab_size], np.diff(ends, prepend=-1) - 1

    def _texts(self, sentences: Sequence[str]) -> list[str]:
        """Texts of about `_TEXT` characters, the mark after each sentence."""
        if not sentences:
            return []
        ends = np.cumsum(np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences)))
        starts = np.flatnonzero(np.diff(ends // _TEXT, prepend=-1)).tolist()
        texts = [sentences[start:end] for start, end in zip(starts, [*starts[1:], len(sentences)], strict=True)]
        return [self._join(text) for text in texts]

    def _join(self, sentences: Sequence[str]) -> str:
        joined = self._mark.join([*sentences, ""])
        if joined.count(self._mark) == len(sentences):
            return joined
        # The text has the mark itself. To the tokenizer it is unknown punctuation, and so is the other one.
        return self._mark.join([*(sentence.replace(self._mark, self._other) for sentence in sentences), ""])

    def _ids(self, backend: Tokenizer, texts: Sequence[str]) -> tuple[Ids, NDArray[np.int64]]:
        try:
            found = backend.encode_batch_fast(texts, add_special_tokens=False)
        except TypeError:  # what it says of a text that has no form in UTF-8
            sound = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
            found = backend.encode_batch_fast(sound, add_special_tokens=False)
        ends = np.cumsum([len(text) for text in found], dtype=np.int64)
        count = int(ends[-1]) if len(ends) else 0
        return np.fromiter(chain.from_iterable(text.ids for text in found), dtype=self.dtype, count=count), ends


def _with_mark(backend: Tokenizer, mark: str, number: int) -> Tokenizer | None:
    """The tokenizer with one piece more; None when it is not known to cut what stands beside that as if it were alone.

    BERT's own steps look at one character after another, and a punctuation mark parts words. Other steps may look
    further, or treat the beginning of a text apart.
    """
    definition = json.loads(backend.to_str())
    if not _is_known(definition, mark):
        return None
    definition["model"]["vocab"][mark] = number
    marked = Tokenizer.from_str(json.dumps(definition))
    vocab = marked.get_vocab()
    return marked if vocab.pop(mark, None) == number and vocab == backend.get_vocab() else None


def _is_known(definition: dict[str, Any], mark: str) -> bool:
    return (
        definition["model"]["type"] == "WordPiece"
        and all(_is_known_normalizer(step, mark) for step in _steps(definition["normalizer"], "normalizers"))
        and {"type": "BertPreTokenizer"} in (steps := _steps(definition["pre_tokenizer"], "pretokenizers"))
        and all(step["type"] == "BertPreTokenizer" or _isolates_symbols(step) for step in steps)
    )


def _steps(step: dict[str, Any] | None, inner: str) -> list[dict[str, Any]]:
    if step is None:
        return []
    return list(step[inner]) if step["type"] == "Sequence" else [step]


def _is_known_normalizer(step: dict[str, Any], mark: str) -> bool:
    if step["type"] == "Replace":
        return _stays_inside(step["pattern"].get("Regex", "."), mark)
    return bool(step["type"] == "BertNormalizer")


def _stays_inside(pattern: str, mark: str) -> bool:
    """Whether a pattern lists the characters it takes, the mark not among them, and looks at no others."""
    if set(pattern) & set("\\.^$(){}*+"):
        return False
    ranges = zip(pattern, pattern[1:], pattern[2:], strict=False)
    around = any(low <= mark <= high for low, between, high in ranges if between == "-")
    return mark not in pattern and not around


def _isolates_symbols(step: dict[str, Any]) -> bool:
    wanted = {"type": "Split", "pattern": {"Regex": r"\p{S}"}, "behavior": "Isolated", "invert": False}
    return step == wanted
