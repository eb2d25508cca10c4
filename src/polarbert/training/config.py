"""Settings in TOML: read strictly into a frozen dataclass, written back in full."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from polarbert.errors import TrainingError, UsageError
from polarbert.files import read_bounded

_Settings = TypeVar("_Settings")
_MAX_BYTES = 1_000_000
_NAMES: dict[Any, str] = {str: "a text in quotes", bool: "true or false", int: "a whole number", float: "a number"}


def read_settings(file: Path, kind: type[_Settings]) -> _Settings:
    """Read a TOML file into a dataclass; what it does not name keeps its default.

    Args:
        file: keys are the fields of `kind`; a field that is itself a dataclass or a mapping is a table.
        kind: a dataclass of texts, numbers, true/false, tuples, mappings of texts, and dataclasses of these.

    Raises:
        UsageError: naming the file and the key that is unknown, of another type or out of range.

    Example:
        >>> read_settings(Path("quick.toml"), FineTuneSettings).training.epochs
        1.0
    """
    content = read_bounded(file, _MAX_BYTES, UsageError)
    try:
        values = tomllib.loads(content.decode("utf-8-sig"))
        settings: _Settings = _build(kind, values, "")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{file}: cannot be read as TOML: {error}") from error
    except (TrainingError, _KeyError) as error:
        raise UsageError(f"{file}: {error}") from error
    return settings


def to_toml(settings: Any) -> str:
    """Every field of a dataclass as TOML that `read_settings` reads back; a field that is None is left out."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    lines = [
        f"{name} = {_value(value)}" for name, value in values.items() if not _is_table(value) and value is not None
    ]
    for name, value in values.items():
        if is_dataclass(value):
            lines += ["", f"[{name}]", to_toml(value).rstrip("\n")]
        elif _is_tables(value):
            lines += [line for part in value for line in ("", f"[[{name}]]", to_toml(part).rstrip("\n"))]
        elif _is_table(value) and value:
            lines += ["", f"[{name}]", *(f"{_text(key)} = {_value(part)}" for key, part in value.items())]
    return "\n".join(lines) + "\n"


class _KeyError(Exception):
    """A key is unknown or its value of another type."""


def _build(kind: Any, values: Mapping[str, Any], table: str) -> Any:
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]
    for name in values:
        if name not in known:
            raise _KeyError(f"unknown key {name!r}{f' in [{table}]' if table else ''}. {_hint(name, kind, table)}")
    found = {name: _typed(hints[name], value, f"{table}.{name}" if table else name) for name, value in values.items()}
    return kind(**found)


def _hint(name: str, kind: Any, table: str) -> str:
    known = [field.name for field in fields(kind)]
    if near := get_close_matches(name, known, n=1):
        return f"Did you mean {near[0]!r}?"
    for field in fields(kind):
        inner = field.default_factory() if field.default_factory is not MISSING else None
        if is_dataclass(inner) and name in {part.name for part in fields(inner)}:
            return f"It belongs into the table [{field.name}]"
    return f"Known{f' in [{table}]' if table else ''} are {', '.join(known)}"


def _typed(kind: Any, value: Any, where: str) -> Any:
    """The value as its field has it."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:  # TOML has no null: of "X or nothing" only X can stand there
        return _typed(next(part for part in arguments if part is not NoneType), value, where)
    if is_dataclass(kind) or (origin is not None and issubclass(origin, Mapping)):
        if not isinstance(value, dict):
            raise _KeyError(f"{where} must be a table, [{where}], not {value!r}")
        if is_dataclass(kind):
            return _build(kind, value, where)
        return {name: _typed(arguments[1], part, f"{where}.{name}") for name, part in value.items()}
    if origin is tuple:
        return _typed_list(arguments, value, where)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise _KeyError(f"{where} must be {_NAMES[kind]}, not {value!r}")
    return value


def _typed_list(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    """The values of a list: as many as there are kinds, or any number of one kind."""
    if kinds[1:] == (...,):
        if not isinstance(value, list) or not value:
            raise _KeyError(f"{where} must be a list of one or more values, not {value!r}")
        return tuple(_typed(kinds[0], part, f"{where}[{number}]") for number, part in enumerate(value, 1))
    if not isinstance(value, list) or len(value) != len(kinds):
        raise _KeyError(f"{where} must be a list of {len(kinds)} values, not {value!r}")
    return tuple(_typed(part, one, where) for part, one in zip(kinds, value, strict=True))


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) or is_dataclass(value) or _is_tables(value)


def _is_tables(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and is_dataclass(value[0])


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(_value(part) for part in value)}]"
    return repr(value)


def _text(value: str) -> str:
    """A basic string: JSON's escapes are TOML's, but for one control character that JSON leaves alone."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
