# SPDX-License-Identifier: Apache-2.0
"""What keeps a gate running asks here: health, readiness, metrics; and people command here.

It listens where agents do not. A command is believed by its signatures alone, so the connection
gives no right of its own; whoever may connect can read status and metrics, which name agents and no
amounts. What a baseline says of an agent is for the gate's own user.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sekisho.apps.bodies import TurnedAway, read_body
from sekisho.apps.gate_api import ready_response
from sekisho.apps.problems import json_response, problem, problem_of
from sekisho.core.errors import NotAuthorised, OutcomeUnknown, SekishoError
from sekisho.core.terms import AGENT_NAME

COMMANDS_BYTES_MAX = 65_536
TakeCommands = Callable[[bytes], Awaitable[Any]]
"""Signed commands as JSON text → what they achieved, as plain data."""


@dataclass(frozen=True, kw_only=True)
class OperationsApi:
    """What the application asks of its gate.

    Attributes:
        missing: what keeps orders from being permitted.
        metrics: in the format of ``metrics_type``.
        take: people's signed commands.
        status: what ``sekisho gate status`` shows.
        roster: who may command. Raises Unavailable.
        look_up: what a person needs to sign what widens, from the authority.
        baseline: what was observed of an agent; None for one that is not admitted here.
        owner: whether a connection is of the gate's own user.
    """

    missing: Callable[[], list[str]]
    metrics: Callable[[], bytes]
    metrics_type: str
    take: TakeCommands
    status: Callable[[], Mapping[str, Any]]
    roster: Callable[[], Any]
    look_up: Callable[[str], Awaitable[Any]]
    baseline: Callable[[str], Mapping[str, Any] | None]
    owner: Callable[[Mapping[str, Any]], bool]

    async def commands(self, request: Request) -> Response:
        """``POST /v1/commands``."""
        body = await read_body(request, COMMANDS_BYTES_MAX)
        return json_response(await self.take(body))

    async def agent(self, request: Request) -> Response:
        """``GET /v1/agents/{agent}``."""
        return json_response(msgspec.to_builtins(await self.look_up(_named(request))))

    async def observed(self, request: Request) -> Response:
        """``GET /v1/agents/{agent}/baseline``."""
        if not self.owner(request.scope):
            raise NotAuthorised("a baseline is shown to the gate's own user on the Unix socket")
        found = self.baseline(_named(request))
        if found is None:
            return problem("not-found", "no such agent is admitted at this gate")
        return json_response(found)


def operations_application(api: OperationsApi) -> Starlette:
    """The ASGI application."""

    async def health(_request: Request) -> Response:
        return json_response({"status": "alive"})

    async def ready(_request: Request) -> Response:
        return ready_response(api.missing())

    async def measures(_request: Request) -> Response:
        return Response(api.metrics(), media_type=api.metrics_type)

    async def status(_request: Request) -> Response:
        return json_response(api.status())

    async def roster(_request: Request) -> Response:
        return json_response(msgspec.to_builtins(api.roster()))

    table: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
        ("GET", "/v1/health", health),
        ("GET", "/v1/ready", ready),
        ("GET", "/metrics", measures),
        ("GET", "/v1/status", status),
        ("GET", "/v1/roster", roster),
        ("GET", "/v1/agents/{agent}", api.agent),
        ("GET", "/v1/agents/{agent}/baseline", api.observed),
        ("POST", "/v1/commands", api.commands),
    ]
    return Starlette(
        routes=[Route(path, _answering(handler), methods=[verb]) for verb, path, handler in table]
    )


def _answering(
    handler: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """A failure of this product becomes its problem; what is perhaps done says so."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except TurnedAway as error:
            return problem(error.word, error.detail)
        except OutcomeUnknown as error:
            return problem("unavailable", str(error), effect="unknown")
        except SekishoError as error:
            return problem_of(error)

    return answer


def _named(request: Request) -> str:
    name = str(request.path_params["agent"])
    if AGENT_NAME.fullmatch(name) is None:
        raise NotAuthorised(f"{name[:64]!r} is not an agent's name")
    return name
