#!/usr/bin/env python3
"""Runs the examples in the documentation and writes what they really print below them.

    scripts/refresh_docs_output.py [PAGE]...        all pages of docs/ and README.md unless given

Needs `polarbert` and `python` of the environment to be documented first on PATH. Timing figures, paths of a machine and
last decimals differ between runs, so no test compares outputs: whoever refreshes them reads the difference.

- In a block marked ```console, a line that starts with "$ " is a command, lines after it that start with "> " belong
  to it, and the rest is output, which is replaced. `$?` is the exit code of the command before.
- <!-- run --> on the line before a ```python block runs it; the ```text block after it, if there is one, gets what
  it prints on stdout. The blocks of a page share their variables.
- <!-- not run --> on the line before a block leaves it as it is.

Each page runs from top to bottom in a folder of its own, which starts as a copy of examples/ and has examples/ too.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import polarbert

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(
    r"^(?P<head>(?:<!-- (?P<mark>not run|run) -->\n)?```(?P<kind>console|python)\n)(?P<body>.*?)^```\n"
    r"(?P<gap>\n```text\n(?P<output>.*?)^```\n)?",
    re.DOTALL | re.MULTILINE,
)
COMMAND = re.compile(r"^\$ .*\n(?:> .*\n)*", re.MULTILINE)
SETTINGS = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1"}
FOR_READERS = {str(Path(polarbert.__file__).parent): "/home/you/.venv/lib/python3.11/site-packages/polarbert"}


class Page:
    """One page and the folder in which its examples run."""

    def __init__(self, folder: Path) -> None:
        self.shown = FOR_READERS | {str(folder): "/home/you/reviews"}
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.exit_code = 0
        shutil.copytree(ROOT / "examples", folder, dirs_exist_ok=True)
        shutil.copytree(ROOT / "examples", folder / "examples")

    def refresh(self, block: re.Match[str]) -> str:
        """The block with its real output."""
        if block["mark"] == "not run" or (block["kind"] == "python" and not block["mark"]):
            return block[0]
        if block["kind"] == "console":
            body = "".join(command + self.shell(command) for command in COMMAND.findall(block["body"]))
            return f"{block['head']}{body}```\n{block['gap'] or ''}"
        printed = self.python(block["body"])
        output = f"\n```text\n{printed}```\n" if block["gap"] else ""
        return f"{block['head']}{block['body']}```\n{output}"

    def shell(self, command: str) -> str:
        """What a command prints on both streams."""
        lines = "\n".join(line[2:] for line in command.splitlines())
        arguments = ["bash", "-c", f"(exit {self.exit_code})\n{lines}"]
        done = subprocess.run(arguments, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.exit_code = done.returncode
        return self.for_readers(done.stdout.decode("utf-8", "replace"))

    def python(self, code: str) -> str:
        """What a piece of Python prints on stdout."""
        with io.StringIO() as out, contextlib.redirect_stdout(out):
            exec(compile(code, "example", "exec"), self.names)  # noqa: S102 - our own documentation
            return self.for_readers(out.getvalue())

    def for_readers(self, text: str) -> str:
        """Paths of this machine as a reader would see them; no blanks at line ends."""
        for here, there in self.shown.items():
            text = text.replace(here, there)
        return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def main() -> None:
    """Refresh the pages named on the command line."""
    os.environ |= SETTINGS
    found = [p for p in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in p.parts]
    for path in [Path(name).resolve() for name in sys.argv[1:]] or [*found, ROOT / "README.md"]:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            page = Page(Path(folder).resolve())
            path.write_text(BLOCK.sub(page.refresh, path.read_text("utf-8")), "utf-8")
            print(path.relative_to(ROOT), file=sys.stderr)


if __name__ == "__main__":
    main()
