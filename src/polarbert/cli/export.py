"""`polarbert export`: a trained model becomes a bundle that scores."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polarbert.bundle import MANIFEST, MAX_JSON_BYTES, TASKS, Bundle
from polarbert.calibration import Calibration
from polarbert.cli.labelled import input_columns, naming_options
from polarbert.cli.options import Encoding, Format, Json, PairColumn, Quiet, emit, note
from polarbert.data.tables import open_table, table_format
from polarbert.errors import BundleError, DataError, MissingExtraError, UsageError
from polarbert.files import read_bounded, reason

if TYPE_CHECKING:
    from polarbert.export.bundling import ExportOptions

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
    window: Annotated[
        int | None,
        typer.Option(help="Most word pieces read at once; as in the bundle DIR, or 512, unless given.", min=16),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Build the graph that scores: PyTorch to ONNX to static int8, each step compared with the last.

    Where int8 would change more than 2% of the labels the float graph is kept. Of a bundle all else stays as it is:
    task, temperature, unsure threshold, window and what is told of how it was made.

    Example: polarbert export my-model --texts reviews.csv --text-column review
    """
    if find_spec("torch") is None or find_spec("onnx") is None:
        raise MissingExtraError("polarbert export", "train")
    from polarbert.export.bundling import export_bundle
    from polarbert.export.texts import own_pairs, own_texts, with_aspects

    if task is not None and task not in TASKS:
        raise UsageError(f"--task is {task!r}; it can be {', '.join(TASKS[:-1])} or {TASKS[-1]}")
    if not source.is_dir():
        raise UsageError(f"{source}: no such directory; name the one that holds the trained model")
    if output is not None and (output.is_symlink() or output.exists()) and not output.is_dir():
        raise UsageError(f"{output}: is no directory; name another with -o")
    options = _options(source, task, window, lambda line: note(line, quiet))
    task, pairs = options.task, pair_column is not None or "pairs" in options.traits
    reads_pairs = task in ("pair", "qa") or (task == "regression" and pairs)
    columns = input_columns(task, reads_pairs, text_column, pair_column)
    if texts is not None:
        found = _read_inputs(texts, columns, kind, encoding, quiet)
    else:
        found = own_pairs() if reads_pairs else [(text, None) for text in own_texts()]
    if "aspects" in options.traits:
        found = with_aspects([text for text, _ in found])
    if task == "qa":  # the predictor takes the question first
        found = [(second or "", first) for first, second in found]
    if task == "regression" and reads_pairs:
        options = replace(options, traits=("pairs",))
    report = export_bundle(source, output or source, found, options=options, note=lambda line: note(line, quiet))
    if as_json:
        emit(json.dumps(report.to_dict()))
    note(f"{report.path}: scores in {report.precision}", quiet)


def _options(source: Path, task: str | None, window: int | None, say: Callable[[str], None]) -> ExportOptions:
    """How to export: as the source knows of itself, unless something else is asked for."""
    options = _made_for(source, say)
    is_calibrated = options.calibration != Calibration()
    if task not in (None, options.task):
        if is_calibrated:
            say(f"the bundle is for {options.task}, so its temperature and unsure threshold are left out for {task}")
        options = replace(options, task=task, calibration=Calibration(), traits=())
    elif is_calibrated:
        say("temperature and unsure threshold are those of the bundle")
    return options if window is None else replace(options, window=window, overlap=min(64, window // 4))


def _made_for(source: Path, say: Callable[[str], None]) -> ExportOptions:
    """What a bundle knows of itself; of another directory, the task that its kind of network is for."""
    from polarbert.export.bundling import ExportOptions

    if not (source / MANIFEST).is_file():
        return ExportOptions(_task_of_network(source))
    try:
        bundle = Bundle.open(source)
    except BundleError as error:  # a damaged one is exported anew
        say(f"what the bundle knows of itself is left out: {error}")
        return ExportOptions(_task_of_network(source))
    options = ExportOptions(bundle.task, window=bundle.window, overlap=bundle.overlap, traits=bundle.traits)
    try:
        bundle.verify([name for name in bundle.checksums if name.endswith(".safetensors")])
    except BundleError as error:  # of other weights the confidence is another, and so is the way they were made
        say(f"temperature and unsure threshold are left out: {error}")
        return options
    return replace(options, calibration=bundle.calibration, provenance=bundle.provenance)


def _task_of_network(source: Path) -> str:
    from polarbert.model.kinds import HEADS

    try:
        config = json.loads(read_bounded(source / "config.json", MAX_JSON_BYTES, BundleError))
        classes = config.get("architectures") or []
        found = [task for task in ("tagging", "qa") if HEADS[task].__name__ in classes]
        is_number = config.get("problem_type") == "regression" or len(config.get("id2label", "ab")) == 1
    except (BundleError, OSError, ValueError, AttributeError, TypeError, RecursionError):  # the export says what it is
        return "classification"
    return (found or ["regression" if is_number else "classification"])[0]


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
        with naming_options({second_column or "": "--pair-column", text_column: "--text-column"}):
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
