"""Feeds the readers with files that nobody would write, and keeps how many they took.

    python benchmarks/fuzz.py --seconds 30

Each reader (CSV, JSONL, Parquet, the manifest of a bundle) is a process of its own for so many seconds: under atheris,
which looks for input that reaches new code, where that is installed (pip install atheris), else under random changes of
the seeds. examine.py says what must hold. Input for which it does not hold, that takes too long or too much memory, or
that ends the process is a finding; it is kept in the folder --findings, and a later run starts from it.
Writes benchmarks/results/fuzz.json and ends with 1 when there are findings.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import common

PACKAGES = ("atheris", "pyarrow")
MEMORY_MB, INPUT_SECONDS, LONGEST = 2048, 20, 4096
TOKENS = [
    *(b"text", b"id", b",", b";", b"\t", b'"', b'""', b"\n", b"\r", b"\r\n", b"\0", b"\xff\xfe", b"\xfe\xff"),
    *(b"\xef\xbb\xbf", b"\xe9", b"\xed\xa0\x80", b"{", b"}", b"[", b"]", b":", b"null", b"NaN", b"1e999", b"\\ud83d"),
    *(b'{"text": "a"}', b'"text"', b"PAR1", b"\x15\x00", b"9" * 40, b"\xf0\x9f\x98\x80", b"label", b"error"),
]


def main() -> None:
    """Fuzz every reader in turn and keep the figures."""
    options = _options()
    if options.child is not None:
        _child(options.child, options.seconds, options.findings)
        return
    busy = common.busy_share()
    engine = "atheris" if find_spec("atheris") else "random changes"
    readers = {name: _fuzz(name, engine, options) for name in SEEDS}
    with suppress(OSError):
        options.findings.rmdir()  # when it is empty
    common.write_result("fuzz", busy, PACKAGES, {"engine": engine, "seconds_each": options.seconds, "readers": readers})
    for name, figures in readers.items():
        print(f"{name:<10} {figures['executions']:>9,} inputs  {figures['findings']} findings")
    sys.exit(any(figures["findings"] for figures in readers.values()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=30, help="for each reader (default 30)")
    parser.add_argument(
        "--findings", type=Path, default=Path("findings"), help="where they are kept (default findings)"
    )
    parser.add_argument("--child", choices=[*SEEDS], help=argparse.SUPPRESS)
    return parser.parse_args()


def _fuzz(name: str, engine: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run one reader in a process of its own and read its figures from what it says."""
    folder = options.findings / name
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.iterdir())
    own = ["--child", name, "--seconds", str(options.seconds), "--findings", str(options.findings)]
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, __file__, *own], check=False, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    said = done.stderr
    found = sorted(set(folder.iterdir()) - before)
    if done.returncode and not found:
        raise SystemExit(f"{name}: exit {done.returncode} without a finding\n{said[-2000:]}")
    executed, coverage = re.findall(r"stat::number_of_executed_units: (\d+)", said), re.findall(r"cov: (\d+)", said)
    if not found and not any(folder.iterdir()):
        folder.rmdir()
    return {
        "executions": int(executed[-1]) if executed else 0,
        "seconds": round(time.monotonic() - started, 1),
        "coverage_points": int(coverage[-1]) if engine == "atheris" and coverage else None,
        "findings": len(found),
    }


def _child(name: str, seconds: int, findings: Path) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if find_spec("atheris") is None:
        _random(name, seconds, findings / name)
    else:
        _atheris(name, seconds, findings / name)


def _atheris(name: str, seconds: int, findings: Path) -> None:
    atheris = import_module("atheris")
    with atheris.instrument_imports(include=["polarbert"]):
        from examine import EXAMINERS
    from polarbert.errors import PolarbertError

    examine = EXAMINERS[name]

    def try_one(data: bytes) -> None:
        with suppress(PolarbertError):
            examine(data)

    with tempfile.TemporaryDirectory() as folder:
        corpus, words = Path(folder) / "corpus", Path(folder) / "words"
        corpus.mkdir()
        for number, seed in enumerate(SEEDS[name]()):
            (corpus / str(number)).write_bytes(seed)
        escaped = ["".join("\\x" + f"{byte:02x}" for byte in token) for token in TOKENS]
        words.write_text("".join(f'"{word}"\n' for word in escaped), "ascii")
        limits = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-rss_limit_mb={MEMORY_MB}"]
        limits += [f"-timeout={INPUT_SECONDS}", "-print_final_stats=1", f"-artifact_prefix={findings}/", "-seed=1"]
        atheris.Setup([sys.argv[0], *limits, f"-dict={words}", str(corpus), str(findings)], try_one)
        atheris.Fuzz()


def _random(name: str, seconds: int, findings: Path) -> None:
    from examine import EXAMINERS
    from polarbert.errors import PolarbertError

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MB << 20, MEMORY_MB << 20))
    chosen = random.Random(1)
    seeds = [*SEEDS[name](), *(file.read_bytes() for file in findings.iterdir())]
    end, executions = time.monotonic() + seconds, 0
    current = findings / "process-ended"
    while time.monotonic() < end:
        data = changed(chosen, seeds)
        current.write_bytes(data)  # kept where the process does not survive it
        started = time.monotonic()
        try:
            EXAMINERS[name](data)
        except PolarbertError:
            pass
        except Exception as error:
            current.replace(findings / f"{type(error).__name__}-{executions}")
        if time.monotonic() - started > INPUT_SECONDS:
            (findings / f"slow-{executions}").write_bytes(data)
        executions += 1
    current.unlink(missing_ok=True)
    print(f"stat::number_of_executed_units: {executions}", file=sys.stderr)


def changed(chosen: random.Random, seeds: list[bytes]) -> bytes:
    """A seed with a few changes: bytes flipped, left out, doubled, joined with another seed, words put in."""
    data = bytearray(chosen.choice(seeds))
    for _ in range(chosen.choice((1, 1, 2, 4, 8))):
        start = chosen.randrange(len(data) + 1)
        end = min(len(data), start + chosen.choice((1, 1, 2, 8, 64)))
        kind = chosen.randrange(5)
        if kind == 0 and start < len(data):
            data[start] = chosen.randrange(256)
        elif kind == 1:
            del data[start:end]
        elif kind == 2:
            data[start:start] = data[start:end]
        elif kind == 3:
            data[start:start] = chosen.choice(TOKENS)
        else:
            other = chosen.choice(seeds)
            data[start:] = other[chosen.randrange(len(other) + 1) :]
    return bytes(data[:LONGEST])


def _csv_seeds() -> list[bytes]:
    rows = 'text,id\n"so great, truly",007\n"two\nlines ""quoted""",8\n\nragged\n,,surplus\ncafé 😀,\n'
    wide = [bytes([number]) + rows.encode(name) for number, name in ((4, "utf-16"), (6, "utf-32"), (8, "gb18030"))]
    narrow = rows.encode()
    plain = [narrow, narrow.replace(b"\n", b"\r\n"), narrow.replace(b"\n", b"\r"), b"\xef\xbb\xbf" + narrow]
    return [*wide, *(b"\0" + seed for seed in plain), b"\x80a,1\n\xe9,2\n", b'\x80"never closed,1\nb,2\n']


def _jsonl_seeds() -> list[bytes]:
    lines = [
        '{"text": "so great", "id": 007}',
        '{"text":"é😀","x":{"y":[1,2.5,null,true]}}',
        '{"text": null}',
        "[1]",
        "{}",
    ]
    lines += [
        '{"text": "a", "text": "b"}',
        '{"text": NaN}',
        '{"text": "\\ud83d"}',
        '"text"',
        '{"text": "a", "label": 1}',
    ]
    whole = "\n".join(lines).encode()
    return [b"\0" + whole, b"\0\xef\xbb\xbf" + whole, b"\x80" + whole, b"\x04" + whole.decode().encode("utf-16")]


def _parquet_seeds() -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = [
        pa.table({"text": ["so great", None, "é😀"], "id": [1, 2, 3]}),
        pa.table({"text": pa.array(["a", "b", "a"]).dictionary_encode(), "l": [[1], [], None]}),
        pa.table({"text": pa.array([b"\xff", b"a"]), "s": [{"a": 1}, None]}),
        pa.table({"text": pa.array([], pa.string())}),
    ]
    found = []
    for number, table in enumerate(tables):
        out = io.BytesIO()
        pq.write_table(table, out, compression=("none", "snappy", "zstd", "gzip")[number], write_statistics=number > 1)
        found.append(out.getvalue())
    return found


def _manifest_seeds() -> list[bytes]:
    values = {
        "format": 1,
        "task": "sentiment",
        "labels": ["negative", "neutral", "positive"],
        "graph": {"file": "model.int8.onnx", "precision": "int8"},
        "calibration": {"temperature": 1.5, "unsure_below": 0.6},
        "limits": {"window": 512, "overlap": 64},
        "provenance": {"made": "by hand"},
        "checksums": {"model.int8.onnx": "0" * 64},
    }
    return [json.dumps(values).encode(), json.dumps(values, indent=2).encode(), b"{}"]


SEEDS = {"csv": _csv_seeds, "jsonl": _jsonl_seeds, "parquet": _parquet_seeds, "manifest": _manifest_seeds}


if __name__ == "__main__":
    main()
