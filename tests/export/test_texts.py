"""Texts to calibrate on that come with Polarbert."""

from __future__ import annotations

from pathlib import Path

import pytest

from polarbert.errors import ExportError
from polarbert.export import texts
from polarbert.export.proof import MIN_TEXTS


def test_there_are_enough_for_a_proof_and_all_differ() -> None:
    found = texts.own_texts()
    assert len(found) >= MIN_TEXTS
    assert len(set(found)) == len(found)
    assert all(text.strip() for text in found)
    lengths = sorted(len(text) for text in found)
    assert lengths[0] < 40
    assert lengths[-1] > 300


def test_an_installation_without_them_says_what_to_give(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(texts, "files", lambda package: tmp_path)
    monkeypatch.setattr(texts, "__file__", str(tmp_path / "a" / "b" / "c" / "d.py"))
    with pytest.raises(ExportError, match="give --texts FILE"):
        texts.own_texts()


def test_every_other_text_is_asked_about_a_word_of_its_own() -> None:
    own = texts.own_texts()
    found = texts.with_aspects([*own, "", "?!"])
    assert [text for text, _ in found] == [*own, "", "?!"]
    asked = [(text, aspect) for text, aspect in found if aspect is not None]
    assert len(own) // 2 - 1 <= len(asked) <= len(own) // 2 + 1
    assert all(aspect in text for text, aspect in asked)
