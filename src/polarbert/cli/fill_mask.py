"""`polarbert fill-mask`: texts with [MASK] in, the likeliest words out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from polarbert.cli.options import Json, emit, note, printable
from polarbert.cli.predict import stdin_blocks
from polarbert.cli.pretrained import Pretrained, reads_stdin
from polarbert.cli.runs import check_packages
from polarbert.errors import DataError, UsageError

if TYPE_CHECKING:
    from polarbert.training.fill_mask import FilledText, MaskFiller

MASK = "[MASK]"
NO_MASK = f"has no {MASK}; write {MASK} where the word is missing"
EXAMPLE = f'polarbert fill-mask --model my-run "The film was {MASK}."'


def fill_mask(
    model: Pretrained,
    texts: Annotated[
        list[str] | None,
        typer.Argument(help="Texts with [MASK] where a word is missing; - for lines of stdin.", metavar="TEXT"),
    ] = None,
    top: Annotated[int, typer.Option("--top", "-k", min=1, help="Candidates for each mask.")] = 5,
    as_json: Json = False,
) -> None:
    """Name the words behind [MASK], as a pre-trained network guesses them.

    Example: polarbert fill-mask --model my-run "The film was [MASK]."
    """
    check_packages("polarbert fill-mask")
    from_stdin = reads_stdin(texts, EXAMPLE)
    for text in [] if from_stdin else texts or []:
        if MASK not in text:
            raise UsageError(f"{text!r} {NO_MASK}")
    from polarbert.training.fill_mask import MaskFiller

    filler = MaskFiller.open(model)
    if from_stdin:
        _fill_lines(filler, top, as_json)
    else:
        emit("\n".join(_shown(filler.fill(texts or [], top), as_json)))


def _fill_lines(filler: MaskFiller, top: int, as_json: bool) -> None:
    """Answer lines of stdin as they come; one without a mask is named and left out."""
    number = refused = 0
    for block in stdin_blocks():
        good = [line for line in block if MASK in line]
        answers = _shown(filler.fill(good, top), as_json)
        for line in block:
            number += 1
            if MASK in line:
                emit(next(answers))
            else:
                refused += 1
                note(f"stdin, line {number}: {NO_MASK}")
                if as_json:
                    emit(json.dumps({"text": line, "error": NO_MASK}, ensure_ascii=False))
    if number and refused == number:
        raise DataError(f"stdin: no line has a {MASK}; write {MASK} where the word is missing")


def _shown(answers: list[FilledText], as_json: bool) -> Iterator[str]:
    for answer in answers:
        yield json.dumps(answer.to_dict(), ensure_ascii=False) if as_json else "\n".join(_lines(answer))


def _lines(answer: FilledText) -> Iterator[str]:
    """The text, then a line a candidate; where there are several masks, each under its number."""
    yield printable(" ".join(answer.text.split()))
    if answer.pieces_read < answer.pieces:
        yield f"  (of {answer.pieces:,} word pieces, {answer.pieces_read:,} round each mask were read)"
    width = max(len(candidate.piece) for mask in answer.masks for candidate in mask)
    for number, mask in enumerate(answer.masks, 1):
        if len(answer.masks) > 1:
            yield f"  mask {number} of {len(answer.masks)}"
        for candidate in mask:
            filled = printable(" ".join(candidate.text.split()))
            yield f"  {candidate.probability:6.1%}  {printable(candidate.piece):<{width}}  {filled}"
