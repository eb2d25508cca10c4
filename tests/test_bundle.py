"""A bundle opens when all is well; whatever is wrong with it is said in one error that names the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polarbert.bundle import FORMAT, MANIFEST, Bundle, resolve
from polarbert.calibration import Calibration
from polarbert.errors import BundleError

pytest_plugins = ["tests.scoring_fixtures"]

GOOD: dict[str, Any] = {
    "format": FORMAT,
    "task": "sentiment",
    "labels": ["negative", "neutral", "positive"],
    "graph": {"file": "model.int8.onnx", "precision": "int8"},
    "calibration": {"temperature": 1.5, "unsure_below": 0.5},
    "limits": {"window": 512, "overlap": 64},
    "provenance": {"made": "by hand"},
    "checksums": {"model.int8.onnx": "0" * 64, "tokenizer.json": "1" * 64},
}


def write_manifest(directory: Path, values: Any) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / MANIFEST).write_text(json.dumps(values), "utf-8")
    return directory


def changed(path: str, value: Any) -> dict[str, Any]:
    """`GOOD` with one field, named by a dotted path, set to something else."""
    values: dict[str, Any] = json.loads(json.dumps(GOOD))
    *outer, last = path.split(".")
    inner = values
    for name in outer:
        inner = inner[name]
    inner[last] = value
    return values


def without(path: str) -> dict[str, Any]:
    values = changed(path, None)
    *outer, last = path.split(".")
    inner = values
    for name in outer:
        inner = inner[name]
    del inner[last]
    return values


def test_what_is_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "graph.onnx").write_bytes(b"a graph")
    (tmp_path / "tokenizer.json").write_text("{}")
    written = Bundle(
        tmp_path,
        "classification",
        ["bug", "praise", "日本語"],
        "graph.onnx",
        "float32",
        Calibration(0.7, 0.45),
        128,
        32,
        {"data": ["one", "two"]},
    )
    written.write()
    read = Bundle.open(tmp_path)
    assert replace(read, checksums={}) == written
    assert set(read.checksums) == {"graph.onnx", "tokenizer.json"}
    read.verify()


def test_the_exported_bundle_holds_what_it_was_given(bundle_dir: Path) -> None:
    bundle = Bundle.open(bundle_dir)
    assert (bundle.task, bundle.precision, bundle.window, bundle.overlap) == ("sentiment", "int8", 64, 16)
    assert bundle.labels == ["negative", "neutral", "positive"]
    assert bundle.provenance == {"recipe": "tests"}
    bundle.verify()


def test_traits_are_kept_and_say_what_is_read(own_bundle: Path) -> None:
    plain = Bundle.open(own_bundle)
    assert (plain.traits, plain.judges_aspects) == ((), False)
    assert "traits" not in json.loads((own_bundle / MANIFEST).read_text("utf-8"))
    replace(plain, traits=("aspects",)).write()
    read = Bundle.open(own_bundle)
    assert (read.traits, read.judges_aspects, read.reads_pairs) == (("aspects",), True, False)
    assert read.fingerprint() != plain.fingerprint()


@pytest.mark.parametrize("task", ["classification", "pair", "tagging"])
def test_only_a_model_of_sentiment_judges_aspects(tmp_path: Path, task: str) -> None:
    write_manifest(tmp_path, {**GOOD, "traits": ["aspects"]})
    assert Bundle.open(tmp_path).judges_aspects
    write_manifest(tmp_path, {**GOOD, "traits": ["aspects"], "task": task})
    with pytest.raises(BundleError, match=f"a model for {task} judges no aspects"):
        Bundle.open(tmp_path)


def test_an_empty_directory_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"not a model directory \(it has no polarbert\.json\)"):
        Bundle.open(tmp_path)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nowhere: no such model directory"):
        Bundle.open(tmp_path / "nowhere")


def test_weights_without_a_graph_lead_to_export(trained_dir: Path) -> None:
    with pytest.raises(BundleError, match=f"polarbert export {trained_dir}"):
        Bundle.open(trained_dir)


def test_a_newer_format_says_how_to_upgrade(tmp_path: Path) -> None:
    write_manifest(tmp_path, changed("format", FORMAT + 1))
    with pytest.raises(BundleError, match=rf"format {FORMAT + 1} is newer.*pip install --upgrade polarbert"):
        Bundle.open(tmp_path)


def test_a_manifest_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text('{"format": 1,')
    with pytest.raises(BundleError, match=r"polarbert\.json: cannot be read as JSON"):
        Bundle.open(tmp_path)


def test_a_manifest_nested_without_end_is_an_error(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text("[" * 200_000)
    with pytest.raises(BundleError, match=r"polarbert\.json"):
        Bundle.open(tmp_path)


def test_a_manifest_larger_than_any_is_not_read(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps(GOOD) + " " * 1_000_001)
    with pytest.raises(BundleError, match=r"polarbert\.json: has more than 1,000,000 bytes"):
        Bundle.open(tmp_path)


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "deep/model.onnx", ".."])
def test_a_graph_outside_the_directory_is_refused(tmp_path: Path, name: str) -> None:
    write_manifest(tmp_path, changed("graph.file", name))
    with pytest.raises(BundleError, match="graph lies outside the directory"):
        Bundle.open(tmp_path)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", ".."])
def test_a_checksum_outside_the_directory_is_refused(tmp_path: Path, name: str) -> None:
    write_manifest(tmp_path, changed("checksums", {name: "0" * 64}))
    with pytest.raises(BundleError, match="checksum names a file outside"):
        Bundle.open(tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("task", "sorcery", "task 'sorcery'"),
        ("labels", ["only"], "labels"),
        ("labels", ["twice", "twice"], "labels"),
        ("labels", "positive", "not of type list"),
        ("labels", [1, 2], "not of type str"),
        ("calibration.temperature", 0, "temperature"),
        ("calibration.temperature", -1.0, "temperature"),
        ("calibration.temperature", float("nan"), "temperature"),
        ("calibration.temperature", float("inf"), "temperature"),
        ("calibration.unsure_below", float("nan"), "unsure_below"),
        ("calibration.unsure_below", 1.5, "unsure_below"),
        ("limits.window", 4, "window"),
        ("limits.window", float("inf"), "wrong kind"),
        ("limits.overlap", 512, "overlap"),
        ("limits.overlap", -1, "overlap"),
        ("graph.file", 5, "not of type str"),
        ("traits", ["aspect"], "trait 'aspect' is none of pairs, always answers, aspects"),
        ("traits", "aspects", "not of type list"),
        ("traits", [5], "not of type str"),
        ("format", "1", "no format number"),
        ("format", True, "no format number"),
        ("format", 0, "format"),
    ],
)
def test_a_value_out_of_range_is_named(tmp_path: Path, field: str, value: Any, words: str) -> None:
    write_manifest(tmp_path, changed(field, value))
    with pytest.raises(BundleError, match=words):
        Bundle.open(tmp_path)


@pytest.mark.parametrize(
    "field",
    ["format", "task", "labels", "graph", "graph.file", "graph.precision", "calibration", "limits.window", "checksums"],
)
def test_a_missing_field_is_an_error(tmp_path: Path, field: str) -> None:
    write_manifest(tmp_path, without(field))
    with pytest.raises(BundleError, match=r"polarbert\.json"):
        Bundle.open(tmp_path)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [*GOOD, *(f"{outer}.{inner}" for outer in GOOD if isinstance(GOOD[outer], dict) for inner in GOOD[outer])]
SAFE_FIELDS = [field for field in FIELDS if "." not in field.partition(".")[2]]


@settings(max_examples=300)
@given(st.sampled_from(SAFE_FIELDS), ANYTHING)
def test_a_mutated_manifest_opens_or_is_a_bundle_error(
    tmp_path_factory: pytest.TempPathFactory, field: str, value: Any
) -> None:
    directory = write_manifest(tmp_path_factory.getbasetemp() / "mutated", changed(field, value))
    opens_or_bundle_error(directory)


@given(st.binary(max_size=300) | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_as_manifest_are_a_bundle_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    directory = tmp_path_factory.getbasetemp() / "garbled"
    directory.mkdir(exist_ok=True)
    (directory / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError):
        Bundle.open(directory)


@given(st.integers(0, len(json.dumps(GOOD)) - 1), st.integers(0, 255))
def test_one_wrong_byte_in_the_manifest_opens_or_is_a_bundle_error(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int
) -> None:
    content = bytearray(json.dumps(GOOD).encode())
    content[place] = byte
    directory = tmp_path_factory.getbasetemp() / "flipped"
    directory.mkdir(exist_ok=True)
    (directory / MANIFEST).write_bytes(content)
    opens_or_bundle_error(directory)


def opens_or_bundle_error(directory: Path) -> None:
    """The files of the manifest do not exist, so verifying fails in any case."""
    try:
        bundle = Bundle.open(directory)
    except BundleError:
        return
    assert isinstance(bundle.fingerprint(), str)
    if bundle.checksums:
        with pytest.raises(BundleError):
            bundle.verify()


@pytest.mark.parametrize("name", ["model.int8.onnx", "tokenizer.json", "model.safetensors", "config.json"])
def test_a_flipped_byte_is_found_and_its_file_named(own_bundle: Path, name: str) -> None:
    content = bytearray((own_bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (own_bundle / name).write_bytes(content)
    with pytest.raises(BundleError, match=rf"{name}: is damaged or was changed"):
        Bundle.open(own_bundle).verify()


def test_a_missing_file_is_named(own_bundle: Path) -> None:
    (own_bundle / "tokenizer.json").unlink()
    with pytest.raises(BundleError, match=r"tokenizer\.json: is missing"):
        Bundle.open(own_bundle).verify()


def test_a_file_that_was_never_checked_is_an_error(own_bundle: Path) -> None:
    (own_bundle / "extra.onnx").write_bytes(b"graph")
    with pytest.raises(BundleError, match=r"extra\.onnx: has no checksum"):
        Bundle.open(own_bundle).verify(["extra.onnx"])


def test_the_fingerprint_follows_everything_that_changes_answers(own_bundle: Path) -> None:
    bundle = Bundle.open(own_bundle)
    same = Bundle.open(own_bundle)
    variants = [
        replace(bundle, calibration=Calibration(2.0, 0.6)),
        replace(bundle, calibration=Calibration(1.25, 0.9)),
        replace(bundle, labels=["negative", "mixed", "positive"]),
        replace(bundle, window=32),
        replace(bundle, overlap=8),
        replace(bundle, checksums={**bundle.checksums, "model.int8.onnx": "0" * 64}),
        replace(bundle, checksums={**bundle.checksums, "tokenizer.json": "0" * 64}),
    ]
    assert same.fingerprint() == bundle.fingerprint()
    assert len({b.fingerprint() for b in [bundle, *variants]}) == len(variants) + 1
    assert replace(bundle, provenance={"x": 1}).fingerprint() == bundle.fingerprint()


def test_resolve_knows_directories_and_the_embedded_model(tmp_path: Path) -> None:
    assert resolve(tmp_path) == tmp_path
    assert resolve(str(tmp_path)) == tmp_path
    assert resolve(None).parts[-3:] == ("polarbert", "models", "default")


def test_resolve_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="a model is a directory, and this is a file"):
        resolve(tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ["./missing", "/missing/too", "missing", "a/b/c", "../x"])
def test_resolve_takes_no_path_for_a_hub_id(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # what lies beside the checkout is no part of the test
    with pytest.raises(BundleError, match="no such model directory"):
        resolve(name)


def test_a_hub_id_that_is_not_cached_is_a_clear_error_offline(tmp_path: Path) -> None:
    code = "import polarbert.bundle as b\ntry: b.resolve('some-org/some-model')\nexcept b.BundleError as e: print(e)"
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("some-org/some-model: not a local directory, and the Hub did not give it:")
    assert ended.stderr == ""
