"""A base from the Hub: downloaded once, found again offline, and a clear message where it is not to be had."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.finetune_fixtures import QUICK_TOML
from tests.hub_stub import serving
from tests.scoring_fixtures import POLARBERT

from polarbert.bundle import Bundle

pytest_plugins = ["tests.finetune_fixtures"]

Train = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def train(reviews_csv: Path, tmp_path: Path) -> Train:
    """A trial from a Hub id, with a cache of its own."""
    (tmp_path / "quick.toml").write_text(QUICK_TOML)

    def run(base: str, output: str, endpoint: str, offline: bool = False) -> subprocess.CompletedProcess[str]:
        columns = ["-c", "review", "-l", "label", "--trial", "--config", str(tmp_path / "quick.toml")]
        arguments = ["train", str(reviews_csv), *columns, "--base", base, "-o", str(tmp_path / output)]
        hub = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": str(int(offline))}
        return subprocess.run(
            [*POLARBERT, *arguments],
            env={**os.environ, **hub},
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )

    return run


def test_a_base_is_downloaded_once_and_found_again_offline(train: Train, small_base: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small_base, tmp_path / "served"))
    (folder / "pytorch_model.bin").write_bytes(b"not to be fetched")
    with serving("some-org/small-bert", folder) as hub:
        online = train("some-org/small-bert", "online", hub.address)
        assert online.returncode == 0, online.stderr
        assert any(path.endswith("/model.safetensors") for path in hub.asked)
        assert not any(path.endswith(".bin") for path in hub.asked), "a pickle is of no use and is not fetched"
        asked = len(hub.asked)
        offline = train("some-org/small-bert", "offline", hub.address, offline=True)
        assert offline.returncode == 0, offline.stderr
        assert len(hub.asked) == asked, "offline means offline"
    assert Bundle.open(tmp_path / "online").provenance["base"] == "some-org/small-bert"
    assert 'base_model: "some-org/small-bert"' in (tmp_path / "online" / "README.md").read_text("utf-8")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("online", "offline")]
    assert weights[0] == weights[1]


def test_a_base_that_the_hub_does_not_have_is_named(train: Train, small_base: Path, tmp_path: Path) -> None:
    with serving("some-org/small-bert", small_base) as hub:
        ended = train("some-org/other", "none", hub.address)
    assert ended.returncode == 1
    assert ended.stderr.startswith("polarbert: some-org/other: not a local directory, and the Hub did not give it")
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "none").exists()


def test_offline_without_the_base_in_the_cache_says_so(train: Train, tmp_path: Path) -> None:
    ended = train("some-org/small-bert", "none", "http://127.0.0.1:9", offline=True)
    assert ended.returncode == 1
    assert "some-org/small-bert: not a local directory, and the Hub did not give it" in ended.stderr
    assert not (tmp_path / "none").exists()
