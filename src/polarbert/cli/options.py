"""Options that several commands share, and how they talk."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", help="A model directory or a Hub id; the embedded model unless given.", metavar="MODEL"
    ),
]
Threads = Annotated[int, typer.Option("--threads", min=0, help="Processor threads; 0 for as many as there are.")]
Engine = Annotated[str | None, typer.Option("--engine", help="onnxruntime (unless given) or openvino.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


def note(text: str, quiet: bool = False) -> None:
    """Say something on stderr."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)


def uses_colour() -> bool:
    """True when stdout is a terminal and nobody asked for no colour (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
