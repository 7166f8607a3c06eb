# SPDX-License-Identifier: Apache-2.0
"""What a follower answers by itself, and what it hands to the writer
(docs/spec/control-plane.md section 6).

A request is handed on as it came, with who is at the other end of this replica's connection. The
writer believes that of a replica alone, and judges the rest itself.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

BODY_BYTES_MAX = 1_048_576
_WRITERS = re.compile(r"/(checkpoint|admissions/[^/]*|histories/[^/]*)")
_GATE = re.compile(r"/gates/[^/]+")
_REPORT = re.compile(r"/gates/[^/]+/stops/[^/]+\Z")
_OCSP = re.compile(r"/pki/[^/]+/ocsp\Z")

Forward = Callable[[Request, bytes], Awaitable[Response]]
"""Hands a request to the writer; its answer, or one that says what is not known."""


def is_anywhere(method: str, path: str) -> bool:
    """Whether every replica answers this by itself: reads of the log, a gate's stream, its reports.

    What a lease, an admission or a history rests on is the writer's alone, as is a CRL, which is an
    entry of the log.
    """
    if method in ("GET", "HEAD"):
        if path.startswith("/pki/"):
            return "/crl/" not in path
        gate = _GATE.search(path)
        return gate is None or _WRITERS.fullmatch(path[gate.end() :]) is None
    return _REPORT.search(path) is not None or _OCSP.search(path) is not None


class HandingOn:
    """ASGI: answers what every replica can, and hands the rest to the writer."""

    def __init__(self, app: Any, forward: Forward) -> None:
        self._app = app
        self._forward = forward

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or is_anywhere(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > BODY_BYTES_MAX:
                await Response("too large", 413)(scope, receive, send)
                return
        answer = await self._forward(request, bytes(body))
        await answer(scope, receive, send)
