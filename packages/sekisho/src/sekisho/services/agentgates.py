# SPDX-License-Identifier: Apache-2.0
"""Which gate has which agent (docs/spec/processes.md section 1, "One gate an agent").

The first gate that asks for an agent gets it. Another one takes over by a command (``assigning``),
and gets nothing before the one that it takes over from has confirmed its stop, or can no longer
hold a lease that names the agent. So there are never two gates that may sign for one agent,
wherever the first one hangs. Leases are granted elsewhere; this says for which agents.
"""

from __future__ import annotations

import msgspec

from sekisho.core.errors import NotAuthorised, Unavailable
from sekisho.core.events import AgentAssigned
from sekisho.core.terms import NS, format_instant
from sekisho.ports import Clock
from sekisho.services.admission import Admission
from sekisho.services.leasing import Moved
from sekisho.services.registerlog import RegisterLog
from sekisho.services.status import StatusPush

ASSIGNED = "assigned"
"""Cause of the push that takes an agent away from a gate."""


class Outstanding:
    """Until when a gate may act on a lease with a certificate, on the authority's boot-time clock.

    The answer with a lease may be lost, or a later one may speak of fewer certificates: each
    counts as long as it could be used.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._any: dict[str, int] = {}
        self._until: dict[str, dict[str, int]] = {}
        self._named: dict[str, set[str]] = {}
        """Certificate → gates that were ever granted a lease with it; few, whatever the fleet."""
        self._ends: dict[str, int] = {}

    def opened(self, gate: str, seconds: int) -> None:
        """What an earlier process granted is not known: any certificate, for so long."""
        self._any[gate] = self._clock.monotonic_ns() + seconds * NS

    def granted(self, gate: str, certificates: frozenset[str], until: int, end: int = 0) -> None:
        """A lease that answers for these leaves, good until ``until`` (ns) at the latest; ``end``:
        what it says itself (ns UTC).
        """
        self._ends[gate] = max(end, self._ends.get(gate, 0))
        now, before = self._clock.monotonic_ns(), self._until.get(gate, {})
        kept = {name: end for name, end in before.items() if end > now}
        for name in certificates:
            kept[name] = max(until, kept.get(name, 0))
            self._named.setdefault(name, set()).add(gate)
        self._until[gate] = kept

    def holders(self, certificates: frozenset[str]) -> frozenset[str]:
        """Gates that may hold an unexpired lease with one of these certificates."""
        now = self._clock.monotonic_ns()
        if self._any and max(self._any.values()) <= now:
            self._any.clear()
        known = set(self._any).union(*(self._named.get(name, ()) for name in certificates))
        return frozenset(gate for gate in known if self.left(gate, certificates) > 0)

    def end(self, gate: str) -> int:
        """The latest end (ns UTC) that a lease of this gate says, of those known here; 0: none."""
        return self._ends.get(gate, 0)

    def left(self, gate: str, certificates: frozenset[str]) -> int:
        """For how many ns the gate may still hold a lease with one of these; 0 for none."""
        until = self._until.get(gate, {})
        ends = [until[name] for name in certificates if name in until]
        return max(0, max([self._any.get(gate, 0), *ends]) - self._clock.monotonic_ns())


class AgentGates:
    """Gates and their agents, for one authority."""

    def __init__(self, log: RegisterLog, clock: Clock) -> None:
        self._log = log
        self._stopped: dict[tuple[str, str], int] = {}
        self.outstanding = Outstanding(clock)

    # -- questions -----------------------------------------------------------------------------

    def answers(self, gate: str, agent: str) -> bool:
        """Whether a lease of this gate may speak of the agent."""
        held = self._log.state.assigned.get(agent)
        if held is None or held.gate != gate or held.owed:
            return False
        return not self.fence(gate, agent)

    def moved(self, gate: str, agent: str) -> Moved | None:
        """What a gate is told of an agent whose history is under way; None for no such agent, or a
        gate that has nothing to do with it.
        """
        held = self._log.state.assigned.get(agent)
        if held is None or not held.owed or gate not in {held.gate, held.whole}:
            return None
        return Moved(before=held.whole, gate=held.gate, epoch=held.moved, history=held.kept)

    def concerned(self, gate: str, push: StatusPush) -> bool:
        """Whether a push is this gate's; see :meth:`told_of`."""
        return gate in self.told_of(push)

    def told_of(self, push: StatusPush) -> frozenset[str]:
        """Gates whose a push is: who has the agent, or had it and may hold a lease.

        Found by the agent: with many gates nobody is asked whom it does not concern.
        """
        if push.cause != ASSIGNED:
            return self.gates_of(push.agent, frozenset({push.certificate_sha256}))
        held = self._log.state.assigned.get(push.agent)
        left = {} if held is None else held.left
        return frozenset(gate for gate, one in left.items() if one.epoch == push.epoch)

    def left_at(self, gate: str, agent: str) -> int:
        """The epoch at which the agent last moved away from the gate; -1 if it never did."""
        held = self._log.state.assigned.get(agent)
        left = None if held is None else held.left.get(gate)
        return -1 if left is None else left.epoch

    def gates_of(self, agent: str, certificates: frozenset[str]) -> frozenset[str]:
        """The gate that has the agent, and others that may hold a lease with one of these."""
        held = self._log.state.assigned.get(agent)
        if held is None:
            return self.outstanding.holders(certificates)
        before = (gate for gate in held.left if self.outstanding.left(gate, certificates) > 0)
        return frozenset({held.gate, *before})

    def until(self, gate: str, certificates: frozenset[str]) -> str:
        """The end of the last lease that the gate may hold with one of these; ``""`` for none."""
        left = self.outstanding.left(gate, certificates)
        return format_instant(self._log.now() + left) if left else ""

    def unfenced(self, gate: str, certificates: frozenset[str]) -> str:
        """Until when the gate may act on a lease with one of these, by both clocks; ``""``: no
        more.

        By the wall clock too: a stranger has nothing else to compare a lease's end with.
        """
        now = self._log.now()
        until = max(now + self.outstanding.left(gate, certificates), self.outstanding.end(gate))
        return format_instant(until) if until > now else ""

    def fence(self, gate: str, agent: str) -> int:
        """For how many ns another gate that had the agent may still sign for it."""
        held = self._log.state.assigned.get(agent)
        if held is None:
            return 0
        certificates = frozenset(one.sha256 for one in self._log.state.agents[agent])
        return max(
            (
                self.outstanding.left(other, certificates)
                for other, left in held.left.items()
                if other != gate and self._stopped.get((other, agent), -1) < left.epoch
            ),
            default=0,
        )

    def told(self, gate: str, admission: Admission) -> Admission:
        """An admission with what this gate must know of the agent's history."""
        found = self.moved(gate, admission.agent)
        if found is None:
            return admission
        return msgspec.structs.replace(admission, moved_from=found.before, moved=found.epoch)

    # -- acts ----------------------------------------------------------------------------------

    def claim(self, gate: str, agent: str) -> None:
        """Assign an agent that no gate has; recorded, not durable yet.

        Raises:
            NotAuthorised: no such agent, or another gate has it.
            Unavailable: the gate before may still sign for it.
            StorageFailed: the log failed; nothing was recorded.
        """
        state = self._log.state
        if agent not in state.agents:
            raise NotAuthorised(f"{agent[:64]!r} has no certificate of this authority")
        held = state.assigned.get(agent)
        if held is None:
            # A crash before this is durable leaves an agent that no gate has, and no gate was told.
            self._log.record(
                AgentAssigned(
                    at=self._log.at(),
                    agent=agent,
                    gate=gate,
                    before="",
                    epoch=state.epoch,
                    seats=(),
                    commands=(),
                )
            )
            return
        if held.gate != gate:
            raise NotAuthorised(
                f"{agent!r} is assigned to gate {held.gate!r}",
                "agent",
                "an operator moves it: sekisho assign --agent AGENT --gate GATE",
            )
        if left := self.fence(gate, agent):
            raise Unavailable(
                f"the gate that had {agent!r} before may sign until"
                f" {format_instant(self._log.now() + left)}; ask again"
            )

    def stopped(self, gate: str, agent: str, epoch: int) -> None:
        """A gate reported a complete stop for the push that took the agent away, at its epoch."""
        known = self._stopped.get((gate, agent), -1)
        self._stopped[gate, agent] = max(known, epoch)

    def push_of(self, agent: str, gate: str) -> StatusPush:
        """What a gate is told that the agent moved away from: stop it, whatever its status.

        It is about the certificate of that time, for which the gate had a lease.
        """
        left = self._log.state.assigned[agent].left[gate]
        records = [one for one in self._log.state.agents[agent] if one.index < left.index]
        record = records[-1]
        revoked = record.status == "revoked" and record.epoch <= left.epoch
        return StatusPush(
            agent=agent,
            certificate_sha256=record.sha256,
            serial_number=record.serial_number,
            status="revoked" if revoked else "hold",
            reason=record.reason if revoked else "certificateHold",
            epoch=left.epoch,
            cause=ASSIGNED,
            recorded=True,
        )

    def claim_named(self, gate: str, certificates: tuple[str, ...]) -> None:
        """Assign what a lease request names and no gate has: whoever may sign is on record.

        Raises:
            StorageFailed: the log failed; nothing was recorded.
        """
        state = self._log.state
        for digest in certificates:
            record = state.certificates.get(digest)
            if record is not None and record.agent not in state.assigned:
                self.claim(gate, record.agent)
