# SPDX-License-Identifier: Apache-2.0
"""Histories of agents that move, as a gate gives and takes them (docs/spec/history.md, section 1).

Which agent moved is what a lease says, which the authority signed. A gate that owes a history gives
it; one that lacks it takes it, whole, before anything is permitted. Both are steps that are made
again until the authority has recorded them. What a history says is read and written in the core.

A crash before ``history_given`` is durable has given nothing; after it the next process gives what
is so then. A crash between two parts leaves the agent awaiting, and the next process goes on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple, Protocol

from sekisho.core.behaviour import history as watch_history
from sekisho.core.encoding import b64, sha256_hex, unb64
from sekisho.core.errors import MalformedInput, SekishoError, Unavailable, VerificationFailed
from sekisho.core.events import (
    Decision,
    HistoryGiven,
    HistoryPart,
    PermitSigned,
    decode_gate_entry,
)
from sekisho.core.gate import history as gate_history
from sekisho.core.gate.agent import AgentState, Known
from sekisho.core.handover import (
    HISTORY_BYTES_MAX,
    Head,
    HistoryBytes,
    Row,
    head_row,
    parts_of,
    read_head,
    read_row,
    row_bytes,
)
from sekisho.core.terms import format_instant
from sekisho.ports import Clock
from sekisho.services.authoritywire import HistoryChunk, HistoryNext, HistoryPiece, HistoryReport
from sekisho.services.gatelog import GateLog
from sekisho.services.leasing import Leasing, Moved
from sekisho.services.release import Release
from sekisho.services.stopping import Stopping

CHUNK_BYTES = 131_072
ROWS_AT_ONCE = 500
"""After so many rows other work has its turn."""
HURRIED_STEPS = 10
"""So many steps ask for a lease of their own; later ones see what the next due one says."""
KINDS = gate_history.KINDS | watch_history.KINDS | {"history"}


class HistoryLink(Protocol):
    """What of the authority is needed here; all may be repeated. Each raises Unavailable."""

    async def give_history(self, chunk: HistoryChunk) -> HistoryNext:
        """Hand over a stretch of a history; how much has come."""
        ...

    async def history(self, agent: str, offset: int) -> HistoryPiece:
        """A stretch of the history that is kept for this gate."""
        ...

    async def history_taken(self, report: HistoryReport) -> None:
        """This gate has it in its log."""
        ...


class _Given(NamedTuple):
    """A history that this process wrote and the authority may not have."""

    epoch: int
    sha256: str
    entry: int
    data: bytes


class Histories:
    """The histories of one gate."""

    def __init__(
        self,
        log: GateLog,
        leasing: Leasing,
        stopping: Stopping,
        release: Release,
        authority: HistoryLink,
        clock: Clock,
    ) -> None:
        self._log = log
        self._leasing = leasing
        self._stopping = stopping
        self._release = release
        self._authority = authority
        self._clock = clock
        self._given: dict[str, _Given] = {}
        self._stopped: dict[str, int] = {}
        self._seen: dict[str, Moved] = {}
        self._hurry = 0

    def expect(self) -> None:
        """An agent moves: the next steps ask what there is to do before a lease is due."""
        self._hurry = HURRIED_STEPS

    async def step(self) -> None:
        """Give and take what the last lease says that is to be given and taken.

        One agent that cannot be helped keeps no other waiting.

        Raises:
            NotAuthorised, Unavailable, VerificationFailed, MalformedInput: what keeps one agent
                from its history; it is tried again with the next step.
            StorageFailed, OutcomeUnknown: this gate's log.
        """
        if self._leasing.moved != self._seen:
            self._seen = self._leasing.moved
            self.expect()
        if self._hurry:
            self._hurry -= 1
            await self._leasing.renew()
        failure: SekishoError | None = None
        for name, told in list(self._leasing.moved.items()):
            try:
                await self._one(name, told)
            except SekishoError as error:
                self._log.require_sound()
                failure = error
        if failure is not None:
            raise failure

    async def _one(self, name: str, told: Moved) -> None:
        gate, held = self._log.state.gate, self._log.state.agents.get(name)
        if held is None:
            return
        if not told.history:
            if told.before != gate:
                raise Unavailable(
                    f"{name}: gate {told.before} has not handed over its history",
                    "history",
                    f"start gate {told.before}, connected to the authority, until it has",
                )
            await self._give(name, held, told)
        elif told.gate == gate:
            if held.history < told.epoch:
                await self._take(name, held, told)
            await self._say_taken(name, held, told)

    # -- giving --------------------------------------------------------------------------------

    async def _give(self, name: str, held: AgentState, told: Moved) -> None:
        given = self._given.get(name)
        if given is None or given.epoch != told.epoch:
            given = await self._write(name, held, told)
            self._given[name] = given
        offset = 0
        while offset < len(given.data):
            chunk = HistoryChunk(
                agent=name,
                epoch=given.epoch,
                history_sha256=given.sha256,
                size=len(given.data),
                origin=self._log.origin,
                index=given.entry,
                offset=offset,
                data=b64(given.data[offset : offset + CHUNK_BYTES]),
            )
            arrived = (await self._authority.give_history(chunk)).next
            if not 0 <= arrived <= len(given.data) or arrived == offset:
                raise Unavailable(f"{name}: the authority does not say how much has come")
            offset = arrived
        del self._given[name]

    async def _write(self, name: str, held: AgentState, told: Moved) -> _Given:
        """Stop and cancel, then write what this log says of the agent."""
        if self._stopped.get(name) != told.epoch and held.working:
            self._stopped[name] = told.epoch
            await self._stopping.carry_out(name, "assigned", held.epoch)
        if self._release.flights(name):
            raise Unavailable(f"{name}: a permit is on its way to its venue")
        ids = [data async for data in self._ids(held)]
        if any(order.phase == "permitted" for order in held.working.values()):
            raise Unavailable(f"{name}: a decision is not signed or withdrawn yet")
        if held.certificate_sha256 in self._log.unheard():
            raise Unavailable(f"{name}: the authority has not heard of what stopped it here")
        if not held.awaits or self._release.flights(name):
            raise Unavailable(f"{name}: it does not stand still")
        # From here to the record nothing is awaited: the entry is of the state before it.
        clocks, found = self._log.clocks(), HistoryBytes()
        held.roll(clocks.now)
        index = self._log.journal.size
        found.add([head_row(Head(name, told.epoch, self._log.origin, index))])
        found.add(gate_history.rows_of(held, clocks.now))
        found.add(self._log.watch.history_rows(name, clocks.now))
        found.add(gate_history.executed_rows(held))
        for data in ids:
            found.add_bytes(data)
        entry = HistoryGiven(
            at=format_instant(clocks.now),
            agent=name,
            gate=told.gate,
            epoch=told.epoch,
            history_sha256=found.sha256,
            bytes=len(found.data),
            rows=found.rows,
        )
        await self._log.durable(self._log.record(entry))
        return _Given(told.epoch, found.sha256, index, found.data)

    async def _ids(self, held: AgentState) -> AsyncIterator[bytes]:
        """The rows of all ids, encoded. None is added while the agent awaits its history."""
        found = {one: held.known[one] for one in held.known}
        outcomes: dict[str, tuple[str, str]] = {}
        for count, (one, known) in enumerate(
            sorted(found.items(), key=lambda item: item[1].decision)
        ):
            outcomes[one] = self._outcome(held, one, known)
            if count % ROWS_AT_ONCE == 0:
                await self._clock.sleep(0)
        for count, one in enumerate(sorted(found)):
            yield row_bytes(gate_history.id_row(one, found[one].digest, *outcomes[one]))
            if count % ROWS_AT_ONCE == 0:
                await self._clock.sleep(0)

    def _outcome(self, held: AgentState, name: str, known: Known) -> tuple[str, str]:
        """What the log says was the first answer to an id, and the codes of a refusal."""
        entry = decode_gate_entry(self._log.journal.entry(known.decision))
        if isinstance(entry, HistoryPart):
            return gate_history.answered(entry, name)
        if not isinstance(entry, Decision) or entry.order is None:
            raise VerificationFailed(f"entry {known.decision} does not answer {name}")
        if entry.verdict != "permitted":
            codes = dict.fromkeys(str(reason.code) for reason in entry.reasons)
            return "refused", ",".join(codes)
        if entry.order["action"] == "cancel":
            return "permitted", ""
        end = held.answers.get(known.decision)
        if end is None:
            return "possibly_issued", ""
        last: Any = decode_gate_entry(self._log.journal.entry(end))
        return "permitted" if isinstance(last, PermitSigned) else "withdrawn", ""

    # -- taking --------------------------------------------------------------------------------

    async def _take(self, name: str, held: AgentState, told: Moved) -> None:
        """Fetch, check all of it, and only then write it to the log, part by part."""
        if not held.awaits:
            return  # the lease that says so is on its way into the log
        data = await self._fetch(name, told.history)
        rows = [row async for row in self._rows(data)]
        watch_history.check_rows(rows)
        head = read_head(rows[0])
        if head.agent != name:
            raise VerificationFailed(f"{name}: the history that came is that of {head.agent}")
        parts = list(parts_of(rows))
        sha256, due = held.taking
        if sha256 != told.history:
            due = 0
        for number in range(due, len(parts)):
            entry = HistoryPart(
                at=self._log.at(),
                agent=name,
                epoch=told.epoch,
                history_sha256=told.history,
                part=number,
                last=number == len(parts) - 1,
                rows=parts[number],
            )
            await self._log.durable(self._log.record(entry))

    async def _fetch(self, name: str, sha256: str) -> bytes:
        data = b""
        size = 1
        while len(data) < size:
            piece = await self._authority.history(name, len(data))
            more, size = unb64(piece.data), piece.size
            if not more or not 0 < size <= HISTORY_BYTES_MAX:
                raise Unavailable(f"{name}: the authority sends no history")
            data += more
        if sha256_hex(data) != sha256:
            raise VerificationFailed(f"{name}: what came is not the history that the lease names")
        return data

    async def _rows(self, data: bytes) -> AsyncIterator[Row]:
        """Its rows, each of a kind that is known and such as can be applied."""
        if not data.endswith(b"\n"):
            raise MalformedInput("history: it does not end with a whole row")
        rows: list[Row] = []
        for line in data[:-1].split(b"\n"):
            rows.append(read_row(line))
            yield rows[-1]
            if rows[-1][0] not in KINDS:
                raise MalformedInput(f"history: {rows[-1][0]!r:.40} is no kind of row")
            if len(rows) == ROWS_AT_ONCE:
                gate_history.check_rows(rows)
                rows = []
                await self._clock.sleep(0)
        gate_history.check_rows(rows)

    async def _say_taken(self, name: str, held: AgentState, told: Moved) -> None:
        if held.history < told.epoch:
            return
        report = HistoryReport(
            agent=name,
            epoch=told.epoch,
            history_sha256=told.history,
            origin=self._log.origin,
            index=held.taken_at,
        )
        await self._authority.history_taken(report)
        self._release.read_again()
        await self._leasing.renew()
