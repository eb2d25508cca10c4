"""`polarbert evaluate`: figures on stdout, a page where one is asked for, and one clear message for every mistake."""

from __future__ import annotations

import csv
import io
import json
import resource
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.scoring_fixtures import LABELS, QUICK, Outcome, polarbert_process, sentences

from polarbert.bundle import MANIFEST
from polarbert.cli.evaluate import label_mapping
from polarbert.errors import UsageError
from polarbert.inference.classifier import SentimentModel

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]
Judge = Callable[..., Outcome]
REVIEWS = sentences(60, 41)
STARS = {"negative": "12", "neutral": "3", "positive": "45"}


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = ("text", "label")) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([header, *rows])
    return out.getvalue().encode()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with labelled reviews, so that messages show the names that a user would type."""
    monkeypatch.chdir(tmp_path)
    Path("reviews.csv").write_bytes(table(REVIEWS))
    Path("folder").mkdir()
    return tmp_path


@pytest.fixture
def judge(command: Command, here: Path, bundle_dir: Path) -> Judge:
    """Runs the command on the small model."""
    return lambda *arguments: command("evaluate", bundle_dir, *arguments, *QUICK)


def judged(judge: Judge, *arguments: str | Path) -> dict[str, object]:
    ended = judge(*arguments, "--json")
    assert ended.code == 0, ended
    found: dict[str, object] = json.loads(ended.out)
    return found


def test_figures_are_printed_and_nothing_else(judge: Judge, here: Path, model: SentimentModel) -> None:
    ended = judge("reviews.csv")
    assert (ended.code, ended.err) == (0, "")
    answers = model.predict([text for text, _ in REVIEWS])
    right = np.mean([answer.label == label for answer, (_, label) in zip(answers, REVIEWS, strict=True)])
    assert ended.out.startswith("reviews.csv: 60 rows judged\n")
    assert f"accuracy             {right:.3f}  " in ended.out
    assert ended.out.endswith("\n")
    assert sorted(file.name for file in here.iterdir()) == ["folder", "reviews.csv"]


def test_json_is_one_object_of_numbers(judge: Judge) -> None:
    found = judged(judge, "reviews.csv")
    assert found["n"] == 60
    assert found["labels"] == LABELS
    accuracy = found["accuracy"]
    assert isinstance(accuracy, dict)
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert {"macro_f1", "macro_recall", "classes", "confusion", "calibration", "coverage", "sure", "errors"} <= set(
        found
    )


def test_a_page_is_written_where_it_is_asked_for(judge: Judge, here: Path) -> None:
    ended = judge("reviews.csv", "-o", "page.html")
    assert ended.code == 0
    assert ended.err == "page.html: open it in a browser; it needs no network\n"
    page = Path("page.html").read_text("utf-8")
    assert "<h1>int8 on reviews.csv</h1>" in page
    assert page.count("<svg") == 4
    assert judge("reviews.csv", "-o", "page.html", "--overwrite", "--quiet").err == ""
    assert sorted(file.name for file in here.iterdir()) == ["folder", "page.html", "reviews.csv"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_rows_come_from_a_pipe(bundle_dir: Path, here: Path, kind: str) -> None:
    if kind == "csv":
        content = Path("reviews.csv").read_bytes()
    elif kind == "jsonl":
        content = "\n".join(json.dumps({"text": text, "label": label}) for text, label in REVIEWS).encode()
    else:
        out = io.BytesIO()
        pq.write_table(pa.table({"text": [text for text, _ in REVIEWS], "label": [label for _, label in REVIEWS]}), out)
        content = out.getvalue()
    asked: list[str | Path] = ["evaluate", bundle_dir, "-", "--format", kind, "-o", f"{kind}.html", *QUICK]
    ended = polarbert_process(asked, input=content)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(b"stdin: 60 rows judged\n")
    assert "<h1>int8 on stdin</h1>" in Path(f"{kind}.html").read_text("utf-8")


def test_a_pipe_without_rows_is_named(command: Command, here: Path, bundle_dir: Path) -> None:
    ended = command("evaluate", bundle_dir, "-")
    assert (ended.code, ended.out) == (1, "")
    assert "stdin: is empty" in ended.err
    assert "stdin: no column 'text'" in command("evaluate", bundle_dir, "-", stdin=b"a,b\n1,2\n").err


def test_stars_are_judged_by_a_model_of_sentiment(judge: Judge) -> None:
    rows = [(text, STARS[label][number % len(STARS[label])]) for number, (text, label) in enumerate(REVIEWS)]
    Path("stars.csv").write_bytes(table(rows, ("review", "stars")))
    found = judged(judge, "stars.csv", "-c", "review", "-l", "stars")
    assert found["confusion"] == judged(judge, "reviews.csv")["confusion"]
    assert "labels taken: '1', '2' as 'negative'; '3' as 'neutral'; '4', '5' as 'positive'" in str(found["notes"])


def test_labels_are_mapped_and_rows_left_out(judge: Judge) -> None:
    names = {"negative": "thumbs, down", "neutral": "none", "positive": "up"}
    rows = [(text, names[label]) for text, label in REVIEWS]
    Path("thumbs.csv").write_bytes(table(rows))
    ended = judge("thumbs.csv")
    assert ended.code == 2
    assert "does not know the label 'none', 'thumbs, down', 'up'" in ended.err
    found = judged(judge, "thumbs.csv", "--labels", 'up=positive,"thumbs, down=negative"', "--labels", "none=")
    usual = judged(judge, "reviews.csv")
    assert isinstance(usual["confusion"], list)
    assert found["confusion"] == [usual["confusion"][0], [0, 0, 0], usual["confusion"][2]]
    assert found["skipped"] == {"label 'none'": sum(label == "neutral" for _, label in REVIEWS)}
    assert found["absent"] == ["neutral"]


def test_what_labels_stand_for_is_read_as_it_is_written() -> None:
    assert label_mapping(["a=b, c = d", "e==f", "g="]) == {"a": "b", "c": "d", "e=": "f", "g": ""}
    for wrong in ("a", "=b", "a=b,,c=d", " =x"):
        with pytest.raises(UsageError, match="write it as LABEL=CLASS"):
            label_mapping([wrong])
    for twice in (["a=b", "a=c"], ["A=b,a =c"]):
        with pytest.raises(UsageError, match="says twice what 'a' stands for"):
            label_mapping(twice)


def test_columns_are_judged_by_their_values(judge: Judge) -> None:
    rows = [(text, label, ("Hull", "York")[n % 2], str(n)) for n, (text, label) in enumerate(REVIEWS)]
    Path("shops.csv").write_bytes(table(rows, ("text", "label", "shop", "price")))
    found = judged(judge, "shops.csv", "--by", "shop", "--by", "price", "--by", "shop")
    columns = found["by_column"]
    assert isinstance(columns, dict)
    assert {group["name"]: group["n"] for group in columns["shop"]} == {"Hull": 30, "York": 30}
    assert [group["name"] for group in columns["price"]] == ["0 to 14", "15 to 29", "30 to 44", "45 to 59"]


def test_another_threshold_is_taken(judge: Judge) -> None:
    sure = [judged(judge, "reviews.csv", "--min-confidence", value)["sure"] for value in ("0", "0.6", "1")]
    assert [part["threshold"] for part in sure if isinstance(part, dict)] == [0, 0.6, 1]
    shares = [part["share"] for part in sure if isinstance(part, dict)]
    assert shares[0] == 1
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 1


def test_the_embedded_model_is_called_default(here: Path) -> None:
    Path("two.csv").write_bytes(table([("I love it", "positive"), ("It broke after a week", "negative")]))
    ended = polarbert_process(["evaluate", "default", "two.csv", *QUICK])
    assert ended.returncode == 0, ended.stderr
    assert b"two.csv: 2 rows judged" in ended.stdout
    assert b"2 rows cannot say much" in ended.stdout


# Name of the case, content of the file, what the output says.
ODD: list[tuple[str, bytes, list[str]]] = [
    ("labels that differ by case", table([("so great", "Positive "), ("so bad", "NEGATIVE")]), ["2 rows judged"]),
    ("one class", table([(text, "positive") for text, label in REVIEWS if label == "positive"]), ["every row is 'pos"]),
    ("two rows", table(REVIEWS[:2]), ["2 rows judged", "2 rows cannot say much"]),
    ("one row", table(REVIEWS[:1]), ["1 rows judged"]),
    ("all the same text", table([("so great", label) for label in LABELS * 5]), ["14 rows repeat", "in 2 cases"]),
    (
        "empty labels",
        table([*REVIEWS[:20], ("so great", ""), ("so bad", " ")]),
        ["20 rows judged, 2 left out: empty l"],
    ),
    ("empty texts", table([*REVIEWS[:20], ("", "positive")]), ["20 rows judged, 1 left out: empty text 1"]),
    ("a ragged row", table([*REVIEWS[:20], ("so great",)]), ["20 rows judged, 1 left out: unreadable row 1", "row 21"]),
    ("a text that a terminal would obey", table([("so great \x1b[2J", "negative")] * 2), ["row 1", "so great"]),
    ("words without meaning", table([("?!", "neutral"), ("so great", "positive")]), ["2 rows judged"]),
    ("UTF-8 with a mark", b"\xef\xbb\xbf" + table(REVIEWS[:20]), ["20 rows judged"]),
    ("semicolons", table(REVIEWS[:20]).replace(b",", b";"), ["20 rows judged"]),
]


@pytest.mark.parametrize(("content", "words"), [case[1:] for case in ODD], ids=[case[0] for case in ODD])
def test_odd_files_are_judged_as_far_as_they_go(judge: Judge, content: bytes, words: list[str]) -> None:
    Path("odd.csv").write_bytes(content)
    ended = judge("odd.csv", "-o", "page.html", "--quiet")
    assert ended.code == 0, ended.err
    assert ended.err == ""
    for word in words:
        assert word in " ".join(ended.out.split()), ended.out
    assert "\x1b" not in ended.out
    assert Path("page.html").stat().st_size > 20_000


def test_missing_labels_of_jsonl_are_left_out(judge: Judge) -> None:
    lines = [json.dumps({"text": text, "label": label}) for text, label in REVIEWS[:20]]
    lines += ['{"text": "so great", "label": NaN}', '{"text": "so great", "label": null}', '{"text": "so great"}']
    Path("a.jsonl").write_text("\n".join(lines))
    ended = judge("a.jsonl")
    assert ended.code == 0, ended.err
    assert "20 rows judged, 3 left out" in ended.out


# Name of the case, arguments behind the model, exit code, words of the message.
REFUSED: list[tuple[str, list[str], int, list[str]]] = [
    ("no data", [], 2, ["DATA"]),
    ("missing file", ["reviews.cvs"], 2, ["reviews.cvs: no such file. Did you mean reviews.csv?"]),
    ("data is a folder", ["folder"], 2, ["folder: is a folder"]),
    ("missing label column", ["reviews.csv", "-l", "labels"], 2, ["no column 'labels'. Did you mean 'label'?"]),
    ("missing text column", ["reviews.csv", "-c", "txt"], 2, ["no column 'txt'. Did you mean 'text'?"]),
    ("one column for both", ["reviews.csv", "-l", "text"], 2, ["cannot both be in the column 'text'"]),
    ("unknown column to judge by", ["reviews.csv", "--by", "shop"], 2, ["no column 'shop'", "'text', 'label'"]),
    ("page in a missing folder", ["reviews.csv", "-o", "none/p.html"], 2, ["none/p.html: the folder none does not"]),
    ("page on stdout", ["reviews.csv", "-o", "-"], 2, ["-o -: the page is a file", "name a file"]),
    ("page is a folder", ["reviews.csv", "-o", "folder"], 2, ["folder: is a folder; name a file in it"]),
    ("page of another kind", ["reviews.csv", "-o", "p.pdf"], 2, ["p.pdf: the page is HTML; name it p.html"]),
    ("page would replace the data", ["reviews.csv", "-o", "reviews.csv"], 2, ["reviews.csv: the page is HTML"]),
    ("threshold above one", ["reviews.csv", "--min-confidence", "60"], 2, ["--min-confidence is 60", "0 and 1"]),
    ("threshold that is no number", ["reviews.csv", "--min-confidence", "nan"], 2, ["--min-confidence is nan"]),
    ("mapping without a class", ["reviews.csv", "--labels", "good"], 2, ["--labels has 'good'", "LABEL=CLASS"]),
    ("mapping to no class", ["reviews.csv", "--labels", "neutral=so-so"], 2, ["the model has no class 'so-so'"]),
    ("mapping of no label", ["reviews.csv", "--labels", "good=positive"], 2, ["no row has the label 'good'"]),
    ("everything left out", ["reviews.csv", "--labels", "positive=,negative=,neutral="], 1, ["no row has both"]),
    ("unknown engine", ["reviews.csv", "--engine", "abacus"], 2, ["no engine 'abacus'"]),
    ("unknown format", ["reviews.csv", "--format", "excel"], 2, ["--format is 'excel'"]),
    ("unknown encoding", ["reviews.csv", "--encoding", "klingon"], 2, ["klingon"]),
    ("delimiter of two characters", ["reviews.csv", "--delimiter", "::"], 2, ["--delimiter is '::'"]),
    ("negative threads", ["reviews.csv", "--threads", "-1"], 2, ["--threads"]),
]


@pytest.mark.parametrize(
    ("arguments", "code", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_wrong_request_ends_in_one_message(
    command: Command, here: Path, bundle_dir: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    ended = command("evaluate", bundle_dir, *arguments)
    assert (ended.code, ended.out) == (code, ""), ended
    for word in words:
        assert word in " ".join(ended.err.split()), ended.err
    assert sorted(file.name for file in here.iterdir()) == ["folder", "reviews.csv"]


# Name of the case, content of the file, exit code, words of the message.
UNUSABLE: list[tuple[str, bytes, int, list[str]]] = [
    ("empty file", b"", 1, ["bad.csv: is empty"]),
    ("header alone", b"text,label\n", 1, ["bad.csv", "no rows"]),
    ("no label at all", table([(text, "") for text, _ in REVIEWS[:5]]), 1, ["bad.csv", "empty label: 5"]),
    ("no text at all", table([("", "positive")] * 3), 1, ["bad.csv", "empty text: 3"]),
    (
        "labels unknown to the model",
        table([("a b", "bug")]),
        2,
        ["does not know the label 'bug'", "--labels bug=CLASS"],
    ),
    ("some labels unknown", table([*REVIEWS[:9], ("a b", "6")]), 2, ["does not know the label '6'", "--labels 6="]),
    ("UTF-16 without a word of it", table(REVIEWS).decode().encode("utf-16-le"), 1, ["bad.csv"]),
    (
        "a quotation mark never closed",
        b'text,label\n"so great,positive\nso bad,negative\n',
        1,
        ["bad.csv", "never closed"],
    ),
    ("NUL bytes for a file", bytes(500), 2, ["bad.csv: no column 'text'"]),
]


@pytest.mark.parametrize(("content", "code", "words"), [case[1:] for case in UNUSABLE], ids=[c[0] for c in UNUSABLE])
def test_a_file_that_cannot_be_judged_is_named_with_its_reason(
    judge: Judge, here: Path, content: bytes, code: int, words: list[str]
) -> None:
    Path("bad.csv").write_bytes(content)
    ended = judge("bad.csv", "-o", "page.html")
    assert (ended.code, ended.out) == (code, ""), ended
    for word in words:
        assert word in " ".join(ended.err.split()), ended.err
    assert "Traceback" not in ended.err
    assert not Path("page.html").exists()


def test_utf16_is_judged_where_its_mark_or_the_user_says_so(judge: Judge) -> None:
    Path("a.csv").write_bytes(table(REVIEWS[:20]).decode().encode("utf-16"))
    ended = judge("a.csv", "--encoding", "utf-16")
    assert ended.code == 0, ended.err
    assert "20 rows judged" in ended.out


def test_a_page_that_is_there_is_not_lost(judge: Judge) -> None:
    Path("page.html").write_text("mine")
    ended = judge("reviews.csv", "-o", "page.html")
    assert (ended.code, ended.out) == (2, "")
    assert "page.html: exists already. Name another page, or replace it with --overwrite" in ended.err
    assert Path("page.html").read_text() == "mine"


def test_a_full_disk_costs_the_page_and_not_the_figures(judge: Judge, here: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        ended = judge("reviews.csv", "-o", "page.html")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert ended.code == 1
    assert "macro-F1" in ended.out
    assert "page.html: cannot be written" in ended.err
    assert sorted(file.name for file in here.iterdir()) == ["folder", "reviews.csv"]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("./none", ["none: no such model directory"]),
        ("folder", ["folder: not a model directory"]),
        ("reviews.csv", ["a model is a directory"]),
        ("some-org/none", ["some-org/none: not a local"]),
    ],
)
def test_a_model_that_is_none_is_named(command: Command, here: Path, model: str, words: list[str]) -> None:
    ended = command("evaluate", model, "reviews.csv")
    assert (ended.code, ended.out) == (1, "")
    for word in words:
        assert word in " ".join(ended.err.split())


def test_a_damaged_model_is_named(command: Command, here: Path, own_bundle: Path) -> None:
    (own_bundle / "tokenizer.json").write_text("{}")
    ended = command("evaluate", own_bundle, "reviews.csv")
    assert (ended.code, ended.out) == (1, "")
    assert "tokenizer.json: is damaged or was changed" in ended.err
    manifest = json.loads((own_bundle / MANIFEST).read_text())
    (own_bundle / MANIFEST).write_text(json.dumps(manifest | {"labels": "none"}))
    assert command("evaluate", own_bundle, "reviews.csv").code == 1
