# SPDX-License-Identifier: Apache-2.0
"""What is served where callers show nothing but API keys (docs/spec/control-plane.md section 2).

The routes of the access table and no other: no gate's link, nothing of replicas. Whoever is at the
other end of the connection is nobody, whatever a request says.
"""

from __future__ import annotations

import re
from typing import Any

from sekisho.adapters.web.peers import EXTENSION, UNKNOWN
from sekisho.compose.replicated import HEADER
from sekisho.core.governance.access import ACCESS

_NOTHING = (
    b'{"type":"urn:sekisho:problem:not-found","title":"Not Found","status":404,'
    b'"detail":"there is nothing at this path","request_id":""}'
)


def _pattern(path: str) -> re.Pattern[str]:
    whole = path if path.startswith("/") else f"/v1/operators/{{operator}}/{path}"
    parts = re.split(r"(\{[a-z0-9]+\})", whole)
    return re.compile(
        "".join(
            (".+" if one == "{request}" else "[^/]+") if one.startswith("{") else re.escape(one)
            for one in parts
        )
    )


_PATHS = tuple({row.path: _pattern(row.path) for row in ACCESS}.values())


class KeysOnly:
    """ASGI: the control plane and what is public, for callers without a connection's identity."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not any(one.fullmatch(scope["path"]) for one in _PATHS):
            await _nothing(send)
            return
        headers = [(name, value) for name, value in scope["headers"] if name != HEADER.encode()]
        extensions = {**scope.get("extensions", {}), EXTENSION: UNKNOWN}
        await self._app({**scope, "headers": headers, "extensions": extensions}, receive, send)


async def _nothing(send: Any) -> None:
    headers = [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": _NOTHING})
