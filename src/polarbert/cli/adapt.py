"""`polarbert adapt`: unlabelled texts of one's own in, a base that knows their language out."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polarbert.cli.options import Json, Quiet, TextColumn, emit, note
from polarbert.cli.runs import check_packages, duration, read_options, told_how_to_go_on

if TYPE_CHECKING:
    from polarbert.training.masked_lm import MaskedLmSettings


def adapt(
    texts: Annotated[
        list[Path], typer.Argument(help="Tables with a text a row, or files and folders of text.", metavar="TEXTS")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make: the base.", metavar="BASE")],
    text_column: TextColumn = "text",
    base: Annotated[
        str | None,
        typer.Option(
            "--base", "-b", help="A model directory or a Hub id to start from; the embedded one unless given."
        ),
    ] = None,
    dev: Annotated[
        list[Path] | None, typer.Option(help="Texts to judge by; one in twenty is held out unless given.")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the texts; 3 unless given.")] = None,
    whole_words: Annotated[bool, typer.Option("--whole-words", help="Hide whole words, not pieces.")] = False,
    config: Annotated[Path | None, typer.Option(help="A TOML file with rarer settings.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of order, masks and a new head; 1 unless given.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in BASE.")] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    threads: Annotated[int | None, typer.Option(min=0, help="Processor threads; 0 for as many as there are.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Let a model read your own texts, without labels, before you train it: continued masked-LM training.

    Worth it when labels are few and texts are many. Then: polarbert train DATA --base BASE -o MODEL

    Example: polarbert adapt reviews.csv --text-column review -o review-base
    """
    check_packages("polarbert adapt", "pyarrow")
    from polarbert.data.corpus import read_documents
    from polarbert.training.adaptation import adapt as run

    settings = _settings(config, epochs, whole_words, seed, device, threads)

    def read(paths: list[Path]) -> list[Any]:
        return list(read_documents(paths, text_column=text_column, note=lambda line: note(line, quiet)))

    started = time.monotonic()
    with told_how_to_go_on(lambda: f"{output}: stopped; the same command with --resume goes on"):
        held_out = None if dev is None else read(dev)
        summary = run(read(texts), output, settings, base=base, dev=held_out, resume=resume, quiet=quiet)
    if as_json:
        emit(json.dumps({"base": str(output), **summary}))
    note(
        f"{output}: done in {duration(time.monotonic() - started)}; "
        f"the loss on held-out texts is {-summary['best_score']:.3f}. "
        f"Train from it: polarbert train DATA --base {output} -o MODEL",
        quiet,
    )


def _settings(
    config: Path | None,
    epochs: float | None,
    whole_words: bool,
    seed: int | None,
    device: str | None,
    threads: int | None,
) -> MaskedLmSettings:
    from polarbert.training.masked_lm import MaskedLmSettings

    options = {"whole_words": whole_words or None, "device": device}
    return read_options(config, MaskedLmSettings, options, {"epochs": epochs, "seed": seed, "threads": threads})
