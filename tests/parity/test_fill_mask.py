"""`polarbert.training.fill_mask` and `next_sentence` against `transformers`, on tiny random networks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from polarbert.model import BertConfig, BertForPreTraining
from polarbert.text import WordPieceTokenizer
from polarbert.training.fill_mask import MaskFiller
from polarbert.training.next_sentence import NextSentence

TEXTS = [
    "The film was [MASK].",
    "[MASK] the app, so great😀",
    "I never liked the [MASK] of this hotel [MASK]!",
    "un[MASK]able",
    "[MASK]",
]
PAIRS = [
    ("The film was great.", "I love it!"),
    ("so bad", "the app crashes"),
    ("Great", "a very long story, again " * 3),
]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory, tokenizer: WordPieceTokenizer) -> Path:
    directory = tmp_path_factory.mktemp("pretrained")
    torch.manual_seed(0)
    config = BertConfig.tiny(vocab_size=tokenizer.vocab_size, hidden_size=48, initializer_range=0.1)
    model = BertForPreTraining(config)
    with torch.no_grad():
        model.head.bias.normal_(std=0.5)
        model.next_sentence_head.weight.mul_(10)
        first, second, _ = (answer.probability for answer in NextSentence(model, tokenizer).judge(PAIRS))
        middle = (math.log(first / (1 - first)) + math.log(second / (1 - second))) / 2
        model.next_sentence_head.bias[0] -= middle  # so that not all pairs get the same answer
    model.save_pretrained(directory)
    tokenizer.save(directory)
    return directory


def test_candidates_are_those_of_the_pipeline(model_dir: Path) -> None:
    pipeline: Any = transformers.pipeline("fill-mask", model=str(model_dir), top_k=7)
    for text, ours in zip(TEXTS, MaskFiller.open(model_dir).fill(TEXTS, top=7), strict=True):
        theirs = pipeline(text)
        theirs = theirs if isinstance(theirs[0], list) else [theirs]
        assert len(ours.masks) == len(theirs) == text.count("[MASK]")
        for our_mask, their_mask in zip(ours.masks, theirs, strict=True):
            assert [candidate.piece for candidate in our_mask] == [
                pipeline.tokenizer.convert_ids_to_tokens(candidate["token"]) for candidate in their_mask
            ]
            for candidate, expected in zip(our_mask, their_mask, strict=True):
                assert candidate.probability == pytest.approx(expected["score"], abs=1e-5)


@torch.inference_mode()
def test_pairs_are_judged_as_by_their_network(model_dir: Path) -> None:
    theirs = transformers.BertForNextSentencePrediction.from_pretrained(model_dir).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    answers = NextSentence.open(model_dir).judge(PAIRS)
    for (first, second), answer in zip(PAIRS, answers, strict=True):
        batch = tokenizer(first, second, return_tensors="pt")
        expected = float(theirs(**batch).logits.softmax(-1)[0, 0])  # 0 says that the second follows
        assert answer.probability == pytest.approx(expected, abs=1e-5)
        assert answer.is_next is (expected >= 0.5)
    assert {answer.is_next for answer in answers} == {True, False}, "one answer to everything would prove little"
