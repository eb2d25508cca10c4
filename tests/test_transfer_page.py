"""The page on transfer learning says what the code takes and what was measured."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from polarbert.training.config import to_toml
from polarbert.training.transfer import TransferSettings

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/how-to/transfer.md").read_text("utf-8")


@pytest.fixture(scope="module")
def measure() -> ModuleType:
    spec = spec_from_file_location("measure_transfer", ROOT / "recipes/transfer/measure.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_table_is_that_of_the_results(measure: ModuleType) -> None:
    found = measure.BLOCK.search(PAGE)
    assert found is not None
    assert found[0] == f"{measure.table(measure.read_results())}\n"


def test_every_file_on_the_page_is_one_that_can_be_given() -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 8
    for block in blocks:
        assert TransferSettings(**tomllib.loads(block)["transfer"]).to_dict()


def test_every_setting_is_listed_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?:`([^`]+)`|none) \|", PAGE, re.MULTILINE)
    assert [name for name, _ in rows] == [field.name for field in fields(TransferSettings)]
    written = "\n".join(f"{name} = {value}" for name, value in rows if value)
    assert written == to_toml(TransferSettings()).strip()


def test_an_option_is_compared_with_its_row_seed_by_seed(measure: ModuleType) -> None:
    def score(*values: float) -> dict[str, Any]:
        return {str(seed): {"macro_f1": value, "seconds": 2.0 * value} for seed, value in enumerate(values, 1)}

    results = {
        "rows": 2000,
        "environment": {"processor": "a processor", "torch": "2"},
        "scores": {"trec": {"plain": score(0.8, 0.7, 0.9), "layer_decay 0.9": score(0.81, 0.72, 0.93)}},
    }
    lines = measure.table(results).splitlines()
    assert lines[0] == "| option | compared with | TREC | time |"
    assert lines[2] == "| plain |  | 80.0 | 1.00 |"
    assert lines[3] == "| layer_decay 0.9 | plain | 82.0 (+2.0 ± 1.2) | 1.02 |"
    assert "mean of 3 seeds, learned from at most 2,000 rows" in lines[-1]
