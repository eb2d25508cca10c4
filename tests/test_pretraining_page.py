"""The page on pre-training says what was measured."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import write_page


def test_the_figures_are_those_of_the_results() -> None:
    results = json.loads(write_page.RESULTS.read_text("utf-8"))
    found = write_page.BLOCK.search(write_page.PAGE.read_text("utf-8"))
    assert found is not None
    assert found[0] == write_page.figures(results)


def test_what_adapting_gains_is_what_was_measured() -> None:
    results = json.loads(write_page.ADAPT_RESULTS.read_text("utf-8"))
    found = write_page.BLOCK.search(write_page.ADAPT_PAGE.read_text("utf-8"))
    assert found is not None
    assert found[0] == write_page.adapted(results)


def test_the_picture_shows_both_losses() -> None:
    results = json.loads(write_page.RESULTS.read_text("utf-8"))
    words = "".join(ET.fromstring(write_page.draw(results)).itertext())
    for word in ("masked LM", "next sentence", "training", "held out", "step"):
        assert word in words
    assert write_page.PICTURE.is_file()
