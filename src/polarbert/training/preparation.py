"""What transfer learning does to a network and its task before the loop begins (see `polarbert.training.transfer`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import nn

from polarbert.errors import BundleError, SettingsError, TrainingError
from polarbert.inference.engine import WEIGHTS
from polarbert.model.config import BertConfig
from polarbert.model.dropout import Dropout
from polarbert.model.encoder import BertEncoder, BertSelfAttention, load_encoder
from polarbert.model.heads import BertWithHead
from polarbert.model.masked_lm import MaskedLmHead, has_masked_lm_head
from polarbert.model.mixing import LayerMix
from polarbert.model.weights import load_weights
from polarbert.training.auxiliary import AuxiliaryLmTask
from polarbert.training.base import Base
from polarbert.training.classification import ClassificationTask
from polarbert.training.distillation import DISTILLED, TEACHER, DistillationTask, Teacher, evenly
from polarbert.training.helped import Helped
from polarbert.training.loop import Task
from polarbert.training.masking import Masking
from polarbert.training.transfer import TransferSettings

_Network = TypeVar("_Network", bound=BertWithHead)


def check_transfer(
    transfer: TransferSettings,
    base: Base,
    task: str,
    labels: Sequence[str],
    longest: int,
    traits: Sequence[str] = (),
) -> None:
    """See that what is asked for fits the base and the task, before any work is done.

    Args:
        transfer: what is asked for.
        base: what the training starts from.
        task: as in `polarbert.bundle.TASKS`.
        labels: of the data.
        longest: most pieces of a text in training.
        traits: of the model that is made, as `polarbert.bundle.Bundle` has them.

    Raises:
        SettingsError: when a number of layers is more than there are, the teacher cannot be opened, or it is none for
            this student.
        BundleError: when the base's vocabulary has no [MASK] to hide pieces by.
    """
    layers = base.config.num_hidden_layers
    if transfer.keep_layers > layers:
        raise SettingsError(
            f"settings: [transfer] keep_layers is {transfer.keep_layers}; the base has {layers} layers. Keep 1 to "
            f"{layers}, or leave it out to keep all"
        )
    layers = transfer.keep_layers or layers
    if transfer.layers != "last" and transfer.layer_count > layers + 1:
        raise SettingsError(
            f"settings: [transfer] layer_count is {transfer.layer_count}; the network has {layers} layers and the "
            f"embeddings, so at most {layers + 1}"
        )
    if transfer.auxiliary_lm:
        Masking.from_tokenizer(base.tokenizer)
    if transfer.teacher is None:
        return
    if task not in DISTILLED:
        raise SettingsError(
            f"{TEACHER} is for classes of texts and pairs ({', '.join(DISTILLED)}), not for {task}; leave it out"
        )
    teacher = _open_teacher(transfer.teacher)
    teacher.check(labels, base.tokenizer, longest, is_pair=task == "pair", has_aspects="aspects" in traits)
    if transfer.hidden_weight and teacher.config.num_hidden_layers < layers:
        raise SettingsError(
            f"settings: [transfer] hidden_weight: the student has {layers} layers and its teacher "
            f"{teacher.config.num_hidden_layers}; a student has at most as many. Set keep_layers, or hidden_weight = 0"
        )


def _open_teacher(name: str) -> Teacher:
    try:
        return Teacher.open(name)
    except BundleError as error:
        raise SettingsError(f"{TEACHER}: {error}") from error


def teacher_digest(transfer: TransferSettings) -> dict[str, str]:
    """What a run records of its teacher, so that it is not gone on with under another one; nothing without a teacher.

    Raises:
        BundleError: when the teacher cannot be opened.
    """
    if transfer.teacher is None:
        return {}
    return {"teacher": Teacher.open(transfer.teacher).bundle.fingerprint(WEIGHTS)}


def prepare_model(model: _Network, transfer: TransferSettings) -> _Network:
    """Take layers away, mix what is left and freeze it, as asked for; `model` is changed and returned.

    A mix that the base has of the same kind and size goes on as it is; any other is replaced.

    Example:
        >>> model = BertForSequenceClassification.from_encoder("my-base", ["no", "yes"])
        >>> prepare_model(model, TransferSettings(frozen=True, layers="mix")).bert.mix.count
        4
    """
    if transfer.keep_layers:
        keep_layers(model.bert, transfer.keep_layers)
    _set_mix(model.bert, transfer)
    model.config = model.bert.config
    if transfer.dropout is not None:
        set_dropout(model, transfer.dropout)
    if transfer.frozen:
        for part in (model.bert.embeddings, model.bert.layers):
            freeze(part)
    return model


def keep_layers(encoder: BertEncoder, count: int) -> None:
    """Keep `count` of the layers, evenly spaced, the last one among them (Sanh et al. 2019, section 3).

    Raises:
        TrainingError: when there are fewer.
    """
    layers = len(encoder.layers)
    if not 1 <= count <= layers:
        raise TrainingError(f"{count} layers cannot be kept of {layers}; keep 1 to {layers}")
    kept = [encoder.layers[number - 1] for number in evenly(count, layers)]
    encoder.layers = nn.ModuleList(kept)
    mixed = min(encoder.config.layer_mix_count, count + 1)
    encoder.config = replace(encoder.config, num_hidden_layers=count, layer_mix_count=mixed)


def shrink(path: str | Path | None, layers: int, target: str | Path) -> None:
    """Write a base with some of another one's layers, evenly spaced (Sanh et al. 2019, section 3).

    Args:
        path: the embedded model (None), a bundle or another directory in the Hugging Face layout, or a Hub id.
        layers: how many to keep.
        target: the directory to write; `polarbert train --base` takes it.

    Raises:
        BundleError: when `path` cannot be opened.
        TrainingError: when it has fewer layers, or `target` holds something.

    Example:
        >>> shrink(None, 3, "three-layers")
    """
    folder = Path(target)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TrainingError(f"{folder}: holds something already; name a new folder")
    base = Base.open(path)
    with torch.device("meta"):
        encoder = BertEncoder(base.config)
    load_encoder(encoder, base.path)
    keep_layers(encoder, layers)
    if encoder.mix is not None:
        _replace_mix(encoder, "last", 1)
    encoder.save_pretrained(folder)
    base.tokenizer.save(folder)


def _set_mix(encoder: BertEncoder, transfer: TransferSettings) -> None:
    kind = transfer.layers
    count = transfer.layer_count if kind != "last" else 1
    if (encoder.config.layer_mix, encoder.config.layer_mix_count) != (kind, count):
        _replace_mix(encoder, kind, count)


def _replace_mix(encoder: BertEncoder, kind: str, count: int) -> None:
    encoder.config = replace(encoder.config, layer_mix=kind, layer_mix_count=count)
    encoder.mix = None if kind == "last" else LayerMix(encoder.config)


def freeze(part: nn.Module) -> None:
    """Keep a part of a network as it is, and let it compute in training what it computes afterwards: no dropout."""
    part.requires_grad_(False)
    set_dropout(part, 0.0)


def set_dropout(part: nn.Module, rate: float) -> None:
    """Change all rates of dropout in a network or a part of it; its configuration keeps those of the base."""
    for module in part.modules():
        if isinstance(module, Dropout):
            module.rate = rate
        elif isinstance(module, BertSelfAttention):
            module.attention_dropout = rate


def with_help(
    model: BertWithHead, task: Task[Any], transfer: TransferSettings, base: Base, seed: int
) -> tuple[nn.Module, Task[Any]]:
    """The network and the task that the loop is given: with a teacher and a masked-LM loss where they are asked for.

    What `check_transfer` looks at must be as it should.

    Args:
        model: on the device to train on.
        task: what is learned; with a teacher, a `ClassificationTask`.
        transfer: what is asked for.
        base: what the model started from; its head for masked language modelling is taken where it has one.
        seed: of new layers' weights.

    Returns:
        What `training.loop.train` takes. With help, the network has layers that are learned along and not saved with
        the best model.

    Example:
        >>> model, task = with_help(model, task, TransferSettings(auxiliary_lm=0.2), Base.open(None), seed=1)
    """
    if transfer.teacher is None and not transfer.auxiliary_lm:
        return model, task
    device = next(model.parameters()).device
    helpers: dict[str, nn.Module] = {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if transfer.teacher is not None:
            teacher = Teacher.open(transfer.teacher)
            teacher.network.to(device)
            task = DistillationTask(cast(ClassificationTask, task), teacher, transfer)
            helpers |= task.new_layers(model.config)
        if transfer.auxiliary_lm:
            helpers["masked_lm"] = _masked_lm_head(model.config, base)
            masking = Masking.from_tokenizer(base.tokenizer)
            task = AuxiliaryLmTask(task, masking, transfer.auxiliary_lm, seed)
    return Helped(model, helpers).to(device), task


def _masked_lm_head(config: BertConfig, base: Base) -> MaskedLmHead:
    head = MaskedLmHead(config)
    if has_masked_lm_head(base.path):
        stored = nn.ModuleDict({"cls": nn.ModuleDict({"predictions": head})})
        load_weights(stored, base.path, prefix="")
    return head
