"""The page about the suite tells of the suite that is there."""

from __future__ import annotations

import re
from pathlib import Path

from polarbert.behaviour import capabilities, digest

PAGE = (Path(__file__).parents[2] / "docs/how-to/behaviour.md").read_text("utf-8")


def test_the_page_has_figures_of_this_suite() -> None:
    assert f"behaviour suite {digest(capabilities())}: " in PAGE


def test_the_page_lists_every_capability_with_its_limit_and_cases() -> None:
    table = PAGE.partition("## All capabilities")[2]
    rows = re.findall(r"^\| ([\w-]+) \| (.+?) \| ([\w ]+) \| (\d%|) \| (\d+) \|", table, re.MULTILINE)
    shown = [
        (one.name, one.description, one.kind.value, f"{one.limit:.0%}" if one.limit else "", str(len(one.cases)))
        for one in capabilities()
    ]
    assert rows == shown
