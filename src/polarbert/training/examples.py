"""From texts to what the network reads in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from polarbert.data.dataset import LabelledText
from polarbert.data.rated import RatedText
from polarbert.text import WordPieceTokenizer, head_and_tail, join_segments
from polarbert.training.batching import Example


@dataclass(frozen=True)
class EncodedTexts:
    """Texts as examples.

    Attributes:
        examples: one a text, in order; of kinds that read windows, one a window.
        pieces: in all of them, [CLS] and [SEP] included.
        cut: how many texts were longer than the limit.
    """

    examples: list[Any]
    pieces: int
    cut: int

    @property
    def notes(self) -> list[str]:
        """What people should know."""
        return [f"{self.cut:,} long texts are cut to their head and tail"] if self.cut else []


def encode_texts(
    texts: Sequence[str], labels: Sequence[int], tokenizer: WordPieceTokenizer, max_pieces: int
) -> EncodedTexts:
    """Word pieces of single texts; see `encode_rows`.

    Args:
        texts: to be read.
        labels: as many class numbers.
        tokenizer: of the network.
        max_pieces: most pieces of a text, [CLS] and [SEP] included.

    Example:
        >>> encode_texts(["I love it"], [1], tokenizer, 256).examples[0].ids
        [101, 1045, 2293, 2009, 102]
    """
    rows = [LabelledText(text, label, n) for n, (text, label) in enumerate(zip(texts, labels, strict=True), start=1)]
    return encode_rows(rows, tokenizer, max_pieces)


def encode_rows(rows: Sequence[LabelledText], tokenizer: WordPieceTokenizer, max_pieces: int) -> EncodedTexts:
    """Word pieces with [CLS] and [SEP]; of a long text the head and the tail (Sun et al. 2019, section 5.3.1).

    Of a long pair the second text keeps what it needs of a half, and the first one gets the rest.

    Args:
        rows: texts or pairs.
        tokenizer: of the network.
        max_pieces: most pieces of an example, [CLS] and [SEP] included.
    """
    firsts = tokenizer.encode([row.text for row in rows])
    seconds = iter(tokenizer.encode([row.pair for row in rows if row.pair is not None]))
    examples, cut = [], 0
    for row, pieces in zip(rows, firsts, strict=True):
        pair = None if row.pair is None else next(seconds).ids
        second = None if pair is None else pair[: (max_pieces - 2) // 2]  # as the predictor cuts it
        room = max_pieces - 2 if second is None else max_pieces - 3 - len(second)
        first = head_and_tail(pieces.ids, room)
        cut += len(first) + len(second or ()) < len(pieces.ids) + len(pair or ())
        ids = join_segments(tokenizer.cls_id, tokenizer.sep_id, first, second)
        value = row.value if isinstance(row, RatedText) else 0.0
        second_at = None if second is None else len(first) + 2
        examples.append(Example(ids, row.label, None, second_at, value))
    return EncodedTexts(examples, sum(len(example.ids) for example in examples), cut)
