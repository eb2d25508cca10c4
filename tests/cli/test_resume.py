"""Runs that are killed, stopped, refused or out of disk, and what the same command makes of them afterwards."""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.scoring_fixtures import QUICK, Outcome, polarbert_process, sentences

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]
ROWS = 6000

# A shell may have started the tests in the background, where it has interrupts ignored; a terminal does not.
IN_FRONT = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from polarbert.cli import main
main()
"""


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several thousand rows, of which a third repeats earlier ones."""
    file = tmp_path_factory.mktemp("resume") / "reviews.csv"
    texts = [text for text, _ in sentences(ROWS * 2 // 3, 51)]
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["id", "review"])
        for number in range(ROWS):
            place = number if number % 3 else number // 3
            writer.writerow([f"{number:05}", f'{texts[place % len(texts)]} ,\n"{place}"'])
    return file


@pytest.fixture(scope="module")
def whole(reviews: Path, bundle_dir: Path) -> bytes:
    """What an uninterrupted run makes of it."""
    out = reviews.with_name("whole.csv")
    ended = polarbert_process(score(reviews, out, bundle_dir))
    assert ended.returncode == 0
    return out.read_bytes()


def score(source: Path, out: Path, bundle: Path, *more: str) -> list[str]:
    return ["score", str(source), "-o", str(out), "--text-column", "review", "--model", str(bundle), *QUICK, *more]


def rows_kept(out: Path) -> int:
    try:
        return int(json.loads(out.with_name(f"{out.name}.partial.json").read_text())["rows"])
    except FileNotFoundError:
        return -1


def stopped_by(number: signal.Signals, arguments: list[str], out: Path, after: int) -> tuple[int, str]:
    """Run until `after` rows are kept, then send a signal; the exit code and what was said."""
    with subprocess.Popen([sys.executable, "-c", IN_FRONT, *arguments], stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 100
        while rows_kept(out) < after and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(number)
        said = process.communicate()[1]
    assert not out.exists(), "the run ended before it could be stopped"
    return process.returncode, said


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "scored.csv"
    assert {file.name for file in tmp_path.iterdir() if file.is_file()} <= {"scored.csv"}, "a run left files behind"


def test_a_killed_run_goes_on_and_ends_the_same(reviews: Path, bundle_dir: Path, out: Path, whole: bytes) -> None:
    arguments = score(reviews, out, bundle_dir)
    code, said = stopped_by(signal.SIGKILL, arguments, out, after=0)
    assert code == -signal.SIGKILL
    code, _ = stopped_by(signal.SIGKILL, arguments, out, after=2000)
    assert code == -signal.SIGKILL
    kept = rows_kept(out)
    assert kept >= 2000
    ended = polarbert_process(arguments)
    assert ended.returncode == 0
    assert f"going on after {kept:,} rows" in ended.stderr.decode()
    assert f"{ROWS:,} rows" in ended.stderr.decode()
    assert out.read_bytes() == whole
    assert "Traceback" not in said


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_says_what_is_kept_and_goes_on(
    reviews: Path, bundle_dir: Path, out: Path, whole: bytes, number: signal.Signals, code: int
) -> None:
    arguments = score(reviews, out, bundle_dir)
    ended, said = stopped_by(number, arguments, out, after=1000)
    assert ended == code
    assert f"stopped; {rows_kept(out):,} rows are kept, and the same command goes on from there" in said
    assert "Traceback" not in said
    assert "Aborted" not in said
    assert polarbert_process(arguments).returncode == 0
    assert out.read_bytes() == whole


def test_a_killed_run_on_parquet_ends_with_an_equal_table(
    reviews: Path, bundle_dir: Path, tmp_path: Path, whole: bytes
) -> None:
    with reviews.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    table = pa.Table.from_pylist(rows).append_column("number", pa.array(range(ROWS), pa.uint32()))
    source, out = tmp_path / "reviews.parquet", tmp_path / "scored.parquet"
    pq.write_table(table, source, row_group_size=1700)
    arguments = score(source, out, bundle_dir)
    for number, after in ((signal.SIGKILL, 1000), (signal.SIGTERM, 3000)):
        stopped_by(number, arguments, out, after)
    kept = rows_kept(out)
    assert kept >= 3000
    ended = polarbert_process(arguments)
    assert ended.returncode == 0
    assert f"going on after {kept:,} rows" in ended.stderr.decode()
    scored = pq.read_table(out)
    assert scored.select(table.column_names).equals(table)
    plain = list(csv.DictReader(whole.decode().splitlines(keepends=True)))
    assert [f"{value:.6f}" for value in scored.column("p_positive").to_pylist()] == [row["p_positive"] for row in plain]
    assert scored.column("label").to_pylist() == [row["label"] for row in plain]
    assert {file.name for file in tmp_path.iterdir()} == {"reviews.parquet", "scored.parquet"}


def small(tmp_path: Path, count: int = 1500) -> Path:
    folder = tmp_path / "in"
    folder.mkdir(exist_ok=True)
    source = folder / "small.csv"
    source.write_text("id,review\n" + "".join(f"{n},{text}\n" for n, (text, _) in enumerate(sentences(count, 52))))
    return source


def test_a_finished_output_is_replaced_only_when_asked(
    command: Command, tmp_path: Path, bundle_dir: Path, out: Path
) -> None:
    arguments = score(small(tmp_path, 20), out, bundle_dir)
    assert command(*arguments).code == 0
    before = out.read_bytes()
    refused = command(*arguments)
    assert refused.code == 2
    assert f"polarbert: {out}: exists already" in refused.err
    assert "--overwrite" in refused.err
    assert out.read_bytes() == before
    assert command(*arguments, "--overwrite", "--prefix", "new_").code == 0
    assert b"new_label" in out.read_bytes()


def leave_unfinished(source: Path, out: Path, bundle: Path, limit: int = 100_000) -> subprocess.CompletedProcess[bytes]:
    """A run that is not allowed to write more than `limit` bytes to a file."""
    return polarbert_process(
        score(source, out, bundle), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )


def test_another_run_does_not_continue_these_rows(
    command: Command, tmp_path: Path, bundle_dir: Path, out: Path
) -> None:
    source = small(tmp_path)
    leave_unfinished(source, out, bundle_dir)
    kept = out.with_name("scored.csv.partial").read_bytes()
    other = command(*score(source, out, bundle_dir, "--prefix", "new_"))
    assert other.code == 1
    assert "whose prefix differed" in other.err
    with source.open("a") as file:
        file.write("9999,one more\n")
    changed = command(*score(source, out, bundle_dir))
    assert changed.code == 1
    assert "whose input size, input time differed" in changed.err
    assert "--overwrite" in changed.err
    assert out.with_name("scored.csv.partial").read_bytes() == kept
    assert command(*score(source, out, bundle_dir, "--overwrite")).code == 0
    assert out.read_bytes().count(b"\n") == 1502


def test_a_file_that_cannot_grow_keeps_its_rows_and_is_continued(
    tmp_path: Path, bundle_dir: Path, out: Path, reviews: Path, whole: bytes
) -> None:
    ended = leave_unfinished(reviews, out, bundle_dir, limit=len(whole) // 2)
    said = ended.stderr.decode()
    assert ended.returncode == 1
    assert f"{out}.partial: cannot be written: File too large" in said
    assert f"{rows_kept(out):,} rows are kept; the same command goes on from there" in said
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert 1000 <= rows_kept(out) < ROWS
    assert polarbert_process(score(reviews, out, bundle_dir)).returncode == 0
    assert out.read_bytes() == whole


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path | None]:
    """A disk of half a megabyte, where this user may mount one; else None."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "polarbert-test", str(disk)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    yield disk if mounted else None
    if mounted:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_named_and_the_run_is_continued(
    reviews: Path, bundle_dir: Path, small_disk: Path | None, whole: bytes
) -> None:
    if small_disk is None:  # a device that is always full says the same, but keeps no rows
        ended = polarbert_process(score(reviews, Path("/dev/full"), bundle_dir))
        assert ended.returncode == 1
        assert b"/dev/full: cannot be written: the disk is full" in ended.stderr
        return
    out = small_disk / "scored.csv"
    ended = polarbert_process(score(reviews, out, bundle_dir))
    said = ended.stderr.decode()
    assert ended.returncode == 1
    assert f"{out}.partial: cannot be written: the disk is full" in said
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert rows_kept(out) >= 1000
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    assert polarbert_process(score(reviews, out, bundle_dir)).returncode == 0
    assert out.read_bytes() == whole


def test_a_full_device_behind_stdout_ends_in_one_message(tmp_path: Path, bundle_dir: Path) -> None:
    arguments = ["score", str(small(tmp_path, 5)), "-o", "-", "-c", "review", "-m", str(bundle_dir), *QUICK]
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-c", IN_FRONT, *arguments], stdout=full, stderr=subprocess.PIPE, timeout=100, check=False
        )
    assert ended.returncode == 1
    assert ended.stderr.decode().startswith("polarbert: stdout: cannot be written: the disk is full")
    assert ended.stderr.count(b"\n") == 1


def test_of_two_runs_into_one_output_the_second_is_refused(
    command: Command, reviews: Path, bundle_dir: Path, out: Path, whole: bytes
) -> None:
    arguments = score(reviews, out, bundle_dir)
    with subprocess.Popen([sys.executable, "-c", IN_FRONT, *arguments], stderr=subprocess.PIPE) as first:
        while rows_kept(out) < 1000 and first.poll() is None:
            time.sleep(0.002)
        os.kill(first.pid, signal.SIGSTOP)
        try:
            for more in ([], ["--overwrite", "--prefix", "new_"]):
                second = command(*arguments, *more)
                assert second.code == 1
                assert "another run is writing it" in second.err
        finally:
            os.kill(first.pid, signal.SIGCONT)
        first.communicate()
    assert first.returncode == 0
    assert out.read_bytes() == whole
