"""`polarbert next-sentence`: two texts in, whether the second follows the first out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from polarbert.cli.options import Json, emit, note, printable
from polarbert.cli.predict import stdin_blocks
from polarbert.cli.pretrained import Pretrained, reads_stdin
from polarbert.cli.runs import check_packages
from polarbert.errors import DataError, UsageError

if TYPE_CHECKING:
    from polarbert.training.next_sentence import NextSentence, PairAnswer

EXAMPLE = 'polarbert next-sentence --model my-run "The kettle was empty." "She filled it."'
NO_PAIR = "is no pair; write two texts with a tab between them"


def next_sentence(
    model: Pretrained,
    first: Annotated[
        str | None,
        typer.Argument(
            help="A text; - for lines of stdin, each of two texts with a tab between them.", metavar="FIRST"
        ),
    ] = None,
    second: Annotated[str | None, typer.Argument(help="The text that may follow it.", metavar="SECOND")] = None,
    as_json: Json = False,
) -> None:
    """Say whether one text follows another, as a pre-trained network sees it.

    Example: polarbert next-sentence --model my-run "The kettle was empty." "She filled it."
    """
    check_packages("polarbert next-sentence")
    from_stdin = reads_stdin([text for text in (first, second) if text is not None], EXAMPLE)
    if not from_stdin and (not first or not second or not first.strip() or not second.strip()):
        raise UsageError(f"a text is missing or empty; give two, as in: {EXAMPLE}")
    from polarbert.training.next_sentence import NextSentence

    judge = NextSentence.open(model)
    if from_stdin:
        _judge_lines(judge, as_json)
    else:
        emit(_shown(judge.judge([(first or "", second or "")])[0], as_json))


def _judge_lines(judge: NextSentence, as_json: bool) -> None:
    """Answer lines of stdin as they come; one that is no pair is named and left out."""
    number = refused = 0
    for block in stdin_blocks():
        pairs = [_pair(line) for line in block]
        answers = iter(judge.judge([pair for pair in pairs if pair is not None]))
        for line, pair in zip(block, pairs, strict=True):
            number += 1
            if pair is not None:
                emit(_shown(next(answers), as_json))
                continue
            refused += 1
            note(f"stdin, line {number}: {NO_PAIR}")
            if as_json:
                emit(json.dumps({"text": line, "error": NO_PAIR}, ensure_ascii=False))
    if number and refused == number:
        raise DataError("stdin: no line is a pair; write two texts on each, with a tab between them")


def _pair(line: str) -> tuple[str, str] | None:
    first, tab, second = line.partition("\t")
    return (first, second) if tab and first.strip() and second.strip() and "\t" not in second else None


def _shown(answer: PairAnswer, as_json: bool) -> str:
    if as_json:
        return json.dumps(answer.to_dict(), ensure_ascii=False)
    verdict = "is next" if answer.is_next else "not next"
    chance = answer.probability if answer.is_next else 1 - answer.probability
    texts = "  |  ".join(printable(" ".join(text.split())) for text in (answer.first, answer.second))
    cut = "" if answer.pieces_read == answer.pieces else f"  ({answer.pieces_read:,} of {answer.pieces:,} pieces read)"
    return f"{verdict:<8} {chance:6.1%}  {texts}{cut}"
