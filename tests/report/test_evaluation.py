"""The page of an evaluation: it shows the figures, needs nothing else, and keeps other people's text as text."""

from __future__ import annotations

import re
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.evaluation_fixtures import answered, draw, judge, labelled
from tests.scoring_fixtures import LABELS

from polarbert.errors import DataError, MissingExtraError
from polarbert.inference.evaluate import evaluate_predictions
from polarbert.inference.evaluation import Evaluation
from polarbert.report import write_report
from polarbert.report.evaluation import render

HOSTILE = '<script>alert(1)</script> <img src=x onerror="alert(2)"> </td></svg> &amp; #010203 style="fill: red" $x^2$'
VOID = {"meta", "br", "link", "img"}


class Page(HTMLParser):
    """What a browser would find."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    @property
    def shown(self) -> str:
        """All text that is to be read, in one line."""
        return " ".join(" ".join(text for parent, text in self.texts if parent != "style").split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def evaluation(count: int = 300, seed: int = 1) -> Evaluation:
    truth, chances = draw(count, seed)
    shops = [("Hull", "Leeds", "York")[number % 3] for number in range(count)]
    dates = [f"2026-{1 + number % 12:02}-{1 + number % 28:02}" for number in range(count)]
    dataset = labelled(truth, LABELS, [f"review {number} of a lamp" for number in range(count)], shop=shops, day=dates)
    pieces = [3 + number % 90 for number in range(count)]
    return evaluate_predictions(
        dataset, answered(chances, LABELS, pieces), LABELS, 0.6, seconds=1.5, by=["shop", "day"]
    )


@pytest.fixture(scope="module")
def found() -> Evaluation:
    return evaluation()


@pytest.fixture(scope="module")
def html(found: Evaluation) -> str:
    return render(found, "A lamp shop's reviews")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_page_shows_the_figures(found: Evaluation, page: Page) -> None:
    assert page.all("title")
    assert "A lamp shop's reviews" in page.shown
    for estimate in (found.accuracy, found.macro_f1, found.macro_recall, found.calibration.corrected):
        assert f"{estimate.value:.3f} {estimate.low:.3f} to {estimate.high:.3f}" in page.shown
    assert found.sure.accuracy is not None
    assert f"{found.sure.share:.1%} {found.sure.accuracy.value:.1%} of them right" in page.shown
    for truth, row in enumerate(found.confusion):
        cells = " ".join(f"{count:,} {count / sum(row):.1%}" for count in row)
        assert f"{LABELS[truth]} {cells}" in page.shown
    for group in (*found.by_length, *found.by_column["shop"], *found.by_column["day"]):
        assert f"{group.name} {group.n:,} {group.accuracy.value:.3f} {group.accuracy.low:.3f} to" in page.shown
    for error in found.errors:
        assert f"{error.row:,} {error.text} {error.truth} {error.answer} {error.confidence:.1%}" in page.shown
    assert "200 texts/s" in page.shown
    assert "Each dot stands for about 20 answers" in page.shown


def test_everything_opened_is_closed(page: Page) -> None:
    assert page.open == []


def test_the_page_loads_nothing_and_runs_nothing(html: str, page: Page) -> None:
    assert {"script", "link", "img", "iframe", "object", "embed"} & {tag for tag, _ in page.elements} == set()
    assert re.findall(r"https?:|//[a-z]|@import|data:", html) == []
    assert [target for target in re.findall(r"url\(([^)]*)\)", html) if not target.startswith("#")] == []
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    policy = next(meta for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in (policy["content"] or "")


def test_links_inside_the_page_lead_somewhere_and_no_name_is_there_twice(page: Page) -> None:
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    targets = [a["href"] or "" for tag in ("a", "use") for a in page.all(tag)]
    targets += [
        f"#{name}" for _, a in page.elements for name in re.findall(r"url\(#([^)]*)\)", a.get("clip-path") or "")
    ]
    assert len(targets) > 50
    assert {target.removeprefix("#") for target in targets} <= set(ids)


def test_who_does_not_see_the_pictures_gets_words_and_tables(page: Page) -> None:
    pictures = page.all("svg")
    assert len(pictures) == 6
    for picture in pictures:
        assert picture["role"] == "img"
        assert len(picture["aria-label"] or "") > 60
    assert page.all("html")[0]["lang"] == "en"
    assert all(header.get("scope") in ("row", "col") for header in page.all("th"))
    regions = [div for div in page.all("div") if div.get("tabindex") == "0"]
    assert len(regions) == len(page.all("table"))
    assert all(region["role"] == "region" and region["aria-label"] for region in regions)
    assert next(attributes["href"] for attributes in page.all("a")) == "#main"


def test_pictures_take_all_colours_and_letters_from_the_page(html: str) -> None:
    pictures = "".join(re.findall(r"(?s)<svg.*?</svg>", html))
    colours = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", pictures))
    assert colours <= {"none", *(f"var(--{name})" for name in ("ink", "muted", "line", "accent", "mark"))}
    assert {"var(--ink)", "var(--accent)", "var(--mark)"} <= colours
    assert "font-family" not in pictures


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_letters_stand_out_by_day_and_by_night(html: str) -> None:
    blocks = re.findall(r"(?s):root \{(.*?)\}", html)
    assert len(blocks) == 3, "by day, by night, on paper"
    for block in blocks:
        colours = dict(
            re.findall(r"--(\w+): (#[0-9a-f]{6})", block.replace("#fff;", "#ffffff;").replace("#000;", "#000000;"))
        )
        for ground in ("page", "panel"):
            for letters in ("ink", "accent", "mark"):
                bright, dark = sorted((luminance(colours[letters]), luminance(colours[ground])), reverse=True)
                assert (bright + 0.05) / (dark + 0.05) >= 4.5, f"{letters} on {ground}"


def test_text_of_other_people_stays_text() -> None:
    names = [f"{HOSTILE} a", "日本語", "b"]
    truth, chances = draw(120, 4)
    dataset = labelled(truth, names, [f"{HOSTILE} {number}" for number in range(120)], **{HOSTILE: [HOSTILE] * 120})
    dataset = type(dataset)(HOSTILE, dataset.rows, names, "classification", {HOSTILE: 1}, (HOSTILE,))
    found = judge(dataset, chances, names, by=[HOSTILE])
    html = render(found, HOSTILE)
    page = Page(html)
    assert page.open == []
    assert {"script", "img"} & {tag for tag, _ in page.elements} == set()
    assert page.shown.count(HOSTILE) > 20
    assert "var(--" not in page.shown, "what looks like a colour in a name is no colour"
    assert "日本語" in page.shown


def test_the_same_evaluation_makes_the_same_page(found: Evaluation, html: str) -> None:
    assert render(found, "A lamp shop's reviews") == html


@pytest.mark.parametrize("count", [1, 2, 12])
def test_a_few_rows_make_a_page_too(count: int) -> None:
    truth, chances = draw(count)
    page = Page(render(judge(labelled(truth, LABELS), chances, LABELS), "few"))
    assert page.open == []
    assert "cannot say much" in page.shown


def test_many_classes_have_their_mistakes_instead_of_a_matrix() -> None:
    names = [f"class {number}" for number in range(60)]
    truth, chances = draw(1500, 3, classes=60)
    html = render(judge(labelled(truth, names), chances, names), "many")
    assert "What is taken for what most often?" in html
    assert 'class="matrix"' not in html
    assert "Only 40 classes are shown" in html
    assert len(html.encode()) < 500_000


def test_the_page_is_written_whole_or_not_at_all(found: Evaluation, html: str, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    write_report(found, target, "A lamp shop's reviews")
    assert target.read_text("utf-8") == html
    assert len(html.encode()) < 200_000
    with full_disk(1000), pytest.raises(DataError, match=r"page\.html: cannot be written: .*Nothing was changed"):
        write_report(found, target, "another")
    assert target.read_text("utf-8") == html
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


@contextmanager
def full_disk(most: int) -> Iterator[None]:
    """No file may grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("missing", ["matplotlib", "jinja2"])
def test_without_the_extra_the_error_says_how_to_get_it(
    missing: str, found: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=r'pip install "polarbert\[report\]"'):
        write_report(found, tmp_path / "page.html", "title")
    assert list(tmp_path.iterdir()) == []
