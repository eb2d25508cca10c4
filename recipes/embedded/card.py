"""The model card, written from figures alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PARTS = {
    "playstore": "Google Play app reviews",
    "tweets": "SemEval 2013-17 tweets",
    "sst2": "SST-2 film reviews (two classes)",
    "sst5": "SST-5 film reviews, as three classes",
    "imdb": "IMDb film reviews, whole (two classes)",
    "clothing": "women's clothing reviews",
    "restaurants": "restaurant reviews, towards an aspect",
    "laptops": "laptop reviews, towards an aspect",
    "persons": "tweets, towards a person, product or company",
    "posts": "tweets rated by 20 people",
    "products": "sentences of product reviews rated by 20 people",
    "news": "sentences of editorials rated by 20 people",
}
HEADER = """---
license: apache-2.0
language: en
pipeline_tag: text-classification
library_name: transformers
base_model: sentence-transformers/all-MiniLM-L6-v2
---
# Polarbert embedded model, edition {edition}

Says of an English text, or of what it says about an aspect, whether the sentiment is negative, neutral or positive.
BERT with 6 layers, hidden size 384 and 22.7 million parameters; `polarbert` scores with the int8 graph in this
directory, `transformers` opens the weights. An aspect is the second segment: `[CLS] text [SEP] aspect [SEP]`;
`polarbert` reads the clauses that mention it once more by themselves, and answers with the mean.

    polarbert predict "Great screen, but the battery dies by noon"
    polarbert predict "Great screen, but the battery dies by noon" --aspect screen --aspect battery
"""
SOURCES = {
    "playstore": ("Google Play app reviews; stars 1-2, 3 and 4-5 as the three classes", "public user posts"),
    "tweets": ("SemEval 2013-17 tweets, as in TweetEval", "research data"),
    "sst2": ("SST-2 phrases (Stanford Sentiment Treebank)", "research data"),
    "sst5": ("SST-5 sentences, as three classes", "research data"),
    "imdb": ("IMDb reviews (Maas et al. 2011), another draw in each run", "research data"),
    "clothing": ("women's clothing reviews", "CC0"),
    "rated": ("tweets, product reviews and editorials, each rated by 20 people (Hutto and Gilbert 2014)", "MIT"),
    "restaurants": ("restaurant reviews with an aspect (SemEval-2014, task 4)", "research data"),
    "laptops": ("laptop reviews with an aspect (SemEval-2014, task 4)", "research data"),
    "persons": ("tweets with a person, product or company (Dong et al. 2014)", "research data"),
    "agreed": ("of these reviews, as whole texts, those that praise or blame all their aspects", "research data"),
    "unmentioned": ("of these reviews, texts of one kind with aspects of the other: neutral", "research data"),
    "generated": ("texts that the recipe generates", "our own"),
    "generated aspects": ("texts with an aspect that the recipe generates", "our own"),
    "clauses": ("of texts with an aspect, once more, only the clauses that mention it", "as above"),
    "unclear": ("letters without sense, strings of foreign words: a third for each class", "our own"),
}
DATA = """
## What it learned from

Texts cut to 160 word pieces (head and tail); no text of a dev part is in the training part. Two second runs, each with
other generated texts and other film and clothing reviews, went on from the first one's best model, and a third run from
the mean of them: 35% of the first run's weights and 32.5% of each second one's. The weights here are a mean again: 30%
of that mean's, and 70% of the third run's.

{table}

SST-2 and IMDb have no neutral class: their texts teach nothing about neutral, its logit is left out of their loss.
Ratings by many people are learned as the shares of people who would choose each class. From the second runs on
every tenth whole text has an address, a handle or a hashtag that says nothing, and about one in twenty is misspelt.
Reviews, posts and sentences of three classes count half by their label and half by what the model said before, in the
third run a quarter and three quarters. In second runs collected texts with an aspect came three times and rated ones
twice, in the third run SST-5 sentences twice. The third run's generated texts have more words and templates.
"""
LIMITS = """
## Limits

- English. Other languages get an answer, often a confident and wrong one; so does gibberish at times.
- Three-star reviews are the hard part: what counts as neutral differs between collections and between people.
- Opposite verdicts on two aspects of one text: three in ten come out wrong (above), most often where the text does not
  name the aspect, or where both stand in one clause. The verdict on the whole text draws the others to it.
- It misses plain praise at times: "The staff were so kind and the room was spotless. We will be back." comes out
  negative.
- Double negation, idioms, comparisons ("my old one was worse") and denied blame are misread in one of five cases
  (above); turns of phrase that it did not learn are too ("My only regret is not buying it sooner").
- Sarcasm is mostly missed.
- Texts beyond the window are read in overlapping windows whose probabilities are averaged by length.
- Confidence was fitted on the collections above, and the model learned from other texts of all of them, so on a domain
  it never saw expect it to be too sure: measure it there before you rely on `unsure`.
- Names, groups and places are exchanged in the behaviour suite (above), which is far from a proof of equal treatment.
  Do not decide about persons with it.
- The suite and the generated training texts share no template and no word list, but the same people wrote both.
"""
REMAKE = "## Remake it\n\n    python recipes/embedded/train.py && python recipes/embedded/build.py"

Figures = Mapping[str, Any]


def write_card(folder: Path, figures: Figures, export: Figures) -> None:
    """Write README.md of the bundle.

    Args:
        folder: the bundle.
        figures: from `build.judge`, with "runs" (settings, environment and summary of each, by what it is called) and
            "learned" (how many texts each run learned from, by the name of their part).
        export: the export report.
    """
    measured = [_accuracy(figures), _aspects(figures), _confidence(figures["calibration"]), _behaviour(figures)]
    measured.append(_plain(figures["plain"]))
    header = HEADER.format(edition=figures["edition"])
    sections = [header, *measured, _int8(export), _data(figures["learned"]), _cost(figures["runs"]), LIMITS, REMAKE]
    (folder / "README.md").write_text("\n".join(section.strip() + "\n" for section in sections), "utf-8")


def _accuracy(figures: Figures) -> str:
    head = (
        "## Dev figures\n\nOf the int8 graph, on texts it was not trained on, each with its 95% interval (bootstrap). "
        "The best checkpoint was chosen on these parts, so expect slightly less elsewhere.\n\n"
    )
    return head + _part_table(figures["parts"]) + "\n\nA part with two classes is judged between those two."


def _aspects(figures: Figures) -> str:
    conflicts = figures["conflicts"]
    return (
        "## Aspects\n\n" + _part_table(figures["aspects"]) + "\n\nWhere a text praises one aspect and blames another, "
        f"{_share(conflicts['accuracy'])} of {conflicts['pairs']} such verdicts are right, in {conflicts['texts']} "
        f"texts; one and the same verdict for all would get {conflicts['one_answer']:.1%} of them."
    )


def _part_table(parts: Figures) -> str:
    measures = ("accuracy", "macro_f1", "macro_recall")
    rows = [
        f"| {PARTS[name]} | {part['texts']:,} | " + " | ".join(_share(part[one]) for one in measures) + " |"
        for name, part in parts.items()
    ]
    return "\n".join(["| texts | n | accuracy | macro-F1 | macro-recall |", "|---|---|---|---|---|", *rows])


def _confidence(found: Figures) -> str:
    intro = (
        "## Confidence\n\n"
        f"Temperature {found['temperature']} and the unsure threshold {found['unsure_below']} are fitted on all dev "
        f"texts of three classes. What follows is cross-fitted: every text is judged with numbers fitted on the other "
        f"{found['folds'] - 1} of {found['folds']} parts. Expected calibration error (15 bins of equal mass, "
        f"{found['texts']:,} texts): {_error(found['expected_calibration_error'])}.\n"
    )
    return "\n".join([intro, *_thresholds(found), "", *_left_out(found["left_out"])])


def _thresholds(found: Figures) -> Iterator[str]:
    yield "| wanted: right among the answers given | threshold | texts answered | right among them |"
    yield "|---|---|---|---|"
    for target, one in found["thresholds"].items():
        right = _share(one["accuracy_when_answered"])
        yield f"| {float(target):.0%} | {one['threshold']:.3f} | {one['share_answered']:.1%} | {right} |"
    yield ""
    yield (
        f"Of all answers {found['accuracy_of_all']:.1%} are right. `unsure` marks those below the first threshold and "
        "texts without words; take another with `--min-confidence`."
    )


def _left_out(domains: Figures) -> Iterator[str]:
    yield (
        "With a temperature that was not fitted on the domain: for whole texts one of all other domains of whole "
        "texts, for aspects the bundle's own (the network itself has learned from texts of each):"
    )
    yield ""
    yield "| domain | n | temperature | expected calibration error |"
    yield "|---|---|---|---|"
    for name, one in domains.items():
        error = _error(one["expected_calibration_error"])
        yield f"| {PARTS[name]} | {one['texts']:,} | {one['temperature']:.2f} | {error} |"


def _behaviour(figures: Figures) -> str:
    found = figures["behaviour"]
    rows = [
        f"| {one['group']} | {one['name']} | {one['kind']} | {one['cases']:,} | {_share(one['rate'])} | "
        f"{'' if one['limit'] is None else format(one['limit'], '.0%')} |"
        for one in found["results"]
    ]
    head = (
        f"## Behaviour\n\n`polarbert evaluate --behaviour`, suite {found['digest']}: {found['failed']:,} of "
        f"{found['cases']:,} cases fail ({found['failed'] / found['cases']:.1%}), {found['kept']} of "
        f"{found['gated']} limits are kept. The share that fails, with its 95% interval, and the limit where there is "
        "one:\n\n"
    )
    table = ["| group | capability | test | cases | failed | limit |", "|---|---|---|---|---|---|", *rows]
    return head + "\n".join(table)


def _plain(found: Figures) -> str:
    known, fresh = found["parts"]["known"], found["parts"]["fresh"]
    return (
        "## Plain sentences\n\n"
        "Of sentences as anybody writes them, about which nobody would argue (ours: recipes/embedded/plain.csv), "
        f"{fresh['right']} of {fresh['texts']} come out right, and of the wrong ones {fresh['wrong_and_sure']} without "
        "being unsure. Of those that were read before the training texts got more turns of phrase, "
        f"{known['right']} of {known['texts']}."
    )


def _int8(export: Figures) -> str:
    proof = export["int8"]
    drop = sum(s["before"] - s["after"] for s in proof["sets"].values()) / len(proof["sets"])
    return (
        "## What int8 costs\n\n"
        f"On {proof['texts']:,} dev texts {proof['flips']:.2%} of the labels differ from the float graph's; accuracy "
        f"changes by {-drop * 100:+.2f} points on average."
    )


def _data(learned: Figures) -> str:
    rows = [
        f"| {what} | " + " | ".join(f"{run.get(name, 0):,}" for run in learned.values()) + f" | {terms} |"
        for name, (what, terms) in SOURCES.items()
    ]
    rows.append("| all | " + " | ".join(f"{sum(run.values()):,}" for run in learned.values()) + " | |")
    heads = " | ".join(f"{name} run" for name in learned)
    table = "\n".join([f"| texts | {heads} | terms |", "|---|" + "--:|" * len(learned) + "---|", *rows])
    return DATA.format(table=table)


def _cost(runs: Figures) -> str:
    lines = ["## What it cost", ""]
    for name, run in runs.items():
        summary, environment, settings = run["summary"], run["environment"], run["settings"]
        lines.append(
            f"- {name.capitalize()} run: {summary['tokens']:,} word pieces in {summary['steps']:,} steps "
            f"({settings['epochs']:g} passes, batches of {settings['batch_tokens']:,} pieces, "
            f"peak rate {settings['learning_rate']:g}): "
            f"{summary['seconds'] / 60:.0f} minutes on {environment['threads']} thread(s) of an "
            f"{environment['processor']}, PyTorch {environment['torch']}."
        )
    return "\n".join(lines)


def _share(found: list[float]) -> str:
    value, low, high = found
    return f"{value:.1%} ({100 * low:.1f}-{100 * high:.1f})"


def _error(found: Figures) -> str:
    return (
        f"{found['measured']:.1%} (chance alone {found['by_chance']:.1%}; without chance {_share(found['corrected'])})"
    )
