# SPDX-License-Identifier: Apache-2.0
"""The body of a request, bounded in size and in time, for every web interface of the product."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from sekisho.apps.problems import problem

BODY_WAIT_S: Final = 10.0


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


async def read_body(request: Request, bytes_max: int) -> bytes:
    """The body; no more than ``bytes_max`` and one part of it are ever held.

    Raises:
        TurnedAway: too large, or not complete within ``BODY_WAIT_S``.
    """
    taken = bytearray()
    try:
        async with asyncio.timeout(BODY_WAIT_S):
            async for part in request.stream():
                taken += part
                if len(taken) > bytes_max:
                    raise TurnedAway("too-large", f"a body has at most {bytes_max} bytes")
    except TimeoutError as error:
        raise TurnedAway("malformed", f"no complete request within {BODY_WAIT_S} s") from error
    return bytes(taken)


async def read_json_body(request: Request, bytes_max: int) -> bytes:
    """As :func:`read_body`, of a request that says that it is JSON. Raises TurnedAway."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise TurnedAway("unsupported-media-type", "send Content-Type: application/json")
    return await read_body(request, bytes_max)


async def on_turned_away(_request: Request, error: Exception) -> Response:
    """The problem document of a :class:`TurnedAway`, as a handler of the application."""
    if not isinstance(error, TurnedAway):
        raise error
    return problem(error.word, error.detail)
