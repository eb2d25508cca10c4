"""A bundle: a model directory in the Hugging Face layout plus polarbert.json.

config.json, model.safetensors   network and weights; `transformers` and `polarbert.model` read them
tokenizer.json, tokenizer_config.json
model.int8.onnx (or model.onnx)  the graph that scores
polarbert.json                   task, labels, calibration, limits, provenance, checksums
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from unicodedata import category

from polarbert.calibration import Calibration
from polarbert.errors import BundleError
from polarbert.files import read_bounded, reason, write_whole

MANIFEST = "polarbert.json"
FORMAT = 1
TASKS = ("sentiment", "classification", "pair", "regression", "tagging", "qa")
TRAITS = ("pairs", "always answers", "aspects")
QA_LABELS = ["start", "end"]
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
MAX_JSON_BYTES = 1_000_000  # of a manifest or a configuration
MAX_LABEL = 200
_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class Bundle:
    """The content of polarbert.json and where it lies.

    Attributes:
        path: the directory.
        task: what the model answers, one of `TASKS`.
        labels: names of the classes, in the order of the logits; of a regression its one number, of "qa" start and end.
        graph: file name of the graph that scores.
        precision: "int8" or "float32".
        calibration: temperature and unsure threshold.
        window: most pieces the network reads at once, [CLS] and [SEP] included.
        overlap: pieces that neighbouring windows of a long text share.
        provenance: how it was made, for people.
        checksums: sha256 of each file.
        traits: facts by which models of one task differ: "pairs", a regression that reads two texts; "always answers",
            a model of questions that never saw one without an answer; "aspects", one of sentiment that also says what a
            text thinks of an aspect, its second text.
    """

    path: Path
    task: str
    labels: list[str]
    graph: str
    precision: str
    calibration: Calibration = field(default_factory=Calibration)
    window: int = 512
    overlap: int = 64
    provenance: dict[str, Any] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)
    traits: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Read and check polarbert.json.

        Raises:
            BundleError: when the directory is no bundle, is of a newer format, or the manifest is not as it must be.
        """
        directory = Path(path)
        values = _manifest(directory)
        try:
            bundle = cls(
                path=directory,
                task=values["task"],
                labels=[_typed(label, str) for label in _typed(values["labels"], list)],
                graph=_typed(values["graph"]["file"], str),
                precision=_typed(values["graph"]["precision"], str),
                calibration=Calibration(**{k: float(v) for k, v in values["calibration"].items()}),
                window=int(values["limits"]["window"]),
                overlap=int(values["limits"]["overlap"]),
                traits=tuple(_typed(name, str) for name in _typed(values.get("traits", []), list)),
                provenance=dict(values.get("provenance", {})),
                checksums={_typed(n, str): _typed(s, str) for n, s in _typed(values["checksums"], dict).items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise BundleError(
                f"{directory / MANIFEST}: field missing or of the wrong kind: {error}. Copy or export the bundle again"
            ) from error
        bundle._check()
        return bundle

    @property
    def reads_pairs(self) -> bool:
        """Whether an input is two texts, the second one in a segment of its own."""
        return self.task in ("pair", "qa") or "pairs" in self.traits

    @property
    def judges_aspects(self) -> bool:
        """Whether an input may have a second text, the aspect that is judged."""
        return "aspects" in self.traits

    def write(self) -> None:
        """Write polarbert.json with fresh checksums of every file in the directory."""
        write_whole(self.path / MANIFEST, self.manifest())

    def manifest(self, staged: Mapping[str, Path] | None = None, without: str = "") -> bytes:
        """The content of polarbert.json, with fresh checksums of every file in the directory.

        Args:
            staged: files that are about to get the place of, or to join, those in the directory, by name.
            without: name of a file that is about to go.
        """
        found = {file.name: file for file in self.path.iterdir() if file.is_file() and file.suffix != ".tmp"}
        files = found | dict(staged or {})
        values = {
            "format": FORMAT,
            "task": self.task,
            "labels": self.labels,
            "graph": {"file": self.graph, "precision": self.precision},
            "calibration": {
                "temperature": self.calibration.temperature,
                "unsure_below": self.calibration.unsure_below,
            },
            "limits": {"window": self.window, "overlap": self.overlap},
            **({"traits": list(self.traits)} if self.traits else {}),
            "provenance": self.provenance,
            "checksums": {name: _sha256(files[name]) for name in sorted(files) if name not in (MANIFEST, without)},
        }
        return (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode("utf-8")

    def verify(self, names: Sequence[str] | None = None) -> None:
        """Compare files with their checksums; all of them unless `names` says which.

        Raises:
            BundleError: naming the file that is missing or changed.
        """
        for name in self.checksums if names is None else names:
            file = self.path / name
            if name not in self.checksums:
                raise BundleError(f"{file}: has no checksum in {MANIFEST}; export the model again")
            if not file.is_file():
                raise BundleError(f"{file}: is missing; copy or export the bundle again")
            try:
                found = _sha256(file)
            except OSError as error:
                raise BundleError(f"{file}: cannot be read: {reason(error)}; make it readable or copy it") from error
            if found != self.checksums[name]:
                raise BundleError(
                    f"{file}: is damaged or was changed (its checksum differs); copy or export the bundle again"
                )

    def fingerprint(self, network: str | None = None) -> str:
        """A short name for exactly this model: changes when any file that takes part in scoring changes.

        Args:
            network: name of the file that computes; the graph unless given.
        """
        parts = [self.checksums.get(name, "") for name in (network or self.graph, "tokenizer.json")]
        rest = (self.labels, self.calibration, self.window, self.overlap, *self.traits)
        return hashlib.sha256(repr((parts, rest)).encode("utf-8")).hexdigest()[:16]

    def network_size(self, name: str) -> float:
        """A size of the network by its name in config.json; infinite where that does not say."""
        try:
            values = json.loads(read_bounded(self.path / "config.json", MAX_JSON_BYTES, BundleError))
            return float(int(values[name]))
        except (BundleError, ValueError, LookupError, TypeError, RecursionError, OverflowError):
            return math.inf

    def _check(self) -> None:
        problems = []
        if self.task not in TASKS:
            problems.append(f"task {self.task!r} is none of {', '.join(TASKS)}")
        if unknown := [name for name in self.traits if name not in TRAITS]:
            problems.append(f"trait {unknown[0]!r} is none of {', '.join(TRAITS)}")
        if self.judges_aspects and self.task != "sentiment":
            problems.append(f"a model for {self.task} judges no aspects")
        problems += self._label_problems()
        if not _is_file_name(self.graph):
            problems.append("the graph lies outside the directory")
        if not all(map(_is_file_name, self.checksums)):
            problems.append("a checksum names a file outside the directory")
        if not 0 < self.calibration.temperature < math.inf:
            problems.append("temperature must be a number above 0")
        if not 0 <= self.calibration.unsure_below <= 1:
            problems.append("unsure_below must lie between 0 and 1")
        if self.window < 8 or not 0 <= self.overlap < self.window - 3:
            problems.append("window and overlap do not fit together")
        if self.window > (positions := self.network_size("max_position_embeddings")):
            problems.append(f"the window of {self.window} pieces is wider than the network's {positions:.0f} positions")
        if problems:
            raise BundleError(f"{self.path / MANIFEST}: {'; '.join(problems)}. Copy or export the bundle again")

    def _label_problems(self) -> list[str]:
        problems = []
        if self.task == "regression" and len(self.labels) != 1:
            problems.append("a regression has one label, the name of its number")
        elif self.task == "qa" and self.labels != QA_LABELS:
            problems.append(f"the labels of a model of questions are {' and '.join(QA_LABELS)}")
        elif self.task != "regression" and (len(self.labels) < 2 or len(set(self.labels)) != len(self.labels)):
            problems.append("labels must be two or more different names")
        if not all(map(is_label, self.labels)):
            problems.append(f"a label is blank, has more than {MAX_LABEL} characters or control characters")
        return problems


def resolve(name: str | Path | None) -> Path:
    """The directory of a model: the embedded one (None), a directory, or a Hub id such as "org/name".

    A Hub id goes to the network, or to the local cache when HF_HUB_OFFLINE is set; nothing else does.

    Raises:
        BundleError: when there is no such model.
    """
    if name is None:
        return Path(__file__).parent / "models" / "default"
    path = Path(name)
    if path.exists():
        if not path.is_dir():
            raise BundleError(f"{path}: a model is a directory, and this is a file; name the directory")
        return path
    if path.is_symlink():
        raise BundleError(f"{path}: is a link that leads nowhere; name the directory of the model itself")
    if not HUB_ID.fullmatch(str(name)):
        raise BundleError(f"{path}: no such model directory. Name one that polarbert train or polarbert export made")
    return _download(str(name))


def _download(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download  # here, because it costs time and only Hub ids need it

    patterns = ["*.json", "*.txt", "*.safetensors", "*.onnx"]
    try:
        return Path(snapshot_download(hub_id, allow_patterns=patterns))
    except Exception as error:  # the hub raises many kinds, all with a message for people
        raise BundleError(f"{hub_id}: not a local directory, and the Hub did not give it: {error}") from error


def _manifest(directory: Path) -> dict[str, Any]:
    file = directory / MANIFEST
    if not directory.is_dir():
        raise BundleError(f"{directory}: no such model directory")
    try:
        found, trained = file.is_file(), (directory / "config.json").is_file()
    except OSError as error:
        raise BundleError(f"{file}: cannot be read: {reason(error)}; make it readable or copy the model") from error
    if not found and trained:
        raise BundleError(
            f"{directory}: has weights but no graph that can score. Make one: polarbert export {directory}"
        )
    if not found:
        raise BundleError(f"{directory}: not a model directory (it has no {MANIFEST}). Name one that has")
    try:
        values = json.loads(read_bounded(file, MAX_JSON_BYTES, BundleError))
        json.dumps(values, ensure_ascii=False).encode("utf-8")  # halves of a character could not be shown to anybody
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{file}: cannot be read as JSON: {error}") from error
    number = values.get("format") if isinstance(values, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise BundleError(f"{file}: not a Polarbert manifest (no format number); copy or export the bundle again")
    if number > FORMAT:
        raise BundleError(
            f"{file}: format {number} is newer than this Polarbert understands ({FORMAT}). "
            "Upgrade: pip install --upgrade polarbert"
        )
    return dict(values)


def _typed(value: Any, kind: type[_Kind]) -> _Kind:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value


def _is_file_name(name: str) -> bool:
    return bool(name) and Path(name).name == name and name != ".." and len(name.encode("utf-8")) <= 255


def is_label(name: str) -> bool:
    """True for what a class may be called: of one line, neither blank nor longer than `MAX_LABEL`."""
    return bool(name.strip()) and len(name) <= MAX_LABEL and not any(category(c) == "Cc" for c in name)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
