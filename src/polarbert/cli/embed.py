"""`polarbert embed`: a table in, vectors of its texts out."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polarbert.cli.labelled import naming_options
from polarbert.cli.options import Delimiter, Encoding, Format, Json, Quiet, TextColumn, Threads, emit, note
from polarbert.cli.progress import ScoreProgress
from polarbert.cli.runs import check_packages, told_how_to_go_on
from polarbert.data.inputs import STDIN, input_name, open_input
from polarbert.data.rows import MAX_TEXT_BYTES
from polarbert.data.tables import Table, open_table, table_format
from polarbert.errors import DataError, UsageError
from polarbert.files import disk_errors

if TYPE_CHECKING:
    from typing import BinaryIO

    from polarbert.training.embedding import Embedder
    from polarbert.training.vector_files import Opener


def embed(
    table: Annotated[str, typer.Argument(help="A CSV, TSV, JSONL or Parquet file; - for stdin.", metavar="TEXTS")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write: .npy or .parquet.", metavar="OUT")],
    text_column: TextColumn = "text",
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="A model directory, a run or a Hub id; the embedded model unless given.",
            metavar="MODEL",
        ),
    ] = None,
    pool: Annotated[
        str, typer.Option(help="mean over a text; cls, the vector at [CLS]; or tokens, one a word piece.")
    ] = "mean",
    layers: Annotated[
        str, typer.Option(help="0, the embeddings, to the last, or from the end as -1,-2; or all.")
    ] = "-1",
    combine: Annotated[str, typer.Option(help="Several layers: concat, sum or mean.")] = "concat",
    prefix: Annotated[str, typer.Option(help="Put before the names of the added columns of a .parquet.")] = "",
    kind: Format = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished output.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    threads: Threads = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
) -> None:
    """Write the vectors that a network has for each text of a table.

    A text longer than the network reads is seen through windows: mean is over all of them, cls is of the first.

    Example: polarbert embed reviews.csv -o vectors.npy --text-column review
    """
    check_packages("polarbert embed", "pyarrow")
    from polarbert.training.device import choose_device
    from polarbert.training.embedding import Embedder, Reading
    from polarbert.training.vector_files import TOKEN_TEXT_BYTES, added_columns, embed_table, output_suffix

    reading, tokens = Reading(layers, combine, pool), pool == "tokens"
    suffix = output_suffix(output, pool)
    _check_place(table, output, overwrite)
    place = choose_device(device)
    _set_threads(threads)
    with open_input(table) as source:
        kind, name = table_format(table, kind), input_name(table)
        added = added_columns(tokens, prefix) if suffix == ".parquet" else []
        most = TOKEN_TEXT_BYTES if tokens else MAX_TEXT_BYTES
        with naming_options({text_column: "--text-column"}):
            rows = open_table(source, name, kind, text_column, added, delimiter, encoding, max_bytes=most)
        embedder = Embedder.open(model, reading, place)
        opener = _opener(suffix, kind, source, rows, name, embedder, prefix)
        started = time.monotonic()
        stopped = f"{output}: stopped, and nothing is written; run the same command again"
        with told_how_to_go_on(lambda: stopped), ScoreProgress(source, 0, quiet, rows.count, "reading") as progress:
            totals = embed_table(embedder, rows, output, opener, progress.update)
    seconds = time.monotonic() - started
    about = {"dimensions": embedder.dimensions, "layers": embedder.layers, "pool": pool, "combine": combine}
    if as_json:
        emit(json.dumps(totals | about | {"seconds": round(seconds, 3)}))
    _report(output, name, totals, embedder, rows, seconds, quiet)


def _check_place(table: str, output: Path, overwrite: bool) -> None:
    """Refuse a place that cannot be written, before any work is done."""
    with disk_errors(str(output), "Name another output", UsageError):
        if not output.parent.is_dir():
            raise UsageError(f"{output}: the folder {output.parent} does not exist; make it or name another")
        if output.is_dir():
            raise UsageError(f"{output}: is a folder; name a file in it")
        if output.exists() and table != STDIN and Path(table).exists() and output.samefile(table):
            raise UsageError(f"{output}: is the input; name another output")
        if output.exists() and not overwrite:
            raise UsageError(f"{output}: exists already. Name another output, or replace it with --overwrite")


def _set_threads(threads: int) -> None:
    import torch

    from polarbert.inference.engine import usable_threads

    torch.set_num_threads(threads or usable_threads())


def _opener(
    suffix: str, kind: str, source: BinaryIO, rows: Table, name: str, embedder: Embedder, prefix: str
) -> Opener:
    from polarbert.training.vector_files import ParquetColumns, TextColumns, npy_file, parquet_file

    if suffix == ".npy":
        return partial(npy_file, dimensions=embedder.dimensions)
    columns = ParquetColumns(source, name) if kind == "parquet" else TextColumns(rows, name)
    tokens = embedder.reading.pool == "tokens"
    return partial(parquet_file, columns=columns, dimensions=embedder.dimensions, tokens=tokens, prefix=prefix)


def _report(
    output: Path, name: str, totals: dict[str, int], embedder: Embedder, rows: Table, seconds: float, quiet: bool
) -> None:
    """Say what was written, and refuse to call it a success where nothing, or not everything, could be read."""
    count, errors = totals["rows"], totals["errors"]
    speed = f"{seconds:.1f} s, {count / max(seconds, 1e-9):,.0f} rows/s"
    missing = "NaN" if output.suffix.lower() == ".npy" else "null"
    lost = f", {errors:,} of them without a readable text, whose vectors are {missing}" if errors else ""
    shown = ", ".join(map(str, embedder.layers))
    note(f"{output}: {count:,} rows{lost}, {embedder.dimensions:,} numbers of layer {shown} each; {speed}", quiet)
    if rows.doubt is not None:
        note(rows.doubt, quiet)
    if rows.fault is not None:
        raise DataError(f"{rows.fault}. What could be read is in {output}")
    if errors == count > 0:
        raise DataError(
            f"{name}: no row has a text that could be read; see the column {'error'!r} of a .parquet output"
        )
