# SPDX-License-Identifier: Apache-2.0
"""Commands of people about the status of certificates: hold, release, revoke, kill.

Which transitions there are stands in ``core.identity.lawful``, who may command them in
``core.governance.duties``; this module owns the *order of effects* (docs/spec/authority.md section
4): judged, recorded, durable, then told. What narrows goes on when a step fails, and the outcome
names the step; what widens happens only when everything before it did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import msgspec
from msgspec import UNSET

from sekisho.core.errors import NotAuthorised, SekishoError
from sekisho.core.events import StatusChanged
from sekisho.core.governance.commands import (
    Command,
    SignedCommand,
    authorise_commands,
    signed_command_text,
)
from sekisho.core.governance.roster import Roster
from sekisho.core.identity.lawful import HOLD_REASON, LAWFUL, REASONS_BY_CODE
from sekisho.core.identity.records import RegisteredCertificate
from sekisho.core.identity.status import Status
from sekisho.core.terms import format_instant
from sekisho.ports import Clock
from sekisho.services.announcing import ANSWER_WAIT_S, Announcer
from sekisho.services.registerlog import RegisterLog
from sekisho.services.revocation import RevocationStatus
from sekisho.services.status import Act, KillReport, StatusOutcome, StatusPush
from sekisho.services.stopping import StopOutcome
from sekisho.services.waiting import settle

DURABLE_WAIT_S = 0.05
"""How long what narrows waits for the disk before it is told all the same (promise P4: 100 ms)."""
_BECOMES: dict[str, Status] = {
    "hold": "hold",
    "release": "good",
    "revoke": "revoked",
    "kill": "revoked",
}


class _Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A command that holds: what to do, to which certificates, on whose word."""

    now: int
    act: Act
    status: Status
    reason: str
    agents: tuple[str, ...]
    change: tuple[RegisteredCertificate, ...]
    unchanged: tuple[RegisteredCertificate, ...]
    seats: tuple[str, ...]
    commands: tuple[str, ...]


class _Recorded(msgspec.Struct, kw_only=True):
    """What became of the entries: ``index`` of the last one, -1 if there is none."""

    pushes: list[StatusPush]
    index: int = -1
    sequenced: bool = True
    failures: list[str]


class StatusDesk:
    """Takes commands. One instance owns the log."""

    def __init__(
        self,
        log: RegisterLog,
        revocation: RevocationStatus,
        announcer: Announcer,
        clock: Clock,
        roster: Callable[[], Roster],
        lease_holders: Callable[[frozenset[str]], frozenset[str]],
    ) -> None:
        self._log = log
        self._revocation = revocation
        self._announcer = announcer
        self._clock = clock
        self._roster = roster
        self._lease_holders = lease_holders
        self._seen: set[tuple[str, str]] = set()
        self._under_way: set[asyncio.Task[StatusOutcome]] = set()

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
        judged = self._judge(signed)
        # Sequenced and folded in before anything is awaited: from here on no answer of this
        # authority says "good", and no two commands are decided from the same state.
        recorded = self._record(judged)
        task = asyncio.ensure_future(self._carry_out(judged, recorded))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    # -- judging -------------------------------------------------------------------------------

    def _judge(self, signed: tuple[SignedCommand, ...]) -> _Judged:
        # Entries carry the very instant by which the commands were judged: so will a verifier.
        now = self._log.now()
        seats = authorise_commands(signed, self._roster(), now)
        command = signed[0].command
        act = command.command
        if act not in _BECOMES:
            raise NotAuthorised(f"{act}: this is not a matter of a certificate's status")
        nonces = {(one.command.seat, one.command.nonce) for one in signed}
        if nonces & (self._log.state.used_nonces | self._seen):
            raise NotAuthorised(f"{act}: this command was used before; sign a new one")
        agents = self._agents(command)
        if act == "release":
            self._check_release(command, agents[0])
        change, unchanged = self._affected(act, agents, now)
        self._seen |= nonces
        return _Judged(
            now=now,
            act=cast("Act", act),
            status=_BECOMES[act],
            reason=_reason(command),
            agents=agents,
            change=change,
            unchanged=unchanged,
            seats=tuple(seat.seat for seat in seats),
            commands=tuple(signed_command_text(one) for one in signed),
        )

    def _agents(self, command: Command) -> tuple[str, ...]:
        known = self._log.state.agents
        if command.agent is not UNSET:
            if command.agent not in known:
                raise NotAuthorised(f"{command.agent!r} has no certificate of this authority")
            return (command.agent,)
        if command.scope is UNSET or command.scope.kind != "all":
            raise NotAuthorised("this authority reaches one agent or all; name one, or all")
        if not known:
            raise NotAuthorised("there is no agent to be stopped")
        return tuple(sorted(known))

    def _check_release(self, command: Command, agent: str) -> None:
        """What widens is for the present state only, whatever happened since it was signed."""
        self._log.require_sound()
        present = self._log.state.agent_epoch(agent)
        if command.epoch != present:
            raise NotAuthorised(
                f"release: signed at epoch {command.epoch}, the agent is at {present}; look again"
            )

    def _affected(
        self, act: str, agents: Sequence[str], now: int
    ) -> tuple[tuple[RegisteredCertificate, ...], tuple[RegisteredCertificate, ...]]:
        """Certificates that change, newest first; and, of agents without one, the newest.

        What narrows is for every certificate of the agent for which it is lawful, expired or not,
        so that no older one is forgotten; a release is for the active one alone.
        """
        status = _BECOMES[act]
        change: list[RegisteredCertificate] = []
        unchanged: list[RegisteredCertificate] = []
        for agent in agents:
            records = self._log.state.agents[agent]
            if act == "release":
                active = self._log.state.active(agent, now)
                records = [] if active is None else [active]
            lawful = [
                record for record in reversed(records) if (act, record.status, status) in LAWFUL
            ]
            change += lawful
            if not lawful and act == "release":
                raise NotAuthorised("release: no active certificate of this agent is on hold")
            if not lawful:
                unchanged.append(records[-1])
        return tuple(change), tuple(unchanged)

    # -- recording -----------------------------------------------------------------------------

    def _record(self, judged: _Judged) -> _Recorded:
        """Sequence all entries of the act; what narrows takes effect even where that fails."""
        done = _Recorded(pushes=[], failures=[])
        for record in judged.change:
            epoch = self._log.state.epoch + 1
            entry = StatusChanged(
                at=format_instant(judged.now),
                agent=record.agent,
                serial_number=record.serial_number,
                certificate_sha256=record.sha256,
                status=judged.status,
                reason=judged.reason,
                epoch=epoch,
                cause=judged.act,
                seats=judged.seats,
                commands=judged.commands,
            )
            try:
                done.index = self._log.record(entry)
            except SekishoError as error:
                if judged.status == "good":
                    raise
                done.sequenced = False
                done.failures.append(f"record: {record.serial_number}: {error}"[:300])
                self._revocation.narrow(record, judged.status, judged.reason)
            done.pushes.append(_push(record, judged.act, judged.status, judged.reason, epoch))
        for record in judged.unchanged:
            # It is so already: told again, because a person wants the agent stopped.
            status, reason = self._revocation.of(record)
            done.pushes.append(_push(record, judged.act, status, reason, record.epoch))
        return done

    # -- effects -------------------------------------------------------------------------------

    async def _carry_out(self, judged: _Judged, done: _Recorded) -> StatusOutcome:
        narrowing = judged.status != "good"
        durable: asyncio.Future[None] | None = None
        if narrowing:
            # Where it was so already too: the entry that made it so may still be on its way.
            known = self._log.all_durable() if done.index < 0 else self._log.durable(done.index)
            durable = asyncio.ensure_future(known)
            await settle(self._clock, [durable], DURABLE_WAIT_S)
        elif done.index >= 0:
            # A crash before this returns leaves the hold in force; nobody was told otherwise.
            await self._log.durable(done.index)
        recorded = done.sequenced and _succeeded(durable)
        tasks = self._announcer.start(
            [msgspec.structs.replace(push, recorded=recorded) for push in done.pushes]
        )
        crl = asyncio.ensure_future(self._revocation.renew_crl())
        reports, failures = await self._announcer.collect(tasks, stopping=narrowing)
        done.failures += failures
        await self._finish("crl", crl, done)
        if durable is not None:
            # Perhaps the disk was slow only: after all else, say whether the record is there.
            await self._finish("record", durable, done)
        recorded = done.sequenced and _succeeded(durable)
        number = crl.result() if _succeeded(crl) else None
        return self._outcome(judged, done, recorded, number, reports)

    async def _finish(self, step: str, future: asyncio.Future[Any], done: _Recorded) -> None:
        """Wait for a step, within bounds, and write down how it failed if it did."""
        if not await settle(self._clock, [future], ANSWER_WAIT_S):
            done.failures.append(f"{step}: not done within {ANSWER_WAIT_S} s")
        elif future.cancelled():
            done.failures.append(f"{step}: cancelled")
        elif (error := future.exception()) is not None:
            done.failures.append(f"{step}: {error}"[:300])

    def _outcome(
        self,
        judged: _Judged,
        done: _Recorded,
        recorded: bool,
        crl_number: int | None,
        reports: tuple[StopOutcome, ...],
    ) -> StatusOutcome:
        unreached: list[str] = []
        if judged.status != "good":
            told = frozenset(push.certificate_sha256 for push in done.pushes)
            stopped = {report.gate for report in reports if report.complete}
            unreached = sorted(self._lease_holders(told) - stopped)
        outcome = StatusOutcome(
            act=judged.act,
            agents=judged.agents,
            changed=tuple(record.serial_number for record in judged.change),
            unchanged=tuple(record.serial_number for record in judged.unchanged),
            epoch=max(push.epoch for push in done.pushes),
            recorded=recorded,
            crl_number=crl_number,
            reports=reports,
            unreached=tuple(unreached),
            failures=tuple(done.failures),
            # What could not be recorded is among the failures.
            complete=not done.failures
            and not unreached
            and all(report.complete for report in reports),
        )
        return outcome if judged.act != "kill" else self._kill_report(outcome)

    def _kill_report(self, outcome: StatusOutcome) -> KillReport:
        """The same, with every certificate of the agents and every order that was resting."""
        records = [one for agent in outcome.agents for one in self._log.state.agents[agent]]
        not_revoked = tuple(
            one.serial_number for one in records if self._revocation.of(one)[0] != "revoked"
        )
        fields = {name: getattr(outcome, name) for name in outcome.__struct_fields__}
        fields["complete"] = outcome.complete and not not_revoked
        return KillReport(
            **fields,
            revoked=tuple(
                one.serial_number for one in records if one.serial_number not in not_revoked
            ),
            not_revoked=not_revoked,
            confirmed=_orders(outcome.reports, "confirmed"),
            unconfirmed=_orders(outcome.reports, "unconfirmed"),
        )


def _succeeded(future: asyncio.Future[Any] | None) -> bool:
    """Whether it is done and did not fail; nothing to be done counts as done."""
    if future is None:
        return True
    return future.done() and not future.cancelled() and future.exception() is None


def _orders(
    reports: tuple[StopOutcome, ...], which: Literal["confirmed", "unconfirmed"]
) -> tuple[str, ...]:
    return tuple(
        sorted(
            {
                f"{report.gate}/{report.agent}/{order}"
                for report in reports
                for order in getattr(report, which)
            }
        )
    )


def _reason(command: Command) -> str:
    """The CRLReason of a command, by its act and reason code (docs/spec/authority.md section 2)."""
    if command.command == "release":
        return ""
    if command.command == "hold":
        return HOLD_REASON
    return REASONS_BY_CODE.get(command.reason_code, "privilegeWithdrawn")


def _push(
    record: RegisteredCertificate, act: str, status: Status, reason: str, epoch: int
) -> StatusPush:
    return StatusPush(
        agent=record.agent,
        certificate_sha256=record.sha256,
        serial_number=record.serial_number,
        status=status,
        reason=reason,
        epoch=epoch,
        cause=act,
        recorded=True,
    )
