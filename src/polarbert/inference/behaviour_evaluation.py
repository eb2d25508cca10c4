"""Running a model over the behaviour suite, and what comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from polarbert import __version__
from polarbert.behaviour import Capability, Failure, Result, capabilities, digest, judge
from polarbert.behaviour.judgement import MAX_FAILURES
from polarbert.data.labels import SENTIMENTS
from polarbert.errors import UsageError
from polarbert.inference.classifier import Classifier
from polarbert.inference.evaluate import describe
from polarbert.inference.evaluation import plain
from polarbert.inference.lines import cut, notes, page, percent, table
from polarbert.inference.prediction import Prediction

BLOCK_TEXTS = 1024


@dataclass(frozen=True)
class BehaviourEvaluation:
    """How a model behaves, capability by capability.

    Attributes:
        results: of each capability that was judged, in the order of the suite.
        left_out: names of capabilities that a model with these labels cannot be judged on.
        cases: judged in all.
        failed: of these.
        texts: different ones that the model read.
        digest: of the cases; figures with different digests are of different tests.
        seconds: that the model took.
        notes: what the figures cannot show, for people to read.
        about: where the answers are from: model, engine, version.
    """

    results: list[Result]
    left_out: list[str]
    cases: int
    failed: int
    texts: int
    digest: str
    seconds: float
    notes: tuple[str, ...] = ()
    about: dict[str, str] = field(default_factory=dict)

    @property
    def gated(self) -> list[Result]:
        """Results of the capabilities that have a limit."""
        return [result for result in self.results if result.limit is not None]

    @property
    def passed(self) -> list[Result]:
        """Those of them that are within it."""
        return [result for result in self.gated if result.passed]

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them; numbers are rounded to six decimals."""
        return {name: plain(value) for name, value in asdict(self).items()}

    def text(self, width: int = 100, failures: int = 0) -> str:
        """The figures as lines for a terminal.

        Args:
            width: most characters in a line.
            failures: cases that failed to show of each capability.
        """
        parts = [self._head(), table([_HEADINGS, *self._rows()], "<<>>>>>"), self._summary()]
        if failures:
            parts += [list(_failures(result, failures, width)) for result in self.results if result.failures]
        parts.append(notes(self.notes, width))
        return page(parts, width)

    def _head(self) -> list[str]:
        suite = f"behaviour suite {self.digest}: {_counted(self.cases, 'case')}"
        speed = f"{self.texts / max(self.seconds, 1e-9):,.0f} texts/s, {self.seconds:.1f} s"
        return [f"{suite} of {_counted(len(self.results), 'capability', 'capabilities')}; {speed}"]

    def _rows(self) -> Iterator[tuple[str, ...]]:
        group = ""
        for result in self.results:
            if result.group != group:
                group = result.group
                yield (group, *[""] * 6)
            yield _row(result)

    def _summary(self) -> list[str]:
        lines = [f"{_counted(self.failed, 'case')} of {self.cases:,} failed ({percent(self.failed / self.cases)})"]
        if self.gated:
            lines.append(f"{len(self.passed)} of {_counted(len(self.gated), 'limit')} kept")
        return lines


_HEADINGS = ("capability", "test", "cases", "failed", "95% interval", "limit", "")


def evaluate_behaviour(
    model: Classifier,
    chosen: Sequence[Capability] | None = None,
    *,
    examples: int = MAX_FAILURES,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> BehaviourEvaluation:
    """Run a model over the behaviour suite.

    A model that knows no "neutral" is judged on the capabilities that do not ask for it.

    Args:
        model: as `polarbert.load` gives it, of single texts, with the labels negative and positive, and neutral or not.
        chosen: capabilities, as `polarbert.behaviour.capabilities` gives them; all unless given.
        examples: most failures to keep of each.
        progress: called with the different texts done and all of them.

    Raises:
        UsageError: when the model has other labels or reads pairs, or cannot be judged on any capability chosen.

    Example:
        >>> found = evaluate_behaviour(polarbert.load(), capabilities(["case", "typos"]))
        >>> [(result.name, result.n) for result in found.results]
        [('typos', 300), ('case', 200)]
    """
    check_labels(model)
    wanted = capabilities() if chosen is None else tuple(chosen)
    judged = [one for one in wanted if one.can_judge(model.labels)]
    left_out = [one.name for one in wanted if one not in judged]
    if not judged:
        raise UsageError(f"a model without the label 'neutral' cannot be judged on {', '.join(left_out)}")
    texts = list(dict.fromkeys(text for one in judged for text in one.texts))
    started = time.perf_counter()
    answers = _answers(model, texts, progress)
    seconds = time.perf_counter() - started
    results = [judge(one, answers, examples) for one in judged]
    return BehaviourEvaluation(
        results,
        left_out,
        cases=sum(result.n for result in results),
        failed=sum(result.failed for result in results),
        texts=len(texts),
        digest=digest(judged),
        seconds=seconds,
        notes=tuple(_notes(left_out)),
        about={**describe(model), "polarbert": __version__},
    )


def check_labels(model: Classifier) -> None:
    """See that a model can be judged on the suite.

    Raises:
        UsageError: naming what is needed.
    """
    if model.bundle.reads_pairs:
        raise UsageError(
            f"{model.bundle.path}: judges pairs of texts; the behaviour suite needs a model of single texts"
        )
    if not {"negative", "positive"} <= set(model.labels) <= set(SENTIMENTS):
        raise UsageError(
            f"{model.bundle.path}: the behaviour suite needs a model with the labels negative, neutral and positive "
            f"(neutral may be missing); this one has {', '.join(model.labels)}"
        )


def _answers(model: Classifier, texts: Sequence[str], progress: Callable[[int, int], None]) -> dict[str, Prediction]:
    answers: dict[str, Prediction] = {}
    for start in range(0, len(texts), BLOCK_TEXTS):
        block = texts[start : start + BLOCK_TEXTS]
        answers.update(zip(block, model.answer([(text, None) for text in block]), strict=True))
        progress(len(answers), len(texts))
    return answers


def _notes(left_out: Sequence[str]) -> Iterator[str]:
    if left_out:
        yield f"left out, as the model has no label 'neutral': {', '.join(left_out)}"


def _row(result: Result) -> tuple[str, ...]:
    interval = f"{100 * result.rate.low:.1f} to {100 * result.rate.high:.1f}%"
    limit = "" if result.limit is None else f"{result.limit:.0%}"
    verdict = {None: "reported", True: "kept", False: "FAILED"}[result.passed]
    return f"  {result.name}", result.kind, f"{result.n:,}", percent(result.rate.value), interval, limit, verdict


def _failures(result: Result, most: int, width: int) -> Iterator[str]:
    yield f"{result.name}: {result.description}"
    for failure in result.failures[:most]:
        yield f"  wanted {failure.wanted}:"
        for text, said in zip(failure.texts, _said(failure), strict=True):
            yield cut(f"    {said}  {text!r}", width)


def _said(failure: Failure) -> list[str]:
    """What each text was answered, in cells of one width."""
    return [f"{label:<8} {polarity:+.2f}" for label, polarity in zip(failure.labels, failure.polarities, strict=True)]


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
