"""What `import polarbert` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.scoring_fixtures import load

import polarbert
from polarbert.errors import BundleError, UsageError

pytest_plugins = ["tests.scoring_fixtures"]


def in_fresh_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100).stdout


def test_importing_polarbert_loads_nothing_but_itself() -> None:
    code = """if True:
        import sys
        import polarbert
        ours = {name for name in sys.modules if name.partition(".")[0] == "polarbert"}
        heavy = {"numpy", "torch", "onnxruntime", "openvino", "tokenizers", "huggingface_hub", "typer", "rich"}
        print(sorted(ours), sorted(heavy & set(sys.modules)))
    """
    assert in_fresh_python(code) == "['polarbert'] []\n"


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    assert polarbert.__version__ == project["version"]


@pytest.mark.parametrize("name", polarbert.__all__)
def test_every_public_name_is_there_in_a_fresh_python(name: str) -> None:
    assert in_fresh_python(f"import polarbert; print(polarbert.{name} is not None)") == "True\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'sentiment'"):
        _ = polarbert.sentiment


def test_a_bundle_is_loaded_from_a_path_or_a_string(bundle_dir: Path) -> None:
    for place in (bundle_dir, str(bundle_dir)):
        loaded = polarbert.load(place, threads=1, engine="onnxruntime")
        assert isinstance(loaded, polarbert.SentimentModel)
        answer = loaded.predict(["the app is really great"])[0]
        assert isinstance(answer, polarbert.Prediction)
        assert answer.label == "positive"


def test_the_task_of_the_bundle_decides_the_class(own_bundle: Path) -> None:
    from dataclasses import replace

    from polarbert.bundle import Bundle

    assert type(load(own_bundle)) is polarbert.SentimentModel
    replace(Bundle.open(own_bundle), task="classification").write()
    assert type(load(own_bundle)) is polarbert.TextClassifier


def test_both_engines_can_be_asked_for(bundle_dir: Path) -> None:
    assert [load(bundle_dir, name).engine.name for name in ("onnxruntime", "openvino")] == ["onnxruntime", "openvino"]
    with pytest.raises(UsageError, match="no engine"):
        load(bundle_dir, "abacus")


def test_every_error_of_ours_is_a_polarbert_error(tmp_path: Path) -> None:
    from polarbert.errors import PolarbertError

    with pytest.raises(PolarbertError) as raised:
        polarbert.load(tmp_path / "none")
    assert isinstance(raised.value, BundleError)
    assert raised.value.exit_code == 1
    assert UsageError.exit_code == 2
