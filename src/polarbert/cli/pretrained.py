"""What the commands that ask a pre-trained network share."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from polarbert.errors import UsageError

Pretrained = Annotated[
    str, typer.Option("--model", "-m", help="A pre-training run, a model directory or a Hub id.", metavar="MODEL")
]


def reads_stdin(arguments: list[str] | None, example: str) -> bool:
    """True when lines of stdin are meant: for -, and for nothing at all where stdin is no terminal.

    Raises:
        UsageError: when there is nothing to read; it shows `example`.
    """
    if arguments and arguments != ["-"]:
        return False
    if sys.stdin is None or (not arguments and sys.stdin.isatty()):
        raise UsageError(f"give a text, as in: {example}, or send lines to stdin")
    return True
