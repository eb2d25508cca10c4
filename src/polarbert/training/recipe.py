"""Everything that can be chosen about a fine-tuning, in one typed place; a TOML file holds the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from polarbert.bundle import TASKS
from polarbert.data.dataset import Dataset
from polarbert.errors import TrainingError
from polarbert.training.settings import TrainSettings
from polarbert.training.transfer import TransferSettings

SELECT_BY = ("macro_f1", "accuracy", "macro_recall", "matthews")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class FineTuneSettings:
    """How to make a classifier of one's own.

    Args:
        task: one of `polarbert.bundle.TASKS`; None for sentiment or classification, by the labels. It is used where
            the data is read.
        labels: the class of each raw label, where they are to be renamed or merged; empty to decide by the labels.
            This, `select_by` and `class_weights` are for classes of texts and pairs.
        max_pieces: most word pieces read at once in training; at most what the base has positions for. A longer text
            keeps its head and tail; tagged texts and passages are read whole, in windows of so many.
        select_by: the dev figure of a classifier by which the best model is chosen, one of `SELECT_BY`.
        class_weights: let each class count the same in the loss, however many texts it has.
        shares: of the training, dev and test part, where the parts are made here.
        target_accuracy: an answer is marked unsure below the confidence from which on this share of the dev answers
            is right; of no meaning for a regression, whose answers have no confidence.
        adapt: let the number of passes, the batch size and the rate follow the amount of data and the width of the
            base, those that `training` leaves at their defaults (a value that equals the default counts as left; False
            holds all three, but a rate over a frozen encoder); see `polarbert.training.pace.adapt`.
        device: "cpu", "cuda", or "auto" for a GPU where there is one.
        trial: run every step on a few rows, to see that it works; the model is of no use.
        training: the loop's settings.
        transfer: what of the base is trained, how fast, and what helps it along.

    Raises:
        TrainingError: when a value is out of range.

    Example:
        >>> FineTuneSettings(class_weights=True, training=TrainSettings(epochs=5, seed=3)).training.epochs
        5
    """

    task: str | None = None
    max_pieces: int = 256
    select_by: str = "macro_f1"
    class_weights: bool = False
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    target_accuracy: float = 0.95
    adapt: bool = True
    device: str = "auto"
    trial: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    training: TrainSettings = field(default_factory=TrainSettings)
    transfer: TransferSettings = field(default_factory=TransferSettings)

    def __post_init__(self) -> None:
        if self.task not in (None, *TASKS):
            raise TrainingError(f"settings: task must be {', '.join(TASKS[:-1])} or {TASKS[-1]}, not {self.task!r}")
        if self.select_by not in SELECT_BY:
            raise TrainingError(f"settings: select_by must be one of {', '.join(SELECT_BY)}, not {self.select_by!r}")
        if self.device not in DEVICES:
            raise TrainingError(f"settings: device must be {', '.join(DEVICES)}, not {self.device!r}")
        if self.max_pieces < 8:
            raise TrainingError(f"settings: max_pieces must be 8 or more, not {self.max_pieces!r}")
        if not 0 < self.target_accuracy < 1:
            raise TrainingError(f"settings: target_accuracy must be in (0, 1), not {self.target_accuracy!r}")
        train, dev, test = self.shares
        if not (train > 0 and dev > 0 and test >= 0 and abs(train + dev + test - 1) < 1e-6):
            raise TrainingError(
                f"settings: shares must be above 0 (the test part may be 0) and sum to 1, not {self.shares!r}"
            )

    def to_dict(self) -> dict[str, Any]:
        """All settings side by side, as JSON has them."""
        values = asdict(self)
        training: dict[str, Any] = values.pop("training")
        del values["transfer"]
        return values | training | self.transfer.to_dict()


def check_settings(settings: FineTuneSettings, dataset: Dataset) -> None:
    """Refuse settings that mean nothing to the task of the dataset, and would be without effect.

    Raises:
        TrainingError: naming the setting.

    Example:
        >>> check_settings(FineTuneSettings(class_weights=True), read_tagged("mentions.conll"))
        Traceback (most recent call last):
        polarbert.errors.TrainingError: settings: class_weights is for classes, and the task is tagging; leave it out
    """
    useless = {} if dataset.has_classes else dict.fromkeys(("select_by", "class_weights", "labels"), "classes")
    if dataset.task == "regression":
        useless["target_accuracy"] = "answers with a confidence"
    defaults = FineTuneSettings()
    for name, what in useless.items():
        if getattr(settings, name) != getattr(defaults, name):
            raise TrainingError(f"settings: {name} is for {what}, and the task is {dataset.task}; leave it out")
