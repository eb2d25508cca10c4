"""`polarbert vocab`: text in, a WordPiece vocabulary out."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from polarbert.cli.options import Encoding, Json, Quiet, emit, note
from polarbert.errors import UsageError

if TYPE_CHECKING:
    from polarbert.data.corpus import Corpus

LINE_SECONDS = 10.0


def vocab(
    corpus: Annotated[
        list[str],
        typer.Argument(
            help="Files and folders of text: plain, CSV, JSONL, Parquet; .gz and .zst too; - for stdin.",
            metavar="CORPUS",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make: the vocabulary.", metavar="DIR")],
    size: Annotated[int, typer.Option(help="Most pieces; BERT has 30,522.", min=1)] = 30522,
    cased: Annotated[bool, typer.Option("--cased", help="Keep capital letters apart from small ones.")] = False,
    keep_accents: Annotated[
        bool | None,
        typer.Option("--keep-accents/--strip-accents", help="é as it is, or as e; stripped unless --cased."),
    ] = None,
    min_frequency: Annotated[int, typer.Option(help="How often a piece must occur.", min=1)] = 2,
    unit: Annotated[
        str, typer.Option(help="What is a document: file, row, blank-line; auto: rows of tables, other files whole.")
    ] = "auto",
    text_column: Annotated[str, typer.Option("--text-column", "-c", help="The column with the texts.")] = "text",
    encoding: Encoding = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the vocabulary in DIR.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Learn a WordPiece vocabulary from text, laid out as BERT's; the same text gives the same bytes.

    Example: polarbert vocab books --size 8000 -o my-vocabulary
    """
    from polarbert.data.corpus import Corpus
    from polarbert.text.vocabulary import RESERVED, count_words, coverage, save_vocabulary, train_pieces

    _check_output(output, overwrite)
    strip_accents = None if keep_accents is None else not keep_accents
    source = Corpus(corpus, unit, text_column, lambda line: note(line, quiet), encoding)
    words = count_words(_texts(source, quiet), cased, strip_accents)
    note(f"learning pieces from {len(words.counts):,} different words", quiet)
    pieces = train_pieces(words, size, min_frequency)
    covered = coverage(pieces, words)
    save_vocabulary(pieces, output, cased, strip_accents)
    found = source.summary
    about = {
        "vocabulary": str(output),
        "pieces": len(pieces),
        "reserved": len(RESERVED),
        "cased": cased,
        "strip_accents": not cased if strip_accents is None else strip_accents,
        "documents": found.documents,
        "bytes": found.bytes,
        "skipped_files": found.skipped_files,
        "skipped_rows": found.skipped_rows,
        "corpus_digest": found.digest,
        "words": words.total,
        "different_words": len(words.counts),
        "dropped_words": words.dropped,
        "whole": covered.whole,
        "unknown": covered.unknown,
        "pieces_per_word": covered.pieces_per_word,
    }
    emit(json.dumps(about) if as_json else _summary(about))
    if len(pieces) < size:
        note(f"{size:,} pieces were asked for; no other pair occurs {min_frequency:,} times or more", quiet)
    note(f"{output}: use it with polarbert pretrain ... --vocab {output}", quiet)


def _check_output(output: Path, overwrite: bool) -> None:
    if not output.exists() and not output.is_symlink():
        return
    if not output.is_dir():
        raise UsageError(f"{output}: is no folder; name another with -o")
    if any(output.iterdir()) and not overwrite:
        raise UsageError(
            f"{output}: is not empty. Name another folder with -o, or replace the vocabulary in it with --overwrite"
        )


def _summary(about: dict[str, Any]) -> str:
    documents = "document" if about["documents"] == 1 else "documents"
    rare = f", {about['dropped_words']:,} rare ones not held" if about["dropped_words"] else ""
    left_out = [
        f"{count:,} {what}{'' if count == 1 else 's'}"
        for what, count in (("file", about["skipped_files"]), ("row", about["skipped_rows"]))
        if count
    ]
    lines = [
        f"{about['vocabulary']}: {about['pieces']:,} pieces from {about['documents']:,} {documents}",
        f"  text            {_amount(about['bytes'])}{', left out: ' + ', '.join(left_out) if left_out else ''}",
        f"  words           {about['words']:,}, {about['different_words']:,} different{rare}",
        f"  in one piece    {about['whole']:.1%} of the words",
        f"  unknown         {about['unknown']:.3%} of the words",
        f"  pieces a word   {about['pieces_per_word']:.2f}",
    ]
    return "\n".join(lines)


def _amount(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count:,} bytes"


def _texts(corpus: Corpus, quiet: bool) -> Iterator[str]:
    """The texts, while stderr shows how far the reading is: a bar in a terminal, a line now and then elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("", total=corpus.size or None)
        said = time.monotonic()
        for document in corpus.documents():
            yield document.text
            bar.update(task, completed=corpus.position)
            if bar.disable and not quiet and time.monotonic() - said >= LINE_SECONDS:
                said = time.monotonic()
                share = f" of {_amount(corpus.size)}" if corpus.size else ""
                print(f"read {_amount(corpus.position)}{share}", file=sys.stderr, flush=True)
