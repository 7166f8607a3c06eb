# SPDX-License-Identifier: Apache-2.0
"""What people sign off at the authority: going live with a baseline, re-arming a latch.

Both widen: they are refused unless signed for the present epoch, and nobody hears of them before
they are durable. A crash before that leaves the narrower state. The gate acts on them, and verifies
the same signed commands again.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import UNSET

from sekisho.core.errors import NotAuthorised, VerificationFailed
from sekisho.core.events import (
    AuthorityEntry,
    BaselineLocked,
    RearmAuthorised,
    VenueRearmAuthorised,
)
from sekisho.core.governance.commands import SignedCommand
from sekisho.core.terms import format_instant
from sekisho.services.commanding import Commanding, Taken
from sekisho.services.registerlog import RegisterLog
from sekisho.services.statusacts import close_ended


class BaselineLock(msgspec.Struct, frozen=True, kw_only=True):
    """A locked baseline, and the index of its entry in the authority's log."""

    agent: str
    index: int
    baseline_sha256: str


class RearmAuthorisation(msgspec.Struct, frozen=True, kw_only=True):
    """Two people take a latch off: their seats and signed commands (text), and the entry.

    ``agent`` is empty for the latch of a venue.
    """

    index: int
    agent: str
    latch: str
    seats: tuple[str, ...]
    commands: tuple[str, ...]


class SignOff:
    """Baselines and latches of one authority."""

    def __init__(
        self, log: RegisterLog, commanding: Commanding, catch_up: Callable[[], int]
    ) -> None:
        """``catch_up`` does what time has made due, and returns the log time for what follows."""
        self._log = log
        self._commanding = commanding
        self._catch_up = catch_up

    async def go_live(
        self, signed: tuple[SignedCommand, ...], *, origin: str, complete: bool
    ) -> BaselineLock:
        """Lock the baseline that these commands name.

        Args:
            signed: commands ``go_live``.
            origin: the gate's log from which the baseline follows.
            complete: whether that gate says that it has a complete baseline with this digest.

        Raises:
            MalformedInput, VerificationFailed: a command is not well made or does not hold.
            NotAuthorised: duties, nonce, epoch, an open incident, an incomplete baseline, one that
                is locked already, a log without certified key.
            StorageFailed, OutcomeUnknown: the log; the agent stays in its baseline phase.
        """
        taken = self._commanding.take(signed, ("go_live",), self._catch_up())
        agent = self._commanding.agent(taken.command)
        self._commanding.check_epoch(taken.command, agent)
        digest = taken.command.baseline_sha256
        if not complete or digest is UNSET:
            raise NotAuthorised(f"go_live: {agent} has no complete baseline {digest}")
        index = self._record(
            "go_live",
            BaselineLocked(
                at=format_instant(taken.now),
                agent=agent,
                origin=origin,
                baseline_sha256=digest,
                seats=taken.seats,
                commands=taken.texts,
            ),
        )
        await self._log.durable(index)
        return BaselineLock(agent=agent, index=index, baseline_sha256=digest)

    async def authorise_rearm(self, signed: tuple[SignedCommand, ...]) -> RearmAuthorisation:
        """Let a gate take a latch off; closes an open incident of the breaker.

        Raises:
            MalformedInput, VerificationFailed: a command is not well made or does not hold.
            NotAuthorised: duties, nonce, epoch, or an incident that this does not end.
            StorageFailed, OutcomeUnknown: the log; the latch stays on.
        """
        taken = self._commanding.take(signed, ("rearm",), self._catch_up())
        if taken.command.latch == "venue":
            return await self._venue(taken)
        agent = self._commanding.agent(taken.command)
        self._commanding.check_epoch(taken.command, agent)
        latch, epoch = taken.command.latch, taken.command.epoch
        if latch is UNSET or epoch is UNSET:
            raise NotAuthorised("rearm: it names no latch or no epoch")
        index = self._record(
            "rearm",
            RearmAuthorised(
                at=format_instant(taken.now),
                agent=agent,
                latch=latch,
                epoch=epoch,
                seats=taken.seats,
                commands=taken.texts,
            ),
        )
        closed, _ = close_ended(self._log, taken.now)
        await self._log.durable(max(index, closed))
        return RearmAuthorisation(
            index=index, agent=agent, latch=latch, seats=taken.seats, commands=taken.texts
        )

    async def _venue(self, taken: Taken) -> RearmAuthorisation:
        """Let a gate take the latch of a venue off that a break had set; closes the break."""
        self._log.require_sound()
        scope, incident = taken.command.scope, taken.command.incident
        if scope is UNSET or incident is UNSET:
            raise NotAuthorised("rearm: it names no venue or no incident")
        index = self._record(
            "rearm",
            VenueRearmAuthorised(
                at=format_instant(taken.now),
                venue=scope.name,
                incident=incident,
                seats=taken.seats,
                commands=taken.texts,
            ),
        )
        closed, _ = close_ended(self._log, taken.now)
        await self._log.durable(max(index, closed))
        return RearmAuthorisation(
            index=index, agent="", latch="venue", seats=taken.seats, commands=taken.texts
        )

    def baseline_lock(self, agent: str) -> BaselineLock | None:
        """The agent's locked baseline, once that is durable."""
        locked = self._log.state.baselines.get(agent)
        if locked is None or locked.index >= self._log.journal.durable_size:
            return None
        return BaselineLock(agent=agent, index=locked.index, baseline_sha256=locked.sha256)

    def _record(self, act: str, entry: AuthorityEntry) -> int:
        try:
            return self._log.record(entry)
        except VerificationFailed as error:
            raise NotAuthorised(f"{act}: {error}") from error
