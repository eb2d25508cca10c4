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
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from polarbert.calibration import Calibration
from polarbert.errors import BundleError

MANIFEST = "polarbert.json"
FORMAT = 1
TASKS = ("sentiment", "classification")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_MAX_MANIFEST_BYTES = 1_000_000
_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class Bundle:
    """The content of polarbert.json and where it lies.

    Attributes:
        path: the directory.
        task: what the model answers, one of `TASKS`.
        labels: names of the classes, in the order of the logits.
        graph: file name of the graph that scores.
        precision: "int8" or "float32".
        calibration: temperature and unsure threshold.
        window: most pieces the network reads at once, [CLS] and [SEP] included.
        overlap: pieces that neighbouring windows of a long text share.
        provenance: how it was made, for people.
        checksums: sha256 of each file.
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
                provenance=dict(values.get("provenance", {})),
                checksums=dict(values["checksums"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise BundleError(f"{directory / MANIFEST}: field missing or of the wrong kind: {error}") from error
        bundle._check()
        return bundle

    def write(self) -> None:
        """Write polarbert.json with fresh checksums of every file in the directory."""
        files = sorted(f.name for f in self.path.iterdir() if f.is_file() and f.name != MANIFEST)
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
            "provenance": self.provenance,
            "checksums": {name: _sha256(self.path / name) for name in files},
        }
        temporary = self.path / f"{MANIFEST}.tmp"
        temporary.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", "utf-8")
        os.replace(temporary, self.path / MANIFEST)

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
            if _sha256(file) != self.checksums[name]:
                raise BundleError(
                    f"{file}: is damaged or was changed (its checksum differs); copy or export the bundle again"
                )

    def fingerprint(self) -> str:
        """A short name for exactly this model: changes when any file that takes part in scoring changes."""
        parts = [self.checksums.get(name, "") for name in (self.graph, "tokenizer.json")]
        rest = (self.labels, self.calibration, self.window, self.overlap)
        return hashlib.sha256(repr((parts, rest)).encode("utf-8")).hexdigest()[:16]

    def _check(self) -> None:
        problems = []
        if self.task not in TASKS:
            problems.append(f"task {self.task!r} is none of {', '.join(TASKS)}")
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            problems.append("labels must be two or more different names")
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
        if problems:
            raise BundleError(f"{self.path / MANIFEST}: {'; '.join(problems)}")


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
            raise BundleError(f"{path}: a model is a directory, and this is a file")
        return path
    if not HUB_ID.fullmatch(str(name)):
        raise BundleError(f"{path}: no such model directory")
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
    if not file.is_file():
        if (directory / "config.json").is_file():
            raise BundleError(
                f"{directory}: has weights but no graph that can score. Make one: polarbert export {directory}"
            )
        raise BundleError(f"{directory}: not a model directory (it has no {MANIFEST})")
    try:
        if file.stat().st_size > _MAX_MANIFEST_BYTES:
            raise BundleError(f"{file}: larger than any manifest can be")
        values = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{file}: cannot be read as JSON: {error}") from error
    number = values.get("format") if isinstance(values, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise BundleError(f"{file}: not a Polarbert manifest (no format number)")
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
    return Path(name).name == name and name != ".."


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
