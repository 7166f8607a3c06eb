# SPDX-License-Identifier: Apache-2.0
"""Connections of sekisho-client without a network, and bodies as docs/spec/gate-api.md has them."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
from collections.abc import Callable, Iterable
from typing import Any

import httpcore2

from sekisho_client.async_gate import AsyncGate
from sekisho_client.endpoint import Endpoint, read_endpoint
from sekisho_client.exchange import AsyncLink, Link
from sekisho_client.gate import Gate
from sekisho_client.orders import LimitOrder

TOKEN = "t" * 43
ORDER = LimitOrder(
    client_order_id="order-1",
    market="EUR/USD",
    side="buy",
    quantity="1000",
    currency="EUR",
    price="1.0850",
    venue="PAPER",
    account="main",
)
REASON = {"code": "exceeds_scope_size", "limit": "25000.00", "observed": "1.00", "unit": "EUR"}
WORKING = {
    "client_order_id": "order-1",
    "order_state": "open",
    "decision": 7,
    "market": "EUR/USD",
    "side": "buy",
    "currency": "EUR",
    "venue": "PAPER",
    "quantity": "1000",
    "filled": "250.5",
    "leaves": "749.5",
    "price": "1.085",
    "amendment_pending": False,
}
REPORT = {
    "exec_id": "e1",
    "exec_type": "trade",
    "last_quantity": "1000",
    "last_price": "1.085",
    "cum_quantity": "1000",
    "leaves_quantity": "0",
    "transact_at": "2026-05-15T09:15:00.000000000Z",
    "reason": "",
}
STATUS = {
    "client_order_id": "order-1",
    "decision": 7,
    "verdict": "permitted",
    "order": json.loads(ORDER.body()),
    "order_state": "closed",
    "executions": [REPORT],
}
AGENT = {
    "agent": "algo",
    "gate": "gate-1",
    "environment": "test",
    "region": "eu-west-1",
    "status": "good",
    "latches": [],
    "certificate_sha256": "0" * 64,
    "not_before": "2026-05-01T00:00:00.000000000Z",
    "not_after": "2027-05-01T00:00:00.000000000Z",
    "policy_sha256": "1" * 64,
    "baseline_sha256": "",
    "phase": "baseline",
    "lease_left_ms": 14_000,
    "at": "2026-05-15T09:15:00.000000000Z",
}
VOLUME = {
    "day": "2026-05-15",
    "currency": "EUR",
    "gross_permitted": "18500.00",
    "open_reserved": "0.00",
    "orders": 1,
}
BASELINE = {
    "agent": "algo",
    "locked_sha256": "",
    "collected_sha256": "2" * 64,
    "complete": False,
    "missing": ["the window ends with 2026-05-28"],
    "summary": [["orders", "12"]],
}
SCORES = {
    "agent": "algo",
    "baseline_sha256": "3" * 64,
    "risk": "0.125000",
    "risk_factors": {"size": "0.125000"},
    "anomaly": "0.573187",
    "anomaly_factors": {"size": "0.573187", "hours": "0.010000"},
    "scored": 99,
}

Step = bytes | Exception
"""What a connection gives at a read: bytes (empty: it ended), or a failure."""


def permit(order: dict[str, Any], **changes: Any) -> str:
    """A permit about an order, with a signature of zeros."""
    payload = {
        "permit_id": "4" * 64,
        "agent": "algo",
        "environment": "test",
        "venue": "PAPER",
        "account": "main",
        "order": order,
        "issued_at": "2026-05-15T09:15:00.000000000Z",
        "expires_at": "2026-05-15T09:15:02.000000000Z",
        "certificate_sha256": "0" * 64,
        "log_origin": "gate.example/gate-1",
        "log_index": 7,
        "leaf_hash": base64.b64encode(bytes(32)).decode(),
        "policy_sha256": "1" * 64,
        "ocsp": "",
    } | changes
    header = b'{"alg":"ES256","typ":"sekisho-permit"}'
    signed = b"sekisho/permit/v1\n" + json.dumps(payload).encode()
    parts = (header, signed, bytes(64))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def taken(**changes: Any) -> dict[str, Any]:
    """The body of a permission for ORDER."""
    return {
        "kind": "permitted",
        "decision": 7,
        "order_state": "open",
        "permit": permit(json.loads(ORDER.body())),
        "detail": "",
    } | changes


def problem(status: int, word: str, **more: Any) -> dict[str, Any]:
    """The body of a problem."""
    said = {"type": f"urn:sekisho:problem:{word}", "title": word, "status": status, "detail": "d"}
    return said | more


def http(status: int, content: Any, kind: str | None = None, extra: Iterable[str] = ()) -> bytes:
    """A whole HTTP answer; problems get their type by their status."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    default = "application/json" if status < 300 else "application/problem+json"
    lines = [
        f"HTTP/1.1 {status} x",
        f"Content-Type: {kind or default}",
        f"Content-Length: {len(body)}",
        *extra,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Wire:
    """Connections that give what a script says, one list of steps each; the last one repeats.

    Attributes:
        requests: what was written, one text a connection.
    """

    def __init__(self, *connections: list[Step] | Exception) -> None:
        self._connections = list(connections)
        self.requests: list[bytearray] = []

    def connect(self) -> list[Step]:
        """The steps of the next connection."""
        first = len(self._connections) > 1
        found = self._connections.pop(0) if first else self._connections[0]
        if isinstance(found, Exception):
            raise found
        self.requests.append(bytearray())
        return list(found)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._steps = wire.connect()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        step = self._steps.pop(0) if self._steps else b""
        if isinstance(step, Exception):
            raise step
        return step

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._wire.requests[-1] += buffer

    def close(self) -> None:
        pass


class Backend(httpcore2.NetworkBackend):
    """A wire for a Link."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def connect_tcp(self, *_: Any, **__: Any) -> httpcore2.NetworkStream:
        return _Stream(self._wire)

    connect_unix_socket = connect_tcp


class _AsyncStream(httpcore2.AsyncNetworkStream):
    def __init__(self, wire: Wire) -> None:
        self._inner = _Stream(wire)

    async def read(self, max_bytes: int, timeout: Any = None) -> bytes:  # noqa: ASYNC109 - its port
        if (found := self._inner.read(max_bytes)) == b"hang":
            await asyncio.Event().wait()
        return found

    async def write(self, buffer: bytes, timeout: Any = None) -> None:  # noqa: ASYNC109 - its port
        self._inner.write(buffer)

    async def aclose(self) -> None:
        pass


class AsyncBackend(httpcore2.AsyncNetworkBackend):
    """A wire for an AsyncLink."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def connect_tcp(self, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        return _AsyncStream(self._wire)

    connect_unix_socket = connect_tcp


Asked = Callable[[Wire, Callable[[Any], Any]], Any]


def endpoint(**settings: Any) -> Endpoint:
    """A Unix socket that nobody opens."""
    return read_endpoint("unix:gate.sock", token=TOKEN, **settings)


def ask_sync(wire: Wire, action: Callable[[Any], Any]) -> Any:
    """What the blocking gate makes of this wire."""
    with Gate(Link(endpoint(), Backend(wire))) as gate:
        return action(gate)


def ask_async(wire: Wire, action: Callable[[Any], Any]) -> Any:
    """What the asynchronous gate makes of it."""

    async def run() -> Any:
        async with AsyncGate(AsyncLink(endpoint(), AsyncBackend(wire))) as gate:
            found = action(gate)
            return await found if inspect.isawaitable(found) else found

    return asyncio.run(run())
