# SPDX-License-Identifier: Apache-2.0
"""The control plane as an ASGI application, beside other routes of the same server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route

from sekisho.apps.control_answers import problem, problem_of_status
from sekisho.apps.control_api import response


async def _on_routing(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    detail = {404: "there is nothing at this path", 405: "this path has other methods"}
    found = response(problem_of_status(status, detail.get(status, "malformed"), ""), "")
    if status == 405:
        found.headers["allow"] = ", ".join(_methods(request))
    return found


def _methods(request: Request) -> list[str]:
    """Methods of every route at the path of the request: the router names those of one alone."""
    return sorted(
        {
            method
            for route in request.app.routes
            if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
            for method in route.methods or ()
        }
    )


async def _on_gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)


async def _on_defect(_request: Request, _error: Exception) -> Response:
    """A defect of this program: whether anything happened is not known."""
    return response(problem("unavailable", "this server failed", "", effect="unknown"), "")


def control_application(routes: Sequence[Route]) -> Starlette:
    """The application of these routes; what none of them answers is a problem document."""
    handlers: dict[Any, Any] = {
        HTTPException: _on_routing,
        ClientDisconnect: _on_gone,
        Exception: _on_defect,
    }
    return Starlette(routes=list(routes), exception_handlers=handlers)
