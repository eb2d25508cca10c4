"""Where a network is trained, and in what precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from polarbert.errors import UsageError
from polarbert.training.device import choose_device, choose_precision, has_bf16, make_precision


@pytest.mark.parametrize(("precision", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_precision_decides_what_products_are_computed_in(precision: str, expected: torch.dtype) -> None:
    model = nn.Linear(4, 4)
    with make_precision(model, precision)():
        assert model(torch.randn(2, 4)).dtype == expected


def test_auto_precision_follows_the_processor() -> None:
    model = nn.Linear(4, 4)
    with make_precision(model, "auto")():
        computed = model(torch.randn(2, 4)).dtype
    assert computed == (torch.bfloat16 if has_bf16("cpu") else torch.float32)


def test_a_precision_that_is_asked_for_is_taken() -> None:
    assert [choose_precision(name, "cpu") for name in ("fp32", "bf16")] == ["fp32", "bf16"]
    assert choose_precision("auto", "cpu") == ("bf16" if has_bf16("cpu") else "fp32")


def test_the_processor_can_always_be_asked_for() -> None:
    assert choose_device("cpu") == torch.device("cpu")


def test_auto_takes_a_gpu_where_there_is_one() -> None:
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_gpu_that_is_not_there_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(
        UsageError, match=r"built for processors only; install a build with CUDA, or take the device cpu"
    ):
        choose_device("cuda")
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    with pytest.raises(UsageError, match=r"finds no GPU here; look at the driver, or take the device cpu"):
        choose_device("cuda")


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(UsageError, match="no device 'tpu'; it can be auto, cpu, cuda"):
        choose_device("tpu")
