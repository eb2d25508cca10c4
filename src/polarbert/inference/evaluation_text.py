"""An evaluation as lines for a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from polarbert.metrics import Estimate

if TYPE_CHECKING:
    from polarbert.inference.evaluation import Evaluation, Group

MAX_CLASSES, MAX_GROUPS, MAX_ERRORS = 12, 8, 5
NAME_CELLS = 28
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def summary(evaluation: Evaluation, width: int) -> str:
    """The figures that matter, in about a screen; the page and JSON have all of them."""
    parts = [_head(evaluation), _figures(evaluation), _classes(evaluation, width)]
    parts.append(_groups("word pieces", evaluation.by_length))
    parts += [_groups(column, groups) for column, groups in evaluation.by_column.items()]
    parts += [_errors(evaluation), _tail(evaluation, width)]
    lines = [line for part in parts if part for line in (*part, "")]
    return "\n".join(_cut(_harmless(line), width) for line in lines[:-1])


def percent(share: float) -> str:
    """A share for people; never 100% or 0% unless it is."""
    shown = f"{share:.1%}"
    return {"100.0%": "100%" if share == 1 else ">99.9%", "0.0%": "0%" if share == 0 else "<0.1%"}.get(shown, shown)


def span(estimate: Estimate) -> str:
    """An interval for people."""
    return f"{estimate.low:.3f} to {estimate.high:.3f}"


def _head(evaluation: Evaluation) -> list[str]:
    line = f"{evaluation.name}: {evaluation.n:,} rows judged"
    if evaluation.skipped:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in evaluation.skipped.items())
        line += f", {sum(evaluation.skipped.values()):,} left out: {reasons}"
    return [line]


def _figures(evaluation: Evaluation) -> list[str]:
    label, share = evaluation.most_frequent
    calibration, sure = evaluation.calibration, evaluation.sure
    rows = [("", "", "95% interval", "")]
    rows.append(_figure("accuracy", evaluation.accuracy, f"always answering {label!r} gives {share:.3f}"))
    if evaluation.accuracy_within is not None:
        rows.append(_figure("  among them", evaluation.accuracy_within, "were only classes answered that occur"))
    rows.append(_figure("macro-F1", evaluation.macro_f1))
    rows.append(_figure("macro-recall", evaluation.macro_recall))
    measured = f"measured (ECE) {calibration.ece:.3f}, where chance alone gives {calibration.by_chance:.3f}"
    rows.append(_figure("calibration error", calibration.corrected, measured))
    rows.append(
        ("sure answers", percent(sure.share), "", f"confidence {sure.threshold:.2f} or more; the rest is unsure")
    )
    if sure.accuracy is not None:
        rows.append(_figure("  accuracy of these", sure.accuracy))
    return _table(rows, "<><<")


def _figure(name: str, estimate: Estimate, remark: str = "") -> tuple[str, str, str, str]:
    return name, f"{estimate.value:.3f}", span(estimate), remark


def _classes(evaluation: Evaluation, width: int) -> list[str]:
    """Figures of each class, and beside them, where there is room, what its rows were answered."""
    order = sorted(range(len(evaluation.labels)), key=lambda number: -evaluation.classes[number].support)
    shown = sorted(order[:MAX_CLASSES])
    rows = [("class", "rows", "precision", "recall", "F1", "95% interval")]
    for figures in (evaluation.classes[number] for number in shown):
        f1 = f"{figures.f1.value:.3f}" if figures.f1 else "-"
        interval = span(figures.f1) if figures.f1 else ""
        precision, recall = _share(figures.precision), _share(figures.recall)
        rows.append((_name(figures.label), f"{figures.support:,}", precision, recall, f1, interval))
    answers = [["answered as:", *map(_name, evaluation.labels)]]
    answers += [["", *(f"{count:,}" for count in evaluation.confusion[number])] for number in shown]
    wide = _table([(*row, *counts) for row, counts in zip(rows, answers, strict=True)], "<>>>><<" + ">" * len(order))
    fits = len(order) <= MAX_CLASSES and max(map(cell_len, wide)) <= width
    lines = wide if fits else _table(rows, "<>>>><")
    return [*lines, *_left_out(len(order) - len(shown), "class", "classes")]


def _groups(name: str, groups: Sequence[Group]) -> list[str]:
    if not groups:
        return []
    rows = [(name, "rows", "accuracy", "95% interval", "macro-F1", "confidence", "sure")]
    for group in groups[:MAX_GROUPS]:
        accuracy, confidence = f"{group.accuracy.value:.3f}", f"{group.confidence:.3f}"
        figures = (accuracy, span(group.accuracy), f"{group.macro_f1:.3f}", confidence, percent(group.answered))
        rows.append((_name(group.name), f"{group.n:,}", *figures))
    return [*_table(rows, "<>><>>>"), *_left_out(len(groups) - MAX_GROUPS, "group", "groups")]


def _errors(evaluation: Evaluation) -> list[str]:
    if not evaluation.errors:
        return []
    rows = [("most confident errors", "label", "answer", "", "")]
    for error in evaluation.errors[:MAX_ERRORS]:
        answer = (_name(error.truth), _name(error.answer), f"{error.confidence:.0%}")
        rows.append((f"row {error.row:,}", *answer, error.text))
    return _table(rows, "<<<><")


def _tail(evaluation: Evaluation, width: int) -> list[str]:
    lines = []
    if speed := evaluation.speed:
        texts, pieces = f"{speed.texts_per_second:,.0f} texts/s", f"{speed.pieces_per_second:,.0f} word pieces/s"
        lines.append(f"{texts}, {pieces}, {speed.seconds:.1f} s")
    for remark in evaluation.notes:
        lines += wrap(f"note: {remark}", width, subsequent_indent="  ")
    return lines


def _table(rows: Sequence[Sequence[str]], alignment: str) -> list[str]:
    """Cells in columns, "<" to the left and ">" to the right."""
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(alignment))]
    lines = []
    for row in rows:
        padded = zip(row, widths, alignment, strict=True)
        cells = [_fill(cell, size) if side == "<" else _fill(cell, size, left=True) for cell, size, side in padded]
        lines.append("  ".join(cells).rstrip())
    return lines


def _fill(cell: str, size: int, left: bool = False) -> str:
    blanks = " " * (size - cell_len(cell))
    return blanks + cell if left else cell + blanks


def _name(name: str) -> str:
    return _cut(" ".join(name.split()), NAME_CELLS)


def _cut(line: str, width: int) -> str:
    return line if cell_len(line) <= width else f"{set_cell_size(line, width - 1).rstrip()}…"


def _harmless(line: str) -> str:
    """Without what a terminal would obey rather than show."""
    return "".join(" " if unicodedata.category(c) == "Cc" or c in _DIRECTIONS else c for c in line)


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"


def _left_out(count: int, one: str, many: str) -> Iterator[str]:
    if count > 0:
        yield f"and {count:,} more {one if count == 1 else many} (--json and the page have all)"
