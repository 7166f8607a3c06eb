# SPDX-License-Identifier: Apache-2.0
"""The body of a request, bounded in size and in time, for every web interface of the product."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive

from sekisho.apps.problems import problem

BODY_WAIT_S: Final = 10.0
_JSON: Final = b"application/json"


class TurnedAway(Exception):
    """A request that is not looked into.

    Attributes:
        word: of ``problems.STATUS``.
        detail: what is wrong and what to do.
    """

    def __init__(self, word: str, detail: str) -> None:
        super().__init__(detail)
        self.word = word
        self.detail = detail


async def take_body(receive: Receive, bytes_max: int) -> bytes:
    """The body that ``receive`` of ASGI brings; no more than ``bytes_max`` and one part are held.

    Raises:
        TurnedAway: too large, or not complete within ``BODY_WAIT_S``.
        ClientDisconnect: the other end has gone.
    """
    taken = b""
    try:
        async with asyncio.timeout(BODY_WAIT_S):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                taken += message.get("body", b"")
                if len(taken) > bytes_max:
                    raise TurnedAway("too-large", f"a body has at most {bytes_max} bytes")
                more = message.get("more_body", False)
    except TimeoutError as error:
        raise TurnedAway("malformed", f"no complete request within {BODY_WAIT_S} s") from error
    return taken


async def take_json_body(scope: Mapping[str, Any], receive: Receive, bytes_max: int) -> bytes:
    """As :func:`take_body`, of a request that says that it is JSON."""
    said = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    if said != _JSON and said.partition(b";")[0].strip().lower() != _JSON:
        raise TurnedAway("unsupported-media-type", "send Content-Type: application/json")
    return await take_body(receive, bytes_max)


async def read_body(request: Request, bytes_max: int) -> bytes:
    """As :func:`take_body`, of a request of Starlette."""
    return await take_body(request.receive, bytes_max)


async def read_json_body(request: Request, bytes_max: int) -> bytes:
    """As :func:`take_json_body`, of a request of Starlette."""
    return await take_json_body(request.scope, request.receive, bytes_max)


async def on_turned_away(_request: Request, error: Exception) -> Response:
    """The problem document of a :class:`TurnedAway`, as a handler of the application."""
    if not isinstance(error, TurnedAway):
        raise error
    return problem(error.word, error.detail)
