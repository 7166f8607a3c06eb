# SPDX-License-Identifier: Apache-2.0
"""The gate's interface for agents and monitors over HTTP (docs/spec/gate-api.md).

Thin: it authenticates, bounds and translates. Nothing is decided here, and no path leads to a
permit but the intake's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope

from sekisho.apps.bodies import TurnedAway, on_turned_away, read_json_body, take_json_body
from sekisho.apps.order_paths import DEFECT, GONE, OrderPaths
from sekisho.apps.problems import (
    Said,
    json_response,
    json_said,
    problem,
    problem_of,
    problem_of_status,
    problem_said,
)
from sekisho.core.encoding import parse_plain
from sekisho.core.errors import MalformedInput, SekishoError
from sekisho.core.gate.order import ORDER_BYTES_MAX
from sekisho.core.terms import AGENT_NAME, CLIENT_ORDER_ID
from sekisho.services.callers import Caller, Denied, Role
from sekisho.services.gatekeeper import Answer
from sekisho.services.inquiry import PAGE_MAX, Inquiry

Identify = Callable[[Mapping[str, Any]], Caller | Denied]
"""Who sent a request, by its ASGI scope."""
Submit = Callable[[str, bytes], Awaitable[Answer]]


class Advising(Protocol):
    """Says whether an order would pass."""

    async def advise(self, agent: str, body: bytes) -> Any:
        """``would_pass`` and ``reasons``."""
        ...


class GateApi:
    """What the interface needs of a gate."""

    def __init__(
        self,
        *,
        identify: Identify,
        submit: Submit,
        inquiry: Inquiry,
        advice: Advising,
        missing: Callable[[], list[str]],
        openapi: bytes,
    ) -> None:
        self._identify = identify
        self._submit = submit
        self._inquiry = inquiry
        self._advice = advice
        self._missing = missing
        self._openapi = openapi

    # -- orders --------------------------------------------------------------------------------

    async def take_order(self, scope: Scope, receive: Receive) -> Said:
        """``POST /v1/orders``."""
        caller = self._caller(scope, "agent")
        body = await take_json_body(scope, receive, ORDER_BYTES_MAX)
        return answer_said(await self._submit(caller.name, body))

    async def order_state(self, scope: Scope, name: str) -> Said:
        """``GET /v1/orders/{client_order_id}``."""
        caller = self._caller(scope, "agent")
        found = None
        if CLIENT_ORDER_ID.fullmatch(name) is not None:
            found = await self._inquiry.order(caller.name, name)
        if found is None:
            return problem_said("not-found", "this agent has no order of this id")
        return json_said(found)

    async def check(self, request: Request) -> Response:
        """``POST /v1/orders/check``."""
        caller = self._caller(request.scope, "agent")
        found = await self._advice.advise(
            caller.name, await read_json_body(request, ORDER_BYTES_MAX)
        )
        reasons = [msgspec.to_builtins(reason) for reason in found.reasons]
        return json_response({"advice": True, "would_pass": found.would_pass, "reasons": reasons})

    async def cancel_all(self, request: Request) -> Response:
        """``POST /v1/orders/cancel-all``."""
        caller = self._caller(request.scope, "agent")
        plain = parse_plain(await read_json_body(request, ORDER_BYTES_MAX), numbers=False)
        if not isinstance(plain, dict) or set(plain) != {"client_order_id"}:
            raise MalformedInput('a body {"client_order_id": …} is wanted', "client_order_id")
        prefix = plain["client_order_id"]
        if not isinstance(prefix, str) or CLIENT_ORDER_ID.fullmatch(prefix) is None:
            raise MalformedInput("client_order_id: not like order-0001", "client_order_id")
        return json_response(await self._inquiry.cancel_all(caller.name, prefix, self._submit))

    async def open_orders(self, request: Request) -> Response:
        """``GET /v1/orders``."""
        caller = self._caller(request.scope, "agent")
        _only(request, "after", "limit")
        after = request.query_params.get("after")
        limit = request.query_params.get("limit", str(PAGE_MAX))
        if after is not None and CLIENT_ORDER_ID.fullmatch(after) is None:
            raise MalformedInput("after: an order's id is wanted", "after")
        if not (limit.isascii() and limit.isdigit() and len(limit) < 4) or not (
            1 <= int(limit) <= PAGE_MAX
        ):
            raise MalformedInput(f"limit: 1 to {PAGE_MAX} is wanted", "limit")
        return _found(self._inquiry.open_orders(caller.name, after or "", int(limit)))

    async def order(self, request: Request) -> Response:
        """``GET /v1/orders/{client_order_id}``, where it is not taken before the routing."""
        name = request.path_params["client_order_id"]
        return (await self.order_state(request.scope, name)).response()

    # -- state ---------------------------------------------------------------------------------

    def of_caller(self, ask: Callable[[str], Any]) -> Callable[[Request], Awaitable[Response]]:
        """A question of an agent about itself."""

        async def answer(request: Request) -> Response:
            return _found(ask(self._caller(request.scope, "agent").name))

        return answer

    def of_named(self, ask: Callable[[str], Any]) -> Callable[[Request], Awaitable[Response]]:
        """A question of a monitor about an agent."""

        async def answer(request: Request) -> Response:
            self._caller(request.scope, "monitor")
            name = request.path_params["agent"]
            found = None if AGENT_NAME.fullmatch(name) is None else ask(name)
            return _found(found)

        return answer

    async def health(self, _request: Request) -> Response:
        """``GET /v1/health``: the process answers."""
        return json_response({"status": "alive"})

    async def ready(self, _request: Request) -> Response:
        """``GET /v1/ready``: it may permit."""
        return ready_response(self._missing())

    async def openapi(self, _request: Request) -> Response:
        """``GET /openapi.json``."""
        return Response(self._openapi, media_type="application/json")

    def _caller(self, scope: Scope, role: Role) -> Caller:
        found = self._identify(scope)
        if isinstance(found, Denied):
            raise TurnedAway(found.word, found.detail)
        if found.role != role:
            raise TurnedAway("forbidden", f"this is for callers of the role {role}")
        return found


def gate_application(api: GateApi, inquiry: Inquiry) -> ASGIApp:
    """The ASGI application. ``POST /v1/orders`` never comes to its route: see ``order_paths``."""
    named = "/v1/agents/{agent}/"
    routes = [
        Route("/v1/orders", api.open_orders, methods=["GET", "POST"]),
        Route("/v1/orders/check", api.check, methods=["POST"]),
        Route("/v1/orders/cancel-all", api.cancel_all, methods=["POST"]),
        Route("/v1/orders/{client_order_id}", api.order, methods=["GET"]),
        Route("/v1/positions", api.of_caller(inquiry.positions), methods=["GET"]),
        Route("/v1/agent", api.of_caller(inquiry.agent), methods=["GET"]),
        Route("/v1/agent/scope", api.of_caller(inquiry.scope), methods=["GET"]),
        Route("/v1/agent/volume", api.of_caller(inquiry.volume), methods=["GET"]),
        Route(named + "baseline", api.of_named(inquiry.baseline), methods=["GET"]),
        Route(named + "scores", api.of_named(inquiry.scores), methods=["GET"]),
        Route(named + "volume", api.of_named(inquiry.volume), methods=["GET"]),
        Route("/v1/health", api.health, methods=["GET"]),
        Route("/v1/ready", api.ready, methods=["GET"]),
        Route("/openapi.json", api.openapi, methods=["GET"]),
    ]
    handlers: dict[Any, Any] = {
        TurnedAway: on_turned_away,
        SekishoError: _on_failure,
        HTTPException: _on_routing,
        ClientDisconnect: _on_gone,
        Exception: _on_defect,
    }
    rest = Starlette(routes=routes, exception_handlers=handlers)
    return OrderPaths(api.take_order, api.order_state, rest)


def answer_said(answer: Answer) -> Said:
    """An answer as HTTP says it: only ``permitted`` and ``possibly_issued`` are no problems."""
    if answer.kind in {"permitted", "possibly_issued"}:
        content = {
            "kind": answer.kind,
            "decision": answer.decision,
            "order_state": answer.order_state,
            "permit": answer.permit,
            "detail": answer.detail,
        }
        return json_said(content, 200 if answer.kind == "permitted" else 202)
    reasons = [msgspec.to_builtins(reason) for reason in answer.reasons]
    codes = ", ".join(reason.code for reason in answer.reasons)
    return problem_said(
        answer.kind,
        answer.detail or codes,
        kind=answer.kind,
        decision=answer.decision,
        reasons=reasons,
    )


def ready_response(missing: list[str]) -> Response:
    """200 when nothing is missing."""
    if missing:
        return problem("unavailable", "; ".join(missing), missing=missing)
    return json_response({"status": "ready"})


def _only(request: Request, *names: str) -> None:
    for name in request.query_params:
        if name not in names or len(request.query_params.getlist(name)) > 1:
            raise MalformedInput(f"{name[:32]!r}: unknown or doubled parameter", name[:32])


def _found(content: Any) -> Response:
    if content is None:
        return problem("not-found", "no such agent is admitted at this gate")
    return json_response(content)


async def _on_failure(_request: Request, error: Exception) -> Response:
    if not isinstance(error, SekishoError):
        raise error
    return problem_of(error)


async def _on_routing(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return problem_of_status(error.status_code, error.detail, error.headers)


async def _on_gone(_request: Request, _error: Exception) -> Response:
    """Nobody is there to read it."""
    return GONE.response()


async def _on_defect(_request: Request, _error: Exception) -> Response:
    """A defect of the gate: the caller learns that it has no answer, and nothing of the inside.

    The server logs the failure itself.
    """
    return DEFECT.response()
