"""Settings and fixtures that all tests share. No test needs a network, a download or a data set."""

from __future__ import annotations

import os

# Set before torch, tokenizers or transformers are first imported; child processes inherit them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits, punctuation

import pytest
from hypothesis import settings

from polarbert.model import BertConfig, BertForSequenceClassification
from polarbert.text import WordPieceTokenizer

settings.register_profile("polarbert", deadline=None, print_blob=True)
settings.load_profile("polarbert")

LABELS = ["negative", "neutral", "positive"]

WORDS = """
    the a an and or but not no never is are was were be been it its this that these those there here i you he she we
    they me my your our their his her in on at of to for from with without by as so too very really quite just only
    even still again always often app phone film movie book story screen battery sound price shop service staff food
    hotel room dress shoes colour size delivery box update version game level song voice picture camera water coffee
    good great nice fine best better lovely love loved like liked enjoy happy glad perfect wonderful works worked work
    bad worst worse awful terrible poor hate hated dislike sad angry slow broken broke breaks useless waste boring
    okay average normal usual expected arrived came sent bought paid used use uses new old first last day week month
    year time hour minute money star stars thanks thank please help would could should will can cannot did does do
    have has had make made makes get got gets go went whole half all some none many much more most less least how what
    when where why who which then than if because while after before until since up down out over under again back
    café cafe naïve naive smile wink laughing joy heart fire thumbs star face crying
    Great The Berlin London Anna
""".split()

SUFFIXES = "ing ed er est ly s es ness less ful able ment tion un re al ic y".split()


@pytest.fixture(scope="session")
def vocab() -> list[str]:
    """A small vocabulary laid out as BERT's: [PAD] 0, [UNK] 100, [CLS] 101, [SEP] 102, [MASK] 103."""
    pieces = ["[PAD]", *(f"[unused{n}]" for n in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces += [f"[unused{n}]" for n in range(99, 401)]
    characters = [*punctuation, *digits, *ascii_lowercase, *ascii_uppercase, *"éüßñ€½中"]
    endings = [*digits, *ascii_lowercase, *ascii_uppercase, *"éüß€", *SUFFIXES]
    pieces += [*characters, *(f"##{ending}" for ending in endings), *WORDS]
    return list(dict.fromkeys(pieces))


@pytest.fixture(scope="session")
def tokenizer(vocab: list[str]) -> WordPieceTokenizer:
    """The uncased tokenizer with emoji, as the embedded model has it, over `vocab`."""
    return WordPieceTokenizer.from_vocab(vocab, lowercase=True, emoji=True)


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory, vocab: list[str], tokenizer: WordPieceTokenizer) -> Path:
    """A tiny untrained classifier of three labels and its tokenizer, saved in the Hugging Face layout.

    Its weights are spread wider than a new network's and its bias is centred, so that texts differ in their answers.
    """
    import torch

    directory = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig.tiny(vocab_size=len(vocab), initializer_range=0.1), LABELS).eval()
    words = [[tokenizer.cls_id, *pieces.ids, tokenizer.sep_id] for pieces in tokenizer.encode(WORDS)]
    with torch.inference_mode():
        logits = [model(torch.tensor([ids])).logits for ids in words]
    with torch.no_grad():
        model.classifier.bias.sub_(torch.cat(logits).mean(0))
    model.save_pretrained(directory)
    tokenizer.save(directory)
    return directory
