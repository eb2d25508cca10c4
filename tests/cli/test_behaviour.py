"""`polarbert evaluate --behaviour`: from the command to the table, the JSON and the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.scoring_fixtures import QUICK, Outcome

import polarbert
from polarbert.behaviour import capabilities, digest
from polarbert.bundle import Bundle
from polarbert.errors import UsageError
from polarbert.inference.behaviour_evaluation import check_labels, evaluate_behaviour
from polarbert.inference.classifier import Classifier

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]
FEW = ["--capability", "wordless", "--capability", "sarcasm"]


def test_the_embedded_model_is_judged_without_any_data(command: Command) -> None:
    ended = command("evaluate", "--behaviour", *FEW, *QUICK, "--failures", "2")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0].startswith(f"behaviour suite {digest(capabilities(['wordless', 'sarcasm']))}: 270 cases of 2 cap")
    (wordless,) = [line for line in lines if line.startswith("  wordless")]
    assert wordless.split()[1:4] == ["unsure", "120", "0%"]
    assert wordless.endswith("5%      kept")
    assert "1 of 1 limit kept" in lines
    assert lines.count("  wanted negative:") == 2


def test_json_has_everything_and_the_figures_agree(command: Command) -> None:
    ended = command("evaluate", "default", "--behaviour", *FEW, *QUICK, "--json")
    found = json.loads(ended.out)
    assert [result["name"] for result in found["results"]] == ["sarcasm", "wordless"]
    sarcasm = found["results"][0]
    assert (sarcasm["n"], sarcasm["limit"], sarcasm["passed"]) == (150, None, None)
    model = polarbert.load(threads=1, engine="onnxruntime")
    texts = [case.texts[0] for case in capabilities(["sarcasm"])[0].cases]
    wrong = sum(answer.label != "negative" for answer in model.predict(texts))
    assert sarcasm["failed"] == wrong == round(sarcasm["rate"]["value"] * 150)
    assert found["failed"] == wrong
    assert all(failure["labels"] != ["negative"] for failure in sarcasm["failures"])
    assert found["about"]["engine"] == "onnxruntime on 1 thread"


def test_the_page_shows_results_and_failures(command: Command, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    ended = command("evaluate", "--behaviour", *FEW, *QUICK, "-o", page, "--quiet")
    assert (ended.code, ended.err) == (0, "")
    text = page.read_text("utf-8")
    assert "<h1>The embedded model: behaviour</h1>" in text
    assert "<b>sarcasm</b>" in text
    assert "wanted negative" in text
    assert "<script" not in text
    again = command("evaluate", "--behaviour", *FEW, *QUICK, "-o", page)
    assert (again.code, "exists already" in again.err) == (2, True)


def test_the_threshold_that_was_asked_for_decides_what_is_unsure(command: Command) -> None:
    def failed(least: str) -> int:
        arguments = ["--behaviour", "--capability", "gibberish", "--min-confidence", least, "--json", *QUICK]
        return int(json.loads(command("evaluate", *arguments).out)["failed"])

    assert failed("0") == 200
    assert failed("1") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--behaviour", "--capability", "negated-postive"], "did you mean negated-positive"),
        (["default", "reviews.csv", "--behaviour"], "reviews.csv means nothing with --behaviour; leave it out"),
        (["--behaviour", "--by", "product"], "--by means nothing with --behaviour"),
        (["--behaviour", "-c", "review"], "--text-column means nothing with --behaviour"),
        (["default", "reviews.csv", "--capability", "typos"], "--capability is for --behaviour"),
        (["default"], "polarbert evaluate default DATA. The behaviour suite needs none: add --behaviour"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(command: Command, arguments: list[str], message: str) -> None:
    ended = command("evaluate", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err


def test_a_file_in_the_place_of_the_model_is_seen(command: Command, tmp_path: Path) -> None:
    reviews = tmp_path / "reviews.csv"
    reviews.write_text("text,label\nfine,positive\n")
    ended = command("evaluate", reviews)
    assert (ended.code, f"polarbert evaluate default {reviews} takes" in ended.err) == (2, True)


def relabelled(own_bundle: Path, labels: list[str]) -> Classifier:
    """The small classifier, as if its labels had other names."""
    loaded: Classifier = polarbert.load(own_bundle, 1, "onnxruntime")
    loaded.bundle = replace(loaded.bundle, labels=labels)
    loaded.labels = labels
    return loaded


def test_a_model_of_other_labels_is_told_what_is_needed(own_bundle: Path) -> None:
    with pytest.raises(UsageError, match=r"labels negative, neutral and positive .* this one has bug, praise, wish"):
        check_labels(relabelled(own_bundle, ["bug", "praise", "wish"]))


def test_a_model_of_pairs_is_told_what_is_needed(own_bundle: Path) -> None:
    loaded = relabelled(own_bundle, ["negative", "neutral", "positive"])
    loaded.bundle = replace(loaded.bundle, task="pair")
    with pytest.raises(UsageError, match="needs a model of single texts"):
        evaluate_behaviour(loaded)


def test_a_model_for_another_task_is_refused(command: Command, own_bundle: Path) -> None:
    replace(Bundle.open(own_bundle), task="regression", labels=["score"]).write()
    ended = command("evaluate", own_bundle, "--behaviour")
    assert (ended.code, "needs a model of sentiment, and this one is for regression" in ended.err) == (2, True)


class TwoClasses:
    """A model without "neutral": every text is positive, but for some words."""

    def __init__(self, model: Classifier) -> None:
        self.bundle, self.engine, self.labels = model.bundle, model.engine, ["negative", "positive"]

    def answer(self, asked: list[tuple[str, None]]) -> list[polarbert.Prediction]:
        return [self._said(text) for text, _ in asked]

    @staticmethod
    def _said(text: str) -> polarbert.Prediction:
        share = 0.9 if "queue" in text else 0.2
        chances = {"negative": share, "positive": 1 - share}
        label = max(chances, key=chances.__getitem__)
        return polarbert.Prediction(label, chances, chances[label], 1 - 2 * share, False, None, 3, 1)


def test_two_classes_are_judged_where_they_can_be(model: Classifier) -> None:
    two: object = TwoClasses(model)
    found = evaluate_behaviour(two, capabilities(["plain-statements", "negated-negative", "sarcasm"]))  # type: ignore[arg-type]
    assert found.left_out == ["plain-statements"]
    assert [result.name for result in found.results] == ["negated-negative", "sarcasm"]
    assert found.results[0].failed == 0
    assert "note: left out, as the model has no label 'neutral': plain-statements" in found.text()
    with pytest.raises(UsageError, match="cannot be judged on plain-statements"):
        evaluate_behaviour(two, capabilities(["plain-statements"]))  # type: ignore[arg-type]
