# SPDX-License-Identifier: Apache-2.0
"""The gate's log and its fold, kept in step: the only writer of the gate's state.

Recording is synchronous: the entry gets its index and takes effect in memory at once, so that the
next decision counts it. It takes effect *outside* only after :meth:`durable` returned.

A crash after ``record`` and before ``durable`` loses the entry and everything that followed from
it, because nothing followed from it yet. A failed flush leaves memory ahead of the disk: the log
refuses everything until it is opened anew, which reads the truth again.
"""

from __future__ import annotations

from sekisho.core.errors import StorageFailed
from sekisho.core.events import GateEntry, decode_gate_entry, encode_entry
from sekisho.core.gate.decide import Clocks
from sekisho.core.gate.state import GateState
from sekisho.core.terms import format_instant
from sekisho.ports import Clock
from sekisho.services.journal import Journal


class GateLog:
    """Journal, fold and log time of one gate."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self.journal = journal
        self.state = GateState()
        self._clock = clock
        self._last = ""
        for index, data in journal.entries():
            entry = decode_gate_entry(data)
            self.state.apply(index, entry)
            self._last = entry.at

    @property
    def origin(self) -> str:
        """The log's name, as its checkpoints carry it."""
        return self.journal.origin

    def clocks(self) -> Clocks:
        """Log time (the clock, but never below the last entry) and the boot-time clock."""
        return Clocks(max(self.state.at, self._clock.now_ns()), self._clock.monotonic_ns())

    def at(self) -> str:
        """Log time as entries carry it."""
        return format_instant(self.clocks().now)

    def record(self, entry: GateEntry) -> int:
        """Sequence an entry and fold it in; returns its index. Not durable yet.

        Raises:
            StorageFailed: the log failed earlier; nothing was recorded.
            ValueError: the entry's time lies below that of the entry before it.
        """
        self.require_sound()
        if entry.at < self._last:  # one spelling for each instant, so text sorts as time does
            raise ValueError(f"an entry of {entry.at} cannot follow one of {self._last}")
        self._last = entry.at
        index = self.journal.append(encode_entry(entry))
        self.state.apply(index, entry)
        return index

    async def durable(self, index: int) -> None:
        """Return when the entry is on stable storage; many callers share one flush.

        Raises:
            OutcomeUnknown: the flush failed; whether the entry is on disk is not known.
            StorageFailed: it certainly is not.
        """
        await self.journal.flushed(index)

    def require_sound(self) -> None:
        """Raise unless the log can be written to.

        Raises:
            StorageFailed: a write failed earlier in this process.
        """
        if self.journal.failed is not None:
            raise StorageFailed(
                "the gate's log failed and takes nothing more; open the gate again so that it reads"
                f" what is on disk ({self.journal.failed})"
            )
