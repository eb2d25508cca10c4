"""From texts to what the network reads in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polarbert.text import WordPieceTokenizer, head_and_tail, join_segments
from polarbert.training.batching import Example


@dataclass(frozen=True)
class EncodedTexts:
    """Texts as examples.

    Attributes:
        examples: one a text, in order.
        pieces: in all of them, [CLS] and [SEP] included.
        cut: how many texts were longer than the limit.
    """

    examples: list[Example]
    pieces: int
    cut: int


def encode_texts(
    texts: Sequence[str], labels: Sequence[int], tokenizer: WordPieceTokenizer, max_pieces: int
) -> EncodedTexts:
    """Word pieces with [CLS] and [SEP]; of a long text the head and the tail (Sun et al. 2019, section 5.3.1).

    Args:
        texts: to be read.
        labels: as many class numbers.
        tokenizer: of the network.
        max_pieces: most pieces of a text, [CLS] and [SEP] included.

    Example:
        >>> encode_texts(["I love it"], [1], tokenizer, 256).examples[0].ids
        [101, 1045, 2293, 2009, 102]
    """
    examples, cut = [], 0
    for pieces, label in zip(tokenizer.encode(texts), labels, strict=True):
        ids = head_and_tail(pieces.ids, max_pieces - 2)
        cut += len(ids) < len(pieces.ids)
        examples.append(Example(join_segments(tokenizer.cls_id, tokenizer.sep_id, ids, None), int(label)))
    return EncodedTexts(examples, sum(len(example.ids) for example in examples), cut)
