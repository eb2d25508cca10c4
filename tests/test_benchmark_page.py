"""The page of the benchmarks says what was measured, and nothing else."""

from __future__ import annotations

import copy
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import chart
import common
import make_page
import score
from polarbert.model import BertConfig, BertEncoder

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
    }


def test_the_page_is_what_the_results_say() -> None:
    results = make_page.read_results(common.RESULTS)
    assert (ROOT / "docs/benchmarks.md").read_text("utf-8") == make_page.page(results)
    drawn = ROOT / "docs/benchmarks.svg"
    assert (drawn.read_text("utf-8") if drawn.exists() else None) == make_page.chart(results)


def test_a_goal_that_is_met_is_no_news() -> None:
    page = make_page.page(invented_results())
    assert "Every goal measured here is met." in page
    assert "**no**" not in page


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("score", "sets", "tweets", "contestants", "polarbert score, onnxruntime", "ratio", "median"), 3.29, "3.29"),
        (
            ("score", "sets", "tweets", "contestants", "polarbert score, onnxruntime", "share_of_int8_gemm"),
            0.499,
            "49.9%",
        ),
        (("cold_start", "contestants", "predict, onnxruntime", "seconds", "median"), 0.6, "0.60 s"),
        (("cold_start", "contestants", "predict, onnxruntime", "peak_bytes", "median"), 201e6, "201 MB"),
        (("cold_start", "contestants", "import", "import_seconds", "median"), 0.1, "0.100 s"),
        (("install_size", "core", "bytes"), 301e6, "301 MB"),
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
    assert "Not measured yet. `python benchmarks/cold_start.py` measures it." in page
    assert "Not measured yet. `python benchmarks/install_size.py` measures it." in page
    assert make_page.chart({}) is None


def test_every_figure_names_its_command_and_machine() -> None:
    page = make_page.page(invented_results())
    for name in make_page.NAMES:
        assert f"Made by `python benchmarks/{name}.py --threads 2` on 2026-01-31." in page
    assert page.count("Machine: Example CPU, 2 processors (avx2), 8 GB, Linux x86_64, Python 3.11.0.") == 3
    assert "of the processors when this began" not in page


def test_a_busy_machine_is_said() -> None:
    results = invented_results()
    results["score"]["busy_before"] = 0.45
    assert "Other work took 45% of the processors when this began." in make_page.page(results)


def test_every_row_of_a_table_has_its_columns() -> None:
    tables = re.findall(r"(?:^\|.*\n)+", make_page.page(invented_results()), re.MULTILINE)
    assert len(tables) == 6
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


def test_the_chart_draws_bars_in_proportion() -> None:
    drawn = chart.bar_chart("A & B", "texts", {"Set": {"pipeline": 50.0, "polarbert": 200.0}}, "polarbert")
    drawing = ET.fromstring(drawn)
    bars = [bar for bar in drawing.iter("{http://www.w3.org/2000/svg}rect") if "rx" in bar.attrib]
    slow, fast = (float(bar.attrib["width"]) for bar in bars)
    assert fast == pytest.approx(4 * slow, rel=1e-3)
    assert bars[0].attrib["fill"] != bars[1].attrib["fill"]


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
