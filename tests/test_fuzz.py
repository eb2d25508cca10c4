"""The fuzzer finds what is there to be found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import fuzz

ROOT = Path(__file__).parents[1]
PLANTED = """
import sys
import examine, fuzz
from pathlib import Path

def examine_planted(data):
    if data.count(b"text") > 1:
        raise ValueError("planted")

examine.EXAMINERS["csv"] = examine_planted
fuzz._random("csv", 1, Path(sys.argv[1]))
"""


def test_a_planted_fault_is_found_and_its_input_kept(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PLANTED, str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT / "benchmarks", capture_output=True, text=True, check=True, timeout=100)
    found = list(tmp_path.glob("ValueError-*"))
    assert found
    assert all(file.read_bytes().count(b"text") > 1 for file in found)
    assert int(ended.stderr.split("executed_units: ")[1]) >= len(found)


def test_changes_repeat_with_their_seed_and_stay_short() -> None:
    seeds = [b"text,id\n" * 100, b"", b"x" * 2 * fuzz.LONGEST]
    first, again = ([fuzz.changed(Random(seed), seeds) for seed in range(200)] for _ in range(2))
    assert first == again
    assert len(set(first)) > 60
    assert max(map(len, first)) <= fuzz.LONGEST
