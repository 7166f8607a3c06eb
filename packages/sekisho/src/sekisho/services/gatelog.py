# SPDX-License-Identifier: Apache-2.0
"""The gate's log, its fold and the watch's fold, kept in step: the only writer of the gate's state.

Recording is synchronous: the entry gets its index and takes effect in memory at once, so that the
next decision counts it. It takes effect *outside* only after :meth:`durable` returned.

What follows from an entry by rule is recorded with it, before anything else can be decided: a score
that crossed its threshold opens an incident, and people who took a stop back begin the risk score
anew (docs/spec/behaviour.md, sections 5 and 7).

A crash after ``record`` and before ``durable`` loses the entry and everything that followed from
it, because nothing followed from it yet. A crash that loses only what follows by rule is made good
when ``gate_opened`` is recorded: a new accumulation before it, directly after what called for it,
an incident directly after it. A failed flush leaves memory ahead of the disk: the log refuses
everything until it is opened anew, which reads the truth again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from sekisho.core.behaviour.watch import WatchState, incident_id
from sekisho.core.errors import StorageFailed
from sekisho.core.events import (
    AccumulationRestarted,
    AgentAdmitted,
    GateEntry,
    GateOpened,
    IncidentOpened,
    Rearmed,
    StatusActed,
    decode_gate_entry,
    encode_entry,
)
from sekisho.core.gate.agent import SeenIn, in_memory
from sekisho.core.gate.decide import Clocks
from sekisho.core.gate.state import GateState
from sekisho.core.terms import format_instant
from sekisho.ports import Clock

IncidentListener = Callable[[int, IncidentOpened], None]


class EntryLog(Protocol):
    """What of a journal a gate needs; ``services.journal.Journal`` is such.

    ``flushed`` returns when the entry is on stable storage; ``entry``, ``leaf_hash``, ``root`` and
    ``consistency_proof`` raise IndexError for what is not there.
    """

    @property
    def origin(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def durable_size(self) -> int: ...

    @property
    def failed(self) -> Exception | None: ...

    def append(self, entry: bytes) -> int: ...

    async def flushed(self, index: int) -> None: ...

    def entry(self, index: int) -> bytes: ...

    def leaf_hash(self, index: int) -> bytes: ...

    def entries(self, start: int = 0) -> Iterator[tuple[int, bytes]]: ...

    def root(self, size: int | None = None) -> bytes: ...

    def consistency_proof(self, old_size: int, new_size: int) -> list[bytes]: ...


class GateLog:
    """Journal, folds and log time of one gate.

    Attributes:
        incidents: every incident that this log opened, by its index.
    """

    def __init__(self, journal: EntryLog, clock: Clock, seen_in: SeenIn = in_memory) -> None:
        self.journal = journal
        self.state = GateState(seen_in)
        self.watch = WatchState(journal.origin)
        self.incidents: dict[int, IncidentOpened] = {}
        self._listeners: list[IncidentListener] = []
        self._unheard: dict[str, str] = {}
        self._clock = clock
        self._last = ""
        self._restart_due = ""
        for index, data in journal.entries():
            self._take(index, decode_gate_entry(data))

    @property
    def origin(self) -> str:
        """The log's name, as its checkpoints carry it."""
        return self.journal.origin

    def on_incident(self, listener: IncidentListener) -> None:
        """Call ``listener`` at once, without waiting, for every incident from now on."""
        self._listeners.append(listener)

    def clocks(self) -> Clocks:
        """Log time (the clock, but never below the last entry) and the boot-time clock."""
        return Clocks(max(self.state.at, self._clock.now_ns()), self._clock.monotonic_ns())

    def at(self) -> str:
        """Log time as entries carry it."""
        return format_instant(self.clocks().now)

    def record(self, entry: GateEntry) -> int:
        """Sequence an entry and fold it in, with what follows from it by rule; returns its index.

        Not durable yet.

        Raises:
            StorageFailed: the log failed earlier; nothing was recorded.
            ValueError: the entry's time lies below that of the entry before it.
        """
        self.require_sound()
        if entry.at < self._last:  # one spelling for each instant, so text sorts as time does
            raise ValueError(f"an entry of {entry.at} cannot follow one of {self._last}")
        if self._restart_due:  # of an earlier process, which had no time to record it
            self._restart()
        index = self.journal.append(encode_entry(entry))
        self._take(index, entry)
        if self._restart_due:
            self._restart()
        elif isinstance(entry, GateOpened):
            self.note_crossings()
        elif name := getattr(entry, "agent", ""):
            self._note_crossing(name)
        return index

    def note_crossings(self) -> None:
        """Open the incidents that an earlier process had no time to open."""
        for name in list(self.state.agents):
            self._note_crossing(name)

    def heard(self, incident: str) -> None:
        """The authority has taken this incident: what it says from now on takes it in."""
        self._unheard.pop(incident, None)

    def unheard(self) -> frozenset[str]:
        """Certificates that an incident holds of which the authority is not known to have heard.

        Until it has, it may call them good: that lifts nothing.
        """
        return frozenset(self._unheard.values())

    def held_since(self, index: int) -> frozenset[str]:
        """Certificates that incidents hold which were opened at ``index`` or later."""
        return frozenset(
            entry.certificate_sha256
            for at, entry in self.incidents.items()
            if at >= index and entry.incident_kind == "hold"
        )

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

    def _take(self, index: int, entry: GateEntry) -> None:
        self._restart_due = getattr(entry, "agent", "") if self._restarts(entry) else ""
        self.state.apply(index, entry)
        self.watch.apply(index, entry)
        self._last = entry.at
        if isinstance(entry, IncidentOpened):
            self.incidents[index] = entry
            if entry.incident_kind == "hold":
                self._unheard[entry.incident] = entry.certificate_sha256
        elif isinstance(entry, StatusActed) and entry.status == "good":
            certificate = entry.certificate_sha256
            self._unheard = {
                incident: held for incident, held in self._unheard.items() if held != certificate
            }

    def _restart(self) -> None:
        """Begin the accumulation anew, directly after the entry that called for it."""
        name, self._restart_due = self._restart_due, ""
        first, last = self.watch.restart_range(name, self.journal.size)
        self.record(AccumulationRestarted(at=self._last, agent=name, first=first, last=last))

    def _restarts(self, entry: GateEntry) -> bool:
        """Whether people took a stop back by this entry, for an agent with a baseline."""
        agent = self.state.agents.get(getattr(entry, "agent", ""))
        if agent is None or not agent.baseline_sha256:
            return False
        if isinstance(entry, AgentAdmitted):
            return entry.certificate_sha256 != agent.certificate_sha256
        if isinstance(entry, Rearmed):
            return entry.latch == "circuit_breaker"
        return (
            isinstance(entry, StatusActed)
            and entry.status == "good"
            and agent.status == "hold"
            and entry.certificate_sha256 == agent.certificate_sha256
            and entry.epoch > agent.epoch
        )

    def _note_crossing(self, name: str) -> None:
        """Open the incident of a score that crossed, unless the agent is stopped already."""
        held, crossing = self.state.agents.get(name), self.watch.crossing(name)
        if held is None or crossing is None or held.status != "good":
            return
        if crossing.kind == "breaker" and "circuit_breaker" in held.latches:
            return
        entry = IncidentOpened(
            at=self.at(),
            incident=incident_id(self.origin, crossing.trigger, crossing.kind),
            agent=name,
            certificate_sha256=held.certificate_sha256,
            incident_kind=crossing.kind,
            score=crossing.score,
            factor=crossing.factor,
            observed=crossing.observed,
            threshold=crossing.threshold,
            trigger=crossing.trigger,
        )
        index = self.record(entry)
        for listener in self._listeners:
            listener(index, entry)
