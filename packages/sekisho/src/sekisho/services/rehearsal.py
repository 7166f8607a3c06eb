# SPDX-License-Identifier: Apache-2.0
"""A firm's own history through the gate: each row asked for at its own time, as a bot would.

Time is the rows'. The gate, its log, its lease, the watch and the release of permits are those that
any agent gets; nothing is decided here. What differs is who stands around: the venue answers what
the history tells, the rates are of a file, and the people act at once: they go live with the
baseline on the day it is complete, and take every stop back after it was noted, so that the rest
of the history is judged too. In earnest each of these stops would have lasted until people came.

Nothing here is durable. A crash leaves a folder without a summary, which says that it is no result.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, NamedTuple, Protocol

from sekisho.core.behaviour.watch import describe
from sekisho.core.drills.history import BadRow, HistoryRow, day_end
from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import VerificationFailed
from sekisho.core.events import Decision, GateEntry, IncidentOpened
from sekisho.core.gate.agent import AgentState
from sekisho.ports import RateSource, VenueReport
from sekisho.services.gatekeeper import Gatekeeper
from sekisho.services.gatelog import GateLog
from sekisho.services.governing import Governing
from sekisho.services.rehearsal_authority import RehearsalAuthority, RehearsalPeople
from sekisho.services.rehearsal_figures import DecisionLine, RehearsalFigures
from sekisho.services.release import Release

PROGRESS_ROWS = 64


class RehearsalLog(GateLog):
    """The gate's log, which keeps no incidents: who follows notes them, and nobody else asks."""

    def _take(self, index: int, entry: GateEntry) -> None:
        super()._take(index, entry)
        self.incidents.clear()


class TellingVenue(Protocol):
    """The venue of a rehearsal."""

    def expect(self, row: HistoryRow) -> None: ...

    def next_at(self) -> int | None: ...

    def due(self, now: int) -> tuple[str, tuple[VenueReport, ...]] | None: ...


class MovingRates(RateSource, Protocol):
    """Rates that move with the orders."""

    def advance(self, row: HistoryRow) -> None: ...


class MovingClock(Protocol):
    """A clock that moves when told."""

    def now_ns(self) -> int: ...

    def advance_to(self, now_ns: int) -> None: ...


class ResultSink(Protocol):
    """Where lines go; a failure to write is raised and ends the rehearsal."""

    def decided(self, line: DecisionLine) -> None: ...

    def bad_row(self, row: BadRow) -> None: ...


class RehearsalGate(NamedTuple):
    """The services of the gate that is rehearsed with, and those who stand around it.

    ``valid_until``: end of the certificate, ns UTC; ``renew`` gets another one, and says until when
    that is valid. ``close_incident`` is told of each incident that people ended.
    """

    log: RehearsalLog
    gatekeeper: Gatekeeper
    release: Release
    governing: Governing
    authority: RehearsalAuthority
    people: RehearsalPeople
    venue: TellingVenue
    rates: MovingRates
    clock: MovingClock
    valid_until: int
    renew: Callable[[], Awaitable[int]]
    close_incident: Callable[[str, Literal["released", "rearmed"]], None]


class Rehearsal:
    """One run over one history."""

    def __init__(self, agent: str, gate: RehearsalGate, figures: RehearsalFigures) -> None:
        self.figures = figures
        self._agent = agent
        self._gate = gate
        self._valid_until = gate.valid_until
        self._line = 0
        self._day = 0
        self._decision: Decision | None = None
        self._incident = ""
        gate.log.follow(self._follow)

    async def run(
        self,
        rows: Iterable[HistoryRow | BadRow],
        sink: ResultSink,
        *,
        stopped: Callable[[], bool],
        progress: Callable[[RehearsalFigures], None],
    ) -> bool:
        """Ask for every row; returns whether all were, and not ``stopped`` in between.

        Raises:
            StorageFailed, OSError: a work file or a result cannot be written.
        """
        for count, row in enumerate(rows):
            if stopped():
                return False
            if isinstance(row, BadRow):
                sink.bad_row(row)
                self.figures.bad_row(row)
            else:
                sink.decided(await self._row(row))
            if count % PROGRESS_ROWS == 0:
                progress(self.figures)
        await self._play(day_end(self._held.limits.local, self._gate.clock.now_ns()))
        await self._go_live()
        return True

    def baseline(self) -> dict[str, Any]:
        """The baseline that the history yields so far, as the summary shows it."""
        held = self._held
        found = self._gate.log.watch.baseline(self._agent, self._gate.log.clocks().now)
        # Of a history without a permitted order there is none: it would begin on no day.
        made = found.baseline if found.baseline and found.baseline["from"] else None
        return {
            "complete": found.complete,
            "missing": list(found.missing),
            "sha256": found.sha256,
            "in_force": bool(held.baseline_sha256),
            "adopted_before_line": self.figures.adopted_line,
            "description": dict(describe(made)) if made else {},
            "document": made,
        }

    @property
    def _held(self) -> AgentState:
        return self._gate.log.state.agents[self._agent]

    # -- one row -------------------------------------------------------------------------------

    async def _row(self, row: HistoryRow) -> DecisionLine:
        gate = self._gate
        await self._play(row.at)
        self._line = row.line
        if row.at >= self._valid_until:
            self._valid_until = await gate.renew()
            self.figures.renewals += 1
        day = self._held.limits.day(row.at)
        if day != self._day:
            self._day = day
            await self._go_live()
        gate.rates.advance(row)
        known = self._held.known.get(row.client_order_id)
        if known is not None and known.digest == sha256_hex(row.body):
            return self.figures.row(row, "repeated", None)
        gate.venue.expect(row)
        answer = await gate.gatekeeper.submit(self._agent, row.body)
        entry, verdict = self._last_decision(), str(answer.kind)
        if entry is None or verdict not in self.figures.verdicts:
            raise VerificationFailed(
                f"line {row.line}: the gate answered {verdict}: {answer.detail}"
            )
        line = self.figures.row(row, verdict, entry)
        await self._recover()
        return line

    async def _play(self, until: int) -> None:
        """Let happen what the history tells until then, each at its own time."""
        venue, clock = self._gate.venue, self._gate.clock
        while (at := venue.next_at()) is not None and at <= until:
            clock.advance_to(max(at, clock.now_ns()))
            while (told := venue.due(at)) is not None:
                self._gate.release.take(*told)
            await self._recover()
        if until > clock.now_ns():
            clock.advance_to(until)

    def _last_decision(self) -> Decision | None:
        """The decision that was recorded since it was asked last."""
        entry, self._decision = self._decision, None
        return entry

    def _follow(self, _index: int, entry: GateEntry) -> None:
        if isinstance(entry, Decision):
            self._decision = entry
        elif isinstance(entry, IncidentOpened):
            self.figures.incident(self._line, entry)
            if entry.incident_kind != "break":
                self._incident = entry.incident

    # -- people --------------------------------------------------------------------------------

    async def _go_live(self) -> None:
        """Go live with the baseline on the first day on which it is complete."""
        held, log = self._held, self._gate.log
        if held.baseline_sha256:
            return
        found = log.watch.baseline(self._agent, log.clocks().now)
        if found.complete:
            await self._gate.governing.go_live(self._gate.people.go_live(found.sha256))
            self.figures.adopted_line = self._line

    async def _recover(self) -> None:
        """Take back every stop that came about, as two people of different roles would."""
        held, gate = self._held, self._gate
        if held.status == "hold":
            gate.log.heard(self._incident)  # who takes the hold back knows of it
            await gate.authority.release(gate.people.release())
            await gate.gatekeeper.leasing.renew()
            gate.close_incident(self._incident, "released")
        for latch in sorted(held.latches):
            self.figures.latch(latch)
            await gate.governing.rearm(gate.people.rearm(latch))
            if latch == "circuit_breaker":
                gate.close_incident(self._incident, "rearmed")
        for venue, standing in gate.log.state.outside.venues.items():
            if standing.incident:  # the history executed more than was asked for
                await gate.governing.rearm(gate.people.rearm_venue(venue, standing.incident))
        if held.status != "good":
            raise VerificationFailed(f"{self._agent}: is {held.status} and could not be released")
