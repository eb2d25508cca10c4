"""How faithful explanations are, and what they cost.

    python benchmarks/explanations.py

Takes about ten minutes on two processors. Writes benchmarks/results/explanations.json.

Faithful: of each text the words are left out one by one, the heaviest first, and the model is asked again. The sooner
the probability of its answer falls, the better the weights say what it rests on; the figure is the area under that
curve, so less is better. Other orders of the same words stand beside: at random, by leaving each word out once, by each
word alone, and by the attention that [CLS] pays in the float network. Only texts are taken whose answer is sure.

Cost: time of `model.explain` for one text at a time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import common
import texts
from polarbert import Explanation, SentimentModel, load
from polarbert.model import BertForSequenceClassification

PACKAGES = ("onnxruntime", "tokenizers", "torch")
OURS, LEFT_OUT, ALONE = "explain", "leave one out", "each word alone"
ATTENTION, RANDOM = "attention", "at random"
LONG_CONTESTANTS = (OURS, ATTENTION, RANDOM)
SHORT_WORDS, LONG_WORDS = (10, 40), (120, 380)
RANDOM_ORDERS = 5
STEPS = 10  # of the curve that is kept
TIMED_WORDS = {"25 words": 25, "100 words": 100, "250 words": 250, "5,000 words": 5000}

Weigh = Callable[[Explanation], NDArray[np.float64]]


class Contestants:
    """Ways to weigh the words of a text.

    Args:
        model: what is explained.
    """

    def __init__(self, model: SentimentModel) -> None:
        self._model = model
        self._network = BertForSequenceClassification.from_pretrained(model.bundle.path).eval()
        self.ways: dict[str, Weigh] = {
            OURS: lambda found: np.array([word.weight for word in found.words]),
            LEFT_OUT: self._left_out,
            ALONE: self._alone,
            ATTENTION: self._attention,
        }

    def chances(self, label: str, asked: Sequence[str]) -> NDArray[np.float64]:
        """(texts,) the probability of the label."""
        return np.array([answer.probabilities[label] for answer in self._model.predict(asked)])

    def _left_out(self, found: Explanation) -> NDArray[np.float64]:
        words = range(len(found.words))
        return -self.chances(found.label, [without(found, [number]) for number in words])

    def _alone(self, found: Explanation) -> NDArray[np.float64]:
        return self.chances(found.label, [word.text for word in found.words])

    def _attention(self, found: Explanation) -> NDArray[np.float64]:
        """What [CLS] attends to in the last layer: the mean over its heads, summed over the pieces of a word."""
        tokenizer = self._model.tokenizer
        pieces = tokenizer.encode([found.text], offsets=True)[0]
        ids = torch.tensor([[tokenizer.cls_id, *pieces.ids[: self._model.bundle.window - 2], tokenizer.sep_id]])
        with torch.inference_mode():
            attentions = self._network.bert(ids, output_attentions=True).attentions
        if attentions is None:  # they were asked for
            raise SystemExit("the network gave no attention")
        paid = attentions[-1][0].mean(0)[0].numpy()
        weights = np.zeros(len(found.words))
        starts = np.array([word.start for word in found.words])
        for place, (start, _) in enumerate(pieces.offsets[: len(paid) - 2], start=1):
            weights[np.searchsorted(starts, start, side="right") - 1] += paid[place]
        return weights


def without(found: Explanation, numbers: Sequence[int]) -> str:
    """The text without some of its words."""
    left_out = set(numbers)
    parts, at = [], 0
    for number, word in enumerate(found.words):
        parts += [found.text[at : word.start], "" if number in left_out else word.text]
        at = word.end
    return "".join([*parts, found.text[at:]])


def curve(contestants: Contestants, found: Explanation, order: NDArray[np.int64]) -> NDArray[np.float64]:
    """(STEPS + 1,) the probability of the label when so many tenths of the words are gone, in that order."""
    cuts = [round(len(order) * step / STEPS) for step in range(STEPS + 1)]
    return contestants.chances(found.label, [without(found, order[:cut].tolist()) for cut in cuts])


def area(values: NDArray[np.float64]) -> float:
    """Under a curve over the share of words that are gone."""
    return float((values[1:] + values[:-1]).mean() / 2)


def judge(
    contestants: Contestants, model: SentimentModel, chosen: Sequence[str], names: Sequence[str]
) -> dict[str, Any]:
    """Mean areas and curves, and by how much the area of each other contestant is larger than ours."""
    random = np.random.default_rng(0)
    curves: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for number, text in enumerate(chosen):
        found = model.explain(text)
        for name in names:
            orders = (
                [random.permutation(len(found.words)) for _ in range(RANDOM_ORDERS)]
                if name == RANDOM
                else [np.argsort(-contestants.ways[name](found), kind="stable")]
            )
            curves[name].append(np.mean([curve(contestants, found, order) for order in orders], axis=0))
        if number % 50 == 49:
            common.say(f"{number + 1} texts")
    ours = [area(values) for values in curves[OURS]]
    return {name: _figures([area(v) for v in found], ours, found) for name, found in curves.items()}


def _figures(areas: list[float], ours: list[float], curves: list[NDArray[np.float64]]) -> dict[str, Any]:
    more = [one - other for one, other in zip(areas, ours, strict=True)]
    error = stdev(more) / len(more) ** 0.5 if len(more) > 1 else 0.0
    return {
        "area": round(mean(areas), 4),
        "more_than_explain": round(mean(more), 4),
        "standard_error": round(error, 4),
        "curve": [round(float(value), 4) for value in np.mean(curves, axis=0)],
    }


def cost(model: SentimentModel, rows: Sequence[str], counts: dict[str, int]) -> dict[str, Any]:
    """Seconds for one text of so many words, and for its answer alone."""
    found: dict[str, Any] = {}
    for name, words in TIMED_WORDS.items():
        asked = cut_to(rows, words, counts[name])
        for text in asked[:2]:
            model.explain(text)  # warms up what the first call of a length pays
        seconds, answer_seconds, readings = [], [], []
        for text in asked:
            started = time.perf_counter()
            readings.append(model.explain(text).n_readings)
            seconds.append(time.perf_counter() - started)
            started = time.perf_counter()
            model.predict([text])
            answer_seconds.append(time.perf_counter() - started)
        found[name] = {
            "seconds": common.summary(seconds),
            "answer_seconds": common.summary(answer_seconds),
            "readings": round(mean(readings), 1),
        }
        common.say(f"{name}: median {found[name]['seconds']['median'] * 1000:.0f} ms")
    return found


def cut_to(rows: Sequence[str], words: int, count: int) -> list[str]:
    """Texts of exactly so many words between blanks: the beginnings of longer ones, or several in a row."""
    found, collected = [], list[str]()
    for row in rows:
        collected += row.split()
        if len(collected) >= words:
            found.append(" ".join(collected[:words]))
            collected = []
        if len(found) == count:
            break
    return found


def chosen_texts(model: SentimentModel, rows: Sequence[str], words: tuple[int, int], count: int) -> list[str]:
    """Texts of a length whose answer is sure."""
    fitting = [row for row in rows if words[0] <= len(row.split()) <= words[1]]
    return [text for text, answer in zip(fitting, model.predict(fitting), strict=True) if not answer.unsure][:count]


def main() -> None:
    """Measure and keep the result."""
    options = _options()
    common.say("looking whether the machine is idle")
    busy = common.busy_share()
    model = load(options.model, threads=options.threads)
    contestants = Contestants(model)
    kinds = (texts.tweets, texts.reviews, texts.app_reviews)
    short = [row.text for kind in kinds for row in kind(options.texts * 3)]
    long = [row.text for row in texts.film_reviews(max(400, options.long_texts * 3))]
    third = options.texts // 3
    picked = [
        text
        for kind in kinds
        for text in chosen_texts(model, [row.text for row in kind(options.texts * 3)], SHORT_WORDS, third)
    ]
    timed = {
        name: options.timed if words <= 100 else max(3, options.timed // 10) for name, words in TIMED_WORDS.items()
    }
    values = {
        "model": model.bundle.fingerprint(),
        "engine": model.engine.name,
        "threads": model.engine.threads,
        "cost": cost(model, short + long, timed),
        "short": {
            "texts": len(picked),
            "words": round(mean(len(text.split()) for text in picked), 1),
            "contestants": judge(contestants, model, picked, [*contestants.ways, RANDOM]),
        },
    }
    picked = chosen_texts(model, long, LONG_WORDS, options.long_texts)
    values["long"] = {
        "texts": len(picked),
        "words": round(mean(len(text.split()) for text in picked), 1),
        "contestants": judge(contestants, model, picked, LONG_CONTESTANTS),
    }
    if not options.trial:
        common.write_result("explanations", busy, PACKAGES, values)
    _show(values)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a bundle with its weights; the embedded model unless given")
    parser.add_argument("--texts", type=int, default=300, help="short texts to judge on (default 300)")
    parser.add_argument("--long-texts", type=int, default=30, help="film reviews to judge on (default 30)")
    parser.add_argument("--timed", type=int, default=100, help="texts to time, a tenth of the long ones (default 100)")
    parser.add_argument("--threads", type=int, default=common.usable_processors(), help="default: all")
    parser.add_argument("--trial", action="store_true", help="a few texts; the result is not kept")
    options = parser.parse_args()
    if options.trial:
        options.texts, options.long_texts, options.timed = 15, 2, 10
    return options


def _show(values: dict[str, Any]) -> None:
    for name in ("short", "long"):
        common.say(f"{name}: {values[name]['texts']} texts of {values[name]['words']} words")
        for contestant, found in values[name]["contestants"].items():
            more = f"{found['more_than_explain']:+.4f} ± {1.96 * found['standard_error']:.4f}"
            common.say(f"  {contestant:16} area {found['area']:.4f}  more than ours {more}")
    for name, found in values["cost"].items():
        seconds = found["seconds"]
        common.say(f"{name}: median {seconds['median'] * 1000:.0f} ms, p95 {seconds['p95'] * 1000:.0f} ms")


if __name__ == "__main__":
    main()
