"""Keeping freed memory: seen in the page faults of a process that frees and takes the same block again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from polarbert.training.allocator import keep_freed_memory

GLIBC = platform.libc_ver()[0] == "glibc"
COUNT_FAULTS = """
import ctypes, resource, sys
from polarbert.training.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory() is True
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def use():
    block = libc.malloc(64 << 20)
    ctypes.memset(block, 1, 64 << 20)
    libc.free(block)
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not GLIBC, reason="the setting is one of glibc")
def test_a_block_taken_again_costs_no_page_faults() -> None:
    faults = {}
    for mode in ("keep", "return"):
        command = [sys.executable, "-c", COUNT_FAULTS, mode]
        faults[mode] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert faults["keep"] < 20
    assert faults["return"] > 5 * faults["keep"] + 100


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
