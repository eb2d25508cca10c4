"""`polarbert score` as a user meets it: files, pipes, columns, summaries."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.scoring_fixtures import LABELS, POLARBERT, QUICK, Outcome, polarbert_process, sentences

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]
REVIEWS = b"id,review\n0001,the app is really great\n0002,this phone was so bad\n0003,the box is just average\n"


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    file = tmp_path / "reviews.csv"
    file.write_bytes(REVIEWS)
    return file


def options(bundle: Path) -> list[str]:
    return ["--text-column", "review", "--model", str(bundle), *QUICK]


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", errors="surrogateescape", newline="") as opened:
        return list(csv.DictReader(opened))


def test_a_file_is_scored(command: Command, reviews: Path, bundle_dir: Path) -> None:
    out = reviews.with_name("scored.csv")
    ended = command("score", reviews, "-o", out, *options(bundle_dir))
    assert (ended.code, ended.out) == (0, "")
    assert [row["label"] for row in rows(out)] == ["positive", "negative", "neutral"]
    assert [row["id"] for row in rows(out)] == ["0001", "0002", "0003"]
    assert "3 rows" in ended.err
    assert "negative 1, neutral 1, positive 1" in ended.err
    assert "rows/s" in ended.err
    assert sorted(file.name for file in out.parent.iterdir()) == ["reviews.csv", "scored.csv"]


def test_jsonl_and_tsv_are_scored(command: Command, tmp_path: Path, bundle_dir: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"review": "so great", "price": 1.00}\n')
    (tmp_path / "a.tsv").write_text("review\tprice\nso great\t1.00\n")
    for name, kept in [("a.jsonl", '"price": 1.00,'), ("a.tsv", "so great\t1.00\tpositive")]:
        ended = command("score", tmp_path / name, "-o", tmp_path / f"out-{name}", *options(bundle_dir))
        assert ended.code == 0
        assert kept in (tmp_path / f"out-{name}").read_text()


def test_quiet_says_nothing(command: Command, reviews: Path, bundle_dir: Path) -> None:
    ended = command("score", reviews, "-o", reviews.with_name("s.csv"), "--quiet", *options(bundle_dir))
    assert ended == Outcome(0, "", "")


def test_json_sums_up_on_stdout(command: Command, reviews: Path, bundle_dir: Path) -> None:
    ended = command("score", reviews, "-o", reviews.with_name("s.csv"), "--json", *options(bundle_dir))
    summary = json.loads(ended.out)
    assert summary["rows"] == 3
    assert [summary[f"label:{label}"] for label in LABELS] == [1, 1, 1]
    assert summary["computed_texts"] == 3
    assert summary["seconds"] > 0


def test_unknown_pieces_are_in_the_summary(command: Command, tmp_path: Path, bundle_dir: Path) -> None:
    (tmp_path / "a.csv").write_text("review\nthe 日日 app\n")
    ended = command("score", tmp_path / "a.csv", "-o", tmp_path / "b.csv", *options(bundle_dir))
    assert "4 word pieces, 2 of them [UNK]" in ended.err


def test_stdin_to_stdout(reviews: Path, bundle_dir: Path) -> None:
    ended = polarbert_process(["score", "-", "-o", "-", "--quiet", *options(bundle_dir)], input=REVIEWS)
    assert (ended.returncode, ended.stderr) == (0, b"")
    found = list(csv.DictReader(io.StringIO(ended.stdout.decode())))
    assert [row["label"] for row in found] == ["positive", "negative", "neutral"]


def test_stdin_of_jsonl(reviews: Path, bundle_dir: Path) -> None:
    lines = b'{"review": "so great"}\n{"review": "so bad"}\n'
    ended = polarbert_process(["score", "-", "-o", "-", "--format", "jsonl", *options(bundle_dir)], input=lines)
    assert [json.loads(line)["label"] for line in ended.stdout.splitlines()] == ["positive", "negative"]


def test_the_same_rows_come_to_a_file_and_to_stdout(command: Command, reviews: Path, bundle_dir: Path) -> None:
    out = reviews.with_name("s.csv")
    command("score", reviews, "-o", out, *options(bundle_dir))
    assert command("score", reviews, "-o", "-", *options(bundle_dir)).out == out.read_text()


def test_a_named_pipe_is_streamed(command: Command, reviews: Path, bundle_dir: Path) -> None:
    pipe = reviews.with_name("pipe")
    os.mkfifo(pipe)
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.append(pipe.read_bytes()))
    reader.start()
    ended = command("score", reviews, "-o", pipe, *options(bundle_dir))
    reader.join(20)
    assert ended.code == 0
    assert taken[0].count(b"\n") == 4
    assert pipe.is_fifo()


def test_a_reader_that_leaves_early_ends_the_run_quietly(tmp_path: Path, bundle_dir: Path) -> None:
    (tmp_path / "many.csv").write_text("review\n" + "\n".join(text for text, _ in sentences(3000, 41)) + "\n")
    command = [*POLARBERT, "score", str(tmp_path / "many.csv"), "-o", "-", "--quiet", *options(bundle_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"review,label")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_a_delimiter_can_be_named(command: Command, tmp_path: Path, bundle_dir: Path) -> None:
    (tmp_path / "a.csv").write_text("review^a,b,c\nso great^1\n")
    out = tmp_path / "b.csv"
    assert command("score", tmp_path / "a.csv", "-o", out, "--delimiter", "^", *options(bundle_dir)).code == 0
    assert out.read_text().startswith("review^a,b,c^label^")


def test_the_prefix_makes_room_for_a_second_opinion(command: Command, reviews: Path, bundle_dir: Path) -> None:
    once, twice = reviews.with_name("once.csv"), reviews.with_name("twice.csv")
    assert command("score", reviews, "-o", once, *options(bundle_dir)).code == 0
    refused = command("score", once, "-o", twice, *options(bundle_dir))
    assert refused.code == 2
    assert "--prefix" in refused.err
    assert command("score", once, "-o", twice, "--prefix", "second_", *options(bundle_dir)).code == 0
    assert all(row["label"] == row["second_label"] for row in rows(twice))


def test_no_row_with_a_text_is_an_error_of_the_data(command: Command, tmp_path: Path, bundle_dir: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"review,id\n\xff,1\nragged\n")
    out = tmp_path / "b.csv"
    ended = command("score", tmp_path / "a.csv", "-o", out, *options(bundle_dir))
    assert ended.code == 1
    assert "no row could be scored; the column 'error'" in ended.err
    assert len(rows(out)) == 2


MEASURE = """
import sys
from polarbert.cli import main
try:
    main()
finally:
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print("peak", status["VmHWM"].split()[0], file=sys.stderr)
"""


def test_memory_does_not_grow_with_the_rows(tmp_path: Path, bundle_dir: Path) -> None:
    peaks = []
    for count in (2_000, 20_000):
        source = tmp_path / f"{count}.csv"
        source.write_text("review\n" + "".join(f"so great {number}\n" for number in range(count)))
        arguments = ["score", str(source), "-o", str(tmp_path / f"out-{count}.csv"), *options(bundle_dir)]
        ended = subprocess.run(
            [sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, check=True, timeout=100
        )
        peaks.append(int(ended.stderr.split("peak ")[1]))
    assert peaks[1] < 1.3 * peaks[0]
