"""An evaluation as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

from polarbert.inference.lines import figure, head, notes, page, percent, share_cell, short_name, span, table

if TYPE_CHECKING:
    from polarbert.inference.evaluation import Evaluation, Group

MAX_CLASSES, MAX_GROUPS, MAX_ERRORS = 12, 8, 5


def summary(evaluation: Evaluation, width: int) -> str:
    """The figures that matter, in about a screen; the page and JSON have all of them."""
    parts = [head(evaluation.name, evaluation.n, evaluation.skipped), _figures(evaluation), _classes(evaluation, width)]
    parts.append(_groups("word pieces", evaluation.by_length))
    parts += [_groups(column, groups) for column, groups in evaluation.by_column.items()]
    parts += [_errors(evaluation), _tail(evaluation, width)]
    return page(parts, width)


def _figures(evaluation: Evaluation) -> list[str]:
    label, share = evaluation.most_frequent
    calibration, sure = evaluation.calibration, evaluation.sure
    rows = [("", "", "95% interval", "")]
    rows.append(figure("accuracy", evaluation.accuracy, f"always answering {label!r} gives {share:.3f}"))
    if evaluation.accuracy_within is not None:
        rows.append(figure("  among them", evaluation.accuracy_within, "were only classes answered that occur"))
    rows.append(figure("macro-F1", evaluation.macro_f1))
    rows.append(figure("macro-recall", evaluation.macro_recall))
    measured = f"measured (ECE) {calibration.ece:.3f}, where chance alone gives {calibration.by_chance:.3f}"
    rows.append(figure("calibration error", calibration.corrected, measured))
    rows.append(
        ("sure answers", percent(sure.share), "", f"confidence {sure.threshold:.2f} or more; the rest is unsure")
    )
    if sure.accuracy is not None:
        rows.append(figure("  accuracy of these", sure.accuracy))
    return table(rows, "<><<")


def _classes(evaluation: Evaluation, width: int) -> list[str]:
    """Figures of each class, and beside them, where there is room, what its rows were answered."""
    order = sorted(range(len(evaluation.labels)), key=lambda number: -evaluation.classes[number].support)
    shown = sorted(order[:MAX_CLASSES])
    rows = [("class", "rows", "precision", "recall", "F1", "95% interval")]
    for figures in (evaluation.classes[number] for number in shown):
        f1 = f"{figures.f1.value:.3f}" if figures.f1 else "-"
        interval = span(figures.f1) if figures.f1 else ""
        precision, recall = share_cell(figures.precision), share_cell(figures.recall)
        rows.append((short_name(figures.label), f"{figures.support:,}", precision, recall, f1, interval))
    answers = [["answered as:", *map(short_name, evaluation.labels)]]
    answers += [["", *(f"{count:,}" for count in evaluation.confusion[number])] for number in shown]
    wide = table([(*row, *counts) for row, counts in zip(rows, answers, strict=True)], "<>>>><<" + ">" * len(order))
    fits = len(order) <= MAX_CLASSES and max(map(cell_len, wide)) <= width
    lines = wide if fits else table(rows, "<>>>><")
    return [*lines, *_left_out(len(order) - len(shown), "class", "classes")]


def _groups(name: str, groups: Sequence[Group]) -> list[str]:
    if not groups:
        return []
    rows = [(name, "rows", "accuracy", "95% interval", "macro-F1", "confidence", "sure")]
    for group in groups[:MAX_GROUPS]:
        accuracy, confidence = f"{group.accuracy.value:.3f}", f"{group.confidence:.3f}"
        figures = (accuracy, span(group.accuracy), f"{group.macro_f1:.3f}", confidence, percent(group.answered))
        rows.append((short_name(group.name), f"{group.n:,}", *figures))
    return [*table(rows, "<>><>>>"), *_left_out(len(groups) - MAX_GROUPS, "group", "groups")]


def _errors(evaluation: Evaluation) -> list[str]:
    if not evaluation.errors:
        return []
    rows = [("most confident errors", "label", "answer", "", "")]
    for error in evaluation.errors[:MAX_ERRORS]:
        answer = (short_name(error.truth), short_name(error.answer), f"{error.confidence:.0%}")
        rows.append((f"row {error.row:,}", *answer, error.text))
    return table(rows, "<<<><")


def _tail(evaluation: Evaluation, width: int) -> list[str]:
    lines = []
    if speed := evaluation.speed:
        texts, pieces = f"{speed.texts_per_second:,.0f} texts/s", f"{speed.pieces_per_second:,.0f} word pieces/s"
        lines.append(f"{texts}, {pieces}, {speed.seconds:.1f} s")
    return [*lines, *notes(evaluation.notes, width)]


def _left_out(count: int, one: str, many: str) -> Iterator[str]:
    if count > 0:
        yield f"and {count:,} more {one if count == 1 else many} (--json and the page have all)"
