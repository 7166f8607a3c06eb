# SPDX-License-Identifier: Apache-2.0
"""What followers say to the writer: which gates they have, and what these achieved
(docs/spec/control-plane.md section 6).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sekisho.apps.bodies import TurnedAway, read_body
from sekisho.core.errors import MalformedInput, NotAuthorised, SekishoError
from sekisho.services import authoritywire as wire
from sekisho.services.replicas import GateReport, GatesPresent, OtherReplicas

BODY_BYTES_MAX = 1_048_576
_REPLICAS = "/v1/replicas/"


def replica_routes(
    others: OtherReplicas, is_replica: Callable[[Mapping[str, Any]], bool]
) -> list[Route]:
    """What the writer hears of its followers. ``is_replica``: whether a connection is one's."""

    async def heard(request: Request, act: Callable[[bytes], None]) -> Response:
        try:
            if not is_replica(request.scope):
                raise NotAuthorised("this is for replicas of this authority alone")
            act(await read_body(request, BODY_BYTES_MAX))
        except TurnedAway as error:
            return _failed(MalformedInput(error.detail))
        except SekishoError as error:
            return _failed(error)
        return Response(status_code=204)

    async def gates(request: Request) -> Response:
        return await heard(request, lambda body: others.present(wire.read(body, GatesPresent)))

    async def reports(request: Request) -> Response:
        return await heard(request, lambda body: others.reported(wire.read(body, GateReport)))

    return [
        Route(f"{_REPLICAS}gates", gates, methods=["POST"]),
        Route(f"{_REPLICAS}reports", reports, methods=["POST"]),
    ]


def _failed(error: SekishoError) -> Response:
    status, failure = wire.failure_answer(error)
    return Response(wire.write(failure), status, media_type="application/json")
