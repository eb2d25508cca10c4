"""Documents cut into passages, so that one of any size takes bounded memory to split and to tokenise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from polarbert.data.corpus import Document

MAX_CHARACTERS = 2**16  # of a passage

# Where a long document is cut, best first: between paragraphs, sentences, lines, words.
_BREAKS = (("\n\n", "\n\r\n"), (". ", "! ", "? ", ".\n", "!\n", "?\n", ".\r\n", "。"), ("\n",), (" ", "\t"))


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document; the passages of a document one after another are its text.

    Attributes:
        number: of the passage, counted through the corpus.
        document: number of the document.
        text: the part.
    """

    number: int
    document: int
    text: str


def cut_passages(documents: Iterable[Document], longest: int = MAX_CHARACTERS) -> Iterator[Passage]:
    r"""Cut documents into passages of at most `longest` characters, between paragraphs where there are any.

    A cut between lines or words makes a sentence boundary of a place that is none: at most one in `longest` / 2
    characters, and only in a document that goes on for so long without a blank line or the end of a sentence.

    Example:
        >>> [passage.text for passage in cut_passages([Document("a.txt", "One.\n\nTwo.")], longest=8)]
        ['One.\n\n', 'Two.']
    """
    number = 0
    for document, found in enumerate(documents):
        for text in _cut(found.text, longest):
            yield Passage(number, document, text)
            number += 1


def _cut(text: str, longest: int) -> Iterator[str]:
    start = 0
    while len(text) - start > longest:
        end = _end(text, start, start + longest)
        yield text[start:end]
        start = end
    yield text[start:]


def _end(text: str, start: int, limit: int) -> int:
    """The best place to cut in the second half of [start, limit), after the break itself."""
    half = (start + limit) // 2
    for breaks in _BREAKS:
        end = max(at + len(mark) if (at := text.rfind(mark, half, limit)) >= 0 else 0 for mark in breaks)
        if end:
            return end
    return limit
