# SPDX-License-Identifier: Apache-2.0
"""Requests of those who may not ask: one entry a second says that there were such, and how many.

Who it was is not known: that is why they are refused. A token, a key or a header is never recorded.
A crash loses the count of at most the last second.
"""

from __future__ import annotations

from typing import Literal

from sekisho.core.errors import StorageFailed
from sekisho.core.events import CallerRefused
from sekisho.core.terms import NS, format_instant
from sekisho.ports import Clock
from sekisho.services.gatelog import GateLog

Front = Literal["http", "rest", "fix"]
Word = Literal["unauthenticated", "forbidden"]


class DoorBook:
    """Refusals at the doors of one gate."""

    def __init__(self, log: GateLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._written: int | None = None
        self._unrecorded = 0
        self._last: tuple[Front, Word, int | None] = ("http", "unauthenticated", None)
        self._waiting = False

    def refused(self, front: Front, word: Word, uid: int | None = None) -> None:
        """Note one; nothing waits for the record, which comes with the next flush.

        What comes within a second of an entry is in the next one, a second after it at the latest.
        """
        now = self._clock.monotonic_ns()
        if self._written is not None and now - self._written < NS:
            self._unrecorded += 1
            self._last = front, word, uid
            if not self._waiting:
                self._waiting = True
                self._clock.call_later((self._written + NS - now) / NS, self._due)
            return
        self._record(front, word, uid, self._unrecorded)

    def flush(self) -> None:
        """Record what was counted and is in no entry yet; before the log is closed."""
        if self._unrecorded:
            self._record(*self._last, self._unrecorded - 1)

    def _due(self) -> None:
        self._waiting = False
        self.flush()

    def _record(self, front: Front, word: Word, uid: int | None, more: int) -> None:
        entry = CallerRefused(
            at=format_instant(self._log.clocks().now),
            front=front,
            word=word,
            uid="" if uid is None else str(uid),
            unrecorded=more,
        )
        try:
            self._log.record(entry)
        except StorageFailed:
            # The log takes nothing until the gate is opened anew.
            self._unrecorded, self._last = more + 1, (front, word, uid)
            return
        self._written, self._unrecorded = self._clock.monotonic_ns(), 0
