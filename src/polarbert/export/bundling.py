"""From a trained network to a bundle that scores: float graph, then int8, each step proved against the last."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx

from polarbert.bundle import MANIFEST, Bundle
from polarbert.calibration import Calibration
from polarbert.data.entities import OUTSIDE
from polarbert.errors import BundleError, ExportError
from polarbert.export.graph import build_graph
from polarbert.export.graph_builder import ColumnRanges
from polarbert.export.proof import (
    MAX_FLIPS,
    MAX_MOVED_ENDS,
    MAX_MOVED_TAGS,
    MIN_TEXTS,
    Distributions,
    LabelledSet,
    Proof,
    prove_int8,
    prove_same,
)
from polarbert.export.quantise import ObservingEngine
from polarbert.files import disk_errors, flush_to_disk, locked_folder
from polarbert.inference.predictor import Predictor
from polarbert.inference.predictors import make_predictor
from polarbert.model.engine import TorchEngine
from polarbert.model.heads import BertWithHead
from polarbert.model.kinds import head_of
from polarbert.text import WordPieceTokenizer

INT8, FLOAT = "model.int8.onnx", "model.onnx"
TORCH_TEXTS = 256  # compared between PyTorch and the float graph
CALIBRATION_TEXTS = 1024
LIMITS = {"qa": MAX_MOVED_ENDS, "tagging": MAX_MOVED_TAGS}  # of decisions that int8 may change; 2% unless named
DECISIONS = {"tagging": "tags of entities", "qa": "starts and ends", "regression": "numbers"}  # labels unless named
CARRIED = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md")


@dataclass(frozen=True)
class ExportOptions:
    """How to export.

    Args:
        task: one of `polarbert.bundle.TASKS`.
        calibration: temperature and threshold to store.
        window: most pieces read at once; at most what the network has positions for.
        overlap: pieces that neighbouring windows share.
        strict: an int8 graph that fails its proof is an error instead of a reason to keep the float graph.
        provenance: how the model was made, for people.
        scratch: folder in which the graphs are made before they are proved; the system's temporary one unless given.
        traits: as `polarbert.bundle.Bundle` has them.
    """

    task: str = "classification"
    calibration: Calibration = field(default_factory=Calibration)
    window: int = 512
    overlap: int = 64
    strict: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict)
    scratch: Path | None = None
    traits: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportReport:
    """What the export did.

    Attributes:
        path: the bundle.
        precision: "int8", or "float32" where int8 failed its proof.
        float_proof: PyTorch against the float graph.
        int8_proof: the float graph against the int8 graph.
    """

    path: Path
    precision: str
    float_proof: Proof
    int8_proof: Proof

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        proofs = {"float": self.float_proof.to_dict(), "int8": self.int8_proof.to_dict()}
        return {"path": str(self.path), "precision": self.precision, **proofs}


def export_bundle(
    source: Path,
    target: Path,
    inputs: Sequence[Any],
    sets: Mapping[str, LabelledSet] | None = None,
    options: ExportOptions | None = None,
    note: Callable[[str], None] = lambda _line: None,
) -> ExportReport:
    """Make a bundle of the trained network in `source`.

    Args:
        source: directory in the Hugging Face layout.
        target: directory of the bundle; may be `source`. It changes only once everything is proved.
        inputs: real texts, or tuples as the task's predictor is asked them, for calibration; also to count changed
            decisions where the labelled ones are too few for that.
        sets: labelled inputs by name, on which accuracy is compared and changed decisions are counted.
        options: how to export.
        note: called with a line on each step.

    Raises:
        ExportError: when the float graph differs from PyTorch, or int8 fails its proof and `options.strict` is set.
        BundleError, WeightsError: when `source` is no network for the task.
    """
    options, sets = options or ExportOptions(), dict(sets or {})
    if not inputs:
        raise ExportError("export needs texts to calibrate on; give --texts FILE")
    asked = [(one, None) if isinstance(one, str) else one for one in inputs]
    model = head_of(options.task).from_pretrained(source)
    _check_labels(source, options.task, model.labels)
    if options.window > model.config.max_position_embeddings:
        window = model.config.max_position_embeddings
        options = replace(options, window=window, overlap=min(options.overlap, window // 4))
    tokenizer = WordPieceTokenizer.from_directory(source)
    if tokenizer.vocab_size != model.config.vocab_size:
        raise BundleError(
            f"{source}: the tokenizer has {tokenizer.vocab_size} pieces, the network {model.config.vocab_size}"
        )
    scratch = str(options.scratch or "the folder for temporary files")
    elsewhere = "" if options.scratch else ", or name another place with TMPDIR,"
    room = f"{target} is as it was. Make room there{elsewhere} and run the same command again"
    with (
        disk_errors(scratch, room, ExportError),
        tempfile.TemporaryDirectory(prefix="polarbert-export-", dir=options.scratch) as folder,
    ):
        work = _Workshop(Path(folder), model, tokenizer, options)
        float_proof = work.prove_float(asked[:TORCH_TEXTS])
        note(f"float graph: {float_proof.texts} texts, largest difference {float_proof.max_difference:.2g}")
        if float_proof.problems:
            raise ExportError("the float graph is not the trained network: " + "; ".join(float_proof.problems))
        work.quantise(asked[:CALIBRATION_TEXTS])
        counted: dict[str, Sequence[Any]] = {name: labelled.inputs for name, labelled in sets.items()}
        if sum(map(len, counted.values())) < MIN_TEXTS:
            counted["texts"] = asked
        int8_proof = work.prove_int8(counted, sets)
        note(f"int8 graph: {int8_proof.texts:,} texts, {int8_proof.flips:.2%} of the {work.decisions} changed")
        if int8_proof.problems and options.strict:
            raise ExportError("the int8 graph is refused: " + "; ".join(int8_proof.problems))
        for problem in int8_proof.problems:
            note(f"int8 graph: {problem}. Keeping the float graph, which is slower and exact")
        graph = FLOAT if int8_proof.problems else INT8
        report = ExportReport(target, "float32" if graph == FLOAT else "int8", float_proof, int8_proof)
        with disk_errors(str(target), "It is as it was. Make room and run the same command again", ExportError):
            _install(source, target, work, graph, report)
    return report


def _check_labels(source: Path, task: str, labels: Sequence[str]) -> None:
    """Refuse labels that a model for the task does not have, by the name of what holds them."""
    have = f"{source / 'config.json'}: id2label names {len(labels)} label{'s' if len(labels) > 1 else ''}"
    if task == "regression":
        if len(labels) > 1:
            raise BundleError(f"{have}, and a regression has one, the name of its number. Say --task classification")
    elif len(labels) < 2:
        raise BundleError(
            f"{have}, and a model for {task} has two or more. If it gives a number, say --task regression"
        )
    elif len(set(labels)) < len(labels):
        raise BundleError(f"{have}, and two of them are the same; give each class its name there")
    elif task == "tagging" and OUTSIDE not in labels:
        raise BundleError(f"{have}, and none is {OUTSIDE!r}, the tag of a word of no entity; name it so there")


class _Workshop:
    """A scratch bundle with both graphs, and what it takes to compare them."""

    def __init__(
        self, folder: Path, model: BertWithHead, tokenizer: WordPieceTokenizer, options: ExportOptions
    ) -> None:
        self.folder = folder
        self.model = model
        self.options = options
        self.weights = {name: tensor.float().numpy() for name, tensor in model.state_dict().items()}
        tokenizer.save(folder)
        self._save(FLOAT, self._graph())

    @property
    def decisions(self) -> str:
        """What int8 may change, for people."""
        return DECISIONS.get(self.options.task, "labels")

    def bundle(self, graph: str) -> Bundle:
        """The scratch bundle with one of the graphs."""
        options = self.options
        bundle = Bundle(
            self.folder,
            options.task,
            self.model.labels,
            graph,
            "int8" if graph == INT8 else "float32",
            options.calibration,
            options.window,
            options.overlap,
            dict(options.provenance),
            traits=options.traits,
        )
        bundle.write()
        return Bundle.open(self.folder)

    def prove_float(self, asked: Sequence[Any]) -> Proof:
        """PyTorch against the float graph, through the same tokenizer and windows."""
        scorer = self._scorer(FLOAT)
        graph = scorer.distributions(asked)
        scorer.engine = TorchEngine(self.model)
        return prove_same(scorer.distributions(asked), graph)

    def quantise(self, asked: Sequence[Any]) -> None:
        """Calibrate on `asked` and write the int8 graph."""
        observer = ObservingEngine(self._graph(observe=True))
        scorer = self._scorer(FLOAT)
        scorer.engine = observer
        scorer.distributions(asked)
        self._save(INT8, self._graph(observer.ranges()))

    def prove_int8(self, inputs: Mapping[str, Sequence[Any]], sets: Mapping[str, LabelledSet]) -> Proof:
        """The float graph against the int8 graph."""
        task = self.options.task
        return prove_int8(
            self._answers(FLOAT, inputs),
            self._answers(INT8, inputs),
            sets,
            LIMITS.get(task, MAX_FLIPS),
            ignored=self.model.labels.index(OUTSIDE) if task == "tagging" else None,
            decisions=self.decisions,
        )

    def _answers(self, graph: str, inputs: Mapping[str, Sequence[Any]]) -> dict[str, Distributions]:
        scorer = self._scorer(graph)
        return {name: scorer.distributions(part) for name, part in inputs.items()}

    def _scorer(self, graph: str) -> Predictor[Any, Any]:
        scorer: Predictor[Any, Any] = make_predictor(self.bundle(graph), engine="onnxruntime")
        return scorer

    def _graph(self, ranges: Mapping[str, ColumnRanges] | None = None, observe: bool = False) -> onnx.ModelProto:
        model = self.model
        of_pieces = not model.reads_pooler
        return build_graph(
            model.config, self.weights, model.labels, ranges, observe, head=model.head_name, of_pieces=of_pieces
        )

    def _save(self, name: str, graph: onnx.ModelProto) -> None:
        (self.folder / name).write_bytes(graph.SerializeToString(deterministic=True))


def _install(source: Path, target: Path, work: _Workshop, graph: str, report: ExportReport) -> None:
    """Put the bundle in its place. All files are written beside theirs first, so that a full disk changes nothing."""
    target.mkdir(parents=True, exist_ok=True)
    other = FLOAT if graph == INT8 else INT8
    staged: dict[str, Path] = {}
    with locked_folder(target) as ours:
        if not ours:
            raise ExportError(f"{target}: another export is writing it; wait for it or name another output with -o")
        try:
            for name, origin in _content(source, target, work, graph, report).items():
                staged[name] = target / f"{name}.{os.getpid()}.tmp"
                shutil.copyfile(origin, staged[name])
            staged[MANIFEST] = target / f"{MANIFEST}.{os.getpid()}.tmp"
            staged[MANIFEST].write_bytes(replace(work.bundle(graph), path=target).manifest(staged, without=other))
            for temporary in staged.values():
                flush_to_disk(temporary)
            for name, temporary in staged.items():  # the manifest last: it must not be there before what it names
                os.replace(temporary, target / name)
        finally:
            for temporary in staged.values():
                temporary.unlink(missing_ok=True)
        (target / other).unlink(missing_ok=True)


def _content(source: Path, target: Path, work: _Workshop, graph: str, report: ExportReport) -> dict[str, Path]:
    """Where each new file of the bundle comes from."""
    (work.folder / "export.json").write_text(json.dumps(report.to_dict() | {"path": "."}, indent=2) + "\n", "utf-8")
    files = {name: work.folder / name for name in (graph, "export.json")}
    if source != target:
        files |= {name: source / name for name in CARRIED if (source / name).is_file()}
        if "model.safetensors" not in files:  # the weights lie in several files; a bundle has them in one
            work.model.save_pretrained(work.folder)
            files |= {name: work.folder / name for name in ("model.safetensors", "config.json")}
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if name not in files and (source != target or not (target / name).is_file()):
            files[name] = work.folder / name
    return files
