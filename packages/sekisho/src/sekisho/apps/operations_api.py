# SPDX-License-Identifier: Apache-2.0
"""What keeps a gate running asks here: health, readiness, metrics; and people command here.

It listens where agents do not. A command is believed by its signatures alone, so the connection
gives no right of its own; whoever may connect can read metrics, which name agents and no amounts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sekisho.apps.gate_api import ready_response
from sekisho.apps.problems import json_response, problem, problem_of
from sekisho.core.errors import SekishoError

COMMANDS_BYTES_MAX = 65_536
BODY_WAIT_S = 10.0
TakeCommands = Callable[[bytes], Awaitable[Any]]
"""Signed commands as JSON text → what they achieved, as plain data."""


def operations_application(
    *,
    missing: Callable[[], list[str]],
    metrics: Callable[[], bytes],
    metrics_type: str,
    take: TakeCommands,
) -> Starlette:
    """The ASGI application."""

    async def health(_request: Request) -> Response:
        return json_response({"status": "alive"})

    async def ready(_request: Request) -> Response:
        return ready_response(missing())

    async def measures(_request: Request) -> Response:
        return Response(metrics(), media_type=metrics_type)

    async def commands(request: Request) -> Response:
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_WAIT_S):
                async for part in request.stream():
                    body += part
                    if len(body) > COMMANDS_BYTES_MAX:
                        return problem("too-large", f"at most {COMMANDS_BYTES_MAX} bytes")
            return json_response(await take(bytes(body)))
        except TimeoutError:
            return problem("malformed", f"no complete request within {BODY_WAIT_S} s")
        except SekishoError as error:
            return problem_of(error)

    return Starlette(
        routes=[
            Route("/v1/health", health, methods=["GET"]),
            Route("/v1/ready", ready, methods=["GET"]),
            Route("/metrics", measures, methods=["GET"]),
            Route("/v1/commands", commands, methods=["POST"]),
        ]
    )
