# SPDX-License-Identifier: Apache-2.0
"""The gate's log, its fold and the watch's fold, kept in step: the only writer of the gate's state.

Recording is synchronous: the entry gets its index and takes effect in memory at once, so that the
next decision counts it. It takes effect *outside* only after :meth:`durable` returned.

What follows from an entry by rule is recorded with it, before anything else can be decided: a score
that crossed its threshold opens an incident, so does what no permit covers, and people who took a
stop back begin the risk score anew (docs/spec/behaviour.md, sections 5 and 7).

A crash after ``record`` and before ``durable`` loses the entry and everything that followed from
it, because nothing followed from it yet. A crash that loses only what follows by rule is made good
when ``gate_opened`` is recorded: a new accumulation before it, directly after what called for it,
an incident directly after it. A failed flush leaves memory ahead of the disk: the log refuses
everything until it is opened anew, which reads the truth again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import msgspec

from sekisho.core.behaviour.watch import WatchState, incident_id
from sekisho.core.errors import MalformedInput, StorageFailed
from sekisho.core.events import (
    AccumulationRestarted,
    AgentAdmitted,
    GateEntry,
    GateOpened,
    IncidentOpened,
    LocalStop,
    Rearmed,
    StatusActed,
    decode_gate_entry,
    encode_entry,
)
from sekisho.core.gate.agent import SeenIn, in_memory
from sekisho.core.gate.decide import Clocks
from sekisho.core.gate.state import GateState
from sekisho.core.gate.venues import Break
from sekisho.core.terms import format_instant
from sekisho.ports import Clock

IncidentListener = Callable[[int, IncidentOpened], None]
Follower = Callable[[int, GateEntry], None]


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

    def condemn(self, error: Exception) -> None: ...

    async def flushed(self, index: int) -> None: ...

    def entry(self, index: int) -> bytes: ...

    def leaf_hash(self, index: int) -> bytes: ...

    def entries(self, start: int = 0) -> Iterator[tuple[int, bytes]]: ...

    def root(self, size: int | None = None) -> bytes: ...

    def consistency_proof(self, old_size: int, new_size: int) -> list[bytes]: ...


class LogNotes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where in the log are incidents and local stops, and since when a certificate is good again.

    ``restart_due``: the agent whose accumulation the next entry must begin anew, or empty.
    """

    incidents: tuple[int, ...]
    local_stops: tuple[int, ...]
    lifted: dict[str, int]
    restart_due: str


class Beginning(NamedTuple):
    """The folds of the first entries of a log: what a snapshot gives back."""

    state: GateState
    watch: WatchState
    notes: LogNotes


class GateLog:
    """Journal, folds and log time of one gate.

    Attributes:
        incidents: every incident that this log opened, by its index.
        local_stops: every stop by people at this gate, by its index.
    """

    def __init__(
        self,
        journal: EntryLog,
        clock: Clock,
        seen_in: SeenIn = in_memory,
        beginning: Beginning | None = None,
        taking: Callable[[int], None] = lambda _index: None,
    ) -> None:
        """Fold what the journal holds, all of it or what follows a beginning.

        Args:
            journal: the log.
            clock: for log time.
            seen_in: where ids are kept.
            beginning: the folds of the first entries; None: fold all.
            taking: called with the index of each entry before it is folded.

        Raises:
            MalformedInput: an entry, or what the beginning says of the log.
            VerificationFailed: what is stored is not what was published.
        """
        self.journal = journal
        self.state = GateState(seen_in) if beginning is None else beginning.state
        self.watch = WatchState(journal.origin) if beginning is None else beginning.watch
        self.incidents: dict[int, IncidentOpened] = {}
        self.local_stops: dict[int, LocalStop] = {}
        self._listeners: list[IncidentListener] = []
        self._followers: list[Follower] = []
        self._unheard: dict[str, str] = {}
        self._clock = clock
        self._last = ""
        self._restart_due = ""
        self._lifted: dict[str, int] = {}
        self._taking = taking
        if beginning is not None:
            self._begin(beginning.notes)
        for index, data in journal.entries(self.state.size):
            self._take(index, decode_gate_entry(data))

    def notes(self) -> LogNotes:
        """What this object knows of the log besides the two folds, as a snapshot holds it."""
        return LogNotes(
            incidents=tuple(self.incidents),
            local_stops=tuple(self.local_stops),
            lifted=dict(self._lifted),
            restart_due=self._restart_due,
        )

    def _begin(self, notes: LogNotes) -> None:
        """Take notes back; the entries they point at are read again."""
        self._last = format_instant(self.state.at)
        self._restart_due, self._lifted = notes.restart_due, dict(notes.lifted)
        for index in sorted({*notes.incidents, *notes.local_stops}):
            if not 0 <= index < self.state.size:
                raise MalformedInput(f"snapshot: entry {index} is not one that it took in")
            entry = decode_gate_entry(self.journal.entry(index))
            if not isinstance(entry, IncidentOpened | LocalStop):
                raise MalformedInput(f"snapshot: entry {index} is no incident and no local stop")
            self._note(index, entry)
            if self._lifted.get(entry.certificate_sha256, -1) > index:
                self._hear_all(entry.certificate_sha256)

    @property
    def origin(self) -> str:
        """The log's name, as its checkpoints carry it."""
        return self.journal.origin

    def on_incident(self, listener: IncidentListener) -> None:
        """Call ``listener`` at once, without waiting, for every incident from now on."""
        self._listeners.append(listener)

    def follow(self, follower: Follower) -> None:
        """Call ``follower`` at once, without waiting, for every entry that is recorded from now on.

        An entry that it hears of is not durable yet, and may never be.
        """
        self._followers.append(follower)

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
        try:
            self._take(index, entry)
        except StorageFailed as error:
            # Ids could not be looked up: memory is behind the log, which a new opening mends.
            self.journal.condemn(error)
            raise
        for follower in self._followers:
            follower(index, entry)
        if self._restart_due:
            self._restart()
            return index
        if self.state.outside.due is not None:
            self._open_break(self.state.outside.due)
        if isinstance(entry, GateOpened):
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

    def heard_stop(self, index: int) -> None:
        """The authority has taken the local stop at ``index``, and with it every earlier one of its
        certificate: it holds since, whoever asked for it.
        """
        certificate = self.local_stops[index].certificate_sha256
        for earlier, stop in self.local_stops.items():
            if earlier <= index and stop.certificate_sha256 == certificate:
                self._unheard.pop(_stop_name(earlier), None)

    def unheard_stops(self) -> dict[int, LocalStop]:
        """Local stops of which the authority is not known to have heard, by index."""
        return {
            index: stop
            for index, stop in self.local_stops.items()
            if _stop_name(index) in self._unheard
        }

    def unheard(self) -> frozenset[str]:
        """Certificates that an incident or a local stop holds of which the authority is not known
        to have heard; a local stop also the one that its agent has now.

        Until it has, it may call them good: that lifts nothing.
        """
        agents = {stop.agent for stop in self.unheard_stops().values()} & self.state.agents.keys()
        present = {self.state.agents[agent].certificate_sha256 for agent in agents}
        return frozenset({*self._unheard.values(), *present})

    def held_since(self, index: int) -> frozenset[str]:
        """Certificates held by incidents or local stops that stand at ``index`` or later."""
        return frozenset(
            entry.certificate_sha256
            for at, entry in self.incidents.items()
            if at >= index and entry.incident_kind == "hold"
        ) | frozenset(
            stop.certificate_sha256 for at, stop in self.local_stops.items() if at >= index
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
        self._taking(index)
        self.state.apply(index, entry)
        self.watch.apply(index, entry)
        self._last = entry.at
        if isinstance(entry, IncidentOpened | LocalStop):
            self._note(index, entry)
        elif isinstance(entry, StatusActed) and entry.status == "good":
            self._lifted[entry.certificate_sha256] = index
            self._hear_all(entry.certificate_sha256)

    def _note(self, index: int, entry: IncidentOpened | LocalStop) -> None:
        if isinstance(entry, LocalStop):
            self.local_stops[index] = entry
            self._unheard[_stop_name(index)] = entry.certificate_sha256
            return
        self.incidents[index] = entry
        if entry.incident_kind == "hold":
            self._unheard[entry.incident] = entry.certificate_sha256

    def _hear_all(self, certificate: str) -> None:
        """The authority calls the certificate good again: it has heard of all before."""
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
            and not agent.left  # it comes back: nobody took anything back
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
        self._open(entry)

    def _open_break(self, due: Break) -> None:
        """Open the incident of what no permit covers, directly after the entry that showed it."""
        self._open(
            IncidentOpened(
                at=self.at(),
                incident=incident_id(self.origin, due.trigger, "break"),
                agent=due.agent,
                certificate_sha256=due.certificate_sha256,
                incident_kind="break",
                score="venue",
                factor=due.factor,
                observed=due.venue,
                threshold="",
                trigger=due.trigger,
            )
        )

    def _open(self, entry: IncidentOpened) -> None:
        index = self.record(entry)
        for listener in self._listeners:
            listener(index, entry)


def _stop_name(index: int) -> str:
    """What the local stop at ``index`` is called among what the authority may not have heard."""
    return f"local stop {index}"
