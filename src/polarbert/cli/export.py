"""`polarbert export`: a trained model becomes a bundle that scores."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from polarbert.cli.options import Json, Quiet, note
from polarbert.data.tables import open_table, table_format
from polarbert.errors import DataError, MissingExtraError, UsageError

MAX_TEXTS = 4000


def export(
    source: Annotated[Path, typer.Argument(help="A trained classifier in the Hugging Face layout.", metavar="DIR")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The bundle; DIR itself unless given.")] = None,
    texts: Annotated[
        Path | None, typer.Option(help="CSV or JSONL with texts like those to be scored; ours unless given.")
    ] = None,
    text_column: Annotated[str, typer.Option("--text-column", "-c", help="The column with the texts.")] = "text",
    task: Annotated[str, typer.Option(help="sentiment or classification.")] = "classification",
    window: Annotated[int, typer.Option(help="Most word pieces read at once.", min=16)] = 512,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Build the graph that scores: PyTorch to ONNX to static int8, each step compared with the last.

    Where int8 would change more than 2% of the labels the float graph is kept.

    Example: polarbert export my-model --texts reviews.csv --text-column review
    """
    if find_spec("torch") is None or find_spec("onnx") is None:
        raise MissingExtraError("polarbert export", "train")
    from polarbert.export.bundling import ExportOptions, export_bundle
    from polarbert.export.texts import own_texts

    if task not in ("sentiment", "classification"):
        raise UsageError(f"--task is {task!r}; it can be sentiment or classification")
    if not source.is_dir():
        raise UsageError(f"{source}: no such directory")
    found = own_texts() if texts is None else _read_texts(texts, text_column)
    options = ExportOptions(task=task, window=window, overlap=min(64, window // 4))
    report = export_bundle(source, output or source, found, options=options, note=lambda line: note(line, quiet))
    if as_json:
        print(json.dumps(report.to_dict()))
    note(f"{report.path}: scores in {report.precision}", quiet)


def _read_texts(path: Path, column: str) -> list[str]:
    try:
        source = path.open("rb")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    with source:
        rows = open_table(source, str(path), table_format(str(path), None), column, []).rows()
        distinct = dict.fromkeys(row.text for row in rows if row.text and row.text.strip())
    if not distinct:
        raise DataError(f"{path}: the column {column!r} holds no text")
    return list(distinct)[:MAX_TEXTS]
