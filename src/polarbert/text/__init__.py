"""Texts, word pieces and windows; no torch."""

from polarbert.text.tokenizer import Pieces, WordPieceTokenizer, is_wordless
from polarbert.text.windows import cut_windows, head_and_tail, join_segments

__all__ = ["Pieces", "WordPieceTokenizer", "cut_windows", "head_and_tail", "is_wordless", "join_segments"]
