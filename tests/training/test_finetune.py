"""From labelled texts to a bundle: what comes out, what it depends on, and what it does not."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tests.finetune_fixtures import LABELS, QUICK, bundle_files
from tests.scoring_fixtures import load, sentences

from polarbert.bundle import Bundle
from polarbert.calibration import Calibration
from polarbert.data.dataset import Dataset, LabelledText, read_labelled
from polarbert.data.splits import Splits, given_splits, random_splits
from polarbert.errors import BundleError, DataError, TrainingError, UsageError, WeightsError
from polarbert.inference.predictors import make_predictor
from polarbert.metrics import accuracy, macro_f1
from polarbert.model import BertConfig, BertEncoder, BertForSequenceClassification
from polarbert.text import WordPieceTokenizer
from polarbert.training import FineTuneResult, FineTuneSettings, FineTuning, TrainSettings
from polarbert.training.card import CardFacts, model_card
from polarbert.training.confidence import fit_calibration
from polarbert.training.config import read_settings
from polarbert.training.recipe import check_settings
from polarbert.training.transfer import TransferSettings

pytest_plugins = ["tests.finetune_fixtures"]

KEPT = {"environment.json", "evaluations.jsonl", "log.jsonl", "settings.json", "settings.toml", "splits.json"}


@pytest.fixture(scope="module")
def notes() -> list[str]:
    return []


@pytest.fixture(scope="module")
def made(
    reviews: Dataset, small_base: Path, tmp_path_factory: pytest.TempPathFactory, notes: list[str]
) -> FineTuneResult:
    """A model of the small file, made once."""
    output = tmp_path_factory.mktemp("made") / "model"
    return FineTuning(reviews, output, QUICK, base=small_base, note=notes.append, quiet=True).run()


Make = Callable[..., FineTuneResult]


@pytest.fixture
def make(reviews: Dataset, small_base: Path, tmp_path: Path) -> Make:
    """Makes another one, with changes."""

    def run(name: str = "again", dataset: Dataset = reviews, resume: bool = False, **changes: Any) -> FineTuneResult:
        asked: dict[str, Any] = {"settings": QUICK, "base": small_base, "quiet": True} | changes
        return FineTuning(dataset, tmp_path / name, **asked).run(resume)

    return run


def test_what_is_made_is_a_bundle_that_knows_its_labels(made: FineTuneResult) -> None:
    bundle = Bundle.open(made.path)
    bundle.verify()
    assert (bundle.task, bundle.labels) == ("sentiment", LABELS)
    assert bundle.provenance["base"] == "small"
    assert bundle.provenance["data"] == "reviews.csv"
    texts, labels = zip(*sentences(60, 77), strict=True)
    answers = [answer.label for answer in load(made.path).predict(texts)]
    assert accuracy([LABELS.index(a) for a in answers], [LABELS.index(b) for b in labels]) > 0.6


def test_transformers_opens_it_and_computes_the_same(made: FineTuneResult) -> None:
    from transformers import pipeline

    classify: Any = pipeline("text-classification", model=str(made.path), device="cpu", top_k=None)
    text = "the app is really great"
    theirs = {answer["label"]: answer["score"] for answer in classify([text])[0]}
    model = BertForSequenceClassification.from_pretrained(made.path)
    tokenizer = WordPieceTokenizer.from_directory(made.path)
    ids = [tokenizer.cls_id, *tokenizer.encode([text])[0].ids, tokenizer.sep_id]
    ours = model(torch.tensor([ids])).logits[0].softmax(0).tolist()
    assert theirs == pytest.approx(dict(zip(LABELS, ours, strict=True)), abs=1e-5)


def test_the_parts_are_saved_and_hold_every_row_once(made: FineTuneResult, reviews: Dataset) -> None:
    saved = Splits.load(made.path / "training" / "splits.json", reviews)
    for part in ("train", "dev", "test"):
        np.testing.assert_array_equal(getattr(saved, part), getattr(made.splits, part))
    together = np.concatenate([saved.train, saved.dev, saved.test])
    assert sorted(together) == list(range(len(reviews.rows)))


def test_the_test_part_is_answered_by_the_bundle_and_judged(made: FineTuneResult, reviews: Dataset) -> None:
    rows = [reviews.rows[position] for position in made.splits.test]
    assert made.test.rows == rows
    assert made.predictions == load(made.path).predict([row.text for row in rows])
    truth = [row.label for row in rows]
    guess = [LABELS.index(answer.label) for answer in made.predictions]
    assert made.evaluation is not None
    assert made.evaluation.accuracy.value == pytest.approx(accuracy(truth, guess))
    assert made.evaluation.macro_f1.value == pytest.approx(macro_f1(truth, guess, 3))


def test_the_calibration_is_that_of_the_graph_on_the_dev_part(made: FineTuneResult, reviews: Dataset) -> None:
    bundle = Bundle.open(made.path)
    raw = make_predictor(replace(bundle, calibration=Calibration()), 1, "onnxruntime")
    rows = [reviews.rows[position] for position in made.splits.dev]
    answers = raw.answer([(row.text, None) for row in rows])
    chances = np.array([list(answer.probabilities.values()) for answer in answers])
    expected = fit_calibration(chances, np.array([row.label for row in rows]), 0.95)
    assert made.calibration == bundle.calibration == expected
    assert expected != Calibration()


def test_small_data_are_proved_in_int8_on_training_texts_and_ours(made: FineTuneResult) -> None:
    assert made.export["precision"] == "int8"
    assert made.export["int8"]["texts"] >= 1000
    assert set(made.export["int8"]["sets"]) == {"dev"}
    assert made.export["int8"]["sets"]["dev"]["texts"] == len(made.splits.dev)


def test_the_dev_figures_are_those_of_the_best_step(made: FineTuneResult) -> None:
    run = made.path / "training"
    records = [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]
    best = max(records, key=lambda record: record["score"])
    assert made.dev == {name: value for name, value in best.items() if name != "step"}


def test_only_what_is_of_use_stays_beside_the_bundle(made: FineTuneResult) -> None:
    assert {file.name for file in (made.path / "training").iterdir()} == KEPT | {"summary.json"}
    names = {file.name for file in made.path.iterdir()} - {"training", "polarbert.json"}
    assert names == set(Bundle.open(made.path).checksums)


def test_the_notes_say_what_happens(made: FineTuneResult, notes: list[str]) -> None:
    said = "\n".join(notes)
    for words in (
        "train: 3",
        "dev: ",
        "base: small (2 layers, hidden size 32), on cpu in fp32, 1 thread",
        "best on the",
    ):
        assert words in said
    assert f"temperature {made.calibration.temperature:.2f}" in said


def test_the_same_again_gives_the_same_bytes_and_another_seed_others(made: FineTuneResult, make: Make) -> None:
    assert bundle_files(make("model").path) == bundle_files(made.path)
    other = make("other", settings=replace(QUICK, training=replace(QUICK.training, seed=2)))
    assert bundle_files(other.path)["model.safetensors"] != bundle_files(made.path)["model.safetensors"]


def test_no_bundle_file_holds_a_date_or_a_place(made: FineTuneResult) -> None:
    files = bundle_files(made.path)
    for name in ("README.md", "polarbert.json", "export.json", "config.json"):
        text = files[name].decode("utf-8")
        assert str(made.path.parent) not in text
        assert "20" + "26-" not in text


def test_the_settings_file_makes_the_same_run_again(made: FineTuneResult, make: Make) -> None:
    settings = read_settings(made.path / "training" / "settings.toml", FineTuneSettings)
    assert (settings.device, settings.training.precision, settings.training.threads) == ("cpu", "fp32", 1)
    assert not settings.adapt
    assert bundle_files(make("model", settings=settings).path) == bundle_files(made.path)


def test_the_saved_parts_make_the_same_weights_again(made: FineTuneResult, make: Make, reviews: Dataset) -> None:
    splits = Splits.load(made.path / "training" / "splits.json", reviews)
    weights = bundle_files(make("again", splits=splits).path)["model.safetensors"]
    assert weights == bundle_files(made.path)["model.safetensors"]


def test_the_labels_of_the_test_part_change_nothing_but_the_figures(
    made: FineTuneResult, make: Make, reviews: Dataset
) -> None:
    turned = set(made.splits.test.tolist())
    rows = [replace(r, label=(r.label + 1) % 3) if n in turned else r for n, r in enumerate(reviews.rows)]
    other = make("other", replace(reviews, rows=rows), splits=made.splits)
    assert other.calibration == made.calibration
    mine, theirs = bundle_files(other.path), bundle_files(made.path)
    assert mine["model.safetensors"] == theirs["model.safetensors"]
    assert mine["model.int8.onnx"] == theirs["model.int8.onnx"]
    assert made.evaluation is not None
    assert other.evaluation is not None
    assert other.evaluation.accuracy.value < made.evaluation.accuracy.value


def test_the_card_says_what_went_in_and_what_came_out(made: FineTuneResult) -> None:
    _, header, text = (made.path / "README.md").read_text("utf-8").split("---\n", 2)
    about = yaml.safe_load(header)
    assert about["pipeline_tag"] == "text-classification"
    result = about["model-index"][0]["results"][0]
    assert made.evaluation is not None
    assert result["metrics"][0]["value"] == pytest.approx(made.evaluation.accuracy.value, abs=1e-4)
    for words in (
        "## Use it",
        "## Limits",
        "reviews.csv",
        "| train |",
        "| test |",
        "Seed 1",
        "negative, neutral or positive",
    ):
        assert words in text
    assert f"Temperature {made.calibration.temperature}" in text
    assert "trial" not in text


def test_the_hub_reads_the_header_of_the_card(made: FineTuneResult) -> None:
    from huggingface_hub import ModelCard

    data = ModelCard.load(made.path / "README.md").data
    assert data.library_name == "transformers"
    assert [result.metric_type for result in data.eval_results or []] == ["accuracy", "f1", "recall"]


def test_the_card_of_a_regression_of_pairs_asks_for_two_texts(tmp_path: Path) -> None:
    facts = CardFacts(
        bundle=Bundle(tmp_path, "regression", ["likeness"], "model.onnx", "float32", traits=("pairs",)),
        settings=FineTuneSettings(),
        data="pairs.csv",
        rows={"train": {"likeness": 30}, "dev": {"likeness": 3}, "test": {}},
        notes=[],
        base=("small", None),
        longest=64,
        reading=["2 long texts are cut to their head and tail"],
        unit="pairs",
        run={"step": 10, "tokens": 500, "best_step": 5},
        versions={},
        measure="mean of Pearson and Spearman",
        dev={"Pearson": 0.5},
        evaluation=None,
        export={"int8": {"flips": 0.0, "texts": 33, "problems": ["33 texts are too few"]}},
    )
    card = model_card(facts)
    assert "Gives pairs of texts a number: likeness." in card
    assert 'predict --model THIS_DIRECTORY "A text" --pair "Another"' in card
    assert "--text-column FIRST --pair-column SECOND" in card
    assert "At most 64 word pieces were read at once, also of what chose the model: 2 long texts are cut" in card


@pytest.mark.parametrize(
    ("task", "settings", "name"),
    [
        ("tagging", FineTuneSettings(class_weights=True), "class_weights"),
        ("qa", FineTuneSettings(select_by="matthews"), "select_by"),
        ("regression", FineTuneSettings(labels={"1": "bad"}), "labels"),
        ("regression", FineTuneSettings(target_accuracy=0.9), "target_accuracy"),
        ("pair", FineTuneSettings(class_weights=True, select_by="matthews", labels={"1": "bad"}), ""),
        ("tagging", FineTuneSettings(target_accuracy=0.9), ""),
    ],
)
def test_a_setting_that_means_nothing_to_the_task_is_refused(task: str, settings: FineTuneSettings, name: str) -> None:
    dataset = Dataset("some", [LabelledText("text", 0, 1)], ["a", "b"], task)
    with pytest.raises(TrainingError, match=f"settings: {name} is for") if name else nullcontext():
        check_settings(settings, dataset)


def test_leaks_of_given_parts_are_told_and_stay_on_the_card(make: Make) -> None:
    rows = [LabelledText(text, LABELS.index(label), n) for n, (text, label) in enumerate(sentences(150, 8), start=1)]
    rows += [replace(row, row=150 + row.row) for row in rows[:100]]
    dataset = Dataset("repeats.csv", rows, LABELS, "sentiment")
    notes: list[str] = []
    leaky = random_splits(dataset, seed=3)
    assert len({dataset.texts[n] for n in leaky.train} & {dataset.texts[n] for n in leaky.test}) > 5
    result = make("leaky", dataset, splits=leaky, note=notes.append)
    told = [note for note in notes if note.startswith("test: ") and "stand in train too" in note]
    assert len(told) == 1
    assert told[0] in (result.path / "README.md").read_text("utf-8")


def test_parts_without_a_test_part_give_a_model_without_a_judgement(make: Make, reviews: Dataset) -> None:
    names = ["train" if number % 5 else "dev" for number in range(len(reviews.rows))]
    result = make("unjudged", splits=given_splits(reviews, names))
    assert result.evaluation is None
    assert result.predictions == []
    assert load(result.path).predict(["so great"])[0].label in LABELS
    assert "There was no test part" in (result.path / "README.md").read_text("utf-8")


def test_a_trial_does_every_step_on_a_few_rows_and_says_so(make: Make) -> None:
    notes: list[str] = []
    result = make("trial", settings=replace(QUICK, trial=True), note=notes.append)
    assert len(result.predictions) == len(result.splits.test) < 64
    summary = json.loads((result.path / "training" / "summary.json").read_text())
    assert summary["tokens"] < 1500
    assert "trial" in Bundle.open(result.path).provenance
    assert "**A trial, not a model.**" in (result.path / "README.md").read_text("utf-8")
    assert any("this is a trial" in note for note in notes)


def test_class_weights_reach_the_loss(made: FineTuneResult, make: Make, reviews: Dataset) -> None:
    rare = [row for row in reviews.rows if row.label or row.row % 4 == 0]
    plain, weighted = (
        make(str(weights), replace(reviews, rows=rare), settings=replace(QUICK, class_weights=weights))
        for weights in (False, True)
    )
    assert bundle_files(plain.path)["model.safetensors"] != bundle_files(weighted.path)["model.safetensors"]
    found = [sum(answer.label == "negative" for answer in result.predictions) for result in (plain, weighted)]
    assert found[1] >= found[0]


def test_small_data_and_a_narrow_base_are_adapted_to(make: Make) -> None:
    usual = TrainSettings()
    asked = replace(QUICK.training, epochs=usual.epochs, batch_tokens=usual.batch_tokens, evaluations=30, patience=1)
    result = make("adapted", settings=FineTuneSettings(training=asked))
    used = read_settings(result.path / "training" / "settings.toml", FineTuneSettings)
    assert used.training.batch_tokens == 256
    assert used.training.epochs > 10
    assert used.training.learning_rate == asked.learning_rate, "what was set stays"


def test_dropout_is_what_the_settings_say_and_else_the_base_s_own(make: Make) -> None:
    bundles = {}
    for name, dropout in (("own", None), ("same", 0.1), ("none", 0.0)):
        result = make(f"dropout-{name}", settings=replace(QUICK, transfer=TransferSettings(dropout=dropout)))
        bundles[name] = bundle_files(result.path)["model.safetensors"]
    assert bundles["own"] == bundles["same"] != bundles["none"]
    assert json.loads((result.path / "config.json").read_text("utf-8"))["hidden_dropout_prob"] == 0.1


def test_more_threads_than_processors_are_told(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polarbert.training.finetune.usable_threads", lambda: 1)
    notes: list[str] = []
    settings = replace(QUICK, trial=True, training=replace(QUICK.training, threads=2))
    make("threads", settings=settings, note=notes.append)
    assert "2 threads where 1 may run at once: so many make it slower" in notes


def test_the_settings_of_a_trial_are_left_for_the_whole_data_to_decide(make: Make) -> None:
    result = make("trial", settings=FineTuneSettings(trial=True, training=TrainSettings(precision="fp32", threads=1)))
    settings = read_settings(result.path / "training" / "settings.toml", FineTuneSettings)
    assert settings.adapt
    assert settings.training.epochs == TrainSettings().epochs


def test_a_bundle_is_a_base(made: FineTuneResult, make: Make) -> None:
    result = make("further", base=made.path)
    assert Bundle.open(result.path).provenance["base"] == "model"
    start = BertForSequenceClassification.from_pretrained(made.path)
    end = BertForSequenceClassification.from_pretrained(result.path)
    moved = (start.bert.embeddings.word.weight - end.bert.embeddings.word.weight).abs().max()
    assert 0 < float(moved.detach()) < 0.3, "the encoder was kept, not made anew"


@pytest.fixture
def cased_base(vocab: list[str], tmp_path: Path) -> Path:
    """A cased encoder in the old layout: vocab.txt, no tokenizer.json."""
    folder = tmp_path / "cased"
    torch.manual_seed(3)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "max_position_embeddings": 64}
    BertEncoder(BertConfig.tiny(vocab_size=len(vocab), initializer_range=0.05, **sizes)).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocab) + "\n", "utf-8")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    return folder


def test_a_cased_base_in_the_old_layout_stays_cased(make: Make, cased_base: Path) -> None:
    from transformers import BertTokenizer

    result = make(base=cased_base)
    texts = ["The app was Great in Berlin", "the app was great", "Anna loved it"]
    theirs = BertTokenizer(str(cased_base / "vocab.txt"), do_lower_case=False)
    tokenizer = WordPieceTokenizer.from_directory(result.path)
    for text, pieces in zip(texts, tokenizer.encode(texts), strict=True):
        assert [tokenizer.cls_id, *pieces.ids, tokenizer.sep_id] == theirs(text)["input_ids"]
    assert tokenizer.encode(["Great"]) != tokenizer.encode(["great"])
    assert load(result.path).predict(texts)[0].label in LABELS


def without_tensor(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    save_file({name: t for name, t in tensors.items() if "LayerNorm" not in name}, folder / "model.safetensors")


def of_another_kind(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "roberta"}))


def with_another_vocabulary(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 99}))


def as_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (without_tensor, WeightsError, "has no tensor 'embeddings.LayerNorm.weight'"),
        (of_another_kind, BundleError, "model_type is 'roberta'; only 'bert' can be loaded"),
        (with_another_vocabulary, BundleError, "pieces, the network 99; they are not of the same model"),
        (as_pickle, BundleError, "a pickle file can run code"),
        (shutil.rmtree, BundleError, "no such model directory"),
    ],
)
def test_a_base_that_cannot_be_used_is_named_and_leaves_nothing_behind(
    make: Make, small_base: Path, tmp_path: Path, spoil: Callable[[Path], None], error: type[Exception], words: str
) -> None:
    base = Path(shutil.copytree(small_base, tmp_path / "base"))
    spoil(base)
    with pytest.raises(error) as raised:
        make("none", base=base)
    assert words in str(raised.value)
    assert not (tmp_path / "none").exists()


def test_a_place_that_holds_something_else_is_left_alone(make: Make, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"taken: is not empty, and what is in it is no training run"):
        make("taken")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file: is a file; name a folder"):
        make("file")
    assert [file.name for file in (tmp_path / "taken").iterdir()] == ["thesis.txt"]


def test_a_finished_run_is_only_read_again(made: FineTuneResult, make: Make, tmp_path: Path) -> None:
    shutil.copytree(made.path, tmp_path / "model")
    before = bundle_files(made.path)
    with pytest.raises(TrainingError, match="holds a finished run already; name a new folder"):
        make("model")
    notes: list[str] = []
    again = make("model", resume=True, note=notes.append)
    assert notes == [f"{tmp_path / 'model'}: was finished before; nothing is left to do"]
    assert bundle_files(again.path) == before
    assert (again.dev, again.calibration, again.predictions) == (made.dev, made.calibration, made.predictions)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("seed", r"settings differ: seed \(was 1, now 2\)"),
        ("data", "cannot resume, the run began with other data. Give the same again"),
        ("base", "cannot resume, the run began with another base"),
        ("splits", "cannot resume, the run began with other splits"),
    ],
)
def test_resuming_with_anything_else_is_refused(
    made: FineTuneResult,
    make: Make,
    reviews: Dataset,
    cased_base: Path,
    tmp_path: Path,
    change: str,
    words: str,
) -> None:
    shutil.copytree(made.path, tmp_path / "model")
    changed = [replace(reviews.rows[0], label=(reviews.rows[0].label + 1) % 3), *reviews.rows[1:]]
    changes: dict[str, dict[str, Any]] = {
        "seed": {"settings": replace(QUICK, training=replace(QUICK.training, seed=2))},
        "data": {"dataset": replace(reviews, rows=changed)},
        "base": {"base": cased_base},
        "splits": {"splits": random_splits(reviews)},
    }
    before = bundle_files(made.path)
    with pytest.raises(TrainingError, match=words):
        make("model", resume=True, **changes[change])
    assert bundle_files(tmp_path / "model") == before


def test_another_build_of_torch_is_told_when_a_run_goes_on(made: FineTuneResult, make: Make, tmp_path: Path) -> None:
    shutil.copytree(made.path, tmp_path / "model")
    file = tmp_path / "model" / "training" / "environment.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"torch": "2.0.0"}))
    notes: list[str] = []
    make("model", resume=True, note=notes.append)
    assert any("begun with torch 2.0.0, and goes on with" in note for note in notes)


def labelled(*labels: int) -> Dataset:
    rows = [LabelledText(f"text number {number} of {label}", label, number) for number, label in enumerate(labels, 1)]
    return Dataset("few.csv", rows, ["no", "yes"], "classification", {"the label is empty": 3})


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (labelled(0, 1), r"few.csv: 2 usable rows \(left out: the label is empty: 3\) are too few to learn from"),
        (labelled(*[1] * 40), r"few.csv: every row is 'yes'.*needs texts of two or more classes"),
    ],
)
def test_too_little_to_learn_from_is_said_before_anything_is_made(
    make: Make, tmp_path: Path, dataset: Dataset, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        make("few", dataset)
    assert not (tmp_path / "few").exists()


def test_parts_that_cannot_train_are_refused(make: Make) -> None:
    dataset = labelled(*[0, 1] * 20)
    one_class = given_splits(dataset, ["train" if row.label else "dev" for row in dataset.rows])
    with pytest.raises(DataError, match=r"few.csv: every row to learn from is 'yes'"):
        make("parts", dataset, splits=one_class)
    no_dev = replace(one_class, train=np.arange(40), dev=np.array([], dtype=np.int64))
    with pytest.raises(DataError, match=r"few.csv: there is no text in the dev part"):
        make("parts", dataset, splits=no_dev)


@pytest.mark.parametrize(("train", "dev", "test"), [(12, 4, 3), (2, 1, 1)])
def test_given_parts_may_be_tiny_and_it_is_told(make: Make, train: int, dev: int, test: int) -> None:
    rows = [LabelledText(text, LABELS.index(label), n) for n, (text, label) in enumerate(sentences(19, 12), start=1)]
    dataset = Dataset("few.csv", rows[: train + dev + test], LABELS, "sentiment")
    splits = given_splits(dataset, ["train"] * train + ["dev"] * dev + ["test"] * test)
    notes: list[str] = []
    result = make("tiny", dataset, splits=splits, note=notes.append)
    so_few = "4 texts are" if dev > 1 else "1 text is"
    [told] = [note for note in notes if note.startswith(f"{so_few} in the dev part")]
    assert told in (result.path / "README.md").read_text("utf-8")
    assert result.evaluation is not None
    assert result.evaluation.n == test
    assert load(result.path).predict(["so great"])[0].label in LABELS


def test_all_three_given_parts_are_checked_for_leaks(make: Make, reviews: Dataset) -> None:
    rows = [*reviews.rows, *reviews.rows[-6:]]
    names = ["train"] * (len(rows) - 16) + ["dev"] * 10 + ["test"] * 6
    dataset = replace(reviews, rows=rows)
    notes: list[str] = []
    settings = replace(QUICK, trial=True)
    make("leaky", dataset, splits=given_splits(dataset, names), settings=settings, note=notes.append)
    told = [note for note in notes if note.startswith(("dev: ", "test: ")) and "stand" in note]
    assert [note.split(" (")[0] for note in told] == [
        "dev: none of 10 texts stands in train",
        "test: none of 6 texts stands in train",
        "test: 6 of 6 texts stand in dev too",
    ]


def test_a_file_with_an_odd_name_is_no_obstacle(make: Make, reviews: Dataset) -> None:
    odd = replace(reviews, name=os.fsdecode(b"/data/caf\xe9\nreviews.csv"))
    result = make("odd", odd, settings=replace(QUICK, trial=True))
    assert Bundle.open(result.path).provenance["data"] == "caf? reviews.csv"
    assert "caf? reviews.csv, in texts:" in (result.path / "README.md").read_text("utf-8")


def test_a_class_without_a_text_to_learn_from_is_told(make: Make, reviews: Dataset) -> None:
    names = ["test" if row.label == 1 else ("dev" if row.row % 4 == 0 else "train") for row in reviews.rows]
    notes: list[str] = []
    result = make("missing", splits=given_splits(reviews, names), note=notes.append)
    assert "no text to learn from is 'neutral': the model will not answer it" in notes
    assert result.evaluation is not None
    assert result.evaluation.accuracy.value < 0.5


def test_stars_become_sentiment(small_base: Path, tmp_path: Path) -> None:
    stars = {"negative": "12", "neutral": "3", "positive": "45"}
    lines = [f"{text},{stars[label][n % len(stars[label])]}" for n, (text, label) in enumerate(sentences(150, 6))]
    (tmp_path / "stars.csv").write_text("review,stars\n" + "\n".join(lines) + "\n")
    dataset = read_labelled(tmp_path / "stars.csv", "review", "stars")
    result = FineTuning(dataset, tmp_path / "stars", QUICK, base=small_base, quiet=True).run()
    assert Bundle.open(result.path).labels == LABELS
    assert "the labels are stars" in (result.path / "README.md").read_text("utf-8")
