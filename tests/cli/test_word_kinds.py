"""Finding entities and answering questions go through the commands as every kind of task does, on the example files.

The networks are small and answer badly; what is looked at is where the answers stand, what is written and what is said.
"""

from __future__ import annotations

import csv
import json
import re
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.finetune_fixtures import QUICK_TOML, Attempt, Attempts, bundle_files
from tests.refusals import assert_refused
from tests.scoring_fixtures import Outcome

import polarbert
from polarbert.bundle import Bundle
from polarbert.data.entities import entity_spans
from polarbert.data.questions import read_questions
from polarbert.data.splits import given_splits
from polarbert.data.tagged import read_tagged
from polarbert.inference.answers_evaluation import question_of
from polarbert.inference.tagged_rows import asked_words, tag_names

pytest_plugins = ["tests.finetune_fixtures", "tests.scoring_fixtures"]

EXAMPLES = Path(__file__).parents[2] / "examples"
MENTIONS, QUESTIONS = EXAMPLES / "mentions.conll", EXAMPLES / "questions.json"
TEXTS = ["Since the update to 4.2 Tickmoor fails in Leeds 😀 .", "thanks", ""]
CONTEXT = "Lanternfish runs on phones with Android 9 or later,\nsince May 2021."

Command = Callable[..., Outcome]
Arguments = Callable[..., list[str]]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with settings, and the example questions that have answers, one a line."""
    folder = tmp_path_factory.mktemp("words")
    for name, epochs in (("tagging", 20), ("qa", 1)):
        (folder / f"{name}.toml").write_text(QUICK_TOML.replace("epochs = 5", f"epochs = {epochs}"))
    with (folder / "answered.jsonl").open("w", encoding="utf-8") as lines:
        for article in json.loads(QUESTIONS.read_text("utf-8"))["data"][:5]:
            for paragraph in article["paragraphs"]:
                for one in (one for one in paragraph["qas"] if one["answers"]):
                    lines.write(json.dumps(one | {"context": paragraph["context"], "title": article["title"]}) + "\n")
    return folder


@pytest.fixture(scope="module")
def asked(room: Path, small_base: Path) -> Arguments:
    """The arguments that train a model in a folder."""

    def arguments(task: str, output: Path, *more: str | Path) -> list[str]:
        data = MENTIONS if task == "tagging" else room / "answered.jsonl"
        base = ["--base", small_base, "--config", room / f"{task}.toml"]
        return list(map(str, ["train", data, "--task", task, *base, "-o", output, *more]))

    return arguments


def made(room: Path, asked: Arguments, attempt: Attempts, task: str) -> Path:
    output = room / f"{task}-model"
    [ended] = attempt(Attempt(asked(task, output)))
    assert ended.code == 0, ended.err
    (room / f"{task}.out").write_text(ended.out)
    (room / f"{task}.err").write_text(ended.err)
    return output


@pytest.fixture(scope="module")
def tagger(room: Path, asked: Arguments, attempt: Attempts) -> Path:
    """A model that learned the example mentions."""
    return made(room, asked, attempt, "tagging")


@pytest.fixture(scope="module")
def answerer(room: Path, asked: Arguments, attempt: Attempts) -> Path:
    """A model that learned some of the example questions, all of which have answers."""
    return made(room, asked, attempt, "qa")


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def write(file: Path, rows: Iterable[Iterable[str]]) -> Path:
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows(rows)
    return file


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def test_training_a_tagger_says_how_well_it_finds_entities_and_leaves_a_bundle(tagger: Path, room: Path) -> None:
    bundle = Bundle.open(tagger)
    types = ["company", "place", "product", "version"]
    assert (bundle.task, bundle.labels) == ("tagging", ["O", *(f"{side}-{name}" for name in types for side in "BI")])
    out, err = ((room / f"tagging.{name}").read_text("utf-8") for name in ("out", "err"))
    assert "mentions.conll (test part): 12 texts judged" in out
    assert "entity F1" in out
    assert "12 texts are in the dev part" in err
    assert "of the tags of entities changed" in err
    assert err.rstrip().endswith(f'Use it: polarbert predict -m {tagger} "..."')
    figures = json.loads((tagger / "evaluation.json").read_text("utf-8"))
    assert (figures["n"], [one["label"] for one in figures["types"]]) == (12, types)
    card = (tagger / "README.md").read_text("utf-8")
    assert "Finds entities in texts: " in card
    assert "each word counting nearly the same" in card
    assert "of the words that either graph takes for a part of an entity get another tag" in card
    assert "head and tail" not in card


def test_parts_may_be_files_of_their_own(
    room: Path, asked: Arguments, attempt: Attempts, command: Command, tmp_path: Path
) -> None:
    texts = MENTIONS.read_text("utf-8").strip().split("\n\n")
    for name, part in (("learned", texts[:60]), ("dev", texts[60:90]), ("test", texts[90:])):
        (tmp_path / f"{name}.conll").write_text("\n\n".join(part) + "\n")
    output = tmp_path / "model"
    arguments = asked("tagging", output, "--dev", tmp_path / "dev.conll", "--test", tmp_path / "test.conll")
    arguments[1] = str(tmp_path / "learned.conll")
    [ended] = attempt(Attempt([*arguments, "--trial"]))
    assert ended.code == 0, ended.err
    assert "train: 60 texts" in ended.err
    assert "dev: 30 texts" in ended.err
    figures = json.loads((output / "evaluation.json").read_text("utf-8"))
    judged = command("evaluate", output, tmp_path / "test.conll", "--json")
    assert figures["types"] == json.loads(judged.out)["types"]
    assert "learned.conll + dev.conll + test.conll" in (output / "README.md").read_text("utf-8")


def test_entities_stand_where_they_are_said_to(tagger: Path, command: Command) -> None:
    outcome = command("predict", "-m", tagger, *TEXTS, "--json")
    said = [json.loads(line) for line in outcome.out.splitlines()]
    assert [one["text"] for one in said] == TEXTS
    found = [(one["text"], entity) for one in said for entity in one["entities"]]
    assert found, "the tagger found nothing, so nothing is shown"
    for text, entity in found:
        assert text[entity["start"] : entity["end"]] == entity["text"]
    assert [answer.to_dict()["entities"] for answer in polarbert.load(tagger).predict(TEXTS)] == [
        one["entities"] for one in said
    ]


def test_people_see_the_text_and_under_it_its_entities(tagger: Path, command: Command) -> None:
    [answer] = polarbert.load(tagger).predict(TEXTS[:1])
    shown = command("predict", "-m", tagger, *TEXTS).out.splitlines()
    assert shown[0] == TEXTS[0]
    for line, entity in zip(shown[1:], answer.entities, strict=False):
        confidence = f"{entity.confidence:.0%}"
        assert line.split()[:2] == [entity.type, confidence]
        assert f"{entity.start}-{entity.end}" in line
    assert shown[-2:] == ["", "  no entity"]


def test_the_figures_of_a_tagger_are_those_of_its_entities(tagger: Path, command: Command) -> None:
    dataset = read_tagged(MENTIONS)
    answers = polarbert.load(tagger).answer(asked_words(dataset.rows))
    found = [set(entity_spans(answer.tags)) for answer in answers]
    truth = [set(entity_spans(tag_names(dataset, row))) for row in dataset.rows]
    right = sum(len(one & other) for one, other in zip(found, truth, strict=True))
    both = sum(map(len, found)) + sum(map(len, truth))
    outcome = command("evaluate", tagger, MENTIONS, "--json", "--min-confidence", "0")
    figures = json.loads(outcome.out)
    assert figures["f1"]["value"] == pytest.approx(2 * right / both, abs=1e-6)
    assert (figures["n"], figures["entities"], figures["sure"]["share"]) == (121, 170, 1)
    assert "121 texts judged" in command("evaluate", tagger, "-", stdin=MENTIONS.read_bytes()).out


def test_a_scored_table_has_the_entities_as_a_list(tagger: Path, tmp_path: Path, command: Command) -> None:
    data = tmp_path / "in.jsonl"
    data.write_text("".join(json.dumps({"id": "007", "text": text}) + "\n" for text in TEXTS), "utf-8")
    write(tmp_path / "in.csv", [["id", "text"], *(["007", text] for text in TEXTS)])
    for kind in ("jsonl", "csv"):
        outcome = command("score", tmp_path / f"in.{kind}", "-o", tmp_path / f"out.{kind}", "-m", tagger)
        assert outcome.code == 0, outcome.err
    answers = [answer.to_dict()["entities"] for answer in polarbert.load(tagger).predict(TEXTS)]
    written, cells = lines_of(tmp_path / "out.jsonl"), rows_of(tmp_path / "out.csv")
    names = ["id", "text", "entities", "n_entities", "unsure", "n_tokens", "n_windows", "error"]
    assert list(written[0]) == list(cells[0]) == names
    assert [row["entities"] for row in written] == [json.loads(row["entities"]) for row in cells] == answers
    assert [row["n_entities"] for row in written] == [len(found) for found in answers]
    kinds = {entity["type"] for found in answers for entity in found}
    assert all(f"{kind} " in outcome.err for kind in kinds)


def test_training_an_answerer_says_how_well_it_answers_and_leaves_a_bundle(answerer: Path, room: Path) -> None:
    bundle = Bundle.open(answerer)
    assert (bundle.task, bundle.labels, bundle.traits) == ("qa", ["start", "end"], ("always answers",))
    out, err = ((room / f"qa.{name}").read_text("utf-8") for name in ("out", "err"))
    assert "exact match" in out
    assert f'polarbert predict -m {answerer} "..." --context "..."' in err
    assert "questions of the dev part" in err
    assert "of the starts and ends changed" in err
    assert not re.search(r"(train|dev|test): [0-9]+ texts", err)
    figures = json.loads((answerer / "evaluation.json").read_text("utf-8"))
    assert (figures["n"], figures["passages"]) == (3, 1)
    assert 0 <= figures["exact_match"]["value"] <= figures["f1"]["value"] <= 1
    card = (answerer / "README.md").read_text("utf-8")
    assert "Answers a question" in card
    assert "each window of a passage counting nearly the same" in card
    assert "--text-column PASSAGE --pair-column QUESTION --model" in card
    assert "head and tail" not in card


def test_answers_stand_where_they_are_said_to(answerer: Path, command: Command) -> None:
    questions = ["Which Android?", "since when"]
    outcome = command("predict", "-m", answerer, *questions, "--context", CONTEXT, "--json")
    said = [json.loads(line) for line in outcome.out.splitlines()]
    assert [one["question"] for one in said] == questions
    for one in said:
        assert one["text"] == CONTEXT[one["start"] : one["end"]] != ""
        assert not one["no_answer"]
        for other in one["n_best"]:
            assert other["text"] == CONTEXT[other["start"] : other["end"]]
    [shown] = command("predict", "-m", answerer, questions[0], "--context", CONTEXT).out.splitlines()
    assert " ".join(said[0]["text"].split()) in shown
    assert shown.endswith(f"<- {questions[0]}")
    assert "(no answer)" in command("predict", "-m", answerer, questions[0], "--context", " ").out


def test_a_question_that_is_cut_is_told(answerer: Path, tmp_path: Path, command: Command) -> None:
    long = "Which Android " * 400
    outcome = command("predict", "-m", answerer, "Which Android?", long, "--context", CONTEXT, "--json")
    assert [json.loads(line)["n_cut"] > 0 for line in outcome.out.splitlines()] == [False, True]
    assert "cut there: 1 (the first: question 2)" in outcome.err
    assert command("predict", "-m", answerer, "Which Android?", "--context", CONTEXT).err == ""
    table = write(tmp_path / "t.csv", [["question", "context"], ("Which Android?", CONTEXT), (long, CONTEXT)])
    scored = command("score", table, "-o", tmp_path / "out.csv", "-m", answerer)
    assert "questions longer than half of what is read at once, and cut there: 1" in scored.err


def test_the_figures_of_an_answerer_are_those_of_its_answers(answerer: Path, room: Path, command: Command) -> None:
    rows = list(map(question_of, read_questions(room / "answered.jsonl").rows))
    model = polarbert.load(answerer)
    answers = model.predict([row.question for row in rows], [row.text for row in rows])
    exact = sum(
        answer.text.lower() in [text.lower() for text in row.truths] for answer, row in zip(answers, rows, strict=True)
    )
    outcome = command("evaluate", answerer, room / "answered.jsonl", "--json", "--by", "title")
    figures = json.loads(outcome.out)
    assert outcome.code == 0, outcome.err
    assert figures["n"] == len(rows)
    assert figures["exact_match"]["value"] >= exact / len(rows) - 1e-6  # articles and full stops do not count there
    assert sum(group["n"] for group in figures["by_column"]["title"]) == len(rows)


def test_a_table_of_questions_is_answered_row_by_row(answerer: Path, tmp_path: Path, command: Command) -> None:
    asked = [("Which Android?", CONTEXT), ("", "Text"), ("Who came?", ""), ("how " * 100, CONTEXT * 20)]
    data = write(tmp_path / "in.csv", [["question", "context"], *asked, ["Which?"]])
    outcome = command("score", data, "-o", tmp_path / "out.csv", "-m", answerer)
    assert outcome.code == 0, outcome.err
    assert "5 rows: answered 3, no answer 1" in outcome.err
    rows = rows_of(tmp_path / "out.csv")
    place = ["answer", "start", "end", "confidence", "unsure", "no_answer", "no_answer_probability"]
    assert list(rows[0]) == ["question", "context", *place, "n_tokens", "n_windows", "error"]
    for row in (rows[0], rows[1], rows[3]):
        assert row["answer"] == row["context"][int(row["start"]) : int(row["end"])] != ""
    assert (rows[2]["answer"], rows[2]["start"], rows[2]["no_answer"]) == ("", "", "true")
    assert int(rows[3]["n_windows"]) > 1
    assert rows[4]["error"] == "line 27: 1 fields, the header has 2"


def test_a_bundle_is_exported_again_as_what_it_is(
    tagger: Path, answerer: Path, tmp_path: Path, command: Command
) -> None:
    texts = write(tmp_path / "few.csv", [["text", "question", "context"], ["in Leeds", "Which Android?", CONTEXT]])
    for source in (tagger, answerer):
        outcome = command("export", source, "-o", tmp_path / source.name, "--texts", texts)
        assert outcome.code == 0, outcome.err
        again, before = Bundle.open(tmp_path / source.name), Bundle.open(source)
        assert (again.task, again.labels, again.traits) == (before.task, before.labels, before.traits)
    (tmp_path / tagger.name / "polarbert.json").unlink()  # a network from elsewhere
    assert command("export", tmp_path / tagger.name, "--texts", texts).code == 0
    assert Bundle.open(tmp_path / tagger.name).task == "tagging"


def test_killed_and_resumed_it_ends_in_the_same_bundle(
    tagger: Path, asked: Arguments, attempt: Attempts, tmp_path: Path
) -> None:
    output = tmp_path / "model"
    resumed = asked("tagging", output, "--resume")
    stages = ["training/checkpoint", "training/summary.json", "training/bundle/polarbert.json"]
    killed = [Attempt(resumed if number else asked("tagging", output), kill_after=s) for number, s in enumerate(stages)]
    *ended, last = attempt(*killed, Attempt(resumed))
    assert [one.code for one in ended] == [-signal.SIGKILL] * len(stages)
    assert last.code == 0, last.err
    assert bundle_files(output) == bundle_files(tagger)


def test_odd_tags_are_repaired_or_left_out_and_told(
    tagger: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")  # lines are cut to the terminal
    data = tmp_path / "odd.conll"
    data.write_text(
        "Leeds I-place\nTickmoor B-product\nH3 I-product\n. O\n\nYork B-place\nalone\n\nKestrow S-company\n\nYork O\n"
    )
    outcome = command("evaluate", tagger, data)
    said = " ".join(outcome.out.replace("note: ", "").split())
    assert "odd.conll: 3 texts judged, 1 left out: unreadable row 1" in said
    assert "I- where no entity of its type is before it, in 1 of the texts, read as B-: 'I-place' once" in said
    assert "The first is in the text at line 1" in said
    assert "line 7 has one column, 'alone'; it needs a word and its tag" in said
    assert "the tags are BIOES, and became BIO: 'S-company' once" in said


def test_odd_answers_are_repaired_or_left_out_and_told(
    answerer: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")

    def one(question: str, answer: str | None, start: int, context: str = CONTEXT) -> str:
        answers = {"text": [answer], "answer_start": [start]} if answer else {"text": [], "answer_start": []}
        return json.dumps({"id": question[:5], "question": question, "context": context, "answers": answers}) + "\n"

    rows = [
        one("moved?", "Android 9", 3),
        one("there?", "Lanternfish", 0),
        one("lost?", "purple", 3),
        one("empty?", "x", 0, " "),
        one(" ", "Android 9", 32),
        one("long " * 60, "Android 9", 32),
        one("none?", None, 0),
        "{broken\n",
    ]
    (tmp_path / "odd.jsonl").write_text("".join(rows), "utf-8")
    outcome = command("evaluate", answerer, tmp_path / "odd.jsonl")
    said = " ".join(outcome.out.replace("note: ", "").split())
    assert outcome.code == 0, outcome.err
    assert "4 questions about 1 passage judged, 4 left out" in said
    assert "1 question had an answer that was not at its offset: it is taken from where it stands nearest" in said
    for reason in ("answer not in its passage", "empty passage", "empty question", "unreadable row"):
        assert f"{reason} 1" in said
    assert "question 3 (id 'lost?') is left out" in said
    assert "line 8 is not JSON" in said


def test_a_type_that_no_text_to_learn_from_has_is_told(
    tmp_path: Path, small_base: Path, room: Path, command: Command
) -> None:
    texts = [f"the B-product\nphone I-product\nis O\ngood O\n{number} O\n" for number in range(30)]
    data = tmp_path / "rare.conll"
    data.write_text("\n".join([*texts, "Leeds B-place\nis O\nold O\n"]), "utf-8")
    dataset = read_tagged(data)
    given_splits(dataset, ["train"] * 24 + ["test"] * 3 + ["dev"] * 4).save(tmp_path / "splits.json", dataset)
    outcome = command(
        *["train", data, "--task", "tagging", "-o", tmp_path / "model", "--base", small_base, "--trial"],
        *["--splits", tmp_path / "splits.json", "--config", room / "tagging.toml"],
    )
    assert outcome.code == 0, outcome.err
    assert "no text to learn from is 'place': the model will not answer it" in outcome.err
    assert "'product': the model" not in outcome.err


REFUSED: list[tuple[str, list[str], int, str]] = [
    ("tagged words for no task", ["train", "m.conll", "-o", "x"], 2, "Train with --task tagging"),
    ("questions for no task", ["train", "q.json", "-o", "x"], 2, "q.json: by its name it holds questions"),
    ("tagged words for qa", ["train", "m.conll", "--task", "qa", "-o", "x"], 2, "Train with --task tagging"),
    ("table for tagging", ["train", "t.csv", "--task", "tagging", "-o", "x"], 2, "Name another with --text-column"),
    ("table for qa", ["train", "t.csv", "--task", "qa", "-o", "x"], 1, "t.csv: cannot be read as JSON"),
    ("no entities", ["train", "o.conll", "--task", "tagging", "-o", "x"], 1, "every word is 'O'"),
    ("Latin-1", ["train", "l.conll", "--task", "tagging", "-o", "x"], 1, "say --encoding cp1252"),
    ("too few", ["train", "m.conll", "--task", "tagging", "-o", "x"], 1, "m.conll: 1 usable rows are too few"),
    ("empty words", ["train", "e.conll", "--task", "tagging", "-o", "x"], 1, "e.conll: is empty; name a file"),
    ("empty questions", ["train", "e.json", "--task", "qa", "-o", "x"], 1, "e.json: is empty; name a file"),
    ("empty stdin", ["evaluate", "answerer", "-"], 1, "stdin: is empty; name a file that holds questions"),
    ("pairs of words", ["train", "m.conll", "--task", "tagging", "--pair-column", "b", "-o", "x"], 2, "--pair-column"),
    (
        "parts of questions",
        ["train", "q.json", "--task", "qa", "--split-column", "p", "-o", "x"],
        2,
        "the task is qa; leave it out, and give the parts as files with --dev and --test",
    ),
    (
        "weights of classes",
        ["train", "q.json", "--task", "qa", "--config", "w.toml", "-o", "x"],
        1,
        "settings: class_weights is for classes, and the task is qa; leave it out",
    ),
    (
        "names of classes",
        ["train", "n.conll", "--task", "tagging", "--config", "l.toml", "-o", "x"],
        1,
        "settings: labels is for classes, and the task is tagging; leave it out",
    ),
    ("column of questions", ["evaluate", "answerer", "q.json", "-c", "a"], 2, "--text-column and --label-column are"),
    (
        "format of questions",
        ["evaluate", "answerer", "q.json", "--format", "csv"],
        2,
        "--format and --encoding are for",
    ),
    ("questions without answers", ["train", "i.json", "--task", "qa", "-o", "x"], 1, "no question has an answer, so"),
    ("other kind of file", ["evaluate", "tagger", "q.json"], 2, "judge with a model for qa"),
    ("unknown type", ["evaluate", "tagger", "u.conll"], 2, "Say what it stands for with --labels river=TYPE"),
    ("groups of words", ["evaluate", "tagger", "m.conll", "--by", "a"], 2, "--by means nothing to a model for tagging"),
    ("no such group", ["evaluate", "answerer", "q.json", "--by", "a"], 2, "no question has a 'a'; leave out --by a"),
    ("page of a tagger", ["evaluate", "tagger", "m.conll", "-o", "p.html"], 2, "--output means nothing to a model"),
    ("question without a passage", ["predict", "-m", "answerer", "Who?"], 2, "give the second one with --context"),
    ("pair for an answerer", ["predict", "-m", "answerer", "Who?", "--pair", "a"], 2, "which takes --context"),
    ("passage for a tagger", ["predict", "-m", "tagger", "a", "--context", "b"], 2, "which reads single texts"),
    ("no passages", ["score", "t.csv", "-o", "o.csv", "-m", "answerer"], 2, "t.csv: no column 'context'"),
    ("no questions", ["score", "t.csv", "-o", "o.csv", "-m", "answerer", "-c", "a"], 2, "no column 'question'"),
    ("second texts", ["score", "t.csv", "-o", "o.csv", "-m", "tagger", "-c", "a", "--pair-column", "b"], 2, "leave it"),
    ("taken name", ["score", "n.csv", "-o", "o.csv", "-m", "tagger"], 2, "has a column 'entities' already"),
    ("words as a table", ["score", "m.conll", "-o", "o.csv", "-m", "tagger"], 2, "cannot tell the format"),
    ("other head", ["export", "tagger", "-o", "x", "--task", "qa"], 1, "no tensor 'qa_outputs.weight'"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED])
def test_what_does_not_fit_is_named_with_what_to_do(
    tagger: Path,
    answerer: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tagger").symlink_to(tagger)
    Path("answerer").symlink_to(answerer)
    Path("m.conll").write_text("Leeds B-place\nis O\n")
    Path("u.conll").write_text("Ouse B-river\nis O\n")
    Path("o.conll").write_text("it O\nis O\n")
    Path("l.conll").write_bytes("Café B-place\nis O\n".encode("latin-1"))
    Path("q.json").write_text(QUESTIONS.read_text("utf-8"), "utf-8")
    unanswered = json.loads(QUESTIONS.read_text("utf-8"))
    for question in (q for article in unanswered["data"] for part in article["paragraphs"] for q in part["qas"]):
        question |= {"answers": [], "is_impossible": True}
    Path("i.json").write_text(json.dumps(unanswered), "utf-8")
    Path("t.csv").write_text("a,b\n1,2\n")
    Path("n.csv").write_text("text,entities\n1,2\n")
    Path("e.conll").touch()
    Path("n.conll").write_text(MENTIONS.read_text("utf-8"), "utf-8")
    Path("w.toml").write_text("class_weights = true\n")
    Path("l.toml").write_text('[labels]\n"B-place" = "B-town"\n')
    Path("e.json").touch()
    assert_refused(command(*arguments), code, words)
    assert not Path("x").exists()
    assert not Path("o.csv").exists()
