"""The part of the page about training."""

from __future__ import annotations

from against_trainer import DEFAULTS, GROUPED, OURS
from chart import bar_chart
from page_parts import Goal, Result, table

TIMES_GOAL = 1.5
CHART = "benchmarks-training.svg"

WORDS = """\
The loop behind `polarbert train` and the `transformers` Trainer fine-tune the same network: the embedded model's
encoder under a new output layer, the same one for all. Each learns the same {texts:,} tweets and reviews once,
{tokens:,} word pieces in all; padding is not counted, so tokens/s are real ones. Timed are the steps alone: loading,
judging and saving are left out for everybody. Every run is a process of its own with {threads} threads.

![Real tokens a second: the Trainer in two settings, and polarbert]({chart})
"""

LEGEND = """\
- **{defaults}**: what a script gets that sets nothing: float32, batches of 8 texts in random order.
- **{grouped}**: `bf16=True`, texts of like length together, batches about as large as Polarbert's.
- **polarbert**: as `polarbert train` does it with data of the usual size: bf16 where the processor computes in it,
  batches counted in pieces.
- **{small}**: the same loop without bf16 and with batches as small as the Trainer's, which tells what the code brings
  from what the settings bring.
- **tokens/s**, **median s**, **p95 s**: of {rounds} runs.
- **times defaults**, **times grouped**: how many times faster than the Trainer of the same round, in either setting;
  the median over rounds.
- **peak MB**: largest resident memory up to the end of the steps; **loaded MB**: the same before the first of them.
- **loss**, **accuracy**: on {held} other texts, after the run, in float32; the median over rounds. Before training they
  are {loss:.3f} and {accuracy:.1%}. The encoder has learned sentiment already, so they show that speed is not bought
  with learning, and no more. The peak learning rate is 5e-5 for all; larger batches make fewer steps of it.
"""

ABLATION = """\
What two choices of the loop bring ([decision 2](decisions/0002-dropout-on-cpu.md)): {texts:,} texts once, {tokens:,}
word pieces, set as "polarbert" above, {rounds} runs of each.
"""


def goals(result: Result) -> list[Goal]:
    """Against both settings of the Trainer."""
    ours = result["contestants"][OURS]
    defaults, grouped = ours["times_defaults"]["median"], ours["times_grouped"]["median"]
    what = "fine-tuning, real tokens a second"
    return [
        Goal(
            what,
            f"at least {TIMES_GOAL} times the Trainer's fp32 defaults",
            f"{defaults:.2f} times",
            defaults >= TIMES_GOAL,
        ),
        Goal(what, "not below the Trainer in bf16, grouped by length", f"{grouped:.2f} times", grouped >= 1),
    ]


def section(result: Result) -> str:
    """What was done, the chart, the tables and what their columns mean."""
    small = next(name for name in result["contestants"] if name.startswith(f"{OURS}, "))
    words = WORDS.format(chart=CHART, **{name: result[name] for name in ("texts", "tokens", "threads")})
    legend = LEGEND.format(
        defaults=DEFAULTS,
        grouped=GROUPED,
        small=small,
        rounds=result["rounds"],
        held=result["held_texts"],
        **result["before"],
    )
    return f"{words}\n{_speed_table(result)}\n{_outcome_table(result)}\n{legend}"


def ablation(result: Result) -> str:
    """The table that decision 2 rests on."""
    rows = [
        [
            name,
            f"{figures['tokens_per_second']['median']:,.0f}",
            f"{figures['times_first']['median']:.2f}",
            f"{figures['peak_bytes']['median'] / 1e6:,.0f}",
            f"{figures['loss']['median']:.3f}",
        ]
        for name, figures in result["contestants"].items()
    ]
    words = ABLATION.format(**{name: result[name] for name in ("texts", "tokens", "rounds")})
    return f"{words}\n{table(['', 'tokens/s', 'times the first', 'peak MB', 'loss'], rows, numbers=4)}"


def chart(result: Result) -> str:
    """Tokens a second."""
    bars = {name: figures["tokens_per_second"]["median"] for name, figures in result["contestants"].items()}
    heading = (
        f"{result['texts']:,} texts of {result['mean_pieces']:.0f} word pieces on average, {result['threads']} threads"
    )
    return bar_chart("Fine-tuning", "real tokens a second, more is better", {heading: bars}, highlighted=OURS)


def _speed_table(result: Result) -> str:
    rows = [
        [
            name,
            figures["precision"],
            figures["batch"],
            f"{figures['steps']:,}",
            f"{figures['tokens_per_second']['median']:,.0f}",
            f"{figures['seconds']['median']:.1f}",
            f"{figures['seconds']['p95']:.1f}",
            f"{figures['times_defaults']['median']:.2f}",
            f"{figures['times_grouped']['median']:.2f}",
        ]
        for name, figures in result["contestants"].items()
    ]
    speed = ["tokens/s", "median s", "p95 s", "times defaults", "times grouped"]
    return table(["", "precision", "batch", "steps", *speed], rows, numbers=6)


def _outcome_table(result: Result) -> str:
    rows = [
        [
            name,
            f"{figures['peak_bytes']['median'] / 1e6:,.0f}",
            f"{figures['loaded_bytes']['median'] / 1e6:,.0f}",
            f"{figures['loss']['median']:.3f}",
            f"{figures['accuracy']['median']:.1%}",
        ]
        for name, figures in result["contestants"].items()
    ]
    return table(["", "peak MB", "loaded MB", "loss", "accuracy"], rows, numbers=4)
