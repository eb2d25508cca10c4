"""Pre-training from raw text: what is learned, what a step means, how it resumes, what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tests.pretraining_fixtures import SETTINGS, TOPICS, with_steps, write_corpus
from tests.training_fixtures import loss_of

from polarbert.errors import DataError, TrainingError, UsageError
from polarbert.model import BertForMaskedLM, BertForPreTraining
from polarbert.text import WordPieceTokenizer
from polarbert.training.pretrain import Pretraining
from polarbert.training.pretraining import PretrainingTask
from polarbert.training.pretraining_recipe import NetworkSettings, PretrainSettings, Stage
from polarbert.training.pretraining_view import describe

Make = Callable[..., Pretraining]


@pytest.fixture
def make(tokenizer: WordPieceTokenizer, tmp_path: Path) -> Make:
    """A pre-training of the small corpus with the small vocabulary."""
    corpus = write_corpus(tmp_path)
    tokenizer.save(tmp_path / "vocabulary")

    def make(name: str, settings: PretrainSettings = SETTINGS, **more: Any) -> Pretraining:
        arguments: dict[str, Any] = {"vocabulary": tmp_path / "vocabulary", "quiet": True} | more
        return Pretraining([corpus], tmp_path / name, settings, **arguments)

    return make


def new_model(task: PretrainingTask) -> BertForPreTraining:
    torch.manual_seed(5)
    config = task.settings.network.to_config(task.tokenizer.vocab_size)
    return BertForPreTraining(replace(config, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))


def records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_it_learns_words_and_what_belongs_together(make: Make, tmp_path: Path) -> None:
    write_corpus(tmp_path, documents=300)
    network = NetworkSettings("tiny", hidden_size=64, num_attention_heads=4, intermediate_size=128, dropout=0.0)
    settings = replace(with_steps(SETTINGS, 1000, evaluations=3), network=network)
    work = make("run", replace(settings, vocabulary=replace(SETTINGS.vocabulary, size=300)), vocabulary=None)
    work.run()
    first, *_, last = records(work.output / "evaluations.jsonl")
    assert last["masked_lm_loss"] < 0.2 * math.log(work.tokenizer.vocab_size)
    assert last["masked_accuracy"] > 0.6
    assert last["next_sentence_accuracy"] > 0.7
    assert last["perplexity"] == pytest.approx(math.exp(last["masked_lm_loss"]))
    assert last["score"] == pytest.approx(-last["masked_lm_loss"] - last["next_sentence_loss"])
    assert last["score"] > first["score"]
    log = records(work.output / "log.jsonl")
    assert log[-1]["loss"] == pytest.approx(log[-1]["masked_lm"] + log[-1]["next_sentence"])


def test_the_loss_is_that_of_transformers(make: Make, tmp_path: Path) -> None:
    task = make("run").prepare()
    model = new_model(task).eval()
    numbers = task.batches_in_epoch(0, 0)[0]
    loss, tokens = loss_of(task, model, numbers)
    model.save_pretrained(tmp_path / "model")
    reference = transformers.BertForPreTraining.from_pretrained(tmp_path / "model", attn_implementation="eager").eval()

    examples = [task.example(number) for number in numbers]
    longest = max(len(example.ids) for example in examples)
    ids, mask, segments, labels = (torch.full((len(examples), longest), fill) for fill in (0, 0, 0, -100))
    for row, (number, example) in enumerate(zip(numbers, examples, strict=True)):
        hidden = task.hide(number, example)
        ids[row, : len(hidden.ids)] = torch.from_numpy(hidden.ids)
        mask[row, : len(hidden.ids)] = 1
        segments[row, example.second_at : len(hidden.ids)] = 1
        labels[row, torch.from_numpy(hidden.positions)] = torch.from_numpy(hidden.labels)
    following = torch.tensor([example.label for example in examples])
    expected = reference(ids, mask, segments, labels=labels, next_sentence_label=following).loss
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=0)
    assert tokens == int(mask.sum())


def test_parts_of_a_batch_add_up_to_the_whole(make: Make) -> None:
    task = make("run").prepare()
    in_parts = replace(task, settings=replace(task.settings, micro_batch_tokens=100))
    model, other = new_model(task), new_model(task)
    numbers = task.batches_in_epoch(0, 0)[0]
    in_parts.batches_in_epoch(0, 0)
    assert len(in_parts.prepare(numbers)) > 2 > len(task.prepare(numbers)) == 1
    assert all(part.tokens <= 100 for part in in_parts.prepare(numbers))
    whole, parts = loss_of(task, model, numbers)[0], loss_of(in_parts, other, numbers)[0]
    torch.testing.assert_close(whole, parts)
    whole.backward()
    parts.backward()
    for (name, one), two in zip(model.named_parameters(), other.parameters(), strict=True):
        assert one.grad is not None, name
        torch.testing.assert_close(one.grad, two.grad, atol=1e-5, rtol=1e-4)


def test_each_pass_makes_and_hides_anew_and_depends_on_the_seed_alone(make: Make) -> None:
    task = make("run").prepare()

    def seen(task: PretrainingTask, epoch: int) -> list[tuple[list[int], list[int]]]:
        batches = task.batches_in_epoch(epoch, 0)
        numbers = [number for batch in batches for number in batch]
        hidden = (task.hide(number, task.example(number)) for number in numbers)
        return [(one.ids.tolist(), one.positions.tolist()) for one in hidden]

    first, second = seen(task, 0), seen(task, 1)
    assert first != second
    assert seen(replace(task), 1) == second, "also when the pass before was never asked for"
    other = replace(task, settings=with_steps(task.settings, 20, seed=2))
    assert seen(other, 0) != first


def test_the_stages_follow_each_other(make: Make) -> None:
    settings = replace(SETTINGS, stages=(Stage(16, 7, 256), Stage(64, 5, 512)))
    work = make("run", settings)
    summary = work.run()
    assert summary["step"] == 12
    task = work.task()

    def longest(epoch: int, step: int) -> tuple[int, int]:
        batches = task.batches_in_epoch(epoch, step)
        return len(batches), max(len(task.example(number).ids) for batch in batches for number in batch)

    assert longest(0, 0) == (7, 16), "no more batches than the stage has steps"
    batches, length = longest(1, 7)
    assert batches == 5
    assert 16 < length <= 64


@pytest.mark.parametrize("after", [1, 11, 19])
def test_broken_off_and_resumed_it_ends_in_the_same_bytes(
    make: Make, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    settings = with_steps(replace(SETTINGS, window_pieces=1500), 20, checkpoint_seconds=0.0)
    whole, parts = make("whole", settings), make("parts", settings)
    expected = whole.run()
    losses, left = PretrainingTask.losses, iter(range(after))

    def broken_off(*arguments: Any) -> dict[str, torch.Tensor]:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return losses(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(PretrainingTask, "losses", broken_off)
        with pytest.raises(KeyboardInterrupt):
            parts.run()
    summary = make("parts", settings).run(resume=True)
    assert summary | {"seconds": 0} == expected | {"seconds": 0}
    for name in ("best/model.safetensors", "checkpoint/state.safetensors"):
        assert (parts.output / name).read_bytes() == (whole.output / name).read_bytes()
    last = json.loads((whole.output / "checkpoint/position.json").read_text("utf-8"))
    assert last["epoch"] > 0, "the run is meant to go over more than one window"


def test_the_last_checkpoints_are_kept(make: Make) -> None:
    work = make("run", with_steps(SETTINGS, 20, evaluations=5, keep_checkpoints=3))
    work.run()
    kept = sorted(folder.name for folder in work.output.glob("checkpoint*"))
    assert kept == ["checkpoint", "checkpoint-000000012", "checkpoint-000000016"]
    steps = [json.loads((work.output / name / "position.json").read_text("utf-8"))["step"] for name in kept]
    assert steps == [20, 12, 16]


def test_without_next_sentences_it_is_a_masked_language_model(make: Make) -> None:
    work = make("run", replace(SETTINGS, next_sentence=False))
    work.run()
    BertForMaskedLM.from_pretrained(work.output / "best")
    transformers.AutoModelForMaskedLM.from_pretrained(work.output / "best")
    assert "next_sentence_loss" not in records(work.output / "evaluations.jsonl")[0]


def test_what_comes_out_opens_in_transformers(make: Make) -> None:
    work = make("run")
    work.run()
    loaded: Any = transformers.BertForPreTraining.from_pretrained(work.output / "best", output_loading_info=True)
    model, report = loaded
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(work.output / "best")
    assert tokenizer("The food was good.")["input_ids"][0] == work.tokenizer.cls_id
    assert model.config.num_hidden_layers == 2


def test_nothing_held_out_is_learned_from(make: Make) -> None:
    task = make("run").prepare()
    documents = [_documents(shards) for shards in (task.shards, task.dev)]
    assert len(documents[1]) >= 2
    assert not documents[0] & documents[1]
    assert len(documents[0] | documents[1]) == 60


def _documents(shards: Any) -> set[bytes]:
    found = set()
    for shard in shards:
        sentences = np.append(shard.sentence_starts[shard.document_starts[:-1]], len(shard.ids))
        found |= {np.asarray(shard.ids[a:b]).tobytes() for a, b in pairwise(sentences)}
    return found


def test_a_vocabulary_is_learned_where_none_is_given(make: Make) -> None:
    settings = replace(with_steps(SETTINGS, 4), vocabulary=replace(SETTINGS.vocabulary, size=300))
    work = make("run", settings, vocabulary=None)
    work.run()
    pieces = work.tokenizer.backend.get_vocab()
    assert set(TOPICS) <= pieces.keys()
    assert pieces["[MASK]"] == 103


def test_what_the_network_sees_is_shown(make: Make) -> None:
    task = make("run").prepare()
    text = describe(task, 2)
    numbers = task.batches_in_epoch(0, 0)[0]
    for place, number in enumerate(numbers[:2], 1):
        hidden = task.hide(number, task.example(number))
        title = f"sequence {place}: {len(hidden.ids)} pieces, {len(hidden.positions)} to predict"
        assert title in text
    assert "[MASK]" in text
    assert "sequence 3" not in text


def test_other_data_or_settings_are_refused(make: Make, tmp_path: Path) -> None:
    make("run").run()
    with pytest.raises(TrainingError, match="holds a run already"):
        make("run").run()
    with pytest.raises(TrainingError, match="settings differ"):
        make("run", with_steps(SETTINGS, 20, seed=3)).run(resume=True)
    write_corpus(tmp_path, seed=2)
    with pytest.raises((TrainingError, DataError), match=r"another|other data"):
        make("run").run(resume=True)


def test_what_cannot_be_trained_is_said_before_anything_is_computed(make: Make, tmp_path: Path) -> None:
    network = replace(SETTINGS.network, max_position_embeddings=32)
    short = make("short", replace(SETTINGS, network=network, stages=(Stage(64, 2, 512),)))
    with pytest.raises(UsageError, match="64 pieces; the network reads 32"):
        short.run()
    unknown = make("splitter", replace(SETTINGS, corpus=replace(SETTINGS.corpus, splitter="magic")))
    with pytest.raises(UsageError, match="no splitter 'magic'"):
        unknown.run()
    (tmp_path / "corpus.txt").write_text("One. Two.\n\nThree. Four.\n\nOne. Two.\n", "utf-8")
    with pytest.raises(DataError, match="has 2 different documents; 4 are needed"):
        make("few").run()


def test_a_network_is_a_preset_with_changes() -> None:
    large = NetworkSettings("large").to_config(30522)
    assert large.parameter_count() == 335_141_888
    small = NetworkSettings("tiny", num_hidden_layers=3, dropout=0.0).to_config(500)
    assert (small.num_hidden_layers, small.hidden_size, small.vocab_size) == (3, 128, 500)
    assert small.hidden_dropout_prob == small.attention_probs_dropout_prob == 0.0
    with pytest.raises(TrainingError, match="preset must be tiny, transformer, base, large"):
        NetworkSettings("huge")
