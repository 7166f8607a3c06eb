# SPDX-License-Identifier: Apache-2.0
"""Declaring an agent's history lost, on the word of two people of different roles
(docs/spec/history.md, section 6).

For a gate that is gone for good: the agent begins at another gate with what people stated, and
nothing else. It is taken only when no other gate can sign for the agent any more. A crash before
the entry is durable leaves nothing declared; after it the begun history is made again from the log.
"""

from __future__ import annotations

from sekisho.core.encoding import sha256_hex
from sekisho.core.errors import NotAuthorised, OutcomeUnknown, StorageFailed, VerificationFailed
from sekisho.core.events import HistoryLost
from sekisho.core.governance.commands import Command
from sekisho.core.identity.begun import StatedBeginning, begun_history
from sekisho.core.identity.moves import locked, losable
from sekisho.core.identity.records import AgentGate
from sekisho.core.terms import format_instant
from sekisho.services.agentgates import AgentGates
from sekisho.services.announcing import Announcer
from sekisho.services.commanding import Taken
from sekisho.services.registerlog import RegisterLog

Failures = tuple[str, ...]


class Losing:
    """Takes ``assign`` commands that declare a history lost."""

    def __init__(self, log: RegisterLog, gates: AgentGates, announcer: Announcer) -> None:
        self._log = log
        self._gates = gates
        self._announcer = announcer

    def declare(self, taken: Taken, agent: str, gate: str) -> tuple[HistoryLost, int]:
        """Record that the history is lost and how it begins; the entry and its index.

        Not durable yet; nothing is awaited.

        Raises:
            NotAuthorised: the history can be had, or another gate may still sign for the agent.
            StorageFailed: the log failed earlier; nothing was recorded.
        """
        state = self._log.state
        try:
            held = losable(state, agent, gate)
        except VerificationFailed as error:
            raise NotAuthorised(f"assign: {error}") from error
        self._check_fence(held, agent, gate)
        data = begun_history(state, self._beginning(taken, agent))
        entry = HistoryLost(
            at=format_instant(taken.now),
            agent=agent,
            gate=gate,
            before=held.gate,
            lost=held.whole,
            epoch=state.epoch + 1,
            baseline_sha256=locked(state, agent),
            history_sha256=sha256_hex(data),
            bytes=len(data),
            seats=taken.seats,
            commands=taken.texts,
        )
        try:
            return entry, self._log.record(entry)
        except VerificationFailed as error:
            raise NotAuthorised(f"assign: {error}") from error

    def _check_fence(self, held: AgentGate, agent: str, gate: str) -> None:
        """A complete stop is not enough here: who cannot hand over may not have told the truth."""
        certificates = frozenset(one.sha256 for one in self._log.state.agents[agent])
        for other in sorted({held.gate, held.whole, *held.left} - {gate}):
            if until := self._gates.unfenced(other, certificates):
                raise NotAuthorised(
                    f"assign: gate {other!r} may sign for {agent!r} until {until}",
                    "--history-lost",
                    "if it runs, it hands over itself: assign without --history-lost; if it is"
                    " gone, declare the history lost after that time",
                )

    def _beginning(self, taken: Taken, agent: str) -> StatedBeginning:
        positions, ids_from = stated(taken.command)
        return StatedBeginning(
            agent=agent,
            epoch=self._log.state.epoch + 1,
            entry=self._log.state.size,
            at=taken.now,
            positions=positions,
            ids_from=ids_from,
        )

    async def carry_out(self, entry: HistoryLost, index: int) -> Failures:
        """Make it durable, and tell the gate before if it lives. What went wrong."""
        if entry.before != entry.gate:
            # It gets no lease any more; if it is there after all it stops and cancels at once.
            self._announcer.start([self._gates.push_of(entry.agent, entry.before)])
        try:
            await self._log.durable(index)
        except (StorageFailed, OutcomeUnknown) as error:
            return (f"record: {error}"[:300],)
        return ()


def stated(command: Command) -> tuple[tuple[tuple[str, str], ...], str]:
    """Positions and the beginning of ids of a command. Raises NotAuthorised: it states none."""
    if not isinstance(command.positions, dict) or not isinstance(command.ids_from, str):
        raise NotAuthorised("assign: it does not say how the history begins")
    return tuple(sorted(command.positions.items())), command.ids_from
