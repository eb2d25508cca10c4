"""`polarbert info`, and what holds for every command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.scoring_fixtures import Outcome

import polarbert
from polarbert.bundle import Bundle

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]
COMMANDS = ["predict", "score", "info", "export"]


@pytest.mark.parametrize(
    ("preset", "ours", "papers"), [("base", "109,482,240", "110 M"), ("large", "335,141,888", "340 M")]
)
def test_a_preset_stands_beside_the_paper(command: Command, preset: str, ours: str, papers: str) -> None:
    lines = dict(line.rsplit("  ", 1) for line in command("info", "--preset", preset).out.splitlines())
    shown = {name.strip(): value for name, value in lines.items()}
    assert shown["parameters"] == ours
    assert shown["parameters in the paper"] == papers


def test_a_preset_as_json(command: Command) -> None:
    about = json.loads(command("info", "--preset", "transformer", "--json").out)
    assert (about["layers"], about["hidden size"], about["heads"], about["feed-forward"]) == (6, 512, 8, 2048)


def test_an_unknown_preset_names_those_there_are(command: Command) -> None:
    ended = command("info", "--preset", "huge")
    assert ended.code == 2
    assert "--preset is 'huge'; it can be base, large, transformer, tiny" in ended.err


def test_a_model_is_described(command: Command, bundle_dir: Path) -> None:
    ended = command("info", "--model", bundle_dir)
    bundle = Bundle.open(bundle_dir)
    assert (ended.code, ended.err) == (0, "")
    for words in (
        polarbert.__version__,
        "negative, neutral, positive",
        "model.int8.onnx (int8)",
        "1.25",
        "64 pieces, 16 shared",
        bundle.fingerprint(),
        f"{len(bundle.checksums)} files as they should be",
        "onnxruntime",
        "made: recipe",
    ):
        assert words in ended.out


def test_a_model_as_json(command: Command, bundle_dir: Path) -> None:
    about = json.loads(command("info", "--model", bundle_dir, "--json").out)
    assert about["labels"] == ["negative", "neutral", "positive"]
    assert about["hidden size"] == 64
    assert about["fingerprint"] == Bundle.open(bundle_dir).fingerprint()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "model.int8.onnx"])
def test_any_damaged_file_is_found(command: Command, own_bundle: Path, name: str) -> None:
    content = bytearray((own_bundle / name).read_bytes())
    content[-2] ^= 1
    (own_bundle / name).write_bytes(content)
    ended = command("info", "--model", own_bundle)
    assert ended.code == 1
    assert f"{name}: is damaged" in ended.err


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_an_example(command: Command, name: str) -> None:
    ended = command(name, "--help")
    assert ended.code == 0
    assert f"Example: polarbert {name} " in " ".join(ended.out.split())


def test_the_help_lists_the_commands(command: Command) -> None:
    for arguments in (["--help"], ["-h"]):
        ended = command(*arguments)
        assert ended.code == 0
        assert all(name in ended.out for name in COMMANDS)


def test_an_unknown_command_is_refused(command: Command) -> None:
    ended = command("scroe")
    assert ended.code == 2
    assert "scroe" in ended.err


def test_shell_completion_is_offered(command: Command) -> None:
    assert "--install-completion" in command("--help").out


PROBE = """
import sys
from polarbert.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = {"torch", "transformers", "onnx", "pandas", "pyarrow", "safetensors", "huggingface_hub"}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("name", ["predict", "score", "info", "help"])
def test_commands_that_score_load_nothing_heavy(tmp_path: Path, bundle_dir: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text("text\nso great\n")
    arguments = {
        "predict": ["predict", "so great", "--model", str(bundle_dir), "--engine", "onnxruntime"],
        "score": ["score", "a.csv", "-o", "b.csv", "-q", "--model", str(bundle_dir), "--engine", "onnxruntime"],
        "info": ["info", "--model", str(bundle_dir)],
        "help": ["--help"],
    }[name]
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=100
    )
    assert ended.stderr == "[]\n"
