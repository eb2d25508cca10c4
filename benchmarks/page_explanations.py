"""The part of the page about explanations: what they are worth, and what they cost."""

from __future__ import annotations

from chart import bar_chart
from page_parts import Goal, Result, table

OURS, ATTENTION, RANDOM = "explain", "attention", "at random"
ORDINARY, LIMIT = "25 words", 0.1
CHART = "benchmarks-explanations.svg"
KINDS = {"short": "short texts", "long": "whole reviews"}

WORDS = """\
Words are left out of a text one after the other, the heaviest first, and the model is asked again. The sooner the
probability of its answer falls, the better the weights say what the answer rests on. The figure is the area under that
curve, from 0 to 1; less is better. Judged are {short} short texts of {short_words} words (mean) and {long} reviews of
{long_words}, all of them with answers that are sure.

![Area under the probability of the answer while words are left out, by order of leaving out]({chart})
"""

LEGEND = """\
- **explain**: the weights of `polarbert explain`.
- **leave one out**: by how much the probability falls when only that word is left out.
- **each word alone**: the probability of the label for that word as the whole text.
- **attention**: what [CLS] attends to in the last layer of the float network, mean of its heads.
- **at random**: the mean of five orders.
- **after 20%**, **after 50%**: the mean probability of the answer when so many words are gone.
- **more than explain**: the mean difference of the areas, text by text, with its 95% interval.
"""

COST_WORDS = """\
One text at a time, {threads} threads, {engine}:
"""

COST_LEGEND = """\
- **readings**: how many texts the network reads for an explanation, most of them shorter than the text itself.
- **answer ms**: the median time of the answer without an explanation.
"""


def goals(result: Result) -> list[Goal]:
    """Time of an ordinary text, and areas below those of random orders and of attention, beyond chance."""
    p95 = result["cost"][ORDINARY]["seconds"]["p95"]
    timed = f"{p95 * 1000:.0f} ms in 95% of cases"
    found = [Goal("explaining a text of 25 words", "under 100 ms", timed, p95 < LIMIT)]
    for kind, name in KINDS.items():
        for other in (RANDOM, ATTENTION):
            figures = result[kind]["contestants"][other]
            more, reach = figures["more_than_explain"], 1.96 * figures["standard_error"]
            what = f"words of {name} left out by weight, against {other}"
            found.append(Goal(what, "less area, beyond chance", f"{more:.3f} ± {reach:.3f} less", more > reach))
    return found


def section(result: Result) -> str:
    """What was done, the chart, both tables and what their columns mean."""
    words = WORDS.format(
        chart=CHART,
        short=result["short"]["texts"],
        short_words=result["short"]["words"],
        long=result["long"]["texts"],
        long_words=result["long"]["words"],
    )
    cost = COST_WORDS.format(threads=result["threads"], engine=result["engine"])
    return "\n".join([words, _areas(result), LEGEND, cost, _costs(result), COST_LEGEND])


def chart(result: Result) -> str:
    """Areas."""
    groups = {
        name: {who: figures["area"] for who, figures in result[kind]["contestants"].items()}
        for kind, name in KINDS.items()
    }
    unit = "area under the probability, less is better"
    return bar_chart("Leaving words out", unit, groups, highlighted=OURS, digits=3)


def _areas(result: Result) -> str:
    rows = [
        [
            name,
            who,
            f"{figures['area']:.3f}",
            f"{figures['curve'][2]:.3f}",
            f"{figures['curve'][5]:.3f}",
            "" if who == OURS else f"{figures['more_than_explain']:+.3f} ± {1.96 * figures['standard_error']:.3f}",
        ]
        for kind, name in KINDS.items()
        for who, figures in result[kind]["contestants"].items()
    ]
    return table(["texts", "left out by", "area", "after 20%", "after 50%", "more than explain"], rows, numbers=4)


def _costs(result: Result) -> str:
    rows = [
        [
            name,
            f"{found['readings']:,.0f}",
            f"{found['seconds']['median'] * 1000:,.0f}",
            f"{found['seconds']['p95'] * 1000:,.0f}",
            f"{found['answer_seconds']['median'] * 1000:,.1f}",
            f"{found['seconds']['n']}",
        ]
        for name, found in result["cost"].items()
    ]
    return table(["text", "readings", "median ms", "p95 ms", "answer ms", "n"], rows, numbers=5)
