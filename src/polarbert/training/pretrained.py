"""Finding a pre-trained network for those who ask it what it was trained to answer."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from polarbert.bundle import HUB_ID
from polarbert.errors import BundleError
from polarbert.model.masked_lm import has_masked_lm_head
from polarbert.model.pretraining import has_next_sentence_head
from polarbert.model.weights import stored_tensors
from polarbert.text import WordPieceTokenizer
from polarbert.training.base import Base

# The pieces of a batch: a processor is busy with that many, and a slow one is done with them in a second or two.
BATCH_TOKENS = 2048


def open_pretrained(name: str | Path) -> Base:
    """The model of a run directory (its best), of another directory in the Hugging Face layout, or of a Hub id.

    Raises:
        BundleError: when there is no such model, or it cannot be read.
    """
    path = Path(name)
    if not path.exists() and not path.is_symlink() and not HUB_ID.fullmatch(str(name)):
        raise BundleError(f"{path}: no such folder. Name one that polarbert pretrain or adapt made, or a Hub id")
    is_run = path.is_dir() and not (path / "config.json").exists() and (path / "settings.json").exists()
    if is_run and not (path / "best").is_dir():
        raise BundleError(f"{path}: a run that has no model yet; its first comes with its first evaluation")
    return Base.open(path / "best" if is_run else name)


def without_specials(tokenizer: WordPieceTokenizer) -> WordPieceTokenizer:
    """A copy that reads [SEP] and the like, where a text spells them out, as the characters they are."""
    backend = Tokenizer.from_str(tokenizer.backend.to_str())
    backend.encode_special_tokens = True
    return WordPieceTokenizer(backend)


def check_masked_lm_head(base: Base) -> None:
    """See that a model can name hidden words.

    Raises:
        BundleError: when it cannot, saying what it is and how to get one that can.
    """
    if not has_masked_lm_head(base.path):
        raise BundleError(
            f"{base.hub_id or base.path}: has no head for masked language modelling, so it cannot name hidden words; "
            f"it is {_kind(base.path)}. polarbert pretrain makes a model that can, polarbert adapt teaches any base"
        )


def check_next_sentence_head(base: Base) -> None:
    """See that a model can say whether one text follows another.

    Raises:
        BundleError: when it cannot, saying what it is and how to get one that can.
    """
    if not has_next_sentence_head(base.path):
        raise BundleError(
            f"{base.hub_id or base.path}: has no head for next-sentence prediction, so it cannot say what follows; "
            f"it is {_kind(base.path)}. polarbert pretrain, without --no-nsp, makes a model that can"
        )


def _kind(path: Path) -> str:
    """What a checkpoint is, in words."""
    if "classifier.weight" in stored_tensors(path):
        return "a classifier"
    return "a masked language model" if has_masked_lm_head(path) else "an encoder without such a head"
