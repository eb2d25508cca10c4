"""Every kind of task goes through the same commands: train, evaluate, predict, score, export."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tests.finetune_fixtures import QUICK_TOML, Attempt, Attempts
from tests.scoring_fixtures import Outcome, sentences

import polarbert
from polarbert.bundle import Bundle

pytest_plugins = ["tests.finetune_fixtures", "tests.scoring_fixtures"]

Command = Callable[..., Outcome]
ROWS = 300
VALUES = {"negative": 10.0, "neutral": 50.0, "positive": 90.0}  # far from 0 and 1, where new networks answer


def write(file: Path, header: list[str], rows: Iterable[Iterable[object]]) -> Path:
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows([header, *rows])
    return file


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the settings and a file of each kind."""
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "quick.toml").write_text(QUICK_TOML.replace("epochs = 5", "epochs = 12"))
    found, others = sentences(ROWS, 6), sentences(2 * ROWS, 6)[ROWS:]  # no text stands in two pairs
    pairs = [(one, two, "same" if a == b else "other") for (one, a), (two, b) in zip(found, others, strict=True)]
    write(folder / "pairs.csv", ["first", "second", "label"], pairs)
    write(folder / "rated.csv", ["text", "percent"], [(text, VALUES[label]) for text, label in found])
    return folder


Train = Callable[..., Path]


@pytest.fixture(scope="module")
def train(room: Path, small_base: Path, attempt: Attempts) -> Train:
    """Trains a model in a process of its own, once for each name."""

    def run(name: str, *arguments: str | Path) -> Path:
        output = room / name
        if not output.is_dir():
            base = ["--base", str(small_base), "--config", str(room / "quick.toml")]
            [ended] = attempt(Attempt(["train", *map(str, arguments), *base, "-o", str(output)]))
            assert ended.code == 0, ended.err
            (room / f"{name}.out").write_text(ended.out)
        return output

    return run


@pytest.fixture(scope="module")
def rated(train: Train, room: Path) -> Path:
    """A model that gives texts a number."""
    return train("rating-model", room / "rated.csv", "--task", "regression", "-l", "percent")


@pytest.fixture(scope="module")
def paired(train: Train, room: Path) -> Path:
    """A model that sorts pairs."""
    return train("pair-model", room / "pairs.csv", "--task", "pair", "-c", "first", "--pair-column", "second")


def test_a_regression_answers_in_the_units_of_its_labels(rated: Path) -> None:
    model = polarbert.load(rated)
    assert isinstance(model, polarbert.Regressor)
    assert model.labels == ["percent"]
    low, high = (answer.value for answer in model.predict(["the app was really awful", "the app was really great"]))
    assert 0 < low < 35
    assert 65 < high < 100


def test_its_figures_are_correlations(rated: Path, room: Path, command: Command) -> None:
    figures = json.loads((rated / "evaluation.json").read_text("utf-8"))
    assert figures["pearson"]["value"] > 0.8
    assert figures["mean_error"]["value"] < figures["always_mean"]
    outcome = command("evaluate", rated, room / "rated.csv", "-l", "percent", "--json")
    found = json.loads(outcome.out)
    assert (outcome.code, found["n"]) == (0, ROWS)
    assert found["spearman"]["low"] <= found["spearman"]["value"] <= found["spearman"]["high"]
    assert "Pearson" in (room / "rating-model.out").read_text("utf-8")


def test_scoring_adds_its_value(rated: Path, room: Path, tmp_path: Path, command: Command) -> None:
    outcome = command("score", room / "rated.csv", "-o", tmp_path / "out.csv", "-m", rated)
    assert outcome.code == 0, outcome.err
    rows = list(csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8", newline="")))
    assert list(rows[0]) == ["text", "percent", "value", "n_tokens", "n_windows", "error"]
    answers = polarbert.load(rated).predict([row["text"] for row in rows])
    assert [float(row["value"]) for row in rows] == [answer.value for answer in answers]


def test_predict_prints_the_number(rated: Path, command: Command) -> None:
    outcome = command("predict", "-m", rated, "the app was really great")
    number, text = outcome.out.strip().split(maxsplit=1)
    assert float(number) > 65
    assert text == "the app was really great"
    said = json.loads(command("predict", "-m", rated, "the app was really great", "--json").out)
    assert f"{said['value']:.3f}" == number


def test_a_pair_is_judged_by_both_texts(paired: Path, command: Command) -> None:
    model = polarbert.load(paired)
    assert (model.bundle.task, sorted(model.labels)) == ("pair", ["other", "same"])
    one, two = model.predict(["the app was great"] * 2, pairs=["my book was awful", "the film was lovely"])
    assert one.probabilities != two.probabilities
    outcome = command("predict", "-m", paired, "the app was great", "so bad", "--pair", "my book was awful", "--json")
    said = [json.loads(line)["probabilities"] for line in outcome.out.splitlines()]
    assert said[0] == one.probabilities
    assert [json.loads(line)["pair"] for line in outcome.out.splitlines()] == ["my book was awful"] * 2
    shown = command("predict", "-m", paired, "the app was great", "--pair", "my book was awful").out
    assert shown.rstrip().endswith("the app was great | my book was awful")


def test_pairs_are_scored_and_evaluated_by_two_columns(
    paired: Path, room: Path, tmp_path: Path, command: Command
) -> None:
    columns = ["-c", "first", "--pair-column", "second"]
    asked = ["-o", tmp_path / "out.csv", "-m", paired, "--prefix", "model_", *columns]
    outcome = command("score", room / "pairs.csv", *asked)
    assert outcome.code == 0, outcome.err
    rows = list(csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8", newline="")))
    figures = json.loads(command("evaluate", paired, room / "pairs.csv", *columns, "--json").out)
    right = sum(row["label"] == row["model_label"] for row in rows)
    assert figures["accuracy"]["value"] == pytest.approx(right / ROWS, abs=1e-6)


def test_a_row_without_its_second_text_gets_an_error_and_the_others_their_answers(
    paired: Path, tmp_path: Path, command: Command
) -> None:
    data = tmp_path / "in.jsonl"
    data.write_text('{"text": "so bad", "text_pair": "so good"}\n{"text": "so bad"}\n', "utf-8")
    outcome = command("score", data, "-o", tmp_path / "out.jsonl", "-m", paired)
    first, second = map(json.loads, (tmp_path / "out.jsonl").read_text("utf-8").splitlines())
    assert outcome.code == 0, outcome.err
    assert first["label"] in ("same", "other")
    assert second["error"] == "the column 'text_pair' has no text that can be read"
    assert second.get("label") is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predict", "-m", "pair-model", "one"], "reads two texts; give the second one with --pair"),
        (["predict", "-m", "pair-model", "one", "--context", "two"], "--context: this is a model for pair"),
        (["predict", "-m", "pair-model", *"abc", "--pair", "d", "--pair", "e"], "there are 3 texts and 2 second"),
        (["predict", "-m", "rating-model", "one", "--pair", "two"], "--pair: this is a model for regression"),
        (["score", "rated.csv", "-o", "x.csv", "-m", "rating-model", "--pair-column", "percent"], "reads single texts"),
        (
            ["score", "pairs.csv", "-o", "x.csv", "-m", "pair-model", "-c", "first"],
            "no column 'text_pair'. The columns are 'first', 'second', 'label'. Name another with --pair-column",
        ),
        (
            ["train", "rated.csv", "-o", "new", "--task", "pair", "-l", "percent"],
            "no column 'text_pair'. The columns are 'text', 'percent'. Name another with --pair-column",
        ),
        (
            ["train", "pairs.csv", "-o", "new"],
            "no column 'text'. The columns are 'first', 'second', 'label'. Name another with --text-column",
        ),
        (
            ["predict", "-m", "rating-model", "one", "--min-confidence", "0.5"],
            "--min-confidence means nothing to a model",
        ),
        (
            ["score", "rated.csv", "-o", "x.csv", "-m", "rating-model", "--min-confidence", "0.5"],
            "--min-confidence means nothing to a model for regression; leave it out",
        ),
        (["evaluate", "rating-model", "rated.csv", "-l", "percent", "--by", "text"], "--by means nothing to a model"),
        (["train", "rated.csv", "-o", "new", "--pair-column", "percent", "-l", "text"], "say --task pair or --task"),
        (["train", "rated.csv", "-o", "new", "--task", "ranking"], "task must be sentiment, classification, pair"),
        (["export", "pair-model", "--task", "colour"], "--task is 'colour'; it can be sentiment"),
    ],
)
def test_what_does_not_fit_the_kind_is_refused_by_its_name(
    arguments: list[str], said: str, paired: Path, rated: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(paired.parent)
    outcome = command(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in " ".join(outcome.err.split())
    assert not Path("new").exists()


def test_transformers_opens_both_with_the_same_answers(paired: Path, rated: Path) -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    for folder, pair in ((paired, "my book was awful"), (rated, None)):
        network = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
        reader = transformers.AutoTokenizer.from_pretrained(folder)
        with torch.inference_mode():
            logits = network(**reader("the app was great", pair, return_tensors="pt")).logits[0]
        model = polarbert.load(folder)
        [found] = model.distributions([("the app was great", pair)])
        scaled = logits / model.bundle.calibration.temperature
        expected = logits if pair is None else scaled.softmax(-1)
        assert found[0] == pytest.approx(expected.tolist(), abs=3.0 if pair is None else 0.05)
        assert network.config.problem_type == ("regression" if pair is None else "single_label_classification")


def test_the_weights_of_a_pair_model_are_exported_again_as_one(
    paired: Path, room: Path, tmp_path: Path, command: Command
) -> None:
    columns = ["--texts", room / "pairs.csv", "-c", "first", "--pair-column", "second"]
    outcome = command("export", paired, "-o", tmp_path / "again", "--task", "pair", *columns)
    assert outcome.code == 0, outcome.err
    again = Bundle.open(tmp_path / "again")
    assert (again.task, again.reads_pairs) == ("pair", True)


def test_the_card_says_what_the_model_is_for(paired: Path, rated: Path) -> None:
    card = (rated / "README.md").read_text("utf-8")
    assert "Gives texts a number: percent." in card
    assert "| Pearson | 0." in card
    assert "## Confidence" not in card
    assert "--text-column TEXT --model" in card
    assert "each text counting nearly the same" in card
    assert "`transformers` opens the weights" in card
    of_pairs = (paired / "README.md").read_text("utf-8")
    assert 'predict(["A text"], pairs=["Another"])' in of_pairs
    assert "--text-column FIRST --pair-column SECOND --model" in of_pairs
    assert "pairs.csv, in pairs:" in of_pairs
    assert "of a pair all of the first text" in of_pairs
