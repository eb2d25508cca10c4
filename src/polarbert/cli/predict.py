"""`polarbert predict`: texts in, one answer a line out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

import polarbert
from polarbert.cli.options import Device, Engine, Json, MinConfidence, Model, Threads, emit, printable, uses_colour
from polarbert.data.inputs import STDIN
from polarbert.data.rows import MAX_TEXT_BYTES
from polarbert.errors import DataError, UsageError
from polarbert.inference.prediction import Prediction, check_min_confidence

LINES_AT_ONCE, BYTES_AT_ONCE = 1000, 4_000_000
COLOURS = {"negative": typer.colors.RED, "neutral": typer.colors.YELLOW, "positive": typer.colors.GREEN}


def predict(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts; lines of stdin for -, or unless given.", metavar="TEXT")
    ] = None,
    model: Model = None,
    min_confidence: MinConfidence = None,
    as_json: Json = False,
    threads: Threads = 0,
    engine: Engine = None,
    device: Device = None,
) -> None:
    """Say whether texts are negative, neutral or positive.

    Example: polarbert predict "I love it" "Crashes on start"
    """
    waits = texts == [STDIN]  # for what is typed, as one who writes - means it
    texts = None if waits else texts
    if not texts and (sys.stdin is None or (sys.stdin.isatty() and not waits)):
        raise UsageError('give a text, as in: polarbert predict "I love it", or send lines to stdin')
    if min_confidence is not None:
        check_min_confidence(min_confidence, "--min-confidence")
    predictor = polarbert.load(model, threads, engine, device, min_confidence)
    for block in [texts] if texts else stdin_blocks():
        answers = predictor.predict(block)
        emit("\n".join(_json(t, a) if as_json else _line(t, a) for t, a in zip(block, answers, strict=True)))


def stdin_blocks() -> Iterator[list[str]]:
    """Lines in groups that can be held; what stands before a bad line is given out before the line is refused."""
    block: list[str] = []
    size = number = 0
    try:
        while line := sys.stdin.buffer.readline(MAX_TEXT_BYTES + 2):
            number += 1
            block.append(_decoded(line, number))
            size += len(line)
            if len(block) == LINES_AT_ONCE or size > BYTES_AT_ONCE:
                yield block
                block, size = [], 0
    except DataError:
        if block:
            yield block
        raise
    if block:
        yield block


def _decoded(line: bytes, number: int) -> str:
    """The text of a line, without its end.

    Raises:
        DataError: when it is too long, or not UTF-8.
    """
    if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError("stdin: is UTF-16, not UTF-8. Convert it first: iconv -f UTF-16 -t UTF-8")
    if number == 1:
        line = line.removeprefix(b"\xef\xbb\xbf")
    line = line.removesuffix(b"\n").removesuffix(b"\r")
    if len(line) > MAX_TEXT_BYTES:
        raise DataError(f"stdin, line {number}: has more than {MAX_TEXT_BYTES:,} bytes; cut it into shorter lines")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"stdin, line {number}: not UTF-8: byte 0x{line[error.start]:02x} at byte {error.start} of the line. "
            "If it is Latin-1 or from Windows, convert it first: iconv -f cp1252 -t UTF-8"
        ) from error


def _json(text: str, answer: Prediction) -> str:
    return json.dumps({"text": text, **answer.to_dict()}, ensure_ascii=False)


def _line(text: str, answer: Prediction) -> str:
    label = f"{answer.label:<9}"
    if uses_colour():
        label = typer.style(label, fg=COLOURS.get(answer.label), bold=True)
    doubt = "unsure" if answer.unsure else ""
    return f"{label} {answer.confidence:4.0%}  {doubt:<6}  {printable(' '.join(text.split()))}"
