"""Tensors in and out: the Hugging Face checkpoint layout, in safetensors only.

Our modules have short names; a checkpoint has Hugging Face's. `NAMES` is the whole difference.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from polarbert.errors import BundleError, WeightsError
from polarbert.files import replacing, write_whole

# (ours, theirs), relative to the encoder; applied in this order to a name of ours.
NAMES = (
    (r"^embeddings\.word\.", "embeddings.word_embeddings."),
    (r"^embeddings\.position\.", "embeddings.position_embeddings."),
    (r"^embeddings\.segment\.", "embeddings.token_type_embeddings."),
    (r"^embeddings\.norm\.", "embeddings.LayerNorm."),
    (r"^layers\.(\d+)\.attention\.(query|key|value)\.", r"encoder.layer.\1.attention.self.\2."),
    (r"^layers\.(\d+)\.attention\.output\.", r"encoder.layer.\1.attention.output.dense."),
    (r"^layers\.(\d+)\.attention_norm\.", r"encoder.layer.\1.attention.output.LayerNorm."),
    (r"^layers\.(\d+)\.intermediate\.", r"encoder.layer.\1.intermediate.dense."),
    (r"^layers\.(\d+)\.output\.", r"encoder.layer.\1.output.dense."),
    (r"^layers\.(\d+)\.output_norm\.", r"encoder.layer.\1.output.LayerNorm."),
)


def checkpoint_name(name: str, prefix: str) -> str:
    """The checkpoint's name of one of our tensors; `prefix` ("bert." or "") goes before the encoder's."""
    inside_head = name.startswith("bert.")
    bare = name.removeprefix("bert.")
    if not inside_head and prefix:
        return name  # a head's own tensor, such as classifier.weight
    for ours, theirs in NAMES:
        bare, count = re.subn(ours, theirs, bare)
        if count:
            break
    return prefix + bare


def load_weights(model: nn.Module, path: str | Path, prefix: str) -> None:
    """Fill `model` from a checkpoint; old `gamma`/`beta` names and a missing `bert.` prefix are understood.

    A model built on the meta device, which has no values yet, takes the checkpoint's tensors as its own, in its own
    precision; tensors that it shares between modules stay shared.

    Args:
        model: an encoder (`prefix` "") or a model with its encoder at `.bert` (`prefix` "bert.").
        prefix: what stands before the encoder's names in the checkpoint.
        path: directory with model.safetensors, or with model.safetensors.index.json and its shards.

    Raises:
        WeightsError: naming the first missing or misshapen tensor.
        BundleError: when there is no safetensors file, or it cannot be read.
    """
    found = {_modern(name): (file, name) for file in weight_files(Path(path)) for name in _names_in(file)}
    handles: dict[Path, Any] = {}
    taken: dict[int, nn.Parameter] = {}
    with torch.no_grad():
        for ours, parameter in model.state_dict(keep_vars=True).items():
            wanted = checkpoint_name(ours, prefix)
            key = _find(wanted, found)
            if key is None:
                raise WeightsError(f"{path}: the checkpoint has no tensor {wanted!r}, which this model needs")
            file, stored_name = found[key]
            if file not in handles:
                handles[file] = safe_open(file, framework="pt").__enter__()
            tensor: Tensor = handles[file].get_tensor(stored_name)
            if tensor.shape != parameter.shape:
                raise WeightsError(
                    f"{path}: tensor {stored_name!r} has shape {tuple(tensor.shape)}; "
                    f"the configuration asks for {tuple(parameter.shape)}"
                )
            if parameter.is_meta:
                # A copy: what is read may be the file's own memory, which changes when somebody writes to the file.
                own = nn.Parameter(tensor.to(parameter.dtype, copy=True), parameter.requires_grad)
                module, _, name = ours.rpartition(".")
                setattr(model.get_submodule(module), name, taken.setdefault(id(parameter), own))
            else:
                parameter.copy_(tensor)


def save_weights(model: nn.Module, config: dict[str, Any], path: str | Path, prefix: str, half: bool = False) -> None:
    """Write config.json and model.safetensors, each in one atomic step, creating the directory.

    With `half` the tensors are stored in half precision and the configuration says float32, so that every reader
    computes in full precision.
    """
    directory = Path(path)
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {
        checkpoint_name(name, prefix): (tensor.half() if half else tensor).detach().contiguous().cpu()
        for name, tensor in model.state_dict().items()
    }
    weights = directory / "model.safetensors"
    with replacing(weights) as temporary:
        write_tensors(tensors, temporary, {"format": "pt"})
        temporary.chmod(0o644)  # safetensors makes files that only their owner can read
    text = json.dumps(config | {"dtype": "float32"}, indent=2, ensure_ascii=False) + "\n"
    write_whole(directory / "config.json", text.encode("utf-8"))


def write_tensors(tensors: dict[str, Tensor], file: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file.

    Raises:
        OSError: when the disk does not take it, as with any other file; safetensors has an error of its own for it.
    """
    try:
        save_file(tensors, str(file), metadata)
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(file)) from error


def weight_files(directory: Path) -> list[Path]:
    """The safetensors files of a model directory, one or the shards that an index names."""
    single = directory / "model.safetensors"
    if single.is_file():
        return [single]
    index = directory / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = sorted({str(name) for name in json.loads(index.read_text("utf-8"))["weight_map"].values()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{index}: not a readable shard index: {error}") from error
        if any(Path(name).name != name for name in names):
            raise BundleError(f"{index}: a shard lies outside the model directory")
        return [directory / name for name in names]
    pickles = sorted(directory.glob("*.bin")) + sorted(directory.glob("*.pt")) + sorted(directory.glob("*.ckpt"))
    if pickles:
        raise BundleError(
            f"{pickles[0]}: a pickle file can run code when it is opened, so it is not read here. Convert it once "
            "with transformers, on a machine where you trust the file: AutoModelForSequenceClassification"
            ".from_pretrained(DIR).save_pretrained(NEW_DIR); for an encoder without an output layer, AutoModel"
        )
    raise BundleError(f"{directory}: no model.safetensors here, so there are no weights to load")


def stored_tensors(path: str | Path) -> dict[str, Path]:
    """The file of each tensor of a checkpoint, by the name it is stored under.

    Raises:
        BundleError: when there is no safetensors file, or it cannot be read.
    """
    return {name: file for file in weight_files(Path(path)) for name in _names_in(file)}


def _names_in(file: Path) -> Iterator[str]:
    try:
        with safe_open(file, framework="pt") as opened:
            yield from opened.keys()
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{file}: not a readable safetensors file: {error}") from error


def _modern(name: str) -> str:
    if name.endswith(".gamma"):
        return name.removesuffix("gamma") + "weight"
    return name.removesuffix("beta") + "bias" if name.endswith(".beta") else name


def _find(wanted: str, found: dict[str, tuple[Path, str]]) -> str | None:
    """The stored name: as wanted, or with the `bert.` prefix that the file has and we do not, or the reverse."""
    candidates = (wanted, wanted.removeprefix("bert."), "bert." + wanted)
    return next((name for name in candidates if name in found), None)
