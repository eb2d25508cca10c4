"""The parts of the page about pre-training: beside the Trainer, from text to shards, BASE and LARGE."""

from __future__ import annotations

from against_trainer import DEFAULTS, OURS, OURS_SMALL
from page_parts import Goal, Result, table

SHARDS, WHOLE, SENTENCES = (
    "polarbert, from file to shards",
    "tokenizers, whole books",
    "tokenizers, sentence by sentence",
)
TIMES_GOAL, SHARE_GOAL = 2.0, 0.8

WORDS = """\
The loop behind `polarbert pretrain` and `BertForPreTraining` under the `transformers` Trainer, from the same new
network ({network}; {parameters:,} parameters). Each learns the same {sequences:,} sequences of at most {length}
pieces once, hidden in the same places: pairs of segments of real books, one in ten of them short; {tokens:,} pieces
in all, padding not counted. Timed are the steps alone. Every run is a process of its own with {threads} threads.
"""

LEGEND = """\
- **Trainer, fp32 defaults**: batches of 8 sequences in random order. **bf16, grouped by length**: batches about as
  large as Polarbert's. Its rates and rounding are the Trainer's own; both compute logits at every position.
- **polarbert**: the settings of `recipes/pretrain/tiny.toml` with dropout 0.1, as the Trainer has; packed batches,
  logits at hidden places alone, bf16 where the processor computes in it.
- **times defaults**, **times grouped**: how many times faster than the Trainer of the same round; the median over
  {rounds} rounds.
- **loss**: both losses over 100 of these sequences after the run, in float32. A pass is far too short to learn much;
  the figure shows that everybody did learn. The peak rate is the same for all, and larger batches make fewer steps of
  it.
"""

SHARDS_WORDS = """\
{books:,} books of plain text, {characters:,} characters, {pieces:,} pieces in {sentences:,} sentences. The library
alone gets the texts in memory, as whole books, cut into passages, or cut into sentences, with its fastest call on all
threads, and throws the answers away. Polarbert reads the Parquet file, cuts sentences, tokenises and writes the
shards; words that it has met before it does not cut again. Its own work runs on one thread, so with many processors
the library alone is ahead.
"""

PAIRS_WORDS = """\
Sequences are made of the shards anew in each pass over the corpus, on one thread:
"""

LARGE_WORDS = """\
Twenty real steps of each, on text from books (pre-training) and reviews (fine-tuning), from random weights,
{tokens:,} pieces a step, sequences of at most {length} pieces, {threads} threads. **Years**: what the paper's whole
pre-training, some {billions:.0f} thousand million pieces, would take at the speed measured here; nobody should.
Sequences of 512 are slower than these, so it is the least.
"""


def goals(result: Result) -> list[Goal]:
    """Against the Trainer's defaults: speed as the recipe is set, and speed and memory with batches of its size."""
    found = result["contestants"]
    peak, their_peak = found[OURS_SMALL]["peak_bytes"]["median"], found[DEFAULTS]["peak_bytes"]["median"]
    asked = f"at least {TIMES_GOAL:.0f} times the Trainer's fp32 defaults"
    goals = []
    for name, how in ((OURS, ""), (OURS_SMALL, ", fp32, batches as small")):
        times = found[name]["times_defaults"]["median"]
        what = f"pre-training a small network, real tokens a second{how}"
        goals.append(Goal(what, asked, f"{times:.2f} times", times >= TIMES_GOAL))
    measured = f"{peak / 1e6:,.0f} MB against {their_peak / 1e6:,.0f} MB"
    what = "pre-training a small network, peak memory, batches as small"
    return [*goals, Goal(what, "below the Trainer's fp32 defaults", measured, peak < their_peak)]


def section(result: Result) -> str:
    """What was done, the table and what its columns mean."""
    names = ("network", "parameters", "sequences", "length", "tokens", "threads")
    rows = [
        [
            name,
            figures["precision"],
            figures["batch"],
            f"{figures['tokens_per_second']['median']:,.0f}",
            f"{figures['times_defaults']['median']:.2f}",
            f"{figures['times_grouped']['median']:.2f}",
            f"{figures['seconds']['median']:.1f}",
            f"{figures['seconds']['p95']:.1f}",
            f"{figures['peak_bytes']['median'] / 1e6:,.0f}",
            f"{figures['loss']['median']:.2f}",
        ]
        for name, figures in result["contestants"].items()
    ]
    header = ["", "computes in", "batch", "tokens/s", "times defaults", "times grouped", "median s", "p95 s"]
    found = table([*header, "peak MB", "loss"], rows, numbers=7)
    words = WORDS.format(**{name: result[name] for name in names})
    return f"{words}\n{found}\n{LEGEND.format(rounds=result['rounds'])}"


def shards_goals(result: Result) -> list[Goal]:
    """Against the library alone."""
    share = result["contestants"][SHARDS]["share_of_fastest_tokenizers"]["median"]
    return [
        Goal(
            "tokenising to shards",
            f"at least {SHARE_GOAL:.0%} of the speed of `tokenizers` alone",
            f"{share:.0%}",
            share >= SHARE_GOAL,
        )
    ]


def shards_section(result: Result) -> str:
    """Tokenising, and making pairs."""
    rows = [
        [
            name,
            f"{figures['pieces_per_second']['median']:,.0f}",
            f"{figures['share_of_fastest_tokenizers']['median']:.2f}",
            f"{figures['seconds']['median']:.2f}",
            f"{figures['seconds']['p95']:.2f}",
            f"{figures['peak_bytes']['median'] / 1e6:,.0f}",
        ]
        for name, figures in result["contestants"].items()
    ]
    pairs = [[name, f"{figures['pieces_per_second']['median']:,.0f}"] for name, figures in result["pairs"].items()]
    words = SHARDS_WORDS.format(**{name: result[name] for name in ("books", "characters", "pieces", "sentences")})
    speed = table(["", "pieces/s", "of the fastest", "median s", "p95 s", "peak MB"], rows, numbers=5)
    return f"{words}\n{speed}\n{PAIRS_WORDS}\n{table(['sequences', 'pieces/s'], pairs, numbers=1)}"


def large_section(result: Result) -> str:
    """Steps of BASE and LARGE, and what the paper's would take."""
    rows = [
        [
            name,
            f"{run['parameters'] / 1e6:,.1f} M",
            run["precision"],
            f"{run['tokens_per_second']:,.1f}",
            f"{run['peak_bytes'] / 1e9:.1f}",
            f"{run['paper_years']:,.1f}" if "paper_years" in run else "",
        ]
        for name, run in result["runs"].items()
    ]
    words = LARGE_WORDS.format(
        billions=result["paper_pieces"] / 1e9, **{name: result[name] for name in ("tokens", "length", "threads")}
    )
    return f"{words}\n{table(['', 'parameters', 'computes in', 'tokens/s', 'peak GB', 'years'], rows, numbers=3)}"
