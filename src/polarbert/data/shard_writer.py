"""Shards as they are being made: each is on the disk before the next begins, and a killed run goes on behind the last.

The state file says how many shards count and which sentence the next one begins with: its passage, and its place in
that. Passages are cut the same way in each run, so the sentences before it need no tokenising again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polarbert.data.sentence_pieces import Block
from polarbert.data.shard_files import Shard, ShardRecord, check_files, write_shard
from polarbert.errors import DataError
from polarbert.files import disk_errors, read_bounded, write_whole

STATE = "shards.partial.json"
MAX_BYTES = 200_000_000  # of the state and the index; a shard takes 250


@dataclass(frozen=True)
class Place:
    """A sentence: the number of its passage, and its place in that."""

    passage: int = 0
    sentence: int = 0


class ShardWriter:
    """Collects sentences into shards of at most `shard_pieces` pieces.

    Args:
        folder: where the shards go; it exists, and nobody else writes there.
        identity: all that the shards depend on.
        shard_pieces: most pieces of a shard.

    Attributes:
        records: the shards that are on the disk.
        next: the sentence that the next shard begins with.

    Raises:
        DataError: when another run's shards stand there, or an earlier shard is damaged.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], shard_pieces: int) -> None:
        self.folder = folder
        self.records: list[ShardRecord] = []
        self.next = Place()
        self._identity = dict(identity)
        self._most = shard_pieces
        self._blocks: list[Block] = []
        self._size = 0
        _remove_unfinished(folder)
        if (folder / STATE).is_file():
            self._resume(folder / STATE)

    @property
    def pieces(self) -> int:
        """Pieces taken so far."""
        return sum(record.pieces for record in self.records) + self._size

    def add(self, block: Block) -> None:
        """Take sentences; none has more than `shard_pieces` pieces.

        Raises:
            DataError: when the disk does not take a shard that has become full.
        """
        ends = np.cumsum(block.lengths)
        start = before = 0
        while start < len(ends):
            stop = int(np.searchsorted(ends, before + self._most - self._size, side="right"))
            if stop > start:
                self._blocks.append(block.between(start, stop))
                self._size += int(ends[stop - 1]) - before
                start, before = stop, int(ends[stop - 1])
            if stop < len(ends):
                self._flush(Place(int(block.passages[stop]), int(block.places[stop])))

    def finish(self) -> None:
        """Write what is left as the last shard.

        Raises:
            DataError: when the disk does not take it.
        """
        if self._blocks:
            last = self._blocks[-1]
            self._flush(Place(int(last.passages[-1]), int(last.places[-1]) + 1))

    def _flush(self, following: Place) -> None:
        number = len(self.records)
        kept = f"{number:,} shards are kept; make room and run the same command again to go on from there"
        with disk_errors(str(self.folder / f"{number:05}"), kept):
            record = write_shard(self.folder, number, _shard(self._blocks))
            self._save_state([*self.records, record], following)
        self.records.append(record)
        self.next = following
        self._blocks, self._size = [], 0

    def _save_state(self, records: list[ShardRecord], following: Place) -> None:
        state = {
            "identity": self._identity,
            "next": [following.passage, following.sentence],
            "shards": [record.to_dict() for record in records],
        }
        write_whole(self.folder / STATE, json.dumps(state).encode("utf-8"))

    def _resume(self, file: Path) -> None:
        try:
            state = json.loads(read_bounded(file, MAX_BYTES, DataError))
            passage, sentence = state["next"]
            self.records = [ShardRecord.from_dict(values) for values in state["shards"]]
            self.next = Place(int(passage), int(sentence))
            identity = dict(state["identity"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(
                f"{file}: damaged; delete the folder {file.parent} and tokenise the corpus again"
            ) from error
        refuse_other(file, identity, self._identity)
        for number, record in enumerate(self.records):
            check_files(self.folder, number, record)


def refuse_other(file: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse shards that were made of something else.

    Raises:
        DataError: naming what differs.
    """
    absent = object()
    other = [name for name, value in wanted.items() if found.get(name, absent) != value]
    if other:
        raise DataError(
            f"{file}: these shards were made with another {', '.join(other)}. "
            f"Name another folder, or delete {file.parent} to make them anew"
        )


def _shard(blocks: list[Block]) -> Shard:
    lengths = np.concatenate([block.lengths for block in blocks])
    documents = np.concatenate([block.documents for block in blocks])
    starts = np.flatnonzero(np.diff(documents, prepend=-1))
    return Shard(
        np.concatenate([block.ids for block in blocks]),
        np.concatenate([[0], np.cumsum(lengths)]).astype("<i8"),
        np.append(starts, len(lengths)).astype("<i8"),
        documents[starts].astype("<i8"),
    )


def _remove_unfinished(folder: Path) -> None:
    """What a killed run was writing, under the names that `replacing` gives."""
    for file in [*folder.glob("*.npy.*.tmp"), *folder.glob("shards*.json.*.tmp")]:
        file.unlink(missing_ok=True)
