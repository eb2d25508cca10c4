"""`polarbert pretrain`: a folder of text in, a BERT out."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polarbert.cli.options import Json, Quiet, emit, note
from polarbert.cli.runs import check_packages, duration, read_options, told_how_to_go_on

if TYPE_CHECKING:
    from polarbert.training.pretraining_recipe import PretrainSettings

SHOWN = 4  # sequences that --show-batch prints


def pretrain(
    corpus: Annotated[
        list[Path], typer.Argument(help="Files and folders of text: plain, JSONL, CSV, Parquet; gz and zst too.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make: the run.", metavar="RUN")],
    config: Annotated[
        Path | None, typer.Option(help="A TOML file with sizes, stages and rates; recipes/pretrain has some.")
    ] = None,
    vocab: Annotated[
        Path | None, typer.Option(help="A folder made by `polarbert vocab`, or any model's; learned unless given.")
    ] = None,
    dev: Annotated[
        list[Path] | None,
        typer.Option(help="Text to judge by; some documents are held out unless given."),
    ] = None,
    no_nsp: Annotated[bool, typer.Option("--no-nsp", help="Masked LM alone, without next sentences.")] = False,
    show_batch: Annotated[
        bool, typer.Option("--show-batch", help="Print what the network sees, and do not train.")
    ] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Of weights, order, pairs and masks; 1 unless given.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in RUN.")] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    threads: Annotated[int | None, typer.Option(min=0, help="Processor threads; 0 for as many as there are.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Pre-train a BERT on raw text: masked LM and next sentence prediction.

    RUN/best is the model, in the Hugging Face layout. Stopped or killed, the same command with --resume goes on where
    it was and ends in the same weights. Under torchrun its processes train together:
    torchrun --nproc-per-node 2 -m polarbert pretrain ...

    Example: polarbert pretrain books --config recipes/pretrain/tiny.toml -o run
    """
    check_packages("polarbert pretrain", "pyarrow")
    from polarbert.training.pretrain import Pretraining
    from polarbert.training.pretraining_view import describe
    from polarbert.training.processes import is_first_here

    quiet = quiet or not is_first_here()
    settings = _settings(config, no_nsp, seed, device, threads)
    work = Pretraining(corpus, output, settings, vocab, dev, note=lambda line: note(line, quiet), quiet=quiet)
    if show_batch:
        emit(describe(work.prepare(), SHOWN))
        return
    started = time.monotonic()
    with told_how_to_go_on(lambda: f"{output}: stopped; the same command with --resume goes on"):
        summary = work.run(resume)
    if as_json and is_first_here():
        emit(json.dumps({"model": str(output / "best"), **summary}))
    note(
        f"{output}: done in {duration(time.monotonic() - started)}, "
        f"the best model at step {summary['best_step']:,}. Try it: "
        f'polarbert fill-mask --model {output / "best"} "The film was [MASK]."',
        quiet,
    )


def _settings(
    config: Path | None, no_nsp: bool, seed: int | None, device: str | None, threads: int | None
) -> PretrainSettings:
    from polarbert.training.pretraining_recipe import PretrainSettings

    options = {"next_sentence": False if no_nsp else None, "device": device}
    return read_options(config, PretrainSettings, options, {"seed": seed, "threads": threads})
