"""Corpora of our own as documents, as tokenizers see them, and as shards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import count
from pathlib import Path

from polarbert.data.corpus import Document
from polarbert.data.shards import Shards, write_shards
from polarbert.text import WordPieceTokenizer

FIRST = 5  # the id of word w0, after the special pieces
CLS, SEP = 2, 3


def text(content: str) -> Document:
    """A document."""
    return Document("here", content)


def bars(text: str) -> list[str]:
    """Sentences end where a bar stands."""
    return text.split("|")


@cache
def numbered_words(size: int = 4000) -> WordPieceTokenizer:
    """A tokenizer to which each word w0, w1, ... is a piece; its id is 5 and the number."""
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(size))]
    return WordPieceTokenizer.from_vocab(vocab, lowercase=True)


def counted(shape: Sequence[Sequence[int]], size: int = 4000) -> Iterator[Document]:
    """Documents of sentences of these lengths. The words count on, and from 0 again when they reach `size`."""
    words = count()
    for sentences in shape:
        parts = [" ".join(f"w{next(words) % size}" for _ in range(length)) for length in sentences]
        yield text("|".join(parts))


def shards_of(
    shape: Sequence[Sequence[int]],
    folder: Path,
    shard_pieces: int = 2**22,
    documents: Iterable[Document] | None = None,
    split: Callable[[str], Sequence[str]] = bars,
    words: int = 4000,
) -> Shards:
    """Shards of documents whose sentences have these lengths."""
    texts = counted(shape, words) if documents is None else documents
    return write_shards(texts, numbered_words(words), folder, split, {"corpus": 1}, shard_pieces)


def sentences_of(shards: Shards) -> list[tuple[int, list[int]]]:
    """The sentences of all shards: number of the document, pieces."""
    found = []
    for shard in shards:
        for place, number in enumerate(shard.document_numbers.tolist()):
            for sentence in range(*shard.document_starts[place : place + 2].tolist()):
                start, end = shard.sentence_starts[sentence : sentence + 2]
                found.append((number, shard.ids[start:end].tolist()))
    return found


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
