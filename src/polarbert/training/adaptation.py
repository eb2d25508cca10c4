"""Making a base of one's own: a model that has read the user's texts before it is fine-tuned."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from polarbert.data.corpus import Document
from polarbert.errors import TrainingError
from polarbert.files import flush_to_disk
from polarbert.training.corpus_parts import CorpusParts
from polarbert.training.masked_lm import MaskedLmSettings, train_masked_lm
from polarbert.training.run import RunDirectory, saving

RUN = "adaptation"  # the run, inside the base
DEV_SHARE = 0.05


def adapt(
    documents: Sequence[Document],
    output: str | Path,
    settings: MaskedLmSettings | None = None,
    *,
    base: str | Path | None = None,
    dev: Sequence[Document] | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Go on pre-training a base on unlabelled texts of one's own (Dai and Le 2015; Sun et al. 2019, section 5.4).

    The directory is a base: `polarbert train --base`, `polarbert fill-mask --model` and `transformers` open it. The run
    lies in it under adaptation/.

    Args:
        documents: the texts.
        output: the directory to make.
        settings: how to train; None for the defaults.
        base: the embedded model (None), a directory in the Hugging Face layout, or a Hub id.
        dev: texts to judge by; None to hold out one in twenty.
        resume: go on with the run in `output`.
        quiet: no progress on stderr.

    Returns:
        As from `train_masked_lm`.

    Raises:
        BundleError: when the base cannot be loaded.
        DataError: when there are too few texts.
        TrainingError: when the run cannot start or resume, `output` holds something else, or the disk is full.

    Example:
        >>> reviews = list(read_documents(["reviews.csv"], text_column="review"))
        >>> adapt(reviews, "review-base")["best_step"]
        120
    """
    folder = Path(output)
    _check_folder(folder)
    if dev is None:
        parts = CorpusParts.of(documents, DEV_SHARE)
        documents, dev = list(parts.train(documents)), list(parts.dev(documents))
    summary = train_masked_lm(base, _texts(documents), _texts(dev), folder / RUN, settings, resume, quiet)
    run = RunDirectory(folder / RUN)
    with run.locked():
        _publish(run.best, folder)
    return summary


def _texts(documents: Iterable[Document]) -> list[str]:
    return [document.text for document in documents]


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise TrainingError(f"{folder}: is a file; name a folder for the base")
    if folder.is_dir() and not (folder / RUN).is_dir() and any(folder.iterdir()):
        raise TrainingError(f"{folder}: holds something else; name a new folder")


def _publish(best: Path, folder: Path) -> None:
    """Put the files of the best model into the base, each in one atomic step, the weights last."""
    files = sorted(best.iterdir(), key=lambda file: file.suffix == ".safetensors")
    for file in files:
        with saving(folder / file.name):
            new = folder / f"{file.name}.tmp"
            shutil.copyfile(file, new)
            flush_to_disk(new)
            new.replace(folder / file.name)
