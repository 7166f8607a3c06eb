# SPDX-License-Identifier: Apache-2.0
"""Gates at the other end of a stream: telling them of a change of status, hearing what they did.

One line a gate. A gate that is connected and concerned is a listener of the authority; one that is
not connected is not asked, and whoever commanded hears at once that it was not reached. What it has
not reported as done it is told again when it connects: changes later than the epoch that its log
shows, and whatever of its agents is not good and was not reported to this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from sekisho.core.errors import MalformedInput, NotAuthorised
from sekisho.core.identity.records import RegisteredCertificate
from sekisho.ports import Clock, Entropy
from sekisho.services.agentgates import ASSIGNED
from sekisho.services.authority import Authority
from sekisho.services.authoritywire import ToldStatus
from sekisho.services.status import StatusPush
from sekisho.services.stopping import StopOutcome
from sekisho.services.waiting import settle

COMMENT_S = 1.0
"""A gate cuts a stream that is silent for three seconds."""


@dataclass(slots=True)
class _Told:
    """A push under its id, and what the gate will say that it achieved."""

    push_id: str
    push: StatusPush
    outcome: asyncio.Future[StopOutcome]


class _Line:
    """One gate: its present stream, if any, and what it has not reported yet."""

    def __init__(self) -> None:
        self.stream: asyncio.Queue[_Told | None] | None = None
        self.pending: dict[str, _Told] = {}
        self.done: dict[tuple[str, str], int] = {}
        """(certificate, cause) → the highest epoch whose stop was reported as complete."""


class RemoteGates:
    """All gates of one authority that connect."""

    def __init__(self, authority: Authority, clock: Clock, entropy: Entropy) -> None:
        self._authority = authority
        self._clock = clock
        self._prefix = entropy.bytes(8).hex()
        self._count = 0
        self._lines: dict[str, _Line] = {}
        self._closing = False

    def connected(self) -> tuple[str, ...]:
        """Gates with a stream."""
        return tuple(sorted(name for name, line in self._lines.items() if line.stream is not None))

    def connect(self, gate: str, after: int) -> AsyncGenerator[ToldStatus | None, None]:
        """A gate's stream from now on; a stream that it had before ends.

        Args:
            gate: authenticated by the caller.
            after: the highest epoch in the gate's log.

        Returns:
            What to tell the gate; None each second in which there was nothing.
        """
        line = self._lines.get(gate)
        if line is None:
            line = self._lines[gate] = self._new_line(gate)
        if line.stream is not None:
            line.stream.put_nowait(None)
        stream = line.stream = asyncio.Queue()
        # Nothing is awaited between looking and listening: no change falls in between.
        line.pending = {
            name: told for name, told in line.pending.items() if self._holds(gate, told.push)
        }
        for push in self._missed(gate, line, after):
            self._add(line, push)
        for told in line.pending.values():
            stream.put_nowait(told)
        return self._told(line, stream)

    async def _told(
        self, line: _Line, stream: asyncio.Queue[_Told | None]
    ) -> AsyncGenerator[ToldStatus | None, None]:
        try:
            while not self._closing:
                getting = asyncio.ensure_future(stream.get())
                try:
                    await settle(self._clock, [getting], COMMENT_S)
                finally:
                    if not getting.done():
                        getting.cancel()
                if not getting.done():
                    yield None
                elif (told := getting.result()) is None:
                    return
                else:
                    yield ToldStatus(push=told.push_id, status=told.push)
        finally:
            if line.stream is stream:
                line.stream = None

    def reported(self, gate: str, push_id: str, outcome: StopOutcome) -> None:
        """What a push achieved at a gate. The same report again changes nothing.

        Raises:
            MalformedInput: about another gate or agent than the push.
            NotAuthorised: this gate was told nothing under this id, or all of it is done.
        """
        line = self._lines.get(gate)
        told = None if line is None else line.pending.get(push_id)
        if line is None or told is None:
            raise NotAuthorised(f"gate {gate!r} is asked nothing under {push_id[:64]!r}")
        push = told.push
        if (outcome.gate, outcome.agent) != (gate, push.agent):
            raise MalformedInput("the report is about another gate or agent than the push")
        if outcome.complete:
            del line.pending[push_id]
            key = push.certificate_sha256, push.cause if push.cause == ASSIGNED else ""
            line.done[key] = max(line.done.get(key, -1), push.epoch)
            if push.cause == ASSIGNED:
                self._authority.gates.stopped(gate, push.agent, push.epoch)
        if not told.outcome.done():
            told.outcome.set_result(outcome)

    def close(self) -> None:
        """End all streams."""
        self._closing = True
        for line in self._lines.values():
            if line.stream is not None:
                line.stream.put_nowait(None)

    def _new_line(self, gate: str) -> _Line:
        line = _Line()

        async def tell(push: StatusPush) -> StopOutcome | None:
            told = self._add(line, push)
            if line.stream is not None:
                line.stream.put_nowait(told)
            return None if push.status == "good" else await told.outcome

        def concerns(push: StatusPush) -> bool:
            return line.stream is not None and self._authority.gates.concerned(gate, push)

        self._authority.on_status(tell, concerns, f"gate {gate}")
        return line

    def _add(self, line: _Line, push: StatusPush) -> _Told:
        """A push under a new id, to be reported if it narrows; it replaces the same one before."""
        self._count += 1
        future: asyncio.Future[StopOutcome] = asyncio.get_running_loop().create_future()
        told = _Told(f"{self._prefix}-{self._count}", push, future)
        if push.status != "good":
            same = push.certificate_sha256, push.epoch
            line.pending = {
                name: one
                for name, one in line.pending.items()
                if (one.push.certificate_sha256, one.push.epoch) != same or not one.outcome.done()
            }
            line.pending[told.push_id] = told
        return told

    def _holds(self, gate: str, push: StatusPush) -> bool:
        """Whether a push still says what is: an older one would stop what was released since."""
        gates, held = self._authority.gates, self._authority.state.assigned.get(push.agent)
        if push.cause == ASSIGNED:
            gone = held is not None and held.gate != gate
            return gone and gates.left_at(gate, push.agent) == push.epoch
        record = self._authority.state.certificates[push.certificate_sha256]
        now = (record.status, record.epoch) == (push.status, push.epoch)
        return (now or not push.recorded) and gates.concerned(gate, push)

    def _missed(self, gate: str, line: _Line, after: int) -> list[StatusPush]:
        """What the gate has not heard, or has not reported as done, oldest first."""
        state, gates = self._authority.state, self._authority.gates
        waiting = {(one.push.certificate_sha256, one.push.epoch) for one in line.pending.values()}
        found = []
        for agent, held in state.assigned.items():
            if held.gate == gate:
                records = state.agents[agent]
                found += [
                    _push(record)
                    for record in records
                    if record.status != "good"
                    and (
                        record.epoch > after
                        or (
                            record is records[-1]
                            and line.done.get((record.sha256, ""), -1) < record.epoch
                        )
                    )
                ]
            elif gate in held.left:
                push = gates.push_of(agent, gate)
                if line.done.get((push.certificate_sha256, ASSIGNED), -1) < push.epoch:
                    found.append(push)
        missed = [one for one in found if (one.certificate_sha256, one.epoch) not in waiting]
        return sorted(missed, key=lambda push: push.epoch)


def _push(record: RegisteredCertificate) -> StatusPush:
    return StatusPush(
        agent=record.agent,
        certificate_sha256=record.sha256,
        serial_number=record.serial_number,
        status=record.status,
        reason=record.reason,
        epoch=record.epoch,
        cause="missed",
        recorded=True,
    )
