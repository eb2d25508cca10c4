"""`polarbert explain`: texts in, a weight for each of their words out."""

from __future__ import annotations

import json
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

import typer

from polarbert.bundle import Bundle, resolve
from polarbert.cli.explanations import explanation_lines
from polarbert.cli.options import (
    Aspects,
    Device,
    Engine,
    Json,
    MinConfidence,
    Model,
    Quiet,
    Threads,
    check_aspects,
    check_page,
    emit,
    note,
    uses_colour,
)
from polarbert.cli.predict import paired, second_texts, stdin_blocks
from polarbert.data.inputs import STDIN
from polarbert.errors import UsageError
from polarbert.inference.explanation import Explanation
from polarbert.inference.prediction import check_min_confidence
from polarbert.loading import load_predictor
from polarbert.report.explanation import write_explanations

NOT_EXPLAINED = ("tagging", "qa")


def explain(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts; lines of stdin for -, or unless given.", metavar="TEXT")
    ] = None,
    model: Model = None,
    aspect: Aspects = None,
    label: Annotated[
        str | None, typer.Option("--label", help="The class to explain; the answer unless given.", metavar="L")
    ] = None,
    pair: Annotated[
        list[str] | None,
        typer.Option("--pair", help="The second text, for a model of pairs: one a TEXT, or one for all.", metavar="B"),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with the words marked (.html).", metavar="FILE")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a page that is there.")] = False,
    min_confidence: MinConfidence = None,
    as_json: Json = False,
    quiet: Quiet = False,
    threads: Threads = 0,
    engine: Engine = None,
    device: Device = None,
) -> None:
    """Show which words made the answer: a weight for each, in log-odds, that add up to the answer.

    Example: polarbert explain "Great screen, but the battery dies by noon"

    Example: polarbert explain "Great screen, but the battery dies by noon" --aspect battery
    """
    waits = texts == [STDIN]
    texts = None if waits else texts
    if not texts and (sys.stdin is None or (sys.stdin.isatty() and not waits)):
        raise UsageError('give a text, as in: polarbert explain "I love it", or send lines to stdin')
    if min_confidence is not None:
        check_min_confidence(min_confidence, "--min-confidence")
    if html is not None:
        check_page(html, overwrite)
    bundle = Bundle.open(resolve(model))
    _check_model(bundle, label)
    aspects = aspect or []
    check_aspects(bundle, "--aspect", aspects)
    seconds = second_texts(bundle, len(texts or ()), pair or [], None)
    predictor = load_predictor(bundle, threads, engine, device, min_confidence)
    kept: list[Explanation] = []
    try:
        for block in [texts] if texts else stdin_blocks():
            for text, other in zip_longest(*paired(block, seconds, aspects)):
                found = _explanation(predictor, bundle, text, other, label)
                emit(_json(found) if as_json else explanation_lines(found, uses_colour()))
                kept += [] if html is None else [found]
    finally:  # a line that cannot be read does not cost what was explained before it
        if html is not None and kept:
            write_explanations(kept, html)
            note(f"{html}: open it in a browser; it needs no network", quiet)
    if html is not None and not kept:
        raise UsageError(f"--html {html}: stdin holds no text, so there is nothing to show; no page was written")


def _explanation(predictor: Any, bundle: Bundle, text: str, other: str | None, label: str | None) -> Explanation:
    chosen = {} if label is None else {"label": label}
    name = "aspect" if bundle.judges_aspects else "pair"
    chosen |= {} if other is None else {name: other}
    found: Explanation = predictor.explain(text, **chosen)
    return found


def _json(explanation: Explanation) -> str:
    return json.dumps(explanation.to_dict(), ensure_ascii=False)


def _check_model(bundle: Bundle, label: str | None) -> None:
    """Refuse what cannot be explained, before the model is loaded.

    Raises:
        UsageError: when the model has no one answer a text, or no such label.
    """
    if bundle.task in NOT_EXPLAINED:
        raise UsageError(
            f"{bundle.path}: is a model for {bundle.task}, which has no one answer a text to explain; "
            "explain takes a model of classes or of numbers"
        )
    if label is not None and bundle.task == "regression":
        raise UsageError("--label: this is a model for regression, which answers by a number; leave it out")
    if label is not None and label not in bundle.labels:
        raise UsageError(f"--label: there is no label {label!r}; the model has {', '.join(bundle.labels)}")
