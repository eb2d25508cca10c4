#!/usr/bin/env python3
"""Draws the figures of docs/concepts/bert.md: the tokenizer, the embedded model and `BertConfig` give every number.

    scripts/draw_bert.py            writes docs/concepts/bert-*.svg and the table of sizes; needs the extra [train]

Each figure stands on a ground of its own, so it can be read on any page, and follows the reader's choice of light or
dark. A test compares the files with what this makes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

import torch

from polarbert.bundle import Bundle, resolve
from polarbert.model import BertConfig, BertEncoder
from polarbert.text import WordPieceTokenizer, join_segments

FOLDER = Path(__file__).parents[1] / "docs/concepts"
PAGE = FOLDER / "bert.md"
START, STOP = "<!-- made by draw_bert.py -->\n", "<!-- end -->\n"

INK, MUTED, LINE, GROUND = "#1f2328", "#57606a", "#d0d7de", "#ffffff"
BLUE, ORANGE, GREEN, GREY = "#0969da", "#bc4c00", "#1a7f37", "#6e7781"
IN_THE_DARK = {
    INK: "#e6edf3",
    MUTED: "#9198a1",
    LINE: "#3d444d",
    GROUND: "#0d1117",
    BLUE: "#388bfd",
    ORANGE: "#e8772e",
    GREEN: "#3fb950",
    GREY: "#9198a1",
}
DARK = "".join(
    f"[fill='{one}']{{fill:{other}}}[stroke='{one}']{{stroke:{other}}}" for one, other in IN_THE_DARK.items()
)
WIDTH, MARGIN = 760, 18
FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"
FAINT = 0.14  # how strong the ground of a coloured box is

PAIR = ("The hinge squeaks.", "Oil helps.")
SENTENCE = "The lamp is bright, but its switch is not reliable."
SHORT = "The lamp is bright"
HIDDEN = ("the soup was [MASK] , we asked for more", "[MASK]", "great")  # what BERT reads, what hides, what is hidden
MAPS = (  # layer and head from 1, None for the mean of all heads; what is seen there
    (1, 3, "the piece before"),
    (2, 9, "the piece after"),
    (6, None, "the mean of its 12 heads"),
)


@dataclass(frozen=True)
class Size:
    """A size of BERT: its name, its configuration, and what the paper says of it."""

    name: str
    config: BertConfig
    paper: str = ""


def sizes() -> list[Size]:
    """Those that are compared, the smallest first."""
    return [
        Size("embedded", BertConfig.from_pretrained(resolve(None))),
        Size("transformer", BertConfig.transformer()),
        Size("BASE", BertConfig.base(), "110 M"),
        Size("LARGE", BertConfig.large(), "340 M"),
    ]


def parameter_parts(config: BertConfig) -> dict[str, int]:
    """How many parameters are where; a layer norm counts to what it follows."""
    h, ff, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    rows = config.vocab_size + config.max_position_embeddings + config.type_vocab_size
    return {
        "embeddings": rows * h + 2 * h,
        "attention": layers * (4 * (h * h + h) + 2 * h),
        "feed-forward": layers * (2 * h * ff + ff + h + 2 * h),
        "pooler": h * h + h,
    }


def operations_per_piece(config: BertConfig, length: int) -> int:
    """Multiplications and additions of matrix products on the way of one piece up the stack, in a text of `length`.

    Two for each weight of a layer's matrices, and in attention two for each number of a key and of a value of each
    piece. The pooler, which works once a text, is left out.
    """
    h, ff = config.hidden_size, config.intermediate_size
    return config.num_hidden_layers * (2 * (4 * h * h + 2 * h * ff) + 4 * length * h)


def size_table() -> str:
    """What the sizes come to, in Markdown."""
    configs = {size.name: size.config for size in sizes()}
    parameters = {name: config.parameter_count() for name, config in configs.items()}
    rows = {
        "layers L": [f"{config.num_hidden_layers}" for config in configs.values()],
        "hidden H": [f"{config.hidden_size:,}" for config in configs.values()],
        "heads A, each of D": [
            f"{config.num_attention_heads}, {config.hidden_size // config.num_attention_heads}"
            for config in configs.values()
        ],
        "width of feed-forward": [f"{config.intermediate_size:,}" for config in configs.values()],
        "**parameters**": [f"**{count:,}**" for count in parameters.values()],
    }
    for part in parameter_parts(BertConfig.base()):
        counts = {name: parameter_parts(config)[part] for name, config in configs.items()}
        rows[part] = [f"{count:,} ({count / parameters[name]:.1%})" for name, count in counts.items()]
    for length in (128, 512):
        counts = {name: operations_per_piece(config, length) for name, config in configs.items()}
        rows[f"operations a piece, {length} in the text"] = [f"{count / 1e6:,.1f} M" for count in counts.values()]
    for what, size in (("weights in fp32", 4), ("in bf16", 2), ("in int8", 1), ("training in fp32", 16)):
        rows[what] = [f"{count * size / 1e6:,.0f} MB" for count in parameters.values()]
    head = [["", *configs], ["---", *["--:"] * len(configs)]]
    lines = [*head, *([name, *cells] for name, cells in rows.items())]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def page(before: str) -> str:
    """The page with the table of sizes in its place."""
    head, _, rest = before.partition(START)
    return head + START + size_table() + STOP + rest.partition(STOP)[2]


def drawings() -> dict[str, str]:
    """The figures by name of file."""
    drawn: dict[str, Callable[[], str]] = {
        "input": draw_input,
        "directions": draw_directions,
        "stack": draw_stack,
        "layer": draw_layer,
        "attention": draw_attention,
        "tasks": draw_tasks,
        "sizes": draw_sizes,
    }
    return {f"bert-{name}.svg": draw() for name, draw in drawn.items()}


def pieces_of(first: str, second: str | None = None) -> tuple[list[int], list[str], int]:
    """Ids and names of what BERT reads, and where the second segment starts."""
    tokenizer = _tokenizer()
    found = [pieces.ids for pieces in tokenizer.encode([first] if second is None else [first, second])]
    ids = join_segments(tokenizer.cls_id, tokenizer.sep_id, found[0], None if second is None else found[1])
    return ids, [tokenizer.backend.id_to_token(number) or "" for number in ids], len(found[0]) + 2


def sees(count: int, both: bool) -> list[list[bool]]:
    """Which position (row) takes from which (column): all of them, or none to its right."""
    return [[both or column <= row for column in range(count)] for row in range(count)]


def attention_maps() -> list[list[list[float]]]:
    """The weights of `MAPS` for the sentence, in the embedded model's encoder."""
    ids, _, _ = pieces_of(SENTENCE)
    encoder = BertEncoder.from_pretrained(resolve(None))
    with torch.inference_mode():
        attentions = encoder(torch.tensor([ids]), output_attentions=True).attentions or ()
    layers = [(attentions[layer - 1][0], head) for layer, head, _ in MAPS]  # (A, T, T)
    return [(heads.mean(0) if head is None else heads[head - 1]).tolist() for heads, head in layers]


def draw_input() -> str:
    """The pieces of a pair, and the three embeddings that are added up at each position."""
    ids, names, second_at = pieces_of(*PAIR)
    config = sizes()[0].config
    left, top, height = 142, 88, 30
    cell = (WIDTH - MARGIN - left) / len(ids)
    rows = [
        (f"its row of {config.vocab_size:,}", "piece", [f"{number:,}" for number in ids], BLUE),
        (f"its row of {config.max_position_embeddings}", "+ position", [str(n) for n in range(len(ids))], GREEN),
        (
            f"its row of {config.type_vocab_size}",
            "+ segment",
            [str(int(n >= second_at)) for n in range(len(ids))],
            ORANGE,
        ),
    ]
    lines = []
    for name, start, stop in (("first text", 0, second_at), ("second text", second_at, len(ids))):
        x, width = left + cell * start, cell * (stop - start)
        lines += [_text(x + width / 2, top - 24, name, "middle", 13, colour=MUTED)]
        lines.append(
            _path([(x + 3, top - 12), (x + 3, top - 17), (x + width - 3, top - 17), (x + width - 3, top - 12)])
        )
    lines += [_text(left + cell * (n + 0.5), top + 12, name, "middle", 12, "600") for n, name in enumerate(names)]
    y = top + 30.0
    for note, name, numbers, colour in rows:
        lines += [_text(MARGIN, y + 14, name, weight="600"), _text(MARGIN, y + 29, note, size=12, colour=MUTED)]
        lines += [
            _box(left + cell * n + 2, y, cell - 4, height, number, colour, 12) for n, number in enumerate(numbers)
        ]
        y += height + 16
    lines.append(_path([(left, y - 4), (WIDTH - MARGIN, y - 4)]))
    lines += [_text(MARGIN, y + 20, "= sum,", weight="600"), _text(MARGIN, y + 37, "layer norm", weight="600")]
    lines += [_vector(left + cell * (n + 0.5), y + 6, INK) for n in range(len(ids))]
    shape = f"({len(ids)}, {config.hidden_size})"
    note = (
        f"A vector of {config.hidden_size} numbers at each of {len(ids)} positions, {shape}, goes into the first layer."
    )
    lines.append(_text(left, y + 66, note, size=13, colour=MUTED))
    described = "; ".join(
        f"{names[n]}: piece {ids[n]}, position {n}, segment {int(n >= second_at)}" for n in range(len(ids))
    )
    return _picture("What goes in: three embeddings are added up at each position", described, y + 84, lines)


def draw_directions() -> str:
    """Which position sees which, in BERT and in a network that reads from left to right."""
    seen, mask, hidden = HIDDEN
    names = seen.split()
    place = names.index(mask)
    plain = [hidden if name == mask else name for name in names]
    cell, top = 28, 128
    panels = (
        ("BERT", True, names, place, f"At {mask} it takes from all {len(names)} pieces."),
        ("left to right", False, plain, place - 1, f"At “{plain[place - 1]}” it has {place} pieces to guess the next."),
    )
    lines = []
    for number, (title, both, words, row, note) in enumerate(panels):
        x = MARGIN + 64 + number * 372
        lines += _grid(x, top, cell, words, [[float(yes) for yes in line] for line in sees(len(words), both)])
        lines.append(_text(x, top - 66, title, weight="600", size=15))
        lines.append(_frame(x - 1, top + cell * row - 1, cell * len(words) + 2, cell + 2))
        lines.append(_text(x - 64, top + cell * len(words) + 26, note, size=13))
    foot = "Row: the position whose vector is made. Column: a position it takes from, where filled."
    bottom = top + cell * len(names) + 52
    lines.append(_text(MARGIN, bottom, foot, size=12, colour=MUTED))
    described = f"BERT: every position sees all {len(names)}. Left to right: each sees itself and those before it."
    return _picture("Which position sees which", described, bottom + 18, lines)


def draw_stack() -> str:
    """The way of a sentence up the embedded model's encoder."""
    _, names, _ = pieces_of(SHORT)
    config = sizes()[0].config
    left, right, step = 150, WIDTH - 150, 46
    columns = [left + (right - left) * n / (len(names) - 1) for n in range(len(names))]
    top = 158
    heights = [top + step * (config.num_hidden_layers - n) for n in range(config.num_hidden_layers + 1)]
    shape = f"({len(names)}, {config.hidden_size})"
    steps = list(pairwise(heights))
    lines = [_line(x, low, to, high, LINE, 1) for low, high in steps for x in columns for to in columns]
    lines += [_line(x, heights[-2], columns[0], heights[-1], BLUE, 1.6) for x in columns]
    for n, y in enumerate(heights):
        name = f"layer {n}" if n else "embeddings"
        lines += [_text(MARGIN, y + 5, name, size=13), _text(WIDTH - MARGIN, y + 5, shape, "end", 13, colour=MUTED)]
        lines += [_circle(x, y, 7, BLUE if not place else GREY) for place, x in enumerate(columns)]
    lines += [_text(x, heights[0] + 30, name, "middle", 14, "600") for x, name in zip(columns, names, strict=True)]
    lines += _top_of_stack(columns[0], top - 9, config)
    lines.append(_text(WIDTH - MARGIN, top - 22, "shape", "end", 12, colour=MUTED))
    described = (
        f"{len(names)} positions, {config.num_hidden_layers} layers, {config.hidden_size} numbers at each position."
    )
    return _picture("How vectors flow up the stack", described, heights[0] + 50, lines)


def _top_of_stack(x: float, y: float, config: BertConfig) -> list[str]:
    """What the vector at [CLS] goes through after the last layer, and what comes out."""
    labels = ", ".join(Bundle.open(resolve(None)).labels)
    return [
        _arrow(x, y, x, 96),
        _box(x - 60, 64, 120, 30, "pooler", BLUE),
        _arrow(x + 62, 79, x + 138, 79),
        _text(x + 98, 71, f"({config.hidden_size},)", "middle", 13, colour=MUTED),
        _box(x + 140, 64, 120, 30, "output layer", ORANGE),
        _arrow(x + 262, 79, x + 308, 79),
        _text(x + 316, 84, labels),
    ]


def draw_layer() -> str:
    """One layer of BASE, from its input to its output."""
    config = BertConfig.base()
    h, ff, heads = config.hidden_size, config.intermediate_size, config.num_attention_heads
    parts = {name: count // config.num_hidden_layers for name, count in parameter_parts(config).items()}
    middle, width = 214.0, 236
    lines: list[str] = []

    def stage(y: float, words: str, colour: str, note: str, more: str) -> None:
        lines.append(_box(middle - width / 2, y, width, 40, words, colour, 15))
        lines.append(_text(middle + 150, y + 17, note, size=13))
        lines.append(_text(middle + 150, y + 35, more, size=12, colour=MUTED))

    def joint(y: float, start: float) -> None:
        """An addition and a norm, and the way round that leads to it from below."""
        lines.append(_box(middle - width / 2, y, width, 34, "add, layer norm", GREY, 14))
        side = middle - width / 2 - 46
        lines.append(_path([(middle, start), (side, start), (side, y + 17)], GREEN, 2))
        lines.append(_arrow(side, y + 17, middle - width / 2 - 2, y + 17, GREEN))

    shape = f"(T, {h})"
    lines.append(_text(middle, 72, f"to the next layer {shape}", "middle", 13, colour=MUTED))
    lines.append(_arrow(middle, 106, middle, 80))
    joint(108, 262)
    lines.append(_arrow(middle, 180, middle, 144))
    grown = f"{h} → {ff:,}, GELU, {ff:,} → {h}"
    stage(182, "feed-forward", ORANGE, "each position for itself", f"{grown}; {parts['feed-forward']:,} parameters")
    lines.append(_arrow(middle, 290, middle, 224))
    joint(292, 446)
    lines.append(_arrow(middle, 364, middle, 328))
    size = f"{heads} heads of {h // heads}; {parts['attention']:,} parameters"
    stage(366, "self-attention", BLUE, "each position takes from all others", size)
    lines.append(_arrow(middle, 476, middle, 408))
    lines.append(_text(middle, 494, f"from the layer below {shape}", "middle", 13, colour=MUTED))
    lines.append(_text(middle + 150, 262, "the way round: what comes in is", size=13, colour=GREEN))
    lines.append(_text(middle + 150, 279, "kept, and what is found is added to it", size=13, colour=GREEN))
    described = f"Self-attention, add and norm, feed-forward, add and norm; {shape} goes in and comes out."
    return _picture("One layer (sizes of BASE)", described, 514, lines)


def draw_attention() -> str:
    """Three attention maps of the embedded model's encoder."""
    _, names, _ = pieces_of(SENTENCE)
    left, top, gap = MARGIN + 60, 166, 16
    cell = (WIDTH - MARGIN - left - gap * (len(MAPS) - 1)) / len(MAPS) / len(names)
    lines = []
    for number, ((layer, head, what), weights) in enumerate(zip(MAPS, attention_maps(), strict=True)):
        x = left + number * (cell * len(names) + gap)
        title = f"layer {layer}" if head is None else f"layer {layer}, head {head}"
        most = max(map(max, weights))
        shown = [[weight / most for weight in row] for row in weights]
        lines += [_text(x, 60, title, size=14, weight="600"), _text(x, 78, what, size=13, colour=MUTED)]
        lines.append(_text(x, 95, f"strongest: {most:.2f}", size=12, colour=MUTED))
        lines += _grid(x, top, cell, names, shown, with_rows=not number)
    lines.append(_frame(x - 1, top - 1, cell * len(names) + 2, cell + 2))
    bottom = top + cell * len(names) + 26
    foot = (
        "Row: the position that looks. Column: where it looks. The stronger the colour, the more it takes from there."
    )
    lines.append(_text(MARGIN, bottom, foot, size=12, colour=MUTED))
    described = f"“{SENTENCE}”, as the embedded model's encoder reads it."
    return _picture("Where heads look", described, bottom + 18, lines)


def draw_tasks() -> str:
    """The four kinds of task: the same encoder, one additional layer."""
    at_class, at_each = "layer at [CLS]: H → classes", "layer at each position: H → "
    panels = (
        ("Sentence", "[CLS] the kettle leaks [SEP]", {0: "negative"}, at_class),
        ("Pair", "[CLS] it rains [SEP] roads are wet [SEP]", {0: "follows"}, at_class),
        ("Question", "[CLS] who won ? [SEP] lena won [SEP]", {5: "start, end"}, at_each + "start, end"),
        ("Tags", "[CLS] ann lives in oslo [SEP]", {1: "name", 2: "none", 3: "none", 4: "place"}, at_each + "tags"),
    )
    width, height = (WIDTH - 3 * MARGIN) / 2, 212
    lines = []
    for number, (title, text, answers, note) in enumerate(panels):
        x, y = MARGIN + (number % 2) * (width + MARGIN), 56 + (number // 2) * (height + 12)
        lines += _task(x, y, width, title, text.split(), answers, note)
    described = "; ".join(f"{title}: {text} ({note})" for title, text, _, note in panels)
    return _picture("Four kinds of task, one additional layer each", described, 56 + 2 * height + 24, lines)


def _task(
    x: float, y: float, width: float, title: str, names: Sequence[str], answers: dict[int, str], note: str
) -> list[str]:
    """One panel: pieces below, the encoder, and answers above the positions that give them."""
    inner, cell = x + 10, (width - 20) / len(names)
    split = names.index("[SEP]") + 1
    each = len(answers) > 1 or 0 not in answers
    lines = [_rect(x, y, width, 212, LINE, 0.0, LINE), _text(inner, y + 24, title, weight="600")]
    lines.append(_text(x + width - 10, y + 24, note, "end", 12, colour=MUTED))
    lines.append(_rect(inner, y + 120, width - 20, 34, GREY, FAINT, GREY))
    lines.append(_text(x + width / 2, y + 142, "BERT", "middle", 14, "600"))
    for place, name in enumerate(names):
        middle = inner + cell * (place + 0.5)
        colour = MUTED if name.startswith("[") else GREEN if place < split else ORANGE
        lines.append(_arrow(middle, y + 176, middle, y + 156, MUTED))
        lines.append(_text(middle, y + 194, name, "middle", 12, "600", colour))
        if each and not name.startswith("[") and (place >= split or split == len(names)):
            shown = place in answers
            lines.append(_arrow(middle, y + 118, middle, y + 102, BLUE if shown else MUTED))
            lines.append(_rect(middle - 13, y + 84, 26, 16, BLUE, FAINT, BLUE))
        if place in answers:
            lines += _answer(middle, y, answers[place], inner if not each else None)
    return lines


def _answer(middle: float, y: float, answer: str, left: float | None) -> list[str]:
    """What the output layer says at a position; a class stands at the left edge, beside a layer of its own."""
    if left is None:
        return [_arrow(middle, y + 82, middle, y + 66, BLUE), _text(middle, y + 58, answer, "middle", 13, "600", BLUE)]
    return [
        _arrow(middle, y + 118, middle, y + 102, BLUE),
        _rect(middle - 16, y + 84, 32, 16, BLUE, FAINT, BLUE),
        _arrow(middle, y + 82, middle, y + 66, BLUE),
        _text(left, y + 58, answer, "start", 13, "600", BLUE),
    ]


def draw_sizes() -> str:
    """Parameters by part."""
    colours = {"embeddings": GREY, "attention": BLUE, "feed-forward": ORANGE, "pooler": GREEN}
    found = sizes()
    left, right, top, step = 140, WIDTH - 170, 96, 52
    most = max(size.config.parameter_count() for size in found)
    lines, x = [], float(left)
    for name, colour in colours.items():
        lines += [_rect(x, 56, 14, 14, colour), _text(x + 20, 68, name, size=13)]
        x += 130
    for number, size in enumerate(found):
        y, x = top + step * number, float(left)
        config, total = size.config, size.config.parameter_count()
        lines.append(_text(left - 12, y + 15, size.name, "end", weight="600"))
        shape = f"{config.num_hidden_layers} layers of {config.hidden_size:,}"
        lines.append(_text(left - 12, y + 31, shape, "end", 12, colour=MUTED))
        for name, count in parameter_parts(config).items():
            lines.append(_rect(x, y, (right - left) * count / most, 30, colours[name]))
            x += (right - left) * count / most
        lines.append(_text(x + 10, y + 14, f"{total:,}", weight="600"))
        if size.paper:
            lines.append(_text(x + 10, y + 30, f"{size.paper} in the paper", size=12, colour=MUTED))
    described = "; ".join(
        f"{size.name}: " + ", ".join(f"{name} {count:,}" for name, count in parameter_parts(size.config).items())
        for size in found
    )
    return _picture("Parameters of the encoder, by part", described, top + step * len(found) + 6, lines)


@cache
def _tokenizer() -> WordPieceTokenizer:
    return WordPieceTokenizer.from_directory(resolve(None))


def _grid(
    x: float, y: float, cell: float, names: Sequence[str], weights: Sequence[Sequence[float]], with_rows: bool = True
) -> list[str]:
    """A square of weights from 0 to 1, with the names of its columns above and of its rows to the left."""
    side = cell * len(names)
    size = 13 if cell > 20 else 12
    lines = [_rect(x, y, side, side, GROUND, 1, LINE)]
    for row, line in enumerate(weights):
        for column, weight in enumerate(line):
            if weight >= 0.005:
                place = x + cell * column + 0.5, y + cell * row + 0.5
                lines.append(_rect(*place, cell - 1, cell - 1, BLUE, weight))
        if with_rows:
            lines.append(_text(x - 7, y + cell * (row + 0.5) + 4, names[row], "end", size))
    for column, name in enumerate(names):
        place = x + cell * (column + 0.5) + 4, y - 7
        lines.append(_text(*place, name, size=size, turn=True))
    return lines


def _picture(title: str, described: str, height: float, lines: Sequence[str]) -> str:
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height:.0f}' role='img'>",
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(described)}</desc>",
        f"<style>@media (prefers-color-scheme: dark) {{{DARK}}}</style>",
        f"<rect width='{WIDTH}' height='{height:.0f}' rx='8' fill='{GROUND}'/>",
        _text(MARGIN, 32, title, size=16, weight="600"),
    )
    return "\n".join([*head, *lines, "</svg>"]) + "\n"


def _box(x: float, y: float, width: float, height: float, words: str, colour: str, size: int = 14) -> str:
    frame = _rect(x, y, width, height, colour, FAINT, colour)
    return frame + _text(x + width / 2, y + height / 2 + size * 0.36, words, "middle", size)


def _vector(middle: float, y: float, colour: str) -> str:
    """A column of cells."""
    return "".join(_rect(middle - 7, y + 9 * n, 14, 9, colour, 0.06 + 0.1 * (n % 3), colour) for n in range(4))


def _rect(
    x: float, y: float, width: float, height: float, colour: str, opacity: float = 1.0, edge: str | None = None
) -> str:
    size = f"x='{x:.1f}' y='{y:.1f}' width='{width:.1f}' height='{height:.1f}'"
    stroke = f" stroke='{edge}'" if edge else ""
    return f"<rect {size} rx='2' fill='{colour}' fill-opacity='{opacity:.2f}'{stroke}/>"


def _frame(x: float, y: float, width: float, height: float) -> str:
    size = f"x='{x:.1f}' y='{y:.1f}' width='{width:.1f}' height='{height:.1f}'"
    return f"<rect {size} rx='3' fill='none' stroke='{ORANGE}' stroke-width='2.5'/>"


def _circle(x: float, y: float, radius: float, colour: str) -> str:
    return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{radius}' fill='{colour}'/>"


def _line(x: float, y: float, to_x: float, to_y: float, colour: str = MUTED, width: float = 1.5) -> str:
    ends = f"x1='{x:.1f}' y1='{y:.1f}' x2='{to_x:.1f}' y2='{to_y:.1f}'"
    return f"<line {ends} stroke='{colour}' stroke-width='{width}'/>"


def _path(points: Sequence[tuple[float, float]], colour: str = MUTED, width: float = 1.0) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='{width}'/>"


def _arrow(x: float, y: float, to_x: float, to_y: float, colour: str = MUTED) -> str:
    """A line with a head at its end."""
    turn = math.degrees(math.atan2(to_y - y, to_x - x))
    place = f"transform='translate({to_x:.1f},{to_y:.1f}) rotate({turn:.0f})'"
    head = f"<path d='M0,0 L-9,-4.5 L-9,4.5 Z' fill='{colour}' {place}/>"
    length = math.hypot(to_x - x, to_y - y)
    share = max(0.0, 1 - 6 / length)
    return _line(x, y, x + (to_x - x) * share, y + (to_y - y) * share, colour, 2) + head


def _text(
    x: float,
    y: float,
    words: str,
    anchor: str = "start",
    size: int = 14,
    weight: str = "400",
    colour: str = INK,
    turn: bool = False,
) -> str:
    style = f"{FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}' fill='{colour}'"
    turned = f" transform='rotate(-90 {x:.1f} {y:.1f})'" if turn else ""
    return f"<text x='{x:.1f}' y='{y:.1f}' {style}{turned}>{escape(words)}</text>"


def main() -> None:
    """Write the figures and the table."""
    for name, drawn in drawings().items():
        (FOLDER / name).write_text(drawn, "utf-8")
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
