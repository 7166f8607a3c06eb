# SPDX-License-Identifier: Apache-2.0
"""Each venue read again and again: its drop copy, orders in doubt, what rests there.

A venue is *reconciled* once its drop copy and its open orders were read since the boot, and each
order whose fate is not known was asked after, answered or not (``venuedoubts``); that is recorded
before anything is permitted for it (docs/spec/states.md). One whose drop copy could not be read for
too long is *lost*, also on record, until it is read again; so is one that reports what cannot be
read or contradicts itself, until it does no more. What the venue lists as open and is no working
order here is recorded, and what it says of an order and contradicts: the log opens the incident.

Venues are read side by side: one that hangs keeps no other waiting. No rule is decided here. A
crash loses what was read and not recorded; a new boot reads each drop copy from its beginning, and
reports that were seen have no effect again.
"""

from __future__ import annotations

import asyncio

from sekisho.core.errors import OutcomeUnknown, Unavailable
from sekisho.core.events import RestingUnknown, VenueContradicted, VenueLost, VenueReconciled
from sekisho.core.terms import AGENT_NAME, CLIENT_ORDER_ID, NS
from sekisho.ports import Clock
from sekisho.services.gatelog import GateLog
from sekisho.services.release import Release
from sekisho.services.venuedoubts import Doubts
from sekisho.services.waiting import settle

STALE_S = 30
"""So long a drop copy may stay unread before its venue is lost, unless configured otherwise."""
COMPARE_S = 5
"""How often what rests at a venue is compared with what this gate knows."""
ROUND_S = 1.0
"""How long a round is waited for; a venue that takes longer goes on beside the next one."""
DETAIL_MAX = 200


class VenueWatch:
    """The venues of one gate.

    Attributes:
        troubles: venue → why it could not be read the last time.
        doubts: orders that a venue which can be read does not answer for.
    """

    def __init__(
        self,
        log: GateLog,
        release: Release,
        clock: Clock,
        *,
        stale_s: int = STALE_S,
        compare_s: int = COMPARE_S,
    ) -> None:
        self._log = log
        self._release = release
        self._clock = clock
        self._stale_ns = stale_s * NS
        self._compare_ns = compare_s * NS
        self._heard: dict[str, int] = {}
        self._compared: dict[str, int] = {}
        self._tried: dict[str, int] = {}
        self._rounds: dict[str, asyncio.Task[None]] = {}
        self.troubles: dict[str, str] = {}
        self.doubts = Doubts(log, release, clock)

    async def reconcile(self) -> None:
        """Read every venue once; returns when each has answered or the time for it is over.

        Raises:
            StorageFailed: the log takes nothing.
        """
        await self._settle([self._begin(name) for name in self._release.venues])
        self.look()

    async def ensure(self, venue: str) -> None:
        """Read a venue now whose drop copy has been unread for half of the bound. Never raises for
        a venue that cannot be read, and asks it once a round at most.

        Whoever comes while it is being read waits with the others only where the venue is not
        reconciled, or lost without this answer: refused for good would be an order whose answer is
        only on its way.
        """
        if not self._release.connected(venue):
            return
        now = self._clock.monotonic_ns()
        unread = now - self._heard.get(venue, 0)
        fresh = unread <= self._stale_ns // 2 or (self._reading(venue) and unread <= self._stale_ns)
        if self._log.state.outside.standing(venue).reconciled and fresh:
            return
        tried = self._tried.get(venue)
        if self._reading(venue) or tried is None or now - tried >= ROUND_S * NS:
            await self._settle([self._begin(venue)])

    def _reading(self, venue: str) -> bool:
        task = self._rounds.get(venue)
        return task is not None and not task.done()

    async def _settle(self, rounds: list[asyncio.Task[None]]) -> None:
        await settle(self._clock, rounds, ROUND_S)
        for task in rounds:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    def _begin(self, venue: str) -> asyncio.Task[None]:
        if not self._reading(venue):
            self._tried[venue] = self._clock.monotonic_ns()
            self._rounds[venue] = asyncio.ensure_future(self.read(venue))
        return self._rounds[venue]

    async def read(self, venue: str) -> None:
        """Read one venue: what it cannot tell is in ``troubles``, and tried again later.

        Raises:
            StorageFailed: the log takes nothing.
        """
        asked = self._clock.monotonic_ns()
        try:
            await self._release.read_copy(venue)
            self._heard[venue] = asked
            whole = await self.doubts.ask_unfinished(venue)
            reconciled = self._log.state.outside.standing(venue).reconciled
            if not reconciled or asked - self._compared.get(venue, asked) >= self._compare_ns:
                resting = await self._compare(venue)
                self._compared[venue] = asked
                if not reconciled and whole and not self._against(venue):
                    self._reconciled(venue, resting)
            self._compared.setdefault(venue, asked)
            self._tell(venue)
        except (OutcomeUnknown, Unavailable) as error:
            self.troubles[venue] = str(error)[:DETAIL_MAX]

    def _against(self, venue: str) -> str:
        """Why nothing is permitted for a venue that answers; empty for no reason."""
        if odd := self._release.unreadable(venue):
            return f"{odd} reports of it cannot be read"
        against = self.doubts.contradiction(venue)
        return "" if against is None else against.why

    def _tell(self, venue: str) -> None:
        """Say what is wrong with a venue that answers. One that contradicts itself is lost, until
        it does no more, and latched, until people re-arm it.
        """
        self.troubles.pop(venue, None)
        if why := self._against(venue):
            self.troubles[venue] = why
        elif count := self.doubts.count(venue):
            self.troubles[venue] = f"{count} orders are in doubt"
        against, standing = (
            self.doubts.contradiction(venue),
            self._log.state.outside.standing(venue),
        )
        if against is None:
            return
        if standing.reconciled:
            detail = f"it contradicts itself: {against.why}"[:DETAIL_MAX]
            self._log.record(VenueLost(at=self._log.at(), venue=venue, detail=detail))
        if not standing.incident:
            self._log.record(
                VenueContradicted(
                    at=self._log.at(),
                    venue=venue,
                    agent=against.agent,
                    client_order_id=against.client_order_id,
                    contradiction=against.word,
                )
            )

    def look(self) -> None:
        """Record the venues whose drop copy has not been read for too long; before each decision.

        Raises:
            StorageFailed: the log takes nothing.
        """
        now = self._clock.monotonic_ns()
        for venue, standing in self._log.state.outside.venues.items():
            silent = now - self._heard.get(venue, 0)
            if standing.reconciled and silent > self._stale_ns:
                detail = self.troubles.get(venue, "")
                self._log.record(
                    VenueLost(
                        at=self._log.at(),
                        venue=venue,
                        detail=f"not read for {silent // NS} s: {detail}"[:DETAIL_MAX],
                    )
                )

    async def _compare(self, venue: str) -> int:
        """Compare what rests at the venue with what this gate knows; returns how much rests.

        What rests here and not there is asked for: the reports that end it are the proof. Only what
        was no working order before the venue was asked, nor is one now, is none of ours: orders
        come and go meanwhile.
        """
        count = 0
        for name, held in list(self._log.state.agents.items()):
            if self._log.state.lacks_history(held):
                continue  # which orders are its own is not known yet
            before, size = set(held.working), self._log.state.size
            ours = before | set(held.aliases)
            listed = await self._release.open_at(venue, name)
            count += len(listed)
            for order in listed:
                known = held.known.get(order)
                came = known is not None and known.decision >= size
                if not came and order not in ours and held.find(order) is None:
                    self._resting(venue, name, order)
            gone = [
                (name, order)
                for order in sorted(before - set(listed))
                if (working := held.find(order)) is not None and working.terms.venue == venue
            ]
            await self.doubts.ask_gone(venue, gone, ((name, order) for order in listed))
        return count

    def _resting(self, venue: str, agent: str, order: str) -> None:
        """Record what the venue lists and this gate does not know; once while it is latched."""
        if self._log.state.outside.standing(venue).incident:
            return
        if AGENT_NAME.fullmatch(agent) and CLIENT_ORDER_ID.fullmatch(order):
            self._log.record(
                RestingUnknown(at=self._log.at(), venue=venue, agent=agent, client_order_id=order)
            )

    def _reconciled(self, venue: str, resting: int) -> None:
        unknown = sum(
            order.terms.venue == venue and order.phase != "open"
            for agent in self._log.state.agents.values()
            for order in agent.working.values()
        )
        self._log.record(
            VenueReconciled(at=self._log.at(), venue=venue, open_orders=resting, unknown=unknown)
        )
