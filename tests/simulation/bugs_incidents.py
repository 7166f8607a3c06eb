# SPDX-License-Identifier: Apache-2.0
"""Mistakes around the watch, incidents and latches; see ``bugs`` for what they are there for."""

from __future__ import annotations

from typing import Any

from sekisho.core.events import IncidentOpened, Rearmed, Scores
from sekisho.core.gate.agent import AgentState
from sekisho.core.gate.decide import decide
from sekisho.core.gate.order import Order
from sekisho.core.governance.commands import SignedCommand, signed_command_text
from sekisho.core.sight import Sight
from sekisho.core.terms import NS
from sekisho.services.gatekeeper import Answer, Gatekeeper
from sekisho.services.gatelog import GateLog
from sekisho.services.governing import Governing
from sekisho.services.incidentwatch import IncidentWatch
from sekisho.services.leasing import Leasing


class NotesTheCrossingLater(GateLog):
    """Incidents are opened when the disk is asked next: not while an order is in hand."""

    def _note_crossing(self, name: str) -> None:
        """Later."""

    async def durable(self, index: int) -> None:
        await super().durable(index)
        for name in list(self.state.agents):
            super()._note_crossing(name)


class ForgetsTheIncident(GateLog):
    """What an earlier process had no time to open was long ago."""

    def note_crossings(self) -> None:
        """Nothing to do at a start."""


class ForgetsTheRestart(GateLog):
    """A new accumulation is begun by the process that lifted, or not at all."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._restart_due = ""


class ForgetsTheLatch(GateLog):
    """The breaker protects while the process lives; after a start it has not tripped yet."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        for agent in self.state.agents.values():
            agent.latches.discard("circuit_breaker")


class LiftsAtTheSameEpoch(Leasing):
    """What a lease says of the epoch that stopped is as good as newer."""

    @staticmethod
    def _lawful(agent: AgentState, seen: str, epoch: int) -> bool:
        return agent.status != "revoked" and (seen != "good" or epoch >= agent.epoch)

    def _changes(self, terms: Any, status: Any, unheard: Any) -> Any:
        return super()._changes(terms, status, frozenset())


class LiftsWhatNobodyHeard(Leasing):
    """A lease of a newer epoch lifts, whether or not the authority knows of the incident."""

    def _changes(self, terms: Any, status: Any, unheard: Any) -> Any:
        return super()._changes(terms, status, frozenset())


class ReArmsForOne(Governing):
    """Who is at the console may take the latch off."""

    async def rearm(self, signed: tuple[SignedCommand, ...]) -> int:
        command = signed[0].command
        log = self._log
        if command.latch not in log.state.agents[str(command.agent)].latches:
            return await super().rearm(signed)
        entry = Rearmed(
            at=log.at(),
            agent=str(command.agent),
            latch=command.latch,
            seats=tuple(one.command.seat for one in signed),
            commands=tuple(signed_command_text(one) for one in signed),
        )
        index = log.record(entry)
        await log.durable(index)
        return index


class ReArmsByTimer(Gatekeeper):
    """After a quiet minute the breaker is taken off, so that nobody need get up."""

    _last = 0

    async def submit(self, agent: str, body: bytes) -> Answer:
        now, log = self._clock.monotonic_ns(), self.log
        quiet, self._last = now - self._last > 60 * NS, now
        if quiet and "circuit_breaker" in log.state.agents[agent].latches:
            entry = Rearmed(
                at=log.at(), agent=agent, latch="circuit_breaker", seats=("timer",), commands=()
            )
            if log.journal.failed is None:
                log.record(entry)
        return await super().submit(agent, body)


class KeepsTheScore(Gatekeeper):
    """The watch is asked once, when the order arrives, and not again after what it waited for."""

    async def _take(self, agent: str, body: bytes, order: Order) -> Answer:
        log, early = self.log, Early(self.log)
        decide(log.state, log.clocks(), agent, body, order, early.first)
        watch, log.watch = log.watch, early  # type: ignore[assignment] # the planted mistake
        try:
            return await super()._take(agent, body, order)
        finally:
            log.watch = watch


class Early:
    """Scores as they were when they were first asked for."""

    def __init__(self, log: GateLog) -> None:
        self._log = log
        self._watch = log.watch
        self._kept: Scores | None = None

    def first(self, sight: Sight) -> Scores:
        self._kept = self._watch.scores(sight)
        return self._kept

    def scores(self, sight: Sight) -> Scores:
        return self._kept or self.first(sight)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._watch, name)


class TellsAtOnce(IncidentWatch):
    """A stop must not wait for the disk, so the authority is told although that is slow."""

    async def _durable(self, index: int, entry: IncidentOpened) -> bool:
        return True


class StopsAgain(IncidentWatch):
    """Every incident of the log stops again at a start: better once too often."""

    async def _stop_here(self, entry: IncidentOpened, *, what_rests: bool = False) -> None:
        held = self._log.state.agents[entry.agent]
        wanted = bool(held.working) or not what_rests
        if entry.incident_kind == "hold" and held.status != "revoked" and wanted:
            await self._stopping.stop(
                entry.agent, entry.certificate_sha256, "hold", "incident", held.epoch
            )


class TrustsThePush(IncidentWatch):
    """Whoever took the report will stop it: the authority pushes the hold."""

    async def _stop_here(self, entry: IncidentOpened, *, what_rests: bool = False) -> None:
        if not what_rests:
            await super()._stop_here(entry)
