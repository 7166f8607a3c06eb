# SPDX-License-Identifier: Apache-2.0
"""One SQLite file as the EntryStore port, for one process (docs/spec/stores.md).

One connection in one thread of its own: the order of the calls is the order of the transactions,
and no second connection writes to the file. WAL with ``synchronous=FULL``: a transaction is on
stable storage when its COMMIT returns. The file is locked beside it for as long as it is open.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sekisho.adapters.stores.migrations import VERSION_TABLE, to_run
from sekisho.core.errors import (
    OutcomeUnknown,
    StorageFailed,
    TermLost,
    Unavailable,
)
from sekisho.core.identity.claims import LogClaim
from sekisho.storeports import LogHead, Term

T = TypeVar("T")
_MARK = re.compile(r"\$([0-9]+)")


class SqliteStore:
    """Made by :meth:`open`; belongs to one event loop."""

    def __init__(self, path: Path, lock: int, executor: ThreadPoolExecutor) -> None:
        self._path = path
        self._lock = lock
        self._executor = executor
        self._connection: sqlite3.Connection
        self._grown: dict[str, asyncio.Event] = {}
        self._failed = ""

    @classmethod
    async def open(cls, path: Path) -> SqliteStore:
        """Open or make the file and bring its schema up to date.

        Raises:
            StorageFailed: another process has it, or it cannot be made.
            ConfigurationInvalid: its schema is not one that this program knows.
        """
        lock = _locked(path)
        store = cls(path, lock, ThreadPoolExecutor(1, thread_name_prefix="sekisho-store"))
        try:
            await store._run(store._begin)
        except BaseException:
            store._executor.shutdown()
            os.close(lock)
            raise
        return store

    async def take(self, log: str, writer: str, address: str) -> Term:
        """As the port says; the file's lock has shown already that no other process lives."""
        number, size = await self._run(lambda: self._take(log, writer, address))
        return Term(log=log, number=number, size=size)

    async def renew(self, term: Term) -> None:
        """As the port says: the lock ends with the process, so nothing is written."""
        head = await self.head(term.log)
        if head.term != term.number:
            raise _lost(term)

    async def append(
        self, term: Term, start: int, entries: Sequence[bytes], claims: Sequence[LogClaim]
    ) -> None:
        """As the port says."""
        if self._failed:
            raise StorageFailed(f"{self._path}: a write failed earlier: {self._failed}")
        await self._run(lambda: self._append(term, start, entries, claims))
        event = self._grown.pop(term.log, None)
        if event is not None:
            event.set()

    async def head(self, log: str) -> LogHead:
        """As the port says."""
        query = "SELECT size, term, writer, address FROM logs WHERE log = ?"
        row = await self._run(lambda: self._connection.execute(query, (log,)).fetchone())
        size, term, writer, address = row or (0, 0, "", "")
        return LogHead(size=size, term=term, writer=writer, address=address)

    async def entries(self, log: str, start: int, count: int) -> list[bytes]:
        """As the port says."""
        query = "SELECT entry FROM entries WHERE log = ? AND idx >= ? ORDER BY idx LIMIT ?"
        rows = await self._run(
            lambda: self._connection.execute(query, (log, start, count)).fetchall()
        )
        return [entry for (entry,) in rows]

    async def grown(self, log: str, size: int, seconds: float) -> None:
        """As the port says; only this process writes, so nothing is missed."""
        event = self._grown.setdefault(log, asyncio.Event())
        if (await self.head(log)).size > size:
            return
        with contextlib.suppress(TimeoutError):  # looking at nothing new is allowed
            await asyncio.wait_for(event.wait(), seconds)

    async def keep_checkpoint(self, term: Term, size: int, note: bytes) -> None:
        """As the port says."""
        await self._run(lambda: self._keep_checkpoint(term, size, note))

    async def checkpoint(self, log: str) -> bytes:
        """As the port says."""
        query = "SELECT note FROM checkpoints WHERE log = ?"
        row = await self._run(lambda: self._connection.execute(query, (log,)).fetchone())
        return b"" if row is None else bytes(row[0])

    async def fetch(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Run one statement, a change of it durable; see ``control.Fetch``.

        Raises:
            Unavailable: nothing was changed, or nobody was told that it was.
        """
        text = _MARK.sub(r"?\1", query)
        return await self._run(lambda: self._connection.execute(text, values).fetchall())

    async def close(self) -> None:
        """As the port says; closing again does nothing."""
        if self._lock < 0:
            return
        lock, self._lock = self._lock, -1
        self._executor.submit(self._connection.close)
        self._executor.shutdown()
        os.close(lock)

    # -- in the thread ---------------------------------------------------------------------------

    async def _run(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._executor, work)
        except sqlite3.Error as error:
            raise Unavailable(f"{self._path}: {error}", str(self._path)) from error
        except RuntimeError as error:
            if self._lock < 0:
                raise Unavailable(f"{self._path} is closed", str(self._path)) from error
            raise

    def _begin(self) -> None:
        """A crash between two migrations leaves the schema between them; the next opening ends
        it.
        """
        self._path.touch(mode=0o600)
        self._connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("PRAGMA foreign_keys=ON")
        self._connection.execute(VERSION_TABLE)
        ran = dict(self._connection.execute("SELECT version, sha256 FROM schema_version"))
        for step in to_run("sqlite", ran, str(self._path)):
            row = f"{step.version}, '{step.sha256}'"  # a number and a digest of our own
            insert = f"INSERT INTO schema_version VALUES ({row})"  # noqa: S608 - as said
            try:
                self._connection.executescript(f"BEGIN;\n{step.sql}\n{insert};\nCOMMIT;")
            except sqlite3.Error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _take(self, log: str, writer: str, address: str) -> tuple[int, int]:
        with self._transaction():
            self._connection.execute("INSERT OR IGNORE INTO logs (log) VALUES (?)", (log,))
            row = self._connection.execute(
                "UPDATE logs SET term = term + 1, writer = ?, address = ? WHERE log = ?"
                " RETURNING term, size",
                (writer, address, log),
            ).fetchone()
        return int(row[0]), int(row[1])

    def _append(
        self, term: Term, start: int, entries: Sequence[bytes], claims: Sequence[LogClaim]
    ) -> None:
        log, run = term.log, self._connection.execute
        with self._transaction():
            changed = run(
                "UPDATE logs SET size = ? WHERE log = ? AND term = ? AND size = ?",
                (start + len(entries), log, term.number, start),
            )
            if not changed.rowcount:
                self._explain(term, start)
            self._connection.executemany(
                "INSERT INTO entries VALUES (?, ?, ?)",
                [(log, index, entry) for index, entry in enumerate(entries, start)],
            )
            for claim in claims:
                row = (log, claim.kind, claim.name)
                if not claim.taken:
                    run("DELETE FROM claims WHERE log = ? AND kind = ? AND name = ?", row)
                elif not run("INSERT OR IGNORE INTO claims VALUES (?, ?, ?)", row).rowcount:
                    raise taken_already(claim)

    def _keep_checkpoint(self, term: Term, size: int, note: bytes) -> None:
        with self._transaction():
            row = self._connection.execute(
                "SELECT 1 FROM logs WHERE log = ? AND term = ?", (term.log, term.number)
            ).fetchone()
            if row is None:
                raise _lost(term)
            self._connection.execute(
                "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?)", (term.log, size, note)
            )

    def _explain(self, term: Term, start: int) -> None:
        """Say why the row of the log was not that of this writer."""
        row = self._connection.execute(
            "SELECT term, size FROM logs WHERE log = ?", (term.log,)
        ).fetchone()
        if row is None or row[0] != term.number:
            raise _lost(term)
        raise StorageFailed(f"{term.log}: the log has {row[1]} entries, not {start}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """A transaction that is on stable storage at its end, or leaves nothing.

        A crash before COMMIT returns leaves all or nothing; which, the next opening shows.
        """
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except sqlite3.Error as error:
            self._connection.execute("ROLLBACK")
            raise StorageFailed(f"{self._path}: {error}", str(self._path)) from error
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._failed = str(error)
            raise OutcomeUnknown(f"{self._path}: the commit failed: {error}") from error


def taken_already(claim: LogClaim) -> StorageFailed:
    """The failure of an append whose claim is there: memory and database disagree."""
    return StorageFailed(
        f"{claim.kind} {claim.name[:80]!r} is taken already: what is in memory and what is in the"
        " store disagree",
        do="open the authority again; if it comes back, restore the store from a backup",
    )


def _lost(term: Term) -> TermLost:
    return TermLost(f"{term.log}: term {term.number} is over, another process writes the log")


def _locked(path: Path) -> int:
    """Hold the store for this process. Raises StorageFailed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = path.with_name(path.name + ".lock")
        lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageFailed(f"{path}: cannot be opened: {error}", str(path)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StorageFailed(
            f"{path}: in use by another process",
            str(path),
            "end that process; several replicas need PostgreSQL",
        ) from error
    return lock
