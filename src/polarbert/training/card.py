"""The model card, README.md of a bundle: what went in, what came out, what to beware of. It holds no dates or times."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polarbert.bundle import Bundle
from polarbert.data.dataset import CLASS_TASKS
from polarbert.inference.evaluation import ClassFigures, Evaluation
from polarbert.inference.lines import percent
from polarbert.metrics import Estimate
from polarbert.training.base import EMBEDDED
from polarbert.training.card_kinds import ABOUT, TWO_TEXTS, about_of
from polarbert.training.kinds import Judgement
from polarbert.training.recipe import FineTuneSettings

EMBEDDED_BASE = "sentence-transformers/all-MiniLM-L6-v2"
MAX_NOTES = 12
_METRICS = {  # as the Hub calls them
    "macro-F1": "f1",
    "entity F1": "f1",
    "answer F1": "f1",
    "F1": "f1",
    "macro-recall": "recall",
    "Pearson": "pearsonr",
    "Spearman": "spearmanr",
    "mean error": "mae",
}


@dataclass(frozen=True)
class CardFacts:
    """What a model card is written from.

    Attributes:
        bundle: the model, calibrated.
        settings: how it was trained.
        data: name of the source of the texts.
        rows: rows of each part, by part and class.
        notes: what was assumed of the data, how the parts were made, and what leaks between them.
        base: name of the base, and its id on the Hub where it has one.
        longest: most word pieces read at once in training.
        reading: what became of longer texts there; empty where there were none.
        unit: what the rows are called.
        run: the loop's summary: steps, best step, pieces trained on.
        versions: of what the weights depend on besides the settings.
        measure: what the dev score is called.
        dev: figures of the best model on the dev part, by name.
        evaluation: on the test part; None when there is none.
        export: the export report.
    """

    bundle: Bundle
    settings: FineTuneSettings
    data: str
    rows: Mapping[str, Mapping[str, int]]
    notes: Sequence[str]
    base: tuple[str, str | None]
    longest: int
    reading: Sequence[str]
    unit: str
    run: Mapping[str, Any]
    versions: Mapping[str, str]
    measure: str
    dev: Mapping[str, float]
    evaluation: Judgement | None
    export: Mapping[str, Any]


def model_card(facts: CardFacts) -> str:
    """The card as Markdown, with the header that the Hugging Face Hub reads."""
    parts = [_header(facts), _title(facts), _usage(facts), _figures(facts), _confidence(facts), _int8(facts)]
    parts += [_data(facts), _training(facts), _limits(facts), _again(facts)]
    return "\n\n".join("\n".join(part) for part in map(list, parts) if part) + "\n"


def _is_mixed(facts: CardFacts) -> bool:
    """Whether it reads several layers, which other libraries do not know."""
    return facts.settings.transfer.layers != "last"


def _header(facts: CardFacts) -> Iterator[str]:
    name, hub_id = facts.base
    base = EMBEDDED_BASE if name == EMBEDDED else hub_id
    yield "---"
    about = about_of(facts.bundle)
    yield f"pipeline_tag: {about.pipeline}"
    yield f"library_name: {'polarbert' if _is_mixed(facts) else 'transformers'}"
    yield f"tags: [polarbert, {about.tag}]"
    if base is not None:
        yield f"base_model: {_quoted(base)}"
    if facts.evaluation is not None and not facts.settings.trial:
        yield from _model_index(facts, facts.evaluation)
    yield "---"


def _model_index(facts: CardFacts, evaluation: Judgement) -> Iterator[str]:
    data = _quoted(facts.data)
    yield "model-index:"
    yield f"- name: {_quoted(_name(facts))}"
    yield "  results:"
    yield f"  - task: {{type: {ABOUT[facts.bundle.task].pipeline}}}"
    yield f"    dataset: {{name: {data}, type: {data}, split: test}}"
    yield "    metrics:"
    for name, estimate in evaluation.headline().items():
        kind = _METRICS.get(name, name.lower().replace(" ", "_"))
        yield f"    - {{type: {kind}, name: {name}, value: {estimate.value:.4f}}}"


def _title(facts: CardFacts) -> Iterator[str]:
    yield f"# {_name(facts)}"
    yield ""
    if facts.settings.trial:
        yield "> **A trial, not a model.** It was trained on a few rows to see that every step works. Do not use it."
        yield ""
    weights = "opens the weights"
    if _is_mixed(facts):
        weights = "does not open the weights, since the output layer reads several layers"
    made = "Fine-tuned with Polarbert, which scores with the graph in this directory"
    yield f"{_what(facts)} {made}; `transformers` {weights}."


def _what(facts: CardFacts) -> str:
    task, labels = facts.bundle.task, facts.bundle.labels
    if task == "tagging":
        labels = sorted({label[2:] for label in labels if label != "O"})
    *others, last = labels
    named = f"{', '.join(others)} {'or' if task == 'sentiment' else 'and'} {last}" if others else last
    return about_of(facts.bundle).what.format(labels=named)


def _usage(facts: CardFacts) -> Iterator[str]:
    about = about_of(facts.bundle)
    yield "## Use it"
    yield ""
    yield "```console"
    yield f"$ polarbert predict --model THIS_DIRECTORY {about.usage[0]}"
    yield f"$ polarbert score IN.csv -o OUT.csv {about.columns} --model THIS_DIRECTORY"
    yield "```"
    yield ""
    yield "```python"
    yield "import polarbert"
    yield ""
    yield f'polarbert.load("THIS_DIRECTORY").predict({about.usage[1]})'
    yield "```"
    yield ""
    yield f"Texts longer than {facts.bundle.window} word pieces are read {about.window}."


def _figures(facts: CardFacts) -> Iterator[str]:
    evaluation = facts.evaluation
    yield "## Figures"
    yield ""
    if evaluation is None:
        figures = ", ".join(f"{name} {_shown(facts, value)}" for name, value in facts.dev.items())
        yield f"There was no test part. On the dev part, which chose this model and so flatters it: {figures}."
        return
    of = "Of the graph that scores, on the test part: "
    of += f"{evaluation.n:,} {facts.unit} that neither trained the model nor chose it."
    if isinstance(evaluation, Evaluation):
        label, share = evaluation.most_frequent
        of += f" Always answering {label!r} would have an accuracy of {percent(share)}."
    yield of
    yield ""
    yield "| | | 95% interval |"
    yield "|---|--:|---|"
    yield from (_row(facts, name, estimate) for name, estimate in evaluation.headline().items())
    if isinstance(evaluation, Evaluation):
        yield ""
        yield f"| class | {facts.unit} | precision | recall | F1 |"
        yield "|---|--:|--:|--:|--:|"
        yield from (_class_row(figures) for figures in evaluation.classes)


def _confidence(facts: CardFacts) -> Iterator[str]:
    calibration, target = facts.bundle.calibration, f"{facts.settings.target_accuracy * 100:g}%"
    if facts.bundle.task == "regression":
        return
    yield "## Confidence"
    yield ""
    fitted = f"Temperature {calibration.temperature} and the unsure threshold {calibration.unsure_below:.3g}"
    nothing = (
        " No confidence reached that there, so every answer is marked unsure." if calibration.unsure_below == 1 else ""
    )
    yield f"{fitted} were fitted on the dev part, so that {target} of the answers not marked unsure are right.{nothing}"
    if not isinstance(facts.evaluation, Evaluation):
        return
    sure, error = facts.evaluation.sure, facts.evaluation.calibration
    right = "" if sure.accuracy is None else f", and {percent(sure.accuracy.value)} of these are right"
    yield (
        f"On the test part {percent(sure.share)} of the answers are not marked unsure{right}. The expected calibration "
        f"error is {percent(error.ece)} there; of a perfectly calibrated model as few {facts.unit} would show "
        f"{percent(error.by_chance)}."
    )


def _int8(facts: CardFacts) -> Iterator[str]:
    proof = facts.export["int8"]
    yield "## What int8 costs"
    yield ""
    what = ABOUT[facts.bundle.task].decision
    inputs = f"{proof['texts']:,} {facts.unit}"
    of = f"{percent(proof['flips'])} of {inputs} get another label in int8 than from the float graph."
    if what == "tag":
        of = f"In {inputs}, {percent(proof['flips'])} of the words that either graph takes for a part of an entity get "
        of += "another tag in int8 than from the float graph."
    elif what != "label":
        moved = "moves by more than a twentieth of the range" if what == "value" else "is another"
        share = f"In {percent(proof['flips'])} of cases, over {proof['texts']:,} inputs, "
        of = f"{share}the {what} {moved} in int8 than from the float graph."
    yield of
    if facts.bundle.precision != "int8":
        yield f"So the float graph is used, which is slower and exact: {'; '.join(proof['problems'])}."


def _data(facts: CardFacts) -> Iterator[str]:
    has_classes = facts.bundle.task in CLASS_TASKS
    labels = facts.bundle.labels if has_classes else []
    yield "## Data"
    yield ""
    yield f"{facts.data}, in {facts.unit}:"
    yield ""
    yield f"| part | {''.join(f'{_cell(label)} | ' for label in labels)}all |"
    yield f"|---|{'--:|' * (len(labels) + 1)}"
    for part, counts in facts.rows.items():
        cells = "".join(f"{counts.get(label, 0):,} | " for label in labels)
        yield f"| {part} | {cells}{sum(counts.values()):,} |"
    if facts.notes:
        yield ""
        yield from (f"- {note}" for note in facts.notes[:MAX_NOTES])
        if len(facts.notes) > MAX_NOTES:
            yield f"- and {len(facts.notes) - MAX_NOTES} more notes"


def _training(facts: CardFacts) -> Iterator[str]:
    settings, training, run = facts.settings, facts.settings.training, facts.run
    counts = "class" if settings.class_weights else about_of(facts.bundle).learned
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    figures = ", ".join(f"{name} {_shown(facts, value)}" for name, value in facts.dev.items())
    yield "## Training"
    yield ""
    yield f"- Base: {facts.base[0]}. Its encoder was kept, the output layer is new."
    yield f"- {run['step']:,} steps over {run['tokens']:,} word pieces, each {counts} counting nearly the same."
    yield from _read(facts)
    yield f"- The model of step {run['best_step']:,} had the best {facts.measure} on the dev part: {figures}."
    yield f"- Seed {training.seed}, {training.precision} on {settings.device}, threads {training.threads}, {versions}."


def _read(facts: CardFacts) -> Iterator[str]:
    """What the network saw of the texts in training, and sees of those that it answers."""
    seen = "; ".join(facts.reading) or "none to learn from was longer"
    yield f"- At most {facts.longest} word pieces were read at once, also of what chose the model: {seen}."
    whole = "of a pair all of the first text" if about_of(facts.bundle).usage == TWO_TEXTS else "all of a text"
    yield f"- Answering, it reads {whole}."


def _limits(facts: CardFacts) -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield f"- It knows texts like those in {facts.data}. On others expect lower figures, and too much confidence."
    yield "- A text of another kind or language gets an answer too, often a confident and wrong one."
    yield "- The labels are those people gave; where they contradict each other, no model can be right each time."
    if facts.bundle.task == "sentiment":
        yield (
            "- How it behaves on negation, bare facts, typos, names and groups of people is not in this card: "
            "`polarbert evaluate THIS_DIRECTORY --behaviour` tells it."
        )
    yield "- It was not tested for equal treatment of groups of people. Do not decide about persons with it."


def _again(facts: CardFacts) -> Iterator[str]:
    base = "" if facts.base[0] == EMBEDDED else ", and the base with `--base`"
    yield "## Make it again"
    yield ""
    yield (
        "`training/settings.toml` holds all settings, `training/splits.json` the parts: `polarbert train` takes them "
        f"with `--config` and `--splits`{base}. With the same data and build of PyTorch, every file comes out the same."
    )


def _name(facts: CardFacts) -> str:
    return f"{ABOUT[facts.bundle.task].title} of texts like those in {facts.data}"


def _row(facts: CardFacts, name: str, figure: Estimate) -> str:
    value, low, high = (_shown(facts, number) for number in (figure.value, figure.low, figure.high))
    return f"| {name} | {value} | {low} to {high} |"


def _shown(facts: CardFacts, figure: float) -> str:
    """A share as a percentage; figures of numbers are no shares."""
    return f"{figure:.3f}" if facts.bundle.task == "regression" else percent(figure)


def _class_row(figures: ClassFigures) -> str:
    f1 = None if figures.f1 is None else figures.f1.value
    shares = ("-" if share is None else percent(share) for share in (figures.precision, figures.recall, f1))
    return f"| {_cell(figures.label)} | {figures.support:,} | {' | '.join(shares)} |"


def _cell(text: str) -> str:
    """Text that does not end a table's cell or line."""
    return " ".join(text.replace("|", "\\|").split())


def _quoted(text: str) -> str:
    """A JSON string without the characters that YAML does not take as they stand."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else "\ufffd" for c in quoted)
