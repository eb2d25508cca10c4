"""Tokenises a small corpus in a process of its own that is killed on the way: python killed_shards.py FOLDER N.

The process gets SIGKILL in place of its Nth renaming of a file.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from unittest import mock

from tests.shard_fixtures import shards_of

SHAPE = [[7, 3, 9, 12], [4], [30, 2, 2], [5] * 20, [1, 1], [16, 16]]
SHARD = 24


def main() -> None:
    folder, left = Path(sys.argv[1]), int(sys.argv[2])
    rename = os.replace

    def replace(source: Path, target: Path) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        rename(source, target)

    with mock.patch("os.replace", replace):
        shards_of(SHAPE, folder, SHARD)


if __name__ == "__main__":
    main()
