"""Disks that are full, places that cannot be written, readers that leave, and two runs at once: nothing is lost."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.refusals import assert_refused
from tests.scoring_fixtures import QUICK, Outcome, sentences

from polarbert.bundle import Bundle
from polarbert.data.journal import Journal
from polarbert.files import locked_folder

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]
NOBODY = 65534


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def as_nobody() -> Iterator[None]:
    """The rights of an ordinary user, also where the tests run as root, for whom permissions do not count."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    texts = [text for text, _ in sentences(2500, 91)]
    Path("reviews.csv").write_text("text\n" + "".join(f"{text}\n" for text in texts))
    Path("one.csv").write_text("text\nso great\n")
    # Bytes that no compression makes smaller: the output is larger than the answers that are kept meanwhile.
    noise = [os.urandom(400) for _ in texts]
    pq.write_table(pa.table({"text": texts, "noise": noise}), "table.parquet", use_dictionary=False)
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def kept(name: str) -> int:
    file = Path(f"{name}.partial.json")
    return int(json.loads(file.read_text())["rows"]) if file.is_file() else 0


# Name of the step, input, output, most bytes of a file, least rows that are kept.
STEPS = [
    ("header", "reviews.csv", "o.csv", 50, 0),
    ("account of the rows", "one.csv", "o.csv", 400, 0),
    ("first rows", "reviews.csv", "o.csv", 20_000, 0),
    ("later rows", "reviews.csv", "o.csv", 200_000, 1000),
    ("answers of Parquet", "table.parquet", "o.parquet", 400_000, 1000),
    ("Parquet itself", "table.parquet", "o.parquet", 900_000, 2500),
]


@pytest.mark.parametrize(("source", "out", "size", "least"), [step[1:] for step in STEPS], ids=[s[0] for s in STEPS])
def test_a_full_disk_at_any_step_keeps_the_rows_and_is_continued(
    command: Command, here: Path, bundle_dir: Path, source: str, out: str, size: int, least: int
) -> None:
    arguments = ["score", source, "-m", str(bundle_dir), *QUICK, "-o"]
    whole = f"whole-{out}"
    assert command(*arguments, whole).code == 0
    before = Path(source).read_bytes()
    with files_up_to(size):
        ended = command(*arguments, out)
    assert_refused(ended, 1, f"polarbert: {out}", "cannot be written: File too large", "the same command goes on")
    rows = kept(out)
    assert rows >= least
    assert not Path(out).exists()
    assert Path(source).read_bytes() == before
    ended = command(*arguments, out)
    assert ended.code == 0
    assert (f"going on after {rows:,} rows" in ended.err) == (rows > 0)
    assert Path(out).read_bytes() == Path(whole).read_bytes()
    assert not list(here.glob(f"{out}.*"))


def test_a_disk_that_stays_full_says_the_same_each_time(command: Command, here: Path, bundle_dir: Path) -> None:
    for _ in range(3):
        with files_up_to(200_000):
            ended = command("score", "reviews.csv", "-o", "o.csv", "-m", bundle_dir, *QUICK)
        assert_refused(ended, 1, "o.csv.partial: cannot be written", "1,000 rows are kept")


def test_a_finished_output_survives_a_full_disk(command: Command, here: Path, bundle_dir: Path) -> None:
    Path("o.csv").write_bytes(b"precious")
    with files_up_to(200_000):
        ended = command("score", "reviews.csv", "-o", "o.csv", "--overwrite", "-m", bundle_dir, *QUICK)
    assert ended.code == 1
    assert Path("o.csv").read_bytes() == b"precious"


RESULTS = {
    "predict": ["predict", "so great"],
    "predict as JSON": ["predict", "so great", "--json"],
    "info": ["info"],
    "info as JSON": ["info", "--json"],
    "rows of score": ["score", "reviews.csv", "-o", "-"],
    "summary of score": ["score", "one.csv", "-o", "o.csv", "--json"],
}


@pytest.mark.parametrize("arguments", RESULTS.values(), ids=RESULTS)
def test_a_full_disk_behind_stdout_is_one_message(
    command: Command, here: Path, bundle_dir: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        ended = command(*arguments, "-m", bundle_dir)
        monkeypatch.undo()
    assert_refused(ended, 1, "polarbert: stdout: cannot be written: the disk is full")
    assert ended.err.count("polarbert: ") == 1


@pytest.mark.parametrize("arguments", [*RESULTS.values(), ["--help"]], ids=[*RESULTS, "help"])
def test_a_reader_that_has_left_ends_the_command_quietly(
    command: Command, here: Path, bundle_dir: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    model = [] if arguments == ["--help"] else ["-m", str(bundle_dir)]
    with suppress(BrokenPipeError), os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        ended = command(*arguments, *model)
        monkeypatch.undo()
    assert ended.code == 1
    assert "polarbert: " not in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("arguments", RESULTS.values(), ids=RESULTS)
def test_a_closed_stdout_is_said(
    command: Command, here: Path, bundle_dir: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    ended = command(*arguments, "-m", bundle_dir)
    monkeypatch.undo()
    assert ended.code in (1, 2)
    assert_refused(ended, ended.code, "stdout", "is closed; send")


def test_of_two_runs_into_one_output_the_second_is_refused(command: Command, here: Path, bundle_dir: Path) -> None:
    first = Journal(Path("o.csv"), {"input": "another"})
    first.write(b"row\n", 1, {})
    for more in ([], ["--overwrite"]):
        ended = command("score", "reviews.csv", "-o", "o.csv", "-m", bundle_dir, *more)
        assert_refused(ended, 1, "o.csv.partial: another run is writing it", "wait for it or name another output")
    first.finish()
    assert Path("o.csv").read_bytes() == b"row\n"


@pytest.fixture
def own_model(here: Path, trained_dir: Path) -> Path:
    Path("texts.csv").write_text("text\n" + "".join(f"{text}\n" for text, _ in sentences(30, 92)))
    return Path(shutil.copytree(trained_dir, here / "model"))


EXPORT = ["export", "model", "--texts", "texts.csv", "--quiet"]


def test_of_two_exports_into_one_folder_the_second_is_refused(command: Command, own_model: Path) -> None:
    before = content(own_model)
    with locked_folder(own_model) as ours:
        assert ours
        assert_refused(command(*EXPORT), 1, "model: another export is writing it", "name another output with -o")
    assert content(own_model) == before
    assert command(*EXPORT).code == 0


@pytest.mark.parametrize("size", [100, 10_000, 300_000])
def test_a_full_disk_for_what_an_export_makes_first(command: Command, own_model: Path, size: int) -> None:
    before = content(own_model)
    with files_up_to(size):
        ended = command(*EXPORT)
    assert_refused(ended, 1, "folder for temporary files: cannot be written: File too large", "TMPDIR")
    assert content(own_model) == before
    assert command(*EXPORT).code == 0


class Filling:
    """A disk that is full from the given file on."""

    def __init__(self, left: int) -> None:
        self.left = left
        self._copy = shutil.copyfile

    def __call__(self, source: Any, target: Any) -> Any:
        if self.left == 0:
            Path(target).write_bytes(b"half of it")
            raise OSError(28, "No space left on device")
        self.left -= 1
        return self._copy(source, target)


@pytest.mark.parametrize("target", ["model", "new", "old"])
def test_a_full_disk_at_any_file_of_a_bundle_changes_nothing(
    command: Command, own_model: Path, bundle_dir: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if target == "old":
        shutil.copytree(bundle_dir, "old")
    arguments = [*EXPORT, *([] if target == "model" else ["-o", target])]
    before = content(Path(target)) if Path(target).exists() else {}
    files = 2 if target == "model" else 6
    for left in range(files):
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "copyfile", Filling(left))
            ended = command(*arguments)
        assert_refused(ended, 1, f"{target}: cannot be written: the disk is full", "run the same command again")
        assert content(Path(target)) == before
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", _full_for_manifests(Path.write_bytes))
        assert_refused(command(*arguments), 1, f"{target}: cannot be written: the disk is full")
    assert content(Path(target)) == before
    assert command(*arguments).code == 0
    Bundle.open(target).verify()
    assert not list(Path(target).glob("*.tmp"))


def _full_for_manifests(write: Callable[[Path, bytes], int]) -> Callable[[Path, bytes], int]:
    """A disk with room for everything but the manifest in the bundle itself."""

    def written(self: Path, data: bytes) -> int:
        if self.name.startswith("polarbert.json.") and not self.parent.name.startswith("polarbert-export-"):
            raise OSError(28, "No space left on device")
        return write(self, data)

    return written


@pytest.fixture
def public(bundle_dir: Path, trained_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that every user may read, with one in it that only its owner may write."""
    with tempfile.TemporaryDirectory(prefix="polarbert-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(bundle_dir, folder / "bundle")
        shutil.copytree(trained_dir, folder / "model")
        (folder / "reviews.csv").write_text("text\nso great\n")
        (folder / "secret.csv").write_text("text\nso great\n")
        (folder / "locked").mkdir()
        monkeypatch.chdir(folder)
        yield folder
        for place in [folder / "locked", folder / "bundle", folder / "model"]:
            place.chmod(0o755)


SCORE = ["score", "reviews.csv", "-m", "bundle", *QUICK]


def test_a_folder_that_may_not_be_written_is_named(command: Command, public: Path) -> None:
    assert command(*SCORE, "-o", "before.csv").code == 0  # loads all modules while they may be read
    (public / "locked").chmod(0o555)
    with as_nobody():
        ended = command(*SCORE, "-o", "locked/o.csv")
    assert_refused(ended, 1, "locked/o.csv.partial: cannot be written: Permission denied", "name an output in a place")
    assert list((public / "locked").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("secret.csv", "secret.csv: cannot be read: Permission denied"),
        ("bundle/polarbert.json", "bundle/polarbert.json: cannot be read: Permission denied"),
        ("bundle/tokenizer.json", "bundle/tokenizer.json: cannot be read: Permission denied"),
        ("bundle/model.int8.onnx", "bundle/model.int8.onnx: cannot be read: Permission denied"),
        ("bundle", "bundle/polarbert.json: cannot be read: Permission denied"),
    ],
)
def test_a_file_that_may_not_be_read_is_named(command: Command, public: Path, name: str, place: str) -> None:
    assert command(*SCORE, "-o", "before.csv").code == 0
    (public / "locked").chmod(0o777)
    (public / name).chmod(0o600 if os.geteuid() == 0 else 0)
    source = name if name.endswith("csv") else "reviews.csv"
    with as_nobody():
        ended = command("score", source, "-m", "bundle", *QUICK, "-o", "locked/o.csv")
    assert_refused(ended, 1, place, "make it readable")
    assert list((public / "locked").iterdir()) == []


def test_an_export_into_a_folder_that_may_not_be_written_changes_nothing(command: Command, public: Path) -> None:
    (public / "texts.csv").write_text("text\n" + "".join(f"{text}\n" for text, _ in sentences(30, 93)))
    (public / "locked").chmod(0o555)
    (public / "model").chmod(0o555)
    assert command("export", "model", "-o", "before", "--texts", "texts.csv", "--quiet").code == 0
    before = content(public)
    for target in ("model", "locked", "locked/new"):
        with as_nobody():
            ended = command("export", "model", "-o", target, "--texts", "texts.csv", "--quiet")
        assert_refused(ended, 1, f"{target}: cannot be written: Permission denied", "run the same command again")
    assert content(public) == before
