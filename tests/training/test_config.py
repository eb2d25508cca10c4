"""Settings in TOML: strict on the way in, whole on the way out."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polarbert.errors import UsageError
from polarbert.training.config import read_settings, to_toml
from polarbert.training.recipe import FineTuneSettings
from polarbert.training.settings import TrainSettings

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


def read(folder: Path, text: str) -> FineTuneSettings:
    file = folder / "settings.toml"
    file.write_text(text, "utf-8")
    return read_settings(file, FineTuneSettings)


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert read(tmp_path, "") == FineTuneSettings()


def test_what_is_named_changes_and_the_rest_stays(tmp_path: Path) -> None:
    text = """
        task = "classification"
        shares = [0.7, 0.2, 0.1]
        class_weights = true
        [labels]
        "1 star" = "bad"
        fine = "good"
        [training]
        epochs = 5
        learning_rate = 2e-5
        patience = 2
    """
    assert read(tmp_path, text) == FineTuneSettings(
        task="classification",
        shares=(0.7, 0.2, 0.1),
        class_weights=True,
        labels={"1 star": "bad", "fine": "good"},
        training=TrainSettings(epochs=5.0, learning_rate=2e-5, patience=2),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class_weight = true", "unknown key 'class_weight'. Did you mean 'class_weights'?"),
        ("[training]\nepoch = 2", "unknown key 'epoch' in [training]. Did you mean 'epochs'?"),
        ("epochs = 2", "unknown key 'epochs'. It belongs into the table [training]"),
        ("zzz = 2", "unknown key 'zzz'. Known are task, max_pieces, "),
        ("[training]\nepochs = 'three'", "training.epochs must be a number, not 'three'"),
        ("[training]\nseed = 1.5", "training.seed must be a whole number, not 1.5"),
        ("[training]\nseed = true", "training.seed must be a whole number, not True"),
        ("class_weights = 1", "class_weights must be true or false, not 1"),
        ("task = 3", "task must be a text in quotes, not 3"),
        ("shares = [0.9, 0.1]", "shares must be a list of 3 values, not [0.9, 0.1]"),
        ("shares = [0.8, 0.1, 'x']", "shares must be a number, not 'x'"),
        ("training = 3", "training must be a table, [training], not 3"),
        ("labels = ['a']", "labels must be a table, [labels], not ['a']"),
        ("[labels]\n5 = 1", "labels.5 must be a text in quotes, not 1"),
        ("shares = [0.8, 0.1, 0.2]", "settings: shares must be above 0 (the test part may be 0) and sum to 1"),
        ("target_accuracy = 1.0", "settings: target_accuracy must be in (0, 1), not 1.0"),
        ("task = 'sorcery'", "settings: task must be sentiment, classification, pair, regression, tagging or qa, not"),
        ("device = 'tpu'", "settings: device must be auto, cpu, cuda, not 'tpu'"),
        ("max_pieces = 2", "settings: max_pieces must be 8 or more, not 2"),
        ("[training]\nepochs = -1", "settings: epochs must be above 0, not -1.0"),
        ("class_weights = yes", "cannot be read as TOML: Invalid value (at line 1, column 17)"),
        ("trial = true\ntrial = false", "cannot be read as TOML: Cannot overwrite a value"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        read(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path / 'settings.toml'}: ")
    assert words in str(raised.value)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml: cannot be read: No such file"):
        read_settings(tmp_path / "none.toml", FineTuneSettings)
    (tmp_path / "latin.toml").write_bytes(b"task = '\xe9'")
    with pytest.raises(UsageError, match=r"latin\.toml: cannot be read as TOML: .*utf-8"):
        read_settings(tmp_path / "latin.toml", FineTuneSettings)


def test_a_file_nested_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read as TOML"):
        read(tmp_path, "labels = " + "[" * 100_000)


def test_nothing_that_is_none_is_written() -> None:
    written = tomllib.loads(to_toml(FineTuneSettings()))
    assert "task" not in written
    assert "patience" not in written["training"]
    assert written["shares"] == [0.8, 0.1, 0.1]


@given(
    labels=st.dictionaries(NAMES, NAMES, max_size=4),
    rate=st.floats(1e-8, 1.0),
    epochs=st.floats(0.1, 1e3),
    patience=st.one_of(st.none(), st.integers(1, 9)),
    weights=st.booleans(),
)
def test_what_is_written_reads_back_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    labels: dict[str, str],
    rate: float,
    epochs: float,
    patience: int | None,
    weights: bool,
) -> None:
    training = TrainSettings(epochs=epochs, learning_rate=rate, patience=patience)
    settings = replace(FineTuneSettings(), labels=labels, class_weights=weights, training=training)
    assert read(tmp_path_factory.mktemp("toml"), to_toml(settings)) == settings
