"""What a model card says of each kind of task."""

from __future__ import annotations

from dataclasses import dataclass, replace

from polarbert.bundle import Bundle


@dataclass(frozen=True)
class About:
    """What a card says of a kind of task.

    Attributes:
        pipeline: name of the task on the Hugging Face Hub.
        tag: another one.
        title: what the model gives.
        what: a sentence on it; {labels} stands for the names of its classes.
        usage: arguments of `polarbert predict`, then those of `predict` in Python.
        decision: what int8 may change.
        window: what becomes of long texts.
        columns: arguments of `polarbert score`.
        learned: what counts the same in the loss.
    """

    pipeline: str
    tag: str
    title: str
    what: str
    usage: tuple[str, str]
    decision: str = "label"
    window: str = "in windows whose probabilities are averaged"
    columns: str = "--text-column TEXT"
    learned: str = "text"


_PAIR_COLUMNS = "--text-column FIRST --pair-column SECOND"
_ONE, TWO_TEXTS = ('"A text"', '["A text"]'), ('"A text" --pair "Another"', '["A text"], pairs=["Another"]')
_PAIRS_RATED = "Gives pairs of texts a number: {labels}."
_OF_ASPECTS = "Says whether the sentiment of a text, or of what it says about an aspect, is {labels}."
_ASPECT = ('"A text" --aspect battery', '["A text"], aspects=["battery"]')
_CLASSES = "Sorts texts into classes: {labels}."
ABOUT = {
    "sentiment": About(
        "text-classification",
        "sentiment-analysis",
        "Sentiment",
        "Says whether the sentiment of a text is {labels}.",
        _ONE,
    ),
    "classification": About("text-classification", "text-classification", "Classes", _CLASSES, _ONE),
    "pair": About(
        "text-classification",
        "text-pair-classification",
        "Classes",
        "Sorts pairs of texts into classes: {labels}.",
        TWO_TEXTS,
        columns=_PAIR_COLUMNS,
        learned="pair",
    ),
    "regression": About(
        "text-classification",
        "regression",
        "Numbers",
        "Gives texts a number: {labels}.",
        _ONE,
        "value",
        "in windows whose values are averaged",
    ),
    "tagging": About(
        "token-classification",
        "token-classification",
        "Entities",
        "Finds entities in texts: {labels}.",
        _ONE,
        "tag",
        "whole, in windows that overlap; of a word in two of them, the one that shows more of its surroundings counts",
        learned="word",
    ),
    "qa": About(
        "question-answering",
        "question-answering",
        "Answers to questions",
        "Answers a question with words of a given text.",
        ('"A question" --context "A text"', '"A question", "A text"'),
        "start or end",
        "whole, in windows that overlap",
        "--text-column PASSAGE --pair-column QUESTION",
        "window of a passage",
    ),
}


def about_of(bundle: Bundle) -> About:
    """What to say of a bundle's kind."""
    about = ABOUT[bundle.task]
    if bundle.task == "regression" and bundle.reads_pairs:
        return replace(about, what=_PAIRS_RATED, usage=TWO_TEXTS, columns=_PAIR_COLUMNS, learned="pair")
    if bundle.judges_aspects:
        columns = f"{about.columns} --aspect-column ASPECT"
        return replace(about, what=_OF_ASPECTS, usage=_ASPECT, columns=columns)
    return about
