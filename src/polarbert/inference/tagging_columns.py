"""The columns that scoring adds for a tagger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from polarbert.inference.columns import Cells, Columns
from polarbert.inference.tagger import Tagging


class TaggingColumns(Columns[Tagging]):
    """The entities as a list, how many they are, and whether one of them is unsure."""

    def answered(self) -> dict[str, type]:
        """See `Columns.answered`."""
        return {"entities": list, "n_entities": int, "unsure": bool}

    def cells_of(self, answer: Tagging) -> Sequence[object]:
        """See `Columns.cells_of`."""
        entities = answer.to_dict()["entities"]
        said = [entities, len(entities), any(one["unsure"] for one in entities)]
        return [*said, answer.n_tokens, answer.n_windows]

    def tally(self, cells: Cells) -> Iterator[str]:
        """The types of the entities, and whether one is unsure."""
        for entity in cells[0]:
            yield f"entity:{entity['type']}"
        if cells[2]:
            yield "unsure"
