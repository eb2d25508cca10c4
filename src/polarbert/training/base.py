"""The model that a fine-tuning starts from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from polarbert.bundle import HUB_ID, resolve
from polarbert.data.inputs import shown_name
from polarbert.errors import BundleError
from polarbert.model.config import BertConfig
from polarbert.model.weights import weight_files
from polarbert.text import WordPieceTokenizer

EMBEDDED = "the embedded model"


@dataclass(frozen=True)
class Base:
    """A BERT in the Hugging Face layout whose encoder is kept and whose head, if it has one, is not.

    Attributes:
        path: its directory.
        name: for people: the Hub id, the name of the directory, or `EMBEDDED`.
        hub_id: for a model card; None for a directory of one's own.
        config: the network's sizes.
        tokenizer: how it reads texts.
        digest: sha256 over configuration, tokenizer and weights.
    """

    path: Path
    name: str
    hub_id: str | None
    config: BertConfig
    tokenizer: WordPieceTokenizer
    digest: str

    @classmethod
    def open(cls, name: str | Path | None = None) -> Self:
        """Find a base and check what can be checked without building it.

        Args:
            name: the embedded model (None), a bundle or another directory in the Hugging Face layout, or a Hub id.

        Raises:
            BundleError: when there is no such model, it is no BERT, its weights are no safetensors, or its tokenizer is
                of another model.
        """
        path = resolve(name)
        config, tokenizer = BertConfig.from_pretrained(path), WordPieceTokenizer.from_directory(path)
        if tokenizer.vocab_size != config.vocab_size:
            raise BundleError(
                f"{path}: the tokenizer has {tokenizer.vocab_size:,} pieces, the network {config.vocab_size:,}; "
                "they are not of the same model"
            )
        files = [path / "config.json", *weight_files(path)]
        digest = hashlib.sha256(tokenizer.backend.to_str().encode("utf-8"))
        for file in files:
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        return cls(path, *_names(name, path), config, tokenizer, digest.hexdigest())

    def longest(self, max_pieces: int) -> int:
        """Most pieces of an example, where `max_pieces` are wished for."""
        return min(max_pieces, self.config.max_position_embeddings)


def _names(name: str | Path | None, path: Path) -> tuple[str, str | None]:
    if name is None:
        return EMBEDDED, None
    if not Path(name).exists() and HUB_ID.fullmatch(str(name)):
        return str(name), str(name)
    return shown_name(path.resolve()), None
