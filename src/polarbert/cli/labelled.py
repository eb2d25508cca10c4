"""Labelled rows out of a file, for each kind of task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from polarbert.data.aspects import read_aspects
from polarbert.data.dataset import Dataset, read_labelled
from polarbert.data.labels import LabelMap
from polarbert.data.questions import read_questions
from polarbert.data.rated import read_rated
from polarbert.data.rows import MissingColumnError
from polarbert.data.tables import FORMATS
from polarbert.data.tagged import CONLL_SUFFIXES, read_tagged
from polarbert.errors import UsageError

DATA = "A CSV, TSV, JSONL or Parquet file with labels; CoNLL for tagging, SQuAD's JSON for qa; - for stdin."
PAIR_COLUMN, QUESTION_COLUMN, CONTEXT_COLUMN = "text_pair", "question", "context"
SINGLE = ("sentiment", "classification")
TAGGED = {"text": "tokens", "label": "tags"}  # what the columns are called where they hold lists, unless asked for
# What a file of such a name holds, and the task it is for.
HOLDS = {**dict.fromkeys(CONLL_SUFFIXES, ("tagged words", "tagging")), ".json": ("questions", "qa")}


def input_columns(task: str, reads_pairs: bool, text_column: str, pair_column: str | None) -> tuple[str, str | None]:
    """The columns with the texts and with the second ones; None where single texts are read.

    Args:
        task: of the model.
        reads_pairs: whether it reads two texts.
        text_column: as asked for.
        pair_column: as asked for; None where it was not.

    Raises:
        UsageError: when a pair column is named for single texts.
    """
    if not reads_pairs and pair_column is not None:
        raise UsageError(f"--pair-column is {pair_column!r}, and the model reads single texts; leave it out")
    if task == "qa":
        return CONTEXT_COLUMN if text_column == "text" else text_column, pair_column or QUESTION_COLUMN
    return text_column, (pair_column or PAIR_COLUMN) if reads_pairs else None


def check_aspect_column(aspect_column: str | None, pair_column: str | None, others: Mapping[str, str]) -> None:
    """Refuse a column of aspects that holds something else, or stands beside one of second texts.

    Args:
        aspect_column: as asked for; None where it was not.
        pair_column: as asked for; None where it was not.
        others: names of other columns, by their option.

    Raises:
        UsageError: naming the options.
    """
    if aspect_column is None:
        return
    if pair_column is not None:
        raise UsageError("--aspect-column and --pair-column both name the second texts; give one of them")
    for option, column in others.items():
        if column == aspect_column:
            raise UsageError(f"--aspect-column and {option} are both {column!r}; name the column with the aspects")


@contextmanager
def naming_options(options: Mapping[str, str]) -> Iterator[None]:
    """A block in which an error about a missing column says which option names another.

    Args:
        options: by the name of the column.
    """
    try:
        yield
    except MissingColumnError as error:
        option = options.get(error.column)
        raise UsageError(f"{error}. Name another with {option}" if option else str(error)) from error


@dataclass(frozen=True)
class Source:
    """A file with labels, and how it is to be read: the options that `train` and `evaluate` share.

    Attributes:
        path: of the file; "-" for stdin.
        text_column, label_column: as asked for.
        pair_column, aspect_column: None where they were not asked for.
        keep: other columns that are needed.
        kind, delimiter, encoding: as `polarbert.data.tables.open_table` takes them.
    """

    path: str
    text_column: str
    label_column: str
    pair_column: str | None = None
    keep: Sequence[str] = ()
    kind: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    aspect_column: str | None = None

    def read(self, task: str | None, label_map: LabelMap | None = None) -> Dataset:
        """The rows.

        Args:
            task: one of `polarbert.bundle.TASKS`; None for sentiment or classification, by the labels.
            label_map: what the labels of classes mean.

        Raises:
            UsageError: when an option is of no use for the task, or there is no such file or column.
            DataError: when no row can be used.
        """
        if self.kind is None:
            self._refuse_other_task(task)
        names = [
            TAGGED.get(name, name) if task == "tagging" else name for name in (self.text_column, self.label_column)
        ]
        options = {
            self.pair_column or PAIR_COLUMN: "--pair-column",
            self.aspect_column or "": "--aspect-column",
            names[0]: "--text-column",
            names[1]: "--label-column",
        }
        with naming_options(options):
            return self._read(task, label_map)

    def _read(self, task: str | None, label_map: LabelMap | None) -> Dataset:
        if self.aspect_column is not None:
            self._refuse_no_aspects(task)
        if task in ("tagging", "qa"):
            return self._of_words(task)
        if task == "regression":
            return self._rated()
        if task == "pair":
            found = self._labelled("classification", self.pair_column or PAIR_COLUMN, label_map)
            return replace(found, task="pair")
        if self.pair_column is not None:
            raise UsageError(
                f"--pair-column is {self.pair_column!r}, and a task of {task or 'classification'} reads single texts; "
                "say --task pair or --task regression, or leave it out"
            )
        return self._labelled(task, None, label_map) if self.aspect_column is None else self._aspects(task, label_map)

    def _refuse_no_aspects(self, task: str | None) -> None:
        """Say so where there can be no aspects."""
        if task not in (None, *SINGLE):
            raise UsageError(f"--aspect-column: the task is {task}, and aspects are for sentiment; leave one out")
        columns = {"--text-column": self.text_column, "--label-column": self.label_column}
        check_aspect_column(self.aspect_column, self.pair_column, columns)

    def _refuse_other_task(self, task: str | None) -> None:
        """Say so where the name of the file tells that it is for another task."""
        suffix = Path(self.path).suffix.lower()
        what, suited = HOLDS.get(suffix, ("", task))
        if suffix in FORMATS or suited == task or not Path(self.path).is_file():
            return
        table = "" if task == "qa" else "; if it is a table, say so with --format"
        raise UsageError(
            f"{self.path}: by its name it holds {what}, and the task is {task or 'classification'}. Train with "
            f"--task {suited}, judge with a model for {suited}{table}"
        )

    def _of_words(self, task: str) -> Dataset:
        """Tagged words, or answers, of a file that is no table of texts and labels."""
        given = {"--split-column": self.keep, "--pair-column": self.pair_column, "--delimiter": self.delimiter}
        if unfit := [name for name, value in given.items() if value]:
            instead = ", and give the parts as files with --dev and --test" if unfit[0] == "--split-column" else ""
            raise UsageError(
                f"{unfit[0]} is for tables of texts and labels, and the task is {task}; leave it out{instead}"
            )
        if task == "qa":
            if self.kind is not None or self.encoding is not None:
                raise UsageError("--format and --encoding are for tables; questions are JSON or JSONL in UTF-8")
            if (self.text_column, self.label_column) != ("text", "label"):
                raise UsageError(
                    "--text-column and --label-column are for tables; questions are read by the names that SQuAD has. "
                    "Leave them out"
                )
            return read_questions(self.path)
        columns = (self.text_column, self.label_column)
        tokens, tags = (TAGGED.get(name, name) for name in columns)
        return read_tagged(self.path, tokens, tags, kind=self.kind, encoding=self.encoding)

    def _labelled(self, task: str | None, pair_column: str | None, label_map: LabelMap | None) -> Dataset:
        return read_labelled(
            self.path,
            self.text_column,
            self.label_column,
            pair_column=pair_column,
            label_map=label_map,
            task=task,
            keep=self.keep,
            kind=self.kind,
            delimiter=self.delimiter,
            encoding=self.encoding,
        )

    def _aspects(self, task: str | None, label_map: LabelMap | None) -> Dataset:
        return read_aspects(
            self.path,
            self.text_column,
            self.label_column,
            self.aspect_column or "",
            label_map=label_map,
            task=task,
            keep=self.keep,
            kind=self.kind,
            delimiter=self.delimiter,
            encoding=self.encoding,
        )

    def _rated(self) -> Dataset:
        return read_rated(
            self.path,
            self.text_column,
            self.label_column,
            pair_column=self.pair_column,
            keep=self.keep,
            kind=self.kind,
            delimiter=self.delimiter,
            encoding=self.encoding,
        )
