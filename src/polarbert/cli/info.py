"""`polarbert info`: what is installed, what a model is, how large a BERT is."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer

import polarbert
from polarbert.bundle import Bundle, resolve
from polarbert.cli.options import Json, Model, emit, printable
from polarbert.errors import UsageError
from polarbert.inference.engine import usable_threads
from polarbert.model.config import BertConfig

# The paper's rounded counts (Devlin et al. 2019, section 3); it has none for the other sizes.
PRESETS = {
    "base": (BertConfig.base, "110 M"),
    "large": (BertConfig.large, "340 M"),
    "transformer": (BertConfig.transformer, None),
    "tiny": (BertConfig.tiny, None),
}


def info(
    model: Model = None,
    preset: Annotated[
        str | None, typer.Option(help="A size of BERT instead: base, large, transformer or tiny.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Describe a model, or a size of BERT.

    Example: polarbert info --preset base
    """
    if preset is not None and preset not in PRESETS:
        raise UsageError(f"--preset is {preset!r}; it can be {', '.join(PRESETS)}")
    about = _about_model(model) if preset is None else _about_preset(preset)
    emit(json.dumps(about, indent=2, ensure_ascii=False) if as_json else "\n".join(_lines(about)))


def _about_preset(name: str) -> dict[str, Any]:
    make, paper = PRESETS[name]
    config = make()
    return {
        "preset": name,
        "parameters": config.parameter_count(),
        **({"parameters in the paper": paper} if paper else {}),
        "layers": config.num_hidden_layers,
        "hidden size": config.hidden_size,
        "heads": config.num_attention_heads,
        "feed-forward": config.intermediate_size,
        "vocabulary": config.vocab_size,
        "positions": config.max_position_embeddings,
    }


def _about_model(name: str | None) -> dict[str, Any]:
    bundle = Bundle.open(resolve(name))
    bundle.verify()
    config = BertConfig.from_pretrained(bundle.path)
    return {
        "polarbert": polarbert.__version__,
        "engines": _engines(),
        "threads": usable_threads(),
        "model": str(bundle.path),
        "task": bundle.task,
        **({"traits": list(bundle.traits)} if bundle.traits else {}),
        "labels": bundle.labels,
        "encoder parameters": config.parameter_count(),
        "layers": config.num_hidden_layers,
        "hidden size": config.hidden_size,
        "heads": config.num_attention_heads,
        "graph": f"{bundle.graph} ({bundle.precision})",
        "temperature": round(bundle.calibration.temperature, 4),
        "unsure below": round(bundle.calibration.unsure_below, 4),
        "window": f"{bundle.window} pieces, {bundle.overlap} shared",
        "fingerprint": bundle.fingerprint(),
        "checksums": f"{len(bundle.checksums)} files as they should be",
        **{f"made: {key}": value for key, value in bundle.provenance.items()},
    }


def _engines() -> dict[str, str]:
    found = {}
    for name in ("onnxruntime", "openvino"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _lines(about: dict[str, Any]) -> list[str]:
    width = max(len(name) for name in about)
    return [f"{printable(name):<{width}}  {printable(_shown(value))}" for name, value in about.items()]


def _shown(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(part)}" for name, part in value.items())
    return str(value)
