"""`polarbert export`: a trained model becomes a bundle that scores."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from polarbert.cli.options import Encoding, Format, Json, Quiet, emit, note
from polarbert.data.tables import open_table, table_format
from polarbert.errors import DataError, MissingExtraError, UsageError
from polarbert.files import reason

MAX_TEXTS = 4000


def export(
    source: Annotated[Path, typer.Argument(help="A trained classifier in the Hugging Face layout.", metavar="DIR")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The bundle; DIR itself unless given.")] = None,
    texts: Annotated[
        Path | None, typer.Option(help="A table with texts like those to be scored; ours unless given.")
    ] = None,
    text_column: Annotated[str, typer.Option("--text-column", "-c", help="The column with the texts.")] = "text",
    kind: Format = None,
    encoding: Encoding = None,
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
        raise UsageError(f"{source}: no such directory; name the one that holds the trained model")
    if output is not None and (output.is_symlink() or output.exists()) and not output.is_dir():
        raise UsageError(f"{output}: is no directory; name another with -o")
    found = own_texts() if texts is None else _read_texts(texts, text_column, kind, encoding, quiet)
    options = ExportOptions(task=task, window=window, overlap=min(64, window // 4))
    report = export_bundle(source, output or source, found, options=options, note=lambda line: note(line, quiet))
    if as_json:
        emit(json.dumps(report.to_dict()))
    note(f"{report.path}: scores in {report.precision}", quiet)


def _read_texts(path: Path, column: str, kind: str | None, encoding: str | None, quiet: bool) -> list[str]:
    """The first different texts, as many as are used."""
    try:
        source = path.open("rb")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {reason(error)}; name a file with texts") from error
    with source:
        table = open_table(source, str(path), table_format(str(path), kind), column, encoding=encoding)
        distinct: dict[str, None] = {}
        for row in table.rows():
            if row.text and row.text.strip():
                distinct[row.text] = None
            if len(distinct) == MAX_TEXTS:
                break
        for said in (table.doubt, table.fault):
            if said is not None:
                note(said, quiet)
    if not distinct:
        raise DataError(f"{path}: the column {column!r} holds no text; name another with --text-column")
    return list(distinct)
