# SPDX-License-Identifier: Apache-2.0
"""Moving an agent to another gate, on the word of an operator.

The move is recorded; from then on the gate before gets no lease for the agent. It is told at once,
so that it stops and cancels what rests; ``agentgates`` keeps the new gate waiting until that is
confirmed or the last lease is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from sekisho.core.errors import NotAuthorised, VerificationFailed
from sekisho.core.events import AgentAssigned, HistoryLost
from sekisho.core.governance.commands import SignedCommand
from sekisho.core.terms import NAME, format_instant
from sekisho.services.agentgates import AgentGates
from sekisho.services.announcing import ANSWER_WAIT_S, Announcer
from sekisho.services.commanding import Commanding
from sekisho.services.historydesk import HistoryDesk
from sekisho.services.losing import Losing
from sekisho.services.registerlog import RegisterLog
from sekisho.services.stopping import StopOutcome
from sekisho.services.waiting import settle


class AssignOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an ``assign`` achieved.

    Attributes:
        before: the gate that had the agent.
        recorded: the move is durable in the authority's log.
        reports: what the gate before achieved.
        free_at: when its last lease has certainly ended, ``""`` when it confirmed its stop or holds
            none; until then the new gate gets nothing.
        failures: each step that failed, in words.
        handed_over: the agent's history has arrived here. Until it has, the new gate permits
            nothing for the agent.
        complete: recorded, nothing failed, and the new gate may begin now.
        lost: the gate whose history of the agent was declared lost, ``""`` for none.
    """

    agent: str
    gate: str
    before: str
    epoch: int
    recorded: bool
    reports: tuple[StopOutcome, ...]
    free_at: str
    handed_over: bool
    failures: tuple[str, ...]
    complete: bool
    lost: str = ""


class Assigning:
    """Takes ``assign`` commands."""

    def __init__(
        self,
        log: RegisterLog,
        gates: AgentGates,
        announcer: Announcer,
        commanding: Commanding,
        catch_up: Callable[[], int],
        histories: HistoryDesk,
    ) -> None:
        """``catch_up`` does what time has made due, and returns the log time for what follows."""
        self._histories = histories
        self._log = log
        self._gates = gates
        self._announcer = announcer
        self._commanding = commanding
        self._losing = Losing(log, gates, announcer)
        self._catch_up = catch_up

    async def assign(self, signed: tuple[SignedCommand, ...]) -> AssignOutcome:
        """Move an agent to another gate on the word of an operator; with ``history`` lost, of two
        people.

        Once recorded it holds, whoever waits for the outcome.

        Raises:
            MalformedInput, VerificationFailed: a command is not well made or does not hold.
            NotAuthorised: duties, nonce, epoch, the gate has the agent, or no gate has it yet.
            StorageFailed: the log failed earlier; nothing was recorded.
        """
        taken = self._commanding.take(signed, ("assign",), self._catch_up())
        agent, gate = self._commanding.agent(taken.command), taken.command.gate
        self._commanding.check_epoch(taken.command, agent)
        held = self._log.state.assigned.get(agent)
        if isinstance(gate, str) and NAME.fullmatch(gate) and taken.command.history == "lost":
            entry, index = self._losing.declare(taken, agent, gate)
            self._commanding.used(taken)
            return await asyncio.shield(asyncio.ensure_future(self._lost(entry, index)))
        if not isinstance(gate, str) or NAME.fullmatch(gate) is None:
            raise NotAuthorised("assign: it names no gate")
        if held is None or held.gate == gate:
            has = "no gate has it yet; the first that asks gets it"
            raise NotAuthorised(f"assign: {has if held is None else f'{gate!r} has it already'}")
        moved = AgentAssigned(
            at=format_instant(taken.now),
            agent=agent,
            gate=gate,
            before=held.gate,
            epoch=self._log.state.epoch + 1,
            seats=taken.seats,
            commands=taken.texts,
        )
        try:
            index = self._log.record(moved)
        except VerificationFailed as error:
            raise NotAuthorised(f"assign: {error}") from error
        self._commanding.used(taken)
        return await asyncio.shield(asyncio.ensure_future(self._carry_out(moved, index)))

    async def _lost(self, entry: HistoryLost, index: int) -> AssignOutcome:
        failures = await self._losing.carry_out(entry, index)
        return AssignOutcome(
            agent=entry.agent,
            gate=entry.gate,
            before=entry.before,
            epoch=entry.epoch,
            recorded=not failures,
            reports=(),
            free_at="",
            failures=failures,
            handed_over=not failures,
            complete=not failures,
            lost=entry.lost,
        )

    async def _carry_out(self, entry: AgentAssigned, index: int) -> AssignOutcome:
        """From its entry on the gate before gets no lease; what it holds is bounded or stopped.

        A crash in here leaves the move on record: the gate before is told when it connects again.
        """
        durable = asyncio.ensure_future(self._log.durable(index))
        asked = self._announcer.start([self._gates.push_of(entry.agent, entry.before)])
        reports, told = await self._announcer.collect(asked, stopping=True)
        failures = list(told)
        recorded = await settle(self._log.clock, [durable], ANSWER_WAIT_S)
        if not recorded:
            failures.append(f"record: not done within {ANSWER_WAIT_S} s")
        elif (error := durable.exception()) is not None:
            recorded = False
            failures.append(f"record: {error}"[:300])
        for report in reports:
            if report.complete and report.gate == entry.before:
                self._gates.stopped(entry.before, entry.agent, entry.epoch)
        # A gate that did not answer hands nothing over meanwhile.
        wait_s = ANSWER_WAIT_S if reports else 0.0
        handed_over = recorded and await self._histories.arrived(entry.agent, wait_s)
        if not handed_over:
            owes = self._log.state.assigned[entry.agent].whole
            failures.append(
                f"history: gate {owes} has not handed over what it knows of {entry.agent};"
                f" {entry.gate} permits nothing for it until {owes} ran and did so"
            )
        left = self._gates.fence(entry.gate, entry.agent)
        return AssignOutcome(
            agent=entry.agent,
            gate=entry.gate,
            before=entry.before,
            epoch=entry.epoch,
            recorded=recorded,
            reports=reports,
            free_at=format_instant(self._log.now() + left) if left else "",
            failures=tuple(failures),
            handed_over=handed_over,
            complete=recorded and not failures and not left,
        )
