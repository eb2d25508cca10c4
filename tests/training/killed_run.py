"""A short training run in a process of its own, to be killed and resumed: python killed_run.py DIRECTORY."""

from __future__ import annotations

import random
import sys

import torch

from polarbert.model import BertConfig, BertForSequenceClassification
from polarbert.text import WordPieceTokenizer
from polarbert.training.batching import Example
from polarbert.training.classification import ClassificationTask
from polarbert.training.loop import train
from polarbert.training.run import RunDirectory
from polarbert.training.settings import TrainSettings


def main() -> None:
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(60))]
    draw = random.Random(0)
    examples = [
        Example([2, *draw.choices(range(5, 65), k=draw.randint(2, 20)), 3], draw.choice([0, 1])) for _ in range(200)
    ]
    settings = TrainSettings(epochs=6, batch_tokens=128, precision="fp32", evaluations=4, checkpoint_seconds=0.0)
    torch.manual_seed(3)
    config = BertConfig.tiny(vocab_size=len(vocab), hidden_size=16, intermediate_size=32)
    model = BertForSequenceClassification(config, ["no", "yes"])
    tokenizer = WordPieceTokenizer.from_vocab(vocab, lowercase=True)
    task = ClassificationTask(examples, {"dev": examples[:20]}, 2, tokenizer, settings)
    train(model, task, settings, RunDirectory(sys.argv[1]), resume=True, quiet=True)


if __name__ == "__main__":
    main()
