"""`polarbert evaluate --behaviour`: a model over the behaviour suite."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from polarbert.bundle import Bundle
from polarbert.cli.options import emit, note, page_width
from polarbert.cli.progress import ScoreProgress
from polarbert.errors import UsageError
from polarbert.loading import load_predictor

TASKS = ("sentiment", "classification")


@dataclass(frozen=True)
class Behaviour:
    """What is asked of the suite.

    Attributes:
        names: of capabilities or groups; empty for all.
        failures: to show of each.
    """

    names: list[str]
    failures: int

    def run(
        self,
        bundle: Bundle,
        name: str,
        output: Path | None,
        as_json: bool,
        quiet: bool,
        threads: int,
        engine: str | None,
        device: str | None,
        min_confidence: float | None,
    ) -> None:
        """Judge a model, print the figures and write the page.

        Raises:
            UsageError: when there is no such capability, or the suite is not for such a model.
        """
        from polarbert.behaviour import capabilities
        from polarbert.behaviour.judgement import MAX_FAILURES
        from polarbert.inference.behaviour_evaluation import evaluate_behaviour

        if bundle.task not in TASKS:
            raise UsageError(
                f"{bundle.path}: --behaviour needs a model of sentiment, and this one is for {bundle.task}"
            )
        chosen = capabilities(self.names)
        predictor = load_predictor(bundle, threads, engine, device, min_confidence)
        with ScoreProgress(io.BytesIO(), 0, quiet, len({text for one in chosen for text in one.texts})) as progress:
            found = evaluate_behaviour(
                predictor,
                chosen,
                examples=max(self.failures, MAX_FAILURES),
                progress=lambda done, _all: progress.update(done),
            )
        emit(json.dumps(found.to_dict()) if as_json else found.text(page_width(), self.failures))
        if output is not None:
            from polarbert.report import write_behaviour_report

            write_behaviour_report(found, output, f"{name}: behaviour")
            note(f"{output}: open it in a browser; it needs no network", quiet)


def refuse(options: Mapping[str, object], why: str) -> None:
    """Refuse options that were given and mean nothing.

    Args:
        options: what was given for each, by its name on the command line.
        why: said of the option.

    Raises:
        UsageError: naming the first of them.
    """
    for name, value in options.items():
        if value:
            raise UsageError(f"{name} {why}; leave it out")
