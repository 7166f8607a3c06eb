# SPDX-License-Identifier: Apache-2.0
"""Stopping an agent at this gate: no new permit at once, then every resting order cancelled.

The stop takes effect in memory before anything is awaited. It is complete only when every release
in flight has resolved and a second look at the venue finds nothing of the agent's. What could not
be done is in the report; there is no success without it.
"""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec

from sekisho.core.errors import OutcomeUnknown, StorageFailed, Unavailable
from sekisho.core.events import StatusActed, StopReported
from sekisho.core.terms import format_instant
from sekisho.ports import Clock
from sekisho.services.gatelog import GateLog
from sekisho.services.release import Release

FLIGHT_WAIT_S = 2.0
REPORTED_MAX = 500
"""Orders of each kind in one entry, which has at most 65,535 bytes; more take several entries."""


class StopOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a stop achieved at this gate.

    ``stopped_at`` is an instant by the gate's clock; ``last_permit`` the index of the last permit
    of the agent before the stop, -1 if none. ``recorded`` is false when the gate's log could not be
    written: the stop holds all the same.
    """

    gate: str
    agent: str
    stopped_at: str
    last_permit: int
    confirmed: tuple[str, ...]
    unconfirmed: tuple[str, ...]
    recorded: bool
    complete: bool


class Stopping:
    """Carries a status of the authority, or a local stop, into effect."""

    def __init__(self, log: GateLog, release: Release, clock: Clock) -> None:
        self._log = log
        self._release = release
        self._clock = clock

    async def stop(
        self,
        agent: str,
        certificate_sha256: str,
        status: Literal["hold", "revoked"],
        reason: str,
        epoch: int,
        *,
        superseded: bool = False,
    ) -> StopOutcome:
        """Stop the agent, cancel what rests, and say exactly what was achieved.

        ``superseded``: the certificate ends because another one took its place. If that is in use
        here, the end is recorded and nothing is stopped.
        """
        held = self._log.state.agents.get(agent)
        other = held is not None and held.certificate_sha256 != certificate_sha256
        if other and status == "hold":
            # Not in use here. What a lease says of it once it is, is recorded then.
            return await self.carry_out(agent, reason, epoch)
        recorded = True
        entry = StatusActed(
            at=self._log.at(),
            agent=agent,
            certificate_sha256=certificate_sha256,
            status=status,
            reason=reason[:200],
            epoch=epoch,
        )
        try:
            index = self._log.record(entry)
        except StorageFailed:
            # The log takes nothing, so nothing can be permitted any more; cancels still go out.
            recorded, index = False, -1
            if held is not None and held.certificate_sha256 == certificate_sha256:
                held.status = status
        moment = self._moment(agent)
        recorded = await self._durable(index) and recorded
        if superseded and other:
            recorded = recorded and await self._report(agent, epoch, (), (), complete=True)
            return self._outcome(agent, moment, (), (), recorded=recorded, complete=recorded)
        return await self._carry_out(agent, reason, epoch, moment, recorded)

    async def carry_out(self, agent: str, reason: str, epoch: int) -> StopOutcome:
        """Cancel what rests of an agent that an entry of this log has stopped already."""
        return await self._carry_out(agent, reason, epoch, self._moment(agent), recorded=True)

    def _moment(self, agent: str) -> tuple[int, int]:
        """The present time, ns, and the agent's last permit so far."""
        held = self._log.state.agents.get(agent)
        return self._clock.now_ns(), -1 if held is None else held.last_permit

    async def _carry_out(
        self, agent: str, reason: str, epoch: int, moment: tuple[int, int], recorded: bool
    ) -> StopOutcome:
        landed = await self._release.landed(agent, FLIGHT_WAIT_S)
        confirmed, unconfirmed = await self._cancel(agent, reason)
        complete = landed and not unconfirmed
        if recorded:
            recorded = await self._report(agent, epoch, confirmed, unconfirmed, complete=complete)
        return self._outcome(
            agent, moment, confirmed, unconfirmed, recorded=recorded, complete=complete
        )

    def _outcome(
        self,
        agent: str,
        moment: tuple[int, int],
        confirmed: tuple[str, ...],
        unconfirmed: tuple[str, ...],
        *,
        recorded: bool,
        complete: bool,
    ) -> StopOutcome:
        stopped_at, last = moment
        return StopOutcome(
            gate=self._log.state.gate,
            agent=agent,
            stopped_at=format_instant(stopped_at),
            last_permit=last,
            confirmed=confirmed,
            unconfirmed=unconfirmed,
            recorded=recorded,
            complete=complete and recorded,
        )

    async def _durable(self, index: int) -> bool:
        if index < 0:
            return False
        try:
            await self._log.durable(index)
        except (StorageFailed, OutcomeUnknown):
            return False
        return True

    async def _cancel(self, agent: str, cause: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        held = self._log.state.agents.get(agent)
        names = set() if held is None else set(held.working)
        names |= await self._at_venue(agent, set())
        open_before = sorted(names)
        ended = await asyncio.gather(
            *(self._cancel_one(agent, name, cause) for name in open_before)
        )
        left = await self._at_venue(agent, {"(the venue did not answer)"})
        unconfirmed = {
            name for name, done in zip(open_before, ended, strict=True) if not done
        } | left
        confirmed = tuple(name for name in open_before if name not in unconfirmed)
        return confirmed, tuple(sorted(unconfirmed))

    async def _cancel_one(self, agent: str, name: str, cause: str) -> bool:
        try:
            return await self._release.cancel(agent, name, cause)
        except StorageFailed:
            return False

    async def _at_venue(self, agent: str, unanswered: set[str]) -> set[str]:
        try:
            return await self._release.open_orders(agent)
        except (Unavailable, OutcomeUnknown):
            return unanswered

    async def _report(
        self,
        agent: str,
        epoch: int,
        confirmed: tuple[str, ...],
        unconfirmed: tuple[str, ...],
        *,
        complete: bool,
    ) -> bool:
        parts, index = max(len(confirmed), len(unconfirmed), 1), -1
        try:
            for first in range(0, parts, REPORTED_MAX):
                last = first + REPORTED_MAX
                index = self._log.record(
                    StopReported(
                        at=self._log.at(),
                        agent=agent,
                        epoch=epoch,
                        confirmed=confirmed[first:last],
                        unconfirmed=unconfirmed[first:last],
                        complete=complete and last >= parts,
                    )
                )
        except StorageFailed:
            return False
        return await self._durable(index)
