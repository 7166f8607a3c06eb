# SPDX-License-Identifier: Apache-2.0
"""Several replicas of one authority: what the writer knows of the others, and what a follower does
(docs/spec/control-plane.md section 6).

A gate has its stream at one replica. The writer tells its own gates, and waits for what the others
achieved; a follower reads the log, tells its own gates what changed, and hands their reports on. A
change that a follower reads is durable already.
"""

from __future__ import annotations

import asyncio

import msgspec

from sekisho.core.events import AgentAssigned, AuthorityEntry, HistoryLost, StatusChanged
from sekisho.core.terms import NS
from sekisho.ports import Clock
from sekisho.services.agentgates import ASSIGNED
from sekisho.services.announcing import PushAsked
from sekisho.services.authority import Authority
from sekisho.services.status import StatusPush
from sekisho.services.stopping import StopOutcome
from sekisho.services.storejournal import StoreJournal

PRESENT_S = 3.0
"""A follower that has not said for so long which gates it has, has none."""


class GatesPresent(msgspec.Struct, frozen=True, kw_only=True):
    """The gates that have their stream at a replica."""

    replica: str
    gates: tuple[str, ...]


class GateReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a push achieved at a gate of a replica."""

    replica: str
    certificate_sha256: str
    epoch: int
    cause: str
    outcome: StopOutcome


class OtherReplicas:
    """What the writer knows of the other replicas' gates."""

    def __init__(self, authority: Authority, clock: Clock) -> None:
        self._authority = authority
        self._clock = clock
        self._present: dict[str, tuple[frozenset[str], int]] = {}
        self._waiting: dict[tuple[str, str, int], asyncio.Future[StopOutcome | None]] = {}
        authority.announcer.add_lines(self._tell)

    def present(self, said: GatesPresent) -> None:
        """A replica says which gates it has; it says so again before PRESENT_S are over."""
        until = self._clock.monotonic_ns() + int(PRESENT_S * NS)
        self._present[said.replica] = frozenset(said.gates), until

    def gates(self) -> frozenset[str]:
        """Gates that have their stream at another replica."""
        now = self._clock.monotonic_ns()
        known = [gates for gates, until in self._present.values() if until > now]
        return frozenset[str]().union(*known)

    def reported(self, report: GateReport) -> None:
        """A gate of another replica has reported. The same again changes nothing."""
        outcome = report.outcome
        if outcome.complete and report.cause == ASSIGNED:
            self._authority.gates.stopped(outcome.gate, outcome.agent, report.epoch)
        key = outcome.gate, report.certificate_sha256, report.epoch
        waiting = self._waiting.pop(key, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(outcome)

    def _tell(self, push: StatusPush) -> list[PushAsked]:
        """Wait for the gates of others whom a push concerns: they read of it in the log."""
        asked = []
        for gate in sorted(self._authority.gates.told_of(push) & self.gates()):
            key = gate, push.certificate_sha256, push.epoch
            answer: asyncio.Future[StopOutcome | None] = asyncio.get_running_loop().create_future()
            if push.status == "good" or not push.recorded:
                # Nothing is reported of what widens; what is not in the log reaches nobody there.
                answer.set_result(None)
            else:
                self._waiting[key] = answer
            asked.append(PushAsked(f"gate {gate}", answer))
        return asked


class Following:
    """What a follower does with the log of its writer."""

    def __init__(self, journal: StoreJournal, authority: Authority) -> None:
        self._journal = journal
        self._authority = authority

    async def step(self, seconds: float) -> int:
        """Wait at most so long for more of the log, fold it in, and tell this replica's gates.

        Returns:
            How many entries there were.

        Raises:
            Unavailable: the store did not answer.
            VerificationFailed, MalformedInput: the log holds what no authority writes.
        """
        await self._journal.grown(seconds)
        await self._journal.catch_up()
        entries = self._authority.log.follow()
        pushes = [push for one in entries if (push := self._push(one)) is not None]
        # Nothing was awaited since the fold: a gate that connects now is told by either.
        self._authority.announcer.start(pushes)
        return len(entries)

    def _push(self, entry: AuthorityEntry) -> StatusPush | None:
        if isinstance(entry, StatusChanged):
            return StatusPush(
                agent=entry.agent,
                certificate_sha256=entry.certificate_sha256,
                serial_number=entry.serial_number,
                status=entry.status,
                reason=entry.reason,
                epoch=entry.epoch,
                cause=entry.cause,
                recorded=True,
            )
        if isinstance(entry, AgentAssigned | HistoryLost) and entry.before not in {"", entry.gate}:
            return self._authority.gates.push_of(entry.agent, entry.before)
        return None
