#!/usr/bin/env python3
"""Writes the tables of docs/how-to/behaviour.md: all capabilities, and the embedded model beside published figures.

    scripts/make_behaviour_tables.py

The model runs over the capabilities that were measured elsewhere, in some seconds. `scripts/refresh_docs_output.py`
writes the outputs of the page.
"""

from __future__ import annotations

import re
from pathlib import Path

import polarbert
from polarbert.behaviour import Capability, capabilities
from polarbert.inference.behaviour_evaluation import evaluate_behaviour

PAGE = Path(__file__).parents[1] / "docs/how-to/behaviour.md"

# Ribeiro et al. 2020, table 1: per cent of cases failed by BERT-base fine-tuned on SST-2 and by Google's service.
PUBLISHED = {
    "plain-statements": (94.6, 7.6),
    "negated-neutral": (98.4, 39.6),
    "negation-at-the-end": (84.8, 90.4),
    "negation-across-neutral": (74.0, 100.0),
    "used-to-but-now": (18.8, 36.6),
    "author-over-others": (38.8, 62.4),
    "question-and-no": (55.4, 90.8),
    "typos": (5.2, 10.2),
    "names": (6.6, 15.1),
}


def comparison() -> str:
    """The table of the embedded model beside published figures."""
    found = evaluate_behaviour(polarbert.load(), capabilities(list(PUBLISHED)))
    rows = ["| capability | here | BERT-base on SST-2 | Google's service, 2020 |", "|---|--:|--:|--:|"]
    for result in found.results:
        bert, google = PUBLISHED[result.name]
        rows.append(f"| {result.name} | {100 * result.rate.value:.1f}% | {bert:.1f}% | {google:.1f}% |")
    return "\n".join(rows)


def overview() -> str:
    """The table of all capabilities."""
    rows = ["| capability | what is asked | test | limit | cases | for example |", "|---|---|---|--:|--:|---|"]
    for one in capabilities():
        limit = "" if one.limit is None else f"{one.limit:.0%}"
        cells = (one.name, one.description, one.kind.value, limit, f"{len(one.cases):,}", _example(one))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def filled(page: str, name: str, table: str) -> str:
    """The page with a table between its marks."""
    pattern = rf"(<!-- {name}: made by scripts/make_behaviour_tables\.py -->\n).*?(\n<!-- end of {name} -->)"
    changed, count = re.subn(pattern, lambda found: f"{found[1]}\n{table}\n{found[2]}", page, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"{PAGE}: has no marks for {name}")
    return changed


def _example(one: Capability) -> str:
    """The texts of the first case that shows anything, as they can stand in a cell."""
    texts = next(case.texts for case in one.cases if case.texts[0].strip())[:2]
    shown = " / ".join(f"“{' '.join(text.split())}”" for text in texts)
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", shown)


if __name__ == "__main__":
    page = PAGE.read_text("utf-8")
    page = filled(page, "comparison", comparison())
    PAGE.write_text(filled(page, "capabilities", overview()), "utf-8")
