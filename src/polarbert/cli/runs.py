"""What the commands that train share: packages, settings, and what is said of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from polarbert.cli.options import note
from polarbert.errors import MissingExtraError, SettingsError, TrainingError, UsageError

_Settings = TypeVar("_Settings")


def check_packages(command: str, *packages: str) -> None:
    """See that what a command of the extra [train] needs is there, PyTorch first of all.

    Raises:
        MissingExtraError: when it is not.
    """
    if any(find_spec(package) is None for package in ("torch", "safetensors", *packages)):
        raise MissingExtraError(command, "train")


def read_options(
    config: Path | None, kind: type[_Settings], options: Mapping[str, Any], training: Mapping[str, Any]
) -> _Settings:
    """Settings from a file, or the defaults, changed by the options that were given.

    Args:
        config: a TOML file.
        kind: a dataclass with the loop's settings in its field `training`.
        options: for its own fields; None for an option that was not given.
        training: for those of the loop, likewise.

    Raises:
        UsageError: when the file or an option is wrong.
    """
    from polarbert.training.config import read_settings

    settings: Any = kind() if config is None else read_settings(config, kind)
    try:
        changed: _Settings = replace(
            settings, **_given(options), training=replace(settings.training, **_given(training))
        )
    except TrainingError as error:
        raise UsageError(_by_its_option(str(error), {**options, **training})) from error
    return changed


def _by_its_option(message: str, options: Mapping[str, Any]) -> str:
    """A message about a setting, which begins with the option's own name where that gave the value."""
    name = message.removeprefix("settings: ").partition(" ")[0]
    return message.replace("settings: " + name, "--" + name.replace("_", "-"), 1) if options.get(name) else message


@contextmanager
def named(config: Path | None) -> Iterator[None]:
    """A block in which a setting that is found wrong late is told with the file that it stands in."""
    try:
        yield
    except SettingsError as error:
        raise error if config is None else SettingsError(f"{config}: {error}") from error


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


@contextmanager
def told_how_to_go_on(message: Callable[[], str]) -> Iterator[None]:
    """A block after whose interruption from outside `message` is said; an error speaks for itself."""
    try:
        yield
    except Exception:
        raise
    except BaseException:
        note(message())
        raise


def duration(seconds: float) -> str:
    """A time for people.

    Example:
        >>> duration(53.2), duration(1140)
        ('53 s', '19 min')
    """
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
