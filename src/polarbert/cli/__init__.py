"""The command `polarbert`."""

from __future__ import annotations

import os
import signal
import sys
from io import TextIOWrapper
from types import FrameType
from typing import Annotated, NoReturn

import typer

from polarbert import __version__
from polarbert.cli.adapt import adapt
from polarbert.cli.embed import embed
from polarbert.cli.evaluate import evaluate
from polarbert.cli.explain import explain
from polarbert.cli.export import export
from polarbert.cli.fill_mask import fill_mask
from polarbert.cli.info import info
from polarbert.cli.next_sentence import next_sentence
from polarbert.cli.options import note
from polarbert.cli.predict import predict
from polarbert.cli.pretrain import pretrain
from polarbert.cli.score import score
from polarbert.cli.train import train
from polarbert.cli.vocab import vocab
from polarbert.errors import PolarbertError
from polarbert.files import reason

app = typer.Typer(
    name="polarbert",
    help="Sentiment analysis with BERT: negative, neutral or positive, offline, with an honest confidence.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"polarbert {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    pass


app.command()(predict)
app.command()(score)
app.command()(explain)
app.command()(train)
app.command()(evaluate)
app.command()(info)
app.command()(export)
app.command()(vocab)
app.command()(adapt)
app.command()(pretrain)
app.command()(embed)
app.command()(fill_mask)
app.command()(next_sentence)


class Stopped(BaseException):
    """The process was asked to end by a signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main() -> None:
    """Run the command line; a user's mistake ends in one message and an exit code, never in a traceback."""
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell may have told us to ignore it
        signal.signal(signal.SIGINT, _stop)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a character that the terminal lacks is no reason to stop
    try:
        app()
    except SystemExit as end:
        _end(None, end.code if isinstance(end.code, int) else 0)
    except PolarbertError as error:
        _end(str(error), error.exit_code)
    except BrokenPipeError:
        _end(None, 1)  # the reader of our output has gone (as `head` does)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _end(f"{where}{reason(error)}", 1)
    except MemoryError:
        _end("there is not enough memory; end other programs, or take fewer --threads", 1)
    except Stopped as stopped:
        _end(None, 128 + stopped.number)


def _end(message: str | None, code: int) -> NoReturn:
    """Exit, without a second complaint about what can no longer be written."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if code == 0:
            code = 1
            message = None if isinstance(error, BrokenPipeError) else f"stdout: cannot be written: {reason(error)}"
    if message is not None:
        note(f"polarbert: {message}")
    sys.exit(code)


def _stop(number: int, _: FrameType | None) -> None:
    for known in (signal.SIGINT, signal.SIGTERM):
        signal.signal(known, signal.SIG_IGN)  # one is enough: a second would break off the orderly end
    raise Stopped(number)
