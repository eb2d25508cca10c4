"""`polarbert train`: what it prints and leaves, and that no kill, full disk or second run spoils what comes out."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file
from tests.finetune_fixtures import LABELS, QUICK_TOML, Attempt, Attempts, bundle_files, write_rows
from tests.refusals import assert_refused
from tests.scoring_fixtures import POLARBERT, Outcome, sentences

from polarbert.bundle import Bundle
from polarbert.training.run import RunDirectory

pytest_plugins = ["tests.finetune_fixtures", "tests.scoring_fixtures"]

Command = Callable[..., Outcome]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the settings, for runs that several tests look at."""
    folder = tmp_path_factory.mktemp("train")
    (folder / "quick.toml").write_text(QUICK_TOML)
    return folder


@pytest.fixture(scope="module")
def asked(room: Path, reviews_csv: Path, small_base: Path) -> Callable[..., list[str]]:
    """The arguments that train a model in a folder."""

    def arguments(output: Path, *more: str) -> list[str]:
        columns = ["-c", "review", "-l", "label"]
        base = ["--base", str(small_base), "--config", str(room / "quick.toml")]
        return ["train", str(reviews_csv), *columns, *base, "-o", str(output), *more]

    return arguments


Asked = Callable[..., list[str]]


@pytest.fixture(scope="module")
def whole(room: Path, asked: Asked, attempt: Attempts) -> Path:
    """What an uninterrupted run leaves."""
    output = room / "whole" / "model"
    [ended] = attempt(Attempt(asked(output)))
    assert ended.code == 0, ended.err
    (room / "whole" / "out.txt").write_text(ended.out)
    (room / "whole" / "err.txt").write_text(ended.err)
    return output


def test_the_evaluation_goes_to_stdout_and_all_else_to_stderr(whole: Path) -> None:
    out, err = ((whole.parent / name).read_text() for name in ("out.txt", "err.txt"))
    assert "reviews.csv (test part): " in out
    assert "macro-F1" in out
    assert "Traceback" not in err
    for words in ("train: ", "base: small", "best on the dev part", "int8 graph:", "temperature", "done in", "Use it"):
        assert words in err
        assert words not in out


def test_the_evaluation_is_beside_the_model_as_json_and_as_a_page(whole: Path) -> None:
    evaluation = json.loads((whole / "evaluation.json").read_text("utf-8"))
    assert f"{evaluation['accuracy']['value']:.3f}" in (whole.parent / "out.txt").read_text()
    assert evaluation["labels"] == LABELS
    assert "<svg" in (whole / "evaluation.html").read_text("utf-8")


def test_the_model_scores(command: Command, whole: Path) -> None:
    ended = command("predict", "so great and lovely", "--model", whole, "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["label"] in LABELS
    assert "made: base" in command("info", "--model", whole).out


def test_json_holds_the_same_figures(command: Command, asked: Asked, whole: Path, tmp_path: Path) -> None:
    ended = command(*asked(tmp_path / "model", "--json", "--quiet"))
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(ended.out)
    saved = json.loads((whole / "evaluation.json").read_text("utf-8"))
    assert found["evaluation"]["macro_f1"] == saved["macro_f1"]
    assert found["model"] == str(tmp_path / "model")
    assert found["precision"] == Bundle.open(whole).precision
    assert bundle_files(tmp_path / "model") == bundle_files(whole)


def test_options_go_before_the_file(command: Command, asked: Asked, tmp_path: Path) -> None:
    output = tmp_path / "model"
    ended = command(*asked(output, "--seed", "7", "--target-accuracy", "0.7", "--task", "classification", "--trial"))
    assert ended.code == 0
    settings = json.loads((output / "training" / "settings.json").read_text())
    assert (settings["seed"], settings["target_accuracy"], settings["epochs"]) == (7, 0.7, 5.0)
    assert Bundle.open(output).task == "classification"
    assert "this is a trial" in ended.err


def test_saved_splits_and_a_column_give_the_parts(
    command: Command, asked: Asked, whole: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    again = command(*asked(tmp_path / "again", "--trial", "--splits", str(whole / "training" / "splits.json")))
    assert again.code == 0
    kept = [
        json.loads((folder / "training" / "splits.json").read_text())["rows"] for folder in (whole, tmp_path / "again")
    ]
    assert kept[0] == kept[1]

    lines = reviews_csv.read_text().splitlines()
    part = ["split", *(["train", "train", "train", "dev", "test"][n % 5] for n in range(len(lines) - 1))]
    (tmp_path / "parts.csv").write_text(
        "\n".join(f"{line},{name}" for line, name in zip(lines, part, strict=True)) + "\n"
    )
    arguments = asked(tmp_path / "column", "--trial", "--split-column", "split")
    arguments[1] = str(tmp_path / "parts.csv")
    ended = command(*arguments)
    assert ended.code == 0
    rows = json.loads((tmp_path / "column" / "training" / "splits.json").read_text())["rows"]
    assert [row[1] for row in rows] == part[1:]
    assert "test: none of 80 texts stands in train" in ended.err


def test_rows_come_from_stdin_and_a_run_goes_on_with_the_same_ones(
    command: Command, asked: Asked, whole: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    rows = reviews_csv.read_bytes()
    arguments = asked(tmp_path / "model")
    arguments[1] = "-"
    ended = command(*arguments, stdin=rows)
    assert ended.code == 0, ended.err
    assert ended.out.startswith("stdin (test part): ")
    weights = [(folder / "model.safetensors").read_bytes() for folder in (tmp_path / "model", whole)]
    assert weights[0] == weights[1]
    assert "nothing is left to do" in command(*arguments, "--resume", stdin=rows).err
    other = rows.replace(b",positive", b",negative", 1)
    assert_refused(command(*arguments, "--resume", stdin=other), 1, "the run began with other data", "the same again")
    assert_refused(command(*arguments, "--resume"), 1, "stdin: is empty", "name a file")


def test_rows_may_be_jsonl_or_parquet_on_stdin(
    command: Command, asked: Asked, whole: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    with reviews_csv.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    inputs = {"jsonl": "\n".join(map(json.dumps, rows)).encode(), "parquet": out.getvalue()}
    for kind, content in inputs.items():
        arguments = asked(tmp_path / kind, "--format", kind, "--trial", "--splits", str(whole / "training/splits.json"))
        arguments[1] = "-"
        assert command(*arguments, stdin=content).code == 0  # the splits know every row


def test_a_mapping_in_the_file_renames_the_labels(command: Command, asked: Asked, room: Path, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        f'trial = true\n[labels]\nnegative = "bad"\nneutral = "bad"\npositive = "good"\n{QUICK_TOML}'
    )
    arguments = asked(tmp_path / "model")
    arguments[arguments.index("--config") + 1] = str(tmp_path / "own.toml")
    assert command(*arguments).code == 0
    assert Bundle.open(tmp_path / "model").labels == ["bad", "good"]


# What is in its place when the run is killed for the first, second, ... time; each time it goes on from there.
STAGES = [
    "training/settings.json",
    "training/splits.json",
    "training/best/model.safetensors",
    "training/checkpoint",
    "training/summary.json",
    "training/bundle/model.int8.onnx",
    "training/bundle/polarbert.json",
    "training/bundle/README.md",
    "model/model.safetensors",
    "model/polarbert.json",
]


@pytest.mark.timeout(600)
def test_killed_at_every_stage_and_resumed_it_ends_in_the_same_bytes(
    asked: Asked, whole: Path, attempt: Attempts, tmp_path: Path
) -> None:
    output = tmp_path / "model"
    resumed = asked(output, "--resume")
    for number, stage in enumerate(STAGES):
        [ended] = attempt(Attempt(resumed if number else asked(output), kill_after=stage))
        assert ended.code == -signal.SIGKILL, (stage, ended)
        for folder in (
            output,
            output / "training",
            output / "training" / "bundle",
        ):  # as a kill between write and rename
            if folder.is_dir():
                (folder / "README.md.4711.tmp").write_text("half a file")
    [last] = attempt(Attempt(resumed))
    assert last.code == 0, last.err
    assert_same_run(output, whole)


@pytest.mark.timeout(600)
def test_killed_in_the_middle_of_a_stage_and_resumed_it_ends_in_the_same_bytes(
    asked: Asked, whole: Path, attempt: Attempts, tmp_path: Path
) -> None:
    """Before and after the n-th moment at which something is put in its place or removed, n rising by leaps."""
    output = tmp_path / "model"
    resumed = asked(output, "--resume")
    leaps = (Attempt(resumed, kill_at=number, unless_done=True) for number in (8, 13, 18, 23, 28, 33, 38, 43, 100))
    *killed, last = attempt(Attempt(asked(output), kill_at=3), *leaps)
    assert {one.code for one in killed} == {-signal.SIGKILL}
    assert len(killed) > 2
    assert last.code == 0, last.err
    assert_same_run(output, whole)


def assert_same_run(output: Path, whole: Path) -> None:
    """The same bundle, the same figures on the way, and nothing left behind."""
    assert bundle_files(output) == bundle_files(whole)
    lines = [(folder / "training" / "evaluations.jsonl").read_text() for folder in (output, whole)]
    assert lines[0] == lines[1]
    for place in ("training", "."):
        names = [{file.name for file in (folder / place).iterdir()} for folder in (output, whole)]
        assert names[0] == names[1]


# What is complete when the disk is full, most bytes of a file, and what is then named; one after the other.
FULL: list[tuple[str | None, int, str]] = [
    (None, 100, "training/settings.json"),
    (None, 2_000, "training/splits.json"),
    (None, 60_000, "training/best"),
    (None, 250_000, "training/checkpoint"),
    ("training/summary.json", 60_000, "model/training: "),
    ("training/bundle/polarbert.json", 2_000, "training/bundle/README.md"),
    ("training/bundle/README.md", 60_000, "model/model."),
    ("model/polarbert.json", 5_000, "model/evaluation.json"),
    (None, 25_000, "model/evaluation.html"),
]


@pytest.mark.timeout(600)
def test_a_full_disk_is_named_at_every_stage_and_the_run_goes_on_from_there(
    asked: Asked, whole: Path, attempt: Attempts, tmp_path: Path
) -> None:
    output = tmp_path / "model"
    resumed = asked(output, "--resume")
    attempts = []
    for complete, most, _ in FULL:
        attempts += [] if complete is None else [Attempt(resumed, kill_after=complete)]
        attempts.append(Attempt(resumed, most_bytes=most))
    *ended, last = attempt(*attempts, Attempt(resumed))
    refused = [one for one, asked_for in zip(ended, attempts, strict=True) if asked_for.most_bytes is not None]
    for one, (_, _, named) in zip(refused, FULL, strict=True):
        assert one.code == 1, (named, one)
        message = one.err.splitlines()[-1]
        assert message.startswith("polarbert: ")
        assert named in message
        assert "cannot be written: File too large" in message
        assert "Traceback" not in one.err
        assert "Exception ignored" not in one.err
    assert last.code == 0, last.err
    assert_same_run(output, whole)
    assert (output / "evaluation.html").is_file()


@pytest.mark.timeout(600)
def test_stopped_it_says_how_to_go_on(asked: Asked, whole: Path, attempt: Attempts, tmp_path: Path) -> None:
    output = tmp_path / "model"
    with subprocess.Popen([*POLARBERT, *asked(output)], stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 100
        while (
            RunDirectory.kept_step(output / "training") == 0 and process.poll() is None and time.monotonic() < deadline
        ):
            time.sleep(0.002)
        process.send_signal(signal.SIGTERM)
        said = process.communicate()[1]
    assert process.returncode == 143
    step = RunDirectory.kept_step(output / "training")
    assert f"{output}: stopped; the same command with --resume goes on from step {step}" in said
    assert "Traceback" not in said
    [ended] = attempt(Attempt(asked(output, "--resume")))
    assert f"going on after step {step}" in ended.err
    assert bundle_files(output) == bundle_files(whole)


def test_of_two_runs_in_one_folder_the_second_is_refused(command: Command, asked: Asked, tmp_path: Path) -> None:
    output = tmp_path / "model"
    with RunDirectory(output / "training").locked():
        for more in ([], ["--resume"]):
            assert_refused(command(*asked(output, *more)), 1, "training: another run is at work here; wait for it")
    assert not any(output.glob("training/*"))


def test_a_finished_run_resumed_says_so_and_ends_well(command: Command, asked: Asked, whole: Path) -> None:
    before = bundle_files(whole)
    ended = command(*asked(whole, "--resume"))
    assert ended.code == 0
    assert "was finished before; nothing is left to do" in ended.err
    assert "macro-F1" in ended.out
    assert_refused(command(*asked(whole)), 1, f"{whole}: holds a finished run already; name a new folder")
    assert bundle_files(whole) == before


def test_resumed_with_other_data_it_is_refused(
    command: Command, asked: Asked, whole: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "reviews.csv"
    changed.write_text(reviews_csv.read_text() + "0401,one row more,neutral\n")
    before = bundle_files(whole)
    arguments = asked(whole, "--resume")
    arguments[1] = str(changed)
    assert_refused(command(*arguments), 1, "cannot resume, the run began with other data", "name a new directory")
    assert bundle_files(whole) == before


def test_a_loss_that_is_no_number_is_an_error_that_leaves_a_good_checkpoint(
    command: Command, asked: Asked, tmp_path: Path
) -> None:
    (tmp_path / "wild.toml").write_text(QUICK_TOML.replace("3e-3", "1e30\nwarmup_share = 0.0").replace("1e9", "0"))
    output = tmp_path / "model"
    arguments = asked(output)
    arguments[arguments.index("--config") + 1] = str(tmp_path / "wild.toml")
    ended = command(*arguments)
    assert_refused(ended, 1, "the loss is not a number; lower the learning rate (now 1e+30)", "in a new directory")
    for file in (output / "training").rglob("*.safetensors"):
        assert all(bool(tensor.float().isfinite().all()) for tensor in load_file(file).values())
    assert not (output / "polarbert.json").exists()


REFUSED: list[tuple[str, list[str], int, str]] = [
    ("config that is not there", ["--config", "none.toml"], 2, "none.toml: cannot be read: No such file"),
    (
        "unknown key",
        ["--config", "typo.toml"],
        2,
        "typo.toml: unknown key 'epoch' in [training]. Did you mean 'epochs'?",
    ),
    ("value of another type", ["--config", "type.toml"], 2, "type.toml: training.seed must be a whole number"),
    ("unknown task", ["--task", "sorcery"], 2, "tagging or qa, not 'sorcery'"),
    ("unknown device", ["--device", "tpu"], 2, "device must be auto, cpu, cuda, not 'tpu'"),
    ("target out of range", ["--target-accuracy", "2"], 2, "--target-accuracy must be in (0, 1), not 2.0"),
    ("unknown task by its option", ["--task", "sorcery"], 2, "polarbert: --task must be sentiment"),
    (
        "more layers than there are",
        ["--config", "deep.toml"],
        2,
        "deep.toml: settings: [transfer] keep_layers is 99; the base has 2 layers. Keep 1 to 2",
    ),
    (
        "teacher that is not there",
        ["--teacher", "./none"],
        2,
        "[transfer] teacher (--teacher): none: no such model directory. Name one that polarbert train",
    ),
    ("negative seed", ["--seed", "-1"], 2, "--seed"),
    ("splits twice", ["--splits", "s.json", "--split-column", "s"], 2, "give one of them"),
    ("parts twice", ["--splits", "s.json", "--dev", "d.csv"], 2, "--splits and --dev both say what the parts are"),
    ("stdin twice", ["--dev", "-", "--test", "-"], 2, "stdin (-) can be one of DATA, --dev and --test"),
    ("dev file that is not there", ["--dev", "none.csv"], 2, "none.csv"),
    ("test file without the column", ["--test", "other.csv"], 2, "other.csv: no column 'review'"),
    ("splits that are not there", ["--splits", "none.json"], 1, "none.json"),
    ("splits of something else", ["--splits", "typo.toml"], 1, "typo.toml: is no file of splits"),
    ("column of splits that is not there", ["--split-column", "part"], 2, "no column 'part'"),
    ("column that names no parts", ["--split-column", "id"], 1, "the column with the parts"),
    ("base that is not there", ["--base", "./none"], 1, "none: no such model directory"),
    ("base that is a file", ["--base", "typo.toml"], 1, "a model is a directory, and this is a file"),
    ("base that is no model", ["--base", "empty"], 1, "empty: not a model directory (it has no config.json)"),
    ("Hub id offline", ["--base", "some-org/none"], 1, "some-org/none: not a local directory, and the Hub did not"),
    ("output that is a file", ["-o", "typo.toml"], 2, "typo.toml: is a file; name a folder"),
    ("output that is not empty", ["-o", "full"], 2, "full: is not empty, and what is in it is no training run"),
    ("output below a file", ["-o", "typo.toml/model"], 1, "typo.toml/model: cannot be written: Not a directory"),
    ("output where nothing can be made", ["-o", "/proc/model"], 1, "/proc/model: cannot be written"),
    ("same column twice", ["-l", "review"], 2, "cannot both be in the column 'review'"),
    ("no such column", ["-c", "text"], 2, "no column 'text'"),
]


@pytest.mark.parametrize(("more", "code", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_wrong_request_is_named_and_leaves_nothing_behind(
    command: Command,
    asked: Asked,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("typo.toml").write_text("[training]\nepoch = 2\n")
    Path("type.toml").write_text("[training]\nseed = 1.5\n")
    Path("deep.toml").write_text("[transfer]\nkeep_layers = 99\n")
    Path("other.csv").write_text("comment,sentiment\nfine,positive\n")
    Path("empty").mkdir()
    Path("full").mkdir()
    Path("full/thesis.txt").touch()
    before = sorted(tmp_path.rglob("*"))
    assert_refused(command(*asked(Path("model"), *more)), code, words)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_gpu_that_is_not_there(
    command: Command, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    ended = command(*asked(tmp_path / "model", "--device", "cuda"))
    assert_refused(ended, 2, "the device cuda cannot be used", "take the device cpu")


UNUSABLE: list[tuple[str, list[tuple[str, str]], str]] = [
    ("two rows", [("it is good", "positive"), ("it is bad", "negative")], "2 usable rows are too few to learn from"),
    ("one class", [(text, "positive") for text, _ in sentences(60, 3)], "needs texts of two or more classes"),
    ("no rows", [], "has no rows of data"),
    ("labels without a text", [("", "positive")] * 30, "none of its 30 rows can be used"),
    ("texts without a label", [(text, "") for text, _ in sentences(30, 3)], "none of its 30 rows can be used"),
    ("one text of a class", [*sentences(40, 3), ("odd one", "mixed")], "'mixed'"),
    (
        "a label of two lines",
        [(text, f"{label}\nor so") for text, label in sentences(60, 3)],
        "or so' cannot be the name",
    ),
    ("a label without end", [(text, label * 50) for text, label in sentences(60, 3)], "one line of at most 200 char"),
    ("one text, two labels", [("it is good", label) for label in ("positive", "negative") * 20], ""),
]


@pytest.mark.parametrize(("rows", "words"), [case[1:] for case in UNUSABLE], ids=[case[0] for case in UNUSABLE])
def test_a_file_that_cannot_be_learned_from(
    command: Command, asked: Asked, tmp_path: Path, rows: list[tuple[str, str]], words: str
) -> None:
    write_rows(tmp_path / "few.csv", rows)
    arguments = asked(tmp_path / "model")
    arguments[1] = str(tmp_path / "few.csv")
    assert_refused(command(*arguments), 1, f"{tmp_path / 'few.csv'}: ", words)
    assert not (tmp_path / "model").exists()


def test_without_the_extra_the_pip_line_is_given(
    command: Command, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polarbert.cli.runs.find_spec", lambda name: None)
    ended = command(*asked(tmp_path / "model"))
    assert_refused(ended, 1, "polarbert train needs", 'pip install "polarbert[train]"')


def test_without_the_report_extra_there_is_no_page_and_a_note(
    command: Command, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polarbert.report.evaluation.find_spec", lambda name: None)
    ended = command(*asked(tmp_path / "model", "--trial"))
    assert ended.code == 0
    assert "no page with pictures: a report with pictures needs" in ended.err
    assert (tmp_path / "model" / "evaluation.json").is_file()
    assert not (tmp_path / "model" / "evaluation.html").exists()
