"""A classifier of whatever labelled texts there are, many or few: what `polarbert.sklearn` fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from polarbert.data.dataset import Dataset
from polarbert.data.splits import Splits, make_splits
from polarbert.errors import DataError
from polarbert.export.bundling import ExportOptions, export_bundle
from polarbert.model.heads import BertForSequenceClassification
from polarbert.training.assembly import PROOF_TEXTS
from polarbert.training.base import Base
from polarbert.training.classification import ClassificationTask, inverse_frequencies
from polarbert.training.device import choose_device
from polarbert.training.examples import encode_texts
from polarbert.training.finetune import FineTuning
from polarbert.training.loop import train
from polarbert.training.pace import adapt
from polarbert.training.parts import MIN_ROWS
from polarbert.training.preparation import check_transfer, prepare_model, with_help
from polarbert.training.recipe import FineTuneSettings
from polarbert.training.run import RunDirectory

MONITORED = 64  # texts that the loop is given to judge by where nothing is chosen


def fit_classifier(
    dataset: Dataset,
    output: Path,
    settings: FineTuneSettings,
    chosen: Mapping[str, Any],
    *,
    base: str | Path | None = None,
    select: bool = True,
    note: Callable[[str], None] = lambda _line: None,
    quiet: bool = True,
) -> float | None:
    """Fine-tune, and make a bundle; PyTorch's random numbers and number of threads are then as they were.

    With a dev part, `FineTuning` does it: the best model by macro-F1 on that part is kept and calibrated on it. Where
    none can be made, because there are fewer than 20 rows or a class has a single text, the model of the last step is
    kept and its confidence is as the network gives it.

    Args:
        dataset: rows of two or more classes.
        output: a new directory; it is the bundle, with what was needed on the way beside it.
        settings: how; its shares say how large the dev part is.
        chosen: what of `settings.training` is to stay; the rest follows the data, see `polarbert.training.pace.adapt`.
        base: what to start from, as for `FineTuning`.
        select: False to train on all rows, without a dev part.
        note: called with a line on each step.
        quiet: no progress bar on stderr.

    Returns:
        Macro-F1 on the dev part; None where there is none.

    Raises:
        UsageError: when the device is not there.
        BundleError: when the base cannot be used.
        TrainingError: when the loss is no number, or the disk is full.

    Example:
        >>> fit_classifier(Dataset("moods", rows, ["calm", "cross"], "classification"), folder, FineTuneSettings(), {})
        0.8125
    """
    with _global_state_kept():
        start = Base.open(base)
        splits = _divide(dataset, settings) if select else None
        settings = _paced(dataset, splits, settings, chosen, start)
        if splits is not None:
            made = FineTuning(dataset, output, settings, base=base, splits=splits, note=note, quiet=quiet).run()
            return made.dev["score"]
        if select:
            note("too few different texts of each class to choose a model by: the one of the last step is kept")
        _fit_undivided(dataset, output, settings, start, note, quiet)
        return None


def _divide(dataset: Dataset, settings: FineTuneSettings) -> Splits | None:
    if len(dataset.rows) < MIN_ROWS:
        return None
    try:
        return make_splits(dataset, settings.shares, settings.training.seed)
    except DataError:  # a class has a single text, apart from repeats
        return None


def _paced(
    dataset: Dataset,
    splits: Splits | None,
    settings: FineTuneSettings,
    chosen: Mapping[str, Any],
    base: Base,
) -> FineTuneSettings:
    rows = dataset.rows if splits is None else [dataset.rows[number] for number in splits.train]
    learned = encode_texts(
        [row.text for row in rows], [row.label for row in rows], base.tokenizer, _limit(settings, base)
    )
    training = adapt(settings.transfer.suited(settings.training), learned.pieces, base.config.hidden_size)
    # What was chosen counts even where it is what `adapt` takes for "nothing was chosen".
    return replace(settings, adapt=False, training=replace(training, **chosen))


def _fit_undivided(
    dataset: Dataset,
    output: Path,
    settings: FineTuneSettings,
    base: Base,
    note: Callable[[str], None],
    quiet: bool,
) -> None:
    """Learn from every row, for as many steps as planned."""
    training = replace(settings.training, evaluations=1)
    torch.set_num_threads(training.threads)
    torch.manual_seed(training.seed)
    device = choose_device(settings.device)
    check_transfer(settings.transfer, base, dataset.task, dataset.labels, _limit(settings, base))
    model = BertForSequenceClassification.from_encoder(base.path, dataset.labels)
    model = prepare_model(model, settings.transfer).to(device)
    texts, labels, classes = dataset.texts, [row.label for row in dataset.rows], len(dataset.labels)
    examples = encode_texts(texts, labels, base.tokenizer, _limit(settings, base)).examples
    weights = inverse_frequencies(labels, classes) if settings.class_weights else None
    task = ClassificationTask(examples, {"train": examples[:MONITORED]}, classes, base.tokenizer, training, weights)
    network, helped = with_help(model, task, settings.transfer, base, training.seed)
    run = RunDirectory(output / "run")
    train(network, helped, training, run, quiet=quiet, transfer=settings.transfer)
    different = list(dict.fromkeys(texts))[:PROOF_TEXTS]
    # Below 1,000 texts int8 cannot be proved, and the float graph is kept: exact, and made in a moment.
    export_bundle(run.best, output, different, options=ExportOptions(dataset.task, scratch=output), note=note)


def _limit(settings: FineTuneSettings, base: Base) -> int:
    return min(settings.max_pieces, base.config.max_position_embeddings)


@contextmanager
def _global_state_kept() -> Iterator[None]:
    threads = torch.get_num_threads()
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        torch.set_num_threads(threads)
