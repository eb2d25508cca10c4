"""Text to word pieces and back to character offsets, through the `tokenizers` library.

Everything that decides which ids a text gets is inside tokenizer.json, so `transformers.AutoTokenizer` on the same
directory gives the same ids.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tokenizers import Tokenizer

from polarbert.errors import BundleError
from polarbert.files import read_bounded
from polarbert.text.emoji import EMOTICONS_ALONE, EMOTICONS_ANYWHERE, MODIFIERS, symbols

MAX_BYTES = 50_000_000  # of tokenizer.json or vocab.txt; those of many languages have 17 MB
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class Pieces:
    """The word pieces of one text, without [CLS] and [SEP].

    Attributes:
        ids: vocabulary numbers.
        offsets: (start, end) of each piece in the text, in characters; empty when not asked for.
    """

    ids: list[int]
    offsets: list[tuple[int, int]]


class WordPieceTokenizer:
    """BERT's tokenizer (Wu et al. 2016; BERT, section 3): basic tokens, then greedy longest word pieces.

    Args:
        backend: a `tokenizers.Tokenizer` with BERT's special tokens.

    Raises:
        BundleError: when a special token is missing.

    Example:
        >>> tokenizer = WordPieceTokenizer.from_directory("my-model")
        >>> tokenizer.encode(["great😀whole"])[0].ids
    """

    def __init__(self, backend: Tokenizer) -> None:
        backend.no_truncation()
        backend.no_padding()
        self.backend = backend
        _check_special(token for token in SPECIAL[:4] if backend.token_to_id(token) is None)
        ids = [number for token in SPECIAL[:4] if (number := backend.token_to_id(token)) is not None]
        self.pad_id, self.unk_id, self.cls_id, self.sep_id = ids

    @classmethod
    def from_directory(cls, path: str | Path) -> Self:
        """Read tokenizer.json, or build the tokenizer from vocab.txt where that is all there is.

        Raises:
            BundleError: when neither is there or can be read.
        """
        directory = Path(path)
        file = directory / "tokenizer.json"
        if file.is_file():
            return cls(_read_definition(file))
        vocab = directory / "vocab.txt"
        if not vocab.is_file():
            raise BundleError(f"{directory}: no tokenizer.json and no vocab.txt, so texts cannot be read")
        # Only line feeds end a piece: str.splitlines would also cut at rarer separators and shift every later id.
        try:
            text = read_bounded(vocab, MAX_BYTES, BundleError).decode("utf-8")
        except UnicodeDecodeError as error:
            raise BundleError(f"{vocab}: not a vocabulary in UTF-8: {error}; copy the model again") from error
        pieces = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
        lowercase, strip_accents = _letters(directory)
        return cls.from_vocab(pieces, lowercase, strip_accents=strip_accents)

    @classmethod
    def from_vocab(
        cls, vocab: Sequence[str], lowercase: bool, emoji: bool = False, strip_accents: bool | None = None
    ) -> Self:
        """Build from a vocabulary, one piece a line in id order.

        Args:
            vocab: the pieces; ids are their positions.
            lowercase: lower-case the text, as the uncased models do.
            emoji: let common emoji and emoticons take over [unusedN] pieces.
            strip_accents: read é as e; None to do so where the text is lower-cased, as BERT does.

        Raises:
            BundleError: when a special token is missing, or there are too few [unusedN] pieces.
        """
        _check_special(token for token in SPECIAL[:4] if token not in vocab)
        definition = _definition(list(vocab), lowercase, emoji, strip_accents)
        return cls(Tokenizer.from_str(json.dumps(definition, ensure_ascii=False)))

    @property
    def vocab_size(self) -> int:
        """Number of pieces."""
        return int(self.backend.get_vocab_size())

    def encode(self, texts: Sequence[str], offsets: bool = False) -> list[Pieces]:
        """Cut texts into pieces, uncut and without special tokens.

        Args:
            texts: any number of texts.
            offsets: also give each piece's place in its text.
        """
        run = self.backend.encode_batch if offsets else self.backend.encode_batch_fast
        encodings = run(list(texts), add_special_tokens=False)
        return [Pieces(e.ids, list(e.offsets) if offsets else []) for e in encodings]

    def save(self, path: str | Path) -> None:
        """Write tokenizer.json and the small files by which `transformers` recognises it."""
        directory = Path(path)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "tokenizer.json").write_text(self.backend.to_str(pretty=True), "utf-8")
        settings = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": 512,
            "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
            "clean_up_tokenization_spaces": False,
            **{f"{name.strip('[]').lower()}_token": name for name in SPECIAL},
        }
        (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")


def is_blank(text: str) -> bool:
    """True when a reader sees nothing: white space, control characters and marks without a width are all there is.

    Example:
        >>> is_blank(" \u200b"), is_blank("?")
        (True, False)
    """
    return all(character.isspace() or unicodedata.category(character) in ("Cc", "Cf") for character in text)


def is_wordless(text: str) -> bool:
    """True when nothing in the text can carry meaning: it is empty, blank, punctuation or control characters.

    Emoticons carry meaning, though some are punctuation alone.
    """
    if any(unicodedata.category(character)[0] in "LNS" for character in text):
        return False
    alone = any(word in EMOTICONS_ALONE for word in text.split())
    return not alone and not any(face in text for face in EMOTICONS_ANYWHERE)


def _check_special(missing: Iterable[str]) -> None:
    names = ", ".join(missing)
    if names:
        raise BundleError(f"tokenizer: the vocabulary lacks {names}")


def _read_definition(file: Path) -> Tokenizer:
    """The tokenizer of tokenizer.json, once it has cut a word that no vocabulary has."""
    try:
        tokenizer = Tokenizer.from_buffer(read_bounded(file, MAX_BYTES, BundleError))
        tokenizer.encode_batch_fast(["\uffff"], add_special_tokens=False)
    except BundleError:
        raise
    except BaseException as error:  # the Rust side raises a bare Exception, and panics with less than that
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise BundleError(f"{file}: not a readable tokenizer: {error}. Copy or export the model again") from error
    return tokenizer


def _letters(directory: Path) -> tuple[bool, bool | None]:
    """What a directory with vocab.txt says of capital letters and of accents."""
    file = directory / "tokenizer_config.json"
    if not file.is_file():
        return True, None
    try:
        settings = json.loads(read_bounded(file, MAX_BYTES, BundleError))
        strip_accents = settings.get("strip_accents")
        return bool(settings.get("do_lower_case", True)), None if strip_accents is None else bool(strip_accents)
    except (ValueError, AttributeError, RecursionError) as error:
        raise BundleError(f"{file}: cannot be read as JSON: {error}; copy the model again") from error


def _definition(vocab: list[str], lowercase: bool, emoji: bool, strip_accents: bool | None) -> dict[str, Any]:
    """The content of tokenizer.json."""
    added = [_added(vocab.index(token), token, special=True) for token in SPECIAL if token in vocab]
    normalizers: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"Regex": r"<br ?/?>"}, "content": " "},
        {"type": "Replace", "pattern": {"Regex": MODIFIERS}, "content": ""},
        {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": strip_accents,
            "lowercase": lowercase,
        },
    ]
    # BERT splits words at punctuation but not at symbols, so an unknown symbol would take its word along to [UNK].
    isolate_symbols = {"type": "Split", "pattern": {"Regex": r"\p{S}"}, "behavior": "Isolated", "invert": False}
    pre_tokenizers: list[dict[str, Any]] = [{"type": "BertPreTokenizer"}]
    if emoji:
        added += _take_over_unused(vocab)
        pre_tokenizers.insert(0, isolate_symbols)
    else:
        normalizers = normalizers[-1:]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": sorted(added, key=lambda token: token["id"]),
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": pre_tokenizers},
        "post_processor": _template(vocab),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {piece: number for number, piece in enumerate(vocab)},
        },
    }


def _take_over_unused(vocab: list[str]) -> list[dict[str, Any]]:
    """Rename [unusedN] entries of `vocab` in place, skipping symbols that it already has."""
    slots = [number for number, piece in enumerate(vocab) if piece.startswith("[unused")]
    wanted = [symbol for symbol in symbols() if symbol not in set(vocab)]
    if len(slots) < len(wanted):
        raise BundleError(f"tokenizer: {len(wanted)} emoji need as many [unusedN] pieces; there are {len(slots)}")
    added = []
    for slot, symbol in zip(slots, wanted, strict=False):
        vocab[slot] = symbol
        added.append(_added(slot, symbol, special=False, alone=symbol in EMOTICONS_ALONE))
    return added


def _added(number: int, content: str, special: bool, alone: bool = False) -> dict[str, Any]:
    return {
        "id": number,
        "content": content,
        "single_word": alone,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": special,
    }


def _template(vocab: list[str]) -> dict[str, Any]:
    def special(token: str, segment: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": token, "type_id": segment}}

    def sequence(name: str, segment: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": segment}}

    single = [special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0)]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, sequence("B", 1), special("[SEP]", 1)],
        "special_tokens": {
            token: {"id": token, "ids": [vocab.index(token)], "tokens": [token]} for token in ("[CLS]", "[SEP]")
        },
    }
