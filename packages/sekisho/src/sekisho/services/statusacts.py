# SPDX-License-Identifier: Apache-2.0
"""Carrying out an act about the status of certificates: recorded, told, put on the CRL, collected.

This module owns the *order of effects* (docs/spec/authority.md section 4). What narrows goes on
when a step fails, and the outcome names the step; what widens happens only when everything before
it did. Whether an act is lawful was judged by whoever begins it, and is judged again by the log.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import msgspec

from sekisho.core.errors import SekishoError
from sekisho.core.events import IncidentClosed, StatusChanged
from sekisho.core.identity.records import RegisteredCertificate
from sekisho.core.identity.status import Status
from sekisho.core.incidents.cases import OwedClose
from sekisho.core.terms import format_instant
from sekisho.ports import Clock
from sekisho.services.agentgates import AgentGates
from sekisho.services.alerting import Alerting
from sekisho.services.announcing import ANSWER_WAIT_S, Announcer
from sekisho.services.registerlog import RegisterLog
from sekisho.services.revocation import RevocationStatus
from sekisho.services.status import Act, KillReport, StatusAct, StatusOutcome, StatusPush
from sekisho.services.stopping import StopOutcome
from sekisho.services.waiting import settle

DURABLE_WAIT_S = 0.05
"""How long what narrows waits for the disk before it is told all the same (promise P4: 100 ms)."""


class _Recorded(msgspec.Struct, kw_only=True):
    """What became of the entries: ``index`` of the last one, -1 if there is none."""

    pushes: list[StatusPush]
    index: int = -1
    sequenced: bool = True
    closed: list[str]
    failures: list[str]


class StatusActs:
    """Acts of people and of incidents. One instance owns the log."""

    def __init__(
        self,
        log: RegisterLog,
        revocation: RevocationStatus,
        announcer: Announcer,
        alerting: Alerting,
        clock: Clock,
        gates: AgentGates,
    ) -> None:
        self._log = log
        self._revocation = revocation
        self._announcer = announcer
        self._alerting = alerting
        self._clock = clock
        self._gates = gates
        self._under_way: set[asyncio.Task[StatusOutcome]] = set()

    def begin(self, act: StatusAct) -> asyncio.Task[StatusOutcome]:
        """Sequence the act's entries at once; the rest runs to its end, whoever waits for it.

        Nothing is awaited before this returns: from here on no answer of this authority says
        "good", and no two acts are decided from the same state.

        Raises:
            VerificationFailed: the log does not allow it; nothing was recorded.
            StorageFailed: the log failed, and the act widens; nothing was recorded.
        """
        recorded = self._record(act)
        task = asyncio.ensure_future(self._carry_out(act, recorded))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    # -- recording -----------------------------------------------------------------------------

    def _record(self, act: StatusAct) -> _Recorded:
        """Sequence all entries of the act; what narrows takes effect even where that fails."""
        done = _Recorded(pushes=[], closed=[], failures=[])
        for record in act.change:
            epoch = self._log.state.epoch + 1
            try:
                self._change(act, record, epoch, done)
            except SekishoError as error:
                if act.status == "good":
                    raise
                done.sequenced = False
                done.failures.append(f"record: {record.serial_number}: {error}"[:300])
                self._revocation.narrow(record, act.status, act.reason)
            done.pushes.append(_push(record, act.act, act.status, act.reason, epoch))
        for record in act.unchanged:
            # It is so already: told again, because a person wants the agent stopped.
            status, reason = self._revocation.of(record)
            done.pushes.append(_push(record, act.act, status, reason, record.epoch))
        return done

    def _change(
        self, act: StatusAct, record: RegisteredCertificate, epoch: int, done: _Recorded
    ) -> None:
        entry = StatusChanged(
            at=format_instant(act.now),
            agent=record.agent,
            serial_number=record.serial_number,
            certificate_sha256=record.sha256,
            status=act.status,
            reason=act.reason,
            epoch=epoch,
            cause=act.act,
            incident=act.incident or self._log.book.ended_by(record.sha256, act.act),
            seats=act.seats,
            commands=act.commands,
        )
        done.index = self._log.record(entry)
        # A crash that keeps the change and loses what closes its incident leaves that owed to the
        # log: the next opening pays it before anything else.
        index, closed = close_ended(self._log, act.now)
        done.index = max(done.index, index)
        done.closed += closed

    # -- effects -------------------------------------------------------------------------------

    async def _carry_out(self, act: StatusAct, done: _Recorded) -> StatusOutcome:
        narrowing = act.status != "good"
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
        asked = self._announcer.start(
            [msgspec.structs.replace(push, recorded=recorded) for push in done.pushes]
        )
        # Everything below may wait, and takes the processor: the pushes leave first.
        await self._announcer.written(asked)
        telling = self._tell(act, done) if recorded else None
        concerned = (*act.change, *act.unchanged)
        crl = asyncio.ensure_future(self._revocation.renew_crls(concerned))
        reports, failures = await self._announcer.collect(asked, stopping=narrowing)
        done.failures += failures
        await self._finish("crl", crl, done)
        if durable is not None:
            # Perhaps the disk was slow only: after all else, say whether the record is there.
            await self._finish("record", durable, done)
        recorded = done.sequenced and _succeeded(durable)
        number = crl.result() if _succeeded(crl) else None
        if recorded:
            # A channel is waited for as long as a listener, and was asked beside them.
            await (telling or self._tell(act, done))
        return self._outcome(act, done, recorded, number, reports)

    def _tell(self, act: StatusAct, done: _Recorded) -> asyncio.Future[None]:
        return asyncio.ensure_future(self._alerting.tell_ends(done.closed, act.act))

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
        act: StatusAct,
        done: _Recorded,
        recorded: bool,
        crl_number: int | None,
        reports: tuple[StopOutcome, ...],
    ) -> StatusOutcome:
        unreached: list[str] = []
        told = frozenset(push.certificate_sha256 for push in done.pushes)
        if act.status != "good":
            unreached = self._unreached(act.agents, told, reports)
        outcome = StatusOutcome(
            act=act.act,
            agents=act.agents,
            changed=tuple(record.serial_number for record in act.change),
            unchanged=tuple(record.serial_number for record in act.unchanged),
            epoch=max(push.epoch for push in done.pushes),
            recorded=recorded,
            crl_number=crl_number,
            reports=reports,
            unreached=tuple(unreached),
            lease_ends={gate: self._gates.until(gate, told) for gate in unreached},
            failures=tuple(done.failures),
            # What could not be recorded is among the failures.
            complete=not done.failures
            and not unreached
            and all(report.complete for report in reports),
        )
        return outcome if act.act != "kill" else self._kill_report(outcome)

    def _unreached(
        self, agents: tuple[str, ...], told: frozenset[str], reports: tuple[StopOutcome, ...]
    ) -> list[str]:
        """Gates that may sign for one of the agents, or have its orders, and did not report it."""
        stopped = {(report.gate, report.agent) for report in reports if report.complete}
        certificates = self._log.state.certificates
        own: dict[str, set[str]] = {agent: set() for agent in agents}
        for one in told:
            own.setdefault(certificates[one].agent, set()).add(one)
        missing: set[str] = set()
        for agent, known in own.items():
            gates = self._gates.gates_of(agent, frozenset(known))
            missing |= {gate for gate in gates if (gate, agent) not in stopped}
        return sorted(missing)

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


def close_ended(log: RegisterLog, now: int) -> tuple[int, list[str]]:
    """Record the close of every incident that has just ended, as far as that is owed next.

    Returns:
        Index of the last entry (-1: none was owed), and the incidents.

    Raises:
        StorageFailed: the log failed earlier; nothing was recorded.
    """
    index = -1
    closed: list[str] = []
    while log.book.owed and isinstance(owed := log.book.owed[0], OwedClose):
        index = log.record(
            IncidentClosed(
                at=format_instant(max(now, log.state.at)),
                incident=owed.incident,
                outcome=owed.outcome,
            )
        )
        closed.append(owed.incident)
    return index, closed


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


def _push(
    record: RegisteredCertificate, act: Act, status: Status, reason: str, epoch: int
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
