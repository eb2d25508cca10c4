"""What an installation takes on disk: the wheel with all it needs, without pip; beside `transformers` with PyTorch.

    python benchmarks/install_size.py

Builds the wheel, installs it in a temporary environment and takes it away again. Needs a package index and takes about
a minute. Writes benchmarks/results/install_size.json.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import common

PIPELINE = ("transformers", "torch")
EMBEDDED = "polarbert/models/default/polarbert.json"
TOP = 10


def main() -> None:
    """Measure and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, help="a wheel that is built already")
    wheel: Path | None = parser.parse_args().wheel
    with tempfile.TemporaryDirectory() as room:
        wheel = wheel or _build(Path(room))
        site = _install(wheel, Path(room) / "venv")
        if not (site / EMBEDDED).is_file():
            raise SystemExit(f"{wheel.name}: holds no embedded model, so its size says nothing")
        core = {
            "wheel_bytes": wheel.stat().st_size,
            "bytes": common.directory_bytes(site),
            "packages": _largest({found.name: _bytes(found) for found in metadata.distributions(path=[str(site)])}),
        }
    values = {"core": core, "pipeline": _pipeline()}
    common.write_result("install_size", None, (), values)
    for name, figures in values.items():
        print(f"{name}: {figures['bytes'] / 1e6:.0f} MB")
        for package, size in figures["packages"]:
            print(f"  {package:<24} {size / 1e6:>7.1f} MB")


def _build(room: Path) -> Path:
    common.say("building the wheel")
    _pip("wheel", "--no-deps", "--wheel-dir", str(room), str(common.ROOT))
    return next(room.glob("polarbert-*.whl"))


def _install(wheel: Path, venv: Path) -> Path:
    """Install into a fresh environment that has no pip of its own; gives its site-packages."""
    common.say("installing it")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python = venv / ("Scripts" if os.name == "nt" else "bin") / "python"
    _pip("--python", str(python), "install", str(wheel))
    ask = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return Path(subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip())


def _pip(*words: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    # pip's own words go to stderr, so that stdout holds the figures alone
    subprocess.run([sys.executable, "-m", "pip", *words, "--quiet"], check=True, env=environment, stdout=sys.stderr)


def _pipeline() -> dict[str, Any]:
    """What `transformers` with PyTorch takes in the environment that runs this."""
    sizes = {name: _bytes(metadata.distribution(name)) for name in needed(PIPELINE)}
    return {"bytes": sum(sizes.values()), "packages": _largest(sizes), "versions": common.versions(PIPELINE)}


def needed(names: tuple[str, ...]) -> set[str]:
    """These packages and, again and again, those they require here (no extras)."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        found.add(name)
        for line in metadata.requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def _bytes(package: metadata.Distribution) -> int:
    """Size of the files that a package installed and that are still there."""
    paths = [Path(str(package.locate_file(file))) for file in package.files or []]
    return sum(path.stat().st_size for path in paths if path.is_file())


def _largest(sizes: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(sizes.items(), key=lambda item: -item[1])[:TOP]


if __name__ == "__main__":
    main()
