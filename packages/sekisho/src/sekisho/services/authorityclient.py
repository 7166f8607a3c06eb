# SPDX-License-Identifier: Apache-2.0
"""The authority as a gate reaches it over a connection (docs/spec/processes.md section 1).

Implements ports.AuthorityLink, the IncidentLink of ``incidentwatch`` and the GoverningAuthority of
``governing``. Every call may be repeated and ends within a stated time: a cut, a time-out and an
answer that is not understood are Unavailable. Nothing that comes from here is believed: leases,
certificates, resolutions and rosters are verified by whoever uses them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol, TypeVar

from sekisho.core.errors import MalformedInput, Unavailable
from sekisho.core.governance.commands import SignedCommand
from sekisho.core.governance.roster import Roster
from sekisho.ports import IncidentReport, LeaseGranted, LeaseRequest
from sekisho.services import authoritywire as wire
from sekisho.services.admission import Admission
from sekisho.services.rosterdesk import RosterLink
from sekisho.services.signoff import BaselineLock, RearmAuthorisation
from sekisho.services.status import StatusPush, TakenBefore
from sekisho.services.stopping import StopOutcome

LEASE_WAIT_S = 2.0
CHECKPOINT_WAIT_S = 1.0
CALL_WAIT_S = 5.0
SILENCE_S = 3.0
"""The authority says something each second; what is silent so long is cut."""

_T = TypeVar("_T")


class AuthorityConnection(Protocol):
    """HTTP to one authority; see adapters/authority."""

    async def ask(self, method: str, path: str, body: bytes, *, wait_s: float) -> tuple[int, bytes]:
        """Status and body of one request. Raises Unavailable: a cut, or no answer in time."""
        ...

    def events(
        self, path: str, *, silence_s: float
    ) -> AsyncGenerator[tuple[str, str, bytes], None]:
        """``(event, id, data)`` of a stream of server-sent events; first ``("open", "", b"")``.

        Raises:
            Unavailable: refused, cut, or silent for so long.
        """
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


class AuthorityClient:
    """What one gate asks of its authority."""

    def __init__(self, connection: AuthorityConnection, gate: str, operator: str = "") -> None:
        """``operator``: whose authority it is, where the server has several; empty: its own."""
        self._connection = connection
        self.gate = gate
        self._below = f"/v1/operators/{operator}/" if operator else "/v1/"
        self._asked = f"gates/{gate}/" if operator else ""

    # -- AuthorityLink -------------------------------------------------------------------------

    async def last_seen(self, gate: str) -> int:
        """Tree size of the gate's log at its last lease or boot. Raises Unavailable."""
        data = await self._call("GET", f"gates/{gate}/checkpoint", wait_s=CHECKPOINT_WAIT_S)
        return _answer(data, wire.SeenCheckpoint).tree_size

    async def lease(self, request: LeaseRequest) -> LeaseGranted:
        """Raises NotAuthorised (fork, rollback, second instance), MalformedInput or Unavailable."""
        data = await self._call(
            "POST", f"gates/{request.gate}/lease", wire.write(request), wait_s=LEASE_WAIT_S
        )
        return _answer(data, LeaseGranted)

    # -- admission, incidents, what people sign --------------------------------------------------

    async def admission(self, agent: str) -> Admission:
        """What is needed to admit the agent, which is assigned to this gate by it.

        Raises:
            NotAuthorised: unknown, without a certificate, or another gate's.
            Unavailable: no answer, or the gate before may still sign: ask again.
        """
        data = await self._call("GET", f"gates/{self.gate}/admissions/{agent}")
        found = _answer(data, wire.AdmissionSheet)
        try:
            return wire.admission_of(found)
        except MalformedInput as error:
            raise Unavailable(f"the authority's answer is not understood: {error}") from error

    async def report_incident(self, report: IncidentReport) -> None:
        """Idempotent by the incident's id. Raises when it is not recorded there."""
        await self._call("POST", f"gates/{self.gate}/incidents", wire.write(report))

    async def go_live(
        self, signed: tuple[SignedCommand, ...], *, origin: str, complete: bool
    ) -> BaselineLock:
        """Lock a baseline; errors as ``SignOff.go_live``, and Unavailable."""
        body = wire.LiveRequest(
            commands=wire.command_texts(signed), origin=origin, complete=complete
        )
        data = await self._call("POST", f"gates/{self.gate}/go-live", wire.write(body))
        return _answer(data, BaselineLock)

    async def authorise_rearm(self, signed: tuple[SignedCommand, ...]) -> RearmAuthorisation:
        """Have a re-arming recorded; errors as ``SignOff.authorise_rearm``, and Unavailable."""
        body = wire.SignedCommands(commands=wire.command_texts(signed))
        data = await self._call("POST", f"gates/{self.gate}/rearm", wire.write(body))
        return _answer(data, RearmAuthorisation)

    async def take_over(self, signed: tuple[SignedCommand, ...]) -> TakenBefore | None:
        """Make a hold or kill that was given to this gate the authority's own.

        Idempotent by the nonces; what it returns when they were used before and taken back since,
        and errors: as ``StatusDesk.take_over``, and Unavailable.
        """
        body = wire.SignedCommands(commands=wire.command_texts(signed))
        data = await self._call("POST", f"gates/{self.gate}/take-over", wire.write(body))
        return _answer(data, TakenBefore) if data else None

    async def baseline_lock(self, agent: str) -> BaselineLock | None:
        """The agent's locked baseline; None before there is one. Raises Unavailable."""
        path = f"gates/{self.gate}/baselines/{agent}"
        status, data = await self._ask("GET", path, b"", CALL_WAIT_S)
        if status == 404:
            return None
        return _answer(_body(status, data), BaselineLock)

    async def give_history(self, chunk: wire.HistoryChunk) -> wire.HistoryNext:
        """Hand over a stretch of a history; errors as ``HistoryDesk.take``, and Unavailable."""
        data = await self._call("POST", f"gates/{self.gate}/histories", wire.write(chunk))
        return _answer(data, wire.HistoryNext)

    async def history(self, agent: str, offset: int) -> wire.HistoryPiece:
        """A stretch of a kept history; errors as ``HistoryDesk.read``, and Unavailable."""
        path = f"gates/{self.gate}/histories/{agent}?offset={offset}"
        return _answer(await self._call("GET", path), wire.HistoryPiece)

    async def history_taken(self, report: wire.HistoryReport) -> None:
        """This gate has a history in its log. Idempotent. Raises NotAuthorised, Unavailable."""
        await self._call("POST", f"gates/{self.gate}/histories/taken", wire.write(report))

    async def look_up(self, agent: str) -> wire.AgentSheet:
        """Epoch, gate and open incident of an agent. Raises NotAuthorised, Unavailable."""
        return _answer(await self._call("GET", f"{self._asked}agents/{agent}"), wire.AgentSheet)

    async def fetch_roster(self) -> Roster:
        """What it says is the roster; believed by ``KnownRoster`` alone. Raises Unavailable."""
        return _answer(await self._call("GET", f"{self._asked}roster"), Roster)

    async def roster_after(self, sha256: str) -> RosterLink | None:
        """What it says took the place of a roster; None: nothing. Raises Unavailable."""
        status, data = await self._ask("GET", f"roster/after/{sha256}", b"", CALL_WAIT_S)
        return None if status == 404 else _answer(_body(status, data), RosterLink)

    # -- events --------------------------------------------------------------------------------

    async def events(self, after: int) -> AsyncGenerator[tuple[str, StatusPush] | None, None]:
        """None once the stream is open, then each push with its id.

        Raises:
            Unavailable: refused, cut, or silent for SILENCE_S.
        """
        path = f"{self._below}gates/{self.gate}/events?after={after}"
        async for event, _, data in self._connection.events(path, silence_s=SILENCE_S):
            if event == "open":
                yield None
            elif event == "status":
                told = _answer(data, wire.ToldStatus)
                yield told.push, told.status

    async def stopped(self, push: str, outcome: StopOutcome) -> None:
        """Say what a push achieved here. Raises Unavailable, MalformedInput."""
        await self._call("POST", f"gates/{self.gate}/stops/{push}", wire.write(outcome))

    async def close(self) -> None:
        """Let go of the connection."""
        await self._connection.close()

    # -- calls ---------------------------------------------------------------------------------

    async def _call(
        self, method: str, path: str, body: bytes = b"", *, wait_s: float = CALL_WAIT_S
    ) -> bytes:
        return _body(*await self._ask(method, path, body, wait_s))

    async def _ask(self, method: str, path: str, body: bytes, wait_s: float) -> tuple[int, bytes]:
        return await self._connection.ask(method, f"{self._below}{path}", body, wait_s=wait_s)


def _body(status: int, data: bytes) -> bytes:
    """The body of a success. Raises what the answer says."""
    if status in (200, 204):
        return data
    raise wire.failure_of(status, data)


def _answer(data: bytes, form: type[_T]) -> _T:
    """An answer in this form. Raises Unavailable: what is not understood is no answer."""
    try:
        return wire.read(data, form)
    except MalformedInput as error:
        raise Unavailable(f"the authority's answer is not understood: {error}") from error
