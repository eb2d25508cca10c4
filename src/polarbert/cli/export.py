"""`polarbert export`: a trained model becomes a bundle that scores."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from polarbert.bundle import MANIFEST, MAX_JSON_BYTES, TASKS, Bundle
from polarbert.cli.labelled import input_columns
from polarbert.cli.options import Encoding, Format, Json, PairColumn, Quiet, emit, note
from polarbert.data.tables import open_table, table_format
from polarbert.errors import BundleError, DataError, MissingExtraError, UsageError
from polarbert.files import read_bounded, reason

MAX_TEXTS = 4000


def export(
    source: Annotated[Path, typer.Argument(help="A trained network in the Hugging Face layout.", metavar="DIR")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The bundle; DIR itself unless given.")] = None,
    texts: Annotated[
        Path | None, typer.Option(help="A table with texts like those to be scored; ours unless given.")
    ] = None,
    text_column: Annotated[str, typer.Option("--text-column", "-c", help="The column with the texts.")] = "text",
    kind: Format = None,
    encoding: Encoding = None,
    task: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(TASKS[:-1])} or {TASKS[-1]}; what DIR says it is for unless given."),
    ] = None,
    pair_column: PairColumn = None,
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
    from polarbert.export.texts import own_pairs, own_texts

    if task is not None and task not in TASKS:
        raise UsageError(f"--task is {task!r}; it can be {', '.join(TASKS[:-1])} or {TASKS[-1]}")
    if not source.is_dir():
        raise UsageError(f"{source}: no such directory; name the one that holds the trained model")
    if output is not None and (output.is_symlink() or output.exists()) and not output.is_dir():
        raise UsageError(f"{output}: is no directory; name another with -o")
    known, traits = _made_for(source)
    task, traits = task or known, traits if task in (None, known) else ()
    reads_pairs = task in ("pair", "qa") or (task == "regression" and (pair_column is not None or "pairs" in traits))
    columns = input_columns(task, reads_pairs, text_column, pair_column)
    if texts is not None:
        found = _read_inputs(texts, columns, kind, encoding, quiet)
    else:
        found = own_pairs() if reads_pairs else [(text, None) for text in own_texts()]
    if task == "qa":  # the predictor takes the question first
        found = [(second or "", first) for first, second in found]
    if task == "regression" and reads_pairs:
        traits = ("pairs",)
    options = ExportOptions(task=task, traits=traits, window=window, overlap=min(64, window // 4))
    report = export_bundle(source, output or source, found, options=options, note=lambda line: note(line, quiet))
    if as_json:
        emit(json.dumps(report.to_dict()))
    note(f"{report.path}: scores in {report.precision}", quiet)


def _made_for(source: Path) -> tuple[str, tuple[str, ...]]:
    """The task and the traits of a bundle; of another directory, the task that its kind of network is for."""
    from polarbert.model.kinds import HEADS

    if (source / MANIFEST).is_file():
        try:
            bundle = Bundle.open(source)
        except BundleError:  # a damaged one is exported anew
            pass
        else:
            return bundle.task, bundle.traits
    try:
        config = json.loads(read_bounded(source / "config.json", MAX_JSON_BYTES, BundleError))
        classes = config["architectures"]
        found = [task for task in ("tagging", "qa") if HEADS[task].__name__ in classes]
    except (BundleError, OSError, ValueError, LookupError, TypeError, RecursionError):  # the export says what is wrong
        found = []
    return (found or ["classification"])[0], ()


def _read_inputs(
    path: Path, columns: tuple[str, str | None], kind: str | None, encoding: str | None, quiet: bool
) -> list[tuple[str, str | None]]:
    """The first different texts or pairs, as many as are used."""
    text_column, second_column = columns
    try:
        source = path.open("rb")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {reason(error)}; name a file with texts") from error
    with source:
        form, also = table_format(str(path), kind), [] if second_column is None else [second_column]
        table = open_table(source, str(path), form, text_column, encoding=encoding, also=also)
        distinct: dict[tuple[str, str | None], None] = {}
        for row in table.rows():
            second = None if second_column is None or row.problem else table.cell(row, second_column)
            if row.text and row.text.strip() and (second_column is None or second):
                distinct[row.text, second] = None
            if len(distinct) == MAX_TEXTS:
                break
        for said in (table.doubt, table.fault):
            if said is not None:
                note(said, quiet)
    if not distinct:
        raise DataError(f"{path}: the column {text_column!r} holds no text; name another with --text-column")
    return list(distinct)
