#!/usr/bin/env python3
"""Writes docs/reference/cli.md from the commands themselves; with --stdout, prints it instead."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Before Typer and Rich are imported: both look at these once. A fixed width and no colour, whatever the terminal.
for _name in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TERMINAL_WIDTH"):
    os.environ.pop(_name, None)
os.environ |= {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}

from typer.main import get_command  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from polarbert.cli import app  # noqa: E402

PAGE = Path(__file__).parents[1] / "docs/reference/cli.md"

HEAD = """\
# The command line

This page is made by `scripts/make_reference.py` from `--help` of every command. Change the command, not the page.

What holds for all commands:

- Results go to stdout. Progress, notes and errors go to stderr. `--quiet`, where a command has it, leaves errors alone.
- `--model` takes a [bundle](bundle.md) directory or a Hub id such as `org/name`. A directory of that name comes first.
  Only a Hub id goes to the network. With `HF_HUB_OFFLINE=1` it is looked for in the local cache only. Where a command
  takes the model as an argument, `default` is the embedded one (write `./default` for a directory of that name).
- `NO_COLOR` set to anything turns colours off. There are none where stdout is not a terminal.

| exit code | meaning |
|--:|---|
| 0 | done |
| 1 | the data or the model is at fault, or the reader of a pipe went away |
| 2 | the request is: an option, a file name, a column name |
| 130 | stopped by Ctrl-C (SIGINT) |
| 143 | stopped by SIGTERM |

The commands `check`, `report` and `serve` do not exist yet.
"""


def page() -> str:
    """The whole page."""
    commands = getattr(get_command(app), "commands")  # noqa: B009 - Typer's type for it does not name the attribute
    parts = [HEAD, _section("polarbert", []), *(_section(f"polarbert {name}", [name]) for name in commands)]
    return "\n".join(parts)


def _section(title: str, arguments: list[str]) -> str:
    result = CliRunner().invoke(app, [*arguments, "--help"], prog_name="polarbert")
    if result.exit_code:
        raise SystemExit(f"{title} --help failed: {result.output}")
    text = "\n".join(line.rstrip() for line in result.output.strip("\n").splitlines()).strip("\n")
    return f"## {title}\n\n```text\n{text}\n```\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--stdout"]:
        sys.stdout.buffer.write(page().encode("utf-8"))
    else:
        PAGE.write_text(page(), "utf-8")
