"""From labelled texts to a bundle that scores: all that `polarbert train` does, for use from Python too.

OUTPUT/              the bundle: polarbert.json, weights, graph, tokenizer, model card
OUTPUT/training/     the run (see `polarbert.training.run`), and beside it
    settings.toml    what was asked, in full; --config takes it
    splits.json      which row is in which part; --splits takes it
    bundle/          the bundle while it is being made

Each step ends with one file in its place, by which a resumed run knows that it is done. Once the bundle is complete,
checkpoint/, best/ and bundle/ are removed.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from polarbert import __version__
from polarbert.bundle import MANIFEST, Bundle
from polarbert.calibration import Calibration
from polarbert.data.dataset import Dataset
from polarbert.data.leaks import find_leaks
from polarbert.data.splits import PARTS, Splits, make_splits
from polarbert.errors import TrainingError, UsageError
from polarbert.files import write_whole
from polarbert.inference.engine import usable_threads
from polarbert.model.heads import BertWithHead
from polarbert.model.kinds import head_of
from polarbert.training.assembly import Assembly
from polarbert.training.base import Base
from polarbert.training.card import CardFacts, model_card
from polarbert.training.config import to_toml
from polarbert.training.device import choose_device, choose_precision
from polarbert.training.kinds import Judgement, kind_of
from polarbert.training.loop import train
from polarbert.training.pace import adapt
from polarbert.training.parts import Parts, check_dataset, dataset_digest, file_name, splits_digest
from polarbert.training.preparation import check_transfer, prepare_model, teacher_digest, with_help
from polarbert.training.recipe import FineTuneSettings, check_settings
from polarbert.training.run import RunDirectory, environment, refuse_changes, remove_unfinished, saving
from polarbert.training.settings import TrainSettings

RUN = "training"
SCRATCH = ("checkpoint*", "best", "bundle", "polarbert-export-*")
TRIAL_BATCH = 256
DEPENDS_ON = ("torch", "instruction_set")  # of the environment: with others, the last bits of the weights may differ


@dataclass(frozen=True)
class FineTuneResult:
    """What a fine-tuning came to.

    Attributes:
        path: the bundle.
        splits: which row was in which part.
        dev: figures of the best model on the dev part, which chose it.
        calibration: temperature and unsure threshold, fitted on the dev part.
        export: the export report, with precision and proofs.
        test: the rows of the test part.
        predictions: the bundle's answers to them: of classes, each a `Prediction`.
        evaluation: these answers judged, by the kind of task; None when there is no test part.
    """

    path: Path
    splits: Splits
    dev: Mapping[str, float]
    calibration: Calibration
    export: Mapping[str, Any]
    test: Dataset
    predictions: list[Any]
    evaluation: Any


class FineTuning:
    """Makes a model from labelled texts: parts, training, calibration, int8 graph, model card.

    Args:
        dataset: the labelled texts; its task says what kind of model is made.
        output: the directory to make; it is the finished bundle, with the run under training/.
        settings: how; None for the defaults.
        base: what to start from: the embedded model (None), a bundle or another directory in the Hugging Face layout,
            or a Hub id. Its encoder is kept; the output layer is new.
        splits: the parts; made here, free of leaks, unless given.
        note: called with a line on each step.
        quiet: no progress bar on stderr.

    Example:
        >>> tickets = read_labelled("support-tickets.csv", "message", "topic")
        >>> result = FineTuning(tickets, "ticket-model", FineTuneSettings(trial=True), quiet=True).run()
        >>> list(result.predictions[0].probabilities)
        ['account', 'delivery', 'payment', 'product']
    """

    def __init__(
        self,
        dataset: Dataset,
        output: str | Path,
        settings: FineTuneSettings | None = None,
        *,
        base: str | Path | None = None,
        splits: Splits | None = None,
        note: Callable[[str], None] = lambda _line: None,
        quiet: bool = False,
    ) -> None:
        self.dataset = dataset
        self.output = Path(output)
        self.settings = settings or FineTuneSettings()
        self.base = base
        self.splits = splits
        self.note = note
        self.quiet = quiet

    def run(self, resume: bool = False) -> FineTuneResult:
        """Do it, or go on with it where it was interrupted.

        With the same data, settings, threads and PyTorch build every file of the bundle comes out the same,
        interrupted or not.

        Args:
            resume: go on with the run in `output`, if there is one; a finished one is only read.

        Raises:
            UsageError: when `output` holds something else, or the device is not there.
            DataError: when there are too few texts or classes.
            BundleError: when the base cannot be used.
            TrainingError: when a run stands there and `resume` is not set, it was begun with other settings or data,
                another process is at work on it, the loss is no number, or the disk is full.
        """
        check_folder(self.output, resume)
        check_dataset(self.dataset, is_divided=self.splits is not None)
        work = _Work(self, resume)
        with work.run.locked():
            work.begin(resume)
            if (self.output / MANIFEST).is_file():
                self.note(f"{self.output}: was finished before; nothing is left to do")
            else:
                work.train(resume)
                work.assemble()
            return work.finish()


class _Work:
    """One call of `FineTuning.run`: what is asked is worked out in full before anything is written."""

    def __init__(self, asked: FineTuning, resume: bool) -> None:
        self.asked = asked
        self.note = asked.note
        check_settings(asked.settings, asked.dataset)
        folder = asked.output / RUN
        before = RunDirectory.peek(folder) if resume else None
        self.digest = dataset_digest(asked.dataset)
        if before is not None:
            refuse_changes(folder, {"data": before.get("data")}, {"data": self.digest})
        self.settings = _effective(asked.settings, before or {})
        torch.set_num_threads(self.settings.training.threads)
        self.device = choose_device(self.settings.device)
        self.base = Base.open(asked.base)
        self.kind = kind_of(asked.dataset, self.base, self.settings)
        dataset, longest = asked.dataset, self.base.longest(self.settings.max_pieces)
        check_transfer(self.settings.transfer, self.base, dataset.task, dataset.labels, longest, self.kind.traits)
        self.model = self._new_model() if before is None else None  # a base that does not load leaves no run behind
        self.splits = self._find_splits(folder / "splits.json" if resume else None)
        self.parts = Parts.of(asked.dataset, self.splits, self.settings.trial)
        if "aspects" in self.kind.traits and not self.settings.trial:
            self.parts.check_aspects()
        self.texts = {part: self.kind.encode(self.parts.rows(part)) for part in ("train", "dev")}
        self.settings = self._adapted()
        self.leaks = [] if asked.splits is None else find_leaks(asked.dataset, asked.splits)
        with saving(asked.output, "Name another folder"):
            asked.output.mkdir(parents=True, exist_ok=True)
        self.run = RunDirectory(folder)
        self.assembly = Assembly(
            self.run.best,
            folder / "bundle",
            asked.output,
            self.kind,
            self.parts,
            self.settings,
            self._provenance(),
            self.note,
        )

    def begin(self, resume: bool) -> None:
        """Write down what is asked; refuse to go on with anything else."""
        given = self.asked.splits
        data = {"data": self.digest, "base": self.base.digest}
        data["splits"] = "made here" if given is None else splits_digest(given)
        data |= teacher_digest(self.settings.transfer)
        self._compare_environment()
        self.run.begin(self.settings.to_dict() | data, resume)
        with saving(self.run.path):
            write_whole(self.run.path / "settings.toml", _settings_file(self.settings).encode("utf-8"))
            if not (self.run.path / "splits.json").is_file():
                self.splits.save(self.run.path / "splits.json", self.asked.dataset)

    def train(self, resume: bool) -> None:
        """Fine-tune; the best model by its score on the dev part ends in best/."""
        if self.run.is_done:
            return
        training = self._loop_settings()
        if step := RunDirectory.kept_step(self.run.path):
            self.note(f"{self.asked.output}: going on after step {step:,}")
        else:
            self._describe(training)
        task = self.kind.task(self.texts["train"], self.texts["dev"], training)
        network, transfer = (self.model or self._new_model()).to(self.device), self.settings.transfer
        model, task = with_help(network, task, transfer, self.base, training.seed)
        summary = train(model, task, training, self.run, resume, self.asked.quiet, transfer=transfer)
        best, step = summary["best_score"], summary["best_step"]
        self.note(f"best on the dev part: step {step:,}, {self.kind.measure} {best:.1%}")

    def assemble(self) -> None:
        """Make the bundle and put it in its place."""
        started = time.monotonic()
        self.assembly.make(self._card)
        self.assembly.install()
        seconds = {"bundle_seconds": round(time.monotonic() - started, 1)}
        self.run.write("summary.json", self.run.read("summary.json") | seconds)

    def finish(self) -> FineTuneResult:
        """Remove what is no longer needed, and say what came out."""
        remove_unfinished(self.asked.output)
        for pattern in SCRATCH:
            for left in self.run.path.glob(pattern):
                shutil.rmtree(left, ignore_errors=True)
        judged = self.assembly.judged
        return FineTuneResult(
            path=self.asked.output,
            splits=self.splits,
            dev=self._dev_figures(),
            calibration=Bundle.open(self.asked.output).calibration,
            export=json.loads((self.asked.output / "export.json").read_text("utf-8")),
            test=self.parts.as_dataset("test"),
            predictions=judged.predictions,
            evaluation=judged.evaluation,
        )

    def _find_splits(self, kept: Path | None) -> Splits:
        dataset, settings = self.asked.dataset, self.settings
        if self.asked.splits is not None:
            return self.asked.splits
        if kept is not None and kept.is_file():
            return Splits.load(kept, dataset)
        return make_splits(dataset, settings.shares, settings.training.seed)

    def _new_model(self) -> BertWithHead:
        torch.manual_seed(self.settings.training.seed)
        dataset = self.asked.dataset
        model = head_of(dataset.task).from_encoder(self.base.path, dataset.labels)
        return prepare_model(model, self.settings.transfer)

    def _loop_settings(self) -> TrainSettings:
        training = self.settings.training
        if not self.settings.trial:
            return training
        return replace(training, epochs=1.0, batch_tokens=TRIAL_BATCH, evaluations=2, patience=None)

    def _adapted(self) -> FineTuneSettings:
        """The settings in numbers alone, so that they make the same run from a file."""
        suited = self.settings.transfer.suited(self.settings.training)
        if not self.settings.adapt or self.settings.trial:  # a file written by a trial is for all of the data
            return replace(self.settings, training=suited)
        training = adapt(suited, self.texts["train"].pieces, self.base.config.hidden_size)
        return replace(self.settings, adapt=False, training=training)

    def _describe(self, training: TrainSettings) -> None:
        """Say what is about to happen."""
        for line in self._notes():
            self.note(line)
        counts = self.parts.counts()
        for part, found in counts.items():
            shown = ", ".join(f"{name} {count:,}" for name, count in found.items() if self.asked.dataset.has_classes)
            shown = f" ({shown})" if shown else ""
            self.note(f"{part}: {sum(found.values()):,} {self.asked.dataset.unit}{shown}")
        config, learned, threads = self.base.config, self.texts["train"], training.threads
        self.note(
            f"base: {self.base.name} ({config.num_hidden_layers} layers, hidden size {config.hidden_size}), on "
            f"{self.settings.device} in {training.precision}, {threads} thread{'s' if threads != 1 else ''}"
        )
        if threads > (processors := usable_threads()):
            self.note(f"{threads:,} threads where {processors:,} may run at once: so many make it slower")
        for line in learned.notes:
            self.note(line)
        self.note(
            f"passes: {training.epochs:g} over {learned.pieces:,} word pieces, in batches of "
            f"{training.batch_tokens:,}, at a rate of up to {training.learning_rate:g}"
        )
        if self.settings.trial:
            self.note("this is a trial: a few rows of each part and one pass; the model is of no use")

    def _notes(self) -> list[str]:
        """What people should know of the data."""
        dataset = self.asked.dataset
        skipped = [f"left out, {reason}: {count:,} rows" for reason, count in dataset.skipped.items()]
        missing = [f"no text to learn from is {name!r}: the model will not answer it" for name in self.parts.missing()]
        leaks = [leak.message() for leak in self.leaks]
        return [*dataset.notes, *skipped, *self.splits.notes, *leaks, *missing, *self.parts.doubts()]

    def _compare_environment(self) -> None:
        before, now = self.run.read("environment.json") or {}, environment()
        for name in DEPENDS_ON:
            if before and before.get(name) != now[name]:
                self.note(
                    f"this run was begun with {name} {before.get(name)}, and goes on with {now[name]}: "
                    "the weights may differ in their last bits from those of an uninterrupted run"
                )

    def _dev_figures(self) -> dict[str, float]:
        best = self.run.read("summary.json").get("best_step")
        found = [record for record in self.run.records("evaluations.jsonl") if record["step"] == best]
        if not found:
            raise TrainingError(
                f"{self.run.path}: evaluations.jsonl has no line of step {best}, the best one by summary.json; one of "
                "them was changed. Start again in a new directory"
            )
        return {name: value for name, value in found[0].items() if name != "step"}

    def _provenance(self) -> dict[str, Any]:
        rows = {part: len(self.parts.positions(part)) for part in PARTS}
        about = {"made with": f"polarbert {__version__}", "base": self.base.name, "base digest": self.base.digest[:16]}
        about |= {"data": file_name(self.asked.dataset)} | {f"{part} texts": str(count) for part, count in rows.items()}
        return about | ({"trial": "a few rows and one pass; of no use"} if self.settings.trial else {})

    def _card(self, bundle: Bundle, evaluation: Judgement | None, export: Mapping[str, Any]) -> str:
        found = environment()
        facts = CardFacts(
            bundle=bundle,
            settings=self.settings,
            data=file_name(self.asked.dataset),
            rows=self.parts.counts(),
            notes=self._notes(),
            base=(self.base.name, self.base.hub_id),
            longest=self.base.longest(self.settings.max_pieces),
            reading=self.texts["train"].notes,
            unit=self.asked.dataset.unit,
            run=self.run.read("summary.json"),
            versions={"Polarbert": __version__, "PyTorch": found["torch"]},
            measure=self.kind.measure,
            dev=self.kind.shown(self._dev_figures()),
            evaluation=evaluation,
            export=export,
        )
        return model_card(facts)


def check_folder(output: Path, resume: bool) -> None:
    """Refuse a place that holds something else, before any work is done.

    Args:
        output: where the model is to be.
        resume: a run that stands there may be gone on with.

    Raises:
        UsageError: when it is a file, or holds what is no run.
        TrainingError: when it holds a run and `resume` is not set.
    """
    if output.is_file():
        raise UsageError(f"{output}: is a file; name a folder")
    if RunDirectory.peek(output / RUN) is not None:
        if not resume:
            if (output / MANIFEST).is_file():
                raise TrainingError(f"{output}: holds a finished run already; name a new folder")
            raise TrainingError(f"{output}: holds an unfinished run. Go on with it (--resume), or name a new folder")
    elif output.is_dir() and any(file.name != RUN for file in output.iterdir()):
        raise UsageError(f"{output}: is not empty, and what is in it is no training run; name a new folder")


def _effective(asked: FineTuneSettings, before: Mapping[str, Any]) -> FineTuneSettings:
    """The settings with everything decided that was left to the machine; a resumed run keeps what it was begun with."""
    device = asked.device
    if device == "auto":
        device = before.get("device") or choose_device("auto").type
    training = asked.training
    precision = training.precision
    if precision == "auto":
        precision = before.get("precision") or choose_precision("auto", device)
    threads = training.threads or before.get("threads") or usable_threads()
    return replace(asked, device=device, training=replace(training, precision=precision, threads=threads))


def _settings_file(settings: FineTuneSettings) -> str:
    return "# All settings of this run. polarbert train takes the file with --config.\n" + to_toml(settings)
