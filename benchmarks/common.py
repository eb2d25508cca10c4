"""What every benchmark shares: the machine, summaries of repeated timings, commands that are timed, kept results.

Only the standard library is imported. A process that measures others must stay small, because Linux counts the size of
the process that starts a program into that program's peak memory.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
INSTRUCTIONS = (
    *("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"),
    *("avx512_bf16", "amx_bf16", "bf16"),
)
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes


@dataclass(frozen=True)
class Run:
    """A command that ran to its end.

    Attributes:
        seconds: wall time from the start of the process to its end.
        peak_bytes: its largest resident size.
        output: what it wrote on stdout.
    """

    seconds: float
    peak_bytes: int
    output: str


def run(command: Sequence[str]) -> Run:
    """Run a command and wait for it.

    Raises:
        SystemExit: when it fails; its own words are in the message.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, env=child_environment()
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            message = errors.read().decode("utf-8", "replace")[-2000:]
            raise SystemExit(f"{shlex.join(command)[:200]}: exit {process.returncode}\n{message}")
        out.seek(0)
        return Run(seconds, usage.ru_maxrss * RSS_UNIT, out.read().decode("utf-8"))


def child_environment() -> dict[str, str]:
    """The environment of a measured command: no network, and compiled modules kept as in any installation."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return environment | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}


def polarbert_command() -> list[str]:
    """How to start `polarbert` in this environment: its script, or the same call where only the source is there."""
    script = Path(sys.executable).parent / "polarbert"
    return [str(script)] if script.is_file() else [sys.executable, "-c", "from polarbert.cli import main; main()"]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest measured value that at least `share` of all values do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def summary(values: Sequence[float], digits: int = 4) -> dict[str, Any]:
    """Median, 95th percentile, number and the values themselves."""
    return {
        "n": len(values),
        "median": round(median(values), digits),
        "p95": round(percentile(values, 0.95), digits),
        "values": [round(value, digits) for value in values],
    }


def interleave(contestants: dict[str, Callable[[], Run]], rounds: dict[str, int]) -> dict[str, list[Run]]:
    """Run all in turn, again and again, so that a slow minute of the machine hits all of them.

    Args:
        contestants: what to run, by name.
        rounds: how often each takes part; one more turn before them warms the disk cache and is not counted.
    """
    runs: dict[str, list[Run]] = {name: [] for name in contestants}
    for number in range(-1, max(rounds.values())):
        for name, call in contestants.items():
            if number >= rounds[name]:
                continue
            done = call()
            if number >= 0:
                runs[name].append(done)
            say(f"{'warm-up' if number < 0 else f'round {number + 1}'}  {name}: {done.seconds:.2f} s")
    return runs


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def usable_processors() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """The processor, its number, its instructions for products of small integers and of bf16, memory and system."""
    model, flags = platform.processor() or platform.machine(), set[str]()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text("utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
            elif name.strip() in {"flags", "Features"}:
                flags = set(value.split())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": model,
        "processors": usable_processors(),
        "instructions": [name for name in INSTRUCTIONS if name in flags],
        "memory_gb": round(memory / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def busy_share(seconds: float = 2.0) -> float | None:
    """The share of all processors that other work takes; None where the system does not tell."""
    file = Path("/proc/stat")
    if not file.is_file():
        return None
    before = _ticks(file)
    time.sleep(seconds)
    after = _ticks(file)
    total, idle = after[0] - before[0], after[1] - before[1]
    return round(1 - idle / max(total, 1), 3)


def _ticks(file: Path) -> tuple[int, int]:
    """All and idle time since the machine started, in clock ticks."""
    values = [int(value) for value in file.read_text("ascii").splitlines()[0].split()[1:9]]
    return sum(values), values[3] + values[4]


def versions(names: Sequence[str]) -> dict[str, str]:
    """Installed versions; what is not installed is left out."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def source_version() -> str:
    """The version of Polarbert that runs; it need not be installed as a package."""
    import polarbert

    return polarbert.__version__


def directory_bytes(path: Path) -> int:
    """Sum of the sizes of all files under `path`."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and not file.is_symlink())


def asked() -> str:
    """This command as a reader would type it; of a path outside the checkout only the name is told."""
    words = [Path(sys.argv[0]).resolve().relative_to(ROOT).as_posix()]
    words += [Path(word).name if word.startswith("/") else word for word in sys.argv[1:]]
    return shlex.join(["python", *words])


def write_result(name: str, busy: float | None, packages: Sequence[str], values: dict[str, Any]) -> Path:
    """Keep a result as results/NAME.json, with all that a reader needs to judge it.

    Args:
        name: of the benchmark.
        busy: `busy_share()` before it began.
        packages: whose versions matter.
        values: the figures.
    """
    about = {
        "benchmark": name,
        "command": asked(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "busy_before": busy,
        "versions": {"polarbert": source_version()} | versions(packages),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{name}.json"
    temporary = file.with_suffix(".json.partial")
    temporary.write_text(json.dumps(about | values, indent=2, ensure_ascii=False) + "\n", "utf-8")
    os.replace(temporary, file)
    say(f"kept in {file.relative_to(ROOT).as_posix()}; now run: python benchmarks/make_page.py")
    return file


def own_peak_bytes() -> int:
    """Largest resident size of this process so far: no child is reported smaller than that."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT
