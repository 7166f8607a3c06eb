# SPDX-License-Identifier: Apache-2.0
"""Histories of agents that move, as the authority takes, keeps and hands them out
(docs/spec/history.md).

A history is kept under its digest and never read here but for its head: what it says is judged by
the gate that folds it, and by verifiers. A crash while one arrives forgets what had come; one after
it was written and before its entry is durable leaves a file that nothing names.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sekisho.core.encoding import b64, sha256_hex, unb64
from sekisho.core.errors import (
    MalformedInput,
    NotAuthorised,
    OutcomeUnknown,
    StorageFailed,
    Unavailable,
    VerificationFailed,
)
from sekisho.core.events import AgentHandedOver, HistoryTaken
from sekisho.core.handover import HISTORY_BYTES_MAX, ROW_BYTES_MAX, Head, first_head
from sekisho.core.identity.records import AgentGate
from sekisho.ports import Disk
from sekisho.services.authoritywire import HistoryChunk, HistoryNext, HistoryPiece, HistoryReport
from sekisho.services.registerlog import RegisterLog
from sekisho.services.waiting import settle

PIECE_BYTES = 131_072
"""So much of a history goes in one answer; a chunk may have as much."""


@dataclass
class _Arriving:
    """A history of which not all has come: what its chunks say of it, and their bytes so far."""

    about: tuple[str, int, str, int, str, int]
    data: bytearray = field(default_factory=bytearray)


class HistoryDesk:
    """The histories of one authority."""

    def __init__(self, log: RegisterLog) -> None:
        self._log = log
        self._disk: Disk | None = None
        self._arriving: dict[str, _Arriving] = {}
        self._recorded: dict[str, asyncio.Event] = {}

    def keep_in(self, disk: Disk) -> None:
        """Where histories are kept. Without it none is taken."""
        self._disk = disk

    async def arrived(self, agent: str, settle_s: float) -> bool:
        """Whether nobody owes the agent's history, waiting at most so long for it."""
        held = self._log.state.assigned[agent]
        if held.owed and not held.kept and settle_s:
            event = self._recorded.setdefault(agent, asyncio.Event())
            waiting = asyncio.ensure_future(event.wait())
            await settle(self._log.clock, [waiting], settle_s)
            waiting.cancel()
        return not held.owed or bool(held.kept)

    async def take(self, gate: str, chunk: HistoryChunk) -> HistoryNext:
        """Take a stretch of a history; with the last one it is kept and recorded.

        Says how much has come: a gate goes on there. The same again changes nothing.

        Raises:
            MalformedInput: not what such a chunk is, or a history that does not begin as it says.
            NotAuthorised: this gate owes no such history.
            VerificationFailed: the digest is another.
            Unavailable: it cannot be kept or recorded.
        """
        held = self._owed(gate, chunk)
        if held.kept == chunk.history_sha256:
            return HistoryNext(next=chunk.size)
        if held.kept or held.whole != gate:
            raise NotAuthorised(f"gate {gate!r} owes no history of {chunk.agent[:64]!r}")
        if not 0 < chunk.size <= HISTORY_BYTES_MAX:
            raise MalformedInput(f"a history of {chunk.size} bytes", "size")
        about = (
            chunk.agent, chunk.epoch, chunk.history_sha256, chunk.size, chunk.origin, chunk.index
        )  # fmt: skip
        arriving = self._arriving.get(gate)
        if arriving is None or arriving.about != about:
            arriving = self._arriving[gate] = _Arriving(about)
        if chunk.offset == len(arriving.data) < chunk.size:
            arriving.data += unb64(chunk.data)
        if len(arriving.data) > chunk.size:
            del self._arriving[gate]
            raise MalformedInput("a history is longer than it says", "size")
        if len(arriving.data) == chunk.size:
            try:
                await self._keep(gate, chunk, bytes(arriving.data))
            finally:
                self._arriving.pop(gate, None)
            return HistoryNext(next=chunk.size)
        return HistoryNext(next=len(arriving.data))

    async def _keep(self, gate: str, chunk: HistoryChunk, data: bytes) -> None:
        if sha256_hex(data) != chunk.history_sha256:
            raise VerificationFailed("the history that came is not of the digest that it should be")
        head = first_head(data[:ROW_BYTES_MAX])
        if head != Head(chunk.agent, chunk.epoch, chunk.origin, chunk.index):
            raise MalformedInput("the history is of another agent, move or log than it is sent for")
        try:
            await self._write(chunk.history_sha256, data)
            held = self._owed(gate, chunk)
            if held.kept == chunk.history_sha256:
                return
            entry = AgentHandedOver(
                at=self._log.at(),
                agent=chunk.agent,
                gate=gate,
                to=held.gate,
                epoch=chunk.epoch,
                history_sha256=chunk.history_sha256,
                bytes=len(data),
                origin=chunk.origin,
                index=chunk.index,
            )
            await self._log.durable(self._log.record(entry))
        except (StorageFailed, OutcomeUnknown) as error:
            raise Unavailable(f"the history is not kept: {error}") from error
        except VerificationFailed as error:
            raise NotAuthorised(str(error)) from error
        if (event := self._recorded.pop(chunk.agent, None)) is not None:
            event.set()

    async def _write(self, sha256: str, data: bytes) -> None:
        if self._disk is None:
            raise StorageFailed("this authority keeps no histories")
        try:
            await self._disk.write_new(sha256, data)
        except FileExistsError:
            if await self._disk.read(sha256) != data:
                raise StorageFailed(f"the file of the history {sha256} is damaged") from None
        # Content and name, before any entry says that it is kept: nobody gives it a second time.
        await self._disk.sync(sha256)
        await self._disk.sync_folder("")

    async def read(self, gate: str, agent: str, offset: int) -> HistoryPiece:
        """A stretch of the history that is kept for this gate.

        Raises:
            MalformedInput: a place that is none.
            NotAuthorised: another gate has the agent.
            Unavailable: there is none yet, or it cannot be read.
        """
        held = self._log.state.assigned.get(agent)
        if held is None or held.gate != gate:
            raise NotAuthorised(f"gate {gate!r} does not have agent {agent[:64]!r}")
        if offset < 0:
            raise MalformedInput("a history begins at 0", "offset")
        if held.begun:
            return await self._begun(held, offset)
        if not held.kept or self._disk is None:
            raise Unavailable(f"gate {held.whole!r} has not handed over the history of {agent!r}")
        try:
            await self._log.all_durable()
            piece = self._disk.read_range(held.kept, offset, PIECE_BYTES)
        except (StorageFailed, OutcomeUnknown, FileNotFoundError) as error:
            raise Unavailable(f"the history cannot be read: {error}") from error
        return HistoryPiece(size=held.kept_bytes, data=b64(piece))

    async def _begun(self, held: AgentGate, offset: int) -> HistoryPiece:
        """A stretch of a history that people declared to begin: it follows from the log."""
        begun = held.begun
        try:
            await self._log.all_durable()
        except (StorageFailed, OutcomeUnknown) as error:
            raise Unavailable(f"the history is not recorded: {error}") from error
        return HistoryPiece(size=len(begun), data=b64(begun[offset : offset + PIECE_BYTES]))

    async def taken(self, gate: str, report: HistoryReport) -> None:
        """A gate has the history in its log: leases answer for the agent from here on. Idempotent.

        Raises:
            NotAuthorised: no such history is kept for this gate.
            Unavailable: it cannot be recorded.
        """
        held = self._log.state.assigned.get(report.agent)
        done = held is not None and not held.owed and held.taken == report.epoch
        try:
            if held is None or not (done and held.whole == gate):
                self._log.record(
                    HistoryTaken(
                        at=self._log.at(),
                        agent=report.agent,
                        gate=gate,
                        epoch=report.epoch,
                        history_sha256=report.history_sha256,
                        origin=report.origin,
                        index=report.index,
                    )
                )
            await self._log.all_durable()
        except VerificationFailed as error:
            raise NotAuthorised(str(error)) from error
        except (StorageFailed, OutcomeUnknown) as error:
            raise Unavailable(f"it is not recorded: {error}") from error

    def _owed(self, gate: str, chunk: HistoryChunk) -> AgentGate:
        """The agent's gates, if a history of this move is under way from this gate's log."""
        held = self._log.state.assigned.get(chunk.agent)
        known = self._log.state.gates.get(gate)
        if known is None or known.origin != chunk.origin:
            raise NotAuthorised(f"the log {chunk.origin[:64]!r} is not that of gate {gate!r}")
        if held is None or not held.owed or held.moved != chunk.epoch:
            raise NotAuthorised(f"no history of {chunk.agent[:64]!r} is wanted for this move")
        return held
