"""Passages as the word pieces of their sentences, faster than the tokenizer itself cuts a text.

To BERT's tokenizer a text is words between spaces, each cut alone, and most words of a corpus have been seen before. So
their pieces are remembered, and the tokenizer is asked for new words only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from polarbert.data.passages import Passage
from polarbert.text import WordPieceTokenizer

Splitter = Callable[[str], Sequence[str]]
Ids = NDArray[np.uint16] | NDArray[np.uint32]

_BATCH = 2**20  # characters cut into pieces at once
_LIST = 256  # words given to the tokenizer as one text
_MOST_WORDS, _LONGEST_WORD = 2**19, 40  # that are remembered: some 100 MB at most


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
    """Tokenise the sentences of passages, in order.

    The pieces of a sentence are those that `WordPieceTokenizer.encode` gives it alone. Sentences without pieces are
    left out; one of more than `longest` pieces is cut into parts of nearly equal length.

    Args:
        passages: of a corpus, in order.
        tokenizer: for the pieces.
        split: gives the sentences of a text.
        longest: most pieces in a sentence.
    """
    encoder = SentenceEncoder(tokenizer)
    for batch in _batches(passages):
        yield _encode(encoder, batch, [split(passage.text) for passage in batch], longest)


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
        tokenizer: any; one of BERT's form is asked for new words alone, another for each sentence.
    """

    def __init__(self, tokenizer: WordPieceTokenizer) -> None:
        self._backend = tokenizer.backend
        is_small = max(tokenizer.backend.get_vocab().values()) < 2**16
        self._code = "<u2" if is_small else "<u4"
        self._known: dict[str, bytes] = {}
        definition = json.loads(tokenizer.backend.to_str())
        self.by_words = _cuts_words_alone(definition)
        self._undivided = _across_spaces(definition)

    def encode(self, sentences: Sequence[str]) -> tuple[Ids, NDArray[np.int64]]:
        """The pieces of all sentences one after another, and how many each has.

        What is no Unicode character (half of a surrogate pair) is read as a question mark.
        """
        parts = [*map(self._words, sentences)]
        new = list(set(chain.from_iterable(parts)).difference(self._known))
        self._known.update(zip(new, self._pieces(new), strict=True))
        rows = [b"".join(map(self._known.__getitem__, words)) for words in parts]
        self._forget(new)
        ids: Ids = np.frombuffer(b"".join(rows), dtype=self._code)
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows)) // ids.itemsize
        return ids, lengths

    def _words(self, sentence: str) -> list[str]:
        """What is cut alone: words, or the sentence as it is."""
        if not self.by_words or (self._undivided is not None and self._undivided.search(sentence)):
            return [sentence]
        return sentence.replace("\n", " ").replace("\r", " ").split(" ")

    def _pieces(self, texts: list[str]) -> Iterator[bytes]:
        """The pieces of each text."""
        try:
            return self._cut(texts)
        except TypeError:  # what the tokenizer says of a text that has no form in UTF-8
            return self._cut([text.encode("utf-8", "replace").decode("utf-8") for text in texts])

    def _cut(self, texts: list[str]) -> Iterator[bytes]:
        if not self.by_words:
            return (self._packed(text.ids) for text in self._backend.encode_batch_fast(texts, add_special_tokens=False))
        # An answer costs more than the pieces of a word, so words go in by lists, each of them one answer.
        lists = [texts[start : start + _LIST] for start in range(0, len(texts), _LIST)]
        found = self._backend.encode_batch(lists, is_pretokenized=True, add_special_tokens=False)
        return chain.from_iterable(map(self._parted, lists, found))

    def _parted(self, words: list[str], found: Encoding) -> Iterator[bytes]:
        """The answer to a list, word by word."""
        size = np.dtype(self._code).itemsize
        ends = size * np.cumsum(np.bincount(np.array(found.word_ids, dtype=np.int64), minlength=len(words)))
        return map(self._packed(found.ids).__getitem__, map(slice, [0, *ends[:-1].tolist()], ends.tolist()))

    def _packed(self, ids: list[int]) -> bytes:
        return np.array(ids, dtype=self._code).tobytes()

    def _forget(self, new: list[str]) -> None:
        """Keep memory bounded: nothing long stays, and all goes when there is too much."""
        if len(self._known) > _MOST_WORDS:
            self._known.clear()
            return
        for word in new:
            if len(word) > _LONGEST_WORD:
                del self._known[word]


def _cuts_words_alone(definition: dict[str, Any]) -> bool:
    """Whether a tokenizer is known to cut what stands between spaces as if it were alone.

    BERT's own steps look at one character after another, and a space parts words. Other steps may look further, or
    treat the beginning of a text apart.
    """
    normalizers = _steps(definition["normalizer"], "normalizers")
    steps = _steps(definition["pre_tokenizer"], "pretokenizers")
    return (
        definition["model"]["type"] == "WordPiece"
        and all(_is_known_normalizer(step) for step in normalizers)
        and not any(map(_replaces_spaces, normalizers[1:]))  # `_across_spaces` knows the text as it comes in
        and {"type": "BertPreTokenizer"} in steps
        and all(step["type"] == "BertPreTokenizer" or _isolates_symbols(step) for step in steps)
        and not any(token["normalized"] and _has_space(token["content"]) for token in definition["added_tokens"])
    )


def _across_spaces(definition: dict[str, Any]) -> re.Pattern[str] | None:
    """What such a tokenizer sees as one though there is a space in it."""
    first = _steps(definition["normalizer"], "normalizers")[:1]
    patterns = [step["pattern"]["Regex"] for step in first if _replaces_spaces(step)]
    patterns += [re.escape(token["content"]) for token in definition["added_tokens"] if _has_space(token["content"])]
    return re.compile("|".join(patterns)) if patterns else None


def _steps(step: dict[str, Any] | None, inner: str) -> list[dict[str, Any]]:
    if step is None:
        return []
    return list(step[inner]) if step["type"] == "Sequence" else [step]


def _is_known_normalizer(step: dict[str, Any]) -> bool:
    """BERT's own, or a replacement that lists the characters it takes and looks at no others."""
    if step["type"] == "Replace":
        return not set(step["pattern"].get("Regex", ".")) & set("\\.^$(){}*+")
    return bool(step["type"] == "BertNormalizer")


def _replaces_spaces(step: dict[str, Any]) -> bool:
    return _is_known_normalizer(step) and step["type"] == "Replace" and _has_space(step["pattern"]["Regex"])


def _isolates_symbols(step: dict[str, Any]) -> bool:
    wanted = {"type": "Split", "pattern": {"Regex": r"\p{S}"}, "behavior": "Isolated", "invert": False}
    return step == wanted


def _has_space(text: str) -> bool:
    return any(map(str.isspace, text))
