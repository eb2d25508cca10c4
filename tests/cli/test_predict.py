"""`polarbert predict`: arguments or lines in, an answer a line out."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.scoring_fixtures import LABELS, POLARBERT, QUICK, Outcome, polarbert_process

from polarbert.inference.classifier import SentimentModel

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]


@pytest.fixture
def options(bundle_dir: Path) -> list[str]:
    return ["--model", str(bundle_dir), *QUICK]


def test_arguments_are_texts(command: Command, options: list[str]) -> None:
    ended = command("predict", "the app is really great", "this phone was so bad", *options)
    first, second = ended.out.splitlines()
    assert (ended.code, ended.err) == (0, "")
    assert first.split()[0] == "positive"
    assert first.split()[1].endswith("%")
    assert first.endswith("the app is really great")
    assert second.split()[0] == "negative"


def test_lines_of_stdin_are_texts(command: Command, options: list[str]) -> None:
    ended = command("predict", *options, stdin=b"so great\r\n\nso bad")
    assert command("predict", "-", *options, stdin=b"so great\r\n\nso bad") == ended
    assert [line.split()[0] for line in ended.out.splitlines()][::2] == ["positive", "negative"]
    assert "unsure" in ended.out.splitlines()[1]
    assert len(ended.out.splitlines()) == 3


def test_the_help_shows_that_texts_may_be_many_or_none(command: Command) -> None:
    assert "predict [OPTIONS] [TEXT]..." in " ".join(command("predict", "--help").out.split())


def test_no_lines_give_no_answers(command: Command, options: list[str]) -> None:
    assert command("predict", *options) == Outcome(0, "", "")


def test_more_lines_than_are_read_at_once_keep_their_order(command: Command, options: list[str]) -> None:
    lines = [f"so {'great' if number % 2 else 'bad'} {number}" for number in range(2500)]
    ended = command("predict", "--json", *options, stdin="\n".join(lines).encode())
    assert [json.loads(line)["text"] for line in ended.out.splitlines()] == lines


def test_json_lines_say_what_predict_says(command: Command, options: list[str], model: SentimentModel) -> None:
    texts = ["so great", "naïve café 😀", "", 'a "quoted" text']
    ended = command("predict", "--json", *texts, *options)
    for line, text, answer in zip(ended.out.splitlines(), texts, model.predict(texts), strict=True):
        record = json.loads(line)
        assert record == {"text": text, **answer.to_dict()}
        assert record["label"] in LABELS
    assert "😀" in ended.out


def test_a_text_of_several_lines_takes_one(command: Command, options: list[str]) -> None:
    assert len(command("predict", "so\ngreat\n\nindeed", *options).out.splitlines()) == 1


def test_bytes_that_are_no_utf8_name_their_line(command: Command, options: list[str]) -> None:
    ended = command("predict", *options, stdin=b"fine\ncaf\xe9\n")
    assert ended.code == 1
    assert ended.out.endswith("fine\n")
    assert "stdin, line 2: not UTF-8: byte 0xe9 at byte 3" in ended.err


def test_an_argument_that_is_no_utf8_is_refused(options: list[str]) -> None:
    ended = subprocess.run([*POLARBERT, "predict", *options, b"caf\xe9"], capture_output=True, timeout=100, check=False)
    assert ended.returncode == 2
    assert b"is not valid text" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_an_unknown_engine_is_refused(command: Command, bundle_dir: Path) -> None:
    ended = command("predict", "so great", "--model", bundle_dir, "--engine", "abacus")
    assert (ended.code, ended.out) == (2, "")
    assert "no engine 'abacus'" in ended.err


def in_terminal(arguments: list[str], **variables: str) -> str:
    """What a command shows when its stdin and stdout are a terminal."""
    master, slave = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "TERM")}
    with subprocess.Popen(
        [*POLARBERT, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment | {"TERM": "xterm"} | variables,
    ) as process:
        os.close(slave)
        shown = b""
        try:
            while part := os.read(master, 4096):
                shown += part
        except OSError:  # how a terminal says that its other end is closed
            pass
        process.wait(100)
    os.close(master)
    return shown.decode()


def test_a_terminal_shows_colours_unless_asked_not_to(options: list[str]) -> None:
    assert "\x1b[" in in_terminal(["predict", "so great", *options])
    assert "\x1b[" not in in_terminal(["predict", "so great", *options], NO_COLOR="1")


def test_a_terminal_without_a_text_shows_how_to_give_one(options: list[str]) -> None:
    assert 'polarbert predict "I love it"' in in_terminal(["predict", *options])


def test_a_pipe_shows_no_colours(command: Command, options: list[str]) -> None:
    assert "\x1b[" not in command("predict", "so great", *options).out


def test_a_full_device_behind_stdout_ends_in_one_message(options: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*POLARBERT, "predict", "so great", *options], stdout=full, stderr=subprocess.PIPE, timeout=100, check=False
        )
    assert ended.returncode == 1
    assert ended.stderr.decode().startswith("polarbert: stdout: cannot be written: the disk is full.")
    assert ended.stderr.count(b"\n") == 1


def test_a_reader_that_leaves_early_ends_the_command_quietly(options: list[str]) -> None:
    code = "import os, sys; os.dup2(int(sys.argv.pop(1)), 1); from polarbert.cli import main; main()"
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-c", code, str(writing), "predict", "so great", *options],
        pass_fds=[writing],
        capture_output=True,
        timeout=100,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_output_is_utf8_whatever_the_terminal_says(bundle_dir: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": ""}
    ended = polarbert_process(["predict", "great 😀", "-m", bundle_dir, *QUICK], env=environment)
    assert ended.returncode == 0
    assert "😀" in ended.stdout.decode()
