"""From the best model of a run to a finished bundle: graph, calibration, figures, model card, each in its place."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polarbert.bundle import MANIFEST, Bundle
from polarbert.calibration import Calibration
from polarbert.data.division import Positions
from polarbert.export.bundling import CALIBRATION_TEXTS, ExportOptions, export_bundle
from polarbert.export.proof import MIN_TEXTS, LabelledSet
from polarbert.files import replacing, write_whole
from polarbert.inference.predictors import make_predictor
from polarbert.training.kinds import Judgement, Kind
from polarbert.training.parts import Parts
from polarbert.training.recipe import FineTuneSettings
from polarbert.training.run import remove_unfinished, saving

PROOF_TEXTS, FITTING_TEXTS = 2000, 10_000  # dev texts, at most

Card = Callable[[Bundle, Judgement | None, Mapping[str, Any]], str]


@dataclass(frozen=True)
class Judged:
    """The answers of a bundle to the test part.

    Attributes:
        predictions: one a row, of the type that the kind of task has.
        evaluation: what they are worth; None when there is no test part.
    """

    predictions: list[Any]
    evaluation: Judgement | None


@dataclass
class Assembly:
    """Makes the bundle in a folder of its own, then puts it in its place.

    Args:
        best: the trained model.
        staging: where the bundle is made; what an earlier run completed there is used.
        output: its place.
        kind: of task.
        parts: calibrated on train, fitted on dev, judged on test.
        settings: with the number of threads in numbers.
        provenance: for the manifest.
        note: called with a line on each step.
    """

    best: Path
    staging: Path
    output: Path
    kind: Kind
    parts: Parts
    settings: FineTuneSettings
    provenance: Mapping[str, Any]
    note: Callable[[str], None]

    def make(self, card: Card) -> None:
        """Export, fit, judge and describe, in the staging folder.

        Args:
            card: writes the model card from the calibrated bundle, its evaluation and the export report.

        Raises:
            ExportError: when the graph is not the trained network.
            TrainingError: when the disk is full.
        """
        if not (self.staging / MANIFEST).is_file():  # the export writes it last
            with saving(self.staging):
                shutil.rmtree(self.staging, ignore_errors=True)
                self._export()
        remove_unfinished(self.staging)
        bundle = Bundle.open(self.staging)
        bundle = replace(bundle, calibration=self._fit(replace(bundle, calibration=Calibration())))
        report = json.loads((self.staging / "export.json").read_text("utf-8"))
        text = card(bundle, self._judge(bundle).evaluation, report)
        with saving(self.staging / "README.md"):
            write_whole(self.staging / "README.md", text.encode("utf-8"))
        with saving(self.staging / MANIFEST):
            bundle.write()

    def install(self) -> None:
        """Copy the bundle to its place, the manifest last: without it the directory does not load."""
        remove_unfinished(self.output)
        names = sorted(file.name for file in self.staging.iterdir() if file.name != MANIFEST)
        for name in [*names, MANIFEST]:
            with saving(self.output / name), replacing(self.output / name) as temporary:
                shutil.copyfile(self.staging / name, temporary)

    @cached_property
    def judged(self) -> Judged:
        """The finished bundle on the test part."""
        return self._judge(Bundle.open(self.output))

    def _export(self) -> None:
        parts, kind, seed = self.parts, self.kind, self.settings.training.seed
        dev = [parts.dataset.rows[n] for n in _sample(parts.dev, PROOF_TEXTS, seed)]
        known = LabelledSet(kind.asked(dev), kind.truth(dev))
        learned = list(dict.fromkeys(kind.asked(parts.rows("train"))))
        inputs = [learned[n] for n in _sample(np.arange(len(learned)), CALIBRATION_TEXTS, seed)]
        if len(inputs) + len(dev) < MIN_TEXTS:  # too few to show how many decisions int8 changes
            inputs = list(dict.fromkeys([*inputs, *kind.own_inputs()]))
        options = ExportOptions(
            parts.dataset.task, provenance=self.provenance, scratch=self.staging.parent, traits=kind.traits
        )
        export_bundle(self.best, self.staging, inputs, {"dev": known}, options, self.note)

    def _fit(self, bundle: Bundle) -> Calibration:
        """Both numbers of the calibration, on the dev part, from answers of the graph that scores."""
        parts, target = self.parts, self.settings.target_accuracy
        rows = [parts.dataset.rows[n] for n in _sample(parts.dev, FITTING_TEXTS, self.settings.training.seed)]
        fitted = self.kind.fit(self._predictor(bundle), rows, target)
        if fitted is None:
            return Calibration()
        line = f"temperature {fitted.temperature:.2f}, fitted on {len(rows):,} {parts.dataset.unit} of the dev part"
        if fitted.unsure_below == 1:
            self.note(
                f"{line}. At no confidence are {target:.0%} of the answers there right, so every answer will be marked "
                "unsure; more to learn from, or a lower --target-accuracy, helps"
            )
        elif fitted.unsure_below == 0:
            self.note(f"{line}; {target:.0%} or more of all answers there are right, so none is marked unsure")
        else:
            self.note(f"{line}; answers below a confidence of {fitted.unsure_below:.2f} are unsure")
        return fitted

    def _judge(self, bundle: Bundle) -> Judged:
        test = self.parts.as_dataset("test")
        if not test.rows:
            return Judged([], None)
        predictor = self._predictor(bundle)
        started = time.perf_counter()
        answers = predictor.answer(self.kind.asked(test.rows))
        seconds = time.perf_counter() - started
        return Judged(answers, self.kind.judge(test, answers, predictor, seconds))

    def _predictor(self, bundle: Bundle) -> Any:
        return make_predictor(bundle, self.settings.training.threads, "onnxruntime")


def _sample(positions: Positions, most: int, seed: int) -> NDArray[np.int64]:
    """At most so many of them, in order."""
    if len(positions) <= most:
        return positions
    return np.sort(np.random.default_rng(seed).choice(positions, most, replace=False))
