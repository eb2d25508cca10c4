"""What an evaluation found, as a page to look at."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from polarbert.errors import MissingExtraError
from polarbert.files import disk_errors, write_whole
from polarbert.inference.evaluation import Evaluation, Group
from polarbert.inference.lines import percent
from polarbert.metrics import Estimate

TEMPLATE = Path(__file__).with_name("evaluation.html.jinja")
MAX_MATRIX, MAX_DOTS = 25, 40


def require_extra() -> None:
    """See that what pages are made with is installed.

    Raises:
        MissingExtraError: when it is not.
    """
    if find_spec("jinja2") is None or find_spec("matplotlib") is None:
        raise MissingExtraError("a report with pictures", "report")


def write_report(evaluation: Evaluation, path: str | Path, title: str) -> None:
    """Write one HTML page that needs no network, no script and no other file.

    Args:
        evaluation: what to show.
        path: of the page; a file that stands there is replaced in one step.
        title: of the page.

    Raises:
        MissingExtraError: when the extra `[report]` is not installed.
        DataError: when the file cannot be written.

    Example:
        >>> write_report(evaluate(model, dataset), "evaluation.html", "The new model on reviews of May")
    """
    write_page(path, render(evaluation, title))


def write_page(path: str | Path, page: str) -> None:
    """Write a page in one step.

    Raises:
        DataError: when the file cannot be written.
    """
    with disk_errors(str(path), "Nothing was changed; name another file with -o"):
        write_whole(Path(path), page.encode("utf-8", "replace"))


def render(evaluation: Evaluation, title: str) -> str:
    """The page itself; arguments and errors as for `write_report`."""
    require_extra()
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=percent, score=_score, count=_count)
    charts = {name: Markup(svg) for name, svg in _charts(evaluation).items()}  # noqa: S704 - they escape what they show
    page = environment.from_string(TEMPLATE.read_text("utf-8")).render(
        title=title,
        e=evaluation,
        charts=charts,
        words=_in_words(evaluation),
        confusions=_confusions(evaluation),
        max_dots=MAX_DOTS,
        has_matrix=len(evaluation.labels) <= MAX_MATRIX,
        groups=_all_groups(evaluation),
    )
    return page + "\n"


def _charts(evaluation: Evaluation) -> dict[str, str]:
    from polarbert.report import charts

    calibration, sure, mean = evaluation.calibration, evaluation.sure, evaluation.macro_f1.value
    accuracy = None if sure.accuracy is None else sure.accuracy.value
    occurring = [figures for figures in evaluation.classes if figures.f1 is not None][:MAX_DOTS]
    made = {
        "classes": charts.dots(
            [charts.Dot(found.label, found.f1, _rows(found.support)) for found in occurring if found.f1],
            "F1",
            (mean, f"mean {mean:.3f}"),
            f"F1 of each class with its interval; the mean is {mean:.3f}. The table has the figures.",
        ),
        "reliability": charts.reliability(
            calibration,
            f"Share of right answers by confidence in {len(calibration.bins)} groups of answers, beside the line on "
            "which the two are equal, and the number of answers by confidence. "
            f"The mean gap (ECE) is {calibration.ece:.3f}.",
        ),
        "coverage": charts.coverage(
            evaluation.coverage,
            sure.share,
            accuracy,
            "Accuracy against the share of texts answered, surest first. With all answered it is "
            f"{evaluation.accuracy.value:.3f}. At the threshold in use {percent(sure.share)} are answered"
            + ("." if accuracy is None else f", with an accuracy of {accuracy:.3f}."),
        ),
    }
    return made | {_key(name): _group_chart(evaluation, name, rows) for name, rows in _all_groups(evaluation).items()}


def _group_chart(evaluation: Evaluation, name: str, rows: Sequence[Group]) -> str:
    from polarbert.report import charts

    everywhere = evaluation.accuracy.value
    return charts.dots(
        [charts.Dot(row.name, row.accuracy, _rows(row.n)) for row in rows],
        "accuracy",
        (everywhere, f"all {everywhere:.3f}"),
        f"Accuracy by {name} with intervals; that of all rows is {everywhere:.3f}. The table has the figures.",
    )


def _key(name: str) -> str:
    return f"by {name}"


def _all_groups(evaluation: Evaluation) -> dict[str, list[Group]]:
    return {"length in word pieces": evaluation.by_length, **evaluation.by_column}


def _in_words(evaluation: Evaluation) -> list[str]:
    """What a reader should take away, in sentences."""
    label, share = evaluation.most_frequent
    sure, calibration = evaluation.sure, evaluation.calibration
    right = percent(evaluation.accuracy.value)
    said = [f"The model is right on {right} of {evaluation.n:,} texts."]
    said.append(f"Always answering “{label}” would be right on {percent(share)}.")
    if sure.accuracy is not None and sure.share < 1:
        right = percent(sure.accuracy.value)
        said.append(f"It is sure of {percent(sure.share)} of its answers, and {right} of those are right.")
    if calibration.corrected.low > 0:
        mean = sum(part.confidence * part.count for part in calibration.bins) / evaluation.n
        way = "more" if mean > evaluation.accuracy.value else "less"
        said.append(f"It is {way} confident than right, by about {percent(calibration.corrected.value)}.")
    else:
        said.append("By these rows its confidence cannot be told from a perfectly calibrated one.")
    if weakest := _weakest(evaluation):
        said.append(weakest)
    return said


def _weakest(evaluation: Evaluation) -> str | None:
    known = [(figures.f1.value, number) for number, figures in enumerate(evaluation.classes) if figures.f1]
    number = min(known)[1]
    row = [count if other != number else -1 for other, count in enumerate(evaluation.confusion[number])]
    most = max(row)
    if len(known) < 2 or most <= 0:
        return None
    figures, taken_for = evaluation.classes[number], evaluation.labels[row.index(most)]
    return (
        f"It finds “{figures.label}” hardest (F1 {min(known)[0]:.3f}): {most:,} of its {figures.support:,} texts are "
        f"taken for “{taken_for}”."
    )


def _confusions(evaluation: Evaluation) -> list[tuple[str, str, int]]:
    """The most frequent mistakes: truth, answer, how often."""
    labels = evaluation.labels
    found = [
        (labels[truth], labels[answer], count)
        for truth, row in enumerate(evaluation.confusion)
        for answer, count in enumerate(row)
        if count and truth != answer
    ]
    return sorted(found, key=lambda mistake: -mistake[2])[:MAX_MATRIX]


def _score(value: float | Estimate | None) -> str:
    if value is None:
        return "-"
    return f"{value.value if isinstance(value, Estimate) else value:.3f}"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _count(value: Any) -> str:
    return f"{value:,}"
