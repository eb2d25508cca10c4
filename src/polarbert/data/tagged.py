"""Texts whose words carry tags: CoNLL columns, JSONL, Parquet, and CSV with lists in its cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from polarbert.data.csv_table import CsvTable
from polarbert.data.dataset import Dataset, LabelledText
from polarbert.data.duplicates import normalised
from polarbert.data.encodings import TextSource
from polarbert.data.entities import OUTSIDE, bio_labels, entity_types, has_prefix, read_tag, to_bio
from polarbert.data.inputs import in_any_order, input_name, open_input
from polarbert.data.jsonl_table import JsonlTable
from polarbert.data.labels import counted
from polarbert.data.rows import as_sentence, text_problem
from polarbert.data.tables import FORMATS
from polarbert.data.tagged_formats import (
    ParquetLists,
    TaggedRecord,
    conll_records,
    csv_records,
    jsonl_records,
    parquet_records,
)
from polarbert.errors import DataError, UsageError

CONLL_SUFFIXES = (".conll", ".bio", ".iob", ".iob2", ".txt")
TAGGED_FORMATS: Mapping[str, str] = {**dict.fromkeys(CONLL_SUFFIXES, "conll"), **FORMATS}
KINDS = ("conll", "csv", "jsonl", "parquet")
EMPTY_TEXT, EMPTY_WORD, EMPTY_TAG = "no words", "empty word", "empty tag"
UNEQUAL, UNREADABLE = "words and tags of unequal number", "unreadable row"

_ENDS = frozenset("ES")

Offsets = tuple[int, int]


@dataclass(frozen=True)
class TaggedText(LabelledText):
    """A text and the tag of each of its words.

    Attributes:
        words: (start, end) of each word in the text, in characters.
        tags: as many numbers of labels of the dataset.
    """

    words: tuple[Offsets, ...] = ()
    tags: tuple[int, ...] = ()

    @property
    def annotation(self) -> tuple[Any, ...]:
        """The tags of the words with letters or digits: in others, texts may differ that count as equal."""
        spans = zip(self.words, self.tags, strict=True)
        return tuple(tag for (start, end), tag in spans if normalised(self.text[start:end]))


def read_tagged(
    path: str | Path,
    tokens_column: str = "tokens",
    tags_column: str = "tags",
    *,
    kind: str | None = None,
    encoding: str | None = None,
) -> Dataset:
    """Read texts whose words are tagged. The text of a row is its words with a blank between them.

    CoNLL files have a word a line: first the word, last its tag, with blanks or tabs between them and around whatever
    columns stand in the middle. A blank line ends a text. JSONL and Parquet have a list of words and a list of tags in
    each row; a CSV has both written as JSON in its cells.

    The labels of the dataset are O, then B- and I- of each type by name. Tags of IOB1 and BIOES become BIO, and what
    is impossible in BIO is read as the script conlleval does (see `polarbert.data.entities`); `notes` says what was
    changed, and how often. A row that cannot be used is left out and counted.

    Args:
        path: of the file; "-" for stdin.
        tokens_column: the column with the words; of no meaning to a CoNLL file.
        tags_column: the column with the tags; likewise. Where a Parquet file has numbers in it and says in its metadata
            what they are called, as those of the Hugging Face Hub do, they are taken by their names.
        kind: "conll", "csv", "jsonl" or "parquet"; None goes by the file's name, and takes stdin for CoNLL.
        encoding: of a CoNLL file, CSV or JSONL; None is UTF-8.

    Raises:
        UsageError: when there is no such file or column.
        DataError: when the file is no such file, or no row can be used.
        MissingExtraError: for Parquet without pyarrow.

    Example:
        >>> dataset = read_tagged("mentions.conll")
        >>> dataset.labels[:3], dataset.rows[0].text
        (['O', 'B-company', 'I-company'], 'Tickmoor 4.2 keeps crashing on my old tablet .')
    """
    name = input_name(path)
    if tokens_column == tags_column:
        raise UsageError(f"{name}: words and tags cannot both be in the column {tokens_column!r}; name another")
    format_name = tagged_format(str(path), kind)
    if encoding is not None and format_name == "parquet":
        raise UsageError(f"{name}: --encoding is for conll, csv and jsonl, and this is parquet. Leave it out")
    found = _Found(name)
    with ExitStack() as opened:
        stream = opened.enter_context(open_input(path))
        if format_name == "parquet":
            stream = opened.enter_context(in_any_order(stream, name))
            found.take(parquet_records(ParquetLists(stream, name, tokens_column, (), [tags_column]), tags_column))
        else:
            found.read(_Source(stream, name, encoding, tokens_column, tags_column), format_name)
    return found.dataset()


def tagged_format(path: str, given: str | None) -> str:
    """The format of a file, by its name unless given.

    Raises:
        UsageError: when there is no such format, or the name says nothing.
    """
    if given is not None:
        if given not in KINDS:
            raise UsageError(f"--format is {given!r}; of tagged texts it can be {', '.join(KINDS[:-1])} or {KINDS[-1]}")
        return given
    suffix = Path(path).suffix.lower()
    if path == "-":
        return "conll"
    if suffix not in TAGGED_FORMATS:
        raise UsageError(
            f"{path}: cannot tell the format from the name (known: {', '.join(TAGGED_FORMATS)}). "
            f"Say {', '.join(f'--format {kind}' for kind in KINDS[:-1])} or --format {KINDS[-1]}"
        )
    return TAGGED_FORMATS[suffix]


def tagged_text(words: Sequence[str], tags: Sequence[int], row: int) -> TaggedText:
    """A row out of words and the numbers of their labels.

    Example:
        >>> tagged_text(["In", "Leeds"], [0, 1], 1).words
        ((0, 2), (3, 8))
    """
    offsets, start = [], 0
    for word in words:
        offsets.append((start, start + len(word)))
        start += len(word) + 1
    return TaggedText(" ".join(words), 0, row, words=tuple(offsets), tags=tuple(tags))


@dataclass
class _Source:
    """A stream that is to be read as text, and its columns."""

    stream: BinaryIO
    name: str
    encoding: str | None
    tokens: str
    tags: str


@dataclass
class _Repairs:
    """What of the tags of a file is no BIO.

    Attributes:
        begun: tags that go on with an entity where none is.
        texts: how many texts have such tags.
        first: the place of the first one.
        alone: B- where no entity of its type ends right before it; IOB1 has none.
        ends: tags of BIOES.
        bare: tags without a prefix.
        small: tags whose prefix is a small letter.
    """

    begun: Counter[str] = field(default_factory=Counter)
    texts: int = 0
    first: str = ""
    alone: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    bare: Counter[str] = field(default_factory=Counter)
    small: Counter[str] = field(default_factory=Counter)

    def see(self, tags: Sequence[str], converted: Sequence[str], place: str) -> None:
        """Count what was changed in a text."""
        before = len(self.begun), self.begun.total()
        previous = OUTSIDE
        for tag, bio in zip(tags, converted, strict=True):
            kind, name = read_tag(tag)
            if has_prefix(tag) and tag[0].islower():
                self.small[tag] += 1
            if not has_prefix(tag):
                self.bare[tag] += 1
            elif kind in _ENDS:
                self.ends[tag] += 1
            elif kind == "I" and bio[0] == "B":
                self.begun[tag] += 1
            self.alone += kind == "B" and previous[2:] != name
            previous = bio
        if before != (len(self.begun), self.begun.total()):
            self.first = self.first or place
            self.texts += 1

    def notes(self) -> Iterator[str]:
        """What to tell of it."""
        if self.bare:
            yield f"tags without B- or I-, taken for types, neighbours of one type for one entity: {counted(self.bare)}"
        if self.small:
            yield f"tags with small letters, read as with capital ones: {counted(self.small)}"
        if self.ends:
            yield f"the tags are BIOES, and became BIO: {counted(self.ends)}"
        if not self.begun:
            return
        if self.alone == 0 and not self.ends:
            yield f"the tags are IOB1, and became BIO: {self.begun.total():,} entities begin with I-"
        else:
            yield (
                f"I- where no entity of its type is before it, in {self.texts:,} of the texts, read as B-: "
                f"{counted(self.begun)}. The first is in {self.first}"
            )


class _Found:
    """What is gathered from a file, text by text."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rows: list[tuple[int, list[str], list[str]]] = []
        self._repairs = _Repairs()
        self._skipped: Counter[str] = Counter()
        self._notes: list[str] = []
        self._count = 0
        self._recognised = False

    def read(self, asked: _Source, format_name: str) -> None:
        """Take a CoNLL file, a CSV or JSONL."""
        source = TextSource(asked.stream, asked.name, asked.encoding)
        if format_name == "conll":
            self.take(conll_records(source))
        elif format_name == "jsonl":
            self.take(jsonl_records(JsonlTable(source, asked.tokens, (), [asked.tags]), asked.tokens, asked.tags))
        else:
            table = CsvTable(source, asked.tokens, also=[asked.tags])
            self.take(csv_records(table, asked.tokens, asked.tags))
            if table.fault is not None:
                raise DataError(table.fault)
        if source.doubt is not None:
            self._notes.append(source.doubt)

    def take(self, records: Iterable[TaggedRecord]) -> None:
        """Take in texts."""
        for record in records:
            self._count += 1
            problem = (UNREADABLE, record.problem) if record.problem else _problem(record.words, record.tags)
            if problem is not None:
                self._skip(*problem, record.place)
                continue
            words, tags = [word.strip() for word in record.words], [tag.strip() for tag in record.tags]
            converted = to_bio(tags)
            self._recognised = self._recognised or any(map(has_prefix, set(tags)))
            self._repairs.see(tags, converted, record.place)
            self._rows.append((self._count, words, converted))

    def _skip(self, reason: str, what: str, place: str) -> None:
        if not self._skipped[reason]:
            self._notes.append(f"{place} is left out, the first with this fault ({reason}): {what}")
        self._skipped[reason] += 1

    def dataset(self) -> Dataset:
        """The usable texts, and the labels they have between them."""
        self._refuse_nothing()
        labels = bio_labels(entity_types([tag for _, _, tags in self._rows for tag in set(tags)]))
        if len(labels) == 1:
            raise DataError(f"{self._name}: every word is {OUTSIDE!r}, so there is no entity to find. Tag some words")
        numbers = {label: number for number, label in enumerate(labels)}
        rows: list[LabelledText] = [
            tagged_text(words, [numbers[tag] for tag in tags], row) for row, words, tags in self._rows
        ]
        return Dataset(self._name, rows, labels, "tagging", dict(self._skipped), (*self._repairs.notes(), *self._notes))

    def _refuse_nothing(self) -> None:
        if not self._count:
            raise DataError(f"{self._name}: has no texts")
        if not self._rows:
            reasons = "; ".join(f"{why}: {count:,}" for why, count in self._skipped.items())
            notes = "".join(f". {as_sentence(note, self._name)}" for note in self._notes)
            raise DataError(f"{self._name}: none of its {self._count:,} texts can be used ({reasons}){notes}")
        if not self._recognised:
            raise DataError(
                f"{self._name}: no tag is O or begins with B- or I-; the most frequent are "
                f"{counted(self._repairs.bare)}. Is this a file of tagged words, and are its tags where they are "
                "looked for (in a CoNLL file the last column)?"
            )


def _problem(words: Any, tags: Any) -> tuple[str, str] | None:
    """Why a text cannot be used, and what is the matter with it in particular; None where it can."""
    for what, values in (("word", words), ("tag", tags)):
        if odd := [value for value in values if not isinstance(value, str)]:
            advice = "; write tags by their names, such as B-PER" if what == "tag" else ""
            return UNREADABLE, f"a {what} is {odd[0]!r}, not text{advice}"
    if len(words) != len(tags):
        return UNEQUAL, f"{len(words):,} words and {len(tags):,} tags"
    if not words:
        return EMPTY_TEXT, "the lists are empty"
    for number, (word, tag) in enumerate(zip(words, tags, strict=True), start=1):
        if not word.strip() or not tag.strip():
            return EMPTY_TAG if word.strip() else EMPTY_WORD, f"number {number:,} of its {len(words):,} words"
    problem = text_problem(" ".join(words)) or text_problem(" ".join(tags))
    return None if problem is None else (UNREADABLE, problem)
