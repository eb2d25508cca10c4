"""What the network sees in pre-training, for people."""

from __future__ import annotations

from polarbert.data.segment_pairs import PairExample
from polarbert.training.masking import MaskedPieces
from polarbert.training.pretraining import PretrainingTask

_ROW = "{:>5}  {:<7}  {:<18}  {:<18}  {}"
_FOLLOWS = {0: "IsNext: B follows A", 1: "NotNext: B comes from another document"}


def describe(task: PretrainingTask, count: int) -> str:
    """The first sequences of the first batch, piece by piece: place, segment, what is seen, what is to be predicted.

    Args:
        task: with its data made.
        count: how many sequences.

    Example:
        >>> print(describe(task, 1))
    """
    batch = task.batches_in_epoch(0, 0)[0]
    pieces = sum(len(task.example(number).ids) for number in batch)
    stage, _ = task.settings.stage_at(0)
    head = (
        f"The first batch: {len(batch):,} sequences of at most {stage.length} pieces, {pieces:,} pieces in all, "
        "no padding.\nAt each place the sum of three embeddings goes into the first layer: of the piece, of the\n"
        "place, of the segment."
    )
    shown = [_sequence(task, number, place) for place, number in enumerate(batch[:count], 1)]
    return "\n\n".join([head, *shown])


def _sequence(task: PretrainingTask, number: int, place: int) -> str:
    example = task.example(number)
    hidden = task.hide(number, example)
    what = _FOLLOWS.get(-1 if example.label is None else example.label, "one segment")
    title = f"sequence {place}: {len(example.ids)} pieces, {len(hidden.positions)} to predict; {what}"
    head = _ROW.format("place", "segment", "piece", "sees", "predicts")
    return "\n".join([title, head, *_rows(task, example, hidden)])


def _rows(task: PretrainingTask, example: PairExample, hidden: MaskedPieces) -> list[str]:
    names = task.tokenizer.backend.id_to_token
    targets = dict(zip(hidden.positions.tolist(), hidden.labels.tolist(), strict=True))
    rows = []
    for at, (true, seen) in enumerate(zip(example.ids.tolist(), hidden.ids.tolist(), strict=True)):
        segment = "A" if example.second_at is None or at < example.second_at else "B"
        target = names(targets[at]) if at in targets else ""
        rows.append(_ROW.format(at, segment, names(true), names(seen) if seen != true else "·", target).rstrip())
    return rows
