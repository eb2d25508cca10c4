"""`polarbert explain`: weights of words in a terminal, in a pipe, as JSON and as a page."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.cli.test_predict import in_terminal
from tests.scoring_fixtures import QUICK, Outcome

from polarbert.bundle import Bundle
from polarbert.cli.explanations import explanation_lines
from polarbert.inference.classifier import SentimentModel
from polarbert.report.explanation import render_explanations

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]
LONG = "The app is great. I love it! " * 8 + "But the battery is awful."


@pytest.fixture
def options(bundle_dir: Path) -> list[str]:
    return ["--model", str(bundle_dir), *QUICK]


def test_a_pipe_shows_the_answer_and_a_weight_a_word(command: Command, options: list[str]) -> None:
    ended = command("explain", "the app is\nreally great", *options)
    first, *words, last = ended.out.splitlines()
    assert (ended.code, ended.err) == (0, "")
    assert first.startswith("positive")
    assert first.endswith("the app is really great")
    assert [line.split()[1] for line in words] == ["the", "app", "is", "really", "great"]
    weights = [float(line.split()[0]) for line in words]
    assert max(weights) == weights[-1]
    assert last.strip().startswith("positive: ")
    assert f"{sum(weights):+.1f}" in last or "the weights add up to" in last
    assert "\x1b" not in ended.out


def test_json_says_what_python_says(command: Command, options: list[str], model: SentimentModel) -> None:
    texts = ["so great", "naïve café 😀", "", LONG]
    ended = command("explain", "--json", *texts, *options)
    found = [json.loads(line) for line in ended.out.splitlines()]
    assert found == [json.loads(json.dumps(model.explain(text).to_dict())) for text in texts]
    assert "😀" in ended.out


def test_lines_of_stdin_are_texts(command: Command, options: list[str]) -> None:
    ended = command("explain", "--json", "-", *options, stdin=b"so great\n\nso bad")
    assert [json.loads(line)["text"] for line in ended.out.splitlines()] == ["so great", "", "so bad"]


def test_another_label_can_be_asked_for(command: Command, options: list[str]) -> None:
    found = json.loads(command("explain", "--json", "so great", "--label", "negative", *options).out)
    assert (found["label"], found["prediction"]["label"]) == ("negative", "positive")
    assert found["words"][-1]["weight"] < 0


def test_a_long_text_shows_its_sentences(command: Command, options: list[str]) -> None:
    lines = command("explain", LONG, *options).out.splitlines()
    assert sum(line.endswith("  I love it!") for line in lines) == 8
    assert any("battery " in line and "," in line for line in lines)


def test_a_terminal_marks_the_words_unless_asked_not_to(options: list[str]) -> None:
    shown = in_terminal(["explain", "so great", *options])
    assert "\x1b[38;2;" in shown
    assert "for positive" in shown
    assert "\x1b[" not in in_terminal(["explain", "so great", *options], NO_COLOR="1")


def test_what_a_terminal_would_obey_is_not_printed(model: SentimentModel) -> None:
    for colour in (True, False):
        shown = explanation_lines(model.explain("great \x1b]0;x\x07 phone"), colour)
        assert "\x1b]" not in shown
        assert "\x07" not in shown


class Page(HTMLParser):
    """What a page shows, the marks in it, and what it would load."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.marks: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.loads: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loads += [tag] if tag in ("script", "link", "img", "iframe") or "src" in given or "href" in given else []
        self.marks += [str(given["class"])] if tag == "mark" and "title" in given else []
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if "style" not in self.open else ""


def test_a_page_shows_the_texts_and_loads_nothing(command: Command, options: list[str], tmp_path: Path) -> None:
    page, hostile = tmp_path / "why.html", 'so great <script>alert("x")</script> & so bad'
    ended = command("explain", hostile, LONG, "", "--html", page, *options)
    assert (ended.code, "open it in a browser" in ended.err) == (0, True)
    found = Page(page.read_text("utf-8"))
    assert (found.loads, found.open) == ([], [])
    assert hostile in found.text
    assert LONG in found.text
    assert {"for", "against"} == set(found.marks)
    assert [file.name for file in tmp_path.iterdir()] == ["why.html"]


def test_a_page_marks_the_strongest_words_most(model: SentimentModel) -> None:
    explanation = model.explain("the app is really great")
    page = render_explanations([explanation], "a < b")
    great = next(word for word in explanation.words if word.text == "great")
    assert f'style="--strength:0.60" title="{great.weight:+.2f}">great</mark>' in page
    assert "<title>a &lt; b</title>" in page


def test_a_bad_line_of_stdin_keeps_the_page_of_those_before(
    command: Command, options: list[str], tmp_path: Path
) -> None:
    page = tmp_path / "why.html"
    ended = command("explain", "--html", page, *options, stdin=b"so great\n" * 300 + b"caf\xe9\n")
    assert (ended.code, "not UTF-8" in ended.err) == (1, True)
    assert "so great" in Page(page.read_text("utf-8")).text


def test_no_text_makes_no_page(command: Command, options: list[str], tmp_path: Path) -> None:
    ended = command("explain", "--html", tmp_path / "why.html", *options, stdin=b"")
    assert (ended.code, ended.out) == (2, "")
    assert "stdin holds no text" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_is_there_stays_unless_asked(command: Command, options: list[str], tmp_path: Path) -> None:
    page = tmp_path / "why.html"
    page.write_text("mine")
    ended = command("explain", "so great", "--html", page, *options)
    assert ended.code == 2
    assert "exists already" in ended.err
    assert page.read_text() == "mine"
    assert command("explain", "so great", "--html", page, "--overwrite", *options).code == 0
    assert "so great" in Page(page.read_text("utf-8")).text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--label", "good"], "no label 'good'; the model has negative, neutral, positive"),
        (["--pair", "x"], "reads single texts"),
        (["--html", "no/such/folder/a.html"], "does not exist; make it or name another"),
        (["--html", "a.pdf"], "the page is HTML; name it a.html"),
        (["--min-confidence", "2"], "--min-confidence is 2"),
        (["--engine", "abacus"], "no engine 'abacus'"),
    ],
)
def test_what_cannot_be_done_is_refused(
    command: Command, bundle_dir: Path, arguments: list[str], words: str, tmp_path: Path
) -> None:
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        ended = command("explain", "so great", "--model", bundle_dir, *arguments)
    finally:
        os.chdir(before)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err


@pytest.mark.parametrize("task", ["tagging", "qa"])
def test_models_without_one_answer_a_text_are_refused(command: Command, own_bundle: Path, task: str) -> None:
    labels = ["start", "end"] if task == "qa" else ["O", "B-X", "I-X"]
    replace(Bundle.open(own_bundle), task=task, labels=labels).write()
    for name in ("explain", "predict"):
        arguments = ["--sentences"] if name == "predict" else []
        more = ["--context", "c"] if (name, task) == ("predict", "qa") else []
        ended = command(name, "so great", *arguments, *more, "--model", own_bundle)
        assert ended.code == 2
        assert f"is a model for {task}" in ended.err
