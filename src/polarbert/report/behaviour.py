"""How a model behaves, as a page to look at."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from polarbert.inference.behaviour_evaluation import BehaviourEvaluation
from polarbert.inference.lines import percent
from polarbert.report.evaluation import require_extra, write_page

TEMPLATE = Path(__file__).with_name("behaviour.html.jinja")


def write_behaviour_report(evaluation: BehaviourEvaluation, path: str | Path, title: str) -> None:
    """Write one HTML page that needs no network, no script and no other file.

    Args:
        evaluation: what to show.
        path: of the page; a file that stands there is replaced in one step.
        title: of the page.

    Raises:
        MissingExtraError: when the extra `[report]` is not installed.
        DataError: when the file cannot be written.

    Example:
        >>> write_behaviour_report(evaluate_behaviour(model), "behaviour.html", "The new model")
    """
    write_page(path, render(evaluation, title))


def render(evaluation: BehaviourEvaluation, title: str) -> str:
    """The page itself; arguments and errors as for `write_behaviour_report`."""
    require_extra()
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=percent, count=lambda value: f"{value:,}")
    groups = {name: list(results) for name, results in groupby(evaluation.results, lambda result: result.group)}
    return environment.from_string(TEMPLATE.read_text("utf-8")).render(title=title, e=evaluation, groups=groups) + "\n"
