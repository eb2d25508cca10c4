"""The page of the benchmarks says what was measured, and nothing else."""

from __future__ import annotations

import copy
import os
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from transformers import AutoModelForSequenceClassification

import against_trainer
import chart
import child
import common
import engines
import explanations
import make_page
import million
import page_engines
import page_explanations
import page_pretraining
import score
import training
from polarbert.model import BertConfig, BertEncoder, BertForSequenceClassification
from polarbert.model.dropout import Dropout
from polarbert.text import WordPieceTokenizer
from polarbert.training import loop

ROOT = Path(__file__).parents[1]
MACHINE = {
    "processor": "Example CPU",
    "processors": 2,
    "instructions": ["avx2"],
    "memory_gb": 8.0,
    "system": "Linux x86_64",
    "python": "3.11.0",
}


def about(name: str) -> dict[str, Any]:
    return {
        "benchmark": name,
        "command": f"python benchmarks/{name}.py --threads 2",
        "date": "2026-01-31",
        "machine": MACHINE,
        "busy_before": 0.01,
        "versions": {"polarbert": "0.1.0"},
    }


def contestant(seconds: list[float], ratio: float, share: float) -> dict[str, Any]:
    return {
        "seconds": common.summary(seconds),
        "texts_per_second": round(100 / common.summary(seconds)["median"], 1),
        "ratio": common.summary([ratio]),
        "accuracy": 0.7125,
        "gops": 100.0,
        "share_of_int8_gemm": share,
    }


def invented_explanations() -> dict[str, Any]:
    names = (page_explanations.OURS, page_explanations.ATTENTION, page_explanations.RANDOM)
    contestants = {
        name: {
            "area": 0.3 + more,
            "more_than_explain": more,
            "standard_error": 0.01,
            "curve": [0.9 - 0.05 * n for n in range(11)],
        }
        for name, more in zip(names, (0.0, 0.15, 0.25), strict=True)
    }
    timed = {"seconds": common.summary([0.06]), "answer_seconds": common.summary([0.004]), "readings": 103.0}
    judged = {"texts": 300, "words": 20.5, "contestants": contestants}
    cost = {name: copy.deepcopy(timed) for name in explanations.TIMED_WORDS}
    return {
        "threads": 2,
        "engine": "onnxruntime",
        "cost": cost,
        "short": judged,
        "long": copy.deepcopy(judged),
    }


def invented_results() -> dict[str, dict[str, Any]]:
    """Results in which every goal is met."""
    measured = {
        "texts": 100,
        "pieces": 2500,
        "mean_pieces": 25.0,
        "contestants": {
            "pipeline, batch 8": contestant([1.0, 1.2, 0.8], 1.0, 0.1),
            "polarbert score, onnxruntime": contestant([0.25, 0.26, 0.9], 4.0, 0.55)
            | {"same_labels_as_pipeline": 0.99},
        },
    }
    wall = {"gops": 200.0, "by": "A", "rows": 2048, "sizes": [384], "best_of": {"A": {"gops": 200.0, "k": 1, "n": 2}}}
    timed = {"seconds": common.summary([0.4, 0.5]), "peak_bytes": common.summary([100e6, 120e6], digits=0)}
    return {
        "score": about("score")
        | {
            "model": {"name": "embedded", "precision": "int8", "fingerprint": "abc"},
            "threads": 2,
            "rounds": 3,
            "pipeline_load_seconds": 3.5,
            "operations_per_piece": 21_300_000,
            "int8_gemm": wall,
            "sets": {"tweets": measured},
        },
        "cold_start": about("cold_start")
        | {
            "model": "embedded",
            "measurer_peak_bytes": 20e6,
            "contestants": {
                "import": timed | {"import_seconds": common.summary([0.02])},
                "predict, onnxruntime": timed,
                "pipeline": timed,
            },
        },
        "install_size": about("install_size")
        | {
            "core": {"wheel_bytes": 60e6, "bytes": 250e6, "packages": [["onnxruntime", 70e6]]},
            "pipeline": {"bytes": 1.1e9, "packages": [["torch", 8e8]], "versions": {"torch": "2.0"}},
        },
        "engines": invented_engines(),
        "million": invented_million(),
        "quantisation": about("quantisation")
        | {"texts": 600, "variants": {"smoothing": {"log_probability_rms": 0.125, "labels_changed": 0.015}}},
        "explanations": about("explanations") | invented_explanations(),
        "training": about("training")
        | {
            "threads": 2,
            "rounds": 3,
            "texts": 1400,
            "tokens": 66_000,
            "mean_pieces": 47.1,
            "held_texts": 300,
            "before": {"loss": 1.1, "accuracy": 0.3},
            "contestants": {
                against_trainer.DEFAULTS: trained(1000.0, 1.0, 0.5),
                against_trainer.GROUPED: trained(2000.0, 2.0, 1.0),
                against_trainer.OURS: trained(3000.0, 3.0, 1.5),
                against_trainer.OURS_SMALL: trained(2200.0, 2.2, 1.1),
            },
        },
        "training_ablation": about("training")
        | {
            "threads": 2,
            "rounds": 3,
            "texts": 1400,
            "tokens": 66_000,
            "contestants": {name: trained(3000.0, 3.0, 1.5) for name in training.WITHOUT},
        },
        "tasks": invented_tasks(),
        "pretraining": about("pretraining")
        | {
            "threads": 2,
            "rounds": 3,
            "length": 128,
            "sequences": 1000,
            "tokens": 110_000,
            "parameters": 4_000_000,
            "network": "2 layers of 256, 8,000 pieces",
            "contestants": {
                against_trainer.DEFAULTS: trained(3000.0, 1.0, 0.5),
                against_trainer.OURS: trained(9000.0, 3.0, 1.5),
                against_trainer.OURS_SMALL: trained(6300.0, 2.1, 1.05) | {"peak_bytes": common.summary([600e6])},
            },
        },
        "shards": about("shards")
        | {
            "books": 80,
            "characters": 40_000_000,
            "pieces": 9_000_000,
            "sentences": 350_000,
            "contestants": {
                name: {
                    "pieces_per_second": common.summary([900_000.0]),
                    "seconds": common.summary([10.0]),
                    "peak_bytes": common.summary([400e6]),
                    "share_of_fastest_tokenizers": common.summary([share]),
                }
                for name, share in ((page_pretraining.WHOLE, 1.0), (page_pretraining.SHARDS, 0.9))
            },
            "pairs": {"pairs of 128": {"pieces_per_second": common.summary([9e6])}},
        },
        "large": about("large")
        | {
            "tokens": 1024,
            "length": 128,
            "threads": 2,
            "paper_pieces": 131_072_000_000,
            "runs": {"base, pretraining": large_run() | {"paper_years": 9.5}, "base, fine-tuning": large_run()},
        },
    }


def invented_tasks() -> dict[str, Any]:
    speeds = {"polarbert, int8": 450.0, "transformers, batch 1": 100.0, "transformers, batch 16": 90.0}
    answered = {
        name: {
            "seconds": common.summary([400 / speed]),
            "texts_per_second": speed,
            "ratio": common.summary([speed / 100]),
            "score": 0.875,
        }
        for name, speed in speeds.items()
    }
    rows = {"rows": 1000, "tokens": 30_000}
    trained_by = {against_trainer.OURS: trained(3000.0, 3.0, 3.0), against_trainer.DEFAULTS: trained(1000.0, 1.0, 1.0)}
    sets = (("SICK", "pairs", "accuracy"), ("SQuAD", "answers in passages", "answer F1"))
    return about("tasks") | {
        "model": "the embedded model",
        "threads": 2,
        "device": "cpu",
        "rounds": 3,
        "tasks": {
            title.lower(): {
                "title": title,
                "kind": kind,
                "training": {name: copy.deepcopy(figures) | rows for name, figures in trained_by.items()},
                "scoring": {"precision": "int8", "measure": measure, "texts": 400, "contestants": answered},
            }
            for title, kind, measure in sets
        },
    }


def large_run() -> dict[str, Any]:
    return {"parameters": 110_000_000, "precision": "bf16", "tokens_per_second": 437.0, "peak_bytes": 3e9}


def trained(speed: float, times_defaults: float, times_grouped: float) -> dict[str, Any]:
    return {
        "steps": 44,
        "precision": "bf16",
        "batch": "1,536 pieces",
        "tokens_per_second": common.summary([speed]),
        "seconds": common.summary([66_000 / speed]),
        "loaded_bytes": common.summary([400e6]),
        "peak_bytes": common.summary([900e6]),
        "loss": common.summary([0.5]),
        "accuracy": common.summary([0.8]),
        "times_defaults": common.summary([times_defaults]),
        "times_grouped": common.summary([times_grouped]),
        "times_first": common.summary([times_defaults]),
    }


def invented_engines() -> dict[str, Any]:
    speeds = {"onnxruntime": 20_000.0, "openvino": 16_000.0, "torch, cpu, bf16": 8_000.0}
    ways = {**speeds, "pipeline, batch 1": 2_000.0, "pipeline, batch 8": 4_000.0}
    named = [*speeds, "pipeline"]
    latency = {"n": 900, "median": 0.004, "p99": 0.0125, "rounds": []}
    mix = {
        way: {
            "seconds": common.summary([15_000 / speed]),
            "texts_per_second": speed / 30,
            "pieces_per_second": speed,
            "ratio": common.summary([speed * 1.2 / 4_000]),
            "accuracy": 0.75,
        }
        for way, speed in ways.items()
    }
    process = {name: common.summary([100e6]) for name in ("loaded_bytes", "peak_bytes")}
    return about("engines") | {
        "model": {"name": "embedded", "precision": "int8", "fingerprint": "abc"},
        "threads": 2,
        "rounds": 3,
        "lengths": [8, 64, 512],
        "pieces_of_a_length": 8192,
        "latency": {
            kind: {"texts": 300, "mean_pieces": pieces, "contestants": dict.fromkeys(named, latency)}
            for kind, pieces in (("short", 24.0), ("long", 70.0))
        },
        "throughput": {
            name: {length: common.summary([speeds.get(name, 3_000.0)]) for length in ("8", "64", "512")}
            for name in named
        },
        "mixes": {
            name: {"texts": 500, "mean_pieces": 30.0, "contestants": copy.deepcopy(mix)}
            for name in ("tweets", "reviews")
        },
        "processes": {name: process | {"load_seconds": common.summary([0.5])} for name in named},
        "agreement": {one: dict.fromkeys(named, 0.99) for one in named},
    }


def scored(rows: int, resident: Callable[[int], float], rate: float = 1000.0) -> list[million.Sample]:
    """Samples of a run that starts in a second, a block of 500 rows at a time, ten samples a second."""
    moments = (number / 10 for number in range(int(10 * (1 + rows / rate)) + 1))
    done = ((moment, min(rows, int(max(0.0, moment - 1) * rate) // 500 * 500)) for moment in moments)
    return [million.Sample(moment, so_far, round(resident(so_far))) for moment, so_far in done]


def invented_million(rows: int = 200_000, growth: float = 1.0) -> dict[str, Any]:
    samples = scored(rows, lambda done: 150e6 + growth * done)
    run = {
        "rows": rows,
        "pieces": 18 * rows,
        "seconds": 1 + rows / 1000,
        "rows_per_second": 990.0,
        "peak_bytes": 151e6,
        "input_bytes": 15e6,
        "output_bytes": 28e6,
        "samples": [[sample.seconds, sample.rows, sample.resident] for sample in samples[::100]],
    }
    return about("million") | {
        "model": {"name": "embedded", "precision": "int8", "fingerprint": "abc"},
        "threads": 2,
        "engine": "onnxruntime",
        "remembered_texts": 50_000,
        "warm_rows": 75_000,
        "mean_pieces": 20.0,
        "runs": [run],
        "steady": million.steady(samples, 75_000, 1_000_000),
    }


def test_the_page_is_what_the_results_say() -> None:
    results = make_page.read_results(common.RESULTS)
    assert (ROOT / "docs/benchmarks.md").read_text("utf-8") == make_page.page(results)
    drawn = {file.name: file.read_text("utf-8") for file in (ROOT / "docs").glob("benchmarks*.svg")}
    assert drawn == make_page.charts(results)


def test_a_goal_that_is_met_is_no_news() -> None:
    page = make_page.page(invented_results())
    assert "Every goal measured here is met." in page
    assert "**no**" not in page


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("score", "sets", "tweets", "contestants", "polarbert score, onnxruntime", "ratio", "median"), 3.29, "3.29"),
        (("explanations", "cost", "25 words", "seconds", "p95"), 0.1, "100 ms"),
        (("explanations", "short", "contestants", "at random", "more_than_explain"), 0.019, "0.019 ± 0.020"),
        (
            ("score", "sets", "tweets", "contestants", "polarbert score, onnxruntime", "share_of_int8_gemm"),
            0.499,
            "49.9%",
        ),
        (("cold_start", "contestants", "predict, onnxruntime", "seconds", "median"), 0.6, "0.60 s"),
        (("cold_start", "contestants", "predict, onnxruntime", "peak_bytes", "median"), 201e6, "201 MB"),
        (("cold_start", "contestants", "import", "import_seconds", "median"), 0.1, "0.100 s"),
        (("install_size", "core", "bytes"), 301e6, "301 MB"),
        (("engines", "mixes", "reviews", "contestants", "openvino", "ratio", "median"), 4.49, "4.49 times"),
        (("training", "contestants", "polarbert", "times_defaults", "median"), 1.49, "1.49 times"),
        (("training", "contestants", "polarbert", "times_grouped", "median"), 0.99, "0.99 times"),
        (("tasks", "tasks", "squad", "training", "polarbert", "times_defaults", "median"), 1.49, "1.49 times"),
        (("pretraining", "contestants", "polarbert", "times_defaults", "median"), 1.99, "1.99 times"),
        (("pretraining", "contestants", against_trainer.OURS_SMALL, "peak_bytes", "median"), 901e6, "901 MB"),
        (
            ("shards", "contestants", page_pretraining.SHARDS, "share_of_fastest_tokenizers", "median"),
            0.79,
            "79%",
        ),
        (("million", "steady"), million.steady(scored(200_000, lambda n: 1e8 + 20 * n), 75_000, 1_000_000), "+18"),
    ],
)
def test_a_goal_that_is_missed_is_said(where: tuple[str, ...], value: float, said: str) -> None:
    results = copy.deepcopy(invented_results())
    place: Any = results
    for name in where[:-1]:
        place = place[name]
    place[where[-1]] = value
    page = make_page.page(results)
    assert page.count("- Not met:") == page.count("**no**") == 1
    assert re.search(rf"- Not met: .*{re.escape(said)}.*; the goal is", page)


def test_what_was_not_measured_is_said() -> None:
    page = make_page.page({"score": invented_results()["score"]})
    for name in ("engines", "million", "quantisation", "training", "cold_start", "install_size"):
        assert f"Not measured yet. `python benchmarks/{name}.py` measures it." in page
    assert "Not measured yet. `python benchmarks/training.py --ablation` measures it." in page
    assert make_page.charts({}) == {}


@pytest.mark.parametrize("missing", list(make_page.SECTIONS))
def test_a_page_without_one_result_has_all_the_others(missing: str) -> None:
    results = invented_results()
    whole = make_page.page(results)
    del results[missing]
    page = make_page.page(results)
    assert re.findall("^## .*", page, re.MULTILINE) == re.findall("^## .*", whole, re.MULTILINE)
    assert page.count("Made by `") == whole.count("Made by `") - 1
    assert f"- {make_page.SECTIONS[missing].title}: `{make_page.SECTIONS[missing].command}`" in page


def test_contestants_have_names_for_people() -> None:
    assert page_engines.named("pipeline, batch 8") == "`transformers` pipeline, batch 8"
    assert page_engines.named("torch, cpu, bf16") == "PyTorch, bf16"
    page = make_page.page(invented_results())
    assert "| PyTorch, bf16 | 8,000 | 8,000 | 8,000 |" in page
    assert (
        "5.5 times the pipeline is reached by: ONNX Runtime on tweets (6.00), ONNX Runtime on reviews (6.00)." in page
    )


def test_every_chart_that_the_page_shows_is_drawn() -> None:
    results = invented_results()
    drawn = make_page.charts(results)
    assert set(re.findall(r"!\[[^]]+\]\(([^)]+)\)", make_page.page(results))) == set(drawn)
    for drawing in drawn.values():
        assert ET.fromstring(drawing).findtext("{http://www.w3.org/2000/svg}desc")


def test_every_figure_names_its_command_and_machine() -> None:
    page = make_page.page(invented_results())
    for result in invented_results().values():
        assert f"Made by `{result['command']}` on 2026-01-31." in page
    machine = "Machine: Example CPU, 2 processors (avx2), 8 GB, Linux x86_64, Python 3.11.0."
    assert page.count(machine) == len(make_page.SECTIONS)
    assert "of the processors when this began" not in page


def test_a_busy_machine_is_said() -> None:
    results = invented_results()
    results["score"]["busy_before"] = 0.45
    assert "Other work took 45% of the processors when this began." in make_page.page(results)


def test_every_row_of_a_table_has_its_columns() -> None:
    tables = re.findall(r"(?:^\|.*\n)+", make_page.page(invented_results()), re.MULTILINE)
    assert len(tables) == 25
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


def test_the_chart_draws_bars_in_proportion() -> None:
    drawn = chart.bar_chart("A & B", "texts", {"Set": {"pipeline": 50.0, "polarbert": 200.0}}, "polarbert")
    drawing = ET.fromstring(drawn)
    bars = [bar for bar in drawing.iter("{http://www.w3.org/2000/svg}rect") if "rx" in bar.attrib]
    slow, fast = (float(bar.attrib["width"]) for bar in bars)
    assert fast == pytest.approx(4 * slow, rel=1e-3)
    assert bars[0].attrib["fill"] != bars[1].attrib["fill"]


def test_shares_are_written_with_their_decimals() -> None:
    result = invented_explanations()
    drawing = ET.fromstring(page_explanations.chart(result))
    written = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    for kind in page_explanations.KINDS:
        for figures in result[kind]["contestants"].values():
            assert f"{figures['area']:.3f}" in written


def test_the_lines_of_a_chart_pass_through_their_values() -> None:
    series = {"a": [(8.0, 100.0), (16.0, 400.0), (64.0, 200.0)], "b": [(8.0, 0.0), (64.0, 300.0)]}
    drawing = ET.fromstring(chart.line_chart("Title", "unit", "pieces", series, doubling=True))
    lines = drawing.findall("{http://www.w3.org/2000/svg}polyline")
    drawn = [[tuple(map(float, at.split(","))) for at in line.attrib["points"].split()] for line in lines]
    (first, second, third), zero = drawn[0], drawn[1][0]
    assert (zero[1] - second[1]) == pytest.approx(4 * (zero[1] - first[1]), abs=0.5)
    assert third[0] - second[0] == pytest.approx(2 * (second[0] - first[0]), abs=0.5)
    assert drawn[1][1][0] == third[0]


@given(st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=len(chart.LINES)))
def test_names_beside_lines_never_cover_each_other(ends: list[float]) -> None:
    series = {f"line {number}": [(0.0, 0.0), (10.0, end)] for number, end in enumerate(ends)}
    drawing = ET.fromstring(chart.line_chart("Title", "unit", "rows", series))
    places = [
        float(text.attrib["y"])
        for text in drawing.iter("{http://www.w3.org/2000/svg}text")
        if (text.text or "").startswith("line ")
    ]
    ordered = sorted(places)
    assert all(below - above >= chart.LABEL_HEIGHT - 0.2 for above, below in pairwise(ordered))
    assert ordered[0] > chart.PLOT_TOP - chart.LABEL_HEIGHT
    by_value = sorted(range(len(ends)), key=lambda number: (-ends[number], number))
    assert [ends[n] for n in sorted(range(len(ends)), key=places.__getitem__)] == [ends[n] for n in by_value]


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.floats(1e6, 1e9)), min_size=10, max_size=10, unique_by=lambda p: p[0])
)
def test_a_fitted_line_is_the_one_of_scipy(points: list[tuple[int, float]]) -> None:
    rows, sizes = [float(x) for x, _ in points], [y for _, y in points]
    found = million.fit(rows, sizes)
    known = stats.linregress(rows, sizes)
    error = known.stderr * stats.t.ppf(0.975, len(points) - 2)
    assert found.slope == pytest.approx(known.slope, rel=1e-6, abs=1e-6)
    assert found.level == pytest.approx(known.intercept, rel=1e-6, abs=1e-2)
    assert found.error == pytest.approx(error, rel=1e-3, abs=1e-4)


def test_what_grows_by_a_byte_a_row_is_projected_so() -> None:
    found = million.steady(scored(200_000, lambda done: 1e8 + done), 75_000, 1_000_000)
    assert found is not None
    assert found["bytes_per_row"]["slope"] == pytest.approx(1.0, abs=0.01)
    assert found["target_bytes"][1] == pytest.approx(101e6, rel=1e-3)
    assert found["target_seconds"][1] == pytest.approx(1001, rel=0.01)
    low, likely, high = found["target_seconds"]
    assert low <= likely <= high


def test_growth_before_the_steady_part_is_not_projected() -> None:
    found = million.steady(scored(200_000, lambda done: 1e8 + 500 * min(done, 70_000)), 75_000, 1_000_000)
    assert found is not None
    assert found["target_bytes"] == [135_000_000] * 3


def test_a_run_too_short_to_project_from_says_nothing() -> None:
    short = scored(60_000, lambda done: 1e8)
    assert million.steady(short, 75_000, 1_000_000) is None
    result = invented_million() | {"steady": million.steady(short, 75_000, 1_000_000)}
    page = make_page.page({"million": result})
    assert "No run went far enough past these rows" in page
    assert "memory of `score`" not in page


def test_a_million_rows_that_were_scored_are_not_called_projected() -> None:
    page = make_page.page({"million": invented_million(rows=1_000_000, growth=0.0)})
    assert "Measured, nothing projected: 1,000,000 rows took 17 minutes and 151 MB at the most." in page
    assert "Projected to" not in page
    assert ", projected |" not in page


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_p95_is_a_measured_value_that_few_exceed(values: list[float]) -> None:
    found = common.percentile(values, 0.95)
    assert found in values
    assert sum(value > found for value in values) <= 0.05 * len(values)
    assert sum(value >= found for value in values) > 0.05 * len(values)


def test_operations_are_twice_the_parameters_of_the_layers() -> None:
    config = BertConfig.tiny(vocab_size=100)
    layers = (count.numel() for name, count in BertEncoder(config).named_parameters() if name.startswith("layers."))
    assert score.operations_per_piece(config) == 2 * sum(layers)


def test_a_measured_command_tells_time_memory_and_output() -> None:
    filled = common.run([sys.executable, "-c", "x = b'a' * 150_000_000; print(len(x))"])
    assert filled.output == "150000000\n"
    assert filled.peak_bytes > 150e6
    assert filled.seconds > 0


def test_a_measured_command_that_fails_is_an_error() -> None:
    with pytest.raises(SystemExit, match="exit 3"):
        common.run([sys.executable, "-c", "raise SystemExit(3)"])


def test_a_part_of_a_benchmark_runs_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, child\n"
        "def double(request):\n"
        "    filled = b'a' * 150_000_000\n"
        "    print('a word on stdout')\n"
        "    return {'twice': 2 * request['number'], 'process': os.getpid()}\n"
        "assert child.serve((double,))\n",
        "utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT / "benchmarks"), str(ROOT / "src"))))
    answer = child.ask(str(script), "double", {"number": 21})
    assert answer.values["twice"] == 42
    assert answer.values["process"] != os.getpid()
    assert answer.peak_bytes > 150e6


def test_texts_of_a_length_have_exactly_that_length(tokenizer: WordPieceTokenizer) -> None:
    source = "The café was lovely, but our coffee came cold again and the staff didn't smile :( naïvely " * 40
    for length in (8, 16, 64):
        found = engines._of_length(tokenizer, source, length, 5)
        assert {len(cut.ids) + 2 for cut in tokenizer.encode(found)} == {length}
        assert len(found) == len(set(found))
        assert all(text in source for text in found)


def test_the_ratio_is_taken_to_the_best_of_the_pipeline_in_each_round() -> None:
    rounds = [(1.0, 8.0, 4.0), (1.0, 3.0, 6.0), (1.0, 9.0, 5.0)]
    ours = [{"mixes": {"tweets": {"ours": (seconds, ["a", "b"])}}} for seconds, _, _ in rounds]
    peers = [
        {"mixes": {"tweets": {"pipeline, batch 1": (one, ["a", "a"]), "pipeline, batch 8": (eight, ["a", "a"])}}}
        for _, one, eight in rounds
    ]
    prepared = {"labels": {"tweets": ["a", "b"]}}
    measured = engines._mix(60, "tweets", prepared, {"ours": ours, "pipeline": peers})["contestants"]
    assert measured["ours"]["ratio"]["values"] == [4.0, 3.0, 5.0]
    assert measured["ours"]["pieces_per_second"] == 60.0
    assert measured["ours"]["accuracy"] == 1.0
    assert measured["pipeline, batch 1"]["accuracy"] == 0.5


@pytest.fixture
def fine_tuning(tmp_path: Path, tokenizer: WordPieceTokenizer) -> dict[str, Any]:
    """A request of the training benchmark: few texts and a tiny network."""
    config = BertConfig.tiny(vocab_size=tokenizer.vocab_size, num_hidden_layers=1)
    model = BertForSequenceClassification(config, ["negative", "positive"])
    model.save_pretrained(tmp_path)
    tokenizer.save(tmp_path)
    texts = ["the film was great", "awful food", "we loved the hotel and the staff", "never again"] * 5
    ids = [[tokenizer.cls_id, *cut.ids, tokenizer.sep_id] for cut in tokenizer.encode(texts)]
    train = [(own, 1 - number % 2) for number, own in enumerate(ids)]
    tokens = sum(map(len, ids))
    return {
        "start": str(tmp_path),
        "labels": model.labels,
        "train": train,
        "held": train[:4],
        "tokens": tokens,
        "threads": 1,
        "seed": 1,
    }


def test_both_libraries_learn_the_same_tokens_in_the_asked_batches(fine_tuning: dict[str, Any]) -> None:
    ours = training.run_polarbert(fine_tuning | {"settings": {"batch_tokens": 24, "precision": "fp32"}})
    theirs = training.run_trainer(fine_tuning | {"batch": 8})
    grouped = training.run_trainer(fine_tuning | {"batch": 4, "bf16": True, "by_length": True})
    assert ours["tokens"] == theirs["tokens"] == grouped["tokens"] == fine_tuning["tokens"]
    assert (theirs["steps"], grouped["steps"]) == (3, 5)
    assert ours["steps"] >= fine_tuning["tokens"] / 24
    assert (ours["precision"], theirs["precision"], grouped["precision"]) == ("fp32", "fp32", "bf16")
    for run in (ours, theirs, grouped):
        assert 0 < run["seconds"] < 60
        assert 0 < run["loaded_bytes"] <= run["peak_bytes"]
        assert 0 < run["loss"] < 2


def test_either_library_is_judged_alike(fine_tuning: dict[str, Any]) -> None:
    ours = BertForSequenceClassification.from_pretrained(fine_tuning["start"])
    theirs = AutoModelForSequenceClassification.from_pretrained(fine_tuning["start"])
    found, known = (training._judged(model, fine_tuning["held"]) for model in (ours, theirs))
    assert found["loss"] == pytest.approx(known["loss"], abs=1e-5)
    assert found["accuracy"] == known["accuracy"]


def test_the_ablation_switches_off_what_it_names() -> None:
    def dropped() -> torch.Tensor:
        torch.manual_seed(5)
        found: torch.Tensor = Dropout(0.25).train()(torch.ones(4096))
        return found

    torch.manual_seed(5)
    plain = torch.nn.functional.dropout(torch.ones(4096), 0.25)
    with training._as_before(["byte-wide masks", "freed memory kept"]):
        assert torch.equal(dropped(), plain)
        assert vars(loop)["keep_freed_memory"]() is False
    assert not torch.equal(dropped(), plain)
    with training._as_before([]):
        assert not torch.equal(dropped(), plain)
