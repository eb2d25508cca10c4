"""`polarbert score`: a table in, the same table with answers out."""

from __future__ import annotations

import json
import stat
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

import polarbert
from polarbert.bundle import Bundle, resolve
from polarbert.cli.judges import refuse_useless
from polarbert.cli.labelled import check_aspect_column, input_columns, naming_options
from polarbert.cli.options import (
    AspectColumn,
    Delimiter,
    Device,
    Encoding,
    Engine,
    Format,
    Json,
    MinConfidence,
    Model,
    PairColumn,
    Quiet,
    Sentences,
    TextColumn,
    Threads,
    check_aspects,
    check_sentences,
    emit,
    note,
)
from polarbert.cli.progress import ScoreProgress
from polarbert.cli.runs import told_how_to_go_on
from polarbert.data.inputs import input_name, open_input
from polarbert.data.journal import Journal, Sink, Stream
from polarbert.data.rows import Assemble
from polarbert.data.tables import FORMATS, Table, open_table, table_format
from polarbert.errors import DataError, UsageError
from polarbert.files import disk_errors
from polarbert.inference.by_sentence import SentenceReader
from polarbert.inference.engine import WEIGHTS, engine_name
from polarbert.inference.prediction import check_min_confidence
from polarbert.inference.predictors import make_columns
from polarbert.inference.scoring import score_table
from polarbert.inference.spans import cut_questions
from polarbert.loading import load_predictor, settle_device

COUNTED = ("rows", "errors", "unsure", "computed_texts", "computed_pieces", "unknown_pieces", "cut_questions")
DEVICES = (Path("/dev"), Path("/dev/fd"))


def score(
    table: Annotated[str, typer.Argument(help="A CSV, TSV, JSONL or Parquet file; - for stdin.", metavar="IN")],
    output: Annotated[str, typer.Option("--output", "-o", help="Where to write; - for stdout.", metavar="OUT")],
    text_column: TextColumn = "text",
    pair_column: PairColumn = None,
    aspect_column: AspectColumn = None,
    model: Model = None,
    sentences: Sentences = False,
    min_confidence: MinConfidence = None,
    prefix: Annotated[str, typer.Option(help="Put before the names of the added columns.")] = "",
    kind: Format = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished output.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    threads: Threads = 0,
    engine: Engine = None,
    device: Device = None,
) -> None:
    """Score every row of a table; all its cells are kept, and the answers added as columns.

    Stopped or killed, the same command goes on where it was.

    Example: polarbert score reviews.csv -o scored.csv --text-column review
    """
    if as_json and output == "-":
        raise UsageError("--json prints the summary on stdout, where -o - writes the rows; choose one of them")
    if min_confidence is not None:
        check_min_confidence(min_confidence, "--min-confidence")
    engine_name(engine)
    device = settle_device(device, engine)
    with open_input(table) as source:
        kind = table_format(table, kind)
        _refuse_same_file(table, output)
        _refuse_other_format(output, kind)
        bundle = Bundle.open(resolve(model))
        refuse_useless(bundle, {"min_confidence": min_confidence})
        check_sentences(bundle, sentences)
        columns = make_columns(bundle, prefix, sentences)
        name = input_name(table)
        check_aspects(bundle, "--aspect-column", [] if aspect_column is None else [aspect_column])
        check_aspect_column(aspect_column, pair_column, {"--text-column": text_column})
        text_column, second = input_columns(bundle.task, bundle.reads_pairs, text_column, pair_column)
        second = aspect_column or second
        option = "--pair-column" if aspect_column is None else "--aspect-column"
        with naming_options({second or "": option, text_column: "--text-column"}):
            also = [] if second is None else [second]
            rows = open_table(source, name, kind, text_column, columns.names(), delimiter, encoding, also)
        asked = {"column": text_column, "prefix": prefix, "format": kind, "delimiter": delimiter, "encoding": encoding}
        asked |= ({} if second is None else {"second column": second}) | ({"sentences": "yes"} if sentences else {})
        predictor = load_predictor(bundle, threads, engine, device, min_confidence)
        reader = SentenceReader(predictor) if sentences else predictor
        about = {
            "version": polarbert.__version__,
            "model": bundle.fingerprint(WEIGHTS if device == "cuda" else None),
            "engine": predictor.engine.name,
            "min confidence": predictor.unsure_below,
        }
        sink = _open_output(output, overwrite, about | _about_input(table) | asked, rows.assembler(columns.types()))
        if sink.rows:
            note(f"{output}: going on after {sink.rows:,} rows", quiet)
        doubt = _say_doubt(rows, quiet)  # of the first lines, before hours are spent on the others
        started = time.monotonic()
        earlier = sink.rows
        told = told_how_to_go_on(lambda: _kept(output, sink)) if isinstance(sink, Journal) else nullcontext()
        with told, ScoreProgress(source, earlier, quiet, rows.count) as progress:
            totals = score_table(reader, rows, sink, columns, progress.update, second, aspect_column is not None)
    seconds = time.monotonic() - started
    if as_json:
        emit(json.dumps(totals | {"seconds": round(seconds, 3)}))
    note(_summary(output, totals, totals.get("rows", 0) - earlier, seconds), quiet)
    if not doubt:
        _say_doubt(rows, quiet)
    if rows.fault is not None:
        raise DataError(f"{rows.fault}. What could be read is in {output}")
    if totals.get("errors", 0) == totals.get("rows", 0) > 0:
        raise DataError(f"{name}: no row could be scored; the column '{prefix}error' of {output} says why")


def _kept(output: str, journal: Journal) -> str:
    return f"{output}: stopped; {journal.kept_rows():,} rows are kept, and the same command goes on from there"


def _say_doubt(rows: Table, quiet: bool) -> bool:
    if rows.doubt is not None:
        note(rows.doubt, quiet)
    return rows.doubt is not None


def _refuse_same_file(table: str, output: str) -> None:
    with disk_errors(output, "Name another output", UsageError):
        if "-" not in (table, output) and Path(output).exists() and Path(output).samefile(table):
            raise UsageError(f"{output}: is the input; name another output")


def _refuse_other_format(output: str, kind: str) -> None:
    suffix = Path(output).suffix.lower()
    if FORMATS.get(suffix, kind) != kind:
        right = next(known for known, found in FORMATS.items() if found == kind)
        raise UsageError(f"{output}: the output has the format of the input, {kind}. Let its name end in {right}")


def _open_output(name: str, overwrite: bool, identity: dict[str, object], assemble: Assemble | None) -> Sink:
    path = Path(name)
    if name != "-" and path.is_dir():
        raise UsageError(f"{name}: is a folder; name a file in it")
    is_special = path.exists() and not stat.S_ISREG(path.stat().st_mode)
    # /dev/stdout may lead to a file, but its folder is no place to write.
    if name != "-" and not is_special and path.parent not in DEVICES:
        return Journal(path, identity, overwrite, assemble)
    if assemble is not None:
        raise UsageError(f"{name}: Parquet cannot be written to a pipe or device; name a file with -o")
    if name == "-":
        if sys.stdout is None:
            raise UsageError("-o -: stdout is closed; send it somewhere or name a file")
        return Stream(sys.stdout.buffer, "stdout")
    if not path.exists():
        raise UsageError(f"{name}: no such device; name another output")
    with disk_errors(name, "Name another output"):
        return Stream(path.open("wb", buffering=0), name)


def _about_input(name: str) -> dict[str, object]:
    """What tells this input from another. A pipe is never the same twice, so no run goes on with another's rows."""
    path = Path(name)
    status = None if name == "-" else path.stat()
    if status is None or not stat.S_ISREG(status.st_mode):
        return {"input": name, "input time": time.time_ns()}
    return {"input": str(path.resolve()), "input size": status.st_size, "input time": status.st_mtime_ns}


def _summary(output: str, totals: dict[str, int], rows: int, seconds: float) -> str:
    labels = [f"{n.split(':', 1)[-1]} {c:,}" for n, c in sorted(totals.items()) if n not in COUNTED]
    pieces, unknown = totals.get("computed_pieces", 0), totals.get("unknown_pieces", 0)
    parts = [
        f"{output}: {totals.get('rows', 0):,} rows{': ' if labels else ''}{', '.join(labels)}",
        f"unsure {totals.get('unsure', 0):,}, errors {totals.get('errors', 0):,}",
        f"{totals.get('computed_texts', 0):,} different texts, {pieces:,} word pieces, {unknown:,} of them [UNK]",
        f"{seconds:.1f} s, {rows / max(seconds, 1e-9):,.0f} rows/s",
    ]
    if cut := totals.get("cut_questions", 0):
        parts.append(cut_questions(cut))
    return "\n  ".join(parts)
