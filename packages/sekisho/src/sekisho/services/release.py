# SPDX-License-Identifier: Apache-2.0
"""Permits to the venue, and the venue's answers back into the log.

A time-out means unknown, never failed: the order keeps its reservation until the venue answers for
it. Nothing is sent twice. What a crash leaves: an order in phase *signed* or *unknown*, which
:meth:`Release.reconcile` asks the venue about after the next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from sekisho.core.amounts import parse_amount
from sekisho.core.errors import MalformedInput, OutcomeUnknown, StorageFailed, Unavailable
from sekisho.core.events import (
    CancelAsked,
    Execution,
    OutcomeUnresolved,
    decode_gate_entry,
)
from sekisho.core.gate.working import WorkingOrder
from sekisho.core.terms import AGENT_NAME, CLIENT_ORDER_ID, NS, parse_instant
from sekisho.ports import Clock, Venue, VenueReport
from sekisho.services.gatelog import GateLog

TEXT_MAX = 200
Operation = Literal["submit", "amend", "cancel"]


class Release:
    """Speaks to the venues with the gate's own credential."""

    def __init__(self, log: GateLog, venues: Mapping[str, Venue], clock: Clock) -> None:
        self._log = log
        self._venues = venues
        self._clock = clock
        self._flights: dict[str, int] = {}
        self._landing: dict[str, list[asyncio.Future[None]]] = {}
        self._copied: dict[str, int] = {}
        self.odd_reports = 0

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
        try:
            reports = await port.submit(permit)
        except (OutcomeUnknown, Unavailable) as error:
            self._unresolved(agent, client_order_id, "submit", str(error))
            return
        self.take(venue, reports)

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
            reports = await port.cancel(agent, name)
        except (OutcomeUnknown, Unavailable) as error:
            if recording:
                self._unresolved(agent, name, "cancel", str(error))
            return
        if recording:
            self.take(venue, reports)

    async def open_orders(self, agent: str) -> set[str]:
        """What the venues say can still be executed for this agent.

        Raises:
            Unavailable, OutcomeUnknown: a venue did not answer.
        """
        found: set[str] = set()
        for port in self._venues.values():
            found.update(await port.open_orders(agent))
        return found

    async def reconcile(self) -> None:
        """Read each venue's drop copy, then ask about orders whose fate is not known.

        A venue that never saw an order is believed only after the permit has expired: until then
        the permit could still arrive.
        """
        for name, port in self._venues.items():
            try:
                sequence, reports = await port.reports_since(self._copied.get(name, 0))
            except (OutcomeUnknown, Unavailable):
                continue
            self.take(name, reports)
            self._copied[name] = sequence
        for agent in list(self._log.state.agents.values()):
            for order in list(agent.working.values()):
                if order.phase != "open" or order.pending is not None:
                    await self._ask(agent.agent, order)

    async def _ask(self, agent: str, order: WorkingOrder) -> None:
        port = self._venues.get(order.terms.venue)
        if port is None or not self._expired(agent, order):
            return
        names = [order.client_order_id] if order.phase != "open" else []
        if order.pending is not None:
            names.append(order.pending.terms.order.client_order_id)
        for name in names:
            try:
                self.take(order.terms.venue, await port.order_reports(agent, name))
            except (OutcomeUnknown, Unavailable):
                return

    def _expired(self, agent: str, order: WorkingOrder) -> bool:
        """Whether no permit for this order can be valid any more."""
        held = self._log.state.agents[agent]
        index = order.decision if order.pending is None else order.pending.decision
        decided = parse_instant(decode_gate_entry(self._log.journal.entry(index)).at)
        lifetime = held.limits.terms.risk_controls.lease_s * NS
        return self._log.clocks().now >= decided + lifetime

    def take(self, venue: str, reports: tuple[VenueReport, ...]) -> None:
        """Record execution reports that were not seen before.

        One that cannot be read is counted and left out: the order then stays reserved.
        """
        for report in reports:
            held = self._log.state.agents.get(report.agent)
            if held is not None and (venue, report.exec_id) in held.executed:
                continue
            try:
                entry = _execution(self._log.at(), venue, report)
            except MalformedInput:
                self.odd_reports += 1
                continue
            self._log.record(entry)

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


def _execution(at: str, venue: str, report: VenueReport) -> Execution:
    for name in ("last_quantity", "last_price", "cum_quantity", "leaves_quantity"):
        parse_amount(getattr(report, name), name)
    parse_instant(report.transact_at, "transact_at")
    # A rejection of what was no order of ours names nobody: it is no report about an order.
    for name, pattern in (("agent", AGENT_NAME), ("client_order_id", CLIENT_ORDER_ID)):
        if pattern.fullmatch(getattr(report, name)) is None:
            raise MalformedInput(f"{name}: the venue's report names no {name}", name)
    return Execution(
        at=at,
        agent=report.agent,
        venue=venue,
        client_order_id=report.client_order_id,
        venue_order_id=report.venue_order_id[:64],
        exec_id=report.exec_id[:64],
        exec_type=report.exec_type,
        last_quantity=report.last_quantity,
        last_price=report.last_price,
        cum_quantity=report.cum_quantity,
        leaves_quantity=report.leaves_quantity,
        counterparty=report.counterparty[:64],
        reason=report.reason[:TEXT_MAX],
        transact_at=report.transact_at,
    )
