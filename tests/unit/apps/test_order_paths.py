# SPDX-License-Identifier: Apache-2.0
"""Orders before the routing: the same answers as behind it, and nothing else is taken."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from sekisho.apps.bodies import TurnedAway
from sekisho.apps.order_paths import OrderPaths
from sekisho.apps.problems import Said, json_said
from sekisho.core.errors import MalformedInput, NotAuthorised, Unavailable


class Asked:
    """What is before the routing, and what is behind it, each of which says that it was asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.sent: list[dict[str, Any]] = []
        self.app = OrderPaths(self.order, self.state, self.rest)

    async def order(self, _scope: Any, _receive: Any) -> Said:
        return self.said("order")

    async def state(self, _scope: Any, name: str) -> Said:
        return self.said(f"state of {name}")

    def said(self, what: str) -> Said:
        if self.error is not None:
            raise self.error
        return json_said(what)

    async def rest(self, _scope: Any, _receive: Any, send: Any) -> None:
        await send({"body": b"rest"})

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def receive(self) -> Any:
        return {"type": "http.request"}

    def ask(self, method: str, path: str, kind: str = "http") -> list[dict[str, Any]]:
        self.sent = []
        scope = {"type": kind, "method": method, "path": path}
        asyncio.run(self.app(scope, self.receive, self.send))
        return self.sent


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/orders", b'"order"'),
        ("GET", "/v1/orders/a-1", b'"state of a-1"'),
        ("GET", "/v1/orders/check", b'"state of check"'),
        ("GET", "/v1/orders", b"rest"),
        ("GET", "/v1/orders/", b"rest"),
        ("GET", "/v1/orders/a/b", b"rest"),
        ("HEAD", "/v1/orders/a-1", b"rest"),
        ("DELETE", "/v1/orders/a-1", b"rest"),
        ("POST", "/v1/orders/check", b"rest"),
        ("POST", "/v1/orders/", b"rest"),
        ("PUT", "/v1/orders", b"rest"),
        ("POST", "/v1/order", b"rest"),
    ],
)
def test_order_paths_take_two_requests_and_no_other(
    method: str, path: str, expected: bytes
) -> None:
    """Everything else is the routing's, also a wrong method."""
    assert expected == Asked().ask(method, path)[-1]["body"]


def test_order_paths_leave_what_is_not_http() -> None:
    """A scope without a path is not looked into."""
    assert [{"body": b"rest"}] == Asked().ask("", "", "lifespan")


def test_order_paths_send_length_type_and_no_cache() -> None:
    """As every answer of the gate has them."""
    start, body = Asked().ask("POST", "/v1/orders")
    assert (200, b'"order"') == (start["status"], body["body"])
    assert [
        (b"cache-control", b"no-store"),
        (b"content-length", b"7"),
        (b"content-type", b"application/json"),
    ] == start["headers"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TurnedAway("unauthenticated", "who"), 401),
        (TurnedAway("too-large", "long"), 413),
        (MalformedInput("bad"), 400),
        (NotAuthorised("no"), 403),
        (Unavailable("away"), 503),
        (ClientDisconnect(), 400),
    ],
)
def test_order_paths_say_failures_as_problems(error: Exception, status: int) -> None:
    """Each by its status, as a problem document."""
    start, body = Asked(error).ask("POST", "/v1/orders")
    headers = dict(start["headers"])
    assert (status, b"application/problem+json") == (start["status"], headers[b"content-type"])
    assert (status == 401) == (headers.get(b"www-authenticate") == b"Bearer")
    assert b"urn:sekisho:problem:" in body["body"]


def test_order_paths_answer_a_defect_and_let_the_server_log_it() -> None:
    """The caller learns that it has no answer, and nothing of the inside."""
    asked = Asked(ZeroDivisionError("secret"))
    with pytest.raises(ZeroDivisionError):
        asked.ask("POST", "/v1/orders")
    start, body = asked.sent
    assert 503 == start["status"]
    assert b"ask for the order" in body["body"]
    assert b"secret" not in body["body"]
