"""From a trained directory to a bundle: proved, complete, and readable by `transformers`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tests.scoring_fixtures import LABELS, OVERLAP, WINDOW, load, sentences

from polarbert.bundle import Bundle
from polarbert.calibration import probabilities
from polarbert.errors import BundleError, ExportError
from polarbert.export.bundling import ExportOptions, export_bundle
from polarbert.export.graph_builder import ColumnRanges
from polarbert.export.proof import LabelledSet
from polarbert.export.quantise import ObservingEngine
from polarbert.inference.classifier import SentimentModel
from polarbert.model import BertConfig, BertForSequenceClassification
from polarbert.text import WordPieceTokenizer

pytest_plugins = ["tests.scoring_fixtures"]

LABELLED = sentences(1050, 71)
TEXTS = [text for text, _ in LABELLED]
SETS = {"held out": LabelledSet.of_texts(TEXTS, [LABELS.index(label) for _, label in LABELLED])}


def test_a_bundle_holds_everything_and_nothing_else(bundle_dir: Path) -> None:
    expected = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    expected |= {"model.int8.onnx", "polarbert.json", "export.json"}
    assert {file.name for file in bundle_dir.iterdir()} == expected
    assert set(Bundle.open(bundle_dir).checksums) == expected - {"polarbert.json"}
    Bundle.open(bundle_dir).verify()


def test_the_proofs_are_kept_with_the_bundle(bundle_dir: Path) -> None:
    report = json.loads((bundle_dir / "export.json").read_text("utf-8"))
    assert report["precision"] == "int8"
    assert report["float"]["max_difference"] < 1e-4
    assert report["float"]["problems"] == report["int8"]["problems"] == []
    assert report["int8"]["texts"] == 1100
    assert report["int8"]["sets"]["held out"]["before"] > 0.98


def test_exporting_in_place_keeps_the_weights(trained_dir: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(trained_dir, tmp_path / "model"))
    report = export_bundle(own, own, TEXTS, SETS, ExportOptions("sentiment", window=WINDOW, overlap=OVERLAP))
    assert (report.path, report.precision) == (own, "int8")
    assert (own / "model.safetensors").read_bytes() == (trained_dir / "model.safetensors").read_bytes()
    assert load(own).predict(["so great"])[0].label == "positive"


def test_exporting_twice_gives_the_same_graph(trained_dir: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        export_bundle(trained_dir, tmp_path / name, TEXTS, SETS)
    graphs = [(tmp_path / name / "model.int8.onnx").read_bytes() for name in ("a", "b")]
    assert graphs[0] == graphs[1]


def test_a_window_longer_than_the_network_reads_is_cut(trained_dir: Path, tmp_path: Path) -> None:
    export_bundle(trained_dir, tmp_path / "out", TEXTS, SETS, ExportOptions(window=512, overlap=64))
    bundle = Bundle.open(tmp_path / "out")
    assert bundle.window == WINDOW
    assert load(tmp_path / "out").predict(["great " * 200])[0].n_windows > 1


@pytest.fixture
def narrow_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibration goes wrong: activations are cut at a twentieth of what they are."""
    observed = ObservingEngine.ranges

    def ranges(self: ObservingEngine) -> dict[str, ColumnRanges]:
        return {name: span.scaled(1 / 20) for name, span in observed(self).items()}

    monkeypatch.setattr(ObservingEngine, "ranges", ranges)


@pytest.mark.usefixtures("narrow_ranges")
def test_a_damaged_int8_graph_is_refused(trained_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"the int8 graph is refused: .*% of the labels changed") as raised:
        export_bundle(trained_dir, tmp_path / "out", TEXTS, SETS, ExportOptions(strict=True))
    assert "held out: accuracy fell" in str(raised.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("narrow_ranges")
def test_a_damaged_int8_graph_is_left_out_and_a_note_says_so(trained_dir: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    report = export_bundle(trained_dir, tmp_path / "out", TEXTS, SETS, note=notes.append)
    bundle = Bundle.open(tmp_path / "out")
    assert report.precision == bundle.precision == "float32"
    assert bundle.graph == "model.onnx"
    assert not (tmp_path / "out" / "model.int8.onnx").exists()
    assert any("Keeping the float graph" in line for line in notes)
    right = [a.label == b for a, (_, b) in zip(load(tmp_path / "out").predict(TEXTS[:200]), LABELLED, strict=False)]
    assert np.mean(right) > 0.98


def test_a_float_graph_that_is_another_network_is_refused(
    trained_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = BertForSequenceClassification.forward

    def other(self: BertForSequenceClassification, *arguments: Any) -> Any:
        output = forward(self, *arguments)
        output.logits[:, 0] += 2.0  # a model that is sure of all hardly moves by less
        return output

    monkeypatch.setattr(BertForSequenceClassification, "forward", other)
    with pytest.raises(ExportError, match="the float graph is not the trained network: a probability differs"):
        export_bundle(trained_dir, tmp_path / "out", TEXTS)


def test_an_old_bundle_survives_an_export_that_fails(own_bundle: Path, trained_dir: Path) -> None:
    before = {file.name: file.read_bytes() for file in own_bundle.iterdir()}
    with pytest.raises(ExportError, match="too few"):
        export_bundle(trained_dir, own_bundle, TEXTS[:50], options=ExportOptions(strict=True))
    assert {file.name: file.read_bytes() for file in own_bundle.iterdir()} == before


def test_without_texts_there_is_nothing_to_calibrate_on(trained_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="needs texts to calibrate on"):
        export_bundle(trained_dir, tmp_path / "out", [])


def test_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"none: not a model directory \(it has no config\.json\)"):
        export_bundle(tmp_path / "none", tmp_path / "out", TEXTS)


@pytest.fixture
def own_model(trained_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_dir, tmp_path / "model"))


def change_config(model: Path, **changes: Any) -> None:
    values = json.loads((model / "config.json").read_text("utf-8")) | changes
    kept = {name: value for name, value in values.items() if value is not None}
    (model / "config.json").write_text(json.dumps(kept), "utf-8")


def test_a_model_without_labels_is_no_classifier(own_model: Path, tmp_path: Path) -> None:
    change_config(own_model, id2label=None)
    with pytest.raises(BundleError, match="no id2label, so this is not a trained classifier"):
        export_bundle(own_model, tmp_path / "out", TEXTS)


def test_labels_that_do_not_fit_the_weights_are_named(own_model: Path, tmp_path: Path) -> None:
    change_config(own_model, id2label={"0": "bad", "1": "good"})
    with pytest.raises(BundleError, match=r"classifier\.(weight|bias)"):
        export_bundle(own_model, tmp_path / "out", TEXTS)


def test_another_models_tokenizer_is_refused(own_model: Path, tmp_path: Path, vocab: list[str]) -> None:
    WordPieceTokenizer.from_vocab([*vocab, "extra"], lowercase=True, emoji=True).save(own_model)
    with pytest.raises(BundleError, match=f"the tokenizer has {len(vocab) + 1} pieces, the network {len(vocab)}"):
        export_bundle(own_model, tmp_path / "out", TEXTS)


def test_a_model_without_a_tokenizer_is_refused(own_model: Path, tmp_path: Path) -> None:
    (own_model / "tokenizer.json").unlink()
    with pytest.raises(BundleError, match=r"no tokenizer\.json and no vocab\.txt"):
        export_bundle(own_model, tmp_path / "out", TEXTS)


def test_a_checkpoint_in_parts_becomes_a_whole_bundle(own_model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    theirs: Any = AutoModelForSequenceClassification.from_pretrained(own_model)
    (own_model / "model.safetensors").unlink()
    theirs.save_pretrained(own_model, max_shard_size="100KB")
    assert (own_model / "model.safetensors.index.json").is_file()
    export_bundle(own_model, tmp_path / "out", TEXTS, SETS)
    again = BertForSequenceClassification.from_pretrained(tmp_path / "out")
    np.testing.assert_array_equal(again.classifier.weight.detach(), theirs.classifier.weight.detach())


def test_a_checkpoint_of_vocab_txt_gets_a_tokenizer_json(own_model: Path, tmp_path: Path, vocab: list[str]) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (own_model / name).unlink()
    (own_model / "vocab.txt").write_text("\n".join(vocab) + "\n", "utf-8")
    export_bundle(own_model, tmp_path / "out", TEXTS, SETS)
    assert load(tmp_path / "out").predict(["so great"])[0].label == "positive"


def test_the_float_graph_answers_like_transformers_on_the_same_directory(float_bundle_dir: Path) -> None:
    from transformers import AutoTokenizer, pipeline

    texts = [*TEXTS[:60], "great 😀", "The app: it's SO bad!!"]
    ours = load(float_bundle_dir)
    tokenizer: Any = AutoTokenizer.from_pretrained(float_bundle_dir)
    for text, pieces in zip(texts, ours.tokenizer.encode(texts), strict=True):
        assert tokenizer(text)["input_ids"] == [ours.tokenizer.cls_id, *pieces.ids, ours.tokenizer.sep_id]
    classify: Any = pipeline("text-classification", model=str(float_bundle_dir), device="cpu")
    scores = classify(texts, top_k=None, function_to_apply="none")
    logits = np.array([[{s["label"]: s["score"] for s in row}[label] for label in LABELS] for row in scores])
    theirs = probabilities(logits, ours.bundle.calibration.temperature)
    mine = np.array([list(answer.probabilities.values()) for answer in ours.predict(texts)])
    np.testing.assert_allclose(mine, theirs, atol=1e-4)


def test_the_bundle_trains_on(bundle_dir: Path) -> None:
    """`from_encoder` on a bundle gives the trained encoder and a new output layer."""
    fresh = BertForSequenceClassification.from_encoder(bundle_dir, ["bug", "praise"])
    trained = BertForSequenceClassification.from_pretrained(bundle_dir)
    assert BertConfig.from_pretrained(bundle_dir) == fresh.config
    np.testing.assert_array_equal(
        fresh.bert.embeddings.word.weight.detach(), trained.bert.embeddings.word.weight.detach()
    )
    assert fresh.classifier.weight.shape[0] == 2


def test_int8_is_smaller_than_float(bundle_dir: Path, float_bundle_dir: Path) -> None:
    small, large = (bundle_dir / "model.int8.onnx").stat().st_size, (float_bundle_dir / "model.onnx").stat().st_size
    assert small < 0.45 * large


def test_the_graph_of_a_bundle_is_a_model_of_three_inputs(bundle_dir: Path, model: SentimentModel) -> None:
    session = onnxruntime.InferenceSession(bundle_dir / "model.int8.onnx", providers=["CPUExecutionProvider"])
    assert [put.name for put in session.get_inputs()] == ["input_ids", "attention_mask", "token_type_ids"]
    assert [(put.name, put.shape[1]) for put in session.get_outputs()] == [("logits", len(model.labels))]
