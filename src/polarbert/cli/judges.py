"""How models that have no classes are evaluated, and which options of the command mean something to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polarbert.bundle import Bundle
from polarbert.data.dataset import Dataset
from polarbert.errors import UsageError

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Judge:
    """An evaluation.

    Attributes:
        function: gives the function that evaluates; imported when it is needed.
        options: of the command, by their names in Python, and what the function calls them.
    """

    function: Callable[[], Callable[..., Any]]
    options: Mapping[str, str]

    def refuse(self, bundle: Bundle, asked: Mapping[str, object]) -> None:
        """Refuse what means nothing to the model.

        Raises:
            UsageError: naming the option.
        """
        for name, value in asked.items():
            if name not in self.options and value not in (None, [], {}):
                what = f"--{name.replace('_', '-')} means nothing to a model for {bundle.task}"
                raise UsageError(f"{bundle.path}: {what}; leave it out")

    def run(
        self,
        predictor: Any,
        dataset: Dataset,
        progress: Progress,
        by: Sequence[str],
        labels: Mapping[str, str],
        min_confidence: float | None,
    ) -> Any:
        """The evaluation of a predictor on a dataset."""
        given = {"by": by, "labels": labels, "min_confidence": min_confidence}
        chosen = {theirs: given[ours] for ours, theirs in self.options.items()}
        return self.function()(predictor, dataset, progress=progress, **chosen)


def _ratings() -> Callable[..., Any]:
    from polarbert.inference.rating_evaluation import evaluate_ratings

    return evaluate_ratings


def _taggings() -> Callable[..., Any]:
    from polarbert.inference.tagging_evaluation import evaluate_tagging

    return evaluate_tagging


def _answers() -> Callable[..., Any]:
    from polarbert.inference.answers_evaluation import evaluate_answers

    return evaluate_answers


JUDGES = {
    "regression": Judge(_ratings, {}),
    "tagging": Judge(_taggings, {"labels": "mapping", "min_confidence": "unsure_below"}),
    "qa": Judge(_answers, {"by": "by", "min_confidence": "unsure_below"}),
}


def refuse_useless(bundle: Bundle, asked: Mapping[str, object]) -> None:
    """Refuse options that mean nothing to the kind of model; see `Judge.refuse`."""
    if bundle.task in JUDGES:
        JUDGES[bundle.task].refuse(bundle, asked)
