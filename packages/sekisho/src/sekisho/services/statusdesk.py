# SPDX-License-Identifier: Apache-2.0
"""Commands of people about the status of certificates: hold, release, revoke, kill.

Which transitions there are stands in ``core.identity.lawful``, who may command them in
``core.governance.duties``; how they are carried out, in ``statusacts``. Here a command is judged:
whom it reaches, and what it changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from msgspec import UNSET

from sekisho.core.errors import NotAuthorised
from sekisho.core.governance.commands import Command, SignedCommand
from sekisho.core.identity.lawful import HOLD_REASON, LAWFUL, REASONS_BY_CODE
from sekisho.core.identity.records import RegisteredCertificate
from sekisho.core.identity.status import Status
from sekisho.services.commanding import Commanding
from sekisho.services.registerlog import RegisterLog
from sekisho.services.status import Act, StatusAct, StatusOutcome, TakenBefore
from sekisho.services.statusacts import StatusActs

_BECOMES: dict[str, Status] = {
    "hold": "hold",
    "release": "good",
    "revoke": "revoked",
    "kill": "revoked",
}


class StatusDesk:
    """Takes commands. One instance owns the log."""

    def __init__(
        self,
        log: RegisterLog,
        acts: StatusActs,
        commanding: Commanding,
        catch_up: Callable[[], int],
    ) -> None:
        """``catch_up`` does what time has made due, and returns the log time for what follows."""
        self._log = log
        self._acts = acts
        self._commanding = commanding
        self._catch_up = catch_up

    async def command(self, signed: tuple[SignedCommand, ...]) -> StatusOutcome:
        """Verify signed commands that say the same, and carry them out.

        Once judged it is carried out to the end, also when the caller goes away.

        Returns:
            What was achieved; for a kill a :class:`KillReport`.

        Raises:
            MalformedInput, VerificationFailed: a command is not well made or does not hold.
            NotAuthorised: duties, a nonce used before, another epoch, nothing there to be changed.
            StorageFailed, OutcomeUnknown: a release could not be recorded; nothing was released.
        """
        return await asyncio.shield(self._acts.begin(self._judge(signed)))

    async def take_over(
        self, signed: tuple[SignedCommand, ...]
    ) -> StatusOutcome | TakenBefore | None:
        """Make a hold or kill that people gave to a gate this authority's own.

        A gate gives it again until it hears that it is here.

        Returns:
            What was achieved. None when these commands were taken before and all of it holds;
            :class:`TakenBefore` when people took something back since. Both once that is durable.

        Raises:
            NotAuthorised: as :meth:`command`; what is neither a hold nor a kill.
            MalformedInput, VerificationFailed: a command is not well made or does not hold.
            StorageFailed, OutcomeUnknown: that it was taken before may be lost.
        """
        kinds = {one.command.command for one in signed}
        if not kinds or not kinds <= {"hold", "kill"}:
            raise NotAuthorised("only a hold or a kill is taken over from a gate")
        if self._commanding.taken(signed):
            before = TakenBefore(released=self._released(signed[0].command))
            await self._log.all_durable()
            return before if before.released else None
        return await self.command(signed)

    def _released(self, command: Command) -> dict[str, int]:
        """Agents of a command that are good now → the epoch of their last change of status."""
        now, state = self._catch_up(), self._log.state
        found = {agent: state.active(agent, now) for agent in self._agents(command)}
        return {
            agent: max(record.epoch for record in state.agents[agent])
            for agent, active in found.items()
            if active is not None and active.status == "good"
        }

    def _judge(self, signed: tuple[SignedCommand, ...]) -> StatusAct:
        # Entries carry the very instant by which the commands were judged: so will a verifier.
        now = self._catch_up()
        taken = self._commanding.take(signed, tuple(_BECOMES), now)
        command, act = taken.command, taken.command.command
        agents = self._agents(command)
        if act == "release":
            self._commanding.check_epoch(command, agents[0])
        change, unchanged = self._affected(act, agents, now)
        if act == "release":
            self._check_incident(command, change[0])
        self._commanding.used(taken)
        return StatusAct(
            now=now,
            act=cast("Act", act),
            status=_BECOMES[act],
            reason=_reason(command),
            agents=agents,
            change=change,
            unchanged=unchanged,
            seats=taken.seats,
            commands=taken.texts,
        )

    def _agents(self, command: Command) -> tuple[str, ...]:
        if command.agent is not UNSET:
            return (self._commanding.agent(command),)
        if command.scope is UNSET or command.scope.kind != "all":
            raise NotAuthorised("this authority reaches one agent or all; name one, or all")
        known = self._log.state.agents
        if not known:
            raise NotAuthorised("there is no agent to be stopped")
        return tuple(sorted(known))

    def _check_incident(self, command: Command, record: RegisteredCertificate) -> None:
        """A release that names an incident releases from that one."""
        ends = self._log.book.ended_by(record.sha256, "release")
        if command.incident is not UNSET and command.incident != ends:
            raise NotAuthorised(
                f"release: it is for incident {command.incident}, open is {ends or 'none'}"
            )

    def _affected(
        self, act: str, agents: Sequence[str], now: int
    ) -> tuple[tuple[RegisteredCertificate, ...], tuple[RegisteredCertificate, ...]]:
        """Certificates that change, newest first; and, of agents without one, the newest.

        What narrows is for every certificate of the agent for which it is lawful, expired or not,
        so that no older one is forgotten; a release is for what has not expired.
        """
        status = _BECOMES[act]
        change: list[RegisteredCertificate] = []
        unchanged: list[RegisteredCertificate] = []
        for agent in agents:
            records = self._log.state.agents[agent]
            if act == "release":
                records = [record for record in records if now < record.not_after]
            lawful = [
                record for record in reversed(records) if (act, record.status, status) in LAWFUL
            ]
            change += lawful
            if not lawful and act == "release":
                raise NotAuthorised("release: no active certificate of this agent is on hold")
            if not lawful:
                unchanged.append(records[-1])
        return tuple(change), tuple(unchanged)


def _reason(command: Command) -> str:
    """The CRLReason of a command, by its act and reason code (docs/spec/authority.md section 2)."""
    if command.command == "release":
        return ""
    if command.command == "hold":
        return HOLD_REASON
    return REASONS_BY_CODE.get(command.reason_code, "privilegeWithdrawn")
