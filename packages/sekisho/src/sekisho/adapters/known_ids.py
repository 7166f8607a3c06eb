# SPDX-License-Identifier: Apache-2.0
"""Order ids that were used, in a file instead of in memory, for histories of any length.

The gate keeps every id for ever and holds them in memory. A rehearsal reads years at once; here the
same mapping is a table of SQLite with a cache of fixed size. It is a work file: nothing is synced,
a crash leaves a file that nobody reads again, and :meth:`KnownIds.close` removes it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, MutableMapping, MutableSet
from pathlib import Path

from sekisho.core.errors import StorageFailed
from sekisho.core.gate.agent import Known

CACHE_KIB = 4_096
NEW_MAX = 4_096
"""Ids that are kept in memory until they are written together."""
RECENT_MAX = 1_024


class KnownIds(MutableMapping[str, Known]):
    """``client_order_id`` → content and decision. Ids are added, never changed or removed."""

    def __init__(self, path: Path) -> None:
        """Make the file. Raises StorageFailed: it is there already, or cannot be made."""
        self._path = path
        self._new: dict[str, Known] = {}
        self._absent: str | None = None
        """The id that was last not found: each new one is asked for several times."""
        try:
            path.touch(mode=0o600, exist_ok=False)
            self._table = sqlite3.connect(path, isolation_level=None)
            for setting in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE_KIB}"):
                self._table.execute(f"PRAGMA {setting}")
            self._table.execute(
                "CREATE TABLE known (id TEXT PRIMARY KEY, digest BLOB, decision INT) WITHOUT ROWID"
            )
        except (OSError, sqlite3.Error) as error:
            raise StorageFailed(f"{path}: the work file of ids cannot be made: {error}") from error
        self._size = 0

    def __getitem__(self, name: str) -> Known:
        known = self._new.get(name)
        if known is not None:
            return known
        if name == self._absent:
            raise KeyError(name)
        try:
            row = self._table.execute(
                "SELECT digest, decision FROM known WHERE id = ?", (name,)
            ).fetchone()
        except sqlite3.Error as error:
            raise StorageFailed(f"{self._path}: the work file of ids failed: {error}") from error
        if row is None:
            self._absent = name
            raise KeyError(name)
        return Known(row[0].hex(), row[1])

    def __setitem__(self, name: str, known: Known) -> None:
        if name in self:
            raise ValueError(f"{name} is known already; the first use of an id stays")
        self._new[name] = known
        self._absent = None
        self._size += 1
        if len(self._new) >= NEW_MAX:
            self._write()

    def __delitem__(self, name: str) -> None:
        raise ValueError(f"{name} stays known: ids are never forgotten")

    def __iter__(self) -> Iterator[str]:
        self._write()
        return (row[0] for row in self._table.execute("SELECT id FROM known ORDER BY id"))

    def __len__(self) -> int:
        return self._size

    def close(self) -> None:
        """Close and remove the file."""
        self._table.close()
        self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        rows = sorted(
            (name, bytes.fromhex(known.digest), known.decision) for name, known in self._new.items()
        )
        try:
            # A crash in between leaves a part of them in a file that nobody reads again.
            self._table.execute("BEGIN")
            self._table.executemany("INSERT INTO known VALUES (?, ?, ?)", rows)
            self._table.execute("COMMIT")
        except sqlite3.Error as error:
            raise StorageFailed(f"{self._path}: the work file of ids failed: {error}") from error
        self._new.clear()


class RecentAnswers(MutableMapping[int, int]):
    """Decision → its end, for the newest decisions alone.

    A rehearsal asks for each order once and waits for its end, so that older ones are not looked
    for.
    """

    def __init__(self, most: int = RECENT_MAX) -> None:
        self._most = most
        self._kept: dict[int, int] = {}

    def __getitem__(self, decision: int) -> int:
        return self._kept[decision]

    def __setitem__(self, decision: int, end: int) -> None:
        self._kept[decision] = end
        if len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]

    def __delitem__(self, decision: int) -> None:
        del self._kept[decision]

    def __iter__(self) -> Iterator[int]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


class RecentReports(MutableSet[tuple[str, str]]):
    """Execution reports that were seen, the newest alone: a history tells each thing once."""

    def __init__(self, most: int = RECENT_MAX) -> None:
        self._most = most
        self._kept: dict[tuple[str, str], None] = {}

    def __contains__(self, report: object) -> bool:
        return report in self._kept

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, value: tuple[str, str]) -> None:
        """Keep it, and forget the oldest where there are too many."""
        self._kept[value] = None
        if len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]

    def discard(self, value: tuple[str, str]) -> None:
        """Forget it."""
        self._kept.pop(value, None)
