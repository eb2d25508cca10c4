"""Transfer learning through `FineTuning`: what is set ends in a model that answers, or in an error at once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.finetune_fixtures import LABELS, QUICK, QUICK_TOML
from tests.scoring_fixtures import load

from polarbert.bundle import Bundle
from polarbert.data.dataset import Dataset
from polarbert.errors import TrainingError
from polarbert.inference.engine import WEIGHTS
from polarbert.model import BertForSequenceClassification
from polarbert.training import FineTuneResult, FineTuneSettings, FineTuning, TrainSettings
from polarbert.training.base import Base
from polarbert.training.config import read_settings
from polarbert.training.fitting import fit_classifier
from polarbert.training.transfer import TransferSettings

pytest_plugins = ["tests.finetune_fixtures"]


def finetune(reviews: Dataset, output: Path, base: Path, **options: Any) -> FineTuneResult:
    settings = replace(QUICK, transfer=TransferSettings(**options))
    return FineTuning(reviews, output, settings, base=base, quiet=True).run()


@pytest.fixture(scope="module")
def mixed(reviews: Dataset, small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> FineTuneResult:
    """A model that reads a mix of its layers, made once."""
    output = tmp_path_factory.mktemp("mixed") / "model"
    return finetune(reviews, output, small_base, layers="mix", layer_count=2, layer_decay=0.8, unfreeze=0.3)


def from_transformers(path: Path) -> Any:
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(path)


def test_a_mix_of_layers_becomes_a_bundle_that_answers(mixed: FineTuneResult) -> None:
    Bundle.open(mixed.path).verify()
    network = BertForSequenceClassification.from_pretrained(mixed.path)
    assert (network.config.layer_mix, network.config.layer_mix_count) == ("mix", 2)
    assert network.bert.mix is not None
    assert network.bert.mix.scores.abs().sum() > 0
    model = load(mixed.path)
    texts = mixed.test.texts
    answers = np.array([list(answer.probabilities.values()) for answer in model.predict(texts)])
    ids = [[model.tokenizer.cls_id, *p.ids, model.tokenizer.sep_id] for p in model.tokenizer.encode(texts)]
    with torch.inference_mode():
        own = np.array([network(torch.tensor([one])).logits[0].softmax(0).tolist() for one in ids])
    assert (answers.argmax(1) == own.argmax(1)).mean() > 0.9  # int8 may turn what is close


def test_transformers_refuses_a_mix_by_its_name(mixed: FineTuneResult) -> None:
    with pytest.raises(ValueError, match="bert-layer-mix"):
        from_transformers(mixed.path)


def test_its_settings_file_says_all_of_it(mixed: FineTuneResult) -> None:
    settings = read_settings(mixed.path / "training" / "settings.toml", FineTuneSettings)
    assert settings.transfer == TransferSettings(layers="mix", layer_count=2, layer_decay=0.8, unfreeze=0.3)


def test_a_mix_goes_on_as_a_frozen_base(mixed: FineTuneResult, reviews: Dataset, tmp_path: Path) -> None:
    made = finetune(reviews, tmp_path / "again", mixed.path, layers="mix", layer_count=2, frozen=True)
    before, after = (BertForSequenceClassification.from_pretrained(one.path).bert for one in (mixed, made))
    for part in ("embeddings", "layers"):
        mine, theirs = (getattr(one, part).state_dict() for one in (before, after))
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())
    assert before.mix is not None
    assert after.mix is not None
    assert not torch.equal(before.mix.scores, after.mix.scores)


def test_the_card_of_a_mix_does_not_promise_what_transformers_refuses(mixed: FineTuneResult) -> None:
    card = (mixed.path / "README.md").read_text("utf-8")
    assert "library_name: polarbert" in card
    assert "`transformers` does not open the weights" in card


def test_over_a_frozen_encoder_the_rate_suits_a_new_layer_whatever_follows_the_data(
    reviews: Dataset, small_base: Path, tmp_path: Path
) -> None:
    usual = replace(QUICK.training, learning_rate=TrainSettings.learning_rate)
    held = replace(QUICK, training=usual, adapt=False, transfer=TransferSettings(frozen=True))
    for name, settings in (("held", held), ("trial", replace(held, adapt=True, trial=True))):
        made = FineTuning(reviews, tmp_path / name, replace(settings, trial=True), base=small_base, quiet=True).run()
        used = read_settings(made.path / "training" / "settings.toml", FineTuneSettings)
        assert used.training.learning_rate == 1e-3
        assert used.adapt == settings.adapt


def test_rows_too_few_to_divide_are_learned_from_with_the_same_settings(
    reviews: Dataset, small_base: Path, tmp_path: Path
) -> None:
    few = replace(reviews, rows=reviews.rows[:12])
    settings = replace(QUICK, transfer=TransferSettings(frozen=True, layers="mix", layer_count=2))
    fit_classifier(few, tmp_path, settings, {}, base=small_base)
    made, base = BertForSequenceClassification.from_pretrained(tmp_path), Base.open(small_base)
    assert (made.config.layer_mix, made.config.layer_mix_count) == ("mix", 2)
    start = BertForSequenceClassification.from_encoder(base.path, LABELS)
    for name, tensor in start.bert.layers.state_dict().items():
        assert torch.equal(tensor, made.bert.layers.state_dict()[name])
    with pytest.raises(TrainingError, match="keep_layers is 3"):
        fit_classifier(few, tmp_path, replace(QUICK, transfer=TransferSettings(keep_layers=3)), {}, base=small_base)


def test_a_student_of_a_bundle_is_what_transformers_opens(
    mixed: FineTuneResult, reviews: Dataset, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"teacher": str(mixed.path), "hidden_weight": 0.5, "keep_layers": 1, "auxiliary_lm": 0.1}
    made = finetune(reviews, tmp_path / "student", mixed.path, **options)
    opened = from_transformers(made.path)
    assert opened.config.num_hidden_layers == 1
    assert opened.config.id2label == dict(enumerate(LABELS))
    recorded = json.loads((made.path / "training" / "settings.json").read_text("utf-8"))
    assert recorded["keep_layers"] == 1
    assert recorded["teacher"] == Bundle.open(mixed.path).fingerprint(WEIGHTS)


def test_a_file_has_a_table_for_it(tmp_path: Path) -> None:
    file = tmp_path / "quick.toml"
    file.write_text(QUICK_TOML + '\n[transfer]\nlayers = "mix"\nlayer_count = 3\n', "utf-8")
    assert read_settings(file, FineTuneSettings).transfer == TransferSettings(layers="mix", layer_count=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": "mix", "layer_count": 4}, "layer_count is 4; the network has 2 layers and the embeddings"),
        ({"keep_layers": 3}, "keep_layers is 3; the base has 2 layers"),
    ],
)
def test_what_cannot_be_done_leaves_nothing_behind(
    reviews: Dataset, small_base: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        finetune(reviews, tmp_path / "model", small_base, **options)
    assert not (tmp_path / "model").exists()
