"""The model card, written from figures alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PARTS = {
    "playstore": "Google Play app reviews",
    "tweets": "SemEval 2013-17 tweets",
    "sst2": "SST-2 film reviews (two classes)",
    "sst5": "SST-5 film reviews, as three classes",
    "imdb": "IMDb film reviews, whole (two classes)",
    "clothing": "women's clothing reviews",
}
HEADER = """---
license: apache-2.0
language: en
pipeline_tag: text-classification
library_name: transformers
base_model: sentence-transformers/all-MiniLM-L6-v2
---
# Polarbert embedded model, edition 2

Says of an English text whether its sentiment is negative, neutral or positive. BERT with 6 layers, hidden size 384 and
22.7 million parameters; `polarbert` scores with the int8 graph in this directory, `transformers` opens the weights.
"""
DATA = """
## What it learned from

Texts cut to 160 word pieces (head and tail); no text of a dev part is in the training part.

- Google Play app reviews (public user posts; stars 1-2, 3 and 4-5 as the three classes)
- SemEval 2013-17 tweets, as in TweetEval (research data)
- SST-2 phrases and SST-5 sentences (Stanford Sentiment Treebank)
- 8,000 IMDb reviews (Maas et al. 2011)
- women's clothing reviews (CC0)

SST-2 and IMDb have no neutral class: their texts teach nothing about neutral, its logit is left out of their loss.
"""
LIMITS = """
## Limits

- English. Other languages get an answer, often a confident and wrong one; so does gibberish.
- Three-star reviews are the hard part: what counts as neutral differs between collections and between people.
- It misses plain praise at times, above all of places and people: "The staff were so kind and the room was spotless. We
  will be back." comes out negative.
- Sarcasm is mostly missed. One verdict a text: opposite verdicts on two aspects come out as a mixture.
- Texts beyond the window are read in overlapping windows whose probabilities are averaged by length.
- It was not tested for equal treatment of groups of people. Do not decide about persons with it.
- `unsure` marks answers below the threshold and texts without words. It was set on the collections above: on other
  texts measure it again.
"""


def write_card(folder: Path, figures: dict[str, Any], export: dict[str, Any], training: dict[str, Any]) -> None:
    """Write README.md of the bundle.

    Args:
        folder: the bundle.
        figures: from `build.judge`.
        export: the export report.
        training: settings, environment and summary of the run.
    """
    measured = [_accuracy(figures), _confidence(figures), _int8(export)]
    sections = [HEADER, *measured, DATA, _cost(training), LIMITS, _remake()]
    (folder / "README.md").write_text("\n".join(section.strip() + "\n" for section in sections), "utf-8")


def _accuracy(figures: dict[str, Any]) -> str:
    rows = [
        f"| {PARTS[name]} | {p['texts']:,} | {p['accuracy']:.1%} | {p['macro_f1']:.1%} | {p['macro_recall']:.1%} |"
        for name, p in figures["parts"].items()
    ]
    head = (
        "## Dev figures\n\nOf the int8 graph, on texts it was not trained on. The best of eight checkpoints was chosen "
        "on these parts, so expect slightly less elsewhere.\n\n"
    )
    table = ["| texts | n | accuracy | macro-F1 | macro-recall |", "|---|---|---|---|---|", *rows]
    return head + "\n".join(table) + "\n\nA part with two classes is judged between those two."


def _confidence(figures: dict[str, Any]) -> str:
    c = figures["calibration"]
    return (
        "## Confidence\n\n"
        f"Temperature {c['temperature']} and the unsure threshold {c['unsure_below']} were fitted on half of the "
        f"three-class dev texts and judged on the other half ({c['texts']:,} texts): expected calibration error "
        f"{c['expected_calibration_error']:.1%} (15 bins of equal mass); {c['share_answered']:.1%} of the answers are "
        f"not marked unsure and {c['accuracy_when_answered']:.1%} of those are right, against "
        f"{c['accuracy_of_all']:.1%} of all."
    )


def _int8(export: dict[str, Any]) -> str:
    proof = export["int8"]
    drop = sum(s["before"] - s["after"] for s in proof["sets"].values()) / len(proof["sets"])
    return (
        "## What int8 costs\n\n"
        f"On {proof['texts']:,} dev texts {proof['flips']:.2%} of the labels differ from the float graph's; accuracy "
        f"changes by {-drop * 100:+.2f} points on average."
    )


def _cost(training: dict[str, Any]) -> str:
    summary, environment, settings = training["summary"], training["environment"], training["settings"]
    if not summary:
        return ""
    return (
        "## What it cost\n\n"
        f"{summary['tokens']:,} word pieces in {summary['steps']:,} steps ({settings['epochs']:g} passes, batches of "
        f"{settings['batch_tokens']:,} pieces, peak rate {settings['learning_rate']:g}): {summary['seconds'] / 60:.0f} "
        f"minutes on {environment['threads']} threads of an {environment['processor']}, PyTorch {environment['torch']}."
    )


def _remake() -> str:
    return "## Remake it\n\n    python recipes/embedded/train.py && python recipes/embedded/build.py"
