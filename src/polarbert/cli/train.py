"""`polarbert train`: labelled texts in, a model of one's own out, with figures one can believe."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from polarbert.bundle import TASKS, Bundle
from polarbert.cli.answers import second_option
from polarbert.cli.labelled import DATA, Source
from polarbert.cli.options import (
    AspectColumn,
    Encoding,
    Json,
    LabelColumn,
    LabelledFormat,
    PairColumn,
    Quiet,
    TextColumn,
    emit,
    note,
    page_width,
)
from polarbert.cli.runs import check_packages, duration, named, read_options, told_how_to_go_on
from polarbert.data.dataset import Dataset
from polarbert.data.inputs import STDIN
from polarbert.data.joined import join_parts
from polarbert.data.labels import LabelMap
from polarbert.data.splits import Splits, given_splits
from polarbert.errors import MissingExtraError, UsageError
from polarbert.files import disk_errors, write_whole
from polarbert.inference.evaluation import Evaluation

if TYPE_CHECKING:
    from polarbert.training.finetune import FineTuneResult
    from polarbert.training.recipe import FineTuneSettings


def train(
    data: Annotated[str, typer.Argument(help=DATA, metavar="DATA")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make: the model.", metavar="DIR")],
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    pair_column: PairColumn = None,
    aspect_column: AspectColumn = None,
    task: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(TASKS[:-1])} or {TASKS[-1]}; unless given one of the first two, by the labels."),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base", "-b", help="A model directory or a Hub id to start from; the embedded one unless given."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file with rarer settings; DIR/training/settings.toml is one.")
    ] = None,
    splits: Annotated[
        Path | None, typer.Option(help="The parts, as an earlier run saved them in DIR/training/splits.json.")
    ] = None,
    split_column: Annotated[
        str | None, typer.Option(help="The column that says train, dev or test; parts are made unless given.")
    ] = None,
    dev: Annotated[
        str | None, typer.Option(metavar="FILE", help="A file like DATA with the rows that choose the best model.")
    ] = None,
    test: Annotated[
        str | None, typer.Option(metavar="FILE", help="A file like DATA with the rows that judge the model.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of parts, batches and new weights; 1 unless given.")] = None,
    target_accuracy: Annotated[
        float | None, typer.Option(help="Share of right answers among those not unsure; 0.95 unless given.")
    ] = None,
    teacher: Annotated[str | None, typer.Option(help="A model to learn from as well: a directory or a Hub id.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in DIR.")] = False,
    trial: Annotated[bool, typer.Option("--trial", help="Run every step on a few rows, in under a minute.")] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    threads: Annotated[int | None, typer.Option(min=0, help="Processor threads; 0 for as many as there are.")] = None,
    kind: LabelledFormat = None,
    encoding: Encoding = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a model on labels of your own, and judge it on texts it has not seen.

    The task says what is learned: a class of each text (sentiment, classification) or pair of texts (pair), a number of
    either (regression), the entities in a text (tagging), or answers to questions from a passage (qa).

    Stopped or killed, the same command with --resume goes on where it was and ends in the same model.

    Example: polarbert train reviews.csv --text-column review --label-column stars -o my-model
    """
    check_packages("polarbert train", "onnx")
    from polarbert.training.finetune import FineTuning, check_folder

    files = {name: file for name, file in (("train", data), ("dev", dev), ("test", test)) if file is not None}
    _refuse_contradiction(splits, split_column, files)
    settings = _settings(config, task, seed, target_accuracy, trial, device, threads)
    if teacher is not None:
        settings = replace(settings, transfer=replace(settings.transfer, teacher=teacher))
    check_folder(output, resume)
    keep = [] if split_column is None else [split_column]
    source = Source(data, text_column, label_column, pair_column, keep, kind, None, encoding, aspect_column)
    label_map = LabelMap.explicit(settings.labels) if settings.labels else None
    dataset = source.read(settings.task, label_map)
    if aspect_column is not None and dataset.task != "sentiment":
        _refuse_aspects(dataset, settings.task)
    parts = _parts(dataset, splits, split_column)
    if len(files) > 1:
        dataset, parts = _of_files(dataset, source, files, label_map)
    tuning = FineTuning(
        dataset, output, settings, base=base, splits=parts, note=lambda line: note(line, quiet), quiet=quiet
    )
    started = time.monotonic()
    again = f"with --resume{' and the same rows on stdin' if STDIN in files.values() else ''}"
    with (
        told_how_to_go_on(lambda: f"{output}: stopped; the same command {again} goes on {_kept(output)}"),
        named(config),
    ):
        result = tuning.run(resume)
    _report(result, as_json, quiet)
    second = second_option(Bundle.open(result.path))
    use = f'polarbert predict -m {output} "..."' + ("" if second is None else f' {second} "..."')
    note(f"{output}: done in {duration(time.monotonic() - started)}. Use it: {use}", quiet)


def _settings(
    config: Path | None,
    task: str | None,
    seed: int | None,
    target_accuracy: float | None,
    trial: bool,
    device: str | None,
    threads: int | None,
) -> FineTuneSettings:
    from polarbert.training.recipe import FineTuneSettings

    options = {"task": task, "target_accuracy": target_accuracy, "device": device, "trial": trial or None}
    return read_options(config, FineTuneSettings, options, {"seed": seed, "threads": threads})


def _refuse_contradiction(splits: Path | None, split_column: str | None, files: Mapping[str, str]) -> None:
    if list(files.values()).count(STDIN) > 1:
        raise UsageError("stdin (-) can be one of DATA, --dev and --test; name files for the others")
    ways = {"--splits": splits, "--split-column": split_column, "--dev": files.get("dev"), "--test": files.get("test")}
    given = [name for name, value in ways.items() if value is not None]
    if len(given) > 1 and given != ["--dev", "--test"]:
        raise UsageError(f"{given[0]} and {given[1]} both say what the parts are; give one of them")


def _refuse_aspects(dataset: Dataset, task: str | None) -> NoReturn:
    if task is not None:
        raise UsageError(f"--aspect-column: the task is {task}, and aspects are for sentiment; leave one out")
    raise UsageError(
        f"--aspect-column: the labels {', '.join(dataset.labels[:4])} are not negative, neutral and positive. If they "
        "are some of these, say --task sentiment; if they mean these, say so in a table [labels] of --config; or learn "
        "pairs with --task pair and --pair-column"
    )


def _of_files(
    dataset: Dataset, source: Source, files: Mapping[str, str], label_map: LabelMap | None
) -> tuple[Dataset, Splits]:
    """What all files hold, and which row is of which part."""
    others = {name: file for name, file in files.items() if name != "train"}
    read = {name: replace(source, path=file).read(dataset.task, label_map) for name, file in others.items()}
    joined, names = join_parts({"train": dataset, **read})
    return joined, given_splits(joined, names)


def _parts(dataset: Dataset, splits: Path | None, split_column: str | None) -> Splits | None:
    if splits is not None:
        return Splits.load(splits, dataset)
    if split_column is not None:
        return given_splits(dataset, [row.values[split_column] for row in dataset.rows])
    return None


def _report(result: FineTuneResult, as_json: bool, quiet: bool) -> None:
    """The evaluation on the test part: on stdout, as JSON and, where pictures can be made, as a page."""
    evaluation = result.evaluation
    found = None if evaluation is None else evaluation.to_dict()
    if evaluation is None:
        note("there is no test part, so nothing says how good the model is on other texts", quiet)
    else:
        _save(result.path / "evaluation.json", json.dumps(found, indent=2, ensure_ascii=False) + "\n")
        if isinstance(evaluation, Evaluation):
            _draw(evaluation, result.path, quiet)
    if as_json:
        precision = result.export["precision"]
        about = {"model": str(result.path), "precision": precision, "dev": dict(result.dev), "evaluation": found}
        emit(json.dumps(about))
    elif evaluation is not None:
        emit(evaluation.text(page_width()))


def _draw(evaluation: Evaluation, folder: Path, quiet: bool) -> None:
    from polarbert.report.evaluation import render

    try:
        page = render(evaluation, f"{folder.name} on its test part")
    except MissingExtraError as error:
        note(f"no page with pictures: {error}", quiet)
        return
    _save(folder / "evaluation.html", page)


def _save(file: Path, text: str) -> None:
    done = "The model is finished; only its evaluation is not saved. Make room, and run the same command with --resume"
    with disk_errors(str(file), done):
        write_whole(file, text.encode("utf-8", "replace"))


def _kept(output: Path) -> str:
    """Where a run that was stopped will go on."""
    from polarbert.training.finetune import RUN
    from polarbert.training.run import RunDirectory

    step = RunDirectory.kept_step(output / RUN)
    return f"from step {step:,}" if step else "from its beginning"
