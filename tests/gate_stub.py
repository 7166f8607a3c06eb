# SPDX-License-Identifier: Apache-2.0
"""A gate that follows docs/spec/gate-api.md and decides nothing: for tests of clients.

It permits limit orders of less than 25,000 and refuses others, remembers what it answered, and
answers in a way that a test sets instead. Built from the page alone; it shares nothing with the
gate.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.client_wire import AGENT, REASON, TOKEN, WORKING, permit, problem

Misbehaviour = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application that answers instead."""


class StubGate:
    """The stub.

    Attributes:
        orders: body and answer by order id.
        received: how many requests came.
        instead: answers the next requests, one each, before the stub answers itself again; takes
            the order first when ``taking`` is set.
    """

    def __init__(self, *, token: str = TOKEN) -> None:
        self._token = token
        self.orders: dict[str, tuple[bytes, Response]] = {}
        self.received = 0
        self.instead: list[Misbehaviour] = []
        self.taking = False
        self._routes = Starlette(
            routes=[
                Route("/v1/orders", self._submit, methods=["POST"]),
                Route("/v1/orders", self._open, methods=["GET"]),
                Route("/v1/orders/{name}", self._get, methods=["GET"]),
                Route("/v1/agent", self._agent, methods=["GET"]),
                Route("/v1/health", self._health, methods=["GET"]),
            ]
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI application."""
        self.received += 1
        if self.instead:
            misbehaviour = self.instead.pop(0)
            if self.taking:
                await self._submit(Request(scope, receive))
            await misbehaviour(scope, receive, send)
            return
        shown = dict(scope["headers"]).get(b"authorization", b"").decode()
        if self._token and shown != f"Bearer {self._token}":
            await _problem(401, "unauthenticated")(scope, receive, send)
            return
        await self._routes(scope, receive, send)

    async def _submit(self, request: Request) -> Response:
        body = await request.body()
        order = json.loads(body)
        name = order["client_order_id"]
        if name in self.orders:
            known, answer = self.orders[name]
            if known == body:
                return answer
            return self._refusal("duplicate_order_id")
        index = len(self.orders)
        if order["action"] == "new" and Decimal(order["quantity"]) >= 25_000:
            answer = self._refusal("exceeds_scope_size")
        else:
            cancels = order["action"] == "cancel"
            told = {
                "kind": "permitted",
                "decision": index,
                "order_state": "closed" if cancels else "open",
                "permit": "" if cancels else permit(order, log_index=index),
                "detail": "",
            }
            answer = _json(told)
        self.orders[name] = (body, answer)
        return answer

    def _refusal(self, code: str) -> Response:
        reasons = [REASON | {"code": code}]
        index = len(self.orders)
        return _problem(422, "refused", kind="refused", decision=index, reasons=reasons)

    async def _open(self, _request: Request) -> Response:
        found = [WORKING | {"client_order_id": name} for name in sorted(self.orders)]
        return _json({"orders": found, "next": ""})

    async def _get(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self.orders:
            return _problem(404, "not-found")
        body, _ = self.orders[name]
        told = {"verdict": "permitted", "order": json.loads(body), "executions": []}
        return _json(WORKING | {"client_order_id": name} | told)

    async def _agent(self, _request: Request) -> Response:
        return _json(AGENT)

    async def _health(self, _request: Request) -> Response:
        return _json({"status": "alive"})


def _json(content: Any) -> Response:
    return Response(json.dumps(content), 200, media_type="application/json")


def _problem(status: int, word: str, **more: Any) -> Response:
    content = json.dumps(problem(status, word, **more))
    return Response(content, status, media_type="application/problem+json")
