"""Fine-tuning as a scikit-learn classifier.

Needs the extra `[sklearn]` to fit. A fitted classifier that was pickled predicts without PyTorch.
"""

from __future__ import annotations

import hashlib
import math
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polarbert.bundle import Bundle
from polarbert.data.dataset import Dataset, LabelledText
from polarbert.errors import BundleError, MissingExtraError, TrainingError
from polarbert.inference.classifier import TextClassifier
from polarbert.inference.engine import usable_threads
from polarbert.training import FineTuneSettings, TrainSettings

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("sklearn"):
        raise
    raise MissingExtraError("polarbert.sklearn", "sklearn") from None

__all__ = ["SentimentClassifier"]

_NUMBERS: dict[str, tuple[type, type]] = {
    "epochs": (Real, float),
    "learning_rate": (Real, float),
    "batch_tokens": (Integral, int),
    "max_pieces": (Integral, int),
    "validation_fraction": (Real, float),
    "threads": (Integral, int),
}
_MAY_BE_NONE = ("epochs", "learning_rate", "batch_tokens", "threads")
_FOLLOW_THE_DATA = ("epochs", "learning_rate", "batch_tokens")


class SentimentClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """BERT, fine-tuned on texts with labels of any kind (Devlin et al. 2019, section 4.1).

    It takes texts where other classifiers take numbers: a list, a one-dimensional array or a Series of `str`. There is
    no need of a vectorizer before it.

    A share of the rows, free of repeats of the others, is kept aside to choose the best model by and to calibrate its
    probabilities. With fewer than 20 rows, or a class with a single text, this cannot be done: then the model learns
    from all rows, the one of the last step is kept, and its probabilities are not calibrated.

    Fitting takes place in a temporary directory (TMPDIR says where), of which nothing stays, whether it ends well, in
    an error, by Ctrl-C or by SIGTERM; what a kill -9 leaves there is called ``polarbert-fit-*``. What was fitted is
    held in memory and carried by a pickle: the graph that scores and its tokenizer, with a checksum of each. For the
    embedded model these are 25 MB, and 92 MB where fewer than 1,000 texts were learned from undivided, as the graph
    is float32 then. model.safetensors is left behind: what was unpickled predicts, without PyTorch, and is no base
    for another training.

    Args:
        base: what to start from: the embedded model (None), a bundle or another directory in the Hugging Face layout,
            or a Hub id.
        epochs: passes over the texts; None for as many as suit their number.
        learning_rate: its peak; None for one that suits the width of the base.
        max_pieces: most word pieces of a text in fitting; a longer text keeps its head and tail. In predicting all of
            a text is read.
        batch_tokens: most word pieces in a batch; None for what suits the number of texts.
        validation_fraction: share of the different texts to choose the best model by; 0 for none.
        class_weight: "balanced" to let each class count the same, however many texts it has; None for each text.
        threads: processor threads for fitting and predicting; None for as many as the process may use, and no more
            than OMP_NUM_THREADS where that is set, as it is in the workers of joblib.
        random_state: of the new layer, dropout, the order of the texts and those kept aside: a whole number for the
            same result each time.
        device: to fit on: "cpu", "cuda", or "auto" for a GPU where there is one. Predicting takes the processor.
        verbose: 1 to report progress on stderr.

    Attributes:
        classes_: (classes,) the different labels, sorted; the columns of `predict_proba`.
        best_validation_score_: macro-F1 on the texts kept aside; None where there are none.

    Example:
        >>> texts = ["Arrived in two days", "The parcel is lost", "Charged twice", "Refund, please"] * 10
        >>> topics = ["delivery", "delivery", "payment", "payment"] * 10
        >>> SentimentClassifier(random_state=1).fit(texts, topics).predict(["Where is my parcel?"])
        array(['delivery'], dtype='<U8')
    """

    def __init__(
        self,
        base: str | Path | None = None,
        *,
        epochs: float | None = None,
        learning_rate: float | None = None,
        max_pieces: int = 256,
        batch_tokens: int | None = None,
        validation_fraction: float = 0.1,
        class_weight: str | None = None,
        threads: int | None = None,
        random_state: Any = None,
        device: str = "auto",
        verbose: int = 0,
    ) -> None:
        self.base = base
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.max_pieces = max_pieces
        self.batch_tokens = batch_tokens
        self.validation_fraction = validation_fraction
        self.class_weight = class_weight
        self.threads = threads
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def fit(self, X: Iterable[str], y: ArrayLike) -> Self:
        """Learn from texts.

        Args:
            X: (n,) texts.
            y: (n,) labels of two or more classes: texts, numbers or truth values.

        Raises:
            ValueError: when a parameter is out of range, X is no collection of texts, y has another length, a label is
                missing, or there is one class.
            MissingExtraError: when PyTorch is not installed.
            BundleError: when the base cannot be used.
            TrainingError: when the loss is no number, or the disk is full.
            UsageError: when the device is not there.
        """
        values = self._numbers()
        settings = self._settings(values)
        texts = _texts(X)
        labels = _labels(y, type(self).__name__)
        check_consistent_length(texts, labels)
        classes, numbers = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"y has one class only, {classes[0]!r}; a classifier needs texts of two or more classes")
        dataset = _dataset(texts, classes, numbers)
        chosen = {name: values[name] for name in _FOLLOW_THE_DATA if values[name] is not None}
        fit_classifier = _load_training()
        with _unwound_by_sigterm(), TemporaryDirectory(prefix="polarbert-fit-") as folder:
            output = Path(folder) / "model"
            score = fit_classifier(
                dataset,
                output,
                settings,
                chosen,
                base=self.base,
                select=values["validation_fraction"] > 0,
                note=self._note,
                quiet=not self.verbose,
            )
            fitted = _FittedBundle.read(output, values["threads"])
        self.classes_ = classes
        self.best_validation_score_ = score
        self._fitted = fitted
        return self

    def predict_proba(self, X: Iterable[str]) -> NDArray[np.float64]:
        """Probabilities.

        Args:
            X: (n,) texts.

        Returns:
            (n, classes) rows that sum to 1, with the columns in the order of `classes_`.

        Raises:
            NotFittedError: before `fit`.
            ValueError: when X is no collection of texts.
        """
        check_is_fitted(self)
        return self._fitted.probabilities(_texts(X))

    def predict(self, X: Iterable[str]) -> NDArray[Any]:
        """The most probable label of each text; arguments and errors as for `predict_proba`."""
        best = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

    def _note(self, line: str) -> None:
        if self.verbose:
            print(line, file=sys.stderr)

    def _numbers(self) -> dict[str, Any]:
        """The parameters that are numbers, as Python's own: those of a search may be numpy's."""
        values: dict[str, Any] = {}
        for name, (kind, to_python) in _NUMBERS.items():
            value = getattr(self, name)
            if value is None and name in _MAY_BE_NONE:
                values[name] = None
            elif isinstance(value, kind):
                values[name] = to_python(value)
            else:
                what = "a whole number" if kind is Integral else "a number"
                raise ValueError(f"{name} must be {what}{' or None' * (name in _MAY_BE_NONE)}, not {value!r}")
        return values

    def _settings(self, values: Mapping[str, Any]) -> FineTuneSettings:
        if self.class_weight not in (None, "balanced"):
            raise ValueError(f"class_weight must be 'balanced' or None, not {self.class_weight!r}")
        fraction = values["validation_fraction"]
        if not 0 <= fraction < 1:
            raise ValueError(f"validation_fraction must be 0 or more and below 1, not {fraction!r}")
        training = {name: values[name] for name in _FOLLOW_THE_DATA if values[name] is not None}
        shares = (1 - fraction, fraction, 0.0) if fraction else FineTuneSettings.shares  # these are not used
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        try:
            return FineTuneSettings(
                task="classification",
                max_pieces=values["max_pieces"],
                class_weights=self.class_weight == "balanced",
                shares=shares,
                device=self.device,
                training=TrainSettings(seed=seed, threads=_threads(values["threads"]), **training),
            )
        except TrainingError as error:
            raise ValueError(str(error).removeprefix("settings: ")) from None


class _FittedBundle:
    """A bundle in memory: its files, by name, and the predictor that is made of them when it is first asked.

    Args:
        files: the content of each.
        threads: None for as many as the process that predicts may use.
    """

    def __init__(self, files: Mapping[str, bytes], threads: int | None) -> None:
        self._files = dict(files)
        self._threads = threads
        self._predictor: TextClassifier | None = None

    @classmethod
    def read(cls, folder: Path, threads: int | None) -> Self:
        """Take from a bundle what scores."""
        bundle = Bundle.open(folder)
        needed = (bundle.graph, "config.json", "tokenizer.json", "tokenizer_config.json")
        for file in folder.iterdir():
            if file.is_file() and file.name not in needed:
                file.unlink()
        bundle.write()
        return cls({file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}, threads)

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """(texts, classes) rows that sum to 1 to the last bit but one: answers are rounded for people."""
        answers = self._open().answer([(text, None) for text in texts])
        chances = np.array([list(answer.probabilities.values()) for answer in answers], dtype=np.float64)
        scaled: NDArray[np.float64] = chances / chances.sum(axis=1, keepdims=True)
        return scaled

    def _open(self) -> TextClassifier:
        if self._predictor is None:
            with TemporaryDirectory(prefix="polarbert-") as folder:  # once loaded, the files are not needed any more
                for name, content in self._files.items():
                    (Path(folder) / name).write_bytes(content)
                self._predictor = TextClassifier(Bundle.open(folder), _threads(self._threads))
        return self._predictor

    def __getstate__(self) -> dict[str, Any]:
        return {"files": self._files, "threads": self._threads, "sha256": self._digests()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["files"], state["threads"])  # type: ignore[misc] # a new object, that pickle made bare
        for name, digest in self._digests().items():
            if state["sha256"].get(name) != digest:
                raise BundleError(f"the stored classifier is damaged ({name} has changed); copy it again, or fit anew")

    def _digests(self) -> dict[str, str]:
        return {name: hashlib.sha256(content).hexdigest() for name, content in self._files.items()}


class _Terminated(BaseException):
    """SIGTERM came."""


@contextmanager
def _unwound_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block in good order before it ends the process, unless the program handles it itself."""
    is_ours = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if not is_ours:
        yield
        return
    signal.signal(signal.SIGTERM, _unwind)
    try:
        yield
    except _Terminated:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _unwind(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would break off the clearing up
    raise _Terminated


def _load_training() -> Any:
    try:
        from polarbert.training.fitting import fit_classifier
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "onnx", "safetensors"):
            raise
        raise MissingExtraError("SentimentClassifier.fit", "sklearn") from None
    return fit_classifier


def _threads(asked: int | None) -> int:
    if asked is not None:
        if asked < 1:
            raise ValueError(f"threads must be 1 or more, or None, not {asked!r}")
        return asked
    return usable_threads()


def _texts(X: Iterable[str]) -> list[str]:
    """Check texts, one a row."""
    shape = getattr(X, "shape", None)
    if shape is not None and len(shape) != 1:
        fix = "give one text a row, such as one column of a table"
        raise ValueError(f"X has {len(shape)} dimensions where texts have 1, its shape is {tuple(shape)}; {fix}")
    if isinstance(X, str | bytes | Mapping) or not isinstance(X, Iterable):
        raise ValueError(f"X is {type(X).__name__}, not a collection of texts; for one text give [text]")
    texts = [_text(value, number) for number, value in enumerate(X)]
    if not texts:
        raise ValueError("X has 0 samples; give one text or more")
    return texts


def _text(value: Any, number: int) -> str:
    if not isinstance(value, str):
        what = f"missing ({value!r})" if _is_missing(value) else f"{type(value).__name__}, not a text"
        raise ValueError(f"X[{number}] is {what}; leave such rows out, or make them str")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"X[{number}] is not valid text: {error}") from None
    return str(value)


def _labels(y: ArrayLike, name: str) -> NDArray[Any]:
    """Check labels, one a row."""
    if y is None:
        raise ValueError(f"{name} requires y to be passed, but the target y is None")
    labels: NDArray[Any] = column_or_1d(y, warn=True)
    for number, value in enumerate(labels.tolist()):
        if _is_missing(value):
            raise ValueError(f"y[{number}] is missing ({value!r}, NaN or None); leave such rows out")
    if len(kinds := sorted({type(value).__name__ for value in labels.tolist()})) > 1:
        raise ValueError(f"y has labels of several kinds ({', '.join(kinds)}); make them all of one kind, such as str")
    check_classification_targets(labels)
    return labels


def _is_missing(value: Any) -> bool:
    is_nan = isinstance(value, float) and math.isnan(value)
    return value is None or is_nan or type(value).__name__ in ("NAType", "NaTType")


def _dataset(texts: Sequence[str], classes: NDArray[Any], numbers: NDArray[np.intp]) -> Dataset:
    """The rows, with names of classes that any label gives: of one line, and no two alike."""
    names = [f"{number} {value!r:.100}" for number, value in enumerate(classes.tolist())]
    pairs = zip(texts, numbers.tolist(), strict=True)
    rows = [LabelledText(text, label, row) for row, (text, label) in enumerate(pairs, start=1)]
    return Dataset("X", rows, names, "classification")
