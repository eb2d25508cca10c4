"""A corpus small enough to learn in seconds, for the tests of pre-training."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from polarbert.text import WordPieceTokenizer
from polarbert.training.config import to_toml
from polarbert.training.pretraining_recipe import (
    CorpusSettings,
    NetworkSettings,
    PretrainSettings,
    Stage,
)
from polarbert.training.settings import TrainSettings

# What a document is about, and what is said of it there: two segments of one document speak of one thing.
TOPICS = {
    "food": ["boring", "good", "worst", "fine"],
    "hotel": ["lovely", "old", "great", "full"],
    "battery": ["slow", "new", "broken", "perfect"],
    "song": ["happy", "sad", "loved", "useless"],
}

SETTINGS = PretrainSettings(
    dev_pairs=64,
    device="cpu",
    network=NetworkSettings("tiny", hidden_size=32, intermediate_size=64, max_position_embeddings=64, dropout=0.1),
    corpus=CorpusSettings(unit="blank-line", dev_share=0.1),
    stages=(Stage(48, 20, 512),),
    training=TrainSettings(
        learning_rate=3e-3, warmup_share=0.1, precision="fp32", evaluations=4, checkpoint_seconds=1e9, threads=1
    ),
)


def write_corpus(folder: Path, documents: int = 60, seed: int = 1) -> Path:
    """A file of documents, a blank line between them."""
    draw = random.Random(seed)
    texts = []
    for _ in range(documents):
        topic = draw.choice(list(TOPICS))
        said = (
            f"The {topic} was {draw.choice(['very', 'really', 'so'])} {draw.choice(TOPICS[topic])}."
            for _ in range(draw.randint(4, 14))
        )
        texts.append(" ".join(said))
    file = folder / "corpus.txt"
    file.write_text("\n\n".join(texts) + "\n", "utf-8")
    return file


def write_inputs(folder: Path, tokenizer: WordPieceTokenizer, settings: PretrainSettings) -> list[str]:
    """Corpus, vocabulary and settings in files; the arguments that name them to `polarbert pretrain`."""
    folder.mkdir(parents=True, exist_ok=True)
    corpus = write_corpus(folder)
    tokenizer.save(folder / "vocabulary")
    (folder / "settings.toml").write_text(to_toml(settings), "utf-8")
    return [str(corpus), "--config", str(folder / "settings.toml"), "--vocab", str(folder / "vocabulary")]


def with_steps(settings: PretrainSettings, steps: int, **training: Any) -> PretrainSettings:
    """The same with one stage of so many steps, and other settings of the loop."""
    stage = replace(settings.stages[0], steps=steps)
    return replace(settings, stages=(stage,), training=replace(settings.training, **training))
