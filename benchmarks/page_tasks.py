"""The part of the page about the kinds of task: training and answering beside `transformers`."""

from __future__ import annotations

from against_trainer import OURS
from chart import bar_chart
from page_parts import Goal, Result, table

PIPELINE = "transformers"
TIMES_GOAL = 1.5
CHART = "benchmarks-tasks.svg"

WORDS = """\
Each kind of task on one public set, from the same encoder ({model}): the loop behind `polarbert train` and the Trainer
as the examples of `transformers` use it learn the same rows once. Pieces are counted without padding, and timed are the
steps alone. Every run is a process of its own; training runs on {device}, with {threads} threads on a processor.

![Real tokens a second of each kind of task: the Trainer with its defaults, and polarbert]({chart})
"""

LEGEND = """\
- **Trainer, fp32 defaults**: batches of 8 in random order, padded to the longest of the batch; of passages, windows as
  long as Polarbert's.
- **polarbert**: as `polarbert train` does it with data of the usual size, batches counted in pieces and bf16 where the
  hardware computes in it.
- **times defaults**: how many times faster than the Trainer of the same round; the median over {rounds} rounds.
"""

SCORING_WORDS = """\
A model that Polarbert trained on these rows as `polarbert train` does, for minutes at the most, answers rows that it
has not seen, on the processor, from raw texts to answers: the bundle as `polarbert.load` opens it, and the pipeline of
`transformers` on the same weights in float32.
"""

SCORING_LEGEND = """\
- **computes in**: int8, or float32 where the int8 graph changed more decisions than the export allows; a model that has
  learned so little is often unsure between two answers.
- **ratio**: how many times faster than the better batch size of the pipeline in the same round; the median over
  {rounds} rounds.
- **score**: the measure named, of all answers. Tags: the F1 of entities that are right to the character, since each
  side finds the words of a text itself. Passages: the newest `transformers` has no pipeline for them, so its side is
  what its example does, in windows of 384 pieces.
"""


def goals(result: Result) -> list[Goal]:
    """Training, against the Trainer's defaults."""
    found = []
    for task in result["tasks"].values():
        times = task["training"][OURS]["times_defaults"]["median"]
        what = f"fine-tuning on {task['title']} ({task['kind']}), real tokens a second"
        asked = f"at least {TIMES_GOAL} times the Trainer's fp32 defaults"
        found.append(Goal(what, asked, f"{times:.2f} times", times >= TIMES_GOAL))
    return found


def section(result: Result) -> str:
    """What was done, the chart, both tables and what their columns mean."""
    device = {"cpu": "the processor", "cuda": "the GPU"}[result["device"]]
    words = WORDS.format(chart=CHART, device=device, model=result["model"], threads=result["threads"])
    legends = [text.format(rounds=result["rounds"]) for text in (LEGEND, SCORING_LEGEND)]
    parts = [words, _training_table(result), legends[0], "### Answering\n", SCORING_WORDS, _scoring_table(result)]
    return "\n".join([*parts, legends[1]])


def chart(result: Result) -> str:
    """Tokens a second."""
    groups = {
        f"{task['title']}: {task['kind']}": {
            name: figures["tokens_per_second"]["median"] for name, figures in task["training"].items()
        }
        for task in result["tasks"].values()
    }
    return bar_chart("Fine-tuning each kind of task", "real tokens a second, more is better", groups, highlighted=OURS)


def _training_table(result: Result) -> str:
    rows = [
        [
            f"{task['title']}: {task['kind']}",
            name,
            figures["precision"],
            figures["batch"],
            f"{figures['rows']:,}",
            f"{figures['tokens']:,}",
            f"{figures['tokens_per_second']['median']:,.0f}",
            f"{figures['seconds']['median']:.1f}",
            f"{figures['seconds']['p95']:.1f}",
            f"{figures['times_defaults']['median']:.2f}",
        ]
        for task in result["tasks"].values()
        for name, figures in task["training"].items()
    ]
    header = ["set", "", "computes in", "batch", "rows", "pieces", "tokens/s", "median s", "p95 s", "times defaults"]
    return table(header, rows, numbers=6)


def _scoring_table(result: Result) -> str:
    rows = [
        [
            f"{task['title']}: {task['kind']}",
            name.partition(", ")[0] if name.startswith(OURS) else name,
            task["scoring"]["precision"] if name.startswith(OURS) else "float32",
            task["scoring"]["measure"],
            f"{task['scoring']['texts']:,}",
            f"{figures['texts_per_second']:,.1f}",
            f"{figures['seconds']['median']:.2f}",
            f"{figures['seconds']['p95']:.2f}",
            f"{figures['ratio']['median']:.2f}",
            f"{figures['score']:.3f}",
        ]
        for task in result["tasks"].values()
        for name, figures in task["scoring"]["contestants"].items()
    ]
    header = ["set", "", "computes in", "measure", "texts", "texts/s", "median s", "p95 s", "ratio", "score"]
    return table(header, rows, numbers=6)
