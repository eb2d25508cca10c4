"""`polarbert evaluate`: a model and labelled texts in, figures one can believe out."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from polarbert.bundle import Bundle, resolve
from polarbert.cli.options import Encoding, Engine, Json, Quiet, Threads, emit, note
from polarbert.cli.progress import ScoreProgress
from polarbert.data.dataset import read_labelled
from polarbert.errors import UsageError
from polarbert.inference.classifier import make_predictor
from polarbert.inference.evaluate import align
from polarbert.inference.evaluate import evaluate as run_evaluation

EMBEDDED = "default"
MIN_WIDTH, FILE_WIDTH = 60, 100


def evaluate(
    model: Annotated[
        str, typer.Argument(help="A model directory or a Hub id; default is the embedded model.", metavar="MODEL")
    ],
    data: Annotated[str, typer.Argument(help="A CSV, TSV, JSONL or Parquet file with labels.", metavar="DATA")],
    text_column: Annotated[str, typer.Option("--text-column", "-c", help="The column with the texts.")] = "text",
    label_column: Annotated[str, typer.Option("--label-column", "-l", help="The column with the labels.")] = "label",
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
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a page with pictures (.html).", metavar="PAGE")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a page that is there.")] = False,
    min_confidence: Annotated[
        float | None,
        typer.Option(help="Below it an answer is unsure, from 0 to 1; the model's threshold unless given."),
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--format", help="csv, jsonl or parquet; by the file's name unless given.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Of a CSV; found in its first line unless given.")] = None,
    encoding: Encoding = None,
    as_json: Json = False,
    quiet: Quiet = False,
    threads: Threads = 0,
    engine: Engine = None,
) -> None:
    """Judge a model on labelled texts that it was not trained on.

    Stars from 1 to 5 are known to a model of sentiment: 1 and 2 are negative, 3 is neutral, 4 and 5 are positive.

    Example: polarbert evaluate default reviews.csv --text-column review --label-column stars -o page.html
    """
    if min_confidence is not None and not 0 <= min_confidence <= 1:
        raise UsageError(f"--min-confidence is {min_confidence:g}; it must lie between 0 and 1")
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise UsageError(f"--delimiter is {delimiter!r}; it must be one character that separates cells")
    mapping = label_mapping(labels or [])
    columns = list(dict.fromkeys(by or []))
    if output is not None:
        _check_output(output, overwrite)
    bundle = Bundle.open(resolve(None if model == EMBEDDED else model))
    # Labels are read as they stand: what they mean, the model says.
    dataset = read_labelled(
        data,
        text_column,
        label_column,
        task="classification",
        keep=columns,
        kind=kind,
        delimiter=delimiter,
        encoding=encoding,
    )
    dataset = align(dataset, bundle.labels, mapping)
    predictor = make_predictor(bundle, threads, engine)
    with ScoreProgress(io.BytesIO(), 0, quiet, len(set(dataset.texts))) as progress:
        evaluation = run_evaluation(
            predictor, dataset, columns, unsure_below=min_confidence, progress=lambda done, _all: progress.update(done)
        )
    if as_json:
        emit(json.dumps(evaluation.to_dict()))
    else:
        emit(evaluation.text(max(MIN_WIDTH, shutil.get_terminal_size((FILE_WIDTH, 1)).columns)))
    if output is not None:
        from polarbert.report import write_report

        name = "The embedded model" if model == EMBEDDED else bundle.path.name
        write_report(evaluation, output, f"{name} on {Path(data).name}")
        note(f"{output}: open it in a browser; it needs no network", quiet)


def label_mapping(given: Sequence[str]) -> dict[str, str]:
    """What labels stand for, from "good=positive,bad=negative"; quotation marks hold a label with a comma together.

    Raises:
        UsageError: when a part has no "=", or a label comes twice.
    """
    mapping: dict[str, str] = {}
    for part in (part for line in given for part in next(csv.reader([line], skipinitialspace=True), [])):
        name, equals, wanted = part.rpartition("=")
        if not equals or not name.strip():
            raise UsageError(f"--labels has {part!r}; write it as LABEL=CLASS, or LABEL= to leave its rows out")
        if name.strip() in mapping:
            raise UsageError(f"--labels says twice what {name.strip()!r} stands for; say it once")
        mapping[name.strip()] = wanted.strip()
    return mapping


def _check_output(output: Path, overwrite: bool) -> None:
    """Refuse a page that could not be written, before the model has worked for it."""
    from polarbert.report.evaluation import require_extra

    require_extra()
    if output.is_dir():
        raise UsageError(f"{output}: is a folder; name a file in it")
    if not output.parent.is_dir():
        raise UsageError(f"{output}: the folder {output.parent} does not exist; make it or name another")
    if output.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{output}: the page is HTML; name it {output.with_suffix('.html')}")
    if output.exists() and not overwrite:
        raise UsageError(f"{output}: exists already. Name another page, or replace it with --overwrite")
