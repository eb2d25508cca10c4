"""A model that was loaded before a process was forked, as `multiprocessing` does on Linux."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
# A process of its own: the fork takes a whole interpreter along. Texts of many lengths make many batches.
SCRIPT = """
import multiprocessing, sys
import polarbert
from polarbert.errors import UsageError

model = polarbert.load(threads=2, engine=sys.argv[1])
TEXTS = ["the room was clean and quiet " * count for count in range(1, 60)]

def answer(_):
    try:
        return model.predict(TEXTS)
    except UsageError as error:
        return str(error)

before = model.predict(TEXTS)
with multiprocessing.get_context("fork").Pool(1) as pool:
    after = pool.map_async(answer, [0]).get(timeout=100)[0]
print("the same" if after == before else after)
"""


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ("onnxruntime", "the same"),
        (
            "openvino",
            "openvino does not compute in a process that was forked from the one that loaded the model; load it",
        ),
    ],
)
def test_a_forked_process_goes_on_or_is_told_to_load_its_own(engine: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, engine], capture_output=True, text=True, timeout=150, check=False
    )
    assert done.stdout.startswith(said), done.stderr
