"""A masked-LM loss beside a task's own: what is hidden, what is learned, and what is saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.training_fixtures import loss_of
from tests.transfer_fixtures import TRAINING, Prepare, Prepared, config

from polarbert.model import BertForMaskedLM, BertForSequenceClassification
from polarbert.text import WordPieceTokenizer
from polarbert.training.auxiliary import AuxiliaryLmTask
from polarbert.training.helped import Helped
from polarbert.training.loop import train
from polarbert.training.run import RunDirectory

pytest_plugins = ["tests.transfer_fixtures"]


@pytest.fixture
def prepared(prepare: Prepare) -> Prepared:
    found = prepare(auxiliary_lm=0.25)
    return Prepared(found.model.eval(), found.task, found.network)


def test_both_losses_are_those_of_their_formulas(prepared: Prepared) -> None:
    model, task, network = prepared
    numbers = task.batches_in_epoch(0, 0)[0]
    (part,) = task.prepare(numbers)
    losses = task.losses(model, part, [float(count) for count in part.counts])
    own = part.own
    logits = network(own.input_ids, own.attention_mask, own.token_type_ids).logits
    torch.testing.assert_close(losses["cross_entropy"], F.cross_entropy(logits, own.labels))

    language = BertForMaskedLM(network.config).eval()
    language.bert = network.bert
    language.cls["predictions"] = cast(Helped, model).helpers["masked_lm"]
    found = language(part.input_ids, own.attention_mask, own.token_type_ids, positions=part.positions).logits
    torch.testing.assert_close(losses["masked_lm"], 0.25 * F.cross_entropy(found, part.labels))


def test_the_hidden_pieces_are_the_texts_own(prepared: Prepared) -> None:
    task = prepared.task
    (part,) = task.prepare(task.batches_in_epoch(0, 0)[0])
    truth = part.own.input_ids.flatten()
    assert torch.equal(truth[part.positions], part.labels)
    changed = torch.nonzero(part.input_ids.flatten() != truth)[:, 0]
    assert set(changed.tolist()) <= set(part.positions.tolist())
    assert part.counts == (len(part.own.labels), len(part.labels))
    assert len(part.labels) >= len(part.own.labels)  # one of each text at least


def test_a_text_is_hidden_anew_in_each_pass_and_the_same_in_the_same(prepared: Prepared) -> None:
    task = prepared.task
    first, again = (task.prepare(task.batches_in_epoch(0, 0)[0])[0] for _ in range(2))
    assert torch.equal(first.input_ids, again.input_ids)
    stride = 2**32
    numbers = task.batches_in_epoch(0, 0)[0]
    (second,) = task.prepare([number + stride for number in numbers])
    assert torch.equal(first.own.input_ids, second.own.input_ids)
    assert not torch.equal(first.input_ids, second.input_ids)
    plan = task.batches_in_epoch(3, 0)
    assert sorted(number % stride for batch in plan for number in batch) == list(range(120))
    assert {number // stride for batch in plan for number in batch} == {3}


def test_the_head_of_a_base_that_has_one_is_taken(
    vocab: list[str], tokenizer: WordPieceTokenizer, prepare: Prepare, tmp_path: Path
) -> None:
    torch.manual_seed(8)
    language = BertForMaskedLM(config(vocab))
    language.save_pretrained(tmp_path)
    tokenizer.save(tmp_path)
    model = prepare(base=tmp_path, auxiliary_lm=0.1).model
    head = cast(Helped, model).helpers["masked_lm"]
    assert torch.equal(head.state_dict()["transform.dense.weight"], language.head.transform.dense.weight)


def test_it_learns_to_name_hidden_words_while_it_learns_the_task(
    prepare: Prepare, teacher: Path, tmp_path: Path
) -> None:
    training = replace(TRAINING, epochs=3, learning_rate=4e-3)
    model, task, network = prepare(training, rows=240, base=teacher, auxiliary_lm=0.5)
    summary = train(model, task, training, RunDirectory(tmp_path), quiet=True)
    numbers = task.batches_in_epoch(0, 0)[0]
    (part,) = task.prepare(numbers)
    totals = [float(count) for count in part.counts]
    with torch.inference_mode():
        after = task.losses(model.eval(), part, totals)["masked_lm"]
        before = task.losses(prepare(base=teacher, auxiliary_lm=0.5).model.eval(), part, totals)["masked_lm"]
    assert after < 0.7 * before
    assert summary["best_score"] > 0.8
    saved = BertForSequenceClassification.from_pretrained(tmp_path / "best")
    assert saved.state_dict().keys() == network.state_dict().keys()


def test_its_weight_is_part_of_what_a_run_is(prepare: Prepare) -> None:
    prints = {prepare(**options).task.fingerprint() for options in ({}, {"auxiliary_lm": 0.1}, {"auxiliary_lm": 0.2})}
    assert len(prints) == 3


def test_the_loop_adds_the_losses_up(prepared: Prepared) -> None:
    task = cast("AuxiliaryLmTask[Any]", prepared.task)
    numbers = task.batches_in_epoch(0, 0)[0]
    loss, tokens = loss_of(task, prepared.model, numbers)
    (part,) = task.prepare(numbers)
    totals = [float(count) for count in part.counts]
    losses = [loss.detach() for loss in task.losses(prepared.model, part, totals).values()]
    assert float(loss.detach()) == pytest.approx(float(sum(losses)))
    assert tokens == int(np.count_nonzero(part.own.input_ids.numpy()))
