"""`--sentences` of predict and score: the verdict of each sentence beside that of the whole."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.scoring_fixtures import QUICK, Outcome, SpyEngine

from polarbert.inference.by_sentence import SentenceReader
from polarbert.inference.classifier import SentimentModel

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]
TURNING = "The app is great! The screen was so bad."


@pytest.fixture
def options(bundle_dir: Path) -> list[str]:
    return ["--model", str(bundle_dir), *QUICK]


def test_predict_shows_the_whole_and_each_sentence(command: Command, options: list[str]) -> None:
    ended = command("predict", "--sentences", TURNING, "so great", *options)
    whole, first, second, other, alone = ended.out.splitlines()
    assert whole.endswith(TURNING)
    assert (first.split()[0], second.split()[0]) == ("positive", "negative")
    assert first.endswith("  The app is great!")
    assert (first[:2], other[0], alone[:2]) == ("  ", "p", "  ")


def test_predict_as_json_has_the_places(command: Command, options: list[str], model: SentimentModel) -> None:
    found = json.loads(command("predict", "--sentences", "--json", TURNING, *options).out)
    assert found == {"text": TURNING, **model.predict_sentences([TURNING])[0].to_dict()}
    assert [TURNING[one["start"] : one["end"]] for one in found["sentences"]] == [
        one["text"] for one in found["sentences"]
    ]


def table(file: Path, rows: int) -> Path:
    with file.open("w", encoding="utf-8", newline="") as opened:
        texts = [TURNING if number % 3 else f"so great {number}" for number in range(rows)]
        csv.writer(opened).writerows([["id", "text"], *enumerate(texts), [rows, ""]])
    return file


def test_score_keeps_rows_as_rows(command: Command, options: list[str], tmp_path: Path) -> None:
    source = table(tmp_path / "in.csv", 10)
    assert command("score", source, "-o", tmp_path / "plain.csv", "-q", *options).code == 0
    assert command("score", source, "-o", tmp_path / "more.csv", "-q", "--sentences", *options).code == 0
    plain = list(csv.DictReader((tmp_path / "plain.csv").open(encoding="utf-8")))
    more = list(csv.DictReader((tmp_path / "more.csv").open(encoding="utf-8")))
    sentences = [json.loads(row.pop("sentences")) for row in more]
    assert more == plain
    assert [len(found) for found in sentences] == [1 if n % 3 == 0 else 2 for n in range(10)] + [0]
    assert [one["label"] for one in sentences[1]] == ["positive", "negative"]


def test_parquet_and_jsonl_have_the_column_too(command: Command, options: list[str], tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": [TURNING]}), tmp_path / "in.parquet")
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": TURNING}) + "\n", "utf-8")
    for kind in ("parquet", "jsonl"):
        arguments = ["score", tmp_path / f"in.{kind}", "-o", tmp_path / f"out.{kind}", "-q", "--sentences"]
        assert command(*arguments, *options).code == 0
    [record] = pq.read_table(tmp_path / "out.parquet").to_pylist()
    line = json.loads((tmp_path / "out.jsonl").read_text("utf-8"))
    assert json.loads(record["sentences"]) == line["sentences"]
    assert len(line["sentences"]) == 2


def test_an_interrupted_run_goes_on_to_the_same_bytes(
    command: Command, options: list[str], bundle_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = table(tmp_path / "in.csv", 2500)
    arguments = ["score", source, "-q", "--sentences", *options, "-o"]
    assert command(*arguments, tmp_path / "whole.csv").code == 0
    answer, calls = SentenceReader.answer, iter(range(10))

    def breaks(reader: SentenceReader, asked: list[tuple[str, str | None]]) -> list[object]:
        if next(calls) == 1:
            raise OSError(5, "the machine stopped")
        return list(answer(reader, asked))

    monkeypatch.setattr(SentenceReader, "answer", breaks)
    assert command(*arguments, tmp_path / "out.csv").code == 1
    monkeypatch.undo()
    assert (tmp_path / "out.csv.partial.json").is_file()
    plain = command("score", source, "-q", *options, "-o", tmp_path / "out.csv")
    assert "an unfinished run stands here whose sentences differed" in plain.err
    assert command(*arguments, tmp_path / "out.csv").code == 0
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_texts_that_come_again_are_not_computed_again(spied: tuple[SentimentModel, SpyEngine]) -> None:
    model, spy = spied
    SentenceReader(model).answer([(TURNING, None), ("The app is great!", None), (TURNING, None)])
    assert spy.computed == 3
