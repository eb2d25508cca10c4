"""Options that several commands share, and how they talk."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from unicodedata import category

import typer

from polarbert.bundle import Bundle
from polarbert.errors import DataError, UsageError
from polarbert.files import disk_errors
from polarbert.text.tokenizer import is_blank

MIN_WIDTH, FILE_WIDTH = 60, 100

Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", help="A model directory or a Hub id; the embedded model unless given.", metavar="MODEL"
    ),
]
Format = Annotated[str | None, typer.Option("--format", help="csv, jsonl or parquet; by the file's name unless given.")]
LabelledFormat = Annotated[
    str | None,
    typer.Option("--format", help="csv, jsonl, parquet, or conll for tagging; by the file's name unless given."),
]
Delimiter = Annotated[str | None, typer.Option("--delimiter", help="Of a CSV; found in its first line unless given.")]
Encoding = Annotated[
    str | None, typer.Option("--encoding", help="Of a CSV or JSONL, as cp1252 or utf-16; UTF-8 unless given.")
]
Threads = Annotated[int, typer.Option("--threads", min=0, help="Processor threads; 0 for as many as there are.")]
Engine = Annotated[str | None, typer.Option("--engine", help="onnxruntime (unless given) or openvino.")]
Device = Annotated[
    str | None,
    typer.Option("--device", help="cpu (unless given), cuda for a GPU, or auto; in place of --engine."),
]
MinConfidence = Annotated[
    float | None,
    typer.Option(
        "--min-confidence", help="Below it an answer is unsure, from 0 to 1; the model's threshold unless given."
    ),
]
TextColumn = Annotated[str, typer.Option("--text-column", "-c", help="The column with the texts.")]
PairColumn = Annotated[
    str | None,
    typer.Option(
        "--pair-column",
        help="The column with the second texts, or the questions; text_pair, or question, unless given.",
    ),
]
AspectColumn = Annotated[
    str | None,
    typer.Option(
        "--aspect-column",
        help="The column with the aspects, for a model that judges them; where it is empty, the whole text is judged.",
    ),
]
Aspects = Annotated[
    list[str] | None,
    typer.Option("--aspect", help="What to judge in each text, as battery; may be repeated.", metavar="A"),
]
Sentences = Annotated[bool, typer.Option("--sentences", help="The verdict of each sentence too.")]
LabelColumn = Annotated[str, typer.Option("--label-column", "-l", help="The column with the labels.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


def check_sentences(bundle: Bundle, asked: bool) -> None:
    """Refuse --sentences where a model sorts no texts into classes.

    Raises:
        UsageError: naming the task.
    """
    if asked and bundle.task in ("regression", "tagging", "qa"):
        raise UsageError(f"--sentences: this is a model for {bundle.task}; only models of classes judge sentences")


def check_aspects(bundle: Bundle, option: str, asked: Sequence[str]) -> None:
    """Refuse aspects where a model judges whole texts only, and blank ones.

    Raises:
        UsageError: naming the option.
    """
    if asked and not bundle.judges_aspects:
        raise UsageError(
            f"{option}: {bundle.path} is a model for {bundle.task} that was not trained on aspects; leave it out, or "
            "take one that was, as `polarbert train --aspect-column` makes it"
        )
    if any(map(is_blank, asked)):
        what = "the column with the aspects" if option == "--aspect-column" else "what to judge, as battery"
        raise UsageError(f"{option}: is blank; name {what}")


def note(text: str, quiet: bool = False) -> None:
    """Say something on stderr."""
    if not quiet and sys.stderr is not None:  # a caller may have closed it
        print(text, file=sys.stderr, flush=True)


def emit(text: str) -> None:
    """Write results to stdout at once, so that what cannot be written is an error here and now.

    Raises:
        DataError: when the disk behind stdout is full, or stdout is closed.
    """
    if sys.stdout is None:
        raise DataError("stdout: is closed; send the output to a place that can be written")
    with disk_errors("stdout", "Send the output to another place and run the same command again"):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def page_width() -> int:
    """Characters in a line of figures: the width of the terminal, or what reads well in a file."""
    return max(MIN_WIDTH, shutil.get_terminal_size((FILE_WIDTH, 1)).columns)


def printable(text: str) -> str:
    """The text without what a terminal would obey, or could not write."""
    if text.isprintable():
        return text
    return "".join("\ufffd" if category(character) in ("Cc", "Cs") else character for character in text)


def uses_colour() -> bool:
    """True when stdout is a terminal and nobody asked for no colour (https://no-color.org)."""
    return (
        sys.stdout is not None
        and sys.stdout.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


def check_page(page: Path, overwrite: bool) -> None:
    """Refuse a page that cannot be written, before anything is computed.

    Raises:
        UsageError: naming what to do.
    """
    if page.is_dir():
        raise UsageError(f"{page}: is a folder; name a file in it")
    if not page.parent.is_dir():
        raise UsageError(f"{page}: the folder {page.parent} does not exist; make it or name another")
    if page.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{page}: the page is HTML; name it {page.with_suffix('.html')}")
    if page.exists() and not overwrite:
        raise UsageError(f"{page}: exists already. Name another page, or replace it with --overwrite")
