"""The Python in the documentation is real: it compiles, what it imports exists, and what says it runs does run."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

from polarbert.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts)]
BLOCK = re.compile(r"^(?P<run><!-- run -->\n)?```python\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: Path, only_run: bool = False) -> list[str]:
    """The pieces of Python of a page; a transcript of an interpreter is none."""
    found = [block for block in BLOCK.finditer(page.read_text("utf-8")) if block["run"] or not only_run]
    return [block["code"] for block in found if not block["code"].startswith(">>>")]


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def with_python(only_run: bool = False) -> list[Path]:
    """The pages that have any."""
    return [page for page in PAGES if page.is_file() and blocks(page, only_run)]


@pytest.mark.parametrize("page", with_python(), ids=page_id)
def test_python_compiles_and_its_imports_exist(page: Path) -> None:
    for code in blocks(page):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("polarbert"):
                module = import_module(node.module)
                assert [name.name for name in node.names if not hasattr(module, name.name)] == []


@pytest.fixture(scope="module")
def scored_examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a reader stands: the examples, and what the commands on the pages make of them."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "examples", folder, dirs_exist_ok=True)
    (folder / "bad.csv").write_text("id,text,store\n007,Lovely little lamp,Leeds\n008,\n", "utf-8")
    for name, column in (("reviews", "review"), ("bad", "text")):
        output = str(folder / ("scored.csv" if name == "reviews" else "bad-scored.csv"))
        arguments = ["score", str(folder / f"{name}.csv"), "-o", output, "-c", column, "--engine", "onnxruntime"]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
    return folder


@pytest.mark.parametrize("page", with_python(only_run=True), ids=page_id)
def test_python_that_says_it_runs_does(page: Path, scored_examples: Path, tmp_path: Path) -> None:
    """One block after the other, as the page is read."""
    shutil.copytree(scored_examples, tmp_path, dirs_exist_ok=True)
    program = "\n".join(blocks(page, only_run=True))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout, "an example that prints nothing shows nothing"


def test_the_pages_are_found() -> None:
    names = {page_id(page) for page in with_python(only_run=True)}
    assert {"docs/tutorial.md", "docs/how-to/use-from-python.md", "docs/how-to/train-with-the-loop.md"} <= names
