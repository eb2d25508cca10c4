"""A contest with the Trainer of `transformers`: who takes part, the rounds, and a pass of the Trainer."""

from __future__ import annotations

import dataclasses
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import child
import common

DEFAULTS, GROUPED = "Trainer, fp32 defaults", "Trainer, bf16, grouped by length"
OURS, OURS_SMALL = "polarbert", "polarbert, fp32, small batches"
TRAINER_BATCH = 8  # texts; the Trainer's default

Contestants = dict[str, tuple[str, dict[str, Any]]]  # the part of the benchmark and what is asked of it, by name
Runs = dict[str, list[dict[str, Any]]]  # what each contestant answered, one a round


def everybody(grouped: int, ours: dict[str, Any], ours_small: dict[str, Any]) -> Contestants:
    """All who take part, in the order of the table.

    Args:
        grouped: texts in a batch of the Trainer that groups them by length.
        ours: what `run_polarbert` of the benchmark is asked for.
        ours_small: the same, in batches of the size that the Trainer has by default.
    """
    return {
        DEFAULTS: ("run_trainer", {"batch": TRAINER_BATCH}),
        GROUPED: ("run_trainer", {"batch": grouped, "bf16": True, "by_length": True}),
        OURS: ("run_polarbert", ours),
        OURS_SMALL: ("run_polarbert", ours_small),
    }


def rounds(script: str, contestants: Contestants, shared: dict[str, Any], count: int) -> Runs:
    """Every contestant once a round, with the round's number as the seed.

    Args:
        script: the benchmark, as `__file__` names it.
        contestants: who takes part.
        shared: what is asked of all of them; "tokens" and "threads" must come back as they were.
        count: of rounds.

    Raises:
        SystemExit: when a contestant learned other pieces, or with other threads, than the rest.
    """
    runs: Runs = {name: [] for name in contestants}
    for number in range(1, count + 1):
        for name, (part, request) in contestants.items():
            run = child.ask(script, part, shared | request | {"seed": number}).values
            for what in ("tokens", "threads"):
                if run[what] != shared[what]:
                    raise SystemExit(f"{name}: {what} were {run[what]}, not {shared[what]} as for the others")
            runs[name].append(run)
            speed = run["tokens"] / run["seconds"]
            common.say(f"round {number}  {name}: {run['seconds']:.1f} s, {speed:,.0f} tokens/s")
    return runs


def described(own: Sequence[dict[str, Any]], runs: Runs) -> dict[str, Any]:
    """The figures of a contestant: its own, and how many times as fast as others it is, round by round."""
    figures: dict[str, Any] = {
        "steps": own[0]["steps"],
        "precision": own[0]["precision"],
        "batch": own[0]["batch"],
        "tokens_per_second": common.summary([run["tokens"] / run["seconds"] for run in own], digits=1),
        "seconds": common.summary([run["seconds"] for run in own]),
        "loaded_bytes": common.summary([run["loaded_bytes"] for run in own], digits=0),
        "peak_bytes": common.summary([run["peak_bytes"] for run in own], digits=0),
        "loss": common.summary([run["loss"] for run in own]),
    }
    for key, other in (("times_defaults", DEFAULTS), ("times_grouped", GROUPED), ("times_first", next(iter(runs)))):
        if other in runs:
            ratios = [theirs["seconds"] / run["seconds"] for theirs, run in zip(runs[other], own, strict=True)]
            figures[key] = common.summary(ratios, digits=3)
    return figures


def trainer_pass(
    request: dict[str, Any], model: Any, rows: Sequence[Any], collator: Callable[..., Any], unit: str, **more: Any
) -> tuple[Any, dict[str, Any]]:
    """One pass of the Trainer over rows with its own defaults, but for those of the request.

    Args:
        request: "batch", "threads" and "seed"; "bf16" and "by_length" where they are wanted.
        model: what learns.
        rows: what is learned, each with its "input_ids".
        collator: makes a batch of rows.
        unit: what a row is called.
        more: arguments of the Trainer.

    Returns:
        The model, and the figures that every contestant gives.
    """
    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Timed(TrainerCallback):
        """Times the steps: from the beginning of training to its end."""

        started = ended = math.nan
        peak_bytes = 0

        def on_train_begin(self, *_args: Any, **_more: Any) -> None:
            self.started = time.perf_counter()

        def on_train_end(self, *_args: Any, **_more: Any) -> None:
            self.ended, self.peak_bytes = time.perf_counter(), common.own_peak_bytes()

    timed, loaded = Timed(), common.own_peak_bytes()
    with tempfile.TemporaryDirectory() as room:
        arguments = TrainingArguments(
            room,
            num_train_epochs=1,
            per_device_train_batch_size=request["batch"],
            bf16=request.get("bf16", False),
            seed=request["seed"],
            use_cpu=True,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            **_by_length(TrainingArguments, request.get("by_length", False)),
            **more,
        )
        trainer = Trainer(model, arguments, data_collator=collator, train_dataset=rows, callbacks=[timed])
        trainer.train()
    return trainer.model, {
        "seconds": timed.ended - timed.started,
        "tokens": sum(len(row["input_ids"]) for row in rows) * round(trainer.state.epoch),
        "threads": torch.get_num_threads(),
        "steps": trainer.state.global_step,
        "loaded_bytes": loaded,
        "peak_bytes": timed.peak_bytes,
        "precision": "bf16" if request.get("bf16") else "fp32",
        "batch": f"{request['batch']} {unit}",
    }


def _by_length(arguments: type[Any], wanted: bool) -> dict[str, Any]:
    """Batches of like length, under the name that this version of the library has for it."""
    if not wanted:
        return {}
    if any(field.name == "train_sampling_strategy" for field in dataclasses.fields(arguments)):
        return {"train_sampling_strategy": "group_by_length"}
    return {"group_by_length": True}
