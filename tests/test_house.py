"""What holds for the repository as a whole, whatever the code does."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import polarbert

ROOT = Path(__file__).parents[1]
TORCH_ROOMS = ("training", "export", "sklearn")  # scikit-learn itself asks whether torch is loaded
TORCH_MODULES = (
    *("encoder", "engine", "heads", "dropout", "kinds", "masked_lm", "mixing", "packing", "pretraining"),
    *("question_answering", "tagging", "weights"),
)
MAX_BYTES = 2 * 1024 * 1024
TEXT_SUFFIXES = {"", ".cfg", ".csv", ".html", ".in", ".ini", ".json", ".jsonl", ".md", ".py", ".toml", ".txt", ".yaml"}

# What belongs to somebody's machine, to an index of packages, or to work in progress.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.~/-])/(?:work|root|home/(?!you\b)\w+|Users/\w+)/",
    "an index of packages": r"--(?:extra-)?index-url|https?://\S+/simple\b",
    "a ticket number": r"\b[Ii]ssue #?\d+",
    "unfinished work": r"\b(?:TO[D]O|FIX[M]E|HACK)\b",
}


@cache
def repository_files() -> list[Path]:
    """Files that are, or would be, committed."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted({path for name in names if name and (path := ROOT / name).is_file()})


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def pages() -> list[Path]:
    return [path for path in repository_files() if path.suffix == ".md"]


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return table


def without_code(page: str) -> str:
    """Markdown without fenced blocks and code spans, in which brackets are no links."""
    return re.sub(r"`[^`\n]*`", "code", re.sub(r"^(```|~~~|:::).*?^\1", "", page, flags=re.DOTALL | re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """The names by which a page's headings can be linked to, as GitHub and MyST make them."""
    text = re.sub(r"^(```|~~~).*?^\1", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#{1,6}\s+(.+?)\s*#*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    """Targets of inline links and images that point inside the repository."""
    targets = re.findall(r"\]\(<?([^)\s>]+)", without_code(page.read_text("utf-8")))
    return [target for target in targets if not re.match(r"[a-z][a-z0-9+.-]*:", target)]


def broken_links(page: Path) -> list[str]:
    broken = []
    for target in links(page):
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            broken.append(target)
    return broken


def test_the_version_is_one() -> None:
    version = project()["version"]
    assert polarbert.__version__ == version
    assert re.search(rf"^## .*\b{re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)


def test_links_between_files_lead_somewhere() -> None:
    assert {relative(page): broken for page in pages() if (broken := broken_links(page))} == {}


def test_the_link_check_sees_what_is_broken(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A *fine* heading\n[a](page.md) [b](#a-fine-heading) [c](https://example.org) `[d](code.md)`\n"
        "```\n[e](block.md)\n```\n[f](missing.md) [g](page.md#no-such-heading) ![h](missing.png)\n",
        "utf-8",
    )
    assert broken_links(page) == ["missing.md", "page.md#no-such-heading", "missing.png"]


def test_only_the_embedded_model_is_large() -> None:
    large = [relative(path) for path in repository_files() if path.stat().st_size > MAX_BYTES]
    assert [name for name in large if not name.startswith("src/polarbert/models/default/")] == []


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    texts = [path for path in repository_files() if path.suffix in TEXT_SUFFIXES and path != Path(__file__)]
    texts = [path for path in texts if path.stat().st_size <= MAX_BYTES]
    found = {relative(path): hit.group() for path in texts if (hit := pattern.search(path.read_text("utf-8")))}
    assert found == {}


def test_the_lock_fits_any_build_of_torch() -> None:
    lock = (ROOT / "requirements/dev.txt").read_text("utf-8")
    torch = (ROOT / "requirements/torch.in").read_text("utf-8").strip()
    assert re.search(rf"^{re.escape(torch)}(\s|$)", lock, re.MULTILINE)
    assert re.findall(r"^(?:nvidia|cuda|triton).*|.*(?:://|^-).*", lock, re.MULTILINE) == []


def test_the_lock_has_every_dependency() -> None:
    extras = project()["optional-dependencies"]
    wanted = [*project()["dependencies"], *extras["dev"], *extras["train"], *extras["parquet"], *extras["openvino"]]
    names = {re.split(r"[\[<>=~! ]", line)[0].lower() for line in wanted} - {"polarbert"}
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements/dev.txt").read_text("utf-8"), re.MULTILINE))
    assert names - locked == set()


def modules_without_torch() -> list[str]:
    """Every module of the package but those whose business is torch."""
    package = ROOT / "src/polarbert"
    names = [path.relative_to(package.parent).with_suffix("").parts for path in sorted(package.rglob("*.py"))]
    light = [
        name for name in names if name[1] not in TORCH_ROOMS and not (name[1] == "model" and name[-1] in TORCH_MODULES)
    ]
    return [".".join(name).removesuffix(".__init__") for name in light if name[-1] != "__main__"]


def python(code: str) -> str:
    """What `code` prints in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_everything_but_training_and_export_loads_without_torch() -> None:
    blocked = ("torch", "transformers", "onnx", "safetensors", "pyarrow")
    modules = modules_without_torch()
    assert {"polarbert", "polarbert.cli", "polarbert.model.config", "polarbert.inference.engine"} <= set(modules)
    python(
        f"import importlib, sys\nfor name in {blocked}: sys.modules[name] = None\n"
        f"for name in {modules}: importlib.import_module(name)"
    )


def test_importing_polarbert_loads_no_engine() -> None:
    heavy = python(
        "import polarbert, sys; print({'numpy', 'onnxruntime', 'openvino', 'tokenizers', 'torch'} & set(sys.modules))"
    )
    assert heavy == "set()"
