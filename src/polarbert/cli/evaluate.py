"""`polarbert evaluate`: a model and labelled texts, or the behaviour suite, in; figures one can believe out."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from polarbert.bundle import Bundle, resolve
from polarbert.cli.behaviour import Behaviour, refuse
from polarbert.cli.judges import JUDGES
from polarbert.cli.labelled import DATA, Source
from polarbert.cli.options import (
    AspectColumn,
    Delimiter,
    Device,
    Encoding,
    Engine,
    Json,
    LabelColumn,
    LabelledFormat,
    MinConfidence,
    PairColumn,
    Quiet,
    TextColumn,
    Threads,
    check_aspects,
    check_page,
    emit,
    note,
    page_width,
)
from polarbert.cli.progress import ScoreProgress
from polarbert.data.dataset import CLASS_TASKS, Dataset
from polarbert.data.inputs import shown_name
from polarbert.errors import UsageError
from polarbert.inference.engine import engine_name
from polarbert.inference.evaluate import align
from polarbert.inference.evaluate import evaluate as run_evaluation
from polarbert.inference.prediction import check_min_confidence
from polarbert.loading import load_predictor, settle_device

EMBEDDED = "default"


def evaluate(
    model: Annotated[
        str, typer.Argument(help="A model directory or a Hub id; default is the embedded model.", metavar="MODEL")
    ] = EMBEDDED,
    data: Annotated[str | None, typer.Argument(help=DATA, metavar="DATA")] = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    pair_column: PairColumn = None,
    aspect_column: AspectColumn = None,
    by: Annotated[
        list[str] | None, typer.Option("--by", help="Judge by the values of this column too; may be repeated.")
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--labels",
            help="What labels of the file stand for, as good=positive,bad=negative; other= leaves rows out.",
        ),
    ] = None,
    behaviour: Annotated[
        bool,
        typer.Option("--behaviour", help="Judge by the behaviour suite (negation, typos, names, ...); takes no DATA."),
    ] = False,
    capability: Annotated[
        list[str] | None,
        typer.Option(
            "--capability",
            help="Only this capability or group of the behaviour suite; may be repeated.",
            metavar="NAME",
        ),
    ] = None,
    failures: Annotated[
        int,
        typer.Option("--failures", min=0, help="Cases of the behaviour suite that failed to show, of each capability."),
    ] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a page with pictures (.html).", metavar="PAGE")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a page that is there.")] = False,
    min_confidence: MinConfidence = None,
    kind: LabelledFormat = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    as_json: Json = False,
    quiet: Quiet = False,
    threads: Threads = 0,
    engine: Engine = None,
    device: Device = None,
) -> None:
    """Judge a model on labelled rows that it was not trained on, or by the behaviour suite.

    Stars from 1 to 5 are known to a model of sentiment: 1 and 2 are negative, 3 is neutral, 4 and 5 are positive.

    Example: polarbert evaluate default reviews.csv --text-column review --label-column stars -o page.html

    Example: polarbert evaluate default --behaviour --capability negation --failures 2
    """
    if min_confidence is not None:
        check_min_confidence(min_confidence, "--min-confidence")
    engine_name(engine)
    device = settle_device(device, engine)
    mapping = label_mapping(labels or [])
    columns = list(dict.fromkeys(by or []))
    if behaviour:
        given: dict[str, object] = {
            data or "": data,
            "--by": by,
            "--labels": labels,
            "--pair-column": pair_column,
            "--aspect-column": aspect_column,
            "--format": kind,
        }
        given |= {"--text-column": text_column != "text", "--label-column": label_column != "label"}
        refuse({**given, "--delimiter": delimiter, "--encoding": encoding}, "means nothing with --behaviour")
    else:
        refuse({"--capability": capability, "--failures": failures}, "is for --behaviour")
        if data is None:
            raise UsageError(_no_data(model))
    if output is not None:
        _check_output(output, overwrite)
    bundle = Bundle.open(resolve(None if model == EMBEDDED else model))
    name = "The embedded model" if model == EMBEDDED else bundle.path.name
    if data is None:
        asked = Behaviour(capability or [], failures)
        asked.run(bundle, name, output, as_json, quiet, threads, engine, device, min_confidence)
        return
    if bundle.task not in CLASS_TASKS:
        judge = JUDGES[bundle.task]
        judge.refuse(bundle, {"by": columns, "labels": mapping, "output": output, "min_confidence": min_confidence})
    check_aspects(bundle, "--aspect-column", [] if aspect_column is None else [aspect_column])
    source = Source(data, text_column, label_column, pair_column, columns, kind, delimiter, encoding, aspect_column)
    dataset = _read(source, bundle, mapping)
    predictor = load_predictor(bundle, threads, engine, device)
    count = len({row.content for row in dataset.rows}) if bundle.task in CLASS_TASKS else len(dataset.rows)
    with ScoreProgress(io.BytesIO(), 0, quiet, count) as progress:

        def show(done: int, _all: int) -> None:
            progress.update(done)

        evaluation: Any
        if bundle.task in CLASS_TASKS:
            evaluation = run_evaluation(predictor, dataset, columns, unsure_below=min_confidence, progress=show)
        else:
            evaluation = judge.run(predictor, dataset, show, columns, mapping, min_confidence)
    if as_json:
        emit(json.dumps(evaluation.to_dict()))
    else:
        emit(evaluation.text(page_width()))
    if output is not None:
        from polarbert.report import write_report

        write_report(evaluation, output, f"{name} on {shown_name(dataset.name)}")
        note(f"{output}: open it in a browser; it needs no network", quiet)


def _read(source: Source, bundle: Bundle, mapping: Mapping[str, str]) -> Dataset:
    """The rows, with class numbers that follow the model's."""
    if bundle.task not in CLASS_TASKS:
        return replace(source, keep=()).read(bundle.task)
    # Labels are read as they stand: what they mean, the model says.
    return align(source.read("pair" if bundle.task == "pair" else "classification"), bundle.labels, mapping)


def _no_data(model: str) -> str:
    """What to do when the command has no file; a single argument that is one may be meant as the data."""
    if Path(model).is_file():
        return f"name a model and a file: polarbert evaluate {EMBEDDED} {shlex.quote(model)} takes the embedded model"
    return (
        f"no file with labelled rows is named: polarbert evaluate {shlex.quote(model)} DATA. "
        "The behaviour suite needs none: add --behaviour"
    )


def label_mapping(given: Sequence[str]) -> dict[str, str]:
    """What labels stand for, from "good=positive,bad=negative"; quotation marks hold a label with a comma together.

    Raises:
        UsageError: when a part has no "=", or a label comes twice.
    """
    mapping: dict[str, str] = {}
    seen: set[str] = set()
    for part in (part for line in given for part in next(csv.reader([line], skipinitialspace=True), [])):
        name, equals, wanted = part.rpartition("=")
        if not equals or not name.strip():
            raise UsageError(f"--labels has {part!r}; write it as LABEL=CLASS, or LABEL= to leave its rows out")
        if name.strip().casefold() in seen:
            raise UsageError(f"--labels says twice what {name.strip()!r} stands for, in whatever case; say it once")
        seen.add(name.strip().casefold())
        mapping[name.strip()] = wanted.strip()
    return mapping


def _check_output(output: Path, overwrite: bool) -> None:
    """Refuse a page that could not be written, before the model has worked for it."""
    from polarbert.report.evaluation import require_extra

    require_extra()
    if str(output) == "-":
        raise UsageError("-o -: the page is a file, and stdout has the figures; name a file that ends in .html")
    check_page(output, overwrite)
