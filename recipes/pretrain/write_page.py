"""What docs/concepts/pretraining.md, with its picture, and docs/how-to/adapt.md have of recipes/pretrain/results.

    python recipes/pretrain/write_page.py

A test compares the pages with what this makes, so no figure in that part can be typed in.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from polarbert.files import write_whole

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "concepts" / "pretraining.md"
PICTURE = PAGE.with_name("pretraining-curves.svg")
ADAPT_PAGE = ROOT / "docs" / "how-to" / "adapt.md"
RESULTS = Path(__file__).with_name("results") / "tiny.json"
ADAPT_RESULTS = RESULTS.with_name("adapt.json")
BLOCK = re.compile(r"(?<=<!-- results -->\n).*?(?=<!-- /results -->)", re.DOTALL)
NAMES = {"sst2": "SST-2, sentences of film reviews", "trec": "TREC, kinds of questions", "playstore": "reviews of apps"}
TEXTS = {"books": "books not learned from", "wikitext2": "WikiText-2, validation part"}
GREY, BLUE, ORANGE = "#7d8590", "#2f81f7", "#e8772e"  # legible on light and on dark pages


def main() -> None:
    """Write pages and picture."""
    results = json.loads(RESULTS.read_text("utf-8"))
    found = {PAGE: figures(results), ADAPT_PAGE: adapted(json.loads(ADAPT_RESULTS.read_text("utf-8")))}
    for page, part in found.items():
        write_whole(page, _with_results(page.read_text("utf-8"), part).encode("utf-8"))
    write_whole(PICTURE, draw(results).encode("utf-8"))


def _with_results(page: str, part: str) -> str:
    return BLOCK.sub(lambda _: part, page)


def figures(results: dict[str, Any]) -> str:
    """Cost, what was learned, and what fine-tuning gains, as Markdown."""
    return "\n".join([cost(results), "", texts(results), "", gains(results), ""])


def adapted(results: dict[str, Any]) -> str:
    """What reading reviews without labels gains, by the number of labels."""
    rows = [
        "| labels | base as it is | after reading | gain | two standard errors |",
        "|---|--:|--:|--:|--:|",
    ]
    for count, found in results["labels"].items():
        cells = " | ".join(f"{found[one]['mean']:.1%} ± {found[one]['sd']:.1%}" for one in ("as it is", "adapted"))
        name = "all 8,402" if count == "all" else f"{int(count):,}"
        rows.append(f"| {name} | {cells} | {100 * found['gain']:+.1f} | {200 * found['standard_error']:.1f} |")
    return "\n".join([*rows, ""])


def cost(results: dict[str, Any]) -> str:
    """What was spent."""
    summary, environment = results["summary"], results["environment"]
    return (
        f"{summary['steps']:,} steps over {summary['tokens'] / 1e6:.1f} million pieces took "
        f"{summary['seconds'] / 60:.0f} minutes on {environment['threads']} threads ({environment['processor']}, "
        f"PyTorch {environment['torch']}), {summary['tokens'] / summary['seconds']:,.0f} pieces a second."
    )


def texts(results: dict[str, Any]) -> str:
    """Losses and accuracies on texts that were not learned."""
    rows = [
        "| judged on | perplexity | hidden pieces named | next sentences told | [UNK] |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, found in results["held_out"].items():
        rows.append(
            f"| {TEXTS[name]} | {found['perplexity']:,.0f} | {found['masked_accuracy']:.1%} | "
            f"{found['next_sentence_accuracy']:.1%} | {found['unknown_share']:.2%} |"
        )
    return "\n".join(rows)


def gains(results: dict[str, Any]) -> str:
    """Accuracy on dev parts from either start."""
    rows = [
        "| fine-tuned on | from random weights | from the pre-trained | gain | two standard errors | rates |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for name, found in results["gains"].items():
        cells = " | ".join(f"{found[one]['mean']:.1%} ± {found[one]['sd']:.1%}" for one in ("random", "pre-trained"))
        gain, error = 100 * found["gain"], 200 * found["standard_error"]
        rates = " and ".join(f"{found[one]['rate']:g}" for one in ("random", "pre-trained"))
        rows.append(f"| {NAMES[name]} | {cells} | {gain:+.1f} | {error:.1f} | {rates} |")
    return "\n".join(rows)


def draw(results: dict[str, Any]) -> str:
    """Both losses by step, in training and on the dev part."""
    curves = results["curves"]
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "polarbert", "font.size": 10, "text.color": GREY}):
        picture = Figure(figsize=(7.6, 3.2), layout="constrained")
        for place, (name, title) in enumerate((("masked_lm", "masked LM"), ("next_sentence", "next sentence")), 1):
            axes = picture.add_subplot(1, 2, place)
            training = [(one["step"], one[name]) for one in curves["log"]]
            judged = [(one["step"], one[f"{name}_loss"]) for one in curves["evaluations"]]
            axes.plot(*zip(*training, strict=True), color=BLUE, linewidth=0.8, alpha=0.6, label="training")
            axes.plot(*zip(*judged, strict=True), color=ORANGE, linewidth=2, marker="o", markersize=3, label="held out")
            axes.set_title(title, color=GREY)
            axes.set_xlabel("step", color=GREY)
            if place == 1:
                axes.set_ylabel("loss, in nats", color=GREY)
            axes.tick_params(colors=GREY)
            for side in ("left", "bottom"):
                axes.spines[side].set_color(GREY)
            for side in ("right", "top"):
                axes.spines[side].set_visible(False)
            axes.legend(frameon=False, labelcolor=GREY)
        buffer = io.StringIO()
        picture.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return re.sub(r"[ \t]+$", "", buffer.getvalue(), flags=re.MULTILINE)


if __name__ == "__main__":
    main()
