# SPDX-License-Identifier: Apache-2.0
"""Permits to the venue, and the venue's answers back into the log.

A time-out means unknown, never failed: the order keeps its reservation until the venue answers for
it. Nothing is sent twice. A call that never comes back is unknown too, after ``CALL_S``; what it
says later is taken all the same. What a crash leaves: an order in phase *signed* or *unknown*,
which ``venuedoubts`` asks the venue about after the next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

from sekisho.core.errors import MalformedInput, OutcomeUnknown, StorageFailed, Unavailable
from sekisho.core.events import (
    CancelAsked,
    OutcomeUnresolved,
    PermitSigned,
    VenueLost,
    decode_gate_entry,
)
from sekisho.core.gate.agent import AgentState
from sekisho.core.gate.permit import read_permit
from sekisho.core.gate.working import WorkingOrder
from sekisho.core.terms import NS, parse_instant
from sekisho.ports import Clock, Venue, VenueReport
from sekisho.services.gatelog import GateLog
from sekisho.services.venuereports import LIVES, TEXT_MAX, Contradiction, exec_id_of, execution_of
from sekisho.services.waiting import settle

CALL_S = 10.0
"""So long a venue's adapter is waited for, whatever time-out it has of its own."""
ASKED_EARLY = ("possibly_issued", "unknown", "open")
"""Phases in which no permit of this process is on its way to the venue."""
Operation = Literal["submit", "amend", "cancel"]
_T = TypeVar("_T")


class Release:
    """Speaks to the venues with the gate's own credential."""

    def __init__(self, log: GateLog, venues: Mapping[str, Venue], clock: Clock) -> None:
        self._log = log
        self._venues = venues
        self._clock = clock
        self._flights: dict[str, int] = {}
        self._landing: dict[str, list[asyncio.Future[None]]] = {}
        self._copied: dict[str, int] = {}
        self._sending: set[tuple[str, str]] = set()
        self._unreadable: dict[str, set[str]] = {}
        self.odd_reports = 0
        self.unrecorded = ""
        """Why the last late answer is not in the log."""

    @property
    def venues(self) -> tuple[str, ...]:
        """The venues that this gate is connected to."""
        return tuple(self._venues)

    def connected(self, venue: str) -> bool:
        """Whether this gate has a connection to a venue of this name."""
        return venue in self._venues

    @contextmanager
    def in_flight(self, agent: str) -> Iterator[None]:
        """Mark that a permit of this agent is between its signature and the venue's answer."""
        self._flights[agent] = self._flights.get(agent, 0) + 1
        try:
            yield
        finally:
            self._flights[agent] -= 1
            if self._flights[agent] == 0:
                for waiting in self._landing.pop(agent, []):
                    if not waiting.done():
                        waiting.set_result(None)

    def flights(self, agent: str) -> int:
        """How many permits of this agent are in flight."""
        return self._flights.get(agent, 0)

    async def landed(self, agent: str, wait_s: float) -> bool:
        """Wait until no permit of this agent is in flight; false when one still is after
        ``wait_s``.
        """
        if self.flights(agent) == 0:
            return True
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._landing.setdefault(agent, []).append(waiting)
        try:
            async with asyncio.timeout(wait_s):
                await waiting
        except TimeoutError:
            return False
        return True

    async def submit(self, agent: str, venue: str, client_order_id: str, permit: str) -> None:
        """Hand a permit to its venue and record what it says, or that it said nothing."""
        port = self._venues.get(venue)
        if port is None:
            self._unresolved(agent, client_order_id, "submit", f"no connection to {venue}")
            return
        self._sending.add((agent, client_order_id))
        try:
            reports = await self._answer(
                port.submit(permit), late=lambda said: self.take(venue, said)
            )
        except (OutcomeUnknown, Unavailable) as error:
            self._unresolved(agent, client_order_id, "submit", str(error))
            return
        finally:
            self._sending.discard((agent, client_order_id))
        self.take(venue, reports)

    async def _answer(
        self, call: Coroutine[Any, Any, _T], late: Callable[[_T], None] | None = None
    ) -> _T:
        """What a venue's adapter answers; one that does not come back holds nobody for longer.

        Args:
            call: of the adapter; it goes on when it is no longer waited for.
            late: what to do with an answer that comes after that.

        Raises:
            OutcomeUnknown: no answer within ``CALL_S``; and whatever the adapter raises.
        """
        task = asyncio.ensure_future(call)
        task.add_done_callback(_read)
        if await settle(self._clock, [task], CALL_S):
            return task.result()
        if late is not None:
            task.add_done_callback(lambda done: self._arrived_late(done, late))
        raise OutcomeUnknown(f"no answer within {CALL_S:g} s")

    def _arrived_late(self, done: asyncio.Future[_T], late: Callable[[_T], None]) -> None:
        if done.cancelled() or done.exception() is not None:
            return  # unknown it is already
        try:
            late(done.result())
        except StorageFailed as error:
            # The log takes nothing; opened anew, it reads the same reports in the drop copy.
            self.unrecorded = str(error)

    async def cancel(self, agent: str, client_order_id: str, cause: str) -> bool:
        """Cancel a resting order; true when the venue confirmed that it can no longer be executed.

        A failing log does not stop a cancel: it goes out, and the failure is raised afterwards.
        """
        held = self._log.state.agents.get(agent)
        order = None if held is None else held.find(client_order_id)
        name = client_order_id if order is None else order.client_order_id
        venues = list(self._venues) if order is None else [order.terms.venue]
        failure: StorageFailed | None = None
        try:
            asked = CancelAsked(
                at=self._log.at(), agent=agent, client_order_id=name, cause=cause[:TEXT_MAX]
            )
            await self._log.durable(self._log.record(asked))
        except (StorageFailed, OutcomeUnknown) as error:
            failure = StorageFailed(str(error))
        for venue in venues:
            await self._cancel_at(agent, name, venue, failure is None)
        if failure is not None:
            raise failure
        return held is None or held.find(name) is None

    async def _cancel_at(self, agent: str, name: str, venue: str, recording: bool) -> None:
        try:
            port = self._venues.get(venue)
            if port is None:
                raise Unavailable(f"no connection to {venue}")
            reports = await self._answer(
                port.cancel(agent, name),
                late=lambda said: self.take(venue, self._believed(agent, name, said)),
            )
        except (OutcomeUnknown, Unavailable) as error:
            if recording:
                self._unresolved(agent, name, "cancel", str(error))
            return
        if recording:
            self.take(venue, self._believed(agent, name, reports))

    def _believed(
        self, agent: str, name: str, reports: tuple[VenueReport, ...]
    ) -> tuple[VenueReport, ...]:
        """The answer to a cancel, without what no venue can know yet: that an order never arrives
        whose permit is still good; and without what contradicts that it acknowledged it.
        """
        held = self._log.state.agents.get(agent)
        order = None if held is None else held.find(name)
        if order is None or (self._expired(agent, order) and not _acknowledged(order, name)):
            return reports
        return tuple(one for one in reports if one.exec_type != "not_found")

    async def open_orders(self, agent: str) -> set[str]:
        """What the venues say can still be executed for this agent.

        Raises:
            Unavailable, OutcomeUnknown: a venue did not answer.
        """
        found: set[str] = set()
        for venue in self._venues:
            found.update(await self.open_at(venue, agent))
        return found

    async def open_at(self, venue: str, agent: str) -> tuple[str, ...]:
        """What one venue says can still be executed for this agent.

        Raises:
            Unavailable, OutcomeUnknown: it did not answer.
        """
        return await self._answer(self._venues[venue].open_orders(agent))

    async def reconcile(self) -> None:
        """Read each venue's drop copy, then ask about orders whose fate is not known. A venue that
        does not answer is left out.
        """
        for name in self._venues:
            try:
                await self.read_copy(name)
                await self.ask_unfinished(name)
            except (OutcomeUnknown, Unavailable):
                continue

    async def read_copy(self, venue: str) -> None:
        """Record what is new in a venue's drop copy.

        Raises:
            Unavailable, OutcomeUnknown: it did not answer.
        """
        port, since = self._venues[venue], self._copied.get(venue, 0)
        sequence, reports = await self._answer(port.reports_since(since))
        self.take(venue, reports)
        self._copied[venue] = sequence

    def read_again(self) -> None:
        """Read every drop copy from its beginning, as a new process does: more is known now."""
        self._copied.clear()

    async def ask_unfinished(self, venue: str) -> None:
        """Ask a venue about each order that it has not answered for.

        Raises:
            Unavailable, OutcomeUnknown: it did not answer.
        """
        for agent, name in list(self.unfinished(venue)):
            await self.ask(venue, agent, name)

    def unfinished(self, venue: str) -> Iterator[tuple[str, str]]:
        """Agent and id of each order, and of each pending amendment, that the venue has not
        answered for.
        """
        for agent in self._log.state.agents.values():
            for order in agent.working.values():
                if order.terms.venue == venue and order.phase != "open":
                    yield agent.agent, order.client_order_id
                if order.terms.venue == venue and order.pending is not None:
                    yield agent.agent, order.pending.terms.order.client_order_id

    async def ask(self, venue: str, agent: str, name: str) -> None:
        """Ask a venue about one working order, or about an amendment of it that is pending.

        That the venue never saw it is believed only after the permit has expired: until then the
        permit could still arrive; only where its list of open orders says the same; and of no order
        that it acknowledged before. Of one that is on its way now nothing is asked.

        Raises:
            Unavailable, OutcomeUnknown: it did not answer.
            Contradiction: its look-up does not agree with its list, or with what it reported.
        """
        order = self._log.state.agents[agent].find(name)
        if order is None or (agent, name) in self._sending:
            return
        expired = self._expired(agent, order)
        doubtful = order.client_order_id == name and order.phase in ASKED_EARLY
        if not (expired or doubtful):
            return  # it may be on its way, and a venue that was asked may refuse it then
        acknowledged = _acknowledged(order, name)
        reports = await self._answer(self._venues[venue].order_reports(agent, name))
        never = [one for one in reports if one.exec_type == "not_found"]
        if never and acknowledged:
            told = f"{venue} acknowledged it, and never saw it"
            raise Contradiction(told, "open_and_never_seen")
        if never and expired and name in await self.open_at(venue, agent):
            told = f"{venue} never saw it, and lists it as open"
            raise Contradiction(told, "listed_and_never_seen")
        self.take(venue, tuple(one for one in reports if expired or one not in never))

    def _expired(self, agent: str, order: WorkingOrder) -> bool:
        """Whether no permit for this order can be valid any more."""
        held = self._log.state.agents[agent]
        now = self._log.clocks().now
        decisions = [order.decision]
        if order.pending is not None:
            decisions.append(order.pending.decision)
        return all(now >= self._ends_at(held, index) for index in decisions)

    def _ends_at(self, held: AgentState, decision: int) -> int:
        """When the permit of a decision ends, ns: by its own words, whatever policy is in force
        by now. Of one that may have been signed and is not in the log: no later than a lease can.
        """
        answer = held.answers.get(decision)
        if answer is not None:
            entry = decode_gate_entry(self._log.journal.entry(answer))
            if isinstance(entry, PermitSigned):
                return parse_instant(read_permit(entry.permit).expires_at)
        decided = parse_instant(decode_gate_entry(self._log.journal.entry(decision)).at)
        return decided + held.limits.terms.risk_controls.lease_s * NS

    def take(self, venue: str, reports: tuple[VenueReport, ...]) -> None:
        """Record execution reports that were not seen before.

        One that cannot be read is counted and left out: the order then stays reserved. What is
        executed or rests is recorded also when it names no order of ours, or nobody; where that
        cannot be read, nobody knows what was executed, and the venue is lost until it can.
        """
        for report in reports:
            held = self._log.state.agents.get(report.agent)
            if held is not None and self._log.state.lacks_history(held):
                continue  # what it is about is not known yet: all is read again when it is
            seen = self._log.state.outside.strange if held is None else held.executed
            exec_id = exec_id_of(report)
            if (venue, exec_id) in seen:
                continue
            try:
                entry = execution_of(self._log.at(), venue, report)
            except MalformedInput as error:
                self.odd_reports += 1
                if report.exec_type in LIVES:
                    self._lost(venue, exec_id, f"{report.exec_type}: {error.where}")
                continue
            self._log.record(entry)
            self._unreadable.get(venue, set()).discard(exec_id)

    def unreadable(self, venue: str) -> int:
        """How many reports of this venue say that something lives or was executed, and cannot be
        read. They count until the venue says the same readably; a new boot reads them again.
        """
        return len(self._unreadable.get(venue, ()))

    def _lost(self, venue: str, exec_id: str, what: str) -> None:
        """Nothing more is permitted for a venue that tells what cannot be booked.

        One entry is enough while it stays lost, and one at least in each process.
        """
        known = self._unreadable.setdefault(venue, set())
        if not known or self._log.state.outside.standing(venue).reconciled:
            detail = f"a report that cannot be read: {what}"[:TEXT_MAX]
            self._log.record(VenueLost(at=self._log.at(), venue=venue, detail=detail))
        known.add(exec_id)

    def _unresolved(self, agent: str, name: str, operation: Operation, detail: str) -> None:
        self._log.record(
            OutcomeUnresolved(
                at=self._log.at(),
                agent=agent,
                client_order_id=name,
                operation=operation,
                detail=detail[:TEXT_MAX],
            )
        )


def _acknowledged(order: WorkingOrder, name: str) -> bool:
    """Whether the venue has said of this id that it rests or was executed; of a pending amendment
    it has said nothing yet.
    """
    pending = order.pending
    asked = pending is not None and pending.terms.order.client_order_id == name
    return order.phase == "open" and not asked


def _read(task: asyncio.Future[Any]) -> None:
    """A failure that comes when nobody waits any more is no news: the outcome is unknown."""
    if not task.cancelled():
        task.exception()
