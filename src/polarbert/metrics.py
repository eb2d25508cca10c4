"""Figures that say how good a classifier is, in numpy; each is tested against scikit-learn."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import punctuation

import numpy as np
from numpy.typing import ArrayLike, NDArray

Classes = NDArray[np.int64] | Sequence[int]
Floats = NDArray[np.floating]
Entity = tuple[str, int, int]  # type, first word, the word behind the last one

RESAMPLES = 1000
LEVEL = 0.95
_NORMAL = 1.959964  # of a normal distribution, 95% lies within so many standard deviations
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_MARKS = str.maketrans("", "", punctuation)


def accuracy(truth: Classes, predicted: Classes) -> float:
    """Share of predictions that equal the truth."""
    return float(np.mean(np.asarray(truth) == np.asarray(predicted)))


def confusion(truth: Classes, predicted: Classes, classes: int) -> NDArray[np.int64]:
    """(classes, classes) counts; rows are the truth, columns the prediction."""
    table = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(table, (np.asarray(truth), np.asarray(predicted)), 1)
    return table


def precisions(truth: Classes, predicted: Classes, classes: int) -> NDArray[np.float64]:
    """(classes,) share of the answers of each class that are right; NaN for a class that is never answered."""
    return Tally.of(confusion(truth, predicted, classes)).precisions


def recalls(truth: Classes, predicted: Classes, classes: int) -> NDArray[np.float64]:
    """(classes,) share of each class that was found; NaN for a class that does not occur."""
    return Tally.of(confusion(truth, predicted, classes)).recalls


def macro_recall(truth: Classes, predicted: Classes, classes: int) -> float:
    """Mean recall over the classes that occur (the measure of SemEval task 4)."""
    return float(np.nanmean(recalls(truth, predicted, classes)))


def f1_scores(truth: Classes, predicted: Classes, classes: int) -> NDArray[np.float64]:
    """(classes,) F1 of each class; NaN for a class that neither occurs nor is predicted."""
    return Tally.of(confusion(truth, predicted, classes)).f1_scores


def macro_f1(truth: Classes, predicted: Classes, classes: int) -> float:
    """Mean F1 over the classes that occur or are predicted."""
    return float(np.nanmean(f1_scores(truth, predicted, classes)))


def pearson(truth: Floats, predicted: Floats) -> float:
    """Linear correlation; NaN where one side is always the same."""
    left, right = truth - truth.mean(), predicted - predicted.mean()
    scale = math.sqrt(float((left**2).sum() * (right**2).sum()))
    return float((left * right).sum()) / scale if scale > 0 else math.nan


def spearman(truth: Floats, predicted: Floats) -> float:
    """Correlation of ranks, equal values sharing the mean of theirs; NaN where one side is always the same."""
    return pearson(ranks(truth), ranks(predicted))


def matthews(truth: Classes, predicted: Classes, classes: int) -> float:
    """Matthews correlation, also of more than two classes (Gorodkin 2004); 0 where one side is always the same."""
    table = confusion(truth, predicted, classes).astype(np.float64)
    total, right, occurs, answered = table.sum(), np.trace(table), table.sum(1), table.sum(0)
    scale = math.sqrt(float((total**2 - (occurs**2).sum()) * (total**2 - (answered**2).sum())))
    return float(right * total - (occurs * answered).sum()) / scale if scale > 0 else 0.0


@dataclass(frozen=True)
class Tally:
    """What the figures of a confusion table depend on; axes before the last stand for resamples.

    Attributes:
        right: (..., classes) answers that are right.
        occurs: (..., classes) rows of each class.
        answered: (..., classes) answers of each class.
    """

    right: NDArray[np.float64]
    occurs: NDArray[np.float64]
    answered: NDArray[np.float64]

    @classmethod
    def of(cls, table: NDArray[np.int64]) -> Tally:
        """Of one (classes, classes) confusion table."""
        counts = table.astype(np.float64)
        return cls(np.diag(counts).copy(), counts.sum(1), counts.sum(0))

    @classmethod
    def resampled(cls, table: NDArray[np.int64], resamples: int = RESAMPLES, seed: int = 0) -> Tally:
        """Of as many bootstrap resamples of the table's rows (Efron and Tibshirani 1993, chapter 13).

        Drawing rows with replacement and counting them is drawing the counts from a multinomial distribution, so the
        cost does not depend on the number of rows.
        """
        truth, answer = np.nonzero(table)
        counts = table[truth, answer]
        total = int(counts.sum())
        drawn = np.random.default_rng(seed).multinomial(total, counts / total, resamples).astype(np.float64)
        classes = np.eye(len(table))
        hit = drawn * (truth == answer)
        return cls(hit @ classes[truth], drawn @ classes[truth], drawn @ classes[answer])

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """(...) share of the answers that are right."""
        return np.asarray(self.right.sum(-1) / self.occurs.sum(-1))

    @property
    def precisions(self) -> NDArray[np.float64]:
        """(..., classes) share of the answers of each class that are right; NaN where there are none."""
        return _ratio(self.right, self.answered)

    @property
    def recalls(self) -> NDArray[np.float64]:
        """(..., classes) share of each class that was found; NaN where the class does not occur."""
        return _ratio(self.right, self.occurs)

    @property
    def f1_scores(self) -> NDArray[np.float64]:
        """(..., classes) harmonic mean of precision and recall; NaN where the class is neither there nor answered."""
        return _ratio(2 * self.right, self.occurs + self.answered)

    @property
    def macro_recall(self) -> NDArray[np.float64]:
        """(...) mean recall of the classes that occur."""
        return np.asarray(np.nanmean(self.recalls, axis=-1))

    @property
    def macro_f1(self) -> NDArray[np.float64]:
        """(...) mean F1 of the classes that occur.

        `macro_f1` counts classes that are only answered as well; they differ where the rows lack a class of the model.
        """
        return np.asarray(np.nanmean(np.where(self.occurs > 0, self.f1_scores, np.nan), axis=-1))


@dataclass(frozen=True)
class Estimate:
    """A figure and where it lies with 95% confidence.

    Attributes:
        value: the figure.
        low: lower end of the interval.
        high: upper end.
    """

    value: float
    low: float
    high: float

    @classmethod
    def bootstrap(cls, value: ArrayLike, resampled: Floats) -> Estimate:
        """The percentile interval (Efron and Tibshirani 1993, section 13.3).

        Args:
            value: the figure of the rows themselves.
            resampled: (resamples,) the figure of each resample; NaN where it has none.
        """
        low, high = np.nanquantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return cls(float(np.asarray(value)), float(low), float(high))

    @classmethod
    def share(cls, count: int, total: int) -> Estimate:
        """A share and its score interval, which holds for few rows and at 0 and 1 too (Wilson 1927).

        Args:
            count: rows that have what is asked.
            total: all rows, at least 1.
        """
        share, weight = count / total, _NORMAL**2 / total
        middle = (share + weight / 2) / (1 + weight)
        half = _NORMAL / (1 + weight) * math.sqrt(share * (1 - share) / total + weight / (4 * total))
        return cls(share, max(0.0, middle - half), min(1.0, middle + half))


def grouped_mean(
    values: Floats | NDArray[np.bool_], group_of: NDArray[np.int64], resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """The mean over rows, with a bootstrap interval over groups of them (Efron and Tibshirani 1993, section 8.6).

    Rows of a group, such as the questions about a passage, are right or wrong together more often than others. Where
    all values are 0 or all are 1, every resample says the same, so Wilson's interval stands in.

    Args:
        values: (n,) of each row, in [0, 1].
        group_of: (n,) number of its group, from 0 without a gap.
        resamples: how many.
        seed: of the draws.
    """
    total = float(values.sum())
    if total in (0.0, float(len(values))):
        return Estimate.share(round(total), len(values))
    counts = np.bincount(group_of).astype(np.float64)
    sums = np.bincount(group_of, values.astype(np.float64))
    random, even = np.random.default_rng(seed), np.full(len(counts), 1 / len(counts))
    means = []
    for _ in range(resamples):
        drawn = random.multinomial(len(counts), even)
        means.append((drawn @ sums) / (drawn @ counts))
    return Estimate.bootstrap(total / len(values), np.array(means))


@dataclass(frozen=True)
class CoverageCurve:
    """How right the answers are when only the surest are given; every list has one value a point.

    Attributes:
        threshold: the confidence from which on answers are given, falling.
        coverage: share of the texts that are answered, rising to 1.
        accuracy: share of these answers that are right.
        area: mean accuracy over all coverages; 1 less the "area under the risk-coverage curve".
    """

    threshold: list[float]
    coverage: list[float]
    accuracy: list[float]
    area: float


def coverage_curve(confidence: Floats, correct: NDArray[np.bool_], points: int = 200) -> CoverageCurve:
    """Accuracy against coverage (El-Yaniv and Wiener 2010). Answers of equal confidence stand or fall together.

    Args:
        confidence: (n,) probability of the label given, n at least 1.
        correct: (n,) whether it was right.
        points: most points of the curve; the area is that of all of them.
    """
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence = np.asarray(confidence, dtype=np.float64)[order]
    right = np.cumsum(correct[order])
    ends = np.flatnonzero(np.append(np.diff(sorted_confidence) != 0, True))
    given = ends + 1
    # Within a tie the order means nothing: right answers are expected evenly along it.
    every = np.arange(1, len(order) + 1)
    area = float((np.interp(every, np.append(0, given), np.append(0, right[ends])) / every).mean())
    if len(ends) > points:
        chosen = np.unique(np.linspace(0, len(ends) - 1, points).round().astype(np.int64))
        ends, given = ends[chosen], given[chosen]
    return CoverageCurve(
        sorted_confidence[ends].tolist(), (given / len(order)).tolist(), (right[ends] / given).tolist(), area
    )


def ranks(values: Floats) -> NDArray[np.float64]:
    """(n,) places in rising order, equal values at the mean of their places."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[place.reshape(-1)])


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(part / whole)


def normalised_answer(text: str) -> str:
    """An answer without what does not count: case, marks of ASCII, English articles, blanks (Rajpurkar et al. 2016).

    Example:
        >>> normalised_answer("  The Rhine, (a) river")
        'rhine river'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_MARKS)).split())


def exact_match(prediction: str, truths: Sequence[str]) -> bool:
    """Whether an answer is one of those that annotators gave, apart from what `normalised_answer` takes away.

    Args:
        prediction: the answer; an empty text stands for "no answer".
        truths: those of the annotators; none, or empty ones alone, when there is no answer to find (SQuAD 2.0).

    Example:
        >>> exact_match("Rhine", ["the Rhine", "the river Rhine"])
        True
    """
    return normalised_answer(prediction) in _true_answers(truths)


def answer_f1(prediction: str, truths: Sequence[str]) -> float:
    """F1 of the words that an answer shares with the truth, for the annotator it is nearest to.

    Words are those of `normalised_answer`, each counted as often as it stands there. Where the truth is "no answer",
    or the prediction is, it is 1 when both are and 0 otherwise (Rajpurkar et al. 2018). Arguments as for `exact_match`.

    Example:
        >>> answer_f1("the long river Rhine", ["the river Rhine", "Rhine"])
        0.8
    """
    given = normalised_answer(prediction).split()
    return max(_shared_words(given, truth.split()) for truth in _true_answers(truths))


def _true_answers(truths: Sequence[str]) -> list[str]:
    """The normalised truths; what is nothing but articles and marks counts only where there is nothing else."""
    return [found for truth in truths if (found := normalised_answer(truth))] or [""]


def _shared_words(given: Sequence[str], true: Sequence[str]) -> float:
    if not given or not true:
        return float(given == true)
    shared = (Counter(given) & Counter(true)).total()
    return 2 * shared / (len(given) + len(true))


def count_entities(truth: Sequence[Iterable[Entity]], found: Sequence[Iterable[Entity]], types: Sequence[str]) -> Tally:
    """Entities of each text by type, as the script conlleval counts them (Tjong Kim Sang and De Meulder 2003).

    An entity is right when its type, its first and its last word are.

    Args:
        truth: for each text its entities: (type, first word, the word behind the last one).
        found: the same of the answers.
        types: by which to count; no entity is of another.

    Returns:
        A tally of (texts, types), for `pool_texts`, `pool_types` and `resample_texts`.

    Example:
        >>> tally = count_entities([[("PER", 0, 2), ("LOC", 4, 5)]], [[("PER", 0, 2), ("LOC", 3, 5)]], ["LOC", "PER"])
        >>> tally.right.tolist(), entity_f1(tally)
        ([[0.0, 1.0]], 0.5)
    """
    number = {name: place for place, name in enumerate(types)}
    counts = np.zeros((3, len(truth), len(types)))
    for row, (true, given) in enumerate(zip(truth, found, strict=True)):
        there, answered = set(true), set(given)
        for table, entities in zip(counts, (there & answered, there, answered), strict=True):
            for name, _, _ in entities:
                table[row, number[name]] += 1
    return Tally(*counts)


def pool_texts(tally: Tally) -> Tally:
    """(..., types) counts of all texts together, of (..., texts, types) as `count_entities` gives them."""
    return Tally(tally.right.sum(-2), tally.occurs.sum(-2), tally.answered.sum(-2))


def pool_types(tally: Tally) -> Tally:
    """(..., 1) counts of all types together, of (..., types): their figures are the micro-averaged ones."""
    return Tally(*(part.sum(-1, keepdims=True) for part in (tally.right, tally.occurs, tally.answered)))


def entity_f1(tally: Tally) -> float:
    """Micro-averaged F1 of the entities of all texts; 0, as conlleval has it, where none is right."""
    return float(np.nan_to_num(pool_types(pool_texts(tally)).f1_scores)[0])


def resample_texts(tally: Tally, resamples: int = RESAMPLES, seed: int = 0) -> Tally:
    """(resamples, types) counts of bootstrap resamples of texts.

    The entities of a text depend on each other, so texts are drawn, not entities. Texts with equal counts are drawn
    together, from a multinomial distribution.

    Args:
        tally: (texts, types).
        resamples: how many.
        seed: of the draws.
    """
    rows = np.concatenate([tally.right, tally.occurs, tally.answered], axis=1)
    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    total = int(counts.sum())
    drawn = np.random.default_rng(seed).multinomial(total, counts / total, resamples).astype(np.float64)
    return Tally(*np.split(drawn @ kinds, 3, axis=1))
