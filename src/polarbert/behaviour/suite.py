"""The suite itself: `capabilities/*.toml`, turned into cases that are the same everywhere."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from polarbert.behaviour.capability import Capability, Case, Kind
from polarbert.behaviour.family import Family, Template, by_turns
from polarbert.behaviour.template import skeletons_of
from polarbert.errors import UsageError

FOLDER = Path(__file__).with_name("capabilities")
BASES = Path(__file__).with_name("bases.toml")


def capabilities(names: Sequence[str] = ()) -> tuple[Capability, ...]:
    """The capabilities of the suite, or those asked for, in the order of the suite.

    Args:
        names: of capabilities or of whole groups; all unless given.

    Raises:
        UsageError: when there is no capability or group of a name; the message has those of the nearest names.

    Example:
        >>> [capability.name for capability in capabilities(["double-negation"])]
        ['double-negation']
        >>> capabilities(["double-negation"])[0].cases[0].expected
        ('positive',)
    """
    known = _definitions()
    wanted = set(names)
    for name in names:
        if name not in known and name not in {definition["group"] for definition in known.values()}:
            raise UsageError(_unknown(name))
    chosen = [name for name, found in known.items() if not wanted or {name, found["group"]} & wanted]
    return tuple(_capability(name) for name in chosen)


def digest(chosen: Sequence[Capability]) -> str:
    """A fingerprint of all cases and what is expected of them: equal digests, equal tests.

    Example:
        >>> digest(capabilities(["case"])) == digest(capabilities(["case"]))
        True
    """
    hashed = sha256()
    for one in chosen:
        for case in one.cases:
            hashed.update(json.dumps([one.name, one.kind, case.texts, case.expected, case.forbidden]).encode())
    return hashed.hexdigest()[:16]


@cache
def families() -> tuple[Family, ...]:
    """Every template family of the suite, with its templates as they are written."""
    return tuple(family for name in _definitions() for family in _families(name))


@cache
def skeletons() -> frozenset[str]:
    """Every template that has words of its own, without those of the lexicons, in small letters.

    A generator of training text has none of these.

    Example:
        >>> "what _ _" in skeletons()  # of "What {a good} {thing}."
        True
    """
    texts = {text for family in families() for template in family.templates for text in (*template, *family.around)}
    found = {skeleton for text in texts for skeleton in skeletons_of(text)}
    return frozenset(skeleton for skeleton in found if re.search(r"[^\W_]", skeleton))


@cache
def _definitions() -> Mapping[str, Mapping[str, Any]]:
    """What the files say of each capability, by name, in the order of the files."""
    found: dict[str, Mapping[str, Any]] = {}
    for file in sorted(FOLDER.glob("*.toml")):
        table = tomllib.loads(file.read_text("utf-8"))
        found |= {one["name"]: {"group": table["group"], **one} for one in table["capability"]}
    return found


@cache
def _capability(name: str) -> Capability:
    definition = _definitions()[name]
    return Capability(
        name,
        definition["group"],
        Kind(definition["kind"]),
        definition["description"],
        definition.get("limit"),
        tuple(_take(_families(name), definition["cases"])),
    )


def _families(name: str) -> list[Family]:
    return [_family(name, table) for table in _definitions()[name]["family"]]


def _family(capability: str, table: Mapping[str, Any]) -> Family:
    templates = [template for base in table.get("bases", ()) for template in _bases()[base]]
    templates += table.get("templates", ())
    options = {name: value for name, value in table.items() if name not in ("name", "bases", "templates")}
    lists: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in options.items()
    }
    return Family(f"{capability}/{table['name']}", tuple(map(_template, templates)), **lists)


def _template(given: str | list[str]) -> Template:
    return (given,) if isinstance(given, str) else tuple(given)


@cache
def _bases() -> Mapping[str, list[str]]:
    """Templates that several capabilities change in their own ways."""
    return tomllib.loads(BASES.read_text("utf-8"))


def _take(chosen: Sequence[Family], count: int) -> list[Case]:
    """So many different cases, from all families by turns."""
    found: dict[tuple[str, ...], Case] = {}
    for case in by_turns([family.cases() for family in chosen]):
        found.setdefault(case.texts, case)
        if len(found) == count:
            return list(found.values())
    raise AssertionError(f"{chosen[0].name}: the templates give {len(found)} cases, not {count}")


def _unknown(name: str) -> str:
    known = _definitions()
    groups = dict.fromkeys(definition["group"] for definition in known.values())
    near = get_close_matches(name.lower(), [*known, *groups], n=3, cutoff=0.55)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
    return f"there is no capability or group {name!r}; {hint}"
