# SPDX-License-Identifier: Apache-2.0
"""Ids, answers and reports that a gate remembers for ever, in a file instead of in memory.

The file is a projection of the gate's log and holds what a snapshot counts: rows of the entries
before it. Newer rows are in memory until the next snapshot, and are folded again after a crash. A
file that is missing, of another log, damaged or behind is never an error at opening: it begins
empty, the counts of the snapshot do not fit, and the log is folded whole. A new id costs no look
into the file: a filter in memory knows that it is new, and is kept with the rows. What this class
does not do: decide what is remembered.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from sekisho.adapters.seen_filter import SeenFilter, sealed
from sekisho.adapters.seen_tables import (
    KINDS,
    Row,
    SeenRows,
    StoredAnswers,
    StoredIds,
    StoredReports,
    for_each,
)
from sekisho.core.errors import StorageFailed
from sekisho.core.gate.agent import Seen, SeenIn

VERSION = 2
CACHE_KIB = 8_192
PENDING_MAX = 60_000
"""Rows in memory; beyond that they are written although no snapshot asked for it."""

_TABLES = """
CREATE TABLE about (version INT, origin TEXT, settled INT);
CREATE TABLE counts (agent INT, kind TEXT, rows INT, PRIMARY KEY (agent, kind)) WITHOUT ROWID;
CREATE TABLE known (agent INT, key TEXT, value BLOB, entry INT, PRIMARY KEY (agent, key))
    WITHOUT ROWID;
CREATE TABLE answers (agent INT, key INT, value INT, entry INT, PRIMARY KEY (agent, key))
    WITHOUT ROWID;
CREATE TABLE executed (agent INT, key TEXT, value INT, entry INT, PRIMARY KEY (agent, key))
    WITHOUT ROWID;
CREATE TABLE filters (block INT PRIMARY KEY, keys INT, bits BLOB);
"""
_ALL = for_each("SELECT key, value FROM ROWS WHERE agent = ?")
_PUT = for_each("INSERT OR REPLACE INTO ROWS VALUES (?, ?, ?, ?)")
_DROP = for_each("DELETE FROM ROWS WHERE entry >= ?")
_COUNT = for_each("INSERT INTO counts SELECT agent, 'ROWS', COUNT(*) FROM ROWS GROUP BY agent")
_BLOCKS = "SELECT keys, bits FROM filters ORDER BY block"
_ROWS = "SELECT COALESCE(SUM(rows), 0) FROM counts WHERE kind <> 'answers'"


class SeenCut(NamedTuple):
    """What is written at once: rows of each table with the table's size, and the filter."""

    tables: list[tuple[str, list[Row], int, int]]
    blocks: list[tuple[int, int, bytes]]


class SeenFile:
    """The ids of one gate's log. Belongs to one event loop; one process at a time has the file."""

    def __init__(self, path: Path, origin: str) -> None:
        """Open the file, or begin one.

        Args:
            path: of the file; beside it SQLite keeps two of its own.
            origin: of the gate's log; a file of another log is begun anew.

        Raises:
            StorageFailed: no file can be made there.
        """
        self._path, self._origin = path, origin
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="sekisho-ids")
        self._agents = 0
        self._settling = False
        self.pending_rows = 0
        self.entry = 0
        self.filter = SeenFilter()
        self.tables: dict[tuple[int, str], SeenRows[Any, Any]] = {}
        try:
            self._open()
            if self._about() is None or self._marker.exists():
                self._anew()
        except sqlite3.DatabaseError:
            self._anew()

    def begin(self, entries: int) -> SeenIn:
        """Forget what entries from ``entries`` on brought; agents are numbered as they ask.

        A crash in between leaves the file as it was.

        Raises:
            StorageFailed: nothing can be kept there.
        """
        self._agents, self.tables, self.pending_rows = 0, {}, 0
        try:
            about = self._about()
            if entries == 0 or about is None:
                self._anew()
            else:
                if about > entries:
                    self._drop_from(entries)
                if not self._take_filter():
                    self._anew()
        except sqlite3.DatabaseError:
            self._anew()
        return self._next_agent

    def taking(self, index: int) -> None:
        """What is added from now on comes from the entry at ``index``."""
        self.entry = index
        if self.pending_rows >= PENDING_MAX and not self._settling:
            self._write(index, self._swap())
            self._written()

    async def settle(self, entries: int) -> None:
        """Put what entries before ``entries`` brought on stable storage, all of it or nothing.

        The rows are cut off from newer ones before anything is awaited. A crash in between leaves
        the file without them.

        Raises:
            StorageFailed: the rows stay in memory.
        """
        cut = self._swap()
        loop = asyncio.get_running_loop()
        self._settling = True
        try:
            await loop.run_in_executor(self._executor, self._write, entries, cut)
            self._written()
        finally:
            self._settling = False

    def close(self) -> None:
        """Let go of the file; rows that no snapshot asked for are folded again."""
        self._executor.shutdown()
        self._reader.close()
        self._writer.close()

    def count(self, agent: int, kind: str) -> int:
        """Rows of an agent in the file."""
        found = self.select("SELECT rows FROM counts WHERE agent = ? AND kind = ?", (agent, kind))
        return 0 if found is None else int(found[0])

    def select(self, query: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The first row. Raises StorageFailed: the file cannot be relied on; it is begun anew."""
        try:
            row: tuple[Any, ...] | None = self._reader.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise self._failed(error) from error
        return row

    def rows(self, agent: int, kind: str) -> Iterator[tuple[Any, Any]]:
        """Keys and values of an agent in the file, in no order. Raises StorageFailed."""
        try:
            yield from self._reader.execute(_ALL[kind], (agent,))
        except sqlite3.Error as error:
            raise self._failed(error) from error

    # -- the file ------------------------------------------------------------------------------

    @property
    def _marker(self) -> Path:
        """Left where the file was found damaged: the next start begins it anew."""
        return self._path.with_name(self._path.name + ".damaged")

    def _failed(self, error: Exception) -> StorageFailed:
        self._marker.touch()
        return StorageFailed(
            f"{self._path}: the file of ids failed: {error}",
            str(self._path),
            "start the gate again: the file is made anew from the log",
        )

    def _open(self) -> None:
        self._reader, self._writer = (
            sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            for _ in range(2)
        )
        self._writer.execute("PRAGMA journal_mode=WAL")
        self._writer.execute("PRAGMA synchronous=FULL")
        for connection in (self._reader, self._writer):
            connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")

    def _about(self) -> int | None:
        """Up to which entry the file goes; None when it is not a file of this log."""
        try:
            row = self._reader.execute("SELECT version, origin, settled FROM about").fetchone()
        except sqlite3.OperationalError:
            return None
        if row is None or row[:2] != (VERSION, self._origin):
            return None
        return int(row[2])

    def _anew(self) -> None:
        """Begin an empty file; a crash in between leaves none, or an empty one."""
        try:
            for connection in ("_reader", "_writer"):
                if hasattr(self, connection):
                    getattr(self, connection).close()
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self._path.touch(mode=0o600)
            self._open()
            self._writer.executescript(_TABLES)
            self._writer.execute("INSERT INTO about VALUES (?, ?, 0)", (VERSION, self._origin))
            self._marker.unlink(missing_ok=True)
            self.filter = SeenFilter()
        except (OSError, sqlite3.Error) as error:
            raise StorageFailed(
                f"{self._path}: the file of ids cannot be made: {error}", str(self._path)
            ) from error

    def _take_filter(self) -> bool:
        """Read the filter; false where it may lack a row. Of rows that were dropped it keeps the
        keys, which costs a look-up each time that one is asked for.
        """
        blocks = self._reader.execute(_BLOCKS).fetchall()
        rows = self._reader.execute(_ROWS).fetchone()[0]
        self.filter = SeenFilter()
        return self.filter.begin(blocks) and self.filter.keys >= rows

    def _drop_from(self, entries: int) -> None:
        self._writer.execute("BEGIN")
        self._writer.execute("DELETE FROM counts")
        for kind in KINDS:
            self._writer.execute(_DROP[kind], (entries,))
            self._writer.execute(_COUNT[kind])
        self._writer.execute("UPDATE about SET settled = ?", (entries,))
        self._writer.execute("COMMIT")

    # -- rows in memory ------------------------------------------------------------------------

    def _next_agent(self) -> Seen:
        agent, self._agents = self._agents, self._agents + 1
        return Seen(StoredIds(self, agent), StoredAnswers(self, agent), StoredReports(self, agent))

    def _swap(self) -> SeenCut:
        """Cut off the rows of each table; they stay readable until they are in the file."""
        found, self.pending_rows = [], 0
        for (agent, kind), table in self.tables.items():
            table.writing = {**table.writing, **table.pending}
            table.pending = {}
            found.append((kind, list(table.writing.values()), agent, table.size))
        return SeenCut(found, self.filter.changed())

    def _write(self, entries: int, cut: SeenCut) -> None:
        try:
            self._writer.execute("BEGIN")
            for kind, rows, agent, size in cut.tables:
                self._writer.executemany(_PUT[kind], _sorted(rows))
                self._writer.execute(
                    "INSERT OR REPLACE INTO counts VALUES (?, ?, ?)", (agent, kind, size)
                )
            for number, keys, block in cut.blocks:
                row = (number, keys, sealed(block))
                self._writer.execute("INSERT OR REPLACE INTO filters VALUES (?, ?, ?)", row)
            self._writer.execute("UPDATE about SET settled = ?", (entries,))
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            self.filter.unchanged()
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise StorageFailed(
                f"{self._path}: the file of ids was not written: {error}", str(self._path)
            ) from error

    def _written(self) -> None:
        for table in self.tables.values():
            table.writing = {}


def _sorted(rows: list[Row]) -> list[Row]:
    """By key: neighbours in the file are written together."""
    return sorted(rows, key=lambda row: row[1])
