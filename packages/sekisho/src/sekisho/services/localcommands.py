# SPDX-License-Identifier: Apache-2.0
"""Commands that people give to the gate itself, which work without the authority.

``shutdown`` narrows what an agent may do; ``hold`` and ``kill`` stop it here at once. Revocation is
the authority's alone: it is given the same signed commands, now or when it answers again, and makes
them its own hold or kill (docs/spec/states.md). Until it is known to have them, no lease lifts the
stop. ``rearm`` and ``go_live`` widen: the authority records them first (``governing``).

A crash after the entry is durable loses nothing: :meth:`LocalCommands.start` tells the authority
again and cancels again what rests. A crash before it leaves an agent that nobody was told is
stopped; who commanded has no answer then, and commands again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import chain, repeat
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec import UNSET

from sekisho.core.encoding import canonical, parse_plain, sha256_hex
from sekisho.core.errors import (
    MalformedInput,
    NotAuthorised,
    OutcomeUnknown,
    StorageFailed,
    VerificationFailed,
)
from sekisho.core.events import CommandRefused, LocalStop, RefusedAs, ShutdownOrdered
from sekisho.core.governance.commands import (
    Command,
    SignedCommand,
    authorise_commands,
    parse_signed_command,
    signed_command_text,
)
from sekisho.core.governance.roster import Roster
from sekisho.core.terms import NS, format_instant
from sekisho.ports import Clock
from sekisho.services.gatelog import GateLog
from sekisho.services.governing import Governing, GoverningAuthority
from sekisho.services.status import TakenBefore
from sekisho.services.stopping import StopOutcome, Stopping
from sekisho.services.waiting import settle

_R = TypeVar("_R")
REPORT_WAIT_S = 1.0
"""So long an answer waits for the authority; what it did not hear by then it hears later."""
RETRY_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
COMMANDS_MAX = 16
_STOPS = ("hold", "kill")
_ACTS = ("shutdown", *_STOPS, "rearm", "go_live")


class LocalAuthority(GoverningAuthority, Protocol):
    """What of the authority is needed here."""

    async def take_over(self, signed: tuple[SignedCommand, ...]) -> Any:
        """Make a hold or kill that was given to a gate its own. Idempotent by the nonces.

        Returns a ``TakenBefore`` when it was taken before and taken back since. Raises when it is
        not recorded there.
        """
        ...


class LocalOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a command achieved at this gate.

    Attributes:
        act: what was commanded.
        agents: whom it reached.
        recorded: its entries are durable in the gate's log.
        modes: after a ``shutdown``: agent → the mode in force, which may be a narrower one.
        reports: after a ``hold`` or ``kill``: what stopping each agent achieved.
        taken_over: the authority has it; true where it need not have it.
        failures: each step that failed, in words.
        complete: nothing failed, nothing is unconfirmed, the authority has it.
    """

    act: str
    agents: tuple[str, ...]
    recorded: bool
    modes: dict[str, str] = {}
    reports: tuple[StopOutcome, ...] = ()
    taken_over: bool = True
    failures: tuple[str, ...] = ()
    complete: bool


class _Telling(NamedTuple):
    """The authority is being told: the task that does, and whether it tried once."""

    task: asyncio.Task[None]
    tried: asyncio.Future[bool]


class _UsedBefore(NotAuthorised):
    """A command whose nonce its seat has used."""


class LocalCommands:
    """The people's door of one gate. One instance owns its log."""

    def __init__(
        self,
        log: GateLog,
        stopping: Stopping,
        roster: Callable[[], Roster],
        clock: Clock,
        authority: LocalAuthority,
    ) -> None:
        self._log = log
        self._stopping = stopping
        self._roster = roster
        self._clock = clock
        self._authority = authority
        self._governing = Governing(log, authority, roster)
        self._seen: set[tuple[str, str]] = set()
        self._telling: dict[tuple[str, ...], _Telling] = {}
        self._under_way: set[asyncio.Task[Any]] = set()
        self._refused_at: int | None = None
        self._unrecorded = 0
        self.unreported: dict[tuple[str, ...], str] = {}
        """Signed commands (text) → why the authority does not have them yet."""

    def start(self) -> None:
        """Tell the authority again of every local stop that it is not known to have heard of.

        What still rests under one is cancelled again.
        """
        for stop in self._log.unheard_stops().values():
            self._tell(stop.commands)
            held = self._log.state.agents[stop.agent]
            if held.certificate_sha256 == stop.certificate_sha256 and held.working:
                self._background(self._stopping.carry_out(stop.agent, "local", held.epoch))

    async def settled(self) -> None:
        """Return when everything begun so far has ended; never while the authority is away."""
        while self._under_way:
            await asyncio.wait(set(self._under_way))

    async def close(self) -> None:
        """Stop telling the authority; a later start tells it again. Stops run to their end."""
        for telling in list(self._telling.values()):
            telling.task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def take_body(self, body: bytes) -> LocalOutcome:
        """The same as :meth:`take`, from a JSON array of signed commands as bytes."""
        try:
            signed = _read(body)
        except MalformedInput:
            self._refuse("malformed", sha256_hex(body))
            raise
        return await self._take(signed, sha256_hex(body))

    async def take(self, signed: tuple[SignedCommand, ...]) -> LocalOutcome:
        """Verify signed commands that say the same, and carry them out.

        A stop is carried out to its end, also when the caller goes away.

        Raises:
            MalformedInput, VerificationFailed: a command is not well made or does not hold.
            NotAuthorised: duties, a nonce used before, an agent that is not admitted here, an act
                that is the authority's.
            Unavailable: ``rearm``, ``go_live``: the authority does not answer.
            StorageFailed, OutcomeUnknown: a log; nothing was widened. A ``shutdown`` that cannot be
                written is not in force, but nothing is permitted either: the log failed.
        """
        return await self._take(signed, sha256_hex(canonical(signed)))

    async def _take(self, signed: tuple[SignedCommand, ...], digest: str) -> LocalOutcome:
        try:
            command, seats = self._judge(signed)
            if command.command == "shutdown":
                return await self._shut_down(command, seats, signed)
            if command.command in _STOPS:
                return await asyncio.shield(self._stop(command, seats, signed))
            return await self._widen(command, signed)
        except MalformedInput:
            self._refuse("malformed", digest)
            raise
        except VerificationFailed:
            self._refuse("not_verified", digest)
            raise
        except _UsedBefore:
            self._refuse("used_before", digest)
            raise
        except NotAuthorised:
            self._refuse("not_authorised", digest)
            raise

    def _judge(self, signed: tuple[SignedCommand, ...]) -> tuple[Command, tuple[str, ...]]:
        """The command and its seats, if it holds and was not used before."""
        seats = authorise_commands(signed, self._roster(), self._log.clocks().now)
        command = signed[0].command
        if command.command not in _ACTS:
            raise NotAuthorised(f"{command.command}: this is a matter of the authority")
        nonces = {(one.command.seat, one.command.nonce) for one in signed}
        if nonces & (self._log.state.used_commands | self._seen):
            raise _UsedBefore(f"{command.command}: this command was used before; sign a new one")
        return command, tuple(seat.seat for seat in seats)

    def _agents(self, command: Command) -> tuple[str, ...]:
        known = self._log.state.agents
        if command.agent is not UNSET:
            if command.agent not in known:
                names = ", ".join(sorted(known)) or "none"
                raise NotAuthorised(f"{command.agent!r} is not an agent of this gate: {names}")
            return (command.agent,)
        if command.scope is UNSET or command.scope.kind != "all":
            raise NotAuthorised("this gate reaches one agent or all; name one, or all")
        if not known:
            raise NotAuthorised("there is no agent at this gate")
        return tuple(sorted(known))

    # -- narrowing -----------------------------------------------------------------------------

    async def _shut_down(
        self, command: Command, seats: tuple[str, ...], signed: tuple[SignedCommand, ...]
    ) -> LocalOutcome:
        if command.mode is UNSET:
            raise MalformedInput("shutdown: it names no mode", "mode")
        agents, texts = self._agents(command), _texts(signed)
        at, index = self._log.at(), -1
        for agent in agents:
            # In force in memory with each entry: nothing is awaited before the last one.
            index = self._log.record(
                ShutdownOrdered(at=at, agent=agent, mode=command.mode, seats=seats, commands=texts)
            )
        await self._log.durable(index)
        modes = {agent: self._log.state.agents[agent].shutdown for agent in agents}
        return LocalOutcome(
            act="shutdown", agents=agents, recorded=True, modes=dict(modes), complete=True
        )

    def _stop(
        self, command: Command, seats: tuple[str, ...], signed: tuple[SignedCommand, ...]
    ) -> asyncio.Task[LocalOutcome]:
        """Stop in memory and in the log at once; the task carries it outwards."""
        agents, texts = self._agents(command), _texts(signed)
        self._seen |= {(one.command.seat, one.command.nonce) for one in signed}
        at, index, failures = self._log.at(), -1, []
        for agent in agents:
            held = self._log.state.agents[agent]
            try:
                index = self._log.record(
                    LocalStop(
                        at=at,
                        agent=agent,
                        certificate_sha256=held.certificate_sha256,
                        seats=seats,
                        commands=texts,
                    )
                )
            except StorageFailed as error:
                # The log takes nothing, so nothing can be permitted; cancels still go out.
                failures.append(f"record: {agent}: {error}"[:300])
                if held.status == "good":
                    held.status = "hold"
        return self._background(self._carry_out(command.command, agents, texts, index, failures))

    async def _carry_out(
        self,
        act: str,
        agents: tuple[str, ...],
        texts: tuple[str, ...],
        index: int,
        failures: list[str],
    ) -> LocalOutcome:
        telling = self._tell(texts)
        epochs = {agent: self._log.state.agents[agent].epoch for agent in agents}
        reports = await asyncio.gather(
            *(self._stopping.carry_out(agent, "local", epochs[agent]) for agent in agents)
        )
        recorded = not failures
        try:
            if index >= 0:
                await self._log.durable(index)
        except (StorageFailed, OutcomeUnknown) as error:
            recorded = False
            failures.append(f"record: {error}"[:300])
        await settle(self._clock, [telling.tried], REPORT_WAIT_S)
        taken_over = telling.tried.done() and telling.tried.result()
        if not taken_over:
            why = self.unreported.get(texts, "it has not answered yet")
            failures.append(f"authority: {why}"[:300])
        return LocalOutcome(
            act=act,
            agents=agents,
            recorded=recorded,
            reports=tuple(reports),
            taken_over=taken_over,
            failures=tuple(failures),
            complete=not failures and all(report.complete for report in reports),
        )

    # -- the authority -------------------------------------------------------------------------

    def _tell(self, texts: tuple[str, ...]) -> _Telling:
        """Give the authority the commands until it has them. One act has one task."""
        running = self._telling.get(texts)
        if running is None:
            tried: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            running = _Telling(self._background(self._keep_telling(texts, tried)), tried)
            self._telling[texts] = running
            running.task.add_done_callback(lambda _: self._telling.pop(texts, None))
        return running

    async def _keep_telling(self, texts: tuple[str, ...], tried: asyncio.Future[bool]) -> None:
        signed = tuple(parse_signed_command(text) for text in texts)
        for wait in chain(RETRY_S, repeat(RETRY_S[-1])):
            taken = await self._told(texts, signed)
            if not tried.done():
                tried.set_result(taken)
            if taken:
                return
            await self._clock.sleep(wait)

    async def _told(self, texts: tuple[str, ...], signed: tuple[SignedCommand, ...]) -> bool:
        try:
            answer = await self._authority.take_over(signed)
        except Exception as error:  # noqa: BLE001 - whatever keeps it from the authority: again
            self.unreported[texts] = str(error) or repr(error)
            return False
        released = answer.released if isinstance(answer, TakenBefore) else {}
        newer = []
        for index, stop in self._log.local_stops.items():
            if stop.commands != texts:
                continue
            if released.get(stop.agent, -1) < 0 or self._took_back(stop, released[stop.agent]):
                self._log.heard_stop(index)
            else:
                newer.append(stop.agent)
        if newer:
            self.unreported[texts] = f"{newer[0]} was released before this stop; sign a new one"
            return False
        self.unreported.pop(texts, None)
        return True

    def _took_back(self, stop: LocalStop, epoch: int) -> bool:
        """Whether a release of this epoch came after the stop, so that the stop was heard."""
        return epoch > self._log.state.agents[stop.agent].stopped

    def _background(self, coroutine: Coroutine[Any, Any, _R]) -> asyncio.Task[_R]:
        """Run it to its end, whoever waits for it."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _widen(self, command: Command, signed: tuple[SignedCommand, ...]) -> LocalOutcome:
        if command.command == "rearm":
            await self._governing.rearm(signed)
        else:
            await self._governing.go_live(signed)
        agents = (command.agent,) if isinstance(command.agent, str) else ()
        return LocalOutcome(act=command.command, agents=agents, recorded=True, complete=True)

    # -- refusing ------------------------------------------------------------------------------

    def _refuse(self, detail: RefusedAs, digest: str) -> None:
        """Record that a command was not taken, at most once a second; its text is not kept."""
        now = self._clock.monotonic_ns()
        if self._refused_at is not None and now - self._refused_at < NS:
            self._unrecorded += 1
            return
        entry = CommandRefused(
            at=format_instant(self._log.clocks().now),
            detail=detail,
            body_sha256=digest,
            unrecorded=self._unrecorded,
        )
        try:
            self._log.record(entry)  # with the next flush: nothing waits for it
        except StorageFailed:
            self._unrecorded += 1
            return
        self._refused_at, self._unrecorded = now, 0


def _texts(signed: tuple[SignedCommand, ...]) -> tuple[str, ...]:
    return tuple(signed_command_text(one) for one in signed)


def _read(body: bytes) -> tuple[SignedCommand, ...]:
    """The signed commands of a JSON array. Raises MalformedInput."""
    plain = parse_plain(body)
    if not isinstance(plain, list) or not 1 <= len(plain) <= COMMANDS_MAX:
        raise MalformedInput(f"an array of 1 to {COMMANDS_MAX} signed commands is wanted")
    return tuple(parse_signed_command(canonical(one).decode()) for one in plain)
