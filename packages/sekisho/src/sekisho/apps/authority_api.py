# SPDX-License-Identifier: Apache-2.0
"""The authority's interface over HTTP, for gates and for people (docs/spec/processes.md section 1).

Thin: who calls is what the connection shows, the body is read strictly, the authority decides, and
what it raised becomes a status with a body that the client turns back into the same failure. It
serves gates only under their own name; people's commands are judged by their signatures alone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from functools import lru_cache
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from sekisho.apps.bodies import TurnedAway, read_body
from sekisho.apps.control_application import control_application
from sekisho.core.errors import MalformedInput, NotAuthorised, SekishoError
from sekisho.core.governance.commands import SignedCommand
from sekisho.core.terms import NAME
from sekisho.ports import IncidentReport, LeaseRequest
from sekisho.services import authoritywire as wire
from sekisho.services.authority import Authority
from sekisho.services.gatereports import check_go_live, check_incident
from sekisho.services.governancedesk import GovernanceDesk
from sekisho.services.peopledesk import PeopleDesk
from sekisho.services.remotegates import RemoteGates
from sekisho.services.rosterdesk import RosterWanted
from sekisho.services.status import TakenBefore
from sekisho.services.stopping import StopOutcome


class LinkCallers(Protocol):
    """Who is at the other end, as kernel and TLS say; compose reads it from the connection."""

    def gates(self, scope: Mapping[str, Any]) -> frozenset[str]:
        """Gates in whose name this connection may ask."""
        ...

    def owner(self, scope: Mapping[str, Any]) -> bool:
        """Whether this is the user under whom the authority itself runs."""
        ...


Handler = Callable[[Request], Awaitable[Response]]


class AuthorityApi:
    """The handlers of one authority."""

    def __init__(
        self, authority: Authority, gates: RemoteGates, desk: PeopleDesk, callers: LinkCallers
    ) -> None:
        self._authority = authority
        self._gates = gates
        self._desk = desk
        self._governance = GovernanceDesk(authority)
        self._callers = callers

    def routes(self, prefix: str = "/v1") -> list[Route]:
        """Method, path, handler; under another prefix those of gates alone."""
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/v1/gates/{gate}/checkpoint", self._checkpoint),
            ("POST", "/v1/gates/{gate}/lease", self._lease),
            ("GET", "/v1/gates/{gate}/admissions/{agent}", self._admission),
            ("POST", "/v1/gates/{gate}/incidents", self._incident),
            ("POST", "/v1/gates/{gate}/go-live", self._go_live),
            ("POST", "/v1/gates/{gate}/rearm", self._rearm),
            ("POST", "/v1/gates/{gate}/take-over", self._take_over),
            ("GET", "/v1/gates/{gate}/baselines/{agent}", self._baseline),
            ("POST", "/v1/gates/{gate}/histories", self._give_history),
            ("GET", "/v1/gates/{gate}/histories/{agent}", self._history),
            ("POST", "/v1/gates/{gate}/histories/taken", self._history_taken),
            ("GET", "/v1/gates/{gate}/events", self._events),
            ("POST", "/v1/gates/{gate}/stops/{push}", self._stopped),
            ("GET", "/v1/gates/{gate}/roster", self._gates_roster),
            ("GET", "/v1/gates/{gate}/agents/{agent}", self._gates_agent),
            ("GET", "/v1/roster", self._roster),
            ("POST", "/v1/commands", self._command),
            ("GET", "/v1/agents/{agent}", self._agent),
            ("GET", "/v1/incidents", self._incidents),
            ("GET", "/v1/policies/{digest}", self._policy),
            ("GET", "/v1/roster/after/{digest}", self._roster_after),
            ("POST", "/v1/roster", self._change_roster),
            ("GET", "/v1/limits/{digest}", self._limits),
            ("POST", "/v1/approvals", self._approve),
            ("POST", "/v1/withdrawals", self._withdraw),
            ("POST", "/v1/certificates", self._issue),
            ("POST", "/v1/logs", self._certify_log),
        ]
        return [
            Route(prefix + path.removeprefix("/v1"), _answering(handler), methods=[verb])
            for verb, path, handler in table
            if prefix == "/v1" or path.startswith("/v1/gates/")
        ]

    # -- gates ---------------------------------------------------------------------------------

    def _gate(self, request: Request) -> str:
        """The gate of the path. Raises NotAuthorised: this connection is not that gate's."""
        gate = str(request.path_params["gate"])
        if NAME.fullmatch(gate) is None or gate not in self._callers.gates(request.scope):
            raise NotAuthorised(f"this connection is not that of gate {gate[:64]!r}")
        return gate

    async def _checkpoint(self, request: Request) -> Response:
        size = await self._authority.last_seen(self._gate(request))
        return _json(wire.SeenCheckpoint(tree_size=size))

    async def _lease(self, request: Request) -> Response:
        gate = self._gate(request)
        asked = wire.read(await _body(request), LeaseRequest)
        if asked.gate != gate:
            raise NotAuthorised(f"the request is of gate {asked.gate[:64]!r}")
        return _json(await self._authority.lease(asked))

    async def _admission(self, request: Request) -> Response:
        gate = self._gate(request)
        found = await self._authority.admission_for(gate, str(request.path_params["agent"]))
        return _json(wire.admission_sheet(found))

    async def _incident(self, request: Request) -> Response:
        gate = self._gate(request)
        report = wire.read(await _body(request), IncidentReport)
        check_incident(self._authority.state, gate, report)
        await self._authority.report_incident(report)
        return Response(status_code=204)

    async def _go_live(self, request: Request) -> Response:
        gate = self._gate(request)
        asked = wire.read(await _body(request), wire.LiveRequest)
        signed = wire.commands_of(asked.commands)
        check_go_live(self._authority.state, gate, asked.origin, signed)
        return _json(
            await self._authority.go_live(signed, origin=asked.origin, complete=asked.complete)
        )

    async def _rearm(self, request: Request) -> Response:
        self._gate(request)
        return _json(await self._authority.authorise_rearm(await _commands(request)))

    async def _take_over(self, request: Request) -> Response:
        self._gate(request)
        taken = await self._authority.take_over(await _commands(request))
        return _json(taken) if isinstance(taken, TakenBefore) else Response(status_code=204)

    async def _baseline(self, request: Request) -> Response:
        self._gate(request)
        lock = self._authority.baseline_lock(str(request.path_params["agent"]))
        return Response(status_code=404) if lock is None else _json(lock)

    async def _give_history(self, request: Request) -> Response:
        gate = self._gate(request)
        chunk = wire.read(await _body(request), wire.HistoryChunk)
        return _json(await self._authority.histories.take(gate, chunk))

    async def _history(self, request: Request) -> Response:
        gate, agent = self._gate(request), str(request.path_params["agent"])
        offset = request.query_params.get("offset", "")
        if not offset.isascii() or not offset.isdecimal() or len(offset) > 16:
            raise MalformedInput("offset: where the stretch begins", "offset")
        return _json(await self._authority.histories.read(gate, agent, int(offset)))

    async def _history_taken(self, request: Request) -> Response:
        gate = self._gate(request)
        report = wire.read(await _body(request), wire.HistoryReport)
        await self._authority.histories.taken(gate, report)
        return Response(status_code=204)

    async def _events(self, request: Request) -> Response:
        gate = self._gate(request)
        after = _after(request, "the highest epoch in the gate's log is wanted")
        return StreamingResponse(
            _stream(self._gates.connect(gate, after)),
            media_type="text/event-stream",
            headers={"cache-control": "no-store"},
        )

    async def _stopped(self, request: Request) -> Response:
        gate = self._gate(request)
        outcome = wire.read(await _body(request), StopOutcome)
        self._gates.reported(gate, str(request.path_params["push"]), outcome)
        return Response(status_code=204)

    async def _gates_roster(self, request: Request) -> Response:
        self._gate(request)
        return await self._roster(request)

    async def _gates_agent(self, request: Request) -> Response:
        self._gate(request)
        return await self._agent(request)

    # -- people --------------------------------------------------------------------------------

    async def _roster(self, _request: Request) -> Response:
        return _json(self._authority.roster)

    async def _roster_after(self, request: Request) -> Response:
        found = self._governance.roster_after(str(request.path_params["digest"]))
        return Response(status_code=404) if found is None else _json(found)

    async def _change_roster(self, request: Request) -> Response:
        wanted = wire.read(await _body(request), RosterWanted)
        return _json(await self._governance.change_roster(wanted))

    async def _limits(self, request: Request) -> Response:
        found = self._governance.limits_of(str(request.path_params["digest"]))
        return Response(status_code=404) if found is None else _json(found)

    async def _withdraw(self, request: Request) -> Response:
        return _json(await self._governance.withdraw(await _body(request)))

    async def _command(self, request: Request) -> Response:
        return _json(await self._desk.command(await _commands(request)))

    async def _agent(self, request: Request) -> Response:
        return _json(self._desk.agent(str(request.path_params["agent"])))

    async def _incidents(self, request: Request) -> Response:
        if not self._callers.owner(request.scope):
            raise NotAuthorised("incidents are shown to the user of the authority alone")
        after = _after(request, "how many incidents are known already is wanted")
        return _json(self._desk.incidents(after))

    async def _policy(self, request: Request) -> Response:
        return _json(self._desk.policy(str(request.path_params["digest"])))

    async def _approve(self, request: Request) -> Response:
        return _json(await self._desk.approve(await _body(request)))

    async def _issue(self, request: Request) -> Response:
        if not self._callers.owner(request.scope):
            raise NotAuthorised("certificates are issued by the user of the authority alone")
        return _json(await self._desk.issue(await _body(request)))

    async def _certify_log(self, request: Request) -> Response:
        if not self._callers.owner(request.scope):
            raise NotAuthorised("gates are enrolled by the user of the authority alone")
        return _json(await self._desk.certify_log(await _body(request)))


def authority_app(
    authority: Authority,
    gates: RemoteGates,
    desk: PeopleDesk,
    callers: LinkCallers,
    others: Iterable[Route] = (),
) -> Starlette:
    """The ASGI application; ``others`` are routes beside those of the link."""
    own = AuthorityApi(authority, gates, desk, callers).routes()
    return control_application([*own, *others])


def _answering(handler: Handler) -> Handler:
    """A failure of this product becomes its answer; any other is a defect, and 500."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except SekishoError as error:
            status, failure = wire.failure_answer(error)
            return _json(failure, status)

    return answer


def _after(request: Request, wanted: str) -> int:
    """The query's ``after``, a whole number. Raises MalformedInput."""
    after = request.query_params.get("after", "")
    if not after.isascii() or not after.isdecimal() or len(after) > 16:
        raise MalformedInput(f"after: {wanted}", "after")
    return int(after)


async def _body(request: Request) -> bytes:
    """The body. Raises MalformedInput, which the wire knows."""
    try:
        return await read_body(request, wire.BODY_BYTES_MAX)
    except TurnedAway as error:
        raise MalformedInput(error.detail) from error


async def _commands(request: Request) -> tuple[SignedCommand, ...]:
    return wire.commands_of(wire.read(await _body(request), wire.SignedCommands).commands)


async def _stream(
    told: AsyncGenerator[wire.ToldStatus | None, None],
) -> AsyncGenerator[bytes, None]:
    """Server-sent events: the epoch is the id; a comment where there is nothing to tell."""
    yield b": connected\n\n"
    async with aclosing(told):
        async for one in told:
            if one is None:
                yield b":\n\n"
            else:
                yield _event(one)


@lru_cache(maxsize=64)
def _event(told: wire.ToldStatus) -> bytes:
    """One push as it is written; encoded once, to however many gates it goes."""
    head = f"event: status\nid: {told.status.epoch}\ndata: ".encode()
    return head + wire.write(told) + b"\n\n"


def _json(value: Any, status: int = 200) -> Response:
    return Response(wire.write(value), status, media_type="application/json")
