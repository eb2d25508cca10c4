"""The command `polarbert`."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import typer

from polarbert.cli.export import export
from polarbert.cli.info import info
from polarbert.cli.predict import predict
from polarbert.cli.score import score
from polarbert.errors import PolarbertError

app = typer.Typer(
    name="polarbert",
    help="Sentiment analysis with BERT: negative, neutral or positive, offline, with an honest confidence.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(predict)
app.command()(score)
app.command()(info)
app.command()(export)


class Terminated(BaseException):
    """The process was asked to end (SIGTERM)."""


def main() -> None:
    """Run the command line; a user's mistake ends in one message and an exit code, never in a traceback."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except PolarbertError as error:
        print(f"polarbert: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone (as `head` does): end quietly, and keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except Terminated:
        sys.exit(128 + signal.SIGTERM)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated
