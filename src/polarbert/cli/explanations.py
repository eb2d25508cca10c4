"""Explanations as lines for people."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from polarbert.cli.answers import answer_line
from polarbert.cli.options import printable
from polarbert.inference.explanation import Explanation, SentenceWeight, WordWeight
from polarbert.report.explanation import from_to

# Blue and orange are told apart by nearly everybody, and mean neither good nor bad.
FOR, AGAINST = (90, 160, 250), (240, 150, 60)
FAINT, STRONG = 0.12, 0.5  # shares of the largest weight: below the first a word is plain, from the second on bold
WORDS_OF_SENTENCE = 4


def explanation_lines(explanation: Explanation, colour: bool) -> str:
    """An explanation for a terminal, or without colours as aligned weights.

    Args:
        explanation: what to show.
        colour: mark the words themselves.
    """
    lines = [answer_line(_asked(explanation), explanation.prediction)]
    lines += _coloured(explanation) if colour else list(_aligned(explanation))
    return "\n".join([*lines, f"  {printable(from_to(explanation))}"])


def _asked(explanation: Explanation) -> str:
    """The text, and the second one; not an aspect, which the answer names."""
    if explanation.pair is None or getattr(explanation.prediction, "aspect", None) is not None:
        return explanation.text
    return f"{explanation.text} | {explanation.pair}"


def _coloured(explanation: Explanation) -> list[str]:
    """The text with its words marked by sign and strength, and a legend."""
    most = max((abs(word.weight) for word in explanation.words), default=0)
    parts, at = [], 0
    for word in explanation.words:
        parts += [explanation.text[at : word.start], _styled(word.text, word.weight, most)]
        at = word.end
    # Line ends inside a text would break the indent; blanks between words carry no style.
    shown = " ".join("".join([*parts, explanation.text[at:]]).split())
    label = printable(explanation.label)
    legend = f"{_styled(f'for {label}', 1, 1)}  {_styled(f'against {label}', -1, 1)}  stronger: bold"
    return [f"  {shown}", f"  {legend}"]


def _styled(text: str, weight: float, most: float) -> str:
    text = printable(text)
    share = abs(weight) / most if most else 0
    if share < FAINT:
        return text
    strong = True if share >= STRONG else None
    return typer.style(text, fg=FOR if weight > 0 else AGAINST, bold=strong, underline=strong)


def _aligned(explanation: Explanation) -> Iterator[str]:
    """A line for each word; of a long text for each sentence, with the words that do most in it."""
    if not explanation.sentences:
        yield from (_line(word) for word in explanation.words)
        return
    for sentence in explanation.sentences:
        yield _line(sentence)
        if sentence.by_words:
            inside = [word for word in explanation.words if sentence.start <= word.start < sentence.end]
            most = sorted(inside, key=lambda word: -abs(word.weight))[:WORDS_OF_SENTENCE]
            yield "          " + ", ".join(f"{printable(word.text)} {word.weight:+.2f}" for word in most)


def _line(part: WordWeight | SentenceWeight) -> str:
    return f"  {part.weight:+6.2f}  {printable(' '.join(part.text.split()))}"
