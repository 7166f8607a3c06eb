# SPDX-License-Identifier: Apache-2.0
"""Gates at the other end of a stream: telling them of a change of status, hearing what they did.

One line a gate. A push is put on the streams of the gates that it concerns and that are connected,
and on no other; one that is not connected is not asked, and whoever commanded hears at once that
it was not reached. What it has
not reported as done it is told again when it connects: changes later than the epoch that its log
shows, and whatever of its agents is not good and was not reported to this process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from sekisho.core.errors import MalformedInput, NotAuthorised
from sekisho.core.identity.records import RegisteredCertificate
from sekisho.core.terms import NS
from sekisho.ports import Clock, Entropy
from sekisho.services.agentgates import ASSIGNED
from sekisho.services.announcing import PushAsked
from sekisho.services.authority import Authority
from sekisho.services.authoritywire import ToldStatus
from sekisho.services.status import StatusPush
from sekisho.services.stopping import StopOutcome

COMMENT_S = 1.0
"""A gate cuts a stream that is silent for three seconds."""


def _future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True)
class _Told:
    """What one gate is told, whether that has left this process, and what it says it achieved."""

    event: ToldStatus
    outcome: asyncio.Future[StopOutcome | None]
    written: asyncio.Future[None] = field(default_factory=_future)

    @property
    def push(self) -> StatusPush:
        return self.event.status

    def left(self) -> None:
        """It has left, or never will by the stream that had it."""
        if not self.written.done():
            self.written.set_result(None)


class _Stream:
    """What one stream has to say, and whoever writes it, waiting for that.

    There is no task and no timer between a push and the one that writes it.
    """

    def __init__(self, clock: Clock) -> None:
        self.ended = False
        self.waiting: deque[_Told | None] = deque()
        self._clock = clock
        self._writer: asyncio.Future[None] | None = None
        self._said_at = 0

    def say(self, told: _Told | None) -> None:
        """Say this as soon as the loop turns; None is a comment."""
        self.waiting.append(told)
        self._wake()

    def end(self) -> None:
        """Nothing more is said."""
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    async def more(self) -> bool:
        """Wait until there is something to say; False when the stream has ended. One waits."""
        while not self.waiting and not self.ended:
            self._writer = _future()
            try:
                await self._writer
            finally:
                self._writer = None
        return not self.ended

    def next(self) -> _Told | None:
        """What is to be said now."""
        self._said_at = self._clock.monotonic_ns()
        return self.waiting.popleft()

    async def beat(self) -> None:
        """Have a comment said whenever nothing was for COMMENT_S, until cancelled.

        Not while the writer is held up: then the other end has something to read.
        """
        self._said_at = self._clock.monotonic_ns()
        while True:
            silent = self._clock.monotonic_ns() - self._said_at
            if silent >= COMMENT_S * NS:
                silent = 0
                if self._writer is not None:
                    self.say(None)
            await self._clock.sleep(COMMENT_S - silent / NS)


class _Line:
    """One gate: its present stream, if any, and what it has not reported yet."""

    def __init__(self) -> None:
        self.stream: _Stream | None = None
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
        self.heard: Callable[[StatusPush, StopOutcome], None] = lambda _push, _outcome: None
        """Told what each push achieved at a gate."""
        authority.announcer.add_lines(self._tell)

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
            line = self._lines[gate] = _Line()
        if line.stream is not None:
            line.stream.end()
        stream = line.stream = _Stream(self._clock)
        if self._closing:
            stream.end()
        # Nothing is awaited between looking and listening: no change falls in between.
        line.pending = {
            name: told for name, told in line.pending.items() if self._holds(gate, told.push)
        }
        for push in self._missed(gate, line, after):
            self._add(line, self._event(push))
        for told in line.pending.values():
            stream.say(told)
        return self._told(line, stream)

    async def _told(self, line: _Line, stream: _Stream) -> AsyncGenerator[ToldStatus | None, None]:
        beating = asyncio.ensure_future(stream.beat())
        try:
            while await stream.more():
                told = stream.next()
                if told is None:
                    yield None
                    continue
                try:
                    yield told.event
                finally:
                    # Who asks for the next one has written this one, or is gone.
                    told.left()
        finally:
            beating.cancel()
            for waiting in stream.waiting:
                if waiting is not None:
                    waiting.left()
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
        self.heard(push, outcome)

    def close(self) -> None:
        """End all streams."""
        self._closing = True
        for line in self._lines.values():
            if line.stream is not None:
                line.stream.end()

    def _tell(self, push: StatusPush) -> list[PushAsked]:
        """Put a push on the streams of whom it concerns: one id, one event for all of them."""
        lines = [
            (gate, line, line.stream)
            for gate in sorted(self._authority.gates.told_of(push))
            if (line := self._lines.get(gate)) is not None and line.stream is not None
        ]
        if not lines:
            return []
        event, asked = self._event(push), []
        for gate, line, stream in lines:
            told = self._add(line, event)
            if push.status == "good":
                told.outcome.set_result(None)
            stream.say(told)
            asked.append(PushAsked(f"gate {gate}", told.outcome, told.written))
        return asked

    def _event(self, push: StatusPush) -> ToldStatus:
        self._count += 1
        return ToldStatus(push=f"{self._prefix}-{self._count}", status=push)

    def _add(self, line: _Line, event: ToldStatus) -> _Told:
        """Something to be reported, if it narrows; it replaces the same push before."""
        told = _Told(event, asyncio.get_running_loop().create_future())
        push = event.status
        if push.status != "good":
            same = push.certificate_sha256, push.epoch
            line.pending = {
                name: one
                for name, one in line.pending.items()
                if (one.push.certificate_sha256, one.push.epoch) != same or not one.outcome.done()
            }
            line.pending[event.push] = told
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
        for agent in state.agents_at.get(gate, ()):
            held = state.assigned[agent]
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
            else:
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
