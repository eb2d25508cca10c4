"""Each kind of task beside `transformers`: the speed of training, and that of answering with the finished bundle.

    python benchmarks/tasks.py

Takes about half an hour on two processors. Writes benchmarks/results/tasks.json. For each kind one public set: TREC
(single texts), SICK (pairs), STS-B (numbers of pairs), CoNLL-2003 (tags of words), SQuAD (answers in passages).

Training: the loop behind `polarbert train` and the Trainer as the examples of `transformers` use it, with its defaults
and padding to the longest of a batch, learn the same rows once from the same encoder. Pieces are counted without
padding. Answering: a model that Polarbert trained on these rows answers rows it has not seen, as the bundle that
`polarbert score` opens and in the pipeline of `transformers`, from texts to answers. Every run is a process of its own.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import child
import common
from against_trainer import DEFAULTS, OURS

if TYPE_CHECKING:
    from recipes.tasks.sets import LabelledSet, Parts

sys.path.insert(0, str(common.ROOT))  # recipes/tasks reads, trains and judges here too

PACKAGES = ("accelerate", "onnxruntime", "tokenizers", "torch", "transformers")
SCORED, PIPELINE = "polarbert", "transformers"
PIPELINE_BATCHES = (1, 16)
WARM_UP = 8  # rows
QA_WINDOW, QA_OVERLAP = 384, 128  # the defaults of the example for question answering
ROWS = {"trec": 2400, "sick": 1100, "stsb": 1100, "conll2003": 1500, "squad": 180}
TEXTS = {"trec": 400, "sick": 400, "stsb": 400, "conll2003": 400, "squad": 80}
KINDS = {
    "trec": "single texts",
    "sick": "pairs",
    "stsb": "numbers of pairs",
    "conll2003": "tags of words",
    "squad": "answers in passages",
}


def main() -> None:
    """Measure and keep the result."""
    if child.serve((prepare, run_polarbert, run_trainer, make_bundle, score_polarbert, score_pipeline)):
        return
    options = _options()
    common.say("looking whether the machine is idle")
    busy = common.busy_share()
    with tempfile.TemporaryDirectory() as room:
        asked = {"base": options.base, "room": room, "threads": options.threads, "device": options.device}
        prepared = child.ask(__file__, "prepare", asked).values
        found = {name: _measure(name, asked, options) for name in options.tasks}
    values = {
        "model": prepared["model"],
        "threads": options.threads,
        "device": prepared["device"],
        "rounds": options.rounds,
        "tasks": found,
    }
    if not options.trial:
        common.write_result("tasks", busy, PACKAGES, values)
    _show(values)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", help="a bundle, another directory or a Hub id; the embedded model unless given")
    parser.add_argument("--tasks", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--rows", type=int, help="to learn from; by set unless given, about 30,000 pieces each")
    parser.add_argument("--texts", type=int, help="to answer; 400 unless given, 80 questions")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contestant (default 3)")
    parser.add_argument("--threads", type=int, default=common.usable_processors(), help="for all; default: all")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="to train on")
    parser.add_argument("--trial", action="store_true", help="24 rows, 10 texts, one round; the result is not kept")
    options = parser.parse_args()
    if options.trial:
        options.rows, options.texts, options.rounds = 24, 10, 1
    return options


def _measure(name: str, asked: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """A set: both contestants train in turn, a bundle is made, both answer in turn."""
    rows, texts = options.rows or ROWS[name], options.texts or TEXTS[name]
    shared = asked | {"task": name, "rows": rows, "texts": texts}
    trained = _rounds(name, {OURS: "run_polarbert", DEFAULTS: "run_trainer"}, shared, options.rounds)
    made = child.ask(__file__, "make_bundle", shared).values
    common.say(f"{name}: a bundle in {made['precision']}")
    scored = _rounds(name, {SCORED: "score_polarbert", PIPELINE: "score_pipeline"}, shared, options.rounds)
    return {
        "kind": KINDS[name],
        "title": made["title"],
        "training": _training(trained),
        "scoring": {"precision": made["precision"], "measure": made["measure"], **_scoring(scored)},
    }


def _rounds(
    task: str, contestants: dict[str, str], shared: dict[str, Any], rounds: int
) -> dict[str, list[dict[str, Any]]]:
    """Every contestant once a round, with the round's seed."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in contestants}
    for number in range(1, rounds + 1):
        for name, part in contestants.items():
            answer = child.ask(__file__, part, shared | {"seed": number})
            runs[name].append(answer.values)
            common.say(f"{task}, round {number}  {name} ({part}): {answer.seconds:.1f} s")
    return runs


def _training(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Real pieces a second of each, and how many times the defaults' of the same round that is."""
    speeds = {name: [run["tokens"] / run["seconds"] for run in own] for name, own in runs.items()}
    return {
        name: {
            "rows": own[0]["rows"],
            "tokens": own[0]["tokens"],
            "steps": own[0]["steps"],
            "batch": own[0]["batch"],
            "precision": own[0]["precision"],
            "seconds": common.summary([run["seconds"] for run in own]),
            "tokens_per_second": common.summary(speeds[name], digits=1),
            "times_defaults": common.summary(
                [one / other for one, other in zip(speeds[name], speeds[DEFAULTS], strict=True)], digits=3
            ),
        }
        for name, own in runs.items()
    }


def _scoring(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Texts a second of each way, and how many times the pipeline's best of the same round that is."""
    ways: dict[str, list[dict[str, Any]]] = {}
    for own in runs.values():
        for way in own[0]["ways"]:
            ways[way] = [run["ways"][way] for run in own]
    peers = [[one["seconds"] for one in found] for way, found in ways.items() if way.startswith(PIPELINE)]
    best = [min(of_round) for of_round in zip(*peers, strict=True)]
    texts = runs[SCORED][0]["texts"]
    contestants = {}
    for way, found in ways.items():
        seconds = [one["seconds"] for one in found]
        contestants[way] = {
            "seconds": common.summary(seconds),
            "texts_per_second": round(texts / median(seconds), 1),
            "ratio": common.summary([peer / one for peer, one in zip(best, seconds, strict=True)], digits=3),
            "score": round(found[0]["score"], 4),
        }
    return {"texts": texts, "contestants": contestants}


def prepare(request: dict[str, Any]) -> dict[str, Any]:
    """The encoder that everybody starts from, without its output layer."""
    from recipes.tasks import plain

    from polarbert.training.base import Base
    from polarbert.training.device import choose_device

    base = Base.open(request["base"])
    plain.save_encoder(base, _encoder(request))
    return {"model": base.name, "device": choose_device(request["device"]).type}


def _encoder(request: dict[str, Any]) -> str:
    return str(Path(request["room"]) / "encoder")


def _bundle(request: dict[str, Any]) -> Path:
    return Path(str(request["room"])) / str(request["task"])


def _parts(request: dict[str, Any]) -> tuple[LabelledSet, Parts]:
    """The set and its rows: always the same to learn from, and different ones to answer."""
    from recipes.tasks import sets

    chosen = sets.SETS[request["task"]]
    found = sets.draw(sets.read(chosen), request["rows"], 10**9, seed=0)
    distinct = list({row.content: row for row in found.dev.rows}.values())
    return chosen, sets.Parts(found.train, replace(found.dev, rows=sets.some(distinct, request["texts"], 0)))


def run_polarbert(request: dict[str, Any]) -> dict[str, Any]:
    """One pass of the loop with the settings of `polarbert train` for data of the usual size."""
    import torch
    from recipes.tasks import contest, ours

    from polarbert.training.base import Base
    from polarbert.training.device import choose_device, choose_precision
    from polarbert.training.loop import train
    from polarbert.training.run import RunDirectory
    from polarbert.training.settings import TrainSettings

    device = choose_device(request["device"])

    class Timed(ours.Watched):
        """Times the steps: from the first plan of batches to the evaluation, which is left out."""

        started = ended = math.nan

        def batches_in_epoch(self, epoch: int, step: int) -> Sequence[list[int]]:
            self.started = time.perf_counter() if math.isnan(self.started) else self.started
            return super().batches_in_epoch(epoch, step)

        def evaluate(self, model: torch.nn.Module) -> dict[str, float]:  # noqa: ARG002 - only the time is asked for
            contest.wait_for(device.type)
            self.ended = time.perf_counter()
            return {"score": 0.0}

    torch.set_num_threads(request["threads"])
    chosen, parts = _parts(request)
    base = Base.open(_encoder(request))
    kind = contest.make_kind(chosen, parts.train, base)
    asked = {"epochs": 1.0, "evaluations": 1, "checkpoint_seconds": 1e9, "threads": request["threads"]}
    settings = TrainSettings(seed=request["seed"], **asked)
    task = Timed(kind.task(kind.encode(parts.train.rows), kind.encode(parts.dev.rows), settings), chosen, parts)
    model = ours.new_model(chosen, parts, base, request["seed"]).to(device)
    with tempfile.TemporaryDirectory() as room:
        summary = train(model, task, settings, RunDirectory(room), quiet=True)
    return {
        "seconds": task.ended - task.started,
        "rows": len(parts.train.rows),
        "tokens": summary["tokens"],
        "steps": summary["steps"],
        "precision": choose_precision(settings.precision, device.type),
        "batch": f"{settings.batch_tokens:,} pieces",
    }


def run_trainer(request: dict[str, Any]) -> dict[str, Any]:
    """One pass of the Trainer with its own defaults."""
    import torch
    from recipes.tasks import contest, plain
    from transformers import AutoTokenizer, Trainer, TrainerCallback, TrainingArguments

    from polarbert.training.base import Base
    from polarbert.training.device import choose_device
    from polarbert.training.recipe import FineTuneSettings

    device = choose_device(request["device"])

    class Timed(TrainerCallback):
        """Times the steps: from the beginning of training to its end."""

        started = ended = math.nan

        def on_train_begin(self, *_args: Any, **_more: Any) -> None:
            self.started = time.perf_counter()

        def on_train_end(self, *_args: Any, **_more: Any) -> None:
            contest.wait_for(device.type)
            self.ended = time.perf_counter()

    torch.set_num_threads(request["threads"])
    torch.manual_seed(request["seed"])
    chosen, parts = _parts(request)
    longest = Base.open(_encoder(request)).longest(FineTuneSettings().max_pieces)  # as in Polarbert
    tokenizer = AutoTokenizer.from_pretrained(_encoder(request))
    reading = plain.Reading(parts.train, tokenizer, longest, longest // 4)
    features = reading.features(parts.train.rows)
    timed = Timed()
    with tempfile.TemporaryDirectory() as room:
        arguments = TrainingArguments(
            room,
            num_train_epochs=1,
            seed=request["seed"],
            use_cpu=device.type == "cpu",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = Trainer(
            plain.new_model(parts.train, _encoder(request)),
            arguments,
            data_collator=reading.collator(),
            train_dataset=plain.learned(features),
            callbacks=[timed],
        )
        trainer.train()
    return {
        "seconds": timed.ended - timed.started,
        "rows": len(parts.train.rows),
        "tokens": sum(len(one["input_ids"]) for one in features),
        "steps": trainer.state.global_step,
        "precision": "fp32",
        "batch": f"{arguments.per_device_train_batch_size} {'windows' if chosen.task == 'qa' else 'texts'}",
    }


def make_bundle(request: dict[str, Any]) -> dict[str, Any]:
    """A model of the rows, trained and exported as `polarbert train` does."""
    import torch
    from recipes.tasks import contest, judging, ours

    from polarbert.export.bundling import CALIBRATION_TEXTS, ExportOptions, export_bundle
    from polarbert.export.proof import MIN_TEXTS, LabelledSet
    from polarbert.training.base import Base
    from polarbert.training.device import choose_device
    from polarbert.training.loop import train
    from polarbert.training.pace import adapt
    from polarbert.training.run import RunDirectory
    from polarbert.training.settings import TrainSettings

    torch.set_num_threads(request["threads"])
    chosen, parts = _parts(request)
    base = Base.open(_encoder(request))
    kind = contest.make_kind(chosen, parts.train, base)
    learned = kind.encode(parts.train.rows)
    usual = TrainSettings(evaluations=1, checkpoint_seconds=1e9, threads=request["threads"])
    settings = adapt(usual, learned.pieces, base.config.hidden_size)
    task = kind.task(learned, kind.encode(parts.dev.rows), settings)
    model = ours.new_model(chosen, parts, base, 1).to(choose_device(request["device"]))
    with tempfile.TemporaryDirectory() as room:
        run = RunDirectory(room)
        train(model, task, settings, run, quiet=True)
        inputs = list(dict.fromkeys(kind.asked(parts.train.rows)))[:CALIBRATION_TEXTS]
        if len(inputs) + len(parts.dev.rows) < MIN_TEXTS:
            inputs = list(dict.fromkeys([*inputs, *kind.own_inputs()]))
        known = LabelledSet(kind.asked(parts.dev.rows), kind.truth(parts.dev.rows))
        options = ExportOptions(chosen.task, traits=kind.traits)
        report = export_bundle(run.best, _bundle(request), inputs, {"dev": known}, options, common.say)
    measure = "entity F1 by characters" if chosen.task == "tagging" else judging.MEASURES[chosen.measure][0]
    return {"precision": report.precision, "title": chosen.title, "measure": measure}


def score_polarbert(request: dict[str, Any]) -> dict[str, Any]:
    """The bundle, as `polarbert.load` opens it."""
    from polarbert.bundle import Bundle
    from polarbert.inference.predictors import make_predictor

    chosen, parts = _parts(request)
    predictor = make_predictor(Bundle.open(_bundle(request)), request["threads"], "onnxruntime")
    asked = _asked(chosen.task, parts.dev.rows)
    predictor.answer(asked[:WARM_UP])
    seconds, answers = _timed(predictor.answer, asked)
    given = [_as_judged(chosen.task, answer, predictor.labels) for answer in answers]
    found = {"seconds": seconds, "score": _score(chosen, parts.dev, given)}
    return {"texts": len(asked), "ways": {f"{SCORED}, {predictor.bundle.precision}": found}}


def _as_judged(task: str, answer: Any, labels: Sequence[str]) -> Any:
    """What a set is judged by of an answer."""
    if task == "tagging":
        return [(entity.type, entity.start, entity.end) for entity in answer.entities]
    if task in ("regression", "qa"):
        return answer.value if task == "regression" else answer.text
    return labels.index(answer.label)


def _asked(task: str, rows: Sequence[Any]) -> list[Any]:
    """Raw texts, as users have them."""
    if task == "qa":
        return [(row.question, row.text) for row in rows]
    return [(row.text, None if task == "tagging" else row.pair) for row in rows]


def score_pipeline(request: dict[str, Any]) -> dict[str, Any]:
    """The pipeline of `transformers` as its users make it, in float32, with either batch size."""
    import torch

    torch.set_num_threads(request["threads"])
    chosen, parts = _parts(request)
    model = str(_bundle(request))
    call = _passages(parts.dev, model) if chosen.task == "qa" else _pipeline(chosen.task, parts.dev, model)
    ways = {}
    for batch in PIPELINE_BATCHES:
        call(parts.dev.rows[:WARM_UP], batch)
        seconds, given = _timed(call, parts.dev.rows, batch)
        score = _score(chosen, parts.dev, given)
        ways[f"{PIPELINE}, batch {batch}"] = {"seconds": seconds, "score": score}
    return {"texts": len(parts.dev.rows), "ways": ways}


Calling = Callable[[Sequence[Any], int], list[Any]]


def _pipeline(task: str, dev: Any, model: str) -> Calling:
    """Rows and a batch size to answers."""
    import torch
    from transformers import pipeline

    common_options: dict[str, Any] = {"model": model, "device": "cpu", "dtype": torch.float32}
    if task == "tagging":
        tagger = pipeline("token-classification", aggregation_strategy="first", **common_options)

        def tag(rows: Sequence[Any], batch: int) -> list[Any]:
            answers = tagger([row.text for row in rows], batch_size=batch)
            return [[(one["entity_group"], one["start"], one["end"]) for one in answer] for answer in answers]

        return tag
    classifier = pipeline("text-classification", **common_options)
    options = {"function_to_apply": "none"} if task == "regression" else {}
    by_label = {label: number for number, label in enumerate(dev.labels)}

    def classify(rows: Sequence[Any], batch: int) -> list[Any]:
        pairs = [row.text if row.pair is None else {"text": row.text, "text_pair": row.pair} for row in rows]
        answers = classifier(pairs, batch_size=batch, truncation=True, **options)
        return [answer["score"] if task == "regression" else by_label[answer["label"]] for answer in answers]

    return classify


def _passages(dev: Any, model: str) -> Calling:
    """Question answering as the example of `transformers` does it: its newest versions have no pipeline for that."""
    import torch
    from recipes.tasks import plain
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    network = AutoModelForQuestionAnswering.from_pretrained(model, dtype=torch.float32)
    reading = plain.Reading(dev, AutoTokenizer.from_pretrained(model), QA_WINDOW, QA_OVERLAP)
    return lambda rows, batch: list(plain.Answering(reading, rows, batch=batch).answers(network))


def _score(chosen: LabelledSet, dev: Any, given: Sequence[Any]) -> float:
    """The set's own measure; of tags the F1 of entities by their characters, since each finds its words itself."""
    from recipes.tasks import judging

    if chosen.task != "tagging":
        return float(judging.value(chosen.measure, judging.statistics(dev, given, chosen.positive)))
    from polarbert.data.entities import entity_spans, entity_types
    from polarbert.metrics import count_entities, entity_f1

    truth = [
        [
            (name, row.words[first][0], row.words[behind - 1][1])
            for name, first, behind in entity_spans(dev.labels[tag] for tag in row.tags)
        ]
        for row in dev.rows
    ]
    return entity_f1(count_entities(truth, given, entity_types(dev.labels)))


def _timed(call: Callable[..., Any], *asked: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    answers = call(*asked)
    return time.perf_counter() - started, answers


def _show(values: dict[str, Any]) -> None:
    for name, found in values["tasks"].items():
        for contestant, figures in found["training"].items():
            speed, times = figures["tokens_per_second"]["median"], figures["times_defaults"]["median"]
            print(f"{name:<10} training  {contestant:<24} {speed:8,.0f} tokens/s  x{times:.2f}")
        for contestant, figures in found["scoring"]["contestants"].items():
            speed, times = figures["texts_per_second"], figures["ratio"]["median"]
            print(f"{name:<10} answering {contestant:<24} {speed:8,.1f} texts/s  x{times:.2f}  {figures['score']:.3f}")


if __name__ == "__main__":
    main()
