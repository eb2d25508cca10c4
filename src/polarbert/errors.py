"""The exceptions Polarbert raises on purpose.

Every message says what is wrong and what to do next. The command line prints the message alone and
exits with `exit_code`: 1 when the data or the model is at fault, 2 when the request is.
"""


class PolarbertError(Exception):
    """Base of every error that Polarbert raises on purpose."""

    exit_code = 1


class UsageError(PolarbertError):
    """The request cannot be carried out as asked (a flag, an argument, a column name)."""

    exit_code = 2


class DataError(PolarbertError):
    """The input data cannot be read or does not have the stated form."""


class BundleError(PolarbertError):
    """A model directory is missing, incomplete, corrupt or of an unknown format."""


class WeightsError(BundleError):
    """A checkpoint lacks a tensor, or a tensor has another shape than the configuration says."""


class ExportError(PolarbertError):
    """A step of the export changed what the model answers by more than its limit."""


class TrainingError(PolarbertError):
    """Training cannot start, go on or resume."""


class SettingsError(TrainingError):
    """A setting of a training asks for what the base, the teacher or the task cannot give."""

    exit_code = 2


class MissingExtraError(PolarbertError):
    """An optional dependency is not installed, or is installed and cannot be loaded.

    Args:
        what: what needs it.
        extra: the name under which Polarbert installs it.
        problem: why it cannot be loaded though it is there.
    """

    def __init__(self, what: str, extra: str, problem: object = None) -> None:
        pip = f'pip install "polarbert[{extra}]"'
        if problem is None:
            state, fix = "are not installed", f"Install them with: {pip}"
        else:
            state, fix = (
                f"are installed but cannot be loaded ({problem})",
                f"Install them again: {pip} --force-reinstall",
            )
        super().__init__(f'{what} needs the optional dependencies "{extra}", which {state}. {fix}')
        self.extra = extra
