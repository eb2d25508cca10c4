"""Bundles and trained models that are damaged, edited by hand or made to lead a reader astray."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.refusals import Refusal, assert_is, assert_refused
from tests.scoring_fixtures import QUICK, Outcome, sentences

from polarbert.bundle import MANIFEST, Bundle
from polarbert.inference import engine
from polarbert.text import tokenizer

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]
WITH_A_MODEL = {"predict": ["predict", "so great"], "score": ["score", "reviews.csv", "-o", "o.csv"], "info": ["info"]}
every_command = pytest.mark.parametrize("arguments", WITH_A_MODEL.values(), ids=WITH_A_MODEL)
scoring_commands = pytest.mark.parametrize("arguments", [*WITH_A_MODEL.values()][:2], ids=["predict", "score"])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("reviews.csv").write_bytes(b"id,text\n1,so great\n")
    return tmp_path


def edit(bundle: Path, path: str, value: Any) -> None:
    """Set a field of the manifest, as an editor would."""
    values = json.loads((bundle / MANIFEST).read_text())
    *outer, last = path.split(".")
    inner = values
    for name in outer:
        inner = inner[name]
    inner[last] = value
    (bundle / MANIFEST).write_text(json.dumps(values))


def put(bundle: Path, name: str, content: bytes) -> None:
    """Change a file and its checksum with it, as somebody would who means to."""
    (bundle / name).write_bytes(content)
    Bundle.open(bundle).write()


# Name of the case, field of the manifest, value, words of the message.
EDITED: list[tuple[str, str, Any, str]] = [
    ("graph one folder up", "graph.file", "../model.int8.onnx", "the graph lies outside the directory"),
    ("graph at an absolute path", "graph.file", "/etc/passwd", "the graph lies outside the directory"),
    ("graph in a folder", "graph.file", "deep/model.onnx", "the graph lies outside the directory"),
    ("graph without a name", "graph.file", "", "the graph lies outside the directory"),
    ("graph with an endless name", "graph.file", "x" * 300, "the graph lies outside the directory"),
    ("checksum of a file elsewhere", "checksums", {"../../etc/passwd": "0" * 64}, "a checksum names a file outside"),
    ("window wider than the network", "limits.window", 4096, "4096 pieces is wider than the network's 64 positions"),
    ("overlap as wide as the window", "limits.overlap", 64, "window and overlap do not fit"),
    (
        "label with a line end",
        "labels",
        ["good", "bad\n", "so"],
        "a label is blank, has more than 200 characters or con",
    ),
    ("label without letters", "labels", ["good", " ", "so"], "a label is blank"),
    ("label as long as a page", "labels", ["good", "x" * 201, "so"], "a label is blank, has more than 200 characters"),
    ("labels twice", "labels", ["good", "good", "so"], "two or more different names"),
    ("labels as one text", "labels", "good", "not of type list"),
    ("half a character", "provenance", {"made": "\ud83d"}, "cannot be read as JSON"),
    ("temperature of zero", "calibration.temperature", 0, "temperature must be a number above 0"),
    ("another task", "task", "sorcery", "task 'sorcery' is none of"),
]


@every_command
@pytest.mark.parametrize(("field", "value", "words"), [case[1:] for case in EDITED], ids=[case[0] for case in EDITED])
def test_a_manifest_edited_by_hand_is_refused_at_once(
    command: Command, here: Path, own_bundle: Path, arguments: list[str], field: str, value: Any, words: str
) -> None:
    edit(own_bundle, field, value)
    assert_refused(command(*arguments, "-m", "bundle"), 1, "bundle/polarbert.json", words)
    assert not Path("o.csv").exists()
    assert not Path("o.csv.partial").exists()


@scoring_commands
@pytest.mark.parametrize("labels", [["bad", "good"], ["a", "b", "c", "d"]])
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_labels_that_are_not_as_many_as_the_graph_has_are_refused_at_once(
    command: Command, here: Path, own_bundle: Path, arguments: list[str], labels: list[str], name: str
) -> None:
    edit(own_bundle, "labels", labels)
    ended = command(*arguments, "-m", "bundle", "--engine", name)
    words = f"model.int8.onnx: the graph has 3 labels, the manifest names {len(labels)}"
    assert_refused(ended, 1, words, "Copy or export the bundle again")
    assert not Path("o.csv").exists()


@every_command
def test_a_manifest_larger_than_any_is_refused(
    command: Command, here: Path, own_bundle: Path, arguments: list[str]
) -> None:
    with (own_bundle / MANIFEST).open("a") as file:
        file.write(" " * 1_000_001)
    assert_refused(
        command(*arguments, "-m", "bundle"), 1, "polarbert.json: has more than 1,000,000 bytes", "not what its"
    )


@every_command
@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xff\xfe{}", b'{"format": true}', b"[" * 100_000])
def test_a_manifest_that_is_none_is_refused(
    command: Command, here: Path, own_bundle: Path, arguments: list[str], content: bytes
) -> None:
    (own_bundle / MANIFEST).write_bytes(content)
    assert_refused(command(*arguments, "-m", "bundle"), 1, "bundle/polarbert.json: ")


@every_command
def test_a_newer_format_says_how_to_upgrade(
    command: Command, here: Path, own_bundle: Path, arguments: list[str]
) -> None:
    edit(own_bundle, "format", 99)
    assert_refused(command(*arguments, "-m", own_bundle), 1, "format 99 is newer", "pip install --upgrade polarbert")


@every_command
def test_weights_without_a_graph_lead_to_export(
    command: Command, here: Path, trained_dir: Path, arguments: list[str]
) -> None:
    assert_refused(command(*arguments, "-m", trained_dir), 1, f"polarbert export {trained_dir}")


@every_command
@pytest.mark.parametrize("name", ["model.int8.onnx", "tokenizer.json"])
def test_a_damaged_file_is_named(
    command: Command, here: Path, own_bundle: Path, arguments: list[str], name: str
) -> None:
    content = bytearray((own_bundle / name).read_bytes())
    content[100] ^= 8
    (own_bundle / name).write_bytes(content)
    ended = command(*arguments, "-m", "bundle")
    assert_refused(ended, 1, f"bundle/{name}: is damaged or was changed", "copy or export the bundle again")
    assert not list(here.glob("o.csv*"))


@every_command
@pytest.mark.parametrize("leads_to", ["loop", "/dev/zero", "missing", "/etc/hostname", ".."])
def test_a_link_is_followed_only_to_what_the_manifest_names(
    command: Command, here: Path, own_bundle: Path, arguments: list[str], leads_to: str
) -> None:
    (own_bundle / "tokenizer.json").unlink()
    (own_bundle / "tokenizer.json").symlink_to("tokenizer.json" if leads_to == "loop" else leads_to)
    ended = command(*arguments, "-m", "bundle")
    assert_refused(ended, 1, "bundle/tokenizer.json: is ", "copy or export the bundle again")


def test_a_link_to_the_very_content_is_as_good_as_a_copy(command: Command, here: Path, own_bundle: Path) -> None:
    shutil.move(own_bundle / "tokenizer.json", here / "elsewhere")
    (own_bundle / "tokenizer.json").symlink_to(here / "elsewhere")
    assert command("predict", "so great", "-m", "bundle", *QUICK).out.startswith("positive")


@every_command
def test_a_pipe_for_a_manifest_is_not_waited_for(
    command: Command, here: Path, own_bundle: Path, arguments: list[str]
) -> None:
    (own_bundle / MANIFEST).unlink()
    os.mkfifo(own_bundle / MANIFEST)
    assert_refused(command(*arguments, "-m", "bundle"), 1, "bundle: ", "polarbert export bundle")


PANICS = '{"version": "1.0", "added_tokens": [], "normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}'
TOKENIZERS = {
    "empty": b"",
    "no JSON": b"{",
    "another object": b'{"version": "1.0"}',
    "not UTF-8": b"\xff\xfe\x00",
    "one that panics": PANICS.encode(),
    "a graph": b"\x08\x09\x12\x04",
}


@scoring_commands
@pytest.mark.parametrize("content", TOKENIZERS.values(), ids=TOKENIZERS)
def test_a_tokenizer_that_is_none_is_refused(
    command: Command, here: Path, own_bundle: Path, arguments: list[str], content: bytes
) -> None:
    put(own_bundle, "tokenizer.json", content)
    ended = command(*arguments, "-m", "bundle", *QUICK)
    assert_refused(ended, 1, "bundle/tokenizer.json: not a readable tokenizer", "Copy or export the model again")


@scoring_commands
def test_a_tokenizer_larger_than_any_is_refused(
    command: Command, here: Path, own_bundle: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "MAX_BYTES", 10_000)
    ended = command(*arguments, "-m", "bundle", *QUICK)
    assert_refused(ended, 1, "bundle/tokenizer.json: has more than 10,000 bytes", "it is not what its name says")


@scoring_commands
def test_a_tokenizer_with_more_pieces_than_the_network_is_refused(
    command: Command, here: Path, own_bundle: Path, arguments: list[str]
) -> None:
    values = json.loads((own_bundle / "tokenizer.json").read_text("utf-8"))
    values["model"]["vocab"]["unheardof"] = len(values["model"]["vocab"])
    put(own_bundle, "tokenizer.json", json.dumps(values).encode())
    ended = command(*arguments, "-m", "bundle", *QUICK)
    assert_refused(
        ended, 1, "bundle/tokenizer.json: has 818 pieces, the network 817", "Copy or export the bundle again"
    )


@scoring_commands
def test_a_tokenizer_without_its_unknown_piece_is_refused(
    command: Command, here: Path, own_bundle: Path, arguments: list[str]
) -> None:
    values = json.loads((own_bundle / "tokenizer.json").read_text("utf-8"))
    values["model"]["unk_token"] = "[NONE]"
    put(own_bundle, "tokenizer.json", json.dumps(values).encode())
    assert_refused(command(*arguments, "-m", "bundle", *QUICK), 1, "tokenizer.json: not a readable tokenizer", "Copy")


@scoring_commands
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("content", [b"", b"no graph at all", b"\x00" * 1000], ids=["empty", "words", "zeros"])
def test_a_graph_that_is_none_is_refused(
    command: Command, here: Path, own_bundle: Path, arguments: list[str], content: bytes, name: str
) -> None:
    put(own_bundle, "model.int8.onnx", content)
    ended = command(*arguments, "-m", "bundle", "--engine", name)
    assert_refused(ended, 1, "bundle/model.int8.onnx: ", "Copy or export the bundle again")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_the_graph_of_another_network_is_refused(command: Command, here: Path, own_bundle: Path, name: str) -> None:
    import onnx

    graph = onnx.load_model(own_bundle / "model.int8.onnx")
    graph.graph.output[0].name = "values"
    for node in graph.graph.node:
        node.output[:] = ["values" if given == "logits" else given for given in node.output]
    put(own_bundle, "model.int8.onnx", graph.SerializeToString())
    ended = command("predict", "so great", "-m", "bundle", "--engine", name)
    assert_refused(ended, 1, "is not the graph of a classifier: it lacks the output logits", "Copy or export")


def test_a_network_narrower_than_everything_says_is_an_error_of_the_bundle(
    command: Command, here: Path, own_bundle: Path
) -> None:
    """Manifest and configuration agree with each other and not with the graph."""
    config = json.loads((own_bundle / "config.json").read_text())
    put(own_bundle, "config.json", json.dumps(config | {"max_position_embeddings": 512}).encode())
    edit(own_bundle, "limits", {"window": 512, "overlap": 64})
    ended = command("predict", "so great " * 100, "-m", "bundle", *QUICK)
    assert_refused(ended, 1, "bundle/model.int8.onnx: ONNX Runtime cannot compute the graph", "Copy or export")
    assert ended.err.count("\n") == 1


def test_an_engine_that_is_installed_and_broken_is_named(
    command: Command, bundle_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        raise ImportError("libopenvino.so: cannot open shared object file")

    monkeypatch.setattr(engine, "_openvino_without_telemetry", broken)
    ended = command("predict", "so great", "-m", bundle_dir, "--engine", "openvino")
    words = "installed but cannot be loaded (libopenvino.so: cannot open shared object file)"
    assert_refused(ended, 1, "The OpenVINO engine", words, 'pip install "polarbert[openvino]" --force-reinstall')
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    ended = command("predict", "so great", "-m", bundle_dir)
    assert_refused(
        ended, 1, "ONNX Runtime is installed but cannot be loaded", "pip install --force-reinstall onnxruntime"
    )


def test_what_a_manifest_says_cannot_steer_a_terminal(command: Command, here: Path, own_bundle: Path) -> None:
    edit(own_bundle, "provenance", {"made\x1b[2J": "by\x07 hand\r\n"})
    ended = command("info", "-m", "bundle")
    assert ended.code == 0
    assert not set("\x1b\x07\r") & set(ended.out)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "export.json"])
def test_info_names_any_damaged_file(command: Command, here: Path, own_bundle: Path, name: str) -> None:
    (own_bundle / name).write_bytes((own_bundle / name).read_bytes() + b" ")
    assert_refused(command("info", "-m", "bundle"), 1, f"bundle/{name}: is damaged", "export the bundle again")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b" " * 1_000_001, "has more than 1,000,000 bytes"),
        (b"{", "cannot be read as JSON"),
        (b"[" * 100_000, "cannot be read as JSON"),
        (b"[]", "must hold a JSON object"),
        (b'{"model_type": "gpt2"}', "model_type is 'gpt2'; only 'bert' can be loaded"),
        (b'{"hidden_size": -1}', "hidden_size must be a whole number"),
        (b'{"layer_norm_eps": "small"}', "layer_norm_eps must be a number"),
        (b'{"pad_token_id": 99999}', "pad_token_id must be the number of a piece"),
    ],
)
def test_info_and_export_refuse_a_configuration_of_no_bert(
    command: Command, here: Path, own_bundle: Path, content: bytes, words: str
) -> None:
    put(own_bundle, "config.json", content)
    assert_refused(command("info", "-m", "bundle"), 1, "config", words)
    assert_refused(command("export", "bundle", "-o", "out"), 1, "config", words)
    assert not Path("out").exists()


X = ["export"]
EXPORT = [
    Refusal("missing directory", [*X, "none"], 2, "none: no such directory", "name the one that holds"),
    Refusal("a file", [*X, "reviews.csv"], 2, "reviews.csv: no such directory", "name the one that holds"),
    Refusal("a link to itself", [*X, "loop"], 2, "loop: no such directory", "name the one that holds"),
    Refusal("no model", [*X, "empty"], 1, "empty: not a model directory", "it has no config.json"),
    Refusal("no weights", [*X, "bare"], 1, "bare: no model.safetensors", "no weights to load"),
    Refusal("pickled weights", [*X, "pickled"], 1, "pickled/pytorch_model.bin: a pickle file", "save_pretrained"),
    Refusal("cut weights", [*X, "cut"], 1, "cut/model.safetensors: not a readable", "safetensors"),
    Refusal("no labels", [*X, "labelless"], 1, "labelless: config.json has no id2label", "not a trained classifier"),
    Refusal("no tokenizer", [*X, "wordless"], 1, "wordless: no tokenizer.json and no vocab.txt", "cannot be read"),
    Refusal(
        "a vocabulary in Latin-1", [*X, "latin"], 1, "latin/vocab.txt: not a vocabulary in UTF-8", "copy the model"
    ),
    Refusal(
        "output is a file", [*X, "model", "-o", "reviews.csv"], 2, "reviews.csv: is no directory", "another with -o"
    ),
    Refusal("output is a link to itself", [*X, "model", "-o", "loop"], 2, "loop: is no directory", "another with -o"),
    Refusal(
        "output inside a file", [*X, "model", "-o", "reviews.csv/out"], 1, "reviews.csv/out: cannot be", "run the same"
    ),
    Refusal("output where nothing can be", [*X, "model", "-o", "/proc/out"], 1, "/proc/out: cannot be", "run the same"),
    Refusal("unknown task", [*X, "model", "--task", "sorcery"], 2, "--task is 'sorcery'", "tagging or qa"),
    Refusal("narrow window", [*X, "model", "--window", "3"], 2, "--window", "polarbert export -h"),
    Refusal(
        "missing texts", [*X, "model", "--texts", "none.csv"], 2, "none.csv: cannot be read", "name a file with texts"
    ),
    Refusal(
        "a folder of texts", [*X, "model", "--texts", "empty"], 2, "empty: cannot be read: Is a dir", "name a file"
    ),
    Refusal(
        "texts without the column", [*X, "model", "--texts", "reviews.csv", "-c", "t"], 2, "no column 't'", "are 'id'"
    ),
    Refusal(
        "blank texts", [*X, "model", "--texts", "blank.csv"], 1, "the column 'text' holds no text", "--text-column"
    ),
    Refusal("texts in UTF-16", [*X, "model", "--texts", "wide.csv"], 1, "wide.csv: is UTF-16", "--encoding utf-16"),
    Refusal(
        "texts of no known format", [*X, "model", "--texts", "texts.doc"], 2, "texts.doc: cannot tell", "--format csv"
    ),
    Refusal(
        "unknown encoding", [*X, "model", "--texts", "reviews.csv", "--encoding", "utf9"], 2, "'utf9'", "Did you mean"
    ),
    Refusal(
        "numbers for texts", [*X, "model", "--texts", "n.jsonl"], 1, "n.jsonl: the column 'text' holds", "--text-col"
    ),
]


@pytest.fixture
def models(here: Path, trained_dir: Path) -> Path:
    """Trained models, each with something missing or wrong."""
    (here / "loop").symlink_to("loop")
    (here / "empty").mkdir()
    for name in ("model", "bare", "pickled", "cut", "labelless", "wordless", "latin"):
        shutil.copytree(trained_dir, here / name)
    for name in ("bare", "pickled"):
        (here / name / "model.safetensors").unlink()
    (here / "pickled/pytorch_model.bin").write_bytes(b"\x80\x02}.")
    cut = (here / "cut/model.safetensors").read_bytes()
    (here / "cut/model.safetensors").write_bytes(cut[: len(cut) // 2])
    config = json.loads((here / "labelless/config.json").read_text())
    del config["id2label"]
    (here / "labelless/config.json").write_text(json.dumps(config))
    for name in ("wordless", "latin"):
        (here / name / "tokenizer.json").unlink()
    (here / "latin/vocab.txt").write_bytes(b"[PAD]\ncaf\xe9\n")
    (here / "blank.csv").write_text("text,id\n,1\n  ,2\n")
    (here / "wide.csv").write_text("text\nso great\n", "utf-16")
    (here / "texts.doc").write_text("text\nso great\n")
    (here / "n.jsonl").write_text('{"text": 1}\n{"text": 2}\n')
    return here


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("case", EXPORT, ids=[case.name for case in EXPORT])
def test_an_export_that_cannot_be_made_changes_nothing(command: Command, models: Path, case: Refusal) -> None:
    before = content(models)
    assert_is(command(*case.arguments, "--quiet"), case)
    assert content(models) == before


def test_texts_of_any_format_and_encoding_calibrate_an_export(command: Command, models: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [text for text, _ in sentences(40, 81)]
    pq.write_table(pa.table({"text": texts}), "texts.parquet")
    Path("texts.csv").write_text("text\n" + "\n".join(texts), "utf-16")
    for more in (["texts.parquet"], ["texts.csv", "--encoding", "utf-16"], ["texts.parquet", "--format", "parquet"]):
        ended = command("export", "model", "-o", f"out{len(more)}", "--texts", *more)
        assert ended.code == 0, ended.err
        assert "float graph: 40 texts" in ended.err
