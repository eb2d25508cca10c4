"""`polarbert predict`: texts in, one answer a line out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import zip_longest
from typing import Annotated, Any

import typer

from polarbert.bundle import Bundle, resolve
from polarbert.cli.answers import answer_line, second_option
from polarbert.cli.judges import refuse_useless
from polarbert.cli.options import (
    Aspects,
    Device,
    Engine,
    Json,
    MinConfidence,
    Model,
    Sentences,
    Threads,
    check_aspects,
    check_sentences,
    emit,
    note,
)
from polarbert.data.inputs import STDIN
from polarbert.data.rows import MAX_TEXT_BYTES
from polarbert.errors import DataError, UsageError
from polarbert.inference.prediction import check_min_confidence
from polarbert.inference.spans import cut_questions
from polarbert.loading import load_predictor

LINES_AT_ONCE, BYTES_AT_ONCE = 1000, 4_000_000


def predict(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts; lines of stdin for -, or unless given.", metavar="TEXT")
    ] = None,
    model: Model = None,
    aspect: Aspects = None,
    pair: Annotated[
        list[str] | None,
        typer.Option("--pair", help="The second text, for a model of pairs: one a TEXT, or one for all.", metavar="B"),
    ] = None,
    context: Annotated[
        str | None, typer.Option(help="The passage, for a model that answers questions.", metavar="C")
    ] = None,
    sentences: Sentences = False,
    min_confidence: MinConfidence = None,
    as_json: Json = False,
    threads: Threads = 0,
    engine: Engine = None,
    device: Device = None,
) -> None:
    """Say whether texts are negative, neutral or positive; or what else a model was trained to say of them.

    Example: polarbert predict "I love it" "Crashes on start"

    Example: polarbert predict "Great screen, but the battery dies by noon" --aspect screen --aspect battery
    """
    waits = texts == [STDIN]  # for what is typed, as one who writes - means it
    texts = None if waits else texts
    if not texts and (sys.stdin is None or (sys.stdin.isatty() and not waits)):
        raise UsageError('give a text, as in: polarbert predict "I love it", or send lines to stdin')
    if min_confidence is not None:
        check_min_confidence(min_confidence, "--min-confidence")
    bundle = Bundle.open(resolve(model))
    refuse_useless(bundle, {"min_confidence": min_confidence})
    aspects = aspect or []
    check_aspects(bundle, "--aspect", aspects)
    seconds = second_texts(bundle, len(texts or ()), pair or [], context)
    check_sentences(bundle, sentences)
    predictor = load_predictor(bundle, threads, engine, device, min_confidence)
    for block in [texts] if texts else stdin_blocks():
        firsts, others = paired(block, seconds, aspects)
        answers = _answers(predictor, firsts, others, sentences)
        asked = [_asked(bundle, *given) for given in zip_longest(firsts, others)]
        _tell_cut(answers)
        line = _json if as_json else _line
        emit("\n".join(line(one, answer) for one, answer in zip(asked, answers, strict=True)))


def second_texts(bundle: Bundle, texts: int, pair: list[str], context: str | None) -> list[str]:
    """The second texts: none, one for all, or as many as there are texts.

    Raises:
        UsageError: when the model needs others, or none.
    """
    needed = second_option(bundle)
    given = {"--pair": pair, "--context": [] if context is None else [context]}
    for name, values in given.items():
        if values and name != needed:
            alone = "takes --aspect" if bundle.judges_aspects else "reads single texts"
            instead = f"takes {needed}" if needed else alone
            raise UsageError(f"{name}: this is a model for {bundle.task}, which {instead}")
    if needed is None:
        return []
    if not given[needed]:
        raise UsageError(f"this is a model for {bundle.task}, which reads two texts; give the second one with {needed}")
    if len(given[needed]) not in (1, texts):
        raise UsageError(f"there are {texts} texts and {len(pair)} second ones; give one for all, or as many")
    return given[needed]


def paired(block: list[str], seconds: list[str], aspects: list[str]) -> tuple[list[str], list[str]]:
    """Texts and as many second ones, or none: every aspect of each text, one second text for all, or those given."""
    if aspects:
        return [text for text in block for _ in aspects], aspects * len(block)
    return block, seconds * len(block) if len(seconds) == 1 else seconds


def _answers(predictor: Any, block: list[str], others: list[str], sentences: bool) -> list[Any]:
    predict = predictor.predict_sentences if sentences else predictor.predict
    answers: list[Any] = predict(block, others) if others else predict(block)
    return answers


def _tell_cut(answers: list[Any]) -> None:
    cut = [number for number, answer in enumerate(answers, 1) if getattr(answer, "n_cut", 0)]
    if cut:
        note(f"{cut_questions(len(cut), cut[0])}. Ask them shorter")


def _asked(bundle: Bundle, text: str, other: str | None) -> dict[str, str]:
    """What is asked, by name; a passage is left out, which may be long and is the same for all questions."""
    if bundle.task == "qa":  # the text of such an answer is another one
        return {"question": text}
    # An aspect stands in the answer.
    return {"text": text} if other is None or bundle.judges_aspects else {"text": text, "pair": other}


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


def _line(asked: dict[str, str], answer: Any) -> str:
    return answer_line(" | ".join(asked.values()), answer)


def _json(asked: dict[str, str], answer: Any) -> str:
    return json.dumps({**asked, **answer.to_dict()}, ensure_ascii=False)
