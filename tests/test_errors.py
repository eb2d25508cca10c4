"""The exception tree that the command line turns into exit codes."""

from __future__ import annotations

import pytest

from polarbert import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UsageError, 2),
        (errors.DataError, 1),
        (errors.BundleError, 1),
        (errors.WeightsError, 1),
        (errors.ExportError, 1),
        (errors.TrainingError, 1),
        (errors.MissingExtraError, 1),
    ],
)
def test_each_error_has_an_exit_code_and_one_base(kind: type[errors.PolarbertError], code: int) -> None:
    assert issubclass(kind, errors.PolarbertError)
    assert kind.exit_code == code


def test_a_weights_error_is_a_bundle_error() -> None:
    assert issubclass(errors.WeightsError, errors.BundleError)


def test_a_missing_extra_gives_the_line_to_type() -> None:
    error = errors.MissingExtraError("reading Parquet", "parquet")
    assert "reading Parquet needs" in str(error)
    assert 'pip install "polarbert[parquet]"' in str(error)
    assert error.extra == "parquet"
