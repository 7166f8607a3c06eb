# SPDX-License-Identifier: Apache-2.0
"""What widens at a gate on the word of people: going live with a baseline, re-arming a latch.

The authority records it first; the gate verifies the signed commands again before it acts, by the
roster that it was given, and writes them into its own log. A crash in between leaves the narrower
state: the latch on, the agent in its baseline phase; :meth:`Governing.adopt` and a new command go
on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from sekisho.core.errors import NotAuthorised
from sekisho.core.events import BaselineAdopted, Rearmed, VenueRearmed
from sekisho.core.governance.commands import (
    Reach,
    SignedCommand,
    authorise_commands,
    signed_command_text,
)
from sekisho.core.governance.roster import Roster
from sekisho.services.gatelog import GateLog


class GoverningAuthority(Protocol):
    """What of the authority is needed here."""

    async def go_live(
        self, signed: tuple[SignedCommand, ...], *, origin: str, complete: bool
    ) -> Any: ...

    async def authorise_rearm(self, signed: tuple[SignedCommand, ...]) -> Any: ...


class Governing:
    """Baselines and latches of one gate."""

    def __init__(
        self, log: GateLog, authority: GoverningAuthority, roster: Callable[[], Roster]
    ) -> None:
        self._log = log
        self._authority = authority
        self._roster = roster

    async def go_live(self, signed: tuple[SignedCommand, ...]) -> str:
        """Lock the baseline that these commands name, and adopt it; returns its digest.

        Raises:
            NotAuthorised: the commands do not authorise it, or there is no complete baseline with
                this digest; says what is missing.
            MalformedInput, VerificationFailed: a command is not well made or does not hold.
            StorageFailed, OutcomeUnknown: a log; the agent stays in its baseline phase.
        """
        now = self._log.clocks().now
        authorise_commands(signed, self._roster(), now)
        command = signed[0].command
        if command.command != "go_live" or not isinstance(command.agent, str):
            raise NotAuthorised(f"{command.command}: this is no command to go live")
        agent = command.agent
        if agent not in self._log.state.agents:
            raise NotAuthorised(f"{agent!r} is not admitted at this gate")
        found = self._log.watch.baseline(agent, now)
        missing = [*found.missing]
        if command.baseline_sha256 != found.sha256:
            missing.append(
                f"the command names baseline {command.baseline_sha256}, this gate has"
                f" {found.sha256}; read its summary and sign that"
            )
        if missing:
            raise NotAuthorised("\n".join(["go_live: not authorised", *missing]))
        lock = await self._authority.go_live(
            signed, origin=self._log.origin, complete=found.complete
        )
        return await self.adopt(agent, lock.baseline_sha256, lock.index)

    async def adopt(self, agent: str, baseline_sha256: str, authority_index: int) -> str:
        """Take a baseline that the authority locked into force, once.

        Raises:
            NotAuthorised: what this gate collected is not that baseline.
            StorageFailed, OutcomeUnknown: the log.
        """
        held = self._log.state.agents[agent]
        if held.baseline_sha256 == baseline_sha256:
            return baseline_sha256
        found = self._log.watch.baseline(agent, self._log.clocks().now)
        if held.baseline_sha256 or not found.complete or found.sha256 != baseline_sha256:
            raise NotAuthorised(
                f"{agent}: the authority locked baseline {baseline_sha256}, this gate has"
                f" {held.baseline_sha256 or found.sha256}"
            )
        index = self._log.record(
            BaselineAdopted(
                at=self._log.at(),
                agent=agent,
                baseline=found.baseline,
                baseline_sha256=baseline_sha256,
                authority_index=authority_index,
            )
        )
        await self._log.durable(index)
        return baseline_sha256

    async def rearm(self, signed: tuple[SignedCommand, ...]) -> int:
        """Take a latch off; returns the index of the entry, once it is durable.

        Raises:
            NotAuthorised: not by two people of different roles, or the latch is not on.
            MalformedInput, VerificationFailed: a command is not well made or does not hold.
            StorageFailed, OutcomeUnknown: a log; the latch stays on.
        """
        authorise_commands(signed, self._roster(), self._log.clocks().now)
        command = signed[0].command
        if command.command == "rearm" and command.latch == "venue":
            return await self._rearm_venue(signed)
        if command.command != "rearm" or not isinstance(command.agent, str):
            raise NotAuthorised(f"{command.command}: this is no command to re-arm")
        held = self._log.state.agents.get(command.agent)
        if held is None or command.latch not in held.latches:
            raise NotAuthorised(
                f"{command.agent}: the latch {command.latch} is not on at this gate"
            )
        done = await self._authority.authorise_rearm(signed)
        index = self._log.record(
            Rearmed(
                at=self._log.at(),
                agent=command.agent,
                latch=command.latch,
                seats=done.seats,
                commands=tuple(signed_command_text(one) for one in signed),
            )
        )
        await self._log.durable(index)
        return index

    async def _rearm_venue(self, signed: tuple[SignedCommand, ...]) -> int:
        """Take the latch of a venue off that the named break had set."""
        command, outside = signed[0].command, self._log.state.outside
        venue = command.scope.name if isinstance(command.scope, Reach) else ""
        incident = command.incident if isinstance(command.incident, str) else ""
        if not incident or outside.standing(venue).incident != incident:
            raise NotAuthorised(f"no latch of incident {incident} is on at venue {venue}")
        done = await self._authority.authorise_rearm(signed)
        index = self._log.record(
            VenueRearmed(
                at=self._log.at(),
                venue=venue,
                incident=incident,
                seats=done.seats,
                commands=tuple(signed_command_text(one) for one in signed),
            )
        )
        await self._log.durable(index)
        return index
