"""Answers as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from polarbert.cli.options import printable, uses_colour
from polarbert.inference.by_sentence import BySentence, SentencePrediction
from polarbert.inference.prediction import Prediction, Rating

if TYPE_CHECKING:
    from polarbert.bundle import Bundle
    from polarbert.inference.answerer import Answer
    from polarbert.inference.tagger import Tagging

COLOURS = {"negative": typer.colors.RED, "neutral": typer.colors.YELLOW, "positive": typer.colors.GREEN}


def second_option(bundle: Bundle) -> str | None:
    """The option of `polarbert predict` that gives the second text; None where a model reads one."""
    return "--context" if bundle.task == "qa" else "--pair" if bundle.reads_pairs else None


def answer_line(text: str, answer: Any) -> str:
    """An answer of any kind of model, with the text it is about."""
    if isinstance(answer, Prediction | SentencePrediction):
        return _prediction(text, answer)
    if isinstance(answer, BySentence):
        found = [f"  {_prediction(one.text, one)}" for one in answer.sentences]
        return "\n".join([_prediction(text, answer.whole), *found])
    if isinstance(answer, Rating):
        return f"{answer.value:8.3f}  {_flat(text)}"
    return _entities(text, answer) if hasattr(answer, "entities") else _answer(text, answer)


def _entities(text: str, tagging: Tagging) -> str:
    """The text, and under it a line for each entity."""
    found = [
        f"  {_flat(entity.type):<12} {entity.confidence:4.0%}  {'unsure' if entity.unsure else '':<6}  "
        f"{entity.start}-{entity.end}  {_flat(entity.text)}"
        for entity in tagging.entities
    ]
    return "\n".join([_flat(text), *(found or ["  no entity"])])


def _answer(question: str, answer: Answer) -> str:
    said = "(no answer)" if answer.no_answer else _flat(answer.text)
    doubt = "unsure" if answer.unsure else ""
    return f"{answer.confidence:4.0%}  {doubt:<6}  {said}   <- {_flat(question)}"


def _prediction(text: str, answer: Prediction | SentencePrediction) -> str:
    if isinstance(answer, Prediction) and answer.aspect is not None:
        text = f"{answer.aspect}: {text}"
    label = f"{answer.label:<9}"
    if uses_colour():
        label = typer.style(label, fg=COLOURS.get(answer.label), bold=True)
    doubt = "unsure" if answer.unsure else ""
    return f"{label} {answer.confidence:4.0%}  {doubt:<6}  {_flat(text)}"


def _flat(text: str) -> str:
    return printable(" ".join(text.split()))
