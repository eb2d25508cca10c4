"""`polarbert predict`: texts in, one answer a line out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Annotated

import typer

import polarbert
from polarbert.cli.options import Engine, Json, Model, Threads, uses_colour
from polarbert.errors import DataError, UsageError
from polarbert.inference.prediction import Prediction

LINES_AT_ONCE = 1000
COLOURS = {"negative": typer.colors.RED, "neutral": typer.colors.YELLOW, "positive": typer.colors.GREEN}


def predict(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts; lines of stdin unless given.", metavar="[TEXT]...")
    ] = None,
    model: Model = None,
    as_json: Json = False,
    threads: Threads = 0,
    engine: Engine = None,
) -> None:
    """Say whether texts are negative, neutral or positive.

    Example: polarbert predict "I love it" "Crashes on start"
    """
    if not texts and sys.stdin.isatty():
        raise UsageError('give a text, as in: polarbert predict "I love it", or send lines to stdin')
    lines = iter(texts) if texts else _stdin_lines()
    predictor = polarbert.load(model, threads, engine)
    while block := list(islice(lines, LINES_AT_ONCE)):
        answers = predictor.predict(block)
        shown = [_json(t, a) if as_json else _line(t, a) for t, a in zip(block, answers, strict=True)]
        sys.stdout.write("\n".join(shown) + "\n")
        sys.stdout.flush()


def _stdin_lines() -> Iterator[str]:
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(
                f"stdin, line {number}: not UTF-8 at byte {error.start}; convert it first (iconv)"
            ) from error


def _json(text: str, answer: Prediction) -> str:
    return json.dumps({"text": text, **answer.to_dict()}, ensure_ascii=False)


def _line(text: str, answer: Prediction) -> str:
    label = f"{answer.label:<9}"
    if uses_colour():
        label = typer.style(label, fg=COLOURS.get(answer.label), bold=True)
    doubt = "unsure" if answer.unsure else ""
    return f"{label} {answer.confidence:4.0%}  {doubt:<6}  {' '.join(text.split())}"
