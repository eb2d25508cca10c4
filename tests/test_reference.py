"""The reference pages say what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

import polarbert
import polarbert.model
import polarbert.text
from polarbert import Prediction
from polarbert.inference.columns import ScoreColumns

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs/reference"


def read(name: str) -> str:
    return (REFERENCE / name).read_text("utf-8")


def test_the_command_line_page_is_what_help_says() -> None:
    command = [sys.executable, str(ROOT / "scripts/make_reference.py"), "--stdout"]
    made = subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8")
    assert made == read("cli.md"), "run scripts/make_reference.py"
    assert "## polarbert score" in made
    assert "--text-column" in made


def documented_objects() -> list[str]:
    """What python.md has autodoc describe."""
    return re.findall(r"^\.\. auto(?:class|function|exception):: ([\w.]+)$", read("python.md"), re.MULTILINE)


def test_every_public_name_is_on_the_python_page() -> None:
    public = {f"polarbert.{name}" for name in polarbert.__all__ if name != "__version__"}
    public |= {f"polarbert.model.{name}" for name in polarbert.model.__all__}
    public |= {f"polarbert.text.{name}" for name in polarbert.text.__all__}
    assert public - set(documented_objects()) == set()


@pytest.mark.parametrize("name", documented_objects())
def test_what_the_python_page_describes_exists(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert getattr(import_module(module), attribute).__doc__


def test_the_columns_page_has_every_added_column() -> None:
    ours = ScoreColumns(["negative", "neutral", "positive"]).names()
    assert re.findall(r"^\| `(\w+)` \|", read("output-columns.md"), re.MULTILINE)[: len(ours)] == ours
    names = [field.name for field in fields(Prediction)]
    assert [name for name in names if f"`{name}`" not in read("output-columns.md")] == []


def test_the_bundle_page_has_every_field(tmp_path: Path) -> None:
    from polarbert.bundle import Bundle

    (tmp_path / "model.onnx").write_bytes(b"")
    Bundle(tmp_path, "classification", ["a", "b"], "model.onnx", "float32").write()
    written = re.findall(r'"([a-z_]+)":', (tmp_path / "polarbert.json").read_text("utf-8"))
    assert {"format", "temperature", "checksums"} <= set(written)
    assert [name for name in written if f"`{name}`" not in read("bundle.md")] == []
