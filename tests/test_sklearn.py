"""The scikit-learn classifier: by scikit-learn's own checks, in its tools, and on what it must refuse."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data
from tests.conftest import WORDS
from tests.scoring_fixtures import sentences

from polarbert.errors import BundleError, MissingExtraError, TrainingError
from polarbert.model import BertConfig, BertEncoder
from polarbert.sklearn import SentimentClassifier
from polarbert.text import WordPieceTokenizer

pytest_plugins = ["tests.finetune_fixtures"]

FEW_TEXTS = ["the app is great", "my phone is lovely", "this book is awful", "the hotel was bad"]
FEW_LABELS = ["good", "good", "bad", "bad"]
SCALE = [word for word in WORDS if word.isascii() and word.islower()][:48]
STEPS = 12

Make = Callable[..., SentimentClassifier]


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory, vocab: list[str], tokenizer: WordPieceTokenizer) -> Path:
    """An untrained encoder of one layer of 16 numbers: it learns next to nothing, in no time."""
    folder = tmp_path_factory.mktemp("bases") / "tiny"
    torch.manual_seed(1)
    sizes = {"num_hidden_layers": 1, "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    BertEncoder(BertConfig.tiny(vocab_size=len(vocab), max_position_embeddings=32, **sizes)).save_pretrained(folder)
    tokenizer.save(folder)
    return folder


@pytest.fixture
def make(tiny_base: Path) -> Make:
    """A classifier that is fitted in a moment."""

    def new(**changes: Any) -> SentimentClassifier:
        quick: dict[str, Any] = {
            "base": tiny_base,
            "epochs": 1,
            "learning_rate": 1e-2,
            "batch_tokens": 256,
            "random_state": 1,
        }
        return SentimentClassifier(**(quick | {"threads": 1, "validation_fraction": 0} | changes))

    return new


@pytest.fixture(scope="module")
def able(small_base: Path) -> SentimentClassifier:
    """One that has learnt its words from 300 texts, with some of them kept aside."""
    texts, labels = zip(*sentences(300, 5), strict=True)
    quick: dict[str, Any] = {"epochs": 6, "learning_rate": 3e-3, "batch_tokens": 512, "threads": 1, "random_state": 1}
    return SentimentClassifier(small_base, validation_fraction=0.15, **quick).fit(list(texts), list(labels))


class OnNumbers(SentimentClassifier):
    """Writes rows of numbers as texts, for scikit-learn's checks, which have nothing else to give."""

    def fit(self, X: Any, y: Any) -> OnNumbers:  # noqa: N803
        return super().fit(self._written(X, reset=True), y)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        check_is_fitted(self)
        return super().predict_proba(self._written(X, reset=False))

    def _written(self, X: Any, reset: bool) -> list[str]:  # noqa: N803
        rows = validate_data(self, X, reset=reset)
        steps = np.clip(np.round(rows * 1.5) + STEPS / 2, 0, STEPS - 1).astype(int)
        return [" ".join(SCALE[STEPS * column + step] for column, step in enumerate(row[:4])) for row in steps]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string = True, False
        tags.classifier_tags.poor_score = True  # the tiny base; what is learnt is tested on texts
        return tags


def expected_failures(estimator: Any) -> dict[str, str]:
    return {"check_class_weight_classifiers": "gives a weight for each class; only 'balanced' is known"}


@parametrize_with_checks(  # type: ignore[untyped-decorator] # scikit-learn has no types
    [SentimentClassifier(), OnNumbers(epochs=1, validation_fraction=0, threads=1, random_state=1, batch_tokens=512)],
    expected_failed_checks=expected_failures,
)
def test_scikit_learns_own_checks(
    estimator: SentimentClassifier, check: Callable[[Any], None], tiny_base: Path
) -> None:
    check(estimator.set_params(base=tiny_base))


def test_its_tags_are_those_of_estimators_of_texts() -> None:
    tags = get_tags(SentimentClassifier())
    assert tags.input_tags.string
    assert not tags.input_tags.two_d_array
    assert tags.estimator_type == "classifier"


def test_it_learns_and_says_how_well(able: SentimentClassifier) -> None:
    texts, labels = map(list, zip(*sentences(120, 77), strict=True))
    chances = able.predict_proba(texts)
    assert able.classes_.tolist() == ["negative", "neutral", "positive"]
    assert able.score(texts, labels) > 0.7
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(able.predict(texts), able.classes_[chances.argmax(axis=1)])
    assert able.best_validation_score_ is not None
    assert abs(able.best_validation_score_ - f1_score(labels, able.predict(texts), average="macro")) < 0.25


@pytest.mark.parametrize(
    "labels",
    [["good", "good", "bad", "bad"], [5, 5, -1, -1], [True, True, False, False], np.array([2.0, 2.0, 1.0, 1.0])],
    ids=["str", "int", "bool", "float"],
)
def test_labels_come_back_as_they_were(make: Make, labels: Sequence[Any]) -> None:
    model = make().fit(np.array(FEW_TEXTS), labels)
    np.testing.assert_array_equal(model.classes_, np.unique(labels))
    answers = model.predict(FEW_TEXTS)
    assert answers.dtype == np.asarray(labels).dtype
    assert set(answers.tolist()) <= set(np.asarray(labels).tolist())


def test_labels_may_be_any_texts(make: Make) -> None:
    names = ["", " ", "line\nbreak", "x" * 500]
    assert make().fit(FEW_TEXTS, names).classes_.tolist() == sorted(names)


def test_few_rows_are_learned_from_undivided(make: Make) -> None:
    model = make(epochs=30, validation_fraction=0.1).fit(FEW_TEXTS, FEW_LABELS)
    assert model.best_validation_score_ is None
    assert model.predict_proba(FEW_TEXTS).shape == (4, 2)


def test_a_class_of_one_text_is_no_obstacle(make: Make) -> None:
    texts, labels = map(list, zip(*sentences(30, 8), strict=True))
    labels[0] = "rare"
    model = make(validation_fraction=0.1).fit(texts, labels)
    assert "rare" in model.classes_
    assert model.best_validation_score_ is None


def test_the_same_random_state_gives_the_same_model(make: Make) -> None:
    first, same, other = (
        make(random_state=seed).fit(FEW_TEXTS, FEW_LABELS).predict_proba(FEW_TEXTS)
        for seed in (3, np.random.RandomState(3), 4)
    )
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 1e-4


def test_balanced_classes_count_the_same(make: Make) -> None:
    texts = [f"{word} {other} is great" for word in SCALE[:30] for other in SCALE[30:33]] + FEW_TEXTS[2:]
    labels = ["usual"] * 90 + ["rare"] * 2
    rare = {
        weight: make(class_weight=weight, epochs=8).fit(texts, labels).predict_proba(texts)[:, 0].mean()
        for weight in (None, "balanced")
    }
    assert rare["balanced"] > rare[None] + 0.1


def test_what_was_chosen_stays_and_is_told(make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    texts, labels = map(list, zip(*sentences(40, 9), strict=True))
    numbers = {"epochs": np.int64(3), "learning_rate": np.float64(5e-5), "max_pieces": np.int32(32)}
    make(validation_fraction=np.float64(0.2), verbose=1, threads=None, **numbers).fit(texts, labels)
    told = " ".join(capfd.readouterr().err.split())
    assert "passes: 3 over" in told
    assert "at a rate of up to 5e-05" in told
    assert "1 thread" in told  # OMP_NUM_THREADS
    make().fit(FEW_TEXTS, FEW_LABELS)
    assert capfd.readouterr() == ("", "")


def test_a_pipeline_passes_texts_on(make: Make) -> None:
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    pipeline = make_pipeline(lower, make()).fit(FEW_TEXTS, FEW_LABELS)
    loud = [text.upper() for text in FEW_TEXTS]
    np.testing.assert_array_equal(pipeline.predict_proba(loud), pipeline[-1].predict_proba(FEW_TEXTS))


@pytest.mark.timeout(600)  # each of the processes loads PyTorch for itself, on a busy machine one after the other
def test_a_grid_search_in_two_processes_finds_the_rate_that_learns(small_base: Path) -> None:
    texts, labels = zip(*sentences(48, 5), strict=True)
    quick: dict[str, Any] = {"epochs": 8, "batch_tokens": 256, "validation_fraction": 0, "random_state": 1}
    search = GridSearchCV(SentimentClassifier(small_base, **quick), {"learning_rate": [1e-9, 1e-2]}, cv=2, n_jobs=2)
    search.fit(texts, labels)
    assert search.best_params_ == {"learning_rate": 1e-2}
    still, learned = search.cv_results_["mean_test_score"]
    assert learned == search.best_score_ > still + 0.05
    assert search.predict(texts[:3]).shape == (3,)


def test_cross_val_predict_gives_probabilities(make: Make) -> None:
    chances = cross_val_predict(make(), FEW_TEXTS * 2, FEW_LABELS * 2, cv=2, method="predict_proba")
    assert chances.shape == (8, 2)
    np.testing.assert_allclose(chances.sum(axis=1), 1)


def test_a_clone_has_the_parameters_and_nothing_learnt(able: SentimentClassifier) -> None:
    copied = clone(able)
    assert copied.get_params() == able.get_params()
    with pytest.raises(NotFittedError):
        copied.predict(["the app is great"])


ELSEWHERE = """
import pickle, sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, NoTorch())
from polarbert.errors import MissingExtraError
model = pickle.loads(sys.stdin.buffer.read())
print(model.predict_proba(["the app is great", "the hotel was bad"]).tolist())
try:
    model.fit(["a", "b"], [0, 1])
except MissingExtraError as error:
    print(error)
"""


def test_a_pickle_predicts_in_another_process_without_the_base_or_torch(
    make: Make, tiny_base: Path, tmp_path: Path
) -> None:
    base = shutil.copytree(tiny_base, tmp_path / "base")
    model = make(base=base).fit(FEW_TEXTS, FEW_LABELS)
    shutil.rmtree(base)
    stored = pickle.dumps(model)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], input=stored, capture_output=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr.decode()
    chances, refusal = done.stdout.decode().splitlines()
    assert chances == str(model.predict_proba(["the app is great", "the hotel was bad"]).tolist())
    assert 'pip install "polarbert[sklearn]"' in refusal


def test_a_pickle_carries_no_weights_for_training(able: SentimentClassifier) -> None:
    stored = pickle.dumps(able)
    assert b"model.int8.onnx" in stored
    assert b"model.safetensors" not in stored


def test_a_damaged_pickle_is_refused(make: Make) -> None:
    stored = bytearray(pickle.dumps(make().fit(FEW_TEXTS, FEW_LABELS)))
    stored[stored.index(b"tokenizer.json") + 5000] ^= 1
    with pytest.raises(BundleError, match=r"damaged.*fit anew"):
        pickle.loads(bytes(stored))  # noqa: S301 - made here


def test_nothing_is_left_behind(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = make().fit(FEW_TEXTS, FEW_LABELS)
    model.predict(FEW_TEXTS)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TrainingError, match="lower the learning rate"):
        make(learning_rate=1e30, epochs=5).fit(FEW_TEXTS, FEW_LABELS)
    assert list(tmp_path.iterdir()) == []


STOPPED = """
import sys
from polarbert.sklearn import SentimentClassifier
model = SentimentClassifier(sys.argv[1], epochs=1e6, validation_fraction=0, threads=1)
model.fit(["so great", "so bad"] * 4, [1, 0] * 4)
"""


def test_a_fit_that_is_stopped_leaves_nothing_behind(tiny_base: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", STOPPED, str(tiny_base)], env=environment) as process:
        deadline = time.monotonic() + 100
        while not any(tmp_path.glob("polarbert-fit-*/*/*/settings.json")) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert process.poll() is None
        process.terminate()
        assert process.wait(100) == -signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_what_a_program_does_at_sigterm_stays_its_own(make: Make) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        for handler in (signal.SIG_DFL, lambda *_: None):
            signal.signal(signal.SIGTERM, handler)
            make().fit(FEW_TEXTS, FEW_LABELS)
            assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_fit_that_fails_leaves_the_last_one(make: Make) -> None:
    model = make().fit(FEW_TEXTS, FEW_LABELS)
    before = model.predict_proba(FEW_TEXTS)
    with pytest.raises(BundleError, match="no such model"):
        model.set_params(base="no-such-folder").fit(FEW_TEXTS, [1, 2, 3, 4])
    np.testing.assert_array_equal(model.predict_proba(FEW_TEXTS), before)
    assert model.classes_.tolist() == ["bad", "good"]


def test_the_random_numbers_and_threads_of_the_process_stay_as_they_were(make: Make) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    make(threads=2).fit(FEW_TEXTS, FEW_LABELS)
    torch.testing.assert_close(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


BAD_TEXTS: dict[str, tuple[Any, str]] = {
    "one text": ("great", r"X is str, not a collection of texts; for one text give \[text\]"),
    "no collection": (7, "X is int, not a collection"),
    "None": (None, "X is NoneType, not a collection"),
    "two dimensions": (np.array([["a", "b"], ["c", "d"]]), r"X has 2 dimensions .* \(2, 2\); give one text a row"),
    "a missing text": (["fine", float("nan"), "bad", "so"], r"X\[1\] is missing \(nan\); leave such rows out"),
    "None among texts": (["fine", "bad", None, "so"], r"X\[2\] is missing \(None\)"),
    "bytes": (["fine", "bad", "so", b"great"], r"X\[3\] is bytes, not a text"),
    "numbers": (np.array([1.5, 2.5, 3.5, 4.5]), r"X\[0\] is float64, not a text"),
    "half a character": (["fine", "\ud800", "bad", "so"], r"X\[1\] is not valid text"),
    "no texts": ([], "X has 0 samples"),
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_what_is_no_collection_of_texts_is_refused(able: SentimentClassifier, make: Make, case: str) -> None:
    texts, message = BAD_TEXTS[case]
    with pytest.raises(ValueError, match=message):
        make().fit(texts, FEW_LABELS)
    with pytest.raises(ValueError, match=message):
        able.predict(texts)


BAD_LABELS: dict[str, tuple[Any, str]] = {
    "another length": (["good", "bad"], r"inconsistent numbers of samples: \[4, 2\]"),
    "one class": (["good"] * 4, "y has one class only, .*good.*two or more classes"),
    "none": (None, "requires y to be passed, but the target y is None"),
    "a missing label": (["good", "bad", None, "bad"], r"y\[2\] is missing \(None, NaN or None\)"),
    "NaN": ([1.0, 2.0, 1.0, float("nan")], r"y\[3\] is missing"),
    "measurements": ([0.1, 0.25, 0.7, 0.9], "Unknown label type: continuous"),
    "several a text": ([["a", "b"], ["a", "c"], ["b", "c"], ["a", "b"]], "y should be a 1d array"),
    "several kinds": (
        np.array(["a", 1, "a", 1], dtype=object),
        r"several kinds \(int, str\); make them all of one kind",
    ),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_labels_that_cannot_be_learned_are_refused(make: Make, case: str) -> None:
    labels, message = BAD_LABELS[case]
    with pytest.raises(ValueError, match=message):
        make().fit(FEW_TEXTS, labels)


BAD_PARAMETERS: dict[str, tuple[Any, str]] = {
    "epochs": (0, "epochs must be above 0, not 0"),
    "learning_rate": ("high", "learning_rate must be a number or None, not 'high'"),
    "batch_tokens": (2.5, "batch_tokens must be a whole number or None, not 2.5"),
    "max_pieces": (None, "max_pieces must be a whole number, not None"),
    "validation_fraction": (1, "validation_fraction must be 0 or more and below 1, not 1"),
    "class_weight": ({"good": 2}, "class_weight must be 'balanced' or None"),
    "threads": (0, "threads must be 1 or more, or None, not 0"),
    "device": ("tpu", "device must be auto, cpu, cuda, not 'tpu'"),
    "random_state": ("one", "'one' cannot be used to seed"),
}


@pytest.mark.parametrize("name", BAD_PARAMETERS)
def test_parameters_out_of_range_are_refused(make: Make, name: str) -> None:
    value, message = BAD_PARAMETERS[name]
    with pytest.raises(ValueError, match=message):
        make(**{name: value}).fit(FEW_TEXTS, FEW_LABELS)


def test_before_fitting_there_is_nothing_to_predict_with() -> None:
    with pytest.raises(NotFittedError, match="not fitted yet"):
        SentimentClassifier().predict_proba(["great"])


def test_without_scikit_learn_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "polarbert.sklearn")
    with pytest.raises(MissingExtraError, match=r'pip install "polarbert\[sklearn\]"'):
        import_module("polarbert.sklearn")
