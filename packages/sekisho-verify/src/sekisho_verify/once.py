# SPDX-License-Identifier: Apache-2.0
"""Taking a permit once (docs/spec/permit.md): what a venue keeps of the permits it has honoured.

A store remembers ids at least until the permits expire; an expired permit is refused anyway, by
`verify_permit`, on the venue's own clock.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Protocol

from sekisho_verify.findings import require

_SQLITE_INTEGER_MAX = 2**63 - 1


class OnceStore(Protocol):
    """Remembers permit ids. `claim` is atomic among all that share the store, and durable."""

    def claim(self, permit_id: str, expires_at_ns: int) -> bool:
        """Remember an id; True only for the first claim of it, ever."""

    def forget(self, before_ns: int) -> int:
        """Forget permits that expired before this time; returns how many."""


def accept_once(store: OnceStore, permit_id: str, expires_at_ns: int) -> None:
    """Take a verified permit, if nobody took it before.

    Raises:
        VerificationFailed: it was taken before.
        sqlite3.Error, OSError: the store failed; the permit must not be honoured.
    """
    require(store.claim(permit_id, expires_at_ns), "permit was taken before")


class MemoryStore:
    """For one process that never restarts within a permit's lifetime, and for tests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: dict[str, int] = {}

    def claim(self, permit_id: str, expires_at_ns: int) -> bool:
        with self._lock:
            if permit_id in self._taken:
                return False
            self._taken[permit_id] = expires_at_ns
            return True

    def forget(self, before_ns: int) -> int:
        with self._lock:
            old = [one for one, end in self._taken.items() if end < before_ns]
            for one in old:
                del self._taken[one]
            return len(old)


class FileStore:
    """One SQLite file; safe among threads and processes of one machine.

    A crash before `claim` returned may leave the id remembered for an order that was never
    executed: the agent then needs a new permit. It never leaves an executed one forgotten.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS taken (permit_id TEXT PRIMARY KEY, expires_at_ns INTEGER)"
        )

    def claim(self, permit_id: str, expires_at_ns: int) -> bool:
        with self._lock:
            added = self._connection.execute(
                "INSERT OR IGNORE INTO taken VALUES (?, ?)",
                (permit_id, min(expires_at_ns, _SQLITE_INTEGER_MAX)),
            )
            return added.rowcount == 1

    def forget(self, before_ns: int) -> int:
        with self._lock:
            gone = self._connection.execute(
                "DELETE FROM taken WHERE expires_at_ns < ?", (before_ns,)
            )
            return gone.rowcount

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
