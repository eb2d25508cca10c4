"""Explanations as a page to look at. It needs no extra: the core makes it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from polarbert.files import disk_errors, write_whole
from polarbert.inference.explanation import Explanation, SentenceWeight, WordWeight
from polarbert.inference.lines import percent
from polarbert.inference.prediction import Prediction

STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --panel: #f6f8fa; --ink: #1b2430; --muted: #56616f; --line: #d3dae2;
  --for: 29 95 184; --against: 200 90 10; }
@media (prefers-color-scheme: dark) { :root { --page: #12161c; --panel: #1a2029; --ink: #e6ebf2; --muted: #9fabba;
  --line: #323c49; --for: 90 150 235; --against: 225 130 50; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; }
main { max-width: 52rem; margin: 0 auto; padding: 2.5rem 1.5rem; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 0; }
section { margin-top: 2rem; padding-top: 1.5rem; border-top: 1px solid var(--line); }
p { margin: .5rem 0; }
.muted, caption, summary { color: var(--muted); }
.text { font-size: 1.125rem; line-height: 2.1; white-space: pre-wrap; overflow-wrap: anywhere; background: var(--panel);
  border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; margin: .75rem 0; }
mark { color: inherit; background: none; border-radius: .2rem; padding: .1rem .1rem; }
mark.for { background: rgb(var(--for) / var(--strength)); border-bottom: .15rem solid rgb(var(--for)); }
mark.against { background: rgb(var(--against) / var(--strength)); border-bottom: .15rem dotted rgb(var(--against)); }
table { border-collapse: collapse; margin: .75rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-size: .875rem; padding-bottom: .375rem; }
th, td { padding: .25rem 1rem .25rem 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
th.number, td.number { text-align: right; white-space: nowrap; }
summary { cursor: pointer; }
summary:focus-visible { outline: 3px solid rgb(var(--for)); outline-offset: 2px; }
"""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="polarbert">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p class="muted">{lead}</p>
{sections}
</main>
</body>
</html>
"""
LEAD = (
    '<mark class="for" style="--strength:.35">Solid lines</mark> mark words that speak for the label, '
    '<mark class="against" style="--strength:.35">dotted lines</mark> words that speak against it; the stronger the '
    "colour, the more. "
)
LOG_ODDS = (
    "Weights are in log-odds: 0.7 doubles the odds of the label, and all weights together lead from a text without "
    "words to the answer."
)
FAINT, STRONGEST = 0.12, 0.6  # a weight below that share of the largest is not shown; how opaque the largest is


def write_explanations(explanations: Sequence[Explanation], path: str | Path, title: str = "Why so?") -> None:
    """Write one HTML page that needs no network, no script and no other file.

    Args:
        explanations: what to show.
        path: of the page; a file that stands there is replaced in one step.
        title: of the page.

    Raises:
        DataError: when the file cannot be written.

    Example:
        >>> write_explanations([model.explain("I love it")], "why.html")
    """
    page = render_explanations(explanations, title)
    with disk_errors(str(path), "Nothing was changed; name another file"):
        write_whole(Path(path), page.encode("utf-8", "replace"))


def render_explanations(explanations: Sequence[Explanation], title: str = "Why so?") -> str:
    """The page itself; arguments as for `write_explanations`."""
    are_chances = all(isinstance(one.prediction, Prediction) for one in explanations)
    sections = "\n".join(_section(one) for one in explanations)
    lead = LEAD + (LOG_ODDS if are_chances else "All weights together lead from a text without words to the answer.")
    return PAGE.format(title=escape(title), style=STYLE, lead=lead, sections=sections)


def _section(explanation: Explanation) -> str:
    pair = "" if explanation.pair is None else f'<p class="muted">Read with: {escape(explanation.pair)}</p>'
    return "\n".join(
        part
        for part in (
            "<section>",
            f"<h2>{escape(verdict(explanation))}</h2>",
            f'<p class="muted">{escape(from_to(explanation))}</p>',
            pair,
            f'<p class="text">{_marked(explanation)}</p>',
            _table("Sentences, in order", "sentence", explanation.sentences),
            "<details><summary>The weights as a table</summary>",
            _table("Words, in order", "word", explanation.words),
            "</details>",
            "</section>",
        )
        if part
    )


def verdict(explanation: Explanation) -> str:
    """The answer in a few words."""
    answer = explanation.prediction
    if not isinstance(answer, Prediction):
        return f"{explanation.label}: {answer.value:.3f}"
    return f"{answer.label}, {percent(answer.confidence)}{', unsure' if answer.unsure else ''}"


def from_to(explanation: Explanation) -> str:
    """What all weights together do, in a sentence."""
    label, total = explanation.label, sum(word.weight for word in explanation.words)
    if not isinstance(explanation.prediction, Prediction):
        low, high = f"{explanation.baseline:.3f}", f"{explanation.probability:.3f}"
    else:
        low, high = percent(explanation.baseline), percent(explanation.probability)
    return f"{label}: {low} without words, {high} with all of them; the weights add up to {total:+.2f}"


def _marked(explanation: Explanation) -> str:
    """The text, each word that matters marked."""
    most = max((abs(word.weight) for word in explanation.words), default=0)
    parts, at = [], 0
    for word in explanation.words:
        parts.append(escape(explanation.text[at : word.start]))
        parts.append(_word(word, abs(word.weight) / most if most else 0))
        at = word.end
    return "".join([*parts, escape(explanation.text[at:])])


def _word(word: WordWeight, share: float) -> str:
    if share < FAINT:
        return escape(word.text)
    kind = "for" if word.weight > 0 else "against"
    strength = f"--strength:{share * STRONGEST:.2f}"
    return f'<mark class="{kind}" style="{strength}" title="{word.weight:+.2f}">{escape(word.text)}</mark>'


def _table(caption: str, name: str, rows: Sequence[WordWeight | SentenceWeight]) -> str:
    if not rows:
        return ""
    lines = "\n".join(f'<tr><td class="number">{row.weight:+.2f}</td><td>{escape(row.text)}</td></tr>' for row in rows)
    head = f'<thead><tr><th scope="col" class="number">weight</th><th scope="col">{name}</th></tr></thead>'
    return f"<table><caption>{caption}</caption>{head}<tbody>\n{lines}\n</tbody></table>"
