# SPDX-License-Identifier: Apache-2.0
"""The requests that come most, an order and the question for its state, before any routing.

Routing and request objects cost more than the answer to these two. What is sent is what the routed
application would send: the same bounds, the same problems, the same bytes. Everything else, also
these paths with another method, is the routed application's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from sekisho.apps.bodies import TurnedAway
from sekisho.apps.problems import Said, failure_said, problem_said
from sekisho.core.errors import SekishoError

ORDERS: Final = "/v1/orders"
ORDER: Final = "/v1/orders/"
GONE: Final = problem_said("malformed", "the request ended before it was complete")
DEFECT: Final = problem_said(
    "unavailable", "the gate failed on this request; ask for the order's state"
)


class OrderPaths:
    """An ASGI application before another one."""

    def __init__(
        self,
        take_order: Callable[[Scope, Receive], Awaitable[Said]],
        order_state: Callable[[Scope, str], Awaitable[Said]],
        rest: ASGIApp,
    ) -> None:
        self._take_order = take_order
        self._order_state = order_state
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        asked = self._asked(scope, receive)
        if asked is None:
            await self._rest(scope, receive, send)
            return
        try:
            said = await asked
        except TurnedAway as error:
            said = problem_said(error.word, error.detail)
        except SekishoError as error:
            said = failure_said(error)
        except ClientDisconnect:
            said = GONE  # nobody is there to read it
        except Exception:
            await _send(DEFECT, send)
            raise  # the server logs it
        await _send(said, send)

    def _asked(self, scope: Scope, receive: Receive) -> Awaitable[Said] | None:
        """What answers this request; None where the routing has to find it."""
        if scope["type"] != "http":
            return None
        path: str = scope["path"]
        if path == ORDERS and scope["method"] == "POST":
            return self._take_order(scope, receive)
        name = path.removeprefix(ORDER)
        if name != path and name and "/" not in name and scope["method"] == "GET":
            return self._order_state(scope, name)
        return None


async def _send(said: Said, send: Send) -> None:
    headers = [
        *((name.encode("ascii"), value.encode("ascii")) for name, value in said.headers),
        (b"content-length", b"%d" % len(said.body)),
        (b"content-type", said.media_type.encode("ascii")),
    ]
    await send({"type": "http.response.start", "status": said.status, "headers": headers})
    await send({"type": "http.response.body", "body": said.body})
