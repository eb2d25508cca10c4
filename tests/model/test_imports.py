"""What `polarbert.model` offers, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import polarbert.model


@pytest.mark.parametrize("name", polarbert.model.__all__)
def test_every_public_name_imports(name: str) -> None:
    assert getattr(polarbert.model, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="BertForPoetry"):
        _ = polarbert.model.BertForPoetry


@pytest.mark.parametrize(
    "module", ["polarbert", "polarbert.model.config", "polarbert.text", "polarbert.metrics", "polarbert.data.splits"]
)
def test_import_loads_no_torch(module: str) -> None:
    heavy = "{'torch', 'transformers', 'onnxruntime', 'openvino'}"
    code = f"import sys, {module}; print(sorted({heavy} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_without_torch_the_config_works_and_the_network_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from polarbert.model import BertConfig\n"
        "print(BertConfig.tiny().hidden_size)\n"
        "from polarbert.errors import MissingExtraError\n"
        "try:\n    from polarbert.model import BertEncoder\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("128\n")
    assert 'pip install "polarbert[train]"' in result.stdout
