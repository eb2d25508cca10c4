"""Aspects from end to end: a model learns them from a column, and every command asks about them."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.finetune_fixtures import QUICK_TOML, Attempt, Attempts
from tests.refusals import assert_refused
from tests.scoring_fixtures import SUBJECTS, Outcome, sentences

import polarbert
from polarbert.bundle import Bundle
from polarbert.inference.classifier import SentimentModel

pytest_plugins = ["tests.finetune_fixtures", "tests.scoring_fixtures"]

Command = Callable[..., Outcome]
Row = tuple[str, str, str]
UNMENTIONED = "price"
GREAT, AWFUL = "the app was really great", "my hotel is so awful"


def write(file: Path, header: list[str], rows: Iterable[Iterable[object]]) -> Path:
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows([header, *rows])
    return file


def read(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def spoken(count: int, seed: int) -> list[Row]:
    """Texts with what they are about, with what they do not mention, and as a whole."""
    found: list[Row] = []
    for text, label in sentences(count, seed):
        subject = next(word for word in text.split() if word in SUBJECTS)
        found += [(text, subject, label), (text, UNMENTIONED, "neutral"), (text, "", label)]
    return found


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files to learn from, and others with texts that the model never saw."""
    folder = tmp_path_factory.mktemp("aspects")
    (folder / "quick.toml").write_text(QUICK_TOML.replace("epochs = 5", "epochs = 9"))
    write(folder / "learned.csv", ["text", "aspect", "label"], spoken(200, 31))
    write(folder / "unseen.csv", ["text", "aspect", "label"], spoken(240, 31)[600:])
    return folder


@pytest.fixture(scope="module")
def judge(room: Path, small_base: Path, attempt: Attempts) -> Path:
    """A model that `train --aspect-column` made in a process of its own."""
    asked = ["--aspect-column", "aspect", "--base", str(small_base), "--config", str(room / "quick.toml"), "--quiet"]
    [ended] = attempt(Attempt(["train", str(room / "learned.csv"), *asked, "-o", str(room / "judge")]))
    assert ended.code == 0, ended.err
    return room / "judge"


@pytest.fixture(scope="module")
def model(judge: Path) -> SentimentModel:
    loaded = polarbert.load(judge, 1, "onnxruntime")
    assert isinstance(loaded, SentimentModel)
    return loaded


def lines(ended: Outcome) -> list[Any]:
    assert ended.code == 0, ended.err
    return [json.loads(line) for line in ended.out.splitlines()]


# ---- train


def test_one_text_gets_two_verdicts(model: SentimentModel) -> None:
    texts = [GREAT, GREAT, GREAT, AWFUL, AWFUL, AWFUL]
    found = model.predict(texts, ["app", UNMENTIONED, None, "hotel", UNMENTIONED, None])
    assert [answer.label for answer in found] == ["positive", "neutral", "positive", "negative", "neutral", "negative"]


def test_the_bundle_and_its_card_say_that_it_judges_aspects(judge: Path, command: Command) -> None:
    bundle = Bundle.open(judge)
    assert (bundle.task, bundle.traits, bundle.reads_pairs) == ("sentiment", ("aspects",), False)
    card = (judge / "README.md").read_text("utf-8")
    assert "Says whether the sentiment of a text, or of what it says about an aspect, is negative, neutral or" in card
    assert '"A text" --aspect battery' in card
    assert 'predict(["A text"], aspects=["battery"])' in card
    assert "--aspect-column ASPECT" in card
    assert json.loads(command("info", "-m", judge, "--json").out)["traits"] == ["aspects"]
    assert "traits" in command("info", "-m", judge).out


def test_no_text_stands_in_two_parts(judge: Path, room: Path) -> None:
    parts: dict[str, set[str]] = defaultdict(set)
    splits = json.loads((judge / "training" / "splits.json").read_text("utf-8"))["rows"]
    for (_, part, *_), row in zip(splits, read(room / "learned.csv"), strict=True):
        parts[row["text"]].add(part)
    assert len(parts) == 200
    assert {len(found) for found in parts.values()} == {1}
    assert {part for found in parts.values() for part in found} == {"train", "dev", "test"}


def test_what_is_exported_again_still_judges_aspects(judge: Path, tmp_path: Path, command: Command) -> None:
    assert command("export", judge, "-o", tmp_path / "again", "--quiet").code == 0
    assert Bundle.open(tmp_path / "again").judges_aspects


# ---- predict and explain


def test_aspects_of_judging_rows_alone_teach_nothing(
    room: Path, small_base: Path, command: Command, tmp_path: Path
) -> None:
    whole = [(text, "", label) for text, aspect, label in spoken(120, 5) if not aspect]
    write(tmp_path / "whole.csv", ["text", "aspect", "label"], whole)
    asked = ["--aspect-column", "aspect", "--base", small_base, "--threads", "1", "--test", room / "unseen.csv"]
    ended = command("train", tmp_path / "whole.csv", "-o", tmp_path / "new", *asked)
    assert_refused(ended, 1, "no row to learn from has an aspect")
    assert not (tmp_path / "new").exists()


def test_every_text_is_asked_about_every_aspect(judge: Path, model: SentimentModel, command: Command) -> None:
    asked = ["--aspect", "app", "--aspect", UNMENTIONED, "-m", judge]
    texts = [text for text in (GREAT, AWFUL) for _ in range(2)]
    expected = model.predict(texts, ["app", UNMENTIONED] * 2)
    found = lines(command("predict", GREAT, AWFUL, *asked, "--json"))
    assert [(line["text"], line["aspect"]) for line in found] == [
        (GREAT, "app"),
        (GREAT, UNMENTIONED),
        (AWFUL, "app"),
        (AWFUL, UNMENTIONED),
    ]
    assert [line["label"] for line in found] == [answer.label for answer in expected]
    assert [set(line) for line in found] == [{"text", *expected[0].to_dict()}] * 4
    shown = command("predict", GREAT, *asked).out.splitlines()
    assert [line.split(maxsplit=1)[0] for line in shown] == ["positive", "neutral"]
    assert [line.split("  ")[-1] for line in shown] == [f"app: {GREAT}", f"{UNMENTIONED}: {GREAT}"]
    piped = command("predict", *asked, "--json", stdin=f"{GREAT}\n{AWFUL}\n".encode())
    assert lines(piped) == found


def test_json_says_none_where_no_aspect_was_asked_for(judge: Path, command: Command) -> None:
    [line] = lines(command("predict", GREAT, "-m", judge, "--json"))
    assert line["aspect"] is None


def test_sentences_and_an_aspect_go_together(judge: Path, model: SentimentModel, command: Command) -> None:
    text = f"{GREAT}. {AWFUL}."
    [line] = lines(command("predict", text, "--sentences", "--aspect", UNMENTIONED, "-m", judge, "--json"))
    assert line == {"text": text, **model.predict_sentences([text], [UNMENTIONED])[0].to_dict()}
    whole, *parts = command("predict", text, "--sentences", "--aspect", UNMENTIONED, "-m", judge).out.splitlines()
    assert whole.endswith(f"  {UNMENTIONED}: {text}")
    assert [part.split("  ")[-1] for part in parts] == [f"{GREAT}.", f"{AWFUL}."]


def test_explain_says_what_spoke_for_the_verdict_on_each_aspect(judge: Path, command: Command, tmp_path: Path) -> None:
    asked = [GREAT, "--aspect", "app", "--aspect", UNMENTIONED, "-m", judge]
    found = lines(command("explain", *asked, "--json"))
    assert [(one["prediction"]["aspect"], one["label"]) for one in found] == [
        ("app", "positive"),
        (UNMENTIONED, "neutral"),
    ]
    assert [word["text"] for word in found[0]["words"]] == GREAT.split()
    ended = command("explain", *asked, "--html", tmp_path / "why.html")
    first, other = (line for line in ended.out.splitlines() if not line.startswith(" "))
    assert (first.split("  ")[-1], other.split("  ")[-1]) == (f"app: {GREAT}", f"{UNMENTIONED}: {GREAT}")
    page = (tmp_path / "why.html").read_text("utf-8")
    assert page.count("<section>") == 2
    assert f"Read with: {UNMENTIONED}" in page


# ---- score


def test_score_takes_a_column_of_aspects(
    judge: Path, model: SentimentModel, room: Path, tmp_path: Path, command: Command
) -> None:
    asked = ["--aspect-column", "aspect", "-m", judge, "--prefix", "model_", "-q"]
    assert command("score", room / "unseen.csv", "-o", tmp_path / "out.csv", *asked).code == 0
    rows = read(tmp_path / "out.csv")
    expected = model.predict([row["text"] for row in rows], [row["aspect"] or None for row in rows])
    assert [row["model_label"] for row in rows] == [answer.label for answer in expected]
    assert [float(row["model_confidence"]) for row in rows] == [answer.confidence for answer in expected]
    assert [{name: row[name] for name in ("text", "aspect", "label")} for row in rows] == read(room / "unseen.csv")
    figures = json.loads(command("evaluate", judge, room / "unseen.csv", *asked[:2], "--json").out)
    right = sum(row["label"] == row["model_label"] for row in rows)
    assert figures["accuracy"]["value"] == pytest.approx(right / len(rows), abs=1e-6)
    assert right / len(rows) > 0.9


def test_a_row_without_an_aspect_is_scored_as_without_the_option(judge: Path, tmp_path: Path, command: Command) -> None:
    rows = [(GREAT, ""), (AWFUL, "   "), ("", ""), (GREAT, UNMENTIONED), ("???", "app")]
    data = write(tmp_path / "in.csv", ["text", "aspect"], rows)
    assert command("score", data, "-o", tmp_path / "with.csv", "--aspect-column", "aspect", "-m", judge).code == 0
    assert command("score", data, "-o", tmp_path / "without.csv", "-m", judge).code == 0
    found, plain = ((tmp_path / name).read_bytes().splitlines() for name in ("with.csv", "without.csv"))
    assert found[:4] == plain[:4]
    assert found[4] != plain[4]
    assert [row["error"] for row in read(tmp_path / "with.csv")] == [""] * 5


def test_jsonl_and_parquet_may_lack_an_aspect_and_bad_cells_get_an_error(
    judge: Path, tmp_path: Path, command: Command
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts, aspects = [GREAT] * 4, ["app", None, "", UNMENTIONED]
    pq.write_table(pa.table({"text": texts, "aspect": aspects}), tmp_path / "in.parquet")
    records: list[dict[str, Any]] = [{"text": GREAT, "aspect": aspect} for aspect in aspects]
    records += [{"text": GREAT}, {"text": GREAT, "aspect": "half \ud83d"}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    for kind in ("parquet", "jsonl"):
        asked = ["-o", tmp_path / f"out.{kind}", "--aspect-column", "aspect", "-m", judge]
        assert command("score", tmp_path / f"in.{kind}", *asked).code == 0
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    labels = ["positive", "positive", "positive", "neutral"]
    assert [row["label"] for row in found] == [*labels, "positive", None]
    assert found[-1]["error"] == "the column 'aspect' has no text that can be read"
    assert pq.read_table(tmp_path / "out.parquet").column("label").to_pylist() == labels


def test_a_stopped_run_goes_on_to_the_same_bytes(
    judge: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(text, aspect) for text, aspect, _ in spoken(60, 33)]
    data = write(tmp_path / "in.csv", ["text", "aspect"], (found * 14)[:2400])
    arguments = ["score", data, "-q", "-m", judge, "--aspect-column", "aspect", "-o"]
    assert command(*arguments, tmp_path / "whole.csv").code == 0
    answer, calls = SentimentModel.answer, iter(range(100))

    def breaks(predictor: SentimentModel, asked: list[tuple[str, str | None]]) -> list[object]:
        if next(calls) == 1:
            raise OSError(5, "the machine stopped")
        return list(answer(predictor, asked))

    monkeypatch.setattr(SentimentModel, "answer", breaks)
    data.write_bytes(data.read_bytes() + b"one more,app\r\n")  # the second block needs the network too
    assert command(*arguments, tmp_path / "out.csv").code == 1
    monkeypatch.undo()
    assert json.loads((tmp_path / "out.csv.partial.json").read_text())["rows"] >= 1000
    plain = command("score", data, "-q", "-m", judge, "-o", tmp_path / "out.csv")
    assert "whose second column differed" in plain.err
    assert command(*arguments, tmp_path / "out.csv").code == 0
    assert command(*arguments, tmp_path / "whole.csv", "--overwrite").code == 0
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


# ---- evaluate


def test_evaluate_judges_each_aspect_by_itself(judge: Path, tmp_path: Path, command: Command) -> None:
    rows = [(text, aspect, label) for text, aspect, label in spoken(30, 34) if aspect]
    rows[1] = (rows[1][0], UNMENTIONED, "positive")  # wrong on purpose
    data = write(tmp_path / "in.csv", ["text", "aspect", "label"], rows)
    asked = ["evaluate", judge, data, "--aspect-column", "aspect", "--by", "aspect"]
    figures = json.loads(command(*asked, "--json").out)
    groups = {group["name"]: group["n"] for group in figures["by_column"]["aspect"]}
    assert groups[UNMENTIONED] == 30
    assert figures["n"] == 60
    assert f"{UNMENTIONED}: {rows[1][0]}" in [error["text"] for error in figures["errors"]]
    shown = command(*asked)
    assert f"{UNMENTIONED}: {rows[1][0]}"[:30] in shown.out


# ---- what is refused


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predict", "x", "--aspect", "app", "-m", "PLAIN"], "--aspect: PLAIN is a model for sentiment that was not"),
        (["explain", "x", "--aspect", "app", "-m", "PLAIN"], "leave it out, or take one that was, as"),
        (["score", "unseen.csv", "-o", "x.csv", "--aspect-column", "aspect", "-m", "PLAIN"], "not trained on aspects"),
        (["evaluate", "PLAIN", "unseen.csv", "--aspect-column", "aspect"], "--aspect-column: PLAIN is a model"),
        (["predict", "x", "--aspect", "", "-m", "judge"], "--aspect: is blank; name what to judge, as battery"),
        (["predict", "x", "--aspect", "app", "--aspect", " \t", "-m", "judge"], "--aspect: is blank"),
        (["explain", "x", "--aspect", "  ", "-m", "judge"], "--aspect: is blank; name what to judge, as battery"),
        (["predict", "x", "--aspect", "app", "--pair", "b", "-m", "judge"], "for sentiment, which takes --aspect"),
        (["explain", "x", "--aspect", "app", "--pair", "b", "-m", "judge"], "for sentiment, which takes --aspect"),
        (["score", "unseen.csv", "-o", "x.csv", "--aspect-column", "", "-m", "judge"], "the column with the aspects"),
        (
            ["score", "unseen.csv", "-o", "x.csv", "--aspect-column", "aspct", "-m", "judge"],
            "no column 'aspct'. Did you mean 'aspect'? The columns are 'text', 'aspect', 'label'. Name another with --",
        ),
        (
            ["score", "unseen.csv", "-o", "x.csv", "--aspect-column", "aspect", "--pair-column", "text", "-m", "judge"],
            "--aspect-column and --pair-column both name the second texts; give one of them",
        ),
        (
            ["score", "unseen.csv", "-o", "x.csv", "--aspect-column", "text", "-m", "judge"],
            "--aspect-column and --text-column are both 'text'",
        ),
        (["evaluate", "judge", "unseen.csv", "--aspect-column", "aspct"], "Name another with --aspect-column"),
        (
            ["evaluate", "judge", "unseen.csv", "--aspect-column", "aspect", "--pair-column", "text"],
            "--aspect-column and --pair-column both name the second texts; give one of them",
        ),
        (["evaluate", "judge", "--behaviour", "--aspect-column", "aspect"], "means nothing with --behaviour"),
        (
            ["evaluate", "judge", "unseen.csv", "--aspect-column", "label"],
            "--aspect-column and --label-column are both",
        ),
        (["train", "learned.csv", "-o", "new", "--aspect-column", "aspct"], "Name another with --aspect-column"),
        (
            ["train", "learned.csv", "-o", "new", "--aspect-column", "aspect", "--task", "pair"],
            "--aspect-column: the task is pair, and aspects are for sentiment; leave one out",
        ),
        (["train", "learned.csv", "-o", "new", "--aspect-column", "aspect", "--task", "qa"], "the task is qa, and"),
        (
            ["train", "learned.csv", "-o", "new", "--aspect-column", "aspect", "--task", "classification"],
            "the task is classification, and aspects are for sentiment",
        ),
        (
            ["train", "learned.csv", "-o", "new", "--aspect-column", "aspect", "--pair-column", "label"],
            "both name the second texts",
        ),
        (
            ["train", "topics.csv", "-o", "new", "--aspect-column", "aspect"],
            "the labels late, refund are not negative, neutral and positive",
        ),
        (["train", "two.csv", "-o", "new", "--aspect-column", "aspect"], "say --task sentiment"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_name(
    arguments: list[str], said: str, judge: Path, bundle_dir: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(judge.parent)
    write(Path("topics.csv"), ["text", "aspect", "label"], [("Where?", "box", "late"), ("Money", "box", "refund")])
    write(Path("two.csv"), ["text", "aspect", "label"], [("Great", "box", "positive"), ("Awful", "box", "negative")])
    put = {"PLAIN": str(bundle_dir)}
    ended = command(*(put.get(argument, argument) for argument in arguments))
    assert_refused(ended, 2, said.replace("PLAIN", str(bundle_dir)))
    assert not Path("new").exists()
    assert not Path("x.csv").exists()


def test_a_teacher_that_knows_no_aspects_cannot_teach_them(
    room: Path, bundle_dir: Path, small_base: Path, command: Command, tmp_path: Path
) -> None:
    asked = ["--aspect-column", "aspect", "--base", small_base, "--threads", "1", "--teacher", bundle_dir]
    ended = command("train", room / "learned.csv", "-o", tmp_path / "new", *asked)
    assert_refused(ended, 2, "this teacher was not trained on aspects, which the data have")
    assert not (tmp_path / "new").exists()


def test_that_a_column_has_no_aspects_is_said(room: Path, judge: Path, tmp_path: Path, command: Command) -> None:
    rows = [(row["text"], "", row["label"]) for row in read(room / "unseen.csv")[:30]]
    data = write(tmp_path / "whole.csv", ["text", "aspect", "label"], rows)
    ended = command("evaluate", judge, data, "--aspect-column", "aspect")
    assert ended.code == 0, ended.err
    assert "note: no row has an aspect in the column 'aspect', so whole texts are judged" in ended.out
