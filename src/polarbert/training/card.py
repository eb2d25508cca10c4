"""The model card, README.md of a bundle: what went in, what came out, what to beware of. It holds no dates or times."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polarbert.bundle import Bundle
from polarbert.inference.evaluation import ClassFigures, Evaluation
from polarbert.inference.evaluation_text import percent
from polarbert.metrics import Estimate
from polarbert.training.base import EMBEDDED
from polarbert.training.recipe import FineTuneSettings

EMBEDDED_BASE = "sentence-transformers/all-MiniLM-L6-v2"
MAX_NOTES = 12


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
        longest: most word pieces of a text in training.
        run: the loop's summary: steps, best step, pieces trained on.
        versions: of what the weights depend on besides the settings.
        dev: figures of the best model on the dev part.
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
    run: Mapping[str, Any]
    versions: Mapping[str, str]
    dev: Mapping[str, float]
    evaluation: Evaluation | None
    export: Mapping[str, Any]


def model_card(facts: CardFacts) -> str:
    """The card as Markdown, with the header that the Hugging Face Hub reads."""
    parts = [_header(facts), _title(facts), _usage(facts), _figures(facts), _confidence(facts), _int8(facts)]
    parts += [_data(facts), _training(facts), _limits(facts), _again(facts)]
    return "\n\n".join("\n".join(part) for part in map(list, parts) if part) + "\n"


def _header(facts: CardFacts) -> Iterator[str]:
    name, hub_id = facts.base
    base = EMBEDDED_BASE if name == EMBEDDED else hub_id
    yield "---"
    yield "pipeline_tag: text-classification"
    yield "library_name: transformers"
    yield f"tags: [polarbert, {'sentiment-analysis' if facts.bundle.task == 'sentiment' else 'text-classification'}]"
    if base is not None:
        yield f"base_model: {_quoted(base)}"
    if facts.evaluation is not None and not facts.settings.trial:
        yield from _model_index(facts, facts.evaluation)
    yield "---"


def _model_index(facts: CardFacts, evaluation: Evaluation) -> Iterator[str]:
    data = _quoted(facts.data)
    yield "model-index:"
    yield f"- name: {_quoted(_name(facts))}"
    yield "  results:"
    yield "  - task: {type: text-classification}"
    yield f"    dataset: {{name: {data}, type: {data}, split: test}}"
    yield "    metrics:"
    yield f"    - {{type: accuracy, value: {evaluation.accuracy.value:.4f}}}"
    yield f"    - {{type: f1, name: macro-F1, value: {evaluation.macro_f1.value:.4f}}}"


def _title(facts: CardFacts) -> Iterator[str]:
    is_sentiment = facts.bundle.task == "sentiment"
    *others, last = facts.bundle.labels
    labels = f"{', '.join(others)} {'or' if is_sentiment else 'and'} {last}"
    yield f"# {_name(facts)}"
    yield ""
    if facts.settings.trial:
        yield "> **A trial, not a model.** It was trained on a few rows to see that every step works. Do not use it."
        yield ""
    what = (
        f"Says whether the sentiment of a text is {labels}." if is_sentiment else f"Sorts texts into classes: {labels}."
    )
    yield (
        f"{what} Fine-tuned with Polarbert, which scores with the graph in this directory; `transformers` opens "
        "the weights."
    )


def _usage(facts: CardFacts) -> Iterator[str]:
    yield "## Use it"
    yield ""
    yield "```console"
    yield '$ polarbert predict --model THIS_DIRECTORY "A text"'
    yield "$ polarbert score IN.csv -o OUT.csv --text-column TEXT --model THIS_DIRECTORY"
    yield "```"
    yield ""
    yield "```python"
    yield "import polarbert"
    yield ""
    yield 'polarbert.load("THIS_DIRECTORY").predict(["A text"])'
    yield "```"
    yield ""
    yield f"Texts longer than {facts.bundle.window} word pieces are read in windows whose probabilities are averaged."


def _figures(facts: CardFacts) -> Iterator[str]:
    evaluation = facts.evaluation
    yield "## Figures"
    yield ""
    if evaluation is None:
        figures = f"accuracy {percent(facts.dev['dev_accuracy'])}, macro-F1 {percent(facts.dev['dev_macro_f1'])}"
        yield f"There was no test part. On the dev part, which chose this model and so flatters it: {figures}."
        return
    label, share = evaluation.most_frequent
    yield (
        f"Of the graph that scores, on the test part: {evaluation.n:,} texts that neither trained the model nor chose "
        f"it. Always answering {label!r} would have an accuracy of {percent(share)}."
    )
    yield ""
    yield "| | | 95% interval |"
    yield "|---|--:|---|"
    yield _row("accuracy", evaluation.accuracy)
    yield _row("macro-F1", evaluation.macro_f1)
    yield _row("macro-recall", evaluation.macro_recall)
    yield ""
    yield "| class | texts | precision | recall | F1 |"
    yield "|---|--:|--:|--:|--:|"
    yield from (_class_row(figures) for figures in evaluation.classes)


def _confidence(facts: CardFacts) -> Iterator[str]:
    calibration, target = facts.bundle.calibration, f"{facts.settings.target_accuracy * 100:g}%"
    yield "## Confidence"
    yield ""
    fitted = f"Temperature {calibration.temperature} and the unsure threshold {calibration.unsure_below:.3g}"
    nothing = (
        " No confidence reached that there, so every answer is marked unsure." if calibration.unsure_below == 1 else ""
    )
    yield f"{fitted} were fitted on the dev part, so that {target} of the answers not marked unsure are right.{nothing}"
    if facts.evaluation is None:
        return
    sure, error = facts.evaluation.sure, facts.evaluation.calibration
    right = "" if sure.accuracy is None else f", and {percent(sure.accuracy.value)} of these are right"
    yield (
        f"On the test part {percent(sure.share)} of the answers are not marked unsure{right}. The expected calibration "
        f"error is {percent(error.ece)} there; of a perfectly calibrated model as few texts would show "
        f"{percent(error.by_chance)}."
    )


def _int8(facts: CardFacts) -> Iterator[str]:
    proof = facts.export["int8"]
    yield "## What int8 costs"
    yield ""
    yield f"{percent(proof['flips'])} of {proof['texts']:,} texts get another label in int8 than from the float graph."
    if facts.bundle.precision != "int8":
        yield f"So the float graph is used, which is slower and exact: {'; '.join(proof['problems'])}."


def _data(facts: CardFacts) -> Iterator[str]:
    labels = facts.bundle.labels
    yield "## Data"
    yield ""
    yield f"{facts.data}, in texts:"
    yield ""
    yield f"| part | {' | '.join(map(_cell, labels))} | all |"
    yield f"|---|{'--:|' * (len(labels) + 1)}"
    for part, counts in facts.rows.items():
        cells = [f"{counts.get(label, 0):,}" for label in labels]
        yield f"| {part} | {' | '.join(cells)} | {sum(counts.values()):,} |"
    if facts.notes:
        yield ""
        yield from (f"- {note}" for note in facts.notes[:MAX_NOTES])
        if len(facts.notes) > MAX_NOTES:
            yield f"- and {len(facts.notes) - MAX_NOTES} more notes"


def _training(facts: CardFacts) -> Iterator[str]:
    settings, training, run = facts.settings, facts.settings.training, facts.run
    counts = "class" if settings.class_weights else "text"
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    figures = f"{percent(facts.dev['dev_macro_f1'])} there, accuracy {percent(facts.dev['dev_accuracy'])}"
    yield "## Training"
    yield ""
    yield f"- Base: {facts.base[0]}. Its encoder was kept, the output layer is new."
    yield f"- {run['step']:,} steps over {run['tokens']:,} word pieces, each {counts} counting the same."
    yield (
        f"- Texts were cut to {facts.longest} pieces, head and tail, also those that chose the model. Answering, it "
        "reads all of a text."
    )
    yield f"- The model of step {run['best_step']:,} had the best macro-F1 on the dev part: {figures}."
    yield f"- Seed {training.seed}, {training.precision} on {settings.device}, threads {training.threads}, {versions}."


def _limits(facts: CardFacts) -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield f"- It knows texts like those in {facts.data}. On others expect lower figures, and too much confidence."
    yield "- A text of another kind or language gets an answer too, often a confident and wrong one."
    yield "- The labels are those people gave; where they contradict each other, no model can be right each time."
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
    what = "Sentiment" if facts.bundle.task == "sentiment" else "Classes"
    return f"{what} of texts like those in {facts.data}"


def _row(name: str, figure: Estimate) -> str:
    return f"| {name} | {percent(figure.value)} | {percent(figure.low)} to {percent(figure.high)} |"


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
