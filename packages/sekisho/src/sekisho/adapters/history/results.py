# SPDX-License-Identifier: Apache-2.0
"""The folder of a rehearsal's results: two files that grow line by line, the rest at the end.

The summary is written last. A crash before leaves the lines so far and no ``summary.json``: a
folder without one is no result. Nothing is synced: what was computed can be computed again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from sekisho.core.drills.history import BadRow
from sekisho.core.encoding import canonical
from sekisho.core.errors import ConfigurationInvalid

DECISIONS = "decisions.jsonl"
BAD_ROWS = "bad-rows.jsonl"
_lines = msgspec.json.Encoder()


class ResultFolder:
    """A folder that is new or empty, open for writing."""

    def __init__(self, path: Path) -> None:
        """Make the folder.

        Raises:
            ConfigurationInvalid: something lies there.
            OSError: it cannot be made.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ConfigurationInvalid(
                f"{path}: not an empty folder", str(path), "choose another --out"
            )
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._decisions: BinaryIO = (path / DECISIONS).open("xb")
        self._bad: BinaryIO = (path / BAD_ROWS).open("xb")

    def decided(self, line: msgspec.Struct) -> None:
        """Append to ``decisions.jsonl``."""
        self._decisions.write(_lines.encode(line) + b"\n")

    def bad_row(self, row: BadRow) -> None:
        """Append to ``bad-rows.jsonl``."""
        self._bad.write(_lines.encode(row) + b"\n")

    def close_lines(self) -> None:
        """Write out what is still buffered and close the two files."""
        self._decisions.close()
        self._bad.close()

    def write_json(self, name: str, value: Any) -> None:
        """Write a document, for people to read: indented, keys sorted."""
        text = msgspec.json.format(canonical(value), indent=2)
        (self.path / name).write_bytes(text + b"\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a page."""
        (self.path / name).write_text(text, encoding="utf-8")
