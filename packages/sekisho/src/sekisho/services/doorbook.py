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

    def refused(self, front: Front, word: Word, uid: int | None = None) -> None:
        """Note one; nothing waits for the record, which comes with the next flush."""
        now = self._clock.monotonic_ns()
        if self._written is not None and now - self._written < NS:
            self._unrecorded += 1
            return
        entry = CallerRefused(
            at=format_instant(self._log.clocks().now),
            front=front,
            word=word,
            uid="" if uid is None else str(uid),
            unrecorded=self._unrecorded,
        )
        try:
            self._log.record(entry)
        except StorageFailed:
            self._unrecorded += 1  # the log takes nothing until the gate is opened anew
            return
        self._written, self._unrecorded = now, 0
