"""docs/concepts/bert.md shows what the code does: its figures, its tables, and the outputs below its examples."""

from __future__ import annotations

import contextlib
import io
import re
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from scripts import draw_bert
from scripts.draw_bert import PAGE, Size
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoTokenizer

import polarbert.model
from polarbert.bundle import TASKS, Bundle, resolve
from polarbert.cli.info import PRESETS
from polarbert.model import BertConfig, BertEncoder
from polarbert.model.kinds import head_of

SVG = "{http://www.w3.org/2000/svg}"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
EXAMPLE = re.compile(
    r"^<!-- run -->\n```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?", re.DOTALL | re.MULTILINE
)
SIZES = [pytest.param(size, id=size.name) for size in draw_bert.sizes()]


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    return draw_bert.drawings()


def words(drawing: str) -> list[str]:
    """What is written in a picture."""
    return [text.text or "" for text in ET.fromstring(drawing).iter(f"{SVG}text")]


def assert_alike(made: str, kept: str, within: float) -> None:
    """The same text, with numbers that differ by no more than the last bits of another processor explain."""
    assert NUMBER.sub("#", made) == NUMBER.sub("#", kept)
    numbers = zip(NUMBER.findall(made), NUMBER.findall(kept), strict=True)
    assert [
        (a, b) for a, b in numbers if a != b and (not ("." in a and "." in b) or abs(float(a) - float(b)) > within)
    ] == []


def on_meta(config: BertConfig) -> BertEncoder:
    """The encoder without memory for its numbers."""
    with torch.device("meta"):
        return BertEncoder(config)


def test_pictures_are_what_the_code_draws(drawn: dict[str, str]) -> None:
    shown = re.findall(r"!\[[^\]]+\]\((bert-[\w-]+\.svg)\)", PAGE.read_text("utf-8"))
    assert sorted(shown) == sorted(drawn), "each figure stands on the page once"
    for name, made in drawn.items():
        assert_alike(made, (PAGE.parent / name).read_text("utf-8"), within=0.03)


def test_the_table_of_sizes_is_what_the_code_counts() -> None:
    before = PAGE.read_text("utf-8")
    assert draw_bert.page(before) == before, "run scripts/draw_bert.py"
    assert draw_bert.START in before


def test_examples_print_what_stands_below_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    examples = list(EXAMPLE.finditer(PAGE.read_text("utf-8")))
    assert len(examples) > 5
    for example in examples:
        with io.StringIO() as out, contextlib.redirect_stdout(out):
            exec(compile(example["code"], "example", "exec"), names)  # noqa: S102 - our own documentation
            printed = "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())
        assert_alike(printed, example["output"] or "", within=0.1)


@pytest.mark.parametrize("size", SIZES)
def test_the_parts_are_those_of_the_network(size: Size) -> None:
    """Counted over the tensors themselves."""
    counted: Counter[str] = Counter()
    for name, parameter in on_meta(size.config).named_parameters():
        part = re.sub(r"^layers\.\d+\.", "", name)
        feeds = part.startswith(("intermediate", "output"))
        counted["feed-forward" if feeds else re.split(r"[._]", part)[0]] += parameter.numel()
    assert draw_bert.parameter_parts(size.config) == counted
    assert sum(counted.values()) == size.config.parameter_count()


@pytest.mark.parametrize("length", [128, 512])
@pytest.mark.parametrize("size", SIZES)
def test_operations_are_those_that_torch_counts(size: Size, length: int) -> None:
    encoder = on_meta(size.config).eval()
    ids = torch.zeros(1, length, dtype=torch.long, device="meta")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        encoder(ids, output_attentions=True)  # by matrix products, which the counter knows on any device
    pooler = 2 * size.config.hidden_size**2
    assert counter.get_total_flops() == length * draw_bert.operations_per_piece(size.config, length) + pooler


def test_the_papers_sizes_are_told_as_info_tells_them() -> None:
    told = {size.name.lower(): size.paper for size in draw_bert.sizes() if size.paper}
    assert told == {name: paper for name, (_, paper) in PRESETS.items() if paper}
    for name in told:
        count = PRESETS[name][0]().parameter_count()
        assert PAGE.read_text("utf-8").count(f"parameters               {count:,}") == 1


def test_the_input_is_what_transformers_makes_of_the_pair(drawn: dict[str, str]) -> None:
    theirs = AutoTokenizer.from_pretrained(resolve(None))
    encoded = theirs(*draw_bert.PAIR)
    written = words(drawn["bert-input.svg"])
    pieces = theirs.convert_ids_to_tokens(encoded["input_ids"])
    start = written.index("[CLS]")
    assert written[start : start + len(pieces)] == pieces
    columns = [f"{number:,}" for number in encoded["input_ids"]], map(str, range(len(pieces)))
    for row in (*columns, map(str, encoded["token_type_ids"])):
        assert ",".join(row) in ",".join(written)


def changed(encoder: BertEncoder, ids: list[int], at: int) -> list[bool]:
    """At which positions the last vectors are others when the piece at one of them is."""
    other = [*ids[:at], ids[at] + 1, *ids[at + 1 :]]
    with torch.inference_mode():
        one, two = (encoder(torch.tensor([numbers])).last_hidden_state[0] for numbers in (ids, other))
    return [bool(differs) for differs in (one != two).any(-1)]


def test_every_position_sees_every_other() -> None:
    torch.manual_seed(1)
    encoder = BertEncoder(BertConfig.tiny()).eval()
    ids = list(range(200, 209))
    seen = [changed(encoder, ids, at) for at in range(len(ids))]
    assert [list(row) for row in zip(*seen, strict=True)] == draw_bert.sees(len(ids), both=True)


def test_a_left_to_right_network_sees_what_the_figure_says() -> None:
    causal = torch.nn.Transformer.generate_square_subsequent_mask(4)
    assert draw_bert.sees(4, both=False) == (causal == 0).tolist()


def test_heads_look_where_the_page_says() -> None:
    _, names, _ = draw_bert.pieces_of(draw_bert.SENTENCE)
    before, after, last = (torch.tensor(weights) for weights in draw_bert.attention_maps())
    assert (before.diagonal(-1) > 0.9).all()
    assert after[1:-1].diagonal(2).median() > 0.7
    assert (after[1:-1].argmax(1) == torch.arange(2, len(names))).float().mean() > 0.6
    strongest = [names[place] for place in last[0].topk(6).indices.tolist()]
    assert set(strongest) - {"[CLS]"} == {"bright", "is", "switch", "not", "reliable"}


def test_each_task_of_the_page_can_be_trained_with_the_layer_that_it_names() -> None:
    rows = re.findall(r"^\|.*\| `(BertFor\w+)` \| `--task (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    named = [(task, name) for name, tasks in rows for task in re.findall(r"\w+", tasks)]
    assert sorted(task for task, _ in named) == sorted(TASKS)
    assert all(head_of(task) is getattr(polarbert.model, name) for task, name in named)


def test_numbers_in_the_text_are_those_of_the_files() -> None:
    text = " ".join(PAGE.read_text("utf-8").split())
    bundle = Bundle.open(resolve(None))
    graph = bundle.path / bundle.graph
    assert f"own int8 file has {graph.stat().st_size / 1e6:.0f} MB" in text
    assert f"(2 layers of 128, {BertConfig.tiny().parameter_count():,} parameters)" in text


@dataclass(frozen=True)
class Written:
    """A text of a picture and the room that it takes in DejaVu Sans, the widest of the usual fonts."""

    text: str
    left: float
    right: float
    top: float
    bottom: float

    @classmethod
    def of(cls, element: ET.Element) -> Written:
        size, x, y = (float(element.attrib[name]) for name in ("font-size", "x", "y"))
        text = element.text or ""
        font = FontProperties(weight="bold" if element.attrib["font-weight"] == "600" else "normal")
        width = TextPath((0, 0), text, size, prop=font).get_extents().width
        if "transform" in element.attrib:  # upwards
            return cls(text, x - size, x, y - width, y)
        left = x - width * {"start": 0.0, "middle": 0.5, "end": 1.0}[element.attrib["text-anchor"]]
        return cls(text, left, left + width, y - 0.7 * size, y)

    def touches(self, other: Written) -> bool:
        beside = self.right <= other.left or other.right <= self.left
        return not (beside or self.bottom <= other.top or other.bottom <= self.top)


def test_nothing_is_written_outside_or_over_something_else(drawn: dict[str, str]) -> None:
    for name, drawing in drawn.items():
        picture = ET.fromstring(drawing)
        _, _, width, height = map(float, picture.attrib["viewBox"].split())
        written = [Written.of(element) for element in picture.iter(f"{SVG}text")]
        assert [
            w.text for w in written if min(w.left, w.top) < 4 or w.right > width - 4 or w.bottom > height - 4
        ] == [], name
        assert [(one.text, two.text) for one, two in combinations(written, 2) if one.touches(two)] == [], name


def test_every_colour_has_its_counterpart_in_the_dark(drawn: dict[str, str]) -> None:
    for name, drawing in drawn.items():
        used = set(re.findall(r"(?:fill|stroke)='(#\w+)'", drawing.partition("</style>")[2]))
        assert used <= set(draw_bert.IN_THE_DARK), name
        assert draw_bert.DARK in drawing
